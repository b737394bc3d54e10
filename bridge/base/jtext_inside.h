/* jtext_inside.h -- what the files of jtext share: jtext_read.c (checks a text), jtext.c (walks over one
 * that is checked) and jtext_tree.c.  Nobody else includes it. */
#ifndef BRIDGE_JTEXT_INSIDE_H
#define BRIDGE_JTEXT_INSIDE_H

#include "base/jtext.h"

static inline bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline const char *space_end(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

static inline const char *digits_end(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/* --- jtext_read.c */

/* The value of four hexadecimal digits at `p`, -1 if they are none. */
int jtext_hex4(const char *p, const char *end);
/* Where the JSON number at `p` ends; NULL if there is none. */
const char *jtext_number_end(const char *p, const char *end);
/* The whole text is one value of strict JSON; store where it stands.  False sets *e: ERR_INVALID. */
bool jtext_check(const char *text, size_t len, struct jslice *value, struct err *e);

/* --- jtext_number.c */

/* Is every number in the text, in strings too, so short that a double keeps it?  Quick, and false too where only
 * something like a number is longer. */
bool jtext_numbers_are_short(struct jslice text);

/* --- jtext.c: of strict text */

/* Where the string at `p` ends. */
const char *jtext_string_end(const char *p, const char *end);
/* Call `f` with each number that is spelled as an integer, until it returns false. */
bool jtext_each_integer(struct jslice v, bool (*f)(void *ctx, struct jslice number), void *ctx);

#endif
