#include "core/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "core/overlap.h"
#include "core/schema.h"

/* Rows */

static const struct schema_word formats[] = {
	{ "json", FORMAT_JSON }, { "text", FORMAT_TEXT }, { "bytes", FORMAT_BYTES }, { 0 }
};
static const struct schema_word id_types[] = {
	{ "integer", ID_INTEGER }, { "uuid", ID_UUID }, { "string", ID_STRING }, { 0 }
};

static bool set_only(struct schema_reader *r, void *member, json_object *value)
{
	struct row *row = member;
	const char *s = json_object_get_string(value);

	if (!json_object_is_type(value, json_type_string))
		return false;
	if (strcmp(s, "read") != 0 && strcmp(s, "write") != 0) {
		schema_mistake(r, "unknown word \"%s\": one of read, write", s);
		return true;
	}
	row->can_read = strcmp(s, "read") == 0;
	row->can_write = !row->can_read;
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
	{ "topic", SCHEMA_TOPIC, .offset = offsetof(struct alias, topic), .is_required = true },
	{ "reply", SCHEMA_OWN, .offset = offsetof(struct alias, reply), .set = set_reply,
	  .what = "a string, the topic of the reply" },
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

static bool refuse_shared(struct schema_reader *r, void *member, json_object *value)
{
	(void)member;
	(void)value;
	schema_mistake(r, "belongs to a row of its own, not to all rows of a flow");
	return true;
}

#define ROW(member) .offset = offsetof(struct row, member)
#define SHARED_ROW_KEYS                                                                            \
	{ "read", SCHEMA_NAME, ROW(read) }, { "write", SCHEMA_NAME, ROW(write) },                  \
		{ "publish", SCHEMA_NAME, ROW(publish) },                                          \
		{ "only", SCHEMA_OWN, .set = set_only, .what = "\"read\" or \"write\"" },          \
		{ "format", SCHEMA_WORD, ROW(format), .words = formats },                          \
		{ "qos", SCHEMA_OWN, ROW(qos), .set = set_qos, .what = "0 or 1" },                 \
		{ "retain", SCHEMA_BOOLEAN, ROW(retain) },                                         \
		{ "properties", SCHEMA_TEXTS, ROW(properties) },                                   \
		{ "response_topic", SCHEMA_TEXT, ROW(response_topic) },                            \
		{ "correlation", SCHEMA_TEXT, ROW(correlation) },                                  \
		{ "id", SCHEMA_WORD, ROW(id), .words = id_types },                                 \
		{ "echoes", SCHEMA_KIND, ROW(echoes) },                                            \
		{ "answered", SCHEMA_JSON, ROW(answered) },                                        \
	{                                                                                          \
		"lenient", SCHEMA_BOOLEAN, ROW(lenient)                                            \
	}

static const struct schema_key row_keys[] = {
	{ "kind", SCHEMA_KIND, ROW(kind), .is_required = true },
	{ "topic", SCHEMA_TOPIC, ROW(topic), .is_required = true },
	{ "also", SCHEMA_OWN, .set = set_also, .what = "an array of topics or {topic, reply}" },
	SHARED_ROW_KEYS,
};
static const struct schema row_schema = SCHEMA_OF(row_keys);

static const struct schema_key shared_keys[] = {
	{ "kind", SCHEMA_OWN, .set = refuse_shared },
	{ "topic", SCHEMA_OWN, .set = refuse_shared },
	{ "also", SCHEMA_OWN, .set = refuse_shared },
	SHARED_ROW_KEYS,
};
static const struct schema shared_schema = SCHEMA_OF(shared_keys);

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

static void row_fini(struct row *row)
{
	topic_template_fini(&row->topic);
	for (size_t i = 0; i < row->n_also; i++) {
		topic_template_fini(&row->also[i].topic);
		free(row->also[i].reply);
	}
	free(row->also);
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

/* What an object says itself counts more than what it has from `up` or `down`: so a conflict inside
 * the object is a mistake, and one with the flow's keys is settled. */
static bool has(json_object *object, const char *key)
{
	return json_object_object_get_ex(object, key, NULL);
}

static void check_directions(struct schema_reader *r, struct row *row, json_object *own)
{
	static const struct {
		const char *key;
		bool is_reading;
	} bound[] = {
		{ "read", true }, { "echoes", true }, { "write", false }, { "publish", false }
	};

	for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++)
		if (has(own, bound[i].key) &&
		    !(bound[i].is_reading ? row->can_read : row->can_write))
			schema_mistake(r, "\"%s\" has no use with only: \"%s\"", bound[i].key,
				       row->can_read ? "read" : "write");
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

/* Dialects */

static const struct schema_word places[] = { { "topic", DEVICE_IN_TOPIC },
					     { "payload", DEVICE_IN_PAYLOAD },
					     { "none", DEVICE_IN_SESSION },
					     { 0 } };

/* While reading: the dialect and what its rows share. */
struct draft {
	struct dialect d;
	json_object *shared[FLOWS]; /* borrowed; NULL: nothing */
	json_object *messages;	    /* borrowed; NULL: missing or no array */
};

static bool set_per(struct schema_reader *r, void *member, json_object *value)
{
	const char *s = json_object_get_string(value);

	if (!json_object_is_type(value, json_type_string))
		return false;
	if (strcmp(s, "device") != 0 && strcmp(s, "link") != 0)
		schema_mistake(r, "unknown word \"%s\": one of device, link", s);
	*(bool *)member = strcmp(s, "device") == 0;
	return true;
}

#define LOGIN_KEYS(at)                                                                             \
	{ "username", SCHEMA_TEXT, .offset = (at) + offsetof(struct login, username) },            \
		{ "password", SCHEMA_TEXT, .offset = (at) + offsetof(struct login, password) },    \
	{                                                                                          \
		"client_id", SCHEMA_TEXT, .offset = (at) + offsetof(struct login, client_id)       \
	}

static const struct schema_key provisioning_keys[] = { LOGIN_KEYS(0) };
static const struct schema provisioning_schema = SCHEMA_OF(provisioning_keys);

static bool set_provisioning(struct schema_reader *r, void *member, json_object *value)
{
	struct dialect *d = member;

	if (!json_object_is_type(value, json_type_object))
		return false;
	d->has_provisioning = true;
	schema_read(r, &provisioning_schema, &d->provisioning, value);
	return true;
}

#define DIALECT(member) .offset = offsetof(struct dialect, member)
static const struct schema_key session_keys[] = {
	LOGIN_KEYS(offsetof(struct dialect, session)),
	{ "per", SCHEMA_OWN, DIALECT(session_per_device), .set = set_per,
	  .what = "\"device\" or \"link\"" },
	{ "provisioning", SCHEMA_OWN, .set = set_provisioning, .what = "an object" },
};
static const struct schema session_schema = SCHEMA_OF(session_keys);

static const struct schema_key limit_keys[] = {
	{ "payload_bytes", SCHEMA_COUNT, DIALECT(limits.payload_bytes) },
	{ "in_flight", SCHEMA_COUNT, DIALECT(limits.in_flight) },
	{ "messages_per_second", SCHEMA_COUNT, DIALECT(limits.messages_per_second) },
};
static const struct schema limits_schema = SCHEMA_OF(limit_keys);

static bool set_credentials(struct schema_reader *r, void *member, json_object *value)
{
	struct dialect *d = member;

	if (!json_object_is_type(value, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(value); i++) {
		size_t mark = schema_enter_element(r, i);
		json_object *item = json_object_array_get_idx(value, i);

		if (!json_object_is_type(item, json_type_string) ||
		    !schema_is_name(json_object_get_string(item))) {
			schema_mistake(r, "must be the name of a variable");
		} else {
			d->credentials =
				mem_grow(d->credentials, d->n_credentials, sizeof *d->credentials);
			d->credentials[d->n_credentials++] =
				mem_strdup(json_object_get_string(item));
		}
		schema_leave(r, mark);
	}
	return true;
}

/* The rows are read when the whole object has been, since they need what `up` and `down` say. */
static bool set_messages(struct schema_reader *r, void *member, json_object *value)
{
	if (!json_object_is_type(value, json_type_array))
		return false;
	if (json_object_array_length(value) == 0)
		schema_mistake(r, "must have a row at least");
	*(json_object **)member = value;
	return true;
}

static bool set_shared(struct schema_reader *r, void *member, json_object *value)
{
	struct row row;

	if (!json_object_is_type(value, json_type_object))
		return false;
	row_init(&row);
	schema_read(r, &shared_schema, &row, value);
	check_directions(r, &row, value);
	row_fini(&row);
	*(json_object **)member = value;
	return true;
}

#define DRAFT(member) .offset = offsetof(struct draft, member)
static const struct schema_key dialect_keys[] = {
	{ "dialect", SCHEMA_TEXT, DRAFT(d.name), .is_required = true },
	{ "about", SCHEMA_TEXT, DRAFT(d.about) },
	{ "version", SCHEMA_VERSION, DRAFT(d.version) },
	{ "mqtt", SCHEMA_INTEGER, DRAFT(d.mqtt), .min = 4, .max = 5,
	  .what = "4 (MQTT 3.1.1) or 5" },
	{ "device", SCHEMA_WORD, DRAFT(d.device), .words = places },
	{ "session", SCHEMA_GROUP, DRAFT(d), .group = &session_schema },
	{ "credentials", SCHEMA_OWN, DRAFT(d), .set = set_credentials,
	  .what = "an array of names of variables" },
	{ "limits", SCHEMA_GROUP, DRAFT(d), .group = &limits_schema },
	{ "up", SCHEMA_OWN, DRAFT(shared[FLOW_UP]), .set = set_shared,
	  .what = "an object of row keys" },
	{ "down", SCHEMA_OWN, DRAFT(shared[FLOW_DOWN]), .set = set_shared,
	  .what = "an object of row keys" },
	{ "messages", SCHEMA_OWN, DRAFT(messages), .is_required = true, .set = set_messages,
	  .what = "an array of rows" },
};
static const struct schema dialect_schema = SCHEMA_OF(dialect_keys);

static json_object *shared_of(const struct draft *draft, json_object *row)
{
	json_object *name = NULL;
	enum kind kind = KIND_NONE;

	if (json_object_object_get_ex(row, "kind", &name) &&
	    json_object_is_type(name, json_type_string))
		kind = kind_of(json_object_get_string(name));
	return kind == KIND_NONE ? NULL : draft->shared[kind_table[kind].flow];
}

static void read_row(struct schema_reader *r, const struct draft *draft, struct row *row,
		     json_object *own)
{
	json_object *shared;

	row_init(row);
	if (!json_object_is_type(own, json_type_object)) {
		schema_mistake(r, "must be an object, {kind, topic, ...}");
		return;
	}
	shared = shared_of(draft, own);
	if (shared) {
		r->is_quiet = true; /* set_shared reported its mistakes */
		schema_read(r, &shared_schema, row, shared);
		r->is_quiet = false;
	}
	schema_read(r, &row_schema, row, own);
	check_directions(r, row, own);
	check_replies(r, row, own);
}

static void read_rows(struct schema_reader *r, struct draft *draft)
{
	struct dialect *d = &draft->d;
	size_t mark = schema_enter_key(r, "messages");

	d->n_rows = draft->messages ? json_object_array_length(draft->messages) : 0;
	d->rows = mem_zalloc(d->n_rows * sizeof *d->rows);
	for (size_t i = 0; i < d->n_rows; i++) {
		size_t row_mark = schema_enter_element(r, i);

		read_row(r, draft, &d->rows[i], json_object_array_get_idx(draft->messages, i));
		schema_leave(r, row_mark);
	}
	schema_leave(r, mark);
}

/* The tree of an object; NULL was reported. */
static json_object *read_tree(struct schema_reader *r, const char *metadata, size_t len)
{
	struct err e = { 0 };
	json_object *tree = jtext_tree(metadata, len, &e);

	if (!tree) {
		schema_mistake(r, "the metadata cannot be read: %s",
			       e.code ? e.text : "it is null");
	} else if (!json_object_is_type(tree, json_type_object)) {
		schema_mistake(r, "the metadata must be an object");
		json_object_put(tree);
		tree = NULL;
	}
	return tree;
}

static void read_dialect(struct schema_reader *r, struct dialect *d, json_object *tree)
{
	struct draft draft = { .d = { .mqtt = 4, .device = DEVICE_IN_TOPIC } };

	schema_read(r, &dialect_schema, &draft, tree);
	read_rows(r, &draft);
	overlap_check(r, &draft.d);
	*d = draft.d;
}

struct dialect *dialect_new(const char *file, const char *metadata, size_t len,
			    struct report *report)
{
	struct schema_reader r = { .file = file, .report = report };
	struct dialect *d = mem_zalloc(sizeof *d);
	json_object *tree = read_tree(&r, metadata, len);

	if (tree)
		read_dialect(&r, d, tree);
	json_object_put(tree);
	buf_fini(&r.place);
	if (r.mistakes) {
		dialect_free(d);
		return NULL;
	}
	return d;
}

static void login_fini(struct login *l)
{
	free(l->username);
	free(l->password);
	free(l->client_id);
}

void dialect_free(struct dialect *d)
{
	if (!d)
		return;
	free(d->name);
	free(d->about);
	free(d->version);
	login_fini(&d->session);
	login_fini(&d->provisioning);
	for (size_t i = 0; i < d->n_credentials; i++)
		free(d->credentials[i]);
	free(d->credentials);
	for (size_t i = 0; i < d->n_rows; i++)
		row_fini(&d->rows[i]);
	free(d->rows);
	free(d);
}

bool dialect_is_credential(const struct dialect *d, const char *variable)
{
	for (size_t i = 0; i < d->n_credentials; i++)
		if (strcmp(d->credentials[i], variable) == 0)
			return true;
	return false;
}

/* Through files */

#define THROUGH(member) .offset = offsetof(struct through, member)
static const struct schema_key through_keys[] = {
	{ "through", SCHEMA_TEXT, THROUGH(name), .is_required = true },
	{ "about", SCHEMA_TEXT, THROUGH(about) },
	{ "version", SCHEMA_VERSION, THROUGH(version) },
	{ "up", SCHEMA_NAME, THROUGH(function[FLOW_UP]) },
	{ "down", SCHEMA_NAME, THROUGH(function[FLOW_DOWN]) },
};
static const struct schema through_schema = SCHEMA_OF(through_keys);

struct through *through_new(const char *file, const char *metadata, size_t len,
			    struct report *report)
{
	struct schema_reader r = { .file = file, .report = report };
	struct through *t = mem_zalloc(sizeof *t);
	json_object *tree = read_tree(&r, metadata, len);

	if (tree) {
		schema_read(&r, &through_schema, t, tree);
		if (!has(tree, "up") && !has(tree, "down"))
			schema_mistake(&r, "one of \"up\" and \"down\" must name a function");
	}
	json_object_put(tree);
	buf_fini(&r.place);
	if (r.mistakes) {
		through_free(t);
		return NULL;
	}
	return t;
}

void through_free(struct through *t)
{
	if (!t)
		return;
	free(t->name);
	free(t->about);
	free(t->version);
	free(t->function[FLOW_UP]);
	free(t->function[FLOW_DOWN]);
	free(t);
}
