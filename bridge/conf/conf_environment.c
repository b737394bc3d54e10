#include "conf/conf_environment.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/guess.h"
#include "base/mem.h"
#include "conf/environment.h"

#define PREFIX "CALQUE_"

/* Not of a configuration, by their beginning: the variables of Kubernetes for services called calque and
 * calque-admin. */
static const char *const others[] = { PREFIX "SERVICE_", PREFIX "PORT", PREFIX "ADMIN_SERVICE_",
				      PREFIX "ADMIN_PORT" };
/* And this one by its whole name (build_init()). */
static const char mappings[] = PREFIX "MAPPINGS=";

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Is "NAME=VALUE" one of ours? */
static bool is_ours(const char *variable)
{
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (begins(variable, others[i]))
			return false;
	return begins(variable, PREFIX) && !begins(variable, mappings) && strchr(variable, '=');
}

static const char *next_of_ours(const char *after)
{
	const char *v = environment_next(after);

	while (v && !is_ours(v))
		v = environment_next(v);
	return v;
}

bool conf_environment_is_set(void)
{
	return next_of_ours(NULL);
}

/* --- names --- */

static char *in_capitals(const char *text)
{
	char *capitals = mem_strdup(text);

	for (char *p = capitals; *p; p++)
		*p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
	return capitals;
}

char *conf_environment_name(const char *path)
{
	char *capitals = in_capitals(path), *name = mem_printf(PREFIX "%s", capitals);

	free(capitals);
	return name;
}

/* What is behind `key` in `name`: "" if that is all, a name if more follows; NULL: it does not begin so. */
static const char *behind(const char *name, const char *key)
{
	char *capitals = in_capitals(key);
	const char *rest = begins(name, capitals) ? name + strlen(capitals) : NULL;

	free(capitals);
	if (!rest || !*rest)
		return rest;
	return *rest == '_' && rest[1] ? rest + 1 : NULL;
}

/* --- values --- */

/* The last of a name is what counts.  NULL: no key can be called so. */
static config_setting_t *add(config_setting_t *group, const char *name, int type)
{
	if (name && config_setting_get_member(group, name))
		config_setting_remove(group, name);
	return config_setting_add(group, name, type);
}

static bool put_string(config_setting_t *group, const char *name, const char *value)
{
	config_setting_t *s = add(group, name, CONFIG_TYPE_STRING);

	return s && config_setting_set_string(s, value);
}

/* With commas or blanks in between. */
static void put_names(config_setting_t *group, const char *name, const char *value)
{
	config_setting_t *list = add(group, name, CONFIG_TYPE_LIST);
	char *copy = mem_strdup(value), *rest = copy, *one;

	while ((one = strsep(&rest, ", ")) != NULL)
		if (*one)
			put_string(list, NULL, one);
	free(copy);
}

/* What is no number, or neither true nor false, is found out where it is read, as in a file. */
static void put_value(const struct schema_key *k, config_setting_t *group, const char *value)
{
	bool is_number = k->type == SCHEMA_INTEGER || k->type == SCHEMA_INT64;
	bool is_true = strcmp(value, "true") == 0;
	long long n;
	char *end;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (is_number && *value && !*end && errno == 0)
		config_setting_set_int64(add(group, k->name, CONFIG_TYPE_INT64), n);
	else if (k->type == SCHEMA_BOOLEAN && (is_true || strcmp(value, "false") == 0))
		config_setting_set_bool(add(group, k->name, CONFIG_TYPE_BOOL), is_true);
	else if (k->is_list)
		put_names(group, k->name, value);
	else
		put_string(group, k->name, value);
}

static config_setting_t *group_in(config_setting_t *group, const char *name)
{
	config_setting_t *old = config_setting_get_member(group, name);

	return old ? old : config_setting_add(group, name, CONFIG_TYPE_GROUP);
}

/* In a group of any names; false: no name can be that. */
static bool put_small(config_setting_t *group, const char *name, const char *value)
{
	char *small = mem_strdup(name);
	bool ok;

	for (char *p = small; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	ok = put_string(group, small, value);
	free(small);
	return ok;
}

static bool put(const struct schema *schema, config_setting_t *group, const char *name,
		const char *value);

/* The keys of the one link stand for it. */
static bool is_of_links(const struct schema_key *k)
{
	return strcmp(k->name, "links") == 0;
}

/* The same for one key, where `name` begins with it and `rest` is what is behind that. */
static bool put_key(const struct schema_key *k, config_setting_t *group, const char *rest,
		    const char *value)
{
	bool is_group = k->group && !k->is_list;

	if (k->is_map && *rest)
		return !group || put_small(group_in(group, k->name), rest, value);
	if (is_group && *rest) /* is there such a key?  Nothing is begun for one that is not. */
		return put(k->group, NULL, rest, value) &&
		       (!group || put(k->group, group_in(group, k->name), rest, value));
	if (k->is_map || is_group || *rest)
		return false;
	if (group)
		put_value(k, group, value);
	return true;
}

/* `name` is one without the prefix; with `group` NULL nothing is put.  False: there is no key of that name. */
static bool put(const struct schema *schema, config_setting_t *group, const char *name,
		const char *value)
{
	for (const struct schema_key *k = schema->keys; k < schema->keys + schema->n_keys; k++) {
		const char *rest = is_of_links(k) ? NULL : behind(name, k->name);

		if (rest && put_key(k, group, rest, value))
			return true;
	}
	return false;
}

/* --- all of them --- */

/* The names of all keys, which a guess borrows. */
struct names {
	char **items;
	size_t n;
};

static void list_names(const struct schema *schema, const char *prefix, struct names *out)
{
	for (const struct schema_key *k = schema->keys; k < schema->keys + schema->n_keys; k++) {
		char *path = mem_printf("%s%s", prefix, k->name);
		char *inside = mem_printf("%s.", path);

		if (is_of_links(k)) {
			; /* no variable is called so */
		} else if (k->group && !k->is_list) {
			list_names(k->group, inside, out);
		} else if (!k->is_map) {
			out->items = mem_grow(out->items, out->n, sizeof *out->items);
			out->items[out->n++] = conf_environment_name(path);
		}
		free(inside);
		free(path);
	}
}

static void report_unknown(const struct schema *whole, const struct schema *link, const char *name,
			   struct report *report)
{
	struct guess g = { .wrong = name };
	struct names names = { 0 };

	list_names(whole, "", &names);
	list_names(link, "", &names);
	for (size_t i = 0; i < names.n; i++)
		guess_try(&g, names.items[i]);
	if (g.best)
		report_error(report, "%s: there is no such key; did you mean %s?", name, g.best);
	else
		report_error(report, "%s: there is no such key (calque check --schema)", name);
	for (size_t i = 0; i < names.n; i++)
		free(names.items[i]);
	free(names.items);
}

static char *name_of(const char *variable)
{
	return mem_strndup(variable, strcspn(variable, "="));
}

char *conf_environment_first(const struct schema *whole, const struct schema *link)
{
	for (const char *v = NULL; (v = next_of_ours(v));) {
		char *name = name_of(v);
		const char *key = name + strlen(PREFIX);

		if (put(whole, NULL, key, "") || put(link, NULL, key, ""))
			return name;
		free(name);
	}
	return NULL;
}

void conf_environment_put(const struct schema *whole, const struct schema *link,
			  config_setting_t *root, struct report *report)
{
	config_setting_t *one = config_setting_add(
		config_setting_add(root, "links", CONFIG_TYPE_LIST), NULL, CONFIG_TYPE_GROUP);

	for (const char *v = NULL; (v = next_of_ours(v));) {
		char *name = name_of(v);
		const char *key = name + strlen(PREFIX), *value = v + strlen(name) + 1;

		if (!put(whole, root, key, value) && !put(link, one, key, value))
			report_unknown(whole, link, name, report);
		free(name);
	}
}
