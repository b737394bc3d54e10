/* job_codec.h -- jobs and their results as bytes, to be done by another process.
 *
 * Plans travel as the address that they have in that process (plan->there; if it is a fork of this one: as here),
 * readers as their number in the plan, topics as what they say: their variables, since the rest may have a credential
 * in it.  What comes back is believed only as far as the job could have led to it. */
#ifndef BRIDGE_JOB_CODEC_H
#define BRIDGE_JOB_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pack.h"
#include "translate/translate.h"

uint64_t job_codec_plan(const struct plan *plan);
void job_codec_put_job(struct buf *out, const struct job *job);
/* A job that has arrived, and what it borrows. */
struct job_codec {
	struct job job;
	struct message message; /* without a topic */
	struct vars topic;
	struct canonical request;
	const struct reader *readers[MATCH_MAX];
};
/* Make *f of such bytes, of which it borrows all texts; end it with job_codec_fini().  False: they are
 * none. */
bool job_codec_get_job(struct unpack *u, struct job_codec *f);
void job_codec_fini(struct job_codec *f);

/* What one answer may be, so that it cannot fill the memory of who reads it: bytes; messages, and what they have of
 * properties and variables of topics. */
#define JOB_CODEC_ANSWER_BYTES (64u << 20)
#define JOB_CODEC_PIECES       65536u

/* Of a message that goes out as it is, the plain message it was travels only as far as the bridge
 * looks at it: its kind, and the rest where the job (or its plan) lets it matter.  What is more than an answer may be
 * goes as a refusal (DEAD_TOO_LARGE). */
void job_codec_put_results(struct buf *out, const struct job *job, const struct results *r);
/* The results of `job`, all of the frame, are added to *r, which the caller ends, also if it is false: these are
 * none.  True says that the job could have led to them: by rows that read it, in kinds that go where it goes,
 * by rows that write these; the device is the job's where that is known; what the bridge looks into is JSON, of the
 * shape of its kind.  `scratch` is the caller's, to be used again. */
bool job_codec_get_results(struct unpack *u, const struct job *job, struct buf *scratch,
			   struct results *r);

#endif
