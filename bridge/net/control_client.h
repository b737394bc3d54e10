/* control_client.h -- the other end of control_server.h: ask a running bridge, line by line.  Blocks. */
#ifndef BRIDGE_CONTROL_CLIENT_H
#define BRIDGE_CONTROL_CLIENT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct control_client;
struct err;

/* Connect to the bridge whose state is in `dir`.  NULL sets *e: ERR_NOT_FOUND none is running there;
 * ERR_IO. */
struct control_client *control_client_open(const char *dir, struct err *e);
void control_client_close(struct control_client *d); /* NULL is allowed */

/* Send one request, a line without its end.  False sets *e: ERR_IO; ERR_LIMIT longer than the bridge takes, nothing was
 * sent. */
bool control_client_send(struct control_client *d, const char *line, size_t n, struct err *e);
/* The next line of the answer, without its end, is put into `line` (what was there goes).  False sets
 * *e: ERR_IO the bridge ended, or said nothing for 30 s. */
bool control_client_receive(struct control_client *d, struct buf *line, struct err *e);

/* From a signal on that sets `stop`, what comes is awaited for a moment only: then control_client_receive() ends with
 * ERR_BUSY.  Borrowed. */
void control_client_stop_on(struct control_client *d, const volatile sig_atomic_t *stop);

#endif
