/* calque's own cases: loads times modes. */
#include "bench/bench_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define BENCH_SOUTH "dialect = \"bench-south\"; vars = { device = \"d{n}\"; };"
#define BENCH_NORTH "dialect = \"bench-north\"; vars = { device = \"d{n}\"; };"
#define BENCH_EZTCLOUD                                                                             \
	"dialect = \"eztcloud\"; vars = { project = \"PR\"; secret = \"s\"; device = \"DU\"; };"
#define BENCH_DEVICE_EVENTS                                                                        \
	"dialect = \"device-events\"; vars = { device = \"d1\"; access_key = \"k\"; };"
#define REPORT "{telemetries: .body, status: \"online\"}"

static const struct bench_load loads[] = {
	{ "pass", "bench/d{n}/up", "\"temp\":21.5", 50, BENCH_SOUTH, BENCH_NORTH, NULL, false },
	{ "map", "bench/d{n}/up", "\"temp\":21.5", 50, BENCH_SOUTH, BENCH_NORTH, REPORT, false },
	{ "map2k", "bench/d{n}/up", "\"temp\":21.5", 2048, BENCH_SOUTH, BENCH_NORTH, REPORT,
	  false },
	{ "map64k", "bench/d{n}/up", "\"temp\":21.5", 64 << 10, BENCH_SOUTH, BENCH_NORTH, REPORT,
	  false },
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

/* What the number of links costs, and a wider window: with QoS 1, to be compared with each other. */
static const struct spread {
	const char *name, *load;
	size_t links, busy;
} spreads[] = {
	{ "wide-pass", "pass", 1, 1 },	   { "wide-map", "map", 1, 1 },
	{ "wide-map2k", "map2k", 1, 1 },   { "links-10", "pass", 10, 10 },
	{ "links-100", "pass", 100, 100 }, { "links-1000", "pass", 1000, 1000 },
	{ "links-idle", "pass", 1000, 1 },
};
#define N_SPREADS   (sizeof spreads / sizeof spreads[0])
#define WIDE_WINDOW 400

char *bench_numbered(const char *text, size_t number)
{
	static const char mark[] = "{n}";
	struct buf out = { 0 };
	const char *at;

	for (; (at = strstr(text, mark)); text = at + strlen(mark)) {
		buf_append(&out, text, (size_t)(at - text));
		buf_printf(&out, "%zu", number);
	}
	buf_puts(&out, text);
	return buf_take(&out);
}

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

static void put_link(struct buf *out, const struct bench_case *c, const struct bench_place *place,
		     size_t number)
{
	char *south = bench_numbered(c->load->south, number);
	char *north = bench_numbered(c->load->north, number);

	buf_printf(out,
		   "%s{ name = \"bench%zu\";\n"
		   "  south = { %s url = \"mqtt://127.0.0.1:%d\"; };\n"
		   "  north = { %s url = \"mqtt://127.0.0.1:%d\"; }; }",
		   number == 1 ? "" : ",\n", number, south, place->in_port, north, place->out_port);
	free(south);
	free(north);
}

static bool prepare(const struct bench_case *c, struct bench_place *place, struct err *e)
{
	struct buf conf = { 0 };
	bool ok;

	buf_printf(&conf, "state = \"%s/state\";\n", place->dir);
	if (!c->load->is_shipped)
		buf_printf(&conf, "mappings = [ \"%s\" ];\n", place->dir);
	buf_printf(&conf, "journal = { sync = \"%s\"; };\nlinks = ( ", c->is_sync ? "full" : "off");
	for (size_t i = 1; i <= c->links; i++)
		put_link(&conf, c, place, i);
	buf_puts(&conf, " );\n");
	ok = bench_write_file(place->dir, "calque.conf", buf_str(&conf), e) &&
	     (c->load->is_shipped || write_mappings(c, place->dir, e));
	buf_fini(&conf);
	place->texts[0] = mem_printf("%s/calque.conf", place->dir);
	place->argv[0] = place->calque;
	place->argv[1] = "run";
	place->argv[2] = "-c";
	place->argv[3] = place->texts[0];
	return ok;
}

static size_t add_modes(struct bench_case *out, const struct bench_load *load)
{
	size_t n = 0;

	for (size_t i = 0; i < N_MODES; i++) {
		if (load->is_shipped && modes[i].qos == 0)
			continue;
		out[n] = (struct bench_case){ .load = load,
					      .links = 1,
					      .busy = 1,
					      .qos = modes[i].qos,
					      .is_sync = modes[i].is_sync,
					      .prepare = prepare };
		snprintf(out[n].name, sizeof out[n].name, "%s-%s", load->name, modes[i].name);
		n++;
	}
	return n;
}

size_t bench_cases(struct bench_case *out)
{
	size_t n = 0;

	for (size_t i = 0; i < N_LOADS; i++)
		n += add_modes(out + n, &loads[i]);
	for (size_t i = 0; i < N_SPREADS; i++) {
		out[n] = (struct bench_case){ .load = bench_load(spreads[i].load),
					      .links = spreads[i].links,
					      .busy = spreads[i].busy,
					      .window = WIDE_WINDOW,
					      .qos = 1,
					      .is_sync = true,
					      .prepare = prepare };
		snprintf(out[n].name, sizeof out[n].name, "%s", spreads[i].name);
		n++;
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
