#include "link/retained.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(retained, topics_are_remembered_up_to_a_number)
{
	static struct retained r;
	char topic[16];

	cr_expect_not(retained_has(&r, "a"));
	retained_note(&r, "a");
	retained_note(&r, "a");
	cr_expect_eq(r.n, 1);
	cr_expect(retained_has(&r, "a"));
	cr_expect_not(retained_has(&r, "b"));
	for (int i = 0; i < RETAINED_MAX; i++) {
		snprintf(topic, sizeof topic, "t/%d", i);
		retained_note(&r, topic);
	}
	cr_expect_eq(r.n, RETAINED_MAX);
	cr_expect_not(retained_has(&r, "a"), "the oldest went");
	cr_expect(retained_has(&r, "t/0"));
	cr_expect(retained_has(&r, topic));
}
