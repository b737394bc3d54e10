/* Commits that are late, and a database that takes no more, around a live link between ports in memory. */
#include <criterion/criterion.h>

#include "store/db_inside.h"
#include "disk/reserve.h"
#include "unit/live/small_bridge.h"

#define S_BOTH                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 's/{device}/do/{id}', id: 'integer' },"                \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}', id: 'integer' }",         \
		 "")
#define N_BOTH                                                                                     \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 'n/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 'n/{device}/did/{id}' }",                        \
		 "")

static struct generation *g;

static void set_up(void)
{
	world_init(&w);
	bridge_make_parts();
	g = bridge_generation("link", NULL, S_BOTH, N_BOTH);
	bridge_start_link(g);
	bridge_resume();
	storage_start(&storage, now_ms);
	buf_reset(&said);
}

static void tear_down(void)
{
	parts.is_closing = true;
	live_link_free(lives[0]);
	bridge_free_parts();
	generation_free(g);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(storage, .init = set_up, .fini = tear_down);

static void hand_over(void)
{
	generation_run(g);
	bridge_hand_over();
}

static void turn_at(const char *wanted, int line)
{
	hand_over();
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

Test(storage, messages_are_taken_and_translated_while_commits_are_in_flight)
{
	sends("south", "s/d/t", "{'a':1}");
	hand_over();
	sends("south", "s/d/t", "{'a':2}");
	sends("north", "n/d/do/7", "{'name':'x'}");
	hand_over();
	expect("");
	cr_expect_eq(live_link_counters(lives[0], FLOW_UP)->received, 2);
	bridge_let_out();
	expect("south acks 1\nsouth acks 1\nsouth s/d/do/1 {\"name\":\"x\"}\n"
	       "north n/d/t {\"a\":1}\nnorth acks 1\nnorth n/d/t {\"a\":2}\n");
}

/* --- a thread that commits ----------------------------------------------------------------- */

static int gate[2]; /* a COMMIT goes on for each byte */

static int wait_at_gate(void *ctx)
{
	char c;

	(void)ctx;
	return read(gate[0], &c, 1) != 1;
}

static void commit_in_thread(void)
{
	struct err e = { 0 };

	cr_assert_eq(pipe(gate), 0);
	sqlite3_commit_hook(db_sqlite(parts.db), wait_at_gate, NULL);
	cr_assert(commits_start(commits, &e), "%s", e.text);
}

/* A turn that waits for nothing. */
static uint64_t short_turn(void)
{
	struct live_link *live;
	struct err e = { 0 };
	uint64_t commit;

	generation_run(g);
	commit = storage_hand_over(&storage, now_ms, false);
	FOREACH_AWAKE (live, &parts)
		live_link_flush(live, commit, now_ms);
	cr_assert(storage_hear(&storage, now_ms, false, &e), "%s", e.text);
	FOREACH_AWAKE (live, &parts)
		live_link_let_out(live, storage_durable(&storage));
	return commit;
}

Test(storage, what_comes_while_the_disk_is_busy_is_one_commit)
{
	commit_in_thread();
	sends("south", "s/d/t", "{'a':1}");
	cr_expect_eq(short_turn(), 1);
	sends("south", "s/d/t", "{'a':2}");
	cr_expect_eq(short_turn(), 2);
	sends("north", "n/d/do/7", "{'name':'x'}");
	cr_expect_eq(short_turn(), 2);
	cr_expect_eq(storage_deadline(&storage), INT64_MAX, "the disk says when");
	expect("");
	cr_assert_eq(write(gate[1], "12", 2), 2);
	bridge_let_out();
	expect(""); /* (all that a port in memory has waits for the last) */
	cr_expect_eq(storage_durable(&storage), 1);
	turn("south acks 1\nsouth acks 1\nsouth s/d/do/1 {\"name\":\"x\"}\n"
	     "north n/d/t {\"a\":1}\nnorth n/d/t {\"a\":2}\nnorth acks 1\n");
	cr_expect_eq(storage_durable(&storage), 2);
}

/* So that a flood of one device's pushes out its own. */
Test(storage, a_letter_knows_whose_it_is_by_its_topic)
{
	struct err e = { 0 };
	sqlite3_stmt *stmt;

	sends("south", "s/d/t", "no JSON");
	turn("south acks 1\n");
	hand_over();
	stmt = db_statement(parts.db, "SELECT device FROM deadletter", &e);
	cr_assert(stmt, "%s", e.text);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	cr_expect_str_eq((const char *)sqlite3_column_text(stmt, 0), "d");
	db_release(stmt);
}

Test(storage, a_reserve_that_cannot_be_made_is_no_full_disk)
{
	char *reserve = mem_printf("%s/reserve", db_dir(parts.db));

	cr_assert(reserve_release(db_directory(parts.db)));
	cr_assert_eq(symlink("elsewhere", reserve), 0);
	storage_start(&storage, now_ms);
	cr_expect_not(storage.is_full);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
	cr_assert_eq(unlink(reserve), 0);
	storage_step(&storage, now_ms + 59999);
	cr_expect_eq(access(reserve, F_OK), -1);
	storage_step(&storage, now_ms + 60000);
	cr_expect_eq(access(reserve, F_OK), 0);
	cr_expect_not(storage.is_full);
	free(reserve);
}

/* The end of this run, and a next one. */
static void restart(void)
{
	parts.is_closing = true;
	live_link_free(lives[0]);
	bridge_free_parts();
	bridge_make_parts();
	bridge_start_link(g);
	bridge_resume();
	storage_start(&storage, now_ms);
	buf_reset(&said);
}

/* It can only be noted while an earlier one of the same row is on its way to the disk. */
Test(storage, what_is_acknowledged_late_is_settled_at_the_end)
{
	struct err e = { 0 };

	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 2\nnorth n/d/t {\"a\":1}\nnorth n/d/t {\"a\":2}\n");
	takes("north");
	hand_over();
	takes("north");
	cr_assert(storage_finish(&storage, now_ms, bridge_hand_over(), &e), "%s", e.text);
	restart();
	turn("");
	cr_expect_eq(journal_live_bytes(parts.journal), 0);
}

Test(storage, what_is_not_acknowledged_at_the_end_is_sent_again)
{
	struct err e = { 0 };

	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	hand_over();
	bridge_let_out();
	takes("north");
	cr_assert(storage_finish(&storage, now_ms, bridge_hand_over(), &e), "%s", e.text);
	restart();
	turn("north n/d/t {\"a\":2}\n");
}

/* --- a database that takes no more --------------------------------------------------------- */

/* It may grow by this many pages from now on, of 4096 bytes each. */
static void set_room(int n_pages)
{
	static char sql[2][64];
	static int turn_of;
	struct err e = { 0 };
	sqlite3_stmt *count = db_statement(parts.db, "PRAGMA page_count", &e), *set;
	int n;

	cr_assert_eq(sqlite3_step(count), SQLITE_ROW);
	n = sqlite3_column_int(count, 0);
	db_release(count);
	snprintf(sql[turn_of], sizeof sql[0], "PRAGMA max_page_count = %d", n + n_pages);
	set = db_statement(parts.db, sql[turn_of++], &e);
	cr_assert_eq(sqlite3_step(set), SQLITE_ROW);
	db_release(set);
}

/* A body with this beginning, and much space in it. */
static void send_large(const char *name, const char *topic, const char *begin, size_t n)
{
	char *large = mem_alloc(n);

	memset(large, ' ', n);
	memcpy(large, begin, strlen(begin));
	large[n - 1] = '}';
	sends_bytes(name, topic, large, n);
	free(large);
}

Test(storage,
     what_does_not_fit_is_given_up_with_those_in_flight_and_carried_without_acknowledgement)
{
	set_room(8);
	send_large("south", "s/d/t", "{\"a\":1", 4096);
	hand_over();
	send_large("south", "s/d/t", "{\"a\":1", 40960);
	hand_over();
	expect("south retract\nnorth retract\nsouth hold\nnorth hold\nnorth visit\n");
	bridge_let_out();
	expect("north n/d/t \n");
	goes("north"); /* it is held: the first waits for a visit */
	comes("north");
	turn("north n/d/t \nnorth n/d/t \n");
	takes("north");
	takes("north");
	turn("");
	cr_expect_eq(live_link_counters(lives[0], FLOW_UP)->delivered, 2);
	cr_expect_eq(live_link_journal_bytes(lives[0]), 0);
}

/* --- a journal that is full ---------------------------------------------------------------- */

static void store_large(void)
{
	send_large("south", "s/d/t", "{\"a\":1", 10000);
	turn("south acks 1\n");
	storage_step(&storage, now_ms);
}

static void settle_one(void)
{
	takes("north");
	now_ms += 1000;
	turn("");
	storage_step(&storage, now_ms);
}

Test(storage, a_link_that_filled_the_journal_waits_until_there_is_some_room)
{
	storage.max_bytes = 45000;
	goes("north");
	for (int i = 0; i < 4; i++)
		store_large();
	expect("");
	store_large();
	expect("south hold\nnorth hold\nnorth visit\n");
	comes("north");
	turn("north n/d/t \nnorth n/d/t \nnorth n/d/t \nnorth n/d/t \nnorth n/d/t \n");
	settle_one(); /* of five are four, which is less than its share */
	expect("");
	settle_one();
	expect("south release\nnorth release\n");
}

Test(storage, a_change_of_state_that_does_not_fit_is_waited_for)
{
	set_room(1);
	send_large("north", "n/d/do/7", "{\"name\":\"x\"", 40960);
	hand_over();
	bridge_let_out();
	expect("south retract\nnorth retract\nsouth hold\nnorth hold\nsouth visit\n");
	cr_expect_eq(storage_durable(&storage), 0);
	turn("");
	turn("");
	set_room(1000);
	turn("south s/d/do/1 \n");
	cr_expect_gt(storage_durable(&storage), 0);
	takes("south");
	now_ms += 1000;
	turn("");
	storage_step(&storage, now_ms);
	expect("south release\nnorth release\n");
	sends("south", "s/d/did/1", "{'status':'done'}");
	turn("south acks 1\nnorth n/d/did/7 {\"status\":\"done\"}\n");
}
