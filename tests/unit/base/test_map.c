#include <criterion/criterion.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

static int ended;

static void count_end(void *value)
{
	(void)value;
	ended++;
}

Test(map, empty_map_holds_nothing)
{
	struct map m = { 0 };
	struct map_pos pos = { 0 };

	cr_expect_null(map_get_str(&m, "a"));
	cr_expect_null(map_remove_str(&m, "a"));
	cr_expect_null(map_next(&m, &pos));
	map_fini(&m, NULL);
}

Test(map, setting_again_gives_the_old_value_back)
{
	struct map m = { 0 };
	int one, two;

	cr_expect_null(map_set_str(&m, "a", &one));
	cr_expect_eq(map_set_str(&m, "a", &two), &one);
	cr_expect_eq(map_get_str(&m, "a"), &two);
	cr_expect_eq(m.n, 1);
	map_fini(&m, NULL);
}

Test(map, keys_are_bytes_of_a_length)
{
	struct map m = { 0 };
	int one, two, three;

	map_set(&m, "a\0b", 3, &one);
	map_set(&m, "a", 1, &two);
	map_set(&m, "", 0, &three);
	cr_expect_eq(map_get(&m, "a\0b", 3), &one);
	cr_expect_eq(map_get(&m, "a", 1), &two);
	cr_expect_eq(map_get(&m, "", 0), &three);
	cr_expect_null(map_get(&m, "a\0c", 3));
	map_fini(&m, NULL);
}

Test(map, many_keys_come_and_go)
{
	enum { N = 20000, LIVE = 500 };
	struct map m = { 0 };
	static int values[N];

	for (uint32_t i = 0; i < N; i++) {
		map_set(&m, &i, sizeof i, &values[i]);
		if (i >= LIVE) {
			uint32_t old = i - LIVE;

			cr_assert_eq(map_remove(&m, &old, sizeof old), &values[old]);
			cr_assert_null(map_get(&m, &old, sizeof old));
		}
	}
	cr_expect_eq(m.n, LIVE);
	for (uint32_t i = N - LIVE; i < N; i++)
		cr_assert_eq(map_get(&m, &i, sizeof i), &values[i]);
	ended = 0;
	map_fini(&m, count_end);
	cr_expect_eq(ended, LIVE);
	cr_expect_eq(m.n, 0);
}

Test(map, walk_sees_each_value_once_though_it_is_removed)
{
	struct map m = { 0 };
	struct map_pos pos = { 0 };
	static int seen[100];
	char key[16];
	int *value;

	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "key %d", i);
		map_set_str(&m, key, &seen[i]);
	}
	while ((value = map_next(&m, &pos))) {
		snprintf(key, sizeof key, "key %d", (int)(value - seen));
		++*value;
		if ((value - seen) % 2 == 0)
			map_remove_str(&m, key);
	}
	for (int i = 0; i < 100; i++)
		cr_expect_eq(seen[i], 1, "value %d", i);
	cr_expect_eq(m.n, 50);
	map_fini(&m, NULL);
}
