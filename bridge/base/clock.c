#include "base/clock.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

static int64_t read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 2024: no run was before.  (The last one may well have been before this program was built.) */
#define WAS_SET_MS INT64_C(1704067200000)

/* The bridge's time less CLOCK_BOOTTIME. */
static int64_t since_boot_ms;
static bool is_set;

int64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t clock_now_ms(void)
{
	if (!is_set)
		clock_set(clock_wall_ms());
	return read_ms(CLOCK_BOOTTIME) + since_boot_ms;
}

int64_t clock_ahead_ms(void)
{
	return clock_wall_ms() - clock_now_ms();
}

void clock_set(int64_t now_ms)
{
	since_boot_ms = now_ms - read_ms(CLOCK_BOOTTIME);
	is_set = true;
}

bool clock_is_plausible(int64_t wall_ms)
{
	return wall_ms / 1000 >= CALQUE_BUILT_S;
}

static void read_boot(char *out, size_t size)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f && fgets(out, (int)size, f))
		out[strcspn(out, "\n ")] = '\0';
	else
		out[0] = '\0';
	if (f)
		fclose(f);
}

void clock_look(struct clock_reading *out)
{
	read_boot(out->boot, sizeof out->boot);
	out->now_ms = clock_now_ms();
	out->wall_ms = clock_wall_ms();
	out->boot_ms = read_ms(CLOCK_BOOTTIME);
}

bool clock_go_on(const struct clock_reading *last, const struct clock_reading *here,
		 int64_t *now_ms)
{
	bool is_same = here->boot[0] && strcmp(here->boot, last->boot) == 0 &&
		       here->boot_ms >= last->boot_ms;
	bool is_believed = here->wall_ms >= last->wall_ms && clock_is_plausible(here->wall_ms) &&
			   last->wall_ms >= WAS_SET_MS;

	*now_ms = last->now_ms;
	if (is_same)
		*now_ms += here->boot_ms - last->boot_ms;
	else if (is_believed)
		*now_ms += here->wall_ms - last->wall_ms;
	return is_same || is_believed;
}

int64_t clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

bool clock_read(const char *text, int64_t *ms)
{
	struct tm tm = { 0 }, real;
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	double fraction = 0;
	time_t seconds;
	char *end;
	long offset;

	if (p && *p == '.') {
		fraction = strtod(p, &end);
		p = end;
	}
	if (!p || !(fraction < 1) || !(p = strptime(p, "%z", &tm)) || *p)
		return false;
	offset = tm.tm_gmtoff;
	real = tm;
	seconds = timegm(&real);
	if (real.tm_mday != tm.tm_mday) /* timegm() takes 30 February for 2 March */
		return false;
	*ms = (int64_t)(seconds - offset) * 1000 + (int64_t)(fraction * 1000 + 0.5);
	return true;
}

/* --- clocks of a place ----------------------------------------------------------------------- */

/* What they show.  The name of the zone; NULL: it is not that. */
static const char *read_shown(const char *text, struct tm *tm)
{
	const char *p = strptime(text, "%Y-%m-%d", tm), *more;

	if (!p || (*p != ' ' && *p != 'T') || !isdigit((unsigned char)p[1]))
		return NULL;
	p = strptime(p + 1, "%H:%M", tm);
	more = p ? strptime(p, ":%S", tm) : NULL;
	p = more ? more : p;
	return p && *p == ' ' && isalpha((unsigned char)p[1]) ? p + 1 : NULL;
}

/* Of a zone that is not there, the C library makes UTC without a word. */
static bool is_zone(const char *name, const char *dir)
{
	char *path = mem_printf("%s/%s", dir ? dir : "/usr/share/zoneinfo", name);
	struct stat st;
	bool is = !strstr(name, "..") &&
		  strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			       "0123456789/_+-") == strlen(name) &&
		  stat(path, &st) == 0 && S_ISREG(st.st_mode);

	free(path);
	return is;
}

static bool shows(time_t at, const struct tm *tm)
{
	struct tm there;

	return localtime_r(&at, &there) && there.tm_year == tm->tm_year &&
	       there.tm_mon == tm->tm_mon && there.tm_mday == tm->tm_mday &&
	       there.tm_hour == tm->tm_hour && there.tm_min == tm->tm_min &&
	       there.tm_sec == tm->tm_sec;
}

struct found {
	enum clock_place is;
	time_t at;
};

/* By the clocks of this process.  They are put forward and back by half hours. */
static struct found find(const struct tm *tm)
{
	struct tm wanted = *tm;
	struct found found = { .is = CLOCK_ONCE };

	wanted.tm_isdst = -1;
	found.at = mktime(&wanted);
	if (!shows(found.at, tm))
		found.is = CLOCK_NEVER;
	for (time_t half = 1; half <= 48 && found.is == CLOCK_ONCE; half++)
		if (shows(found.at + half * 1800, tm) || shows(found.at - half * 1800, tm))
			found.is = CLOCK_TWICE;
	return found;
}

/* The C library knows one zone in a process, and has it from the environment, which is everybody's: so a copy of this
 * process is asked. */
static struct found ask_zone(const char *zone, const struct tm *tm)
{
	struct found found = { .is = CLOCK_NO_ZONE };
	char *tz = mem_printf(":%s", zone);
	int ends[2];
	pid_t child = -1;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		free(tz);
		return found;
	}
	child = fork();
	if (child == 0) {
		setenv("TZ", tz, 1);
		tzset();
		found = find(tm);
		_exit(write(ends[1], &found, sizeof found) == sizeof found ? 0 : 1);
	}
	free(tz);
	close(ends[1]);
	if (child > 0 && read(ends[0], &found, sizeof found) != sizeof found)
		found.is = CLOCK_NO_ZONE;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return found;
}

enum clock_place clock_read_place(const char *text, const char *dir, int64_t *ms)
{
	struct tm tm = { 0 };
	const char *zone = read_shown(text, &tm);
	struct found found;

	if (!zone || !is_zone(zone, dir))
		return zone ? CLOCK_NO_ZONE : CLOCK_NO_TIME;
	found = ask_zone(zone, &tm);
	if (found.is == CLOCK_ONCE)
		*ms = (int64_t)found.at * 1000;
	return found.is;
}

void clock_put_local(struct buf *out)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[16];

	localtime_r(&now, &tm);
	strftime(text, sizeof text, "%H:%M:%S", &tm);
	buf_puts(out, text);
}

void clock_put_utc(int64_t ms, struct buf *out)
{
	time_t at = (time_t)(ms / 1000);
	char text[32] = "-";
	struct tm tm;

	if (ms && gmtime_r(&at, &tm))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_puts(out, text);
}
