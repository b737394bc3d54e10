/* db.c -- the database of a state directory: opened and brought up to date, its transactions and
 * statements, what is sealed.
 *
 * What SQLite does, and what is made of it:
 *
 * - With a write-ahead log only synchronous=FULL waits for the disk at each commit; NORMAL, which many take
 *   for the same, does so at checkpoints only.  Waiting is nearly all that a commit costs: about 180 of them
 *   a second where the disk needs 5 ms, 8,000 where it needs 0.1, whatever is in them.  So a turn of
 *   the loop is one transaction.  (LMDB and a log of our own were no better at that, see bridge/README.md.)
 * - Before 3.51.3, two connections at a time can damage the log.  There is one, and it locks the file for
 *   itself, so that no other program makes a second.  Debian 12 has 3.40.1.
 * - When a write or sync failed, what the disk holds is not known any more, and the kernel says so once
 *   only: another try may "succeed".  So is_failed stays until a restart reads what is there.  A full disk is
 *   told apart (SQLITE_FULL): the transaction is rolled back as a whole, and may be tried again.
 * - It may roll back by itself when a statement fails; sqlite3_get_autocommit() tells.
 * - sqlite3_errmsg() does not quote what was bound, but the text of a statement may: nothing secret stands
 *   in one.
 * - A file only shrinks with auto_vacuum, which has to be set before the first table is made, or be
 *   followed by a VACUUM.
 *
 * A transaction is open from the first write of a turn (db_begin) to db_commit(); after a failure in
 * between, is_broken, the rest of the turn writes nothing and the commit is false.
 *
 * While it is lent, SQLite and what it remembers of the last call are another thread's.  All that is done with
 * it goes through a few functions here, and these take it back first; what stands in struct db is the loop
 * thread's all the time. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/db_inside.h"
#include "disk/directory.h"
#include "store/layout.h"

#define CHECK_CONTEXT  "meta/check"
#define CHECK_TEXT     "calque"
#define INSTANCE_CHARS 8
#define MAX_STATEMENTS 64
#define MAX_SUMMED     8
#define SCRATCH_BYTES  ((size_t)64 << 10) /* of the largest row, to be used again */

/* A prepared statement; its text is a constant, told apart by its address. */
struct kept {
	const char *sql;
	sqlite3_stmt *stmt;
};

struct db {
	struct directory dir;
	sqlite3 *sqlite;
	struct kept kept[MAX_STATEMENTS];
	size_t n_kept;
	uint8_t key[CRYPTO_KEY_BYTES];
	struct keyfile keyfile;
	char *key_path; /* what keyfile names and shows */
	char instance[INSTANCE_CHARS + 1];
	struct buf scratch;
	bool in_transaction;
	bool is_broken; /* a step could not be applied: this transaction cannot be committed */
	unsigned long rollbacks;
	bool knows_time;
	int64_t noted_ms; /* when the time was last noted; 0: not by this run */
	bool is_failed; /* a write failed for good: what the disk holds is unknown until a restart */
	struct {
		sqlite3_stmt *stmt; /* of the COMMIT that another thread runs; NULL: none */
		int rc;		    /* that thread's, until it is waited for */
		void (*wait)(void *ctx);
		void *ctx;
		struct err error; /* what became of the last one */
	} lent;
};

/* ---- Errors ---- */

bool db_damaged(const struct db *db, const char *what, const char *how, struct err *e)
{
	err_set(e, ERR_CORRUPT,
		"%s/calque.db is damaged (%s: %s): put a backup in its place (calque state "
		"backup), or "
		"move %s away to begin without what it holds",
		db->dir.path, what, how, db->dir.path);
	return false;
}

/* Statements are right for the tables that a calque makes. */
static bool is_damage(int rc)
{
	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_ERROR ||
	       rc == SQLITE_MISMATCH || rc == SQLITE_CONSTRAINT || rc == SQLITE_SCHEMA ||
	       rc == SQLITE_TOOBIG || rc == SQLITE_FORMAT;
}

/* What SQLite said, never what was bound. */
bool db_failed(struct db *db, const char *what, struct err *e)
{
	int rc = db->sqlite ? sqlite3_errcode(db->sqlite) & 0xff : SQLITE_NOMEM;

	if (rc == SQLITE_IOERR || rc == SQLITE_CORRUPT)
		db->is_failed = true;
	if (is_damage(rc))
		db_damaged(db, what, sqlite3_errmsg(db->sqlite), e);
	else if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		err_set(e, ERR_BUSY, "%s/calque.db is open in another program", db->dir.path);
	else if (rc == SQLITE_FULL)
		err_set(e, ERR_FULL, "%s/calque.db: %s: no space left on the disk", db->dir.path,
			what);
	else
		err_set(e, ERR_IO, "%s/calque.db: %s: %s (SQLite code %d)", db->dir.path, what,
			db->sqlite ? sqlite3_errmsg(db->sqlite) : "out of memory",
			db->sqlite ? sqlite3_extended_errcode(db->sqlite) : rc);
	return false;
}

/* What the thread did is judged here, as db_commit() would have. */
static void take_back(struct db *db)
{
	sqlite3_stmt *stmt = db->lent.stmt;
	bool ok;

	if (!stmt)
		return;
	db->lent.wait(db->lent.ctx);
	db->lent.stmt = NULL;
	ok = db->lent.rc == SQLITE_DONE || db_failed(db, "COMMIT", &db->lent.error);
	db_release(stmt);
	if (ok)
		db->in_transaction = false;
	else
		db_break(db);
}

/* A link to the key stays one: what takes its place, does so where it leads. */
static void place_key(struct db *db, const char *key_file)
{
	char *real = key_file ? realpath(key_file, NULL) : NULL;

	db->key_path = real	  ? mem_strdup(real)
		       : key_file ? mem_strdup(key_file)
				  : mem_printf("%s/key", db->dir.path);
	free(real);
	db->keyfile =
		(struct keyfile){ key_file ? AT_FDCWD : db->dir.fd, key_file ? db->key_path : "key",
				  key_file ? key_file : db->key_path };
}

/* A database that is new may get a new key, one with rows may not. */
static bool load_key(struct db *db, const char *key_file, bool is_new, struct err *e)
{
	const struct keyfile *k = &db->keyfile;
	struct err why = { 0 };
	bool ok;

	place_key(db, key_file);
	ok = keyfile_read(k->dir_fd, k->name, k->shown, db->key, &why);
	if (ok)
		return true;
	if (why.code != ERR_NOT_FOUND || key_file)
		err_set(e, why.code == ERR_NOT_FOUND ? ERR_IO : why.code, "%s", why.text);
	else if (is_new)
		ok = keyfile_put_new(k, db->key, e) && keyfile_take_new(k, e);
	else
		err_set(e, ERR_CORRUPT, "%s is missing, and %s/calque.db was sealed with it",
			k->shown, db->dir.path);
	return ok;
}

/* ---- Sums ---- */

/* calque_sum(…) in statements: of all its arguments, so that a row that was changed by no calque is found out. */
static void put_sum(sqlite3_context *ctx, int n, sqlite3_value **values)
{
	struct crypto_piece pieces[MAX_SUMMED];
	uint8_t hash[CRYPTO_HASH_BYTES];
	uint64_t sum = 0;

	assert(n <= MAX_SUMMED);
	for (int i = 0; i < n; i++) {
		pieces[i].p = sqlite3_value_blob(values[i]); /* a number as its text */
		pieces[i].n = (size_t)sqlite3_value_bytes(values[i]);
		if (!pieces[i].p)
			pieces[i].p = "";
	}
	crypto_hash(pieces, (size_t)n, hash);
	for (size_t i = 0; i < sizeof sum; i++)
		sum = sum << 8 | hash[i];
	sqlite3_result_int64(ctx, (int64_t)sum);
}

static bool make_functions(struct db *db, struct err *e)
{
	return sqlite3_create_function_v2(db->sqlite, "calque_sum", -1,
					  SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
					  NULL, put_sum, NULL, NULL, NULL) == SQLITE_OK ||
	       db_failed(db, "open", e);
}

/* ---- The database ---- */

bool db_exec(struct db *db, const char *sql, const char *what, struct err *e)
{
	take_back(db);
	return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK ||
	       db_failed(db, what, e);
}

static bool prepare(struct db *db, const char *sql, sqlite3_stmt **out, struct err *e)
{
	take_back(db);
	return sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) ==
		       SQLITE_OK ||
	       db_failed(db, "prepare", e);
}

/* The first column of the first row of `sql`, with `key` bound if it is not NULL.  *found is false,
 * and `out` as before, if there is no row. */
static bool query(struct db *db, const char *sql, const char *key, struct buf *out, bool *found,
		  struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = false;
	int rc;

	*found = false;
	if (!prepare(db, sql, &stmt, e))
		return false;
	if (key && sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC) != SQLITE_OK) {
		db_failed(db, "bind", e);
		goto out;
	}
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		db_failed(db, "read", e);
		goto out;
	}
	if (rc == SQLITE_ROW) {
		const void *p = sqlite3_column_blob(stmt, 0);

		buf_append(out, p, (size_t)sqlite3_column_bytes(stmt, 0));
		*found = true;
	}
	ok = true;
out:
	sqlite3_finalize(stmt);
	return ok;
}

static bool meta_get(struct db *db, const char *key, struct buf *out, struct err *e)
{
	bool found;

	if (!query(db, "SELECT value FROM meta WHERE key = ?", key, out, &found, e))
		return false;
	if (!found)
		db_damaged(db, key, "not there", e);
	return found;
}

static bool meta_put(struct db *db, const char *key, const void *value, size_t n, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	bool ok;

	if (!prepare(db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", &stmt, e))
		return false;
	ok = (sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
	      sqlite3_bind_blob64(stmt, 2, value, n, SQLITE_STATIC) == SQLITE_OK &&
	      sqlite3_step(stmt) == SQLITE_DONE) ||
	     db_failed(db, "write meta", e);
	sqlite3_finalize(stmt);
	return ok;
}

/* SQLite gives its -wal file the rights of the database, so these are set before it opens it. */
static bool make_db_file(struct db *db, struct err *e)
{
	int fd = openat(db->dir.fd, "calque.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && fchmod(fd, 0600) == 0;

	if (!ok)
		err_errno(e, "open %s/calque.db", db->dir.path);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Exclusive: nobody makes a second connection.  What is secret is sealed, so that it need not be overwritten where that costs a write. */
static const char open_sql[] = "PRAGMA locking_mode = EXCLUSIVE;"
			       "PRAGMA trusted_schema = OFF;";
static const char set_up_sql[] = "PRAGMA auto_vacuum = INCREMENTAL;" /* writes */
				 "PRAGMA synchronous = FULL;"
				 "PRAGMA temp_store = MEMORY;"
				 "PRAGMA secure_delete = FAST;";

static bool open_file(struct db *db, struct err *e)
{
	char *path = mem_printf("%s/calque.db", db->dir.path);
	bool ok = make_db_file(db, e);

	if (ok &&
	    sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE,
			    NULL) != SQLITE_OK)
		ok = db_failed(db, "open", e);
	free(path);
	return ok && make_functions(db, e) && db_exec(db, open_sql, "open", e);
}

static bool set_up(struct db *db, struct err *e)
{
	struct buf mode = { 0 };
	bool found, ok = db_exec(db, set_up_sql, "set up", e) &&
			 query(db, "PRAGMA journal_mode = WAL", NULL, &mode, &found, e);

	if (ok && strcmp(buf_str(&mode), "wal") != 0) {
		err_set(e, ERR_IO,
			"%s/calque.db: SQLite cannot use a write-ahead log on this file system",
			db->dir.path);
		ok = false;
	}
	buf_fini(&mode);
	return ok;
}

bool db_put_check(struct db *db, const uint8_t key[CRYPTO_KEY_BYTES], struct err *e)
{
	struct buf text = { 0 }, sealed = { 0 };
	bool ok;

	buf_printf(&text, CHECK_TEXT " %s", db->instance);
	ok = crypto_seal(key, CHECK_CONTEXT, text.data, text.len, &sealed, e) &&
	     meta_put(db, "check", sealed.data, sealed.len, e);
	buf_fini(&text);
	buf_fini(&sealed);
	return ok;
}

static bool fill_new(struct db *db, struct err *e)
{
	uint8_t random[INSTANCE_CHARS / 2];
	bool ok;

	crypto_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(db->instance + 2 * i, 3, "%02x", random[i]);
	ok = layout_make(db, &layout_calque, e) &&
	     meta_put(db, "instance", db->instance, INSTANCE_CHARS, e) &&
	     db_put_check(db, db->key, e) && db_commit(db, e);
	return ok;
}

const struct keyfile *db_keyfile(const struct db *db)
{
	return &db->keyfile;
}

void db_use_key(struct db *db, const uint8_t key[CRYPTO_KEY_BYTES])
{
	memcpy(db->key, key, CRYPTO_KEY_BYTES);
}

/* The key that fits counts.  A new one beside it is of a change that was cut short: before the commit it is of no use,
 * after it what is left to do is done. */
static bool find_key(struct db *db, const struct buf *sealed, struct buf *plain, struct err *e)
{
	const struct keyfile *k = &db->keyfile;
	uint8_t next[CRYPTO_KEY_BYTES];
	struct err why = { 0 };
	bool ok = crypto_open(db->key, CHECK_CONTEXT, sealed->data, sealed->len, plain, &why);

	if (ok) {
		keyfile_drop_new(k);
		return true;
	}
	if (keyfile_read_new(k, next) &&
	    crypto_open(next, CHECK_CONTEXT, sealed->data, sealed->len, plain, NULL)) {
		db_use_key(db, next);
		ok = keyfile_take_new(k, e);
	} else {
		err_set(e, why.code, "%s/calque.db was sealed with another key than that in %s",
			db->dir.path, k->shown);
	}
	explicit_bzero(next, sizeof next);
	return ok;
}

static bool check_old(struct db *db, struct err *e)
{
	struct buf sealed = { 0 }, plain = { 0 }, instance = { 0 };
	bool ok = false;

	if (!meta_get(db, "check", &sealed, e) || !meta_get(db, "instance", &instance, e) ||
	    !find_key(db, &sealed, &plain, e))
		goto out;
	/* (Before version 10 it did not say which.) */
	if (instance.len != INSTANCE_CHARS ||
	    (strcmp(buf_str(&plain), CHECK_TEXT) != 0 &&
	     strcmp(buf_str(&plain) + strlen(CHECK_TEXT " "), instance.data) != 0)) {
		db_damaged(db, "instance", "another than at first", e);
		goto out;
	}
	memcpy(db->instance, instance.data, INSTANCE_CHARS + 1);
	ok = true;
out:
	buf_fini(&sealed);
	buf_fini(&plain);
	buf_fini(&instance);
	return ok;
}

/* The first that is wrong with the pages of this table and its index. */
static bool check_table(struct db *db, const char *sql, struct buf *found, struct err *e)
{
	bool is_row;

	buf_reset(found);
	return query(db, sql, NULL, found, &is_row, e);
}

/* A row that an index has not is not found, and what a page has lost is missed by nobody: so this is looked at
 * before anything is read.  An index can be made anew. */
static bool check_pages(struct db *db, struct err *e)
{
	static const char state[] = "PRAGMA integrity_check('state')",
			  pending[] = "PRAGMA integrity_check('pending')",
			  mark[] = "PRAGMA integrity_check('mark')";
	struct buf found = { 0 };
	bool ok = check_table(db, state, &found, e);

	if (ok && strcmp(buf_str(&found), "ok") != 0 &&
	    sqlite3_exec(db->sqlite, "REINDEX state", NULL, NULL, NULL) == SQLITE_OK)
		ok = check_table(db, state, &found, e);
	if (ok && strcmp(buf_str(&found), "ok") == 0)
		ok = check_table(db, pending, &found, e);
	if (ok && strcmp(buf_str(&found), "ok") == 0)
		ok = check_table(db, mark, &found, e);
	if (ok && strcmp(buf_str(&found), "ok") != 0) {
		found.data[strcspn(found.data, "\n")] = '\0';
		ok = db_damaged(db, "check", buf_str(&found), e);
	}
	buf_fini(&found);
	return ok;
}

/* A database with tables; `version`: of these. */
static bool take_over(struct db *db, int version, struct err *e)
{
	if (!check_old(db, e) || !layout_bring_up(db, &layout_calque, version, e))
		return false;
	if (version == layout_calque.version)
		return check_pages(db, e);
	/* For auto_vacuum; without the room for it, files only grow. */
	sqlite3_exec(db->sqlite, "VACUUM", NULL, NULL, NULL);
	return check_pages(db, e) && db_begin(db, e) && db_put_check(db, db->key, e) &&
	       db_commit(db, e);
}

/* ---- The time ---- */

#define NOTE_MS 10000

/* "BOOT BOOT_MS WALL_MS NOW_MS " and a hash of that. */
static void put_time(const struct clock_reading *r, struct buf *out)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct crypto_piece piece;

	buf_printf(out, "%s %lld %lld %lld ", r->boot[0] ? r->boot : "-", (long long)r->boot_ms,
		   (long long)r->wall_ms, (long long)r->now_ms);
	piece = (struct crypto_piece){ out->data, out->len };
	crypto_hash(&piece, 1, hash);
	for (size_t i = 0; i < 8; i++)
		buf_printf(out, "%02x", hash[i]);
}

static bool read_time(const struct buf *row, struct clock_reading *out)
{
	long long boot_ms, wall_ms, now_ms;
	struct buf again = { 0 };
	bool ok = sscanf(row->data, "%36s %lld %lld %lld ", out->boot, &boot_ms, &wall_ms,
			 &now_ms) == 4;

	if (ok) {
		out->boot_ms = boot_ms;
		out->wall_ms = wall_ms;
		out->now_ms = now_ms;
		put_time(out, &again);
		ok = strcmp(buf_str(&again), row->data) == 0;
	}
	buf_fini(&again);
	return ok;
}

/* Of before the time was noted, or if the note is damaged: the latest that anything says. */
static bool guess_time(struct db *db, struct clock_reading *out, bool *found, struct err *e)
{
	static const char sql[] =
		"SELECT CAST(max(t) AS TEXT) FROM (SELECT max(received_ms) AS t FROM pending"
		" UNION ALL SELECT max(died_ms) FROM deadletter)";
	struct buf latest = { 0 };
	bool ok = query(db, sql, NULL, &latest, found, e);

	*found = ok && *found && latest.len > 0;
	*out = (struct clock_reading){ .wall_ms = *found ? atoll(latest.data) : 0 };
	out->now_ms = out->wall_ms;
	buf_fini(&latest);
	return ok;
}

static bool take_up_time(struct db *db, struct err *e)
{
	struct clock_reading last = { 0 }, here;
	struct buf row = { 0 };
	bool found,
		ok = query(db, "SELECT value FROM meta WHERE key = 'clock'", NULL, &row, &found, e);
	int64_t now_ms;

	if (ok && !(found && row.len && read_time(&row, &last)))
		ok = guess_time(db, &last, &found, e);
	buf_fini(&row);
	db->knows_time = true;
	if (!ok || !found)
		return ok;
	clock_look(&here);
	db->knows_time = clock_go_on(&last, &here, &now_ms);
	clock_set(now_ms);
	return true;
}

bool db_knows_time(const struct db *db)
{
	return db->knows_time;
}

bool db_note_time(struct db *db, bool in_any_case, struct err *e)
{
	static const char sql[] = "INSERT OR REPLACE INTO meta (key, value) VALUES ('clock', ?)";
	int64_t now_ms = clock_now_ms();
	struct clock_reading here;
	struct buf row = { 0 };
	sqlite3_stmt *stmt;
	bool ok;

	if (!in_any_case &&
	    (!db->in_transaction || (db->noted_ms && now_ms < db->noted_ms + NOTE_MS)))
		return true;
	clock_look(&here);
	put_time(&here, &row);
	stmt = db_begin(db, e) ? db_statement(db, sql, e) : NULL;
	ok = stmt &&
	     db_run(db, stmt,
		    sqlite3_bind_text(stmt, 1, row.data, (int)row.len, SQLITE_STATIC) == SQLITE_OK,
		    "note the time", e);
	db->noted_ms = ok ? now_ms : 0;
	buf_fini(&row);
	return ok || db_break(db);
}

static bool open_all(struct db *db, const char *dir, const char *key_file, struct err *e)
{
	int version;

	if (!directory_open(&db->dir, dir, e) || !open_file(db, e))
		return false;
	if (!layout_read(db, &layout_calque, &version, e)) {
		/* What is refused stays as it is, its write-ahead log too. */
		sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		return false;
	}
	return set_up(db, e) && load_key(db, key_file, version == 0, e) &&
	       (version == 0 ? fill_new(db, e) : take_over(db, version, e)) && take_up_time(db, e);
}

struct db *db_open(const char *dir, const char *key_file, struct err *e)
{
	struct db *db = mem_zalloc(sizeof *db);

	if (open_all(db, dir, key_file, e))
		return db;
	db_close(db);
	return NULL;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	take_back(db);
	for (size_t i = 0; i < db->n_kept; i++)
		sqlite3_finalize(db->kept[i].stmt);
	if (db->sqlite) {
		int rc = sqlite3_close(db->sqlite); /* rolls back */

		assert(rc == SQLITE_OK);
	}
	directory_close(&db->dir); /* last: it gives up the lock */
	buf_fini(&db->scratch);
	free(db->key_path);
	mem_free_secret(db, sizeof *db);
}

bool db_set_sync(struct db *db, bool is_sync, struct err *e)
{
	return db_exec(db, is_sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
		       "set up", e);
}

const char *db_dir(const struct db *db)
{
	return db->dir.path;
}

const struct directory *db_directory(const struct db *db)
{
	return &db->dir;
}

sqlite3 *db_sqlite(struct db *db)
{
	take_back(db);
	return db->sqlite;
}

const char *db_instance(const struct db *db)
{
	return db->instance;
}

/* ---- Transactions ---- */

/* SQLite may have rolled back by itself (a full disk, an I/O error). */
static void roll_back(struct db *db)
{
	take_back(db);
	db->noted_ms = 0;
	if (!sqlite3_get_autocommit(db->sqlite))
		sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
	db->in_transaction = false;
	db->rollbacks++;
}

unsigned long db_rollbacks(const struct db *db)
{
	return db->rollbacks;
}

bool db_usable(const struct db *db, struct err *e)
{
	if (db->is_failed)
		err_set(e, ERR_IO,
			"%s/calque.db: an earlier write failed, calque must be restarted",
			db->dir.path);
	else if (db->is_broken)
		err_set(e, ERR_IO, "%s/calque.db: an earlier change of this turn was not written",
			db->dir.path);
	return !db->is_failed && !db->is_broken;
}

static const char begin_sql[] = "BEGIN IMMEDIATE", commit_sql[] = "COMMIT";

static bool run(struct db *db, const char *sql, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, sql, e);

	return stmt && db_run(db, stmt, true, sql, e);
}

bool db_begin(struct db *db, struct err *e)
{
	bool ok;

	take_back(db);
	ok = db_usable(db, e);
	if (ok && !db->in_transaction)
		db->in_transaction = ok = run(db, begin_sql, e);
	return ok || db_break(db);
}

void db_derive_key(const struct db *db, const char *purpose, uint8_t out[32])
{
	crypto_hmac(db->key, &purpose, 1, out);
}

bool db_is_writing(const struct db *db)
{
	return db->in_transaction;
}

bool db_break(struct db *db)
{
	roll_back(db);
	db->is_broken = true;
	return false;
}

bool db_commit(struct db *db, struct err *e)
{
	bool ok;

	take_back(db);
	ok = db_usable(db, e);
	if (ok && db->in_transaction)
		ok = run(db, commit_sql, e);
	if (!ok)
		roll_back(db);
	db->in_transaction = false;
	db->is_broken = false;
	return ok;
}

bool db_lend(struct db *db, void (*wait)(void *ctx), void *ctx)
{
	sqlite3_stmt *stmt = db_usable(db, NULL) && db->in_transaction
				     ? db_statement(db, commit_sql, NULL)
				     : NULL;

	db->lent.stmt = stmt;
	db->lent.wait = wait;
	db->lent.ctx = ctx;
	db->lent.error = (struct err){ 0 };
	return stmt;
}

void db_commit_lent(struct db *db)
{
	db->lent.rc = sqlite3_step(db->lent.stmt);
}

bool db_take_back(struct db *db, struct err *e)
{
	bool ok;

	take_back(db);
	ok = db->lent.error.code == ERR_NONE;
	if (!ok && e)
		*e = db->lent.error;
	return ok;
}

void db_give_back(struct db *db)
{
	take_back(db);
	if (db->in_transaction)
		return;
	/* On a full disk some of this fails, and the rest helps. */
	sqlite3_exec(db->sqlite,
		     "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA incremental_vacuum(1000);"
		     "PRAGMA wal_checkpoint(TRUNCATE);",
		     NULL, NULL, NULL);
}

/* ---- What the tables share ---- */

sqlite3_stmt *db_statement(struct db *db, const char *sql, struct err *e)
{
	sqlite3_stmt *stmt;

	take_back(db);
	for (size_t i = 0; i < db->n_kept; i++)
		if (db->kept[i].sql == sql)
			return db->kept[i].stmt;
	assert(db->n_kept < MAX_STATEMENTS);
	if (!prepare(db, sql, &stmt, e))
		return NULL;
	db->kept[db->n_kept++] = (struct kept){ sql, stmt };
	return stmt;
}

void db_release(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

bool db_run(struct db *db, sqlite3_stmt *stmt, bool is_bound, const char *what, struct err *e)
{
	bool ok = (is_bound && sqlite3_step(stmt) == SQLITE_DONE) || db_failed(db, what, e);

	db_release(stmt);
	return ok;
}

bool db_seal(struct db *db, const char *context, const void *plain, size_t n, struct buf *out,
	     struct err *e)
{
	return crypto_seal(db->key, context, plain, n, out, e);
}

bool db_unseal(struct db *db, const char *context, const void *sealed, size_t n, struct buf *out,
	       struct err *e)
{
	buf_reserve(out, n); /* at once: growing would leave copies of secrets behind */
	if (crypto_open(db->key, context, sealed, n, out, e))
		return true;
	err_prefix(e, "%s/calque.db: %s", db->dir.path, context);
	return false;
}

struct buf *db_scratch(struct db *db)
{
	buf_reset_above(&db->scratch, SCRATCH_BYTES);
	return &db->scratch;
}

void db_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_fini(b);
}
