#include "live/suspects.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "delivery/delivery.h"
#include "link/link.h"
#include "message/message.h"
#include "work/crash.h"
#include "live/generation.h"
#include "live/live_link.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/journal_live.h"

/* A message that waits for its turn. */
struct suspect {
	TAILQ_ENTRY(suspect) list;
	struct live_link *live;
	struct record *record; /* NULL: it came with QoS 0 */
	bool is_again;	       /* an earlier run received it */
	size_t bytes;
	struct journal_entry entry; /* its link is not set */
	uint64_t login;		    /* of the session on which it came */
	struct journal_output *outputs;
	size_t n_outputs;
};
TAILQ_HEAD(suspect_list, suspect);

struct suspects {
	bool is_careful;
	int64_t until_ms; /* at least */
	struct suspect_list waiting;
	size_t bytes;	  /* of these */
	uint64_t in_hand; /* its number; 0: none, or it has none */
};

static void tell_crash(const struct crash *c)
{
	const char *name = sigabbrev_np(c->signum);

	if (c->seq)
		log_event(LOG_ERROR, "crash-found", "signal=SIG%s message=%llu", name ? name : "?",
			  (unsigned long long)c->seq);
	else
		log_event(LOG_ERROR, "crash-found", "signal=SIG%s", name ? name : "?");
}

/* Its end costs the message that was in hand an attempt. */
static bool note_crash(struct db *db, const char *dir, const struct crash *c, struct err *e)
{
	struct err why = { 0 };

	tell_crash(c);
	if (c->seq == 0 || (journal_blame(db, c->seq, &why) && db_commit(db, &why))) {
		crash_forget(dir);
		return true;
	}
	if (why.code == ERR_FULL) {
		db_commit(db, NULL); /* is false, and the next one begins anew */
		log_event(LOG_ERROR, "disk-full", "reason=%s", log_value(why.text));
		return true;
	}
	*e = why;
	return false;
}

struct suspects *suspects_new(struct db *db, const char *dir, int64_t now_ms, struct err *e)
{
	struct suspects *s = mem_zalloc(sizeof *s);
	struct crash c;

	TAILQ_INIT(&s->waiting);
	s->is_careful = crash_find(dir, &c);
	s->until_ms = now_ms + CAREFUL_MS;
	if ((!s->is_careful || note_crash(db, dir, &c, e)) && crash_watch(dir, e))
		return s;
	free(s);
	return NULL;
}

static void suspect_free(struct suspect *x)
{
	for (size_t i = 0; i < x->n_outputs; i++)
		journal_output_fini(&x->outputs[i]);
	free(x->outputs);
	message_fini(&x->entry.message);
	free(x->entry.session);
	free(x);
}

void suspects_free(struct suspects *s)
{
	struct suspect *x;

	if (!s)
		return;
	crash_unwatch();
	while ((x = TAILQ_FIRST(&s->waiting)) != NULL) {
		TAILQ_REMOVE(&s->waiting, x, list);
		if (x->record)
			record_forget(x->record);
		suspect_free(x);
	}
	free(s);
}

bool suspects_is_careful(const struct suspects *s)
{
	return s && s->is_careful;
}

/* --- waiting ------------------------------------------------------------------------------- */

static void enqueue(struct suspects *s, struct suspect *x)
{
	x->bytes = message_size(&x->entry.message);
	for (size_t i = 0; i < x->n_outputs; i++)
		x->bytes += message_size(&x->outputs[i].message);
	s->bytes += x->bytes;
	TAILQ_INSERT_TAIL(&s->waiting, x, list);
}

void suspects_hold_again(struct suspects *s, struct live_link *live, struct record *r,
			 struct journal_entry *entry, struct journal_output *outputs, size_t n)
{
	struct suspect *x = mem_zalloc(sizeof *x);

	*x = (struct suspect){ .live = live,
			       .record = r,
			       .is_again = true,
			       .entry = *entry,
			       .outputs = mem_dup(outputs, n * sizeof *outputs),
			       .n_outputs = n };
	x->entry.link = NULL;
	entry->message = (struct message){ 0 };
	entry->session = NULL;
	for (size_t i = 0; i < n; i++)
		outputs[i] = (struct journal_output){ 0 };
	enqueue(s, x);
}

void suspects_hold(struct suspects *s, struct live_link *live, const struct arrival *a,
		   bool is_again)
{
	struct suspect *x = mem_zalloc(sizeof *x);

	*x = (struct suspect){ .live = live,
			       .record = a->tag,
			       .is_again = is_again,
			       .login = a->login,
			       .entry = { .from = a->from,
					  .received_ms = a->at_ms,
					  .since_ms = a->since_ms,
					  .session = mem_strdup(a->device) } };
	message_copy(&x->entry.message, a->message);
	enqueue(s, x);
}

size_t suspects_bytes(const struct suspects *s)
{
	return s ? s->bytes : 0;
}

/* --- one at a time ------------------------------------------------------------------------- */

static bool has_next(const struct suspects *s)
{
	const struct suspect *x = TAILQ_FIRST(&s->waiting);

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
	return x && (!x->record || record_is_stored(x->record));
}

static void work_on(struct suspect *x)
{
	if (x->is_again && x->entry.seq)
		live_link_go_on(x->live, x->record, &x->entry, x->outputs, x->n_outputs);
	else
		live_link_take_in(x->live,
				  &(struct arrival){ .from = x->entry.from,
						     .device = x->entry.session,
						     .message = &x->entry.message,
						     .at_ms = x->entry.received_ms,
						     .since_ms = x->entry.since_ms,
						     .login = x->login,
						     .tag = x->record },
				  x->is_again);
}

static void take_next(struct suspects *s)
{
	struct suspect *x = TAILQ_FIRST(&s->waiting);

	TAILQ_REMOVE(&s->waiting, x, list);
	s->bytes -= x->bytes;
	s->in_hand = x->record ? record_seq(x->record) : 0;
	crash_mark(s->in_hand);
	work_on(x);
	suspect_free(x);
}

bool suspects_is_due(const struct suspects *s, const struct generation *g)
{
	return suspects_is_careful(s) && generation_is_idle(g) && has_next(s);
}

/* What happens from now on is the work of the one in hand, or of the next if all is done that that one led to. */
static void step(struct suspects *s, const struct generation *g, int64_t now_ms)
{
	if (generation_is_idle(g))
		s->in_hand = 0;
	crash_mark(s->in_hand);
	if (suspects_is_due(s, g)) {
		take_next(s);
	} else if (!s->in_hand && TAILQ_EMPTY(&s->waiting) && now_ms >= s->until_ms) {
		s->is_careful = false;
		log_event(LOG_INFO, "crash-passed", NULL);
	}
}

void suspects_run_jobs(struct suspects *s, struct generation *g, int64_t now_ms)
{
	do {
		if (suspects_is_careful(s))
			step(s, g, now_ms);
		generation_run(g);
	} while (suspects_is_due(s, g));
	crash_mark(0);
}

uint64_t suspects_begin_parcel(const struct suspects *s, const struct parcel *p)
{
	return suspects_is_careful(s) ? crash_mark(p->record ? record_seq(p->record) : 0) : 0;
}

void suspects_end_parcel(uint64_t before)
{
	crash_mark(before);
}
