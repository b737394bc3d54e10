/* calque new NAME --from FILE: a mapping and its cases out of messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "author/samples.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "offline/cases.h"
#include "work/compiler.h"

#define MOST_BYTES (64u << 20)

/* What comes out of the messages is what is expected of them. */
static int expect_what_comes(const char *dir, const char *cases, struct compiler *compiler)
{
	struct mapping_path path = { 0 };
	struct case_counts counts = { .accepts = true };
	struct build build;

	mapping_path_add(&path, dir);
	build_init(&build, &path, NULL);
	build.loader = compiler_loader(compiler);
	cases_run_file(&build, cases, NULL, &counts);
	fflush(stdout);
	cli_print_report(&counts.hints);
	report_fini(&counts.hints);
	build_fini(&build);
	mapping_path_fini(&path);
	return counts.failed ? EXIT_FAILED : EXIT_DONE;
}

static int write_files(const struct samples *s, const char *name, const char *dir,
		       struct compiler *compiler)
{
	char *mapping = mem_printf("%s/%s.jq", dir, name);
	char *cases = mem_printf("%s/%s.cases.json", dir, name);
	struct buf text = { 0 }, case_text = { 0 };
	int status = EXIT_FAILED;
	struct err e = { 0 };

	samples_put_mapping(s, name, &text);
	samples_put_cases(s, name, &case_text);
	if (!buf_write_new(&text, mapping, 0666, &e)) {
		fprintf(stderr, "calque new: %s\n", e.text);
	} else if (!buf_write_new(&case_text, cases, 0666, &e)) {
		fprintf(stderr, "calque new: %s\n", e.text);
		unlink(mapping);
	} else {
		status = expect_what_comes(dir, cases, compiler);
		printf("wrote %s and %s: the kinds are guessed, and what came out is expected; "
		       "look at "
		       "both\n",
		       mapping, cases);
	}
	buf_fini(&text);
	buf_fini(&case_text);
	free(mapping);
	free(cases);
	return status;
}

int verb_new_from(struct cli *cli, const char *dir)
{
	struct compiler *compiler;
	struct samples *s = NULL;
	struct buf text = { 0 };
	struct err e = { 0 };
	int status = EXIT_FAILED;

	log_least(LOG_ERROR);
	compiler = apart_begin("new");
	if (compiler && buf_append_file(&text, cli->samples, MOST_BYTES, &e))
		s = samples_new(buf_str(&text), &e);
	if (s)
		status = write_files(s, cli->argv[0], dir, compiler);
	else if (compiler)
		fprintf(stderr, "calque new: %s: %s\n", cli->samples, e.text);
	samples_free(s);
	buf_fini(&text);
	compiler_free(compiler);
	return status;
}
