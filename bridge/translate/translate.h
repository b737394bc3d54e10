/* translate.h -- one message through the mappings: dialect to plain message to dialect.
 *
 * Pure: a function of the job and its plan, so it can run anywhere and be repeated.  A READ job takes
 * a message of some rows to plain messages, and writes those of stateless kinds at once; the others come back
 * as plain messages for the bridge's own logic, which orders WRITE jobs.  What goes up passes the through files
 * when it is read, what goes down when it is written.  Rows without functions never enter jq. */
#ifndef BRIDGE_TRANSLATE_H
#define BRIDGE_TRANSLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "message/canonical.h"
#include "message/message.h"
#include "message/outcome.h"
#include "message/side.h"
#include "plan/plan.h"

enum item_type { ITEM_MESSAGE, ITEM_PLAIN, ITEM_REFUSED };

struct buf;
struct strand;

struct item {
	enum item_type type;
	size_t row;	  /* READ: which of the job's readers gave it */
	size_t writer;	  /* of MESSAGE: which row of the far dialect wrote it, */
	bool is_first;	  /* and is it the first of those that the row gave at once? */
	struct vars said; /* of MESSAGE: what a `publish` function said of its topic */
	/* Of MESSAGE: payload and such properties, until it is addressed; then ready to publish. */
	struct message message;
	/* Of PLAIN and MESSAGE: what it is; device is the name here.  Of REFUSED: what would have come, without
	 * its body; KIND_NONE: that is not known. */
	struct canonical plain;
	enum outcome reason; /* of REFUSED */
	char *text;	     /* of REFUSED: for people; no payload, no secret */
};

/* What a job gave, in order (READ: of its readers). */
struct results {
	struct item *items;
	size_t n;
	bool lacks_jq; /* what is here counts for nothing: it takes a process that has the programs of the mappings */
};

enum job_type {
	JOB_READ,
	JOB_WRITE,
	JOB_NOTHING /* there is nothing to translate: it only has its turn */
};
enum job_stage { JOB_WAITING, JOB_TAKEN, JOB_BACK };

/* One piece of work.  It owns what it holds, unless it says borrowed. */
struct job {
	enum job_type type;
	const struct plan *plan;
	enum side side; /* READ: where the message came from; WRITE: where it goes */
	char *state;	/* JSON {online, alarm} of the device (READ: that of the topic); NULL:
				* nothing is known */
	/* As `state`, a JSON object: what the device has of its own of the variables of the side written to, less
	 * credentials, which counts more than the side's; NULL: nothing */
	char *own;
	struct canonical *request; /* of a reply whose request is known; else NULL */
	/* READ */
	const struct reader *const *readers; /* borrowed; they read alike (plan_reads_alike()) */
	size_t n_readers;
	const struct message *message; /* borrowed; credentials already checked and taken out */
	const struct vars *topic;      /* borrowed: what its topic says; NULL: see there */
	const char *device; /* borrowed: whose session it came on, by its name here; NULL: it may be
			     * any device's */
	const char
		*topic_device; /* borrowed: what its topic calls the device, by which the answer of
				   * another process is looked at; NULL: nothing */
	int64_t at_ms;
	int64_t stamp_ms; /* the time of what says none itself; 0: it gets none */
	bool awaits_echo; /* something that the bridge sent may come back with it */
	bool is_compared; /* what was read is asked for with its body, though it is written at once */
	/* WRITE */
	struct canonical plain;
	char *reply_topic; /* a reply goes to this topic instead of its row's; NULL: the usual */
	/* Called before it is translated, to set what it needs to know of the state, and again when
	 * its turn has come: true if that has changed since.  NULL: nothing to do. */
	bool (*start)(struct job *job);
	/* Called with the results, in the order of the lane; then the job is freed by whoever made
	 * it (executor.h). */
	void (*done)(struct job *job, struct results *results);
	/* Called instead of done(), if the strand ends first; NULL: nothing to do. */
	void (*drop)(struct job *job);
	/* The executor's own, and its worker pool's. */
	TAILQ_ENTRY(job) entry, hand_entry;
	struct strand *strand;
	enum job_stage stage;
	int64_t taken_us; /* clock_mono_us() when a pool took it */
	/* Set by start(): its like have taken too long, so it is to hold up nobody. */
	bool is_slow;
	bool was_slow;	   /* when it was taken */
	bool needs_jq;	   /* it was tried without */
	unsigned attempts; /* that ended badly */
	unsigned ends;	   /* of processes that had it alone */
	bool is_alone;	   /* another process that had it has ended */
	struct results results;
};

void job_fini(struct job *job);
/* Do all rows that have a part in it take the message as it is, so that no mapping has a say? */
bool job_calls_nothing(const struct job *job);
/* Need the functions that they call no jq, mostly?  (Results say whether it was so: lacks_jq.) */
bool job_is_simple(const struct job *job);
/* Are there credentials in what it reads or writes, by its kind? */
bool job_has_secrets(const struct job *job);

/* Results are added to *out, which the caller ends with results_fini().  Their messages have no address yet: that is
 * for who made the job, since what does jobs need not be trusted, nor know a credential. */
void translate(const struct job *job, struct results *out);
/* Give them their topics, QoS, properties and all.  What cannot be sent is refused then. */
void translate_address(const struct job *job, struct results *r);
void results_fini(struct results *r);
void results_refuse(struct results *r, enum outcome reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* What a topic calls its device, and the id (JSON text), by the reader that matched it; NULL: it says
 * none.  Caller frees. */
char *translate_topic_device(const struct reader *r, const char *topic);
/* The device (name here) of a message that came on a session of `session` (NULL: of any device) and
 * whose topic calls it `native` (NULL: nothing).  NULL: none of this plan's, or not the session's.
 * Borrowed from the plan, from `native` or from `session`. */
const char *translate_device(const struct plan *p, enum side from, const char *session,
			     const char *native);
char *translate_topic_id(const struct reader *r, const char *topic);
/* Append an id (JSON text) as it stands in a topic: a string without its quotes. */
void translate_put_id(struct buf *out, const char *id);

#endif
