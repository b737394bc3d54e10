#include <criterion/criterion.h>

#include "base/guess.h"

static const char *guessed(const char *wrong, const char *const *words)
{
	struct guess g = { .wrong = wrong };

	for (; *words; words++)
		guess_try(&g, *words);
	return g.best ? g.best : "nothing";
}

Test(guess, says_what_is_close)
{
	static const char *const words[] = {
		"url", "up", "topic", "username", "server_name", NULL
	};
	static const char *const cases[][2] = {
		{ "ur", "url" },	     /* a letter left out */
		{ "upp", "up" },	     /* one too many */
		{ "tobic", "topic" },	     /* another one */
		{ "usernmae", "username" },  /* two swapped */
		{ "Topic", "topic" },	     /* capitals do not count */
		{ "usrnam", "username" },    /* two letters of many */
		{ "server", "server_name" }, /* begun */
		{ "us", "nothing" },	     /* too short for that */
		{ "tip", "nothing" },	     /* most letters are wrong */
		{ "", "nothing" },
		{ "a_very_long_word_that_nobody_could_have_meant_for_that", "nothing" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_str_eq(guessed(cases[i][0], words), cases[i][1], "%s: %s", cases[i][0],
				 guessed(cases[i][0], words));
}

Test(guess, says_the_first_of_those_that_are_as_close)
{
	static const char *const words[] = { "read", "real", NULL };

	cr_expect_str_eq(guessed("reat", words), "read");
}
