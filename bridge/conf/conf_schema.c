#include "conf/conf_schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/guess.h"
#include "base/mem.h"
#include "conf/conf_value.h"

void conf_schema_preset(const struct schema *schema, void *into)
{
	for (const struct schema_key *k = schema->keys; k < schema->keys + schema->n_keys; k++) {
		void *at = (char *)into + k->offset;

		if (k->type == SCHEMA_INTEGER || k->type == SCHEMA_WORD)
			*(int *)at = (int)k->preset;
		else if (k->type == SCHEMA_INT64)
			*(int64_t *)at = k->preset;
		else if (k->type == SCHEMA_BOOLEAN || k->type == SCHEMA_SWITCH)
			*(bool *)at = k->preset;
		else if (k->preset_text)
			*(char **)at = mem_strdup(k->preset_text);
		else if (k->type == SCHEMA_GROUP)
			conf_schema_preset(k->group, at);
	}
}

/* Types.  A setter returns false when the value has the wrong type; any other mistake it reports itself. */

typedef bool setter(struct conf_reader *r, const struct schema_key *key, void *member,
		    const config_setting_t *s);

static bool set_integer(struct conf_reader *r, const struct schema_key *key, void *member,
			const config_setting_t *s)
{
	int64_t v;

	if (!conf_value_is_integer(s))
		return false;
	if (!conf_value_integer(r, s, &v))
		return true;
	if (v < key->min || v > key->max)
		conf_value_mistake(r, s, "%lld is outside %lld..%lld", (long long)v,
				   (long long)key->min, (long long)key->max);
	else if (key->type == SCHEMA_INT64)
		*(int64_t *)member = v;
	else
		*(int *)member = (int)v;
	return true;
}

static bool set_boolean(struct conf_reader *r, const struct schema_key *key, void *member,
			const config_setting_t *s)
{
	(void)r;
	(void)key;
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return false;
	*(bool *)member = config_setting_get_bool(s);
	return true;
}

static bool set_word(struct conf_reader *r, const struct schema_key *key, void *member,
		     const config_setting_t *s)
{
	const char *text = conf_value_text(r, s);
	const struct schema_word *word;
	struct buf what = { 0 };
	struct guess g;

	if (!text)
		return true;
	word = schema_word_of(key->words, text, &g);
	buf_printf(&what, "unknown value \"%s\"", text);
	for (const struct schema_word *w = key->words; w->name; w++)
		buf_printf(&what, "%s\"%s\"", w == key->words ? " (" : " or ", w->name);
	buf_putc(&what, ')');
	if (!word)
		conf_value_unknown(r, s, buf_str(&what), &g);
	else if (key->type == SCHEMA_SWITCH)
		*(bool *)member = word->value;
	else
		*(int *)member = word->value;
	buf_fini(&what);
	return true;
}

static bool set_text(struct conf_reader *r, const struct schema_key *key, void *member,
		     const config_setting_t *s)
{
	char **at = member;
	const char *text;
	bool is_secret;

	conf_value_free_secret(*at);
	*at = NULL;
	if (key->type == SCHEMA_SECRET)
		*at = conf_value_resolve(
			r, s, &(struct conf_target){ .field = at, .is_secret = key->is_secret },
			&is_secret);
	else if (key->type == SCHEMA_NAME)
		*at = conf_value_name(r, s);
	else if ((text = conf_value_filled_text(r, s)))
		*at = key->type == SCHEMA_PATH ? conf_value_path(r, text) : mem_strdup(text);
	return true;
}

static bool set_group(struct conf_reader *r, const struct schema_key *key, void *member,
		      const config_setting_t *s)
{
	return conf_schema_read(r, key->group, member, s);
}

static bool set_own(struct conf_reader *r, const struct schema_key *key, void *member,
		    const config_setting_t *s)
{
	return key->set.conf(r, member, s);
}

static const struct {
	setter *set;
	const char *what;
} types[] = {
	[SCHEMA_TEXT] = { set_text, "a string" },
	[SCHEMA_NAME] = { set_text, "a string" },
	[SCHEMA_PATH] = { set_text, "a string" },
	[SCHEMA_SECRET] = { set_text, "a string" },
	[SCHEMA_BOOLEAN] = { set_boolean, "true or false" },
	[SCHEMA_INTEGER] = { set_integer, "a whole number" },
	[SCHEMA_INT64] = { set_integer, "a whole number" },
	[SCHEMA_WORD] = { set_word, "a string" },
	[SCHEMA_SWITCH] = { set_word, "a string" },
	[SCHEMA_GROUP] = { set_group, "a group { }" },
	[SCHEMA_OWN] = { set_own, "a group { }" },
};

/* Settings in the order of the file, so that mistakes come in that order too. */
bool conf_schema_read(struct conf_reader *r, const struct schema *schema, void *into,
		      const config_setting_t *s)
{
	if (!config_setting_is_group(s))
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *child = config_setting_get_elem(s, (unsigned)i);
		struct guess g;
		const struct schema_key *key = schema_find(schema, config_setting_name(child), &g);

		assert(!key || types[key->type].set);
		if (!key)
			conf_value_unknown(r, child, "unknown key", &g);
		else if (!types[key->type].set(r, key, (char *)into + key->offset, child))
			conf_value_wrong_type(r, child,
					      key->what ? key->what : types[key->type].what);
	}
	for (size_t i = 0; i < schema->n_keys; i++)
		if (schema->keys[i].is_required &&
		    !config_setting_get_member(s, schema->keys[i].name))
			conf_value_mistake_in(r, s, schema->keys[i].name, "is missing");
	return true;
}

/* --- values ---------------------------------------------------------------------------------- */

static void put_value(const struct schema_key *k, const void *at, struct buf *out)
{
	const char *text;

	if (k->type == SCHEMA_OWN) {
		assert(k->put); /* or a reload would not see it change */
		k->put(at, out);
	} else if (k->type == SCHEMA_INTEGER || k->type == SCHEMA_WORD) {
		buf_printf(out, "%d", *(const int *)at);
	} else if (k->type == SCHEMA_INT64) {
		buf_printf(out, "%lld", (long long)*(const int64_t *)at);
	} else if (k->type == SCHEMA_BOOLEAN || k->type == SCHEMA_SWITCH) {
		buf_printf(out, "%d", *(const bool *)at);
	} else {
		text = *(char *const *)at;
		buf_puts(out, text ? "=" : "");
		buf_puts(out, text ? text : "");
	}
}

static void put_hash(struct buf *value, struct buf *out)
{
	struct crypto_piece piece = { value->data, value->len };
	uint8_t hash[CRYPTO_HASH_BYTES];

	crypto_hash(&piece, 1, hash);
	for (size_t i = 0; i < sizeof hash; i++)
		buf_printf(out, "%02x", hash[i]);
	if (value->data)
		explicit_bzero(value->data, value->len);
	buf_fini(value);
}

void conf_schema_put_values(const struct schema *schema, const char *prefix, const void *from,
			    struct buf *out)
{
	for (const struct schema_key *k = schema->keys; k < schema->keys + schema->n_keys; k++) {
		const void *at = (const char *)from + k->offset;
		char *name = mem_printf("%s%s", prefix, k->name), *inside;
		struct buf value = { 0 };

		if (k->group && !k->put && !k->is_list) {
			inside = mem_printf("%s.", name);
			conf_schema_put_values(k->group, inside, at, out);
			free(inside);
		} else if (!k->group || k->put) {
			put_value(k, at, &value);
			buf_printf(out, "%s ", name);
			put_hash(&value, out);
			buf_putc(out, '\n');
		}
		free(name);
	}
}

/* --- for people ------------------------------------------------------------------------------ */

static void put_words(const struct schema_word *words, struct buf *out)
{
	for (const struct schema_word *w = words; w->name; w++)
		buf_printf(out, "%s\"%s\"", w == words ? "" : " or ", w->name);
}

static bool is_number(const struct schema_key *k)
{
	return k->type == SCHEMA_INTEGER || k->type == SCHEMA_INT64;
}

static void put_wanted(const struct schema_key *k, struct buf *out)
{
	if (k->words)
		put_words(k->words, out);
	else if (is_number(k))
		buf_printf(out, "%lld..%lld", (long long)k->min, (long long)k->max);
	else
		buf_puts(out, k->what	       ? k->what
			      : k->preset_text ? "a string"
					       : types[k->type].what);
}

static void put_default(const struct schema_key *k, struct buf *out)
{
	if (k->is_required)
		buf_puts(out, "required");
	else if (k->preset_text)
		buf_printf(out, "\"%s\"", k->preset_text);
	else if (k->type == SCHEMA_BOOLEAN)
		buf_puts(out, k->preset ? "true" : "false");
	else if (is_number(k) && k->preset >= k->min)
		buf_printf(out, "%lld", (long long)k->preset);
	else
		buf_putc(out, '-');
	for (const struct schema_word *w = k->words; w && w->name; w++)
		if (w->value == k->preset) {
			buf_cut(out, out->len - 1);
			buf_printf(out, "\"%s\"", w->name);
		}
}

void conf_schema_put_keys(const struct schema *schema, const char *prefix, struct buf *out)
{
	for (const struct schema_key *k = schema->keys; k < schema->keys + schema->n_keys; k++) {
		char *name = mem_printf("%s%s", prefix, k->name), *inside;
		struct buf wanted = { 0 }, preset = { 0 };

		put_wanted(k, &wanted);
		put_default(k, &preset);
		buf_printf(out, "%-38s %-26s %-17s%s%s\n", name, buf_str(&wanted), buf_str(&preset),
			   k->about ? " " : "", k->about ? k->about : "");
		buf_fini(&wanted);
		buf_fini(&preset);
		inside = mem_printf("%s.", name);
		if (k->group && !k->is_as_before)
			conf_schema_put_keys(k->group, inside, out);
		free(inside);
		free(name);
	}
}
