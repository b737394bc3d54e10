#include "core/mapping.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jq.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/dialect.h"
#include "core/function.h"
#include "core/scrub.h"
#include "core/sources.h"

struct mapping {
	char *file;
	struct dialect *dialect; /* NULL: a through file */
	struct through *through;
	struct functions functions;
	struct scrub *scrub; /* knows the words of the file and of what it imports */
	jq_state *jq;
};

struct loader {
	struct mapping *m;
	const char *name;
	struct report *report;
	size_t n_lines_before, n_errors_before; /* what the report held already */
	struct sources *sources;
	jq_state *meta; /* runs `modulemeta` */
	struct {
		char **items;
		size_t n;
	} messages; /* of jq, not yet reported */
};

/* Paths */

void mapping_path_add(struct mapping_path *p, const char *dir)
{
	p->dirs = mem_grow(p->dirs, p->n, sizeof *p->dirs);
	p->dirs[p->n++] = mem_strdup(dir);
}

void mapping_path_fini(struct mapping_path *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->dirs[i]);
	free(p->dirs);
	*p = (struct mapping_path){ 0 };
}

/* Letters, digits, - _ and inside also dots: no path. */
static bool is_mapping_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";

	return *name && *name != '.' && !strstr(name, "..") && name[strspn(name, letters)] == '\0';
}

char *mapping_path_find(const struct mapping_path *p, const char *name)
{
	for (size_t i = 0; is_mapping_name(name) && i < p->n; i++) {
		char *file = mem_printf("%s/%s.jq", p->dirs[i], name);
		struct stat st;

		if (stat(file, &st) == 0 && !S_ISDIR(st.st_mode))
			return file;
		free(file);
	}
	return NULL;
}

static void report_not_found(const struct mapping_path *p, const char *name, struct report *report)
{
	struct buf dirs = { 0 };

	if (!is_mapping_name(name)) {
		report_error(report, "%s: no name of a mapping: letters, digits, - and _ only",
			     name);
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		buf_printf(&dirs, "%s%s", i ? ", " : "", p->dirs[i]);
	report_error(report, "%s.jq: not found in %s", name,
		     p->n ? buf_str(&dirs) : "the mapping path, which is empty");
	buf_fini(&dirs);
}

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

static void forget_message(void *ctx, jv msg)
{
	(void)ctx;
	jv_free(msg);
}

/* jq finds modules in `path` (taken); all paths are absolute.  libjq 1.6 aborts on an import when one of
 * these attributes is missing. */
static jq_state *new_state(struct loader *ld, const char *home, jv path)
{
	jq_state *jq = jq_init();

	jq_set_error_cb(jq, keep_message, ld);
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

		ok = functions_report_missing(&ld->m->functions, ld->m->file, name, ld->report);
		free(name);
	}
	return ok;
}

static void cut_out(char *text, const char *piece)
{
	char *at = strstr(text, piece);

	if (at)
		memmove(at, at + strlen(piece), strlen(at + strlen(piece)) + 1);
}

/* The " at " of the last " at PATH, line N", cut off there; NULL: no such place. */
static char *cut_place(char *text, unsigned *line)
{
	char *at = NULL, *number = strstr(text, ", line ");

	if (!number)
		return NULL;
	*number = '\0';
	for (char *p = text; (p = strstr(p, " at ")); p++)
		at = p;
	if (at)
		*at = '\0';
	*line = (unsigned)strtoul(number + strlen(", line "), NULL, 10);
	return at;
}

/* A mistake in a file that several programs were made of is told once. */
static void report_once(struct loader *ld, const char *place, const char *text)
{
	char *line = mem_printf("%s: %s", place, text);
	bool is_known = false;

	for (size_t i = ld->n_lines_before; i < ld->report->n_lines; i++)
		is_known = is_known || strcmp(ld->report->lines[i].text, line) == 0;
	if (!is_known)
		report_error(ld->report, "%s", line);
	free(line);
}

/* jq writes "jq: error: TEXT at PATH, line N:" and the line of the source behind. */
static void report_message(struct loader *ld, const char *shown, const char *message)
{
	static const char prefix[] = "jq: error: ";
	unsigned line = 0;
	char *text, *at;

	while (strncmp(message, prefix, strlen(prefix)) == 0)
		message += strlen(prefix);
	if (strncmp(message, "jq: ", 4) == 0) /* "jq: 2 compile errors" */
		return;
	text = mem_strndup(message, strcspn(message, "\n"));
	cut_out(text, " (Unix shell quoting issues?)");
	at = cut_place(text, &line);
	if (at && strcmp(at + 4, "<top-level>") != 0) {
		char *place = mem_printf("%s:%u", sources_shown(ld->sources, at + 4), line);

		report_once(ld, place, text);
		free(place);
	} else if (*text && !(at && report_missing(ld, text))) {
		report_once(ld, shown, text);
	}
	free(text);
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
		ld->meta = new_state(ld, dir, jv_array());
		if (!jq_compile(ld->meta, "modulemeta"))
			return false;
	}
	jq_set_attr(ld->meta, jv_string("JQ_LIBRARY_PATH"), JV_ARRAY(jv_string(dir)));
	return true;
}

/* A sources_metadata.  jq takes a module's name, not a path, and looks it up. */
static char *read_metadata(void *ctx, const char *file, const char *shown)
{
	const char *base = strrchr(file, '/') + 1;
	struct loader *ld = ctx;
	char *dir = sources_dirname(file), *text = NULL;
	jv meta = jv_null();

	if (start_meta(ld, dir)) {
		jq_start(ld->meta, jv_string_sized(base, (int)strlen(base) - (int)strlen(".jq")),
			 0);
		meta = jq_next(ld->meta);
		jq_start(ld->meta, jv_null(), 0); /* let go of the values */
	}
	if (!jv_is_valid(meta) && jv_invalid_has_msg(jv_copy(meta)))
		keep_message(ld, jv_invalid_get_msg(jv_copy(meta)));
	if (jv_get_kind(meta) == JV_KIND_OBJECT) {
		jv dump = jv_dump_string(jv_copy(meta), 0);

		text = mem_strdup(jv_string_value(dump));
		jv_free(dump);
	} else {
		report_messages(ld, shown);
	}
	jv_free(meta);
	free(dir);
	return text;
}

static void check_name(struct loader *ld, json_object *metadata, const char *key)
{
	json_object *value = NULL;

	if (!json_object_object_get_ex(metadata, key, &value) ||
	    !json_object_is_type(value, json_type_string) ||
	    strcmp(json_object_get_string(value), ld->name) == 0)
		return;
	report_error(ld->report, "%s: %s: \"%s\" is not the name of the file, \"%s\"", ld->m->file,
		     key, json_object_get_string(value), ld->name);
}

static void number_rows(struct mapping *m)
{
	for (size_t i = 0; i < m->dialect->n_rows; i++) {
		struct row *row = &m->dialect->rows[i];

		row->read_fn = functions_number(&m->functions, row->read);
		row->write_fn = functions_number(&m->functions, row->write);
		row->publish_fn = functions_number(&m->functions, row->publish);
	}
}

static void read_table(struct loader *ld, json_object *metadata)
{
	bool is_dialect = json_object_object_get_ex(metadata, "dialect", NULL);
	bool is_through = json_object_object_get_ex(metadata, "through", NULL);
	struct mapping *m = ld->m;
	struct buf text = { 0 };

	if (is_dialect == is_through) {
		report_error(ld->report, "%s: %s", m->file,
			     is_dialect
				     ? "a file is a dialect or a through file, not both"
				     : "neither a dialect nor a through file: its metadata has no "
				       "\"dialect\" and no \"through\"");
		return;
	}
	functions_collect(&m->functions, metadata);
	check_name(ld, metadata, is_dialect ? "dialect" : "through");
	json_object_object_del(metadata, "deps");
	json_object_object_del(metadata, "defs");   /* from 1.7 on */
	json_object_object_del(metadata, "search"); /* reported */
	jtext_tree_put(&text, metadata);
	if (is_dialect)
		m->dialect = dialect_new(m->file, text.data, text.len, ld->report);
	else
		m->through = through_new(m->file, text.data, text.len, ld->report);
	if (m->dialect)
		number_rows(m);
	buf_fini(&text);
}

/* The program */

/* Halving keeps the way to each function short. */
static void put_dispatch(const struct functions *f, size_t from, size_t to, struct buf *out)
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

static jq_state *new_program_state(struct loader *ld, const char *home)
{
	jv path = jv_array();
	char *const *dirs;
	size_t n = sources_dirs(ld->sources, &dirs);

	for (size_t i = 0; i < n; i++)
		path = jv_array_append(path, jv_string(dirs[i]));
	return new_state(ld, home, path);
}

/* With `search`, since jq otherwise looks in the current directory first. */
static void put_import(struct loader *ld, const char *home, struct buf *out)
{
	buf_printf(out, "import \"%s\" as m {search: ", ld->name);
	jtext_put_string(out, home, strlen(home));
	buf_puts(out, "}; ");
}

/* jq 1.7 does not look into functions while the program itself has mistakes, so where functions are
 * missing the others are tried without them. */
static void look_further(struct loader *ld, const char *home)
{
	struct functions *f = &ld->m->functions;
	struct buf program = { 0 };
	size_t n_missing = 0;
	jq_state *jq;

	put_import(ld, home, &program);
	buf_puts(&program, "empty");
	for (size_t i = 0; i < f->n; i++) {
		n_missing += f->items[i].is_missing;
		if (!f->items[i].is_missing)
			buf_printf(&program, ", m::%s", f->items[i].name);
	}
	if (n_missing) {
		jq = new_program_state(ld, home);
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
	char *given = sources_dirname(m->file), *dir = realpath(given, NULL);
	const char *home = dir ? dir : given;

	put_import(ld, home, &program);
	buf_puts(&program, ".[0] as $fn | .[1] | ");
	if (m->functions.n)
		put_dispatch(&m->functions, 0, m->functions.n, &program);
	else
		buf_puts(&program, ".");
	m->jq = new_program_state(ld, home);
	if (!jq_compile(m->jq, program.data)) {
		report_messages(ld, m->file);
		look_further(ld, home);
	}
	jq_set_error_cb(m->jq, forget_message, NULL);
	buf_fini(&program);
	free(given);
	free(dir);
}

static void load(struct loader *ld)
{
	char *text = sources_read(ld->sources, ld->m->file);
	json_object *metadata = text ? jtext_tree(text, strlen(text), NULL) : NULL;

	if (metadata)
		read_table(ld, metadata);
	if (metadata && sources_are_whole(ld->sources))
		compile(ld);
	json_object_put(metadata);
	free(text);
}

struct mapping *mapping_load(const struct mapping_path *p, const char *name, struct report *report)
{
	struct loader ld = { .name = name,
			     .report = report,
			     .n_lines_before = report->n_lines,
			     .n_errors_before = report->n_errors };
	char *file = mapping_path_find(p, name);

	if (!file) {
		report_not_found(p, name, report);
		return NULL;
	}
	ld.m = mem_zalloc(sizeof *ld.m);
	ld.m->file = file;
	ld.m->scrub = scrub_new();
	ld.sources = sources_new(p, ld.m->scrub, read_metadata, &ld, report);
	load(&ld);
	sources_free(ld.sources);
	if (ld.meta)
		jq_teardown(&ld.meta);
	for (size_t i = 0; i < ld.messages.n; i++)
		free(ld.messages.items[i]);
	free(ld.messages.items);
	if (report->n_errors != ld.n_errors_before) {
		mapping_free(ld.m);
		return NULL;
	}
	return ld.m;
}

void mapping_free(struct mapping *m)
{
	if (!m)
		return;
	if (m->jq)
		jq_teardown(&m->jq);
	dialect_free(m->dialect);
	through_free(m->through);
	functions_fini(&m->functions);
	scrub_free(m->scrub);
	free(m->file);
	free(m);
}

const char *mapping_file(const struct mapping *m)
{
	return m->file;
}

const struct dialect *mapping_dialect(const struct mapping *m)
{
	return m->dialect;
}

int mapping_through_fn(const struct mapping *m, enum flow flow)
{
	return m->through ? functions_number(&m->functions, m->through->function[flow]) : -1;
}

/* Calls */

/* One JSON value.  jv_parse_sized() would do the same, but its errors quote the whole text, and
 * unpatched ones read beyond it (CVE-2026-39979). */
static jv parse(const char *text, size_t len)
{
	struct jv_parser *parser = jv_parser_new(0);
	jv value, more;

	jv_parser_set_buf(parser, text, (int)len, 0);
	value = jv_parser_next(parser);
	if (jv_is_valid(value)) {
		more = jv_parser_next(parser);
		if (jv_is_valid(more) || jv_invalid_has_msg(jv_copy(more))) {
			jv_free(value);
			value = jv_invalid();
		}
		jv_free(more);
	}
	jv_parser_free(parser);
	return value;
}

/* Does no value lie deeper than jq can print?  It puts "<stripped: ...>" there, bare. */
static bool is_depth_ok(const char *text, size_t len)
{
	bool is_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (is_string && c == '\\')
			i++;
		else if (c == '"')
			is_string = !is_string;
		else if (is_string)
			continue;
		else if ((c == '[' || c == '{') && ++depth > JTEXT_MAX_DEPTH)
			return false;
		else if (c == ']' || c == '}')
			depth--;
	}
	return true;
}

struct call {
	struct mapping *m;
	jv texts; /* the outputs, kept until the run has ended: their receiver may call again */
	size_t n_bytes;
};

/* Keep one output (taken). */
static bool keep(struct call *c, jv value, struct err *e)
{
	jv text = jv_dump_string(value, 0);
	struct jslice output = { jv_string_value(text),
				 (size_t)jv_string_length_bytes(jv_copy(text)) };
	bool ok = false;

	c->n_bytes += output.len;
	if (jv_array_length(jv_copy(c->texts)) >= MAPPING_MAX_OUTPUTS)
		err_set(e, ERR_LIMIT, "more than %d outputs", MAPPING_MAX_OUTPUTS);
	else if (c->n_bytes > MAPPING_MAX_OUTPUT_BYTES)
		err_set(e, ERR_LIMIT, "more than %u bytes of output", MAPPING_MAX_OUTPUT_BYTES);
	else if (!is_depth_ok(output.text, output.len))
		err_set(e, ERR_LIMIT, "an output nested deeper than %d", JTEXT_MAX_DEPTH);
	else
		ok = true;
	if (ok)
		c->texts = jv_array_append(c->texts, text);
	else
		jv_free(text);
	return ok;
}

/* Why it ended without a value: `last` is taken.  True if that was its end. */
static bool is_end(const struct call *c, jv last, struct err *e)
{
	struct buf shown = { 0 };
	bool ok = false;
	jv msg;

	if (jq_halted(c->m->jq)) {
		err_set(e, ERR_INVALID, "the function halted");
	} else if (!jv_invalid_has_msg(jv_copy(last))) {
		ok = true;
	} else {
		msg = jv_invalid_get_msg(jv_copy(last));
		if (jv_get_kind(msg) == JV_KIND_STRING)
			scrub_text(c->m->scrub, jv_string_value(msg),
				   (size_t)jv_string_length_bytes(jv_copy(msg)), &shown);
		else
			buf_puts(&shown, "the function failed with an error that is no text");
		err_set(e, ERR_INVALID, "%s", buf_str(&shown));
		buf_fini(&shown);
		jv_free(msg);
	}
	jv_free(last);
	return ok;
}

static bool run(struct call *c, struct err *e)
{
	for (;;) {
		jv value = jq_next(c->m->jq);

		if (!jv_is_valid(value))
			return is_end(c, value, e);
		if (!keep(c, value, e))
			return false;
	}
}

static void hand_out(jv texts, bool (*on_output)(void *ctx, struct jslice output), void *ctx)
{
	int n = jv_array_length(jv_copy(texts));
	bool more = true;

	for (int i = 0; more && i < n; i++) {
		jv text = jv_array_get(jv_copy(texts), i);

		more = on_output(ctx,
				 (struct jslice){ jv_string_value(text),
						  (size_t)jv_string_length_bytes(jv_copy(text)) });
		jv_free(text);
	}
}

bool mapping_call(struct mapping *m, int fn, const char *input, size_t len,
		  bool (*on_output)(void *ctx, struct jslice output), void *ctx, struct err *e)
{
	struct call c = { .m = m };
	bool ok;
	jv value;

	if (len > INT_MAX) {
		err_set(e, ERR_LIMIT, "the input is too large");
		return false;
	}
	value = parse(input, len);
	if (!jv_is_valid(value)) {
		jv_free(value);
		err_set(e, ERR_INVALID, "jq cannot read the input");
		return false;
	}
	jq_start(m->jq, JV_ARRAY(jv_number(fn), value), 0);
	c.texts = jv_array();
	ok = run(&c, e);
	if (ok)
		hand_out(c.texts, on_output, ctx);
	else
		jq_start(m->jq, jv_null(), 0); /* let go of what the run still holds */
	jv_free(c.texts);
	return ok;
}

bool mapping_keeps_numbers(void)
{
	static const char wide[] = "9007199254740993"; /* 2^53 + 1 */
	static int known = -1;

	if (known < 0) {
		jq_state *jq = jq_init();
		jv text;

		jq_set_error_cb(jq, forget_message, NULL);
		jq_compile(jq, ".");
		jq_start(jq, parse(wide, strlen(wide)), 0);
		text = jv_dump_string(jq_next(jq), 0);
		known = strcmp(jv_string_value(text), wide) == 0;
		jv_free(text);
		jq_teardown(&jq);
	}
	return known;
}
