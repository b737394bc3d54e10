/* small_bridge.h -- for tests: live links of one or more generations with a real store, between ports that
 * are lists in memory.  Time is moved by hand, jobs are done in place. */
#ifndef TESTS_SMALL_BRIDGE_H
#define TESTS_SMALL_BRIDGE_H

#include "conf/conf.h"
#include "conf/login.h"
#include "net/loop.h"
#include "live/generation.h"
#include "live/live_link_inside.h"
#include "port/port.h"
#include "delivery/endpoint.h"
#include "delivery/roster.h"
#include "live/storage.h"
#include "store/commit.h"
#include "store/db.h"
#include "store/deadletter_live.h"
#include "store/journal_live.h"
#include "unit/dialects.h"

/* --- ports in memory -----------------------------------------------------------------------
 *
 * What they do is written down, a line each; PORT is south, north, north/DEVICE or asks, asks-2 ... (for handshakes),
 * of another link than "link" LINK:south and so on:
 *	PORT TOPIC PAYLOAD	left with let_out()
 *	PORT acks N		so many acknowledgements left with let_out()
 *	PORT opens, closes, starts, stops, hold, retract, release, visit
 *	PORT login NAME */
#define CARRIERS 12

static struct carrier {
	char name[32]; /* "": free */
	const struct port_events *events;
	void *port;
	bool is_up, is_held, is_probing;
	bool is_in_line; /* it would connect, and may not yet */
	bool tells_taken;
	uint64_t taken, owed;
	int mqtt;	  /* version of its login */
	size_t max_bytes; /* of a message; 0: any */
	int last_mid, acked_mid;
	unsigned n_unacked;   /* of what came in */
	struct buf out;	      /* published, not flushed */
	char shown[200];      /* the filters as a log may have them */
	char login[100];      /* USERNAME PASSWORD CLIENT_ID */
	char token[33];	      /* the chosen one of the last question that was published */
	char properties[100]; /* of what left last: NAME=VALUE ... */
	char old[200];	      /* those to be given up */
	struct buf waiting;   /* flushed ... */
	uint64_t commit;      /* ... and waits for it */
} carriers[CARRIERS];
static struct buf said;
static int mqtt_found = 4;		       /* where no version is wanted */
static bool refuses_to_open, refuses_to_start; /* it opens, and does not come up */

static inline struct carrier *find(const char *name)
{
	for (size_t i = 0; i < CARRIERS; i++)
		if (strcmp(carriers[i].name, name) == 0)
			return &carriers[i];
	cr_assert(false, "no carrier %s", name);
	return NULL;
}

static inline void set_memory_login(struct carrier *c, const struct session_login *login)
{
	snprintf(c->login, sizeof c->login, "%s %s %s", login->username ? login->username : "-",
		 login->password ? login->password : "-",
		 login->client_id ? login->client_id : "-");
}

static inline void *memory_open(void *ctx, const struct port_conf *conf,
				const struct port_events *events, void *port, struct err *e)
{
	const char *side = strstr(conf->name, "side=south") ? "south" : "north";
	const char *link = conf->name + strlen("link=");
	int n = (int)strcspn(link, " ");
	char asks[16] = "asks";
	struct carrier *c;

	cr_expect_eq(ctx, &said, "the maker's own comes with it");
	if (refuses_to_open) {
		err_set(e, ERR_IO, "no");
		return NULL;
	}
	c = find("");
	*c = (struct carrier){ .events = events,
			       .port = port,
			       .mqtt = conf->mqtt ? conf->mqtt : mqtt_found };
	for (size_t i = 0; i < conf->n_filters; i++)
		snprintf(c->shown + strlen(c->shown), sizeof c->shown - strlen(c->shown), "%s ",
			 conf->shown[i]);
	for (size_t i = 0; i < conf->n_old; i++)
		snprintf(c->old + strlen(c->old), sizeof c->old - strlen(c->old), "%s ",
			 conf->old[i]);
	set_memory_login(c, conf->login);
	if (strncmp(link, "link ", 5) == 0)
		n = 0;
	if (conf->is_provisioning) {
		sscanf(strstr(conf->name, "session="), "session=provisioning%10s", asks + 4);
		side = asks;
	}
	snprintf(c->name, sizeof c->name, "%.*s%s%s%s%s", n, link, n ? ":" : "", side,
		 conf->device ? "/" : "", conf->device ? conf->device : "");
	buf_printf(&said, "%s opens\n", c->name);
	return c;
}

static inline void say(const struct carrier *c, const char *what)
{
	buf_printf(&said, "%s %s\n", c->name, what);
}

static inline void memory_start(void *carrier)
{
	struct carrier *c = carrier;

	c->is_in_line = !c->events->may_connect(c->port);
	say(c, c->is_in_line ? "stands in line" : "starts");
	if (refuses_to_start || c->is_in_line)
		return;
	c->is_up = true;
	c->events->up(c->port);
}

static inline bool memory_go(void *carrier)
{
	struct carrier *c = carrier;

	if (!c->is_in_line)
		return false;
	c->is_in_line = false;
	say(c, "goes");
	c->is_up = true;
	c->events->up(c->port);
	return true;
}

static inline void memory_probe(void *carrier, bool is_probing)
{
	((struct carrier *)carrier)->is_probing = is_probing;
}

static inline void memory_set_login(void *carrier, const struct session_login *login)
{
	struct carrier *c = carrier;

	set_memory_login(c, login);
	buf_printf(&said, "%s login %s\n", c->name,
		   strlen(login->username) == 32 ? "<token>" : login->username);
}

static inline void memory_stop(void *carrier)
{
	struct carrier *c = carrier;

	say(c, "stops");
	c->is_up = false;
}

static inline void memory_reconnect(void *carrier, const char *reason)
{
	struct carrier *c = carrier;

	(void)reason;
	say(c, "reconnects");
	c->acked_mid = c->last_mid;
	c->events->down(c->port, SESSION_END_OURS);
	c->events->up(c->port);
}

static inline bool memory_taken(const void *carrier, uint64_t *taken, uint64_t *owed)
{
	const struct carrier *c = carrier;

	*taken = c->taken;
	*owed = c->owed;
	return c->tells_taken;
}

static inline bool memory_is_up(const void *carrier)
{
	const struct carrier *c = carrier;

	return c->is_up;
}

/* Of a question of a handshake, the chosen token is "<token>". */
static inline void put_payload(struct carrier *c, struct buf *out, const struct message *m)
{
	const char *s = m->payload, *token;
	size_t chosen;

	for (size_t i = 0; i < m->payload_len && m->payload_len <= 200; i++) {
		chosen = chosen_token(s + i, m->payload_len - i, &token);
		if (chosen) {
			buf_puts(out, "<token>");
			snprintf(c->token, sizeof c->token, "%s", token);
		} else {
			buf_putc(out, s[i]);
		}
		i += chosen ? chosen - 1 : 0;
	}
}

static inline void put_properties(struct carrier *c, const struct vars *v)
{
	int n = 0;

	c->properties[0] = '\0';
	for (size_t i = 0; i < v->n && n < (int)sizeof c->properties; i++)
		n += snprintf(c->properties + n, sizeof c->properties - (size_t)n, "%s%s=%s",
			      i ? " " : "", v->items[i].name, v->items[i].value);
}

static inline bool memory_publish(void *carrier, const struct message *m, int *mid, struct err *e)
{
	struct carrier *c = carrier;

	cr_assert(c->is_up);
	if (c->max_bytes && m->payload_len > c->max_bytes) {
		err_set(e, ERR_LIMIT, "too large");
		return false;
	}
	*mid = ++c->last_mid;
	put_properties(c, &m->properties);
	buf_printf(&c->out, "%s %s ", c->name, m->topic);
	put_payload(c, &c->out, m);
	if (m->expiry_s)
		buf_printf(&c->out, " for %d s", (int)m->expiry_s);
	buf_putc(&c->out, '\n');
	return true;
}

static inline void memory_flush(void *carrier, uint64_t acks, uint64_t published)
{
	struct carrier *c = carrier;
	uint64_t commit = c->n_unacked ? acks : published;

	cr_assert_geq(acks, c->commit);
	cr_assert_geq(acks, published);
	c->commit = commit > c->commit ? commit : c->commit;
	if (c->n_unacked && !c->is_held)
		buf_printf(&c->waiting, "%s acks %u\n", c->name, c->n_unacked);
	c->n_unacked = 0;
	buf_append(&c->waiting, buf_str(&c->out), c->out.len);
	buf_reset(&c->out);
}

static inline void memory_let_out(void *carrier, uint64_t durable)
{
	struct carrier *c = carrier;

	if (c->commit > durable)
		return;
	buf_append(&said, buf_str(&c->waiting), c->waiting.len);
	buf_reset(&c->waiting);
}

static inline void memory_hold(void *carrier)
{
	say(carrier, "hold");
	((struct carrier *)carrier)->is_held = true;
}

static inline void memory_retract(void *carrier)
{
	struct carrier *c = carrier;

	if (c->is_held)
		return;
	say(c, "retract");
	c->n_unacked = 0;
	buf_reset(&c->out);
	buf_reset(&c->waiting);
}

static inline void memory_release(void *carrier)
{
	say(carrier, "release");
	((struct carrier *)carrier)->is_held = false;
}

static inline void memory_visit(void *carrier)
{
	if (((struct carrier *)carrier)->is_held)
		say(carrier, "visit");
}

static inline void memory_status(const void *carrier, struct port_status *out)
{
	const struct carrier *c = carrier;

	*out = (struct port_status){ .phase = c->is_up ? "up" : "waiting",
				     .why = "",
				     .mqtt = c->mqtt };
}

static inline void memory_close(void *carrier)
{
	struct carrier *c = carrier;

	say(c, "closes");
	buf_fini(&c->out);
	buf_fini(&c->waiting);
	*c = (struct carrier){ 0 };
}

static const struct port_ops memory_ops = {
	.open = memory_open,
	.start = memory_start,
	.go = memory_go,
	.set_login = memory_set_login,
	.probe = memory_probe,
	.stop = memory_stop,
	.reconnect = memory_reconnect,
	.taken = memory_taken,
	.is_up = memory_is_up,
	.takes = memory_is_up,
	.publish = memory_publish,
	.flush = memory_flush,
	.let_out = memory_let_out,
	.hold = memory_hold,
	.retract = memory_retract,
	.release = memory_release,
	.visit = memory_visit,
	.status = memory_status,
	.close = memory_close,
};

/* What the far end does: it takes the oldest message, or refuses it with the code. */
static inline void takes_at(const char *name, int code, int line)
{
	struct carrier *c = find(name);

	cr_assert_lt(c->acked_mid, c->last_mid, "line %d: nothing was sent", line);
	c->events->acked(c->port, ++c->acked_mid, code, code ? "quota" : NULL);
}
#define takes(name)	    takes_at(name, 0, __LINE__)
#define refuses(name, code) takes_at(name, code, __LINE__)

/* And it breaks the connection, or is there again. */
static inline void ends(const char *name, enum session_end end)
{
	struct carrier *c = find(name);

	c->is_up = false;
	c->acked_mid = c->last_mid;
	buf_reset(&c->out);
	buf_reset(&c->waiting);
	c->events->down(c->port, end);
}

static inline void goes(const char *name)
{
	ends(name, SESSION_END_LOST);
}

static inline void comes(const char *name)
{
	struct carrier *c = find(name);

	c->events->login(c->port);
	c->is_up = true;
	c->events->up(c->port);
}

static inline void sends_bytes(const char *name, const char *topic, const char *payload, size_t n)
{
	struct carrier *c = find(name);
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };

	message_set_payload(&m, payload, n);
	c->n_unacked++;
	c->events->message(c->port, &m);
	message_fini(&m);
}

static inline void sends(const char *name, const char *topic, const char *payload)
{
	char *q = quoted(payload);

	sends_bytes(name, topic, q, strlen(q));
	free(q);
}

/* --- the bridge around it ------------------------------------------------------------------ */

#define LINKS 4

static struct world w;
static struct live_link_parts parts;
static struct commits *commits;
static struct storage storage;
static struct live_link *lives[LINKS];
static int64_t now_ms;

static inline int64_t bridge_mono_ms(void)
{
	return now_ms;
}

static inline void bridge_make_parts(void)
{
	char *dir = mem_printf("%s/state", w.dir);
	struct err e = { 0 };

	parts = (struct live_link_parts){ .roster = roster_new(),
					  .endpoints = endpoints_new(),
					  .port = &memory_ops,
					  .port_ctx = &said,
					  .mono_ms = bridge_mono_ms,
					  .max_age_ms = 7 * 86400 * INT64_C(1000) };
	cr_assert((parts.db = db_open(dir, NULL, &e)) && (parts.loop = loop_new(&e)) &&
			  (commits = commits_new(parts.db, 0)) &&
			  (parts.journal = journal_live_new(parts.db, &e)) &&
			  (parts.letters = deadletter_live_new(parts.db, &e)),
		  "%s", e.text);
	now_ms = loop_now_ms(parts.loop);
	storage = (struct storage){ .db = parts.db,
				    .commits = commits,
				    .journal = parts.journal,
				    .letters = parts.letters,
				    .parts = &parts,
				    .links = lives,
				    .max_bytes = 1 << 30 };
	free(dir);
}

static inline void bridge_free_parts(void)
{
	roster_free(parts.roster);
	endpoints_free(parts.endpoints);
	loop_free(parts.loop);
	commits_free(commits);
	deadletter_live_free(parts.letters);
	journal_live_free(parts.journal);
	db_close(parts.db);
}

static const char *south_keys = "";    /* more of the south, "key = value; ..." */
static const char *more_of_north = ""; /* and of the north */

/* A generation with one link of this name between these dialects, and with these keys; `device`: of its south,
 * or NULL. */
static inline struct generation *bridge_generation_of(const char *name, const char *keys,
						      const char *device, const char *south,
						      const char *north)
{
	char *file = mem_printf("%s/%s.conf", w.dir, name);
	struct generation *g;
	struct err e = { 0 };
	FILE *f = fopen(file, "w");

	world_write(&w, "s", south);
	world_write(&w, "n", north);
	cr_assert_not_null(f);
	fprintf(f, "links = ( { name = \"%s\"; %s", name, keys);
	fprintf(f, " south = { dialect = \"s\"; url = \"mqtt://s\"; %s", south_keys);
	if (device)
		fprintf(f, " vars = { device = \"%s\"; };", device);
	fprintf(f, " }; north = { dialect = \"n\"; url = \"mqtt://n\"; %s }; } );\n",
		more_of_north);
	fclose(f);
	g = generation_read(file, &w.path, NULL, &w.report);
	cr_assert(g, "%s", w.report.n_lines ? w.report.lines[0].text : "");
	cr_assert(generation_make_executor(g, NULL, NULL, NULL, &e), "%s", e.text);
	report_fini(&w.report);
	free(file);
	return g;
}

static inline struct generation *bridge_generation(const char *name, const char *device,
						   const char *south, const char *north)
{
	return bridge_generation_of(name, "", device, south, north);
}

static inline void bridge_no_orphans(const char *link, size_t n)
{
	cr_assert(false, "%s: %zu", link, n);
}

static inline void bridge_none_aside(const char *link, uint64_t seq, const char *why)
{
	cr_assert(false, "%s: %d: %s", link, (int)seq, why);
}

/* Start its link: it is lives[storage.n_links - 1] then. */
static inline void bridge_start_link(struct generation *g)
{
	struct err e = { 0 };
	struct live_link *live = live_link_new(&parts, g, 0, &e);

	cr_assert(live, "%s", e.text);
	lives[storage.n_links++] = live;
	cr_assert(live_link_open(live));
	live_link_start(live);
}

/* Once all are started: what earlier runs left is taken up. */
static inline void bridge_resume(void)
{
	const struct journal_live_reader reader = { live_link_take_again, bridge_no_orphans,
						    bridge_none_aside };
	struct err e = { 0 };

	cr_assert(journal_live_resume(parts.journal, &reader, &e), "%s", e.text);
	for (size_t i = 0; i < storage.n_links; i++)
		live_link_resume(lives[i]);
}

/* What the turn brought is handed over, and waits.  Returns its commit. */
static inline uint64_t bridge_hand_over(void)
{
	uint64_t commit;
	struct live_link *live;

	roster_wake_due(parts.roster, now_ms);
	commit = storage_hand_over(&storage, now_ms, true);
	FOREACH_AWAKE (live, &parts)
		live_link_flush(live, commit, now_ms);
	return commit;
}

/* What has been handed over is durable, and leaves.  Only links that are awake are looked at, as in a bridge. */
static inline void bridge_let_out(void)
{
	struct live_link *live, *next;
	struct err e = { 0 };

	cr_assert(storage_hear(&storage, now_ms, true, &e), "%s", e.text);
	FOREACH_AWAKE (live, &parts)
		live_link_let_out(live, storage_durable(&storage));
	FOREACH_AWAKE (live, &parts)
		live_link_press(live, now_ms);
	for (live = live_link_first_awake(&parts); live; live = next) {
		next = live_link_next_awake(live);
		live_link_rest(live, storage_durable(&storage));
	}
}

static inline void expect_said_at(const char *wanted, int line)
{
	expect_text(buf_str(&said), wanted, "said", line);
	buf_reset(&said);
}
#define expect(wanted) expect_said_at(wanted, __LINE__)

#endif
