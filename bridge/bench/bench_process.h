/* bench_process.h -- a program that is measured: started, looked at, ended, with all its children. */
#ifndef BRIDGE_BENCH_PROCESS_H
#define BRIDGE_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct process {
	pid_t pid; /* leads a process group of its own; 0: not started */
};

/* Sums over the process and all that descend from it; RSS counts shared pages once in each. */
struct usage {
	int processes;
	int64_t cpu_us;
	int64_t rss_kib, pss_kib;
};

/* Start `argv` (looked up in PATH) with all that it prints going to the file `log`.  It ends with us.
 * False sets *e: ERR_IO. */
bool process_start(struct process *p, const char *const *argv, const char *log, struct err *e);
bool process_is_alive(struct process *p);
struct usage process_usage(const struct process *p);
/* Of the process alone. */
struct usage process_own_usage(const struct process *p);
/* How many descriptors it has open. */
size_t process_descriptors(const struct process *p);
/* What the whole machine has worked, by anyone: with what the measured and the measuring took, it tells
 * how quiet the machine was. */
int64_t process_machine_us(void);
/* SIGTERM, and SIGKILL for what is left after ten seconds.  Does nothing if it was not started. */
void process_stop(struct process *p);

#endif
