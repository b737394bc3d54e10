#include "conf/environment.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/mem.h"

extern char **environ;

static char *
	kept; /* "NAME=VALUE" and a NUL, one after the other, and an empty one; NULL: nothing is kept */

void environment_wipe(void)
{
	static char *nothing[] = { NULL };

	for (char **v = environ; v && *v; v++)
		explicit_bzero(*v, strlen(*v));
	/* clearenv() would leave NULL there, on which jq's `env` crashes (1.6 to 1.8.2). */
	environ = nothing;
}

/* What libraries look for there, and is no secret: where certificates are, how names are looked up, and the like. */
static const char *const of_libraries[] = { "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "TZ",
					    "TMPDIR",	     "RES_OPTIONS",  "LOCALDOMAIN" };

static size_t size_of(char *const *env)
{
	size_t n = 1;

	for (; env && *env; env++)
		n += strlen(*env) + 1;
	return n;
}

/* In memory of ours: /proc/PID/environ shows what was there at the start. */
static void leave_to_libraries(void)
{
	static char *left[sizeof of_libraries / sizeof of_libraries[0] + 1];
	size_t n = 0;

	for (size_t i = 0; i < sizeof of_libraries / sizeof of_libraries[0]; i++) {
		const char *value = environment_get(of_libraries[i]);

		if (value)
			left[n++] = mem_printf("%s=%s", of_libraries[i], value);
	}
	environ = left;
}

void environment_keep(void)
{
	size_t size = size_of(environ);
	char *at;

	if (kept)
		return;
	kept = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kept == MAP_FAILED) {
		kept = NULL;
		return;
	}
	prctl(PR_SET_DUMPABLE, 0);
	mlock(kept, size);
	madvise(kept, size, MADV_DONTDUMP);
	madvise(kept, size, MADV_WIPEONFORK);
	at = kept;
	for (char **v = environ; v && *v; v++)
		at = stpcpy(at, *v) + 1;
	environment_wipe();
	leave_to_libraries();
}

const char *environment_get(const char *name)
{
	size_t len = strlen(name);

	if (!kept)
		return getenv(name);
	for (const char *at = kept; *at; at += strlen(at) + 1)
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return at + len + 1;
	return NULL;
}

const char *environment_next(const char *after)
{
	char **v = environ;

	if (kept) {
		after = after ? after + strlen(after) + 1 : kept;
		return *after ? after : NULL;
	}
	while (after && v && *v && *v != after)
		v++;
	if (after && v && *v)
		v++;
	return v ? *v : NULL;
}
