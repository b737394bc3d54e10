#include "metric/exposition.h"

#include <string.h>

#include "base/buf.h"
#include "base/jtext.h"
#include "metric/histogram.h"

void exposition_begin(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void exposition_label(struct buf *out, const char *name, const char *value)
{
	size_t n = strlen(value), plain = strcspn(value, "\"\\\n");

	if (!jtext_is_utf8(value, n)) {
		value = "?";
		n = plain = 1;
	}
	if (out->len)
		buf_putc(out, ',');
	buf_puts(out, name);
	buf_puts(out, "=\"");
	buf_append(out, value, plain);
	for (const char *p = value + plain; p < value + n; p++) {
		if (*p == '"' || *p == '\\')
			buf_putc(out, '\\');
		if (*p == '\n')
			buf_puts(out, "\\n");
		else
			buf_putc(out, *p);
	}
	buf_putc(out, '"');
}

/* Tens of thousands of lines are made of these: without a format, and with one look for room. */
static void put_line(struct buf *out, const char *name, const struct buf *labels, uint64_t value)
{
	size_t n_name = strlen(name), n_labels = labels ? labels->len : 0;
	char digits[24], *first = digits + sizeof digits, *to;

	*--first = '\n';
	do
		*--first = (char)('0' + value % 10);
	while (value /= 10);
	*--first = ' ';
	buf_reserve(out, n_name + n_labels + 2 + sizeof digits);
	to = mempcpy(out->data + out->len, name, n_name);
	if (n_labels) {
		*to++ = '{';
		to = mempcpy(to, labels->data, n_labels);
		*to++ = '}';
	}
	to = mempcpy(to, first, (size_t)(digits + sizeof digits - first));
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

void exposition_count(struct buf *out, const char *name, const struct buf *labels, uint64_t value)
{
	put_line(out, name, labels, value);
}

void exposition_number(struct buf *out, const char *name, const struct buf *labels, double value)
{
	if (value >= 0 && value < 1e6 && value == (double)(uint64_t)value) {
		put_line(out, name, labels, (uint64_t)value); /* most are 0 */
		return;
	}
	buf_puts(out, name);
	if (labels && labels->len)
		buf_printf(out, "{%s}", labels->data);
	buf_printf(out, " %.6g\n", value);
}

void exposition_histogram(struct buf *out, const char *name, const struct histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		n += h->n[i];
		buf_printf(out, "%s_bucket{le=\"%.6g\"} %llu\n", name,
			   (double)histogram_bounds_us[i] / 1e6, (unsigned long long)n);
	}
	n += h->n[HISTOGRAM_BOUNDS];
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
		   (unsigned long long)n, name, (double)h->sum_us / 1e6, name,
		   (unsigned long long)n);
}
