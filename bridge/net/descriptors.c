#include "net/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

size_t descriptors_raise(void)
{
	struct rlimit r = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return SIZE_MAX;
	if (r.rlim_cur < r.rlim_max) {
		const struct rlimit raised = { r.rlim_max, r.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			r = raised;
	}
	return r.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)r.rlim_cur;
}
