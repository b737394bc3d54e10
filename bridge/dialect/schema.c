/* schema.c -- objects read by tables of their keys.
 *
 * A value that is wrong is told with its place and leaves its member as it was; the rest is read on.  `place` is a
 * text that enter appends to and leave cuts: whoever enters leaves, also after a mistake. */
#include "dialect/schema.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/guess.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "message/kind.h"
#include "message/topic.h"
#include "message/vars.h"

/* Places and mistakes */

size_t schema_enter_key(struct schema_reader *r, const char *name)
{
	size_t mark = r->place.len;

	buf_printf(&r->place, "%s%s", mark ? "." : "", name);
	return mark;
}

size_t schema_enter_element(struct schema_reader *r, size_t i)
{
	size_t mark = r->place.len;

	buf_printf(&r->place, "[%zu]", i);
	return mark;
}

void schema_leave(struct schema_reader *r, size_t mark)
{
	buf_cut(&r->place, mark);
}

static void tell(struct schema_reader *r,
		 void (*report)(struct report *report, const char *fmt, ...), const char *fmt,
		 va_list ap)
{
	struct buf text = { 0 };

	buf_vprintf(&text, fmt, ap);
	report(r->report, "%s: %s%s%s", r->file, buf_str(&r->place), r->place.len ? ": " : "",
	       buf_str(&text));
	buf_fini(&text);
}

void schema_mistake(struct schema_reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->is_quiet)
		return;
	va_start(ap, fmt);
	tell(r, report_error, fmt, ap);
	va_end(ap);
	r->mistakes++;
}

void schema_hint(struct schema_reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->is_quiet)
		return;
	va_start(ap, fmt);
	tell(r, report_hint, fmt, ap);
	va_end(ap);
}

/* Names that may have been meant */

/* Behind a wrong word: the one that was meant, or all there are. */
static const char *hint_at(const struct guess *g, struct buf *all)
{
	if (g->best) {
		buf_reset(all);
		buf_printf(all, " (did you mean \"%s\"?)", g->best);
	}
	return buf_str(all);
}

static void add_choice(struct buf *all, const char *name)
{
	buf_printf(all, "%s%s", all->len ? ", " : ": one of ", name);
}

const struct schema_key *schema_find(const struct schema *schema, const char *name, struct guess *g)
{
	*g = (struct guess){ .wrong = name };
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *key = &schema->keys[i];

		if (strcmp(key->name, name) == 0)
			return key;
		if (key->type != SCHEMA_REFUSED)
			guess_try(g, key->name);
	}
	return NULL;
}

const struct schema_word *schema_word_of(const struct schema_word *words, const char *name,
					 struct guess *g)
{
	*g = (struct guess){ .wrong = name };
	for (; words->name; words++) {
		if (strcmp(words->name, name) == 0)
			return words;
		guess_try(g, words->name);
	}
	return NULL;
}

static void unknown_key(struct schema_reader *r, const struct schema *schema, const char *name,
			const struct guess *g)
{
	struct buf all = { 0 };

	for (size_t i = 0; i < schema->n_keys; i++)
		if (schema->keys[i].type != SCHEMA_REFUSED)
			add_choice(&all, schema->keys[i].name);
	schema_mistake(r, "unknown key \"%s\"%s", name, hint_at(g, &all));
	buf_fini(&all);
}

/* Types.  A setter returns false when the value has the wrong type; any other mistake it reports
 * itself. */

typedef bool setter(struct schema_reader *r, const struct schema_key *key, void *member,
		    json_object *value);

bool schema_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
				      "0123456789";

	return *name && !(*name >= '0' && *name <= '9') && name[strspn(name, letters)] == '\0';
}

/* A string without NUL in it and not empty, borrowed; NULL was reported. */
static const char *text_of(struct schema_reader *r, json_object *value)
{
	const char *s = json_object_get_string(value);

	if (!*s) {
		schema_mistake(r, "must not be empty");
		return NULL;
	}
	if (strlen(s) != (size_t)json_object_get_string_len(value)) {
		schema_mistake(r, "must not hold a NUL character");
		return NULL;
	}
	return s;
}

bool schema_set_text(struct schema_reader *r, char **member, json_object *value)
{
	const char *s;

	if (!json_object_is_type(value, json_type_string))
		return false;
	s = text_of(r, value);
	if (s) {
		free(*member);
		*member = mem_strdup(s);
	}
	return true;
}

static bool set_text(struct schema_reader *r, const struct schema_key *key, void *member,
		     json_object *value)
{
	(void)key;
	return schema_set_text(r, member, value);
}

static bool set_version(struct schema_reader *r, const struct schema_key *key, void *member,
			json_object *value)
{
	char **text = member;

	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return set_text(r, key, member, value);
	free(*text);
	*text = mem_strdup(json_object_get_string(value));
	return true;
}

static bool set_name(struct schema_reader *r, const struct schema_key *key, void *member,
		     json_object *value)
{
	const char *s;

	if (!json_object_is_type(value, json_type_string))
		return false;
	s = json_object_get_string(value);
	if (strlen(s) != (size_t)json_object_get_string_len(value) || !schema_is_name(s)) {
		schema_mistake(r, "\"%s\" is no name of a function: letters, digits and _ only", s);
		return true;
	}
	return set_text(r, key, member, value);
}

static bool set_boolean(struct schema_reader *r, const struct schema_key *key, void *member,
			json_object *value)
{
	(void)r;
	(void)key;
	if (!json_object_is_type(value, json_type_boolean))
		return false;
	*(bool *)member = json_object_get_boolean(value);
	return true;
}

static bool set_integer(struct schema_reader *r, const struct schema_key *key, void *member,
			json_object *value)
{
	int64_t n = json_object_get_int64(value);

	if (!json_object_is_type(value, json_type_int))
		return false;
	if (n < key->min || n > key->max)
		schema_mistake(r, "must be from %d to %d", (int)key->min, (int)key->max);
	else
		*(int *)member = (int)n;
	return true;
}

static bool set_count(struct schema_reader *r, const struct schema_key *key, void *member,
		      json_object *value)
{
	int64_t n = json_object_get_int64(value);

	(void)key;
	if (!json_object_is_type(value, json_type_int))
		return false;
	if (n < 1)
		schema_mistake(r, "must be 1 or more");
	else
		*(int64_t *)member = n;
	return true;
}

bool schema_find_word(struct schema_reader *r, const struct schema_word *words, json_object *value,
		      const struct schema_word **word)
{
	const char *s = json_object_get_string(value);
	struct buf all = { 0 };
	struct guess g;

	*word = NULL;
	if (!json_object_is_type(value, json_type_string))
		return false;
	*word = schema_word_of(words, s, &g);
	for (; words->name; words++)
		add_choice(&all, words->name);
	if (!*word)
		schema_mistake(r, "unknown word \"%s\"%s", s, hint_at(&g, &all));
	buf_fini(&all);
	return true;
}

static bool set_word(struct schema_reader *r, const struct schema_key *key, void *member,
		     json_object *value)
{
	const struct schema_word *word;

	if (!schema_find_word(r, key->words, value, &word))
		return false;
	if (word && key->type == SCHEMA_SWITCH)
		*(bool *)member = word->value;
	else if (word)
		memcpy(member, &word->value, sizeof word->value); /* an enum is as wide as int */
	return true;
}

static bool set_kind(struct schema_reader *r, const struct schema_key *key, void *member,
		     json_object *value)
{
	const char *s = json_object_get_string(value);
	struct guess g = { .wrong = s };
	struct buf all = { 0 };
	enum kind kind;

	(void)key;
	if (!json_object_is_type(value, json_type_string))
		return false;
	kind = kind_of(s);
	for (int k = 0; kind == KIND_NONE && k < KINDS; k++) {
		guess_try(&g, kind_name((enum kind)k));
		add_choice(&all, kind_name((enum kind)k));
	}
	if (kind == KIND_NONE)
		schema_mistake(r, "unknown kind \"%s\"%s", s, hint_at(&g, &all));
	else
		*(enum kind *)member = kind;
	buf_fini(&all);
	return true;
}

static bool set_topic(struct schema_reader *r, const struct schema_key *key, void *member,
		      json_object *value)
{
	struct topic_template *topic = member, parsed;
	struct err e = { 0 };
	const char *s;

	(void)key;
	if (!json_object_is_type(value, json_type_string))
		return false;
	s = text_of(r, value);
	if (!s)
		return true;
	if (!topic_template_parse(&parsed, s, &e)) {
		schema_mistake(r, "%s", e.text);
		return true;
	}
	topic_template_fini(topic);
	*topic = parsed;
	return true;
}

static bool set_texts(struct schema_reader *r, const struct schema_key *key, void *member,
		      json_object *value)
{
	(void)key;
	if (!json_object_is_type(value, json_type_object))
		return false;
	json_object_object_foreach (value, name, item) {
		size_t mark = schema_enter_key(r, name);
		char *text = NULL;

		if (!*name)
			schema_mistake(r, "a name must not be empty");
		else if (!schema_set_text(r, &text, item))
			schema_mistake(r, "must be a string");
		else if (text)
			vars_set(member, name, text, false);
		free(text);
		schema_leave(r, mark);
	}
	return true;
}

static bool set_json(struct schema_reader *r, const struct schema_key *key, void *member,
		     json_object *value)
{
	struct buf text = { 0 };

	(void)r;
	(void)key;
	jtext_tree_put(&text, value);
	free(*(char **)member);
	*(char **)member = buf_take(&text);
	return true;
}

static bool set_group(struct schema_reader *r, const struct schema_key *key, void *member,
		      json_object *value)
{
	if (!json_object_is_type(value, json_type_object))
		return false;
	schema_read(r, key->group, member, value);
	return true;
}

static bool set_own(struct schema_reader *r, const struct schema_key *key, void *member,
		    json_object *value)
{
	return key->set.json(r, member, value);
}

static bool refuse(struct schema_reader *r, const struct schema_key *key, void *member,
		   json_object *value)
{
	(void)member;
	(void)value;
	schema_mistake(r, "%s", key->what);
	return true;
}

static const struct {
	setter *set;
	const char *what;
} types[] = {
	[SCHEMA_TEXT] = { set_text, "a string" },
	[SCHEMA_VERSION] = { set_version, "a string or a number" },
	[SCHEMA_NAME] = { set_name, "the name of a function" },
	[SCHEMA_BOOLEAN] = { set_boolean, "true or false" },
	[SCHEMA_INTEGER] = { set_integer, "an integer" },
	[SCHEMA_COUNT] = { set_count, "an integer" },
	[SCHEMA_WORD] = { set_word, "a string" },
	[SCHEMA_SWITCH] = { set_word, "a string" },
	[SCHEMA_KIND] = { set_kind, "the name of a kind" },
	[SCHEMA_TOPIC] = { set_topic, "a string, the topic" },
	[SCHEMA_TEXTS] = { set_texts, "an object of strings" },
	[SCHEMA_JSON] = { set_json, "a JSON value" },
	[SCHEMA_GROUP] = { set_group, "an object" },
	[SCHEMA_OWN] = { set_own, "something else" },
	[SCHEMA_REFUSED] = { refuse, "absent" },
};

/* Objects */

static void read_key(struct schema_reader *r, const struct schema_key *key, void *into,
		     json_object *value)
{
	size_t mark = schema_enter_key(r, key->name);

	if (!types[key->type].set(r, key, (char *)into + key->offset, value))
		schema_mistake(r, "must be %s", key->what ? key->what : types[key->type].what);
	schema_leave(r, mark);
}

void schema_read(struct schema_reader *r, const struct schema *schema, void *into,
		 json_object *object)
{
	json_object_object_foreach (object, name, value) {
		struct guess g;
		const struct schema_key *key = schema_find(schema, name, &g);

		if (key)
			read_key(r, key, into, value);
		else
			unknown_key(r, schema, name, &g);
	}
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *key = &schema->keys[i];

		if (key->is_required && !json_object_object_get_ex(object, key->name, NULL))
			schema_mistake(r, "\"%s\" is missing%s%s", key->name,
				       key->about ? ": " : "", key->about ? key->about : "");
	}
}

json_object *schema_tree(struct schema_reader *r, const char *metadata, size_t len)
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
