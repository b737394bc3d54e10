/* db_upkeep.c -- a database looked through, and copied, while it is in use. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
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
		err_errno(e, "create %s", path);
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
	int from = openat(db_dir_fd(db), "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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
