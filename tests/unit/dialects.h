/* dialects.h -- for tests: mappings written as texts, in a directory of the test's own, and the plan
 * of a link between two of them.  In all texts ' stands for ". */
#ifndef TESTS_DIALECTS_H
#define TESTS_DIALECTS_H

#include <ctype.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "jq/mapping.h"
#include "plan/plan.h"

#define DIALECT(name, keys, rows, functions)                                                       \
	"module { dialect: '" name "', " keys " messages: [" rows "] };\n" functions
/* The two of most tests. */
#define SOUTHERN(keys, rows, functions) DIALECT("s", keys, rows, functions)
#define NORTHERN(keys, rows, functions) DIALECT("n", keys, rows, functions)

#define THROUGHS 2

struct world {
	char dir[32];
	struct mapping_path path;
	struct vars vars[SIDES], through_vars[THROUGHS];
	struct mapping *through[THROUGHS];
	struct mapping *mapping[SIDES];
	struct plan_spec spec; /* the test sets what is not usual */
	struct report report;
	struct plan *plan;
};

/* `text` with " for '; caller frees. */
static inline char *quoted(const char *text)
{
	char *copy = mem_strdup(text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static inline void world_init(struct world *w)
{
	*w = (struct world){ .dir = "/tmp/calque-dialects-XXXXXX" };
	cr_assert_not_null(mkdtemp(w->dir));
	mapping_path_add(&w->path, w->dir);
	w->spec = (struct plan_spec){
		.name = "link",
		.where = { "t.conf:1: south", "t.conf:2: north" },
		.request_timeout_ms = 30000,
		.command_max_age_ms = 60000,
	};
	w->spec.through = mem_zalloc(THROUGHS * sizeof *w->spec.through);
}

static inline void world_fini(struct world *w)
{
	char *rm = mem_printf("rm -rf %s", w->dir);

	plan_free(w->plan);
	for (int s = 0; s < SIDES; s++) {
		mapping_free(w->mapping[s]);
		vars_fini(&w->vars[s]);
	}
	for (int i = 0; i < THROUGHS; i++) {
		mapping_free(w->through[i]);
		vars_fini(&w->through_vars[i]);
	}
	free(w->spec.through);
	report_fini(&w->report);
	mapping_path_fini(&w->path);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

static inline void world_write(struct world *w, const char *name, const char *text)
{
	char *file = mem_printf("%s/%s.jq", w->dir, name), *jq = quoted(text);
	FILE *f = fopen(file, "w");

	cr_assert_not_null(f);
	fputs(jq, f);
	fclose(f);
	free(file);
	free(jq);
}

static inline struct mapping *world_load(struct world *w, const char *name, const char *text)
{
	struct mapping *m;

	world_write(w, name, text);
	m = mapping_load(&w->path, name, &w->report);
	cr_assert(m, "%s: %s", name, w->report.n_lines ? w->report.lines[0].text : "");
	return m;
}

static inline void world_through(struct world *w, const char *name, const char *text)
{
	size_t i = w->spec.n_through++;

	w->through[i] = world_load(w, name, text);
	w->spec.through[i].mapping = w->through[i];
	w->spec.through[i].vars = &w->through_vars[i];
}

static inline void world_set(struct world *w, enum side side, const char *name, const char *value)
{
	vars_set(&w->vars[side], name, value, false);
}

/* The plan, or NULL and the mistakes in w->report. */
static inline struct plan *world_try(struct world *w, const char *south, const char *north)
{
	w->mapping[SOUTH] = world_load(w, "s", south);
	w->mapping[NORTH] = world_load(w, "n", north);
	for (int s = 0; s < SIDES; s++) {
		w->spec.mapping[s] = w->mapping[s];
		w->spec.vars[s] = &w->vars[s];
	}
	return w->plan = plan_new(&w->spec, &w->report);
}

static inline struct plan *world_plan(struct world *w, const char *south, const char *north)
{
	struct plan *p = world_try(w, south, north);

	cr_assert(p, "%s", w->report.n_lines ? w->report.lines[0].text : "");
	return p;
}

static inline void expect_text(const char *got, const char *wanted, const char *what, int line)
{
	char *q = quoted(wanted);

	cr_expect_str_eq(got, q, "line %d, %s:\n  wanted %s\n  got    %s", line, what, q, got);
	free(q);
}

/* The token that the bridge chose, as it stands in a question of a handshake: the length of that; 0: s is something
 * else.  *token is where it begins. */
static inline size_t chosen_token(const char *s, size_t n, const char **token)
{
	static const char before[] = "\"credentials_type\":\"ACCESS_TOKEN\",\"token\":\"";
	const size_t at = sizeof before - 1;

	if (n < at + 33 || strncmp(s, before, at) != 0 || s[at + 32] != '"')
		return 0;
	for (size_t i = 0; i < 32; i++)
		if (!isalnum((unsigned char)s[at + i]))
			return 0;
	*token = s + at;
	return at + 33;
}

#endif
