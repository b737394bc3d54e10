/* mapping.c -- from a file to a program: the metadata first, then all that it names, then one jq state.
 *
 * The program imports the file as `m` and is called with [number, input]; the number says which function
 * of the table runs (mapping_symbols.h).  A mistake does not end the loading where it is found: the
 * file is looked at as far as it can be understood, so that one try tells all of its mistakes.  A
 * mapping that was returned has none, and its program compiled. */
#include "jq/mapping_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/pack.h"
#include "dialect/dialect.h"
#include "dialect/through.h"
#include "jq/imports.h"
#include "jq/jq_diagnostic.h"
#include "jq/scrub.h"

struct loader {
	struct mapping *m;
	const char *name;
	struct report *report;
	size_t n_errors_before; /* what the report held already */
	struct imports *modules;
	jq_state *meta; /* runs `modulemeta` */
	/* What the program has to name beside the mapping's functions, see note_definitions(). */
	struct buf imports, uses;
	size_t n_imports;
	struct {
		char **items;
		size_t n;
	} messages; /* of jq, not yet reported */
};

/* jq's states and messages */

static void keep_message(void *ctx, jv msg)
{
	struct loader *ld = ctx;

	if (jv_get_kind(msg) == JV_KIND_STRING) {
		ld->messages.items =
			mem_grow(ld->messages.items, ld->messages.n, sizeof *ld->messages.items);
		ld->messages.items[ld->messages.n++] = mem_strdup(jv_string_value(msg));
	}
	jv_free(msg);
}

/* libjq 1.6 aborts on an import when one of these attributes is missing. */
jq_state *mapping_new_state(const char *home, jv path, void (*on_message)(void *ctx, jv msg),
			    void *ctx)
{
	jq_state *jq = jq_init();

	jq_set_error_cb(jq, on_message, ctx);
	jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_string(home));
	jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_string(home));
	jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), path);
	return jq;
}

/* What our own program lacks: "m::temp/0 is not defined" is a function missing in the file. */
static bool report_missing(struct loader *ld, const char *text)
{
	const char *behind = strstr(text, "/0 is not defined");
	bool ok = false;

	if (strncmp(text, "m::", 3) == 0 && behind) {
		char *name = mem_strndup(text + 3, (size_t)(behind - text) - 3);

		ok = mapping_symbols_report_missing(&ld->m->functions, ld->m->file, name,
						    ld->report);
		free(name);
	}
	return ok;
}

static void report_message(struct loader *ld, const char *shown, const char *said)
{
	struct jq_diagnostic m;
	const char *advice;
	char *line;

	if (!jq_diagnostic_read(&m, said))
		return;
	advice = jq_diagnostic_advice(m.text);
	if (m.file && strcmp(m.file, "<top-level>") != 0)
		line = mem_printf("%s:%u: %s%s%s", imports_shown(ld->modules, m.file), m.line,
				  m.text, advice ? "; " : "", advice ? advice : "");
	else
		line = mem_printf("%s: %s%s%s", shown, m.text, advice ? "; " : "",
				  advice ? advice : "");
	/* A mistake in a file that several programs were made of is told once. */
	if (*m.text && !(m.file && report_missing(ld, m.text)) && !report_has(ld->report, line))
		report_error(ld->report, "%s", line);
	free(line);
	jq_diagnostic_fini(&m);
}

static void report_messages(struct loader *ld, const char *shown)
{
	for (size_t i = 0; i < ld->messages.n; i++) {
		report_message(ld, shown, ld->messages.items[i]);
		free(ld->messages.items[i]);
	}
	ld->messages.n = 0;
	if (ld->report->n_errors == ld->n_errors_before)
		report_error(ld->report, "%s: jq cannot read it", shown);
}

/* Metadata */

static bool start_meta(struct loader *ld, const char *dir)
{
	if (!ld->meta) {
		ld->meta = mapping_new_state(dir, jv_array(), keep_message, ld);
		if (!jq_compile(ld->meta, "modulemeta"))
			return false;
	}
	jq_set_attr(ld->meta, jv_string("JQ_LIBRARY_PATH"), JV_ARRAY(jv_string(dir)));
	return true;
}

/* jq since its security updates of 2026 (Debian's 1.7.1, 1.8.2) drops functions that only imported
 * modules call, and then aborts (jq #3597), so the program calls all of all modules, in a branch that
 * is never taken.  jq 1.6 has no such fault, and no "defs". */
static void note_definitions(struct loader *ld, const char *dir, const char *name, jv defs)
{
	int n = jv_get_kind(defs) == JV_KIND_ARRAY ? jv_array_length(jv_copy(defs)) : 0;

	if (n > 0) {
		buf_puts(&ld->imports, "import ");
		jtext_put_string(&ld->imports, name, strlen(name));
		buf_printf(&ld->imports, " as u%zu {search: ", ld->n_imports);
		jtext_put_string(&ld->imports, dir, strlen(dir));
		buf_puts(&ld->imports, "}; ");
	}
	for (int i = 0; i < n; i++) {
		jv def = jv_array_get(jv_copy(defs), i);
		const char *text = jv_string_value(def), *slash = strchr(text, '/');
		unsigned long n_args = slash ? strtoul(slash + 1, NULL, 10) : 0;

		buf_printf(&ld->uses, "u%zu::%.*s", ld->n_imports, (int)strcspn(text, "/"), text);
		for (unsigned long k = 0; k < n_args; k++)
			buf_puts(&ld->uses, k ? "; ." : "(.");
		buf_puts(&ld->uses, n_args ? "), " : ", ");
		jv_free(def);
	}
	ld->n_imports += n > 0;
	jv_free(defs);
}

/* An imports_metadata.  jq takes a module's name, not a path, and looks it up. */
static char *read_metadata(void *ctx, const char *file, const char *shown)
{
	const char *base = strrchr(file, '/') + 1;
	struct loader *ld = ctx;
	char *dir = imports_dirname(file), *text = NULL;
	char *name = mem_strndup(base, strlen(base) - strlen(".jq"));
	jv meta = jv_null();

	if (start_meta(ld, dir)) {
		jq_start(ld->meta, jv_string(name), 0);
		meta = jq_next(ld->meta);
		jq_start(ld->meta, jv_null(), 0); /* let go of the values */
	}
	if (!jv_is_valid(meta) && jv_invalid_has_msg(jv_copy(meta)))
		keep_message(ld, jv_invalid_get_msg(jv_copy(meta)));
	if (jv_get_kind(meta) == JV_KIND_OBJECT) {
		jv dump = jv_dump_string(jv_copy(meta), 0);

		text = mem_strdup(jv_string_value(dump));
		jv_free(dump);
		if (strcmp(shown, ld->m->file) != 0)
			note_definitions(ld, dir, name,
					 jv_object_get(jv_copy(meta), jv_string("defs")));
	} else {
		report_messages(ld, shown);
	}
	jv_free(meta);
	free(dir);
	free(name);
	return text;
}

static void check_name(struct loader *ld, json_object *metadata, const char *key)
{
	json_object *value = NULL;

	if (!json_object_object_get_ex(metadata, key, &value) ||
	    !json_object_is_type(value, json_type_string) ||
	    strcmp(json_object_get_string(value), ld->name) == 0)
		return;
	report_error(ld->report, "%s: %s: \"%s\" is not the name of the file; write \"%s\"",
		     ld->m->file, key, json_object_get_string(value), ld->name);
}

static void number_rows(struct mapping *m)
{
	for (size_t i = 0; i < m->dialect->n_rows; i++) {
		struct row *row = &m->dialect->rows[i];

		row->read_fn = mapping_symbols_number(&m->functions, row->read);
		row->write_fn = mapping_symbols_number(&m->functions, row->write);
		row->publish_fn = mapping_symbols_number(&m->functions, row->publish);
	}
}

static void make_table(struct mapping *m, bool is_dialect, uint64_t also_gives,
		       struct report *report)
{
	if (is_dialect)
		m->dialect = dialect_new(m->file, m->metadata.data, m->metadata.len, report);
	else
		m->through = through_new(m->file, m->metadata.data, m->metadata.len, report);
	if (m->dialect) {
		number_rows(m);
		m->dialect->also_gives = also_gives;
	}
}

static void read_table(struct loader *ld, json_object *metadata)
{
	bool is_dialect = json_object_object_get_ex(metadata, "dialect", NULL);
	bool is_through = json_object_object_get_ex(metadata, "through", NULL);
	struct mapping *m = ld->m;

	if (is_dialect == is_through) {
		report_error(
			ld->report, "%s: %s", m->file,
			is_dialect ? "a file is a dialect or a through file, not both"
				   : "neither a dialect nor a through file; a dialect starts with "
				     "module {dialect: \"NAME\", messages: [...]};");
		return;
	}
	mapping_symbols_collect(&m->functions, metadata);
	check_name(ld, metadata, is_dialect ? "dialect" : "through");
	json_object_object_del(metadata, "deps");
	json_object_object_del(metadata, "defs");   /* from 1.7 on */
	json_object_object_del(metadata, "search"); /* reported */
	jtext_tree_put(&m->metadata, metadata);
	make_table(m, is_dialect, imports_kinds(ld->modules), ld->report);
}

/* The program */

/* Put the call of function $fn, one of those in [from, to). */
static void put_dispatch(const struct mapping_symbols *f, size_t from, size_t to, struct buf *out)
{
	size_t middle = from + (to - from) / 2;

	if (to - from == 1) {
		buf_printf(out, "m::%s", f->items[from].name);
		return;
	}
	buf_printf(out, "if $fn < %zu then ", middle);
	put_dispatch(f, from, middle, out);
	buf_puts(out, " else ");
	put_dispatch(f, middle, to, out);
	buf_puts(out, " end");
}

/* The same from `from` on, and what is never called.  A comparison costs as much as a small function,
 * so the way to a function is short, and shortest to the first ones: tables begin with what most
 * messages are.  Hence groups of 1, 2, 4, ... functions. */
static void put_call(const struct loader *ld, size_t from, size_t n, struct buf *out)
{
	const struct mapping_symbols *f = &ld->m->functions;
	size_t to = from + n < f->n ? from + n : f->n;

	if (from == f->n) {
		buf_printf(out, "%sempty", ld->m->recipe.uses);
		return;
	}
	buf_printf(out, "if $fn < %zu then ", to);
	put_dispatch(f, from, to, out);
	buf_puts(out, " else ");
	put_call(ld, to, 2 * n, out);
	buf_puts(out, " end");
}

static jq_state *new_program_state(struct loader *ld)
{
	const struct recipe *r = &ld->m->recipe;

	return mapping_new_state(r->home, jv_copy(r->path), keep_message, ld);
}

/* With `search`, since jq otherwise looks in the current directory first. */
static char *make_imports(struct loader *ld, const char *home)
{
	struct buf out = { 0 };

	buf_printf(&out, "import \"%s\" as m {search: ", ld->name);
	jtext_put_string(&out, home, strlen(home));
	buf_puts(&out, "}; ");
	buf_puts(&out, buf_str(&ld->imports));
	return buf_take(&out);
}

static void sum_up(const struct imports_files *f, uint8_t sum[CRYPTO_HASH_BYTES])
{
	struct crypto_piece *pieces = mem_zalloc((f->n + 1) * sizeof *pieces);

	for (size_t i = 0; i < f->n; i++)
		pieces[i] = (struct crypto_piece){ f->items[i].sum, sizeof f->items[i].sum };
	crypto_hash(pieces, f->n, sum);
	free(pieces);
}

static void make_recipe(struct loader *ld)
{
	struct recipe *r = &ld->m->recipe;
	char *given = imports_dirname(ld->m->file), *dir = realpath(given, NULL);
	char *const *dirs;
	size_t n = imports_dirs(ld->modules, &dirs);

	r->home = mem_strdup(dir ? dir : given);
	r->imports = make_imports(ld, r->home);
	r->uses = mem_strdup(buf_str(&ld->uses));
	for (size_t i = 0; i < n; i++)
		r->path = jv_array_append(r->path, jv_string(dirs[i]));
	imports_files(ld->modules, &r->files);
	sum_up(&r->files, ld->m->sum);
	free(given);
	free(dir);
}

/* jq 1.7 does not look into functions while the program itself has mistakes, so where functions are
 * missing the others are tried without them. */
static void look_further(struct loader *ld)
{
	struct mapping_symbols *f = &ld->m->functions;
	struct buf program = { 0 };
	size_t n_missing = 0;
	jq_state *jq;

	buf_printf(&program, "%s%sempty", ld->m->recipe.imports, ld->m->recipe.uses);
	for (size_t i = 0; i < f->n; i++) {
		n_missing += f->items[i].is_missing;
		if (!f->items[i].is_missing)
			buf_printf(&program, ", m::%s", f->items[i].name);
	}
	if (n_missing) {
		jq = new_program_state(ld);
		if (!jq_compile(jq, program.data))
			report_messages(ld, ld->m->file);
		jq_teardown(&jq);
	}
	buf_fini(&program);
}

static void compile(struct loader *ld)
{
	struct mapping *m = ld->m;
	struct buf program = { 0 };

	make_recipe(ld);
	buf_printf(&program, "%s.[0] as $fn | .[1] | ", m->recipe.imports);
	put_call(ld, 0, 1, &program);
	m->jq = new_program_state(ld);
	if (!jq_compile(m->jq, program.data)) {
		report_messages(ld, m->file);
		look_further(ld);
	}
	jq_set_error_cb(m->jq, mapping_forget_message, NULL);
	mapping_own_init(m);
	mapping_seen_init(m);
	buf_fini(&program);
}

static void load(struct loader *ld)
{
	char *text = imports_read(ld->modules, ld->m->file);
	json_object *metadata = text ? jtext_tree(text, strlen(text), NULL) : NULL;

	if (metadata)
		read_table(ld, metadata);
	if (metadata && imports_are_whole(ld->modules))
		compile(ld);
	json_object_put(metadata);
	free(text);
}

static void find_simple(struct mapping *m)
{
	m->simple = mapping_simple_read(buf_str(&m->source), m->source.len, &m->functions,
					m->knows_flat);
}

/* What is imported as "wire": one file of that name, of all that are. */
static bool knows_flat(const struct mapping *m)
{
	size_t n = 0;
	bool ok = false;

	for (size_t i = 0; i < m->recipe.files.n; i++) {
		const char *file = m->recipe.files.items[i].real, *name = strrchr(file, '/');
		struct buf text = { 0 };

		if (!name || strcmp(name, "/wire.jq") != 0)
			continue;
		n++;
		ok = buf_append_file(&text, file, IMPORTS_MAX_BYTES, NULL) &&
		     mapping_simple_knows_flat(buf_str(&text), text.len);
		buf_fini(&text);
	}
	return ok && n == 1;
}

void mapping_only_jq(struct mapping *m)
{
	if (m->simple)
		mapping_simple_free(m->simple);
	m->simple = NULL;
}

struct mapping *mapping_load(const struct mapping_path *p, const char *name, struct report *report)
{
	struct loader ld = { .name = name, .report = report, .n_errors_before = report->n_errors };
	char *file = mapping_path_find(p, name);

	if (!file) {
		mapping_path_report_missing(p, name, report);
		return NULL;
	}
	ld.m = mem_zalloc(sizeof *ld.m);
	mapping_input_init(ld.m);
	ld.m->recipe.path = jv_array();
	ld.m->file = file;
	ld.m->scrub = scrub_new();
	ld.modules = imports_new(p, ld.m->scrub, read_metadata, &ld, report);
	load(&ld);
	imports_free(ld.modules);
	if (ld.meta)
		jq_teardown(&ld.meta);
	for (size_t i = 0; i < ld.messages.n; i++)
		free(ld.messages.items[i]);
	free(ld.messages.items);
	buf_fini(&ld.imports);
	buf_fini(&ld.uses);
	if (report->n_errors != ld.n_errors_before) {
		mapping_free(ld.m);
		return NULL;
	}
	ld.m->knows_flat = knows_flat(ld.m);
	if (buf_append_file(&ld.m->source, ld.m->file, IMPORTS_MAX_BYTES, NULL))
		find_simple(ld.m);
	return ld.m;
}

void mapping_free(struct mapping *m)
{
	if (!m)
		return;
	if (m->jq)
		jq_teardown(&m->jq);
	mapping_own_fini(m);
	mapping_only_jq(m);
	mapping_input_fini(m);
	dialect_free(m->dialect);
	through_free(m->through);
	mapping_symbols_fini(&m->functions);
	scrub_free(m->scrub);
	buf_fini(&m->metadata);
	buf_fini(&m->source);
	free(m->file);
	free(m);
}

void mapping_set_number(struct mapping *m, uint32_t number)
{
	m->number = number;
}

static void put_sources(struct buf *out, const struct imports_files *f)
{
	pack_u32(out, (uint32_t)f->n);
	for (size_t i = 0; i < f->n; i++)
		pack_text(out, f->items[i].shown);
}

static void get_sources(struct unpack *u, struct imports_files *f)
{
	size_t n = unpack_u32(u);

	for (size_t i = 0; i < n && !u->is_bad; i++) {
		f->items = mem_grow(f->items, f->n, sizeof *f->items);
		f->items[f->n++] = (struct imports_file){ .shown = unpack_text(u) };
	}
}

void mapping_put(struct buf *out, const struct mapping *m)
{
	pack_u32(out, m->number);
	pack_text(out, m->file);
	pack_u8(out, m->dialect != NULL);
	pack_u64(out, m->dialect ? m->dialect->also_gives : 0);
	pack_bytes(out, m->metadata.data, m->metadata.len);
	pack_text(out, scrub_learnt(m->scrub));
	pack_bytes(out, m->source.data, m->simple ? m->source.len : 0);
	pack_bytes(out, m->sum, sizeof m->sum);
	put_sources(out, &m->recipe.files);
	pack_u8(out, m->knows_flat);
	for (size_t i = 0; i < m->functions.n; i++)
		pack_u32(out, m->own[i].seen);
}

/* All of it was checked where it was put. */
static bool get(struct unpack *u, struct mapping *m)
{
	bool is_dialect;
	uint64_t also_gives;
	const char *text, *source, *sum;
	size_t len, source_len, n_sum;
	char *learnt;
	json_object *metadata;
	struct report report = { 0 };

	m->number = unpack_u32(u);
	m->file = unpack_text(u);
	is_dialect = unpack_u8(u) != 0;
	also_gives = unpack_u64(u);
	text = unpack_bytes(u, &len);
	learnt = unpack_text(u);
	source = unpack_bytes(u, &source_len);
	sum = unpack_bytes(u, &n_sum);
	if (!sum || n_sum != sizeof m->sum)
		u->is_bad = true;
	else
		memcpy(m->sum, sum, n_sum);
	get_sources(u, &m->recipe.files);
	m->knows_flat = unpack_u8(u) != 0;
	metadata = text && !u->is_bad ? jtext_tree(text, len, NULL) : NULL;
	if (metadata && m->file && learnt) {
		scrub_learn(m->scrub, learnt, strlen(learnt));
		buf_append(&m->metadata, text, len);
		buf_append(&m->source, source, source_len);
		mapping_symbols_collect(&m->functions, metadata);
		make_table(m, is_dialect, also_gives, &report);
		find_simple(m);
		mapping_own_init(m);
	}
	for (size_t i = 0; i < m->functions.n; i++)
		m->own[i].seen = unpack_u32(u);
	free(learnt);
	json_object_put(metadata);
	report_fini(&report);
	return m->dialect || m->through;
}

struct mapping *mapping_get(struct unpack *u)
{
	struct mapping *m = mem_zalloc(sizeof *m);

	mapping_input_init(m);
	m->recipe.path = jv_array();
	m->scrub = scrub_new();
	if (get(u, m))
		return m;
	mapping_free(m);
	return NULL;
}

uint32_t mapping_number(const struct mapping *m)
{
	return m->number;
}

const uint8_t *mapping_sum(const struct mapping *m)
{
	return m->sum;
}

const char *mapping_file(const struct mapping *m)
{
	return m->file;
}

const char *mapping_source(const struct mapping *m, size_t i)
{
	return i < m->recipe.files.n ? m->recipe.files.items[i].shown : NULL;
}

bool mapping_may_use(const struct mapping *m, const char *name)
{
	static const char word[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

	return strlen(name) < 2 || name[strspn(name, word)] || scrub_knows(m->scrub, name);
}

const struct dialect *mapping_dialect(const struct mapping *m)
{
	return m->dialect;
}

int mapping_through_fn(const struct mapping *m, enum flow flow)
{
	return m->through ? mapping_symbols_number(&m->functions, m->through->function[flow]) : -1;
}
