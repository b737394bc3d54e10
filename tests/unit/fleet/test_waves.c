#include "fleet/waves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"

#define MINUTE INT64_C(60000)

static struct waves *w;
static struct changes out;
static int64_t now_ms = 1000000;
static struct buf said;
static const char *lacking, *coming, *asking; /* devices that nothing can pass for, or not yet */
static const char *others;		      /* that somebody else has set */

static void set_up(void)
{
	w = waves_new();
}

static void tear_down(void)
{
	changes_fini(&out);
	waves_free(w);
	buf_fini(&said);
}

TestSuite(waves, .init = set_up, .fini = tear_down);

/* What a restart finds. */
static void reopen(void)
{
	struct waves *again = waves_new();

	for (size_t i = 0; i < out.n; i++) {
		const struct change *c = &out.items[i];
		bool is_last = true;
		struct err e = { 0 };

		for (size_t k = i + 1; k < out.n; k++)
			is_last = is_last && (strcmp(out.items[k].machine, c->machine) != 0 ||
					      strcmp(out.items[k].key, c->key) != 0);
		if (is_last && c->value)
			cr_assert((strcmp(c->machine, wave_device_machine.name) == 0
					   ? waves_restore_device
					   : waves_restore)(again, c->key, c->value, &e),
				  "%s", e.text);
	}
	waves_free(w);
	w = again;
}

static bool runs(const char *json, struct err *e)
{
	struct wave_list list;
	struct buf text = { 0 };
	char *q = mem_strdup(json);

	for (char *c = q; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	cr_assert(jtext_read(q, strlen(q), false, &text, e), "%s", e->text);
	cr_assert(wave_list_get(&list, (struct jslice){ text.data, text.len }), "%s", q);
	buf_fini(&text);
	free(q);
	return waves_run(w, &list, "ada", &out, e);
}

static void run(const char *json)
{
	struct err e = { 0 };

	cr_assert(runs(json, &e), "%s", e.text);
}

/* A wave of some devices; `more` behind it. */
#define WAVE_OF(name, mode, list, soak, failures, dead, more)                                      \
	"{'name':'" name "','mode':'" mode "','match':{'list':[" list "]},'soak':" #soak           \
	",'max_failures':" #failures ",'max_dead_letters':" #dead more "}"
#define PLAIN ",'not_before':0,'not_after':0,'rollback':false,'provision':false,'push':false"
#define BACK  ",'not_before':0,'not_after':0,'rollback':true,'provision':false,'push':false"

static bool has(const char *names, const char *name)
{
	return names && strstr(names, name);
}

static const char *lacks(void *ctx, const char *device, enum waves_comes *comes)
{
	(void)ctx;
	if (has(others, device)) {
		*comes = WAVES_OTHERS;
		return "somebody has set it";
	}
	*comes = has(coming, device) ? WAVES_SOON : has(asking, device) ? WAVES_LATER : WAVES_NEVER;
	return *comes		      ? "it has not logged in yet"
	       : has(lacking, device) ? "the north refuses it"
				      : NULL;
}

/* Who drives it: all devices were off; those of `lacking` are left alone when they are set. */
static void turn(void)
{
	struct waves_next next;

	for (int i = 0; i < 1000; i++) {
		waves_put_due(w, &out);
		next = waves_next(w, now_ms, &out);
		switch (next.step) {
		case WAVES_REST:
			return;
		case WAVES_TAKE: {
			char *names[10];
			size_t n = next.wave->choice.n;

			for (size_t k = 0; k < n; k++)
				names[k] = next.wave->choice.list[k].name;
			waves_take(w, names, n);
			break;
		}
		case WAVES_SET:
			buf_printf(&said, "%s %s\n", next.device, fleet_mode_names[next.mode]);
			waves_was_set(w, next.device, FLEET_OFF, NULL, now_ms, &out);
			break;
		case WAVES_UNSET:
			if (has(others, next.device)) {
				buf_printf(&said, "%s stays\n", next.device);
				waves_was_kept(w, next.device, "somebody has set it", &out);
				break;
			}
			buf_printf(&said, "%s back to %s\n", next.device,
				   fleet_mode_names[next.mode]);
			waves_was_unset(w, next.device, &out);
			break;
		case WAVES_LOOK:
			waves_look(w, lacks, NULL, now_ms, &out);
			break;
		}
	}
	cr_assert(false, "it has no end");
}

static void expect_at(const char *wanted, enum waves_phase phase, int line)
{
	turn();
	cr_expect_str_eq(buf_str(&said), wanted, "line %d: \"%s\"", line, buf_str(&said));
	cr_expect_str_eq(waves_phase_names[waves_phase(w)], waves_phase_names[phase],
			 "line %d: %s: %s", line, waves_phase_names[waves_phase(w)], waves_why(w));
	buf_reset(&said);
}
#define expect(wanted, phase) expect_at(wanted, phase, __LINE__)

Test(waves, one_follows_the_other_when_it_has_soaked)
{
	run("[" WAVE_OF("canary", "mirror", "'a'", 60000, 0, 0,
			PLAIN) "," WAVE_OF("rest", "live", "'a','b','c'", 1000, 0, 0, PLAIN) "]");
	expect("a mirror\n", WAVES_RUNNING);
	now_ms += MINUTE - 1;
	expect("", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->state, WAVE_SOAKS);
	cr_expect_leq(waves_next_deadline(w), now_ms + 1);
	now_ms += 1;
	expect("a live\nb live\nc live\n", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->state, WAVE_PASSED);
	now_ms += 1000;
	expect("", WAVES_DONE);
	cr_expect_eq(waves_count(w, 1)->devices, 3);
	cr_expect_eq(waves_next_deadline(w), INT64_MAX);
}

Test(waves, a_restart_anywhere_goes_on_with_the_rest)
{
	struct waves_next next;

	run("[" WAVE_OF("all", "live", "'a','b','c'", 60000, 0, 0, PLAIN) "]");
	reopen();
	next = waves_next(w, now_ms, &out);
	cr_assert_eq(next.step, WAVES_TAKE);
	waves_take(w, (char *[]){ "a", "b", "c" }, 3);
	next = waves_next(w, now_ms, &out);
	cr_assert_eq(next.step, WAVES_SET);
	waves_was_set(w, "a", FLEET_MIRROR, NULL, now_ms, &out);
	reopen();
	expect("b live\nc live\n", WAVES_RUNNING);
	now_ms += MINUTE / 2;
	reopen();
	expect("", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->devices, 3, "also the one of before");
	now_ms += MINUTE - 1;
	expect("", WAVES_RUNNING);
	now_ms += 1;
	expect("", WAVES_DONE);
	reopen();
	cr_expect_eq(waves_phase(w), WAVES_DONE);
	cr_expect_str_eq(waves_who(w), "ada");
}

Test(waves, a_device_that_is_not_ready_stops_it_unless_so_many_may_be)
{
	lacking = "b";
	run("[" WAVE_OF("all", "live", "'a','b'", 60000, 1, 0, PLAIN) "]");
	expect("a live\nb live\n", WAVES_RUNNING);
	now_ms += 1000;
	lacking = "ab";
	expect("", WAVES_STOPPED);
	cr_expect_str_eq(waves_why(w), "wave all: 2 of its devices failed, and 1 may");
	reopen();
	cr_expect_eq(waves_phase(w), WAVES_STOPPED);
	cr_expect_eq(waves_count(w, 0)->failures, 2);
	now_ms += MINUTE;
	expect("", WAVES_STOPPED);
}

Test(waves, who_has_not_logged_in_has_a_minute_or_the_soak)
{
	coming = "b";
	run("[" WAVE_OF("all", "live", "'a','b'", 600000, 0, 0, PLAIN) "]");
	expect("a live\nb live\n", WAVES_RUNNING);
	now_ms += MINUTE - 1;
	expect("", WAVES_RUNNING);
	now_ms += 1001;
	expect("", WAVES_STOPPED);
	run("[" WAVE_OF("all", "live", "'a','b'", 5000, 0, 0, PLAIN) "]");
	expect("a live\nb live\n", WAVES_RUNNING);
	now_ms += 4999;
	expect("", WAVES_RUNNING);
	now_ms += 1;
	expect("", WAVES_STOPPED);
	run("[" WAVE_OF("all", "off", "'a','b'", 5000, 0, 0, PLAIN) "]");
	expect("a off\nb off\n", WAVES_RUNNING);
	now_ms += 5000;
	expect("", WAVES_DONE);
}

Test(waves, who_is_being_registered_has_the_whole_soak)
{
	asking = "b";
	run("[" WAVE_OF("all", "live", "'a','b'", 600000, 0, 0, PLAIN) "]");
	expect("a live\nb live\n", WAVES_RUNNING);
	now_ms += 10 * MINUTE - 1;
	expect("", WAVES_RUNNING);
	now_ms += 1;
	expect("", WAVES_STOPPED);
}

/* Nobody looked meanwhile. */
Test(waves, after_a_restart_there_is_another_minute)
{
	coming = "b";
	run("[" WAVE_OF("all", "live", "'a','b'", 600000, 0, 0, PLAIN) "]");
	expect("a live\nb live\n", WAVES_RUNNING);
	now_ms += 100 * MINUTE;
	reopen();
	expect("", WAVES_RUNNING);
	now_ms += MINUTE - 1;
	expect("", WAVES_RUNNING);
	coming = NULL;
	now_ms += 1;
	expect("", WAVES_DONE);
}

Test(waves, who_sends_and_is_not_heard_has_failed)
{
	run("[" WAVE_OF("all", "mirror", "'a','b','c','d'", 600000, 1, 9, PLAIN) "]");
	expect("a mirror\nb mirror\nc mirror\nd mirror\n", WAVES_RUNNING);
	for (const char *d = "a\0b\0c\0"; *d; d += 2) {
		waves_accepted(w, d, FLOW_UP, now_ms);
		waves_accepted(w, d, FLOW_UP, now_ms);
	}
	waves_settled(w, "a", FLOW_UP, CARRIED, now_ms);
	waves_settled(w, "a", FLOW_UP, DEAD_MAPPING_ERROR, now_ms);
	waves_settled(w, "b", FLOW_UP, FILTERED_NO_CHANGE, now_ms);
	waves_settled(w, "b", FLOW_UP, FILTERED_ECHO, now_ms);
	waves_settled(w, "c", FLOW_UP, FILTERED_BY_MAPPING, now_ms);
	now_ms += MINUTE;
	expect("", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->failures, 1, "c alone; d has not said anything");
	waves_accepted(w, "b", FLOW_UP, now_ms);
	waves_accepted(w, "d", FLOW_UP, now_ms - MINUTE - 1);
	now_ms += MINUTE;
	expect("", WAVES_STOPPED);
	cr_expect_eq(waves_count(w, 0)->failures, 2, "b; what d said was before its time");
}

Test(waves, who_has_passed_has_after_a_restart_too)
{
	run("[" WAVE_OF("all", "mirror", "'a'", 600000, 0, 0, PLAIN) "]");
	expect("a mirror\n", WAVES_RUNNING);
	waves_accepted(w, "a", FLOW_UP, now_ms);
	waves_settled(w, "a", FLOW_UP, CARRIED, now_ms);
	cr_expect_eq(waves_next_deadline(w), 0, "that is to be written");
	expect("", WAVES_RUNNING);
	reopen();
	expect("", WAVES_RUNNING);
	waves_accepted(w, "a", FLOW_UP, now_ms);
	now_ms += 2 * MINUTE;
	expect("", WAVES_RUNNING);
}

Test(waves, dead_letters_of_its_devices_count_since_it_began)
{
	run("[" WAVE_OF("one", "live", "'a'", 1000, 0, 1,
			PLAIN) "," WAVE_OF("two", "live", "'b'", 60000, 0, 1, PLAIN) "]");
	expect("a live\n", WAVES_RUNNING);
	waves_settled(w, "b", FLOW_UP, DEAD_MAPPING_ERROR, now_ms);
	waves_settled(w, "a", FLOW_DOWN, DEAD_EXPIRED, now_ms);
	expect("", WAVES_RUNNING);
	reopen();
	expect("", WAVES_RUNNING);
	now_ms += 1000;
	expect("b live\n", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->dead_letters, 1);
	waves_settled(w, "a", FLOW_UP, DEAD_MAPPING_ERROR, now_ms);
	waves_settled(w, "b", FLOW_UP, DEAD_MAPPING_ERROR, now_ms);
	expect("", WAVES_RUNNING);
	reopen();
	expect("", WAVES_RUNNING);
	waves_settled(w, "b", FLOW_UP, DEAD_BROKER_REFUSED, now_ms);
	cr_expect_eq(waves_next_deadline(w), 0);
	expect("", WAVES_STOPPED);
	cr_expect_str_eq(waves_why(w), "wave two: 2 dead letters of its devices, and 1 may be");
}

Test(waves, it_goes_back_by_itself_only_if_that_is_said)
{
	lacking = "b";
	run("[" WAVE_OF("one", "mirror", "'a'", 0, 0, 0,
			PLAIN) "," WAVE_OF("two", "live", "'a','b'", 60000, 0, 0, BACK) "]");
	expect("a mirror\na live\nb live\na back to off\nb back to off\n", WAVES_UNDONE);
	cr_expect_str_eq(waves_why(w), "wave two: 1 of its devices failed, and 0 may");
	cr_expect_eq(waves_count(w, 0)->state, WAVE_UNDONE);
	cr_expect_eq(waves_count(w, 1)->state, WAVE_UNDONE);
}

Test(waves, the_way_back_is_to_the_mode_before_the_first_wave_and_outlives_a_restart)
{
	struct waves_next next;
	struct err e = { 0 };

	run("[" WAVE_OF("one", "mirror", "'a','b'", 0, 1, 0,
			PLAIN) "," WAVE_OF("two", "live", "'a','b'", 60000, 1, 0, PLAIN) "]");
	expect("a mirror\nb mirror\na live\nb live\n", WAVES_RUNNING);
	reopen();
	waves_was_set(w, "b", FLEET_LIVE, "its mode is fixed", now_ms, &out);
	waves_was_set(w, "c", FLEET_RETIRED, NULL, now_ms, &out);
	cr_assert(waves_roll_back(w, "bob", &out, &e));
	next = waves_next(w, now_ms, &out);
	cr_assert_eq(next.step, WAVES_UNSET);
	reopen();
	turn();
	cr_expect(strstr(buf_str(&said), "a back to off\n"));
	cr_expect(strstr(buf_str(&said), "c back to retired\n"));
	/* Which wave left it alone last does not matter: another had set it. */
	cr_expect(strstr(buf_str(&said), "b back to off\n"));
	cr_expect_eq(waves_phase(w), WAVES_UNDONE);
	cr_expect_not(waves_roll_back(w, "bob", &out, &e));
	cr_expect_str_eq(e.text, "all is rolled back already");
}

Test(waves, who_was_set_by_no_wave_has_no_way_back)
{
	struct err e = { 0 };

	run("[" WAVE_OF("one", "mirror", "'a'", 60000, 1, 0, PLAIN) "]");
	expect("a mirror\n", WAVES_RUNNING);
	waves_was_set(w, "b", FLEET_OFF, "it has no credentials", now_ms, &out);
	reopen();
	cr_expect_not(waves_is_changed(w, "b", FLEET_LIVE));
	cr_assert(waves_roll_back(w, "bob", &out, &e));
	expect("a back to off\n", WAVES_UNDONE);
}

static size_t n_kept(const char **device, const char **why)
{
	struct waves_failing told[WAVES_TOLD];
	size_t n_told, n = waves_kept(w, told, &n_told);

	*device = n_told ? told[0].device : "";
	*why = n_told ? told[0].why : "";
	return n;
}

Test(waves, whom_somebody_else_has_set_is_kept_and_does_not_count)
{
	struct err e = { 0 };
	const char *device, *why;

	run("[" WAVE_OF("one", "mirror", "'a','b'", 60000, 0, 0, PLAIN) "]");
	expect("a mirror\nb mirror\n", WAVES_RUNNING);
	cr_expect(waves_is_changed(w, "b", FLEET_OFF));
	cr_expect_not(waves_is_changed(w, "b", FLEET_MIRROR));
	cr_expect_not(waves_is_changed(w, "nobody", FLEET_OFF));
	others = "b";
	now_ms += WAVES_LOOK_MS;
	expect("", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->devices, 1);
	cr_expect_eq(n_kept(&device, &why), 1);
	cr_expect_str_eq(device, "b");
	cr_expect_str_eq(why, "somebody has set it");
	/* Given back, it is the wave's. */
	others = NULL;
	now_ms += WAVES_LOOK_MS;
	expect("", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->devices, 2);
	cr_expect_eq(n_kept(&device, &why), 0);
	others = "b";
	now_ms += WAVES_LOOK_MS;
	expect("", WAVES_RUNNING);
	reopen();
	cr_expect_eq(n_kept(&device, &why), 1);
	cr_expect(waves_is_changed(w, "b", FLEET_OFF));
	/* On the way back who drives it says the same, and it is told when all is over, too. */
	cr_assert(waves_roll_back(w, "bob", &out, &e));
	expect("a back to off\nb stays\n", WAVES_UNDONE);
	reopen();
	cr_expect_eq(n_kept(&device, &why), 1);
	others = NULL;
	run("[" WAVE_OF("one", "mirror", "'a','b'", 60000, 0, 0, PLAIN) "]");
	expect("a mirror\nb mirror\n", WAVES_RUNNING);
	cr_expect_eq(n_kept(&device, &why), 0);
}

Test(waves, a_run_after_a_way_back_that_was_stopped_begins_anew)
{
	struct waves_next next;
	struct err e = { 0 };

	run("[" WAVE_OF("one", "mirror", "'a','b'", 0, 0, 0,
			PLAIN) "," WAVE_OF("two", "live", "'a'", 60000, 0, 0, PLAIN) "]");
	expect("a mirror\nb mirror\na live\n", WAVES_RUNNING);
	cr_assert(waves_roll_back(w, "bob", &out, &e));
	next = waves_next(w, now_ms, &out);
	waves_was_unset(w, next.device, &out);
	cr_assert(waves_stop(w, "bob", &out, &e));
	reopen();
	cr_expect_eq(waves_count(w, 0)->state, WAVE_UNDONE);
	run("[" WAVE_OF("one", "mirror", "'a','b'", 0, 0, 0,
			PLAIN) "," WAVE_OF("two", "live", "'a'", 60000, 0, 0, PLAIN) "]");
	turn();
	cr_expect(strstr(buf_str(&said), "a mirror\n"));
	cr_expect(strstr(buf_str(&said), "b mirror\n"));
	cr_expect(strstr(buf_str(&said), "a live\n"));
}

Test(waves, who_failed_is_told_after_a_restart_too)
{
	size_t n;

	lacking = "b";
	run("[" WAVE_OF("one", "mirror", "'a','b'", 0, 0, 0, PLAIN) "]");
	expect("a mirror\nb mirror\n", WAVES_STOPPED);
	reopen();
	cr_assert_eq((waves_failing(w, &n), n), 1);
	cr_expect_str_eq(waves_failing(w, &n)->device, "b");
	cr_expect_str_eq(waves_failing(w, &n)->why, "the north refuses it");
	lacking = NULL;
	run("[" WAVE_OF("one", "mirror", "'a','b'", 60000, 0, 0, PLAIN) "]");
	reopen();
	waves_failing(w, &n);
	cr_expect_eq(n, 0);
}

Test(waves, a_flood_of_dead_letters_that_may_be_is_not_looked_at_one_by_one)
{
	run("[" WAVE_OF("one", "mirror", "'a'", 600000, 0, 100, PLAIN) "]");
	expect("a mirror\n", WAVES_RUNNING);
	for (int i = 0; i < 100; i++)
		waves_settled(w, "a", FLOW_UP, DEAD_MAPPING_ERROR, now_ms);
	waves_put_due(w, &out);
	cr_expect(waves_next_deadline(w) > now_ms);
	waves_settled(w, "a", FLOW_UP, DEAD_MAPPING_ERROR, now_ms);
	waves_put_due(w, &out);
	cr_expect(waves_next_deadline(w) <= now_ms);
	expect("", WAVES_STOPPED);
}

/* (A row of the list that cannot be read is set aside.) */
Test(waves, a_run_of_which_nothing_is_left_can_be_rolled_back)
{
	struct err e = { 0 };

	cr_assert(waves_restore(w, "run",
				"{\"phase\":\"running\",\"at\":3,\"who\":\"ada\",\"why\":\"\","
				"\"file\":null}",
				&e),
		  "%s", e.text);
	cr_assert(waves_roll_back(w, "bob", &out, &e));
	expect("", WAVES_UNDONE);
}

Test(waves, a_run_after_a_stop_is_the_rest_of_it)
{
	struct err e = { 0 };

	run("[" WAVE_OF("one", "mirror", "'a'", 0, 0, 0,
			PLAIN) "," WAVE_OF("two", "live", "'b','c'", 60000, 0, 0, PLAIN) "]");
	expect("a mirror\nb live\nc live\n", WAVES_RUNNING);
	cr_expect_not(runs("[" WAVE_OF("x", "live", "'b'", 0, 0, 0, PLAIN) "]", &e));
	cr_expect_eq(e.code, ERR_BUSY);
	cr_assert(waves_stop(w, "bob", &out, &e));
	cr_expect_str_eq(waves_why(w), "by bob");
	reopen();
	expect("", WAVES_STOPPED);
	now_ms += MINUTE;
	/* By what the file says now: b is not there, and was set before. */
	run("[" WAVE_OF("zero", "mirror", "'z'", 0, 0, 0, PLAIN) "," WAVE_OF(
		"one", "mirror", "'a'", 0, 0, 0, PLAIN) "," WAVE_OF("two", "mirror", "'c'", 60000,
								    0, 0, PLAIN) "]");
	turn();
	cr_expect(strncmp(buf_str(&said), "z mirror\n", 9) == 0);
	cr_expect(strstr(buf_str(&said), "b mirror\n") && strstr(buf_str(&said), "c mirror\n"));
	cr_expect_null(strstr(buf_str(&said), "a mirror\n"), "that wave has passed");
	buf_reset(&said);
	cr_assert(waves_roll_back(w, "bob", &out, &e));
	turn();
	cr_expect(strstr(buf_str(&said), "a back to off\n") &&
		  strstr(buf_str(&said), "b back to off\n"));
	buf_reset(&said);
	run("[" WAVE_OF("one", "mirror", "'a'", 0, 0, 0, PLAIN) "]");
	expect("a mirror\n", WAVES_DONE);
}

/* Not one that passes: the next one is not to follow on nothing. */
Test(waves, one_that_nobody_is_in_stops_the_run)
{
	run("[" WAVE_OF("none", "live", "", 1000, 0, 0, PLAIN) "," WAVE_OF("all", "live", "'a'",
									   1000, 0, 0, PLAIN) "]");
	expect("", WAVES_STOPPED);
	cr_expect_str_eq(waves_why(w), "wave none: no device of the link fits");
}

Test(waves, one_whose_row_is_lost_touches_nobody)
{
	struct changes rest = { 0 };

	run("[" WAVE_OF("all", "live", "'a'", 1000, 0, 0, PLAIN) "]");
	for (size_t i = 0; i < out.n; i++)
		if (strcmp(out.items[i].key, "spec/0000") != 0)
			changes_put(&rest, out.items[i].machine, out.items[i].key,
				    out.items[i].value, false);
	changes_fini(&out);
	out = rest;
	reopen();
	expect("", WAVES_STOPPED);
	cr_expect_str_eq(waves_why(w), "the row that says what the wave is cannot be read");
}

static int64_t at(const char *text)
{
	int64_t ms;

	cr_assert(clock_read(text, &ms));
	return ms;
}

/* The zone is in the times of the file; the machine's clock was set since the bridge began to count. */
Test(waves, each_has_its_window_of_time)
{
	char *json = mem_printf(
		"[{'name':'one','mode':'live','match':{'list':['a']},'soak':0,"
		"'max_failures':0,'max_dead_letters':0,'not_before':%lld,"
		"'not_after':%lld,'rollback':false,'provision':false,'push':false}]",
		(long long)at("2026-12-01T06:00:00+01:00"), (long long)at("2026-12-01T06:00:00Z"));

	waves_set_ahead(w, at("2026-12-01T04:59:59Z") - now_ms);
	run(json);
	expect("", WAVES_RUNNING);
	cr_expect_eq(waves_count(w, 0)->state, WAVE_WAITS);
	cr_expect_eq(waves_next_deadline(w), now_ms + 1000);
	reopen();
	waves_set_ahead(w, at("2026-12-01T05:00:00Z") - now_ms);
	expect("a live\n", WAVES_DONE);
	waves_set_ahead(w, at("2026-12-01T06:00:01Z") - now_ms);
	run(json);
	expect("", WAVES_STOPPED);
	cr_expect_str_eq(waves_why(w), "wave one may set nothing after 2026-12-01T06:00:00Z");
	free(json);
}

Test(waves, what_has_changed_is_told_once)
{
	size_t was;

	cr_expect_not(waves_has_news(w, &was));
	run("[" WAVE_OF("one", "mirror", "'a'", 0, 0, 0,
			PLAIN) "," WAVE_OF("two", "mirror", "'b'", 60000, 0, 0, PLAIN) "]");
	cr_expect(waves_has_news(w, &was));
	cr_expect_not(waves_has_news(w, &was));
	turn();
	cr_expect(waves_has_news(w, &was));
	cr_expect_eq(was, 0);
	cr_expect_eq(waves_at(w), 1);
	cr_expect_not(waves_has_news(w, &was));
}

Test(waves, what_is_no_row_or_no_list_is_refused)
{
	static const char *const wrong[] = {
		"[]", "[{}]", "[{\"name\":\"a\",\"mode\":\"live\"}]",
		"[{\"name\":\"a\",\"mode\":\"\",\"match\":{},\"not_before\":0,\"not_after\":0,"
		"\"soak\":0,"
		"\"max_failures\":0,\"max_dead_letters\":0,\"rollback\":false,\"provision\":false,"
		"\"push\":false}]"
	};
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct wave_list list;

		cr_expect_not(wave_list_get(&list, (struct jslice){ wrong[i], strlen(wrong[i]) }),
			      "%s", wrong[i]);
	}
	cr_expect_not(waves_restore(w, "spec/1001", "{}", &e));
	cr_expect_not(waves_restore(w, "other", "{}", &e));
	cr_expect_not(waves_restore_device(w, "a", "{\"before\":\"off\"}", &e));
	cr_expect_eq(waves_phase(w), WAVES_NONE);
}
