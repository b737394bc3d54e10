#include "author/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

char *scratch_write(const struct buf *text, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char *name = mem_printf("%s/calque-XXXXXX", dir && *dir ? dir : "/tmp");
	int fd = mkstemp(name);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool ok = f && fwrite(text->data, 1, text->len, f) == text->len;

	if (f)
		ok = fclose(f) == 0 && ok;
	if (ok)
		return name;
	err_errno(e, "%s", name);
	if (f)
		unlink(name);
	free(name);
	return NULL;
}
