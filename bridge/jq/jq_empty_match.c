#include "jq/jq_hazard.h"

#include <string.h>

#include <oniguruma.h>

#include "base/buf.h"

/* Tries per match, for what backtracks without end; an expression that needs more is let go. */
#define MAX_RETRIES 10000

/* As jq's f_match() compiles; NULL: it would not. */
static regex_t *compile(const char *regex)
{
	const OnigUChar *text = (const OnigUChar *)regex;
	regex_t *r = NULL;

	if (onig_new(&r, text, text + strlen(regex), ONIG_OPTION_CAPTURE_GROUP, ONIG_ENCODING_UTF8,
		     ONIG_SYNTAX_PERL_NG, NULL) != ONIG_NORMAL)
		return NULL;
	return r;
}

static bool takes_nothing(regex_t *r, const OnigUChar *start, const OnigUChar *at,
			  const OnigUChar *end, OnigMatchParam *limits)
{
	return onig_match_with_param(r, start, end, at, NULL, ONIG_OPTION_NONE, limits) == 0;
}

/* Does it match nothing at some place of the text, or at the start of what follows that place? */
static bool is_empty_within(regex_t *r, const char *text)
{
	const OnigUChar *start = (const OnigUChar *)text, *end = start + strlen(text);
	OnigMatchParam *limits = onig_new_match_param();
	bool found = false;

	onig_initialize_match_param(limits);
	onig_set_retry_limit_in_match_of_match_param(limits, MAX_RETRIES);
	for (const OnigUChar *at = start; at <= end && !found;
	     at += ONIGENC_MBC_ENC_LEN(ONIG_ENCODING_UTF8, at))
		found = takes_nothing(r, start, at, end, limits) ||
			takes_nothing(r, at, at, end, limits);
	onig_free_match_param(limits);
	return found;
}

bool jq_matches_empty(const char *regex)
{
	regex_t *r = compile(regex);
	struct buf text = { 0 };
	bool found;

	if (!r)
		return false;
	/* What takes no text (^, \b, a look around) may ask for some: mostly for what it names, so the
	 * expression itself is tried as a text, with one of each class behind. */
	buf_printf(&text, "%s aA0_-\n", regex);
	found = is_empty_within(r, "") || is_empty_within(r, text.data);
	buf_fini(&text);
	onig_free(r);
	return found;
}
