/* calque bench: another program does it (args/bench.h); this one becomes it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args/bench.h"
#include "base/mem.h"
#include "cli/cli.h"

/* Where it is, from the directory in which we are: where both were built, and where they are installed. */
static const char *const places[] = { "", CALQUE_BIN_TO_LIBEXEC "/" };

/* Comes back only with what went wrong, as errno. */
static int become(const char *path, const char *calque, const struct cli *cli)
{
	char **argv = mem_zalloc(sizeof *argv * ((size_t)cli->argc + 2));
	int error;

	argv[0] = (char *)path;
	argv[1] = (char *)calque;
	for (int i = 1; i < cli->argc; i++) /* 0 is the verb */
		argv[i + 1] = cli->argv[i];
	execv(path, argv);
	error = errno;
	free(argv);
	return error;
}

int verb_bench(struct cli *cli)
{
	char calque[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", calque, sizeof calque - 1);
	const char *slash = n > 0 ? strrchr(calque, '/') : NULL;
	int dir = slash ? (int)(slash - calque) : 0, error = ENOENT;

	for (size_t i = 0; error == ENOENT && i < sizeof places / sizeof places[0]; i++) {
		char *path = mem_printf("%.*s/%s" BENCH_PROGRAM, dir, calque, places[i]);

		error = become(path, calque, cli);
		if (error != ENOENT)
			fprintf(stderr, "calque bench: %s: %s\n", path, strerror(error));
		free(path);
	}
	if (error == ENOENT)
		fprintf(stderr,
			"calque bench: there is no " BENCH_PROGRAM
			" in %.*s/ or %.*s/%s: build all of "
			"calque, or install it with `cmake --install`\n",
			dir, calque, dir, calque, places[1]);
	return EXIT_FAILED;
}
