#include "cli/apart.h"

#include <stdio.h>

#include "base/err.h"
#include "conf/environment.h"
#include "play/play_child.h"
#include "work/compiler.h"
#include "work/nursery.h"

struct compiler *apart_begin(const char *verb)
{
	struct compiler *c = NULL;
	struct err e = { 0 };

	nursery_also(play_child);
	if (nursery_start(environment_wipe, &e)) {
		environment_keep();
		c = compiler_new(&e);
	}
	if (!c)
		fprintf(stderr, "calque %s: %s\n", verb, e.text);
	return c;
}
