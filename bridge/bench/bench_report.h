/* bench_report.h -- what `calque bench` prints: the conditions, and a row for each case. */
#ifndef BRIDGE_BENCH_REPORT_H
#define BRIDGE_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bench_case.h"
#include "bench/bench_process.h"
#include "bench/bench_traffic.h"

struct bench_setting {
	double seconds;
	long window;
	const char *dir; /* where the states are */
};

/* The window of the case, else the one that was asked for. */
long bench_window(const struct bench_case *c, const struct bench_setting *s);

struct bench_figures {
	const struct bench_case *of;
	struct traffic_counts counts;
	struct traffic_result full, paced;
	/* at full rate */
	double cpu_us; /* per message */
	double driver; /* what our side took, in cores */
	double others; /* what the rest of the machine took, in cores: a disturbed row */
	struct usage idle, loaded;
	struct bench_fleet_figures {
		double up_s,
			back_s; /* from the start, from the north's restart, until all are there */
		int64_t up_cpu_us, back_cpu_us; /* what that took */
		size_t most_in_second;		/* connects, after that restart */
		double steady_cpu_us; /* of a message, at 1,000 in a second, beyond resting */
		double resting;	      /* cores, while nothing is sent */
		size_t descriptors;
		struct usage own; /* of the process with the sessions, after all this */
	} fleet;		  /* if it is one */
};

/* Text: printed as it comes.  JSON: one object, {"conditions": {…}, "scenarios": [{…}]}. */
struct bench_report {
	bool is_json;
	size_t n;
};

void bench_report_start(struct bench_report *r, const struct bench_setting *setting);
void bench_report_add(struct bench_report *r, const struct bench_figures *f);
void bench_report_end(struct bench_report *r);

#endif
