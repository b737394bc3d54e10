#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "state/change.h"
#include "state/machine.h"
#include "state/presence.h"

static struct changes changed;

static void expect_state(struct presences *t, const char *device, const char *state)
{
	struct buf b = { 0 };

	presences_put_state(t, device, &b);
	cr_expect_str_eq(b.len ? b.data : "{\"online\":null,\"alarm\":false}", state);
	buf_fini(&b);
}

static void expect_change(const char *device, const char *value)
{
	cr_assert_eq(changed.n, 1);
	cr_expect_str_eq(changed.items[0].machine, "presence");
	cr_expect_str_eq(changed.items[0].key, device);
	cr_expect_str_eq(changed.items[0].value, value);
	cr_expect_not(changed.items[0].is_secret);
	changes_fini(&changed);
}

Test(presence, unknown_device_is_null_and_has_no_alarm)
{
	struct presences *t = presences_new();

	expect_state(t, "d", "{\"online\":null,\"alarm\":false}");
	presences_free(t);
	presences_free(NULL);
}

Test(presence, first_word_is_news_and_then_only_a_change)
{
	struct presences *t = presences_new();

	cr_expect(presences_set_online(t, "d", false, &changed));
	expect_change("d", "{\"online\":false,\"alarm\":null}");
	cr_expect_not(presences_set_online(t, "d", false, &changed));
	cr_expect_eq(changed.n, 0);
	cr_expect(presences_set_online(t, "d", true, &changed));
	expect_change("d", "{\"online\":true,\"alarm\":null}");
	expect_state(t, "d", "{\"online\":true,\"alarm\":false}");
	expect_state(t, "other", "{\"online\":null,\"alarm\":false}");
	presences_free(t);
}

Test(presence, first_word_of_no_alarm_is_no_news)
{
	struct presences *t = presences_new();

	cr_expect_not(presences_set_alarm(t, "d", false, &changed));
	changes_fini(&changed);
	cr_expect(presences_set_alarm(t, "d", true, &changed));
	expect_change("d", "{\"online\":null,\"alarm\":true}");
	cr_expect_not(presences_set_alarm(t, "d", true, &changed));
	cr_expect_eq(changed.n, 0);
	cr_expect(presences_set_alarm(t, "d", false, &changed));
	changes_fini(&changed);
	presences_free(t);
}

Test(presence, first_word_of_an_alarm_is_news)
{
	struct presences *t = presences_new();

	cr_expect(presences_set_alarm(t, "d", true, &changed));
	expect_state(t, "d", "{\"online\":null,\"alarm\":true}");
	changes_fini(&changed);
	presences_free(t);
}

Test(presence, restored_state_goes_on)
{
	struct presences *t = presences_new();

	cr_expect(presences_restore(t, "d", "{\"online\":true,\"alarm\":null}", NULL));
	cr_expect_not(presences_set_online(t, "d", true, &changed));
	cr_expect_eq(changed.n, 0);
	cr_expect(presences_set_alarm(t, "d", true, &changed));
	expect_change("d", "{\"online\":true,\"alarm\":true}");
	presences_free(t);
}

Test(presence, bad_rows_change_nothing)
{
	static const char *const rows[] = {
		"",
		"{",
		"null",
		"[]",
		"{}",
		"{\"online\":true}",
		"{\"online\":1,\"alarm\":null}",
		"{\"online\":true,\"alarm\":\"no\"}",
		"{\"online\":true,\"alarm\":null,\"seen\":-1}",
		"{\"online\":true,\"alarm\":null,\"seen\":[]}",
	};
	struct presences *t = presences_new();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { 0 };

		cr_expect_not(presences_restore(t, "d", rows[i], &e), "%s", rows[i]);
		cr_expect_eq(e.code, ERR_CORRUPT, "%s", rows[i]);
	}
	expect_state(t, "d", "{\"online\":null,\"alarm\":false}");
	presences_free(t);
}

#define DAY INT64_C(86400000)
#define NOW (20000 * DAY + 5)

static void expect_there(struct presences *t, int64_t now_ms, const char *only)
{
	struct map_pos pos = { 0 };
	const char *device = presences_next_there(t, &pos, now_ms);

	cr_assert_not_null(device);
	cr_expect_str_eq(device, only);
	cr_expect(presences_is_there(t, only, now_ms));
	cr_expect_null(presences_next_there(t, &pos, now_ms));
}

Test(presence, those_that_are_online_are_listed)
{
	struct presences *table = presences_new();

	presences_set_online(table, "a", true, &changed);
	presences_set_online(table, "b", false, &changed);
	presences_set_alarm(table, "c", true, &changed);
	presences_see(table, "b", NOW);
	expect_there(table, NOW, "a");
	cr_expect_not(presences_is_there(table, "b", NOW));
	cr_expect_not(presences_is_there(table, "c", NOW));
	cr_expect_not(presences_is_there(table, "d", NOW));
	presences_free(table);
	changes_fini(&changed);
}

Test(presence, who_never_says_whether_it_is_online_is_there_for_a_week)
{
	struct presences *t = presences_new();
	struct err e = { 0 };

	presences_see(t, "d", NOW);
	cr_expect_str_eq(presences_next_seen(t), "d");
	cr_expect_eq(presence_machine.next_deadline(t), 0, "it is to be written soon");
	presences_put_seen(t, "d", &changed);
	expect_change("d", "{\"online\":null,\"alarm\":null,\"seen\":20000}");
	presences_see(t, "d", NOW + DAY - 6);
	cr_expect_null(presences_next_seen(t), "once a day is enough");
	cr_expect_eq(presence_machine.next_deadline(t), INT64_MAX);
	expect_state(t, "d", "{\"online\":null,\"alarm\":false}");
	expect_there(t, NOW + 7 * DAY - 6, "d");
	cr_expect_not(presences_is_there(t, "d", NOW + 7 * DAY));
	presences_see(t, "d", NOW + 8 * DAY);
	cr_expect(presences_set_online(t, "d", true, &changed), "that is the first word");
	expect_change("d", "{\"online\":true,\"alarm\":null,\"seen\":20008}");
	presences_free(t);
	t = presences_new();
	cr_assert(presences_restore(t, "d", "{\"online\":null,\"alarm\":null,\"seen\":20000}", &e));
	expect_there(t, NOW, "d");
	presences_see(t, "e", NOW);
	presences_forget(t, "e", &changed);
	cr_expect_null(presences_next_seen(t));
	cr_expect(presences_is_known(t, "d"));
	cr_expect_not(presences_is_known(t, "e"));
	presences_free(t);
	changes_fini(&changed);
}

Test(presence, a_device_that_is_gone_is_unknown_again)
{
	struct presences *t = presences_new();

	presences_set_online(t, "d", true, &changed);
	changes_fini(&changed);
	presences_forget(t, "d", &changed);
	cr_assert_eq(changed.n, 1);
	cr_expect_null(changed.items[0].value);
	changes_fini(&changed);
	presences_forget(t, "d", &changed);
	cr_expect_eq(changed.n, 0);
	expect_state(t, "d", "{\"online\":null,\"alarm\":false}");
	presences_free(t);
}

/* --- who leaves, and who is silent */

#define SILENCE 60000
#define DELAY	30000

static struct presences *table_of_two(void)
{
	struct presences *t = presences_new();

	presences_set_delays(t, SILENCE, DELAY);
	presences_hear(t, "a", NOW);
	presences_hear(t, "b", NOW + 1);
	cr_expect_str_eq(presences_next_back(t), "a");
	presences_set_online(t, "a", true, &changed);
	cr_expect_str_eq(presences_next_back(t), "b");
	presences_set_online(t, "b", true, &changed);
	cr_expect_null(presences_next_back(t));
	changes_fini(&changed);
	return t;
}

Test(presence, the_longest_silent_is_gone_first)
{
	struct presences *t = table_of_two();

	cr_expect_eq(presence_machine.next_deadline(t), NOW + SILENCE);
	presences_hear(t, "a", NOW + 2);
	cr_expect_eq(presence_machine.next_deadline(t), NOW + SILENCE + 1);
	cr_expect_null(presences_next_gone(t, NOW + SILENCE));
	cr_expect_str_eq(presences_next_gone(t, NOW + SILENCE + 1), "b");
	presences_set_gone(t, "b", &changed);
	expect_change("b", "{\"online\":false,\"alarm\":null,\"silent\":true}");
	cr_expect(presences_is_away(t, "b"));
	cr_expect_null(presences_next_gone(t, NOW + SILENCE + 1));
	presences_hear(t, "b", NOW + SILENCE + 9);
	cr_expect_str_eq(presences_next_back(t), "b");
	cr_expect(presences_set_online(t, "b", true, &changed));
	expect_change("b", "{\"online\":true,\"alarm\":null}");
	presences_free(t);
}

Test(presence, who_said_goodbye_is_not_back_by_a_message)
{
	struct presences *t = table_of_two();

	cr_expect(presences_leave(t, "a", NOW + 5, &changed));
	expect_change("a", "{\"online\":true,\"alarm\":null,\"leaves\":true}");
	cr_expect(presences_leave(t, "a", NOW + 6, &changed));
	cr_expect_eq(changed.n, 0, "it was said");
	presences_hear(t, "a", NOW + 7);
	expect_state(t, "a", "{\"online\":true,\"alarm\":false}");
	cr_expect_eq(presence_machine.next_deadline(t), NOW + 5 + DELAY);
	cr_expect_str_eq(presences_next_gone(t, NOW + 5 + DELAY), "a");
	presences_set_gone(t, "a", &changed);
	expect_change("a", "{\"online\":false,\"alarm\":null}");
	presences_hear(t, "a", NOW + DELAY + 9);
	cr_expect_null(presences_next_back(t));
	cr_expect_not(presences_leave(t, "a", NOW + DELAY + 9, &changed));
	presences_forget(t, "b", &changed);
	cr_expect_eq(presence_machine.next_deadline(t), INT64_MAX);
	changes_fini(&changed);
	presences_free(t);
}

Test(presence, nobody_goes_while_nobody_is_heard)
{
	struct presences *t = table_of_two();

	presences_leave(t, "a", NOW, &changed);
	presences_listen(t, false, NOW);
	cr_expect_eq(presence_machine.next_deadline(t), INT64_MAX);
	cr_expect_null(presences_next_gone(t, NOW + 100 * DAY));
	presences_listen(t, true, NOW + DAY);
	presences_listen(t, true, NOW + 2 * DAY);
	cr_expect_str_eq(presences_next_gone(t, NOW + DAY + DELAY), "a");
	presences_set_gone(t, "a", &changed);
	cr_expect_null(presences_next_gone(t, NOW + DAY + SILENCE - 1));
	cr_expect_str_eq(presences_next_gone(t, NOW + DAY + SILENCE), "b");
	changes_fini(&changed);
	presences_free(t);
}

Test(presence, a_restart_knows_who_was_leaving_and_who_was_silent)
{
	struct presences *t = presences_new();
	struct err e = { 0 };

	presences_set_delays(t, SILENCE, DELAY);
	presences_listen(t, false, 0);
	cr_assert(
		presences_restore(t, "a", "{\"online\":true,\"alarm\":null,\"leaves\":true}", &e));
	cr_assert(
		presences_restore(t, "b", "{\"online\":false,\"alarm\":null,\"silent\":true}", &e));
	cr_assert(presences_restore(t, "c", "{\"online\":true,\"alarm\":null}", &e));
	presences_listen(t, true, NOW);
	cr_expect_str_eq(presences_next_gone(t, NOW + DELAY), "a");
	cr_expect(presences_set_online(t, "a", true, &changed) == false, "it stayed");
	expect_change("a", "{\"online\":true,\"alarm\":null}");
	cr_expect_str_eq(presences_next_gone(t, NOW + SILENCE), "c");
	presences_hear(t, "b", NOW);
	cr_expect_str_eq(presences_next_back(t), "b");
	presences_free(t);

	t = presences_new(); /* and one for which silence is no goodbye any more */
	cr_assert(
		presences_restore(t, "b", "{\"online\":false,\"alarm\":null,\"silent\":true}", &e));
	expect_state(t, "b", "{\"online\":null,\"alarm\":false}");
	presences_free(t);
}
