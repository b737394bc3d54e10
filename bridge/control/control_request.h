/* control_request.h -- what a verb may ask of a bridge, or of its state when none runs: the other end of ask.h.
 *
 * A request is a line of JSON, {"request":NAME,...}; its answer some lines {"item":{...}} and a last
 * one, {"done":{...}} or {"error":TEXT,"status":EXIT_STATUS}.  Never a credential in any of them, but for
 * an export of devices that asks for them.
 * What a request changes is written into the open transaction; who runs it commits after each piece,
 * before that is let out. */
#ifndef BRIDGE_CONTROL_REQUEST_H
#define BRIDGE_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct commits;
struct conf;
struct db;
struct err;
struct deadletter_live;
struct generation;
struct live_link;
struct journal_live;
struct mapping_path;
struct request;
struct storage;

struct reload_wish {
	bool only_plans;
	bool drops;	/* what waits for links that there are no more */
	bool is_strict; /* refuse if there is any of that */
};

/* What requests work on; borrowed. */
struct control_request_parts {
	const struct conf *conf; /* at least what conf_read_state() reads */
	struct db *db;
	struct deadletter_live *letters;
	bool is_running; /* a bridge, with these: */
	struct live_link *const *links;
	size_t n_links;
	const struct journal_live *journal;
	const struct generation *generation;
	const struct mapping_path *mappings; /* before those of the configuration */
	const struct commits *commits;
	const struct storage *storage;
	int64_t started_ms; /* clock_mono_ms() */
	/* Read the configuration again, append items about what changes, and unless `only_plans`, have it take over at
	 * the end of this turn.  False sets *e: nothing changes. */
	bool (*reload)(void *bridge, const struct reload_wish *wish, struct buf *items,
		       struct err *e);
	void *bridge;
};

/* Never NULL: one that makes no sense is answered so. */
struct request *control_request_new(const struct control_request_parts *parts, const char *line,
				    size_t n);
/* Append the next piece of the answer.  False: it was the last.  Nothing and true: there is none yet, the loop will be
 * woken for it (of a running bridge only). */
bool control_request_more(struct request *r, struct buf *out);
/* A member of an answer's object, after another one: ,"KEY":"TEXT".  What is no UTF-8 is "?". */
void control_request_put_text(struct buf *out, const char *key, const char *text);
/* Append the last line of an answer that failed. */
void control_request_put_error(const struct err *e, struct buf *out);
void control_request_free(struct request *r);

#endif
