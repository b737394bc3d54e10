/* What is found in the source of a mapping by its words alone. */
#include "fuzz.h"
#include "jq/jq_hazard.h"
#include "jq/jq_kinds.h"
#include "jq/jq_lex.h"
#include "jq/jq_lint.h"
#include "jq/scrub.h"

#define MAX_REGEX 24 /* of a long one the question may take for ever to answer */

/* All words stand in the source, one behind the other. */
static void check_words(const char *text, size_t n)
{
	const char *at = text;
	struct jq_source s;

	jq_source_read(&s, text, n);
	for (size_t i = 0; i < s.n; i++) {
		assert(s.tokens[i].text >= at && s.tokens[i].text + s.tokens[i].len <= text + n);
		at = s.tokens[i].text;
	}
	jq_source_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data;
	struct report report = { .wants_hints = true };
	struct jq_lint_imports imports;
	struct scrub *scrub = scrub_new();
	struct buf shown = { 0 };

	check_words(text, n);
	jq_lint_check("F", text, n, &imports, &report);
	jq_lint_imports_fini(&imports);
	jq_kinds_named(text, n);
	scrub_learn(scrub, text, n / 2);
	scrub_text(scrub, text + n / 2, n - n / 2, &shown);
	if (n <= MAX_REGEX && jtext_is_utf8(text, n)) {
		char *regex = mem_strndup(text, n);

		jq_matches_empty(regex);
		free(regex);
	}
	buf_fini(&shown);
	scrub_free(scrub);
	report_fini(&report);
	return 0;
}
