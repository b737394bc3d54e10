/* nursery.h -- the first process that this program forks, before it has read anything secret: the one from which all
 * that runs mappings come.
 *
 * It compiles nothing and knows nothing: for each configuration it forks a compiler (compiler.h), and that forks its
 * workers.  All are children of the bridge itself (CLONE_PARENT), which so learns of their ends as of any child's,
 * and end with it, however it ends.  One per process. */
#ifndef BRIDGE_NURSERY_H
#define BRIDGE_NURSERY_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

/* Fork it, unless it is there; `forget` (NULL: nothing) is called in it first, to clear what it should not have.  False
 * sets *e (ERR_IO). */
bool nursery_start(void (*forget)(void), struct err *e);
void nursery_end(void); /* allowed at any time; what came from it goes on */

/* Fork a compiler whose end of a channel is `fd` (which stays the caller's); starts the nursery if there is none.
 * False sets *e (ERR_IO): it is gone. */
bool nursery_fork(int fd, pid_t *pid, struct err *e);

/* What else it can fork, which gets two descriptors of its own, and by returning ends (no more than one such function;
 * before nursery_start()). */
void nursery_also(void (*f)(int in, int out));
/* Fork that, with copies of the two.  False sets *e (ERR_IO): it cannot be had. */
bool nursery_fork_also(int in, int out, pid_t *pid, struct err *e);

/* Readable when it has ended: then nothing else can come from it.  -1: there is none. */
int nursery_fd(void);

/* For a process that came from it: its name, no signals of the terminal, and its end with the process `bridge`, whose
 * child it is.  The descriptors 0 and 1 are /dev/null. */
void nursery_settle(const char *name, pid_t bridge);
/* Like fork(), but the new process is a child of the caller's parent. */
pid_t nursery_fork_sibling(void);

#endif
