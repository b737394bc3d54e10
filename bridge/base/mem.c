#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

static bool is_exhausted;

bool mem_is_exhausted(void)
{
	return is_exhausted;
}

static void *checked(void *p)
{
	if (!p) {
		is_exhausted = true;
		fputs("calque: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_alloc(size_t size)
{
	return checked(malloc(size ? size : 1));
}

void *mem_zalloc(size_t size)
{
	return checked(calloc(1, size ? size : 1));
}

void *mem_realloc(void *p, size_t size)
{
	return checked(realloc(p, size ? size : 1));
}

char *mem_strdup(const char *s)
{
	return s ? checked(strdup(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

void *mem_dup(const void *p, size_t n)
{
	char *copy;

	if (n == 0)
		return NULL;
	copy = mem_alloc(n + 1);
	memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return checked(n < 0 ? NULL : s);
}

void *mem_grow(void *p, size_t n, size_t size)
{
	size_t cap = 4;

	if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
		return p;
	while (cap <= n)
		cap *= 2;
	if (cap > SIZE_MAX / size)
		checked(NULL);
	return mem_realloc(p, cap * size);
}

void mem_free_secret(void *p, size_t n)
{
	if (p)
		OPENSSL_cleanse(p, n);
	free(p);
}
