/* directory.h -- the state directory: made (0700) where it is missing, refused if others may look into
 * it, and locked: one process per directory, which has it open once. */
#ifndef BRIDGE_DIRECTORY_H
#define BRIDGE_DIRECTORY_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct directory {
	char *path;
	int fd;

	/* directory.c's own */
	int lock_fd;
	pid_t pid;
	dev_t device;
	ino_t inode;
	struct directory *next;
};

/* `d` may not move while it is open.  Caller ends it with directory_close(), also after a failure.
 * False sets *e: ERR_BUSY another process has it, or this one; ERR_INVALID it is open to others;
 * ERR_IO. */
bool directory_open(struct directory *d, const char *path, struct err *e);
/* Could it be opened, as far as can be told without touching it?  Whether somebody has it is not asked.  False
 * sets *e: ERR_INVALID no directory, or open to others; ERR_IO. */
bool directory_check(const char *path, struct err *e);
/* Gives up the lock, so what is in the directory must be closed before. */
void directory_close(struct directory *d);

#endif
