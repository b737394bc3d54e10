#include "author/record.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "message/hops.h"
#include "message/kind.h"
#include "message/outcome.h"

/* A message that came, or (is_own) what the bridge said by itself. */
struct step {
	uint64_t id;
	json_object *what;    /* as it was told of its arrival; NULL: is_own */
	json_object *outputs; /* an array of what was told of each */
	int64_t at_ms;
	char *device; /* of what was read; NULL: nothing was */
	enum kind kind;
	char *result; /* NULL: it is not settled */
	bool is_dead;
	bool is_left_out; /* a case has no place for it */
	bool is_no_news;  /* the bridge said it itself, or it is of the other direction */
};

/* An id that the bridge made. */
struct made_id {
	uint64_t by; /* the step that it was made for */
	char *device;
	json_object *value;
	char *placeholder; /* "{{id1}}" */
};

struct record_file {
	char *link;
	int64_t at_ms;
	json_object *setup, *state;
	struct step *steps;
	size_t n_steps;
	struct made_id *ids;
	size_t n_ids;
	uint64_t n_bytes;
};

struct record_file *record_file_new(void)
{
	struct record_file *r = mem_zalloc(sizeof *r);

	r->state = json_object_new_array();
	return r;
}

void record_file_free(struct record_file *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_steps; i++) {
		json_object_put(r->steps[i].what);
		json_object_put(r->steps[i].outputs);
		free(r->steps[i].device);
		free(r->steps[i].result);
	}
	for (size_t i = 0; i < r->n_ids; i++) {
		json_object_put(r->ids[i].value);
		free(r->ids[i].device);
		free(r->ids[i].placeholder);
	}
	free(r->steps);
	free(r->ids);
	json_object_put(r->setup);
	json_object_put(r->state);
	free(r->link);
	free(r);
}

/* --- what is told ---------------------------------------------------------------------------- */

static struct step *find(const struct record_file *r, uint64_t id)
{
	for (size_t i = r->n_steps; i-- > 0;)
		if (r->steps[i].id == id)
			return &r->steps[i];
	return NULL;
}

static struct step *add(struct record_file *r, uint64_t id, json_object *item)
{
	json_object *at = NULL;

	json_object_object_get_ex(item, "at_ms", &at);
	r->steps = mem_grow(r->steps, r->n_steps, sizeof *r->steps);
	r->steps[r->n_steps] = (struct step){ .id = id,
					      .outputs = json_object_new_array(),
					      .at_ms = json_object_get_int64(at),
					      .kind = KIND_NONE };
	return &r->steps[r->n_steps++];
}

static const char *text_of(json_object *o, const char *key)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static bool is_true(json_object *o, const char *key)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_get_boolean(v);
}

static void on_begins(struct record_file *r, json_object *item)
{
	json_object *v = NULL;

	if (r->link)
		return;
	r->link = mem_strdup(text_of(item, "link"));
	if (json_object_object_get_ex(item, "setup", &v))
		r->setup = json_object_get(v);
	if (json_object_object_get_ex(item, "at_ms", &v))
		r->at_ms = json_object_get_int64(v);
}

static void on_arrived(struct record_file *r, struct step *s, uint64_t id, json_object *item)
{
	if (s)
		return;
	s = add(r, id, item);
	s->what = json_object_get(item);
}

static void on_read(struct step *s, json_object *item)
{
	enum kind kind = kind_of(text_of(item, "kind"));

	if (s->kind == KIND_NONE) {
		s->kind = kind;
		s->device = mem_strdup(text_of(item, "device"));
	}
	s->is_left_out |= kind != KIND_NONE && kind_table[kind].has_secrets;
}

static void on_paired(struct record_file *r, uint64_t id, json_object *item)
{
	json_object *value = NULL;

	if (!json_object_object_get_ex(item, "far_id", &value))
		return;
	r->ids = mem_grow(r->ids, r->n_ids, sizeof *r->ids);
	r->ids[r->n_ids] = (struct made_id){ .by = id,
					     .device = mem_strdup(text_of(item, "device")),
					     .value = json_object_get(value),
					     .placeholder = mem_printf("{{id%zu}}", r->n_ids + 1) };
	r->n_ids++;
}

static void on_made(struct record_file *r, struct step *s, uint64_t id, json_object *item)
{
	const char *kind = text_of(item, "kind");
	enum kind k = kind ? kind_of(kind) : KIND_NONE;

	if (!s)
		s = add(r, id, item);
	s->is_left_out |=
		is_true(item, "is_greeting") || (k != KIND_NONE && kind_table[k].has_secrets);
	json_object_array_add(s->outputs, json_object_get(item));
}

static void on_settled(struct step *s, json_object *item)
{
	static const enum outcome no_news[] = { FILTERED_ECHO, FILTERED_LOOP, FILTERED_NOT_READ };

	free(s->result);
	s->result = mem_strdup(text_of(item, "result"));
	s->is_dead = is_true(item, "is_dead");
	for (size_t i = 0; i < sizeof no_news / sizeof no_news[0]; i++)
		s->is_no_news |= strcmp(s->result, outcome_word(no_news[i])) == 0;
}

void record_file_take(struct record_file *r, struct jslice text)
{
	uint64_t id = (uint64_t)ask_number(text, "id");
	json_object *item = jtext_tree(text.text, text.len, NULL), *state = NULL;
	const char *step = item ? text_of(item, "step") : NULL;
	struct step *s = id ? find(r, id) : NULL;

	if (id)
		r->n_bytes += text.len;
	if (item && json_object_object_get_ex(item, "state", &state))
		json_object_array_add(r->state, json_object_get(state));
	else if (step && strcmp(step, "begins") == 0)
		on_begins(r, item);
	else if (step && strcmp(step, "arrived") == 0)
		on_arrived(r, s, id, item);
	else if (step && strcmp(step, "made") == 0)
		on_made(r, s, id, item);
	else if (step && strcmp(step, "paired") == 0)
		on_paired(r, id, item);
	else if (step && s && strcmp(step, "read") == 0)
		on_read(s, item);
	else if (step && s && strcmp(step, "settled") == 0)
		on_settled(s, item);
	json_object_put(item);
}

uint64_t record_file_bytes(const struct record_file *r)
{
	return r->n_bytes;
}

const char *record_file_link(const struct record_file *r)
{
	return r->link;
}

size_t record_file_left_out(const struct record_file *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_steps; i++)
		n += r->steps[i].is_left_out;
	return n;
}

/* --- ids that were made ---------------------------------------------------------------------- */

/* Is this id one of those that may stand in the step: in what it asks for, or (`as_reply`) in the reply that it is? */
static bool is_in_question(const struct made_id *id, const struct step *s, bool as_reply)
{
	if (!as_reply)
		return id->by == s->id;
	return s->kind != KIND_NONE && kind_is_paired_reply(s->kind) && s->device && id->device &&
	       strcmp(s->device, id->device) == 0;
}

/* The last one with this value; a text of a topic is one without its quotes.  NULL: there is none. */
static const char *placeholder_of(const struct record_file *r, const struct step *s, bool as_reply,
				  json_object *value, const char *level, size_t n)
{
	for (size_t i = r->n_ids; i-- > 0;) {
		const struct made_id *id = &r->ids[i];
		const char *text = json_object_get_string(id->value);

		if (!is_in_question(id, s, as_reply))
			continue;
		if (value && (json_object_equal(id->value, value) ||
			      (json_object_is_type(value, json_type_string) &&
			       strcmp(json_object_get_string(value), text) == 0)))
			return id->placeholder;
		if (level && strlen(text) == n && memcmp(text, level, n) == 0)
			return id->placeholder;
	}
	return NULL;
}

static json_object *with_ids(const struct record_file *r, const struct step *s, bool as_reply,
			     json_object *v)
{
	const char *placeholder;
	json_object *copy;

	switch (json_object_get_type(v)) {
	case json_type_object:
		copy = json_object_new_object();
		json_object_object_foreach (v, key, value)
			json_object_object_add(copy, key, with_ids(r, s, as_reply, value));
		return copy;
	case json_type_array:
		copy = json_object_new_array();
		for (size_t i = 0; i < json_object_array_length(v); i++)
			json_object_array_add(
				copy, with_ids(r, s, as_reply, json_object_array_get_idx(v, i)));
		return copy;
	case json_type_int:
	case json_type_string:
		placeholder = placeholder_of(r, s, as_reply, v, NULL, 0);
		return placeholder ? json_object_new_string(placeholder) : json_object_get(v);
	default:
		return json_object_get(v);
	}
}

static json_object *topic_with_ids(const struct record_file *r, const struct step *s, bool as_reply,
				   const char *topic)
{
	struct buf out = { 0 };
	json_object *text;

	for (;; topic++) {
		size_t n = strcspn(topic, "/");
		const char *placeholder = placeholder_of(r, s, as_reply, NULL, topic, n);

		if (placeholder)
			buf_puts(&out, placeholder);
		else
			buf_append(&out, topic, n);
		topic += n;
		if (!*topic)
			break;
		buf_putc(&out, '/');
	}
	text = json_object_new_string_len(buf_str(&out), (int)out.len);
	buf_fini(&out);
	return text;
}

/* --- the file -------------------------------------------------------------------------------- */

/* The trail is not the mappings', and is different each time. */
static json_object *without_trail(json_object *properties)
{
	json_object *copy = NULL;

	json_object_deep_copy(properties, &copy, NULL);
	json_object_object_del(copy, HOPS_PROPERTY);
	if (json_object_object_length(copy))
		return copy;
	json_object_put(copy);
	return NULL;
}

/* Keys of the message that a case has, with placeholders, into `into`. */
static void put_message(const struct record_file *r, const struct step *s, json_object *item,
			bool as_reply, json_object *into)
{
	static const char *const plain[] = { "payload_text", "payload_base64", "response_topic",
					     "correlation_base64" };
	json_object *v = NULL;

	json_object_object_add(into, "topic",
			       topic_with_ids(r, s, as_reply, text_of(item, "topic")));
	if (json_object_object_get_ex(item, "payload", &v))
		json_object_object_add(into, "payload", with_ids(r, s, as_reply, v));
	if (json_object_object_get_ex(item, "correlation", &v))
		json_object_object_add(into, "correlation", with_ids(r, s, as_reply, v));
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		if (json_object_object_get_ex(item, plain[i], &v))
			json_object_object_add(into, plain[i], json_object_get(v));
	if (json_object_object_get_ex(item, "properties", &v) && (v = without_trail(v)) != NULL)
		json_object_object_add(into, "properties", v);
	if (is_true(item, "retain"))
		json_object_object_add(into, "retain", json_object_new_boolean(true));
}

static json_object *outputs_of(const struct record_file *r, const struct step *s, const char *to)
{
	json_object *list = json_object_new_array(), *qos = NULL;

	for (size_t i = 0; i < json_object_array_length(s->outputs); i++) {
		json_object *item = json_object_array_get_idx(s->outputs, i);
		json_object *one = json_object_new_object();
		const char *side = text_of(item, "side");

		if (strcmp(side, to) != 0)
			json_object_object_add(one, "side", json_object_new_string(side));
		put_message(r, s, item, false, one);
		if (json_object_object_get_ex(item, "qos", &qos) && json_object_get_int(qos) != 1)
			json_object_object_add(one, "qos", json_object_get(qos));
		json_object_array_add(list, one);
	}
	return list;
}

/* What became of it on its way to the far side says nothing of the mappings. */
static void put_fate(const struct step *s, json_object *into)
{
	if (s->result && strcmp(s->result, "delivered") != 0 &&
	    json_object_array_length(s->outputs) == 0)
		json_object_object_add(into, s->is_dead ? "dead" : "filtered",
				       json_object_new_string(s->result));
}

static json_object *step_of(const struct record_file *r, const struct step *s)
{
	json_object *one = json_object_new_object();
	bool is_up = s->what && strcmp(text_of(s->what, "side"), "south") == 0;

	json_object_object_add(one, "at", json_object_new_int64(s->at_ms));
	if (s->what) {
		json_object_object_add(one, "flow", json_object_new_string(is_up ? "up" : "down"));
		put_message(r, s, s->what, true, one);
		if (text_of(s->what, "session"))
			json_object_object_add(one, "session",
					       json_object_new_string(text_of(s->what, "session")));
	} else {
		json_object_object_add(one, "after_ms", json_object_new_int(0));
	}
	json_object_object_add(one, "expect",
			       outputs_of(r, s,
					  !s->what ? ""
					  : is_up  ? "north"
						   : "south"));
	put_fate(s, one);
	return one;
}

static bool is_shown(const struct step *s)
{
	return !s->is_left_out && !s->is_no_news &&
	       (s->result || json_object_array_length(s->outputs) > 0);
}

static void put_line(struct buf *out, const char *before, json_object *v)
{
	buf_puts(out, before);
	jtext_tree_put(out, v);
}

size_t record_file_put(const struct record_file *r, struct buf *out)
{
	char *name = mem_printf("link %s, as recorded", r->link);
	json_object *v = NULL, *text = json_object_new_string(name);
	const char *before = "\n    ";
	size_t n = 0;

	put_line(out, "[ { \"name\": ", text);
	json_object_put(text);
	json_object_object_foreach (r->setup, key, value) {
		buf_printf(out, ", \"%s\": ", key);
		jtext_tree_put(out, value);
	}
	buf_printf(out, ",\n  \"at\": %lld, \"state\": [", (long long)r->at_ms);
	for (size_t i = 0; i < json_object_array_length(r->state); i++)
		put_line(out, i ? ",\n    " : "\n    ", json_object_array_get_idx(r->state, i));
	buf_puts(out, " ],\n  \"steps\": [");
	for (size_t i = 0; i < r->n_steps; i++) {
		if (!is_shown(&r->steps[i]))
			continue;
		v = step_of(r, &r->steps[i]);
		put_line(out, before, v);
		json_object_put(v);
		before = ",\n    ";
		n++;
	}
	buf_puts(out, " ] } ]\n");
	free(name);
	return n;
}
