/* What a user would pick instead, driven as calque is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "bench/bench_bare.h"
#include "bench/bench_case.h"

#define DAEMONS ":/usr/local/sbin:/usr/sbin:/sbin"

/* mosquitto_sub | jq | mosquitto_pub, with the function of calque's case */
static bool prepare_pipeline(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	(void)e;
	place->texts[0] = mem_printf(
		"mosquitto_sub -h 127.0.0.1 -p %d -i sub -c -V 311 -q %d -t '%s' |"
		" jq -c --unbuffered '{body: .} | %s' |"
		" mosquitto_pub -h 127.0.0.1 -p %d -i pub -V 311 -q %d -t bench/d1/out -l",
		place->in_port, c->qos, place->topic, c->load->write, place->out_port, c->qos);
	place->argv[0] = "sh";
	place->argv[1] = "-c";
	place->argv[2] = place->texts[0];
	return true;
}

/* mosquitto's own bridge cannot change a payload */
static bool prepare_mosquitto(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	char *conf = mem_printf(
		"listener 0 %s/socket\n"
		"user root\nallow_anonymous true\npersistence false\n"
		"max_inflight_messages 100\nmax_queued_messages 0\n"
		"connection south\naddress 127.0.0.1:%d\ntopic %s in %d\n"
		"cleansession false\nnotifications false\nbridge_protocol_version mqttv311\n"
		"connection north\naddress 127.0.0.1:%d\ntopic %s out %d\n"
		"cleansession false\nnotifications false\nbridge_protocol_version mqttv311\n",
		place->dir, place->in_port, place->topic, c->qos, place->out_port, place->topic,
		c->qos);
	bool ok = bench_write_file(place->dir, "mosquitto.conf", conf, e);

	free(conf);
	place->texts[0] = mem_printf("%s/mosquitto.conf", place->dir);
	place->argv[0] = "mosquitto";
	place->argv[1] = "-c";
	place->argv[2] = place->texts[0];
	return ok;
}

static char *node_red_flow(const struct bench_case *c, const struct bench_place *place)
{
	static const char broker[] =
		"{\"id\":\"%s\",\"type\":\"mqtt-broker\",\"broker\":\"127.0.0.1\","
		"\"port\":\"%d\",\"clientid\":\"%s\",\"autoConnect\":true,"
		"\"usetls\":false,\"protocolVersion\":\"4\",\"keepalive\":\"60\","
		"\"cleansession\":true},\n";
	char *south = mem_printf(broker, "south", place->in_port, "in");
	char *north = mem_printf(broker, "north", place->out_port, "out");
	char *flow = mem_printf(
		"[{\"id\":\"tab\",\"type\":\"tab\",\"label\":\"bench\"},\n%s%s"
		"{\"id\":\"a\",\"type\":\"mqtt in\",\"z\":\"tab\",\"topic\":\"%s\",\"qos\":\"%d\","
		"\"datatype\":\"json\",\"broker\":\"south\",\"x\":1,\"y\":1,\"wires\":[[\"b\"]]},\n"
		"{\"id\":\"b\",\"type\":\"function\",\"z\":\"tab\",\"func\":\"msg.payload = "
		"{telemetries: msg.payload, status: 'online'}; return msg;\",\"outputs\":1,"
		"\"x\":2,\"y\":1,\"wires\":[[\"c\"]]},\n"
		"{\"id\":\"c\",\"type\":\"mqtt out\",\"z\":\"tab\",\"topic\":\"bench/d1/out\","
		"\"qos\":\"%d\",\"retain\":\"false\",\"broker\":\"north\",\"x\":3,\"y\":1,"
		"\"wires\":[]}]\n",
		south, north, place->topic, c->qos, c->qos);

	free(south);
	free(north);
	return flow;
}

static bool prepare_node_red(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	char *flow = node_red_flow(c, place);
	bool ok =
		bench_write_file(place->dir, "flows.json", flow, e) &&
		bench_write_file(place->dir, "settings.js",
				 "module.exports = {flowFile: 'flows.json', httpAdminRoot: false, "
				 "httpNodeRoot: false, uiHost: '127.0.0.1', uiPort: 0};\n",
				 e);

	free(flow);
	place->texts[0] = mem_strdup(place->dir);
	place->argv[0] = "node-red";
	place->argv[1] = "-u";
	place->argv[2] = place->texts[0];
	return ok;
}

/* libmosquitto and libjq in the smallest program that holds them together. */
static bool prepare_bare(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	(void)e;
	place->texts[0] = mem_printf("%d", place->in_port);
	place->texts[1] = mem_printf("%d", place->out_port);
	place->texts[2] = mem_printf("{body: .} | %s", c->load->write);
	place->argv[0] = "/proc/self/exe";
	place->argv[1] = BENCH_BARE;
	place->argv[2] = place->texts[0];
	place->argv[3] = place->texts[1];
	place->argv[4] = place->topic;
	place->argv[5] = place->texts[2];
	return true;
}

size_t bench_cases_beside(struct bench_case *out)
{
	const struct bench_load *pass = bench_load("pass"), *map = bench_load("map");
	const struct bench_case cases[] = {
		{ .name = "bare-qos1",
		  .load = map,
		  .links = 1,
		  .busy = 1,
		  .qos = 1,
		  .prepare = prepare_bare },
		{ .name = "bare-wide",
		  .load = map,
		  .links = 1,
		  .busy = 1,
		  .window = 400,
		  .qos = 1,
		  .prepare = prepare_bare },
		{ .name = "sub-jq-pub",
		  .load = map,
		  .links = 1,
		  .busy = 1,
		  .qos = 1,
		  .prepare = prepare_pipeline,
		  .needs = { "mosquitto_sub", "jq", "mosquitto_pub" } },
		{ .name = "mosquitto-bridge",
		  .load = pass,
		  .links = 1,
		  .busy = 1,
		  .qos = 1,
		  .prepare = prepare_mosquitto,
		  .needs = { "mosquitto" } },
		{ .name = "node-red",
		  .load = map,
		  .links = 1,
		  .busy = 1,
		  .qos = 1,
		  .prepare = prepare_node_red,
		  .needs = { "node-red" } },
	};

	memcpy(out, cases, sizeof cases);
	return sizeof cases / sizeof cases[0];
}

/* mosquitto is in /usr/sbin, where few users look. */
void bench_look_for_daemons(void)
{
	const char *path = getenv("PATH");
	char *both = mem_printf("%s%s", path ? path : "/usr/bin:/bin", DAEMONS);

	setenv("PATH", both, 1);
	free(both);
}

bool bench_has_program(const char *name)
{
	const char *at = getenv("PATH");
	bool has = false;

	while (at && *at && !has) {
		int n = (int)strcspn(at, ":");
		char *file = mem_printf("%.*s/%s", n, at, name);

		has = access(file, X_OK) == 0;
		free(file);
		at += n + (at[n] == ':');
	}
	return has;
}
