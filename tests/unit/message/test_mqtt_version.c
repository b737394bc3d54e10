#include "message/mqtt_version.h"

#include <criterion/criterion.h>

static struct mqtt_version *v;

static void set_up(void)
{
	v = mqtt_version_new("h", 1883, 0);
}

static void tear_down(void)
{
	mqtt_version_free(v);
}

TestSuite(mqtt_version, .init = set_up, .fini = tear_down);

#define expect_next(version, now_ms) cr_expect_eq(mqtt_version_next(v, now_ms), version)

static void get_in_with_3_1_1(int64_t now_ms)
{
	expect_next(5, now_ms);
	mqtt_version_refused(v);
	expect_next(4, now_ms);
	mqtt_version_logged_in(v, now_ms);
}

Test(mqtt_version, fixed_ones_stay)
{
	for (int fixed = 4; fixed <= 5; fixed++) {
		struct mqtt_version *f = mqtt_version_new("h", 1883, fixed);

		cr_expect_eq(mqtt_version_next(f, 0), fixed);
		mqtt_version_refused(f);
		for (int i = 0; i < 9; i++) {
			mqtt_version_silent(f, i);
			mqtt_version_malformed(f);
		}
		cr_expect_eq(mqtt_version_next(f, 10), fixed);
		mqtt_version_free(f);
	}
}

Test(mqtt_version, a_server_that_refuses_5_gets_3_1_1_and_that_is_remembered_once_it_got_in)
{
	expect_next(5, 0);
	mqtt_version_refused(v);
	expect_next(4, 1);
	expect_next(5, 2); /* 3.1.1 did not get in either */
	get_in_with_3_1_1(3);
	expect_next(4, 4);
	expect_next(4, 3 + MQTT_VERSION_AGAIN_MS - 1);
	expect_next(5, 3 + MQTT_VERSION_AGAIN_MS);
	mqtt_version_logged_in(v, 4 + MQTT_VERSION_AGAIN_MS);
	expect_next(5, 5 + MQTT_VERSION_AGAIN_MS);
}

Test(mqtt_version, what_is_known_of_an_endpoint_is_for_all_its_sessions)
{
	struct mqtt_version *same = mqtt_version_new("h", 1883, 0);
	struct mqtt_version *other = mqtt_version_new("h", 1884, 0);

	get_in_with_3_1_1(0);
	cr_expect_eq(mqtt_version_next(same, 1), 4);
	cr_expect_eq(mqtt_version_next(other, 1), 5);
	mqtt_version_free(same);
	mqtt_version_free(other);
}

static void get_no_answer(int64_t from_ms, int64_t to_ms)
{
	expect_next(5, from_ms);
	mqtt_version_silent(v, to_ms);
}

Test(mqtt_version, two_closes_within_ten_seconds_are_an_answer)
{
	get_no_answer(0, 0);
	get_no_answer(10001, 10001); /* too late to count with the first */
	get_no_answer(12000, 12000);
	expect_next(4, 12500);
	mqtt_version_silent(v, 12600); /* that says nothing of 5 */
	get_no_answer(13000, 13000);
	expect_next(5, 13001);
}

Test(mqtt_version, a_server_that_lets_each_login_wait_is_given_the_time)
{
	get_no_answer(0, 15000);
	get_no_answer(16000, 31000);
	expect_next(4, 33000);
}

Test(mqtt_version, with_long_pauses_3_1_1_has_its_turn_too)
{
	for (int i = 0; i < 4; i++)
		get_no_answer(i * 60000, i * 60000);
	expect_next(4, 4 * 60000);
	for (int i = 5; i < 9; i++)
		get_no_answer(i * 60000, i * 60000);
	expect_next(4, 9 * 60000);
}

Test(mqtt_version, an_answer_in_between_parts_two_closes)
{
	get_no_answer(0, 0);
	expect_next(5, 1000);
	mqtt_version_answered(v);
	get_no_answer(2000, 2000);
	expect_next(5, 3000);
	mqtt_version_silent(v, 3000);
	expect_next(4, 4000);
}

Test(mqtt_version, a_login_that_is_refused_changes_nothing)
{
	for (int i = 0; i < 9; i++)
		expect_next(5, i * 100);
}

Test(mqtt_version, five_malformed_packets_are_enough)
{
	for (int i = 0; i < 5; i++) {
		expect_next(5, i);
		mqtt_version_logged_in(v, i);
		mqtt_version_malformed(v);
	}
	expect_next(4, 10);
	mqtt_version_logged_in(v, 10);
	expect_next(4, 11 + 2 * MQTT_VERSION_AGAIN_MS);
}
