/* fuzz.h -- what the fuzz targets share.  Each is a function of libFuzzer's: bytes from outside go in, and whatever
 * they are, nothing may crash, leak, or break what a header promises (assert). */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is left of an input. */
struct input {
	const char *p;
	size_t left;
};

static inline unsigned take_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return (unsigned char)*in->p++;
}

/* Up to the next newline, a copy; the caller frees.  One with a NUL ends there. */
static inline char *take_line(struct input *in)
{
	const char *end = in->left ? memchr(in->p, '\n', in->left) : NULL;
	size_t n = end ? (size_t)(end - in->p) : in->left;
	char *line = mem_strndup(in->left ? in->p : "", n);

	in->p += n + (end != NULL);
	in->left -= n + (end != NULL);
	return line;
}

/* A file of these bytes, in memory: /proc/self/fd/N, good until close(N). */
static inline int file_of(const void *p, size_t n, char path[32])
{
	int fd = memfd_create("fuzz", 0);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* What is printed there is not looked at.  (libFuzzer says all on stderr.) */
static inline void mute_stdout(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		abort();
	close(fd);
}

#endif
