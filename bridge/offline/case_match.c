#include "offline/case_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void case_match_fini(struct case_match *m)
{
	buf_fini(&m->place);
}

/* --- placeholders --------------------------------------------------------------------------- */

/* Length of a placeholder at the start of `s`, 0 if there is none; *name is its name, caller frees. */
static size_t placeholder_at(const char *s, char **name)
{
	const char *end;

	if (strncmp(s, "{{", 2) != 0 || (end = strstr(s + 2, "}}")) == NULL)
		return 0;
	*name = mem_strndup(s + 2, (size_t)(end - s - 2));
	return (size_t)(end + 2 - s);
}

/* The value bound to the placeholder that is the whole of `s`; *name is its name (caller frees), NULL: it is
 * none. */
static json_object *whole_placeholder(struct case_match *m, const char *s, char **name)
{
	json_object *value = NULL;

	*name = NULL;
	if (placeholder_at(s, name) != strlen(s) || !*s) {
		free(*name);
		*name = NULL;
		return NULL;
	}
	json_object_object_get_ex(m->bound, *name, &value);
	return value;
}

/* No placeholder is in it.  (With a NUL it has none: what is behind that would be lost.) */
static bool is_plain_text(json_object *string)
{
	const char *s = json_object_get_string(string);

	return strlen(s) != (size_t)json_object_get_string_len(string) || !strstr(s, "{{");
}

static json_object *fill_string(struct case_match *m, const char *s)
{
	struct buf out = { 0 };
	json_object *value, *result;
	char *name;

	value = whole_placeholder(m, s, &name);
	free(name);
	if (value)
		return json_object_get(value);
	while (*s) {
		size_t n = placeholder_at(s, &name);

		if (n && json_object_object_get_ex(m->bound, name, &value))
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

json_object *case_match_fill(struct case_match *m, json_object *v)
{
	json_object *copy;

	switch (json_object_get_type(v)) {
	case json_type_string:
		return is_plain_text(v) ? json_object_get(v)
					: fill_string(m, json_object_get_string(v));
	case json_type_array:
		copy = json_object_new_array();
		for (size_t i = 0; i < json_object_array_length(v); i++)
			json_object_array_add(copy,
					      case_match_fill(m, json_object_array_get_idx(v, i)));
		return copy;
	case json_type_object: {
		copy = json_object_new_object();
		json_object_object_foreach (v, key, value)
			json_object_object_add(copy, key, case_match_fill(m, value));
		return copy;
	}
	default:
		return json_object_get(v);
	}
}

/* --- comparing ----------------------------------------------------------------------------- */

static const char *value_text(json_object *v)
{
	return json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* NULL: there is none (JSON's null is told as such, by `is_there`). */
static bool differs(struct case_match *m, json_object *want, bool is_wanted, json_object *got,
		    bool is_there)
{
	if (!m->diff)
		return false;
	buf_printf(m->diff, "    %s: expected %s", buf_str(&m->place),
		   is_wanted ? value_text(want) : "nothing");
	buf_printf(m->diff, ", got %s\n", is_there ? value_text(got) : "nothing");
	return false;
}

/* Text with placeholders inside: each takes up to the next literal piece. */
static bool text_equal(struct case_match *m, const char *want, const char *got)
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
		if (json_object_object_get_ex(m->bound, name, &known))
			end = strncmp(got, json_object_get_string(known),
				      strlen(json_object_get_string(known))) == 0
				      ? got + strlen(json_object_get_string(known))
				      : NULL;
		else if (end)
			json_object_object_add(m->bound, name,
					       json_object_new_string_len(got, (int)(end - got)));
		free(name);
		if (!end)
			return false;
		got = end;
		want = rest;
	}
	return *got == '\0';
}

static bool string_match(struct case_match *m, json_object *want, json_object *got)
{
	const char *s = json_object_get_string(want);
	bool is_plain = is_plain_text(want), ok;
	json_object *known = NULL;
	char *name = NULL;

	if (!is_plain)
		known = whole_placeholder(m, s, &name);
	if (name) {
		ok = !known || case_match(m, known, got);
		if (!known)
			json_object_object_add(m->bound, name, json_object_get(got));
		free(name);
		return ok;
	}
	if (json_object_is_type(got, json_type_string) &&
	    (is_plain ? json_object_equal(want, got)
		      : strlen(json_object_get_string(got)) ==
					(size_t)json_object_get_string_len(got) &&
				text_equal(m, s, json_object_get_string(got))))
		return true;
	return differs(m, want, true, got, true);
}

static bool is_number(json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

/* 1 and 1.0 are one number. */
static bool number_equal(json_object *want, json_object *got)
{
	return json_object_equal(want, got) ||
	       (json_object_get_type(want) != json_object_get_type(got) &&
		fabs(json_object_get_double(want) - json_object_get_double(got)) <= 0);
}

/* Compare what is at `.key` or `[i]`. */
static bool match_at(struct case_match *m, const char *key, size_t i, json_object *want,
		     json_object *got)
{
	size_t len = m->place.len;
	bool ok;

	if (key)
		buf_printf(&m->place, "%s%s", len ? "." : "", key);
	else
		buf_printf(&m->place, "[%zu]", i);
	ok = case_match(m, want, got);
	buf_cut(&m->place, len);
	return ok;
}

static bool array_match(struct case_match *m, json_object *want, json_object *got)
{
	size_t n = json_object_array_length(want);
	bool ok = true;

	if (!json_object_is_type(got, json_type_array) || json_object_array_length(got) != n)
		return differs(m, want, true, got, true);
	for (size_t i = 0; i < n; i++)
		if (!match_at(m, NULL, i, json_object_array_get_idx(want, i),
			      json_object_array_get_idx(got, i)))
			ok = false;
	return ok;
}

static bool missing(struct case_match *m, const char *key, json_object *want, bool is_wanted,
		    json_object *got)
{
	size_t len = m->place.len;

	buf_printf(&m->place, "%s%s", len ? "." : "", key);
	differs(m, want, is_wanted, got, !is_wanted);
	buf_cut(&m->place, len);
	return false;
}

static bool object_match(struct case_match *m, json_object *want, json_object *got)
{
	bool ok = true;

	if (!json_object_is_type(got, json_type_object))
		return differs(m, want, true, got, true);
	json_object_object_foreach (want, key, value) {
		json_object *other = NULL;

		if (!json_object_object_get_ex(got, key, &other))
			ok = missing(m, key, value, true, NULL);
		else if (!match_at(m, key, 0, value, other))
			ok = false;
	}
	if (m->is_part)
		return ok;
	json_object_object_foreach (got, more, value_got)
		if (!json_object_object_get_ex(want, more, NULL))
			ok = missing(m, more, NULL, false, value_got);
	return ok;
}

bool case_match(struct case_match *m, json_object *want, json_object *got)
{
	bool ok;

	if (json_object_is_type(want, json_type_string))
		return string_match(m, want, got);
	if (json_object_is_type(want, json_type_array))
		return array_match(m, want, got);
	if (json_object_is_type(want, json_type_object))
		return object_match(m, want, got);
	ok = is_number(want) && is_number(got) ? number_equal(want, got)
					       : json_object_equal(want, got);
	return ok || differs(m, want, true, got, true);
}
