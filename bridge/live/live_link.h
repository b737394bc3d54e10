/* live_link.h -- a link with its ports: what joins link/link to what carries its messages, to the journal
 * and to the log.
 *
 * bridge.c runs all of them through the turns of the loop; one does not know the others. */
#ifndef BRIDGE_LIVE_LINK_H
#define BRIDGE_LIVE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/jtext.h"
#include "fleet/fleet.h"
#include "message/side.h"
#include "port/port.h"

struct arrival;
struct buf;
struct changes;
struct compares;
struct devices;
struct db;
struct endpoints;
struct err;
struct generation;
struct journal_entry;
struct journal_output;
struct deadletter_live;
struct live_link;
struct link_counters;
struct link_devices;
struct loop;
struct message;
struct port;
struct record;
struct journal_live;
struct roster;
struct subprocess_ops;
struct suspects;
struct waves;
struct tap;
struct tap_terms;

/* What all live links of a bridge share; borrowed while they live. */
struct live_link_parts {
	struct loop *loop;
	const struct subprocess_ops *programs; /* what starts the operator's; NULL: the usual */
	const struct port_ops *port;	       /* what carries messages ... */
	void *port_ctx;			       /* ... and what opening it needs */
	struct db *db;
	struct journal_live *journal;
	struct deadletter_live *letters;
	struct roster *roster;	     /* in which a link is awake while it has something to do */
	struct endpoints *endpoints; /* where devices have sessions of their own */
	struct suspects *suspects;   /* NULL: nobody looks for what crashes */
	int64_t (*mono_ms)(void);    /* a clock that only grows; NULL: the system's */
	int64_t max_age_ms;	     /* of a message that waits for its target */
	uint64_t
		most_parked_bytes; /* of a link, for the sessions of devices that do not come up; 0: any */
	bool is_closing;	   /* what is not settled stays in the journal */
};

/* The link number `link` of a generation, which it uses until live_link_free(), with the state of earlier
 * runs; no port is open.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct live_link *live_link_new(const struct live_link_parts *parts, struct generation *g,
				size_t link, struct err *e);
/* After generation_end_workers(); what waits is dropped. */
void live_link_free(struct live_link *live);

/* The same while the bridge goes on: what is not settled stays in the journal, for journal_live_resume() and a new
 * link of this name.  Nothing of it may be in flight of a commit. */
void live_link_end(struct live_link *live);
/* It goes on as the link number `link` of another generation, to which its plan has gone (generation_adopt()). */
void live_link_adopt(struct live_link *live, struct generation *g, size_t link);

#define LIVE_LINK_RETRY_MS 60000 /* after which a link may be tried that could not be opened */

/* The time of day less the times that are handed in. */
void live_link_set_ahead(struct live_link *live, int64_t ahead_ms);
/* Nobody knows how long ago the last run was: its commands are too old.  Before live_link_resume(). */
void live_link_void_commands(struct live_link *live);

/* Open the ports of both sides, with the secrets and TLS files that are there now; nothing is sent yet.  False
 * after logging why: this machine lacks something, and all is as before.  The link keeps what it has, its
 * messages wait, and it may be tried again. */
bool live_link_open(struct live_link *live);
bool live_link_is_open(const struct live_link *live);
/* After that: connect. */
void live_link_start(struct live_link *live);
/* Go on with a message that earlier runs accepted and did not settle; `live` as in journal_live_link(). */
void live_link_take_again(void *live, struct record *r, struct journal_entry *entry,
			  struct journal_output *outputs, size_t n);
/* The same, when its turn has come (live/suspects.h): what has ended the process too often is a dead letter. */
void live_link_go_on(struct live_link *live, struct record *r, struct journal_entry *entry,
		     struct journal_output *outputs, size_t n);
/* A message that came in, when its turn has come; `is_again`: an earlier run had received it. */
void live_link_take_in(struct live_link *live, const struct arrival *a, bool is_again);
/* That was all of them. */
void live_link_resume(struct live_link *live);

/* Which links have something to do in this turn?  Those to which anything happened, until live_link_rest(). */
#define FOREACH_AWAKE(live, parts)                                                                 \
	for ((live) = live_link_first_awake(parts); (live); (live) = live_link_next_awake(live))
struct live_link *live_link_first_awake(const struct live_link_parts *parts);
struct live_link *live_link_next_awake(const struct live_link *live); /* NULL: no more */
void live_link_wake(struct live_link *live);
/* The end of a turn: it may sleep until its next deadline, unless it waits for a commit after `durable`. */
void live_link_rest(struct live_link *live, uint64_t durable);

/* Do what is due. */
void live_link_tick(struct live_link *live, int64_t now_ms);
int64_t live_link_next_deadline(const struct live_link *live); /* INT64_MAX: none */

/* Between two commits, the database is there to be read: what is parked for devices goes to the disk, or comes back. */
void live_link_use_disk(struct live_link *live, int64_t now_ms);
/* Write the changes of state into the open transaction, as part of `commit` (store/commit.h). */
bool live_link_save(struct live_link *live, uint64_t commit, struct err *e);
/* This commit is durable, and all before it. */
void live_link_durable(struct live_link *live, uint64_t commit);
/* What is not durable was rolled back. */
void live_link_undone(struct live_link *live);
/* Are there changes of state to be written? */
bool live_link_has_changes(const struct live_link *live);

/* Hand what waits to the ports, where it waits for `commit`, with the acknowledgements. */
void live_link_flush(struct live_link *live, uint64_t commit, int64_t now_ms);
/* Only the acknowledgements, and what was handed over before. */
void live_link_acknowledge(struct live_link *live, uint64_t commit);
/* Let out what waited for `durable` or a commit before it. */
void live_link_let_out(struct live_link *live, uint64_t durable);
/* After that: hold the sources of which too much waits, release them, visit them. */
void live_link_press(struct live_link *live, int64_t now_ms);

/* Nothing can be taken in (a full disk): hold both sources, from now on, until it is over.  What was
 * read and did not get as far as live_link_flush() or live_link_acknowledge() comes again.  Deliveries go on. */
void live_link_hold_sources(struct live_link *live, bool is_held, int64_t now_ms);
/* What waits in the sources for its commit never leaves: messages of it were given up.  They must be held
 * next. */
void live_link_retract(struct live_link *live);

/* What the journal holds of its messages. */
uint64_t live_link_journal_bytes(const struct live_link *live);
/* Has it had its `share` of a journal that is full, at any time since that is so? */
bool live_link_overfills(struct live_link *live, bool is_full, uint64_t share);

/* The bridge is to stop: what has been accepted so far is what live_link_has_settled() asks for. */
void live_link_stop(struct live_link *live);
/* Has as much been settled as had been accepted by then?  (More may have come in: it is in the journal.) */
bool live_link_has_settled(const struct live_link *live);
/* Has all that waits been acknowledged, where the port is up? */
bool live_link_is_drained(const struct live_link *live);
void live_link_log_counters(const struct live_link *live);

const char *live_link_name(const struct live_link *live);
/* A copy of a text that may be told: without the credentials that this link knows (a dialect may have them in
 * topics).  NULL gives "".  Caller frees. */
char *live_link_tellable(const struct live_link *live, const char *text);
/* A dead letter gets another chance: as if it had come from `from` (at `received_ms`) and had not been
 * settled, and may wait as long as a new one.  `session`: of which device it had come on (NULL: of any).  Copied. */
void live_link_retry(struct live_link *live, enum side from, const char *session,
		     const struct message *m, int64_t received_ms);

/* Whose a link of one device is by its handshakes (handshake/provision.h), borrowed; NULL: nobody's. */
const char *live_link_owner(const struct live_link *live, bool *is_proved);
/* What this device logs in with is known now, or has changed (link_own_vars(), link_wants_session()).  Nothing is done
 * where devices have no sessions of their own. */
void live_link_renew_device(struct live_link *live, const char *device);
/* Drop what a handshake brought for this name.  If the link logs in with that, it does not any more, and waits
 * for another handshake.  False: nothing is known of it. */
bool live_link_forget(struct live_link *live, const char *name);

/* The link with its devices: link_fleet(), link_names(), and link_fleet_changed(), which wakes it. */
struct fleet *live_link_fleet(struct live_link *live);
struct devices *live_link_names(struct live_link *live);
struct waves *live_link_waves(struct live_link *live);
/* Log what has become of them, unless that was done. */
void live_link_tell_waves(struct live_link *live);
void live_link_fleet_changed(struct live_link *live, struct changes *c);
/* The link's provisioning: link_may_provision(), link_provision(), link_provision_run() and
 * link_provision_stopped(). */
const char *live_link_may_provision(const struct live_link *live);
const char *live_link_provision(struct live_link *live, const char *device, bool retries_lost,
				struct changes *out);
void live_link_provision_run(struct live_link *live, int64_t per_second, int64_t max_failures);
const char *live_link_provision_stopped(const struct live_link *live);
/* The credentials of the north that a handshake brought for this device, the body of a provision_reply, borrowed; len
 * 0: none. */
struct jslice live_link_issued(const struct live_link *live, const char *device);
void live_link_fleet_rest(struct live_link *live); /* link_fleet_rest() */
/* Why this device has no session of its own if something passes for it (in words, static), with whether that may change
 * by itself; NULL: it has one, or needs none. */
const char *live_link_lacks(struct live_link *live, const char *device, bool *comes);
/* link_compares() */
const struct compares *live_link_compares(const struct live_link *live);
/* link_read_back(), where it can be and the session of the device is up.  NULL: it is asked, or there is nothing to ask
 * for; else why not (static). */
const char *live_link_read_back(struct live_link *live, const char *device);
/* link_put_differing(), link_push_differing() */
bool live_link_put_differing(const struct live_link *live, const char *device, struct buf *names);
void live_link_push_differing(struct live_link *live, const char *device);
/* What passes for devices that have no mode of their own. */
enum fleet_mode live_link_mode(const struct live_link *live);

/* Listen to what becomes of its messages (live/tap.h), until live_link_listen_end(), which it outlives or not. */
struct tap *live_link_listen(struct live_link *live, const struct tap_terms *terms);
void live_link_listen_end(struct tap *t); /* NULL is allowed */
/* Append JSON text without what is secret by the link's variables or by the names of keys. */
void live_link_put_redacted(const struct live_link *live, struct jslice json, struct buf *out);
/* Append what a file of cases says of the link: {"south":DIALECT,"north":DIALECT,"vars":{...}}, less what is secret. */
void live_link_put_setup(const struct live_link *live, struct buf *out);

/* May there be more of that direction? */
bool live_link_has_room(const struct live_link *live, enum side from);

/* For people, of a far side that is there and does not acknowledge. */
#define LIVE_LINK_LATE                                                                             \
	"not acknowledged: may this login send that? (a gateway's topics want a gateway)"

/* How it is with a port; borrowed. */
struct live_link_port {
	enum side side;
	const char *device; /* whose it is, by its name here; NULL: it carries any device's */
	bool is_provisioning;
	const char *url;
	bool is_late; /* it acknowledges nothing, or passes something over: LIVE_LINK_LATE */
	struct port_status carrier; /* .phase NULL: it is not open */
	size_t waiting, in_flight, bytes;
	int64_t oldest_ms; /* since when the first of those that wait does; INT64_MAX: none does */
	bool is_parked;	   /* what waits does so because of its device */
	/* What the platform bears; 0: not known. */
	int64_t window, per_second, packet_bytes;
};
/* The port after `after` (NULL: the first) in their fixed order; NULL: there are no more. */
const struct port *live_link_next_port(const struct live_link *live, const struct port *after);
void live_link_look_at_port(const struct port *p, struct live_link_port *out);

/* Of the sessions of devices in the north. */
struct live_link_sessions {
	uint64_t n, up, refused, lacking, asleep; /* how many there are, and are so now */
	uint64_t came, went;			  /* since the start */
};
/* False: there are none, each device is in the sessions above. */
bool live_link_sessions(const struct live_link *live, struct live_link_sessions *out);
const struct link_counters *live_link_counters(const struct live_link *live, enum flow flow);
void live_link_devices(const struct live_link *live, struct link_devices *out);

#endif
