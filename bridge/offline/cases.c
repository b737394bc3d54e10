#include "offline/cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "message/side.h"
#include "message/wire_json.h"
#include "offline/accept.h"
#include "offline/case_match.h"
#include "offline/case_through.h"
#include "offline/offline.h"
#include "offline/solo_worker.h"
#include "plan/loader.h"

#define MAX_FILE_BYTES (256u << 20) /* of cases: more is a mistake */
#define JSON_FORM      (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* One case at work. */
struct case_run {
	json_object *what; /* borrowed */
	struct report report;
	struct offline *link;
	struct case_match match; /* placeholders, and how to compare */
	struct buf diff;	 /* what is wrong; empty: nothing */
	struct accept *accept;	 /* takes what differs; NULL: that is wrong */
	size_t number;		 /* in its file */
	size_t step;		 /* or ACCEPT_NO_STEP */
	struct buf accepted;	 /* what has differed */
	size_t *differs;	 /* case_counts.differs */
};

static const char *string_of(json_object *o, const char *key)
{
	json_object *v = NULL;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

/* --- what came out -------------------------------------------------------------------------- */

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
							  JSON_FORM));
	if (json_object_array_length(list) == 0)
		buf_printf(out, "    %c nothing\n", sign);
}

/* An expectation names what it checks; where the message went is always checked. */
static json_object *complete(json_object *want, enum side side)
{
	json_object *copy = NULL;

	json_object_deep_copy(want, &copy, NULL);
	if (!json_object_object_get_ex(copy, "side", NULL))
		json_object_object_add(copy, "side", json_object_new_string(side_name(side)));
	return copy;
}

static void match_output(struct case_run *r, json_object *want, json_object *got)
{
	json_object_object_foreach (want, key, value) {
		bool is_part = strcmp(key, "contains") == 0;
		const char *name = is_part ? "payload" : key;
		json_object *other = NULL;

		buf_reset(&r->match.place);
		buf_puts(&r->match.place, name);
		r->match.is_part = is_part;
		if (json_object_object_get_ex(got, name, &other))
			case_match(&r->match, value, other);
		else
			buf_printf(&r->diff, "    %s: expected %s, got nothing\n", name,
				   json_object_to_json_string_ext(value, JSON_FORM));
	}
}

/* One by one, key by key. */
static void match_outputs(struct case_run *r, const char *place, json_object *want,
			  json_object *got)
{
	size_t n = json_object_array_length(want);

	for (size_t i = 0; i < n; i++) {
		struct buf before = r->diff;

		r->diff = (struct buf){ 0 };
		match_output(r, json_object_array_get_idx(want, i),
			     json_object_array_get_idx(got, i));
		if (r->diff.len) {
			buf_printf(&before, "  %smessage %zu of %zu, ", place, i + 1, n);
			buf_printf(&before, "which is %s\n%s",
				   json_object_to_json_string_ext(json_object_array_get_idx(got, i),
								  JSON_FORM),
				   r->diff.data);
		}
		buf_fini(&r->diff);
		r->diff = before;
	}
}

static void compare(struct case_run *r, const char *place, json_object *expect,
		    const struct offline_step *s, enum side side)
{
	json_object *want = json_object_new_array(), *got = outputs_of(s);
	size_t n = json_object_array_length(expect);

	for (size_t i = 0; i < n; i++)
		json_object_array_add(want, complete(json_object_array_get_idx(expect, i), side));
	if (n == s->n) {
		match_outputs(r, place, want, got);
	} else {
		buf_printf(&r->diff, "  %s- expected, + got\n", place);
		put_lines(&r->diff, '-', want);
		put_lines(&r->diff, '+', got);
	}
	json_object_put(want);
	json_object_put(got);
}

/* --- what became of the message ------------------------------------------------------------- */

static void put_fate(struct buf *out, const struct offline_step *s)
{
	if (s->reason == CARRIED)
		buf_puts(out, "carried");
	else
		buf_printf(out, "%s \"%s\"%s%s",
			   outcome_is_dead(s->reason) ? "dead letter" : "filtered",
			   outcome_word(s->reason), s->text ? ": " : "", s->text ? s->text : "");
}

/* A dead letter has to be meant; that a message was let go by a rule may be said. */
static void compare_fate(struct case_run *r, const char *place, json_object *step,
			 const struct offline_step *s)
{
	const char *dead = string_of(step, "dead"), *filtered = string_of(step, "filtered");
	const char *want = dead ? dead : filtered, *got = outcome_word(s->reason);
	bool is_dead = outcome_is_dead(s->reason);

	if (want ? strcmp(want, got) == 0 && (dead != NULL) == is_dead : !is_dead)
		return;
	buf_printf(&r->diff, "  %s", place);
	if (want)
		buf_printf(&r->diff, "expected %s \"%s\", got ", dead ? "dead letter" : "filtered",
			   want);
	put_fate(&r->diff, s);
	if (!want)
		buf_printf(&r->diff, "; where that is meant: \"dead\": \"%s\"", got);
	buf_putc(&r->diff, '\n');
}

/* A word that no message can end with is a mistake. */
static bool is_fate(struct case_run *r, const char *place, json_object *step, const char *key)
{
	json_object *word = NULL;
	const char *s;

	if (!json_object_object_get_ex(step, key, &word))
		return true;
	s = string_of(step, key);
	if (s && outcome_about(s) && (outcome_letters(s) != NULL) == (strcmp(key, "dead") == 0))
		return true;
	buf_printf(&r->diff, "  %s%s: there is no such reason; mappings/README.md lists them\n",
		   place, key);
	return false;
}

static const char *const case_keys[] = { "name", "about", "south", "north", "through",
					 "vars", "state", "at",	   "steps", NULL };
static const char *const step_keys[] = {
	"flow",		  "topic",	"session",	  "payload",	 "payload_text",
	"payload_base64", "properties", "response_topic", "correlation", "correlation_base64",
	"retain",	  "expect",	"after_ms",	  "at",		 "dead",
	"filtered",	  "name",	"about",	  NULL
};

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

/* --- one step -------------------------------------------------------------------------------- */

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

/* The list of expected messages, caller puts it; NULL was told.  A step that names its fate may leave it out. */
static json_object *expected(struct case_run *r, const char *place, json_object *step)
{
	bool has_fate = json_object_object_get_ex(step, "dead", NULL) ||
			json_object_object_get_ex(step, "filtered", NULL);
	json_object *list = NULL;
	bool ok;

	if (!json_object_object_get_ex(step, "expect", &list) && (has_fate || r->accept))
		return json_object_new_array();
	ok = json_object_is_type(list, json_type_array);
	for (size_t i = 0; ok && i < json_object_array_length(list); i++)
		ok = json_object_is_type(json_object_array_get_idx(list, i), json_type_object);
	if (!ok)
		buf_printf(&r->diff,
			   "  %sexpect: an array was expected; write [{\"topic\": ..., "
			   "\"payload\": ...}], or [] where nothing comes out\n",
			   place);
	return ok ? json_object_get(list) : NULL;
}

/* The clock: epoch ms, or a date and time. */
static bool set_clock(struct case_run *r, json_object *o, struct err *e)
{
	json_object *at = NULL;
	int64_t ms;

	if (!json_object_object_get_ex(o, "at", &at))
		return true;
	ms = json_object_get_int64(at);
	if (json_object_is_type(at, json_type_int) ||
	    (json_object_is_type(at, json_type_string) &&
	     clock_read(json_object_get_string(at), &ms))) {
		offline_set_clock(r->link, ms);
		return true;
	}
	err_set(e, ERR_INVALID,
		"at: write a time, \"2026-01-31T12:00:00Z\", or epoch milliseconds");
	return false;
}

static const struct offline_step *take_step(struct case_run *r, json_object *step, enum flow *flow,
					    struct err *e)
{
	json_object *filled = case_match_fill(&r->match, step), *after = NULL;
	const struct offline_step *s = NULL;
	struct message m = { 0 };
	struct buf text = { 0 };
	struct jslice object;

	json_object_object_del(filled, "expect"); /* its placeholders are for comparing */
	jtext_tree_put(&text, filled);
	object = (struct jslice){ text.data, text.len };
	if (!set_clock(r, filled, e))
		s = NULL;
	else if (json_object_object_get_ex(step, "after_ms", &after))
		s = offline_after(r->link, json_object_get_int64(after));
	else if (wire_json_flow(object, flow, e) && wire_json_take(object, &m, e)) {
		offline_set_session(r->link, string_of(filled, "session"));
		s = offline_message(r->link, *flow, &m);
	}
	message_fini(&m);
	buf_fini(&text);
	json_object_put(filled);
	return s;
}

/* What differs is what is expected from now on. */
static void accept_difference(struct case_run *r, json_object *step, const struct offline_step *s,
			      enum side side, size_t since)
{
	bool is_new = !json_object_object_get_ex(step, "expect", NULL);
	const char *word = s->reason == CARRIED ? NULL : outcome_word(s->reason);
	bool is_dead = outcome_is_dead(s->reason);
	json_object *got;

	if (!r->accept || (r->diff.len == since && !(is_new && s->n == 0 && !is_dead)))
		return;
	got = outputs_of(s);
	buf_puts(&r->accepted, buf_str(&r->diff) + since);
	buf_cut(&r->diff, since);
	accept_step(r->accept, r->number, r->step, side, got, r->match.bound, is_dead ? word : NULL,
		    is_dead ? NULL : word);
	json_object_put(got);
}

static void run_step(struct case_run *r, const char *place, json_object *step)
{
	size_t since;
	json_object *expect = expected(r, place, step);
	enum flow flow = FLOW_UP;
	struct err e = { 0 };
	const struct offline_step *s = take_step(r, step, &flow, &e);
	bool has_fate = is_fate(r, place, step, "dead") && is_fate(r, place, step, "filtered");

	since = r->diff.len;
	if (s && expect && has_fate) {
		compare_fate(r, place, step, s);
		compare(r, place, expect, s, flow_target(flow));
		if (r->diff.len > since)
			r->differs[s->n ? s->outputs[0].kind : KIND_NONE]++;
		accept_difference(r, step, s, flow_target(flow), since);
	} else if (!s) {
		buf_printf(&r->diff, "  %s%s\n", place, e.text);
	}
	json_object_put(expect);
}

/* --- one case ------------------------------------------------------------------------------ */

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

/* What the link remembers at the beginning, which is at the time of the case. */
static bool restore(struct case_run *r, json_object *c)
{
	json_object *state = NULL;
	bool has_state = json_object_object_get_ex(c, "state", &state), ok;
	struct buf rows = { 0 };
	struct err e = { 0 };

	if (!has_state && !json_object_object_get_ex(c, "steps", NULL))
		return true; /* the time is that of its only step */
	ok = set_clock(r, c, &e);
	if (ok && has_state) {
		jtext_tree_put(&rows, state);
		ok = offline_restore(r->link, (struct jslice){ rows.data, rows.len }, &e);
	}
	if (!ok)
		buf_printf(&r->diff, "  before the first step: %s\n", e.text);
	buf_fini(&rows);
	return ok;
}

static void run_steps(struct case_run *r, json_object *c)
{
	json_object *steps = NULL;

	if (!restore(r, c))
		return;
	if (!json_object_object_get_ex(c, "steps", &steps)) {
		check_keys(r, "", c, case_keys, step_keys);
		r->step = ACCEPT_NO_STEP;
		run_step(r, "step 1: ", c);
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

		r->step = i;

		if (json_object_is_type(step, json_type_object)) {
			check_keys(r, place, step, step_keys, NULL);
			run_step(r, place, step);
		} else {
			buf_printf(&r->diff,
				   "  %swrite an object, {flow, topic, payload, expect}\n", place);
		}
		free(place);
	}
}

static void take_report(struct case_run *r, struct case_counts *counts)
{
	const struct report *report = &r->report;

	counts->hints.wants_hints = true;
	for (size_t i = 0; i < report->n_lines; i++) {
		if (report->lines[i].is_warning)
			report_hint(&counts->hints, "%s", report->lines[i].text);
		else
			buf_printf(&r->diff, "  %s\n", report->lines[i].text);
	}
}

/* The link of the case; NULL: told. */
static struct offline *open_link(struct case_run *r, struct build *b, const struct conf_link *link,
				 struct solo_worker *worker)
{
	json_object *c = r->what;
	const char *names[SIDES] = { string_of(c, "south"), string_of(c, "north") };
	struct vars vars[SIDES] = { 0 };
	struct case_through through;
	struct offline *o = NULL;
	bool ok = case_through_read(&through, c, &r->diff);

	take_vars(r, c, vars);
	if (link) {
		for (int s = 0; s < SIDES; s++)
			if (names[s] && strcmp(names[s], link->side[s].dialect) != 0)
				buf_printf(&r->diff,
					   "  %s: it is for \"%s\", and link %s has \"%s\"\n",
					   side_name((enum side)s), names[s], link->name,
					   link->side[s].dialect);
		if (!r->diff.len)
			o = offline_new_link(b, link, vars, worker, &r->report);
	} else if (ok && names[SOUTH] && names[NORTH]) {
		o = offline_new_through(b, names, through.items, through.n, vars, worker,
					&r->report);
	}
	case_through_fini(&through);
	vars_fini(&vars[SOUTH]);
	vars_fini(&vars[NORTH]);
	return o;
}

static void open_case(struct case_run *r, struct build *b, json_object *c,
		      const struct conf_link *link, struct solo_worker *worker)
{
	r->what = c;
	r->match.bound = json_object_new_object();
	r->match.diff = &r->diff;
	r->report.wants_hints = true;
	if (!string_of(c, "name") || (!link && (!string_of(c, "south") || !string_of(c, "north"))))
		buf_puts(&r->diff,
			 "  a case needs name, south and north: {\"name\": \"what is meant\", "
			 "\"south\": \"DIALECT\", \"north\": \"DIALECT\", ...}\n");
	else
		r->link = open_link(r, b, link, worker);
}

/* `what` of the file, and lines of why.  They may have payloads in them. */
static void print_about(const char *word, const char *file, const char *what, const char *lines)
{
	struct buf text = { 0 }, shown = { 0 };

	buf_printf(&text, "%s %s: %s\n%s", word, file, what, lines);
	buf_put_shown(&shown, text.data, text.len, true);
	fputs(shown.data, stdout);
	buf_fini(&text);
	buf_fini(&shown);
}

static void print_failure(const struct case_counts *c, const char *file, const char *what,
			  const char *lines)
{
	print_about(c->word ? c->word : "FAIL", c->shown ? c->shown : file, what, lines);
}

static void run_case(struct case_run *r, const char *file, struct case_counts *counts)
{
	const char *name = string_of(r->what, "name");

	r->differs = counts->differs;
	take_report(r, counts);
	if (r->accept)
		accept_begin(r->accept);
	if (r->link)
		run_steps(r, r->what);
	else if (!r->report.n_errors && !r->diff.len)
		buf_puts(&r->diff, "  a mapping has mistakes (see above)\n");
	if (r->diff.len) {
		print_failure(counts, file, name ? name : "?", r->diff.data);
		counts->failed++;
		return;
	}
	counts->passed++;
	if (r->accepted.len) {
		if (!counts->is_quiet)
			print_about("ACCEPTED", file, name ? name : "?", buf_str(&r->accepted));
		counts->accepted++;
	}
}

static void close_case(struct case_run *r)
{
	offline_free(r->link);
	report_fini(&r->report);
	buf_fini(&r->diff);
	buf_fini(&r->accepted);
	case_match_fini(&r->match);
	json_object_put(r->match.bound);
}

/* One process does the jobs of all of them, so it is forked when all links are there.  False sets *e: it is not to be
 * had. */
static bool run_cases(struct build *b, const char *file, json_object *list,
		      const struct conf_link *link, struct accept *accept,
		      struct case_counts *counts, struct err *e)
{
	size_t n = json_object_array_length(list);
	struct case_run *runs = mem_zalloc((n + 1) * sizeof *runs);
	struct solo_worker *worker = solo_worker_new(b->loader ? b->loader->compiler : NULL, e);
	bool ok;

	for (size_t i = 0; worker && i < n; i++)
		open_case(&runs[i], b, json_object_array_get_idx(list, i), link, worker);
	ok = worker && solo_worker_start(worker, e);
	for (size_t i = 0; ok && i < n; i++) {
		runs[i].accept = accept;
		runs[i].number = i;
		run_case(&runs[i], file, counts);
	}
	for (size_t i = 0; worker && i < n; i++)
		close_case(&runs[i]);
	solo_worker_free(worker);
	free(runs);
	return ok;
}

void cases_run_file(struct build *b, const char *file, const struct conf_link *link,
		    struct case_counts *counts)
{
	struct buf text = { 0 }, strict = { 0 };
	struct accept *accept = NULL;
	json_object *list = NULL;
	struct err e = { 0 };

	if (buf_append_file(&text, file, MAX_FILE_BYTES, &e) &&
	    jtext_read(buf_str(&text), text.len, false, &strict, &e)) {
		list = jtext_tree(strict.data, strict.len, &e);
		if (e.code == ERR_NONE && !json_object_is_type(list, json_type_array))
			err_set(&e, ERR_INVALID, "an array of cases was expected");
	}
	if (e.code == ERR_NONE && counts->accepts)
		accept = accept_new(strict.data, strict.len);
	if (e.code != ERR_NONE || !run_cases(b, file, list, link, accept, counts, &e) ||
	    (accept && accept_has_changes(accept) && !accept_write(accept, file, &e))) {
		print_failure(counts, file, e.text, "");
		counts->failed++;
	}
	accept_free(accept);
	json_object_put(list);
	buf_fini(&text);
	buf_fini(&strict);
}
