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
	if (!jtext_is_utf8(value, strlen(value)))
		value = "?";
	if (out->len)
		buf_putc(out, ',');
	buf_puts(out, name);
	buf_puts(out, "=\"");
	for (const char *p = value; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_putc(out, '\\');
		if (*p == '\n')
			buf_puts(out, "\\n");
		else
			buf_putc(out, *p);
	}
	buf_putc(out, '"');
}

/* Thousands of lines are made of these, so without a format. */
static void put_name(struct buf *out, const char *name, const struct buf *labels)
{
	buf_puts(out, name);
	if (labels && labels->len) {
		buf_putc(out, '{');
		buf_append(out, labels->data, labels->len);
		buf_putc(out, '}');
	}
	buf_putc(out, ' ');
}

static void put_count(struct buf *out, uint64_t value)
{
	char digits[24], *p = digits + sizeof digits;

	*--p = '\n';
	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	buf_append(out, p, (size_t)(digits + sizeof digits - p));
}

void exposition_count(struct buf *out, const char *name, const struct buf *labels, uint64_t value)
{
	put_name(out, name, labels);
	put_count(out, value);
}

void exposition_number(struct buf *out, const char *name, const struct buf *labels, double value)
{
	put_name(out, name, labels);
	buf_printf(out, "%.6g\n", value);
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
