/* regex.h -- can a regular expression of jq (Oniguruma, Perl's syntax) match the empty text?
 *
 * jq 1.6 never ends or crashes on such matches where it looks for all of them. */
#ifndef BRIDGE_REGEX_H
#define BRIDGE_REGEX_H

#include <stdbool.h>

/* True only if it surely can: what is not understood counts as matching something. */
bool regex_matches_empty(const char *regex);

#endif
