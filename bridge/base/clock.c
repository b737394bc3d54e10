#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"

static int64_t read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
	return read_ms(CLOCK_REALTIME);
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
