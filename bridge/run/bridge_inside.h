/* bridge_inside.h -- what the files of the bridge share: bridge.c has its life and the turn of the loop, bridge_conf.c
 * what it does by its configuration at a start and once another one has taken over, bridge_reload.c how one does. */
#ifndef BRIDGE_BRIDGE_INSIDE_H
#define BRIDGE_BRIDGE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/control_request.h"
#include "live/live_link.h"
#include "live/storage.h"
#include "net/loop.h"
#include "run/bridge.h"
#include "run/bridge_heart.h"
#include "run/bridge_watch.h"
#include "run/reload.h"
#include "store/journal_live.h"

struct bridge {
	struct generation *generation; /* it owns it */
	const struct conf *conf;       /* of it */
	const struct mapping_path *mappings;
	struct generation *next; /* to take over at the end of the turn, by ... */
	struct reload_plan plan; /* ... this; NULL and empty: none is */
	bool next_drops;
	bool is_to_reload; /* asked for by a signal, or by a file that changed */
	struct bridge_watch watch;
	struct bridge_heart heart;
	struct live_link_parts parts;
	struct commits *commits;
	struct storage storage;
	struct live_link **links;
	size_t n_links;
	size_t suspect_bytes; /* held when the turn began */
	struct control_server *control;
	const struct bridge_door *door;
	void *behind_door;		    /* NULL: it is closed */
	struct control_request_parts asked; /* what requests over it work on */
	struct loop_timer deadline, drain;
	int64_t deadline_ms;	 /* that the timer is set to */
	int64_t reopen_ms;	 /* when links are tried that are not open; INT64_MAX: all are */
	int64_t ahead_ms;	 /* clock_ahead_ms(), as the links know it */
	uint64_t asked_commit;	 /* the last one with a change that was asked for ... */
	uint64_t heard_commit;	 /* ... and the last one whose answers were let out */
	unsigned long rollbacks; /* of the database, before the first that was not let out */
	struct loop_watch nursery, committed;
	struct service *service;
	bool is_stopping, has_failed, is_without_workers;
};

/* The state cannot be written or read any more: it ends, and what is not durable does not leave. */
void bridge_fail(struct bridge *b, const struct err *e);
void bridge_on_workers_gone(void *bridge);

/* --- bridge_conf.c */

/* The configuration's list of devices holds from now on.  False sets *e: two would have one name, with what the state
 * says. */
bool bridge_list_devices(struct bridge *b, struct err *e);
/* How much each link may have in the journal, and how long. */
void bridge_bound_journal(struct bridge *b);
extern const struct journal_live_reader bridge_journal_reader;

/* --- bridge_reload.c */

/* A control_request_reload: read the configuration again, and say what changes; it takes over at the end of the
 * turn. */
bool bridge_reload(void *bridge, const struct reload_wish *wish, struct buf *items, struct err *e);
/* The same, of which the log alone tells. */
void bridge_reload_unasked(struct bridge *b);
/* May another one take over just now?  False sets *e (ERR_BUSY). */
bool bridge_may_reload(const struct bridge *b, struct err *e);
/* `next` takes over, between two turns.  False: the bridge ends. */
bool bridge_take_over(struct bridge *b, int64_t now_ms);

#endif
