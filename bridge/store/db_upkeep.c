/* db_upkeep.c -- a database looked through, copied, sealed with another key, a link in it called otherwise, and left to
 * another machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "disk/directory.h"
#include "store/db_inside.h"
#include "store/layout.h"

/* --- looking through ------------------------------------------------------------------------ */

static const char pages_sql[] = "PRAGMA integrity_check(100)";
static const char state_sql[] =
	"SELECT 'rows of ' || machine || ' of link ' || link || ' whose sum is of something else: '"
	" || count(*) FROM state WHERE sum IS NOT " LAYOUT_STATE_SUM " GROUP BY link, machine";
static const char journal_sql[] =
	"SELECT 'rows of the journal of link ' || link || ' whose sum is of something else: '"
	" || count(*) FROM pending WHERE sum IS NOT " LAYOUT_PENDING_SUM " GROUP BY link";
static const char mark_sql[] =
	"SELECT 'marks of the journal whose sum is of something else: ' || count(*) FROM mark"
	" WHERE sum IS NOT " LAYOUT_MARK_SUM " HAVING count(*) > 0";

static bool tell_rows(struct db *db, const char *sql, void (*each)(void *ctx, const char *what),
		      void *ctx, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, sql, e);
	int rc = SQLITE_DONE;

	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);

		if (text && strcmp(text, "ok") != 0)
			each(ctx, text);
	}
	if (stmt && rc != SQLITE_DONE)
		db_failed(db, "check", e);
	if (stmt)
		db_release(stmt);
	return stmt && rc == SQLITE_DONE;
}

bool db_check(struct db *db, void (*each)(void *ctx, const char *what), void *ctx, struct err *e)
{
	return tell_rows(db, pages_sql, each, ctx, e) && tell_rows(db, state_sql, each, ctx, e) &&
	       tell_rows(db, journal_sql, each, ctx, e) && tell_rows(db, mark_sql, each, ctx, e);
}

/* --- copying -------------------------------------------------------------------------------- */

static bool fail(struct err *e, const char *what, const char *path)
{
	err_errno(e, "%s %s", what, path);
	return false;
}

/* Nobody else's file is written over, nor one that a link points to. */
static int make(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		err_set(e, ERR_INVALID, "%s is there already", path);
	else if (fd < 0)
		err_errno(e, "create %s, as the user that owns the state", path);
	return fd;
}

static bool copy_pages(struct db *db, const char *path, struct err *e)
{
	sqlite3 *to = NULL;
	sqlite3_backup *backup = NULL;
	int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);

	if (rc == SQLITE_OK)
		backup = sqlite3_backup_init(to, "main", db_sqlite(db), "main");
	if (backup) {
		sqlite3_backup_step(backup, -1);
		rc = sqlite3_backup_finish(backup);
	} else {
		rc = sqlite3_errcode(to);
	}
	if (rc != SQLITE_OK)
		err_set(e, rc == SQLITE_FULL ? ERR_FULL : ERR_IO, "%s: %s", path,
			sqlite3_errstr(rc));
	sqlite3_close(to);
	return rc == SQLITE_OK;
}

/* The key, as it is; a bridge with a key elsewhere has none here. */
static bool copy_key(struct db *db, const char *path, int *to, struct err *e)
{
	char bytes[256];
	int from = openat(db_directory(db)->fd, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = 0;
	bool ok;

	if (from < 0)
		return errno == ENOENT || fail(e, "open the key of", db_dir(db));
	*to = make(path, e);
	ok = *to >= 0;
	while (ok && (n = read(from, bytes, sizeof bytes)) > 0)
		ok = write(*to, bytes, (size_t)n) == n || fail(e, "write", path);
	ok = ok && (n == 0 || fail(e, "read the key of", db_dir(db))) &&
	     (fsync(*to) == 0 || fail(e, "write", path));
	explicit_bzero(bytes, sizeof bytes);
	close(from);
	return ok;
}

bool db_backup(struct db *db, const char *path, struct err *e)
{
	char *key_path = mem_printf("%s.key", path);
	int fd = make(path, e), key_fd = -1;
	bool ok = fd >= 0 && copy_pages(db, path, e) &&
		  (fsync(fd) == 0 || fail(e, "write", path)) && copy_key(db, key_path, &key_fd, e);

	if (!ok && fd >= 0)
		unlink(path);
	if (!ok && key_fd >= 0)
		unlink(key_path);
	if (fd >= 0)
		close(fd);
	if (key_fd >= 0)
		close(key_fd);
	free(key_path);
	return ok;
}

/* --- what is sealed, sealed anew ------------------------------------------------------------- */

static const struct db_sealed *const sealed[] = { &state_sealed, &journal_sealed,
						  &deadletter_sealed, &aside_sealed };

/* With another key, or rows of one link as those of another. */
struct resealing {
	struct db *db;
	uint8_t key
		[CRYPTO_KEY_BYTES]; /* the new one; without meaning where only the link is another */
	const char *from,
		*to; /* the link, before and after; NULL: all links, which stay who they are */
	struct buf plain;
	size_t n_unread;
};

/* What was sealed in the row that `row` stands on, and *context, to which it is to be bound.  False: nobody can read
 * it, or *e. */
static bool open_row(struct resealing *r, const struct db_sealed *of, sqlite3_stmt *row,
		     const char *link, char **context, struct err *e)
{
	const void *p = sqlite3_column_blob(row, 1);
	size_t n = (size_t)sqlite3_column_bytes(row, 1);
	struct err why = { 0 };

	if (r->plain.cap < n)
		db_wipe(&r->plain); /* growing would leave a copy behind */
	for (unsigned i = 0; (*context = of->context(row, link, i)); i++) {
		bool ok;

		buf_reset(&r->plain);
		ok = db_unseal(r->db, *context, p, n, &r->plain, &why);
		if (ok && !r->to)
			return true;
		free(*context);
		if (ok) {
			*context = of->context(row, r->to, i);
			return true;
		}
		if (why.code != ERR_CORRUPT) {
			*e = why;
			break;
		}
	}
	*context = NULL;
	return false;
}

static bool seal_anew(const struct resealing *r, const char *context, struct buf *anew,
		      struct err *e)
{
	return r->to ? db_seal(r->db, context, buf_str(&r->plain), r->plain.len, anew, e)
		     : crypto_seal(r->key, context, buf_str(&r->plain), r->plain.len, anew, e);
}

static bool reseal_row(struct resealing *r, const struct db_sealed *of, sqlite3_stmt *row,
		       struct err *e)
{
	const char *link = (const char *)sqlite3_column_text(row, 2);
	struct buf *anew = db_scratch(r->db);
	sqlite3_stmt *put;
	char *context;
	bool ok;

	if (r->from && (!link || strcmp(link, r->from) != 0))
		return true;
	if (!link || !open_row(r, of, row, link, &context, e)) {
		r->n_unread++;
		return e->code == ERR_NONE;
	}
	put = db_statement(r->db, of->put, e);
	ok = put && seal_anew(r, context, anew, e) &&
	     db_run(r->db, put,
		    sqlite3_bind_int64(put, 1, sqlite3_column_int64(row, 0)) == SQLITE_OK &&
			    sqlite3_bind_blob64(put, 2, anew->data, anew->len, SQLITE_STATIC) ==
				    SQLITE_OK,
		    "write", e);
	free(context);
	return ok;
}

/* A row that is written keeps its number, by which they are read: none is met twice. */
static bool reseal(struct resealing *r, const struct db_sealed *of, struct err *e)
{
	sqlite3_stmt *each = db_statement(r->db, of->each, e);
	int rc = SQLITE_ERROR;
	bool ok = each;

	while (ok && (rc = sqlite3_step(each)) == SQLITE_ROW)
		ok = reseal_row(r, of, each, e);
	if (ok && rc != SQLITE_DONE)
		ok = db_failed(r->db, "read", e);
	if (each)
		db_release(each);
	return ok;
}

static bool reseal_all(struct resealing *r, struct err *e)
{
	bool ok = db_begin(r->db, e);

	for (size_t i = 0; ok && i < sizeof sealed / sizeof sealed[0]; i++)
		ok = reseal(r, sealed[i], e);
	return ok;
}

/* --- another key ---------------------------------------------------------------------------- */

/* What the old key opens shall not lie about: neither in the log nor in pages that are free.  As far as there is
 * room. */
static void sweep(struct db *db)
{
	sqlite3_exec(db_sqlite(db), "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
}

static bool change_key(struct resealing *r, struct err *e)
{
	const struct keyfile *file = db_keyfile(r->db);

	if (!keyfile_put_new(file, r->key, e))
		return false;
	if (!reseal_all(r, e) || !db_put_check(r->db, r->key, e)) {
		db_break(r->db);
		db_commit(r->db, NULL); /* what comes next is not of this turn */
		keyfile_drop_new(file);
		return false;
	}
	/* After a failure of the disk the new one may be the right one, which the next start sees. */
	if (!db_commit(r->db, e))
		return false;
	db_use_key(r->db, r->key);
	return keyfile_take_new(file, e);
}

bool db_rotate_key(struct db *db, size_t *n_unread, struct err *e)
{
	struct resealing r = { .db = db };
	struct err why = { 0 };
	bool ok = change_key(&r, &why);

	if (ok)
		sweep(db);
	else if (e)
		*e = why;
	*n_unread = r.n_unread;
	db_wipe(&r.plain);
	explicit_bzero(r.key, sizeof r.key);
	return ok;
}

/* --- a link called otherwise ------------------------------------------------------------------ */

static const char count_rows_sql[] = "SELECT (SELECT count(*) FROM state WHERE link = ?1)"
				     " + (SELECT count(*) FROM pending WHERE link = ?1)"
				     " + (SELECT count(*) FROM deadletter WHERE link = ?1)"
				     " + (SELECT count(*) FROM history WHERE link = ?1)"
				     " + (SELECT count(*) FROM meta WHERE key = 'known-as/' || ?1)";

/* The first name that it had, however often it was called otherwise since. */
#define TAKE_NAME                                                                                  \
	"INSERT INTO meta SELECT 'known-as/' || ?2, coalesce((SELECT value FROM meta"              \
	" WHERE key = 'known-as/' || ?1), CAST(?1 AS BLOB))"

/* A row whose sum was of something else stays one. */
static const char *const take_sql[] = {
	"UPDATE state SET link = ?2, sum = iif(sum IS " LAYOUT_STATE_SUM
	", calque_sum(?2, machine, key, value, is_secret), NULL) WHERE link = ?1",
	"UPDATE pending SET link = ?2, sum = iif(sum IS " LAYOUT_PENDING_SUM
	", calque_sum(seq, ?2, side, n, is_own, received_ms), NULL) WHERE link = ?1",
	"UPDATE deadletter SET link = ?2 WHERE link = ?1",
	"UPDATE aside SET link = ?2 WHERE link = ?1",
	"UPDATE history SET link = ?2 WHERE link = ?1",
	TAKE_NAME,
	"DELETE FROM meta WHERE key = 'known-as/' || ?1 AND ?2 != ''",
};

static bool bind_names(sqlite3_stmt *stmt, const char *from, const char *to)
{
	return sqlite3_bind_text(stmt, 1, from, -1, SQLITE_STATIC) == SQLITE_OK &&
	       (!to || sqlite3_bind_text(stmt, 2, to, -1, SQLITE_STATIC) == SQLITE_OK);
}

static bool count_rows(struct db *db, const char *link, int64_t *n, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, count_rows_sql, e);
	bool ok = stmt && ((bind_names(stmt, link, NULL) && sqlite3_step(stmt) == SQLITE_ROW) ||
			   db_failed(db, "read", e));

	*n = ok ? sqlite3_column_int64(stmt, 0) : 0;
	if (stmt)
		db_release(stmt);
	return ok;
}

bool db_rename_link(struct db *db, const char *from, const char *to, bool *is_done, struct err *e)
{
	struct resealing r = { .db = db, .from = from, .to = to };
	int64_t n_from, n_to;
	bool ok = count_rows(db, from, &n_from, e) && count_rows(db, to, &n_to, e);

	*is_done = false;
	if (!ok || n_from == 0)
		return ok;
	if (n_to > 0) {
		err_set(e, ERR_INVALID,
			"the state has rows of \"%s\" and of \"%s\": what is of \"%s\" stays there",
			from, to, from);
		return false;
	}
	ok = reseal_all(&r, e);
	for (size_t i = 0; ok && i < sizeof take_sql / sizeof take_sql[0]; i++) {
		sqlite3_stmt *stmt = db_statement(db, take_sql[i], e);

		ok = stmt && db_run(db, stmt, bind_names(stmt, from, to), "write", e);
	}
	db_wipe(&r.plain);
	*is_done = ok;
	return ok;
}

char *db_known_as(struct db *db, const char *link)
{
	sqlite3_stmt *stmt =
		db_statement(db, "SELECT value FROM meta WHERE key = 'known-as/' || ?1", NULL);
	char *name = NULL;

	if (stmt && bind_names(stmt, link, NULL) && sqlite3_step(stmt) == SQLITE_ROW)
		name = mem_printf("%.*s", sqlite3_column_bytes(stmt, 0),
				  (const char *)sqlite3_column_blob(stmt, 0));
	if (stmt)
		db_release(stmt);
	return name ? name : mem_strdup(link);
}

/* --- whose it is ---------------------------------------------------------------------------- */

const char *db_dir(const struct db *db)
{
	return db_directory(db)->path;
}

void db_leave(struct db *db)
{
	sqlite3_db_config(db_sqlite(db), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}
