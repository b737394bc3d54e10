#include "message/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* Reading and writing */

enum { AT_KIND, AT_DEVICE, AT_ID, AT_TS, AT_BODY, KEYS };
static const char *const keys[KEYS] = { "kind", "device", "id", "ts", "body" };

static char *copy_of(struct jslice v)
{
	return mem_dup(v.text, v.len);
}

static bool wrong(struct err *e, const char *what)
{
	err_set(e, ERR_INVALID, "%s", what);
	return false;
}

bool canonical_unknown_key(struct jslice text, struct jslice *key)
{
	struct jfield f;
	size_t pos = 0, k;

	if (jtext_type_of(text) != JTEXT_OBJECT)
		return false;
	while (jtext_next_field(text, &pos, &f)) {
		for (k = 0; k < KEYS && !jtext_string_is(f.key, keys[k]); k++)
			;
		*key = f.key;
		if (k == KEYS)
			return true;
	}
	return false;
}

/* Sort the fields into values[], a null or missing one as NULL text. */
static bool sort_fields(struct jslice text, struct jslice values[KEYS], struct err *e)
{
	struct jfield f;
	size_t pos = 0, k;

	if (jtext_type_of(text) != JTEXT_OBJECT)
		return wrong(e, "a plain message must be an object");
	while (jtext_next_field(text, &pos, &f)) {
		for (k = 0; k < KEYS && !jtext_string_is(f.key, keys[k]); k++)
			;
		if (k == KEYS)
			return wrong(e, "an unknown key; kind, device, id, ts and body are known");
		values[k] = f.value;
		if (k != AT_BODY && jtext_type_of(f.value) == JTEXT_NULL)
			values[k].text = NULL;
	}
	return true;
}

static bool parse_kind(enum kind *kind, struct jslice v, struct err *e)
{
	*kind = KIND_NONE;
	if (!v.text)
		return true;
	if (jtext_type_of(v) != JTEXT_STRING)
		return wrong(e, "kind is no string");
	for (int k = 0; k < KINDS; k++)
		if (jtext_string_is(v, kind_name((enum kind)k)))
			*kind = (enum kind)k;
	return *kind != KIND_NONE || wrong(e, "an unknown kind");
}

static bool parse_device(char **device, struct jslice v, struct err *e)
{
	struct buf name = { 0 };
	bool ok = false;

	if (!v.text)
		return true;
	if (!jtext_string_decode(v, &name))
		wrong(e, "device is no string");
	else if (name.len == 0)
		wrong(e, "device is empty");
	else if (memchr(name.data, '\0', name.len))
		wrong(e, "device holds a NUL character");
	else
		ok = true;
	if (ok)
		*device = buf_take(&name);
	buf_fini(&name);
	return ok;
}

static bool parse_id(char **id, struct jslice v, struct err *e)
{
	enum jtext_type type;

	if (!v.text)
		return true;
	type = jtext_type_of(v);
	if (type != JTEXT_STRING && type != JTEXT_NUMBER)
		return wrong(e, "id is no string or number");
	*id = copy_of(v);
	return true;
}

static bool parse_ts(char **ts, struct jslice v, struct err *e)
{
	if (!v.text)
		return true;
	if (jtext_type_of(v) != JTEXT_NUMBER)
		return wrong(e, "ts is no number");
	*ts = copy_of(v);
	return true;
}

bool canonical_parse(struct canonical *p, struct jslice text, struct err *e)
{
	struct jslice values[KEYS] = { 0 };
	struct canonical got = { .kind = KIND_NONE };

	if (!sort_fields(text, values, e))
		return false;
	if (!values[AT_BODY].text)
		return wrong(e, "there is no body");
	if (!parse_kind(&got.kind, values[AT_KIND], e) ||
	    !parse_device(&got.device, values[AT_DEVICE], e) ||
	    !parse_id(&got.id, values[AT_ID], e) || !parse_ts(&got.ts, values[AT_TS], e)) {
		canonical_fini(&got);
		return false;
	}
	canonical_set_body(&got, values[AT_BODY].text, values[AT_BODY].len);
	*p = got;
	return true;
}

static void put_key(struct buf *out, int key, bool *is_first)
{
	buf_printf(out, "%s\"%s\":", *is_first ? "" : ",", keys[key]);
	*is_first = false;
}

static void put_json(struct buf *out, int key, const char *json, size_t len, bool *is_first)
{
	if (!json)
		return;
	put_key(out, key, is_first);
	buf_append(out, json, len);
}

void canonical_put(struct buf *out, const struct canonical *p)
{
	bool is_first = true;

	buf_putc(out, '{');
	if (p->kind != KIND_NONE) {
		put_key(out, AT_KIND, &is_first);
		buf_printf(out, "\"%s\"", kind_name(p->kind));
	}
	if (p->device) {
		put_key(out, AT_DEVICE, &is_first);
		jtext_put_string(out, p->device, strlen(p->device));
	}
	put_json(out, AT_ID, p->id, p->id ? strlen(p->id) : 0, &is_first);
	put_json(out, AT_TS, p->ts, p->ts ? strlen(p->ts) : 0, &is_first);
	put_json(out, AT_BODY, p->body, p->body_len, &is_first);
	buf_putc(out, '}');
}

void canonical_copy(struct canonical *to, const struct canonical *from)
{
	*to = (struct canonical){
		.kind = from->kind,
		.device = mem_strdup(from->device),
		.id = mem_strdup(from->id),
		.ts = mem_strdup(from->ts),
		.body = mem_dup(from->body, from->body_len),
		.body_len = from->body_len,
	};
}

void canonical_fini(struct canonical *p)
{
	free(p->device);
	free(p->id);
	free(p->ts);
	free(p->body);
	*p = (struct canonical){ .kind = KIND_NONE };
}

struct jslice canonical_body(const struct canonical *p)
{
	return (struct jslice){ p->body, p->body_len };
}

void canonical_set_body(struct canonical *p, const char *text, size_t len)
{
	char *copy = mem_dup(text, len); /* first: `text` may be a piece of the old body */

	free(p->body);
	p->body = copy;
	p->body_len = len;
}

/* --- shapes of bodies (mappings/kinds.md) -------------------------------------------------- */

static const char *const type_names[] = {
	[FIELD_STRING] = "string",
	[FIELD_BOOLEAN] = "boolean",
	[FIELD_OBJECT] = "object",
	[FIELD_STRINGS] = "array of strings",
};

static bool is_strings(struct jslice v)
{
	struct jslice element;
	size_t pos = 0;

	if (jtext_type_of(v) != JTEXT_ARRAY)
		return false;
	while (jtext_next_element(v, &pos, &element))
		if (jtext_type_of(element) != JTEXT_STRING)
			return false;
	return true;
}

static bool is_of_type(struct jslice v, enum field_type wanted)
{
	enum jtext_type type = jtext_type_of(v);

	switch (wanted) {
	case FIELD_STRING:
		return type == JTEXT_STRING;
	case FIELD_BOOLEAN:
		return type == JTEXT_TRUE || type == JTEXT_FALSE;
	case FIELD_OBJECT:
		return type == JTEXT_OBJECT;
	case FIELD_STRINGS:
		return is_strings(v);
	}
	return false;
}

static bool is_one_of(struct jslice string, const char *words)
{
	char word[16];

	while (*words) {
		size_t n = strcspn(words, ",");

		memcpy(word, words, n);
		word[n] = '\0';
		if (jtext_string_is(string, word))
			return true;
		words += n + strspn(words + n, ", ");
	}
	return false;
}

static bool check_field(const struct kind_info *kind, const struct field_shape *f,
			struct jslice value, struct err *e)
{
	if (!is_of_type(value, f->type)) {
		err_set(e, ERR_INVALID, "%s: body.%s is no %s", kind->name, f->key,
			type_names[f->type]);
		return false;
	}
	if (f->words && !is_one_of(value, f->words)) {
		err_set(e, ERR_INVALID, "%s: body.%s is none of %s", kind->name, f->key, f->words);
		return false;
	}
	return true;
}

static void no_choice(const struct kind_info *kind, struct err *e)
{
	struct buf choices = { 0 };

	for (const struct field_shape *f = kind->fields; f->key; f++)
		if (f->is_choice)
			buf_printf(&choices, "%s%s", choices.len ? ", " : "", f->key);
	err_set(e, ERR_INVALID, "%s: the body has none of %s", kind->name, buf_str(&choices));
	buf_fini(&choices);
}

static bool check_fields(const struct kind_info *kind, struct jslice body, struct err *e)
{
	bool has_choices = false, has_chosen = false;

	for (const struct field_shape *f = kind->fields; f->key; f++) {
		struct jslice value = { "", 0 };
		bool is_there = jtext_field(body, f->key, &value);

		has_choices |= f->is_choice;
		has_chosen |= f->is_choice && is_there;
		if ((is_there || !f->is_choice) && !check_field(kind, f, value, e))
			return false;
	}
	if (!has_choices || has_chosen)
		return true;
	no_choice(kind, e);
	return false;
}

bool canonical_check_body(const struct canonical *p, struct err *e)
{
	const struct kind_info *kind;

	if (p->kind == KIND_NONE)
		return true;
	kind = &kind_table[p->kind];
	if (kind->is_any_json)
		return true;
	if (jtext_type_of(canonical_body(p)) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "%s: the body is no object", kind->name);
		return false;
	}
	return check_fields(kind, canonical_body(p), e);
}
