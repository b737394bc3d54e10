/* Linked into test_session_plain in place of gather_begin() and gather_collects(): no session is ever in hand, and all
 * reads and writes are libc's, as in a build with -DCALQUE_GATHER=OFF. */
#include <stdbool.h>
#include <stddef.h>

struct gather;

struct gather *__wrap_gather_begin(struct gather *g);

bool __wrap_gather_collects(void);

bool __wrap_gather_collects(void)
{
	return false;
}

struct gather *__wrap_gather_begin(struct gather *g)
{
	(void)g;
	return NULL;
}
