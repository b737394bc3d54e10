#include "jq/jq_lint.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "jq/jq_hazard.h"
#include "jq/jq_lex.h"

enum group { CLOCK, ZONE, ENVIRONMENT, OTHER_INPUT, WRITING, STOPPING, FILES };

static const char *const reasons[] = {
	[CLOCK] = "a translation must depend on its input alone; .at is when the message arrived",
	[ZONE] = "the time zone of this machine must not matter; use gmtime or strftime (UTC)",
	[ENVIRONMENT] =
		"the environment must not matter; give values as `vars` in the configuration",
	[OTHER_INPUT] = "a function gets one message, as its input `.`, and nothing else",
	[WRITING] = "a translation writes nothing; look at its outputs with `calque translate`",
	[STOPPING] = "a function must not stop the program; to refuse a message say error(\"why\")",
	[FILES] = "a translation must not look at files or search paths",
};

static const struct forbidden {
	const char *name;
	enum group group;
} forbidden[] = {
	{ "now", CLOCK },
	{ "localtime", ZONE },
	{ "strflocaltime", ZONE },
	{ "env", ENVIRONMENT },
	{ "$ENV", ENVIRONMENT },
	{ "$__prog_args", ENVIRONMENT },
	{ "input", OTHER_INPUT },
	{ "inputs", OTHER_INPUT },
	{ "_input", OTHER_INPUT }, /* what `input` is made of in jq 1.6 */
	{ "input_filename", OTHER_INPUT },
	{ "input_line_number", OTHER_INPUT },
	{ "debug", WRITING },
	{ "stderr", WRITING },
	{ "halt", STOPPING },
	{ "halt_error", STOPPING },
	{ "modulemeta", FILES },
	{ "get_search_list", FILES },
	{ "get_prog_origin", FILES },
	{ "get_jq_origin", FILES },
};

struct lint {
	const char *file;
	struct report *report;
	bool ok;
};

static void mistake(struct lint *l, unsigned line, const char *text)
{
	report_error(l->report, "%s:%u: %s", l->file, line, text);
	l->ok = false;
}

/* Whether a comment goes on after a backslash, and ends at a carriage return, depends on the version
 * of jq (1.7.1 changed it), so what it hides does too. */
static void check_comment(struct lint *l, const struct jq_comment *c)
{
	size_t len = c->text[c->len - 1] == '\r' ? c->len - 1 : c->len;

	if (c->text[len - 1] == '\\')
		mistake(l, c->line,
			"a comment must not end in a backslash: versions of jq disagree on it");
	if (memchr(c->text, '\r', len))
		mistake(l, c->line, "a comment must not hold a carriage return");
}

/* `name` is a name of code, or with a $ one of a variable. */
static bool names(const struct jq_token *t, const char *name)
{
	return *name == '$' ? jq_token_is(t, JQ_VARIABLE, name + 1) : jq_token_is(t, JQ_WORD, name);
}

static void check_name(struct lint *l, const struct jq_token *t)
{
	for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
		const struct forbidden *f = &forbidden[i];

		if (!names(t, f->name))
			continue;
		report_error(l->report, "%s:%u: `%s` is not allowed in a mapping: %s", l->file,
			     t->line, f->name, reasons[f->group]);
		l->ok = false;
	}
}

/* In the order in which they stand. */
static void check_all(struct lint *l, const struct jq_source *s)
{
	size_t c = 0;

	for (size_t i = 0; i < s->n; i++) {
		while (c < s->n_comments && s->comments[c].text < s->tokens[i].text)
			check_comment(l, &s->comments[c++]);
		check_name(l, &s->tokens[i]);
	}
	while (c < s->n_comments)
		check_comment(l, &s->comments[c++]);
}

static void collect_imports(struct jq_lint_imports *im, const struct jq_source *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!names(&s->tokens[i], "import") && !names(&s->tokens[i], "include"))
			continue;
		im->lines = mem_grow(im->lines, im->n, sizeof *im->lines);
		im->lines[im->n++] = s->tokens[i].line;
	}
}

bool jq_lint_check(const char *file, const char *source, size_t len,
		   struct jq_lint_imports *imports, struct report *report)
{
	struct lint l = { file, report, true };
	struct jq_source s;

	if (imports)
		*imports = (struct jq_lint_imports){ 0 };
	if (len && memchr(source, '\0', len)) {
		report_error(report, "%s: holds a NUL byte, so it is no jq source", file);
		return false;
	}
	jq_source_read(&s, source, len);
	check_all(&l, &s);
	if (imports)
		collect_imports(imports, &s);
	jq_hazard_check(file, &s, report);
	jq_source_fini(&s);
	return l.ok;
}

void jq_lint_imports_fini(struct jq_lint_imports *imports)
{
	free(imports->lines);
	*imports = (struct jq_lint_imports){ 0 };
}
