/* subprocess.h -- a program of the operator's, run once beside the loop.
 *
 * It is executed without a shell, in a session and process group of its own, in "/", with no variable but PATH and no
 * descriptor but 0 to 2, and gets its question on its standard input.  Nothing of it stays: when it ends, or has
 * taken too long, or says too much, its whole group is killed.  (One that leaves its group on purpose is not found.)
 * Loop thread only; nothing here waits. */
#ifndef BRIDGE_SUBPROCESS_H
#define BRIDGE_SUBPROCESS_H

#include <stddef.h>

#include "base/jtext.h"

struct err;
struct loop;
struct subprocess;

#define SUBPROCESS_PATH	    "PATH=/usr/local/bin:/usr/bin:/bin"
#define SUBPROCESS_MOST	    65536 /* bytes of its standard output */
#define SUBPROCESS_COMPLAIN 400	  /* bytes of the first line that it says on standard error */

enum subprocess_how {
	SUBPROCESS_EXITED, /* by itself, with .status */
	SUBPROCESS_KILLED, /* somebody killed it; .status is the signal */
	SUBPROCESS_TOO_LATE,
	SUBPROCESS_TOO_MUCH /* on its standard output */
};

struct subprocess_end {
	enum subprocess_how how;
	int status;
	struct jslice out;     /* all of its standard output; borrowed, as is ... */
	const char *complaint; /* ... the first line of its standard error; "": none */
};
typedef void subprocess_on_end(void *ctx, const struct subprocess_end *end);

struct subprocess_spec {
	const char *const
		*argv; /* ends with NULL; the first is an absolute path, and is what is executed */
	const char *input; /* copied, and cleared when it is no longer needed */
	size_t input_len;
	unsigned timeout_ms;
	subprocess_on_end *on_end; /* once, never within subprocess_start() */
	void *ctx;
};

/* NULL sets *e (ERR_IO): it could not be started, and nothing was.  Ends by itself, after on_end(). */
struct subprocess *subprocess_start(struct loop *loop, const struct subprocess_spec *spec,
				    struct err *e);
/* Before on_end(), which is not called any more: it is killed, and its memory goes when it has ended. */
void subprocess_kill(struct subprocess *s);

/* The same as a table, for who may have others. */
struct subprocess_ops {
	struct subprocess *(*start)(struct loop *loop, const struct subprocess_spec *spec,
				    struct err *e);
	void (*kill)(struct subprocess *s);
};
extern const struct subprocess_ops subprocess_ops;

#endif
