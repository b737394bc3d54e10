#include "disk/heartbeat.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

#define FILE_NAME    "heartbeat"
#define RECORD_BYTES 320 /* written at once, filled up with blanks */
#define LOOK_US	     200000

/* What stands in the file.  n is 0: nothing does. */
struct record {
	char text[RECORD_BYTES + 1];
	size_t n;
	bool is_read; /* the rest is known */
	char instance[CRYPTO_TOKEN_CHARS + 1], host[HEARTBEAT_HOST_CHARS + 1],
		boot[CLOCK_BOOT_CHARS + 1];
	long pid;
	long long since_ms;
	bool is_released;
};

/* --- the file ------------------------------------------------------------------------------ */

/* Opened anew each time: that is when a network file system asks its server. */
static int open_file(int dir_fd)
{
	return openat(dir_fd, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void parse(struct record *r)
{
	unsigned long long beats;
	char word[9];

	r->is_read =
		sscanf(r->text,
		       "calque 1 instance=%32s host=%64s boot=%36s pid=%ld since=%lld "
		       "beats=%llu %8s",
		       r->instance, r->host, r->boot, &r->pid, &r->since_ms, &beats, word) == 7;
	r->is_released = r->is_read && strcmp(word, "released") == 0;
}

static bool read_record(int fd, struct record *r)
{
	ssize_t n = pread(fd, r->text, RECORD_BYTES, 0);

	*r->boot = *r->host = *r->instance = '\0';
	r->n = n > 0 ? (size_t)n : 0;
	r->text[r->n] = '\0';
	parse(r);
	return n >= 0;
}

/* A full disk is no reason not to go on with what is held. */
static bool is_full(void)
{
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
}

static bool write_record(const struct heartbeat *h, int fd, const char *word)
{
	char text[RECORD_BYTES + 1], line[RECORD_BYTES];

	snprintf(line, sizeof line,
		 "calque 1 instance=%s host=%s boot=%s pid=%ld since=%lld beats=%llu %s",
		 h->instance, h->host, h->boot[0] ? h->boot : "-", h->pid, (long long)h->since_ms,
		 (unsigned long long)h->beats, word);
	snprintf(text, sizeof text, "%-*s\n", RECORD_BYTES - 1, line);
	return pwrite(fd, text, RECORD_BYTES, 0) == RECORD_BYTES || is_full();
}

static void say_who(const struct record *r, const char *shown, struct err *e)
{
	struct buf since = { 0 };

	clock_put_utc(r->since_ms, &since);
	if (r->is_read)
		err_set(e, ERR_BUSY,
			"state directory %s: another calque has it, on host %s since %s (process "
			"%ld there): end that one first",
			shown, r->host, buf_str(&since), r->pid);
	else
		err_set(e, ERR_BUSY,
			"state directory %s: another calque has it, as %s/" FILE_NAME
			" shows: end that one first",
			shown, shown);
	buf_fini(&since);
}

/* --- taking it ----------------------------------------------------------------------------- */

static void find_self(struct heartbeat *h, int dir_fd)
{
	struct clock_reading here;

	*h = (struct heartbeat){ .dir_fd = dir_fd, .pid = (long)getpid() };
	clock_look(&here);
	memcpy(h->boot, here.boot, sizeof h->boot);
	h->since_ms = here.wall_ms;
	crypto_token(h->instance);
	if (gethostname(h->host, sizeof h->host) != 0)
		h->host[0] = '\0';
	h->host[HEARTBEAT_HOST_CHARS] = '\0';
	for (char *p = h->host; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
			*p = '?';
	if (!h->host[0])
		strcpy(h->host, "-");
}

/* Of this machine, since it was last started: the lock knows who is there, and it is held. */
static bool is_from_here(const struct heartbeat *h, const struct record *r)
{
	return r->is_read && h->boot[0] && strcmp(r->boot, h->boot) == 0 &&
	       strcmp(r->host, h->host) == 0;
}

static bool is_somebodys(const struct heartbeat *h, const struct record *r)
{
	return r->n > 0 && !r->is_released && !is_from_here(h, r);
}

/* How long ago it was written, by the clock of the volume, which both machines have. */
static int64_t age_ms(int fd, int lock_fd)
{
	struct stat written, now;
	int64_t ms;

	if (fstat(fd, &written) != 0 || futimens(lock_fd, NULL) != 0 || fstat(lock_fd, &now) != 0)
		return 0;
	ms = (int64_t)(now.st_mtim.tv_sec - written.st_mtim.tv_sec) * 1000 +
	     (now.st_mtim.tv_nsec - written.st_mtim.tv_nsec) / 1000000;
	return ms > 0 ? ms : 0;
}

static bool look_again(int dir_fd, struct record *r)
{
	int fd = open_file(dir_fd);
	bool ok = fd >= 0 && read_record(fd, r);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool has_moved(const struct record *was, const struct record *is)
{
	return was->n != is->n || memcmp(was->text, is->text, was->n) != 0;
}

/* Does another live?  False: it does. */
static bool outwait(const struct heartbeat *h, const struct record *found, int64_t silent_ms,
		    const char *shown, struct err *e)
{
	int64_t begin_ms = clock_mono_ms();
	struct record now = *found;
	struct buf since = { 0 };

	clock_put_utc(found->is_read ? found->since_ms : 0, &since);
	if (silent_ms < HEARTBEAT_SILENT_MS)
		log_event(LOG_WARNING, "state-awaited", "host=%s since=%s at_most_s=%d",
			  log_value(found->host), buf_str(&since),
			  (int)((HEARTBEAT_SILENT_MS - silent_ms + 999) / 1000));
	while (is_somebodys(h, &now) &&
	       silent_ms + clock_mono_ms() - begin_ms < HEARTBEAT_SILENT_MS) {
		usleep(LOOK_US);
		if (look_again(h->dir_fd, &now) && is_somebodys(h, &now) &&
		    has_moved(found, &now)) {
			say_who(&now, shown, e);
			buf_fini(&since);
			return false;
		}
	}
	if (is_somebodys(h, &now))
		log_event(LOG_WARNING, "state-taken-over", "host=%s since=%s",
			  log_value(found->host), buf_str(&since));
	buf_fini(&since);
	return true;
}

/* Opened once more: the file that was looked at may be another's in its place now. */
static bool write_new(const struct heartbeat *h, const char *shown, struct err *e)
{
	int fd = open_file(h->dir_fd);
	bool ok = fd >= 0 ? write_record(h, fd, "held") : is_full();

	if (!ok)
		err_errno(e, "write %s/" FILE_NAME, shown);
	if (fd >= 0)
		close(fd);
	return ok;
}

bool heartbeat_take(struct heartbeat *h, int dir_fd, int lock_fd, const char *shown, struct err *e)
{
	struct record found;
	int64_t silent_ms;
	int fd;

	find_self(h, dir_fd);
	fd = open_file(dir_fd);
	if (fd < 0 && is_full())
		return h->is_held = true;
	if (fd < 0 || !read_record(fd, &found)) {
		err_errno(e, "read %s/" FILE_NAME, shown);
		if (fd >= 0)
			close(fd);
		return false;
	}
	silent_ms = is_somebodys(h, &found) ? age_ms(fd, lock_fd) : 0;
	close(fd);
	h->is_held = (!is_somebodys(h, &found) || outwait(h, &found, silent_ms, shown, e)) &&
		     write_new(h, shown, e);
	return h->is_held;
}

/* --- holding it ---------------------------------------------------------------------------- */

/* Nothing in it: it was removed by hand, or the disk was full. */
static bool is_own(const struct heartbeat *h, const struct record *r)
{
	return r->n == 0 || (r->is_read && strcmp(r->instance, h->instance) == 0);
}

static bool write_if_own(struct heartbeat *h, const char *word, struct err *e)
{
	int fd = open_file(h->dir_fd);
	struct record found;
	bool ok = false;

	if (fd < 0 && is_full())
		return true;
	h->beats++;
	if (fd < 0 || !read_record(fd, &found)) {
		err_errno(e, "read " FILE_NAME " in the state directory");
	} else if (!is_own(h, &found)) {
		h->is_held = false;
		say_who(&found, "of this bridge", e);
	} else {
		ok = write_record(h, fd, word);
		if (!ok)
			err_errno(e, "write " FILE_NAME " in the state directory");
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

bool heartbeat_renew(struct heartbeat *h, struct err *e)
{
	return write_if_own(h, "held", e);
}

void heartbeat_release(struct heartbeat *h)
{
	if (h->is_held)
		write_if_own(h, "released", NULL);
	h->is_held = false;
}
