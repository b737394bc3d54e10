#include "base/guess.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int lower(char c)
{
	return tolower((unsigned char)c);
}

/* How many letters were added, left out, changed or (neighbours, once) swapped; case does not count.
 * Long words: far too many. */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 40 };
	size_t row[3][LONGEST + 1], n = strlen(a), m = strlen(b);

	if (n > LONGEST || m > LONGEST)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *cur = row[i % 3], *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= m; j++) {
			bool is_same = lower(a[i - 1]) == lower(b[j - 1]);

			cur[j] = least(least(cur[j - 1], up[j]) + 1, up[j - 1] + !is_same);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				cur[j] = least(cur[j], up2[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

/* A guess is worth saying when most letters are right, or when the word was begun. */
void guess_try(struct guess *g, const char *word)
{
	size_t len = strlen(g->wrong), longer = strlen(word) > len ? strlen(word) : len;
	size_t d = len >= 3 && strncmp(word, g->wrong, len) == 0 ? 1 : distance(g->wrong, word);

	if (d <= 2 && 2 * d < longer && (!g->best || d < g->distance)) {
		g->best = word;
		g->distance = d;
	}
}
