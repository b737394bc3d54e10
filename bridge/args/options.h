/* options.h -- a command line by its tables: options, usage, misuse, and results that could not be
 * written.  What calque and calque-bench have in common. */
#ifndef BRIDGE_OPTIONS_H
#define BRIDGE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A verb as its usage tells it. */
struct verb {
	const char *name, *args, *help;
	int min_args, max_args;
	uint64_t options; /* the bits of those that it knows */
};

struct option_row {
	uint64_t bit;
	char letter; /* 0: none */
	const char *name, *arg, *help;
	/* Put what was given into the caller's struct; false: it cannot be that.  NULL: set ... */
	bool (*take)(void *into, const char *arg);
	size_t flag; /* ... this bool of the struct, by its offset */
};

#define OPTIONS_MAX  64 /* rows of a table */
#define OPTIONS_GOOD (-1)

/* Read the options of `verb` into `into` by the `n` rows; *argc and *argv (argv[0]: the verb's name)
 * become the arguments, borrowed.  OPTIONS_GOOD, or the exit status: help was asked for and printed, or
 * what is wrong was told. */
int options_read(const struct verb *verb, const struct option_row *rows, size_t n, void *into,
		 int *argc, char ***argv);

/* "calque VERB: text" on stderr; returns EXIT_MISUSED. */
int options_misused(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The exit status of a verb that ended with `status`: results that could not be written are no
 * results, which is told. */
int options_end(const char *verb, int status);

#endif
