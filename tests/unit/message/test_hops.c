#include "message/hops.h"

#include <criterion/criterion.h>
#include <string.h>

#include "message/vars.h"

static bool has(const char *trail, const char *mark)
{
	struct vars v = { 0 };
	bool is_there;

	if (trail)
		vars_set(&v, HOPS_PROPERTY, trail, false);
	is_there = hops_has(&v, mark);
	vars_fini(&v);
	return is_there;
}

Test(hops, knows_whole_marks_only)
{
	cr_expect(!has(NULL, "ab"));
	cr_expect(!has("", "ab"));
	cr_expect(!has("abc cab xab", "ab"));
	cr_expect(!has("  ", "ab"));
	cr_expect(has("ab", "ab"));
	cr_expect(has("x ab", "ab"));
	cr_expect(has("x  ab y", "ab"));
}

Test(hops, grows_by_the_mark)
{
	struct vars v = { 0 };

	hops_put(&v, NULL, "one");
	cr_expect_str_eq(vars_get(&v, HOPS_PROPERTY), "one");
	hops_put(&v, "one", "two");
	cr_expect_str_eq(vars_get(&v, HOPS_PROPERTY), "one two");
	cr_expect_eq(v.n, 1);
	vars_fini(&v);
}

Test(hops, ends_somewhere)
{
	char trail[HOPS_MAX + 2];

	memset(trail, 'x', sizeof trail);
	trail[HOPS_MAX] = '\0';
	cr_expect(!has(trail, "ab"));
	trail[HOPS_MAX] = 'x';
	trail[HOPS_MAX + 1] = '\0';
	cr_expect(has(trail, "ab"));
}
