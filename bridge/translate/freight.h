/* freight.h -- jobs and their results as bytes, to be done by another process.
 *
 * That process is a fork of this one: plans and their readers are where they were, so they travel as
 * addresses.  What comes back is not trusted so far: it is read with all bounds checked. */
#ifndef BRIDGE_FREIGHT_H
#define BRIDGE_FREIGHT_H

#include <stdbool.h>

#include "base/pack.h"
#include "translate/translate.h"

void freight_put_job(struct buf *out, const struct job *job);
/* A job that has arrived, and what it borrows. */
struct freight {
	struct job job;
	struct message message;
	struct plain request;
	const struct reader *readers[MATCH_MAX];
};
/* Make *f of such bytes, of which it borrows all texts; end it with freight_fini().  False: they are
 * none. */
bool freight_get_job(struct unpack *u, struct freight *f);
void freight_fini(struct freight *f);

/* Of a message that goes out as it is, the plain message it was travels only as far as the bridge
 * looks at it: its kind, and the rest where `plan` lets it matter. */
void freight_put_results(struct buf *out, const struct plan *plan, const struct results *r);
/* The results of `job` are added to *r, which the caller ends, also if it is false: these are none. */
bool freight_get_results(struct unpack *u, const struct job *job, struct results *r);

#endif
