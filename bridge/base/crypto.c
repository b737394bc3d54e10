/* crypto.c -- nothing here is of our own invention.  OpenSSL queues its errors per thread and answers later
 * questions from that queue, so whoever fails empties it.  What can fail only in a broken process
 * (must()) ends it: an id that is not random, or a seal that does not hold, would be worse. */
#include "base/crypto.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/buf.h"
#include "base/err.h"

#define NONCE_BYTES 12
#define TAG_BYTES   16
#define UUID_BYTES  16

/* What OpenSSL can only refuse when the process is broken (no memory, no SHA-256) ends it. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "calque: OpenSSL failed: %s\n", what);
	abort();
}

void crypto_random(void *out, size_t n)
{
	unsigned char *p = out;

	while (n > 0) {
		int step = n > INT_MAX ? INT_MAX : (int)n;

		must(RAND_bytes(p, step) == 1, "no random bytes");
		p += step;
		n -= (size_t)step;
	}
}

void crypto_token(char out[CRYPTO_TOKEN_CHARS + 1])
{
	static const char chars[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	const unsigned n = sizeof chars - 1;
	unsigned char byte;

	for (size_t at = 0; at < CRYPTO_TOKEN_CHARS;) {
		crypto_random(&byte, 1);
		if (byte < 256 / n * n) /* else some were likelier than others */
			out[at++] = chars[byte % n];
	}
	out[CRYPTO_TOKEN_CHARS] = '\0';
}

/* RFC 4122: version in the high half of byte 6, variant 10 in the top of byte 8. */
static void uuid_format(unsigned char u[UUID_BYTES], int version, char out[CRYPTO_UUID_CHARS + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	u[6] = (unsigned char)((u[6] & 0x0f) | (version << 4));
	u[8] = (unsigned char)((u[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = digits[u[i] >> 4];
		out[at++] = digits[u[i] & 0x0f];
	}
	out[at] = '\0';
}

void crypto_uuid_random(char out[CRYPTO_UUID_CHARS + 1])
{
	unsigned char u[UUID_BYTES];

	crypto_random(u, sizeof u);
	uuid_format(u, 4, out);
}

void crypto_uuid_of(const char *name, char out[CRYPTO_UUID_CHARS + 1])
{
	/* 9f1c2b7e-53d4-4a0f-8e66-c1a70be2d915; never to change: platforms keep what came of it */
	static const unsigned char namespace[UUID_BYTES] = {
		0x9f, 0x1c, 0x2b, 0x7e, 0x53, 0xd4, 0x4a, 0x0f,
		0x8e, 0x66, 0xc1, 0xa7, 0x0b, 0xe2, 0xd9, 0x15,
	};
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 &&
		     EVP_DigestUpdate(ctx, namespace, sizeof namespace) == 1 &&
		     EVP_DigestUpdate(ctx, name, strlen(name)) == 1 &&
		     EVP_DigestFinal_ex(ctx, digest, NULL) == 1,
	     "SHA-1");
	EVP_MD_CTX_free(ctx);
	uuid_format(digest, 5, out);
}

void crypto_hash(const struct crypto_piece *pieces, size_t n, uint8_t out[CRYPTO_HASH_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; ok && i < n; i++) {
		unsigned char len[8]; /* big-endian, so that stored hashes fit every machine */

		for (size_t b = 0; b < sizeof len; b++)
			len[b] = (unsigned char)((uint64_t)pieces[i].n >> (56 - 8 * b));
		ok = EVP_DigestUpdate(ctx, len, sizeof len) == 1 &&
		     EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].n) == 1;
	}
	must(ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1, "SHA-256");
	EVP_MD_CTX_free(ctx);
}

void crypto_hmac(const uint8_t key[CRYPTO_KEY_BYTES], const char *const *texts, size_t n,
		 uint8_t out[CRYPTO_HASH_BYTES])
{
	struct buf all = { 0 };
	unsigned len = CRYPTO_HASH_BYTES;

	for (size_t i = 0; i < n; i++)
		buf_append(&all, texts[i], strlen(texts[i]) + (i + 1 < n));
	must(HMAC(EVP_sha256(), key, CRYPTO_KEY_BYTES, (unsigned char *)buf_str(&all), all.len, out,
		  &len) != NULL,
	     "no HMAC");
	if (all.data)
		OPENSSL_cleanse(all.data, all.len);
	buf_fini(&all);
}

bool crypto_text_equal(const char *a, const char *b)
{
	uint8_t ha[CRYPTO_HASH_BYTES], hb[CRYPTO_HASH_BYTES];
	bool equal;

	/* Hashes have one length, so nothing can be learnt from where a comparison stops. */
	crypto_hash(&(struct crypto_piece){ a, strlen(a) }, 1, ha);
	crypto_hash(&(struct crypto_piece){ b, strlen(b) }, 1, hb);
	equal = CRYPTO_memcmp(ha, hb, sizeof ha) == 0;
	OPENSSL_cleanse(ha, sizeof ha);
	OPENSSL_cleanse(hb, sizeof hb);
	return equal;
}

void crypto_base64_encode(struct buf *out, const void *p, size_t n)
{
	const unsigned char *in = p;
	const size_t piece = 3u << 20; /* whole groups of 3, and well inside an int */

	buf_reserve(out, (n + 2) / 3 * 4);
	for (size_t at = 0; at < n; at += piece) {
		size_t step = n - at < piece ? n - at : piece;

		out->len += (size_t)EVP_EncodeBlock((unsigned char *)out->data + out->len, in + at,
						    (int)step);
	}
	out->data[out->len] = '\0';
}

/* Decode one piece; OpenSSL turns the padding into zero bytes and skips white space around. */
static bool decode_piece(struct buf *out, const char *text, size_t n)
{
	int got;

	buf_reserve(out, n / 4 * 3);
	got = EVP_DecodeBlock((unsigned char *)out->data + out->len, (const unsigned char *)text,
			      (int)n);
	if (got < 0 || (size_t)got != n / 4 * 3)
		return false;
	out->len += (size_t)got;
	return true;
}

/* Canonical means: encoding the bytes again gives the same text. */
static bool encodes_to(const char *bytes, size_t n_bytes, const char *text, size_t n)
{
	struct buf again = { 0 };
	bool same;

	crypto_base64_encode(&again, bytes, n_bytes);
	same = again.len == n && CRYPTO_memcmp(again.data, text, n) == 0;
	if (again.data)
		OPENSSL_cleanse(again.data, again.len);
	buf_fini(&again);
	return same;
}

bool crypto_base64_decode(struct buf *out, const char *text, size_t n)
{
	const size_t before = out->len, piece = 4u << 20;
	size_t padding = 0;
	bool ok = n % 4 == 0;

	for (size_t at = 0; ok && at < n; at += piece)
		ok = decode_piece(out, text + at, n - at < piece ? n - at : piece);
	while (ok && padding < 2 && padding < n && text[n - 1 - padding] == '=')
		padding++;
	if (ok) {
		buf_reserve(out, 0);
		out->len -= padding;
		ok = encodes_to(out->data + before, out->len - before, text, n);
	}
	if (!ok)
		out->len = before;
	if (out->data)
		out->data[out->len] = '\0';
	return ok;
}

/* Our texts, not OpenSSL's: its error queue is emptied so that nobody later reads what is ours. */
static bool crypto_failed(struct err *e, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *why = code ? ERR_reason_error_string(code) : NULL;

	err_set(e, ERR_CRYPTO, "%s: %s", what, why ? why : "OpenSSL failed");
	ERR_clear_error();
	return false;
}

bool crypto_seal(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const void *plain,
		 size_t n, struct buf *out, struct err *e)
{
	const size_t before = out->len;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char *nonce, *body;
	int got = 0, rest = 0;
	bool ok;

	if (n > INT_MAX - NONCE_BYTES - TAG_BYTES) {
		EVP_CIPHER_CTX_free(ctx);
		err_set(e, ERR_CRYPTO, "seal: too many bytes");
		return false;
	}
	buf_reserve(out, NONCE_BYTES + n + TAG_BYTES);
	nonce = (unsigned char *)out->data + before;
	body = nonce + NONCE_BYTES;
	crypto_random(nonce, NONCE_BYTES); /* at random, 2^32 seals per key are safe (SP 800-38D) */
	ok = ctx && EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &got, (const unsigned char *)context,
			       (int)strlen(context)) == 1 &&
	     EVP_EncryptUpdate(ctx, body, &got, n ? plain : "", (int)n) == 1 &&
	     EVP_EncryptFinal_ex(ctx, body + got, &rest) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, body + n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		out->len += NONCE_BYTES + n + TAG_BYTES;
	out->data[out->len] = '\0';
	return ok ? true : crypto_failed(e, "seal");
}

bool crypto_open(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const void *sealed,
		 size_t n, struct buf *out, struct err *e)
{
	const unsigned char *nonce = sealed, *body;
	unsigned char *plain, tag[TAG_BYTES];
	size_t len;
	EVP_CIPHER_CTX *ctx;
	int got = 0, rest = 0;
	bool ok, set_up;

	if (n < NONCE_BYTES + TAG_BYTES || n > INT_MAX) {
		err_set(e, ERR_CORRUPT, "sealed value: not of a possible length");
		return false;
	}
	body = nonce + NONCE_BYTES;
	len = n - NONCE_BYTES - TAG_BYTES;
	ctx = EVP_CIPHER_CTX_new();
	buf_reserve(out, len);
	plain = (unsigned char *)out->data + out->len;
	memcpy(tag, body + len, TAG_BYTES);
	set_up = ctx && EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, NULL) == 1 &&
		 EVP_DecryptUpdate(ctx, NULL, &got, (const unsigned char *)context,
				   (int)strlen(context)) == 1 &&
		 EVP_DecryptUpdate(ctx, plain, &got, body, (int)len) == 1 &&
		 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1;
	ok = set_up && EVP_DecryptFinal_ex(ctx, plain + got, &rest) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		out->len += len;
	else
		OPENSSL_cleanse(plain, len); /* text that was not authenticated */
	out->data[out->len] = '\0';
	if (!set_up)
		return crypto_failed(e, "open a sealed value");
	if (!ok) {
		ERR_clear_error();
		err_set(e, ERR_CORRUPT,
			"sealed value: another key, another place, or changed bytes");
	}
	return ok;
}
