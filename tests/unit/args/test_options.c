#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "args/options.h"
#include "base/exit_status.h"

struct said {
	const char *name;
	long n;
	bool is_loud;
};

static bool take_name(void *into, const char *arg)
{
	struct said *s = into;

	s->name = arg;
	return true;
}

static bool take_number(void *into, const char *arg)
{
	struct said *s = into;

	s->n = strtol(arg, NULL, 10);
	return s->n > 0;
}

enum { NAME = 1, NUMBER = 2, LOUD = 4, OTHER = 8 };

static const struct option_row rows[] = {
	{ NAME, 'n', "name", "NAME", "who", take_name, 0 },
	{ NUMBER, 0, "number", "N", "how many", take_number, 0 },
	{ OTHER, 0, "number", "N", "the same word for another verb", take_name, 0 },
	{ LOUD, 0, "loud", NULL, "aloud", NULL, offsetof(struct said, is_loud) },
};
static const struct verb sing = { "sing", "SONG", "sing a song", 1, 2, NAME | NUMBER | LOUD };
static const struct verb hum = { "hum", "", "no words", 0, 0, OTHER };

struct line {
	struct said said;
	int argc, status;
	char **argv, *words[8];
};

/* What `verb` makes of the words, which end with NULL. */
static struct line *read_line(const struct verb *verb, const char *const *words)
{
	static struct line l;

	l = (struct line){ .argv = l.words, .words = { "verb" }, .argc = 1 };
	for (; *words; words++)
		l.words[l.argc++] = (char *)*words;
	l.status =
		options_read(verb, rows, sizeof rows / sizeof rows[0], &l.said, &l.argc, &l.argv);
	return &l;
}
#define READ(verb, ...) read_line(verb, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

Test(options, fill_in_the_struct_and_leave_the_arguments)
{
	struct line *l = READ(&sing, "-n", "Ann", "one", "--number=3", "--loud", "two");

	cr_assert_eq(l->status, OPTIONS_GOOD);
	cr_assert_str_eq(l->said.name, "Ann");
	cr_assert_eq(l->said.n, 3);
	cr_assert(l->said.is_loud);
	cr_assert_eq(l->argc, 2);
	cr_assert_str_eq(l->argv[0], "one");
	cr_assert_str_eq(l->argv[1], "two");
}

Test(options, that_are_not_given_change_nothing)
{
	struct line *l = READ(&sing, "one");

	cr_assert_eq(l->status, OPTIONS_GOOD);
	cr_assert(!l->said.name && !l->said.n && !l->said.is_loud);
}

Test(options, of_another_verb_are_misuse)
{
	cr_assert_eq(READ(&hum, "--loud")->status, EXIT_MISUSED);
	cr_assert_eq(READ(&hum, "-n", "Ann")->status, EXIT_MISUSED);
}

Test(options, of_the_same_name_are_those_of_the_verb)
{
	struct line *l = READ(&hum, "--number", "x");

	cr_assert_eq(l->status, OPTIONS_GOOD);
	cr_assert_str_eq(l->said.name, "x");
}

Test(options, that_cannot_be_so_are_misuse)
{
	cr_assert_eq(READ(&sing, "one", "--number", "0")->status, EXIT_MISUSED);
	cr_assert_eq(READ(&sing, "one", "--number")->status, EXIT_MISUSED);
	cr_assert_eq(READ(&sing, "one", "--loud=3")->status, EXIT_MISUSED);
}

Test(options, want_as_many_arguments_as_the_verb_takes)
{
	cr_assert_eq(READ(&sing)->status, EXIT_MISUSED);
	cr_assert_eq(READ(&sing, "1", "2", "3")->status, EXIT_MISUSED);
	cr_assert_eq(READ(&hum)->status, OPTIONS_GOOD);
}

Test(options, help_ends_the_verb_well)
{
	cr_assert_eq(READ(&sing, "--help")->status, EXIT_DONE);
	cr_assert_eq(READ(&sing, "-h")->status, EXIT_DONE);
}
