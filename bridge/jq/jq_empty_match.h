/* jq_empty_match.h -- can a regular expression of jq (Oniguruma, Perl's syntax) match the empty text?
 *
 * jq 1.6 never ends or crashes on such matches where it looks for all of them. */
#ifndef BRIDGE_JQ_EMPTY_MATCH_H
#define BRIDGE_JQ_EMPTY_MATCH_H

#include <stdbool.h>

/* True only if it surely can: an empty match was found, in no text or somewhere in a text in which
 * what the expression looks for is likely to stand.  What jq refuses to compile matches nothing.
 * `regex`: valid UTF-8; flags (but "n", with which the question does not arise) are not looked at. */
bool jq_matches_empty(const char *regex);

#endif
