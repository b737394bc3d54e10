#include "frontdoor/bridges.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"

#define MAX_FILE       ((size_t)1 << 20)
#define MAX_HASH       64
#define MAX_ITERATIONS 1000000

bool bridges_read(struct bridges *b, const char *path, struct err *e)
{
	struct buf text = { 0 };
	struct stat st;

	if (stat(path, &st) != 0) {
		err_errno(e, "%s", path);
		return false;
	}
	if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		err_set(e, ERR_INVALID, "%s: others may read it; its mode must be 0600", path);
		return false;
	}
	if (!buf_append_file(&text, path, MAX_FILE, e)) {
		buf_fini(&text);
		return false;
	}
	bridges_fini(b);
	b->len = text.len;
	b->text = text.len ? buf_take(&text) : NULL;
	buf_fini(&text);
	return true;
}

/* What stands behind "NAME:", and how long that is; NULL: no such line. */
static const char *find(const struct bridges *b, const char *name, size_t *len)
{
	const char *p = b->text, *end = b->text ? b->text + b->len : NULL;
	size_t n = strlen(name);

	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		if (!stop)
			stop = end;
		if (n > 0 && (size_t)(stop - p) > n && memcmp(p, name, n) == 0 && p[n] == ':') {
			*len = (size_t)(stop - p) - n - 1;
			return p + n + 1;
		}
		p = stop + 1;
	}
	return NULL;
}

bool bridges_has(const struct bridges *b, const char *name)
{
	size_t n;

	return find(b, name, &n) != NULL;
}

bool bridges_check(const struct bridges *b, const char *name, const char *password)
{
	size_t n;
	const char *found = find(b, name, &n);
	char *entry, *salt, *hash, *rest = NULL;
	struct buf s = { 0 }, h = { 0 };
	unsigned char made[MAX_HASH];
	bool is_good = false;
	long iterations;

	if (!found || n < 4 || memcmp(found, "$7$", 3) != 0)
		return false;
	entry = mem_strndup(found + 3, n - 3);
	iterations = strtol(entry, &salt, 10);
	if (*salt == '$' && iterations > 0 && iterations <= MAX_ITERATIONS) {
		salt = strtok_r(salt, "$", &rest);
		hash = strtok_r(NULL, "$", &rest);
		is_good = salt && hash && crypto_base64_decode(&s, salt, strlen(salt)) &&
			  crypto_base64_decode(&h, hash, strlen(hash)) && h.len > 0 &&
			  h.len <= MAX_HASH &&
			  PKCS5_PBKDF2_HMAC(password, (int)strlen(password),
					    (unsigned char *)s.data, (int)s.len, (int)iterations,
					    EVP_sha512(), (int)h.len, made) == 1 &&
			  CRYPTO_memcmp(made, h.data, h.len) == 0;
	}
	free(entry);
	buf_fini(&s);
	buf_fini(&h);
	return is_good;
}

void bridges_fini(struct bridges *b)
{
	free(b->text);
	*b = (struct bridges){ 0 };
}
