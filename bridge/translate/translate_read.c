/* translate_read.c -- READ jobs: a message of some rows to plain messages.
 *
 * What is the same for all rows of the job (topic, device, payload in their format) is made once; what
 * belongs to the row in hand stands at the end of struct reading.  What a row put out before it failed is
 * taken back. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "translate/translate_inside.h"

/* Plain messages that a function put out. */
struct plains {
	struct canonical *items;
	size_t n;
};

/* State of one READ job. */
struct reading {
	const struct job *job;
	struct results *out;
	struct vars topic;	/* what it says */
	const char *device;	/* the name here, by the topic */
	const char *topic_id;	/* as it stands there; NULL: none */
	const struct row *seen; /* by whose format the payload is there; NULL: it is not */
	struct buf payload, value, limits, request;
	struct mapping_input in; /* made of these */
	struct plains *kept;	 /* what functions put out goes here; NULL: it is given at once */
	/* Of the row in hand: */
	const struct row *row;
	char *id; /* by the topic, JSON text */
	struct err err;
	enum outcome reason;
};

static bool fail(struct reading *rd, enum outcome reason, const char *text)
{
	err_set(&rd->err, ERR_INVALID, "%s", text);
	rd->reason = reason;
	return false;
}

/* --- what functions see -------------------------------------------------------------------- */

/* The payload as JSON text, by the row's format. */
static bool put_payload(struct buf *out, const struct row *row, const struct message *m,
			struct err *e)
{
	const char *p = m->payload ? m->payload : "";

	switch (row->format) {
	case FORMAT_JSON:
		if (m->payload_len == 0) {
			buf_puts(out, "null");
			return true;
		}
		return jtext_take(p, m->payload_len, row->lenient, out, e);
	case FORMAT_TEXT:
		if (!jtext_is_utf8(p, m->payload_len)) {
			err_set(e, ERR_INVALID, "the payload is no UTF-8 text");
			return false;
		}
		jtext_put_string(out, p, m->payload_len);
		return true;
	case FORMAT_BYTES:
		buf_putc(out, '"');
		crypto_base64_encode(out, p, m->payload_len);
		buf_putc(out, '"');
		return true;
	}
	return false;
}

/* What bytes mean, as JSON text: the JSON they hold, else the text itself.  False: they are no text.
 * JSON with integers that jq would change stays text. */
static bool put_value(struct buf *out, const char *p, size_t len)
{
	size_t before = out->len;

	if (jtext_take(p, len, false, out, NULL)) {
		if (!translate_would_change(
			    (struct jslice){ out->data + before, out->len - before }))
			return true;
		out->len = before;
	}
	if (!jtext_is_utf8(p, len))
		return false;
	jtext_put_string(out, p, len);
	return true;
}

/* Add to the captures the variables of the row's topic that the configuration filled in, and mark the
 * credentials. */
static void complete_topic(const struct job *job, struct vars *captures)
{
	const struct plan_side *ps = &job->plan->side[job->side];
	const struct topic_template *topic = &job->readers[0]->row->topic;

	for (size_t i = 0; i < captures->n; i++)
		captures->items[i].is_secret =
			dialect_is_credential(ps->dialect, captures->items[i].name);
	for (size_t i = 0; i < topic->n_levels; i++) {
		const char *name = topic->levels[i].text;
		const struct var *known = vars_find(&ps->vars, name);

		if (topic->levels[i].type == LEVEL_LITERAL || vars_find(captures, name))
			continue;
		if (strcmp(name, "device") == 0)
			vars_set(captures, name,
				 plan_device_there(
					 job->plan, job->side,
					 translate_device(job->plan, job->side, job->device, NULL)),
				 false);
		else if (known)
			vars_set(captures, name, known->value, known->is_secret);
	}
}

/* Those that hold, else what the dialect says. */
static void put_limits(struct buf *out, const struct plan *p, enum side side)
{
	const struct limits *hold = &p->limits[side], *said = &p->side[side].dialect->limits;
	const struct {
		const char *name;
		int64_t value;
	} limits[] = {
		{ "payload_bytes", hold->payload_bytes ?: said->payload_bytes },
		{ "packet_bytes", hold->packet_bytes ?: said->packet_bytes },
		{ "in_flight", hold->in_flight ?: said->in_flight },
		{ "messages_per_second", hold->messages_per_second ?: said->messages_per_second },
	};
	const char *before = "";

	buf_putc(out, '{');
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		if (!limits[i].value)
			continue;
		buf_printf(out, "%s\"%s\":%lld", before, limits[i].name,
			   (long long)limits[i].value);
		before = ",";
	}
	buf_putc(out, '}');
}

static struct mapping *mapping_of(const struct reading *rd)
{
	return rd->job->plan->side[rd->job->side].mapping;
}

static bool sees(const struct reading *rd, enum mapping_key key)
{
	return mapping_sees(mapping_of(rd), rd->row->read_fn, key);
}

/* What functions of all rows see of the message; texts are made when one sees them. */
static void see_message(struct reading *rd)
{
	const struct job *job = rd->job;
	struct mapping_field *f = rd->in.fields;

	if (f[SEEN_TOPIC].type == FIELD_NONE && sees(rd, SEEN_TOPIC)) {
		complete_topic(job, &rd->topic);
		f[SEEN_TOPIC] = (struct mapping_field){ FIELD_VARS, .vars = &rd->topic };
	}
	if (f[SEEN_LIMITS].type == FIELD_NONE && sees(rd, SEEN_LIMITS)) {
		put_limits(&rd->limits, job->plan, side_other(job->side));
		f[SEEN_LIMITS] =
			(struct mapping_field){ FIELD_JSON, .json = translate_slice(&rd->limits) };
	}
	if (f[SEEN_AT].type != FIELD_NONE)
		return; /* they do */
	f[SEEN_PROPERTIES] =
		(struct mapping_field){ FIELD_VARS, .vars = &job->message->properties };
	f[SEEN_AT] = (struct mapping_field){ FIELD_INTEGER, .integer = job->at_ms };
	translate_see_request(&rd->in, job->request, &rd->request);
}

/* What rows of one format see, mostly all. */
static bool see_payload(struct reading *rd)
{
	const struct message *m = rd->job->message;
	const struct row *row = rd->row;
	struct mapping_field *f = rd->in.fields;

	if (rd->seen && rd->seen->format == row->format && rd->seen->lenient == row->lenient)
		return true;
	rd->seen = NULL;
	buf_reset(&rd->payload);
	if (!put_payload(&rd->payload, row, m, &rd->err))
		return false;
	rd->seen = row;
	f[SEEN_PAYLOAD] =
		(struct mapping_field){ FIELD_JSON, .json = translate_slice(&rd->payload) };
	f[SEEN_VALUE] = (struct mapping_field){ FIELD_NONE };
	buf_reset(&rd->value);
	if (row->format == FORMAT_BYTES &&
	    put_value(&rd->value, m->payload ? m->payload : "", m->payload_len))
		f[SEEN_VALUE] =
			(struct mapping_field){ FIELD_JSON, .json = translate_slice(&rd->value) };
	return true;
}

/* --- the end of reading -------------------------------------------------------------------- */

static void write_now(const struct reading *rd, struct canonical *p)
{
	struct job write = {
		.type = JOB_WRITE,
		.plan = rd->job->plan,
		.side = flow_target(kind_table[p->kind].flow),
		.plain = *p,
		.state = rd->job->state,
		.own = rd->job->own,
	};
	size_t before = rd->out->n;

	translate_write_rows(&write, rd->out);
	for (size_t i = rd->out->n; i-- > before;) {
		struct item *item = &rd->out->items[i];

		if (item->type != ITEM_MESSAGE)
			continue;
		if (p->device) { /* not given away yet */
			item->plain = *p;
			*p = (struct canonical){ .kind = KIND_NONE };
		} else {
			canonical_copy(&item->plain, &write.plain);
		}
	}
}

/* (What goes back to the side it came from may have a reply topic, and the state at hand is that of the topic's
 * device.) */
bool translate_is_direct(const struct job *job, const struct row *row, enum kind k)
{
	const struct kind_info *kind = &kind_table[k];

	return kind->logic != LOGIC_ALWAYS &&
	       !(kind->logic == LOGIC_ON_ECHO && row->echoes != KIND_NONE && job->awaits_echo) &&
	       flow_target(kind->flow) != job->side &&
	       !(job->plan->is_mirror && kind->flow == FLOW_DOWN);
}

static bool is_written_now(const struct reading *rd, const struct canonical *p)
{
	return translate_is_direct(rd->job, rd->row, p->kind) && strcmp(p->device, rd->device) == 0;
}

bool translate_can_be_named(const struct plan *plan, const struct canonical *p)
{
	enum side to = flow_target(kind_table[p->kind].flow);

	return plan->side[to].dialect->device != DEVICE_IN_TOPIC || topic_level_is_valid(p->device);
}

/* False: it is refused. */
static bool check_canonical(struct reading *rd, const struct canonical *p)
{
	struct err e = { 0 };

	if (!translate_can_be_named(rd->job->plan, p))
		results_refuse(rd->out, DEAD_BAD_TOPIC, "the device's name has one of / + # in it");
	else if (!canonical_check_body(p, &e))
		results_refuse(rd->out, DEAD_WRONG_SHAPE, "%s", e.text);
	else
		return true;
	return false;
}

/* Take a plain message (and what it holds) to where it goes. */
static void settle(void *ctx, struct canonical *p)
{
	struct reading *rd = ctx;

	if (!check_canonical(rd, p)) {
		canonical_fini(p);
	} else if (is_written_now(rd, p)) {
		write_now(rd, p);
		canonical_fini(p);
	} else {
		results_add(rd->out, ITEM_PLAIN)->plain = *p;
	}
}

static void settle_as(void *ctx, struct canonical *p)
{
	const struct reading *rd = ctx;

	p->kind = rd->job->plan->remap[p->kind];
	settle(ctx, p);
}

/* What goes up passes the through files now, so that the logic of the bridge sees what the north is told; what
 * goes down when it is written, or it would see what the south is told. */
static void give_canonical(struct reading *rd, struct canonical *p)
{
	const struct plan *plan = rd->job->plan;

	if (kind_table[p->kind].flow == FLOW_UP) {
		translate_through(plan, p, rd->out, settle_as, rd);
		return;
	}
	p->kind = plan->remap[p->kind];
	if (!check_canonical(rd, p))
		canonical_fini(p);
	else if (is_written_now(rd, p))
		translate_through(plan, p, rd->out, settle, rd);
	else
		results_add(rd->out, ITEM_PLAIN)->plain = *p;
}

/* `p` is taken. */
static void give_stamped(struct reading *rd, struct canonical *p)
{
	if (rd->job->stamp_ms && !p->ts)
		p->ts = mem_printf("%lld", (long long)rd->job->stamp_ms);
	give_canonical(rd, p);
}

/* --- reading ------------------------------------------------------------------------------- */

/* A captured device is the one that the message is about, where the dialect names it in the topic. */
static bool names_device(const struct job *job)
{
	return topic_template_has(&job->readers[0]->topic, "device") &&
	       job->plan->side[job->side].dialect->device == DEVICE_IN_TOPIC;
}

bool translate_names_device(const struct job *job, enum kind kind)
{
	/* A through file may give another one its part. */
	return (job->device || names_device(job)) &&
	       !(kind_table[kind].flow == FLOW_UP && job->plan->n_through > 0);
}

/* The device that the function named, by its name here. */
static bool find_device(struct reading *rd, struct canonical *p)
{
	const char *here = plan_device_here(rd->job->plan, rd->job->side, p->device);

	if (!here || ((rd->job->device || names_device(rd->job)) && strcmp(here, rd->device) != 0))
		return fail(rd, DEAD_OTHER_DEVICE, "the payload names another device");
	if (here != p->device) {
		free(p->device);
		p->device = mem_strdup(here);
	}
	return true;
}

/* Set what the row and the topic say where the function did not. */
static bool complete_canonical(struct reading *rd, struct canonical *p)
{
	if (p->kind == KIND_NONE)
		p->kind = rd->row->kind;
	if (!p->id && rd->id)
		p->id = mem_strdup(rd->id);
	if (p->device)
		return find_device(rd, p);
	p->device = mem_strdup(rd->device);
	return true;
}

/* A body of bytes also says what they hold. */
static void add_value(const struct reading *rd, struct canonical *p)
{
	struct jslice body = canonical_body(p), base64, ignored;
	struct buf text = { 0 }, coded = { 0 }, bytes = { 0 };

	if (rd->row->format == FORMAT_BYTES && jtext_type_of(body) == JTEXT_OBJECT &&
	    jtext_field(body, "base64", &base64) && !jtext_field(body, "value", &ignored) &&
	    jtext_string_decode(base64, &coded) &&
	    crypto_base64_decode(&bytes, buf_str(&coded), coded.len)) {
		buf_append(&text, body.text, body.len - 1);
		buf_puts(&text, ",\"value\":");
		if (put_value(&text, buf_str(&bytes), bytes.len)) {
			buf_putc(&text, '}');
			canonical_set_body(p, text.data, text.len);
		}
	}
	buf_fini(&text);
	buf_fini(&coded);
	buf_fini(&bytes);
}

static bool on_read_output(void *ctx, struct jslice output)
{
	struct reading *rd = ctx;
	struct canonical p = { .kind = KIND_NONE };

	if (!canonical_parse(&p, output, &rd->err)) {
		translate_name_key(rd->job->plan->side[rd->job->side].mapping, output, &rd->err);
		rd->reason = DEAD_MAPPING_ERROR;
		return false;
	}
	if (!complete_canonical(rd, &p)) {
		canonical_fini(&p);
		return false;
	}
	add_value(rd, &p);
	if (!rd->kept) {
		give_stamped(rd, &p);
		return true;
	}
	rd->kept->items = mem_grow(rd->kept->items, rd->kept->n, sizeof p);
	rd->kept->items[rd->kept->n++] = p;
	return true;
}

static bool call_function(struct reading *rd)
{
	see_message(rd);
	if (!mapping_call(mapping_of(rd), rd->row->read_fn, &rd->in, on_read_output, rd,
			  &rd->err) &&
	    rd->reason == CARRIED)
		rd->reason = translate_call_outcome(rd->out, &rd->err);
	return rd->reason == CARRIED;
}

static void read_by_function(struct reading *rd)
{
	size_t before = rd->out->n;

	if (call_function(rd))
		return;
	results_cut(rd->out, before);
	results_refuse(rd->out, rd->reason, "%s: %s: %s", mapping_file(mapping_of(rd)),
		       rd->row->read, rd->err.text);
}

/* --- reading around numbers that jq would change -------------------------------------------
 *
 * The function is called twice, with smaller and with larger numbers in their place: what comes out the same does
 * not depend on them. */

static bool read_with(struct reading *rd, bool is_high, struct plains *out)
{
	struct jslice *seen = &rd->in.fields[SEEN_PAYLOAD].json, payload = *seen;
	struct buf text = { 0 };
	bool ok = translate_stand_in(payload, is_high, &text);

	*seen = translate_slice(&text);
	rd->kept = out;
	ok = ok && call_function(rd);
	rd->kept = NULL;
	*seen = payload;
	buf_fini(&text);
	return ok;
}

/* What would have come is told without its body. */
static void refuse_plain(struct reading *rd, struct canonical *p)
{
	results_refuse(rd->out, DEAD_WIDE_INTEGER, "a number would become another one in %s",
		       rd->row->read);
	free(p->body);
	p->body = NULL;
	p->body_len = 0;
	rd->out->items[rd->out->n - 1].plain = *p;
}

/* Both are ended. */
static bool give_common(struct reading *rd, struct canonical *low, struct canonical *high)
{
	enum common common = translate_common(low, high);

	canonical_fini(high);
	if (common == COMMON_NOTHING)
		canonical_fini(low);
	else if (common == COMMON_LABEL)
		refuse_plain(rd, low);
	else
		give_stamped(rd, low);
	if (common == COMMON_PART)
		results_refuse(rd->out, DEAD_WIDE_INTEGER, TRANSLATE_LEFT_OUT, rd->row->read);
	return common != COMMON_NOTHING;
}

static void read_around(struct reading *rd)
{
	struct plains low = { 0 }, high = { 0 };
	size_t before = rd->out->n, i = 0;
	bool ok = read_with(rd, false, &low) && read_with(rd, true, &high) && low.n == high.n;

	for (; ok && i < low.n; i++)
		ok = give_common(rd, &low.items[i], &high.items[i]);
	if (!ok) {
		results_cut(rd->out, before);
		results_refuse(rd->out, DEAD_WIDE_INTEGER,
			       "a number would become another one in %s", rd->row->read);
	}
	for (size_t k = i; k < low.n; k++)
		canonical_fini(&low.items[k]);
	for (size_t k = i; k < high.n; k++)
		canonical_fini(&high.items[k]);
	free(low.items);
	free(high.items);
}

/* The function that writes it, where each row that does has one; else NULL. */
static const char *will_be_written_by(const struct reading *rd, enum kind kind)
{
	const struct dialect *d = rd->job->plan->side[flow_target(kind_table[kind].flow)].dialect;
	const char *by = NULL;

	for (size_t i = 0; i < d->n_rows; i++) {
		const struct row *row = &d->rows[i];

		if (row->kind != kind || !row->can_write)
			continue;
		by = row->publish ? row->publish : row->write;
		if (!by)
			return NULL;
	}
	return by;
}

/* What the state will be about must not be what cannot be written. */
static void read_as_it_is(struct reading *rd)
{
	struct canonical p = { .kind = KIND_NONE };
	enum kind kind = rd->job->plan->remap[rd->row->kind];
	bool may_come_apart = kind_table[kind].keyed[0] && kind_table[kind].logic == LOGIC_ALWAYS;
	const char *by = may_come_apart ? will_be_written_by(rd, kind) : NULL;

	canonical_set_body(&p, buf_str(&rd->payload), rd->payload.len);
	if (complete_canonical(rd, &p)) {
		bool is_wide = by && translate_would_change(canonical_body(&p)),
		     is_some = !is_wide || translate_leave_out(&p);

		if (is_some)
			give_stamped(rd, &p);
		else
			canonical_fini(&p);
		if (is_wide)
			results_refuse(rd->out, DEAD_WIDE_INTEGER, TRANSLATE_LEFT_OUT, by);
		return;
	}
	canonical_fini(&p);
	results_refuse(rd->out, rd->reason, "%s", rd->err.text);
}

/* Does the row read such payloads?  Told by their bytes, as most do not come to a function then. */
static bool is_wanted(const struct reading *rd)
{
	const char *key = rd->row->when.has;
	struct jslice payload = translate_slice(&rd->payload), ignored;

	return !key ||
	       (jtext_type_of(payload) == JTEXT_OBJECT && jtext_field(payload, key, &ignored));
}

/* Each row is for itself: what is wrong with one refuses its part only. */
static void read_row(struct reading *rd, size_t i)
{
	const struct reader *reader = rd->job->readers[i];
	size_t before = rd->out->n;

	rd->row = reader->row;
	rd->id = translate_captured_id(reader, rd->topic_id);
	rd->reason = CARRIED;
	if (!rd->device)
		results_refuse(rd->out, DEAD_OTHER_DEVICE, "the topic names another device");
	else if (!see_payload(rd))
		results_refuse(rd->out, DEAD_UNREADABLE, "%s", rd->err.text);
	else if (!is_wanted(rd))
		;
	else if (rd->row->read_fn < 0)
		read_as_it_is(rd);
	else if (translate_would_change(translate_slice(&rd->payload)))
		read_around(rd);
	else
		read_by_function(rd);
	for (; before < rd->out->n; before++)
		rd->out->items[before].row = i;
	free(rd->id);
}

void translate_read(const struct job *job, struct results *out)
{
	struct reading rd = { .job = job, .out = out };

	if (job->topic)
		vars_copy(&rd.topic, job->topic);
	else
		topic_template_match(&job->readers[0]->topic, job->message->topic, &rd.topic);
	rd.device =
		translate_device(job->plan, job->side, job->device, vars_get(&rd.topic, "device"));
	rd.topic_id = vars_get(&rd.topic, "id");
	for (size_t i = 0; i < job->n_readers; i++)
		read_row(&rd, i);
	vars_fini(&rd.topic);
	buf_fini(&rd.payload);
	buf_fini(&rd.value);
	buf_fini(&rd.limits);
	buf_fini(&rd.request);
}
