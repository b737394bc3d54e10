#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/err.h"
#include "dialect/dialect.h"
#include "dialect/schema.h"
#include "message/kind.h"

/* The loader and the schema against each other, on whole tables: tests/schema.py. */

static json_object *schema;

static void setup(void)
{
	char *text = dialect_json_schema();

	schema = json_tokener_parse(text);
	free(text);
	cr_assert_not_null(schema);
}

static void teardown(void)
{
	json_object_put(schema);
}

TestSuite(schema, .init = setup, .fini = teardown);

/* The value at a path like "$defs/dialect/properties". */
static json_object *at(const char *path)
{
	char *copy = strdup(path), *rest = copy, *key;
	json_object *value = schema;

	while (value && (key = strsep(&rest, "/")))
		if (!json_object_object_get_ex(value, key, &value))
			value = NULL;
	free(copy);
	cr_assert_not_null(value, "%s", path);
	return value;
}

/* The keys that an object has in the schema, no more and no less; NULL ends them. */
static void expect_keys(const char *path, const char *const *keys)
{
	json_object *properties = at(path);
	int n = 0;

	for (; keys[n]; n++)
		cr_expect(json_object_object_get_ex(properties, keys[n], NULL), "%s: %s", path,
			  keys[n]);
	cr_expect_eq(json_object_object_length(properties), n, "%s", path);
	json_object_object_foreach (properties, name, value)
		cr_expect(json_object_object_get_ex(value, "description", NULL), "%s: %s", path,
			  name);
}

#define KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define D	  "$defs/dialect/properties"
#define ROW	  D "/messages/items/properties"
#define ROW_KEYS                                                                                   \
	"read", "write", "publish", "only", "format", "qos", "retain", "properties",               \
		"response_topic", "correlation", "id", "echoes", "answered", "lenient"

Test(schema, has_each_key_with_a_description)
{
	expect_keys(D, KEYS("dialect", "about", "version", "mqtt", "device", "session",
			    "application", "vars", "choices", "credentials", "limits",
			    "request_timeout", "offline_after", "echoes_publishes", "on_connect",
			    "up", "down", "messages"));
	expect_keys(D "/session/properties",
		    KEYS("username", "password", "client_id", "per", "provisioning"));
	expect_keys(D "/session/properties/provisioning/properties",
		    KEYS("username", "password", "client_id"));
	expect_keys(D "/application/properties", KEYS("username", "password", "client_id"));
	expect_keys(D "/limits/properties",
		    KEYS("payload_bytes", "packet_bytes", "in_flight", "messages_per_second"));
	expect_keys(ROW, KEYS("kind", "topic", "also", "when", ROW_KEYS));
	expect_keys(ROW "/when/properties", KEYS("has"));
	expect_keys(D "/up/properties", KEYS(ROW_KEYS));
	expect_keys(D "/down/properties", KEYS(ROW_KEYS));
	expect_keys("$defs/through/properties", KEYS("through", "about", "version", "up", "down"));
}

static void expect_words(const char *path, const char *const *words)
{
	json_object *list = at(path);
	size_t n = 0;

	for (; words[n]; n++)
		cr_expect_str_eq(json_object_get_string(json_object_array_get_idx(list, n)),
				 words[n]);
	cr_expect_eq(json_object_array_length(list), n, "%s", path);
}

Test(schema, has_each_word)
{
	const char *kinds[KINDS + 1] = { NULL };

	for (int k = 0; k < KINDS; k++)
		kinds[k] = kind_name((enum kind)k);
	expect_words(ROW "/kind/enum", kinds);
	expect_words(ROW "/echoes/enum", kinds);
	expect_words(ROW "/format/enum", KEYS("json", "text", "bytes"));
	expect_words(ROW "/id/enum", KEYS("integer", "uuid", "string"));
	expect_words(ROW "/only/enum", KEYS("read", "write"));
	expect_words(D "/device/enum", KEYS("topic", "payload", "none"));
	expect_words(D "/session/properties/per/enum", KEYS("device", "link"));
	expect_words("$defs/dialect/required", KEYS("dialect", "messages"));
	expect_words(D "/messages/items/required", KEYS("kind", "topic"));
	expect_words("$defs/through/required", KEYS("through"));
}

Test(schema, says_what_each_type_takes)
{
	static const struct schema_word words[] = { { "a", 1 }, { "b", 2 }, { 0 } };
	static const struct schema_key keys[] = {
		{ .name = "text", .type = SCHEMA_TEXT },
		{ .name = "number", .type = SCHEMA_INTEGER, .min = 2, .max = 5 },
		{ .name = "word", .type = SCHEMA_WORD, .words = words, .about = "a word" },
		{ .name = "list",
		  .type = SCHEMA_OWN,
		  .like = SCHEMA_COUNT,
		  .is_list = true,
		  .min = 1 },
		{ .name = "never", .type = SCHEMA_REFUSED },
		{ .name = "any", .type = SCHEMA_JSON, .is_required = true },
	};
	static const struct schema_rule rules[] = { { "text", "word", "a" },
						    { "any", "list", NULL } };
	static const struct schema table = SCHEMA_WITH_RULES(keys, rules);
	json_object *s = schema_describe(&table);

	cr_expect_str_eq(
		json_object_to_json_string_ext(s, JSON_C_TO_STRING_PLAIN),
		"{\"type\":\"object\",\"properties\":{"
		"\"text\":{\"type\":\"string\",\"minLength\":1},"
		"\"number\":{\"type\":\"integer\",\"minimum\":2,\"maximum\":5},"
		"\"word\":{\"enum\":[\"a\",\"b\"],\"description\":\"a word\"},"
		"\"list\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":1},"
		"\"minItems\":1},\"any\":{}},\"required\":[\"any\"],\"additionalProperties\":false,"
		"\"allOf\":[{\"not\":{\"required\":[\"text\",\"word\"],"
		"\"properties\":{\"word\":{\"const\":\"a\"}}}},"
		"{\"not\":{\"required\":[\"any\",\"list\"]}}]}");
	json_object_put(s);
}

Test(schema, tells_people_of_each_optional_key)
{
	struct buf keys = { 0 };

	dialect_put_keys("# ", &keys);
	cr_expect(strstr(keys.data, "# mqtt: the lowest version"));
	cr_expect_null(strstr(keys.data, "# messages"));
	cr_expect_null(strstr(keys.data, "(null)"));
	buf_reset(&keys);
	dialect_put_row_keys("# ", &keys);
	cr_expect(strstr(keys.data, "# lenient: "));
	cr_expect_null(strstr(keys.data, "(null)"));
	buf_fini(&keys);
}
