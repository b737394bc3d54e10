/* calque-bench, which `calque bench` starts: what this machine carries, through calque as users run it
 * and through others. */
#include <ftw.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args/bench.h"
#include "args/options.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exit_status.h"
#include "base/mem.h"
#include "bench/bench_bare.h"
#include "bench/bench_case.h"
#include "bench/bench_fleet.h"
#include "bench/bench_process.h"
#include "bench/bench_report.h"
#include "bench/bench_traffic.h"
#include "bench/broker_tls.h"

#define DEFAULT_SECONDS 3.0
#define DEFAULT_WINDOW	100
#define WARM_SHARE	0.1 /* of a scenario's seconds, at full rate and not counted */
#define FULL_SHARE	0.5
#define PACED_SHARE	0.4
#define PACE		0.1	   /* of the full rate */
#define TIMER_SLACK_NS	1000	   /* so that messages leave when they are due */
#define TEMPORARY	"/var/tmp" /* on a disk, which /tmp often is not */
#define SHOWN_LOG	1500

/* ---- what is asked for ---- */

struct bench_options {
	double seconds;
	long window;
	const char **scenarios; /* borrowed texts; none: all */
	size_t n_scenarios;
	bool is_json, is_beside;
	const char *calque; /* the program */
};

static bool take_seconds(void *into, const char *arg)
{
	struct bench_options *o = into;
	char *end;

	o->seconds = strtod(arg, &end);
	return end != arg && *end == '\0' && o->seconds >= 0.1 && o->seconds <= 3600;
}

static bool take_window(void *into, const char *arg)
{
	struct bench_options *o = into;
	char *end;

	o->window = strtol(arg, &end, 10);
	return end != arg && *end == '\0' && o->window >= 1 && o->window <= 1000;
}

static bool take_scenario(void *into, const char *arg)
{
	struct bench_options *o = into;

	o->scenarios = mem_grow(o->scenarios, o->n_scenarios, sizeof *o->scenarios);
	o->scenarios[o->n_scenarios++] = arg;
	return true;
}

static const struct verb verb = { "bench", "", BENCH_HELP, 0, 0, 1 };
static const struct option_row rows[] = {
	{ 1, 0, "json", NULL, "print JSON, for programs", NULL,
	  offsetof(struct bench_options, is_json) },
	{ 1, 0, "seconds", "N", "for each scenario (default 3)", take_seconds, 0 },
	{ 1, 0, "window", "N", "unacknowledged messages, 1 to 1000 (default 100)", take_window, 0 },
	{ 1, 0, "scenario", "NAME",
	  "only this one, as in the table or its first word; may be repeated", take_scenario, 0 },
	{ 1, 0, "beside", NULL, "measure what else could do the job, too", NULL,
	  offsetof(struct bench_options, is_beside) },
};

/* ---- the temporary directory ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void remove_tree(const char *dir)
{
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "calque bench: %s could not be removed\n", dir);
}

static char *make_dir(struct err *e)
{
	const char *base = getenv("TMPDIR");
	char *dir = mem_printf("%s/calque-bench-XXXXXX", base && *base ? base : TEMPORARY);

	if (mkdtemp(dir))
		return dir;
	err_errno(e, "%s", dir);
	free(dir);
	return NULL;
}

/* ---- one case ---- */

struct run {
	const struct bench_case *of;
	const struct bench_setting *setting;
	struct traffic *traffic;
	struct process process;
	struct bench_place place;
	char *log;
	char **topics; /* .busy of the case */
	SSL_CTX *tls;  /* of the north; NULL: none */
	char *ca;
};

/* What the program said last. */
static void show_log(const struct run *r)
{
	char text[SHOWN_LOG + 1];
	FILE *f = fopen(r->log, "re");
	size_t n;

	if (!f)
		return;
	if (fseek(f, -SHOWN_LOG, SEEK_END) != 0)
		rewind(f);
	n = fread(text, 1, SHOWN_LOG, f);
	fclose(f);
	if (n)
		fprintf(stderr, "it said:\n%.*s\n", (int)n, text);
}

static bool is_alive(void *ctx)
{
	struct run *r = ctx;

	return process_is_alive(&r->process);
}

static bool start(struct run *r, struct err *e)
{
	size_t sessions = r->of->devices ? r->of->devices : r->of->links;
	struct traffic_conf conf = { .topics = (const char *const *)r->topics,
				     .n_topics = r->of->busy,
				     .sessions = { r->of->links, sessions },
				     .body = r->of->load->body,
				     .size = r->of->load->size,
				     .qos = r->of->qos,
				     .window = (size_t)bench_window(r->of, r->setting) };

	if (r->of->is_tls && !(r->tls = broker_tls_new(r->ca, e)))
		return false;
	conf.tls = r->tls;
	r->traffic = traffic_open(&conf, e);
	if (!r->traffic)
		return false;
	r->place.in_port = traffic_in_port(r->traffic);
	r->place.out_port = traffic_out_port(r->traffic);
	return r->of->prepare(r->of, &r->place, e) &&
	       process_start(&r->process, r->place.argv, r->log, e) &&
	       traffic_wait_ready(r->traffic, is_alive, r, e);
}

/* As fast as it goes; what was used by whom. */
static bool measure_full(struct run *r, struct bench_figures *f, struct err *e)
{
	int64_t before_us = process_usage(&r->process).cpu_us, machine_us = process_machine_us();
	int64_t cpu_us;

	if (!traffic_run(r->traffic, r->setting->seconds * FULL_SHARE, 0, &f->full, e))
		return false;
	f->loaded = process_usage(&r->process);
	cpu_us = f->loaded.cpu_us - before_us;
	machine_us = process_machine_us() - machine_us - cpu_us - f->full.driver_us;
	f->cpu_us = f->full.n ? (double)cpu_us / (double)f->full.n : 0;
	f->driver = (double)f->full.driver_us / (double)f->full.us;
	f->others = machine_us > 0 ? (double)machine_us / (double)f->full.us : 0;
	return true;
}

static bool measure(struct run *r, struct bench_figures *f, struct err *e)
{
	double seconds = r->setting->seconds;
	struct traffic_result warm;

	f->idle = process_usage(&r->process);
	if (!traffic_run(r->traffic, seconds * WARM_SHARE, 0, &warm, e) || !measure_full(r, f, e))
		return false;
	if (!traffic_drain(r->traffic, e) ||
	    !traffic_run(r->traffic, seconds * PACED_SHARE, f->full.per_second * PACE, &f->paced,
			 e) ||
	    !traffic_drain(r->traffic, e))
		return false;
	f->counts = traffic_counts(r->traffic);
	if (f->counts.arrived == f->counts.sent)
		return true;
	err_set(e, ERR_NET, "%llu of %llu messages were lost",
		(unsigned long long)(f->counts.sent - f->counts.arrived),
		(unsigned long long)f->counts.sent);
	return false;
}

static bool start_timed(struct run *r, struct bench_figures *f, struct err *e)
{
	int64_t start_us = clock_mono_us();

	if (!start(r, e))
		return false;
	f->fleet.up_s = (double)(clock_mono_us() - start_us) / 1e6;
	f->fleet.up_cpu_us = process_usage(&r->process).cpu_us;
	return true;
}

static bool run_case(const struct bench_options *o, const struct bench_case *c,
		     const struct bench_setting *setting, struct bench_figures *f, struct err *e)
{
	char *dir = mem_printf("%s/%s", setting->dir, c->name);
	struct run r = { .of = c,
			 .setting = setting,
			 .place = { .dir = dir, .calque = o->calque } };
	bool ok = false;

	r.log = mem_printf("%s/log", dir);
	r.place.ca = r.ca = mem_printf("%s/ca.pem", dir);
	r.topics = mem_zalloc(c->busy * sizeof *r.topics);
	for (size_t i = 0; i < c->busy; i++)
		r.topics[i] = bench_numbered(c->load->topic, i + 1);
	r.place.topic = r.topics[0];
	*f = (struct bench_figures){ .of = c };
	if (mkdir(dir, 0700) != 0)
		err_errno(e, "%s", dir);
	else
		ok = start_timed(&r, f, e) && measure(&r, f, e) &&
		     (!c->devices ||
		      bench_fleet_measure(r.traffic, &r.process, setting->seconds, f, e));
	process_stop(&r.process);
	if (!ok) {
		fprintf(stderr, "calque bench: %s: %s\n", c->name, e->text);
		if (e->code != ERR_BUSY)
			show_log(&r);
	}
	traffic_close(r.traffic);
	SSL_CTX_free(r.tls);
	for (size_t i = 0; i < BENCH_MAX_ARGS; i++)
		free(r.place.texts[i]);
	for (size_t i = 0; i < c->busy; i++)
		free(r.topics[i]);
	free(r.topics);
	free(r.log);
	free(r.ca);
	free(dir);
	return ok;
}

/* ---- all of them ---- */

/* "map-qos1", or "map" for all that start so. */
static bool is_called(const struct bench_case *c, const char *name)
{
	size_t n = strlen(name);

	return strncmp(c->name, name, n) == 0 && (c->name[n] == '\0' || c->name[n] == '-');
}

static bool is_wanted(const struct bench_options *o, const struct bench_case *c)
{
	for (size_t i = 0; i < o->n_scenarios; i++)
		if (is_called(c, o->scenarios[i]))
			return true;
	return o->n_scenarios == 0 && !c->is_long;
}

static bool has_what_it_needs(const struct bench_case *c)
{
	for (size_t i = 0; i < sizeof c->needs / sizeof c->needs[0] && c->needs[i]; i++) {
		if (bench_has_program(c->needs[i]))
			continue;
		fprintf(stderr, "calque bench: %s is left out: there is no %s\n", c->name,
			c->needs[i]);
		return false;
	}
	return true;
}

/* False: one of them failed, and the rest was not tried if we were interrupted. */
static bool run_cases(const struct bench_options *o, const struct bench_setting *setting,
		      struct bench_report *report, const struct bench_case *cases, size_t n)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		struct bench_figures f;
		struct err e = { 0 };

		if (!is_wanted(o, &cases[i]) || !has_what_it_needs(&cases[i]))
			continue;
		if (run_case(o, &cases[i], setting, &f, &e))
			bench_report_add(report, &f);
		else
			ok = false;
		if (e.code == ERR_BUSY)
			break;
	}
	return ok;
}

/* A misspelt name must not pass for a measurement. */
static bool are_names_known(const struct bench_options *o, const struct bench_case *cases, size_t n)
{
	for (size_t i = 0; i < o->n_scenarios; i++) {
		size_t at = 0;

		while (at < n && !is_called(&cases[at], o->scenarios[i]))
			at++;
		if (at < n)
			continue;
		options_misused("bench", "there is no scenario \"%s\"", o->scenarios[i]);
		return false;
	}
	return true;
}

/* SIGINT and SIGTERM wait until traffic looks for them: the child is to be ended first. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Of each session one end is ours. */
static void raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int bench(const struct bench_options *o)
{
	struct bench_setting setting = { o->seconds, o->window, NULL };
	struct bench_report report = { .is_json = o->is_json };
	struct bench_case cases[BENCH_MAX_CASES];
	size_t n = bench_cases(cases);
	struct err e = { 0 };
	bool ok = false;
	char *dir;

	n += bench_cases_fleet(cases + n);
	if (o->is_beside)
		n += bench_cases_beside(cases + n);
	if (!are_names_known(o, cases, n))
		return EXIT_MISUSED;
	dir = make_dir(&e);
	if (!dir) {
		fprintf(stderr, "calque bench: %s\n", e.text);
		return EXIT_FAILED;
	}
	setting.dir = dir;
	block_signals();
	signal(SIGPIPE, SIG_IGN); /* clients come and go */
	raise_descriptors();
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	bench_look_for_daemons();
	bench_report_start(&report, &setting);
	ok = run_cases(o, &setting, &report, cases, n);
	bench_report_end(&report);
	remove_tree(dir);
	free(dir);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct bench_options o = { .seconds = DEFAULT_SECONDS, .window = DEFAULT_WINDOW };
	int status;

	if (argc > 1 && strcmp(argv[1], BENCH_BARE) == 0)
		return bench_bare(argc, argv);
	if (argc < 2 || !strchr(argv[1], '/')) {
		fputs("usage: " BENCH_PROGRAM " CALQUE [OPTION...]: as `calque bench` starts it, "
		      "CALQUE being the path of the program\n",
		      stderr);
		return EXIT_MISUSED;
	}
	o.calque = argv[1];
	argc--;
	argv++;
	status = options_read(&verb, rows, sizeof rows / sizeof rows[0], &o, &argc, &argv);
	if (status == OPTIONS_GOOD)
		status = bench(&o);
	free(o.scenarios);
	return options_end(verb.name, status);
}
