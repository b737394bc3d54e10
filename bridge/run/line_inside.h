/* line_inside.h -- what the files of a line share: line.c (starting, ending, looking), line_session.c
 * (its sessions), line_link.c (what its link hands out) and line_turn.c (the turn of the loop).  Nobody
 * else includes it. */
#ifndef BRIDGE_LINE_INSIDE_H
#define BRIDGE_LINE_INSIDE_H

#include "link/link.h"
#include "link/pace.h"
#include "link/pressure.h"
#include "run/line.h"

struct delivery;
struct parcel;
struct session_login;

/* A session and what waits for it. */
struct peer {
	struct line *line;
	enum side side;
	bool is_provisioning;
	char *name;		 /* for the log */
	struct session *session; /* NULL: not needed, or not yet */
	struct delivery *delivery;
	struct pace pace;
	bool is_paced; /* what waits has to wait for the platform's pace */
};

struct line {
	const struct line_parts *parts;
	const struct conf_link *conf;
	const struct plan *plan;
	struct link *link;
	struct records_link *records;
	struct peer peer[SIDES];
	struct peer provisioning;
	struct pressure pressure;
	bool uses_issued; /* the north logs in with credentials of a handshake */
	size_t n_resumed;
	uint64_t stop_at[FLOWS]; /* accepted when the bridge was told to stop */
};

/* --- line_session.c */

int line_mqtt_version(const struct line *line, enum side side);
/* NULL sets *e, as session_new(). */
struct session *line_make_session(struct peer *p, const struct session_login *login, struct err *e);
/* What became of a message that was on its way; `parcel` is ended. */
void line_end_parcel(struct peer *p, struct parcel *parcel, enum refusal reason, const char *text);

/* --- line_link.c */

extern const struct link_ops line_link_ops;

/* --- line_turn.c */

/* What is held of a direction, in the link and for its target. */
size_t line_held_bytes(const struct line *line, enum side source);

#endif
