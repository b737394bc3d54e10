/* mem.h -- allocation that cannot fail.
 *
 * The one place where running out of memory is handled: it aborts.  Sizes that come from outside
 * are checked against a limit before they get here.  Any thread. */
#ifndef BRIDGE_MEM_H
#define BRIDGE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* Is it why the process ends? */
bool mem_is_exhausted(void);

/* All of these abort when memory is out.  Caller frees with free(). */
void *mem_alloc(size_t size);		 /* not cleared */
void *mem_zalloc(size_t size);		 /* cleared */
void *mem_realloc(void *p, size_t size); /* p may be NULL */
char *mem_strdup(const char *s);	 /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);
void *mem_dup(const void *p, size_t n); /* NULL when n is 0; a NUL byte follows the copy */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Make room for one more element in an array that grows by doubling: `p` holds `n` elements of
 * `size` bytes, its capacity is the next power of two from 4 on.  Returns the array, moved or not. */
void *mem_grow(void *p, size_t n, size_t size);

/* Clear `n` bytes that held a secret, then free.  NULL is allowed. */
void mem_free_secret(void *p, size_t n);

#endif
