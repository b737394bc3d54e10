#include <criterion/criterion.h>
#include <regex.h>
#include <string.h>

#include "jq/jq_hazard.h"

Test(jq_empty_match, knows_what_can_match_nothing)
{
	static const char *const empty[] = {
		"",
		"a*",
		"a?",
		"^",
		"$",
		"^ *",
		" *$",
		"a|",
		"|a",
		"(a|)",
		"a|b*",
		"(a*)",
		"(?:a*)+",
		"(?<n>a?)",
		"[a-z]*",
		"\\d*",
		"\\b",
		"a*?",
		"a{0,3}",
		"a{0}",
		"(a){0,}",
		"(?=a)",
		"(?!a)b*",
		"(?i)a*",
		"(?i:a*)",
		"(?#note)",
		"[]a]*",
		"[^]]*",
		"[[:alpha:]]*",
		"(a|b*)(c?)",
		"a*b*",
		"\\A\\s*",
		"()",
		"(?<!a)",
		"a*+",
		"\\.?",
		"(?>a*)",
		"(?'n'a*)",
		"[\\]]*",
		"é?",
		"\\s+*",
		"(?<=\\d)",
		"^(?=b)",
		"a|(?<=é)",
	};
	static const char *const full[] = {
		"a",	       "a+",	 "^a",	 "a*b",	 "a|b",	   "(a|b)",	  "[a-z]",
		"\\d+",	       "a{1,2}", ".",	 "a+?",	 "(a*)b",  "\\s",	  "x{,3}",
		"[]]",	       "[*?]",	 "\\*",	 "\\?",	 "(?i)a",  "(?=a)a",	  "a{2}",
		"a{10}",       "\\1",	 "[a*]", "\\\\", "(?:a)",  "^\\s+|\\s+$", "(?<n>a)",
		"[[:alpha:]]", "a{x}",	 "[?",	 "a*)",	 "[\\]*]", "(?!)",	  "\\b(?<!)",
		"a*\xc3",      "(a*)*b",
	};

	for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
		cr_expect(jq_matches_empty(empty[i]), "%s", empty[i]);
	for (size_t i = 0; i < sizeof full / sizeof full[0]; i++)
		cr_expect_not(jq_matches_empty(full[i]), "%s", full[i]);
}

Test(jq_empty_match, bears_deep_nesting)
{
	static char deep[20001];

	memset(deep, '(', 20000);
	cr_expect_not(jq_matches_empty(deep));
	memset(deep, '[', 20000);
	cr_expect_not(jq_matches_empty(deep));
	memset(deep, '\\', 19999);
	cr_expect_not(jq_matches_empty(deep));
}

/* Oniguruma has functions of the same names, for another struct: see CMakeLists.txt. */
Test(jq_empty_match, leaves_regcomp_to_libc)
{
	regex_t re;

	cr_assert_eq(regcomp(&re, "(a)(b)", REG_EXTENDED), 0);
	cr_expect_eq(re.re_nsub, 2);
	cr_expect_eq(regexec(&re, "ab", 0, NULL, 0), 0);
	regfree(&re);
}
