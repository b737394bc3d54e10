#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "jq/jq_lint.h"

/* All mistakes of a source, one "LINE: `name`" or "LINE: first words" per line. */
static char *lint(const char *source)
{
	struct report report = { 0 };
	char *all = calloc(1, 4096);
	bool ok = jq_lint_check("F", source, strlen(source), NULL, &report);

	cr_expect_eq(ok, report.n_errors == 0);
	for (size_t i = 0; i < report.n_lines; i++) {
		const char *text = report.lines[i].text + strlen("F:");
		const char *end = strstr(text, " is not allowed");

		strncat(all, text, end ? (size_t)(end - text) : strlen(text));
		strcat(all, "\n");
	}
	report_fini(&report);
	return all;
}

static void expect(const char *source, const char *mistakes)
{
	char *found = lint(source);

	cr_expect_str_eq(found, mistakes, "source: %s\nfound: %s", source, found);
	free(found);
}

Test(jq_lint, finds_every_forbidden_name_with_its_line)
{
	expect("def f: now;\ndef g: env | input;\n\ninputs",
	       "1: `now`\n2: `env`\n2: `input`\n4: `inputs`\n");
	expect("debug | debug(\"x\") | stderr | halt | halt_error(1)",
	       "1: `debug`\n1: `debug`\n1: `stderr`\n1: `halt`\n1: `halt_error`\n");
	expect("localtime|strflocaltime(\"%H\")", "1: `localtime`\n1: `strflocaltime`\n");
	expect("modulemeta,get_search_list,input_filename,input_line_number,_input",
	       "1: `modulemeta`\n1: `get_search_list`\n1: `input_filename`\n1: "
	       "`input_line_number`\n"
	       "1: `_input`\n");
	expect("$ENV.HOME, $__prog_args", "1: `$ENV`\n1: `$__prog_args`\n");
	expect("$ # comment\n ENV", "2: `$ENV`\n");
	expect("def now: 1;", "1: `now`\n");
}

Test(jq_lint, says_why_and_what_instead)
{
	struct report report = { 0 };

	jq_lint_check("dir/f.jq", "\nnow", 4, NULL, &report);
	cr_assert_eq(report.n_lines, 1);
	cr_expect_str_eq(
		report.lines[0].text,
		"dir/f.jq:2: `now` is not allowed in a mapping: a translation must depend on its "
		"input alone; .at is when the message arrived");
	report_fini(&report);
}

Test(jq_lint, leaves_alone_what_is_no_code)
{
	static const char *const harmless[] = {
		"# now env\n.now",
		".now | .env.input | .[\"now\"] | .\"now\"",
		"\"now env \\\" input\"",
		"$now | $env",
		"@now \"x\"",
		"m::now | now::x",
		"{now} | {a, env} | {now: 1, input: 2} | {\"a\": 1, debug}",
		". as {now: $x, env: [$y]} | $x",
		"nowhere | renow | env2",
		"if .a then {now: 1} else {b, now} end",
		"$__loc__ | now_ms | 1e5 | .5 | 1.e3",
		"..|.now?",
		"{if: 1, now: 2} | .if | .end | {end, now}",
	};

	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
		expect(harmless[i], "");
}

Test(jq_lint, looks_into_code_wherever_it_stands)
{
	expect("\"a \\(now) now \\(\"b \\(env)\") input\"", "1: `now`\n1: `env`\n");
	expect("{a: now, (env): 1, \"\\(input)\": 2, $ENV}",
	       "1: `now`\n1: `env`\n1: `input`\n1: `$ENV`\n");
	expect("{a: [1, now], b: (1, now), c: if now, now then now, now else 1 end, now: 2}",
	       "1: `now`\n1: `now`\n1: `now`\n1: `now`\n1: `now`\n1: `now`\n");
	expect("@base64 \"\\(now)\"", "1: `now`\n");
	expect("..now", "1: `now`\n");
	expect(".[now]", "1: `now`\n");
	expect("[1,now]", "1: `now`\n");
	expect("{a: 1 | now}", "1: `now`\n");
	expect("\"unclosed", "");
	expect("now", "1: `now`\n");
}

Test(jq_lint, refuses_comments_that_versions_of_jq_end_at_different_places)
{
	expect("# a \\\nnow",
	       "1: a comment must not end in a backslash: versions of jq disagree on it\n"
	       "2: `now`\n");
	expect("# a\rnow\n1", "1: a comment must not hold a carriage return\n");
	expect("# a\r\n1 # \\ b", "");
}

Test(jq_lint, refuses_a_nul_byte)
{
	struct report report = { 0 };

	cr_expect_not(jq_lint_check("F", "a\0b", 3, NULL, &report));
	cr_expect_eq(report.n_errors, 1);
	report_fini(&report);
}

Test(jq_lint, tells_the_lines_of_imports)
{
	static const char source[] =
		"module {import: 1};\nimport \"a\" as a;\n# import\n"
		"include \"b\"; import \"c\"\n as c;def f: {include} | .import;";
	struct jq_lint_imports imports;
	struct report report = { 0 };

	cr_expect(jq_lint_check("F", source, strlen(source), &imports, &report));
	cr_assert_eq(imports.n, 3);
	cr_expect_eq(imports.lines[0], 2);
	cr_expect_eq(imports.lines[1], 4);
	cr_expect_eq(imports.lines[2], 4);
	jq_lint_imports_fini(&imports);
	report_fini(&report);
}

Test(jq_lint, takes_an_empty_source)
{
	struct report report = { 0 };

	cr_expect(jq_lint_check("F", "", 0, NULL, &report));
	report_fini(&report);
}
