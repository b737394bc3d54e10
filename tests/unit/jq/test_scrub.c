#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "jq/scrub.h"

static const char source[] = "def temp: .payload.temperature | error(\"no reading in \\(.unit)\");";

static char *scrub(const char *text)
{
	struct scrub *s = scrub_new();
	struct buf out = { 0 };

	scrub_learn(s, source, strlen(source));
	scrub_text(s, text, strlen(text), &out);
	scrub_free(s);
	return buf_take(&out);
}

static void expect(const char *text, const char *shown)
{
	char *got = scrub(text);

	cr_expect_str_eq(got, shown, "got: %s", got);
	free(got);
}

Test(scrub, keeps_what_jq_says)
{
	expect("Cannot iterate over null", "Cannot iterate over null");
	expect("Object keys must be strings", "Object keys must be strings");
	expect("Cannot index number with \"temperature\"",
	       "Cannot index number with \"temperature\"");
}

Test(scrub, keeps_words_of_the_source)
{
	expect("no reading in unit", "no reading in unit");
	expect("no reading in kelvin", "no reading in ...");
}

Test(scrub, cuts_what_may_be_payload)
{
	expect("string (\"canary-77...) and number (4711) cannot be added",
	       "string (...) and number (...) cannot be added");
	expect("Cannot index number with \"canary\"", "Cannot index number with \"...\"");
	expect("canary is not a valid format", "... is not a valid format");
	expect("Cannot index 4711 with canary_x/canary", "Cannot index ... with ...");
	expect("date \"canary\" does not match format \"%Y\"",
	       "date \"...\" does not match format \"...\"");
	expect("error: \"canary unclosed", "error: \"...\"");
	expect("string (\"a) canary 77\") cannot be parsed", "string (...) cannot be parsed");
	expect("K\xc3\xbc"
	       "che",
	       "...");
	expect("(", "(...)");
	expect("", "");
}

Test(scrub, never_shows_a_canary)
{
	static const char *const around[] = {
		"%s",	  "(%s)", "\"%s\"",	   "string (\"%s",
		"x %s y", "'%s'", "a(%s)b\"%s\"c", "%s is not valid",
	};

	for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
		char text[200] = "";
		const char *at = around[i];

		for (; *at; at++) {
			if (at[0] == '%' && at[1] == 's') {
				strcat(text, "Canary(\"hunter2\") s3cr3t-t0ken");
				at++;
			} else {
				strncat(text, at, 1);
			}
		}
		char *got = scrub(text);

		cr_expect_not(strstr(got, "Canary") || strstr(got, "hunter2") ||
				      strstr(got, "s3cr3t") || strstr(got, "t0ken"),
			      "%s", got);
		free(got);
	}
}

Test(scrub, shortens_long_texts)
{
	char text[600] = "";

	for (int i = 0; i < 60; i++)
		strcat(text, "cannot ");
	char *got = scrub(text);

	cr_expect_leq(strlen(got), SCRUB_MAX_CHARS + 3);
	cr_expect(strstr(got, "...") != NULL);
	free(got);
}
