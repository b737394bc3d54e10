/* A link whose devices are cut over in waves. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "fleet/waves.h"
#include "link/link_inside.h"
#include "live/live_link.h"
#include "state/change.h"
#include "store/history.h"
#include "unit/live/one_link.h"

static void know(const char *device, const char *token)
{
	struct link *l = live->link;

	fleet_name(l->fleet, device, FLEET_IMPORT, &l->changes);
	fleet_set_mode(l->fleet, device, FLEET_OFF, &l->changes);
	if (!token)
		return;
	fleet_set_var(l->fleet, device, NORTH, "token", token, true, &l->changes);
	fleet_set_state(l->fleet, device, FLEET_READY, NULL, &l->changes);
}

#define SOUTH_OF_MANY                                                                              \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'alarm', topic: 's/{device}/x', read: 'bad' },"                          \
		 "{ kind: 'config', topic: 's/{device}/c' }",                                      \
		 "def bad: error(\"no\");")
#define NORTH_OF_EACH                                                                              \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device' },",                               \
		 "{ kind: 'telemetry', topic: 'me/t' },"                                           \
		 "{ kind: 'alarm', topic: 'me/x' },"                                               \
		 "{ kind: 'config', topic: 'me/c' }",                                              \
		 "")

/* Devices a, b and c, which are off; c has no credentials. */
static void set_up(void)
{
	world_init(&w);
	generation = bridge_generation("link", NULL, SOUTH_OF_MANY, NORTH_OF_EACH);
	start_link();
	know("a", "a-token");
	know("b", "b-token");
	know("c", NULL);
}

static void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link_waves, .init = set_up, .fini = tear_down);

/* (The loop's time stands: what comes in does so at the beginning.) */
static void turns(int n)
{
	for (int i = 0; i < n; i++) {
		live_link_tick(live, now_ms);
		generation_run(generation);
		bridge_hand_over();
		bridge_let_out();
	}
}

/* As when the process is killed: what was handed over is there, and nothing else. */
static void restart(void)
{
	end_link();
	buf_reset(&said);
	start_link();
}

static struct waves *waves(void)
{
	return live_link_waves(live);
}

static void run(const char *json)
{
	char *q = quoted(json);
	struct wave_list list;
	struct changes c = { 0 };
	struct err e = { 0 };

	cr_assert(wave_list_get(&list, (struct jslice){ q, strlen(q) }), "%s", q);
	cr_assert(waves_run(waves(), &list, "ada", &c, &e), "%s", e.text);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	free(q);
}

static void roll_back(void)
{
	struct changes c = { 0 };
	struct err e = { 0 };

	cr_assert(waves_roll_back(waves(), "ada", &c, &e), "%s", e.text);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

#define WAVE(name, mode, match, soak, failures, dead)                                              \
	"{'name':'" name "','mode':'" mode "','match':{" match "},'soak':" #soak                   \
	",'max_failures':" #failures ",'max_dead_letters':" #dead                                  \
	",'not_before':0,'not_after':0,'rollback':false,'provision':false,'push':false}"

static void expect_modes_at(const char *wanted, int line)
{
	static struct buf text;
	size_t n;
	char **names = fleet_names(live->link->fleet, &n);

	buf_reset(&text);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%s%s %s", i ? " " : "", names[i],
			   fleet_mode_names[fleet_find(live->link->fleet, names[i])->mode]);
		free(names[i]);
	}
	free(names);
	cr_expect_str_eq(buf_str(&text), wanted, "line %d: %s", line, buf_str(&text));
}
#define expect_modes(wanted) expect_modes_at(wanted, __LINE__)

static void expect_phase_at(enum waves_phase phase, int line)
{
	cr_expect_str_eq(waves_phase_names[waves_phase(waves())], waves_phase_names[phase],
			 "line %d: %s: %s", line, waves_phase_names[waves_phase(waves())],
			 waves_why(waves()));
}
#define expect_phase(phase) expect_phase_at(phase, __LINE__)

static void put_entry(void *ctx, const struct history_entry *entry)
{
	buf_printf(ctx, "%s\n", entry->note);
}

Test(live_link_waves, devices_are_cut_over_wave_by_wave_and_the_history_says_by_which)
{
	struct buf told = { 0 };
	struct err e = { 0 };

	run("[" WAVE("canary", "mirror", "'list':['a']", 60000, 0,
		     0) "," WAVE("rest", "live", "'name':'[ab]'", 1000, 0, 0) "]");
	turns(3);
	expect_modes("a mirror b off c off");
	cr_expect(find("north/a")->is_up, "its session is there");
	now_ms += 60000;
	turns(3);
	expect_modes("a live b live c off");
	now_ms += 1000;
	turns(2);
	expect_phase(WAVES_DONE);
	cr_assert(history_each(parts.db, "link", "a", put_entry, &told, &e), "%s", e.text);
	cr_expect(strstr(buf_str(&told), "{\"who\":\"ada, wave canary\",\"what\":\"mode\","
					 "\"answer\":\"mirror\"}"),
		  "%s", buf_str(&told));
	cr_expect(strstr(buf_str(&told), "{\"who\":\"ada, wave rest\",\"what\":\"mode\","
					 "\"answer\":\"live\"}"));
	buf_fini(&told);
	roll_back();
	turns(2);
	expect_modes("a off b off c off");
	expect_phase(WAVES_UNDONE);
}

static void set_by_hand(const char *device, enum fleet_mode mode)
{
	fleet_set_mode(live->link->fleet, device, mode, &live->link->changes);
}

static void expect_kept_at(const char *device, const char *why, int line)
{
	struct waves_failing told[WAVES_TOLD];
	size_t n;

	cr_assert_eq(waves_kept(waves(), told, &n), 1, "line %d", line);
	cr_expect_str_eq(told[0].device, device, "line %d: %s", line, told[0].device);
	cr_expect_str_eq(told[0].why, why, "line %d: %s", line, told[0].why);
}
#define expect_kept(device, why) expect_kept_at(device, why, __LINE__)

Test(live_link_waves, what_somebody_sets_meanwhile_stays_whatever_waves_do)
{
	run("[" WAVE("one", "mirror", "'name':'[ab]'", 5000, 0,
		     0) "," WAVE("two", "live", "'name':'[ab]'", 5000, 0, 0) "]");
	turns(3);
	expect_modes("a mirror b mirror c off");
	set_by_hand("b", FLEET_OFF);
	now_ms += 1000;
	turns(2);
	expect_kept("b", "somebody has set it to off");
	cr_expect_eq(waves_count(waves(), 0)->devices, 1);
	restart();
	turns(1);
	/* The next wave leaves it alone, which is no failure of it. */
	now_ms += 5000;
	turns(3);
	expect_phase(WAVES_RUNNING);
	expect_modes("a live b off c off");
	expect_kept("b", "somebody has set it to off");
	cr_expect_eq(waves_count(waves(), 1)->devices, 1);
	cr_expect_eq(waves_count(waves(), 1)->failures, 0);
	/* And so does the way back, which is of a alone. */
	set_by_hand("b", FLEET_LIVE);
	roll_back();
	turns(2);
	expect_phase(WAVES_UNDONE);
	expect_modes("a off b live c off");
	expect_kept("b", "somebody has set it to live");
}

Test(live_link_waves, who_is_forgotten_meanwhile_fails_no_wave_and_does_not_come_back)
{
	run("[" WAVE("all", "mirror", "'name':'[ab]'", 5000, 0, 0) "]");
	turns(3);
	fleet_forget(live->link->fleet, "b", &live->link->changes);
	now_ms += 1000;
	turns(2);
	expect_phase(WAVES_RUNNING);
	expect_kept("b", "somebody has forgotten it");
	roll_back();
	turns(2);
	expect_phase(WAVES_UNDONE);
	expect_modes("a off c off");
}

Test(live_link_waves, a_later_wave_that_leaves_one_alone_does_not_take_its_way_back)
{
	run("[" WAVE("one", "mirror", "'name':'[ab]'", 1000, 1,
		     0) "," WAVE("two", "live", "'name':'[ab]'", 60000, 0, 0) "]");
	turns(3);
	fleet_set_state(live->link->fleet, "b", FLEET_LOST, NULL, &live->link->changes);
	now_ms += 1000;
	turns(3);
	expect_phase(WAVES_STOPPED);
	cr_expect_eq(waves_count(waves(), 1)->failures, 1);
	expect_modes("a live b mirror c off");
	roll_back();
	turns(2);
	expect_modes("a off b off c off");
}

Test(live_link_waves, one_without_credentials_is_left_alone_and_counts)
{
	size_t n;

	run("[" WAVE("all", "live", "'all':true", 60000, 0, 0) "]");
	turns(3);
	expect_phase(WAVES_STOPPED);
	expect_modes("a live b live c off");
	cr_expect_eq(waves_count(waves(), 0)->failures, 1);
	cr_assert_str_eq(waves_failing(waves(), &n)->device, "c");
	cr_expect_str_eq(waves_failing(waves(), &n)->why,
			 "left as it is: it has no credentials in the north: import them");
	/* What the operator did about it. */
	know("c", "c-token");
	run("[" WAVE("all", "live", "'all':true", 60000, 0, 0) "]");
	turns(3);
	expect_phase(WAVES_RUNNING);
	expect_modes("a live b live c live");
	roll_back();
	turns(2);
	expect_modes("a off b off c off");
}

Test(live_link_waves, a_mode_that_a_file_fixes_and_a_name_that_nobody_has_count)
{
	fleet_fix_mode(live->link->fleet, "b", "fleet.csv:7", FLEET_OFF);
	run("[" WAVE("all", "mirror", "'list':['a','b','nobody']", 60000, 2, 0) "]");
	turns(3);
	expect_phase(WAVES_RUNNING);
	expect_modes("a mirror b off c off");
	now_ms += 1000;
	turns(1);
	cr_expect_eq(waves_count(waves(), 0)->failures, 2);
	cr_expect_eq(waves_count(waves(), 0)->devices, 3);
}

/* The change of each device, and that it was, are of one commit. */
Test(live_link_waves, a_kill_in_the_middle_leaves_no_device_between_two_modes)
{
	char name[16];
	size_t n_set = 0;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d%03d", i);
		know(name, NULL);
	}
	run("[" WAVE("many", "retired", "'name':'d*'", 60000, 0, 0) "]");
	turns(2);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d%03d", i);
		n_set += fleet_find(live->link->fleet, name)->mode == FLEET_RETIRED;
	}
	cr_assert(n_set > 0 && n_set < 200, "%zu", n_set);
	restart();
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d%03d", i);
		cr_expect_eq(fleet_find(live->link->fleet, name)->mode == FLEET_RETIRED,
			     waves_watches(waves(), name), "%s", name);
	}
	turns(5);
	expect_phase(WAVES_RUNNING);
	cr_expect_eq(waves_count(waves(), 0)->devices, 200);
	cr_expect_eq(waves_count(waves(), 0)->state, WAVE_SOAKS);
	restart();
	roll_back();
	turns(2);
	restart();
	turns(5);
	expect_phase(WAVES_UNDONE);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d%03d", i);
		cr_expect_eq(fleet_find(live->link->fleet, name)->mode, FLEET_OFF, "%s", name);
	}
}

Test(live_link_waves, what_becomes_of_its_messages_counts)
{
	run("[" WAVE("both", "live", "'name':'[ab]'", 600000, 0, 1) "]");
	turns(3);
	sends("south", "s/a/t", "{'a':1}");
	sends("south", "s/b/t", "{'b':1}");
	sends("south", "s/c/x", "{'c':1}");
	turns(2);
	takes("north/a");
	now_ms += 59000;
	turns(1);
	expect_phase(WAVES_RUNNING);
	now_ms += 1000;
	turns(1);
	expect_phase(WAVES_STOPPED); /* b has sent, and nothing got there */
	cr_expect_str_eq(waves_why(waves()), "wave both: 1 of its devices failed, and 0 may");
}

Test(live_link_waves, dead_letters_stop_it_and_those_of_others_do_not)
{
	run("[" WAVE("both", "live", "'name':'[ab]'", 600000, 0, 1) "]");
	turns(3);
	sends("south", "s/c/x", "{'c':1}");
	sends("south", "s/a/x", "{'a':1}");
	turns(2);
	expect_phase(WAVES_RUNNING);
	cr_expect_eq(waves_count(waves(), 0)->dead_letters, 1);
	restart();
	turns(1);
	expect_phase(WAVES_RUNNING);
	sends("south", "s/b/x", "{'b':1}");
	turns(2);
	expect_phase(WAVES_STOPPED);
	cr_expect_str_eq(waves_why(waves()),
			 "wave both: 2 dead letters of its devices, and 1 may be");
	expect_modes("a live b live c off");
}
