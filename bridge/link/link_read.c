/* link_read.c -- what comes in: is it for us, may it pass, which rows read it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "link/retained.h"
#include "message/hops.h"
#include "state/echo.h"
#include "state/presence.h"
#include "state/twin.h"
#include "handshake/provision.h"
#include "translate/executor.h"

/* --- where answers go ---------------------------------------------------------------------- */

/* A peer may ask for its answer on any topic, but not on a filter or among the broker's own. */
static bool is_fit_to_answer(const char *response_topic)
{
	return response_topic && topic_name_is_valid(response_topic) && response_topic[0] != '$';
}

/* How many bytes of `topic` are the device's own: to the end of its name.  The last level of that name counts:
 * none behind the true one makes it more.  0: the topic does not name it. */
static size_t own_prefix(const char *topic, const char *device)
{
	size_t len = strlen(device), found = 0;
	const char *level = topic;

	while (level) {
		const char *end = strchrnul(level, '/');

		if ((size_t)(end - level) == len && memcmp(level, device, len) == 0)
			found = (size_t)(end - topic);
		level = *end ? end + 1 : NULL;
	}
	return found;
}

/* The bridge may publish for all devices, so whoever asks must not choose a topic among another's.  Where the
 * session says whose it is, all of its topics are that device's. */
static bool is_own_topic(const struct task *t, const struct canonical *p, const char *response)
{
	const struct plan *plan = t->link->plan;
	const char *device = p->device ? plan_device_there(plan, t->job.side, p->device) : NULL;
	const char *topic = t->job.message->topic;
	size_t n = device && *device ? own_prefix(topic, device) : 0;

	if (plan->has_front_door && t->job.side == SOUTH)
		return true; /* its topic was made here (gate/gate.h) */
	if (n == 0)
		return plan->side[t->job.side].dialect->device == DEVICE_IN_SESSION;
	return strncmp(response, topic, n) == 0 && (response[n] == '/' || response[n] == '\0');
}

struct asked {
	const struct task *task;
	const struct canonical *request;
	struct vars captures;
	struct buf id;
};

static const char *lookup_asked(void *ctx, const char *name)
{
	const struct asked *a = ctx;
	const struct plan *plan = a->task->link->plan;
	enum side side = a->task->job.side;
	const char *captured = vars_get(&a->captures, name);
	const struct var *own;

	if (strcmp(name, "device") == 0)
		return plan_device_there(plan, side, a->request->device);
	if (captured)
		return captured;
	if (strcmp(name, "id") == 0 && a->request->id)
		return buf_str(&a->id);
	own = plan_var(plan, side, a->request->device, name);
	return own ? own->value : NULL;
}

char *link_answer_topic(const struct task *t, const struct canonical *p)
{
	const struct reader *r = t->reader;
	struct asked a = { .task = t, .request = p };
	struct topic_template reply;
	struct buf topic = { 0 };

	if (t->response_topic && is_own_topic(t, p, t->response_topic))
		return mem_strdup(t->response_topic);
	if (!r->reply || !topic_template_parse(&reply, r->reply, NULL))
		return NULL;
	topic_template_match(&r->topic, t->job.message->topic, &a.captures);
	if (p->id)
		translate_put_id(&a.id, p->id);
	if (!topic_template_expand(&reply, lookup_asked, &a, &topic, NULL))
		buf_fini(&topic);
	topic_template_fini(&reply);
	vars_fini(&a.captures);
	buf_fini(&a.id);
	return topic.data ? buf_take(&topic) : NULL;
}

/* --- reading -------------------------------------------------------------------------------
 *
 * The rows of a message are read by one job as far as none of them must see what another one led to.
 * What comes after such a row is read by a job of its own, behind the jobs to which that row led. */

static void submit_read(struct link *l, struct sequence *q, struct intake *in, enum side from,
			size_t first, struct canonical *request);

/* Replies are read with their request.  Where the id is in the payload, the request is known only
 * after a first reading, and this is what to read it again with; NULL: there is no need. */
static struct canonical *find_said_request(const struct task *t, const struct results *part)
{
	if (t->job.request || t->reader->row->read_fn < 0)
		return NULL;
	for (size_t i = 0; i < part->n; i++) {
		const struct canonical *p = &part->items[i].plain;
		const struct pairing *pairing;

		if (part->items[i].type != ITEM_PLAIN || !kind_is_paired_reply(p->kind))
			continue;
		pairing = logic_pairing(t, p);
		if (pairing)
			return link_copy_canonical(&pairing->request);
	}
	return NULL;
}

/* May what it gives, or the rows that are not read yet, change the state? */
static bool may_decide(const struct task *t, const struct results *results)
{
	const struct job *job = &t->job;
	const struct intake *in = t->intake;
	bool may = job->readers + job->n_readers < in->readers + in->n_readers;

	for (size_t i = 0; !may && i < results->n; i++) {
		const struct item *item = &results->items[i];

		may = item->type == ITEM_PLAIN ||
		      (item->type == ITEM_MESSAGE && kind_table[item->plain.kind].is_kept &&
		       t->link->keeps_reported);
	}
	return may;
}

static void show_up(struct link *l, const char *device, int64_t at_ms)
{
	twins_show_up(l->twins, device, at_ms);
	if (l->notes_seen && registry_admit(l, device))
		presences_see(l->presences, device, at_ms);
	presence_hear(l, device, at_ms);
}

/* A message of the device's own shows that it is there, but for its last will. */
static void note_presence(const struct task *t, const struct canonical *p)
{
	if (t->job.side == SOUTH && p->device &&
	    (p->kind != KIND_PRESENCE || jtext_is_true(canonical_body(p), "online")))
		show_up(t->link, p->device, t->intake->at_ms);
	if (t->job.side == SOUTH && p->device)
		registry_see(t->link, p->device, t->intake->at_ms);
}

/* What a row cannot read of a message that only clears a retained one is no mistake of anybody's.  Where empty
 * means something, it is read as ever. */
static bool is_no_news(const struct intake *in, enum outcome reason)
{
	return in->is_clearing && (reason == DEAD_UNREADABLE || reason == DEAD_WRONG_SHAPE ||
				   reason == DEAD_MAPPING_ERROR);
}

/* What jq would change is not read; who sent a command or asked is told, if what else was read says under which
 * id, or the topic does. */
static void tell_asker(struct task *t, const struct item *item)
{
	const struct job *job = &t->job;
	const char *device = translate_device(job->plan, job->side, job->device, t->device);
	bool is_read = item->plain.kind != KIND_NONE;
	struct canonical request = { .kind = is_read ? item->plain.kind : t->reader->row->kind,
				     .device = is_read ? item->plain.device : (char *)device };
	char *id, *answer_topic;

	if (item->reason != DEAD_WIDE_INTEGER || !request.device ||
	    (request.kind != KIND_COMMAND && request.kind != KIND_REQUEST))
		return;
	id = is_read ? mem_strdup(item->plain.id)
		     : translate_topic_id(t->reader, job->message->topic);
	request.id = id;
	if (id || is_read) {
		answer_topic = link_answer_topic(t, &request);
		logic_send_error(t->link, t->intake, job->side, &request, answer_topic,
				 "a number that a double does not hold cannot be carried");
		free(answer_topic);
	}
	free(id);
}

/* What does not pass for a device, whatever it is, by the mode that held when it came.  (What was away had passed.) */
static enum outcome stopped_by_mode(const struct link *l, const char *device,
				    const struct intake *in)
{
	enum fleet_mode mode = in->place ? FLEET_LIVE : link_mode_at(l, device, in->since_ms);

	return mode == FLEET_OFF       ? FILTERED_OFF
	       : mode == FLEET_RETIRED ? FILTERED_RETIRED
				       : CARRIED;
}

/* With `provision.auto` it is registered in the north as well.  (Its row is not written by what a message does, but the
 * handshake is.) */
static void see_new(struct link *l, const char *device, enum flow flow, int64_t at_ms)
{
	bool is_ours = strcmp(device, l->plan->device) == 0;

	fleet_see(l->fleet, device, flow, true, is_ours ? FLEET_DEFAULT : l->plan->new_mode, at_ms);
	if (link_mode(l, device) == FLEET_OFF)
		log_limited(LOG_INFO, l->now_ms, l->plan->name, "device-off", "link=%s device=%s",
			    l->plan->name, log_value(device));
	if (l->plan->provisions_new)
		provisioning_came(l, device);
}

/* The bridge has it from here whose it is: of a link of several devices each has a row. */
void link_note_device(struct link *l, const char *device, enum side from, int64_t at_ms)
{
	enum flow flow = flow_from(from);

	if (!fleet_see(l->fleet, device, flow, false, FLEET_DEFAULT, at_ms) &&
	    !l->plan->is_single && registry_admit(l, device))
		see_new(l, device, flow, at_ms);
}

/* Who asks to be registered may be a stranger: whether he is let in is the platform's to say. */
static bool is_introduction(const struct link *l, const struct canonical *p)
{
	return p->kind == KIND_PROVISION && !fleet_is_kept(l->fleet, p->device);
}

/* Does it pass, by the mode of its device?  (What the bridge speaks to itself of has none, nor has the
 * session of handshakes.) */
static bool passes(struct task *t, const struct canonical *p)
{
	enum outcome reason = CARRIED;

	if (p->device && p->kind != KIND_DEVICE_CHANGE && !is_introduction(t->link, p) &&
	    !plan_is_provisioning(t->link->plan, t->job.side, p->kind)) {
		if (!t->intake->place)
			link_note_device(t->link, p->device, t->job.side, t->intake->at_ms);
		link_watch(t->link, t->intake, p->device);
		reason = stopped_by_mode(t->link, p->device, t->intake);
	}
	if (reason != CARRIED)
		link_refuse(t->intake, reason, NULL);
	return reason == CARRIED;
}

/* Take what a row gave, in its sequence. */
static void take_item(struct task *t, struct item *item)
{
	if (intakes_are_followed(t->link))
		intake_tell(t->link, t->intake,
			    (struct link_step){ .what = LINK_READ,
						.kind = item->plain.kind,
						.device = item->plain.device });
	if (!passes(t, &item->plain))
		return;
	if (!t->intake->place)
		note_presence(t, &item->plain);
	if (t->intake->is_compared)
		link_compare_read(t->link, t->intake, &item->plain);
	if (item->type == ITEM_MESSAGE && kind_table[item->plain.kind].is_kept && !t->intake->place)
		logic_note_attributes(t->link, &item->plain);
	if (item->type == ITEM_MESSAGE)
		link_send(t->link, t->intake, item, flow_target(kind_table[item->plain.kind].flow),
			  t);
	else
		logic_take(t, &item->plain);
}

void link_drop_item(struct item *item)
{
	if (item)
		results_fini(&(struct results){ .items = item, .n = 1 });
}

static void on_passed(struct job *job, struct results *results)
{
	struct task *t = (struct task *)job; /* the job is its first member */

	(void)results;
	link_task_begin(t);
	take_item(t, t->item);
	link_task_end(t);
}

/* It is another device's than what was read: it has its turn there, as all that device's messages. */
static void pass_on(struct task *t, struct sequence *q, struct item *item)
{
	struct task *on = link_task(t->link, q, t->intake, JOB_NOTHING, t->job.side);

	on->item = mem_alloc(sizeof *on->item);
	*on->item = *item;
	*item = (struct item){ .type = ITEM_REFUSED };
	on->reader = t->reader;
	on->nth = t->nth;
	on->job.message = &t->intake->message;
	on->job.done = on_passed;
	on->response_topic = mem_strdup(t->response_topic);
	strand_submit(q->strand, &on->job);
}

/* Take what one row gave. */
static void take_part(struct task *t, const struct results *part)
{
	for (size_t i = 0; i < part->n; i++) {
		struct item *item = &part->items[i];
		struct sequence *q;

		t->nth = (unsigned)i;
		if (item->type == ITEM_REFUSED) {
			link_refuse(t->intake,
				    is_no_news(t->intake, item->reason) ? FILTERED_EMPTY_RETAIN
									: item->reason,
				    item->text);
			tell_asker(t, item);
			continue;
		}
		/* What is read behind a change of names is read by the new ones. */
		q = item->plain.kind == KIND_DEVICE_CHANGE
			    ? t->sequence
			    : sequence_of_plain(t->link, &item->plain);
		if (q == t->sequence)
			take_item(t, item);
		else
			pass_on(t, q, item);
	}
}

/* Did what was taken so far change what later rows are told, or order something that comes first?  (Those of a session
 * are told nothing, as they do not know of which device.) */
static bool has_effect(const struct task *t, unsigned n_jobs_before)
{
	if (!t->sequence->device)
		return false;
	return t->intake->n_jobs > n_jobs_before || t->link->changes.n > t->link->n_step;
}

/* The items of a row, which come from *pos on; *pos is moved behind them. */
static struct results part_of(const struct results *all, size_t row, size_t *pos)
{
	struct results part = { 0 };

	for (; *pos < all->n && all->items[*pos].row == row; ++*pos)
		if (part.n++ == 0)
			part.items = &all->items[*pos];
	return part;
}

static void on_read(struct job *job, struct results *results)
{
	struct task *t = (struct task *)job; /* the job is its first member */
	struct intake *in = t->intake;
	struct canonical *request = NULL;
	unsigned n_jobs = in->n_jobs;
	size_t row = 0, pos = 0;

	link_task_begin(t);
	slow_note(t, results);
	if (may_decide(t, results))
		intake_open(in);
	while (row < job->n_readers && !has_effect(t, n_jobs)) {
		struct results part = part_of(results, row, &pos);

		t->reader = job->readers[row];
		request = find_said_request(t, &part);
		if (request)
			break;
		take_part(t, &part);
		row++;
	}
	row += (size_t)(job->readers - in->readers);
	if (row < in->n_readers)
		submit_read(t->link, t->sequence, in, job->side, row, request);
	link_task_end(t);
}

/* True if another one is found than before. */
static bool find_request(struct task *t, const char *device)
{
	const struct reader *r = t->job.readers[0];
	struct canonical p = { .kind = r->row->kind, .device = (char *)device };
	const struct pairing *pairing;

	if (t->job.request || !kind_is_paired_reply(p.kind))
		return false;
	p.id = translate_topic_id(r, t->job.message->topic);
	pairing = p.id ? logic_pairing(t, &p) : NULL;
	if (pairing)
		t->job.request = link_copy_canonical(&pairing->request);
	free(p.id);
	return t->job.request != NULL;
}

/* Where nothing can come back, attributes are as stateless as telemetry.  True if that has changed. */
static bool find_echo(struct task *t, const char *device)
{
	bool awaits = false, is_news;

	for (size_t i = 0; i < t->job.n_readers; i++)
		awaits = awaits || t->job.readers[i]->row->echoes != KIND_NONE;
	awaits = awaits && !t->intake->place && logic_awaits_echo(t->link, device);
	is_news = awaits != t->job.awaits_echo;
	t->job.awaits_echo = awaits;
	return is_news;
}

static bool before_read(struct job *job)
{
	struct task *t = (struct task *)job;
	const char *device = translate_device(job->plan, job->side, job->device, t->device);
	bool is_news = false;

	job->is_slow = slow_is(t);
	if (!device) { /* the payload says which, by a name that may be another one's now */
		is_news = t->n_device_changes != t->link->n_device_changes;
		t->n_device_changes = t->link->n_device_changes;
	} else {
		is_news = link_set_state(t, device);
		is_news = find_request(t, device) || is_news;
		is_news = find_echo(t, device) || is_news;
	}
	return is_news;
}

/* How many rows from the first on one job can read: all are told of the same device, and of the
 * request none but a reply, which is read alone. */
static size_t count_together(const struct reader **readers, size_t n)
{
	size_t k = 1;

	if (kind_is_paired_reply(readers[0]->row->kind))
		return 1;
	while (k < n && !kind_is_paired_reply(readers[k]->row->kind) &&
	       plan_reads_alike(readers[0], readers[k]))
		k++;
	return k;
}

/* As this reader names the levels of the topic; mostly all do it alike. */
static char *topic_device(const struct intake *in, size_t reader)
{
	if (reader == 0)
		return mem_strdup(in->topic_device);
	return translate_topic_device(in->readers[reader], in->message.topic);
}

/* Read the message by its rows from the `first` on.  `request`: that the first answers (taken), if it
 * is known; else NULL. */
static void submit_read(struct link *l, struct sequence *q, struct intake *in, enum side from,
			size_t first, struct canonical *request)
{
	struct task *t = link_task(l, q, in, JOB_READ, from);

	t->job.readers = in->readers + first;
	t->job.n_readers = request ? 1 : count_together(in->readers + first, in->n_readers - first);
	t->job.request = request;
	t->job.message = &in->message;
	t->job.device = in->device;
	t->device = topic_device(in, first);
	t->job.topic_device = t->device;
	t->job.at_ms = in->at_ms + l->ahead_ms;
	in->is_compared = in->is_compared || (from == SOUTH && fleet_mirrors(l->fleet));
	t->job.is_compared = in->is_compared;
	t->job.start = before_read;
	t->job.done = on_read;
	if (is_fit_to_answer(in->message.response_topic))
		t->response_topic = mem_strdup(in->message.response_topic);
	strand_submit(q->strand, &t->job);
}

/* --- once more, with a time --- */

static void on_stamped(struct job *job, struct results *results)
{
	struct task *t = (struct task *)job; /* the job is its first member */
	struct link *l = t->link;
	const struct item *item = t->nth < results->n ? &results->items[t->nth] : NULL;
	const struct message *m = item && item->type == ITEM_MESSAGE ? &item->message : NULL;

	link_task_begin(t);
	l->ops.stamped(l->ctx, t->asked, t->number, m);
	link_task_end(t);
}

void link_stamp(struct link *l, struct intake *origin, const struct stamp *stamp, void *asked,
		uint64_t number)
{
	struct task *t;
	size_t k = 0;

	if (origin->stage >
	    INTAKE_OPEN) { /* it has changed the state since: what it led to is stored */
		l->ops.stamped(l->ctx, asked, number, NULL);
		return;
	}
	while (origin->readers[k] != stamp->reader)
		k++;
	t = link_task(l, l->stamps, origin, JOB_READ, flow_source(origin->flow));
	t->job.readers = origin->readers + k;
	t->job.n_readers = 1;
	t->job.message = &origin->message;
	t->job.device = origin->device;
	t->device = topic_device(origin, k);
	t->job.topic_device = t->device;
	t->job.at_ms = origin->at_ms + l->ahead_ms;
	t->job.stamp_ms = stamp->at_ms + l->ahead_ms;
	t->job.start = before_read;
	t->job.done = on_stamped;
	t->nth = stamp->nth;
	t->asked = asked;
	t->number = number;
	strand_submit(l->stamps->strand, &t->job);
}

/* --- identity ------------------------------------------------------------------------------ */

struct expected {
	const struct link *link;
	enum side side;
	const char *device;
};

static const char *lookup_expected(void *ctx, const char *name)
{
	struct expected *x = ctx;
	const struct var *own;

	if (strcmp(name, "device") == 0)
		return plan_device_there(x->link->plan, x->side, x->device);
	own = plan_var(x->link->plan, x->side, x->device, name);
	return own ? own->value : NULL;
}

static bool names_credential(const struct dialect *d, const char *template)
{
	struct buf name = { 0 };
	size_t pos = 0;
	bool found = false;

	while (!found && text_template_next(template, &pos, &name)) {
		found = dialect_is_credential(d, name.data);
		buf_reset(&name);
	}
	buf_fini(&name);
	return found;
}

static void drop_property(struct vars *properties, const char *name)
{
	struct vars rest = { 0 };

	for (size_t i = 0; i < properties->n; i++)
		if (strcmp(properties->items[i].name, name) != 0)
			vars_add(&rest, properties->items[i].name, properties->items[i].value);
	vars_fini(properties);
	*properties = rest;
}

/* Properties that a row would write name the device or carry its credential: what came must agree. */
static enum outcome check_property(const struct link *l, enum side from, const struct var *want,
				   const char *device, const struct vars *properties)
{
	const struct dialect *d = l->plan->side[from].dialect;
	struct expected x = { .link = l, .side = from, .device = device };
	enum outcome reason = CARRIED;
	struct buf text = { 0 };

	/* Names may repeat in MQTT 5: one that is wrong is enough. */
	if (text_template_expand(want->value, lookup_expected, &x, &text, NULL))
		for (size_t i = 0; i < properties->n; i++)
			if (strcmp(properties->items[i].name, want->name) == 0 &&
			    !crypto_text_equal(properties->items[i].value, buf_str(&text)))
				reason = names_credential(d, want->value) ? DEAD_CREDENTIAL
									  : DEAD_OTHER_DEVICE;
	mem_free_secret(text.data, text.len);
	return reason;
}

static enum outcome check_identity(const struct link *l, enum side from, const struct match *match,
				   const char *device, const struct vars *properties)
{
	enum outcome reason = CARRIED;

	for (size_t i = 0; i < match->n; i++) {
		const struct vars *wanted = &match->readers[i]->row->properties;

		for (size_t k = 0; reason == CARRIED && k < wanted->n; k++)
			reason = check_property(l, from, &wanted->items[k], device, properties);
	}
	return reason;
}

/* Credentials go no further. */
static void drop_credentials(const struct link *l, enum side from, const struct match *match,
			     struct vars *properties)
{
	const struct dialect *d = l->plan->side[from].dialect;

	for (size_t i = 0; i < match->n; i++) {
		const struct vars *wanted = &match->readers[i]->row->properties;

		for (size_t k = 0; k < wanted->n; k++)
			if (names_credential(d, wanted->items[k].value))
				drop_property(properties, wanted->items[k].name);
	}
}

/* A command or handshake from the broker's memory is an old one. */
static bool is_stale(const struct match *match, const struct message *m)
{
	for (size_t i = 0; m->retain && i < match->n; i++)
		if (kind_table[match->readers[i]->row->kind].is_dead_retained)
			return true;
	return false;
}

/* May it pass?  Its credentials are taken out. */
static enum outcome admit(const struct link *l, enum side from, const struct match *match,
			  struct intake *in)
{
	/* All readers have the same topic, but for the names of variables. */
	const char *device = translate_device(l->plan, from, in->device, in->topic_device);
	struct message *m = &in->message;
	enum outcome reason = DEAD_OTHER_DEVICE;

	if (is_stale(match, m))
		reason = DEAD_RETAINED;
	else if (device)
		reason = check_identity(l, from, match, device, &m->properties);
	drop_credentials(l, from, match, &m->properties);
	return reason;
}

/* Note what is retained there.  Is this the empty message that clears it? */
static bool is_clearing(struct link *l, enum side from, const char *session,
			const struct message *m)
{
	struct retained **r = &l->retained[from];

	if (m->retain && !*r)
		*r = mem_zalloc(sizeof **r);
	if (m->retain)
		retained_note(*r, session, m->topic);
	return m->payload_len == 0 && *r && retained_has(*r, session, m->topic);
}

static bool is_echo(struct link *l, const struct arrival *a)
{
	const struct echo_message m = link_echo_message(a->device, a->message);
	struct echo *e = l->echoes->side[a->from];
	bool is_ours = echo_take(e, &m, l->now_ms);

	if (echo_was_found(e) && l->ops.echoes)
		l->ops.echoes(l->ctx, a->from);
	return is_ours;
}

/* What can be said of a message before its payload is looked at. */
static enum outcome sort_out(struct link *l, const struct arrival *a, bool is_new,
			     struct match *match)
{
	const struct message *m = a->message;
	enum side from = a->from;

	if (m->retain && m->payload_len == 0)
		return FILTERED_EMPTY_RETAIN;
	if (is_new && is_echo(l, a))
		return FILTERED_ECHO;
	if (l->mark && hops_has(&m->properties, l->mark))
		return FILTERED_LOOP;
	plan_match(l->plan, from, m->topic, match);
	if (!match->is_known)
		return l->plan->drop_unmatched ? FILTERED_UNMATCHED : DEAD_UNKNOWN_TOPIC;
	return match->n ? CARRIED : FILTERED_NOT_READ;
}

/* `native`: what its topic calls the device. */
static struct sequence *entry(struct link *l, const struct arrival *a, const char *native)
{
	const char *device = translate_device(l->plan, a->from, a->device, native);

	return device ? sequence_of_device(l, device) : l->sessions[a->from];
}

struct sequence *link_entry(struct link *l, const struct arrival *a)
{
	struct match match;
	struct sequence *q = l->sessions[a->from];
	char *native;

	plan_match(l->plan, a->from, a->message->topic, &match);
	if (match.n) {
		native = translate_topic_device(match.readers[0], a->message->topic);
		q = entry(l, a, native);
		free(native);
	}
	return q;
}

const char *link_named_device(const struct link *l, enum side from, const struct intake *in)
{
	if (!(in->topic_device || in->device || l->plan->is_single) ||
	    plan_is_provisioning(l->plan, from, in->kind))
		return NULL;
	return translate_device(l->plan, from, in->device, in->topic_device);
}

/* Where topic or session tells whose it is, nothing is read of a device that is off. */
static enum outcome stopped_early(struct link *l, const struct arrival *a, const struct intake *in)
{
	const char *device = in->kind == KIND_PROVISION ? NULL : link_named_device(l, a->from, in);
	enum outcome reason = device ? stopped_by_mode(l, device, in) : CARRIED;

	if (reason != CARRIED)
		link_note_device(l, device, a->from, a->at_ms);
	return reason;
}

static enum outcome take_in(struct link *l, const struct arrival *a, struct intake *in,
			    const struct match *match)
{
	enum outcome reason;

	message_copy(&in->message, in->raw);
	in->raw = &in->message;
	in->hops = mem_strdup(vars_get(&in->message.properties, HOPS_PROPERTY));
	if (in->hops)
		drop_property(&in->message.properties, HOPS_PROPERTY);
	in->readers = mem_dup(match->readers, match->n * sizeof *match->readers);
	in->n_readers = match->n;
	in->kind = match->readers[0]->row->kind;
	if (!l->has_resumed && in->origin == ORIGIN_AGAIN &&
	    plan_is_provisioning(l->plan, a->from, in->kind)) {
		in->is_answer_again = true;
		l->n_answers_again++;
		provisions_hear(l->provisions);
	}
	in->is_clearing = is_clearing(l, a->from, a->device, in->raw);
	in->topic_device = translate_topic_device(match->readers[0], in->message.topic);
	link_watch(l, in, translate_device(l->plan, a->from, a->device, in->topic_device));
	reason = admit(l, a->from, match, in);
	if (reason == CARRIED)
		reason = stopped_early(l, a, in);
	if (reason == CARRIED)
		submit_read(l, entry(l, a, in->topic_device), in, a->from, 0, NULL);
	return reason;
}

static void tell_arrival(struct link *l, const struct intake *in, const struct arrival *a)
{
	if (intakes_are_followed(l))
		intake_tell(l, in,
			    (struct link_step){ .what = LINK_ARRIVED,
						.arrival = a,
						.is_again = in->origin == ORIGIN_AGAIN,
						.kind = KIND_NONE });
}

static void receive(struct link *l, const struct arrival *a, enum intake_origin origin)
{
	const struct message *m = a->message;
	struct intake *in;
	struct match match;
	enum outcome reason;

	l->now_ms = a->at_ms;
	in = link_intake(l, flow_from(a->from), m, a->tag, origin);
	in->login = origin == ORIGIN_RECEIVED ? a->login : UINT64_MAX;
	in->session = a->session;
	in->is_dup = m->is_dup;
	intake_is_back(l, in, a->away);
	if (a->since_ms > a->at_ms)
		in->since_ms = a->since_ms;
	in->device = mem_strdup(a->device);
	tell_arrival(l, in, a);
	reason = sort_out(l, a, origin == ORIGIN_RECEIVED, &match);
	if (reason == CARRIED)
		reason = take_in(l, a, in, &match);
	if (reason != CARRIED)
		link_refuse(in, reason, m->topic);
	link_release(l, in);
}

void link_receive(struct link *l, const struct arrival *a)
{
	receive(l, a, ORIGIN_RECEIVED);
}

void link_turn_away(struct link *l, const struct arrival *a, enum outcome reason, const char *why)
{
	struct intake *in;

	l->now_ms = a->at_ms;
	in = link_intake(l, flow_from(a->from), a->message, a->tag, ORIGIN_RECEIVED);
	in->device = mem_strdup(a->device);
	tell_arrival(l, in, a);
	link_refuse(in, reason, why);
	link_release(l, in);
}

void link_receive_again(struct link *l, const struct arrival *a)
{
	receive(l, a, ORIGIN_AGAIN);
}
