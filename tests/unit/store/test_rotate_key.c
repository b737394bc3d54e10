/* Another key for the state, or another name for a link in it: every table that is sealed can be read with it, and with
 * it only; and whatever a kill leaves behind of the change of a key, the next open ends it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/aside.h"
#include "store/db.h"
#include "store/db_inside.h"
#include "store/deadletter.h"
#include "store/journal.h"
#include "store/state.h"

static char top[] = "/tmp/calque-rotate-XXXXXX";

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(rotate_key, .init = set_up, .fini = tear_down);

static struct db *open_good(const char *key_file)
{
	struct err e = { 0 };
	struct db *db = db_open("dir", key_file, &e);

	cr_assert(db, "%s", e.text);
	return db;
}

static void put_file(const char *name, const char *text, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert(fd >= 0, "%s", name);
	cr_assert_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static void get_file(const char *name, struct buf *out)
{
	FILE *file = fopen(name, "re");
	int c;

	cr_assert(file, "%s", name);
	buf_reset(out);
	while ((c = getc(file)) != EOF)
		buf_putc(out, (char)c);
	fclose(file);
}

static bool is_there(const char *name)
{
	return access(name, F_OK) == 0;
}

/* ---- What is sealed: rows of each table ---- */

static void put_state(struct db *db, const char *key, const char *value, bool is_secret)
{
	struct changes c = { 0 };
	struct err e = { 0 };

	changes_put(&c, "device", key, value, is_secret);
	cr_assert(state_apply(db, "pump", &c, &e), "%s", e.text);
	changes_fini(&c);
}

static const struct journal_row batch = { .seq = 2, .link = "pump", .from = NORTH, .n = 1 };
static const struct journal_row outputs = { .seq = 1, .link = "pump", .from = SOUTH };

static void put_journal(struct db *db, const struct journal_row *row, const char *text)
{
	struct journal_row put = *row;
	struct buf content = { 0 };
	struct err e = { 0 };

	buf_puts(&content, text);
	cr_assert(journal_put(db, &put, &content, &e), "%s", e.text);
	buf_fini(&content);
}

static void put_letter(struct deadletters *all, const char *payload)
{
	struct deadletter l = { .id = deadletters_next_id(all),
				.link = mem_strdup("pump"),
				.from = NORTH,
				.kind = mem_strdup("telemetry"),
				.reason = mem_strdup("mapping-error"),
				.text = mem_strdup("line 3"),
				.topic = mem_strdup("a/b"),
				.received_ms = 1700000000000,
				.died_ms = 1700000000000,
				.has_message = true,
				.message = { .topic = mem_strdup("a/b") } };
	struct err e = { 0 };

	message_set_payload(&l.message, payload, strlen(payload));
	cr_assert(deadletters_add(all, &l, &e), "%s", e.text);
	deadletter_fini(&l);
}

/* Rows that made no sense, one of each kind of place. */
static void put_asides(struct db *db)
{
	static const struct journal_row odd[] = {
		{ .seq = 12, .link = "pump", .from = NORTH, .n = 1 },
		{ .seq = 13, .link = "pump", .from = SOUTH, .n = 0 },
	};
	struct err e = { 0 };

	put_state(db, "odd", "\"aside state\"", true);
	cr_assert(aside_state(db, 3, "odd", &e), "%s", e.text);
	for (size_t i = 0; i < 2; i++) {
		put_journal(db, &odd[i], "aside journal");
		cr_assert(aside_journal(db, (int64_t)odd[i].seq, "odd", &e), "%s", e.text);
	}
}

static void fill(const char *key_file)
{
	struct db *db = open_good(key_file);
	struct err e = { 0 };
	struct deadletters *all = deadletters_new(db, NULL, &e);

	put_state(db, "token", "\"c4nary\"", true);
	put_state(db, "plain", "1", false);
	put_asides(db);
	put_journal(db, &batch, "batch");
	put_journal(db, &outputs, "outputs");
	put_letter(all, "letter one");
	put_letter(all, "letter two");
	cr_assert(db_commit(db, &e), "%s", e.text);
	deadletters_free(all);
	db_close(db);
}

static bool collect(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	(void)e;
	buf_printf(ctx, "%s %s %s;", machine, key, value);
	return true;
}

static void none_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	(void)ctx;
	cr_expect(false, "%s %s: %s", machine, key, why);
}

static void expect_journal(struct db *db, const struct journal_row *row, const char *want)
{
	struct buf got = { 0 };
	struct err e = { 0 };

	cr_expect(journal_get(db, row, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	buf_fini(&got);
}

static void expect_letter(struct deadletters *all, uint64_t id, const char *want)
{
	struct deadletter l;
	struct err e = { 0 };

	cr_assert(deadletters_get(all, id, true, &l, &e), "%s", e.text);
	cr_expect(l.has_message && l.message.payload_len == strlen(want) &&
		  memcmp(l.message.payload, want, strlen(want)) == 0);
	deadletter_fini(&l);
}

/* Nothing reads what was set aside but people with the key. */
static void expect_aside(struct db *db, const char *context, int id, const char *want)
{
	sqlite3_stmt *stmt = db_statement(db, "SELECT value FROM aside WHERE id = ?", NULL);
	struct buf got = { 0 };
	struct err e = { 0 };

	cr_assert(stmt && sqlite3_bind_int(stmt, 1, id) == SQLITE_OK);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	cr_expect(db_unseal(db, context, sqlite3_column_blob(stmt, 0),
			    (size_t)sqlite3_column_bytes(stmt, 0), &got, &e),
		  "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	db_release(stmt);
	buf_fini(&got);
}

static void none_wrong(void *ctx, const char *what)
{
	(void)ctx;
	cr_expect(false, "%s", what);
}

static void expect_aside_of(struct db *db, const char *before, const char *link, const char *after,
			    int id, const char *want)
{
	char *context = mem_printf("%s%s%s", before, link, after);

	expect_aside(db, context, id, want);
	free(context);
}

static void expect_all_of(const char *link, const char *key_file)
{
	static const struct state_reader reader = { collect, none_aside };
	struct journal_row in = batch, out = outputs;
	struct db *db = open_good(key_file);
	struct err e = { 0 };
	struct deadletters *all = deadletters_new(db, NULL, &e);
	struct buf got = { 0 };

	cr_expect(db_check(db, none_wrong, NULL, &e), "%s", e.text);
	in.link = out.link = link;
	cr_expect(state_load(db, link, &reader, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), "device token \"c4nary\";device plain 1;");
	expect_journal(db, &in, "batch");
	expect_journal(db, &out, "outputs");
	expect_letter(all, 1, "letter one");
	expect_letter(all, 2, "letter two");
	expect_aside_of(db, "", link, "/device/odd", 1, "\"aside state\"");
	expect_aside_of(db, "batch/", link, "/north/12", 2, "aside journal");
	expect_aside_of(db, "outputs/", link, "/south/13", 3, "aside journal");
	deadletters_free(all);
	buf_fini(&got);
	db_close(db);
}

static void expect_all(const char *key_file)
{
	expect_all_of("pump", key_file);
}

static void rotate(const char *key_file)
{
	struct db *db = open_good(key_file);
	struct err e = { 0 };
	size_t n_unread = 9;

	cr_assert(db_rotate_key(db, &n_unread, &e), "%s", e.text);
	cr_expect_eq(n_unread, 0);
	db_close(db);
}

static void expect_refused(const char *key_file, const char *part)
{
	struct err e = { 0 };

	cr_expect_null(db_open("dir", key_file, &e));
	cr_expect(strstr(e.text, part), "'%s' has no '%s'", e.text, part);
}

/* ---- Done to the end ---- */

/* What the row `sql` finds has now. */
static void get_blob(const char *sql, struct buf *out)
{
	sqlite3_stmt *stmt;
	sqlite3 *raw;

	cr_assert_eq(sqlite3_open("dir/calque.db", &raw), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	buf_append(out, sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(raw);
}

Test(rotate_key, all_that_is_sealed_is_sealed_with_the_new_key)
{
	static const char sql[] = "SELECT value FROM state WHERE is_secret";
	struct buf old = { 0 }, now = { 0 }, sealed = { 0 }, file = { 0 };
	struct stat st;

	fill(NULL);
	get_file("dir/key", &old);
	get_blob(sql, &sealed);
	rotate(NULL);
	get_file("dir/key", &now);
	cr_expect_eq(now.len, 32);
	cr_expect_neq(memcmp(now.data, old.data, 32), 0);
	cr_assert_eq(stat("dir/key", &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_not(is_there("dir/key.new"));
	expect_all(NULL);
	get_file("dir/calque.db", &file);
	cr_expect_null(memmem(file.data, file.len, sealed.data, sealed.len),
		       "what the old key opens is gone");
	put_file("old", old.data, old.len);
	expect_refused("old", "sealed with another key than that in old");
	buf_fini(&old);
	buf_fini(&now);
	buf_fini(&sealed);
	buf_fini(&file);
}

/* A link that leads to the key goes on leading to it. */
Test(rotate_key, a_key_elsewhere_is_changed_where_it_is)
{
	struct stat st;

	cr_assert_eq(mkdir("keys", 0700), 0);
	put_file("keys/k", "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef\n",
		 65);
	cr_assert_eq(symlink("keys/k", "link"), 0);
	fill("link");
	rotate("link");
	expect_all("link");
	expect_all("keys/k");
	cr_assert_eq(stat("keys/k", &st), 0);
	cr_expect_eq(st.st_size, 32);
	cr_assert_eq(lstat("link", &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	cr_expect_not(is_there("dir/key"));
	cr_expect_not(is_there("keys/k.new"));
}

/* It could not be read before, and nothing else suffers for it. */
Test(rotate_key, a_row_that_cannot_be_read_is_counted_and_left_alone)
{
	static const char sql[] = "SELECT message FROM deadletter WHERE id = 2";
	struct buf before = { 0 }, after = { 0 };
	struct err e = { 0 };
	struct deadletters *all;
	size_t n_unread;
	struct db *db;

	fill(NULL);
	db = open_good(NULL);
	cr_assert(db_exec(db, "UPDATE deadletter SET message = x'00' || message WHERE id = 2",
			  "spoil", &e),
		  "%s", e.text);
	db_close(db);
	get_blob(sql, &before);
	db = open_good(NULL);
	cr_assert(db_rotate_key(db, &n_unread, &e), "%s", e.text);
	cr_expect_eq(n_unread, 1);
	all = deadletters_new(db, NULL, &e);
	expect_letter(all, 1, "letter one");
	deadletters_free(all);
	db_close(db);
	get_blob(sql, &after);
	cr_expect(after.len == before.len && memcmp(after.data, before.data, after.len) == 0);
	buf_fini(&before);
	buf_fini(&after);
}

/* ---- Not done to the end ---- */

static const char other_key[] = "0123456789abcdef0123456789abcdef";

struct place {
	const char *key_file, *key, *new_key;
};
static const struct place places[] = { { NULL, "dir/key", "dir/key.new" }, { "k", "k", "k.new" } };

static void begin(const struct place *at)
{
	cr_assert_eq(system("rm -rf dir k k.new"), 0);
	if (at->key_file)
		put_file("k", "-a key that is not the other one", 32);
	fill(at->key_file);
}

Test(rotate_key, before_the_commit_the_old_key_counts)
{
	for (size_t i = 0; i < 2; i++) {
		const struct place *at = &places[i];
		static const size_t lengths[] = { 0, 4, 32 }; /* as far as it was written */

		begin(at);
		for (size_t j = 0; j < 3; j++) {
			put_file(at->new_key, other_key, lengths[j]);
			expect_all(at->key_file);
			cr_expect_not(is_there(at->new_key));
		}
	}
}

Test(rotate_key, after_the_commit_the_new_key_counts_and_takes_its_place)
{
	struct buf want = { 0 }, got = { 0 };

	for (size_t i = 0; i < 2; i++) {
		const struct place *at = &places[i];

		begin(at);
		cr_assert_eq(link(at->key, "old"), 0);
		rotate(at->key_file);
		cr_assert_eq(rename(at->key, at->new_key), 0);
		cr_assert_eq(rename("old", at->key), 0);
		get_file(at->new_key, &want);
		expect_all(at->key_file);
		cr_expect_not(is_there(at->new_key));
		get_file(at->key, &got);
		cr_expect(got.len == want.len && memcmp(got.data, want.data, got.len) == 0);
	}
	buf_fini(&want);
	buf_fini(&got);
}

Test(rotate_key, two_keys_that_are_both_of_something_else_stay)
{
	for (size_t i = 0; i < 2; i++) {
		const struct place *at = &places[i];

		begin(at);
		cr_assert_eq(rename(at->key, "right"), 0);
		put_file(at->key, other_key, 32);
		put_file(at->new_key, other_key, 32);
		expect_refused(at->key_file, "sealed with another key");
		cr_expect(is_there(at->new_key));
		cr_assert_eq(rename("right", at->key), 0);
		expect_all(at->key_file);
	}
}

Test(rotate_key, what_fails_in_the_middle_leaves_the_old_key)
{
	struct err e = { 0 };
	size_t n_unread;
	struct db *db;

	fill(NULL);
	db = open_good(NULL);
	cr_assert(db_exec(db,
			  "CREATE TRIGGER no BEFORE UPDATE ON deadletter"
			  " BEGIN SELECT RAISE(ABORT, 'not today'); END",
			  "spoil", &e),
		  "%s", e.text);
	cr_expect_not(db_rotate_key(db, &n_unread, &e));
	cr_expect(strstr(e.text, "not today"), "%s", e.text);
	cr_expect_not(is_there("dir/key.new"));
	cr_expect(db_commit(db, &e), "%s", e.text);
	cr_assert(db_exec(db, "DROP TRIGGER no", "mend", &e), "%s", e.text);
	db_close(db);
	expect_all(NULL);
	cr_assert_eq(mkdir("dir/key.new", 0700), 0); /* no place for it */
	db = open_good(NULL);
	cr_expect_not(db_rotate_key(db, &n_unread, &e));
	cr_expect(strstr(e.text, "create dir/key.new"), "%s", e.text);
	db_close(db);
	cr_assert_eq(rmdir("dir/key.new"), 0);
	expect_all(NULL);
	rotate(NULL);
	expect_all(NULL);
}

static void pass(long long us)
{
	const struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

Test(rotate_key, a_kill_at_any_moment_costs_nothing)
{
	long long began, took_us;

	fill(NULL);
	began = now_us();
	rotate(NULL);
	took_us = now_us() - began;
	for (int i = 0; i < 24; i++) {
		pid_t pid = fork();

		cr_assert(pid >= 0);
		if (pid == 0) {
			for (;;)
				rotate(NULL);
		}
		pass(took_us / 4 + took_us * i / 12);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		expect_all(NULL);
		cr_expect_not(is_there("dir/key.new"));
	}
}

/* ---- Another name ---- */

static bool take_name(const char *from, const char *to, bool *is_done, struct err *e)
{
	struct db *db = open_good(NULL);
	bool ok = db_rename_link(db, from, to, is_done, e);

	cr_assert(db_commit(db, ok ? e : NULL));
	db_close(db);
	return ok;
}

static void expect_known_as(const char *link, const char *want)
{
	struct db *db = open_good(NULL);
	char *name = db_known_as(db, link);

	cr_expect_str_eq(name, want);
	free(name);
	db_close(db);
}

Test(rename_link, takes_all_that_is_of_it_and_brokers_know_it_as_before, .init = set_up,
     .fini = tear_down)
{
	struct err e = { 0 };
	struct buf n = { 0 };
	bool is_done = false;

	fill(NULL);
	cr_assert(take_name("pump", "station", &is_done, &e), "%s", e.text);
	cr_expect(is_done);
	expect_all_of("station", NULL);
	expect_known_as("station", "pump");
	expect_known_as("pump", "pump");
	get_blob("SELECT (SELECT count(*) FROM state WHERE link = 'pump')"
		 " + (SELECT count(*) FROM pending WHERE link = 'pump')"
		 " + (SELECT count(*) FROM deadletter WHERE link = 'pump')"
		 " + (SELECT count(*) FROM aside WHERE link = 'pump')",
		 &n);
	cr_expect_str_eq(buf_str(&n), "0");
	buf_fini(&n);
	/* Again, as at the next start; and once more otherwise. */
	cr_assert(take_name("pump", "station", &is_done, &e), "%s", e.text);
	cr_expect_not(is_done);
	cr_assert(take_name("station", "works", &is_done, &e), "%s", e.text);
	cr_expect(is_done);
	expect_all_of("works", NULL);
	expect_known_as("works", "pump");
}

Test(rename_link, takes_nothing_where_both_have_something, .init = set_up, .fini = tear_down)
{
	struct changes c = { 0 };
	struct err e = { 0 };
	struct db *db;
	bool is_done = true;

	fill(NULL);
	db = open_good(NULL);
	changes_put(&c, "device", "k", "1", false);
	cr_assert(state_apply(db, "station", &c, &e) && db_commit(db, &e), "%s", e.text);
	changes_fini(&c);
	db_close(db);
	cr_expect_not(take_name("pump", "station", &is_done, &e));
	cr_expect_eq(e.code, ERR_INVALID);
	cr_expect(strstr(e.text, "rows of \"pump\" and of \"station\""), "%s", e.text);
	cr_expect_not(is_done);
	expect_all(NULL);
}

/* Nobody may take it for a good one afterwards. */
Test(rename_link, leaves_a_damaged_row_damaged, .init = set_up, .fini = tear_down)
{
	struct buf sum = { 0 };
	struct err e = { 0 };
	bool is_done;
	sqlite3 *raw;

	fill(NULL);
	cr_assert_eq(sqlite3_open("dir/calque.db", &raw), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(raw, "UPDATE state SET value = '2' WHERE key = 'plain'", NULL,
				  NULL, NULL),
		     SQLITE_OK);
	sqlite3_close(raw);
	cr_assert(take_name("pump", "station", &is_done, &e), "%s", e.text);
	get_blob("SELECT ifnull(sum, 'none') FROM state WHERE key = 'plain'", &sum);
	cr_expect_str_eq(buf_str(&sum), "none");
	buf_fini(&sum);
}
