#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/deadletter.h"

#define NOW 1700000000000
#define DAY (86400 * 1000LL)

static char top[] = "/tmp/calque-deadletter-XXXXXX";
static struct db *db;
static struct deadletters *all;

static void open_again(const struct deadletter_bounds *bounds)
{
	struct err e = { 0 };

	deadletters_free(all);
	db_close(db);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	all = deadletters_new(db, bounds, &e);
	cr_assert(all, "%s", e.text);
}

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	open_again(NULL);
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	deadletters_free(all);
	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(deadletter, .init = set_up, .fini = tear_down);

static void sql(const char *text)
{
	struct err e = { 0 };
	sqlite3 *raw;

	deadletters_free(all);
	db_close(db);
	db = NULL;
	all = NULL;
	cr_assert_eq(sqlite3_open("dir/calque.db", &raw), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(raw, text, NULL, NULL, NULL), SQLITE_OK, "%s",
		     sqlite3_errmsg(raw));
	sqlite3_close(raw);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	all = deadletters_new(db, NULL, &e);
	cr_assert(all, "%s", e.text);
}

static struct deadletter letter(const char *payload, size_t n)
{
	struct deadletter l = {
		.id = deadletters_next_id(all),
		.link = mem_strdup("pump"),
		.from = NORTH,
		.kind = mem_strdup("telemetry"),
		.reason = mem_strdup("mapping-error"),
		.text = mem_strdup("line 3"),
		.topic = mem_strdup("a/b"),
		.received_ms = NOW - 5,
		.died_ms = NOW,
		.has_message = true,
		.message = { .topic = mem_strdup("a/b"), .qos = 1 },
	};

	message_set_payload(&l.message, payload, n);
	return l;
}

/* Ends `l`; its number. */
static uint64_t put(struct deadletter *l)
{
	struct err e = { 0 };
	uint64_t id = l->id;

	cr_assert(deadletters_add(all, l, &e), "%s", e.text);
	deadletter_fini(l);
	return id;
}

static uint64_t put_text(const char *payload)
{
	struct deadletter l = letter(payload, strlen(payload));

	return put(&l);
}

static void commit(void)
{
	struct err e = { 0 };

	cr_assert(db_commit(db, &e), "%s", e.text);
}

static void expect_gone(uint64_t id)
{
	struct err e = { 0 };
	struct deadletter l;

	cr_expect_not(deadletters_get(all, id, false, &l, &e));
	cr_expect_eq(e.code, ERR_NOT_FOUND, "%s", e.text);
}

/* What is told without counting is what is there. */
static struct deadletter_totals expect_true_totals(void)
{
	struct deadletter_totals told, counted;
	struct deadletters *fresh = deadletters_new(db, NULL, NULL);

	cr_assert(deadletters_totals(all, &told, NULL));
	cr_assert(deadletters_totals(fresh, &counted, NULL));
	cr_expect_eq(told.count, counted.count, "%zu is %zu", told.count, counted.count);
	cr_expect_eq(told.bytes, counted.bytes);
	deadletters_free(fresh);
	return told;
}

/* The numbers that the filter finds: "3 1 2". */
static void expect_found(const struct deadletter_filter *filter, const char *want)
{
	struct buf got = { 0 };
	struct err e = { 0 };
	uint64_t *ids;
	size_t n;

	cr_assert(deadletters_find(all, filter, &ids, &n, &e), "%s", e.text);
	for (size_t i = 0; i < n; i++)
		buf_printf(&got, "%s%llu", i ? " " : "", (unsigned long long)ids[i]);
	cr_expect_str_eq(buf_str(&got), want);
	free(ids);
	buf_fini(&got);
}

Test(deadletter, is_kept_as_it_was_across_a_restart)
{
	struct deadletter l = letter("x\0y", 3), got;
	struct err e = { 0 };
	uint64_t id;

	vars_add(&l.message.properties, "k", "v");
	id = put(&l);
	commit();
	open_again(NULL);
	cr_assert(deadletters_get(all, id, true, &got, &e), "%s", e.text);
	cr_expect_str_eq(got.link, "pump");
	cr_expect_eq(got.from, NORTH);
	cr_expect_str_eq(got.kind, "telemetry");
	cr_expect_str_eq(got.reason, "mapping-error");
	cr_expect_str_eq(got.text, "line 3");
	cr_expect_str_eq(got.topic, "a/b");
	cr_expect_eq(got.received_ms, NOW - 5);
	cr_expect_eq(got.died_ms, NOW);
	cr_expect(got.has_message);
	cr_expect_eq(got.message.payload_len, 3);
	cr_expect_arr_eq(got.message.payload, "x\0y", 3);
	cr_expect_str_eq(vars_get(&got.message.properties, "k"), "v");
	deadletter_fini(&got);
}

Test(deadletter, without_a_message_is_a_letter_too)
{
	struct deadletter l = letter("", 0), got;
	uint64_t id;

	l.has_message = false;
	id = put(&l);
	cr_assert(deadletters_get(all, id, true, &got, NULL));
	cr_expect_not(got.has_message);
	cr_expect_eq(got.bytes, 0);
	deadletter_fini(&got);
}

Test(deadletter, of_a_very_large_message_is_kept_without_it)
{
	char *large = mem_zalloc(DEADLETTER_MAX_MESSAGE);
	struct deadletter l = letter(large, DEADLETTER_MAX_MESSAGE), got;
	uint64_t id = put(&l);

	cr_assert(deadletters_get(all, id, true, &got, NULL));
	cr_expect_not(got.has_message);
	cr_expect_str_eq(got.topic, "a/b");
	deadletter_fini(&got);
	free(large);
}

static bool has_bytes(const char *path, const char *what)
{
	FILE *f = fopen(path, "rb");
	struct buf all_of_it = { 0 };
	char piece[4096];
	size_t n;
	bool found;

	cr_assert(f, "%s", path);
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_append(&all_of_it, piece, n);
	fclose(f);
	found = all_of_it.len && memmem(all_of_it.data, all_of_it.len, what, strlen(what));
	buf_fini(&all_of_it);
	return found;
}

Test(deadletter, has_its_payload_nowhere_in_clear)
{
	put_text("{\"token\":\"CANARY-1\"}");
	commit();
	cr_expect(has_bytes("dir/calque.db-wal", "mapping-error"), "the test looks elsewhere");
	cr_expect_not(has_bytes("dir/calque.db-wal", "CANARY-1"));
	db_close(db);
	db = NULL;
	cr_expect(has_bytes("dir/calque.db", "mapping-error"), "the test looks elsewhere");
	cr_expect_not(has_bytes("dir/calque.db", "CANARY-1"));
}

Test(deadletter, that_was_put_in_the_place_of_another_is_not_opened)
{
	struct err e = { 0 };
	struct deadletter l;

	put_text("1");
	put_text("2");
	commit();
	sql("UPDATE deadletter SET message = (SELECT message FROM deadletter WHERE id = 1)"
	    " WHERE id = 2");
	cr_expect_not(deadletters_get(all, 2, true, &l, &e));
	cr_expect_eq(e.code, ERR_CORRUPT, "%s", e.text);
	cr_expect(deadletters_get(all, 2, false, &l, &e), "%s", e.text);
	deadletter_fini(&l);
}

Test(deadletter, number_is_never_given_twice)
{
	uint64_t id = put_text("1");

	cr_assert(deadletters_remove(all, id, NULL));
	commit();
	open_again(NULL);
	cr_expect_gt(deadletters_next_id(all), id);
}

Test(deadletter, that_is_taken_out_is_gone_and_is_not_taken_out_twice)
{
	struct err e = { 0 };
	uint64_t a = put_text("1"), b = put_text("2");

	cr_assert(deadletters_remove(all, a, &e), "%s", e.text);
	cr_expect_not(deadletters_remove(all, a, &e));
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	commit(); /* that was no failure */
	expect_gone(a);
	cr_expect(deadletters_remove(all, b, NULL));
	cr_expect_eq(expect_true_totals().count, 0);
}

Test(deadletter, totals_are_true_after_a_roll_back)
{
	struct deadletter l = letter("2", 1);

	put_text("1");
	commit();
	cr_assert(deadletters_add(all, &l, NULL));
	cr_expect_not(deadletters_add(all, &l, NULL)); /* the same number: fails, rolls back */
	cr_expect_not(db_commit(db, NULL));
	cr_expect_eq(expect_true_totals().count, 1);
	put(&l);
	commit();
	cr_expect_eq(expect_true_totals().count, 2);
}

Test(deadletter, the_oldest_go_when_there_are_too_many)
{
	open_again(&(struct deadletter_bounds){ 64, 1 << 30, 30 * DAY });
	for (int i = 1; i <= 64; i++)
		put_text("x");
	cr_assert(deadletters_evict(all, NOW, NULL));
	cr_expect_eq(expect_true_totals().evicted, 0);
	put_text("x");
	cr_assert(deadletters_evict(all, NOW, NULL));
	cr_expect_eq(expect_true_totals().count, 62, "a little more than need be");
	cr_expect_eq(expect_true_totals().evicted, 3);
	expect_gone(3);
	expect_found(&(struct deadletter_filter){ .kind = "command" }, "");
	cr_expect(deadletters_remove(all, 4, NULL));
	cr_expect(deadletters_remove(all, 65, NULL), "the newest stays");
}

Test(deadletter, what_was_not_committed_was_not_taken_out)
{
	open_again(&(struct deadletter_bounds){ 64, 1 << 30, 30 * DAY });
	for (int i = 1; i <= 64; i++)
		put_text("x");
	commit();
	for (int i = 0; i < 3; i++) {
		struct deadletter l = letter("x", 1);

		cr_assert(deadletters_add(all, &l, NULL));
		cr_assert(deadletters_evict(all, NOW, NULL));
		cr_expect_not(deadletters_add(all, &l, NULL)); /* fails, rolls back */
		cr_expect_not(db_commit(db, NULL));
		deadletter_fini(&l);
		cr_expect_eq(expect_true_totals().evicted, 0);
	}
	put_text("x");
	cr_assert(deadletters_evict(all, NOW, NULL));
	commit();
	cr_assert(deadletters_evict(all, NOW, NULL));
	cr_expect_eq(expect_true_totals().evicted, 3);
}

Test(deadletter, the_oldest_go_when_they_are_too_large)
{
	char *large = mem_zalloc(100000);

	open_again(&(struct deadletter_bounds){ 1000, 1000000, 30 * DAY });
	for (int i = 1; i <= 12; i++) {
		struct deadletter l = letter(large, 100000);

		put(&l);
	}
	cr_assert(deadletters_evict(all, NOW, NULL));
	cr_expect_eq(expect_true_totals().count, 9);
	cr_expect_leq(expect_true_totals().bytes, 1000000);
	expect_gone(3);
	free(large);
}

Test(deadletter, that_is_too_old_goes)
{
	struct deadletter l = letter("1", 1);

	l.died_ms = NOW - 30 * DAY - 1;
	put(&l);
	l = letter("2", 1);
	l.died_ms = NOW - 30 * DAY;
	put(&l);
	put_text("3");
	cr_assert(deadletters_evict(all, NOW, NULL));
	expect_found(&(struct deadletter_filter){ 0 }, "2 3");
	cr_expect_eq(expect_true_totals().evicted, 1);
	cr_assert(deadletters_evict(all, NOW + 60000, NULL));
	expect_found(&(struct deadletter_filter){ 0 }, "3");
}

static uint64_t put_of(const char *link, const char *reason, const char *device)
{
	struct deadletter l = letter("x", 1);
	uint64_t id = l.id;

	free(l.link);
	free(l.reason);
	l.link = mem_strdup(link);
	l.reason = mem_strdup(reason);
	l.device = mem_strdup(device);
	put(&l);
	return id;
}

/* 25,000 bad messages, and the letters that were there. */
Test(deadletter, a_flood_pushes_out_its_own_only)
{
	static const char *const rows[][3] = {
		{ "other", "unreadable-payload", "bad" },
		{ "pump", "mapping-error", "bad" },
		{ "pump", "unreadable-payload", "good" },
		{ "pump", "unreadable-payload", NULL },
	};
	uint64_t first = deadletters_next_id(all) + 1;
	uint64_t last = 0;

	for (size_t i = 0; i < 4; i++)
		put_of(rows[i][0], rows[i][1], rows[i][2]);
	for (int i = 0; i < 25000; i++) {
		last = put_of("pump", "unreadable-payload", "bad");
		cr_assert(deadletters_evict(all, NOW, NULL));
	}
	commit();
	cr_expect_leq(expect_true_totals().count, DEADLETTER_MAX_COUNT);
	cr_expect_geq(expect_true_totals().count, DEADLETTER_MAX_COUNT / 32 * 31);
	expect_gone(first + 4);
	for (uint64_t id = first; id < first + 4; id++)
		cr_expect(deadletters_remove(all, id, NULL), "%llu", (unsigned long long)id);
	cr_expect(deadletters_remove(all, last, NULL));
}

static size_t count_of(const char *link)
{
	const struct deadletter_filter filter = { .link = link };
	uint64_t *ids;
	size_t n;

	cr_assert(deadletters_find(all, &filter, &ids, &n, NULL));
	free(ids);
	return n;
}

/* Which is so at once, and not from the next start on. */
Test(deadletter, from_before_a_link_was_called_otherwise_counts_for_its_new_name)
{
	static const struct deadletter_bounds bounds = { 64, 1 << 20, DAY };
	bool is_done = false;

	open_again(&bounds);
	for (int i = 0; i < 30; i++)
		put_of("other", "mapping-error", "d");
	for (int i = 0; i < 20; i++)
		put_of("old", "mapping-error", "d");
	cr_assert(deadletters_evict(all, NOW, NULL));
	cr_assert(db_rename_link(db, "old", "new", &is_done, NULL) && is_done);
	for (int i = 0; i < 20; i++)
		put_of("new", "mapping-error", "d");
	cr_assert(deadletters_evict(all, NOW, NULL));
	commit();
	cr_expect_eq(count_of("old"), 0);
	cr_expect_eq(count_of("other"), 30);
	cr_expect_eq(count_of("new"), 32);
}

static void put_as(const char *link, const char *reason, const char *kind, int64_t received_ms,
		   int64_t died_ms)
{
	struct deadletter l = letter("1", 1);

	free(l.link);
	free(l.reason);
	free(l.kind);
	l.link = mem_strdup(link);
	l.reason = mem_strdup(reason);
	l.kind = mem_strdup(kind);
	l.received_ms = received_ms;
	l.died_ms = died_ms;
	put(&l);
}

Test(deadletter, is_found_by_what_it_is_in_the_order_of_reception)
{
	put_as("a", "unknown-topic", "none", 30, 100);
	put_as("a", "mapping-error", "telemetry", 10, 200);
	put_as("b", "mapping-error", "command", 20, 300);
	put_as("a", "mapping-error", "command", 20, 400);
	expect_found(&(struct deadletter_filter){ 0 }, "2 3 4 1");
	expect_found(&(struct deadletter_filter){ .link = "a" }, "2 4 1");
	expect_found(&(struct deadletter_filter){ .reason = "mapping-error" }, "2 3 4");
	expect_found(&(struct deadletter_filter){ .reason = "mapping" }, "");
	expect_found(&(struct deadletter_filter){ .reason = "expired,unknown-topic,mapping" }, "1");
	expect_found(&(struct deadletter_filter){ .reason = "unknown-topic,mapping-error" },
		     "2 3 4 1");
	expect_found(&(struct deadletter_filter){ .kind = "command" }, "3 4");
	expect_found(&(struct deadletter_filter){ .link = "a", .kind = "command" }, "4");
	expect_found(&(struct deadletter_filter){ .since_ms = 200, .until_ms = 300 }, "2 3");
	expect_found(&(struct deadletter_filter){ .link = "c" }, "");
}
