#include "conf/wave_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf_schema.h"
#include "conf/conf_value.h"
#include "conf/environment.h"
#include "fleet/choice_file.h"
#include "fleet/fleet.h"
#include "fleet/wave_list.h"

#define MOST_SOAK_S INT64_C(31622400) /* a year */
#define MOST	    INT32_MAX

/* What stands in a group, before it is a wave. */
struct written {
	char *name;
	struct choice choice;
	int mode;
	int64_t not_before_ms, not_after_ms, soak_s, max_failures, max_dead_letters;
	bool rolls_back, provisions, pushes;
};

/* --- match ----------------------------------------------------------------------------------- */

static bool read_percent(struct conf_reader *r, void *at, const config_setting_t *s)
{
	char **percent = at;
	double n = 0;
	int64_t whole = 0;

	if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
		n = config_setting_get_float(s);
	else if (!conf_value_is_integer(s))
		return false;
	else if (!conf_value_integer(r, s, &whole))
		return true;
	else
		n = (double)whole;
	if (n < 0 || n > 100) {
		conf_value_mistake(r, s, "is not from 0 to 100");
		return true;
	}
	*percent = mem_printf("%.6g", n);
	return true;
}

/* A file of names, or the names themselves. */
static bool read_list(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct choice *c = at;
	const char *name;
	char *path;

	if (config_setting_type(s) == CONFIG_TYPE_STRING) {
		name = conf_value_filled_text(r, s);
		path = name ? conf_value_path(r, name) : NULL;
		if (path)
			choice_file_load(c, path, r->report);
		free(path);
		return true;
	}
	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		return false;
	c->has_list = true;
	for (int i = 0; i < config_setting_length(s); i++) {
		name = conf_value_filled_text(r, config_setting_get_elem(s, (unsigned)i));
		if (name)
			choice_add(c, NULL, name);
	}
	return true;
}

#define AT(member) offsetof(struct choice, member)
static bool read_state(struct conf_reader *r, void *at, const config_setting_t *s)
{
	const char *text = conf_value_filled_text(r, s);

	if (text && fleet_word(fleet_state_names, FLEET_STATES, text) < 0)
		conf_value_mistake(r, s, "known, asking, ready, refused or lost is wanted");
	else if (text)
		*(char **)at = mem_strdup(text);
	return true;
}

static const struct schema_key match_keys[] = {
	{ "name", SCHEMA_TEXT, AT(pattern), .about = "a pattern: pump-*" },
	{ "group", SCHEMA_TEXT, AT(group), .about = "devices of this group" },
	{ "state", SCHEMA_OWN, AT(state), .set.conf = read_state, .like = SCHEMA_TEXT },
	{ "percent", SCHEMA_OWN, AT(percent), .set.conf = read_percent, .like = SCHEMA_INTEGER },
	{ "list", SCHEMA_OWN, 0, .set.conf = read_list, .like = SCHEMA_TEXT,
	  .what = "a file of names, or a list of them" },
	{ "all", SCHEMA_BOOLEAN, AT(is_all), .about = "every device of the link" },
};
static const struct schema match_schema = SCHEMA_OF(match_keys);

/* --- a wave ---------------------------------------------------------------------------------- */

/* Not for a time that clocks skip or show twice: which is meant, only people know. */
static bool read_time(struct conf_reader *r, void *at, const config_setting_t *s)
{
	static const char *const wrong[] = {
		[CLOCK_TWICE] = "is there twice, as clocks are put back then: say which, with an "
				"offset (T02:30:00+02:00)",
		[CLOCK_NEVER] = "is not there: clocks are put forward over it, or there is no such "
				"day",
		[CLOCK_NO_ZONE] = "is in a zone that is not known here (/usr/share/zoneinfo, of "
				  "tzdata)",
		[CLOCK_NO_TIME] = "is no time with a zone: 2026-12-01T06:00:00+01:00, or "
				  "2026-12-01 06:00 Europe/Berlin",
	};
	const char *text = conf_value_filled_text(r, s);
	enum clock_place is;

	if (!text || clock_read(text, at))
		return true;
	is = clock_read_place(text, environment_get("TZDIR"), at);
	if (is != CLOCK_ONCE)
		conf_value_mistake(r, s, "\"%s\" %s", text, wrong[is]);
	return true;
}

#undef AT
#define AT(member) offsetof(struct written, member)
static const struct schema_word modes[] = { { "off", FLEET_OFF },
					    { "mirror", FLEET_MIRROR },
					    { "live", FLEET_LIVE },
					    { "retired", FLEET_RETIRED },
					    { 0 } };
static const struct schema_word ends[] = { { "stop", false }, { "rollback", true }, { 0 } };
static const struct schema_word pushes[] = { { "none", false }, { "diff", true }, { 0 } };
static const struct schema_key wave_keys[] = {
	{ "name", SCHEMA_NAME, AT(name), .is_required = true, .about = "letters, digits, . _ -" },
	{ "match", SCHEMA_GROUP, AT(choice), .group = &match_schema, .is_required = true },
	{ "mode", SCHEMA_WORD, AT(mode), .words = modes, .is_required = true },
	{ "not_before", SCHEMA_OWN, AT(not_before_ms), .set.conf = read_time, .like = SCHEMA_TEXT },
	{ "not_after", SCHEMA_OWN, AT(not_after_ms), .set.conf = read_time, .like = SCHEMA_TEXT },
	{ "soak", SCHEMA_INT64, AT(soak_s), CONF_RANGE(0, MOST_SOAK_S, WAVE_SOAK_MS / 1000) },
	{ "max_failures", SCHEMA_INT64, AT(max_failures), CONF_RANGE(0, MOST, 0) },
	{ "max_dead_letters", SCHEMA_INT64, AT(max_dead_letters), CONF_RANGE(0, MOST, 0) },
	{ "on_limit", SCHEMA_SWITCH, AT(rolls_back), .words = ends },
	{ "provision", SCHEMA_BOOLEAN, AT(provisions), .about = "register who has no credentials" },
	{ "push", SCHEMA_SWITCH, AT(pushes), .words = pushes },
};
static const struct schema wave_schema = SCHEMA_OF(wave_keys);

static bool is_known(const struct wave_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].name && strcmp(l->items[i].name, name) == 0)
			return true;
	return false;
}

static void check(struct conf_reader *r, const config_setting_t *s, const struct written *w,
		  const struct wave_list *l)
{
	if (w->name && is_known(l, w->name))
		conf_value_mistake_in(r, s, "name", "another wave is called \"%s\"", w->name);
	if (config_setting_get_member(s, "match") && !choice_is_made(&w->choice))
		conf_value_mistake_in(r, s, "match",
				      "which? name, group, state, percent, list, or all = true");
	if (w->not_before_ms && w->not_after_ms && w->not_after_ms < w->not_before_ms)
		conf_value_mistake_in(r, s, "not_after", "is before not_before");
}

static void read_wave(struct conf_reader *r, const config_setting_t *s, struct wave_list *l)
{
	struct written w = { 0 };
	struct wave *wave;

	conf_schema_preset(&wave_schema, &w);
	if (!conf_schema_read(r, &wave_schema, &w, s)) {
		conf_value_wrong_type(r, s, "a wave { ... }");
		return;
	}
	check(r, s, &w, l);
	wave = wave_list_add(l);
	*wave = (struct wave){ .name = w.name,
			       .choice = w.choice,
			       .mode = (enum fleet_mode)w.mode,
			       .not_before_ms = w.not_before_ms,
			       .not_after_ms = w.not_after_ms,
			       .soak_ms = w.soak_s * 1000,
			       .max_failures = w.max_failures,
			       .max_dead_letters = w.max_dead_letters,
			       .rolls_back = w.rolls_back,
			       .provisions = w.provisions,
			       .pushes = w.pushes };
}

static bool read_waves(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct wave_list *l = at;
	int n = config_setting_length(s);

	if (!config_setting_is_list(s))
		return false;
	if (n == 0 || n > WAVES_MAX)
		conf_value_mistake(r, s, "1 to %d waves are wanted", WAVES_MAX);
	for (int i = 0; i < n && n <= WAVES_MAX; i++)
		read_wave(r, config_setting_get_elem(s, (unsigned)i), l);
	return true;
}

static const struct schema_key file_keys[] = {
	{ "waves", SCHEMA_OWN, 0, .set.conf = read_waves, .is_required = true, .is_list = true },
};
static const struct schema file_schema = SCHEMA_OF(file_keys);

bool wave_file_read(const char *path, struct wave_list *l, struct report *report)
{
	struct conf_reader r = { .path = path, .dir = conf_value_dir(path), .report = report };
	size_t n_before = report->n_errors;
	config_t config;
	bool ok;

	*l = (struct wave_list){ .file = mem_strdup(path) };
	config_init(&config);
	if (conf_value_read(&r, &config))
		conf_schema_read(&r, &file_schema, l, config_root_setting(&config));
	config_destroy(&config);
	free(r.dir);
	ok = report->n_errors == n_before;
	if (!ok)
		wave_list_fini(l);
	return ok;
}
