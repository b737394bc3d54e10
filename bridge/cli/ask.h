/* ask.h -- ask the running bridge over its control socket, or when none runs, its state: the verb's
 * end of control_request.h. */
#ifndef BRIDGE_ASK_H
#define BRIDGE_ASK_H

#include <signal.h>
#include <stdbool.h>

#include "base/jtext.h"

struct buf;
struct err;

struct ask_ops {
	void (*item)(void *ctx, struct jslice item); /* each an object; borrowed */
	void (*done)(void *ctx, struct jslice done); /* once, at a good end */
};

/* Ask the bridge of this configuration file.  Returns the exit status; if it is not EXIT_DONE, the
 * reason was told on stderr as "calque VERB: ...". */
int ask(const char *verb, const char *conf_path, const struct buf *request,
	const struct ask_ops *ops, void *ctx);
/* The same of a running bridge until no more is wanted, which is a good end, too, without `done`: asked after each
 * item, or a signal has set `stop` (NULL: none does). */
struct ask_end {
	bool (*is_enough)(void *ctx);
	const volatile sig_atomic_t *stop;
};
int ask_until(const char *verb, const char *conf_path, const struct buf *request,
	      const struct ask_ops *ops, const struct ask_end *end, void *ctx);

/* As root, become the owner of the state of this configuration, for good: what root makes in a state, its owner cannot
 * open later, and what root can read, its owner may not.  Those above do it, so files of others are opened before.
 * False sets *e. */
bool ask_as_owner(const char *conf_path, struct err *e);
/* The same, without a word and at once if neither a bridge nor a state is there to be asked: false, which says as
 * much about an answer that had no good end. */
bool ask_if_there(const char *conf_path, const struct buf *request, const struct ask_ops *ops,
		  void *ctx);

/* Append ,"KEY":TEXT to the object of a request; nothing if `text` is NULL. */
void ask_put_text(struct buf *request, const char *key, const char *text);

/* A string of an object, caller frees; "" if it is not there. */
char *ask_text(struct jslice object, const char *key);
/* The same, fit for a terminal (buf_put_shown()). */
char *ask_shown(struct jslice object, const char *key);
/* A number of an object; 0 if it is not there. */
int64_t ask_number(struct jslice object, const char *key);

#endif
