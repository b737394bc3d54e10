#include "link/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "fleet/fleet.h"
#include "fleet/waves.h"
#include "link/link_inside.h"
#include "message/hops.h"
#include "state/devices.h"
#include "state/echo.h"
#include "state/machine.h"
#include "state/presence.h"
#include "handshake/provision.h"
#include "state/subscription.h"
#include "state/twin.h"
#include "translate/executor.h"

/* --- sending ------------------------------------------------------------------------------- */

/* A message that comes back on a topic that we read would be taken for news. */
static bool may_come_back(const struct link *l, enum side to, const struct message *m)
{
	struct match match;

	if (echo_mode(l->echoes->side[to]) == ECHO_OFF)
		return false;
	plan_match(l->plan, to, m->topic, &match);
	return match.n > 0;
}

static uint64_t remember(struct link *l, const struct output *o)
{
	const struct echo_message m =
		link_echo_message(plan_session_of(l->plan, o->to, o->device), &o->message);

	if (o->is_provisioning || !may_come_back(l, o->to, &o->message))
		return 0;
	return echo_sent(l->echoes->side[o->to], &m, o->is_unique);
}

struct echo_message link_echo_message(const char *session, const struct message *m)
{
	return (struct echo_message){
		.session = session, .topic = m->topic, .payload = m->payload, .len = m->payload_len
	};
}

uint64_t link_sent_again(struct link *l, enum side to, const char *session, const struct message *m,
			 uint64_t echo)
{
	const struct echo_message said = link_echo_message(session, m);

	if (!echo && !may_come_back(l, to, m))
		return 0;
	return echo_sent_again(l->echoes->side[to], echo, &said);
}

void link_hand_out(struct link *l, struct intake *in, struct output *o)
{
	o->origin = in;
	o->id = in->id;
	o->place = in->place;
	in->place += in->place != 0; /* the next comes behind it */
	o->tag = in->tag;
	o->is_own = intake_is_own(in);
	o->greets = in->greets;
	/* What is decided already is stored. */
	o->is_kept = in->stage != INTAKE_READING && in->stage < INTAKE_DECIDED;
	o->echo = remember(l, o);
	l->ops.send(l->ctx, o);
}

static void send_output(struct link *l, struct intake *in, struct output *o)
{
	in->refs++;
	if (in->origin == ORIGIN_OWN)
		l->counters[in->flow].own++;
	if (!decision_hold(l->at, in, o))
		link_hand_out(l, in, o);
}

/* A message that would be too large by its trail alone goes without. */
static void put_trail(const struct link *l, const char *hops, enum side to, struct message *m)
{
	int64_t most = l->plan->limits[to].packet_bytes;

	hops_put(&m->properties, hops, l->mark);
	if (most && message_packet_bytes(m, 5) > (size_t)most)
		vars_fini(&m->properties);
}

static void note_order(struct link *l, struct intake *in, struct output *o, const struct task *t)
{
	const struct canonical *p = t ? &t->job.plain : NULL;

	if (t && o->to == SOUTH && t->job.type == JOB_WRITE &&
	    (p->kind == KIND_COMMAND || p->kind == KIND_CONFIG))
		link_note_order(l, in, o,
				&(struct order){ .kind = p->kind,
						 .device = p->device,
						 .far_id = t->waits && p->kind == KIND_COMMAND
								   ? p->id
								   : NULL,
						 .version = link_config_version(p),
						 .answered = t->answered });
}

/* Reports that need no memory can be written again, with a time: what was read is kept until it is settled, and gives
 * the same.  (What is decided is stored as it is.) */
static struct stamp stamp_of(const struct intake *in, const struct item *item, enum side to,
			     const struct task *t)
{
	bool can = to == NORTH && kind_table[item->plain.kind].lane == LANE_REPORT &&
		   kind_table[item->plain.kind].logic != LOGIC_ALWAYS && in->stage <= INTAKE_OPEN &&
		   in->n_readers > 0 && !item->plain.ts;

	return (struct stamp){ .reader = can ? t->reader : NULL,
			       .nth = t->nth,
			       .at_ms = in->at_ms,
			       .has_time = item->plain.ts };
}

void link_send(struct link *l, struct intake *in, struct item *item, enum side to,
	       const struct task *t)
{
	struct output o = {
		.to = to,
		.kind = item->plain.kind,
		.device = item->plain.device,
		.lane = kind_table[item->plain.kind].lane,
		.is_provisioning = plan_is_provisioning(l->plan, to, item->plain.kind),
		.session = t ? t->session : 0,
		.message = item->message,
		.expires_ms = INT64_MAX,
		.is_unique = item->plain.id || item->plain.ts,
	};

	if (in->compared && to == NORTH)
		link_compare_written(in,
				     t && t->job.type == JOB_WRITE ? &t->job.plain : &item->plain,
				     &item->message);
	if (t && t->job.type != JOB_WRITE)
		o.stamp = stamp_of(in, item, to, t);
	if (t && t->expires_ms)
		o.expires_ms = t->expires_ms;
	note_order(l, in, &o, t);
	if (to == SOUTH)
		logic_note_carried(l, item);
	if (item->plain.kind == KIND_PROVISION)
		provisions_written(
			l->provisions, o.session,
			(struct jslice){ item->message.payload, item->message.payload_len });
	if (in->greets && !in->is_in_turn)
		o.lane = LANE_EXCHANGE; /* what waits may need it */
	item->message = (struct message){ 0 };
	item->plain.device = NULL;
	if (l->mark && echo_mode(l->echoes->side[to]) == ECHO_OFF && !o.is_provisioning &&
	    o.message.properties.n == 0)
		put_trail(l, in->hops, to, &o.message);
	send_output(l, in, &o);
}

/* Of a command, when it is too old and who waits for it; what was stored tells only by its topic that it is one,
 * or a configuration. */
static void take_order_up(struct link *l, struct intake *in, struct output *o)
{
	const char *topic = o->message.topic;
	const struct row *command =
		o->to == SOUTH ? plan_writer_on(l->plan, SOUTH, KIND_COMMAND, topic) : NULL;
	struct order order = { .kind = KIND_COMMAND,
			       .device = o->device,
			       .far_id = (char *)o->far_id,
			       .answered = command ? command->answered : NULL };

	if (l->voids_commands && (command || order.far_id))
		o->expires_ms = EXPIRED_MS;
	else if (o->expires_ms == 0)
		o->expires_ms = command ? in->at_ms + l->plan->command_max_age_ms : INT64_MAX;
	o->far_id = NULL;
	if (!command && o->to == SOUTH && !order.far_id &&
	    plan_writer_on(l->plan, SOUTH, KIND_CONFIG, topic))
		order.kind = KIND_CONFIG;
	if (!o->device || !(command || order.far_id || order.kind == KIND_CONFIG))
		return;
	o->kind = order.kind;
	link_note_order(l, in, o, &order);
}

/* What an earlier run decided, until it is its turn: what came before it, and is to be translated again, was sent
 * first then, and is now. */
struct resent {
	struct job job;
	struct link *link;
	struct sequence *sequence;
	struct intake *intake;
	struct output *outputs;
	size_t n;
};

static void submit_resent(struct link *l, struct sequence *q, struct intake *in,
			  const struct output *outputs, size_t n,
			  void (*done)(struct job *job, struct results *results));

static void resent_free(struct resent *r)
{
	link_release(r->link, r->intake);
	free(r->outputs);
	free(r);
}

static void on_turn(struct job *job, struct results *results)
{
	struct resent *r = (struct resent *)job; /* the job is its first member */

	(void)results;
	link_begin_step(r->link, r->sequence, r->intake->at_ms);
	for (size_t i = 0; i < r->n; i++)
		send_output(r->link, r->intake, &r->outputs[i]);
	resent_free(r);
}

/* Each output to the sequence of its device.  (One that does not say whose it is stays with its message.) */
static void on_entry(struct job *job, struct results *results)
{
	struct resent *r = (struct resent *)job;

	(void)results;
	for (size_t i = 0; i < r->n; i++) {
		const char *device = r->outputs[i].device;
		struct sequence *q = device ? sequence_of_device(r->link, device) : r->sequence;

		submit_resent(r->link, q, r->intake, &r->outputs[i], 1, on_turn);
	}
	resent_free(r);
}

static void drop_resent(struct job *job)
{
	struct resent *r = (struct resent *)job;

	for (size_t i = 0; i < r->n; i++) {
		message_fini(&r->outputs[i].message);
		free(r->outputs[i].device);
	}
	resent_free(r);
}

static void submit_resent(struct link *l, struct sequence *q, struct intake *in,
			  const struct output *outputs, size_t n,
			  void (*done)(struct job *job, struct results *results))
{
	struct resent *r = mem_zalloc(sizeof *r);

	*r = (struct resent){ .job = { .type = JOB_NOTHING, .done = done, .drop = drop_resent },
			      .link = l,
			      .sequence = q,
			      .intake = in,
			      .outputs = mem_dup(outputs, n * sizeof *outputs),
			      .n = n };
	in->refs++;
	strand_submit(q->strand, &r->job);
}

void link_resend(struct link *l, const struct arrival *a, bool is_own, struct output *outputs,
		 size_t n)
{
	struct sequence *q = is_own ? l->sessions[a->from] : link_entry(l, a);
	struct intake *in;

	l->now_ms = a->at_ms;
	in = link_intake(l, flow_from(a->from), NULL, a->tag,
			 is_own ? ORIGIN_OWN_RESUMED : ORIGIN_DECIDED);
	intake_is_back(l, in, a->away);
	in->is_well = n == 0; /* its effect is in the state */
	for (size_t i = 0; i < n; i++)
		take_order_up(l, in, &outputs[i]);
	for (size_t i = 0; i < n && !is_own; i++)
		link_watch(l, in, outputs[i].device);
	submit_resent(l, q, in, outputs, n, on_entry);
	link_release(l, in);
}

/* --- jobs ---------------------------------------------------------------------------------- */

static void task_free(struct task *t)
{
	struct intake *in = t->intake;

	in->n_jobs--;
	decision_follow(t->link, in);
	link_release(t->link, in);
	job_fini(&t->job);
	link_drop_item(t->item);
	free(t->device);
	free(t->response_topic);
	free(t->answer_topic);
	free(t);
}

static void drop(struct job *job)
{
	task_free((struct task *)job); /* the job is its first member */
}

struct task *link_task(struct link *l, struct sequence *q, struct intake *in, enum job_type type,
		       enum side side)
{
	struct task *t = mem_zalloc(sizeof *t);

	assert(in->stage <= INTAKE_DECIDING); /* later ones have no jobs, and need none */
	t->job.type = type;
	t->job.plan = in->plan;
	t->job.side = side;
	t->job.drop = drop;
	t->link = l;
	t->sequence = q;
	t->intake = in;
	in->refs++;
	in->n_jobs++;
	return t;
}

void link_begin_step(struct link *l, struct sequence *q, int64_t now_ms)
{
	l->at = q;
	l->now_ms = now_ms;
	if (now_ms > l->latest_ms)
		l->latest_ms = now_ms;
	l->n_step = l->changes.n;
}

void link_task_begin(struct task *t)
{
	link_begin_step(t->link, t->sequence, t->intake->since_ms);
}

/* Jobs that are done elsewhere are done with a device table of their own. */
void link_tell_devices(struct link *l)
{
	for (; l->n_told < l->changes.n; l->n_told++) {
		const struct change *c = &l->changes.items[l->n_told];

		if (strcmp(c->machine, devices_machine.name) != 0)
			continue;
		strand_tell(l->handshakes->strand, l->plan, c->key, c->value);
		l->n_device_changes++;
	}
}

void link_task_end(struct task *t)
{
	struct link *l = t->link;

	link_tell_devices(l);
	if (l->changes.n > l->n_step && t->intake->stage <= INTAKE_OPEN)
		intake_move(t->intake, INTAKE_CHANGED);
	decision_end_step(l, t->sequence, t->intake, t->intake->n_jobs - 1);
	task_free(t);
}

void link_begin_own(struct link *l, struct sequence *q, int64_t now_ms)
{
	link_begin_step(l, q, now_ms);
	strand_begin(q->strand);
}

void link_end_own(struct link *l, struct intake *in)
{
	strand_end(l->at->strand);
	link_tell_devices(l);
	decision_end_step(l, l->at, in, in ? in->n_jobs : 0);
	if (in)
		link_release(l, in);
}

/* As JSON, less credentials.  NULL: there are none.  Caller frees. */
static char *own_text(const struct vars *own)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < own->n; i++) {
		const struct var *v = &own->items[i];

		if (v->is_secret)
			continue;
		buf_putc(&text, text.len ? ',' : '{');
		jtext_put_string(&text, v->name, strlen(v->name));
		buf_putc(&text, ':');
		jtext_put_string(&text, v->value, strlen(v->value));
	}
	if (text.len)
		buf_putc(&text, '}');
	return text.data;
}

/* Likewise, what is said of the device by its row.  (Most have nothing, and cost nothing.) */
static bool set_own(struct task *t, const char *device)
{
	enum side to = t->job.type == JOB_READ ? side_other(t->job.side) : t->job.side;
	const struct vars *own = link_own_vars(t->link, to, device);
	char *text = own ? own_text(own) : NULL;
	bool is_news = !t->job.own != !text || (text && strcmp(text, t->job.own) != 0);

	free(t->job.own);
	t->job.own = text;
	return is_news;
}

bool link_set_state(struct task *t, const char *device)
{
	struct link *l = t->link;
	struct buf state = { 0 };
	bool is_news;

	presences_put_state(l->presences, device, &state);
	is_news = t->n_device_changes != l->n_device_changes || !t->job.state != !state.data ||
		  (state.data && strcmp(t->job.state, state.data) != 0);
	t->n_device_changes = l->n_device_changes;
	free(t->job.state);
	t->job.state = state.data;
	return set_own(t, device) || is_news;
}

struct canonical *link_copy_canonical(const struct canonical *p)
{
	struct canonical *copy = NULL;

	if (p) {
		copy = mem_zalloc(sizeof *copy);
		canonical_copy(copy, p);
	}
	return copy;
}

static bool before_write(struct job *job)
{
	struct task *t = (struct task *)job;

	job->is_slow = slow_is(t);
	return link_set_state(t, job->plain.device);
}

/* A request may be written by a row that never gets a reply, though others of its kind do. */
static void note_answered(struct task *t, const struct item *item)
{
	enum kind kind = t->job.plain.kind;
	const struct row *row =
		kind_table[kind].asks != ASKS_BY_ID
			? NULL
			: plan_writer_on(t->link->plan, t->job.side, kind, item->message.topic);

	t->answered = row ? row->answered : NULL;
}

static void on_written(struct job *job, struct results *results)
{
	struct task *t = (struct task *)job; /* the job is its first member */
	size_t n_sent = 0, n_refused = 0;

	link_task_begin(t);
	slow_note(t, results);
	for (size_t i = 0; i < results->n; i++) {
		struct item *item = &results->items[i];

		if (item->type == ITEM_MESSAGE) {
			note_answered(t, item);
			link_send(t->link, t->intake, item, job->side, t);
			n_sent++;
		} else {
			link_refuse(t->intake, item->reason, item->text);
			n_refused++;
		}
	}
	if (t->after)
		t->after(t, n_sent, n_refused);
	link_task_end(t);
}

void link_write(struct link *l, struct intake *in, const struct link_write *w)
{
	struct task *t = link_task(l, l->at, in, JOB_WRITE, w->to);

	canonical_copy(&t->job.plain, w->plain);
	t->job.request = link_copy_canonical(w->request);
	t->job.reply_topic = mem_strdup(w->reply_topic);
	t->job.start = before_write;
	t->job.done = on_written;
	t->after = w->after;
	t->caller = w->caller;
	t->answer_topic = mem_strdup(w->answer_topic);
	t->waits = w->waits;
	t->expires_ms = w->expires_ms;
	t->session = w->session;
	intake_open(in); /* a stateful kind, or one read beside it */
	strand_submit(l->at->strand, &t->job);
}

void link_write_canonical(struct link *l, struct intake *in, enum side to,
			  const struct canonical *p)
{
	link_write(l, in, &(struct link_write){ .to = to, .plain = p });
}

void link_write_reply(struct link *l, struct intake *in, enum side caller,
		      const struct canonical *reply, const struct canonical *request,
		      const char *reply_topic)
{
	link_write(l, in,
		   &(struct link_write){ .to = caller,
					 .plain = reply,
					 .request = request,
					 .reply_topic = reply_topic });
}

/* --- the rest ------------------------------------------------------------------------------ */

/* Does the south's platform say nothing of a configuration that was delivered? */
static bool has_no_confirmation(const struct plan *plan)
{
	const struct row *config = plan_writer(plan, SOUTH, KIND_CONFIG);

	return config && (config->answered || (!plan_reader(plan, SOUTH, KIND_CONFIG_REPLY) &&
					       !plan_has_echoes(plan, SOUTH)));
}

struct link *link_new(const struct plan *plan, struct executor *executor,
		      const struct link_ops *ops, void *ctx, const enum echo_mode echoes[SIDES])
{
	struct link *l = mem_zalloc(sizeof *l);

	logic_assert_complete();
	l->plan = plan;
	l->ops = *ops;
	l->ctx = ctx;
	sequences_new(l, executor);
	l->devices = plan->devices;
	l->echoes = echoes_new(echoes);
	machines_new(l);
	*plan->fleet = l->fleet;
	fleet_set_link_mode(l->fleet, plan->mode);
	registry_new(l);
	if (plan->has_epoch_versions)
		twins_start_at_epoch(l->twins);
	if (plan_has_echoes(plan, SOUTH))
		l->carried = echo_new(NULL);
	l->delivery_confirms = has_no_confirmation(plan);
	l->notes_seen =
		plan_greets(plan, KIND_PRESENCE) || plan_reader(plan, NORTH, KIND_DEVICE_CHANGE);
	l->keeps_reported = plan_reader(plan, SOUTH, KIND_ATTRIBUTES_REQUEST);
	presence_new(l);
	return l;
}

void link_set_mark(struct link *l, const char *mark)
{
	free(l->mark);
	l->mark = mem_strdup(mark);
}

void link_free(struct link *l)
{
	if (!l)
		return;
	l->is_ending = true;
	link_drop_ended(l);
	greeting_free(l);
	provisioning_free(l);
	for (int s = 0; s < SIDES; s++)
		free(l->retained[s]);
	free(l->mark);
	sequences_free(l);
	slow_free(l);
	if (*l->plan->fleet == l->fleet)
		*l->plan->fleet = NULL;
	machines_free(l);
	registry_free(l);
	for (int f = 0; f < FLOWS; f++)
		for (int k = 0; k <= KINDS; k++)
			free(l->counters[f].of[k]);
	echoes_free(l->echoes);
	echo_free(l->carried);
	link_compare_free(l);
	changes_fini(&l->changes);
	free(l);
}

void link_set_ahead(struct link *l, int64_t ahead_ms)
{
	l->ahead_ms = ahead_ms;
	twins_set_ahead(l->twins, ahead_ms);
	waves_set_ahead(l->waves, ahead_ms);
}

void link_void_commands(struct link *l)
{
	l->voids_commands = true;
}

void link_set_echoes(struct link *l, enum side side, enum echo_mode mode)
{
	echo_set_mode(l->echoes->side[side], mode);
}

void link_acked(struct link *l, enum side to, uint64_t echo, int64_t now_ms)
{
	if (now_ms > l->latest_ms)
		l->latest_ms = now_ms;
	if (echo)
		echo_acked(l->echoes->side[to], echo, now_ms);
}

void link_take_changes(struct link *l, uint64_t commit, struct changes *out)
{
	changes_move(out, &l->changes, l->changes.n);
	l->n_told = l->n_step = 0;
	sequences_sweep(l);
	for (int s = 0; s < SIDES; s++)
		echo_take_changes(l->echoes->side[s], commit, out);
}

bool link_has_changes(const struct link *l)
{
	return l->changes.n > 0 || echo_has_changes(l->echoes->side[SOUTH]) ||
	       echo_has_changes(l->echoes->side[NORTH]);
}

bool link_durable(struct link *l, uint64_t commit)
{
	bool has_news = false;

	for (int s = 0; s < SIDES; s++)
		has_news = echo_durable(l->echoes->side[s], commit) || has_news;
	return has_news;
}

size_t link_pending_bytes(const struct link *l, enum flow flow)
{
	return l->pending_bytes[flow];
}

const struct link_counters *link_counters(const struct link *l, enum flow flow)
{
	return &l->counters[flow];
}

struct provision_terms link_provision_terms(const struct link *l)
{
	return (struct provision_terms){ .is_single = l->plan->is_single,
					 .name = l->plan->provision_name,
					 .device = l->plan->device,
					 .chooses_token = !l->plan->hides_secrets,
					 .now_ms = l->now_ms,
					 .timeout_ms = l->plan->request_timeout_ms[SOUTH],
					 .sessions = plan_handshake_sessions(l->plan) };
}

const struct vars *link_own_vars(const struct link *l, enum side side, const char *device)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	return d ? &d->vars[side] : NULL;
}

bool link_wants_session(const struct link *l, const char *device)
{
	enum fleet_mode mode = link_mode(l, device);

	const struct fleet_device *d = fleet_find(l->fleet, device);

	return ((d ? d->leaves : 0) | fleet_passes(mode)) & FLEET_PASSES(FLOW_UP);
}

bool link_is_on_demand(const struct link *l, const char *device, bool link_says)
{
	return fleet_is_on_demand(fleet_find(l->fleet, device), link_says);
}

void link_device_let_in(struct link *l, const char *device)
{
	if (!fleet_find(l->fleet, device))
		return;
	fleet_set_state(l->fleet, device, FLEET_READY, NULL, &l->changes);
	provisioning_let_in(l, device);
}

void link_device_lacks(struct link *l, const char *device, const char *why)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	if (d && (d->state == FLEET_READY || d->state == FLEET_KNOWN))
		fleet_set_state(l->fleet, device, FLEET_KNOWN, why, &l->changes);
}

void link_device_refused(struct link *l, const char *device, const char *why)
{
	if (fleet_find(l->fleet, device))
		fleet_set_state(l->fleet, device, FLEET_REFUSED, why, &l->changes);
}

/* Of a device's session. */
static struct provision_terms session_terms(const struct link *l, const char *device)
{
	struct provision_terms terms = link_provision_terms(l);

	if (device)
		terms.device = device;
	return terms;
}

struct jslice link_credentials(const struct link *l, const char *device)
{
	struct provision_terms terms = session_terms(l, device);

	return provisions_credentials(l->provisions, &terms);
}

static bool is_among(const char *filter, char *const *filters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(filters[i], filter) == 0)
			return true;
	return false;
}

char **link_subscribe(struct link *l, enum side side, char *const *filters, size_t n, size_t *n_old)
{
	char **before = NULL, **old = NULL;
	size_t n_before = 0;
	const char *f = NULL;

	if (!subscriptions_next(l->subscriptions, side, NULL)) {
		before = plan_unwanted_filters(l->plan, side, &n_before);
		for (size_t i = 0; i < n_before; i++)
			subscriptions_add(l->subscriptions, side, before[i], &l->changes);
	}
	for (size_t i = 0; i < n; i++)
		subscriptions_add(l->subscriptions, side, filters[i], &l->changes);
	*n_old = 0;
	while ((f = subscriptions_next(l->subscriptions, side, f))) {
		if (is_among(f, filters, n))
			continue;
		old = mem_grow(old, *n_old, sizeof *old);
		old[(*n_old)++] = mem_strdup(f);
	}
	for (size_t i = 0; i < n_before; i++)
		free(before[i]);
	free(before);
	return old;
}

void link_unsubscribed(struct link *l, enum side side, const char *filter)
{
	subscriptions_remove(l->subscriptions, side, filter, &l->changes);
}

void link_login_refused(struct link *l, const char *device)
{
	struct provision_terms terms = session_terms(l, device);

	provisions_refused(l->provisions, &terms, &l->changes);
}

const char *link_login_accepted(struct link *l, const char *device)
{
	struct provision_terms terms = session_terms(l, device);

	return provisions_accepted(l->provisions, &terms, &l->changes);
}

const char *link_owner(const struct link *l, bool *is_proved)
{
	struct provision_terms terms = link_provision_terms(l);

	return provisions_owner(l->provisions, &terms, is_proved);
}

void link_question_sent(struct link *l, uint64_t session)
{
	provisions_sent(l->provisions, session);
}

bool link_handshakes_down(struct link *l, uint64_t session, bool was_asked)
{
	return provisions_down(l->provisions, session, was_asked);
}

void link_login_tried(struct link *l, uint64_t session, bool is_let_in)
{
	provisions_tried(l->provisions, session, is_let_in);
}

bool link_forget_name(struct link *l, const char *name)
{
	struct provision_terms terms = link_provision_terms(l);

	return provisions_forget_name(l->provisions, &terms, name, &l->changes);
}
