/* device_request.h -- what the verb devices asks of a bridge (control/control_request_devices.c). */
#ifndef BRIDGE_DEVICE_REQUEST_H
#define BRIDGE_DEVICE_REQUEST_H

#include <stdbool.h>

struct buf;
struct cli;

/* Append a request about devices, but for its last "}": to do `word` with those of these names, or (`has_filters`)
 * those that the options of the command line leave.  False: told what is wrong with them. */
bool device_request_put(const struct cli *cli, const char *word, char *const *names, int n,
			bool has_filters, struct buf *out);
/* Append ,"KEY":TEXT, unless it is NULL. */
void device_request_put_field(struct buf *out, const char *key, const char *text);
/* Of whom the history will tell.  Caller frees. */
char *device_request_user(void);

#endif
