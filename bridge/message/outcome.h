/* outcome.h -- what became of a message: carried, or the reason why it is a dead letter or filtered.
 * They are counted, logged and stored under their words.
 *
 * The list is outcome.def, one row each; the constants CARRIED, DEAD_UNKNOWN_TOPIC ..., FILTERED_ECHO ... are
 * made of it.  Their order means nothing. */
#ifndef BRIDGE_OUTCOME_H
#define BRIDGE_OUTCOME_H

#include <stdbool.h>

enum outcome {
#define CARRIED_ROW(word, about)	CARRIED,
#define DEAD(constant, word, about)	DEAD_##constant,
#define FILTERED(constant, word, about) FILTERED_##constant,
#define RETIRED(word, today, about)
#include "message/outcome.def"
	OUTCOMES
};
/* What is zeroed has no reason against it yet. */
_Static_assert(CARRIED == 0, "the row of what is carried is the first");

bool outcome_is_dead(enum outcome r);
const char *outcome_word(enum outcome r); /* "unknown-topic" */
/* What a word means and what to do, for people.  It may be one that only earlier versions wrote.  NULL: there
 * is no such word. */
const char *outcome_about(const char *word);
/* The words of the letters that one means who asks for this word, comma-separated: a word of today is
 * itself; one of an earlier version is also what is said instead of it since.  NULL: no dead letter
 * has it. */
const char *outcome_letters(const char *word);

#endif
