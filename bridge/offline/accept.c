#include "offline/accept.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"

#define LINE	    120 /* characters; what is longer is put on lines of its own */
#define UUID_LENGTH 36

/* [from, to) of the text becomes `with`; in the order of the text. */
struct edit {
	size_t from, to;
	char *with;
};

struct accept {
	struct jslice text;
	struct edit *edits;
	size_t n;
	json_object *made_up; /* of the case: what was, and the placeholders for it */
};

struct accept *accept_new(const char *text, size_t len)
{
	struct accept *a = mem_zalloc(sizeof *a);

	a->text = (struct jslice){ text, len };
	accept_begin(a);
	return a;
}

void accept_free(struct accept *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++)
		free(a->edits[i].with);
	free(a->edits);
	json_object_put(a->made_up);
	free(a);
}

void accept_begin(struct accept *a)
{
	json_object_put(a->made_up);
	a->made_up = json_object_new_object();
}

/* --- edits ----------------------------------------------------------------------------------- */

/* `with` is taken. */
static void edit(struct accept *a, size_t from, size_t to, char *with)
{
	a->edits = mem_grow(a->edits, a->n, sizeof *a->edits);
	a->edits[a->n++] = (struct edit){ from, to, with };
}

static size_t place(const struct accept *a, const char *p)
{
	return (size_t)(p - a->text.text);
}

static struct jslice element(struct jslice array, size_t n)
{
	struct jslice found = { 0 };
	size_t pos = 0;

	for (size_t i = 0; i <= n && jtext_next_element(array, &pos, &found); i++)
		;
	return found;
}

static bool find(struct jslice object, const char *key, struct jfield *f)
{
	size_t pos = 0;

	while (jtext_next_field(object, &pos, f))
		if (jtext_string_is(f->key, key))
			return true;
	return false;
}

/* What stands before the first character of its line: blanks. */
static char *indentation(const struct accept *a, const char *at)
{
	const char *line = at, *end;

	while (line > a->text.text && line[-1] != '\n')
		line--;
	for (end = line; end < at && (*end == ' ' || *end == '\t'); end++)
		;
	return mem_strndup(line, (size_t)(end - line));
}

/* Behind the last key. */
static void add_field(struct accept *a, struct jslice object, const char *key, const char *value)
{
	struct jfield f, last = { 0 };
	const char *end = object.text + 1;
	char *indent = NULL;
	size_t pos = 0;
	bool is_broken;

	while (jtext_next_field(object, &pos, &f))
		last = f;
	if (last.key.text)
		end = last.value.text + last.value.len;
	/* On a line of its own, if the last one is. */
	is_broken = last.key.text && last.key.text > a->text.text;
	for (const char *p = last.key.text; is_broken && p > a->text.text && p[-1] != '\n'; p--)
		is_broken = p[-1] == ' ' || p[-1] == '\t';
	if (is_broken)
		indent = indentation(a, last.key.text);
	edit(a, place(a, end), place(a, end),
	     mem_printf("%s%s%s\"%s\": %s", last.key.text ? "," : "",
			is_broken	? "\n"
			: last.key.text ? " "
					: "",
			indent ? indent : "", key, value));
	free(indent);
}

static void remove_field(struct accept *a, const struct jfield *f)
{
	const char *from = f->key.text, *to = f->value.text + f->value.len, *next = to;
	const char *end = a->text.text + a->text.len;

	while (next < end && isspace((unsigned char)*next))
		next++;
	if (next < end && *next == ',') {
		for (to = next + 1; to < end && isspace((unsigned char)*to); to++)
			;
	} else {
		while (from > a->text.text && isspace((unsigned char)from[-1]))
			from--;
		if (from > a->text.text && from[-1] == ',')
			from--;
	}
	edit(a, place(a, from), place(a, to), mem_strdup(""));
}

/* `value` NULL: it is not to be there. */
static void set_field(struct accept *a, struct jslice object, const char *key, const char *value)
{
	struct jfield f;

	if (!find(object, key, &f)) {
		if (value)
			add_field(a, object, key, value);
	} else if (!value) {
		remove_field(a, &f);
	} else if (strlen(value) != f.value.len || memcmp(value, f.value.text, f.value.len) != 0) {
		edit(a, place(a, f.value.text), place(a, f.value.text) + f.value.len,
		     mem_strdup(value));
	}
}

/* --- placeholders ---------------------------------------------------------------------------- */

static bool is_uuid(const char *s)
{
	for (size_t i = 0; i < UUID_LENGTH; i++) {
		bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_hyphen ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* The name of what was made up; NULL: it stands in the file.  Borrowed. */
static const char *name_of(struct accept *a, const char *uuid)
{
	char *value = mem_strndup(uuid, UUID_LENGTH), *name;
	json_object *known = NULL;

	if (!json_object_object_get_ex(a->made_up, value, &known) &&
	    !memmem(a->text.text, a->text.len, value, UUID_LENGTH)) {
		name = mem_printf("{{id%d}}", json_object_object_length(a->made_up) + 1);
		known = json_object_new_string(name);
		json_object_object_add(a->made_up, value, known);
		free(name);
	}
	free(value);
	return known ? json_object_get_string(known) : NULL;
}

/* A text that came, as it is to be expected. */
static json_object *expected_text(struct accept *a, const char *s, json_object *bound)
{
	struct buf out = { 0 };
	json_object *text;
	const char *name;

	json_object_object_foreach (bound, key, value) {
		if (json_object_is_type(value, json_type_string) && strlen(s) > 3 &&
		    strcmp(json_object_get_string(value), s) == 0) {
			buf_printf(&out, "{{%s}}", key);
			s = "";
			break;
		}
	}
	while (*s) {
		name = strlen(s) >= UUID_LENGTH && is_uuid(s) ? name_of(a, s) : NULL;
		if (name)
			buf_puts(&out, name);
		else
			buf_putc(&out, *s);
		s += name ? UUID_LENGTH : 1;
	}
	text = json_object_new_string_len(buf_str(&out), (int)out.len);
	buf_fini(&out);
	return text;
}

/* A value that came, as it is to be expected; caller puts it. */
static json_object *expected_value(struct accept *a, json_object *got, json_object *bound)
{
	json_object *copy;

	switch (json_object_get_type(got)) {
	case json_type_string:
		if (strlen(json_object_get_string(got)) != (size_t)json_object_get_string_len(got))
			return json_object_get(got); /* with a NUL in it, nobody made it up */
		return expected_text(a, json_object_get_string(got), bound);
	case json_type_array:
		copy = json_object_new_array();
		for (size_t i = 0; i < json_object_array_length(got); i++)
			json_object_array_add(
				copy, expected_value(a, json_object_array_get_idx(got, i), bound));
		return copy;
	case json_type_object: {
		copy = json_object_new_object();
		json_object_object_foreach (got, key, value)
			json_object_object_add(copy, key, expected_value(a, value, bound));
		return copy;
	}
	default:
		return json_object_get(got);
	}
}

/* --- expectations ---------------------------------------------------------------------------- */

/* All that came, but for what every message has. */
static json_object *whole(struct accept *a, json_object *got, enum side side, json_object *bound)
{
	json_object *all = expected_value(a, got, bound), *v = NULL;

	if (json_object_object_get_ex(all, "side", &v) &&
	    strcmp(json_object_get_string(v), side_name(side)) == 0)
		json_object_object_del(all, "side");
	if (json_object_object_get_ex(all, "qos", &v) && json_object_get_int(v) == 1)
		json_object_object_del(all, "qos");
	if (json_object_object_get_ex(all, "retain", &v) && !json_object_get_boolean(v))
		json_object_object_del(all, "retain");
	return all;
}

/* Of an object only the keys that were asked for. */
static json_object *part(json_object *wanted, json_object *got)
{
	json_object *some;

	if (!json_object_is_type(wanted, json_type_object) ||
	    !json_object_is_type(got, json_type_object))
		return json_object_get(got);
	some = json_object_new_object();
	json_object_object_foreach (wanted, key, value) {
		json_object *other = NULL;

		if (json_object_object_get_ex(got, key, &other))
			json_object_object_add(some, key, part(value, other));
	}
	return some;
}

/* The keys that are checked, with what came. */
static json_object *same_keys(struct accept *a, json_object *wanted, json_object *got,
			      json_object *bound)
{
	json_object *out = json_object_new_object();

	json_object_object_foreach (wanted, key, value) {
		bool is_part = strcmp(key, "contains") == 0;
		json_object *other = NULL, *some;

		if (!json_object_object_get_ex(got, is_part ? "payload" : key, &other))
			continue;
		some = is_part ? part(value, other) : json_object_get(other);
		json_object_object_add(out, key, expected_value(a, some, bound));
		json_object_put(some);
	}
	return out;
}

static json_object *expectations(struct accept *a, json_object *wanted, json_object *got,
				 enum side side, json_object *bound)
{
	size_t n = json_object_array_length(got);
	bool is_same = json_object_is_type(wanted, json_type_array) &&
		       json_object_array_length(wanted) == n;
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		json_object *g = json_object_array_get_idx(got, i);

		json_object_array_add(
			list, is_same ? same_keys(a, json_object_array_get_idx(wanted, i), g, bound)
				      : whole(a, g, side, bound));
	}
	return list;
}

/* With a blank behind each comma and colon, as people write it. */
static void put_value(struct buf *out, json_object *v)
{
	const char *before = "";

	if (json_object_is_type(v, json_type_object)) {
		buf_putc(out, '{');
		json_object_object_foreach (v, key, value) {
			buf_puts(out, before);
			before = ", ";
			jtext_put_string(out, key, strlen(key));
			buf_puts(out, ": ");
			put_value(out, value);
		}
		buf_putc(out, '}');
	} else if (json_object_is_type(v, json_type_array)) {
		buf_putc(out, '[');
		for (size_t i = 0; i < json_object_array_length(v); i++) {
			buf_puts(out, i ? ", " : "");
			put_value(out, json_object_array_get_idx(v, i));
		}
		buf_putc(out, ']');
	} else {
		jtext_tree_put(out, v);
	}
}

/* On one line, if there is room. */
static void put_list(struct accept *a, struct jslice step, json_object *list, struct buf *out)
{
	struct jfield f;
	char *indent;

	put_value(out, list);
	if (json_object_array_length(list) == 0 || out->len <= LINE)
		return;
	buf_reset(out);
	indent = indentation(a, find(step, "expect", &f) ? f.key.text : step.text);
	buf_putc(out, '[');
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		buf_printf(out, "%s\n%s  ", i ? "," : "", indent);
		put_value(out, json_object_array_get_idx(list, i));
	}
	buf_printf(out, "\n%s]", indent);
	free(indent);
}

static void set_word(struct accept *a, struct jslice step, const char *key, const char *word)
{
	char *value = word ? mem_printf("\"%s\"", word) : NULL;

	set_field(a, step, key, value);
	free(value);
}

void accept_step(struct accept *a, size_t number, size_t step_number, enum side side,
		 json_object *got, json_object *bound, const char *dead, const char *filtered)
{
	struct jslice step = element(a->text, number), v;
	json_object *wanted = NULL, *list;
	struct buf text = { 0 };
	struct jfield f;
	bool names_fate, is_there;

	if (step_number != ACCEPT_NO_STEP && jtext_field(step, "steps", &v))
		step = element(v, step_number);
	is_there = find(step, "expect", &f);
	if (is_there)
		wanted = jtext_tree(f.value.text, f.value.len, NULL);
	list = expectations(a, wanted, got, side, bound);
	names_fate = dead || (filtered && (find(step, "filtered", &f) || find(step, "dead", &f)));
	put_list(a, step, list, &text);
	if (is_there || json_object_array_length(got) || !names_fate)
		if (!is_there || !json_object_equal(wanted, list))
			set_field(a, step, "expect", text.data);
	set_word(a, step, "dead", dead);
	set_word(a, step, "filtered", names_fate ? filtered : NULL);
	json_object_put(wanted);
	json_object_put(list);
	buf_fini(&text);
}

bool accept_has_changes(const struct accept *a)
{
	return a->n > 0;
}

static int by_place(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->to > y->to) - (x->to < y->to);
}

void accept_put(const struct accept *a, struct buf *out)
{
	size_t at = 0;

	if (a->n)
		qsort(a->edits, a->n, sizeof *a->edits, by_place);
	for (size_t i = 0; i < a->n; i++) {
		const struct edit *e = &a->edits[i];

		if (e->from > at)
			buf_append(out, a->text.text + at, e->from - at);
		buf_puts(out, e->with);
		at = e->to > at ? e->to : at;
	}
	buf_append(out, a->text.text + at, a->text.len - at);
	buf_putc(out, '\n');
}

bool accept_write(const struct accept *a, const char *file, struct err *e)
{
	char *real = realpath(file, NULL), *draft = mem_printf("%s.new", real ? real : file);
	struct buf text = { 0 };
	struct stat st = { .st_mode = 0644 };
	FILE *f = NULL;
	bool ok;
	int fd;

	stat(file, &st);
	fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, st.st_mode & 0777);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	accept_put(a, &text);
	ok = f && fwrite(text.data, 1, text.len, f) == text.len;
	if (f)
		ok = fclose(f) == 0 && ok;
	ok = ok && rename(draft, real ? real : file) == 0;
	if (!ok)
		err_errno(e, "%s", draft);
	if (!ok && f)
		unlink(draft);
	buf_fini(&text);
	free(draft);
	free(real);
	return ok;
}
