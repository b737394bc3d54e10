#include <criterion/criterion.h>

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
