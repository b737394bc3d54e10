#include "net/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

bool descriptors_raise(size_t needed, size_t *limit)
{
	struct rlimit r = { 0 };

	*limit = SIZE_MAX;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return true; /* nobody can tell */
	if (r.rlim_cur < r.rlim_max) {
		const struct rlimit raised = { r.rlim_max, r.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			r = raised;
	}
	if (r.rlim_cur != RLIM_INFINITY)
		*limit = (size_t)r.rlim_cur;
	return *limit >= needed;
}
