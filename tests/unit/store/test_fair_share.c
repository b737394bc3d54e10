#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/fair_share.h"

#define EACH 1000

static struct fair_share *share;
static uint64_t next_id = 1;

static void set_up(void)
{
	share = fair_share_new(EACH);
}

static void tear_down(void)
{
	fair_share_free(share);
}

TestSuite(fair_share, .init = set_up, .fini = tear_down);

static void add_at(uint64_t id, const char *link, const char *reason, const char *device,
		   int64_t bytes)
{
	const struct fair_share_letter letter = { id, bytes };

	fair_share_add(share, link, reason, device, &letter);
}

/* They get the next numbers. */
static void add(int n, const char *link, const char *reason, const char *device, int64_t bytes)
{
	while (n-- > 0)
		add_at(next_id++, link, reason, device, bytes);
}

/* The numbers of the next that go. */
static void expect_at(int n, const char *wanted, int line)
{
	struct fair_share_letter letter;
	char got[400] = "";

	while (n-- > 0 && fair_share_take(share, &letter))
		snprintf(got + strlen(got), sizeof got - strlen(got), "%llu ",
			 (unsigned long long)letter.id);
	cr_expect_str_eq(got, wanted, "line %d", line);
}
#define expect(n, wanted) expect_at(n, wanted, __LINE__)

Test(fair_share, of_one_kind_the_oldest_go)
{
	add(3, "a", "r", "d", 100);
	expect(9, "1 2 3 ");
	expect(1, "");
}

Test(fair_share, a_link_does_not_push_out_another_ones)
{
	add(2, "a", "r", "d", 100);
	add(5, "b", "r", "d", 100);
	expect(3, "3 4 5 ");
	expect(9, "1 6 2 7 "); /* both have two now */
}

Test(fair_share, nor_does_a_reason_of_the_same_link)
{
	add(2, "a", "few", "d", 100);
	add(5, "a", "many", "d", 100);
	expect(3, "3 4 5 ");
}

Test(fair_share, nor_a_device_for_the_same_reason)
{
	add(20, "a", "r", "flood", 100);
	add(8, "a", "r", "other", 100);
	expect(9, "1 2 3 4 5 6 7 8 9 ");
}

Test(fair_share, devices_that_have_few_are_alike)
{
	add_at(7, "a", "r", "a", 900);
	add_at(2, "a", "r", "b", 100);
	add_at(9, "a", "r", "b", 100);
	add_at(1, "a", "r", "c", 100);
	expect(9, "1 2 7 9 ");
}

Test(fair_share, bytes_count_beside_the_number)
{
	add(1, "a", "r", "d", 100000);
	add(9, "b", "r", "d", 10);
	expect(3, "1 2 3 ");
}

Test(fair_share, nothing_is_nothing)
{
	expect(1, "");
}
