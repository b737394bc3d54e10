/* The life of batches and outputs over several commits; what one commit brings is in test_journal.c. */
#include "store/journal_live.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/db_inside.h"
#include "store/journal.h"

#define NOW 1700000000000

static char top[] = "/tmp/calque-journal-live-XXXXXX";
static struct db *db;
static struct journal_live *live;
static struct journal_live_link *pump;
static int64_t now_ms = NOW;
static struct record *mine[64]; /* not settled */
static size_t n_mine;

static void open_again(void)
{
	struct err e = { 0 };

	while (n_mine)
		record_forget(mine[--n_mine]);
	journal_live_free(live);
	db_close(db);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	live = journal_live_new(db, &e);
	cr_assert(live, "%s", e.text);
	pump = journal_live_link(live, "pump", NULL);
}

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	open_again();
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	while (n_mine)
		record_forget(mine[--n_mine]);
	journal_live_free(live);
	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(journal_live, .init = set_up, .fini = tear_down);

static struct record *accept(const char *payload)
{
	struct message m = { .topic = mem_strdup("t"), .qos = 1 };
	struct record *r;

	message_set_payload(&m, payload, strlen(payload));
	r = mine[n_mine++] = journal_live_accept(pump, SOUTH, NULL, &m, now_ms, now_ms);
	message_fini(&m);
	return r;
}

static void settle(struct record *r)
{
	for (size_t i = 0; i < n_mine; i++)
		if (mine[i] == r) {
			memmove(mine + i, mine + i + 1, (--n_mine - i) * sizeof *mine);
			record_settled(r);
			return;
		}
	cr_assert(false, "settled twice");
}

static void decide(struct record *r, const char *payload)
{
	struct message m = { .topic = mem_strdup("out"), .qos = 1 };

	message_set_payload(&m, payload, strlen(payload));
	record_output(r,
		      &(struct journal_output){ .to = NORTH, .lane = LANE_REPORT, .message = m });
	message_fini(&m);
	record_decided(r);
}

static void write_at(uint64_t commit, int64_t at_ms)
{
	struct err e = { 0 };

	cr_assert(journal_live_write(live, commit, at_ms, &e), "%s", e.text);
}

/* Settled ones, too. */
static void write_as(uint64_t commit)
{
	write_at(commit, INT64_MAX);
}

static void durable(uint64_t commit)
{
	struct err e = { 0 };

	cr_assert(db_commit(db, &e), "%s", e.text);
	journal_live_durable(live, commit);
}

static void undo(void)
{
	db_break(db);
	cr_expect_not(db_commit(db, NULL));
	journal_live_undone(live);
}

static bool wants_all(void *ctx, const struct journal_row *row, const struct journal_bits *settled)
{
	(void)ctx, (void)row, (void)settled;
	return true;
}

static bool note(void *ctx, struct journal_entry *entry, struct journal_output *outputs, size_t n,
		 struct err *e)
{
	(void)e;
	buf_append(ctx, entry->message.payload, entry->message.payload_len);
	for (size_t i = 0; i < n; i++) {
		buf_puts(ctx, ">");
		buf_append(ctx, outputs[i].message.payload, outputs[i].message.payload_len);
	}
	buf_puts(ctx, " ");
	return true;
}

/* What a restart would find, as "message>output", in its order. */
static void expect_at(const char *wanted, int line)
{
	static const struct journal_reader reader = { .wants = wants_all, .take = note };
	struct buf got = { 0 };
	struct err e = { 0 };

	cr_assert(journal_load(db, &reader, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), wanted, "line %d: '%s'", line, buf_str(&got));
	buf_fini(&got);
}
#define expect(wanted) expect_at(wanted, __LINE__)

Test(journal_live, what_is_settled_in_its_turn_is_never_written)
{
	settle(accept("a"));
	cr_expect_not(db_is_writing(db));
	write_as(1);
	cr_expect_not(db_is_writing(db), "there was nothing");
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, each_turn_is_written_while_the_last_one_is_in_flight)
{
	accept("a");
	write_as(1);
	accept("b");
	write_as(2);
	cr_expect_not(journal_live_has_news(live) && !db_is_writing(db));
	durable(1);
	accept("c");
	write_as(3);
	durable(3);
	expect("a b c ");
}

Test(journal_live, what_is_settled_while_it_is_in_flight_is_marked_when_it_is_durable)
{
	struct record *a = accept("a");

	accept("b");
	write_as(1);
	settle(a);
	write_as(2);
	expect("a b ");
	cr_expect_eq(journal_live_deadline(live), INT64_MAX, "nothing of it is due yet");
	durable(1);
	cr_expect_eq(journal_live_deadline(live), 0);
	write_as(3);
	durable(3);
	expect("b ");
}

Test(journal_live, a_row_goes_when_its_removal_is_durable)
{
	struct record *a = accept("a");

	write_as(1);
	durable(1);
	cr_expect_gt(journal_live_bytes(live), 0);
	settle(a);
	write_as(2);
	cr_expect_gt(journal_live_bytes(live), 0);
	durable(2);
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, what_is_settled_while_a_mark_is_in_flight_is_not_forgotten)
{
	struct record *a = accept("a"), *b = accept("b");

	accept("c");
	write_as(1);
	durable(1);
	settle(a);
	write_as(2);
	settle(b);
	durable(2);
	expect("b c ");
	write_as(3);
	durable(3);
	expect("c ");
}

Test(journal_live, what_was_undone_is_written_again_in_its_order)
{
	struct record *a = accept("a"), *b;

	write_as(1);
	b = accept("b");
	decide(b, "x");
	write_as(2);
	decide(a, "y");
	accept("c");
	undo();
	cr_expect_eq(journal_live_bytes(live), 0);
	expect("");
	write_as(3);
	durable(3);
	expect("a>y b>x c ");
	cr_expect_eq(journal_live_bytes(live), journal_live_link_bytes(pump, SOUTH));
}

Test(journal_live, what_was_settled_before_it_was_undone_is_not_written_again)
{
	struct record *a = accept("a"), *b = accept("b");

	decide(b, "x");
	write_as(1);
	settle(a);
	settle(b);
	undo();
	write_as(2);
	durable(2);
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, a_mark_or_removal_that_was_undone_is_due_again)
{
	struct record *a = accept("a"), *b = accept("b"), *c;

	write_as(1);
	c = accept("c");
	decide(c, "x");
	write_as(2);
	durable(2);
	settle(a);
	settle(c);
	write_as(3);
	settle(b);
	undo();
	expect("a b c>x ");
	write_as(4);
	durable(4);
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, outputs_that_are_settled_in_flight_are_removed_later)
{
	struct record *a = accept("a");

	decide(a, "x");
	write_as(1);
	settle(a);
	durable(1);
	expect("a>x ");
	write_as(2);
	durable(2);
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, what_was_decided_lets_out_with_its_commit_and_what_was_not_at_once)
{
	struct record *a = accept("a"), *b = accept("b");
	struct record *own = journal_live_own(pump, SOUTH, now_ms);

	decide(b, "x");
	cr_expect_eq(record_commit(a), 0);
	cr_expect_eq(record_commit(b), UINT64_MAX);
	cr_expect_eq(record_commit(own), UINT64_MAX, "it is nowhere but here");
	decide(own, "y");
	write_as(1);
	cr_expect_eq(record_commit(a), 0);
	cr_expect_eq(record_commit(b), 1);
	cr_expect_eq(record_commit(own), 1);
	undo();
	cr_expect_eq(record_commit(b), UINT64_MAX);
	write_as(2);
	durable(2);
	cr_expect_eq(record_commit(b), 0);
	cr_expect_eq(record_commit(own), 0);
	record_forget(own);
}

Test(journal_live, what_is_given_up_is_never_written_and_takes_nothing_with_it)
{
	struct record *a = accept("a"), *b, *c;

	write_as(1);
	durable(1);
	b = accept("b");
	write_as(2);
	c = accept("c");
	settle(a);
	undo();
	journal_live_give_up(live);
	cr_expect_not(journal_live_has_news(live));
	decide(b, "x");
	write_as(3);
	durable(3);
	expect(">x ");
	settle(b);
	settle(c);
	write_as(4);
	durable(4);
	expect("");
	accept("d");
	write_as(5);
	durable(5);
	expect("d ");
}

Test(journal_live, what_is_forgotten_in_flight_stays_in_the_journal)
{
	accept("a");
	write_as(1);
	record_forget(mine[--n_mine]);
	accept("b");
	record_forget(mine[--n_mine]);
	undo();
	write_as(2);
	durable(2);
	expect("a ");
}

/* Few are left of a large batch for ten seconds: it is written again without the others. */
Test(journal_live, a_row_whose_rewriting_was_undone_is_what_it_was_before)
{
	char large[2048] = "";
	struct err e = { 0 };
	uint64_t before, after;

	memset(large, 'x', sizeof large - 1);
	for (int i = 0; i < 9; i++)
		accept(large);
	accept("a");
	write_as(1);
	durable(1);
	before = journal_live_bytes(live);
	while (n_mine > 1)
		settle(mine[0]);
	cr_assert(db_begin(db, &e)); /* something new is written, so this is, too */
	write_at(2, NOW);
	durable(2);
	cr_assert(db_begin(db, &e));
	write_at(3, NOW + 10000);
	after = journal_live_bytes(live);
	cr_expect_lt(after, before / 4);
	undo();
	cr_expect_eq(journal_live_bytes(live), before);
	cr_expect_eq(journal_live_link_bytes(pump, SOUTH), before);
	settle(mine[0]);
	write_as(4);
	durable(4);
	cr_expect_eq(journal_live_bytes(live), 0);
}

/* --- a restart ----------------------------------------------------------------------------- */

static struct buf again;

static void take_again(void *ctx, struct record *r, struct journal_entry *entry,
		       struct journal_output *outputs, size_t n)
{
	(void)ctx, (void)outputs, (void)n;
	buf_append(&again, entry->message.payload, entry->message.payload_len);
	buf_puts(&again, entry->is_decided ? "! " : " ");
	mine[n_mine++] = r;
}

static void note_orphans(const char *link, size_t n)
{
	buf_printf(&again, "%s:%zu ", link, n);
}

static void note_aside(const char *link, uint64_t seq, const char *why)
{
	(void)why;
	buf_printf(&again, "%s aside %d ", link, (int)seq);
}

static void resume(const char *wanted)
{
	static const struct journal_live_reader reader = { take_again, note_orphans, note_aside };
	struct err e = { 0 };

	buf_reset(&again);
	cr_assert(journal_live_resume(live, &reader, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&again), wanted, "'%s'", buf_str(&again));
	buf_fini(&again);
}

Test(journal_live, a_crash_finds_what_is_durable)
{
	accept("a");
	decide(accept("b"), "x");
	write_as(1);
	durable(1);
	accept("c");
	write_as(2);
	open_again();
	resume("a b! ");
	settle(mine[1]);
	write_as(3);
	durable(3);
	expect("a ");
}

Test(journal_live, what_is_of_no_link_is_told_and_kept)
{
	struct message m = { .topic = "t", .payload = "z", .payload_len = 1, .qos = 1 };
	struct journal_live_link *tank = journal_live_link(live, "tank", NULL);

	accept("a");
	mine[n_mine++] = journal_live_accept(tank, SOUTH, NULL, &m, now_ms, now_ms);
	write_as(1);
	durable(1);
	open_again();
	resume("a tank:1 ");
	cr_expect_gt(journal_live_bytes(live), journal_live_link_bytes(pump, SOUTH));
	expect("a z ");
}

/* --- what is on the disk only */

static struct journal_place leave(struct record *r)
{
	struct journal_place at;

	cr_assert(record_may_leave(r));
	for (size_t i = 0; i < n_mine; i++)
		if (mine[i] == r)
			memmove(mine + i, mine + i + 1, (--n_mine - i) * sizeof *mine);
	record_leave(r, &at);
	return at;
}

static struct record *recall(const struct journal_place *at)
{
	struct err e = { 0 };
	struct record *r = journal_live_recall(pump, SOUTH, at, &e);

	cr_assert(r, "%s", e.text);
	return mine[n_mine++] = r;
}

/* "message>output" */
static void expect_read(struct record *r, const char *wanted)
{
	struct journal_output *outputs;
	struct journal_entry entry;
	struct buf got = { 0 };
	struct err e = { 0 };
	size_t n;

	cr_assert(record_read(r, &entry, &outputs, &n, &e), "%s", e.text);
	cr_expect_eq(entry.is_decided, n > 0);
	if (entry.batch)
		buf_append(&got, entry.message.payload, entry.message.payload_len);
	for (size_t i = 0; i < n; i++) {
		buf_putc(&got, '>');
		buf_append(&got, outputs[i].message.payload, outputs[i].message.payload_len);
		journal_output_fini(&outputs[i]);
	}
	cr_expect_str_eq(buf_str(&got), wanted);
	free(outputs);
	message_fini(&entry.message);
	free(entry.session);
	buf_fini(&got);
}

Test(journal_live, what_is_not_durable_stays_in_memory)
{
	struct record *a = accept("a");

	cr_expect_not(record_may_leave(a));
	write_as(1);
	cr_expect_not(record_may_leave(a));
	undo();
	cr_expect_not(record_may_leave(a));
	write_as(2);
	durable(2);
	cr_expect(record_may_leave(a));
	decide(a, "A");
	cr_expect_not(record_may_leave(a), "its outputs are due");
	write_as(3);
	cr_expect_not(record_may_leave(a));
	durable(3);
	cr_expect(record_may_leave(a));
}

Test(journal_live, what_has_left_is_counted_and_comes_back_as_it_was)
{
	struct record *a = accept("a"), *b = accept("b"), *c = accept("c");
	struct journal_place at[3];
	uint64_t bytes;

	decide(b, "B");
	write_as(1);
	durable(1);
	bytes = journal_live_bytes(live);
	at[0] = leave(a);
	at[1] = leave(b);
	cr_expect_eq(journal_live_messages(live), 3);
	at[2] = leave(c); /* the batch is not in memory any more */
	cr_expect_eq(journal_live_messages(live), 3);
	cr_expect_eq(journal_live_bytes(live), bytes);
	expect("a b>B c ");
	b = recall(&at[1]);
	cr_expect_eq(record_since_ms(b), now_ms);
	expect_read(b, "b>B");
	settle(b);
	write_as(2);
	durable(2);
	cr_expect_eq(journal_live_messages(live), 2);
	expect("a c ");
	c = recall(&at[2]);
	expect_read(c, "c");
	a = recall(&at[0]);
	expect_read(a, "a");
	settle(a);
	settle(c);
	write_as(3);
	durable(3);
	expect("");
	cr_expect_eq(journal_live_messages(live), 0);
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, what_has_left_may_be_settled_while_others_of_its_batch_are_at_work)
{
	struct record *a = accept("a"), *b = accept("b");
	struct journal_place at;

	write_as(1);
	durable(1);
	at = leave(a);
	settle(b);
	write_as(2);
	settle(recall(&at)); /* while that is in flight */
	durable(2);
	write_as(3);
	durable(3);
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}

Test(journal_live, what_has_left_and_came_back_is_settled_again_after_an_undone_commit)
{
	struct journal_place at;
	struct record *a = accept("a");

	accept("b");
	write_as(1);
	durable(1);
	at = leave(a);
	leave(mine[0]);
	settle(recall(&at));
	write_as(2);
	undo();
	expect("a b ");
	write_as(3);
	durable(3);
	expect("b ");
	cr_expect_eq(journal_live_messages(live), 1);
}

Test(journal_live, what_the_bridge_said_by_itself_leaves_too)
{
	struct record *own = mine[n_mine++] = journal_live_own(pump, SOUTH, now_ms);
	struct journal_place at;

	cr_expect_not(record_may_leave(own));
	decide(own, "O");
	write_as(1);
	durable(1);
	at = leave(own);
	cr_expect(at.is_own);
	own = recall(&at);
	expect_read(own, ">O");
	settle(own);
	write_as(2);
	durable(2);
	expect("");
	cr_expect_eq(journal_live_bytes(live), 0);
}
