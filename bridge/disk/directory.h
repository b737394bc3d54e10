/* directory.h -- the state directory: made (0700) where it is missing, refused if it is another user's or others
 * may look into it, and locked: one process per directory, which has it open once; where the lock may not be seen, a
 * heartbeat is (heartbeat.h).  A volume's group is no other
 * (the fsGroup of Kubernetes: the directory comes back as 2770).
 *
 * And the file with the key that encrypts secrets at rest: 32 bytes, or 64 hexadecimal digits and maybe a
 * newline, and others may have no right to it; a group may read it (a secret that Kubernetes mounts).  No text of an
 * error has anything of its content. */
#ifndef BRIDGE_DIRECTORY_H
#define BRIDGE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/crypto.h"
#include "disk/heartbeat.h"

struct err;

struct directory {
	char *path;
	int fd;
	struct heartbeat heartbeat;

	/* directory.c's own */
	int lock_fd;
	pid_t pid;
	dev_t device;
	ino_t inode;
	struct directory *next;
};

/* `d` may not move while it is open.  Caller ends it with directory_close(), also after a failure. It waits for
 * another machine's heartbeat (heartbeat.h).  False sets *e: ERR_BUSY another process has it, or this one;
 * ERR_INVALID it is open to others, or another user's; ERR_IO. */
bool directory_open(struct directory *d, const char *path, struct err *e);
/* Could it be opened, as far as can be told without touching it?  Whether somebody has it is not asked.  False
 * sets *e: ERR_INVALID no directory, open to others, or another user's; ERR_IO. */
bool directory_check(const char *path, struct err *e);
/* Gives up the lock, so what is in the directory must be closed before. */
void directory_close(struct directory *d);

/* Read the key from `file`, which is seen from `dir_fd` as with openat(); `shown` is its name for
 * people.  False sets *e: ERR_NOT_FOUND no such file; ERR_INVALID open to others, or no key; ERR_IO. */
bool keyfile_read(int dir_fd, const char *file, const char *shown, uint8_t key[CRYPTO_KEY_BYTES],
		  struct err *e);

/* Could the key be read: `file`, or if that is NULL the file "key" in the directory `dir`, which need not be
 * there yet?  False sets *e as keyfile_read() does. */
bool keyfile_check(const char *dir, const char *file, struct err *e);

/* Where a key is: `name` is seen from `dir_fd` as with openat(), `shown` is its name for people.  All borrowed. */
struct keyfile {
	int dir_fd;
	const char *name;
	const char *shown;
};

/* A new key takes two steps, so that what it seals can be written between them: its file NAME.new (0600), and that
 * in the place of NAME.  After a power cut there is the whole of a step or none of it.  The caller is the only one
 * who works in that directory.
 *
 * Make a random key and NAME.new, on the disk when it returns; one that is there goes.  False sets *e, and there is
 * no NAME.new. */
bool keyfile_put_new(const struct keyfile *k, uint8_t key[CRYPTO_KEY_BYTES], struct err *e);
/* Is there a NAME.new with a key?  Read it. */
bool keyfile_read_new(const struct keyfile *k, uint8_t key[CRYPTO_KEY_BYTES]);
/* NAME.new becomes NAME, on the disk when it returns.  False sets *e: which of both it is now, is not known. */
bool keyfile_take_new(const struct keyfile *k, struct err *e);
/* Remove NAME.new, if there is one and it can be. */
void keyfile_drop_new(const struct keyfile *k);

#endif
