/* line.h -- a link with its sessions: what joins link/link to the sessions, the journal and the log.
 *
 * bridge.c runs all lines through the turns of the loop; a line does not know the others. */
#ifndef BRIDGE_LINE_H
#define BRIDGE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/kind.h"
#include "net/session.h"

struct conf_link;
struct db;
struct err;
struct journal_entry;
struct journal_output;
struct letters;
struct line;
struct link_counters;
struct loop;
struct message;
struct plan;
struct record;
struct records;
struct translator;

/* What all lines of a bridge share; borrowed while they live. */
struct line_parts {
	struct loop *loop;
	struct db *db;
	struct records *records;
	struct letters *letters;
	struct translator *translator;
	int64_t max_age_ms; /* of a message that waits for its target */
	bool is_closing;    /* what is not settled stays in the journal */
};

/* With the state of earlier runs, without sessions.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct line *line_new(const struct line_parts *parts, const struct conf_link *conf,
		      const struct plan *plan, struct err *e);
void line_free(struct line *line); /* after the translator; what waits is dropped */

/* Open the sessions.  False after logging why. */
bool line_open(struct line *line);
/* Go on with a message that earlier runs accepted and did not settle; `line` as in records_link(). */
void line_take_again(void *line, struct record *r, struct journal_entry *entry,
		     struct journal_output *outputs, size_t n);
/* That was all of them. */
void line_resume(struct line *line);

/* Do what is due. */
void line_tick(struct line *line, int64_t now_ms);
int64_t line_next_deadline(const struct line *line); /* INT64_MAX: none */

/* Write the changes of state into the open transaction. */
bool line_save(struct line *line, struct err *e);
/* They are durable. */
void line_saved(struct line *line);
/* After the commit: hand what waits to the sessions, and let it out with the acknowledgements. */
void line_flush(struct line *line, int64_t now_ms);
/* Only the acknowledgements, and what was handed over before. */
void line_acknowledge(struct line *line, int64_t now_ms);

/* Nothing can be taken in (a full disk): hold both sources, from now on, until it is over.  What was
 * read and not acknowledged with line_flush() or line_acknowledge() comes again.  Deliveries go on. */
void line_hold_sources(struct line *line, bool is_held, int64_t now_ms);

/* What the journal holds of its messages. */
uint64_t line_journal_bytes(const struct line *line);

/* The bridge is to stop: what has been accepted so far is what line_has_settled() asks for. */
void line_stop(struct line *line);
/* Has as much been settled as had been accepted by then?  (More may have come in: it is in the journal.) */
bool line_has_settled(const struct line *line);
/* Has all that waits been acknowledged, where the session is up? */
bool line_is_drained(const struct line *line);
void line_log_counters(const struct line *line);

const char *line_name(const struct line *line);
/* A dead letter gets another chance: as if it had come from `from` (at `received_ms`) and had not been
 * settled, and may wait as long as a new one.  Copied. */
void line_retry(struct line *line, enum side from, const struct message *m, int64_t received_ms);

/* May there be more of that direction? */
bool line_has_room(const struct line *line, enum side from);

/* How it is with a session; borrowed. */
struct line_session {
	enum side side;
	bool is_provisioning;
	const char *url;
	struct session_status session; /* .phase NULL: it is not open */
	size_t waiting, in_flight, bytes;
};
/* The `i`th session; false: there are no more. */
bool line_session(const struct line *line, size_t i, struct line_session *out);
const struct link_counters *line_counters(const struct line *line, enum flow flow);

#endif
