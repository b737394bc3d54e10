/* exposition.h -- numbers in the text format of Prometheus (version 0.0.4).
 *
 * All samples of a name stand together, behind what it is about.  Names and names of labels are ours, values of labels
 * may be anybody's. */
#ifndef BRIDGE_EXPOSITION_H
#define BRIDGE_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct histogram;

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Append # HELP and # TYPE. */
void exposition_begin(struct buf *out, const char *name, const char *type, const char *help);
/* Append a label, with a comma before it if there is one already; `value` may be anything: what is no UTF-8 is "?". */
void exposition_label(struct buf *out, const char *name, const char *value);
/* Append a sample with the labels in `labels` (borrowed, made by exposition_label(); may be empty). */
void exposition_count(struct buf *out, const char *name, const struct buf *labels, uint64_t value);
void exposition_number(struct buf *out, const char *name, const struct buf *labels, double value);
/* Append NAME_bucket, NAME_sum and NAME_count, in seconds. */
void exposition_histogram(struct buf *out, const char *name, const struct histogram *h);

#endif
