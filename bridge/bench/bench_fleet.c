#include "bench/bench_fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "bench/bench_case.h"
#include "bench/bench_process.h"
#include "bench/bench_report.h"
#include "bench/bench_traffic.h"

#define CALM_S 0.5 /* what a restart leaves to be done is not part of resting */
#define AWAY_S 2.0 /* the north, longer than a first try takes */
#define PER_SECOND                                                                                 \
	100 /* calque's own default, said so that the rows mean the same when it changes */

#define STEADY 1000.0 /* messages in a second */

static const size_t sizes[] = { 1, 500, 1000, 2000, 5000 };
#define N_SIZES (sizeof sizes / sizeof sizes[0])

static bool write_dialects(const char *dir, struct err *e)
{
	return bench_write_file(dir, "bench-south.jq",
				"module { dialect: \"bench-south\", messages: [ { kind: "
				"\"telemetry\", topic: \"bench/{device}/up\" } ] };\n",
				e) &&
	       bench_write_file(dir, "bench-fleet.jq",
				"module { dialect: \"bench-fleet\", device: \"none\", session: "
				"{ username: \"{token}\", per: \"device\" }, credentials: "
				"[\"token\"], messages: [ { kind: \"telemetry\", topic: "
				"\"bench/out\", qos: 1 }, { kind: \"command\", topic: "
				"\"bench/command/{id}\" } ] };\n",
				e);
}

static bool write_fleet(const struct bench_case *c, const char *dir, struct err *e)
{
	struct buf rows = { 0 };
	char *path = mem_printf("%s/fleet.csv", dir);
	bool ok;

	buf_puts(&rows, "name,north.token\n");
	for (size_t i = 1; i <= c->devices; i++)
		buf_printf(&rows, "d%zu,t%zu\n", i, i);
	ok = bench_write_file(dir, "fleet.csv", buf_str(&rows), e);
	if (ok && chmod(path, 0600) != 0) {
		err_errno(e, "%s", path);
		ok = false;
	}
	buf_fini(&rows);
	free(path);
	return ok;
}

static bool write_conf(const struct bench_case *c, const struct bench_place *place, struct err *e)
{
	char *tls = c->is_tls ? mem_printf(" tls = { ca = \"%s\"; };", place->ca) : mem_strdup("");
	char *conf = mem_printf(
		"state = \"%s/state\";\nmappings = [ \"%s\" ];\ndevices = \"fleet.csv\";\n"
		"links = ( { name = \"bench\"; max_devices = %zu;\n"
		"  south = { dialect = \"bench-south\"; url = \"mqtt://127.0.0.1:%d\"; };\n"
		"  north = { dialect = \"bench-fleet\"; url = \"%s://127.0.0.1:%d\";%s\n"
		"            connections = { per_second = %d; }; }; } );\n",
		place->dir, place->dir, c->devices + 1, place->in_port,
		c->is_tls ? "mqtts" : "mqtt", place->out_port, tls, PER_SECOND);
	bool ok = bench_write_file(place->dir, "calque.conf", conf, e);

	free(conf);
	free(tls);
	return ok;
}

static bool prepare(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	place->texts[0] = mem_printf("%s/calque.conf", place->dir);
	place->argv[0] = place->calque;
	place->argv[1] = "run";
	place->argv[2] = "-c";
	place->argv[3] = place->texts[0];
	return write_dialects(place->dir, e) && write_fleet(c, place->dir, e) &&
	       write_conf(c, place, e);
}

size_t bench_cases_fleet(struct bench_case *out)
{
	for (size_t i = 0; i < 2 * N_SIZES; i++) {
		size_t n = sizes[i % N_SIZES];
		bool is_tls = i >= N_SIZES;

		out[i] = (struct bench_case){ .load = bench_load("pass"),
					      .links = 1,
					      .busy = 1,
					      .devices = n,
					      .is_tls = is_tls,
					      .is_long = true,
					      .qos = 1,
					      .is_sync = true,
					      .prepare = prepare };
		snprintf(out[i].name, sizeof out[i].name, "devices-%s%zu", is_tls ? "tls-" : "", n);
	}
	return 2 * N_SIZES;
}

static bool measure_rest(struct traffic *t, const struct process *p, double seconds,
			 struct bench_fleet_figures *fleet, struct err *e)
{
	int64_t before_us;

	if (!traffic_rest(t, CALM_S, e))
		return false;
	before_us = process_usage(p).cpu_us;
	if (!traffic_rest(t, seconds, e))
		return false;
	fleet->resting = (double)(process_usage(p).cpu_us - before_us) / (seconds * 1e6);
	fleet->descriptors = process_descriptors(p);
	return true;
}

/* What a message costs depends on how many share a turn: so it is compared at one rate, and what all the others cost
 * meanwhile is not the message's. */
static bool measure_steady(struct traffic *t, const struct process *p, double seconds,
			   struct bench_fleet_figures *fleet, struct err *e)
{
	int64_t before_us = process_usage(p).cpu_us;
	struct traffic_result steady;
	double used_us;

	if (!traffic_run(t, seconds, STEADY, &steady, e))
		return false;
	used_us =
		(double)(process_usage(p).cpu_us - before_us) - fleet->resting * (double)steady.us;
	fleet->steady_cpu_us = steady.n ? used_us / (double)steady.n : 0;
	return traffic_drain(t, e);
}

static bool measure_restart(struct traffic *t, const struct process *p,
			    struct bench_fleet_figures *fleet, struct err *e)
{
	int64_t before_us = process_usage(p).cpu_us, back_us = 0;

	if (!traffic_restart_north(t, AWAY_S, &back_us, &fleet->most_in_second, e))
		return false;
	fleet->back_cpu_us = process_usage(p).cpu_us - before_us;
	fleet->back_s = (double)back_us / 1e6;
	fleet->own = process_own_usage(p);
	return true;
}

bool bench_fleet_measure(struct traffic *t, const struct process *p, double seconds,
			 struct bench_figures *f, struct err *e)
{
	return measure_rest(t, p, seconds, &f->fleet, e) &&
	       measure_steady(t, p, seconds, &f->fleet, e) && measure_restart(t, p, &f->fleet, e);
}
