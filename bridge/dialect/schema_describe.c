/* The tables of keys as a JSON Schema (draft 2020-12), and for people. */
#include "dialect/schema.h"

#include <stdlib.h>
#include <string.h>

#include "message/kind.h"

#define NAME  "[A-Za-z_][A-Za-z0-9_]*"
#define LEVEL "[^+#{}/]*|\\{" NAME "\\}"
#define TOPIC "^((" LEVEL ")/)*(" LEVEL "|\\{" NAME "\\.\\.\\.\\})$"

static void add_text(json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, json_object_new_string(text));
}

static void add_int(json_object *to, const char *key, int n)
{
	json_object_object_add(to, key, json_object_new_int(n));
}

static json_object *of_type(const char *type)
{
	json_object *s = json_object_new_object();

	add_text(s, "type", type);
	return s;
}

static json_object *text(void)
{
	json_object *s = of_type("string");

	add_int(s, "minLength", 1);
	return s;
}

static json_object *pattern(const char *regex)
{
	json_object *s = text();

	add_text(s, "pattern", regex);
	return s;
}

/* A string or number; minLength does not concern numbers. */
static json_object *version(void)
{
	json_object *s = text(), *both = json_object_new_array();

	json_object_array_add(both, json_object_new_string("string"));
	json_object_array_add(both, json_object_new_string("number"));
	json_object_object_add(s, "type", both);
	return s;
}

static json_object *integer(int min)
{
	json_object *s = of_type("integer");

	add_int(s, "minimum", min);
	return s;
}

static json_object *range(int min, int max)
{
	json_object *s = integer(min);

	add_int(s, "maximum", max);
	return s;
}

static json_object *choice(json_object *list)
{
	json_object *s = json_object_new_object();

	json_object_object_add(s, "enum", list);
	return s;
}

static json_object *word(const struct schema_word *words)
{
	json_object *list = json_object_new_array();

	for (; words->name; words++)
		json_object_array_add(list, json_object_new_string(words->name));
	return choice(list);
}

static json_object *kind(void)
{
	json_object *list = json_object_new_array();

	for (int k = 0; k < KINDS; k++)
		json_object_array_add(list, json_object_new_string(kind_name((enum kind)k)));
	return choice(list);
}

static json_object *texts(void)
{
	json_object *s = of_type("object"), *names = json_object_new_object();

	add_int(names, "minLength", 1);
	json_object_object_add(s, "propertyNames", names);
	json_object_object_add(s, "additionalProperties", text());
	return s;
}

static json_object *of_key_type(const struct schema_key *key, enum schema_type type)
{
	switch (type) {
	case SCHEMA_TEXT:
		return text();
	case SCHEMA_VERSION:
		return version();
	case SCHEMA_NAME:
		return pattern("^" NAME "$");
	case SCHEMA_BOOLEAN:
		return of_type("boolean");
	case SCHEMA_INTEGER:
		return range((int)key->min, (int)key->max);
	case SCHEMA_COUNT:
		return integer(1);
	case SCHEMA_WORD:
	case SCHEMA_SWITCH:
		return word(key->words);
	case SCHEMA_KIND:
		return kind();
	case SCHEMA_TOPIC:
		return pattern(TOPIC);
	case SCHEMA_TEXTS:
		return texts();
	case SCHEMA_GROUP:
		return schema_describe(key->group);
	case SCHEMA_JSON:
	case SCHEMA_PATH:
	case SCHEMA_SECRET:
	case SCHEMA_INT64:
	case SCHEMA_OWN:
	case SCHEMA_REFUSED:
		break;
	}
	return json_object_new_object(); /* anything */
}

static json_object *of_own(const struct schema_key *key)
{
	json_object *s = of_key_type(key, key->like), *either, *list;

	if (key->group && key->like != SCHEMA_GROUP) {
		either = json_object_new_array();
		json_object_array_add(either, s);
		json_object_array_add(either, schema_describe(key->group));
		s = json_object_new_object();
		json_object_object_add(s, "anyOf", either);
	}
	if (!key->is_list)
		return s;
	list = of_type("array");
	json_object_object_add(list, "items", s);
	if (key->min)
		add_int(list, "minItems", (int)key->min);
	return list;
}

static json_object *of_key(const struct schema_key *key)
{
	json_object *s = key->type == SCHEMA_OWN ? of_own(key) : of_key_type(key, key->type);

	if (key->about)
		add_text(s, "description", key->about);
	return s;
}

/* {"not": {"required": [key, other], "properties": {other: {"const": value}}}} */
static json_object *of_rule(const struct schema_rule *rule)
{
	json_object *no = json_object_new_object(), *both = json_object_new_object(),
		    *names = json_object_new_array();

	json_object_array_add(names, json_object_new_string(rule->key));
	json_object_array_add(names, json_object_new_string(rule->other));
	json_object_object_add(both, "required", names);
	if (rule->value) {
		json_object *value = json_object_new_object(), *keys = json_object_new_object();

		add_text(value, "const", rule->value);
		json_object_object_add(keys, rule->other, value);
		json_object_object_add(both, "properties", keys);
	}
	json_object_object_add(no, "not", both);
	return no;
}

json_object *schema_describe(const struct schema *schema)
{
	json_object *s = of_type("object"), *keys = json_object_new_object(),
		    *required = json_object_new_array(), *rules = json_object_new_array();

	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *key = &schema->keys[i];

		if (key->type != SCHEMA_REFUSED)
			json_object_object_add(keys, key->name, of_key(key));
		if (key->is_required)
			json_object_array_add(required, json_object_new_string(key->name));
	}
	for (size_t i = 0; i < schema->n_rules; i++)
		json_object_array_add(rules, of_rule(&schema->rules[i]));
	json_object_object_add(s, "properties", keys);
	json_object_object_add(s, "required", required);
	json_object_object_add(s, "additionalProperties", json_object_new_boolean(false));
	if (schema->n_rules)
		json_object_object_add(s, "allOf", rules);
	else
		json_object_put(rules);
	return s;
}

void schema_put_keys(const struct schema *schema, const char *prefix, struct buf *out)
{
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *key = &schema->keys[i];

		if (!key->is_required && key->type != SCHEMA_REFUSED)
			buf_printf(out, "%s%s: %s\n", prefix, key->name, key->about);
	}
}
