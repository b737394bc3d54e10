#include "cli/cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "cli/offline.h"
#include "message/side.h"
#include "message/wire_json.h"

/* One case at work. */
struct case_run {
	struct offline *link;
	json_object *bound; /* values of {{names}} so far */
	struct buf diff;    /* what is wrong; empty: nothing */
};

/* --- placeholders: "{{name}}" -------------------------------------------------------------- */

/* Length of a placeholder at the start of `s`, 0 if there is none; *name is its name, caller frees. */
static size_t placeholder_at(const char *s, char **name)
{
	const char *end;

	if (strncmp(s, "{{", 2) != 0 || (end = strstr(s + 2, "}}")) == NULL)
		return 0;
	*name = mem_strndup(s + 2, (size_t)(end - s - 2));
	return (size_t)(end + 2 - s);
}

/* The value bound to the placeholder that is the whole of `s`; *is_one: it is a placeholder. */
static json_object *whole_placeholder(struct case_run *r, const char *s, char **name)
{
	json_object *value = NULL;

	*name = NULL;
	if (placeholder_at(s, name) != strlen(s) || !*s) {
		free(*name);
		*name = NULL;
		return NULL;
	}
	json_object_object_get_ex(r->bound, *name, &value);
	return value;
}

static json_object *inserted(struct case_run *r, json_object *v);

static json_object *inserted_string(struct case_run *r, const char *s)
{
	struct buf out = { 0 };
	json_object *value, *result;
	char *name;

	value = whole_placeholder(r, s, &name);
	free(name);
	if (value)
		return json_object_get(value);
	while (*s) {
		size_t n = placeholder_at(s, &name);

		if (n && json_object_object_get_ex(r->bound, name, &value))
			buf_puts(&out, json_object_get_string(value));
		else
			buf_append(&out, s, n ? n : 1);
		if (n)
			free(name);
		s += n ? n : 1;
	}
	result = json_object_new_string_len(buf_str(&out), (int)out.len);
	buf_fini(&out);
	return result;
}

/* A copy of `v` with known placeholders filled in; caller puts it. */
static json_object *inserted(struct case_run *r, json_object *v)
{
	json_object *copy;

	switch (json_object_get_type(v)) {
	case json_type_string:
		return inserted_string(r, json_object_get_string(v));
	case json_type_array:
		copy = json_object_new_array();
		for (size_t i = 0; i < json_object_array_length(v); i++)
			json_object_array_add(copy, inserted(r, json_object_array_get_idx(v, i)));
		return copy;
	case json_type_object: {
		copy = json_object_new_object();
		json_object_object_foreach (v, key, value)
			json_object_object_add(copy, key, inserted(r, value));
		return copy;
	}
	default:
		return json_object_get(v);
	}
}

static void bind(struct case_run *r, const char *name, json_object *value)
{
	json_object_object_add(r->bound, name, json_object_get(value));
}

/* --- comparing ----------------------------------------------------------------------------- */

static bool equal(struct case_run *r, json_object *want, json_object *got);

/* Text with placeholders inside: each takes up to the next literal piece. */
static bool text_equal(struct case_run *r, const char *want, const char *got)
{
	while (*want) {
		json_object *known = NULL;
		char *name = NULL, *value;
		size_t n = placeholder_at(want, &name), len;
		const char *rest = want + n, *end;

		if (!n) {
			if (*want++ != *got++)
				return false;
			continue;
		}
		len = strcspn(rest, "{"); /* the literal piece behind it */
		value = mem_strndup(rest, len);
		end = len ? strstr(got, value) : got + strlen(got);
		free(value);
		if (json_object_object_get_ex(r->bound, name, &known))
			end = strncmp(got, json_object_get_string(known),
				      strlen(json_object_get_string(known))) == 0
				      ? got + strlen(json_object_get_string(known))
				      : NULL;
		else if (end)
			json_object_object_add(r->bound, name,
					       json_object_new_string_len(got, (int)(end - got)));
		free(name);
		if (!end)
			return false;
		got = end;
		want = rest;
	}
	return *got == '\0';
}

static bool string_equal(struct case_run *r, json_object *want, json_object *got)
{
	const char *s = json_object_get_string(want);
	json_object *known;
	char *name;
	bool ok;

	known = whole_placeholder(r, s, &name);
	if (name) {
		ok = !known || equal(r, known, got);
		if (!known)
			bind(r, name, got);
		free(name);
		return ok;
	}
	if (!json_object_is_type(got, json_type_string))
		return false;
	if (strstr(s, "{{"))
		return text_equal(r, s, json_object_get_string(got));
	return json_object_equal(want, got);
}

static bool is_number(json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

static bool array_equal(struct case_run *r, json_object *want, json_object *got)
{
	size_t n = json_object_array_length(want);

	if (!json_object_is_type(got, json_type_array) || json_object_array_length(got) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!equal(r, json_object_array_get_idx(want, i),
			   json_object_array_get_idx(got, i)))
			return false;
	return true;
}

static bool object_equal(struct case_run *r, json_object *want, json_object *got)
{
	if (!json_object_is_type(got, json_type_object) ||
	    json_object_object_length(want) != json_object_object_length(got))
		return false;
	json_object_object_foreach (want, key, value) {
		json_object *other = NULL;

		if (!json_object_object_get_ex(got, key, &other) || !equal(r, value, other))
			return false;
	}
	return true;
}

static bool equal(struct case_run *r, json_object *want, json_object *got)
{
	if (json_object_is_type(want, json_type_string))
		return string_equal(r, want, got);
	if (is_number(want) && is_number(got))
		return json_object_equal(want, got) ||
		       (json_object_is_type(want, json_type_double) !=
				json_object_is_type(got, json_type_double) &&
			fabs(json_object_get_double(want) - json_object_get_double(got)) <= 0);
	if (json_object_is_type(want, json_type_array))
		return array_equal(r, want, got);
	if (json_object_is_type(want, json_type_object))
		return object_equal(r, want, got);
	return json_object_equal(want, got);
}

/* --- one step ------------------------------------------------------------------------------ */

/* An expectation names what it checks; `side` and the payload are always checked. */
static json_object *complete(json_object *want, enum side side)
{
	json_object *copy = NULL, *payload = NULL;

	json_object_deep_copy(want, &copy, NULL);
	if (!json_object_object_get_ex(copy, "side", &payload))
		json_object_object_add(copy, "side", json_object_new_string(side_name(side)));
	return copy;
}

static bool output_equal(struct case_run *r, json_object *want, json_object *got)
{
	json_object_object_foreach (want, key, value) {
		json_object *other = NULL;

		if (!json_object_object_get_ex(got, key, &other) || !equal(r, value, other))
			return false;
	}
	return true;
}

static json_object *outputs_of(const struct offline_step *s)
{
	json_object *list = json_object_new_array();
	struct buf text = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		buf_reset(&text);
		wire_json_put(&text, s->outputs[i].side, &s->outputs[i].message);
		json_object_array_add(list, json_tokener_parse(text.data));
	}
	buf_fini(&text);
	return list;
}

static void put_lines(struct buf *out, char sign, json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		buf_printf(out, "    %c %s\n", sign,
			   json_object_to_json_string_ext(json_object_array_get_idx(list, i),
							  JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void compare(struct case_run *r, size_t step, json_object *expect,
		    const struct offline_step *s, enum side side)
{
	json_object *want = json_object_new_array(), *got = outputs_of(s);
	size_t n = json_object_array_length(expect);
	bool ok = n == s->n;

	for (size_t i = 0; i < n; i++)
		json_object_array_add(want, complete(json_object_array_get_idx(expect, i), side));
	for (size_t i = 0; ok && i < n; i++)
		ok = output_equal(r, json_object_array_get_idx(want, i),
				  json_object_array_get_idx(got, i));
	if (!ok) {
		buf_printf(&r->diff, "  step %zu: - expected, + got%s%s%s\n", step + 1,
			   s->reason != CARRIED ? " (" : "",
			   s->reason != CARRIED ? outcome_word(s->reason) : "",
			   s->reason != CARRIED ? ")" : "");
		if (s->text)
			buf_printf(&r->diff, "    %s\n", s->text);
		put_lines(&r->diff, '-', want);
		put_lines(&r->diff, '+', got);
		if (n == 0)
			buf_puts(&r->diff, "    - nothing\n");
		if (s->n == 0)
			buf_puts(&r->diff, "    + nothing\n");
	}
	json_object_put(want);
	json_object_put(got);
}

static const char *const case_keys[] = { "name", "about", "south", "north", "vars", "steps", NULL };
static const char *const step_keys[] = { "flow",	   "topic",	     "payload",
					 "payload_text",   "payload_base64", "properties",
					 "response_topic", "correlation",    "correlation_base64",
					 "retain",	   "expect",	     "after_ms",
					 "name",	   "about",	     NULL };

static bool has_key(const char *const *keys, const char *key)
{
	for (; keys && *keys; keys++)
		if (strcmp(*keys, key) == 0)
			return true;
	return false;
}

static void put_keys(struct buf *out, const char *const *keys)
{
	for (; keys && *keys; keys++)
		buf_printf(out, " %s", *keys);
}

/* `place` goes before the first key that neither list has. */
static void check_keys(struct case_run *r, const char *place, json_object *o, const char *const *a,
		       const char *const *b)
{
	json_object_object_foreach (o, key, value) {
		(void)value;
		if (has_key(a, key) || has_key(b, key))
			continue;
		buf_printf(&r->diff, "  %sunknown key \"%s\"; there are:", place, key);
		put_keys(&r->diff, a);
		put_keys(&r->diff, b);
		buf_putc(&r->diff, '\n');
		return;
	}
}

/* The list of expected messages; NULL was told. */
static json_object *expected(struct case_run *r, size_t number, json_object *step)
{
	json_object *list = NULL;
	bool ok = json_object_object_get_ex(step, "expect", &list) &&
		  json_object_is_type(list, json_type_array);

	for (size_t i = 0; ok && i < json_object_array_length(list); i++)
		ok = json_object_is_type(json_object_array_get_idx(list, i), json_type_object);
	if (!ok)
		buf_printf(&r->diff,
			   "  step %zu: expect: an array was expected; write [{\"topic\": ..., "
			   "\"payload\": ...}], or [] where nothing comes out\n",
			   number + 1);
	return ok ? list : NULL;
}

static const struct offline_step *take_step(struct case_run *r, json_object *step, enum flow *flow,
					    struct err *e)
{
	json_object *filled = inserted(r, step), *after = NULL;
	const struct offline_step *s = NULL;
	struct message m = { 0 };
	struct buf text = { 0 };
	struct jslice object;

	json_object_object_del(filled, "expect"); /* its placeholders are for comparing */
	jtext_tree_put(&text, filled);
	object = (struct jslice){ text.data, text.len };
	if (json_object_object_get_ex(step, "after_ms", &after))
		s = offline_after(r->link, json_object_get_int64(after));
	else if (wire_json_flow(object, flow, e) && wire_json_take(object, &m, e))
		s = offline_message(r->link, *flow, &m);
	message_fini(&m);
	buf_fini(&text);
	json_object_put(filled);
	return s;
}

static void run_step(struct case_run *r, size_t number, json_object *step)
{
	json_object *expect = expected(r, number, step);
	enum flow flow = FLOW_UP;
	struct err e = { 0 };
	const struct offline_step *s = take_step(r, step, &flow, &e);

	if (s && expect)
		compare(r, number, expect, s, flow_target(flow));
	else if (!s)
		buf_printf(&r->diff, "  step %zu: %s\n", number + 1, e.text);
}

/* --- one case ------------------------------------------------------------------------------ */

static const char *string_of(json_object *o, const char *key)
{
	json_object *v = NULL;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

static void take_vars(struct case_run *r, json_object *c, struct vars *vars)
{
	json_object *given = NULL;

	if (!json_object_object_get_ex(c, "vars", &given))
		return;
	if (!json_object_is_type(given, json_type_object)) {
		buf_puts(&r->diff, "  vars: write {\"south.NAME\": \"VALUE\", ...}\n");
		return;
	}
	json_object_object_foreach (given, name, value) {
		enum side side = strncmp(name, "south.", 6) == 0 ? SOUTH : NORTH;

		if (side == NORTH && strncmp(name, "north.", 6) != 0)
			buf_printf(&r->diff, "  vars: \"%s\": write south.NAME or north.NAME\n",
				   name);
		else
			vars_set(&vars[side], name + 6, json_object_get_string(value), false);
	}
}

static void run_steps(struct case_run *r, json_object *c)
{
	json_object *steps = NULL;

	if (!json_object_object_get_ex(c, "steps", &steps)) {
		check_keys(r, "", c, case_keys, step_keys);
		run_step(r, 0, c);
		return;
	}
	check_keys(r, "beside steps: ", c, case_keys, NULL);
	if (!json_object_is_type(steps, json_type_array)) {
		buf_puts(&r->diff, "  steps: write [{\"flow\": \"up\", \"topic\": ...}, ...]\n");
		return;
	}
	for (size_t i = 0; i < json_object_array_length(steps); i++) {
		json_object *step = json_object_array_get_idx(steps, i);
		char *place = mem_printf("step %zu: ", i + 1);

		if (json_object_is_type(step, json_type_object)) {
			check_keys(r, place, step, step_keys, NULL);
			run_step(r, i, step);
		} else {
			buf_printf(&r->diff,
				   "  %swrite an object, {flow, topic, payload, expect}\n", place);
		}
		free(place);
	}
}

static void take_report(struct case_run *r, const struct report *report, struct case_counts *counts)
{
	counts->hints.wants_hints = true;
	for (size_t i = 0; i < report->n_lines; i++) {
		if (report->lines[i].is_warning)
			report_hint(&counts->hints, "%s", report->lines[i].text);
		else
			buf_printf(&r->diff, "  %s\n", report->lines[i].text);
	}
}

static void run_case(struct build *b, const char *file, json_object *c, struct case_counts *counts)
{
	struct case_run r = { .bound = json_object_new_object() };
	const char *name = string_of(c, "name"), *south = string_of(c, "south"),
		   *north = string_of(c, "north");
	struct vars vars[SIDES] = { 0 };
	struct report report = { .wants_hints = true };

	if (!name || !south || !north) {
		buf_puts(&r.diff,
			 "  a case needs name, south and north: {\"name\": \"what is meant\", "
			 "\"south\": \"DIALECT\", \"north\": \"DIALECT\", ...}\n");
	} else {
		take_vars(&r, c, vars);
		r.link = offline_new(b, south, north, vars, &report);
		take_report(&r, &report, counts);
		if (r.link)
			run_steps(&r, c);
		else if (!report.n_errors)
			buf_puts(&r.diff, "  a mapping has mistakes (see above)\n");
	}
	if (r.diff.len) {
		printf("FAIL %s: %s\n%s", file, name ? name : "?", r.diff.data);
		counts->failed++;
	} else {
		counts->passed++;
	}
	offline_free(r.link);
	report_fini(&report);
	vars_fini(&vars[SOUTH]);
	vars_fini(&vars[NORTH]);
	buf_fini(&r.diff);
	json_object_put(r.bound);
}

static bool read_file(const char *file, struct buf *out, struct err *e)
{
	FILE *f = fopen(file, "rb");
	char chunk[65536];
	size_t n;
	bool ok;

	if (!f) {
		err_errno(e, "open");
		return false;
	}
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
		buf_append(out, chunk, n);
	ok = !ferror(f);
	if (!ok)
		err_errno(e, "read");
	fclose(f);
	return ok;
}

void cases_run_file(struct build *b, const char *file, struct case_counts *counts)
{
	struct buf text = { 0 }, strict = { 0 };
	json_object *list = NULL;
	struct err e = { 0 };

	if (read_file(file, &text, &e) &&
	    jtext_read(buf_str(&text), text.len, false, &strict, &e)) {
		list = jtext_tree(strict.data, strict.len, &e);
		if (e.code == ERR_NONE && !json_object_is_type(list, json_type_array))
			err_set(&e, ERR_INVALID, "an array of cases was expected");
	}
	if (e.code != ERR_NONE) {
		printf("FAIL %s: %s\n", file, e.text);
		counts->failed++;
	} else {
		for (size_t i = 0; i < json_object_array_length(list); i++)
			run_case(b, file, json_object_array_get_idx(list, i), counts);
	}
	json_object_put(list);
	buf_fini(&text);
	buf_fini(&strict);
}
