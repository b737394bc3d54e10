/* directory.c -- the state directory, its lock, and the file with the key. */
#include "disk/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

/* fcntl() locks keep other processes out, not this one; this list does. */
static struct directory *open_directories;

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

static void no_parent(const char *dir, struct err *e)
{
	char *copy = mem_strdup(dir);

	err_set(e, ERR_IO, "state directory %s: create %s first", dir, dirname(copy));
	free(copy);
}

static bool make_dir(const char *dir, struct err *e)
{
	if (mkdir(dir, 0700) == 0)
		return sync_parent(dir, e);
	if (errno == EEXIST)
		return true;
	if (errno == ENOENT) {
		no_parent(dir, e);
	} else {
		err_errno(e, "create the state directory %s", dir);
	}
	return false;
}

/* Is it a group of this process? */
static bool is_own_group(gid_t group)
{
	gid_t groups[64];
	int n = getgroups((int)(sizeof groups / sizeof groups[0]), groups);

	for (int i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return group == getegid();
}

/* Rights of the group are those of a volume that has a group of its own: Kubernetes gives all that is in it the
 * fsGroup and its rights, at each mount, directories as 2770 and files as 0660.  The volume's group is one of ours
 * then, and the bit by which a directory gives its group on is how that is told from a directory that was opened to a
 * group. */
static bool is_of_volume(const struct stat *st)
{
	return (st->st_mode & S_ISGID) && is_own_group(st->st_gid);
}

/* Whoever owns it may read it, and what another user makes in it, its owner cannot open later. */
static bool is_ours(const char *dir, const struct stat *st, struct err *e)
{
	if (st->st_uid == geteuid())
		return true;
	err_set(e, ERR_INVALID,
		"state directory %s belongs to another user, number %lu, and this is number %lu "
		"(run calque as that one, or chown -R)",
		dir, (unsigned long)st->st_uid, (unsigned long)geteuid());
	return false;
}

static bool is_private(const char *dir, const struct stat *st, struct err *e)
{
	if (!is_ours(dir, st, e))
		return false;
	if (!(st->st_mode & S_IRWXO) && (!(st->st_mode & S_IRWXG) || is_of_volume(st)))
		return true;
	err_set(e, ERR_INVALID,
		"state directory %s is open to others (chmod 700 %s; in a volume, name a directory "
		"in it that is not there yet)",
		dir, dir);
	return false;
}

static bool has_parent(const char *dir, struct err *e)
{
	char *copy = mem_strdup(dir);
	bool ok = access(dirname(copy), F_OK) == 0;

	if (!ok)
		no_parent(dir, e);
	free(copy);
	return ok;
}

bool directory_check(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		if (errno == ENOENT)
			return has_parent(path, e);
		err_errno(e, "look at the state directory %s", path);
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		err_set(e, ERR_INVALID, "state directory %s is no directory", path);
		return false;
	}
	return is_private(path, &st, e);
}

static bool open_dir(struct directory *d, struct err *e)
{
	struct stat st;

	if (!make_dir(d->path, e))
		return false;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st) != 0) {
		err_errno(e, "open the state directory %s", d->path);
		return false;
	}
	if (!is_private(d->path, &st, e))
		return false;
	d->device = st.st_dev;
	d->inode = st.st_ino;
	return true;
}

static bool is_open_here(const struct directory *d)
{
	for (const struct directory *o = open_directories; o; o = o->next)
		if (o->device == d->device && o->inode == d->inode && o->pid == d->pid)
			return true;
	return false;
}

/* A fcntl() lock, since a child that outlives us must not hold it, and the kernel drops it however we
 * end.  is_open_here() comes before `lock` is opened: closing any descriptor of it would give up the
 * lock of a state that this process has open. */
static bool lock_dir(struct directory *d, struct err *e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (is_open_here(d)) {
		err_set(e, ERR_BUSY, "state directory %s: this process has it open", d->path);
		return false;
	}
	d->lock_fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0) {
		err_errno(e, "open %s/lock", d->path);
		return false;
	}
	if (fcntl(d->lock_fd, F_SETLK, &lock) == 0)
		return true;
	if (errno != EAGAIN && errno != EACCES) {
		err_errno(e, "lock %s/lock", d->path);
		return false;
	}
	if (fcntl(d->lock_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		err_set(e, ERR_BUSY, "state directory %s: another calque runs there (process %ld)",
			d->path, (long)lock.l_pid);
	else
		err_set(e, ERR_BUSY, "state directory %s: another calque runs there", d->path);
	return false;
}

bool directory_open(struct directory *d, const char *path, struct err *e)
{
	*d = (struct directory){
		.path = mem_strdup(path), .fd = -1, .lock_fd = -1, .pid = getpid()
	};
	if (!open_dir(d, e) || !lock_dir(d, e) ||
	    !heartbeat_take(&d->heartbeat, d->fd, d->lock_fd, d->path, e))
		return false;
	d->next = open_directories;
	open_directories = d;
	return true;
}

void directory_close(struct directory *d)
{
	for (struct directory **at = &open_directories; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	heartbeat_release(&d->heartbeat);
	if (d->lock_fd >= 0)
		close(d->lock_fd); /* now another process may have the directory */
	if (d->fd >= 0)
		close(d->fd);
	free(d->path);
}

/* --- the key --------------------------------------------------------------------------------- */

#define HEX_CHARS ((size_t)2 * CRYPTO_KEY_BYTES)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_key(const char *text, size_t n, uint8_t key[CRYPTO_KEY_BYTES])
{
	if (n == CRYPTO_KEY_BYTES) {
		memcpy(key, text, n);
		return true;
	}
	if (n == HEX_CHARS + 1 && text[n - 1] == '\n')
		n--;
	if (n != HEX_CHARS)
		return false;
	for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool read_all(int fd, char *to, size_t size, size_t *n)
{
	*n = 0;
	while (*n < size) {
		ssize_t got = read(fd, to + *n, size - *n);

		if (got == 0)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
		if (got > 0)
			*n += (size_t)got;
	}
	return true;
}

static bool write_all(int fd, const void *from, size_t n)
{
	const char *p = from;

	while (n > 0) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno != EINTR)
			return false;
		if (put > 0) {
			p += put;
			n -= (size_t)put;
		}
	}
	return true;
}

/* May others read the key, or exchange it?  A group may read it; where it lies in a volume of ours (is_of_volume()),
 * its right to write is the volume's. */
static bool is_open_key(int dir_fd, const struct stat *st)
{
	struct stat dir;
	bool is_volumes = st->st_uid == geteuid() && dir_fd != AT_FDCWD &&
			  fstat(dir_fd, &dir) == 0 && is_of_volume(&dir) &&
			  st->st_gid == dir.st_gid;

	return st->st_mode & (S_IXGRP | S_IRWXO | (is_volumes ? 0 : S_IWGRP));
}

static bool read_key(int dir_fd, int fd, const char *shown, uint8_t key[CRYPTO_KEY_BYTES],
		     struct err *e)
{
	char text[HEX_CHARS + 2]; /* one more than fits, to see that it is too long */
	struct stat st;
	bool ok = false;
	size_t n = 0;

	if (fstat(fd, &st) != 0)
		err_errno(e, "look at the key file %s", shown);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_INVALID, "key file %s is no regular file", shown);
	else if (is_open_key(dir_fd, &st))
		err_set(e, ERR_INVALID,
			"key file %s is open to others (chmod 600 %s; a secret of Kubernetes: "
			"defaultMode: 0440 and securityContext.fsGroup)",
			shown, shown);
	else if (!read_all(fd, text, sizeof text, &n))
		err_errno(e, "read the key file %s", shown);
	else if (!parse_key(text, n, key))
		err_set(e, ERR_INVALID,
			"key file %s holds no key: 32 bytes or 64 hexadecimal digits are wanted",
			shown);
	else
		ok = true;
	explicit_bzero(text, sizeof text);
	return ok;
}

bool keyfile_read(int dir_fd, const char *file, const char *shown, uint8_t key[CRYPTO_KEY_BYTES],
		  struct err *e)
{
	/* O_NONBLOCK: the path may be that of a pipe */
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool ok;

	if (fd < 0) {
		bool is_absent = errno == ENOENT;

		err_errno(e, "open the key file %s", shown);
		if (is_absent && e)
			e->code = ERR_NOT_FOUND;
		return false;
	}
	ok = read_key(dir_fd, fd, shown, key, e);
	close(fd);
	return ok;
}

bool keyfile_check(const char *dir, const char *file, struct err *e)
{
	char *path = file ? mem_strdup(file) : mem_printf("%s/key", dir);
	int dir_fd = file ? AT_FDCWD : open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint8_t key[CRYPTO_KEY_BYTES];
	bool ok = true;

	/* Whoever may not look into the directory cannot tell. */
	if (file || (dir_fd >= 0 && access(path, R_OK) == 0))
		ok = keyfile_read(dir_fd, file ? file : "key", path, key, e);
	explicit_bzero(key, sizeof key);
	if (dir_fd >= 0)
		close(dir_fd);
	free(path);
	return ok;
}

/* Caller frees. */
static char *new_name(const struct keyfile *k)
{
	return mem_printf("%s.new", k->name);
}

/* Or secrets could be on disk and their key not. */
static bool sync_directory(const struct keyfile *k, struct err *e)
{
	const char *slash = strrchr(k->name, '/');
	char *path =
		slash ? mem_printf("%.*s", (int)(slash - k->name) + 1, k->name) : mem_strdup(".");
	int fd = openat(k->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (!ok)
		err_errno(e, "sync the directory of %s", k->shown);
	if (fd >= 0)
		close(fd);
	free(path);
	return ok;
}

void keyfile_drop_new(const struct keyfile *k)
{
	char *name = new_name(k);

	unlinkat(k->dir_fd, name, 0);
	free(name);
}

bool keyfile_put_new(const struct keyfile *k, uint8_t key[CRYPTO_KEY_BYTES], struct err *e)
{
	char *name = new_name(k);
	bool ok = false;
	int fd;

	keyfile_drop_new(k); /* of a change that was cut short */
	fd = openat(k->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	free(name);
	if (fd < 0) {
		err_errno(e, "create %s.new", k->shown);
		return false;
	}
	crypto_random(key, CRYPTO_KEY_BYTES);
	if (!write_all(fd, key, CRYPTO_KEY_BYTES) || fsync(fd) != 0)
		err_errno(e, "write %s.new", k->shown);
	else
		ok = sync_directory(k, e);
	close(fd);
	if (!ok)
		keyfile_drop_new(k);
	return ok;
}

bool keyfile_read_new(const struct keyfile *k, uint8_t key[CRYPTO_KEY_BYTES])
{
	char *name = new_name(k);
	bool ok = keyfile_read(k->dir_fd, name, name, key, NULL);

	free(name);
	return ok;
}

bool keyfile_take_new(const struct keyfile *k, struct err *e)
{
	char *name = new_name(k);
	bool ok = renameat(k->dir_fd, name, k->dir_fd, k->name) == 0;

	if (!ok)
		err_errno(e, "rename %s.new to %s", k->shown, k->shown);
	free(name);
	return ok && sync_directory(k, e);
}
