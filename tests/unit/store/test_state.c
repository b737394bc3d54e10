#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/aside.h"
#include "store/db.h"
#include "disk/directory.h"
#include "store/db_inside.h"
#include "store/layout.h"
#include "store/state.h"

static char top[] = "/tmp/calque-state-XXXXXX";

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	umask(0); /* the rights must not depend on it */
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(state, .init = set_up, .fini = tear_down);

static struct db *open_good(const char *key_file)
{
	struct err e = { 0 };
	struct db *s = db_open("dir", key_file, &e);

	cr_assert(s, "%s", e.text);
	return s;
}

static void expect_refused(const char *dir, const char *key_file, enum err_code code,
			   const char *part)
{
	struct err e = { 0 };
	struct db *s = db_open(dir, key_file, &e);

	cr_expect_null(s);
	cr_expect_eq(e.code, code, "%d: %s", (int)e.code, e.text);
	cr_expect(strstr(e.text, part), "'%s' has no '%s'", e.text, part);
	db_close(s);
}

static void put_file(const char *name, const char *text, size_t n, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert(fd >= 0, "%s", name);
	cr_assert_eq(write(fd, text, n), (ssize_t)n);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

static void sql(const char *text)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open("dir/calque.db", &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void apply(struct db *s, const char *link, const char *machine, const char *key,
		  const char *value, bool is_secret)
{
	struct changes c = { 0 };
	struct err e = { 0 };

	if (value)
		changes_put(&c, machine, key, value, is_secret);
	else
		changes_delete(&c, machine, key);
	cr_assert(state_apply(s, link, &c, &e), "%s", e.text);
	changes_fini(&c);
}

static void commit(struct db *s)
{
	struct err e = { 0 };

	cr_assert(db_commit(s, &e), "%s", e.text);
}

static bool collect(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	(void)e;
	buf_printf(ctx, "%s %s %s;", machine, key, value);
	return true;
}

static void note_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	buf_printf(ctx, "aside %s %s: %s;", machine, key, why);
}

static const struct state_reader reader = { collect, note_aside };

static void expect_rows(struct db *s, const char *link, const char *want)
{
	struct buf got = { 0 };
	struct err e = { 0 };

	cr_expect(state_load(s, link, &reader, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	buf_fini(&got);
}

Test(state, what_it_makes_is_closed_to_others)
{
	struct db *s = open_good(NULL);

	cr_expect_eq(mode_of("dir"), 0700);
	cr_expect_eq(mode_of("dir/key"), 0600);
	cr_expect_eq(mode_of("dir/lock"), 0600);
	cr_expect_eq(mode_of("dir/calque.db"), 0600);
	cr_expect_eq(mode_of("dir/calque.db-wal"), 0600);
	cr_expect_neq(access("dir/key.new", F_OK), 0);
	db_close(s);
	db_close(NULL);
}

Test(state, a_database_that_others_could_read_is_closed)
{
	db_close(open_good(NULL));
	cr_assert_eq(chmod("dir/calque.db", 0644), 0);
	db_close(open_good(NULL));
	cr_expect_eq(mode_of("dir/calque.db"), 0600);
}

Test(state, rows_come_back_in_the_order_they_were_first_put)
{
	struct db *s = open_good(NULL);

	apply(s, "a", "pairing", "2", "\"x\"", false);
	apply(s, "a", "pairing", "1", "\"y\"", false);
	apply(s, "b", "pairing", "1", "\"other link\"", false);
	apply(s, "a", "twin", "1", "{}", false);
	apply(s, "a", "pairing", "2", "\"z\"", false);
	expect_rows(s, "a", "pairing 2 \"z\";pairing 1 \"y\";twin 1 {};");
	commit(s);
	apply(s, "a", "pairing", "1", NULL, false);
	apply(s, "a", "pairing", "none", NULL, false);
	apply(s, "a", "pairing", "1", "\"again\"", false);
	commit(s);
	db_close(s);

	s = open_good(NULL);
	expect_rows(s, "a", "pairing 2 \"z\";twin 1 {};pairing 1 \"again\";");
	expect_rows(s, "b", "pairing 1 \"other link\";");
	expect_rows(s, "c", "");
	db_close(s);
}

Test(state, what_was_not_committed_is_lost)
{
	struct db *s = open_good(NULL);
	struct err e = { 0 };

	cr_expect(db_commit(s, &e), "nothing to do");
	apply(s, "a", "m", "1", "1", false);
	commit(s);
	apply(s, "a", "m", "1", "2", false);
	db_close(s);
	s = open_good(NULL);
	expect_rows(s, "a", "m 1 1;");
	db_close(s);
}

Test(state, what_was_committed_survives_a_kill)
{
	int status;
	pid_t child = fork();

	cr_assert(child >= 0);
	if (child == 0) {
		struct db *s = open_good(NULL);

		apply(s, "a", "m", "1", "1", true);
		commit(s);
		apply(s, "a", "m", "2", "2", false);
		raise(SIGKILL);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status));
	struct db *s = open_good(NULL);

	expect_rows(s, "a", "m 1 1;");
	db_close(s);
}

Test(state, the_instance_is_made_once)
{
	struct db *s = open_good(NULL);
	char *name = mem_strdup(db_instance(s));

	cr_expect_eq(strlen(name), 8);
	db_close(s);
	s = open_good(NULL);
	cr_expect_str_eq(db_instance(s), name);
	db_close(s);
	free(name);
	cr_assert_eq(system("rm -r dir"), 0);
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

Test(state, a_large_row_leaves_no_large_buffer_behind)
{
	size_t n = 1 << 20;
	char *large = mem_alloc(n + 1);
	struct db *s = open_good(NULL);

	memset(large, 'x', n);
	large[n] = '\0';
	apply(s, "l", "twin", "k", large, true);
	commit(s);
	cr_expect_leq(db_scratch(s)->cap, 64 << 10);
	db_close(s);
	free(large);
}

Test(state, secrets_are_sealed_on_disk)
{
	struct db *s = open_good(NULL);

	apply(s, "a", "device", "d1", "{\"token\":\"c4nary\"}", true);
	apply(s, "a", "device", "d2", "{\"open\":\"s3en\"}", false);
	commit(s);
	expect_rows(s, "a", "device d1 {\"token\":\"c4nary\"};device d2 {\"open\":\"s3en\"};");
	cr_expect(file_has("dir/calque.db-wal", "s3en"));
	cr_expect_not(file_has("dir/calque.db-wal", "c4nary"));
	db_close(s);
	cr_expect(file_has("dir/calque.db", "s3en"));
	cr_expect_not(file_has("dir/calque.db", "c4nary"));
	s = open_good(NULL);
	apply(s, "a", "device", "d1", "\"no longer\"", false);
	commit(s);
	expect_rows(s, "a", "device d1 \"no longer\";device d2 {\"open\":\"s3en\"};");
	db_close(s);
}

static void put_looked(void *ctx, const char *machine, const char *key, const char *value)
{
	buf_printf(ctx, "%s %s %s;", machine, key, value);
}

Test(state, a_look_gives_no_secret)
{
	struct db *s = open_good(NULL);
	struct buf got = { 0 };
	struct err e = { 0 };

	apply(s, "a", "device", "d1", "{\"token\":\"c4nary\"}", true);
	apply(s, "a", "twin", "d2", "{\"open\":\"s3en\"}", false);
	apply(s, "b", "twin", "d3", "{}", false);
	cr_expect(state_look(s, "a", put_looked, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), "twin d2 {\"open\":\"s3en\"};");
	buf_fini(&got);
	db_close(s);
}

static bool put_aside_row(void *ctx, const struct aside_row *row)
{
	cr_expect_gt(row->at_ms, 1700000000000);
	cr_expect_gt(row->bytes, 0);
	buf_printf(ctx, "%s %s %s: %s;", row->link, row->part, row->key, row->reason);
	return true;
}

static void expect_aside(struct db *s, const char *want)
{
	struct buf got = { 0 };
	struct err e = { 0 };
	uint64_t n, wanted = 0;

	for (const char *p = want; *p; p++)
		wanted += *p == ';';
	cr_expect(aside_each(s, put_aside_row, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), want);
	cr_expect(aside_count(s, &n, &e), "%s", e.text);
	cr_expect_eq(n, wanted);
	buf_fini(&got);
}

#define MOVED "dir/calque.db: a/device/d2: "

Test(state, a_sealed_value_that_was_moved_to_another_row_is_set_aside)
{
	struct db *s = open_good(NULL);
	struct buf got = { 0 };

	apply(s, "a", "device", "d1", "\"c4nary\"", true);
	apply(s, "a", "device", "d3", "3", true);
	commit(s);
	db_close(s);
	sql("UPDATE state SET key = 'd2' WHERE key = 'd1'");
	s = open_good(NULL);
	cr_assert(state_load(s, "a", &reader, &got, NULL));
	cr_expect(strstr(buf_str(&got), "aside device d2: " MOVED), "%s", buf_str(&got));
	cr_expect(strstr(buf_str(&got), ";device d3 3;"), "%s", buf_str(&got));
	cr_expect_null(strstr(buf_str(&got), "c4nary"));
	commit(s);
	expect_rows(s, "a", "device d3 3;");
	apply(s, "a", "device", "d2", "again", false); /* the place is free */
	expect_rows(s, "a", "device d3 3;device d2 again;");
	buf_fini(&got);
	db_close(s);
}

/* What a machine says of a row that it put out itself, once. */
static bool is_odd(void *ctx, const char *machine, const char *key, const char *value,
		   struct err *e)
{
	if (strcmp(value, "odd") != 0)
		return collect(ctx, machine, key, value, e);
	err_set(e, ERR_CORRUPT, "%s is odd", key);
	return false;
}

Test(state, a_row_that_makes_no_sense_is_set_aside_and_the_others_are_read)
{
	static const struct state_reader picky = { is_odd, note_aside };
	struct db *s = open_good(NULL);
	struct buf got = { 0 };
	struct err e = { 0 };

	expect_aside(s, "");
	apply(s, "a", "m", "1", "1", false);
	apply(s, "a", "m", "2", "odd", false);
	apply(s, "a", "m", "3", "odd", true);
	apply(s, "a", "m", "4", "4", false);
	apply(s, "b", "m", "2", "odd", false);
	commit(s);
	cr_assert(state_load(s, "a", &picky, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), "m 1 1;aside m 2: 2 is odd;aside m 3: 3 is odd;m 4 4;");
	commit(s);
	db_close(s);
	s = open_good(NULL);
	expect_rows(s, "a", "m 1 1;m 4 4;");
	expect_rows(s, "b", "m 2 odd;");
	expect_aside(s, "a m 2: 2 is odd;a m 3: 3 is odd;");
	buf_fini(&got);
	db_close(s);
}

Test(state, of_rows_that_were_set_aside_a_thousand_are_kept)
{
	static const struct state_reader picky = { is_odd, note_aside };
	struct db *s = open_good(NULL);
	struct buf got = { 0 };
	struct err e = { 0 };
	uint64_t n = 0;

	for (int i = 0; i < 1005; i++) {
		char key[16];

		snprintf(key, sizeof key, "%d", i);
		apply(s, "a", "m", key, "odd", false);
	}
	cr_assert(state_load(s, "a", &picky, &got, &e), "%s", e.text);
	buf_reset(&got);
	cr_expect(aside_each(s, put_aside_row, &got, &e) && aside_count(s, &n, &e), "%s", e.text);
	cr_expect_eq(n, 1000);
	cr_expect_eq(strncmp(buf_str(&got), "a m 5: ", 7), 0);
	buf_fini(&got);
	db_close(s);
}

static bool refuse(void *ctx, const char *machine, const char *key, const char *value,
		   struct err *e)
{
	(void)machine, (void)value;
	++*(int *)ctx;
	err_set(e, ERR_INVALID, "row %s is nonsense", key);
	return false;
}

Test(state, a_reader_can_stop_the_load)
{
	static const struct state_reader refusing = { refuse, note_aside };
	struct db *s = open_good(NULL);
	struct err e = { 0 };
	int calls = 0;

	apply(s, "a", "m", "1", "1", false);
	apply(s, "a", "m", "2", "2", false);
	cr_expect_not(state_load(s, "a", &refusing, &calls, &e));
	cr_expect_eq(calls, 1);
	cr_expect_str_eq(e.text, "row 1 is nonsense");
	expect_rows(s, "a", "m 1 1;m 2 2;");
	db_close(s);
}

Test(state, a_directory_has_one_process)
{
	struct db *s = open_good(NULL);
	int status;
	pid_t child;

	expect_refused("dir", NULL, ERR_BUSY, "dir: this process has it open");
	expect_refused("./dir/", NULL, ERR_BUSY, "this process has it open");
	child = fork();
	cr_assert(child >= 0);
	if (child == 0) {
		char *want =
			mem_printf("dir: another calque runs there (process %ld)", (long)getppid());
		struct err e = { 0 };
		bool ok = !db_open("dir", NULL, &e) && e.code == ERR_BUSY && strstr(e.text, want);

		_exit(ok ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	db_close(s);
	db_close(open_good(NULL));
}

Test(state, an_open_directory_is_refused)
{
	cr_assert_eq(mkdir("dir", 0750), 0);
	expect_refused("dir", NULL, ERR_INVALID, "(chmod 700 dir; in a volume");
	cr_expect_neq(access("dir/calque.db", F_OK), 0);
	cr_assert_eq(chmod("dir", 0700), 0);
	db_close(open_good(NULL));
}

Test(state, the_directory_of_another_user_is_refused)
{
	struct err e = { 0 };

	cr_assert_eq(mkdir("dir", 0700), 0);
	if (chown("dir", 4711, (gid_t)-1) != 0)
		return; /* only root may give it away */
	expect_refused("dir", NULL, ERR_INVALID,
		       "dir belongs to another user, number 4711, and this is number 0");
	cr_expect_not(directory_check("dir", &e));
	cr_expect_neq(access("dir/calque.db", F_OK), 0);
}

/* Kubernetes gives what is in a volume to the fsGroup, at each mount. */
Test(state, a_directory_that_a_volume_gave_to_its_group_goes_on)
{
	struct err e = { 0 };
	struct stat st;

	db_close(open_good(NULL));
	cr_assert_eq(chmod("dir", 02770), 0);
	cr_assert_eq(chmod("dir/key", 0660), 0);
	cr_assert_eq(chmod("dir/calque.db", 0660), 0);
	cr_expect(directory_check("dir", &e) && keyfile_check("dir", NULL, &e), "%s", e.text);
	db_close(open_good(NULL));
	cr_assert_eq(stat("dir/calque.db", &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
}

Test(state, a_directory_that_is_open_in_any_other_way_is_refused)
{
	static const mode_t modes[] = { 0770, 0750, 0701, 02771, 02775, 02777, 01777 };
	struct err e = { 0 };

	db_close(open_good(NULL));
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		cr_assert_eq(chmod("dir", modes[i]), 0);
		expect_refused("dir", NULL, ERR_INVALID, "is open to others");
	}
	if (chown("dir", (uid_t)-1, 4711) == 0) { /* a group that we are not in */
		cr_assert_eq(chmod("dir", 02770), 0);
		expect_refused("dir", NULL, ERR_INVALID, "is open to others");
		cr_assert_eq(chown("dir", (uid_t)-1, getegid()), 0);
	}
	cr_assert_eq(chmod("dir", 0700) | chmod("dir/key", 0660), 0);
	expect_refused("dir", NULL, ERR_INVALID, "key file dir/key is open to others");
	cr_expect_not(keyfile_check("dir", NULL, &e));
}

/* The root of a volume may be open to all, or give its group on; what is made in it is not. */
Test(state, a_directory_made_in_a_volume_is_private)
{
	static const mode_t roots[] = { 0777, 02777, 02770, 01777 };

	for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
		struct err e = { 0 };
		struct stat st;

		cr_assert_eq(mkdir("volume", 0700), 0);
		cr_assert_eq(chmod("volume", roots[i]), 0);
		for (int start = 0; start < 2; start++) {
			struct db *s = db_open("volume/state", NULL, &e);

			cr_assert(s, "%o: %s", roots[i], e.text);
			db_close(s);
		}
		cr_assert_eq(stat("volume/state", &st), 0);
		cr_expect_eq(st.st_mode & 0777, 0700, "%o: %o", roots[i], st.st_mode);
		cr_assert_eq(system("rm -r volume"), 0);
	}
}

Test(state, only_the_last_directory_is_made)
{
	expect_refused("none/dir", NULL, ERR_IO, "create none first");
	put_file("file", "", 0, 0600);
	expect_refused("file", NULL, ERR_IO, "Not a directory");
}

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

Test(state, a_key_file_holds_bytes_or_digits)
{
	char raw[33];
	struct db *s;

	for (int i = 0; i < 33; i++)
		raw[i] = (char)i;
	put_file("raw", raw, 32, 0600);
	put_file("hex", HEX, 64, 0400);
	put_file("hexn", HEX "\n", 65, 0600);
	s = open_good("raw");
	apply(s, "a", "m", "1", "\"x\"", true);
	commit(s);
	db_close(s);
	cr_expect_neq(access("dir/key", F_OK), 0);
	s = open_good("hex");
	expect_rows(s, "a", "m 1 \"x\";");
	db_close(s);
	db_close(open_good("hexn"));
}

Test(state, a_key_file_that_is_open_or_no_key_is_refused)
{
	static const struct {
		const char *text;
		size_t n;
		mode_t mode;
		const char *part;
	} rows[] = {
		{ HEX, 64, 0660, "open to others (chmod 600 k" },
		{ HEX, 64, 0604, "open to others (chmod 600 k" },
		{ HEX, 0, 0600, "holds no key" },
		{ HEX, 31, 0600, "holds no key" },
		{ HEX, 33, 0600, "holds no key" },
		{ HEX, 63, 0600, "holds no key" },
		{ HEX "0", 65, 0600, "holds no key" },
		{ HEX "\n\n", 66, 0600, "holds no key" },
		{ "g00102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F", 64, 0600,
		  "holds no key" },
		{ "\x10"
		  "00102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F",
		  64, 0600, "holds no key" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put_file("k", rows[i].text, rows[i].n, rows[i].mode);
		expect_refused("dir", "k", ERR_INVALID, rows[i].part);
	}
	expect_refused("dir", "nope", ERR_IO, "No such file");
	expect_refused("dir", ".", ERR_INVALID, "no regular file");
}

Test(state, another_key_is_noticed_at_open)
{
	db_close(open_good(NULL));
	put_file("k", HEX, 64, 0600);
	expect_refused("dir", "k", ERR_CORRUPT,
		       "dir/calque.db was sealed with another key than that in k");
	cr_assert_eq(rename("dir/key", "kept"), 0);
	expect_refused("dir", NULL, ERR_CORRUPT, "dir/key is missing");
	cr_expect_neq(access("dir/key", F_OK), 0, "no new key is made for old secrets");
	put_file("dir/key", HEX, 64, 0600);
	expect_refused("dir", NULL, ERR_CORRUPT, "another key than that in dir/key");
	cr_assert_eq(rename("kept", "dir/key"), 0);
	db_close(open_good(NULL));
}

Test(state, a_start_that_was_cut_short_is_finished)
{
	cr_assert_eq(mkdir("dir", 0700), 0);
	put_file("dir/key.new", "torn", 4, 0600);
	put_file("dir/calque.db", "", 0, 0600);
	db_close(open_good(NULL));
	cr_expect_neq(access("dir/key.new", F_OK), 0);
}

Test(state, a_damaged_database_is_told)
{
	db_close(open_good(NULL));
	sql("DELETE FROM meta WHERE key = 'instance'");
	expect_refused("dir", NULL, ERR_CORRUPT, "dir/calque.db is damaged");
	put_file("dir/calque.db", "this is not a database, only some text that is long enough", 56,
		 0600);
	expect_refused("dir", NULL, ERR_CORRUPT, "dir/calque.db is damaged");
}

Test(state, the_state_of_a_newer_calque_is_refused)
{
	int known = layout_calque.version;
	char *newer = mem_printf("PRAGMA user_version = %d", known + 1);
	char *wanted = mem_printf("written by a newer calque (version %d, this one knows %d)",
				  known + 1, known);

	db_close(open_good(NULL));
	sql(newer);
	expect_refused("dir", NULL, ERR_INVALID, wanted);
	free(newer);
	free(wanted);
}

static void note_link(void *ctx, const char *link, size_t n)
{
	buf_printf(ctx, "%s %zu;", link, n);
}

Test(state, links_with_rows_are_told)
{
	struct db *s = open_good(NULL);
	struct buf got = { 0 };
	struct err e = { 0 };

	apply(s, "b", "m", "1", "1", false);
	apply(s, "a", "m", "1", "1", false);
	apply(s, "b", "n", "1", "1", true);
	cr_expect(state_count(s, note_link, &got, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&got), "a 1;b 2;");
	buf_fini(&got);
	db_close(s);
}

Test(state, a_database_in_use_by_another_program_is_busy)
{
	sqlite3 *db;

	db_close(open_good(NULL));
	cr_assert_eq(sqlite3_open("dir/calque.db", &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN; SELECT * FROM meta", NULL, NULL, NULL), SQLITE_OK);
	expect_refused("dir", NULL, ERR_BUSY, "open in another program");
	sqlite3_close(db);
}

Test(state, a_step_that_cannot_be_written_takes_its_transaction_along)
{
	struct db *s;
	struct changes c = { 0 };
	struct err e = { 0 };

	db_close(open_good(NULL));
	sql("CREATE TRIGGER no BEFORE INSERT ON state WHEN NEW.key = 'bad'"
	    " BEGIN SELECT RAISE(FAIL, 'not this one'); END");
	s = open_good(NULL);
	apply(s, "a", "m", "1", "1", false);
	changes_put(&c, "m", "2", "2", false);
	changes_put(&c, "m", "bad", "\"c4nary\"", false);
	cr_expect_not(state_apply(s, "a", &c, &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_null(strstr(e.text, "c4nary"), "%s", e.text);
	cr_expect_not(state_apply(s, "a", &(struct changes){ 0 }, &e));
	cr_expect_not(db_commit(s, &e), "what was applied before is gone, too");
	expect_rows(s, "a", "");
	apply(s, "a", "m", "3", "3", false);
	commit(s);
	expect_rows(s, "a", "m 3 3;");
	changes_fini(&c);
	db_close(s);
}

Test(state, after_a_failed_write_nothing_is_accepted_until_a_restart)
{
	struct db *s = open_good(NULL);
	struct rlimit limit = { 65536, RLIM_INFINITY };
	char *large = mem_zalloc(200001);
	struct err e = { 0 };

	memset(large, '1', 200000);
	apply(s, "a", "m", "1", "1", false);
	commit(s);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	apply(s, "a", "m", "2", large, false);
	cr_expect_not(db_commit(s, &e));
	cr_expect_eq(e.code, ERR_IO);
	cr_expect(strstr(e.text, "disk I/O error (SQLite code 778)"), "%s", e.text);
	limit.rlim_cur = RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_not(state_apply(s, "a", &(struct changes){ 0 }, &e));
	cr_expect(strstr(e.text, "must be restarted"), "%s", e.text);
	cr_expect_not(db_commit(s, &e));
	db_close(s);
	s = open_good(NULL);
	expect_rows(s, "a", "m 1 1;");
	db_close(s);
	free(large);
}

Test(state, thousands_of_rows_fit_one_commit)
{
	struct db *s = open_good(NULL);
	struct buf want = { 0 };

	for (int i = 0; i < 3000; i++) {
		char *key = mem_printf("%d", i);

		apply(s, "a", "m", key, key, i % 2);
		buf_printf(&want, "m %d %d;", i, i);
		free(key);
	}
	commit(s);
	expect_rows(s, "a", buf_str(&want));
	buf_fini(&want);
	db_close(s);
}

/* --- the time ------------------------------------------------------------------------------- */

#define DAY INT64_C(86400000)

/* What the last run noted, with a sum that fits. */
static void note(struct db *s, const char *boot, int64_t boot_ms, int64_t wall_ms, int64_t now)
{
	char *text = mem_printf("%s %lld %lld %lld ", boot, (long long)boot_ms, (long long)wall_ms,
				(long long)now);
	struct crypto_piece piece = { text, strlen(text) };
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct buf sql = { 0 };
	struct err e = { 0 };

	crypto_hash(&piece, 1, hash);
	buf_printf(&sql, "INSERT OR REPLACE INTO meta VALUES ('clock', '%s", text);
	for (int i = 0; i < 8; i++)
		buf_printf(&sql, "%02x", hash[i]);
	buf_puts(&sql, "')");
	cr_assert(db_exec(s, sql.data, "test", &e), "%s", e.text);
	buf_fini(&sql);
	free(text);
}

static void expect_time(int64_t wanted_ms, bool is_known, int line)
{
	struct db *s = open_good(NULL);

	cr_expect_eq(db_knows_time(s), is_known, "line %d", line);
	cr_expect(llabs(clock_now_ms() - wanted_ms) < 60000, "line %d: %lld days off", line,
		  (long long)(clock_now_ms() - wanted_ms) / DAY);
	db_close(s);
}

Test(state, time_goes_on_from_where_it_was_noted)
{
	int64_t wall_ms = clock_wall_ms();
	struct err e = { 0 };
	struct db *s = open_good(NULL);

	cr_expect(db_knows_time(s), "there was no time before");
	clock_set(5 * DAY); /* the machine's clock was set after the start */
	cr_assert(db_note_time(s, true, &e) && db_commit(s, &e), "%s", e.text);
	db_close(s);
	clock_set(wall_ms);
	expect_time(5 * DAY, true, __LINE__);
	s = open_good(NULL);
	note(s, "another-boot", 1, wall_ms - 2 * DAY, 5 * DAY);
	db_close(s);
	expect_time(7 * DAY, true, __LINE__);
	s = open_good(NULL);
	note(s, "another-boot", 1, wall_ms + 2 * DAY, 5 * DAY);
	db_close(s);
	expect_time(5 * DAY, false, __LINE__);
}

Test(state, time_that_was_not_noted_is_not_before_anything_that_is_there)
{
	int64_t wall_ms = clock_wall_ms();
	static const char letter[] = "INSERT INTO deadletter (link, side, kind, reason, text, "
				     "topic, received_ms, died_ms, size)"
				     " VALUES ('l', 0, '', 'expired', '', 't', 1, %lld, 0);"
				     "DELETE FROM meta WHERE key = 'clock'";
	struct err e = { 0 };
	struct db *s = open_good(NULL);
	char *sql = mem_printf(letter, (long long)(wall_ms - DAY));

	cr_assert(db_exec(s, sql, "test", &e), "%s", e.text);
	db_close(s);
	expect_time(wall_ms, true, __LINE__);
	free(sql);
	s = open_good(NULL);
	sql = mem_printf(letter, (long long)(wall_ms + DAY));
	cr_assert(db_exec(s, sql, "test", &e), "%s", e.text);
	db_close(s);
	free(sql);
	expect_time(wall_ms + DAY, false, __LINE__);
	s = open_good(NULL);
	cr_assert(db_exec(s, "INSERT INTO meta VALUES ('clock', 'x 1 2 3 0123456789abcdef')",
			  "test", &e));
	db_close(s);
	expect_time(wall_ms + DAY, false, __LINE__);
}

/* --- damage --------------------------------------------------------------------------------- */

#define N_ROWS	500
#define N_FLIPS 400

struct seen {
	bool is_there[N_ROWS];
	unsigned n_aside;
};

static bool see(void *ctx, const char *machine, const char *key, const char *value, struct err *e)
{
	struct seen *s = ctx;
	int i = atoi(key);
	char *wanted = mem_printf("{\"value\":%d}", i * 7);

	(void)e;
	cr_expect_str_eq(machine, i % 3 ? "presence" : "provision");
	cr_expect_str_eq(value, wanted, "row %s says %s", key, value);
	free(wanted);
	s->is_there[i] = true;
	return true;
}

static void see_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	(void)machine;
	(void)key;
	cr_expect_null(strchr(why, '\n'), "%s", why);
	((struct seen *)ctx)->n_aside++;
}

static void fill(void)
{
	struct db *s = open_good(NULL);
	struct changes c = { 0 };
	struct err e = { 0 };

	for (int i = 0; i < N_ROWS; i++) {
		char key[16], *value = mem_printf("{\"value\":%d}", i * 7);

		snprintf(key, sizeof key, "%d", i);
		changes_put(&c, i % 3 ? "presence" : "provision", key, value, i % 3 == 0);
		free(value);
	}
	cr_assert(state_apply(s, "plant", &c, &e) && db_commit(s, &e), "%s", e.text);
	changes_fini(&c);
	db_close(s);
}

static void flip(const struct buf *good, size_t at, int bit)
{
	FILE *f = fopen("dir/calque.db", "r+b");

	cr_assert(f && fwrite(good->data, 1, good->len, f) == good->len);
	cr_assert_eq(fseek(f, (long)at, SEEK_SET), 0);
	fputc((unsigned char)good->data[at] ^ (1 << bit), f);
	cr_assert_eq(ftruncate(fileno(f), (off_t)good->len), 0);
	cr_assert_eq(fclose(f), 0);
	unlink("dir/calque.db-wal");
}

static void count_orphans(void *ctx, const char *link, size_t n)
{
	if (strcmp(link, "plant") != 0)
		*(unsigned *)ctx += (unsigned)n;
}

/* It starts with all rows but those that it says are damaged, or says in one line what is and what to do. */
static bool start_on(size_t at, const char *instance)
{
	static const struct state_reader seer = { .each = see, .aside = see_aside };
	struct seen seen = { .n_aside = 0 };
	struct err e = { 0 };
	struct db *s = db_open("dir", NULL, &e);
	bool ok = s && state_load(s, "plant", &seer, &seen, &e);
	unsigned n = 0;

	if (ok) {
		for (int i = 0; i < N_ROWS; i++)
			n += seen.is_there[i];
		/* Whose link is damaged is another link's, and told as such. */
		cr_assert(state_count(s, count_orphans, &n, &e), "%s", e.text);
		cr_expect_eq(n + seen.n_aside, N_ROWS, "byte %zu: %u rows and %u aside", at, n,
			     seen.n_aside);
		cr_expect_str_eq(db_instance(s), instance, "byte %zu", at);
	} else {
		cr_expect(strstr(e.text, "dir/calque.db"), "byte %zu: %s", at, e.text);
		cr_expect(strstr(e.text, "backup") || strstr(e.text, "newer") ||
				  strstr(e.text, "older") || strstr(e.text, "another key"),
			  "byte %zu: %s", at, e.text);
		cr_expect_null(strchr(e.text, '\n'), "byte %zu: %s", at, e.text);
	}
	db_close(s);
	return ok;
}

Test(state, a_bit_that_was_flipped_is_found_or_costs_its_row, .timeout = 120)
{
	unsigned n_started = 0;
	struct buf good = { 0 };
	char instance[9];
	struct db *s;
	FILE *f;
	int c;

	fill();
	s = open_good(NULL);
	snprintf(instance, sizeof instance, "%s", db_instance(s));
	db_close(s);
	f = fopen("dir/calque.db", "rb");
	cr_assert(f);
	while ((c = fgetc(f)) != EOF)
		buf_putc(&good, (char)c);
	fclose(f);
	srandom(20261127);
	for (int i = 0; i < N_FLIPS; i++) {
		size_t at = (size_t)random() % good.len;

		flip(&good, at, (int)(random() % 8));
		n_started += start_on(at, instance);
	}
	cr_expect_gt(n_started, N_FLIPS / 2, "%u started", n_started);
	printf("%u of %d started\n", n_started, N_FLIPS);
	buf_fini(&good);
}

static void reset_version(void)
{
	sqlite3 *raw;
	char *sql = mem_printf("PRAGMA user_version = %d", layout_calque.version);

	cr_assert_eq(sqlite3_open("dir/calque.db", &raw), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(raw, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(raw);
	free(sql);
}

Test(state, a_version_that_was_changed_is_told_as_damage)
{
	static const int versions[] = { 0, 4, 5, 6, 7, 8, 9, 99 };

	fill();
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		struct db *s = open_good(NULL);
		char *sql = mem_printf("PRAGMA user_version = %d", versions[i]);
		struct err e = { 0 };

		cr_assert(db_exec(s, sql, "test", &e), "%s", e.text);
		free(sql);
		db_close(s);
		s = db_open("dir", NULL, &e);
		cr_expect_null(s, "version %d", versions[i]);
		cr_expect(strstr(e.text, versions[i] == 99 ? "newer" : "is damaged"),
			  "version %d: %s", versions[i], e.text);
		cr_expect(strstr(e.text, versions[i] == 99 ? "newer" : "backup"), "version %d: %s",
			  versions[i], e.text);
		db_close(s);
		reset_version();
	}
}
