#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"

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
	if (!p || !(p = strptime(p, "%z", &tm)) || *p)
		return false;
	offset = tm.tm_gmtoff;
	real = tm;
	seconds = timegm(&real);
	if (real.tm_mday != tm.tm_mday) /* timegm() takes 30 February for 2 March */
		return false;
	*ms = (int64_t)(seconds - offset) * 1000 + (int64_t)(fraction * 1000 + 0.5);
	return true;
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
