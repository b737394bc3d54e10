/* freight.h -- jobs and their results as bytes, to be done by another process.
 *
 * That process is a fork of this one: plans and their readers are where they were, so they travel as
 * addresses.  What comes back is not trusted so far: it is read with all bounds checked. */
#ifndef BRIDGE_FREIGHT_H
#define BRIDGE_FREIGHT_H

#include <stdbool.h>

#include "base/pack.h"
#include "core/translate.h"

void freight_put_job(struct buf *out, const struct job *job);
/* Make *job, with its message in *m, of such bytes; end both with freight_fini_job().  False: they are
 * none. */
bool freight_get_job(struct unpack *u, struct job *job, struct message *m);
void freight_fini_job(struct job *job, struct message *m);

/* Of a message that goes out as it is, the plain message it was travels only as far as the bridge
 * looks at it: its kind, and the rest where `plan` lets it matter. */
void freight_put_results(struct buf *out, const struct plan *plan, const struct results *r);
/* Results are added to *r, which the caller ends, also if it is false: these are none. */
bool freight_get_results(struct unpack *u, struct results *r);

#endif
