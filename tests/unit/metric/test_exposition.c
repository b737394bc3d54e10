#include <criterion/criterion.h>

#include <stdio.h>

#include "base/buf.h"
#include "metric/exposition.h"
#include "metric/histogram.h"

Test(exposition, escapes_what_would_end_a_label)
{
	struct buf labels = { 0 }, out = { 0 };

	exposition_label(&labels, "link", "a\"b\\c\nd");
	exposition_label(&labels, "flow", "\xff");
	exposition_begin(&out, "x_total", "counter", "Of x.");
	exposition_count(&out, "x_total", &labels, 18446744073709551615u);
	exposition_count(&out, "x_total", NULL, 0);
	cr_expect_str_eq(buf_str(&out),
			 "# HELP x_total Of x.\n# TYPE x_total counter\n"
			 "x_total{link=\"a\\\"b\\\\c\\nd\",flow=\"?\"} 18446744073709551615\n"
			 "x_total 0\n");
	buf_fini(&labels);
	buf_fini(&out);
}

Test(exposition, numbers_that_are_whole_are_written_so)
{
	static const struct {
		double value;
		const char *text;
	} told[] = { { 0, "0" },   { 7, "7" },		 { 0.25, "0.25" }, { -1.5, "-1.5" },
		     { -2, "-2" }, { 999999, "999999" }, { 1e6, "1e+06" }, { 1e300, "1e+300" } };
	struct buf labels = { 0 }, out = { 0 };
	char expected[64];

	exposition_label(&labels, "link", "l");
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
		buf_reset(&out);
		exposition_number(&out, "x", &labels, told[i].value);
		snprintf(expected, sizeof expected, "x{link=\"l\"} %s\n", told[i].text);
		cr_expect_str_eq(buf_str(&out), expected);
	}
	buf_fini(&labels);
	buf_fini(&out);
}

Test(exposition, buckets_of_a_histogram_are_summed_up)
{
	struct histogram h = { 0 };
	struct buf out = { 0 };
	const char *text;

	histogram_add(&h, -5); /* a clock */
	histogram_add(&h, 100);
	histogram_add(&h, 101);
	histogram_add(&h, 20000000);
	cr_expect_eq(histogram_count(&h), 4);
	exposition_histogram(&out, "t_seconds", &h);
	text = buf_str(&out);
	cr_expect(strstr(text, "t_seconds_bucket{le=\"0.0001\"} 2\n"), "%s", text);
	cr_expect(strstr(text, "t_seconds_bucket{le=\"0.00025\"} 3\n"));
	cr_expect(strstr(text, "t_seconds_bucket{le=\"10\"} 3\n"));
	cr_expect(strstr(text, "t_seconds_bucket{le=\"+Inf\"} 4\n"));
	cr_expect(strstr(text, "t_seconds_sum 20.000201\nt_seconds_count 4\n"));
	buf_fini(&out);
}
