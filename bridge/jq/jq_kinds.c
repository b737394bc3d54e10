#include "jq/jq_kinds.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "jq/jq_lex.h"
#include "message/kind.h"

_Static_assert(KINDS <= 64, "a bit for each kind");

/* The first token behind the metadata. */
static size_t find_code(const struct jq_source *s)
{
	size_t i = 0;

	if (s->n == 0 || !jq_token_is(&s->tokens[0], JQ_WORD, "module"))
		return 0;
	while (i < s->n && !(s->tokens[i].depth == 0 && jq_token_is(&s->tokens[i], JQ_SIGN, ";")))
		i++;
	return i;
}

static bool says_kind(const struct jq_token *t)
{
	return jq_token_is(t, JQ_KEY, "kind") || jq_token_is(t, JQ_FIELD, ".kind") ||
	       jq_token_is(t, JQ_STRING, "kind") || jq_token_is(t, JQ_VARIABLE, "kind");
}

/* What is only compared is not given. */
static bool is_compared(const struct jq_source *s, size_t i)
{
	return i > 0 && (jq_token_is(&s->tokens[i - 1], JQ_SIGN, "==") ||
			 jq_token_is(&s->tokens[i - 1], JQ_SIGN, "!="));
}

uint64_t jq_kinds_named(const char *source, size_t len)
{
	uint64_t named = 0;
	bool says = false;
	struct jq_source s;

	jq_source_read(&s, source, len);
	for (size_t i = find_code(&s); i < s.n; i++) {
		const struct jq_token *t = &s.tokens[i];
		char *text;
		enum kind kind;

		says = says || says_kind(t);
		if (t->type != JQ_STRING || is_compared(&s, i))
			continue;
		text = mem_strndup(t->text, t->len);
		kind = kind_of(text);
		if (kind != KIND_NONE)
			named |= UINT64_C(1) << kind;
		free(text);
	}
	jq_source_fini(&s);
	return says ? named : 0;
}
