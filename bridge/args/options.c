#include "args/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/exit_status.h"

/* What getopt_long() gives for the long options: no letters. */
#define VAL_HELP 1000
#define VAL_ROW	 2000

int options_misused(const char *verb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "calque %s: ", verb);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (calque %s --help)\n", verb);
	return EXIT_MISUSED;
}

static void print_usage(const struct verb *v, const struct option_row *rows, size_t n)
{
	printf("usage: calque %s [OPTION...]%s%s\n\n%s\n\n", v->name, *v->args ? " " : "", v->args,
	       v->help);
	for (size_t i = 0; i < n; i++) {
		const struct option_row *o = &rows[i];
		char left[60];

		if (!(v->options & o->bit))
			continue;
		if (o->letter)
			snprintf(left, sizeof left, "-%c, --%s %s", o->letter, o->name,
				 o->arg ? o->arg : "");
		else
			snprintf(left, sizeof left, "--%s %s", o->name, o->arg ? o->arg : "");
		printf("  %-28s %s\n", left, o->help);
	}
	puts("\nexit status: 0 done, 1 failed, 2 misused or nothing matched, 3 storage failed");
}

static bool take(const struct option_row *o, void *into, const char *arg)
{
	if (o->take)
		return o->take(into, arg);
	*(bool *)((char *)into + o->flag) = true;
	return true;
}

/* The verb's rows as getopt_long() wants them. */
static void list_options(const struct verb *v, const struct option_row *rows, size_t n,
			 struct option *longs, char *letters)
{
	for (size_t i = 0; i < n; i++) {
		if (!(v->options & rows[i].bit))
			continue;
		*longs++ = (struct option){ rows[i].name,
					    rows[i].arg ? required_argument : no_argument, NULL,
					    (int)(VAL_ROW + i) };
		if (rows[i].letter) {
			*letters++ = rows[i].letter;
			*letters++ = ':';
		}
	}
	*longs = (struct option){ "help", no_argument, NULL, VAL_HELP };
	*letters = 'h';
}

/* One by one, through getopt_long(). */
static int take_all(const struct verb *v, const struct option_row *rows, size_t n, void *into,
		    int argc, char **argv)
{
	struct option longs[OPTIONS_MAX + 2] = { 0 };
	char letters[2 * OPTIONS_MAX + 2] = "";
	int c;

	assert(n <= OPTIONS_MAX);
	list_options(v, rows, n, longs, letters);
	optind = 1;
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		size_t i = 0;

		if (c == VAL_HELP || c == 'h') {
			print_usage(v, rows, n);
			return EXIT_DONE;
		}
		if (c == '?')
			return EXIT_MISUSED;
		while (i < n && c != (int)(VAL_ROW + i) && c != rows[i].letter)
			i++;
		assert(i < n);
		if (!take(&rows[i], into, optarg))
			return options_misused(v->name, "--%s takes %s, not \"%s\"", rows[i].name,
					       rows[i].arg, optarg);
	}
	return OPTIONS_GOOD;
}

int options_read(const struct verb *v, const struct option_row *rows, size_t n, void *into,
		 int *argc, char ***argv)
{
	char name[40], *own = (*argv)[0];
	int status;

	snprintf(name, sizeof name, "calque %s", v->name);
	(*argv)[0] = name; /* so getopt calls us */
	status = take_all(v, rows, n, into, *argc, *argv);
	(*argv)[0] = own;
	if (status != OPTIONS_GOOD)
		return status;
	*argc -= optind;
	*argv += optind;
	if (*argc < v->min_args || *argc > v->max_args)
		return options_misused(v->name, "usage: calque %s %s", v->name, v->args);
	return OPTIONS_GOOD;
}

int options_end(const char *verb, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "calque %s: standard output: %s\n", verb, strerror(errno));
	return status == EXIT_DONE ? EXIT_FAILED : status;
}
