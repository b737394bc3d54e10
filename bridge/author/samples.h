/* samples.h -- a first mapping out of messages that a device really sent: topics become templates, kinds are guessed. */
#ifndef BRIDGE_SAMPLES_H
#define BRIDGE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct samples;

/* `text`: an object per line, {"topic", "payload" | "payload_text" | "payload_base64", "flow": "up" | "down"}, what
 * mosquitto_sub -F %j prints among others: a payload that is a string is a text, and a flow that is not said is guessed by
 * words in the topic.  NULL sets *e: ERR_INVALID with the line. */
struct samples *samples_new(const char *text, struct err *e);
void samples_free(struct samples *s); /* NULL is allowed */

/* Append the mapping called `name`, and cases with the messages and no expectations. */
void samples_put_mapping(const struct samples *s, const char *name, struct buf *out);
void samples_put_cases(const struct samples *s, const char *name, struct buf *out);

#endif
