#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/message_codec.h"
#include "state/change.h"
#include "store/db.h"
#include "store/db_inside.h"
#include "store/journal.h"
#include "store/journal_live.h"
#include "store/state.h"

static char top[] = "/tmp/calque-journal-XXXXXX";
static struct db *db;
static struct journal_live *records;
static struct journal_live_link *pump;
static int64_t now_ms;
static uint64_t n_commits;

/* Records of this run that are not ended. */
static struct record *mine[2000];
static size_t n_mine;

static struct record *keep(struct record *r)
{
	mine[n_mine++] = r;
	return r;
}

static void end(struct record *r, void (*how)(struct record *r))
{
	for (size_t i = 0; i < n_mine; i++)
		if (mine[i] == r)
			mine[i] = NULL;
	how(r);
}

static void settled(struct record *r)
{
	end(r, record_settled);
}

static void forgotten(struct record *r)
{
	end(r, record_forget);
}

static void forget_all(void)
{
	for (size_t i = 0; i < n_mine; i++)
		if (mine[i])
			record_forget(mine[i]);
	n_mine = 0;
}

static void open_again(void)
{
	struct err e = { 0 };

	forget_all();
	journal_live_free(records);
	db_close(db);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	records = journal_live_new(db, &e);
	cr_assert(records, "%s", e.text);
	pump = journal_live_link(records, "pump", NULL);
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

	forget_all();
	journal_live_free(records);
	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(journal, .init = set_up, .fini = tear_down);

static struct message text_message(const char *topic, const char *payload)
{
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };

	message_set_payload(&m, payload, strlen(payload));
	return m;
}

static struct record *accept(const char *topic, const char *payload)
{
	struct message m = text_message(topic, payload);
	struct record *r =
		keep(journal_live_accept(pump, SOUTH, NULL, &m, 1700000000000, 1700000000000));

	message_fini(&m);
	return r;
}

static void output(struct record *r, const char *topic, const char *payload)
{
	struct message m = text_message(topic, payload);

	record_output(r,
		      &(struct journal_output){ .to = NORTH, .lane = LANE_REPORT, .message = m });
	message_fini(&m);
}

/* All, what is settled too. */
static void commit(void)
{
	struct err e = { 0 };

	n_commits++;
	cr_assert(journal_live_write(records, n_commits, INT64_MAX, &e) && db_commit(db, &e), "%s",
		  e.text);
	journal_live_durable(records, n_commits);
}

static void turn(void)
{
	struct err e = { 0 };

	n_commits++;
	cr_assert(journal_live_write(records, n_commits, now_ms, &e) && db_commit(db, &e), "%s",
		  e.text);
	journal_live_durable(records, n_commits);
}

static bool wants_link(void *ctx, const struct journal_row *row, const struct journal_bits *settled)
{
	(void)settled;
	return strcmp(row->link, ((const char **)ctx)[0]) == 0;
}

static bool collect(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
		    size_t n, struct err *e)
{
	struct buf *to = ((void **)ctx)[1];

	(void)e;
	buf_printf(to, "%s%s%s", side_name(entry->from), entry->batch ? "" : " own",
		   entry->is_decided ? " decided" : "");
	if (entry->batch)
		buf_printf(to, " %s %s", entry->message.topic, entry->message.payload);
	for (size_t i = 0; i < n; i++)
		buf_printf(to, " > %s %s %s", side_name(outputs[i].to), outputs[i].message.topic,
			   outputs[i].message.payload);
	buf_putc(to, '\n');
	return true;
}

static void note_aside(void *ctx, const struct journal_row *row, bool was_wanted, const char *why)
{
	buf_printf(((void **)ctx)[1], "aside %d: %s\n", (int)row->seq, why);
	cr_expect(was_wanted);
}

static bool load(const char *link, struct buf *out, struct err *e)
{
	static const struct journal_reader reader = { .wants = wants_link,
						      .take = collect,
						      .aside = note_aside };
	const void *ctx[] = { link, out };

	return journal_load(db, &reader, ctx, e);
}

static void expect_journal(const char *link, const char *want)
{
	struct buf got = { 0 };
	struct err e = { 0 };

	cr_expect(load(link, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	buf_fini(&got);
}

/* What a restart finds: the records of "pump", in order. */
static struct record *found[2000];
static size_t n_found;
static char orphans[200];

static void find(void *ctx, struct record *r, struct journal_entry *entry,
		 struct journal_output *outputs, size_t n)
{
	(void)ctx, (void)outputs, (void)n;
	cr_expect_eq(entry->received_ms, 1700000000000);
	cr_expect_eq(record_since_ms(r), 1700000000000);
	found[n_found++] = keep(r);
}

static void note_orphans(const char *link, size_t n)
{
	size_t len = strlen(orphans);

	snprintf(orphans + len, sizeof orphans - len, "%s %zu\n", link, n);
}

static void tell_aside(const char *link, uint64_t seq, const char *why)
{
	size_t len = strlen(orphans);

	(void)why;
	snprintf(orphans + len, sizeof orphans - len, "%s aside %d\n", link, (int)seq);
}

static void restart(void)
{
	static const struct journal_live_reader reader = { .take = find,
							   .orphans = note_orphans,
							   .aside = tell_aside };
	struct err e = { 0 };

	open_again();
	n_found = 0;
	orphans[0] = '\0';
	cr_assert(journal_live_resume(records, &reader, &e), "%s", e.text);
}

/* An output in a row of its own, of which all but the last `cut` bytes are written. */
static void put_outputs(const struct journal_output *o, size_t cut)
{
	struct journal_row row = { .seq = 1, .link = "pump", .is_own = true };
	struct buf content = { 0 };
	struct err e = { 0 };

	journal_put_output(&content, o);
	content.len -= cut;
	content.data[0] = (char)(content.data[0] - (int)cut);
	cr_assert(journal_put(db, &row, &content, &e) && db_commit(db, &e), "%s", e.text);
	buf_fini(&content);
}

static bool note_output(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
			size_t n, struct err *e)
{
	const struct journal_output *o = outputs;

	(void)entry, (void)e;
	for (; n > 0; n--, o++)
		buf_printf(((void **)ctx)[1], "%s %s %s %d %s\n", side_name(o->to),
			   o->device ? o->device : "-", o->far_id ? o->far_id : "-",
			   (int)o->expires_ms, o->message.topic);
	return true;
}

static void expect_outputs(const char *want)
{
	static const struct journal_reader reader = { wants_link, note_output, note_aside };
	struct buf got = { 0 };
	const void *ctx[] = { "pump", &got };
	struct err e = { 0 };

	cr_expect(journal_load(db, &reader, ctx, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	buf_fini(&got);
}

Test(journal, an_output_says_whose_it_is_and_until_when_it_is_good)
{
	struct journal_output o = { .to = SOUTH, .message.topic = (char *)"a", .expires_ms = 5 };

	put_outputs(&o, 0);
	expect_outputs("south - - 5 a\n");
	o.device = (char *)"pump 7";
	o.far_id = (char *)"\"x\"";
	put_outputs(&o, 0);
	expect_outputs("south pump 7 \"x\" 5 a\n");
	for (size_t cut = 1; cut < 40; cut++) {
		put_outputs(&o, cut);
		expect_outputs("aside 1: journal row 1 of pump: not a message that this calque can "
			       "read\n");
	}
}

/* --- messages as bytes */

static void make_full(struct message *m)
{
	*m = (struct message){
		.topic = mem_strdup("a/b"), .qos = 1, .retain = true, .is_cut = true
	};
	message_set_payload(m, "x\0y", 3);
	m->response_topic = mem_strdup("answer/here");
	m->correlation = mem_dup("\0\1", 2);
	m->correlation_len = 2;
	vars_add(&m->properties, "k", "v");
	vars_add(&m->properties, "k", "");
}

Test(journal, a_message_comes_back_whole)
{
	struct message m, back;
	struct buf b = { 0 };

	make_full(&m);
	message_codec_put(&m, &b);
	cr_assert(message_codec_get(b.data, b.len, &back));
	cr_expect_str_eq(back.topic, "a/b");
	cr_expect_eq(back.qos, 1);
	cr_expect(back.retain);
	cr_expect(back.is_cut);
	cr_expect(back.payload_len == 3 && memcmp(back.payload, "x\0y", 4) == 0);
	cr_expect_str_eq(back.response_topic, "answer/here");
	cr_expect(back.correlation_len == 2 && memcmp(back.correlation, "\0\1", 2) == 0);
	cr_assert_eq(back.properties.n, 2);
	cr_expect_str_eq(back.properties.items[0].value, "v");
	cr_expect_str_eq(back.properties.items[1].value, "");
	message_fini(&back);
	message_fini(&m);
	buf_fini(&b);
}

Test(journal, an_empty_payload_comes_back_empty)
{
	struct message m = { .topic = mem_strdup("t") }, back;
	struct buf b = { 0 };

	message_codec_put(&m, &b);
	cr_assert(message_codec_get(b.data, b.len, &back));
	cr_expect_null(back.payload);
	cr_expect_null(back.response_topic);
	cr_expect_null(back.correlation);
	cr_expect_eq(back.qos, 0);
	cr_expect_not(back.is_cut);
	message_fini(&back);
	message_fini(&m);
	buf_fini(&b);
}

Test(journal, bytes_that_are_cut_or_longer_or_of_a_later_version_are_no_message)
{
	struct message m, back;
	struct buf b = { 0 };

	make_full(&m);
	message_codec_put(&m, &b);
	for (size_t n = 0; n < b.len; n++) {
		char *cut = mem_alloc(n + 1); /* for the address sanitizer */

		memcpy(cut, b.data, n);
		cut = mem_realloc(cut, n ? n : 1);
		cr_expect_not(message_codec_get(cut, n, &back), "%zu bytes", n);
		free(cut);
	}
	buf_putc(&b, 'x');
	cr_expect_not(message_codec_get(b.data, b.len, &back));
	b.data[0] = 2;
	cr_expect_not(message_codec_get(b.data, b.len - 1, &back));
	message_fini(&m);
	buf_fini(&b);
}

/* --- the journal */

Test(journal, what_is_not_settled_comes_back_in_order)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2"), *c = accept("t", "3");

	output(a, "out", "not stored: it is translated again");
	turn();
	settled(b);
	commit();
	forgotten(a);
	forgotten(c);
	open_again();
	expect_journal("pump", "south t 1\nsouth t 3\n");
	expect_journal("other", "");
}

Test(journal, what_was_not_committed_is_not_there)
{
	struct record *a = accept("t", "1");
	struct err e = { 0 };

	cr_assert(journal_live_write(records, ++n_commits, now_ms, &e), "%s", e.text);
	forgotten(a);
	open_again();
	expect_journal("pump", "");
}

Test(journal, what_is_settled_in_its_turn_is_never_written)
{
	settled(accept("t", "1"));
	commit();
	expect_journal("pump", "");
}

Test(journal, a_decided_message_has_its_outputs)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2");

	output(a, "out", "x");
	record_decided(a); /* it may be known after the first output */
	output(a, "out", "y");
	record_decided(b); /* its effect is in the state alone */
	commit();
	expect_journal("pump", "south decided t 1 > north out x > north out y\n"
			       "south decided t 2\n");
	settled(a);
	settled(b);
	commit();
	expect_journal("pump", "");
}

Test(journal, what_the_bridge_says_by_itself_is_written_when_it_is_decided)
{
	struct record *a = keep(journal_live_own(pump, NORTH, 1700000000000));

	output(a, "out", "time-out");
	commit();
	expect_journal("pump", "");
	record_decided(a);
	commit();
	forgotten(a);
	open_again();
	expect_journal("pump", "north own decided > north out time-out\n");
}

Test(journal, a_message_that_is_translated_again_may_be_decided_then)
{
	accept("t", "1");
	turn();
	restart();
	cr_assert_eq(n_found, 1);
	output(found[0], "out", "x");
	turn();
	record_decided(found[0]); /* later than its output was known */
	turn();
	expect_journal("pump", "south decided t 1 > north out x\n");
	forgotten(found[0]);
	restart();
	cr_assert_eq(n_found, 1);
	output(found[0], "out", "x"); /* sent again: it is in the journal */
	turn();
	expect_journal("pump", "south decided t 1 > north out x\n");
	settled(found[0]);
	commit();
	expect_journal("pump", "");
}

Test(journal, a_number_is_never_given_twice)
{
	uint64_t first, then;
	struct err e = { 0 };
	struct record *a = accept("t", "1");

	commit();
	settled(a);
	commit();
	open_again();
	cr_assert(journal_last(db, &first, &e));
	cr_expect_eq(first, 2); /* that of the batch, the message had 1 */
	a = accept("t", "2");
	commit();
	forgotten(a);
	cr_assert(journal_last(db, &then, &e));
	cr_expect_eq(then, 4);
}

static void sql(const char *text)
{
	sqlite3 *other;

	forget_all();
	journal_live_free(records);
	records = NULL;
	db_close(db);
	db = NULL;
	cr_assert_eq(sqlite3_open("dir/calque.db", &other), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(other, text, NULL, NULL, NULL), SQLITE_OK, "%s",
		     sqlite3_errmsg(other));
	cr_assert_eq(sqlite3_close(other), SQLITE_OK);
	open_again();
}

Test(journal, a_change_of_state_and_its_message_are_one_transaction)
{
	struct changes c = { 0 };
	struct err e = { 0 };
	struct record *a;

	sql("CREATE TRIGGER no BEFORE INSERT ON pending WHEN new.n = 0 BEGIN SELECT RAISE(FAIL, "
	    "'no'); END");
	a = accept("t", "1");
	record_decided(a);
	output(a, "out", "x");
	changes_put(&c, "m", "key", "1", false);
	cr_assert(state_apply(db, "pump", &c, &e));
	changes_fini(&c);
	cr_expect_not(journal_live_write(records, ++n_commits, now_ms, &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_not(db_commit(db, &e));
	forgotten(a);
	sql("CREATE TABLE seen AS SELECT count(*) AS n FROM state;"
	    "INSERT INTO seen SELECT count(*) FROM pending;"
	    "CREATE TABLE must_be_none (n CHECK (n = 0));"
	    "INSERT INTO must_be_none SELECT n FROM seen");
}

static bool file_has(const char *path, const char *text)
{
	struct buf b = { 0 };
	FILE *f = fopen(path, "re");
	bool has;
	int c;

	while (f && (c = getc(f)) != EOF)
		buf_putc(&b, (char)c);
	if (f)
		fclose(f);
	has = b.len && memmem(b.data, b.len, text, strlen(text));
	buf_fini(&b);
	return has;
}

Test(journal, messages_are_sealed_on_disk)
{
	struct record *a = accept("t", "c4nary-in");

	record_decided(a);
	output(a, "out", "c4nary-out");
	commit();
	forgotten(a);
	cr_expect(file_has("dir/calque.db-wal", "pump"));
	cr_expect_not(file_has("dir/calque.db-wal", "c4nary"));
	open_again();
	cr_expect(file_has("dir/calque.db", "pump"));
	cr_expect_not(file_has("dir/calque.db", "c4nary"));
}

Test(journal, a_row_that_was_moved_is_set_aside_and_the_others_are_read)
{
	struct record *a = accept("t", "1"), *b;
	struct buf got = { 0 };
	struct err e = { 0 };
	uint64_t bytes;

	commit();
	forgotten(a);
	b = accept("t", "2");
	commit();
	forgotten(b);
	sql("UPDATE pending SET seq = 7 WHERE seq = 2");
	restart();
	cr_expect_str_eq(orphans, "pump aside 7\n");
	cr_expect_eq(n_found, 1);
	bytes = journal_live_link_bytes(pump, SOUTH);
	commit();
	restart(); /* as if it had never been */
	cr_expect_str_eq(orphans, "");
	cr_expect_eq(n_found, 1);
	cr_expect_eq(journal_live_link_bytes(pump, SOUTH), bytes);
	cr_expect_eq(journal_live_bytes(records), bytes);
	cr_expect(load("pump", &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), "south t 2\n");
	sql("CREATE TABLE must_be_one (n CHECK (n = 1));"
	    "INSERT INTO must_be_one SELECT count(*) FROM aside WHERE part = 'journal' AND key = 7"
	    " AND reason LIKE '%row 7 of pump: its sum%'");
	buf_fini(&got);
}

Test(journal, a_row_that_cannot_be_set_aside_on_a_full_disk_breaks_nothing)
{
	char *large = mem_alloc(40001);
	struct record *a;
	struct buf got = { 0 };
	struct err e = { 0 };

	memset(large, 'x', 40000);
	large[40000] = '\0';
	a = accept("t", large);
	free(large);
	commit();
	forgotten(a);
	sql("UPDATE pending SET content = zeroblob(length(content))");
	cr_assert(db_exec(db, "PRAGMA max_page_count = 1", "test", &e)); /* as large as it is */
	cr_expect(load("pump", &got, &e), "%s", e.text);
	cr_expect(strncmp(buf_str(&got), "aside ", 6) == 0);
	cr_expect(db_begin(db, &e), "%s", e.text);
	cr_expect(db_commit(db, &e), "%s", e.text);
	buf_fini(&got);
}

Test(journal, a_message_whose_outputs_are_lost_is_not_decided)
{
	struct record *a = accept("t", "1");
	struct buf got = { 0 };
	struct err e = { 0 };

	record_decided(a);
	output(a, "out", "2");
	commit();
	forgotten(a);
	sql("UPDATE pending SET content = x'00' WHERE n = 0");
	cr_expect(load("pump", &got, &e), "%s", e.text);
	cr_expect(strstr(buf_str(&got), "south t 1\n"), "%s", buf_str(&got));
	buf_fini(&got);
}

Test(journal, outputs_whose_message_is_lost_are_sent)
{
	struct record *a = accept("t", "1");
	struct buf got = { 0 };
	struct err e = { 0 };

	record_decided(a);
	output(a, "out", "2");
	commit();
	forgotten(a);
	sql("UPDATE pending SET content = x'00' WHERE n > 0");
	cr_expect(load("pump", &got, &e), "%s", e.text);
	cr_expect(strstr(buf_str(&got), "south own decided > north out 2\n"), "%s", buf_str(&got));
	buf_fini(&got);
}

/* What a message has ended is counted until it is settled, whether it was decided or not. */
static unsigned crashes[8];

static bool note_crashes(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
			 size_t n, struct err *e)
{
	(void)ctx, (void)outputs, (void)n, (void)e;
	crashes[entry->seq] = entry->n_crashes;
	return true;
}

static bool wants_any(void *ctx, const struct journal_row *row, const struct journal_bits *settled)
{
	(void)ctx, (void)row, (void)settled;
	return true;
}

static void expect_crashes(unsigned of_1, unsigned of_2)
{
	static const struct journal_reader all = { .wants = wants_any, .take = note_crashes };
	struct err e = { 0 };

	memset(crashes, 0, sizeof crashes);
	cr_assert(journal_load(db, &all, NULL, &e), "%s", e.text);
	cr_expect_eq(crashes[1], of_1, "%u", crashes[1]);
	cr_expect_eq(crashes[2], of_2, "%u", crashes[2]);
}

Test(journal, what_ended_the_process_is_known_until_it_is_settled)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2");
	struct err e = { 0 };

	record_decided(b);
	output(b, "out", "3");
	commit();
	cr_expect_eq(record_seq(b), 2);
	expect_crashes(0, 0);
	for (int i = 0; i < 3; i++)
		cr_assert(journal_blame(db, 2, &e));
	cr_assert(journal_blame(db, 1, &e));
	cr_assert(journal_blame(db, 77, &e), "nobody knows it any more");
	commit();
	expect_crashes(1, 3);
	settled(a);
	commit();
	expect_crashes(0, 3);
	commit();
	forgotten(b);
	sql("CREATE TABLE must_be_one (n CHECK (n = 1));"
	    "INSERT INTO must_be_one SELECT count(*) FROM suspect");
}

Test(journal, a_turn_of_a_link_and_side_is_one_row)
{
	struct message m = text_message("t", "x");
	struct record *r[4];

	for (int i = 0; i < 4; i++)
		r[i] = keep(journal_live_accept(pump, i < 3 ? SOUTH : NORTH, NULL, &m,
						1700000000000, 1700000000000));
	turn();
	settled(r[1]);
	turn();
	for (int i = 0; i < 4; i++)
		if (i != 1)
			forgotten(r[i]);
	message_fini(&m);
	sql("CREATE TABLE must (n CHECK (n = 2)); INSERT INTO must SELECT count(*) FROM pending;"
	    "INSERT INTO must SELECT 2 FROM pending WHERE n = 3;"
	    "CREATE TABLE none (n CHECK (n = 0)); INSERT INTO none SELECT count(*) FROM mark");
}

Test(journal, what_is_settled_is_written_with_the_next_that_is_new)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2");

	turn();
	settled(a);
	turn();
	expect_journal("pump", "south t 1\nsouth t 2\n");
	forgotten(accept("t", "3"));
	turn(); /* what is settled in its turn is nothing new */
	expect_journal("pump", "south t 1\nsouth t 2\n");
	settled(accept("t", "4"));
	accept("t", "5");
	turn();
	expect_journal("pump", "south t 2\nsouth t 5\n");
	settled(b);
	turn();
	expect_journal("pump", "south t 2\nsouth t 5\n");
	cr_expect_eq(journal_live_deadline(records), now_ms + 1000);
	now_ms += 1000;
	turn();
	expect_journal("pump", "south t 5\n");
	cr_expect_eq(journal_live_deadline(records), INT64_MAX);
	restart();
}

Test(journal, a_batch_may_begin_partly_settled)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2");

	accept("t", "3");
	settled(b);
	turn();
	settled(a);
	commit();
	restart();
	cr_assert_eq(n_found, 1);
	settled(found[0]);
	commit();
	cr_expect_eq(journal_live_bytes(records), 0);
	sql("CREATE TABLE none (n CHECK (n = 0)); INSERT INTO none SELECT count(*) FROM pending");
}

Test(journal, a_long_turn_is_several_batches)
{
	struct message m = text_message("t", "x");
	struct record *first;

	first = keep(journal_live_accept(pump, SOUTH, NULL, &m, 1700000000000, 1700000000000));
	for (int i = 1; i < 1200; i++)
		keep(journal_live_accept(pump, SOUTH, NULL, &m, 1700000000000, 1700000000000));
	message_fini(&m);
	turn();
	settled(first);
	commit();
	restart();
	cr_expect_eq(n_found, 1199);
	for (size_t i = 0; i < n_found; i++)
		settled(found[i]);
	commit();
	expect_journal("pump", "");
	cr_expect_eq(journal_live_bytes(records), 0);
	cr_expect_eq(journal_live_link_bytes(pump, SOUTH), 0);
	sql("CREATE TABLE none (n CHECK (n = 0)); INSERT INTO none SELECT count(*) FROM mark");
}

Test(journal, decided_ones_and_others_come_in_their_order)
{
	struct record *r[4], *own;
	char text[2] = "1";

	for (int i = 0; i < 4; i++, text[0]++)
		r[i] = accept("t", text);
	turn();
	output(r[1], "out", "x");
	record_decided(r[1]);
	output(r[3], "out", "y");
	record_decided(r[3]);
	own = keep(journal_live_own(pump, NORTH, 1700000000000));
	output(own, "out", "z");
	record_decided(own);
	turn();
	expect_journal("pump",
		       "south t 1\nsouth decided t 2 > north out x\nsouth t 3\n"
		       "south decided t 4 > north out y\nnorth own decided > north out z\n");
	restart();
	cr_assert_eq(n_found, 5);
	settled(found[1]);
	settled(found[4]);
	commit();
	expect_journal("pump", "south t 1\nsouth t 3\nsouth decided t 4 > north out y\n");
}

Test(journal, a_batch_that_is_nearly_settled_gives_back_its_space)
{
	struct message m = text_message("t", "a payload of some length");
	struct record *r[200];
	uint64_t before;

	for (int i = 0; i < 200; i++)
		r[i] = keep(
			journal_live_accept(pump, SOUTH, NULL, &m, 1700000000000, 1700000000000));
	message_fini(&m);
	turn();
	before = journal_live_bytes(records);
	for (int i = 0; i < 199; i++)
		if (i != 77)
			settled(r[i]);
	now_ms += 1000;
	turn(); /* is noted */
	now_ms += 1000;
	turn(); /* is written */
	cr_expect_eq(journal_live_bytes(records), before);
	now_ms += 10000;
	accept("t", "new");
	turn();
	cr_expect_lt(journal_live_bytes(records), before / 20);
	expect_journal("pump",
		       "south t a payload of some length\nsouth t a payload of some length\n"
		       "south t new\n");
	restart();
	cr_expect_eq(journal_live_bytes(records), journal_live_link_bytes(pump, SOUTH));
	cr_expect_lt(journal_live_bytes(records), before / 20);
	for (size_t i = 0; i < n_found; i++)
		settled(found[i]);
	commit();
	expect_journal("pump", "");
}

Test(journal, a_damaged_batch_is_left_alone_when_it_would_give_back_space)
{
	struct message m = text_message("t", "a payload of some length");
	struct record *r[200];
	struct err e = { 0 };
	uint64_t before;

	for (int i = 0; i < 200; i++)
		r[i] = keep(
			journal_live_accept(pump, SOUTH, NULL, &m, 1700000000000, 1700000000000));
	message_fini(&m);
	turn();
	before = journal_live_bytes(records);
	cr_assert(
		db_exec(db, "UPDATE pending SET content = zeroblob(length(content))", "test", &e));
	for (int i = 1; i < 200; i++)
		settled(r[i]);
	now_ms += 1000;
	turn(); /* is noted */
	now_ms += 1000;
	turn(); /* is written */
	now_ms += 10000;
	accept("t", "new");
	turn(); /* goes well */
	cr_expect_gt(journal_live_bytes(records), before);
	settled(r[0]);
	now_ms += 1000;
	turn();
	now_ms += 1000;
	turn();
	expect_journal("pump", "south t new\n");
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

Test(journal, space_of_what_is_settled_goes_back_to_the_disk)
{
	struct message m = { .topic = mem_strdup("t"), .qos = 1 };
	struct record *r[100];
	char *payload = mem_zalloc(10000);

	message_set_payload(&m, payload, 10000);
	for (int i = 0; i < 100; i++)
		r[i] = keep(
			journal_live_accept(pump, SOUTH, NULL, &m, 1700000000000, 1700000000000));
	message_fini(&m);
	free(payload);
	turn();
	db_give_back(db);
	cr_expect_gt(size_of("dir/calque.db"), 1000000);
	cr_expect_eq(size_of("dir/calque.db-wal"), 0);
	for (int i = 0; i < 100; i++)
		settled(r[i]);
	commit();
	db_give_back(db);
	cr_expect_lt(size_of("dir/calque.db"), 200000);
	cr_expect_eq(size_of("dir/calque.db-wal"), 0);
}

Test(journal, what_did_not_fit_stays_due)
{
	struct changes c = { 0 };
	struct err e = { 0 };
	struct record *a;

	sql("CREATE TABLE gate (n); CREATE TRIGGER no BEFORE INSERT ON pending"
	    " BEGIN SELECT RAISE(FAIL, 'no') FROM gate WHERE n = new.n; END;"
	    "INSERT INTO gate VALUES (0)");
	a = accept("t", "1");
	output(a, "out", "x");
	record_decided(a);
	cr_expect_not(journal_live_write(records, ++n_commits, now_ms, &e));
	cr_expect_not(db_commit(db, &e));
	journal_live_undone(records);
	settled(a);
	a = accept("t", "2");
	changes_put(&c, "m", "key", "1", false);
	cr_assert(state_apply(db, "pump", &c, &e));
	changes_fini(&c);
	turn();
	expect_journal("pump", "south t 2\n");
	settled(a);
}

Test(journal, what_is_given_up_is_not_written_but_what_it_changed_is)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2");

	journal_live_give_up(records);
	cr_expect_not(journal_live_has_news(records));
	turn();
	expect_journal("pump", "");
	output(a, "out", "x");
	record_decided(a);
	turn();
	expect_journal("pump", "south own decided > north out x\n");
	settled(a);
	settled(b);
	commit();
	expect_journal("pump", "");
	cr_expect_eq(journal_live_bytes(records), 0);
}

Test(journal, what_is_of_no_link_is_told_and_kept)
{
	struct journal_live_link *gone = journal_live_link(records, "gone", NULL);
	struct message m = text_message("t", "x");
	struct record *r;

	for (int i = 0; i < 3; i++)
		r = keep(journal_live_accept(gone, SOUTH, NULL, &m, 1700000000000, 1700000000000));
	accept("t", "1");
	turn();
	settled(r);
	message_fini(&m);
	commit();
	restart();
	cr_expect_eq(n_found, 1);
	cr_expect_str_eq(orphans, "gone 2\n");
	expect_journal("gone", "south t x\nsouth t x\n");
}

/* --- flushes: SQLite calls ours in place of libc's */

static unsigned n_flushes;

int fsync(int fd);
int fdatasync(int fd);

int fsync(int fd)
{
	n_flushes++;
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	n_flushes++;
	return (int)syscall(SYS_fdatasync, fd);
}

Test(journal, a_commit_waits_for_the_disk_unless_it_is_told_not_to)
{
	struct err e = { 0 };

	n_flushes = 0;
	accept("t", "1");
	commit();
	cr_expect_gt(n_flushes, 0);
	cr_assert(db_set_sync(db, false, &e), "%s", e.text);
	n_flushes = 0;
	accept("t", "2");
	commit();
	cr_expect_eq(n_flushes, 0);
}
