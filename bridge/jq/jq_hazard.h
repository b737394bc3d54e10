/* jq_hazard.h -- calls that are allowed in a mapping and that data from the network can turn against
 * it: on jq 1.6 some builtins hang or abort on ordinary content (`gsub("^ *"; "")` never ends, `[scan("[a-z]*")]`
 * works on "kitchen" and crashes on "Küche", 1e18|todate aborts), and `//` and large integers
 * surprise on every version.
 *
 * Found by words and literals alone, so only what is all but sure is told.  A line whose comment says
 * `# calque: checked` is not looked at: its author has. */
#ifndef BRIDGE_JQ_HAZARD_H
#define BRIDGE_JQ_HAZARD_H

struct jq_source;
struct report;

/* Each hazard becomes a hint "FILE:LINE: what happens and what to write instead". */
void jq_hazard_check(const char *file, const struct jq_source *s, struct report *report);

#endif
