/* live_link.c -- a live link from its start to its end; looking at it, and a message sent again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/refs.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "delivery/delivery.h"
#include "fleet/fleet.h"
#include "net/loop.h"
#include "live/generation.h"
#include "live/live_link_inside.h"
#include "delivery/roster.h"
#include "live/suspects.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/journal_live.h"
#include "store/state.h"
#include "store/state_live.h"

static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	struct live_link *live = ctx;

	return link_restore(live->link, machine, key, value, e);
}

static void tell_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	const struct live_link *live = ctx;

	log_event(LOG_ERROR, "row-set-aside", "link=%s part=%s key=%s reason=%s", live->plan->name,
		  machine, log_value(key), log_value(why));
}

/* What is not set: once, and again when that has changed, as it may be opened each minute. */
static void tell_unset(struct port *p, const struct session_login *login)
{
	const char *told = p->told_unset ? p->told_unset : "";

	if (strcmp(told, login->unset ? login->unset : "") == 0)
		return;
	free(p->told_unset);
	p->told_unset = mem_strdup(login->unset);
	if (login->unset && !(login->is_missing && p->side == NORTH))
		log_event(LOG_WARNING, "login-incomplete", "%s unset=%s", p->name, login->unset);
	if (p->is_early)
		log_event(LOG_INFO, "session-waits", "%s unset=%s reason=%s", p->name, login->unset,
			  log_value("no credentials yet: a provisioning handshake brings them"));
}

/* Give it a carrier, which is not started. */
static bool open_main(struct port *p, struct err *e)
{
	struct live_link *live = p->live;
	struct session_login login;
	bool ok;

	if (!generation_renew(live->generation, live->number, p->side, e))
		return false;
	live_link_make_login(p, &login);
	p->is_early = login.is_missing && p->side == NORTH &&
		      live->plan->side[NORTH].dialect->has_provisioning;
	tell_unset(p, &login);
	ok = live_link_open_port(p, &login, e);
	login_fini(&login);
	return ok;
}

static void tell_lack(struct port *p, const struct err *e)
{
	char *subject;

	free(p->lack);
	p->lack = mem_printf("reason=%s", log_value(e->text));
	subject = mem_printf("%s %s", p->name, p->lack);
	log_limited(LOG_ERROR, loop_now_ms(p->live->parts->loop), subject, "link-down",
		    "%s %s retry_ms=%d", p->name, p->lack, LIVE_LINK_RETRY_MS);
	free(subject);
}

/* What other brokers' clients may see of us: nothing but that it is the same link again. */
static void set_mark(struct live_link *live)
{
	const char *instance = db_instance(live->parts->db);
	struct crypto_piece pieces[] = { { instance, strlen(instance) },
					 { live->plan->name, strlen(live->plan->name) } };
	uint8_t hash[CRYPTO_HASH_BYTES];
	char mark[17];

	crypto_hash(pieces, 2, hash);
	for (size_t i = 0; i < sizeof mark / 2; i++)
		snprintf(mark + 2 * i, 3, "%02x", hash[i]);
	link_set_mark(live->link, mark);
}

/* What was sent before may come back still.  What is sent from now on will not, unless a login says otherwise. */
static void expect_5(struct live_link *live)
{
	for (int s = 0; s < SIDES; s++)
		if (!live_link_mqtt_wanted(live, (enum side)s))
			link_set_echoes(live->link, (enum side)s, ECHO_OFF);
}

struct live_link *live_link_new(const struct live_link_parts *parts, struct generation *g,
				size_t link, struct err *e)
{
	static const struct state_reader reader = { .each = restore, .aside = tell_aside };
	struct live_link *live = mem_zalloc(sizeof *live);
	const struct plan *plan = generation_plan(g, link);
	enum echo_mode echoes[SIDES];
	int wanted;

	*live = (struct live_link){ .parts = parts,
				    .generation = g,
				    .number = link,
				    .conf = &generation_conf(g)->links[link],
				    .plan = plan };
	refs_hold(plan->users);
	TAILQ_INIT(&live->ports);
	TAILQ_INIT(&live->commands);
	TAILQ_INIT(&live->taps);
	live->awake = roster_new();
	live_link_join_endpoint(live);
	live->places = places_new((size_t)live->conf->side[NORTH].connections.max,
				  live->conf->side[NORTH].connections.idle_s * INT64_C(1000));
	live->sessions_due_ms = INT64_MAX;
	for (int s = 0; s < SIDES; s++) {
		wanted = live_link_mqtt_wanted(live, (enum side)s);
		if (s == SOUTH || !plan->has_device_sessions)
			live_link_add_port(live, (enum side)s, NULL, false);
		echoes[s] = live_link_echo_mode(live, (enum side)s,
						wanted ? wanted : 4); /* it may have been that */
	}
	for (size_t i = 0; i < plan_handshake_sessions(plan); i++)
		live_link_add_port(live, NORTH, NULL, true);
	live->turn = roster_add(parts->roster, live);
	live->known_as = db_known_as(parts->db, plan->name);
	live->records = journal_live_link(parts->journal, plan->name, live);
	live->changes = state_live_new(parts->db, plan->name);
	live->link = link_new(plan, generation_executor(g), &live_link_link_ops, live, echoes);
	link_listen(live->link, false, 0); /* before the south has logged in */
	set_mark(live);
	if (state_load(parts->db, plan->name, &reader, live, e)) {
		expect_5(live);
		return live;
	}
	live_link_free(live);
	return NULL;
}

/* Both sides or none: without the other, what comes in could only wait. */
bool live_link_open(struct live_link *live)
{
	struct port *p;

	live->is_open = true;
	roster_wake(live->turn);
	TAILQ_FOREACH (p, &live->ports, entry) {
		struct err e = { 0 };

		if (p->is_provisioning || p->device)
			continue;
		free(p->lack);
		p->lack = NULL;
		if (open_main(p, &e))
			continue;
		tell_lack(p, &e);
		live->is_open = false;
	}
	if (live->is_open)
		return true;
	live->n_open_tries++;
	TAILQ_FOREACH (p, &live->ports, entry) {
		if (p->carrier)
			live->parts->port->close(p->carrier);
		p->carrier = NULL;
	}
	return false;
}

bool live_link_is_open(const struct live_link *live)
{
	return live->is_open;
}

void live_link_start_port(struct port *p)
{
	const struct port_ops *ops = p->live->parts->port;

	if (p->is_provisioning) {
		if (delivery_waiting(p->delivery))
			live_link_ask(p);
		return;
	}
	if (p->live->backpressure.is_held[p->side])
		ops->hold(p->carrier);
	if (!p->is_early)
		ops->start(p->carrier);
}

void live_link_start(struct live_link *live)
{
	struct port *p;

	roster_wake(live->turn);
	TAILQ_FOREACH (p, &live->ports, entry)
		if (!p->device)
			live_link_start_port(p);
	live->is_started = true;
	live_link_start_devices(live);
}

void live_link_take_again(void *ctx, struct record *r, struct journal_entry *entry,
			  struct journal_output *outputs, size_t n)
{
	struct live_link *live = ctx;
	struct suspects *s = live->parts->suspects;

	live->n_resumed++;
	if (live_link_keep_parked(live, r, entry, outputs, n))
		return;
	if (suspects_is_careful(s))
		suspects_hold_again(s, live, r, entry, outputs, n);
	else
		live_link_go_on(live, r, entry, outputs, n);
}

static void resend(struct live_link *live, const struct arrival *a, bool is_own,
		   struct journal_output *outputs, size_t n)
{
	struct output *out = mem_zalloc((n + 1) * sizeof *out);

	for (size_t i = 0; i < n; i++) {
		out[i] = (struct output){ .to = outputs[i].to,
					  .lane = outputs[i].lane,
					  .message = outputs[i].message,
					  .device = outputs[i].device,
					  .expires_ms = outputs[i].expires_ms,
					  .far_id = outputs[i].far_id };
		outputs[i].message = (struct message){ 0 };
		outputs[i].device = NULL;
	}
	link_resend(live->link, a, is_own, out, n);
	free(out);
}

void live_link_go_back(struct live_link *live, struct record *r, struct journal_entry *entry,
		       struct journal_output *outputs, size_t n, const struct link_away *away)
{
	struct arrival a = { .from = entry->from,
			     .device = entry->session,
			     .message = &entry->message,
			     .at_ms = entry->received_ms,
			     .since_ms = entry->since_ms,
			     .tag = r,
			     .away = away };

	roster_wake(live->turn);
	if (entry->n_crashes >= CRASH_ATTEMPTS)
		link_bury(live->link, &a, !entry->batch, DEAD_CRASH,
			  "calque ended while it worked on this, again and again");
	else if (entry->is_decided)
		resend(live, &a, !entry->batch, outputs, n);
	else
		link_receive_again(live->link, &a);
}

void live_link_go_on(struct live_link *live, struct record *r, struct journal_entry *entry,
		     struct journal_output *outputs, size_t n)
{
	live_link_go_back(live, r, entry, outputs, n, NULL);
}

void live_link_take_in(struct live_link *live, const struct arrival *a, bool is_again)
{
	roster_wake(live->turn);
	if (is_again)
		link_receive_again(live->link, a);
	else
		link_receive(live->link, a);
}

/* After a crash it waits for its turn. */
static void take_in_turn(struct live_link *live, const struct arrival *a, bool is_again)
{
	if (suspects_is_careful(live->parts->suspects))
		suspects_hold(live->parts->suspects, live, a, is_again);
	else
		live_link_take_in(live, a, is_again);
}

void live_link_receive(struct live_link *live, const struct arrival *a)
{
	take_in_turn(live, a, false);
}

static bool has_credentials(const struct fleet *fleet)
{
	bool has = false;
	size_t n;
	char **names = fleet_names(fleet, &n);

	for (size_t i = 0; i < n; i++) {
		const struct fleet_device *d = fleet_find(fleet, names[i]);

		has = has || fleet_has_credentials(d, SOUTH) || fleet_has_credentials(d, NORTH);
		free(names[i]);
	}
	free(names);
	return has;
}

/* A copy of the directory has all of them, to be read. */
static void warn_of_key(struct live_link *live)
{
	if (!generation_conf(live->generation)->state_key &&
	    has_credentials(link_fleet(live->link)))
		log_limited(LOG_WARNING, loop_now_ms(live->parts->loop), "key-beside", "key-beside",
			    "link=%s reason=%s", live->plan->name,
			    log_value("credentials of devices are sealed with a key that lies "
				      "beside them, in the state directory: state_key = a file "
				      "elsewhere"));
}

void live_link_resume(struct live_link *live)
{
	if (live->n_resumed)
		log_event(LOG_INFO, "journal-resumed", "link=%s messages=%zu", live->plan->name,
			  live->n_resumed);
	warn_of_key(live);
	link_resume(live->link, clock_now_ms());
	live_link_cut_over_all(live);
	roster_wake(live->turn);
}

void live_link_log_counters(const struct live_link *live)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(live->link, (enum flow)f);

		log_event(LOG_INFO, "counters",
			  "link=%s flow=%s received=%llu resumed=%llu delivered=%llu filtered=%llu "
			  "dead=%llu pending=%llu",
			  live->plan->name, flow_name((enum flow)f),
			  (unsigned long long)c->received, (unsigned long long)c->resumed,
			  (unsigned long long)c->delivered, (unsigned long long)c->filtered,
			  (unsigned long long)c->dead, (unsigned long long)c->pending);
	}
}

/* --- looking and steering ------------------------------------------------------------------ */

const char *live_link_name(const struct live_link *live)
{
	return live->plan->name;
}

const struct link_counters *live_link_counters(const struct live_link *live, enum flow flow)
{
	return link_counters(live->link, flow);
}

void live_link_devices(const struct live_link *live, struct link_devices *out)
{
	link_devices(live->link, out);
}

void live_link_set_ahead(struct live_link *live, int64_t ahead_ms)
{
	live->ahead_ms = ahead_ms;
	link_set_ahead(live->link, ahead_ms);
}

void live_link_void_commands(struct live_link *live)
{
	link_void_commands(live->link);
}

bool live_link_has_room(const struct live_link *live, enum side from)
{
	return live_link_held_bytes(live, from) < BACKPRESSURE_HIGH_BYTES;
}

void live_link_retry(struct live_link *live, enum side from, const char *session,
		     const struct message *m, int64_t received_ms)
{
	int64_t now_ms = loop_now_ms(live->parts->loop);
	struct record *r =
		journal_live_accept(live->records, from, session, m, received_ms, now_ms);

	take_in_turn(live,
		     &(struct arrival){ .from = from,
					.device = session,
					.message = m,
					.at_ms = received_ms,
					.since_ms = now_ms,
					.tag = r },
		     true);
}

const char *live_link_owner(const struct live_link *live, bool *is_proved)
{
	return link_owner(live->link, is_proved);
}

static void wait_for_handshake(struct port *p)
{
	if (p->carrier)
		p->live->parts->port->stop(p->carrier);
	live_link_end_connection(p, SESSION_END_OURS);
	live_link_wake_port(p);
	endpoint_leave(p->live->endpoint, &p->seat);
	places_leave(p->live->places, &p->place);
	p->uses_issued = false;
	p->is_early = true;
	if (p->device)
		live_link_device_is(p, DEVICE_LACKING);
}

bool live_link_forget(struct live_link *live, const char *name)
{
	struct port *p;

	if (!link_forget_name(live->link, name))
		return false;
	roster_wake(live->turn);
	live_link_gate_renew(live, name);
	log_event(LOG_INFO, "device-forgotten", "link=%s name=%s", live->plan->name,
		  log_value(name));
	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->uses_issued && link_credentials(live->link, p->device).len == 0)
			wait_for_handshake(p);
	return true;
}

bool live_link_sessions(const struct live_link *live, struct live_link_sessions *out)
{
	*out = live->sessions;
	return live->plan->has_device_sessions;
}

struct fleet *live_link_fleet(struct live_link *live)
{
	return link_fleet(live->link);
}

struct devices *live_link_names(struct live_link *live)
{
	return link_names(live->link);
}

const char *live_link_may_provision(const struct live_link *live)
{
	return link_may_provision(live->link);
}

const char *live_link_provision(struct live_link *live, const char *device, bool retries_lost,
				struct changes *out)
{
	return link_provision(live->link, device, retries_lost, out);
}

void live_link_provision_run(struct live_link *live, int64_t per_second, int64_t max_failures)
{
	link_provision_run(live->link, per_second, max_failures);
	roster_wake(live->turn);
}

const char *live_link_provision_stopped(const struct live_link *live)
{
	return link_provision_stopped(live->link);
}

struct jslice live_link_issued(const struct live_link *live, const char *device)
{
	return link_credentials(live->link, device);
}

/* The sessions of those that changed follow. */
void live_link_fleet_changed(struct live_link *live, struct changes *c)
{
	size_t n = 0;
	char **devices = mem_zalloc((c->n + 1) * sizeof *devices);

	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->items[i].machine, FLEET_MACHINE) == 0)
			devices[n++] = mem_strdup(c->items[i].key);
	link_fleet_changed(live->link, c);
	for (size_t i = 0; i < n; i++) {
		live_link_cut_over(live, devices[i]);
		live_link_gate_changed(live, devices[i]);
		free(devices[i]);
	}
	free(devices);
	roster_wake(live->turn);
}

void live_link_fleet_rest(struct live_link *live)
{
	link_fleet_rest(live->link);
	roster_wake(live->turn);
}

enum fleet_mode live_link_mode(const struct live_link *live)
{
	return live->plan->mode;
}

const struct port *live_link_next_port(const struct live_link *live, const struct port *after)
{
	return after ? TAILQ_NEXT(after, entry) : TAILQ_FIRST(&live->ports);
}

void live_link_look_at_port(const struct port *p, struct live_link_port *out)
{
	*out = (struct live_link_port){
		.side = p->side,
		.device = p->device,
		.is_provisioning = p->is_provisioning,
		.url = p->live->conf->side[p->side].url,
		.waiting = live_link_waiting(p),
		.in_flight = delivery_in_flight(p->delivery),
		.bytes = live_link_bytes(p),
		.oldest_ms = live_link_oldest_ms(p),
		.is_parked = p->device && live_link_is_parked(p),
		.window = p->window,
		.per_second = p->per_second,
		.packet_bytes = p->packet_bytes,
		.is_late = p->acks.is_late,
	};
	if (p->carrier)
		p->live->parts->port->status(p->carrier, &out->carrier);
	else if (p->device)
		out->carrier = (struct port_status){ .phase = p->phase == DEVICE_ASLEEP ? "asleep"
											: "lacking",
						     .why = p->lack ? p->lack : "",
						     .mqtt = live_link_mqtt_version(p) };
	else if (!p->is_provisioning && !p->live->is_open)
		out->carrier = (struct port_status){
			.phase = "lacking",
			.attempts = p->live->n_open_tries,
			.why = p->lack ? p->lack : "reason=\"the other side cannot be opened\"",
			.mqtt = live_link_mqtt_version(p),
		};
}

void live_link_free(struct live_link *live)
{
	struct port *p;

	live_link_end_commands(live);
	taps_end(&live->taps);
	while ((p = TAILQ_FIRST(&live->ports)) != NULL)
		live_link_free_port(p);
	for (int s = 0; s < SIDES; s++)
		map_fini(&live->of_device[s], NULL);
	roster_free(live->awake);
	endpoint_part(live->endpoint, &live->shares);
	places_free(live->places);
	link_free(live->link);
	roster_remove(live->turn);
	state_live_free(live->changes);
	refs_drop(live->plan->users);
	free(live->known_as);
	free(live);
}

void live_link_end(struct live_link *live)
{
	struct journal_live_link *records = live->records;

	live->is_closing = true;
	live_link_free(live);
	journal_live_unlink(records);
}

void live_link_adopt(struct live_link *live, struct generation *g, size_t link)
{
	live->generation = g;
	live->number = link;
	live->conf = &generation_conf(g)->links[link];
}
