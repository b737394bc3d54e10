#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "app/records.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/change.h"
#include "store/blob.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/state.h"

static char top[] = "/tmp/calque-journal-XXXXXX";
static struct db *db;
static struct records *records;

static void open_again(void)
{
	struct err e = { 0 };

	records_free(records);
	db_close(db);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	records = records_new(db, &e);
	cr_assert(records, "%s", e.text);
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

	records_free(records);
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
	struct record *r = records_accept(records, "pump", SOUTH, &m, 1700000000000);

	message_fini(&m);
	return r;
}

static void output(struct record *r, const char *topic, const char *payload)
{
	struct message m = text_message(topic, payload);

	record_output(r, NORTH, LANE_REPORT, &m);
	message_fini(&m);
}

static void commit(void)
{
	struct err e = { 0 };

	cr_assert(records_write(records, &e) && db_commit(db, &e), "%s", e.text);
}

static bool collect(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
		    size_t n, struct err *e)
{
	(void)e;
	buf_printf(ctx, "%s%s%s", side_name(entry->from), entry->is_own ? " own" : "",
		   entry->is_decided ? " decided" : "");
	if (!entry->is_own)
		buf_printf(ctx, " %s %s", entry->message.topic, entry->message.payload);
	for (size_t i = 0; i < n; i++)
		buf_printf(ctx, " > %s %s %s", side_name(outputs[i].to), outputs[i].message.topic,
			   outputs[i].message.payload);
	buf_putc(ctx, '\n');
	return true;
}

static void expect_journal(const char *link, const char *want)
{
	struct buf got = { 0 };
	struct err e = { 0 };

	cr_expect(journal_load(db, link, collect, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	buf_fini(&got);
}

/* --- messages as bytes */

static void make_full(struct message *m)
{
	*m = (struct message){ .topic = mem_strdup("a/b"), .qos = 1, .retain = true };
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
	blob_put(&m, &b);
	cr_assert(blob_get(b.data, b.len, &back));
	cr_expect_str_eq(back.topic, "a/b");
	cr_expect_eq(back.qos, 1);
	cr_expect(back.retain);
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

	blob_put(&m, &b);
	cr_assert(blob_get(b.data, b.len, &back));
	cr_expect_null(back.payload);
	cr_expect_null(back.response_topic);
	cr_expect_null(back.correlation);
	cr_expect_eq(back.qos, 0);
	message_fini(&back);
	message_fini(&m);
	buf_fini(&b);
}

Test(journal, bytes_that_are_cut_or_longer_or_of_a_later_version_are_no_message)
{
	struct message m, back;
	struct buf b = { 0 };

	make_full(&m);
	blob_put(&m, &b);
	for (size_t n = 0; n < b.len; n++) {
		char *cut = mem_alloc(n + 1); /* for the address sanitizer */

		memcpy(cut, b.data, n);
		cut = mem_realloc(cut, n ? n : 1);
		cr_expect_not(blob_get(cut, n, &back), "%zu bytes", n);
		free(cut);
	}
	buf_putc(&b, 'x');
	cr_expect_not(blob_get(b.data, b.len, &back));
	b.data[0] = 2;
	cr_expect_not(blob_get(b.data, b.len - 1, &back));
	message_fini(&m);
	buf_fini(&b);
}

/* --- the journal */

Test(journal, what_is_not_settled_comes_back_in_order)
{
	struct record *a = accept("t", "1"), *b = accept("t", "2"), *c = accept("t", "3");

	output(a, "out", "not stored: it is translated again");
	commit();
	record_settled(b);
	commit();
	record_forget(a);
	record_forget(c);
	open_again();
	expect_journal("pump", "south t 1\nsouth t 3\n");
	expect_journal("other", "");
}

Test(journal, what_was_not_committed_is_not_there)
{
	struct record *a = accept("t", "1");
	struct err e = { 0 };

	cr_assert(records_write(records, &e), "%s", e.text);
	record_forget(a);
	open_again();
	expect_journal("pump", "");
}

Test(journal, what_is_settled_in_its_turn_is_never_written)
{
	record_settled(accept("t", "1"));
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
	record_settled(a);
	record_settled(b);
	commit();
	expect_journal("pump", "");
}

Test(journal, what_the_bridge_says_by_itself_is_written_when_it_is_decided)
{
	struct record *a = records_own(records, "pump", NORTH, 1700000000000);

	output(a, "out", "time-out");
	commit();
	expect_journal("pump", "");
	record_decided(a);
	commit();
	record_forget(a);
	open_again();
	expect_journal("pump", "north own decided > north out time-out\n");
}

static bool resume_one(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
		       size_t n, struct err *e)
{
	(void)outputs, (void)n, (void)e;
	cr_expect_eq(entry->received_ms, 1700000000000);
	*(struct record **)ctx = records_resumed(records, "pump", entry);
	return true;
}

Test(journal, a_message_that_is_translated_again_may_be_decided_then)
{
	struct record *a = accept("t", "1"), *again = NULL;
	struct err e = { 0 };

	commit();
	record_forget(a);
	open_again();
	cr_assert(journal_load(db, "pump", resume_one, &again, &e));
	output(again, "out", "x");
	record_decided(again);
	commit();
	expect_journal("pump", "south decided t 1 > north out x\n");
	record_forget(again);
	open_again();
	cr_assert(journal_load(db, "pump", resume_one, &again, &e));
	output(again, "out", "x"); /* sent again: it is in the journal */
	commit();
	expect_journal("pump", "south decided t 1 > north out x\n");
	record_settled(again);
	commit();
	expect_journal("pump", "");
}

Test(journal, a_number_is_never_given_twice)
{
	uint64_t first, then;
	struct err e = { 0 };
	struct record *a = accept("t", "1");

	commit();
	record_settled(a);
	commit();
	open_again();
	cr_assert(journal_last(db, &first, &e));
	cr_expect_eq(first, 1);
	a = accept("t", "2");
	commit();
	record_forget(a);
	cr_assert(journal_last(db, &then, &e));
	cr_expect_eq(then, 2);
}

static void sql(const char *text)
{
	sqlite3 *other;

	records_free(records);
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

	sql("CREATE TRIGGER no BEFORE INSERT ON output BEGIN SELECT RAISE(FAIL, 'no'); END");
	a = accept("t", "1");
	record_decided(a);
	output(a, "out", "x");
	changes_put(&c, "m", "key", "1", false);
	cr_assert(state_apply(db, "pump", &c, &e));
	changes_fini(&c);
	cr_expect_not(records_write(records, &e));
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_not(db_commit(db, &e));
	record_forget(a);
	sql("CREATE TABLE seen AS SELECT count(*) AS n FROM state;"
	    "INSERT INTO seen SELECT count(*) FROM journal;"
	    "CREATE TABLE must_be_none (n CHECK (n = 0));"
	    "INSERT INTO must_be_none SELECT n FROM seen");
}

static bool file_has(const char *path, const char *text)
{
	struct buf b = { 0 };
	FILE *f = fopen(path, "re");
	bool found;
	int c;

	while (f && (c = getc(f)) != EOF)
		buf_putc(&b, (char)c);
	if (f)
		fclose(f);
	found = b.len && memmem(b.data, b.len, text, strlen(text));
	buf_fini(&b);
	return found;
}

Test(journal, messages_are_sealed_on_disk)
{
	struct record *a = accept("t", "c4nary-in");

	record_decided(a);
	output(a, "out", "c4nary-out");
	commit();
	record_forget(a);
	cr_expect(file_has("dir/calque.db-wal", "pump"));
	cr_expect_not(file_has("dir/calque.db-wal", "c4nary"));
	open_again();
	cr_expect(file_has("dir/calque.db", "pump"));
	cr_expect_not(file_has("dir/calque.db", "c4nary"));
}

Test(journal, a_row_that_was_moved_is_told)
{
	struct record *a = accept("t", "1");
	struct buf got = { 0 };
	struct err e = { 0 };

	commit();
	record_forget(a);
	sql("UPDATE journal SET seq = 7");
	cr_expect_not(journal_load(db, "pump", collect, &got, &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect(strstr(e.text, "journal/pump/7"), "%s", e.text);
	buf_fini(&got);
}

Test(journal, starts_are_counted)
{
	struct record *a = accept("t", "1");
	struct err e = { 0 };

	commit();
	record_forget(a);
	cr_assert(journal_count_start(db, &e));
	commit();
	sql("CREATE TABLE must_be_one (n CHECK (n = 1));"
	    "INSERT INTO must_be_one SELECT attempts FROM journal");
}

Test(journal, a_database_without_a_journal_gets_one)
{
	struct changes c = { 0 };
	struct err e = { 0 };

	changes_put(&c, "m", "key", "1", false);
	cr_assert(state_apply(db, "pump", &c, &e) && db_commit(db, &e));
	changes_fini(&c);
	sql("DROP TABLE journal; DROP TABLE output; DROP TABLE deadletter; PRAGMA user_version = "
	    "1");
	record_forget(accept("t", "1"));
	expect_journal("pump", "");
}
