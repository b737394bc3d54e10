/* bench_bare.h -- what a bridge costs at least: libmosquitto and libjq in a loop, without a journal, a mapping or
 * a care for what is lost.  A yardstick that is measured in the same run. */
#ifndef BRIDGE_BENCH_BARE_H
#define BRIDGE_BENCH_BARE_H

#define BENCH_BARE "bare" /* the first argument of the process that runs it */

/* `bare IN_PORT OUT_PORT TOPIC PROGRAM`: each message of TOPIC through the jq program and on to bench/d1/out, with
 * QoS 1, until it is killed or a session ends.  The exit status. */
int bench_bare(int argc, char **argv);

#endif
