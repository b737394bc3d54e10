#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/service.h"

/* A service manager with a socket in the abstract namespace. */
static int manager;
static char name[60];

static void set_up(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(name, sizeof name, "@calque-test-%d", (int)getpid());
	memcpy(at.sun_path + 1, name + 1, strlen(name + 1));
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(manager, (const struct sockaddr *)&at,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		     0);
}

static void tear_down(void)
{
	close(manager);
}

TestSuite(service, .init = set_up, .fini = tear_down);

/* The next datagram; "": there is none. */
static const char *heard(void)
{
	static char text[1000];
	ssize_t n = recv(manager, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

Test(service, without_a_manager_nothing_is_said)
{
	struct service *s = service_new(NULL, "3000000", NULL);

	cr_assert_null(s);
	service_tell(s, "x", 1);
	service_tell_stopping(s);
	cr_expect_eq(service_deadline(s), INT64_MAX);
	service_free(s);
	cr_expect_null(service_new("vsock:2:1234", NULL, NULL));
	cr_expect_null(service_new("", NULL, NULL));
}

Test(service, it_is_ready_once_and_alive_until_it_stops)
{
	struct service *s = service_new(name, "3000000", NULL);

	cr_assert(s);
	cr_expect(service_deadline(s) <= 5000);
	service_tell(s, "1 link", 5000);
	cr_expect_str_eq(heard(), "READY=1\nSTATUS=1 link\nWATCHDOG=1\n");
	cr_expect_eq(service_deadline(s), 6000); /* three times while the watchdog waits */
	service_tell(s, "2 links", 6000);
	cr_expect_str_eq(heard(), "STATUS=2 links\nWATCHDOG=1\n");
	service_tell_stopping(s);
	cr_expect_str_eq(heard(), "STOPPING=1\n");
	service_free(s);
}

Test(service, without_a_watchdog_it_says_how_it_is_now_and_then)
{
	char *other = mem_printf("%d", (int)getpid() + 1), *own = mem_printf("%d", (int)getpid());
	const char *const rows[][2] = {
		{ NULL, NULL }, { "0", NULL }, { "x", NULL }, { "3000000", other }
	};
	struct service *s;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		s = service_new(name, rows[i][0], rows[i][1]);
		service_tell(s, "x", 0);
		cr_expect_str_eq(heard(), "READY=1\nSTATUS=x\n");
		cr_expect_eq(service_deadline(s), 10000);
		service_free(s);
	}
	s = service_new(name, "3000000", own);
	service_tell(s, "x", 0);
	cr_expect_eq(service_deadline(s), 1000);
	service_free(s);
	free(other);
	free(own);
}

/* It never waits, and is not taken for ready by mistake. */
Test(service, what_a_full_socket_does_not_take_is_said_again)
{
	struct service *s = service_new(name, NULL, NULL), *other = service_new(name, NULL, NULL);
	int64_t now_ms = 0;

	for (int i = 0; i < 10000; i++)
		service_tell(other, "x", 0);
	service_tell(s, "late", now_ms);
	while (*heard())
		;
	service_tell(s, "late", service_deadline(s));
	cr_expect_str_eq(heard(), "READY=1\nSTATUS=late\n");
	service_free(other);
	service_free(s);
}
