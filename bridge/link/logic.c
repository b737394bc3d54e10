/* logic.c -- what the bridge itself knows of each kind: pairing, twins, presence, provisioning. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "link/link_inside.h"
#include "state/presence.h"
#include "handshake/provision.h"
#include "state/twin.h"

/* --- fields of bodies ---------------------------------------------------------------------- */

static bool body_is(const struct canonical *p, const char *key, const char *word)
{
	struct jslice v;

	return jtext_field(canonical_body(p), key, &v) && jtext_string_is(v, word);
}

static bool body_true(const struct canonical *p, const char *key)
{
	return jtext_is_true(canonical_body(p), key);
}

/* --- the bridge's own logic, kind by kind -------------------------------------------------- */

/* The bridge's own logic of one kind; the table of all is at the end. */
struct logic {
	/* A message came: `t` is the task that read `p`. */
	void (*take)(struct task *t, struct canonical *p);
	/* Answer a request that the other side cannot be asked, or has not answered, from what the bridge
	 * knows.  NULL: it knows nothing. */
	void (*answer)(struct link *l, struct intake *in, enum side caller,
		       const struct canonical *request, const char *reply_topic);
};
static const struct logic logic[KINDS];

/* `t` is the task that read `p`. */
static enum side source(const struct task *t)
{
	return t->job.side;
}

static void filtered(struct task *t, enum outcome reason)
{
	link_refuse(t->intake, reason, NULL);
}

/* An alarm that is read from a message beside other things is a state, of which only a change is a
 * message; one that has a message of its own always is. */
static void on_alarm(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	bool active = body_true(p, "active");
	bool is_change = registry_admit(l, p->device)
				 ? presences_set_alarm(l->presences, p->device, active, &l->changes)
				 : active;

	if (is_change || t->intake->n_readers == 1)
		link_write_canonical(l, t->intake, NORTH, p);
	else
		filtered(t, FILTERED_NO_CHANGE);
}

/* The fields of the request but for those of `but`, each with a comma behind. */
static void put_fields(struct buf *out, const struct canonical *request, const char *but)
{
	struct jfield f;
	size_t pos = 0;

	while (jtext_next_field(canonical_body(request), &pos, &f)) {
		if (jtext_string_is(f.key, but))
			continue;
		buf_append(out, f.key.text, f.key.len);
		buf_putc(out, ':');
		buf_append(out, f.value.text, f.value.len);
		buf_putc(out, ',');
	}
}

/* The body of an error reply, in the common tongue. */
static void put_error(struct buf *out, enum kind reply, const struct canonical *request,
		      const char *text)
{
	buf_putc(out, '{');
	if (kind_table[reply].error_has_request)
		put_fields(out, request, "error");
	buf_puts(out, kind_table[reply].error);
	jtext_put_string(out, text, strlen(text));
	buf_putc(out, '}');
}

/* Does the asker wait for a reply, and can be given one? */
static bool wants_reply(const struct link *l, enum side caller, const struct canonical *request,
			const char *reply_topic)
{
	if (!request->id && !reply_topic && kind_table[request->kind].is_one_way)
		return false;
	return plan_writer(l->plan, caller, kind_table[request->kind].reply);
}

bool logic_send_error(struct link *l, struct intake *in, enum side caller,
		      const struct canonical *request, const char *reply_topic, const char *text)
{
	enum kind kind = kind_table[request->kind].reply;
	struct canonical reply = { .kind = kind, .device = request->device, .id = request->id };
	struct buf body = { 0 };

	/* No dialect can say that these failed, but the bridge knows something itself. */
	if (logic[request->kind].answer) {
		logic[request->kind].answer(l, in, caller, request, reply_topic);
		return false;
	}
	if (!wants_reply(l, caller, request, reply_topic))
		return false;
	put_error(&body, kind, request, text);
	reply.body = body.data;
	reply.body_len = body.len;
	link_write_reply(l, in, caller, &reply, request, reply_topic);
	buf_fini(&body);
	return true;
}

static const char *why_not_written(size_t n_refused)
{
	return n_refused ? "it cannot be carried to the other platform" : "the mapping filtered it";
}

void logic_send_answer(struct link *l, struct intake *in, enum side caller,
		       const struct canonical *request, const char *reply_topic, const char *answer)
{
	struct canonical reply = {
		.kind = kind_table[request->kind].reply,
		.device = request->device,
		.id = request->id,
		.body = (char *)answer,
		.body_len = strlen(answer),
	};

	if (wants_reply(l, caller, request, reply_topic))
		link_write_reply(l, in, caller, &reply, request, reply_topic);
}

/* A request was written, or could not be: then its asker is told at once.  So is one whom the far platform
 * never answers, but not of a command: it may yet get too old, so its answer waits until it is delivered. */
static void after_request(struct task *t, size_t n_sent, size_t n_refused)
{
	struct link *l = t->link;
	const struct canonical *far = &t->job.plain;
	const struct pairing *pairing;

	if (n_sent > 0 && (!t->answered || t->waits))
		return;
	pairing = pairings_find(l->pairings, far->device, far->kind, t->caller, far->id);
	if (!pairing)
		return;
	if (n_sent > 0)
		logic_send_answer(l, t->intake, t->caller, &pairing->request, pairing->reply_topic,
				  t->answered);
	else
		logic_send_error(l, t->intake, t->caller, &pairing->request, pairing->reply_topic,
				 why_not_written(n_refused));
	pairings_close(l->pairings, pairing, &l->changes);
}

static void after_answered(struct task *t, size_t n_sent, size_t n_refused)
{
	const struct canonical *request = &t->job.plain;
	const struct row *row = plan_writer(t->link->plan, t->job.side, request->kind);

	if (n_sent > 0)
		logic_send_answer(t->link, t->intake, t->caller, request, t->answer_topic,
				  t->answered ? t->answered : row->answered);
	else
		logic_send_error(t->link, t->intake, t->caller, request, t->answer_topic,
				 why_not_written(n_refused));
}

/* From when on a command is too old to be obeyed; 0: it is none. */
static int64_t expiry(const struct task *t, const struct canonical *p)
{
	const struct intake *in = t->intake;
	double ts = p->ts ? strtod(p->ts, NULL) - (double)t->link->ahead_ms : 0;
	int64_t born_ms = in->since_ms;
	bool is_tried_again =
		in->since_ms > in->at_ms; /* somebody wants it now, whatever its time */

	if (p->kind != KIND_COMMAND)
		return 0;
	if (t->link->voids_commands && in->origin == ORIGIN_AGAIN)
		return EXPIRED_MS;
	if (p->ts && !is_tried_again &&
	    ts < (double)born_ms) /* a sender's clock that is ahead makes nothing younger */
		born_ms = ts > 0 ? (int64_t)ts : 0;
	return born_ms + t->link->plan->command_max_age_ms;
}

/* Too old when it came.  (One that gets too old while it waits: link_expire().) */
static bool is_expired(const struct task *t, const struct canonical *p)
{
	int64_t expires_ms = expiry(t, p);

	return expires_ms && expires_ms <= t->link->now_ms;
}

static void refuse_expired(struct task *t, const struct canonical *p, const char *answer_topic)
{
	if (!logic_send_error(t->link, t->intake, source(t), p, answer_topic, "expired"))
		link_refuse(t->intake, DEAD_EXPIRED, "older than command_max_age");
}

/* A caller that lost its connection, or the acknowledgement, asks again what it asked before: under the far id that
 * it has, so that whoever does it knows that it did, and not at all while the first is still on its way there. */
static const struct pairing *find_repeated(struct task *t, const struct canonical *p)
{
	struct pairings *pairings = t->link->pairings;
	uint64_t login = t->intake->login;
	const struct pairing *found =
		pairings_repeated(pairings, p, source(t), login, t->intake->is_dup);

	if (found)
		pairings_asked(pairings, found, login);
	return found;
}

static const struct pairing *open_pairing(struct task *t, const struct canonical *p,
					  const struct row *row, const char *answer_topic)
{
	struct link *l = t->link;
	int64_t deadline_ms = l->now_ms + l->plan->request_timeout_ms[source(t)];
	const struct pairing *pairing = pairings_open(l->pairings, p, source(t), row->id,
						      answer_topic, deadline_ms, &l->changes);

	pairings_asked(l->pairings, pairing, t->intake->login);
	if (intakes_are_followed(l))
		intake_tell(l, t->intake,
			    (struct link_step){ .what = LINK_PAIRED,
						.kind = p->kind,
						.device = p->device,
						.far_id = pairing->far_id });
	return pairing;
}

static void write_request(struct task *t, const struct canonical *p, const struct pairing *pairing)
{
	struct link *l = t->link;
	bool waits = wants_reply(l, source(t), p, pairing->reply_topic);
	int64_t expires_ms = expiry(t, p);
	struct canonical far = *p;

	/* Whoever has been told of a time-out does not want it done any more. */
	if (waits && pairing->deadline_ms < expires_ms)
		expires_ms = pairing->deadline_ms;
	far.id = pairing->far_id;
	link_write(l, t->intake,
		   &(struct link_write){ .to = side_other(source(t)),
					 .plain = &far,
					 .after = after_request,
					 .caller = source(t),
					 .waits = waits && expires_ms,
					 .expires_ms = expires_ms });
}

static void ask(struct task *t, const struct canonical *p, const struct row *row,
		const char *answer_topic)
{
	const struct pairing *pairing = find_repeated(t, p);

	if (pairing && pairing->n_underway > 0)
		filtered(t, FILTERED_REPEATED);
	else
		write_request(t, p, pairing ? pairing : open_pairing(t, p, row, answer_topic));
}

static void on_request(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	enum side to = side_other(source(t));
	const struct row *row = plan_writer(l->plan, to, p->kind);
	const struct row *asker = plan_asker(l->plan, to, p->kind);
	char *answer_topic = link_answer_topic(t, p);

	if (is_expired(t, p)) {
		refuse_expired(t, p, answer_topic);
	} else if (!row && logic[p->kind].answer) {
		logic[p->kind].answer(l, t->intake, source(t), p, answer_topic);
	} else if (!row) {
		link_refuse(t->intake, DEAD_NO_COUNTERPART, kind_name(p->kind));
		logic_send_error(l, t->intake, source(t), p, answer_topic,
				 "the other platform has no such request");
	} else if (!asker && p->kind != KIND_COMMAND) {
		link_write(l, t->intake,
			   &(struct link_write){ .to = to,
						 .plain = p,
						 .after = after_answered,
						 .caller = source(t),
						 .answer_topic = answer_topic });
	} else {
		ask(t, p, asker ? asker : row, answer_topic);
	}
	free(answer_topic);
}

/* Asks for messages, not for a reply.  A platform that has no snapshots is asked for attributes. */
static void on_snapshot_request(struct task *t, struct canonical *p)
{
	const struct plan *plan = t->link->plan;
	const struct row *row = plan_writer(plan, NORTH, p->kind);

	if (!row)
		logic_send_snapshot(t->link, t->intake, p->device);
	else if (plan_reader(plan, NORTH, KIND_ATTRIBUTES_REPLY))
		ask(t, p, row, NULL);
	else
		link_write_canonical(t->link, t->intake, NORTH, p);
}

const struct pairing *logic_pairing(const struct task *t, const struct canonical *p)
{
	const struct pairings *pairings = t->link->pairings;
	enum side caller = side_other(source(t));
	const struct kind_info *kind = &kind_table[p->kind];
	const struct pairing *found =
		pairings_find(pairings, p->device, kind->request, caller, p->id);

	if (!found && kind->also_answers)
		found = pairings_find(pairings, p->device, kind->also_answers, caller, p->id);
	return found;
}

static void on_reply(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	const struct pairing *pairing = logic_pairing(t, p);
	bool is_final = !kind_table[p->kind].has_progress || !body_is(p, "status", "in_progress");
	struct canonical near = *p;

	if (!pairing) {
		if (greeting_is_lost(t, p))
			filtered(t, FILTERED_ONE_WAY);
		else if (link_mode_at(l, p->device, t->intake->since_ms) == FLEET_MIRROR)
			filtered(t,
				 FILTERED_MIRROR); /* it answers the platform that is tried out */
		else
			link_refuse(t->intake, DEAD_UNKNOWN_ID, "nobody asked, or the time is up");
		return;
	}
	near.id = pairing->request.id;
	if (pairing->is_own)
		is_final = greeting_take_answer(t, p, pairing->request.kind);
	else if (pairing->request.kind == KIND_SNAPSHOT_REQUEST)
		logic_take_snapshot(t, p);
	else if (wants_reply(l, pairing->caller, &pairing->request, pairing->reply_topic))
		link_write_reply(l, t->intake, pairing->caller, &near, &pairing->request,
				 pairing->reply_topic);
	else
		filtered(t, FILTERED_ONE_WAY);
	if (is_final)
		pairings_close(l->pairings, pairing, &l->changes);
	else if (!pairing->is_own)
		pairings_extend(l->pairings, pairing,
				l->now_ms + l->plan->request_timeout_ms[pairing->caller],
				&l->changes);
}

/* --- configuration */

void logic_confirm(struct link *l, struct intake *in, const char *device, const char *id,
		   const struct buf *body)
{
	struct canonical p = { .kind = KIND_CONFIG_REPLY,
			       .device = (char *)device,
			       .id = (char *)id,
			       .body = body->data,
			       .body_len = body->len };

	link_write_canonical(l, in, NORTH, &p);
}

/* What could not be written will not get there.  Of a push that the south's dialect cannot say (a deletion,
 * often) nobody will hear again. */
static void after_config(struct task *t, size_t n_sent, size_t n_refused)
{
	struct link *l = t->link;
	const char *device = t->job.plain.device;
	int64_t version = link_config_version(&t->job.plain);
	struct buf reply = { 0 };

	if (n_refused > 0)
		twins_failed(l->twins, device, version, false, l->now_ms, &l->changes);
	if (n_sent > 0 || n_refused > 0)
		return;
	twins_unsendable(l->twins, device, version, l->now_ms, &l->changes, &reply);
	if (t->waits && reply.len)
		logic_confirm(l, t->intake, device, NULL, &reply);
	buf_fini(&reply);
}

void logic_send_failed(struct link *l, struct intake *in, const char *device)
{
	struct canonical config = { .kind = KIND_CONFIG, .device = mem_strdup(device) };
	struct buf body = { 0 };

	if (plan_writer(l->plan, SOUTH, KIND_CONFIG) && link_mode(l, device) == FLEET_LIVE &&
	    twins_send_failed(l->twins, device, l->now_ms, &l->changes, &body)) {
		config.body = body.data;
		config.body_len = body.len;
		link_write(l, in,
			   &(struct link_write){
				   .to = SOUTH, .plain = &config, .after = after_config });
	}
	free(config.device);
	buf_fini(&body);
}

/* To a mirror's device nothing is sent: what was said is held as what has not got there. */
static void learn(struct task *t, const struct canonical *config)
{
	struct link *l = t->link;

	twins_failed(l->twins, config->device, link_config_version(config), false, l->now_ms,
		     &l->changes);
	filtered(t, FILTERED_MIRROR);
}

static void push(struct task *t, const struct canonical *p, const struct buf *body, bool waits)
{
	struct canonical config = *p;

	config.body = body->data;
	config.body_len = body->len;
	if (link_mode_at(t->link, p->device, t->intake->since_ms) == FLEET_MIRROR) {
		learn(t, &config);
		return;
	}
	link_write(t->link, t->intake,
		   &(struct link_write){
			   .to = SOUTH, .plain = &config, .after = after_config, .waits = waits });
}

/* What the platform says of a device is held, however many there are. */
static bool take_push(struct link *l, const char *device, const struct twin_said *said,
		      enum twin_outcome *outcome, struct buf *text, struct err *e)
{
	registry_note(l, device);
	return twins_push(l->twins, device, said, &l->changes, outcome, text, e);
}

void logic_push(struct task *t, const struct canonical *p, struct jslice body)
{
	struct link *l = t->link;
	struct twin_said said = { .body = body, .at_ms = l->now_ms };
	struct canonical config = { .kind = KIND_CONFIG, .device = p->device };
	enum twin_outcome outcome;
	struct buf text = { 0 };
	struct err e = { 0 };

	if (!take_push(l, p->device, &said, &outcome, &text, &e))
		link_refuse(t->intake, logic_twin_reason(&e), e.text);
	else if (outcome == TWIN_CHANGES)
		push(t, &config, &text, false);
	else
		filtered(t, FILTERED_NO_CHANGE);
	buf_fini(&text);
}

enum outcome logic_twin_reason(const struct err *e)
{
	return e->code == ERR_LIMIT ? DEAD_TOO_LARGE : DEAD_WRONG_SHAPE;
}

static void on_config(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	struct twin_said said = {
		.body = canonical_body(p),
		.at_ms = t->intake->at_ms,
		.is_again = t->intake->since_ms > t->intake->at_ms,
		/* Whoever gives or has a Response Topic waits for a word. */
		.waits = (t->response_topic || t->reader->row->response_topic) &&
			 plan_writer(l->plan, NORTH, KIND_CONFIG_REPLY),
	};
	static const enum outcome reasons[] = { [TWIN_SAME] = FILTERED_NO_CHANGE,
						[TWIN_ECHO] = FILTERED_ECHO,
						[TWIN_SUPERSEDED] = FILTERED_SUPERSEDED };
	enum twin_outcome outcome = TWIN_SAME;
	struct buf text = { 0 };
	struct err e = { 0 };

	if (!plan_writer(l->plan, SOUTH, KIND_CONFIG))
		link_refuse(t->intake, DEAD_NO_COUNTERPART, kind_name(p->kind));
	else if (greeting_is_known(t, p))
		filtered(t, FILTERED_NO_CHANGE);
	else if (!take_push(l, p->device, &said, &outcome, &text, &e))
		link_refuse(t->intake, logic_twin_reason(&e), e.text);
	else if (outcome == TWIN_CHANGES)
		push(t, p, &text, said.waits);
	else if (outcome == TWIN_ANSWER)
		logic_confirm(l, t->intake, p->device, NULL, &text);
	else
		filtered(t, reasons[outcome]);
	buf_fini(&text);
}

static void on_config_reply(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	bool is_remembered = registry_admit(l, p->device);
	struct changes none = { 0 };
	struct buf reply = { 0 };
	struct err e = { 0 };

	if (!twins_confirm(l->twins, p->device, canonical_body(p), l->now_ms,
			   is_remembered ? &l->changes : &none, &reply, &e))
		link_refuse(t->intake, DEAD_WRONG_SHAPE, e.text);
	else
		logic_confirm(l, t->intake, p->device, p->id, &reply);
	if (!is_remembered)
		twins_forget(l->twins, p->device, &none);
	changes_fini(&none);
	buf_fini(&reply);
}

/* Attributes on a row that gives back what was pushed; `remap` may pass them as telemetry. */
static void on_attributes(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	struct buf news = { 0 }, rest = { 0 }, reply = { 0 };
	bool is_confirmed = false;

	logic_drop_carried(l, p->device, canonical_body(p), &news);
	twins_echo(l->twins, p->device, (struct jslice){ news.data, news.len }, l->now_ms,
		   &l->changes, &rest, &is_confirmed, &reply);
	if (is_confirmed && plan_writer(l->plan, NORTH, KIND_CONFIG_REPLY))
		logic_confirm(l, t->intake, p->device, NULL, &reply);
	if (strcmp(buf_str(&rest), "{}") != 0) {
		canonical_set_body(p, rest.data, rest.len);
		if (kind_table[p->kind].is_kept)
			logic_note_attributes(l, p);
		link_write_canonical(l, t->intake, NORTH, p);
	} else {
		filtered(t, FILTERED_ECHO); /* unless something of it goes on */
	}
	buf_fini(&news);
	buf_fini(&rest);
	buf_fini(&reply);
}

/* --- provisioning */

/* The session's own provisioning key replaces the device's, if set. */
static void replace_key(const struct plan *plan, struct canonical *p)
{
	const char *const fields[][2] = {
		{ "provision_key", plan->provision_key },
		{ "provision_secret", plan->provision_secret },
		{ "device_name", plan->has_device_sessions ? NULL : plan->provision_name }
	};
	json_object *body = jtext_tree(p->body, p->body_len, NULL);
	struct buf text = { 0 };

	for (size_t i = 0; body && i < sizeof fields / sizeof fields[0]; i++)
		if (fields[i][1])
			json_object_object_add(body, fields[i][0],
					       json_object_new_string(fields[i][1]));
	if (body) {
		jtext_tree_put(&text, body);
		canonical_set_body(p, text.data, text.len);
	}
	json_object_put(body);
	buf_fini(&text);
}

/* The question is kept in the state until it is answered or its time is up: it is in good hands.  One
 * that cannot be put is answered at once. */
static void after_ask(struct task *t, size_t n_sent, size_t n_refused)
{
	static const char failure[] = "{\"status\":\"FAILURE\",\"message\":\"the other platform "
				      "cannot be asked for this\"}";
	struct link *l = t->link;
	struct provision_terms terms = link_provision_terms(l);
	struct provision_actions acts = { 0 };

	if (n_sent > 0 && n_refused == 0)
		t->intake->is_well = true;
	if (n_sent == 0 && provisions_reply(l->provisions, &terms, t->session,
					    (struct jslice){ failure, sizeof failure - 1 },
					    &l->changes, &acts, NULL))
		logic_provision(l, t->intake, &acts);
}

static void tell_refusal(const struct link *l, const struct canonical *request, const char *why)
{
	struct buf name = { 0 };
	struct jslice v;

	if (jtext_field(canonical_body(request), "device_name", &v))
		jtext_string_decode(v, &name);
	if (l->ops.handshake_refused)
		l->ops.handshake_refused(l->ctx, name.len ? name.data : NULL, why);
	buf_fini(&name);
}

void logic_provision(struct link *l, struct intake *in, struct provision_actions *acts)
{
	for (size_t i = 0; i < acts->n; i++) {
		struct provision_action *a = &acts->items[i];

		switch (a->act) {
		case PROVISION_ASK:
			provisioning_asked(l, a->message.device);
			replace_key(l->plan, &a->message);
			link_write(l, in,
				   &(struct link_write){ .to = NORTH,
							 .plain = &a->message,
							 .after = after_ask,
							 .session = a->session });
			break;
		case PROVISION_ANSWER:
			if (a->refusal)
				tell_refusal(l, &a->request, a->refusal);
			provisioning_ended(l, a);
			if (!a->is_own)
				link_write_reply(l, in, SOUTH, &a->message, &a->request,
						 a->reply_topic);
			break;
		case PROVISION_LOGIN:
			if (l->plan->has_front_door && !l->plan->is_single)
				fleet_name(l->fleet, a->message.device, FLEET_HANDSHAKE,
					   &l->changes);
			l->ops.login(l->ctx, a->message.device, canonical_body(&a->message));
			break;
		case PROVISION_TRY:
			in->is_well = true; /* whatever comes of it, who asked is told */
			l->ops.try_login(l->ctx, a->session, a->message.device,
					 canonical_body(&a->message));
			break;
		case PROVISION_CLOSE:
			l->ops.end_provisioning(l->ctx, a->session);
			break;
		case PROVISION_DISTRUST:
			provisioning_distrusted(l);
			break;
		}
	}
	provision_actions_fini(acts);
}

/* The id by which the south knows the device: as configured, or one that it will always get. */
static void put_south_id(const struct link *l, const struct canonical *p, struct buf *out)
{
	const char *own = vars_get(&l->plan->side[SOUTH].vars, "device");
	struct jslice name;
	struct buf seed = { 0 };
	char uuid[CRYPTO_UUID_CHARS + 1];

	if (own) {
		buf_puts(out, own);
		return;
	}
	buf_printf(&seed, "%s/", l->plan->name);
	if (!jtext_field(canonical_body(p), "device_name", &name) ||
	    !jtext_string_decode(name, &seed))
		buf_puts(&seed, p->device);
	crypto_uuid_of(buf_str(&seed), uuid);
	buf_puts(out, uuid);
	buf_fini(&seed);
}

/* Does the request, its topic or its session say which device asks? */
static bool is_named(const struct task *t, const struct canonical *p)
{
	struct jslice name;

	if (jtext_field(canonical_body(p), "device_name", &name) &&
	    jtext_type_of(name) == JTEXT_STRING && !jtext_string_is(name, ""))
		return true;
	return t->device || t->job.device || strcmp(p->device, t->link->plan->device) != 0;
}

static const char no_name[] =
	"it says no device_name, and this link has many devices, each with a session of its own";

/* Whose topic or session it came on; NULL: those of any device. */
static const char *asker_of(const struct task *t)
{
	return t->device ? t->device : t->job.device;
}

/* Who provisions at a front door, or where all devices share a broker, has no session of his own yet: which of many he
 * is, only the request says. */
static void take_name(const struct task *t, struct canonical *p)
{
	const struct plan *plan = t->link->plan;
	struct jslice v;
	struct buf name = { 0 };

	if (plan->is_single || asker_of(t) || !(plan->has_front_door || plan->has_device_sessions))
		return;
	if (jtext_field(canonical_body(p), "device_name", &v) && jtext_string_decode(v, &name) &&
	    name.len > 0) {
		free(p->device);
		p->device = buf_take(&name);
	}
	buf_fini(&name);
}

/* One who does not say it would be given what another got who did not either. */
static bool is_nobody(const struct task *t, const struct canonical *p)
{
	return t->link->plan->has_device_sessions && !is_named(t, p);
}

static void on_provision(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	struct provision_terms terms = link_provision_terms(l);
	struct provision_actions acts = { 0 };
	struct buf id = { 0 };
	char *answer_topic;

	take_name(t, p);
	answer_topic = link_answer_topic(t, p);
	if (!plan_writer(l->plan, NORTH, p->kind)) {
		link_refuse(t->intake, DEAD_NO_COUNTERPART, kind_name(p->kind));
		logic_send_error(l, t->intake, SOUTH, p, answer_topic,
				 "the other platform registers devices in another way");
	} else if (is_nobody(t, p)) {
		t->intake->is_well =
			logic_send_error(l, t->intake, SOUTH, p, answer_topic, no_name);
		if (l->ops.handshake_refused)
			l->ops.handshake_refused(l->ctx, NULL, no_name);
	} else {
		put_south_id(l, p, &id);
		t->intake->is_well = true; /* it is kept in the state */
		provisions_request(l->provisions, &terms,
				   &(struct provision_question){ .request = p,
								 .is_named = is_named(t, p),
								 .asker = asker_of(t),
								 .reply_topic = answer_topic,
								 .south_device_id = buf_str(&id) },
				   &l->changes, &acts);
		logic_provision(l, t->intake, &acts);
	}
	free(answer_topic);
	buf_fini(&id);
}

/* One that is received once more (a dead letter that is tried again; after a crash, when all goes one at a time) finds
 * another question open, if any. */
static const char too_late[] = "an answer of a handshake that was asked again since, or has ended";

static void on_provision_reply(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	struct provision_terms terms = link_provision_terms(l);
	struct provision_actions acts = { 0 };
	bool is_again = t->intake->origin == ORIGIN_AGAIN;
	struct err e = { 0 };

	if (is_again && !t->intake->is_answer_again)
		link_refuse(t->intake, DEAD_UNKNOWN_ID, too_late);
	else if (!provisions_reply(l->provisions, &terms,
				   is_again ? PROVISION_NO_SESSION : t->intake->session,
				   canonical_body(p), &l->changes, &acts, &e))
		link_refuse(t->intake, DEAD_UNKNOWN_ID, e.text);
	logic_provision(l, t->intake, &acts);
	link_answer_heard(l, t->intake);
}

/* --- by kind ------------------------------------------------------------------------------- */

static void answer_snapshot(struct link *l, struct intake *in, enum side caller,
			    const struct canonical *request, const char *reply_topic)
{
	(void)caller;
	(void)reply_topic;
	logic_send_snapshot(l, in, request->device);
}

static const struct logic logic[KINDS] = {
	[KIND_FIRMWARE] = { greeting_take_notice },
	[KIND_LICENSE] = { greeting_take_notice },
	[KIND_SPACE_INFO] = { greeting_take_notice },
	[KIND_ALARM] = { on_alarm },
	[KIND_PRESENCE] = { logic_presence },
	[KIND_ATTRIBUTES] = { on_attributes },
	[KIND_TELEMETRY] = { on_attributes },
	[KIND_COMMAND] = { on_request },
	[KIND_COMMAND_REPLY] = { on_reply },
	[KIND_CONFIG] = { on_config },
	[KIND_CONFIG_REPLY] = { on_config_reply },
	[KIND_REQUEST] = { on_request },
	[KIND_REQUEST_REPLY] = { on_reply },
	[KIND_ATTRIBUTES_REQUEST] = { on_request, logic_answer_attributes },
	[KIND_ATTRIBUTES_REPLY] = { on_reply },
	[KIND_SNAPSHOT_REQUEST] = { on_snapshot_request, answer_snapshot },
	[KIND_LIMITS_REQUEST] = { on_request, greeting_answer_limits },
	[KIND_LIMITS] = { on_reply },
	[KIND_FIRMWARE_CHUNK_REQUEST] = { on_request },
	[KIND_FIRMWARE_CHUNK] = { on_reply },
	[KIND_DEVICE_CHANGE] = { logic_change_device },
	[KIND_PROVISION] = { on_provision },
	[KIND_PROVISION_REPLY] = { on_provision_reply },
};

void logic_assert_complete(void)
{
	for (int k = 0; k < KINDS; k++) {
		const struct kind_info *kind = &kind_table[k];

		assert((logic[k].take != NULL) == (kind->logic != LOGIC_NONE));
		assert((logic[k].answer != NULL) == (kind->unmatched == UNMATCHED_OWN_STATE));
		assert((logic[k].take == on_request) == (kind->asks == ASKS_BY_ID));
		assert((logic[k].take == on_reply) == kind_is_paired_reply((enum kind)k));
	}
}

/* The mapping itself answers what its platform asks, as thingsboard.jq does with getSessionLimits. */
static void give_back(struct task *t, const struct canonical *p)
{
	bool is_reply = kind_table[p->kind].request != KIND_NONE;
	char *answer_topic = is_reply ? link_answer_topic(t, p) : NULL;

	link_write(
		t->link, t->intake,
		&(struct link_write){ .to = source(t), .plain = p, .reply_topic = answer_topic });
	free(answer_topic);
}

/* A mirror lets nothing down, and asks nothing of the platform that is tried out; but what that says of a
 * configuration is learnt, and the answer to a question of the bridge's own is taken. */
static bool is_mirrored_out(const struct task *t, const struct canonical *p)
{
	const struct kind_info *kind = &kind_table[p->kind];
	const struct pairing *asked;

	if (link_mode_at(t->link, p->device, t->intake->since_ms) != FLEET_MIRROR)
		return false;
	if (kind->flow == FLOW_UP || p->kind == KIND_CONFIG)
		return kind->asks != ASKS_NOTHING && p->kind != KIND_CONFIG;
	asked = kind_is_paired_reply(p->kind) ? logic_pairing(t, p) : NULL;
	return !asked || !asked->is_own;
}

void logic_take(struct task *t, struct canonical *p)
{
	const struct kind_info *kind = &kind_table[p->kind];
	enum side to = flow_target(kind->flow);

	if (is_mirrored_out(t, p))
		filtered(t, FILTERED_MIRROR);
	else if (to == source(t))
		give_back(t, p);
	else if (kind->logic == LOGIC_ALWAYS ||
		 (kind->logic == LOGIC_ON_ECHO && t->reader->row->echoes != KIND_NONE))
		logic[p->kind].take(t, p);
	else {
		if (kind->is_kept)
			logic_note_attributes(t->link, p);
		link_write_canonical(t->link, t->intake, to, p);
	}
}
