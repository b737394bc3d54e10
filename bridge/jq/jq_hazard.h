/* jq_hazard.h -- calls that are allowed in a mapping and that data from the network can turn against
 * it: on jq 1.6 some builtins hang or abort on ordinary content (`gsub("^ *"; "")` never ends, `[scan("[a-z]*")]`
 * works on "kitchen" and crashes on "Küche", 1e18|todate aborts), and `//` and large integers
 * surprise on every version.
 *
 * Found by words and literals alone, so only what is all but sure is told.  A line whose comment says
 * `# calque: checked` is not looked at: its author has. */
#ifndef BRIDGE_JQ_HAZARD_H
#define BRIDGE_JQ_HAZARD_H

#include <stdbool.h>

struct jq_source;
struct report;

/* Each hazard becomes a hint "FILE:LINE: what happens and what to write instead". */
void jq_hazard_check(const char *file, const struct jq_source *s, struct report *report);

/* Can a regular expression of jq (Oniguruma, Perl's syntax) match the empty text?  jq 1.6 never ends or crashes on
 * such matches where it looks for all of them.  (jq_empty_match.c)
 * True only if it surely can: an empty match was found, in no text or somewhere in a text in which
 * what the expression looks for is likely to stand.  What jq refuses to compile matches nothing.
 * `regex`: valid UTF-8; flags (but "n", with which the question does not arise) are not looked at. */
bool jq_matches_empty(const char *regex);

#endif
