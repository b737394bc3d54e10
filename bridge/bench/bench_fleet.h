/* bench_fleet.h -- what a fleet costs, beyond what its messages do: devices with a session each in the north. */
#ifndef BRIDGE_BENCH_FLEET_H
#define BRIDGE_BENCH_FLEET_H

#include <stdbool.h>

struct bench_figures;
struct err;
struct process;
struct traffic;

/* They are all there.  Rest for `seconds`, send for as long, restart the north, and set f->fleet.  False sets *e as in
 * bench_traffic.h. */
bool bench_fleet_measure(struct traffic *t, const struct process *p, double seconds,
			 struct bench_figures *f, struct err *e);

#endif
