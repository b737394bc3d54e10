#include "message/outcome.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static bool is_there(const char *list, const char *word)
{
	char padded[200], wanted[60];

	snprintf(padded, sizeof padded, ",%s,", list);
	snprintf(wanted, sizeof wanted, ",%s,", word);
	return strstr(padded, wanted) != NULL;
}

Test(outcome, every_one_has_a_word_of_its_own_and_a_line_for_people)
{
	for (int r = 0; r < OUTCOMES; r++) {
		const char *word = outcome_word((enum outcome)r);

		cr_assert_not_null(word);
		cr_expect_not_null(outcome_about(word), "%s", word);
		cr_expect_gt(strlen(outcome_about(word)), 20, "%s", word);
		for (int other = 0; other < r; other++)
			cr_expect_str_neq(word, outcome_word((enum outcome)other));
	}
	cr_expect_null(outcome_about("no-such-word"));
}

Test(outcome, dead_are_those_that_are_called_so_wherever_they_stand)
{
	static const struct {
		enum outcome outcome;
		bool is_dead;
	} cases[] = {
#define CARRIED_ROW(word, about)	{ CARRIED, false },
#define DEAD(constant, word, about)	{ DEAD_##constant, true },
#define FILTERED(constant, word, about) { FILTERED_##constant, false },
#define RETIRED(word, today, about)
#include "message/outcome.def"
	};

	cr_assert_eq(sizeof cases / sizeof cases[0], OUTCOMES);
	for (int i = 0; i < OUTCOMES; i++) {
		const char *word = outcome_word(cases[i].outcome);

		cr_expect_eq(outcome_is_dead(cases[i].outcome), cases[i].is_dead, "%s", word);
		if (cases[i].is_dead)
			cr_expect_str_eq(outcome_letters(word), word);
		else
			cr_expect_null(outcome_letters(word), "%s", word);
	}
}

Test(outcome, the_words_are_those_that_are_stored_and_counted)
{
	cr_expect_str_eq(outcome_word(DEAD_MAPPING_ERROR), "mapping-error");
	cr_expect_str_eq(outcome_word(DEAD_TOO_LARGE), "too-large");
	cr_expect_str_eq(outcome_word(DEAD_STOPPING), "stopping");
	cr_expect_str_eq(outcome_word(DEAD_EXPIRED), "expired");
	cr_expect_str_eq(outcome_word(FILTERED_BY_MAPPING), "mapping");
	cr_expect_str_eq(outcome_word(CARRIED), "carried");
}

Test(outcome, a_word_of_earlier_versions_finds_what_is_said_instead_of_it)
{
	const char *letters = outcome_letters("queue-full");

	cr_assert_not_null(letters);
	cr_expect(is_there(letters, "queue-full"));
	cr_expect(is_there(letters, outcome_word(DEAD_TOO_LARGE)));
	cr_expect(is_there(letters, outcome_word(DEAD_STOPPING)));
	cr_expect_not(is_there(letters, outcome_word(DEAD_EXPIRED)));
	cr_expect_not_null(outcome_about("queue-full"));
	for (int r = 0; r < OUTCOMES; r++)
		cr_expect_str_neq(outcome_word((enum outcome)r), "queue-full");
	cr_expect_null(outcome_letters("queue"));
	cr_expect_null(outcome_letters(""));
}
