/* live_link_inside.h -- what the files of a live link share: live_link.c (starting, ending, looking),
 * live_link_session.c (its sessions), live_link_link.c (what its link hands out) and live_link_turn.c (the
 * turn of the loop).  Nobody else includes it. */
#ifndef BRIDGE_LIVE_LINK_INSIDE_H
#define BRIDGE_LIVE_LINK_INSIDE_H

#include "link/backpressure.h"
#include "link/link.h"
#include "link/rate_limit.h"
#include "message/side.h"
#include "run/live_link.h"

struct delivery;
struct parcel;
struct session_login;

/* A session and what waits for it. */
struct peer {
	struct live_link *live;
	enum side side;
	bool is_provisioning;
	char *name;		 /* for the log */
	struct session *session; /* NULL: not needed, or not yet */
	struct delivery *delivery;
	struct rate_limit rate;
	bool is_paced; /* what waits has to wait for the platform's pace */
};

struct live_link {
	const struct live_link_parts *parts;
	const struct conf_link *conf;
	const struct plan *plan;
	struct link *link;
	struct journal_live_link *records;
	struct peer peer[SIDES];
	struct peer provisioning;
	struct backpressure backpressure;
	bool uses_issued; /* the north logs in with credentials of a handshake */
	size_t n_resumed;
	uint64_t stop_at[FLOWS]; /* accepted when the bridge was told to stop */
};

/* --- live_link_session.c */

int live_link_mqtt_version(const struct live_link *live, enum side side);
/* NULL sets *e, as session_new(). */
struct session *live_link_make_session(struct peer *p, const struct session_login *login,
				       struct err *e);
/* What became of a message that was on its way; `parcel` is ended. */
void live_link_end_parcel(struct peer *p, struct parcel *parcel, enum outcome reason,
			  const char *text);

/* --- live_link_link.c */

extern const struct link_ops live_link_link_ops;

/* --- live_link_turn.c */

/* What is held of a direction, in the link and for its target. */
size_t live_link_held_bytes(const struct live_link *live, enum side source);

#endif
