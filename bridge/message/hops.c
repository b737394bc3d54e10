#include "message/hops.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "message/vars.h"

bool hops_has(const struct vars *properties, const char *mark)
{
	const char *trail = vars_get(properties, HOPS_PROPERTY);
	size_t n = strlen(mark);

	if (trail && strlen(trail) > HOPS_MAX)
		return true;
	for (const char *p = trail; p; p = strchr(p, ' ')) {
		p += *p == ' ';
		if (strncmp(p, mark, n) == 0 && (p[n] == ' ' || p[n] == '\0'))
			return true;
	}
	return false;
}

void hops_put(struct vars *properties, const char *trail, const char *mark)
{
	char *longer = trail ? mem_printf("%s %s", trail, mark) : NULL;

	vars_set(properties, HOPS_PROPERTY, longer ? longer : mark, false);
	free(longer);
}
