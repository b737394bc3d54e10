/* link_compare.c -- what devices say is compared with what the north has acknowledged of it (fleet/compare.h), on a
 * link of which a device is in mirror; else a message costs a test or two here.
 *
 * A message is looked at when it is settled: so far its plain messages are kept with it, with a bit for each of their
 * values that was found in what was written.  That is looked for by name, then by value, as a mapping may call it
 * otherwise; what is called otherwise *and* changed counts as dropped.  The same is asked of the fields of the payload:
 * one that no plain message has, though it stands beside one that some has, was dropped on the way in.  (What stands
 * beside none is the dialect's own: versions, ids, times.) */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "plan/wanted.h"
#include "fleet/compare.h"
#include "translate/executor.h"

#define BITS  64 /* so many values of a plain message are looked at */
#define DEPTH 16 /* of a payload */
#define LOOKS                                                                                      \
	256 /* so many fields of a payload: more than a device has keys, and each costs a walk over what was made */
#define SPARE_MAX  1024
#define BY_MAPPING "mapping"
#define ON_THE_WAY "mapping or through"

struct part {
	enum kind kind;
	size_t device, body, body_len; /* places in `others`, in `bodies` */
	uint64_t written;	       /* a bit for each value, in their order */
};

struct compared {
	struct buf bodies, others; /* whose they are, and their times */
	struct part *parts;
	size_t n, n_made;
	struct compared *next; /* of the spare ones */
};

/* --- what is kept with a message ------------------------------------------------------------ */

static struct compared *take_spare(struct link *l)
{
	struct compared *c = l->spare_compared;

	if (!c)
		return mem_zalloc(sizeof *c);
	l->spare_compared = c->next;
	l->n_spare_compared--;
	c->n = 0;
	buf_reset_above(&c->bodies, 4096);
	buf_reset_above(&c->others, 4096);
	return c;
}

static void compared_free(struct compared *c)
{
	buf_fini(&c->bodies);
	buf_fini(&c->others);
	free(c->parts);
	free(c);
}

void link_compare_drop(struct link *l, struct intake *in)
{
	struct compared *c = in->compared;

	in->compared = NULL;
	if (!c)
		return;
	if (l->n_spare_compared == SPARE_MAX) {
		compared_free(c);
		return;
	}
	c->next = l->spare_compared;
	l->spare_compared = c;
	l->n_spare_compared++;
}

void link_compare_free(struct link *l)
{
	struct compared *c;

	while ((c = l->spare_compared) != NULL) {
		l->spare_compared = c->next;
		compared_free(c);
	}
	buf_fini(&l->compare_name);
	buf_fini(&l->compare_payload);
}

static struct jslice body_of(const struct compared *c, const struct part *p)
{
	return (struct jslice){ c->bodies.data + p->body, p->body_len };
}

static bool is_part(const struct compared *c, const struct part *p, const struct canonical *plain)
{
	return p->kind == plain->kind && p->body_len == plain->body_len &&
	       memcmp(c->bodies.data + p->body, plain->body, plain->body_len) == 0 &&
	       strcmp(c->others.data + p->device, plain->device) == 0;
}

static struct part *find_part(struct compared *c, const struct canonical *plain)
{
	for (size_t i = c->n; i-- > 0;)
		if (is_part(c, &c->parts[i], plain))
			return &c->parts[i];
	/* The logic may have taken something out of it since. */
	for (size_t i = c->n; i-- > 0;)
		if (c->parts[i].kind == plain->kind &&
		    strcmp(c->others.data + c->parts[i].device, plain->device) == 0)
			return &c->parts[i];
	return NULL;
}

static bool is_comparable(enum kind kind)
{
	return kind == KIND_TELEMETRY || kind == KIND_ATTRIBUTES;
}

void link_compare_read(struct link *l, struct intake *in, const struct canonical *plain)
{
	struct compared *c = in->compared;
	struct part *p;

	if (!is_comparable(plain->kind) || !plain->body)
		return;
	if (!c)
		c = in->compared = take_spare(l);
	/* (What two rows write is one message that was read.) */
	if (c->n > 0 && is_part(c, &c->parts[c->n - 1], plain))
		return;
	if (c->n == c->n_made) {
		c->parts = mem_grow(c->parts, c->n, sizeof *c->parts);
		c->n_made++;
	}
	p = &c->parts[c->n++];
	*p = (struct part){ .kind = plain->kind, .body_len = plain->body_len };
	p->device = c->others.len;
	buf_append(&c->others, plain->device, strlen(plain->device) + 1);
	buf_puts(&c->others, plain->ts ? plain->ts : "");
	buf_putc(&c->others, '\n');
	p->body = c->bodies.len;
	buf_append(&c->bodies, plain->body, plain->body_len);
	buf_putc(&c->bodies, '\n');
}

/* --- looking for it -------------------------------------------------------------------------- */

static bool is_of_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '.' || c == '-' || c == '+' || c == '_';
}

/* Is the word there, not as a part of a longer one? */
static bool has_word(struct jslice text, struct jslice word)
{
	const char *at = text.text, *end = text.text + text.len;

	while (text.len && word.len &&
	       (at = memmem(at, (size_t)(end - at), word.text, word.len)) != NULL) {
		bool is_open = at > text.text && is_of_word(at[-1]) && is_of_word(*word.text),
		     goes_on = at + word.len < end && is_of_word(at[word.len]) &&
			       is_of_word(word.text[word.len - 1]);

		if (!is_open && !goes_on)
			return true;
		at++;
	}
	return false;
}

static struct jslice without_quotes(struct jslice s)
{
	return (struct jslice){ s.text + 1, s.len - 2 };
}

static bool is_in(struct jslice text, const struct jfield *f)
{
	return has_word(text, f->key) || has_word(text, without_quotes(f->key)) ||
	       has_word(text, f->value);
}

void link_compare_written(struct intake *in, const struct canonical *plain, const struct message *m)
{
	struct part *p = plain->device && plain->body ? find_part(in->compared, plain) : NULL;
	struct jslice payload = { m->payload, m->payload_len }, body;
	struct jfield f;
	size_t pos = 0;
	uint64_t bit = 1;

	if (!p)
		return;
	body = body_of(in->compared, p);
	if ((payload.len == body.len && memcmp(payload.text, body.text, body.len) == 0) ||
	    payload.len == 0 || (*payload.text != '{' && *payload.text != '[')) {
		p->written = UINT64_MAX;
		return;
	}
	for (; bit && jtext_next_field(body, &pos, &f); bit <<= 1)
		if (!(p->written & bit) &&
		    (is_in(payload, &f) || has_word((struct jslice){ m->topic, strlen(m->topic) },
						    without_quotes(f.key))))
			p->written |= bit;
}

/* --- secrets --------------------------------------------------------------------------------- */

static bool sounds_secret(struct jslice name)
{
	static const char *const parts[] = { "token",	"secret", "passw",   "credential",
					     "private", "apikey", "api_key", "access_key" };
	char text[64];
	size_t n = name.len < sizeof text - 1 ? name.len : sizeof text - 1;

	memcpy(text, name.text, n);
	text[n] = '\0';
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (strcasestr(text, parts[i]))
			return true;
	return false;
}

static bool is_among(const struct vars *vars, struct jslice text)
{
	for (size_t i = 0; vars && i < vars->n; i++)
		if (vars->items[i].is_secret && strlen(vars->items[i].value) == text.len &&
		    memcmp(vars->items[i].value, text.text, text.len) == 0)
			return true;
	return false;
}

static bool is_secret(const struct link *l, const char *device, struct jslice name,
		      struct jslice value)
{
	if (sounds_secret(name))
		return true;
	if (jtext_type_of(value) != JTEXT_STRING)
		return false;
	for (int s = 0; s < SIDES; s++)
		if (is_among(&l->plan->side[s].vars, without_quotes(value)) ||
		    is_among(link_own_vars(l, (enum side)s, device), without_quotes(value)))
			return true;
	return false;
}

/* --- when it is settled ---------------------------------------------------------------------- */

struct settling {
	struct link *l;
	struct intake *in;
	struct compare_device *device;
	const char *why;	      /* NULL: it was carried */
	struct jslice bodies, others; /* what was made of it */
	unsigned looks;		      /* that are left */
};

static void see(const struct settling *s, enum kind kind, const struct jfield *f, const char *why)
{
	struct link *l = s->l;
	struct compare_seen seen = { .kind = kind,
				     .name = without_quotes(f->key),
				     .received_ms = s->in->at_ms,
				     .why = why };

	if (memchr(f->key.text, '\\', f->key.len)) {
		buf_reset(&l->compare_name);
		if (!jtext_string_decode(f->key, &l->compare_name))
			return;
		seen.name = (struct jslice){ buf_str(&l->compare_name), l->compare_name.len };
	}
	if (kind != KIND_NONE) {
		seen.value = f->value;
		seen.is_secret = is_secret(l, s->device->name, seen.name, f->value);
	}
	compare_see(s->device, &seen, l->latest_ms);
}

static void settle_part(struct settling *s, const struct part *p)
{
	const struct compared *c = s->in->compared;
	const char *device = c->others.data + p->device;
	struct jfield f;
	size_t pos = 0;
	uint64_t bit = 1;

	if (!s->device || strcmp(s->device->name, device) != 0)
		s->device = compares_settle(s->l->compares, device, s->l->latest_ms);
	while (jtext_next_field(body_of(c, p), &pos, &f)) {
		bool is_written = p->written & bit || !bit;

		see(s, p->kind, &f, s->why ? s->why : is_written ? NULL : BY_MAPPING);
		bit <<= 1;
	}
}

static bool is_leaf(struct jslice v)
{
	struct jslice first;
	size_t pos = 0;

	if (jtext_type_of(v) == JTEXT_ARRAY)
		return !jtext_next_element(v, &pos, &first) || is_leaf(first);
	return jtext_type_of(v) != JTEXT_OBJECT;
}

static bool may_look(struct settling *s)
{
	if (s->looks == 0)
		return false;
	s->looks--;
	return true;
}

/* Does something that was made of it have a value of this name? */
static bool keeps_name(struct settling *s, struct jslice object)
{
	struct jfield f;
	size_t pos = 0;

	while (jtext_next_field(object, &pos, &f) && may_look(s))
		if (is_leaf(f.value) && has_word(s->bodies, f.key))
			return true;
	return false;
}

static void settle_fields(struct settling *s, struct jslice v, int depth)
{
	bool is_checked = s->bodies.len == 0 || keeps_name(s, v);
	struct jslice element;
	struct jfield f;
	size_t pos = 0;

	while (depth < DEPTH && s->looks && jtext_next_element(v, &pos, &element))
		settle_fields(s, element, depth + 1);
	for (pos = 0; jtext_next_field(v, &pos, &f) && may_look(s);) {
		if (!is_leaf(f.value) && depth < DEPTH)
			settle_fields(s, f.value, depth + 1);
		else if (is_checked && !is_in(s->bodies, &f) && !has_word(s->others, f.value))
			see(s, KIND_NONE, &f, s->why && !s->bodies.len ? s->why : ON_THE_WAY);
	}
}

/* Do all that read it give values?  Others may take of it what they like. */
static bool is_all_values(const struct intake *in)
{
	for (size_t i = 0; i < in->n_readers; i++)
		if (!is_comparable(in->plan->remap[in->readers[i]->row->kind]))
			return false;
	return in->n_readers > 0;
}

/* As the only plain message is the payload, nothing was taken out of it. */
static bool is_as_it_came(const struct compared *c, const struct buf *payload)
{
	return c && c->n == 1 && c->parts->body_len == payload->len &&
	       memcmp(body_of(c, c->parts).text, payload->data, payload->len) == 0;
}

static void settle_payload(struct settling *s)
{
	const struct message *m = &s->in->message;
	struct buf *payload = &s->l->compare_payload;

	buf_reset_above(payload, 65536);
	if (m->payload_len && is_all_values(s->in) &&
	    jtext_take(m->payload, m->payload_len, true, payload, NULL) &&
	    !is_as_it_came(s->in->compared, payload))
		settle_fields(s, (struct jslice){ payload->data, payload->len }, 0);
	if (s->looks == 0)
		s->device->left_out++;
}

/* Whose it was of which nothing was made, as topic or session say; NULL: they do not, or nothing passes for it. */
static const char *unread_device(const struct link *l, const struct intake *in)
{
	const char *device = is_all_values(in) ? link_named_device(l, SOUTH, in) : NULL;

	return device && (fleet_passes(link_mode(l, device)) & FLEET_PASSES(FLOW_UP)) ? device
										      : NULL;
}

/* Was it carried, or lost?  What is no loss is not looked at. */
static bool is_looked_at(enum outcome reason, const char **why)
{
	*why = reason == CARRIED	       ? NULL
	       : reason == FILTERED_BY_MAPPING ? ON_THE_WAY
					       : outcome_word(reason);
	return reason == CARRIED || reason == FILTERED_BY_MAPPING || outcome_is_dead(reason);
}

static void settle(struct link *l, struct intake *in, const char *why)
{
	struct settling s = { .l = l, .in = in, .why = why, .looks = LOOKS };
	const struct compared *c = in->compared;
	const char *unread = c || !why ? NULL : unread_device(l, in);

	for (size_t i = 0; c && i < c->n; i++)
		settle_part(&s, &c->parts[i]);
	if (c) {
		s.bodies = (struct jslice){ c->bodies.data, c->bodies.len };
		s.others = (struct jslice){ c->others.data, c->others.len };
	} else if (unread) {
		s.device = compares_settle(l->compares, unread, l->latest_ms);
	}
	if (s.device)
		settle_payload(&s);
}

void link_compare_settled(struct link *l, struct intake *in, enum outcome reason)
{
	const char *why;

	if (!l->is_ending && is_looked_at(reason, &why))
		settle(l, in, why);
	link_compare_drop(l, in);
}

void link_compare_begin(struct link *l, const char *device)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);
	const struct compare_device *c = compares_find(l->compares, device);

	if (c && (!d || (d->mode == FLEET_MIRROR && d->mode_ms > c->since_ms)))
		compares_forget(l->compares, device, &l->changes);
}

const struct compares *link_compares(const struct link *l)
{
	return l->compares;
}

/* --- asking the platform --------------------------------------------------------------------- */

static bool can_read_back(const struct plan *p)
{
	const struct wanted wanted = plan_wanted(p);
	const struct row *reply = plan_reader(p, NORTH, KIND_ATTRIBUTES_REPLY);

	return reply && plan_asker(p, NORTH, KIND_ATTRIBUTES_REQUEST) && wanted_row(&wanted, reply);
}

bool link_can_read_back(const struct link *l)
{
	return can_read_back(l->plan);
}

/* What was not asked is not waited for. */
static void after_asking(struct task *t, size_t n_sent, size_t n_refused)
{
	const struct canonical *asked = &t->job.plain;
	struct link *l = t->link;
	const struct pairing *p =
		n_sent ? NULL
		       : pairings_find(l->pairings, asked->device, asked->kind, SOUTH, asked->id);

	(void)n_refused;
	if (p)
		pairings_close(l->pairings, p, &l->changes);
}

bool link_read_back(struct link *l, const char *device, uint64_t login, int64_t now_ms)
{
	const struct compare_device *c = compares_find(l->compares, device);
	const struct row *row = plan_asker(l->plan, NORTH, KIND_ATTRIBUTES_REQUEST);
	struct canonical p = { .kind = KIND_ATTRIBUTES_REQUEST, .device = (char *)device };
	struct buf body = { 0 };
	struct intake *in;
	size_t n;

	buf_puts(&body, "{\"client\":");
	n = c ? compare_put_attributes(c, &body) : 0;
	buf_putc(&body, '}');
	if (n > 0) {
		p.body = body.data;
		p.body_len = body.len;
		compares_ask(l->compares, device, now_ms);
		link_begin_own(l, sequence_of_device(l, device), now_ms);
		in = link_own_intake(l, FLOW_UP);
		in->greets = login;
		in->is_in_turn = true;
		p.id = pairings_ask(l->pairings, &p, row->id, INT64_MAX, &l->changes)->far_id;
		link_write(l, in,
			   &(struct link_write){ .to = NORTH, .plain = &p, .after = after_asking });
		link_end_own(l, in);
	}
	buf_fini(&body);
	return n > 0;
}

void link_compare_answer(struct task *t, const struct canonical *p)
{
	struct link *l = t->link;
	struct jslice client;

	if (!jtext_field(canonical_body(p), "client", &client))
		client = (struct jslice){ "{}", 2 };
	compares_answer(l->compares, p->device, client, l->now_ms);
	t->intake->is_well = true;
}
