/* ask.h -- ask the running bridge over its control socket, or when none runs, its state: the verb's
 * end of control_request.h. */
#ifndef BRIDGE_ASK_H
#define BRIDGE_ASK_H

#include "base/jtext.h"

struct buf;

struct ask_ops {
	void (*item)(void *ctx, struct jslice item); /* each an object; borrowed */
	void (*done)(void *ctx, struct jslice done); /* once, at a good end */
};

/* Ask the bridge of this configuration file.  Returns the exit status; if it is not EXIT_DONE, the
 * reason was told on stderr as "calque VERB: ...". */
int ask(const char *verb, const char *conf_path, const struct buf *request,
	const struct ask_ops *ops, void *ctx);

/* A string of an object, caller frees; "" if it is not there. */
char *ask_text(struct jslice object, const char *key);
/* The same, fit for a terminal (buf_put_shown()). */
char *ask_shown(struct jslice object, const char *key);
/* A number of an object; 0 if it is not there. */
int64_t ask_number(struct jslice object, const char *key);

#endif
