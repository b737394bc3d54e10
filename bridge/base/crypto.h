/* crypto.h -- OpenSSL's hashes, random, base64 and authenticated encryption, in our words. */
#ifndef BRIDGE_CRYPTO_H
#define BRIDGE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

#define CRYPTO_KEY_BYTES  32 /* AES-256 */
#define CRYPTO_UUID_CHARS 36 /* without the NUL */
#define CRYPTO_HASH_BYTES 32 /* SHA-256 */

/* Random bytes; aborts if the system has none (nothing sensible can go on). */
void crypto_random(void *out, size_t n);
#define CRYPTO_TOKEN_CHARS 32
/* A secret that nobody can guess: letters and digits at random. */
void crypto_token(char out[CRYPTO_TOKEN_CHARS + 1]);

/* A random UUID (RFC 4122 version 4), lower case. */
void crypto_uuid_random(char out[CRYPTO_UUID_CHARS + 1]);
/* The UUID that `name` always has (version 5 layout, under calque's own namespace). */
void crypto_uuid_of(const char *name, char out[CRYPTO_UUID_CHARS + 1]);

/* SHA-256 over the `n` pieces one after the other, each preceded by its length. */
struct crypto_piece {
	const void *p;
	size_t n;
};
void crypto_hash(const struct crypto_piece *pieces, size_t n, uint8_t out[CRYPTO_HASH_BYTES]);

/* HMAC-SHA256 of `n` texts, a NUL between each two. */
void crypto_hmac(const uint8_t key[CRYPTO_KEY_BYTES], const char *const *texts, size_t n,
		 uint8_t out[CRYPTO_HASH_BYTES]);

/* Are the two texts equal?  Takes as long whether they are or not. */
bool crypto_text_equal(const char *a, const char *b);

/* Append base64 (RFC 4648, padded, one line) of `n` bytes. */
void crypto_base64_encode(struct buf *out, const void *p, size_t n);
/* Append the bytes of base64 `text`.  Only the canonical form; false otherwise, `out` as before. */
bool crypto_base64_decode(struct buf *out, const char *text, size_t n);

/* AES-256-GCM.  Append nonce (12 bytes), ciphertext and tag (16 bytes) of `plain` to `out`; the
 * `context` (say, the row's key) is authenticated too, so that a sealed value cannot be moved to
 * another place.  False only if OpenSSL fails. */
bool crypto_seal(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const void *plain,
		 size_t n, struct buf *out, struct err *e);
/* The reverse.  ERR_CORRUPT: another key, another context, or changed bytes; `out` as before. */
bool crypto_open(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const void *sealed,
		 size_t n, struct buf *out, struct err *e);

#endif
