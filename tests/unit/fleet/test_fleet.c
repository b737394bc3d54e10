#include "fleet/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/err.h"
#include "state/change.h"
#include "state/machine.h"

static struct fleet *t;
static struct changes out;

static void set_up(void)
{
	t = fleet_new();
}

static void tear_down(void)
{
	changes_fini(&out);
	fleet_free(t);
}

TestSuite(fleet, .init = set_up, .fini = tear_down);

/* What a restart finds. */
static void reopen(void)
{
	struct fleet *again = fleet_new();

	for (size_t i = 0; i < out.n; i++) {
		const struct change *c = &out.items[i];
		bool is_last = true, is_note = strcmp(c->machine, CHANGES_NOTE) == 0;
		bool is_seen = strcmp(c->machine, fleet_seen_machine.name) == 0;
		bool is_order = strcmp(c->machine, fleet_salt_machine.name) == 0;
		struct err e = { 0 };

		for (size_t k = i + 1; k < out.n; k++)
			is_last = is_last && (strcmp(out.items[k].machine, c->machine) != 0 ||
					      strcmp(out.items[k].key, c->key) != 0);
		if (!is_note && is_last && c->value)
			cr_assert((is_seen    ? fleet_restore_seen
				   : is_order ? fleet_restore_salt
					      : fleet_restore)(again, c->key, c->value, &e),
				  "%s", e.text);
	}
	fleet_free(t);
	t = again;
}

/* The notes so far, a line each. */
static const char *notes(void)
{
	static char text[4096];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < out.n; i++)
		if (strcmp(out.items[i].machine, CHANGES_NOTE) == 0)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s %s\n",
					      out.items[i].key, out.items[i].value);
	return text;
}

static const struct change *last_row(const char *device)
{
	const struct change *row = NULL;

	for (size_t i = 0; i < out.n; i++)
		if (strcmp(out.items[i].machine, fleet_machine.name) == 0 &&
		    strcmp(out.items[i].key, device) == 0)
			row = &out.items[i];
	cr_assert(row);
	return row;
}

Test(fleet, what_was_set_is_there_after_a_restart)
{
	const struct fleet_device *d;

	fleet_name(t, "pump", FLEET_IMPORT, &out);
	cr_expect(fleet_set_group(t, "pump", "hall 3", &out));
	cr_expect(fleet_set_kind(t, "pump", "default", &out));
	cr_expect(fleet_set_sessions(t, "pump", FLEET_ON_DEMAND, &out));
	cr_expect(fleet_set_mode(t, "pump", FLEET_MIRROR, &out));
	cr_expect(fleet_set_state(t, "pump", FLEET_REFUSED, "name-taken", &out));
	cr_expect(fleet_set_step(t, "pump", FLEET_ISSUED, &out));
	cr_expect(fleet_set_var(t, "pump", NORTH, "token", "s\"cret", true, &out));
	cr_expect(fleet_set_var(t, "pump", SOUTH, "project", "PR_1", false, &out));
	cr_expect(fleet_set_greet(t, "pump", "customer", "ACME", &out));
	reopen();
	d = fleet_find(t, "pump");
	cr_assert(d);
	cr_expect_str_eq(d->group, "hall 3");
	cr_expect_str_eq(d->kind, "default");
	cr_expect(fleet_is_on_demand(d, false));
	cr_expect_str_eq(d->reason, "name-taken");
	cr_expect_eq(d->mode, FLEET_MIRROR);
	cr_expect_eq(d->state, FLEET_REFUSED);
	cr_expect_eq(d->step, FLEET_ISSUED);
	cr_expect_eq(d->origin, FLEET_IMPORT);
	cr_expect_str_eq(fleet_var(d, NORTH, "token"), "s\"cret");
	cr_expect_str_eq(fleet_var(d, SOUTH, "project"), "PR_1");
	cr_expect_null(fleet_var(d, SOUTH, "token"));
	cr_expect(fleet_has_credentials(d, NORTH));
	cr_expect_not(fleet_has_credentials(d, SOUTH));
	cr_expect_str_eq(vars_get(&d->greet, "customer"), "ACME");
}

Test(fleet, a_row_is_sealed_while_it_has_a_secret_and_no_note_has_one)
{
	fleet_name(t, "pump", FLEET_IMPORT, &out);
	fleet_set_var(t, "pump", SOUTH, "project", "PR_1", false, &out);
	cr_expect_not(last_row("pump")->is_secret);
	fleet_set_var(t, "pump", NORTH, "token", "hush-hush", true, &out);
	cr_expect(last_row("pump")->is_secret);
	cr_expect_null(strstr(notes(), "hush-hush"));
	cr_expect(fleet_set_var(t, "pump", NORTH, "token", NULL, true, &out));
	cr_expect_not(last_row("pump")->is_secret);
	cr_expect_null(fleet_var(fleet_find(t, "pump"), NORTH, "token"));
}

Test(fleet, a_note_says_who_did_what_and_nothing_is_noted_twice)
{
	fleet_act_for(t, "ada", 0);
	fleet_name(t, "pump", FLEET_IMPORT, &out);
	fleet_set_mode(t, "pump", FLEET_LIVE, &out);
	cr_expect_not(fleet_set_mode(t, "pump", FLEET_LIVE, &out));
	fleet_act_for(t, NULL, 0);
	fleet_set_state(t, "pump", FLEET_REFUSED, "not authorized", &out);
	cr_expect_not(fleet_set_state(t, "pump", FLEET_REFUSED, "not authorized", &out));
	cr_expect_str_eq(
		notes(),
		"pump {\"who\":\"ada\",\"what\":\"added\",\"answer\":\"import\"}\n"
		"pump {\"who\":\"ada\",\"what\":\"mode\",\"answer\":\"live\"}\n"
		"pump {\"who\":null,\"what\":\"state\",\"answer\":\"refused: not authorized\"}\n");
}

Test(fleet, who_named_a_device_last_does_not_make_it_less)
{
	fleet_see(t, "pump", FLOW_UP, true, FLEET_DEFAULT, 1000);
	cr_expect_not(fleet_is_kept(t, "pump"));
	fleet_name(t, "pump", FLEET_CONFIGURATION, &out);
	fleet_name(t, "pump", FLEET_IMPORT, &out);
	cr_expect_eq(fleet_find(t, "pump")->origin, FLEET_CONFIGURATION);
	cr_expect(fleet_is_kept(t, "pump"));
}

Test(fleet, a_stranger_has_a_row_that_is_written_later_and_goes_for_another)
{
	cr_expect_null(fleet_see(t, "pump", FLOW_UP, false, FLEET_OFF, 1000));
	cr_assert(fleet_see(t, "pump", FLOW_UP, true, FLEET_OFF, 1000));
	cr_expect_eq(out.n, 0);
	cr_expect_null(fleet_next_due(t, 10999));
	cr_assert_str_eq(fleet_next_due(t, 11000), "pump");
	fleet_put_due(t, "pump", &out);
	cr_expect_null(fleet_next_due(t, INT64_MAX));
	reopen();
	cr_expect_eq(fleet_find(t, "pump")->mode, FLEET_OFF);
	cr_expect_eq(fleet_find(t, "pump")->seen_ms[FLOW_UP], 1000);
	fleet_machine.forget(t, "pump", &out);
	cr_expect_null(fleet_find(t, "pump"));
}

Test(fleet, whom_somebody_set_something_of_is_no_stranger)
{
	fleet_see(t, "pump", FLOW_UP, true, FLEET_OFF, 1000);
	fleet_set_mode(t, "pump", FLEET_LIVE, &out);
	reopen();
	fleet_machine.forget(t, "pump", &out);
	cr_assert(fleet_find(t, "pump"));
	cr_expect(fleet_forget(t, "pump", &out));
	cr_expect_not(fleet_forget(t, "pump", &out));
	reopen();
	cr_expect_null(fleet_find(t, "pump"));
}

Test(fleet, when_it_was_seen_is_known_at_once_and_written_once_an_hour)
{
	fleet_name(t, "pump", FLEET_IMPORT, &out);
	fleet_see(t, "pump", FLOW_UP, true, FLEET_DEFAULT, 10000000);
	fleet_put_due(t, "pump", &out);
	fleet_see(t, "pump", FLOW_UP, true, FLEET_DEFAULT, 10001000);
	cr_expect_null(fleet_next_due(t, INT64_MAX));
	cr_expect_eq(fleet_find(t, "pump")->seen_ms[FLOW_UP], 10001000);
	fleet_see(t, "pump", FLOW_DOWN, true, FLEET_DEFAULT, 10002000);
	cr_assert_str_eq(fleet_next_due(t, INT64_MAX), "pump");
	fleet_put_due(t, "pump", &out);
	fleet_see(t, "pump", FLOW_UP, true, FLEET_DEFAULT, 10001000 + 3600000);
	cr_expect_str_eq(fleet_next_due(t, INT64_MAX), "pump");
	reopen();
	cr_expect_eq(fleet_find(t, "pump")->seen_ms[FLOW_UP], 10001000);
	cr_expect_eq(fleet_find(t, "pump")->seen_ms[FLOW_DOWN], 10002000);
}

Test(fleet, the_mode_is_its_own_else_the_links)
{
	fleet_name(t, "pump", FLEET_IMPORT, &out);
	cr_expect_eq(fleet_mode_of(NULL, FLEET_LIVE), FLEET_LIVE);
	cr_expect_eq(fleet_mode_of(fleet_find(t, "pump"), FLEET_MIRROR), FLEET_MIRROR);
	fleet_set_mode(t, "pump", FLEET_OFF, &out);
	cr_expect_eq(fleet_mode_of(fleet_find(t, "pump"), FLEET_MIRROR), FLEET_OFF);
}

Test(fleet, names_come_sorted)
{
	char **names;
	size_t n;

	fleet_name(t, "b", FLEET_IMPORT, &out);
	fleet_name(t, "c", FLEET_IMPORT, &out);
	fleet_name(t, "a", FLEET_IMPORT, &out);
	names = fleet_names(t, &n);
	cr_assert_eq(n, 3);
	cr_expect_str_eq(names[0], "a");
	cr_expect_str_eq(names[2], "c");
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

Test(fleet, what_is_no_row_changes_nothing)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"state\":\"gone\",\"step\":\"none\",\"mode\":\"\",\"origin\":\"import\",\"set\":"
		"true}",
		"{\"state\":\"known\",\"step\":\"none\",\"mode\":\"\",\"origin\":\"import\","
		"\"set\":true,"
		"\"north\":[[\"token\"]]}",
		"{\"state\":\"known\",\"step\":\"none\",\"mode\":\"\",\"origin\":\"import\","
		"\"set\":true,"
		"\"group\":7}",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = { 0 };

		cr_expect_not(fleet_restore(t, "pump", bad[i], &e), "%s", bad[i]);
		cr_expect_eq(e.code, ERR_CORRUPT);
	}
	cr_expect_eq(fleet_count(t), 0);
}

static size_t among(double percent)
{
	char name[16];
	size_t n = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "d%d", i);
		n += fleet_is_among(t, name, percent, &out);
	}
	return n;
}

Test(fleet, a_part_of_the_devices_only_grows_and_stays_across_a_restart)
{
	char name[16];
	size_t n = among(10);

	cr_expect(n > 60 && n < 140, "%zu of 1000", n);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "d%d", i);
		cr_expect(!fleet_is_among(t, name, 10, &out) || fleet_is_among(t, name, 20, &out));
	}
	cr_expect_eq(among(0), 0);
	cr_expect_eq(among(100), 1000);
	reopen();
	cr_expect_eq(among(10), n);
	cr_expect_eq(out.n, 1, "the order is made once");
	cr_expect_not(fleet_restore_salt(t, "salt", "{\"salt\":\"short\"}", NULL));
}

Test(fleet, what_a_device_left_and_when_is_known_after_a_restart)
{
	const struct fleet_device *d = fleet_name(t, "pump", FLEET_IMPORT, &out);

	fleet_act_for(t, "ada", 1000);
	fleet_set_link_mode(t, FLEET_LIVE);
	fleet_set_mode(t, "pump", FLEET_MIRROR, &out);
	cr_expect_eq(d->leaves, FLEET_PASSES(FLOW_DOWN));
	fleet_act_for(t, "ada", 2000);
	fleet_set_mode(t, "pump", FLEET_OFF, &out);
	reopen();
	d = fleet_find(t, "pump");
	cr_expect_eq(d->leaves, FLEET_PASSES(FLOW_DOWN) | FLEET_PASSES(FLOW_UP));
	cr_expect_eq(fleet_mode_at(d, FLEET_LIVE, 1999), FLEET_MIRROR);
	cr_expect_eq(fleet_mode_at(d, FLEET_LIVE, 2000), FLEET_OFF);
	fleet_drain(t, "pump", 5000);
	cr_expect_eq(fleet_next_deadline(t), 5000);
	cr_expect_null(fleet_next_drained(t, 4999));
	cr_expect_str_eq(fleet_next_drained(t, 5000), "pump");
	fleet_end_drain(t, "pump", &out);
	cr_expect_eq(fleet_next_deadline(t), INT64_MAX);
	reopen();
	cr_expect_eq(fleet_find(t, "pump")->leaves, 0);
}
