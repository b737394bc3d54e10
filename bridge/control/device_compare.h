/* device_compare.h -- what devices said, beside what the north has of it (fleet/compare.h), as items of an answer. */
#ifndef BRIDGE_DEVICE_COMPARE_H
#define BRIDGE_DEVICE_COMPARE_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct device_table;

/* Append the item of a device for which something passes north, else nothing: what is known of each of its keys that
 * was seen since then (of the bridge's time; 0: ever), and in `differs`, of a key or of the device, what is not as it
 * should be.  `asking`: the platform has not answered yet. */
void device_compare_put(const struct device_table *t, const char *name, int64_t since_ms,
			struct buf *out);
/* Have the running bridge ask the platform for attributes of this device, and append an item, with `why` not.  Nothing,
 * if there are none to ask for. */
void device_compare_ask(const struct device_table *t, const char *name, struct buf *out);
/* The names of all of which something was compared (the device of a link of one has no row); caller frees each and
 * the array. */
char **device_compare_names(const struct device_table *t, size_t *n);

#endif
