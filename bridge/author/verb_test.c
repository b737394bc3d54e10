/* calque test: run case files. */
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "offline/cases.h"
#include "cli/apart.h"
#include "cli/chosen_link.h"
#include "cli/cli.h"
#include "cli/watch.h"
#include "conf/build.h"
#include "work/compiler.h"

#define SUFFIX ".cases.json"

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* The mappings beside the cases come first. */
static void add_directory_of(struct mapping_path *path, const char *file)
{
	char *copy = mem_strdup(file);

	mapping_path_add(path, is_directory(file) ? file : dirname(copy));
	free(copy);
}

/* The case files that a path means: a directory's, a file, or those of a mapping. */
static char *pattern_of(const char *path)
{
	if (is_directory(path))
		return mem_printf("%s/*" SUFFIX, path);
	if (ends_with(path, ".jq"))
		return mem_printf("%.*s" SUFFIX, (int)strlen(path) - 3, path);
	return mem_strdup(path);
}

static void run_path(struct build *build, const char *path, const struct conf_link *link,
		     struct case_counts *counts)
{
	char *pattern = pattern_of(path);
	glob_t found = { 0 };

	if (glob(pattern, is_directory(path) ? 0 : GLOB_NOCHECK, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			cases_run_file(build, found.gl_pathv[i], link, counts);
	globfree(&found);
	free(pattern);
}

/* All cases once; the exit status. */
static int run_all(struct build *build, const struct cli *cli, const struct conf_link *link)
{
	struct case_counts counts = { .accepts = cli->accepts };

	if (cli->argc > 0)
		for (int i = 0; i < cli->argc; i++)
			run_path(build, cli->argv[i], link, &counts);
	else
		for (size_t i = 0; i < build->path.n; i++)
			run_path(build, build->path.dirs[i], link, &counts);
	fflush(stdout);
	cli_print_report(&counts.hints);
	printf("%zu passed, %zu failed", counts.passed, counts.failed);
	if (cli->accepts)
		printf(", %zu accepted", counts.accepted);
	putchar('\n');
	fflush(stdout);
	report_fini(&counts.hints);
	if (counts.passed + counts.failed == 0)
		return EXIT_MISUSED;
	return counts.failed ? EXIT_FAILED : EXIT_DONE;
}

/* Until a signal ends us. */
static int run_again_and_again(struct build *build, const struct cli *cli,
			       const struct conf_link *link)
{
	struct watch *w;
	struct buf file = { 0 }, time = { 0 };
	struct err e = { 0 };

	clock_put_local(&time);
	w = watch_open(&build->path, &e);
	if (w)
		run_all(build, cli, link);
	while (w && watch_wait(w, &file, &e)) {
		build_forget(build);
		buf_reset(&time);
		clock_put_local(&time);
		printf("--- %s %s\n", buf_str(&time), buf_str(&file));
		run_all(build, cli, link);
	}
	fprintf(stderr, "calque test: %s\n", e.text);
	watch_close(w);
	buf_fini(&file);
	buf_fini(&time);
	return EXIT_FAILED;
}

int verb_test(struct cli *cli)
{
	struct mapping_path path = { 0 };
	struct chosen_link chosen;
	struct compiler *compiler;
	struct buf time = { 0 };
	struct build build;
	int status;

	if (cli->accepts && cli->is_watch)
		return options_misused("test", "--accept changes what --watch would look at");
	log_least(LOG_ERROR);	/* what ends a mapping's process is said where it is not expected */
	clock_put_local(&time); /* takes TZ from the environment, while it is there */
	buf_fini(&time);
	compiler = apart_begin("test");
	if (!compiler || !chosen_link_read(&chosen, cli)) {
		compiler_free(compiler);
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < cli->mappings.n; i++)
		mapping_path_add(&path, cli->mappings.dirs[i]);
	for (int i = 0; i < cli->argc; i++)
		add_directory_of(&path, cli->argv[i]);
	build_init(&build, &path, chosen.conf);
	build.loader = compiler_loader(compiler);
	status = cli->is_watch ? run_again_and_again(&build, cli, chosen.link)
			       : run_all(&build, cli, chosen.link);
	build_fini(&build);
	compiler_free(compiler);
	chosen_link_fini(&chosen);
	mapping_path_fini(&path);
	return status;
}
