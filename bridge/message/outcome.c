#include "message/outcome.h"

#include <stddef.h>
#include <string.h>

enum fate { FATE_CARRIED, FATE_DEAD, FATE_FILTERED };

static const struct {
	enum fate fate;
	const char *word, *about;
} table[OUTCOMES] = {
#define CARRIED_ROW(word, about)	[CARRIED] = { FATE_CARRIED, word, about },
#define DEAD(constant, word, about)	[DEAD_##constant] = { FATE_DEAD, word, about },
#define FILTERED(constant, word, about) [FILTERED_##constant] = { FATE_FILTERED, word, about },
#define RETIRED(word, today, about)
#include "message/outcome.def"
};

static const struct {
	const char *word, *today, *about;
} retired[] = {
#define CARRIED_ROW(word, about)
#define DEAD(constant, word, about)
#define FILTERED(constant, word, about)
#define RETIRED(word, today, about) { word, today, about },
#include "message/outcome.def"
};
#define N_RETIRED (sizeof retired / sizeof retired[0])

bool outcome_is_dead(enum outcome r)
{
	return table[r].fate == FATE_DEAD;
}

const char *outcome_word(enum outcome r)
{
	return table[r].word;
}

static size_t find(const char *word)
{
	size_t r = 0;

	while (r < OUTCOMES && strcmp(table[r].word, word) != 0)
		r++;
	return r;
}

static size_t find_retired(const char *word)
{
	size_t i = 0;

	while (i < N_RETIRED && strcmp(retired[i].word, word) != 0)
		i++;
	return i;
}

const char *outcome_about(const char *word)
{
	size_t r = find(word), old = find_retired(word);

	if (r < OUTCOMES)
		return table[r].about;
	return old < N_RETIRED ? retired[old].about : NULL;
}

const char *outcome_letters(const char *word)
{
	size_t r = find(word), old = find_retired(word);

	if (r < OUTCOMES)
		return table[r].fate == FATE_DEAD ? word : NULL;
	return old < N_RETIRED ? retired[old].today : NULL;
}
