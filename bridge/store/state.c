#include "store/state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/change.h"
#include "store/keyfile.h"

#define SCHEMA_VERSION 1 /* PRAGMA user_version; 0 is a database without tables */
#define CHECK_CONTEXT  "meta/check"
#define CHECK_TEXT     "calque"
#define INSTANCE_CHARS 8

enum statement { PUT, DELETE, LOAD, STATEMENTS };

static const char *const statement_sql[STATEMENTS] = {
	/* an update keeps the row's place in the order of state_load() */
	[PUT] = "INSERT INTO state (link, machine, key, value, is_secret) VALUES (?, ?, ?, ?, ?)"
		" ON CONFLICT (link, machine, key) DO UPDATE"
		" SET value = excluded.value, is_secret = excluded.is_secret",
	[DELETE] = "DELETE FROM state WHERE link = ? AND machine = ? AND key = ?",
	[LOAD] = "SELECT machine, key, value, is_secret FROM state WHERE link = ? ORDER BY seq",
};

static const char schema_sql[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);"
	"CREATE TABLE state (seq INTEGER PRIMARY KEY, link TEXT NOT NULL, machine TEXT NOT NULL,"
	" key TEXT NOT NULL, value BLOB NOT NULL, is_secret INTEGER NOT NULL,"
	" UNIQUE (link, machine, key));"
	"PRAGMA user_version = 1;";
static_assert(SCHEMA_VERSION == 1, "schema_sql sets the version");

struct state {
	char *dir;
	int dir_fd, lock_fd;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	uint8_t key[CRYPTO_KEY_BYTES];
	char instance[INSTANCE_CHARS + 1];
	bool in_transaction;
	bool is_broken; /* a step could not be applied: this transaction cannot be committed */
	bool is_failed; /* a write failed for good: what the disk holds is unknown until a restart */
	pid_t pid;
	dev_t device;
	ino_t inode;
	struct state *next; /* in open_states */
};

/* fcntl() locks keep other processes out, not this one; this list does. */
static struct state *open_states;

/* ---- Errors ---- */

/* What SQLite said, never what was bound. */
static bool db_failed(struct state *s, const char *what, struct err *e)
{
	int rc = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;

	if (rc == SQLITE_IOERR || rc == SQLITE_CORRUPT)
		s->is_failed = true;
	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
		err_set(e, ERR_CORRUPT, "%s/calque.db is damaged (%s: %s)", s->dir, what,
			sqlite3_errmsg(s->db));
	else if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		err_set(e, ERR_BUSY, "%s/calque.db is open in another program", s->dir);
	else
		err_set(e, ERR_IO, "%s/calque.db: %s: %s (SQLite code %d)", s->dir, what,
			s->db ? sqlite3_errmsg(s->db) : "out of memory",
			s->db ? sqlite3_extended_errcode(s->db) : rc);
	return false;
}

/* ---- Directory and lock ---- */

/* A new directory is an entry in its parent, which must be on disk too. */
static bool sync_parent(const char *dir, struct err *e)
{
	char *copy = mem_strdup(dir);
	const char *parent = dirname(copy);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (!ok)
		err_errno(e, "sync the directory %s", parent);
	if (fd >= 0)
		close(fd);
	free(copy);
	return ok;
}

static bool make_dir(const char *dir, struct err *e)
{
	if (mkdir(dir, 0700) == 0)
		return sync_parent(dir, e);
	if (errno == EEXIST)
		return true;
	if (errno == ENOENT) {
		char *copy = mem_strdup(dir);

		err_set(e, ERR_IO, "state directory %s: create %s first", dir, dirname(copy));
		free(copy);
	} else {
		err_errno(e, "create the state directory %s", dir);
	}
	return false;
}

static bool open_dir(struct state *s, struct err *e)
{
	struct stat st;

	if (!make_dir(s->dir, e))
		return false;
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0 || fstat(s->dir_fd, &st) != 0) {
		err_errno(e, "open the state directory %s", s->dir);
		return false;
	}
	if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		err_set(e, ERR_INVALID, "state directory %s is open to others (chmod 700 %s)",
			s->dir, s->dir);
		return false;
	}
	s->device = st.st_dev;
	s->inode = st.st_ino;
	return true;
}

static bool is_open_here(const struct state *s)
{
	for (const struct state *o = open_states; o; o = o->next)
		if (o->device == s->device && o->inode == s->inode && o->pid == s->pid)
			return true;
	return false;
}

/* One process per directory.  A fcntl() lock, since a child that outlives us must not hold it, and
 * the kernel drops it however we end.  Must be asked before `lock` is opened: closing any descriptor
 * of it would give up the lock of a state that this process has open. */
static bool lock_dir(struct state *s, struct err *e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (is_open_here(s)) {
		err_set(e, ERR_BUSY, "state directory %s: this process has it open", s->dir);
		return false;
	}
	s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0) {
		err_errno(e, "open %s/lock", s->dir);
		return false;
	}
	if (fcntl(s->lock_fd, F_SETLK, &lock) == 0)
		return true;
	if (errno != EAGAIN && errno != EACCES) {
		err_errno(e, "lock %s/lock", s->dir);
		return false;
	}
	if (fcntl(s->lock_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		err_set(e, ERR_BUSY, "state directory %s: another calque runs there (process %ld)",
			s->dir, (long)lock.l_pid);
	else
		err_set(e, ERR_BUSY, "state directory %s: another calque runs there", s->dir);
	return false;
}

/* A database that is new may get a new key, one with rows may not. */
static bool load_key(struct state *s, const char *key_file, bool is_new, struct err *e)
{
	char *path = mem_printf("%s/key", s->dir);
	struct err why = { 0 };
	bool ok;

	if (key_file)
		ok = keyfile_read(AT_FDCWD, key_file, key_file, s->key, &why);
	else
		ok = keyfile_read(s->dir_fd, "key", path, s->key, &why);
	if (ok)
		goto out;
	if (why.code != ERR_NOT_FOUND || key_file)
		err_set(e, why.code == ERR_NOT_FOUND ? ERR_IO : why.code, "%s", why.text);
	else if (is_new)
		ok = keyfile_create(s->dir_fd, s->dir, s->key, e);
	else
		err_set(e, ERR_CORRUPT, "%s is missing, and %s/calque.db was sealed with it", path,
			s->dir);
out:
	free(path);
	return ok;
}

/* ---- The database ---- */

static bool exec(struct state *s, const char *sql, const char *what, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || db_failed(s, what, e);
}

static bool prepare(struct state *s, const char *sql, sqlite3_stmt **out, struct err *e)
{
	return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) ==
		       SQLITE_OK ||
	       db_failed(s, "prepare", e);
}

/* The first column of the first row of `sql`, with `key` bound if it is not NULL.  *found is false,
 * and `out` as before, if there is no row. */
static bool query(struct state *s, const char *sql, const char *key, struct buf *out, bool *found,
		  struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = false;
	int rc;

	*found = false;
	if (!prepare(s, sql, &stmt, e))
		return false;
	if (key && sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC) != SQLITE_OK) {
		db_failed(s, "bind", e);
		goto out;
	}
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		db_failed(s, "read", e);
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

static bool meta_get(struct state *s, const char *key, struct buf *out, struct err *e)
{
	bool found;

	if (!query(s, "SELECT value FROM meta WHERE key = ?", key, out, &found, e))
		return false;
	if (!found)
		err_set(e, ERR_CORRUPT, "%s/calque.db is damaged (meta has no %s)", s->dir, key);
	return found;
}

static bool meta_put(struct state *s, const char *key, const void *value, size_t n, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	bool ok;

	if (!prepare(s, "INSERT INTO meta (key, value) VALUES (?, ?)", &stmt, e))
		return false;
	ok = (sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
	      sqlite3_bind_blob64(stmt, 2, value, n, SQLITE_STATIC) == SQLITE_OK &&
	      sqlite3_step(stmt) == SQLITE_DONE) ||
	     db_failed(s, "write meta", e);
	sqlite3_finalize(stmt);
	return ok;
}

/* SQLite gives its -wal file the rights of the database, so these are set before it opens it. */
static bool make_db_file(struct state *s, struct err *e)
{
	int fd = openat(s->dir_fd, "calque.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && fchmod(fd, 0600) == 0;

	if (!ok)
		err_errno(e, "open %s/calque.db", s->dir);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Exclusive: with a second connection, SQLite before 3.51.3 can damage a WAL (libraries, section 7). */
static const char pragmas_sql[] = "PRAGMA locking_mode = EXCLUSIVE;"
				  "PRAGMA synchronous = FULL;"
				  "PRAGMA temp_store = MEMORY;"
				  "PRAGMA trusted_schema = OFF;"
				  "PRAGMA secure_delete = ON;";

static bool open_db(struct state *s, struct err *e)
{
	char *path = mem_printf("%s/calque.db", s->dir);
	struct buf mode = { 0 };
	bool ok = false, found;

	if (!make_db_file(s, e))
		goto out;
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE, NULL) !=
	    SQLITE_OK) {
		db_failed(s, "open", e);
		goto out;
	}
	if (!exec(s, pragmas_sql, "set up", e) ||
	    !query(s, "PRAGMA journal_mode = WAL", NULL, &mode, &found, e))
		goto out;
	if (strcmp(buf_str(&mode), "wal") != 0) {
		err_set(e, ERR_IO, "%s: SQLite cannot use a write-ahead log on this file system",
			path);
		goto out;
	}
	ok = true;
out:
	buf_fini(&mode);
	free(path);
	return ok;
}

static bool read_version(struct state *s, int *version, struct err *e)
{
	struct buf text = { 0 };
	bool found;

	if (!query(s, "PRAGMA user_version", NULL, &text, &found, e))
		return false;
	*version = atoi(buf_str(&text));
	buf_fini(&text);
	if (*version <= SCHEMA_VERSION && *version >= 0)
		return true;
	err_set(e, ERR_INVALID,
		"%s/calque.db was written by a newer calque (version %d, this one knows %d)",
		s->dir, *version, SCHEMA_VERSION);
	return false;
}

static bool fill_new(struct state *s, struct err *e)
{
	uint8_t random[INSTANCE_CHARS / 2];
	struct buf sealed = { 0 };
	bool ok;

	crypto_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(s->instance + 2 * i, 3, "%02x", random[i]);
	ok = crypto_seal(s->key, CHECK_CONTEXT, CHECK_TEXT, strlen(CHECK_TEXT), &sealed, e) &&
	     exec(s, "BEGIN IMMEDIATE", "begin", e) &&
	     exec(s, schema_sql, "create the tables", e) &&
	     meta_put(s, "instance", s->instance, INSTANCE_CHARS, e) &&
	     meta_put(s, "check", sealed.data, sealed.len, e) && exec(s, "COMMIT", "commit", e);
	buf_fini(&sealed);
	return ok;
}

static bool check_old(struct state *s, const char *key_file, struct err *e)
{
	struct buf sealed = { 0 }, plain = { 0 }, instance = { 0 };
	struct err why = { 0 };
	bool ok = false;

	if (!meta_get(s, "check", &sealed, e) || !meta_get(s, "instance", &instance, e))
		goto out;
	if (!crypto_open(s->key, CHECK_CONTEXT, sealed.data, sealed.len, &plain, &why)) {
		err_set(e, why.code, "%s/calque.db was sealed with another key than that in %s%s",
			s->dir, key_file ? key_file : s->dir, key_file ? "" : "/key");
		goto out;
	}
	if (instance.len != INSTANCE_CHARS) {
		err_set(e, ERR_CORRUPT, "%s/calque.db is damaged (instance)", s->dir);
		goto out;
	}
	memcpy(s->instance, instance.data, INSTANCE_CHARS + 1);
	ok = true;
out:
	buf_fini(&sealed);
	buf_fini(&plain);
	buf_fini(&instance);
	return ok;
}

static bool open_all(struct state *s, const char *key_file, struct err *e)
{
	int version;

	if (!open_dir(s, e) || !lock_dir(s, e) || !open_db(s, e) || !read_version(s, &version, e) ||
	    !load_key(s, key_file, version == 0, e))
		return false;
	if (version == 0 ? !fill_new(s, e) : !check_old(s, key_file, e))
		return false;
	for (int i = 0; i < STATEMENTS; i++)
		if (!prepare(s, statement_sql[i], &s->statements[i], e))
			return false;
	return true;
}

struct state *state_open(const char *dir, const char *key_file, struct err *e)
{
	struct state *s = mem_zalloc(sizeof *s);

	s->dir = mem_strdup(dir);
	s->dir_fd = s->lock_fd = -1;
	s->pid = getpid();
	if (!open_all(s, key_file, e)) {
		state_close(s);
		return NULL;
	}
	s->next = open_states;
	open_states = s;
	return s;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	for (struct state **at = &open_states; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			break;
		}
	}
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statements[i]);
	if (s->db) {
		int rc = sqlite3_close(s->db); /* rolls back */

		assert(rc == SQLITE_OK);
	}
	if (s->lock_fd >= 0)
		close(s->lock_fd); /* last: now another process may have the directory */
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	free(s->dir);
	mem_free_secret(s, sizeof *s);
}

const char *state_instance(const struct state *s)
{
	return s->instance;
}

/* ---- Rows ---- */

/* What a secret value is bound to; no link and no machine has a '/' in its name. */
static char *row_context(const char *link, const char *machine, const char *key)
{
	return mem_printf("%s/%s/%s", link, machine, key);
}

static const char *column_text(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return text ? text : "";
}

/* Append the value of the row that LOAD stands on. */
static bool row_value(struct state *s, const char *link, struct buf *out, struct err *e)
{
	sqlite3_stmt *load = s->statements[LOAD];
	const char *machine = column_text(load, 0), *key = column_text(load, 1);
	const void *value = sqlite3_column_blob(load, 2);
	size_t n = (size_t)sqlite3_column_bytes(load, 2);
	char *context;
	bool ok;

	buf_reserve(out, n); /* at once: growing would leave copies of secrets behind */
	if (!sqlite3_column_int(load, 3)) {
		buf_append(out, value, n);
		return true;
	}
	context = row_context(link, machine, key);
	ok = crypto_open(s->key, context, value, n, out, e);
	if (!ok)
		err_prefix(e, "%s/calque.db: %s", s->dir, context);
	free(context);
	return ok;
}

bool state_load(struct state *s, const char *link,
		bool (*each)(void *ctx, const char *machine, const char *key, const char *value,
			     struct err *e),
		void *ctx, struct err *e)
{
	sqlite3_stmt *load = s->statements[LOAD];
	struct buf value = { 0 };
	bool ok = false;
	int rc;

	if (sqlite3_bind_text(load, 1, link, -1, SQLITE_STATIC) != SQLITE_OK) {
		db_failed(s, "bind", e);
		goto out;
	}
	while ((rc = sqlite3_step(load)) == SQLITE_ROW) {
		bool go_on =
			row_value(s, link, &value, e) &&
			each(ctx, column_text(load, 0), column_text(load, 1), buf_str(&value), e);

		if (value.data)
			explicit_bzero(value.data, value.cap);
		buf_fini(&value);
		if (!go_on)
			goto out;
	}
	if (rc != SQLITE_DONE) {
		db_failed(s, "read", e);
		goto out;
	}
	ok = true;
out:
	sqlite3_reset(load);
	sqlite3_clear_bindings(load);
	return ok;
}

static bool bind_row(sqlite3_stmt *stmt, const char *link, const struct change *c)
{
	return sqlite3_bind_text(stmt, 1, link, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(stmt, 2, c->machine, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(stmt, 3, c->key, -1, SQLITE_STATIC) == SQLITE_OK;
}

/* Step once, and forget what was bound, which is not ours. */
static bool run(struct state *s, sqlite3_stmt *stmt, bool is_bound, const char *what, struct err *e)
{
	bool ok = (is_bound && sqlite3_step(stmt) == SQLITE_DONE) || db_failed(s, what, e);

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return ok;
}

static bool put_row(struct state *s, const char *link, const struct change *c, struct err *e)
{
	sqlite3_stmt *put = s->statements[PUT];
	struct buf sealed = { 0 };
	bool ok = true, is_bound;

	if (c->is_secret) {
		char *context = row_context(link, c->machine, c->key);

		ok = crypto_seal(s->key, context, c->value, strlen(c->value), &sealed, e);
		free(context);
	}
	if (ok) {
		is_bound = bind_row(put, link, c) &&
			   (c->is_secret ? sqlite3_bind_blob64(put, 4, sealed.data, sealed.len,
							       SQLITE_STATIC)
					 : sqlite3_bind_text(put, 4, c->value, -1,
							     SQLITE_STATIC)) == SQLITE_OK &&
			   sqlite3_bind_int(put, 5, c->is_secret) == SQLITE_OK;
		ok = run(s, put, is_bound, "write", e);
	}
	buf_fini(&sealed);
	return ok;
}

static bool delete_row(struct state *s, const char *link, const struct change *c, struct err *e)
{
	sqlite3_stmt *delete = s->statements[DELETE];

	return run(s, delete, bind_row(delete, link, c), "delete", e);
}

/* SQLite may have rolled back by itself (a full disk, an I/O error). */
static void roll_back(struct state *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	s->in_transaction = false;
}

static bool is_usable(const struct state *s, struct err *e)
{
	if (s->is_failed)
		err_set(e, ERR_IO,
			"%s/calque.db: an earlier write failed, calque must be restarted", s->dir);
	else if (s->is_broken)
		err_set(e, ERR_IO, "%s/calque.db: an earlier change of this turn was not written",
			s->dir);
	return !s->is_failed && !s->is_broken;
}

bool state_apply(struct state *s, const char *link, const struct changes *c, struct err *e)
{
	bool ok = is_usable(s, e);

	if (ok && c->n > 0 && !s->in_transaction)
		s->in_transaction = ok = exec(s, "BEGIN IMMEDIATE", "begin", e);
	for (size_t i = 0; ok && i < c->n; i++)
		ok = c->items[i].value ? put_row(s, link, &c->items[i], e)
				       : delete_row(s, link, &c->items[i], e);
	if (!ok) {
		roll_back(s);
		s->is_broken = true;
	}
	return ok;
}

bool state_commit(struct state *s, struct err *e)
{
	bool ok = is_usable(s, e);

	if (ok && s->in_transaction)
		ok = exec(s, "COMMIT", "commit", e);
	if (!ok)
		roll_back(s);
	s->in_transaction = false;
	s->is_broken = false;
	return ok;
}
