/* line.c -- a line from its start to its end; looking at it, and a message sent again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "link/delivery.h"
#include "net/loop.h"
#include "run/line_inside.h"
#include "run/records.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/state.h"

#define MESSAGE_BYTES                                                                              \
	(64u << 20) /* what is larger is a dead letter; how many wait: link/pressure.h */

static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	struct line *line = ctx;

	return link_restore(line->link, machine, key, value, e);
}

static void init_peer(struct peer *p, struct line *line, enum side side, bool is_provisioning)
{
	const struct dialect *d = line->plan->side[side].dialect;
	unsigned window = DELIVERY_WINDOW;

	if (d->limits.in_flight && d->limits.in_flight < DELIVERY_WINDOW)
		window = (unsigned)d->limits.in_flight;
	*p = (struct peer){ .line = line, .side = side, .is_provisioning = is_provisioning };
	p->name = mem_printf("link=%s side=%s%s", line->plan->name, side_name(side),
			     is_provisioning ? " session=provisioning" : "");
	p->delivery = delivery_new(window, MESSAGE_BYTES);
	pace_init(&p->pace, d->limits.messages_per_second);
}

static bool open_peer(struct peer *p, struct err *e)
{
	struct line *line = p->line;
	struct jslice issued =
		p->side == NORTH ? link_credentials(line->link) : (struct jslice){ 0 };
	const char *instance = db_instance(line->parts->db);
	struct session_login login;

	login_make(&login, line->plan, &line->conf->side[p->side], p->side, false,
		   (struct jslice){ 0 }, instance);
	if (login.is_missing && issued.len) {
		login_fini(&login);
		login_make(&login, line->plan, &line->conf->side[p->side], p->side, false, issued,
			   instance);
		line->uses_issued = true;
	}
	if (login.unset && !(login.is_missing && p->side == NORTH))
		log_event(LOG_WARNING, "login-incomplete", "%s unset=%s", p->name, login.unset);
	p->session = line_make_session(p, &login, e);
	if (p->session && login.is_missing && p->side == NORTH &&
	    line->plan->side[NORTH].dialect->has_provisioning)
		log_event(LOG_INFO, "session-waits", "%s unset=%s reason=%s", p->name, login.unset,
			  log_value("no credentials yet: a provisioning handshake brings them"));
	else if (p->session)
		session_start(p->session);
	login_fini(&login);
	return p->session != NULL;
}

/* What other brokers' clients may see of us: nothing but that it is the same link again. */
static void set_mark(struct line *line)
{
	const char *instance = db_instance(line->parts->db);
	struct crypto_piece pieces[] = { { instance, strlen(instance) },
					 { line->plan->name, strlen(line->plan->name) } };
	uint8_t hash[CRYPTO_HASH_BYTES];
	char mark[17];

	crypto_hash(pieces, 2, hash);
	for (size_t i = 0; i < sizeof mark / 2; i++)
		snprintf(mark + 2 * i, 3, "%02x", hash[i]);
	link_set_mark(line->link, mark);
}

struct line *line_new(const struct line_parts *parts, const struct conf_link *conf,
		      const struct plan *plan, struct err *e)
{
	struct line *line = mem_zalloc(sizeof *line);
	bool echoes[SIDES];

	*line = (struct line){ .parts = parts, .conf = conf, .plan = plan };
	for (int s = 0; s < SIDES; s++) {
		init_peer(&line->peer[s], line, (enum side)s, false);
		echoes[s] = line_mqtt_version(line, (enum side)s) < 5; /* MQTT 5 has No Local */
	}
	init_peer(&line->provisioning, line, NORTH, true);
	line->records = records_link(parts->records, plan->name, line);
	line->link = link_new(plan, parts->translator, &line_link_ops, line, echoes);
	set_mark(line);
	if (state_load(parts->db, plan->name, restore, line, e))
		return line;
	line_free(line);
	return NULL;
}

bool line_open(struct line *line)
{
	struct err e = { 0 };

	for (int s = 0; s < SIDES; s++)
		if (!open_peer(&line->peer[s], &e)) {
			log_event(LOG_ERROR, "session-failed", "%s reason=%s", line->peer[s].name,
				  log_value(e.text));
			return false;
		}
	return true;
}

void line_take_again(void *ctx, struct record *r, struct journal_entry *entry,
		     struct journal_output *outputs, size_t n)
{
	struct line *line = ctx;
	struct output *out = mem_zalloc((n + 1) * sizeof *out);

	line->n_resumed++;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct output){ .to = outputs[i].to,
					  .lane = outputs[i].lane,
					  .message = outputs[i].message };
		outputs[i].message = (struct message){ 0 };
	}
	if (entry->is_decided)
		link_resend(line->link, entry->from, !entry->batch, entry->received_ms, out, n, r);
	else
		link_receive_again(line->link, entry->from, &entry->message, entry->received_ms, r);
	free(out);
}

void line_resume(struct line *line)
{
	if (line->n_resumed)
		log_event(LOG_INFO, "journal-resumed", "link=%s messages=%zu", line->plan->name,
			  line->n_resumed);
	link_resume(line->link, clock_now_ms());
}

void line_log_counters(const struct line *line)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(line->link, (enum flow)f);

		log_event(LOG_INFO, "counters",
			  "link=%s flow=%s received=%llu resumed=%llu delivered=%llu filtered=%llu "
			  "dead=%llu pending=%llu",
			  line->plan->name, flow_name((enum flow)f),
			  (unsigned long long)c->received, (unsigned long long)c->resumed,
			  (unsigned long long)c->delivered, (unsigned long long)c->filtered,
			  (unsigned long long)c->dead, (unsigned long long)c->pending);
	}
}

/* --- looking and steering ------------------------------------------------------------------ */

const char *line_name(const struct line *line)
{
	return line->plan->name;
}

const struct link_counters *line_counters(const struct line *line, enum flow flow)
{
	return link_counters(line->link, flow);
}

bool line_has_room(const struct line *line, enum side from)
{
	return line_held_bytes(line, from) < PRESSURE_HIGH_BYTES;
}

void line_retry(struct line *line, enum side from, const struct message *m, int64_t received_ms)
{
	struct record *r =
		records_accept(line->records, from, m, received_ms, loop_now_ms(line->parts->loop));

	link_receive_again(line->link, from, m, received_ms, r);
}

bool line_session(const struct line *line, size_t i, struct line_session *out)
{
	const struct peer *const peers[] = { &line->peer[SOUTH], &line->peer[NORTH],
					     &line->provisioning };
	const struct peer *p;

	if (i >= sizeof peers / sizeof peers[0])
		return false;
	p = peers[i];
	*out = (struct line_session){
		.side = p->side,
		.is_provisioning = p->is_provisioning,
		.url = line->conf->side[p->side].url,
		.waiting = delivery_waiting(p->delivery),
		.in_flight = delivery_in_flight(p->delivery),
		.bytes = delivery_bytes(p->delivery),
	};
	if (p->session)
		session_status(p->session, &out->session);
	return true;
}

static void free_peer(struct peer *p)
{
	struct parcel parcel;

	if (p->session)
		session_free(p->session);
	if (p->delivery) {
		delivery_reset(p->delivery);
		while (delivery_pop(p->delivery, &parcel))
			line_end_parcel(p, &parcel, DEAD_QUEUE_FULL, "the bridge was stopped");
		delivery_free(p->delivery);
	}
	free(p->name);
}

void line_free(struct line *line)
{
	for (int s = 0; s < SIDES; s++)
		free_peer(&line->peer[s]);
	free_peer(&line->provisioning);
	link_free(line->link);
	free(line);
}
