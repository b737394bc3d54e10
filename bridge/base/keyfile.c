#include "base/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

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

static bool read_key(int fd, const char *shown, uint8_t key[CRYPTO_KEY_BYTES], struct err *e)
{
	char text[HEX_CHARS + 2]; /* one more than fits, to see that it is too long */
	struct stat st;
	bool ok = false;
	size_t n = 0;

	if (fstat(fd, &st) != 0)
		err_errno(e, "look at the key file %s", shown);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_INVALID, "key file %s is no regular file", shown);
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		err_set(e, ERR_INVALID, "key file %s is open to others (chmod 600 %s)", shown,
			shown);
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
	ok = read_key(fd, shown, key, e);
	close(fd);
	return ok;
}

bool keyfile_create(int dir_fd, const char *dir, uint8_t key[CRYPTO_KEY_BYTES], struct err *e)
{
	bool ok = false, created = false;
	int fd = -1;

	unlinkat(dir_fd, "key.new", 0); /* of a start that was cut short */
	fd = openat(dir_fd, "key.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_errno(e, "create %s/key.new", dir);
		goto out;
	}
	created = true;
	crypto_random(key, CRYPTO_KEY_BYTES);
	if (!write_all(fd, key, CRYPTO_KEY_BYTES) || fsync(fd) != 0) {
		err_errno(e, "write %s/key.new", dir);
		goto out;
	}
	if (renameat(dir_fd, "key.new", dir_fd, "key") != 0) {
		err_errno(e, "rename %s/key.new to key", dir);
		goto out;
	}
	created = false;
	if (fsync(dir_fd) != 0) { /* or secrets could be on disk and their key not */
		err_errno(e, "sync the state directory %s", dir);
		goto out;
	}
	ok = true;
out:
	if (fd >= 0)
		close(fd);
	if (created)
		unlinkat(dir_fd, "key.new", 0);
	return ok;
}
