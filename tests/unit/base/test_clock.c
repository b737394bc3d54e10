#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/buf.h"

#define MINUTE 60000
#define HOUR   INT64_C(3600000)
#define DAY    (24 * HOUR)

/* The last run, and now: what became of its time. */
struct go_on_case {
	const char *about;
	const char *boot;	 /* the last one's is "A" */
	int64_t boot_ms;	 /* the last one's is an hour */
	int64_t last_wall, wall; /* less the time of day of the test */
	int64_t passed;		 /* -1: nobody knows */
};

static const struct go_on_case cases[] = {
	{ "the same boot", "A", HOUR + MINUTE, 0, MINUTE, MINUTE },
	{ "and the clock was set three hours back", "A", HOUR + MINUTE, 0, -3 * HOUR, MINUTE },
	{ "or years ahead", "A", HOUR + MINUTE, 0, 10000 * DAY, MINUTE },
	{ "another boot", "B", MINUTE, 0, 2 * HOUR, 2 * HOUR },
	{ "a machine that has no name for it", "", MINUTE, 0, 2 * HOUR, 2 * HOUR },
	{ "the same name, but an earlier time: no such boot", "A", MINUTE, 0, 2 * HOUR, 2 * HOUR },
	{ "the clock is behind", "B", MINUTE, 0, -3 * HOUR, -1 },
	{ "it was not set yet", "B", MINUTE, 0, -20000 * DAY, -1 },
	{ "it was not set then", "B", MINUTE, -20000 * DAY, 0, -1 },
	{ "neither then nor now", "B", MINUTE, -20000 * DAY, -20000 * DAY + HOUR, -1 },
};

Test(clock, goes_on_as_far_as_it_is_known)
{
	struct clock_reading here;
	int64_t day;

	clock_look(&here);
	day = here.wall_ms;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct go_on_case *c = &cases[i];
		struct clock_reading last = { "A", HOUR, day + c->last_wall, 77 * DAY };
		int64_t now_ms;
		bool is_known;

		strcpy(here.boot, c->boot);
		here.boot_ms = c->boot_ms;
		here.wall_ms = day + c->wall;
		is_known = clock_go_on(&last, &here, &now_ms);
		cr_expect_eq(is_known, c->passed >= 0, "%s", c->about);
		cr_expect_eq(now_ms, 77 * DAY + (is_known ? c->passed : 0), "%s: %lld", c->about,
			     (long long)(now_ms - 77 * DAY));
	}
}

Test(clock, begins_as_the_time_of_day)
{
	int64_t ahead_ms = clock_ahead_ms();

	cr_expect(ahead_ms >= -1 && ahead_ms <= 1000, "%lld", (long long)ahead_ms);
	cr_expect(clock_is_plausible(clock_wall_ms()));
	cr_expect_not(clock_is_plausible(0));
}

Test(clock, goes_on_from_where_it_is_set_and_the_time_of_day_is_as_it_was)
{
	int64_t wall_ms = clock_wall_ms(), now_ms;

	clock_set(5 * DAY);
	now_ms = clock_now_ms();
	cr_expect(now_ms >= 5 * DAY && now_ms < 5 * DAY + MINUTE);
	cr_expect_geq(clock_now_ms(), now_ms);
	cr_expect(clock_wall_ms() >= wall_ms && clock_wall_ms() < wall_ms + MINUTE);
	cr_expect(llabs(clock_ahead_ms() - (wall_ms - 5 * DAY)) < MINUTE);
}

Test(clock, has_the_name_of_the_boot)
{
	struct clock_reading here;

	clock_look(&here);
	cr_expect_eq(strlen(here.boot), CLOCK_BOOT_CHARS);
	cr_expect_gt(here.boot_ms, 0);
}

Test(clock, a_time_is_written_in_utc)
{
	struct buf text = { 0 };

	clock_put_utc(1795833229999, &text);
	cr_expect_str_eq(buf_str(&text), "2026-11-28T02:33:49Z");
	buf_reset(&text);
	clock_put_utc(0, &text);
	cr_expect_str_eq(buf_str(&text), "-");
	buf_fini(&text);
}

Test(clock, reads_a_time_of_day_with_its_offset_and_nothing_else)
{
	static const struct {
		const char *text;
		int64_t ms; /* 0: it is none */
	} texts[] = {
		{ "1970-01-02T00:00:00Z", DAY },
		{ "1970-01-02T00:00:00.25Z", DAY + 250 },
		{ "1970-01-02T01:30:00+01:30", DAY },
		{ "1970-01-02T00:00:00", 0 },
		{ "1970-02-30T00:00:00Z", 0 },
		{ "1970-01-02T00:00:00.1e300Z", 0 }, /* strtod() reads more than a fraction */
		{ "1970-01-02T00:00:00Z and more", 0 },
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		int64_t ms = 0;

		cr_expect_eq(clock_read(texts[i].text, &ms), texts[i].ms != 0, "%s", texts[i].text);
		cr_expect_eq(ms, texts[i].ms, "%s", texts[i].text);
	}
}
