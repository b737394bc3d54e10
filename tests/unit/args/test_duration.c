#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "args/duration.h"
#include "base/buf.h"

struct good {
	char text[24];
	int64_t ms;
};

ParameterizedTestParameters(duration, is_a_number_and_a_unit)
{
	static struct good cases[] = {
		{ "0s", 0 },
		{ "90s", 90000 },
		{ "15m", 900000 },
		{ "2h", 7200000 },
		{ "3d", 259200000 },
		{ "007s", 7000 },
		{ "36600d", 3162240000000 },
	};
	return cr_make_param_array(struct good, cases, sizeof cases / sizeof cases[0]);
}

ParameterizedTest(struct good *c, duration, is_a_number_and_a_unit)
{
	int64_t ms = -1;

	cr_expect(duration_parse(c->text, &ms), "%s", c->text);
	cr_expect_eq(ms, c->ms, "%s: %lld", c->text, (long long)ms);
}

ParameterizedTestParameters(duration, anything_else_is_none)
{
	static char cases[][24] = {
		"",
		"s",
		"90",
		"-1s",
		"+1s",
		" 1s",
		"1s ",
		"1 s",
		"1.5h",
		"1w",
		"1sm",
		"1H",
		"36601d",
		"9223372036854775808s",
		"99999999999999999d",
	};
	return cr_make_param_array(char[24], cases, sizeof cases / sizeof cases[0]);
}

ParameterizedTest(char (*c)[24], duration, anything_else_is_none)
{
	int64_t ms = -1;

	cr_expect_not(duration_parse(*c, &ms), "%s", *c);
	cr_expect_eq(ms, -1);
}

struct shown {
	int64_t ms;
	char text[12];
};

ParameterizedTestParameters(duration, is_shown_in_the_largest_unit_that_tells_enough)
{
	static struct shown cases[] = {
		{ -5000, "0s" },     { 0, "0s" },	    { 999, "0s" },     { 119999, "119s" },
		{ 120000, "2m" },    { 7199999, "119m" },   { 7200000, "2h" }, { 172799999, "47h" },
		{ 172800000, "2d" }, { 2592000000, "30d" },
	};
	return cr_make_param_array(struct shown, cases, sizeof cases / sizeof cases[0]);
}

ParameterizedTest(struct shown *c, duration, is_shown_in_the_largest_unit_that_tells_enough)
{
	struct buf out = { 0 };

	duration_put(c->ms, &out);
	cr_expect_str_eq(buf_str(&out), c->text);
	buf_fini(&out);
}
