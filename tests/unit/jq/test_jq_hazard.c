#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "jq/jq_lint.h"

/* The hints for a source, one "LINE `name`" each, in order. */
static char *hints(const char *source)
{
	struct report report = { .wants_hints = true };
	char *all = calloc(1, 4096);

	cr_expect(jq_lint_check("F", source, strlen(source), NULL, &report));
	cr_expect_eq(report.n_errors, 0);
	for (size_t i = 0; i < report.n_lines; i++) {
		const char *text = report.lines[i].text + strlen("F:");
		size_t line = strcspn(text, ":"), name = strcspn(text + line + 2, ":");

		cr_expect(report.lines[i].is_warning);
		strncat(all, text, line);
		strcat(all, " ");
		strncat(all, text + line + 2, name);
		strcat(all, "\n");
	}
	report_fini(&report);
	return all;
}

static void expect(const char *source, const char *found)
{
	char *all = hints(source);

	cr_expect_str_eq(all, found, "source: %s\nfound: %s", source, all);
	free(all);
}

static void expect_none(const char *const *sources, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(sources[i], "");
}

Test(jq_hazard, warns_of_global_matches_of_nothing)
{
	expect("gsub(\"^ *\"; \"\")", "1 `gsub`\n");
	expect("1 |\n[scan(\"[a-z]*\")]", "2 `scan`\n");
	expect("scan(\"\") , splits(\"\")", "1 `scan`\n1 `splits`\n");
	expect("split(\" *\"; null)", "1 `split`\n");
	expect("splits(\"x*\"; \"i\")", "1 `splits`\n");
	expect("match(\"x*\"; \"g\") | capture(\"(?<a>x*)\"; \"gi\")", "1 `match`\n1 `capture`\n");
	expect("match([\"x*\", \"g\"])", "1 `match`\n");
	expect("sub(\"\\\\s*\"; \"\"; \"g\")", "1 `sub`\n");
	expect("gsub(\"a|\"; \"\")", "1 `gsub`\n");
	expect("gsub(\"\\\\b\"; \"-\"; \"i\")", "1 `gsub`\n");
	expect("gsub(\"x*\";\n\"a\" | gsub(\"y*\"; \"\"))", "1 `gsub`\n2 `gsub`\n");
	expect("\"\\(gsub(\"x*\"; \"\"))\"", "1 `gsub`\n");
}

Test(jq_hazard, warns_of_an_unknown_expression_only_with_the_flag_g)
{
	expect("match($re; \"g\")", "1 `match`\n");
	expect("match(\"a\\(.b)*\"; \"g\")", "1 `match`\n");
	expect("gsub($re; \"\")", "");
	expect("scan(.pattern)", "");
}

Test(jq_hazard, leaves_safe_expressions_alone)
{
	static const char *const safe[] = {
		"gsub(\"\\\\s+\"; \" \")",
		"gsub(\"^ +\"; \"\")",
		"gsub(\"x*\"; \"\"; \"n\")",
		"match(\"x*\"; \"gn\")",
		"match(\"x*\")",
		"match(\"x*\"; null)",
		"test(\"x*\"; \"g\")", /* it stops at the first */
		"test(\"\")",
		"capture(\"(?<a>x*)\")",
		"sub(\"^ *\"; \"\")",
		"sub(\"x*\"; \"\"; \"i\")",
		"split(\"\")", /* one argument: no expression */
		"split(\" *\")",
		"split(\", \"; null)",
		".gsub | {scan: 1} | $splits | m::gsub(\"x*\"; \"\")",
		"def gsub(\"x*\"; \"\"): 1;",
		"# gsub(\"x*\"; \"\")\n\"gsub(\\\"x*\\\"; 1)\"",
		"gsub",
		"gsub(",
		"scan()",
		"scan(\"a\" + \"*\")",
	};

	expect_none(safe, sizeof safe / sizeof safe[0]);
}

Test(jq_hazard, warns_of_searching_for_the_empty_text)
{
	expect("index(\"\"), rindex(\"\"), indices(\"\")", "1 `index`\n1 `rindex`\n1 `indices`\n");
	expect("index(\",\") | indices(1) | indices([]) | index($x) | .index", "");
}

Test(jq_hazard, warns_of_times_that_may_be_any_number)
{
	expect("todate", "1 `todate`\n");
	expect(".ts | todate", "1 `todate`\n");
	expect("(.ts / 1000 | floor | todateiso8601)", "1 `todateiso8601`\n");
	expect("strftime(\"%Y\")", "1 `strftime`\n");
	expect("gmtime | todate", "");
	expect("strptime(\"%d.%m.%Y\") | strftime(\"%Y\")", "");
	expect("strptime(\"%d.%m.%Y\") | mktime | todate", "");
	expect("gmtime | .[0] | todate", "1 `todate`\n");
	expect("gmtime, mktime, strptime(\"%Y\")", "");
	expect("wire::iso | .todate | {strftime: 1}", "");
}

Test(jq_hazard, warns_of_offsets_that_are_forgotten)
{
	expect("strptime(\"%Y-%m-%dT%H:%M:%S%z\") | mktime", "1 `strptime`\n");
	expect("strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime", "");
	expect("strptime(\"%z\")  # calque: checked", "");
	expect(".strptime | {a: \"%z\"}", "");
}

Test(jq_hazard, warns_of_bytes_that_become_texts)
{
	expect(".payload | @base64d", "1 `@base64d`\n");
	expect("@base64d \"\\(.)\"", "1 `@base64d`\n");
	expect("@base64d  # calque: checked", "");
	expect("@base64 | wire::bytes | {a: \"@base64d\"}", "");
}

Test(jq_hazard, warns_of_alternatives_to_false)
{
	expect(".on // true", "1 `//`\n");
	expect(".on //= true", "1 `//=`\n");
	expect("{on: (.on // true)}", "1 `//`\n");
	expect(".a == 1 // 2", "1 `//`\n");
	expect("(.a == 1) // 2", "1 `//`\n");
	expect("((.a > 1)) // \"x\"", "1 `//`\n");
	expect("(.a | test(\"b\")) // 2", "1 `//`\n");
	expect(".a | has(\"b\") // 2", "1 `//`\n");
	expect(".a and .b // .c", "1 `//`\n");
	expect(".a | not // 1", "1 `//`\n");
	expect("if .x then .a else .b == 1 // 2 end", "1 `//`\n");
}

Test(jq_hazard, leaves_other_alternatives_alone)
{
	static const char *const fine[] = {
		".a // .b",
		".a // 1 // 2",
		".on // false",
		".a // empty",
		".a // error(\"x\")",
		".a == 1 // false",
		"(.a | test(\"b\")) // false",
		"if .a == 1 then .b // 2 else .c // 3 end",
		"if .a then 1 else 0 end // 2",
		".a == 1, .b // 2",
		".a == 1 | .b // 2",
		"[.[] | select(.a == 1)] // 2",
		"map(select(.a == 1)) // []",
		"(if .a == 1 then .b else null end) // 2",
		"(.a == 1 | .b) // 2",
		"first(.[] | select(.a > 1)) // null",
		"capture(\"a(?<b>c)\") // 2",
		". as {a: $x} ?// [$x] | $x",
		".a // \"true\"",
		".a // true_or_so",
		"\"a // true\" # // true",
		"//",
		".a //",
		"( // 1",
		"() // 1",
	};

	expect_none(fine, sizeof fine / sizeof fine[0]);
}

Test(jq_hazard, warns_of_integers_beyond_2_to_the_53)
{
	expect("9007199254740993", "1 `9007199254740993`\n");
	expect("[1,\n 18446744073709551615]", "2 `18446744073709551615`\n");
	expect("9007199254740992 | 0009007199254740992 | 253402300800000 | 1e18 | "
	       "0.12345678901234567890",
	       "");
	expect("\"9007199254740993\" # 9007199254740993", "");
	expect("module {answered: 9007199254740993};", "1 `9007199254740993`\n");
}

Test(jq_hazard, believes_the_author_on_that_line)
{
	expect("todate # calque: checked", "");
	expect("todate #calque: checked above", "");
	expect("todate # checked", "1 `todate`\n");
	expect("todate\n# calque: checked", "1 `todate`\n");
	expect("gsub(\"x*\";\n \"\") # calque: checked", "1 `gsub`\n");
	expect("todate # calque: checked\n| todate", "2 `todate`\n");
}

Test(jq_hazard, says_what_happens_and_what_to_write)
{
	struct report report = { .wants_hints = true };

	jq_lint_check("dir/f.jq", "\n.on // true", 12, NULL, &report);
	cr_assert_eq(report.n_lines, 1);
	cr_expect_str_eq(report.lines[0].text,
			 "dir/f.jq:2: `//`: replaces false as well as null, so this is true for "
			 "false too; write `if . == null then true else . end`");
	report_fini(&report);
}

Test(jq_hazard, tells_only_those_who_want_to_know_and_once)
{
	struct report report = { 0 };

	jq_lint_check("F", "todate", 6, NULL, &report);
	cr_expect_eq(report.n_lines, 0);
	report.wants_hints = true;
	jq_lint_check("F", "todate", 6, NULL, &report);
	jq_lint_check("F", "todate", 6, NULL, &report);
	cr_expect_eq(report.n_lines, 1);
	cr_expect_eq(report.n_errors, 0);
	report_fini(&report);
}
