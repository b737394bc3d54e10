/* service.h -- what a service manager is told (systemd, with Type=notify): that calque is ready, how it is, that it
 * lives, and that it ends.
 *
 * Datagrams to a socket, as sd_notify(3) describes them; systemd's own library waits where that socket is full, and
 * the loop must not.  Without a service manager nothing of this does anything. */
#ifndef BRIDGE_SERVICE_H
#define BRIDGE_SERVICE_H

#include <stdint.h>

struct service;

/* What the environment says in NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; NULL: not set.  NULL: there is no service
 * manager (that we could speak to), which all the others allow. */
struct service *service_new(const char *socket, const char *watchdog_us, const char *watchdog_pid);
void service_free(struct service *s);

/* When it wants to be told again, in the caller's time; INT64_MAX: never. */
int64_t service_deadline(const struct service *s);
/* In good time: calque is ready, from the first call on, it lives, and `status` is how it is, in a line for people.
 * The next time is that of the watchdog, or some seconds from now. */
void service_tell(struct service *s, const char *status, int64_t now_ms);
/* It reads its configuration again; with the next service_tell(), which is due at once, it is ready. */
void service_tell_reloading(struct service *s);
/* It ends, in a while. */
void service_tell_stopping(struct service *s);

#endif
