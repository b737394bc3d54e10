/* calque's own cases: loads times modes. */
#include "bench/bench_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define BENCH_SOUTH "dialect = \"bench-south\"; vars = { device = \"d1\"; };"
#define BENCH_NORTH "dialect = \"bench-north\"; vars = { device = \"d1\"; };"
#define BENCH_EZTCLOUD                                                                             \
	"dialect = \"eztcloud\"; vars = { project = \"PR\"; secret = \"s\"; device = \"DU\"; };"
#define BENCH_DEVICE_EVENTS                                                                        \
	"dialect = \"device-events\"; vars = { device = \"d1\"; access_key = \"k\"; };"
#define REPORT "{telemetries: .body, status: \"online\"}"

static const struct bench_load loads[] = {
	{ "pass", "bench/d1/up", "\"temp\":21.5", 50, BENCH_SOUTH, BENCH_NORTH, NULL, false },
	{ "map", "bench/d1/up", "\"temp\":21.5", 50, BENCH_SOUTH, BENCH_NORTH, REPORT, false },
	{ "map2k", "bench/d1/up", "\"temp\":21.5", 2048, BENCH_SOUTH, BENCH_NORTH, REPORT, false },
	{ "eztcloud", "open/PR/DU/attributes", "\"temp\":21.5,\"fan\":900,\"mode\":null", 0,
	  BENCH_EZTCLOUD, BENCH_DEVICE_EVENTS, NULL, true },
	{ "eztnested", "open/PR/DU/attributes",
	  "\"temp\":21.5,\"mode\":null,\"room\":{\"co2\":612,\"noise\":null,\"open\":false}", 0,
	  BENCH_EZTCLOUD, BENCH_DEVICE_EVENTS, NULL, true },
};
#define N_LOADS (sizeof loads / sizeof loads[0])

static const struct mode {
	const char *name;
	int qos;
	bool is_sync;
} modes[] = {
	{ "qos1", 1, true },
	{ "nosync", 1, false },
	{ "qos0", 0, true },
};
#define N_MODES (sizeof modes / sizeof modes[0])

bool bench_write_file(const char *dir, const char *name, const char *text, struct err *e)
{
	char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "wxe");
	bool ok = f && fputs(text, f) >= 0;

	if (f)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		err_errno(e, "%s", path);
	free(path);
	return ok;
}

static bool write_mappings(const struct bench_case *c, const char *dir, struct err *e)
{
	const char *write = c->load->write;
	char *north =
		mem_printf("module { dialect: \"bench-north\", messages: [ { kind: \"telemetry\", "
			   "topic: \"bench/{device}/out\", qos: %d%s } ] };\n%s%s%s\n",
			   c->qos, write ? ", write: \"report\"" : "", write ? "def report: " : "",
			   write ? write : "", write ? ";" : "");
	bool ok = bench_write_file(dir, "bench-south.jq",
				   "module { dialect: \"bench-south\", messages: [ { kind: "
				   "\"telemetry\", topic: \"bench/{device}/up\" } ] };\n",
				   e) &&
		  bench_write_file(dir, "bench-north.jq", north, e);

	free(north);
	return ok;
}

static bool prepare(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	char *conf = mem_printf("state = \"%s/state\";\n"
				"%s%s%s"
				"journal = { sync = \"%s\"; };\n"
				"links = ( { name = \"bench\";\n"
				"  south = { %s url = \"mqtt://127.0.0.1:%d\"; };\n"
				"  north = { %s url = \"mqtt://127.0.0.1:%d\"; }; } );\n",
				place->dir, c->load->is_shipped ? "" : "mappings = [ \"",
				c->load->is_shipped ? "" : place->dir,
				c->load->is_shipped ? "" : "\" ];\n", c->is_sync ? "full" : "off",
				c->load->south, place->in_port, c->load->north, place->out_port);
	bool ok = bench_write_file(place->dir, "calque.conf", conf, e) &&
		  (c->load->is_shipped || write_mappings(c, place->dir, e));

	free(conf);
	place->texts[0] = mem_printf("%s/calque.conf", place->dir);
	place->argv[0] = place->calque;
	place->argv[1] = "run";
	place->argv[2] = "-c";
	place->argv[3] = place->texts[0];
	return ok;
}

size_t bench_cases(struct bench_case *out)
{
	size_t n = 0;

	for (size_t i = 0; i < N_LOADS; i++) {
		for (size_t j = 0; j < N_MODES; j++) {
			if (loads[i].is_shipped && modes[j].qos == 0)
				continue;
			out[n] = (struct bench_case){ .load = &loads[i],
						      .qos = modes[j].qos,
						      .is_sync = modes[j].is_sync,
						      .prepare = prepare };
			snprintf(out[n].name, sizeof out[n].name, "%s-%s", loads[i].name,
				 modes[j].name);
			n++;
		}
	}
	return n;
}

const struct bench_load *bench_load(const char *name)
{
	for (size_t i = 0; i < N_LOADS; i++)
		if (strcmp(loads[i].name, name) == 0)
			return &loads[i];
	return NULL;
}
