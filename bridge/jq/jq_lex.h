/* jq_lex.h -- the words of a jq source, as jq's own lexer tells them apart.
 *
 * Enough to find names and literals where they stand as code; there is no parser.  What a version of
 * jq would refuse comes out somehow: jq says it better. */
#ifndef BRIDGE_JQ_LEX_H
#define BRIDGE_JQ_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum jq_token_type {
	JQ_WORD,     /* a name in code, keywords too: `if`, `m::f` */
	JQ_KEY,	     /* a name as the key of an object: {name: 1} */
	JQ_VARIABLE, /* $name, the name alone */
	JQ_FIELD,    /* .name, and . and .. */
	JQ_STRING,   /* the text between two quotes, as it is written */
	JQ_PIECE,    /* the same of a string with \( ) in it: up to that, or behind it */
	JQ_NUMBER,
	JQ_FORMAT, /* @base64 */
	JQ_SIGN	   /* an operator or a bracket; \( ) are ( and ) */
};

struct jq_token {
	enum jq_token_type type;
	const char *text; /* borrowed from the source */
	size_t len;
	unsigned line;
	size_t depth; /* how many of ( [ { and `if` it stands in; they and their ends stand outside */
};

struct jq_comment {
	const char *text; /* from the # to the end of the line, without that; borrowed */
	size_t len;
	unsigned line;
};

struct jq_source {
	struct jq_token *tokens;
	size_t n;
	struct jq_comment *comments;
	size_t n_comments;
};

/* Read `len` bytes (kept by the caller as long as the result).  Caller ends it with
 * jq_source_fini(). */
void jq_source_read(struct jq_source *s, const char *text, size_t len);
void jq_source_fini(struct jq_source *s);

bool jq_token_is(const struct jq_token *t, enum jq_token_type type, const char *text);

#endif
