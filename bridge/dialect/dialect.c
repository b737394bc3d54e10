/* dialect.c -- the metadata of a mapping file as a dialect.
 *
 * The object is read first, its rows after it, since they need what `up` and `down` say wherever these
 * stand; then all topics are compared.  All mistakes of a file are told in one run, and with a single one there is
 * no dialect: nobody else has to bear half of one. */
#include "dialect/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "dialect/ambiguity.h"
#include "dialect/dialect_row.h"
#include "dialect/schema.h"
#include "dialect/through.h"
#include "message/side.h"

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

static const struct schema_word session_owners[] = { { "device", true }, { "link", false }, { 0 } };

/* clang-format off */
#define LOGIN_KEYS(at) \
	{ "username", SCHEMA_TEXT, (at) + offsetof(struct login_template, username), \
	  .about = "the user name, text with {variables}" }, \
	{ "password", SCHEMA_TEXT, (at) + offsetof(struct login_template, password), \
	  .about = "the password, text with {variables}" }, \
	{ "client_id", SCHEMA_TEXT, (at) + offsetof(struct login_template, client_id), \
	  .about = "the client id, text with {variables} (default: calque-LINK-SIDE-INSTANCE)" }
/* clang-format on */

static const struct schema_key login_keys[] = { LOGIN_KEYS(0) };
static const struct schema login_schema = SCHEMA_OF(login_keys);

static bool set_provisioning(struct schema_reader *r, void *member, json_object *value)
{
	struct dialect *d = member;

	if (!json_object_is_type(value, json_type_object))
		return false;
	d->has_provisioning = true;
	schema_read(r, &login_schema, &d->provisioning, value);
	return true;
}

static bool set_application(struct schema_reader *r, void *member, json_object *value)
{
	struct dialect *d = member;

	if (!json_object_is_type(value, json_type_object))
		return false;
	d->has_application = true;
	schema_read(r, &login_schema, &d->application, value);
	return true;
}

/* clang-format off */
#define DIALECT(member) .offset = offsetof(struct dialect, member)
static const struct schema_key session_keys[] = {
	LOGIN_KEYS(offsetof(struct dialect, session)),
	{ "per", SCHEMA_SWITCH, DIALECT(session_per_device), .words = session_owners,
	  .what = "\"device\" or \"link\"",
	  .about = "\"device\" where each device logs in on its own, else \"link\" (default)" },
	{ "provisioning", SCHEMA_OWN, .set.json = set_provisioning,
	  .like = SCHEMA_GROUP, .group = &login_schema, .what = "an object",
	  .about = "how the short session logs in that asks for credentials" },
};
static const struct schema session_schema = SCHEMA_OF(session_keys);

static const struct schema_key limit_keys[] = {
	{ "payload_bytes", SCHEMA_COUNT, DIALECT(limits.payload_bytes),
	  .about = "the largest payload" },
	{ "packet_bytes", SCHEMA_COUNT, DIALECT(limits.packet_bytes),
	  .about = "the largest packet: MQTT's remaining length, topic and properties with it" },
	{ "in_flight", SCHEMA_COUNT, DIALECT(limits.in_flight),
	  .about = "how many messages may wait for their acknowledgement" },
	{ "messages_per_second", SCHEMA_COUNT, DIALECT(limits.messages_per_second),
	  .about = "how many messages a session may send per second" },
};
static const struct schema limits_schema = SCHEMA_OF(limit_keys);
/* clang-format on */

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

static bool set_choices(struct schema_reader *r, void *member, json_object *value)
{
	if (!json_object_is_type(value, json_type_object))
		return false;
	json_object_object_foreach (value, name, list) {
		size_t mark = schema_enter_key(r, name);
		size_t n = json_object_is_type(list, json_type_array)
				   ? json_object_array_length(list)
				   : 0;

		if (n == 0)
			schema_mistake(r, "must be an array of strings that the variable may be");
		for (size_t i = 0; i < n; i++) {
			size_t element = schema_enter_element(r, i);
			char *text = NULL;

			if (!schema_set_text(r, &text, json_object_array_get_idx(list, i)))
				schema_mistake(r, "must be a string");
			else if (text)
				vars_add(member, name, text);
			free(text);
			schema_leave(r, element);
		}
		schema_leave(r, mark);
	}
	return true;
}

/* The kinds that greet (message/kind.h). */
static const struct schema_word greetings[] = { { "presence", KIND_PRESENCE },
						{ "snapshot_request", KIND_SNAPSHOT_REQUEST },
						{ "limits_request", KIND_LIMITS_REQUEST },
						{ "hello", KIND_HELLO },
						{ 0 } };

static void add_greeting(struct schema_reader *r, struct dialect *d, enum kind kind)
{
	if (dialect_greets(d, kind))
		schema_mistake(r, "\"%s\" is there twice", kind_name(kind));
	else
		d->on_connect[d->n_on_connect++] = kind;
}

static bool set_on_connect(struct schema_reader *r, void *member, json_object *value)
{
	const struct schema_word *word;

	if (!json_object_is_type(value, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(value); i++) {
		size_t mark = schema_enter_element(r, i);

		if (!schema_find_word(r, greetings, json_object_array_get_idx(value, i), &word))
			schema_mistake(r, "must be the name of a kind");
		else if (word)
			add_greeting(r, member, (enum kind)word->value);
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
	if (!json_object_is_type(value, json_type_object))
		return false;
	dialect_shared_check(r, value);
	*(json_object **)member = value;
	return true;
}

/* clang-format off */
#define DRAFT(member) .offset = offsetof(struct draft, member)
static const struct schema_key dialect_keys[] = {
	{ "dialect", SCHEMA_TEXT, DRAFT(d.name), .is_required = true,
	  .about = "the name of this file, without .jq" },
	{ "about", SCHEMA_TEXT, DRAFT(d.about), .about = "what the platform is, in a line" },
	{ "version", SCHEMA_VERSION, DRAFT(d.version), .about = "of this file" },
	{ "mqtt", SCHEMA_INTEGER, DRAFT(d.mqtt), .min = 4, .max = 5, .what = "4 (MQTT 3.1.1) or 5",
	  .about = "the lowest version that works: 4 (MQTT 3.1.1, default) or 5" },
	{ "device", SCHEMA_WORD, DRAFT(d.device), .words = places,
	  .about = "what says which device it is: \"topic\" (default), \"payload\", or \"none\", the login alone" },
	{ "session", SCHEMA_GROUP, DRAFT(d), .group = &session_schema,
	  .about = "how to log in: {username, password, client_id, per, provisioning}" },
	{ "application", SCHEMA_OWN, DRAFT(d), .set.json = set_application,
	  .like = SCHEMA_GROUP, .group = &login_schema, .what = "an object",
	  .about = "how to log in before devices, in the south: {username, password, client_id}; without it: session" },
	{ "vars", SCHEMA_TEXTS, DRAFT(d.defaults),
	  .about = "variables that need not be set, with their values: {name: \"value\"}" },
	{ "choices", SCHEMA_OWN, DRAFT(d.choices), .set.json = set_choices,
	  .like = SCHEMA_JSON, .what = "an object of arrays of strings",
	  .about = "values that variables may have, where not all will do: {name: [\"value\"]}" },
	{ "credentials", SCHEMA_OWN, DRAFT(d), .set.json = set_credentials,
	  .like = SCHEMA_NAME, .is_list = true, .what = "an array of names of variables",
	  .about = "the names of the variables that are secret: [\"token\"]" },
	{ "limits", SCHEMA_GROUP, DRAFT(d), .group = &limits_schema,
	  .about = "what it bears: {payload_bytes, in_flight, messages_per_second}" },
	{ "request_timeout", SCHEMA_INTEGER, DRAFT(d.request_timeout_s), .min = 1, .max = 86400,
	  .about = "how many seconds its callers wait for a device, less one" },
	{ "offline_after", SCHEMA_INTEGER, DRAFT(d.offline_after_s), .min = 1, .max = 31622400,
	  .about = "after how many seconds without any message a device, in the south, is offline" },
	{ "echoes_publishes", SCHEMA_BOOLEAN, DRAFT(d.echoes_publishes),
	  .about = "whether a device gets back what it published where it subscribes, as from a plain broker (default true)" },
	{ "on_connect", SCHEMA_OWN, DRAFT(d), .set.json = set_on_connect,
	  .like = SCHEMA_WORD, .words = greetings, .is_list = true, .what = "an array of kinds",
	  .about = "kinds that are said or asked after each login as a device: [\"presence\", \"snapshot_request\", \"limits_request\", \"hello\"]" },
	{ "up", SCHEMA_OWN, DRAFT(shared[FLOW_UP]), .set.json = set_shared,
	  .like = SCHEMA_GROUP, .group = &dialect_shared_schema, .what = "an object of row keys",
	  .about = "row keys of all rows whose messages come from devices" },
	{ "down", SCHEMA_OWN, DRAFT(shared[FLOW_DOWN]), .set.json = set_shared,
	  .like = SCHEMA_GROUP, .group = &dialect_shared_schema, .what = "an object of row keys",
	  .about = "row keys of all rows whose messages go to devices" },
	{ "messages", SCHEMA_OWN, DRAFT(messages), .is_required = true, .set.json = set_messages,
	  .like = SCHEMA_GROUP, .group = &dialect_row_schema, .is_list = true, .min = 1,
	  .what = "an array of rows", .about = "the rows, [{kind, topic, ...}]" },
};
static const struct schema dialect_schema = SCHEMA_OF(dialect_keys);
/* clang-format on */

static json_object *shared_of(const struct draft *draft, json_object *row)
{
	json_object *name = NULL;
	enum kind kind = KIND_NONE;

	if (json_object_object_get_ex(row, "kind", &name) &&
	    json_object_is_type(name, json_type_string))
		kind = kind_of(json_object_get_string(name));
	return kind == KIND_NONE ? NULL : draft->shared[kind_table[kind].flow];
}

static void read_rows(struct schema_reader *r, struct draft *draft)
{
	struct dialect *d = &draft->d;
	size_t mark = schema_enter_key(r, "messages");

	d->n_rows = draft->messages ? json_object_array_length(draft->messages) : 0;
	d->rows = mem_zalloc(d->n_rows * sizeof *d->rows);
	for (size_t i = 0; i < d->n_rows; i++) {
		size_t row_mark = schema_enter_element(r, i);
		json_object *own = json_object_array_get_idx(draft->messages, i);

		dialect_row_read(r, &d->rows[i], own, shared_of(draft, own));
		if (d->mqtt < 5)
			dialect_row_check_mqtt(r, own);
		schema_leave(r, row_mark);
	}
	schema_leave(r, mark);
}

static void check_shared_mqtt(struct schema_reader *r, const struct draft *draft)
{
	for (int i = 0; draft->d.mqtt < 5 && i < FLOWS; i++) {
		size_t mark = schema_enter_key(r, flow_name((enum flow)i));

		dialect_row_check_mqtt(r, draft->shared[i]);
		schema_leave(r, mark);
	}
}

static void check_greetings(struct schema_reader *r, const struct dialect *d)
{
	size_t mark = schema_enter_key(r, "on_connect");

	for (size_t i = 0; i < d->n_on_connect; i++)
		if (!dialect_writer(d, d->on_connect[i]))
			schema_mistake(r, "no row writes \"%s\"", kind_name(d->on_connect[i]));
	schema_leave(r, mark);
}

static void read_dialect(struct schema_reader *r, struct dialect *d, json_object *tree)
{
	struct draft draft = {
		.d = { .mqtt = 4, .device = DEVICE_IN_TOPIC, .echoes_publishes = true }
	};

	schema_read(r, &dialect_schema, &draft, tree);
	check_shared_mqtt(r, &draft);
	read_rows(r, &draft);
	check_greetings(r, &draft.d);
	ambiguity_check(r, &draft.d);
	*d = draft.d;
}

struct dialect *dialect_new(const char *file, const char *metadata, size_t len,
			    struct report *report)
{
	struct schema_reader r = { .file = file, .report = report };
	struct dialect *d = mem_zalloc(sizeof *d);
	json_object *tree = schema_tree(&r, metadata, len);

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

static void login_template_fini(struct login_template *l)
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
	login_template_fini(&d->session);
	login_template_fini(&d->application);
	login_template_fini(&d->provisioning);
	vars_fini(&d->defaults);
	vars_fini(&d->choices);
	for (size_t i = 0; i < d->n_credentials; i++)
		free(d->credentials[i]);
	free(d->credentials);
	for (size_t i = 0; i < d->n_rows; i++)
		dialect_row_fini(&d->rows[i]);
	free(d->rows);
	free(d);
}

const struct login_template *dialect_login(const struct dialect *d, enum side side)
{
	return side == SOUTH && d->has_application ? &d->application : &d->session;
}

bool dialect_is_credential(const struct dialect *d, const char *variable)
{
	for (size_t i = 0; i < d->n_credentials; i++)
		if (strcmp(d->credentials[i], variable) == 0)
			return true;
	return false;
}

bool dialect_greets(const struct dialect *d, enum kind kind)
{
	for (size_t i = 0; i < d->n_on_connect; i++)
		if (d->on_connect[i] == kind)
			return true;
	return false;
}

bool row_is_read(const struct row *row, enum side side)
{
	return row->can_read && flow_source(kind_table[row->kind].flow) == side;
}

bool row_is_written(const struct row *row, enum side side)
{
	return row->can_write && flow_target(kind_table[row->kind].flow) == side;
}

const struct row *dialect_reader(const struct dialect *d, enum kind kind)
{
	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].can_read && d->rows[i].kind == kind)
			return &d->rows[i];
	return NULL;
}

const struct row *dialect_writer(const struct dialect *d, enum kind kind)
{
	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].can_write && d->rows[i].kind == kind)
			return &d->rows[i];
	return NULL;
}

/* A file is either; what has both keys is refused by the further keys of a dialect. */
char *dialect_json_schema(void)
{
	static const char frame[] = "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
				    "\"title\":\"The metadata table of a calque mapping\","
				    "\"if\":{\"type\":\"object\",\"required\":[\"through\"]},"
				    "\"then\":{\"$ref\":\"#/$defs/through\"},"
				    "\"else\":{\"$ref\":\"#/$defs/dialect\"}}";
	json_object *s = json_tokener_parse(frame), *defs = json_object_new_object(),
		    *through = schema_describe(&through_schema);
	char *text;

	json_object_object_add(through, "anyOf",
			       json_tokener_parse("[{\"required\":[\"up\"]},"
						  "{\"required\":[\"down\"]}]"));
	json_object_object_add(defs, "dialect", schema_describe(&dialect_schema));
	json_object_object_add(defs, "through", through);
	json_object_object_add(s, "$defs", defs);
	text = mem_strdup(json_object_to_json_string_ext(
		s, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(s);
	return text;
}

void dialect_put_keys(const char *prefix, struct buf *out)
{
	schema_put_keys(&dialect_schema, prefix, out);
}

void dialect_put_row_keys(const char *prefix, struct buf *out)
{
	schema_put_keys(&dialect_row_schema, prefix, out);
}
