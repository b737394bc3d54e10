/* topic.h -- topic names, topic filters (MQTT 4.7), and the topic templates of mappings.
 *
 * A template is a topic whose levels may be {variable}; the last may be {variable...}, which stands
 * for one or more levels.  One template serves as subscription filter, matcher, captures and
 * publish topic. */
#ifndef BRIDGE_TOPIC_H
#define BRIDGE_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct vars;

enum level_type { LEVEL_LITERAL, LEVEL_VARIABLE, LEVEL_REST }; /* most specific first */

struct topic_level {
	enum level_type type;
	char *text; /* the literal, or the variable's name */
	size_t len; /* of it */
};

struct topic_template {
	struct topic_level *levels;
	size_t n_levels;
};

/* Parse; `t` is overwritten, caller ends it with topic_template_fini().  ERR_INVALID: empty, a
 * wildcard or NUL, braces that are not a whole level, a bad or repeated name, {v...} not last. */
bool topic_template_parse(struct topic_template *t, const char *text, struct err *e);
void topic_template_fini(struct topic_template *t);

/* Write a copy of `t` to *out in which the variables that `known` has are literals.  ERR_INVALID: a
 * value that cannot be a topic level (for {v...}: levels); *out is then empty. */
bool topic_template_bind(struct topic_template *out, const struct topic_template *t,
			 const struct vars *known, struct err *e);

/* Append the text ("a/{b}/c"), or the filter ("a/+/c", "a/+/#"). */
void topic_template_text(const struct topic_template *t, struct buf *out);
void topic_template_filter(const struct topic_template *t, struct buf *out);

/* Does the topic match?  If so the captures are added to *captures (may be NULL). */
bool topic_template_match(const struct topic_template *t, const char *topic, struct vars *captures);

/* The same, each capture as it stands in the topic; how many there are.  0 if it does not match. */
size_t topic_template_captures(const struct topic_template *t, const char *topic,
			       void (*f)(void *ctx, const char *name, const char *value,
					 size_t len),
			       void *ctx);

/* Append the topic, with each variable from `lookup` (NULL result: unknown).  ERR_NOT_FOUND: the
 * text is the name of the unknown variable; ERR_INVALID: a value that cannot be a level (at the start
 * of a topic also one with a leading $), or a topic of more than 65535 bytes. `out` is then as
 * before. */
typedef const char *template_lookup(void *ctx, const char *name);
bool topic_template_expand(const struct topic_template *t, template_lookup *lookup, void *ctx,
			   struct buf *out, struct err *e);

/* What the topic has where the template has this variable, a copy; caller frees.  NULL: it does not match, or the
 * template has none. */
char *topic_template_capture(const struct topic_template *t, const char *topic, const char *name);

/* Has it a variable of this name? */
bool topic_template_has(const struct topic_template *t, const char *name);
/* The same template, names of variables and all? */
bool topic_template_equal(const struct topic_template *a, const struct topic_template *b);

/* How the topics of `a` lie to those of `b`, and which is more specific, level by level. */
enum topic_relation {
	TOPIC_DISJOINT,	     /* no topic matches both */
	TOPIC_SAME,	     /* the same template but for names of variables */
	TOPIC_MORE_SPECIFIC, /* a is */
	TOPIC_LESS_SPECIFIC, /* b is */
	TOPIC_AMBIGUOUS	     /* they overlap and neither is */
};
enum topic_relation topic_template_compare(const struct topic_template *a,
					   const struct topic_template *b);

/* Filters and names, by the rules of MQTT 4.7 ($-topics do not match a leading wildcard). */
bool topic_filter_is_valid(const char *filter);
bool topic_filter_covers(
	const char *a, const char *b); /* whatever matches b matches a; of a name b: a matches it */
bool topic_filter_overlaps(const char *a, const char *b); /* some topic matches both */
bool topic_name_is_valid(const char *topic);  /* not empty, no wildcard, valid UTF-8, <= 65535 */
bool topic_level_is_valid(const char *level); /* not empty, no / + # */

/* Text templates: any text with {variable} anywhere, for properties, user names and the like.  A
 * brace that opens no variable name is an ordinary character. */
/* Append the text filled in.  ERR_NOT_FOUND: the text is the name of the unknown variable. */
bool text_template_expand(const char *text, template_lookup *lookup, void *ctx, struct buf *out,
			  struct err *e);
/* The next variable at or after *pos; its name is appended to `name`.  False: no more. */
bool text_template_next(const char *text, size_t *pos, struct buf *name);
/* Has it a variable of this name? */
bool text_template_has(const char *text, const char *name);

#endif
