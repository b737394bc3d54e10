/* dialect_row.c -- a row of a dialect: its keys, and what they may not be together.
 *
 * A row is filled in three times, each over the last: with defaults, with what `up` or `down` says to all rows
 * of its flow, with what it says itself.  The second was judged when it was read (dialect_shared_check), so
 * it is quiet here.  Keys that exclude each other are a mistake in one object; between the row and
 * its flow, the row's own counts.  Afterwards a row has only what it can use: no `read` where it is only
 * written, no `answered` without a reply. */
#include "dialect/dialect_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "message/kind.h"

/* Keys */

static const struct schema_word formats[] = {
	{ "json", FORMAT_JSON }, { "text", FORMAT_TEXT }, { "bytes", FORMAT_BYTES }, { 0 }
};
static const struct schema_word id_types[] = {
	{ "integer", ID_INTEGER }, { "uuid", ID_UUID }, { "string", ID_STRING }, { 0 }
};
enum way { WAY_READ, WAY_WRITE };
static const struct schema_word ways[] = { { "read", WAY_READ }, { "write", WAY_WRITE }, { 0 } };

static bool set_only(struct schema_reader *r, void *member, json_object *value)
{
	const struct schema_word *way;
	struct row *row = member;

	if (!schema_find_word(r, ways, value, &way))
		return false;
	if (way) {
		row->can_read = way->value == WAY_READ;
		row->can_write = way->value == WAY_WRITE;
	}
	return true;
}

static bool set_qos(struct schema_reader *r, void *member, json_object *value)
{
	int64_t qos = json_object_get_int64(value);

	if (!json_object_is_type(value, json_type_int))
		return false;
	if (qos == 0 || qos == 1)
		*(int *)member = (int)qos;
	else if (qos == 2)
		schema_mistake(r,
			       "QoS 2 messages can be lost by the MQTT library in a crash; use 1");
	else
		schema_mistake(r, "must be 0 or 1");
	return true;
}

static bool set_reply(struct schema_reader *r, void *member, json_object *value)
{
	char **reply = member;
	struct topic_template t;
	struct err e = { 0 };

	if (!schema_set_text(r, reply, value))
		return false;
	if (*reply && !topic_template_parse(&t, *reply, &e))
		schema_mistake(r, "%s", e.text);
	else if (*reply)
		topic_template_fini(&t);
	return true;
}

static const struct schema_key alias_keys[] = {
	{ "topic", SCHEMA_TOPIC, offsetof(struct alias, topic), .is_required = true,
	  .about = "the further topic, as a template" },
	{ "reply", SCHEMA_OWN, offsetof(struct alias, reply), .set.json = set_reply,
	  .like = SCHEMA_TOPIC, .what = "a string, the topic of the reply",
	  .about = "where the answer to a request that came here goes" },
};
static const struct schema alias_schema = SCHEMA_OF(alias_keys);

static void read_alias(struct schema_reader *r, struct alias *alias, json_object *value)
{
	struct err e = { 0 };

	if (json_object_is_type(value, json_type_object))
		schema_read(r, &alias_schema, alias, value);
	else if (!json_object_is_type(value, json_type_string))
		schema_mistake(r, "must be a topic or {topic, reply}");
	else if (!topic_template_parse(&alias->topic, json_object_get_string(value), &e))
		schema_mistake(r, "%s", e.text);
}

static bool set_also(struct schema_reader *r, void *member, json_object *value)
{
	struct row *row = member;

	if (!json_object_is_type(value, json_type_array))
		return false;
	row->n_also = json_object_array_length(value);
	row->also = mem_zalloc(row->n_also * sizeof *row->also);
	for (size_t i = 0; i < row->n_also; i++) {
		size_t mark = schema_enter_element(r, i);

		read_alias(r, &row->also[i], json_object_array_get_idx(value, i));
		schema_leave(r, mark);
	}
	return true;
}

static const struct schema_key guard_keys[] = {
	{ "has", SCHEMA_TEXT, offsetof(struct guard, has), .is_required = true,
	  .about = "the key that a payload has, an object then; its value may be any" },
};
static const struct schema guard_schema = SCHEMA_OF(guard_keys);

/* clang-format off */
#define ROW(member) .offset = offsetof(struct row, member)
#define SHARED_ROW_KEYS \
	{ "read", SCHEMA_NAME, ROW(read), \
	  .about = "the function that makes plain messages of what came; without it {body: .payload}" }, \
	{ "write", SCHEMA_NAME, ROW(write), \
	  .about = "the function that makes the payload; without it .body" }, \
	{ "publish", SCHEMA_NAME, ROW(publish), \
	  .about = "instead of write, a function that makes {payload, topic, properties}" }, \
	{ "only", SCHEMA_OWN, .set.json = set_only, .like = SCHEMA_WORD, .words = ways, \
	  .what = "\"read\" or \"write\"", \
	  .about = "\"read\" or \"write\": the row is for one way alone" }, \
	{ "format", SCHEMA_WORD, ROW(format), .words = formats, \
	  .about = "of the payload: \"json\" (default), \"text\", or \"bytes\" (base64 inside jq)" }, \
	{ "qos", SCHEMA_OWN, ROW(qos), .set.json = set_qos, .like = SCHEMA_INTEGER, .min = 0, .max = 1, \
	  .what = "0 or 1", .about = "of what is written: 0 or 1 (default)" }, \
	{ "retain", SCHEMA_BOOLEAN, ROW(retain), \
	  .about = "whether the broker keeps what is written (default false)" }, \
	{ "properties", SCHEMA_TEXTS, ROW(properties), \
	  .about = "user properties (MQTT 5) of what is written, {name: \"text with {variables}\"}" }, \
	{ "response_topic", SCHEMA_TEXT, ROW(response_topic), \
	  .about = "Response Topic (MQTT 5) of what is written, text with {variables}" }, \
	{ "correlation", SCHEMA_TEXT, ROW(correlation), \
	  .about = "Correlation Data (MQTT 5) of what is written, text with {variables}" }, \
	{ "id", SCHEMA_WORD, ROW(id), .words = id_types, \
	  .about = "what the id of a request must be: \"integer\", \"uuid\" or \"string\" (default)" }, \
	{ "echoes", SCHEMA_KIND, ROW(echoes), \
	  .about = "the kind whose last written message comes back on this row, as its confirmation" }, \
	{ "answered", SCHEMA_JSON, ROW(answered), \
	  .about = "this request has no reply here: the asker gets this value at once" }, \
	{ "lenient", SCHEMA_BOOLEAN, ROW(lenient), \
	  .about = "whether sloppy JSON is read: comments, single quotes, trailing commas (default false)" }

static const struct schema_key row_keys[] = {
	{ "kind", SCHEMA_KIND, ROW(kind), .is_required = true,
	  .about = "what the message means" },
	{ "topic", SCHEMA_TOPIC, ROW(topic), .is_required = true,
	  .about = "the topic; {name} is a level, {name...} at the end is the rest" },
	{ "also", SCHEMA_OWN, .set.json = set_also, .like = SCHEMA_TOPIC, .group = &alias_schema, .is_list = true,
	  .what = "an array of topics or {topic, reply}",
	  .about = "further topics that are read: [\"topic\", {topic, reply}]" },
	{ "when", SCHEMA_GROUP, ROW(when), .group = &guard_schema,
	  .about = "{has: \"key\"}: only payloads with that key are read, without a call for the others" },
	SHARED_ROW_KEYS
};

#define OWN "belongs to a row of its own, not to all rows of a flow"
static const struct schema_key shared_keys[] = {
	{ "kind", SCHEMA_REFUSED, .what = OWN },
	{ "topic", SCHEMA_REFUSED, .what = OWN },
	{ "also", SCHEMA_REFUSED, .what = OWN },
	{ "when", SCHEMA_REFUSED, .what = OWN },
	SHARED_ROW_KEYS
};

static const struct schema_rule rules[] = {
	{ "write", "publish", NULL },
	{ "read", "only", "write" },
	{ "echoes", "only", "write" },
	{ "when", "only", "write" },
	{ "write", "only", "read" },
	{ "publish", "only", "read" },
};
/* clang-format on */

const struct schema dialect_row_schema = SCHEMA_WITH_RULES(row_keys, rules);
const struct schema dialect_shared_schema = SCHEMA_WITH_RULES(shared_keys, rules);

/* Rows */

static void row_init(struct row *row)
{
	*row = (struct row){ .kind = KIND_NONE,
			     .echoes = KIND_NONE,
			     .qos = 1,
			     .can_read = true,
			     .can_write = true,
			     .read_fn = -1,
			     .write_fn = -1,
			     .publish_fn = -1 };
}

void dialect_row_fini(struct row *row)
{
	topic_template_fini(&row->topic);
	for (size_t i = 0; i < row->n_also; i++) {
		topic_template_fini(&row->also[i].topic);
		free(row->also[i].reply);
	}
	free(row->also);
	free(row->when.has);
	free(row->read);
	free(row->write);
	free(row->publish);
	vars_fini(&row->properties);
	free(row->response_topic);
	free(row->correlation);
	free(row->answered);
}

static void drop(char **text)
{
	free(*text);
	*text = NULL;
}

static bool has(json_object *object, const char *key)
{
	return json_object_object_get_ex(object, key, NULL);
}

/* What an object says itself counts more than what it has from `up` or `down`: so a conflict inside
 * the object is a mistake, and one with the flow's keys is settled. */
static void check_directions(struct schema_reader *r, struct row *row, json_object *own)
{
	const char *only = row->can_write ? "write" : "read";

	for (size_t i = 0; i < SCHEMA_COUNT_OF(rules); i++)
		if (rules[i].value && strcmp(rules[i].value, only) == 0 && has(own, rules[i].key) &&
		    row->can_read != row->can_write)
			schema_mistake(r, "\"%s\" has no use with only: \"%s\"", rules[i].key,
				       only);
	if (has(own, "write") && has(own, "publish"))
		schema_mistake(r, "\"write\" and \"publish\" exclude each other: write gives the "
				  "payload, publish also topic and properties");
	else if (has(own, "publish"))
		drop(&row->write);
	else if (has(own, "write"))
		drop(&row->publish);
	if (!row->can_read)
		drop(&row->read);
	if (!row->can_write) {
		drop(&row->write);
		drop(&row->publish);
	}
}

/* Only JSON has keys. */
static void check_guard(struct schema_reader *r, struct row *row)
{
	if (row->when.has && row->format != FORMAT_JSON)
		schema_mistake(
			r, "\"when\" has no use with this format: only payloads of JSON have keys");
}

/* Keys that only a request has. */
static void check_replies(struct schema_reader *r, struct row *row, json_object *own)
{
	if (row->kind == KIND_NONE || kind_table[row->kind].reply != KIND_NONE)
		return;
	if (has(own, "answered"))
		schema_mistake(r, "\"answered\" has no use here: %s has no reply",
			       kind_name(row->kind));
	drop(&row->answered);
	for (size_t i = 0; i < row->n_also; i++)
		if (row->also[i].reply)
			schema_mistake(r, "\"reply\" in also[%zu] has no use: %s has no reply", i,
				       kind_name(row->kind));
}

void dialect_row_read(struct schema_reader *r, struct row *row, json_object *own,
		      json_object *shared)
{
	row_init(row);
	if (!json_object_is_type(own, json_type_object)) {
		schema_mistake(r, "must be an object, {kind, topic, ...}");
		return;
	}
	if (shared) {
		r->is_quiet = true;
		schema_read(r, &dialect_shared_schema, row, shared);
		r->is_quiet = false;
	}
	schema_read(r, &dialect_row_schema, row, own);
	check_directions(r, row, own);
	check_guard(r, row);
	check_replies(r, row, own);
}

void dialect_shared_check(struct schema_reader *r, json_object *shared)
{
	struct row row;

	row_init(&row);
	schema_read(r, &dialect_shared_schema, &row, shared);
	check_directions(r, &row, shared);
	dialect_row_fini(&row);
}

void dialect_row_check_mqtt(struct schema_reader *r, json_object *own)
{
	static const char *const keys[] = { "properties", "response_topic", "correlation" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		size_t mark;

		if (!json_object_is_type(own, json_type_object) || !has(own, keys[i]))
			continue;
		mark = schema_enter_key(r, keys[i]);
		schema_hint(r, "MQTT 3.1.1 has no such field, and this dialect is said to do with "
			       "it; write mqtt: 5 beside dialect");
		schema_leave(r, mark);
	}
}
