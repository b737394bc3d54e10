/* jq_empty_match.h -- can a regular expression of jq (Oniguruma, Perl's syntax) match the empty text?
 *
 * jq 1.6 never ends or crashes on such matches where it looks for all of them. */
#ifndef BRIDGE_JQ_EMPTY_MATCH_H
#define BRIDGE_JQ_EMPTY_MATCH_H

#include <stdbool.h>

/* True only if it surely can: what is not understood counts as matching something. */
bool jq_matches_empty(const char *regex);

#endif
