/* bench.h -- what calque and calque-bench agree on: `calque bench ARGUMENTS` becomes
 * `calque-bench CALQUE ARGUMENTS`, where CALQUE is the path of the program to be measured.  It is an
 * executable of its own, so that what runs beside sessions holds no broker and no measuring. */
#ifndef BRIDGE_ARGS_BENCH_H
#define BRIDGE_ARGS_BENCH_H

#define BENCH_PROGRAM "calque-bench"
/* What it does, in the list of verbs and in its own usage. */
#define BENCH_HELP                                                                                 \
	"measure this machine: messages per second, CPU, latency, memory (files in TMPDIR or "     \
	"/var/tmp)"

#endif
