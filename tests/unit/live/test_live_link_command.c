/* A link whose devices are registered by a program. */
#include <criterion/criterion.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "fleet/fleet.h"
#include "live/live_link.h"
#include "state/change.h"
#include "state/devices.h"
#include "unit/live/small_bridge.h"
#include "work/subprocess.h"

/* --- programs in memory: what they are asked is said, they end when they are told */

#define PROGRAMS 8
static struct program {
	char *question;
	subprocess_on_end *on_end;
	void *ctx;
} at_work[PROGRAMS];

static struct subprocess *memory_run(struct loop *loop, const struct subprocess_spec *spec,
				     struct err *e)
{
	struct program *p = at_work;

	(void)loop;
	(void)e;
	while (p->question)
		p++;
	cr_assert_lt(p - at_work, PROGRAMS);
	cr_expect_eq(spec->timeout_ms, 30000);
	cr_expect_str_eq(spec->argv[0], "/bin/true");
	cr_expect_str_eq(spec->argv[1], "-x");
	cr_expect_null(spec->argv[2]);
	*p = (struct program){ mem_strndup(spec->input, spec->input_len), spec->on_end, spec->ctx };
	buf_printf(&said, "runs %s", p->question);
	return (struct subprocess *)p;
}

static void memory_kill(struct subprocess *s)
{
	struct program *p = (struct program *)s;

	buf_printf(&said, "kills %s", p->question);
	free(p->question);
	p->question = NULL;
}

static const struct subprocess_ops in_memory = { memory_run, memory_kill };

static struct program *program_of(const char *device)
{
	char *told = mem_printf("\"device\":\"%s\"", device);
	struct program *p = at_work;

	while (p < at_work + PROGRAMS && !(p->question && strstr(p->question, told)))
		p++;
	cr_assert_lt(p - at_work, PROGRAMS, "none runs for %s", device);
	free(told);
	return p;
}

static void ends_so(const char *device, enum subprocess_how how, int status, const char *out,
		    const char *complaint)
{
	struct program *p = program_of(device);

	free(p->question);
	p->question = NULL;
	p->on_end(p->ctx, &(struct subprocess_end){ .how = how,
						    .status = status,
						    .out = { out, strlen(out) },
						    .complaint = complaint });
}

static void exits(const char *device, int status, const char *out, const char *complaint)
{
	ends_so(device, SUBPROCESS_EXITED, status, out, complaint);
}

/* --- the link -------------------------------------------------------------------------------- */

static struct generation *generation;
static struct live_link *live;

#define NORTH_OF_EACH                                                                              \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', client_id: '{device}', per: 'device' },",        \
		 "{ kind: 'telemetry', topic: 'me/t' }", "")
#define SOUTH_OF_MANY SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t' }", "")

static void start_link(void)
{
	bridge_make_parts();
	parts.programs = &in_memory;
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	expect("south opens\nsouth starts\n");
}

static void start(const char *keys)
{
	char *north = mem_printf("provision = { command = (\"/bin/true\", \"-x\"); %s };", keys);

	more_of_north = north;
	generation = bridge_generation("link", NULL, SOUTH_OF_MANY, NORTH_OF_EACH);
	more_of_north = "";
	free(north);
	start_link();
}

static void set_up(void)
{
	world_init(&w);
}

static void end_link(void)
{
	parts.is_closing = true;
	live_link_free(live);
	bridge_free_parts();
}

static void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	for (size_t i = 0; i < PROGRAMS; i++)
		free(at_work[i].question);
	world_fini(&w);
}

TestSuite(live_link_command, .init = set_up, .fini = tear_down);

/* As kill -9: what runs says nothing any more. */
static void restart(void)
{
	end_link();
	buf_reset(&said);
	start_link();
}

static void commit(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
}

static void turn_at(const char *wanted, int line)
{
	commit();
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

static const struct fleet_device *row(const char *device)
{
	const struct fleet_device *d = fleet_find(live_link_fleet(live), device);

	cr_assert(d, "no row of %s", device);
	return d;
}

static const char *provision_so(const char *device, bool retries_lost)
{
	struct changes c = { 0 };
	const char *why;

	fleet_name(live_link_fleet(live), device, FLEET_IMPORT, &c);
	why = live_link_provision(live, device, retries_lost, &c);
	if (c.n)
		live_link_fleet_changed(live, &c);
	changes_fini(&c);
	return why;
}

static void provision(const char *device)
{
	const char *why = provision_so(device, false);

	cr_assert_null(why, "%s", why);
}

static void expect_runs_at(const char *device, unsigned attempt, int line)
{
	char uuid[CRYPTO_UUID_CHARS + 1], *seed = mem_printf("link/%s", device), *wanted;

	crypto_uuid_of(seed, uuid);
	wanted = mem_printf("runs {\"link\":\"link\",\"device\":\"%s\",\"vars\":{},\"attempt\":%u,"
			    "\"key\":\"%s\"}\n",
			    device, attempt, uuid);
	turn_at(wanted, line);
	free(seed);
	free(wanted);
}
#define expect_runs(device, attempt) expect_runs_at(device, attempt, __LINE__)

static void expect_state(const char *device, enum fleet_state state, enum fleet_step step,
			 const char *reason)
{
	cr_expect_str_eq(fleet_state_names[row(device)->state], fleet_state_names[state]);
	cr_expect_str_eq(fleet_step_names[row(device)->step], fleet_step_names[step]);
	cr_expect_str_eq(row(device)->reason ? row(device)->reason : "", reason);
}

Test(live_link_command, it_runs_when_it_is_known_on_the_disk_for_whom)
{
	start("");
	provision("d");
	commit();
	expect("");
	expect_state("d", FLEET_ASKING, FLEET_OFFERED, "");
	bridge_let_out();
	cr_expect(strncmp(buf_str(&said), "runs {", 6) == 0);
	buf_reset(&said);
	exits("d", 0, "{\"device_id\":\"u-1\",\"token\":\"d-token\",\"status\":\"SUCCESS\"}\n", "");
	turn("north/d opens\nnorth/d starts\n");
	cr_expect_str_eq(find("north/d")->login, "d-token - u-1");
	expect_state("d", FLEET_READY, FLEET_LOGGED_IN, "");
	cr_expect_str_eq(devices_there(live_link_names(live), NORTH, "d"), "u-1");
	cr_expect_eq(row("d")->vars[NORTH].n, 1);
	cr_expect(row("d")->vars[NORTH].items[0].is_secret);
	turn("");
	restart();
	sends("south", "s/d/t", "{'a':1}");
	turn("north/d opens\nnorth/d starts\nsouth acks 1\nnorth/d me/t {\"a\":1}\n");
	cr_expect_str_eq(find("north/d")->login, "d-token - u-1");
}

Test(live_link_command, it_is_told_what_is_known_of_the_device)
{
	struct changes c = { 0 };

	start("name = \"plant {device}\";");
	fleet_name(live_link_fleet(live), "d", FLEET_IMPORT, &c);
	fleet_set_var(live_link_fleet(live), "d", NORTH, "sn", "7 \"x\"", false, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	provision("d");
	commit();
	bridge_let_out();
	cr_expect(
		strstr(buf_str(&said), "\"device\":\"plant d\",\"vars\":{\"sn\":\"7 \\\"x\\\"\"},"),
		"%s", buf_str(&said));
}

Test(live_link_command, so_many_run_at_once)
{
	start("sessions = 2;");
	provision("a");
	provision("b");
	provision("c");
	commit();
	bridge_let_out();
	program_of("a");
	program_of("b");
	cr_expect_null(strstr(buf_str(&said), "\"device\":\"c\""));
	provision("a"); /* once for a device */
	buf_reset(&said);
	turn("");
	exits("b", 1, "", "no such model");
	expect_runs("c", 1);
	expect_state("b", FLEET_REFUSED, FLEET_NONE, "no such model");
	exits("a", 0, "{\"token\":\"a-token\"}", "");
	exits("c", 0, "{\"token\":\"c-token\"}", "");
	turn("north/a opens\nnorth/a starts\nnorth/c opens\nnorth/c starts\n");
}

Test(live_link_command, not_more_are_begun_in_a_second_than_may_be)
{
	start("per_second = 2;");
	provision("a");
	provision("b");
	expect_runs("a", 1);
	turn("");
	now_ms += 500;
	expect_runs("b", 1);
}

Test(live_link_command, who_says_later_is_tried_again_later_and_later)
{
	start("");
	provision("d");
	expect_runs("d", 1);
	exits("d", 75, "", "busy");
	turn("");
	expect_state("d", FLEET_ASKING, FLEET_NONE, "");
	cr_expect_eq(live_link_next_deadline(live), now_ms + 1000);
	now_ms += 999;
	turn("");
	now_ms += 1;
	expect_runs("d", 2);
	exits("d", 75, "", "busy");
	turn("");
	now_ms += 1999;
	turn("");
	now_ms += 1;
	expect_runs("d", 3);
	for (int i = 4; i < 20; i++) {
		exits("d", 75, "", "");
		turn("");
		now_ms += 300000;
		expect_runs("d", (unsigned)i);
	}
	exits("d", 0, "{\"token\":\"d-token\"}", "");
	turn("north/d opens\nnorth/d starts\n");
}

/* It has done nothing, and says so: it is no lost answer. */
Test(live_link_command, who_waits_to_be_tried_again_does_so_after_a_crash)
{
	start("");
	provision("d");
	expect_runs("d", 1);
	exits("d", 75, "", "");
	turn("");
	restart();
	expect_runs("d", 1);
}

Test(live_link_command, a_complaint_is_told_without_secrets)
{
	struct changes c = { 0 };

	start("");
	fleet_name(live_link_fleet(live), "d", FLEET_IMPORT, &c);
	fleet_set_var(live_link_fleet(live), "d", NORTH, "hardware_key", "pin-4711", true, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	provision("d"); /* it has a secret, and not the one it logs in with */
	commit();
	bridge_let_out();
	cr_expect(strstr(buf_str(&said), "\"vars\":{\"hardware_key\":\"pin-4711\"}"));
	exits("d", 1, "{\"token\":\"s3cret-9\"}", "token s3cret-9 of pin-4711 is bad");
	commit();
	expect_state("d", FLEET_REFUSED, FLEET_NONE, "token *** of *** is bad");
}

Test(live_link_command, whose_answer_nobody_heard_is_lost_until_somebody_takes_the_risk)
{
	start("");
	provision("d");
	expect_runs("d", 1);
	restart();
	turn("");
	expect_state("d", FLEET_LOST, FLEET_OFFERED, "calque ended before the answer came");
	cr_expect_not_null(provision_so("d", false));
	turn("");
	cr_expect_null(provision_so("d", true));
	expect_runs("d", 1);
}

Test(live_link_command, one_that_makes_no_second_device_is_run_again)
{
	start("idempotent = true;");
	provision("d");
	expect_runs("d", 1);
	restart();
	expect_runs("d", 2);
	ends_so("d", SUBPROCESS_TOO_LATE, 9, "", "");
	turn("");
	expect_state("d", FLEET_ASKING, FLEET_OFFERED, "");
	now_ms += 2000;
	expect_runs("d", 3);
}

Test(live_link_command, what_is_no_answer_leaves_it_unknown_what_was_done)
{
	static const struct {
		enum subprocess_how how;
		int status;
		const char *out, *complaint, *why;
	} ends[] = {
		{ SUBPROCESS_EXITED, 0, "{\"status\":\"FAILURE\"}", "",
		  "its answer has another status than SUCCESS" },
		{ SUBPROCESS_EXITED, 0, "", "", "its answer is no JSON object" },
		{ SUBPROCESS_EXITED, 0, "[]", "", "its answer is no JSON object" },
		{ SUBPROCESS_EXITED, 0, "{\"token\":\"t\"} {}", "",
		  "its answer is no JSON object" },
		{ SUBPROCESS_EXITED, 0, "{\"device_id\":\"x\"}", "",
		  "its answer has no credentials" },
		{ SUBPROCESS_EXITED, 0, "{\"device_id\":\"other\",\"token\":\"t\"}", "",
		  "its answer has the id of another device" },
		{ SUBPROCESS_EXITED, 7, "", "curl: no route",
		  "the command ended with status 7: curl: no route" },
		{ SUBPROCESS_KILLED, 9, "", "", "the command was killed by signal 9" },
		{ SUBPROCESS_TOO_LATE, 0, "", "waits", "the command took more than 30 s: waits" },
		{ SUBPROCESS_TOO_MUCH, 0, "", "", "the command said more than 65536 bytes" },
	};
	char device[] = "a";
	struct changes c = { 0 };

	start("");
	fleet_name(live_link_fleet(live), "other", FLEET_IMPORT, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++, device[0]++) {
		live_link_provision_run(live, 0, 0);
		provision(device);
		expect_runs(device, 1);
		ends_so(device, ends[i].how, ends[i].status, ends[i].out, ends[i].complaint);
		turn("");
		expect_state(device, FLEET_LOST, FLEET_OFFERED, ends[i].why);
		cr_expect_eq(row(device)->vars[NORTH].n, 0);
	}
}

Test(live_link_command, three_such_in_a_row_stop_the_run)
{
	start("sessions = 1;");
	for (char device[] = "a"; *device <= 'e'; ++*device)
		provision(device);
	for (char device[] = "a"; *device <= 'c'; ++*device) {
		expect_runs(device, 1);
		exits(device, 127, "", "not found");
	}
	turn("");
	cr_expect(strstr(live_link_provision_stopped(live), "three times in a row"));
	expect_state("d", FLEET_ASKING, FLEET_NONE, "");
	live_link_provision_run(live, 0, 0);
	cr_expect_null(live_link_provision_stopped(live));
	expect_runs("d", 1);
}

Test(live_link_command, too_many_refusals_stop_the_run)
{
	start("sessions = 1;");
	live_link_provision_run(live, 0, 2);
	for (char device[] = "a"; *device <= 'c'; ++*device)
		provision(device);
	for (char device[] = "a"; *device <= 'b'; ++*device) {
		expect_runs(device, 1);
		exits(device, 1, "", "");
	}
	turn("");
	expect_state("b", FLEET_REFUSED, FLEET_NONE, "the command refused it");
	cr_expect(strstr(live_link_provision_stopped(live), "max-failures"));
}

static char *make_program(const char *name, const char *text, mode_t mode)
{
	char *path = mem_printf("%s/%s", w.dir, name);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
	return path;
}

/* In place of that of the configuration. */
static void use_program(char *path)
{
	char **argv = generation_conf(generation)->links[0].side[NORTH].provision.command.argv;

	free(argv[0]);
	argv[0] = path;
}

Test(live_link_command, what_others_may_write_to_is_not_run_and_nobody_is_lost)
{
	start("");
	use_program(make_program("p", "#!/bin/sh\n", 0757));
	provision("d");
	turn("");
	turn("");
	cr_expect(strstr(live_link_provision_stopped(live), "cannot be started"));
	expect_state("d", FLEET_ASKING, FLEET_NONE, "");
	use_program(mem_strdup("/bin/true"));
	live_link_provision_run(live, 0, 0);
	expect_runs("d", 1);
}

Test(live_link_command, one_that_is_forgotten_meanwhile_stays_forgotten)
{
	struct changes c = { 0 };

	start("");
	provision("d");
	expect_runs("d", 1);
	fleet_forget(live_link_fleet(live), "d", &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	exits("d", 0, "{\"token\":\"d-token\"}", "");
	turn("");
	cr_expect_null(fleet_find(live_link_fleet(live), "d"));
	provision("d");
	expect_runs("d", 1);
}

Test(live_link_command,
     at_the_end_what_has_not_begun_waits_for_the_next_run_and_what_has_is_waited_for)
{
	start("sessions = 1;");
	provision("a");
	provision("b");
	commit();
	live_link_stop(live);
	bridge_let_out();
	expect("");
	expect_state("a", FLEET_ASKING, FLEET_NONE, "");
	turn("");
	cr_expect(live_link_has_settled(live));
	restart();
	expect_runs("a", 1);
	live_link_stop(live);
	cr_expect_not(live_link_has_settled(live));
	cr_expect_not(live_link_is_drained(live));
	exits("a", 0, "{\"token\":\"a-token\"}", "");
	turn("north/a opens\nnorth/a starts\n");
	cr_expect(live_link_has_settled(live));
	provision("b");
	turn(""); /* nothing more is begun */
	restart();
	commit();
	bridge_let_out();
	program_of("b");
	end_link();
	cr_expect(strstr(buf_str(&said), "kills {"));
	buf_reset(&said);
	start_link();
}

Test(live_link_command, with_auto_who_is_seen_first_is_registered)
{
	start("auto = true;");
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	expect_runs("d", 1);
	exits("d", 0, "{\"token\":\"d-token\"}", "");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":1}\n");
}

/* --- a real one */

static void on_turn(void *ctx, int64_t at_ms)
{
	(void)ctx;
	now_ms = at_ms;
	commit();
	bridge_let_out();
	if (row("d")->state != FLEET_ASKING)
		loop_stop(parts.loop);
}

Test(live_link_command, a_real_program_registers_a_device)
{
	start("");
	parts.programs = NULL;
	use_program(make_program("p",
				 "#!/bin/sh\n"
				 "echo $# $1 >&2\n"
				 "device=$(sed 's/.*\"device\":\"\\([^\"]*\\)\".*/\\1/')\n"
				 "echo \"{\\\"token\\\":\\\"of-$device\\\"}\"\n",
				 0755));
	provision("d");
	loop_before_sleep(parts.loop, on_turn, NULL);
	loop_run(parts.loop);
	expect_state("d", FLEET_READY, FLEET_LOGGED_IN, "");
	cr_expect_str_eq(vars_get(&row("d")->vars[NORTH], "token"), "of-d");
}
