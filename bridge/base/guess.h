/* guess.h -- the word that somebody who wrote a wrong one may have meant. */
#ifndef BRIDGE_GUESS_H
#define BRIDGE_GUESS_H

#include <stddef.h>

/* Starts as { .wrong = the word }; all words that it could be are tried. */
struct guess {
	const char *wrong;
	const char *
		best; /* of those tried, borrowed; NULL: nothing is close enough to be worth saying */
	size_t distance;
};

void guess_try(struct guess *g, const char *word);

#endif
