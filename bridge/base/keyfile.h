/* keyfile.h -- the file with the key that encrypts secrets at rest.
 *
 * It holds 32 bytes, or 64 hexadecimal digits and maybe a newline, and nobody but its owner may have
 * any right to it.  No text of an error has anything of its content. */
#ifndef BRIDGE_KEYFILE_H
#define BRIDGE_KEYFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"

struct err;

/* Read the key from `file`, which is seen from `dir_fd` as with openat(); `shown` is its name for
 * people.  False sets *e: ERR_NOT_FOUND no such file; ERR_INVALID open to others, or no key; ERR_IO. */
bool keyfile_read(int dir_fd, const char *file, const char *shown, uint8_t key[CRYPTO_KEY_BYTES],
		  struct err *e);

/* Make a random key and the file "key" in the directory `dir_fd`, called `dir`.  After a power cut
 * there is the whole of it or none.  The caller is the only one who works in that directory. */
bool keyfile_create(int dir_fd, const char *dir, uint8_t key[CRYPTO_KEY_BYTES], struct err *e);

#endif
