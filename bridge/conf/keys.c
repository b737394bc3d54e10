#include "conf/keys.h"

#include <string.h>

#include "base/buf.h"
#include "base/guess.h"
#include "base/mem.h"
#include "conf/setting.h"

void keys_set_defaults(const struct key *keys, void *base)
{
	for (const struct key *k = keys; k->name; k++) {
		void *at = (char *)base + k->at;

		if (k->type == KEY_INT || k->type == KEY_CHOICE)
			*(int *)at = (int)k->value;
		else if (k->type == KEY_INT64)
			*(int64_t *)at = k->value;
		else if (k->type == KEY_BOOL || k->type == KEY_SWITCH)
			*(bool *)at = k->value;
		else if (k->text)
			*(char **)at = mem_strdup(k->text);
		else if (k->type == KEY_GROUP)
			keys_set_defaults(k->sub, base);
	}
}

static void read_integer(struct setting_load *ld, const config_setting_t *s, const struct key *k,
			 void *at)
{
	int64_t v;

	if (!setting_is_integer(s)) {
		setting_wrong_type(ld, s, "a whole number");
	} else if (setting_integer(ld, s, &v)) {
		if (v < k->min || v > k->max)
			setting_mistake(ld, s, "%lld is outside %lld..%lld", (long long)v,
					(long long)k->min, (long long)k->max);
		else if (k->type == KEY_INT64)
			*(int64_t *)at = v;
		else
			*(int *)at = (int)v;
	}
}

static void read_choice(struct setting_load *ld, const config_setting_t *s, const struct key *k,
			void *at)
{
	const char *text = setting_text(ld, s);
	struct buf all = { 0 };

	for (int i = 0; text && k->words[i]; i++) {
		if (strcmp(text, k->words[i]) == 0) {
			if (k->type == KEY_SWITCH)
				*(bool *)at = i == 1;
			else
				*(int *)at = i;
			goto out;
		}
		buf_printf(&all, "%s\"%s\"", i ? " or " : "", k->words[i]);
	}
	if (text)
		setting_mistake(ld, s, "unknown value \"%s\" (%s)", text, buf_str(&all));
out:
	buf_fini(&all);
}

static void read_text(struct setting_load *ld, const config_setting_t *s, const struct key *k,
		      char **at)
{
	const char *text;
	bool is_secret;

	setting_free_secret(*at);
	*at = NULL;
	if (k->type == KEY_SECRET)
		*at = setting_resolve(ld, s, &is_secret);
	else if (k->type == KEY_NAME)
		*at = setting_name(ld, s);
	else if ((text = setting_filled_text(ld, s)))
		*at = k->type == KEY_PATH ? setting_path(ld, text) : mem_strdup(text);
}

static void read_value(struct setting_load *ld, const config_setting_t *s, const struct key *k,
		       void *base)
{
	void *at = (char *)base + k->at;

	switch (k->type) {
	case KEY_INT:
	case KEY_INT64:
		read_integer(ld, s, k, at);
		break;
	case KEY_BOOL:
		if (config_setting_type(s) != CONFIG_TYPE_BOOL)
			setting_wrong_type(ld, s, "true or false");
		else
			*(bool *)at = config_setting_get_bool(s);
		break;
	case KEY_CHOICE:
	case KEY_SWITCH:
		read_choice(ld, s, k, at);
		break;
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_PATH:
	case KEY_SECRET:
		read_text(ld, s, k, at);
		break;
	case KEY_GROUP:
		keys_read(ld, s, k->sub, base);
		break;
	case KEY_OWN:
		k->read(ld, s, at);
		break;
	}
}

/* Settings in the order of the file, so that mistakes come in that order too. */
void keys_read(struct setting_load *ld, const config_setting_t *s, const struct key *keys,
	       void *base)
{
	if (!config_setting_is_group(s)) {
		setting_wrong_type(ld, s, "a group { }");
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *child = config_setting_get_elem(s, (unsigned)i);
		const char *name = config_setting_name(child);
		struct guess guess = { .wrong = name };
		const struct key *k = keys;

		for (; k->name && strcmp(k->name, name) != 0; k++)
			guess_try(&guess, k->name);
		if (k->name)
			read_value(ld, child, k, base);
		else
			setting_unknown(ld, child, "unknown key", &guess);
	}
	for (const struct key *k = keys; k->name; k++)
		if (k->is_required && !config_setting_get_member(s, k->name))
			setting_mistake_in(ld, s, k->name, "is missing");
}
