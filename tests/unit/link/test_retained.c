#include "link/retained.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(retained, topics_are_remembered_up_to_a_number)
{
	static struct retained r;
	char topic[16];

	cr_expect_not(retained_has(&r, NULL, "a"));
	retained_note(&r, NULL, "a");
	retained_note(&r, NULL, "a");
	cr_expect_eq(r.n, 1);
	cr_expect(retained_has(&r, NULL, "a"));
	cr_expect_not(retained_has(&r, NULL, "b"));
	for (int i = 0; i < RETAINED_MAX; i++) {
		snprintf(topic, sizeof topic, "t/%d", i);
		retained_note(&r, NULL, topic);
	}
	cr_expect_eq(r.n, RETAINED_MAX);
	cr_expect_not(retained_has(&r, NULL, "a"), "the oldest went");
	cr_expect(retained_has(&r, NULL, "t/0"));
	cr_expect(retained_has(&r, NULL, topic));
}

Test(retained, a_topic_of_one_session_is_not_anothers)
{
	static struct retained r;

	retained_note(&r, "a", "t");
	cr_expect(retained_has(&r, "a", "t"));
	cr_expect_not(retained_has(&r, "b", "t"));
	cr_expect_not(retained_has(&r, NULL, "t"));
	cr_expect_not(retained_has(&r, NULL, "ta"));
}
