#include <criterion/criterion.h>
#include <string.h>

#include "jq/jq_diagnostic.h"

Test(jq_diagnostic, is_taken_apart)
{
	struct jq_diagnostic m;

	cr_assert(jq_diagnostic_read(&m,
				     "jq: error: syntax error, unexpected def (Unix shell quoting "
				     "issues?) at /a dir/f.jq, line 12:\ndef x"));
	cr_expect_str_eq(m.text, "syntax error, unexpected def");
	cr_expect_str_eq(m.file, "/a dir/f.jq");
	cr_expect_eq(m.line, 12);
	jq_diagnostic_fini(&m);
	cr_assert(jq_diagnostic_read(&m, "jq: error: library should have only definitions\n"));
	cr_expect_str_eq(m.text, "library should have only definitions");
	cr_expect_null(m.file);
	jq_diagnostic_fini(&m);
	cr_expect_not(jq_diagnostic_read(&m, "jq: 2 compile errors"));
	jq_diagnostic_fini(&m);
}

Test(jq_diagnostic, takes_the_last_place)
{
	struct jq_diagnostic m;

	cr_assert(jq_diagnostic_read(&m, "jq: error: jq: error: x at y at <top-level>, line 1:"));
	cr_expect_str_eq(m.text, "x at y");
	cr_expect_str_eq(m.file, "<top-level>");
	jq_diagnostic_fini(&m);
}

Test(jq_diagnostic, knows_what_to_write_instead)
{
	static const struct {
		const char *text, *advice;
	} cases[] = {
		{ "syntax error, unexpected def", "end with ;" },
		{ "syntax error, unexpected def, expecting ';' or ':'", "end with ;" },
		{ "syntax error, unexpected INVALID_CHARACTER", "double quotes" },
		{ "syntax error, unexpected '+', expecting '}'", "parentheses" },
		{ "syntax error, unexpected $end, expecting QQSTRING_TEXT or x", "closed by \"" },
		{ "syntax error, unexpected end of file", "not closed" },
		{ "Possibly unterminated 'if' statement", "else" },
		{ "wire::som/0 is not defined", "import" },
		{ "$x is not defined", "as $name" },
		{ "pick/1 is not defined", "def NAME" },
		{ "Module metadata must be constant", "plain values" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *advice = jq_diagnostic_advice(cases[i].text);

		cr_expect(advice && strstr(advice, cases[i].advice), "%s: %s", cases[i].text,
			  advice ? advice : "nothing");
	}
	cr_expect_null(jq_diagnostic_advice("something new"));
}
