#include "jq/mapping_symbols.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "dialect/schema.h"
#include "jq/imports.h"
#include "jq/jq_lex.h"
#include "message/side.h"

int mapping_symbols_number(const struct mapping_symbols *f, const char *name)
{
	for (size_t i = 0; name && i < f->n; i++)
		if (strcmp(f->items[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* `key` follows the place: "" or ".read". */
static void add_use(struct mapping_symbols *f, const char *place, const char *key,
		    json_object *name)
{
	const char *s = json_object_get_string(name);

	if (!json_object_is_type(name, json_type_string) || !schema_is_name(s))
		return;
	if (mapping_symbols_number(f, s) < 0) {
		f->items = mem_grow(f->items, f->n, sizeof *f->items);
		f->items[f->n++] = (struct function){ mem_strdup(s), false };
	}
	f->uses = mem_grow(f->uses, f->n_uses, sizeof *f->uses);
	f->uses[f->n_uses++] = (struct function_use){ mem_printf("%s%s", place, key),
						      mapping_symbols_number(f, s) };
}

static void add_row(struct mapping_symbols *f, const char *place, json_object *row)
{
	static const char *const keys[] = { ".read", ".write", ".publish" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		json_object *name = NULL;

		if (json_object_is_type(row, json_type_object) &&
		    json_object_object_get_ex(row, keys[i] + 1, &name))
			add_use(f, place, keys[i], name);
	}
}

void mapping_symbols_collect(struct mapping_symbols *f, json_object *metadata)
{
	bool is_through = json_object_object_get_ex(metadata, "through", NULL);
	json_object *messages = NULL;

	for (int i = 0; i < FLOWS; i++) {
		const char *flow = flow_name((enum flow)i);
		json_object *shared = NULL;

		if (!json_object_object_get_ex(metadata, flow, &shared))
			continue;
		if (is_through)
			add_use(f, flow, "", shared);
		else
			add_row(f, flow, shared);
	}
	if (!json_object_object_get_ex(metadata, "messages", &messages) ||
	    !json_object_is_type(messages, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(messages); i++) {
		char *place = mem_printf("messages[%zu]", i);

		add_row(f, place, json_object_array_get_idx(messages, i));
		free(place);
	}
}

/* What a function that is named there might do to begin with. */
static const char *body_for(const char *place)
{
	const char *key = strrchr(place, '.');

	if (!key)
		return "."; /* of a through file */
	if (strcmp(key, ".read") == 0)
		return "{body: .payload}";
	return strcmp(key, ".write") == 0 ? ".body" : "{payload: .body}";
}

/* How many parameters does the file's function called `name` take?  0: it has none, or none with parameters. */
static unsigned parameters_of(const char *file, const char *name)
{
	struct jq_source source = { 0 };
	struct buf text = { 0 };
	struct err e = { 0 };
	unsigned n = 0;

	if (buf_append_file(&text, file, IMPORTS_MAX_BYTES, &e))
		jq_source_read(&source, buf_str(&text), text.len);
	for (size_t i = 0; n == 0 && i + 2 < source.n; i++) {
		const struct jq_token *t = &source.tokens[i];

		if (!jq_token_is(t, JQ_WORD, "def") || !jq_token_is(t + 1, JQ_WORD, name) ||
		    !jq_token_is(t + 2, JQ_SIGN, "("))
			continue;
		n = 1;
		for (t += 3; t < source.tokens + source.n && !jq_token_is(t, JQ_SIGN, ")"); t++)
			n += jq_token_is(t, JQ_SIGN, ";");
	}
	jq_source_fini(&source);
	buf_fini(&text);
	return n;
}

bool mapping_symbols_report_missing(struct mapping_symbols *f, const char *file, const char *name,
				    struct report *report)
{
	int number = mapping_symbols_number(f, name);
	unsigned n = parameters_of(file, name);

	if (number >= 0)
		f->items[number].is_missing = true;
	for (size_t i = 0; number >= 0 && i < f->n_uses; i++) {
		if (f->uses[i].number != number)
			continue;
		if (n)
			report_error(
				report,
				"%s: %s: the function \"%s\" takes %u parameter%s; one that is "
				"named here takes none",
				file, f->uses[i].place, name, n, PLURAL(n));
		else
			report_error(report,
				     "%s: %s: there is no function \"%s\" in this file; write one: "
				     "def %s: %s;",
				     file, f->uses[i].place, name, name,
				     body_for(f->uses[i].place));
	}
	return number >= 0;
}

void mapping_symbols_fini(struct mapping_symbols *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->items[i].name);
	free(f->items);
	for (size_t i = 0; i < f->n_uses; i++)
		free(f->uses[i].place);
	free(f->uses);
	*f = (struct mapping_symbols){ 0 };
}
