/* job_codec.h -- jobs and their results as bytes, to be done by another process.
 *
 * That process is a fork of this one: plans and their readers are where they were, so they travel as
 * addresses.  What comes back is not trusted so far: it is read with all bounds checked. */
#ifndef BRIDGE_JOB_CODEC_H
#define BRIDGE_JOB_CODEC_H

#include <stdbool.h>

#include "base/pack.h"
#include "translate/translate.h"

void job_codec_put_job(struct buf *out, const struct job *job);
/* A job that has arrived, and what it borrows. */
struct job_codec {
	struct job job;
	struct message message;
	struct canonical request;
	const struct reader *readers[MATCH_MAX];
};
/* Make *f of such bytes, of which it borrows all texts; end it with job_codec_fini().  False: they are
 * none. */
bool job_codec_get_job(struct unpack *u, struct job_codec *f);
void job_codec_fini(struct job_codec *f);

/* Of a message that goes out as it is, the plain message it was travels only as far as the bridge
 * looks at it: its kind, and the rest where `plan` lets it matter. */
void job_codec_put_results(struct buf *out, const struct plan *plan, const struct results *r);
/* The results of `job` are added to *r, which the caller ends, also if it is false: these are none. */
bool job_codec_get_results(struct unpack *u, const struct job *job, struct results *r);

#endif
