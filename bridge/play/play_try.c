/* play_try.c -- the link between the two, with the edited files before all others, and one message through it. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/build.h"
#include "jq/mapping_path.h"
#include "message/message.h"
#include "message/outcome.h"
#include "message/side.h"
#include "message/vars.h"
#include "message/wire_json.h"
#include "offline/accept.h"
#include "offline/offline.h"
#include "play/drafts.h"
#include "play/mistake.h"
#include "play/play_inside.h"
#include "work/compiler.h"

#define MAX_THROUGH 8
#define MAX_FILE    ((size_t)1 << 20)

struct attempt {
	struct jslice asked;
	char *names[SIDES + MAX_THROUGH]; /* the dialects, and the through files behind them */
	struct offline_through through[MAX_THROUGH];
	size_t n_through;
	struct vars vars[SIDES];
	struct build build;
	struct report report;
	struct offline *link, *bare; /* `bare`: without through files; NULL: there are none */
};

/* --- what is tried ----------------------------------------------------------------------------- */

static bool take_names(struct attempt *a, const struct mapping_path *path, struct err *e)
{
	struct jslice list, name;
	size_t pos = 0;
	char *file;

	a->names[SOUTH] = play_text(a->asked, "south");
	a->names[NORTH] = play_text(a->asked, "north");
	if (jtext_field(a->asked, "through", &list))
		while (a->n_through < MAX_THROUGH && jtext_next_element(list, &pos, &name)) {
			struct buf text = { 0 };

			jtext_string_decode(name, &text);
			a->names[SIDES + a->n_through] = mem_strdup(buf_str(&text));
			a->through[a->n_through].name = a->names[SIDES + a->n_through];
			a->n_through++;
			buf_fini(&text);
		}
	for (size_t i = 0; i < SIDES + a->n_through; i++) {
		file = a->names[i] ? mapping_path_find(path, a->names[i]) : NULL;
		free(file);
		if (!file) {
			err_set(e, ERR_NOT_FOUND, "there is no mapping \"%s\"",
				a->names[i] ? a->names[i] : "");
			return false;
		}
	}
	return true;
}

static bool take_vars(struct attempt *a, struct err *e)
{
	struct jslice given;
	struct jfield f;
	size_t pos = 0;
	bool ok = true;

	if (!jtext_field(a->asked, "vars", &given))
		return true;
	while (ok && jtext_next_field(given, &pos, &f)) {
		struct buf name = { 0 }, value = { 0 };
		enum side side;

		jtext_string_decode(f.key, &name);
		if (!jtext_string_decode(f.value, &value))
			buf_append(&value, f.value.text, f.value.len);
		side = strncmp(buf_str(&name), "south.", 6) == 0 ? SOUTH : NORTH;
		ok = side == SOUTH || strncmp(buf_str(&name), "north.", 6) == 0;
		if (ok)
			vars_set(&a->vars[side], buf_str(&name) + 6, buf_str(&value), false);
		else
			err_set(e, ERR_INVALID, "vars: write south.NAME or north.NAME");
		buf_fini(&name);
		buf_fini(&value);
	}
	return ok;
}

static bool is_of_link(const struct attempt *a, const char *name)
{
	for (size_t i = 0; i < SIDES + a->n_through; i++)
		if (strcmp(a->names[i], name) == 0)
			return true;
	return false;
}

static bool put_drafts(const struct attempt *a, const char *dir, struct err *e)
{
	struct jslice edits;
	struct jfield f;
	size_t pos = 0;
	bool ok = true;

	drafts_clear(dir);
	if (!jtext_field(a->asked, "edits", &edits))
		return true;
	while (ok && jtext_next_field(edits, &pos, &f)) {
		struct buf name = { 0 }, text = { 0 };

		ok = jtext_string_decode(f.key, &name) && jtext_string_decode(f.value, &text) &&
		     is_of_link(a, buf_str(&name));
		if (!ok)
			err_set(e, ERR_INVALID, "edits: texts of the two dialects, or of through");
		ok = ok && drafts_put(dir, buf_str(&name), buf_str(&text), text.len, e);
		buf_fini(&name);
		buf_fini(&text);
	}
	return ok;
}

static void set_path(struct attempt *a, const struct play_child *c)
{
	mapping_path_add(&a->build.path, c->drafts);
	for (size_t i = 0; i < c->path.n; i++)
		mapping_path_add(&a->build.path, c->path.dirs[i]);
}

static void open_link(struct attempt *a, struct compiler *compiler)
{
	const char *const *names = (const char *const *)a->names;

	a->build.loader = compiler_loader(compiler);
	a->report.wants_hints = true;
	a->link = offline_new_through(&a->build, names, a->through, a->n_through, a->vars, NULL,
				      &a->report);
	if (a->link && a->n_through)
		a->bare = offline_new_through(&a->build, names, NULL, 0, a->vars, NULL, &a->report);
}

/* --- mistakes ------------------------------------------------------------------------------------ */

static void find_place(const struct attempt *a, struct mistake *m)
{
	char *file = m->file ? mapping_path_find(&a->build.path, m->file) : NULL;
	struct buf source = { 0 };

	if (file && buf_append_file(&source, file, MAX_FILE, NULL))
		mistake_find(m, buf_str(&source), source.len);
	free(file);
	buf_fini(&source);
}

static void put_mistakes(const struct attempt *a, struct buf *out)
{
	buf_puts(out, "{\"mistakes\":[");
	for (size_t i = 0; i < a->report.n_lines; i++) {
		struct mistake m;

		mistake_read(&m, a->report.lines[i].text);
		find_place(a, &m);
		buf_puts(out, i ? ",{" : "{");
		play_put_text(out, "file", m.file);
		buf_printf(out, ",\"line\":%u,\"column\":%u,\"is_warning\":%s,", m.line, m.column,
			   a->report.lines[i].is_warning ? "true" : "false");
		play_put_text(out, "text", m.text);
		buf_putc(out, '}');
		mistake_fini(&m);
	}
	buf_putc(out, ']');
}

/* --- the case -------------------------------------------------------------------------------------- */

/* The time is a part of what came out, so that it would come out otherwise later. */
static bool shows_time(const struct buf *outputs, int64_t at_ms)
{
	char *seconds = mem_printf("%lld", (long long)(at_ms / 1000));
	struct buf utc = { 0 };
	bool shows;

	clock_put_utc(at_ms, &utc);
	buf_cut(&utc, strlen("2026-01-31T12:00:00"));
	shows = strstr(buf_str(outputs), seconds) || strstr(buf_str(outputs), buf_str(&utc));
	free(seconds);
	buf_fini(&utc);
	return shows;
}

/* Without what is as usual, or said already. */
static void put_message(struct buf *out, const struct message *m)
{
	static const char *const left_out[] = { "side", "qos", "retain" };
	struct buf wire = { 0 };
	struct jfield f;
	size_t pos = 0;

	wire_json_put(&wire, SOUTH, m);
	while (jtext_next_field((struct jslice){ wire.data, wire.len }, &pos, &f)) {
		bool is_left_out = false;

		for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
			is_left_out |= jtext_string_is(f.key, left_out[i]);
		if (!is_left_out)
			buf_printf(out, ",\n    %.*s: %.*s", (int)f.key.len, f.key.text,
				   (int)f.value.len, f.value.text);
	}
	buf_fini(&wire);
}

static void put_case(const struct attempt *a, enum flow flow, const struct message *m,
		     int64_t at_ms, bool has_time, struct buf *out)
{
	char *name = play_text(a->asked, "name");
	struct jslice vars;

	buf_puts(out, "[\n  { ");
	play_put_text(out, "name", name && *name ? name : "what is meant");
	buf_puts(out, ",\n    ");
	play_put_text(out, "south", a->names[SOUTH]);
	buf_puts(out, ", ");
	play_put_text(out, "north", a->names[NORTH]);
	for (size_t i = 0; i < a->n_through; i++) {
		buf_puts(out, i ? ", " : ", \"through\": [");
		jtext_put_string(out, a->through[i].name, strlen(a->through[i].name));
		buf_puts(out, i + 1 == a->n_through ? "]" : "");
	}
	buf_printf(out, ", \"flow\": \"%s\"", flow_name(flow));
	if (jtext_field(a->asked, "vars", &vars) && a->vars[SOUTH].n + a->vars[NORTH].n)
		buf_printf(out, ",\n    \"vars\": %.*s", (int)vars.len, vars.text);
	if (has_time) {
		buf_puts(out, ",\n    \"at\": \"");
		clock_put_utc(at_ms, out);
		buf_putc(out, '"');
	}
	put_message(out, m);
	buf_puts(out, " }\n]");
}

/* What came out becomes what is expected as by `calque test --accept`. */
static void put_cases(const struct attempt *a, enum flow flow, const struct message *m,
		      int64_t at_ms, const struct offline_step *step, struct buf *out)
{
	json_object *got = json_object_new_array(), *bound = json_object_new_object();
	const char *word = step->reason == CARRIED ? NULL : outcome_word(step->reason);
	bool is_dead = outcome_is_dead(step->reason);
	struct buf text = { 0 }, all = { 0 }, wire = { 0 };
	struct accept *accept;

	for (size_t i = 0; i < step->n; i++) {
		buf_reset(&wire);
		wire_json_put(&wire, step->outputs[i].side, &step->outputs[i].message);
		json_object_array_add(got, json_tokener_parse(buf_str(&wire)));
		buf_append(&all, wire.data, wire.len);
	}
	put_case(a, flow, m, at_ms, shows_time(&all, at_ms), &text);
	accept = accept_new(text.data, text.len);
	accept_step(accept, 0, ACCEPT_NO_STEP, flow_target(flow), got, bound, is_dead ? word : NULL,
		    is_dead ? NULL : word);
	buf_reset(&all);
	accept_put(accept, &all);
	buf_putc(out, ',');
	play_put_text(out, "cases", buf_str(&all));
	accept_free(accept);
	json_object_put(got);
	json_object_put(bound);
	buf_fini(&text);
	buf_fini(&all);
	buf_fini(&wire);
}

/* --- the message ------------------------------------------------------------------------------------- */

static bool send(const struct attempt *a, struct buf *out, struct err *e)
{
	int64_t at_ms = clock_wall_ms() / 1000 * 1000;
	enum flow flow = FLOW_UP;
	struct message m = { 0 };
	bool ok = wire_json_flow(a->asked, &flow, e) && wire_json_take(a->asked, &m, e);

	if (ok) {
		const struct offline_step *step;

		offline_set_clock(a->link, at_ms);
		buf_puts(out, ",\"why\":");
		step = offline_why(a->link, a->bare, flow, &m, out);
		put_cases(a, flow, &m, at_ms, step, out);
	}
	message_fini(&m);
	return ok;
}

static void attempt_fini(struct attempt *a)
{
	offline_free(a->bare);
	offline_free(a->link);
	build_fini(&a->build);
	report_fini(&a->report);
	vars_fini(&a->vars[SOUTH]);
	vars_fini(&a->vars[NORTH]);
	for (size_t i = 0; i < SIDES + a->n_through; i++)
		free(a->names[i]);
}

bool play_try(struct play_child *c, struct jslice asked, struct buf *out, struct err *e)
{
	struct attempt a = { .asked = asked };
	struct compiler *compiler = NULL;
	struct jslice topic;
	bool ok = take_names(&a, &c->path, e) && take_vars(&a, e) && put_drafts(&a, c->drafts, e);

	if (ok) {
		compiler = compiler_new(e);
		ok = compiler != NULL;
	}
	if (ok) {
		set_path(&a, c);
		open_link(&a, compiler);
		put_mistakes(&a, out);
		if (a.link && jtext_field(asked, "topic", &topic) && !jtext_string_is(topic, ""))
			ok = send(&a, out, e);
		buf_putc(out, '}');
	}
	attempt_fini(&a);
	compiler_free(compiler);
	drafts_clear(c->drafts);
	return ok;
}
