/* jtext_tree.c -- text as a tree of json-c, where a tree holds it without loss, and back. */
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext_inside.h"

/* json-c clamps what fits neither int64 nor uint64. */
static bool fits_json_c(struct jslice number)
{
	static const char lowest[] = "9223372036854775808", highest[] = "18446744073709551615";
	bool is_negative = number.text[0] == '-';
	const char *limit = is_negative ? lowest : highest;
	size_t n = number.len - is_negative, max = strlen(limit);

	return n < max || (n == max && memcmp(number.text + is_negative, limit, n) <= 0);
}

/* A text of which json-c makes the same, where it would clamp integers: those that a double keeps get a
 * fraction. */
struct widened {
	struct buf text; /* up to `rest`; empty: nothing was to be done */
	const char *rest;
};

/* False: a double does not keep it either. */
static bool widen(void *ctx, struct jslice number)
{
	struct widened *w = ctx;
	const char *end = number.text + number.len;

	if (fits_json_c(number))
		return true;
	if (!jtext_number_is_kept(number))
		return false;
	buf_append(&w->text, w->rest, (size_t)(end - w->rest));
	buf_puts(&w->text, ".0");
	w->rest = end;
	return true;
}

/* json-c's keys end at a NUL character. */
static bool has_nul_in_key(struct jslice v)
{
	const char *end = v.text + v.len;
	struct buf key = { 0 };
	bool found = false;

	if (!memmem(v.text, v.len, "\\u0000", 6))
		return false;
	for (const char *p = v.text; p < end && !found; p++) {
		struct jslice string = { p, 0 };

		if (*p != '"')
			continue;
		p = jtext_string_end(p, end);
		string.len = (size_t)(p - string.text);
		buf_reset(&key);
		jtext_string_decode(string, &key);
		p = space_end(p, end);
		found = p < end && *p == ':' && memchr(key.data, '\0', key.len);
	}
	buf_fini(&key);
	return found;
}

static json_object *parse_tree(const char *text, size_t len)
{
	json_tokener *t = json_tokener_new_ex(JTEXT_MAX_DEPTH + 8);
	json_object *tree;

	/* Not JSON_TOKENER_STRICT: the text was checked before, and 0.18 then takes the bytes of
	 * non-ASCII characters for control characters. */
	tree = json_tokener_parse_ex(t, text, (int)len);
	if (json_tokener_get_error(t) == json_tokener_continue) /* it waits for a number to go on */
		tree = json_tokener_parse_ex(t, "", 1);
	json_tokener_free(t);
	return tree;
}

json_object *jtext_tree(const char *text, size_t len, struct err *e)
{
	struct widened wide = { 0 };
	json_object *tree = NULL;
	struct jslice value;

	if (len > INT_MAX / 2) {
		err_set(e, ERR_INVALID, "the text is too long");
		return NULL;
	}
	if (!jtext_check(text, len, &value, e))
		return NULL;
	wide.rest = value.text;
	if (!jtext_each_integer(value, widen, &wide)) {
		err_set(e, ERR_INVALID, "an integer of more than 64 bits");
	} else if (has_nul_in_key(value)) {
		err_set(e, ERR_INVALID, "a key with a NUL character");
	} else {
		if (wide.text.len)
			buf_append(&wide.text, wide.rest,
				   (size_t)(value.text + value.len - wide.rest));
		tree = wide.text.len ? parse_tree(wide.text.data, wide.text.len)
				     : parse_tree(value.text, value.len);
		if (!tree && jtext_type_of(value) != JTEXT_NULL)
			err_set(e, ERR_INVALID, "json-c does not take the text");
	}
	buf_fini(&wide.text);
	return tree;
}

void jtext_tree_put(struct buf *out, json_object *tree)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		tree, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	buf_append(out, text, len);
}
