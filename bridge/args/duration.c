#include "args/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"

#define MAX_MS (100LL * 366 * 86400 * 1000)

static const struct unit {
	char letter;
	int64_t ms;
} units[] = { { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 }, { 's', 1000 } };
#define N_UNITS (sizeof units / sizeof units[0])

bool duration_parse(const char *text, int64_t *ms)
{
	char *end;
	long long n;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	for (size_t i = 0; errno == 0 && i < N_UNITS; i++)
		if (*end == units[i].letter && !end[1] && n <= MAX_MS / units[i].ms) {
			*ms = n * units[i].ms;
			return true;
		}
	return false;
}

void duration_put(int64_t ms, struct buf *out)
{
	size_t i = 0;

	while (i < N_UNITS - 1 && ms < 2 * units[i].ms)
		i++;
	buf_printf(out, "%lld%c", ms > 0 ? (long long)(ms / units[i].ms) : 0LL, units[i].letter);
}
