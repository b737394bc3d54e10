#include "base/service.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define STATUS_MS	   10000 /* at least so often is said how it is ... */
#define PINGS_PER_WATCHDOG 3	 /* ... and so often in the time that the watchdog waits */

struct service {
	int fd;
	struct sockaddr_un to;
	socklen_t to_len;
	bool has_watchdog, is_ready; /* ready: and that was taken */
	int64_t every_ms, due_ms;
	struct buf text;
};

/* "/run/x", or "@x" of the abstract ones. */
static bool read_address(struct service *s, const char *socket)
{
	size_t len = strlen(socket);

	if ((socket[0] != '/' && socket[0] != '@') || len >= sizeof s->to.sun_path)
		return false;
	s->to.sun_family = AF_UNIX;
	memcpy(s->to.sun_path, socket, len + 1);
	if (socket[0] == '@')
		s->to.sun_path[0] = '\0';
	s->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

static bool number(const char *text, long long *n)
{
	char *end;

	errno = 0;
	*n = text ? strtoll(text, &end, 10) : 0;
	return text && *text && !*end && errno == 0 && *n > 0;
}

static void read_watchdog(struct service *s, const char *us, const char *pid)
{
	long long n, whose;

	s->every_ms = STATUS_MS;
	if (!number(us, &n) || (pid && (!number(pid, &whose) || whose != getpid())))
		return;
	s->has_watchdog = true;
	n /= 1000LL * PINGS_PER_WATCHDOG;
	if (n < s->every_ms)
		s->every_ms = n > 0 ? n : 1;
}

struct service *service_new(const char *socket_name, const char *watchdog_us,
			    const char *watchdog_pid)
{
	struct service *s;

	if (!socket_name)
		return NULL;
	s = mem_zalloc(sizeof *s);
	s->fd = -1;
	if (read_address(s, socket_name))
		s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0) {
		free(s);
		return NULL;
	}
	read_watchdog(s, watchdog_us, watchdog_pid);
	s->due_ms = INT64_MIN;
	return s;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	close(s->fd);
	buf_fini(&s->text);
	free(s);
}

int64_t service_deadline(const struct service *s)
{
	return s ? s->due_ms : INT64_MAX;
}

/* What is not taken (the socket is full) is said again the next time. */
static bool send_text(struct service *s)
{
	return sendto(s->fd, s->text.data, s->text.len, MSG_NOSIGNAL | MSG_DONTWAIT,
		      (const struct sockaddr *)&s->to, s->to_len) >= 0;
}

void service_tell(struct service *s, const char *status, int64_t now_ms)
{
	if (!s)
		return;
	buf_reset(&s->text);
	buf_printf(&s->text, "%sSTATUS=%s\n%s", s->is_ready ? "" : "READY=1\n", status,
		   s->has_watchdog ? "WATCHDOG=1\n" : "");
	if (send_text(s))
		s->is_ready = true;
	s->due_ms = now_ms + s->every_ms;
}

void service_tell_stopping(struct service *s)
{
	if (!s)
		return;
	buf_reset(&s->text);
	buf_puts(&s->text, "STOPPING=1\n");
	send_text(s);
}

void service_tell_reloading(struct service *s)
{
	if (!s)
		return;
	buf_reset(&s->text);
	buf_printf(&s->text, "RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)clock_mono_us());
	send_text(s);
	s->is_ready = false;
	s->due_ms = 0;
}
