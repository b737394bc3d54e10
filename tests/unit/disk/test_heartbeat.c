/* Another machine is played by what stands in the file, and by how old that is. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "disk/directory.h"
#include "disk/heartbeat.h"

#define AFAR "calque 1 instance=abc host=afar boot=1-2-3 pid=7 since=1764331200000 beats="

static char dir[] = "/tmp/test_heartbeat.XXXXXX";
static int dir_fd, lock_fd;

static void set_up(void)
{
	cr_assert(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT, 0600);
	cr_assert(dir_fd >= 0 && lock_fd >= 0);
}

static void tear_down(void)
{
	unlinkat(dir_fd, "heartbeat", 0);
	unlinkat(dir_fd, "lock", 0);
	close(lock_fd);
	close(dir_fd);
	rmdir(dir);
}

TestSuite(heartbeat, .init = set_up, .fini = tear_down, .timeout = 60);

static int64_t put_ms, put_age_ms; /* when it was, and how old */

/* At once: who reads it meanwhile finds what was there before. */
static void put(const char *text, int64_t age_ms)
{
	int fd = openat(dir_fd, "other", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct timespec now, at[2];

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	clock_gettime(CLOCK_REALTIME, &now);
	at[0] = (struct timespec){ .tv_sec = now.tv_sec - age_ms / 1000, .tv_nsec = now.tv_nsec };
	at[1] = at[0];
	cr_assert_eq(futimens(fd, at), 0);
	close(fd);
	put_ms = clock_mono_ms();
	put_age_ms = age_ms;
	cr_assert_eq(renameat(dir_fd, "other", dir_fd, "heartbeat"), 0);
}

static const char *text(void)
{
	static struct buf b;
	struct err e = { 0 };
	char *path;

	buf_reset(&b);
	cr_assert_geq(asprintf(&path, "%s/heartbeat", dir), 0);
	cr_assert(buf_append_file(&b, path, 1000, &e), "%s", e.text);
	free(path);
	return buf_str(&b);
}

static void expect_taken(struct heartbeat *h, int64_t before_ms)
{
	struct err e = { 0 };
	int64_t begin_ms = clock_mono_ms(), took_ms;

	cr_assert(heartbeat_take(h, dir_fd, lock_fd, dir, &e), "%s", e.text);
	took_ms = clock_mono_ms() - begin_ms;
	cr_expect_lt(took_ms, before_ms, "it took %lld ms", (long long)took_ms);
	cr_expect(h->is_held);
	cr_expect(strstr(text(), h->instance) && strstr(text(), " held "), "%s", text());
}

/* Not before what was put there has stood for long enough. */
static void expect_awaited(struct heartbeat *h)
{
	int64_t silent_ms;

	expect_taken(h, HEARTBEAT_SILENT_MS + 10000);
	silent_ms = clock_mono_ms() - put_ms + put_age_ms;
	cr_expect_geq(silent_ms, HEARTBEAT_SILENT_MS - 100, "after %lld ms", (long long)silent_ms);
}

Test(heartbeat, one_that_was_released_is_taken_at_once)
{
	struct heartbeat h;

	expect_taken(&h, 5000);
	heartbeat_release(&h);
	cr_expect(strstr(text(), " released "), "%s", text());
	cr_expect_not(h.is_held);
	put(AFAR "5 released", 0);
	expect_taken(&h, 5000);
}

/* The lock is held, so whoever wrote it is gone. */
Test(heartbeat, one_of_this_machine_is_taken_at_once)
{
	struct heartbeat crashed, h;

	expect_taken(&crashed, 5000);
	expect_taken(&h, 5000);
	cr_expect_str_neq(crashed.instance, h.instance);
}

Test(heartbeat, one_of_another_machine_that_is_old_is_taken_at_once)
{
	struct heartbeat h;

	put(AFAR "5 held", HEARTBEAT_SILENT_MS + 1000);
	expect_taken(&h, 5000);
}

Test(heartbeat, one_of_another_machine_is_taken_when_it_has_not_moved_for_long)
{
	struct heartbeat h;

	put(AFAR "5 held", HEARTBEAT_SILENT_MS - 1000);
	expect_awaited(&h);
}

/* The same name, another run of the kernel: a pod that went to another node. */
Test(heartbeat, one_of_this_name_and_another_boot_is_another_machines)
{
	struct heartbeat h;
	char host[HEARTBEAT_HOST_CHARS + 1], other[200];

	cr_assert_eq(gethostname(host, sizeof host), 0);
	snprintf(other, sizeof other,
		 "calque 1 instance=abc host=%s boot=1-2-3 pid=7 since=0 beats=1 held", host);
	put(other, HEARTBEAT_SILENT_MS - 1000);
	expect_awaited(&h);
}

/* What another process does to the file while this one waits. */
static pid_t meanwhile(const char *word, int n)
{
	pid_t pid = fork();
	char line[200];

	for (int i = 0; pid == 0 && i < n; i++) {
		usleep(100000);
		snprintf(line, sizeof line, AFAR "%d %s", i + 6, word);
		put(line, 0);
	}
	if (pid == 0)
		_exit(0);
	return pid;
}

Test(heartbeat, one_that_moves_is_another_calques)
{
	struct heartbeat h;
	struct err e = { 0 };
	pid_t pid;

	put(AFAR "5 held", 0);
	pid = meanwhile("held", 300);
	cr_expect_not(heartbeat_take(&h, dir_fd, lock_fd, dir, &e));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect_eq(e.code, ERR_BUSY);
	cr_expect(strstr(e.text, dir) && strstr(e.text, "on host afar since 2025-11-28T12:00:00Z"),
		  "%s", e.text);
	cr_expect_not(h.is_held);
	put(AFAR "5 held", 0);
	heartbeat_release(&h);
	cr_expect_str_eq(text(), AFAR "5 held", "nothing of it is ours");
}

Test(heartbeat, one_that_is_released_meanwhile_is_taken)
{
	struct heartbeat h;
	pid_t pid;

	put(AFAR "5 held", 0);
	pid = meanwhile("released", 1);
	expect_taken(&h, HEARTBEAT_SILENT_MS - 2000);
	waitpid(pid, NULL, 0);
}

Test(heartbeat, whoever_finds_anothers_holds_nothing_any_more)
{
	struct heartbeat h;
	struct err e = { 0 };

	expect_taken(&h, 5000);
	cr_expect(heartbeat_renew(&h, &e), "%s", e.text);
	cr_expect(strstr(text(), "beats=1 held"), "%s", text());
	put(AFAR "5 held", 0);
	cr_expect_not(heartbeat_renew(&h, &e));
	cr_expect_eq(e.code, ERR_BUSY);
	cr_expect(strstr(e.text, "afar"), "%s", e.text);
	heartbeat_release(&h);
	cr_expect_str_eq(text(), AFAR "5 held");
}

/* It came, did its work and went: what is known here of the state is of before. */
Test(heartbeat, one_that_another_has_released_is_anothers_too)
{
	struct heartbeat h;
	struct err e = { 0 };

	expect_taken(&h, 5000);
	put(AFAR "5 released", 0);
	cr_expect_not(heartbeat_renew(&h, &e));
	cr_expect_eq(e.code, ERR_BUSY);
}

Test(heartbeat, a_file_that_is_gone_or_empty_is_written_again)
{
	struct heartbeat h;
	struct err e = { 0 };

	expect_taken(&h, 5000);
	unlinkat(dir_fd, "heartbeat", 0);
	cr_expect(heartbeat_renew(&h, &e), "%s", e.text);
	put("", 0);
	cr_expect(heartbeat_renew(&h, &e), "%s", e.text);
	cr_expect(strstr(text(), h.instance), "%s", text());
}

/* What another version writes moves, too. */
Test(heartbeat, what_cannot_be_read_is_looked_at_likewise)
{
	struct heartbeat h;
	struct err e = { 0 };

	put("something else", HEARTBEAT_SILENT_MS - 1000);
	expect_awaited(&h);
	put("something else", 0);
	cr_expect_not(heartbeat_renew(&h, &e));
	cr_expect_eq(e.code, ERR_BUSY);
}

Test(heartbeat, it_goes_with_the_directory)
{
	struct directory d;
	struct err e = { 0 };
	pid_t pid;

	close(lock_fd);
	cr_assert(directory_open(&d, dir, &e), "%s", e.text);
	cr_expect(strstr(text(), " held "), "%s", text());
	directory_close(&d);
	cr_expect(strstr(text(), " released "), "%s", text());
	put(AFAR "5 held", 0);
	pid = meanwhile("held", 300);
	cr_expect_not(directory_open(&d, dir, &e));
	cr_expect_eq(e.code, ERR_BUSY);
	directory_close(&d);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect(strstr(text(), "host=afar"), "%s", text());
	lock_fd = open("/dev/null", O_RDONLY);
}
