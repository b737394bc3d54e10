/* calque replay: messages through an old and a new mapping, and what comes out differently.
 *
 * What the old mapping makes of them is written down as the expectations of a copy (offline/accept.h), which the new
 * one has to meet then.  Those of the file itself do not count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "author/scratch.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "message/kind.h"
#include "offline/cases.h"
#include "work/compiler.h"

#define MOST_BYTES (256u << 20)
#define SOME_TIME  INT64_C(1700000000000) /* of what does not say when it was: the same for both */

/* What takes a placeholder, which later steps need, stays; it is overwritten with what comes out. */
static void strip_step(json_object *step)
{
	json_object *expect = NULL;

	if (json_object_object_get_ex(step, "expect", &expect) &&
	    !strstr(json_object_to_json_string(expect), "{{"))
		json_object_object_del(step, "expect");
	json_object_object_del(step, "dead");
	json_object_object_del(step, "filtered");
}

static void strip_case(json_object *c)
{
	json_object *steps = NULL, *first = c;

	strip_step(c);
	if (json_object_object_get_ex(c, "steps", &steps) &&
	    json_object_is_type(steps, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(steps); i++)
			strip_step(json_object_array_get_idx(steps, i));
		first = json_object_array_get_idx(steps, 0);
	}
	if (json_object_is_type(first, json_type_object) &&
	    !json_object_object_get_ex(first, "at", NULL))
		json_object_object_add(first, "at", json_object_new_int64(SOME_TIME));
}

/* The cases without what they expect; false sets *e. */
static bool read_inputs(const char *file, struct buf *out, struct err *e)
{
	struct buf text = { 0 }, strict = { 0 };
	json_object *list = NULL;
	bool ok = buf_append_file(&text, file, MOST_BYTES, e) &&
		  jtext_read(buf_str(&text), text.len, false, &strict, e);

	if (ok)
		list = jtext_tree(strict.data, strict.len, e);
	ok = ok && json_object_is_type(list, json_type_array);
	if (!ok && e->code == ERR_NONE)
		err_set(e, ERR_INVALID, "an array of cases was expected");
	for (size_t i = 0; ok && i < json_object_array_length(list); i++)
		if (json_object_is_type(json_object_array_get_idx(list, i), json_type_object))
			strip_case(json_object_array_get_idx(list, i));
	if (ok)
		jtext_tree_put(out, list);
	json_object_put(list);
	buf_fini(&text);
	buf_fini(&strict);
	return ok;
}

/* With the mappings of this directory before all others. */
static void run_with(const struct cli *cli, const char *dir, const char *copy,
		     struct compiler *compiler, struct case_counts *counts)
{
	struct mapping_path path = { 0 };
	struct build build;

	mapping_path_add(&path, dir);
	for (size_t i = 0; i < cli->mappings.n; i++)
		mapping_path_add(&path, cli->mappings.dirs[i]);
	build_init(&build, &path, NULL);
	build.loader = compiler_loader(compiler);
	cases_run_file(&build, copy, NULL, counts);
	build_fini(&build);
	mapping_path_fini(&path);
}

static int replay(const struct cli *cli, const char *copy, struct compiler *compiler)
{
	struct case_counts before = { .accepts = true, .is_quiet = true, .shown = cli->argv[0] };
	struct case_counts after = { .shown = cli->argv[0], .word = "DIFFERS" };

	run_with(cli, cli->argv[1], copy, compiler, &before);
	if (!before.failed)
		run_with(cli, cli->argv[2], copy, compiler, &after);
	for (int k = 0; k < KINDS; k++)
		if (after.differs[k])
			printf("%s: %zu\n", kind_name((enum kind)k), after.differs[k]);
	if (after.differs[KIND_NONE])
		printf("nothing any more: %zu\n", after.differs[KIND_NONE]);
	printf("%zu the same, %zu differ\n", after.passed, after.failed + before.failed);
	report_fini(&before.hints);
	report_fini(&after.hints);
	return before.failed + after.failed ? EXIT_FAILED : EXIT_DONE;
}

int verb_replay(struct cli *cli)
{
	struct compiler *compiler;
	struct buf text = { 0 };
	struct err e = { 0 };
	char *copy = NULL;
	int status = EXIT_FAILED;

	log_least(LOG_ERROR);
	if (read_inputs(cli->argv[0], &text, &e))
		copy = scratch_write(&text, &e);
	if (!copy)
		fprintf(stderr, "calque replay: %s: %s\n", cli->argv[0], e.text);
	compiler = copy ? apart_begin("replay") : NULL;
	if (compiler)
		status = replay(cli, copy, compiler);
	compiler_free(compiler);
	if (copy)
		unlink(copy);
	free(copy);
	buf_fini(&text);
	return status;
}
