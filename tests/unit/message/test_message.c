#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "message/message.h"

Test(message, an_empty_payload_is_null)
{
	struct message m = { 0 };

	message_set_payload(&m, "ab", 2);
	cr_expect_str_eq(m.payload, "ab");
	message_set_payload(&m, "", 0);
	cr_expect_null(m.payload);
	cr_expect_eq(m.payload_len, 0);
	message_fini(&m);
}

Test(message, a_payload_may_be_cut_out_of_itself)
{
	struct message m = { 0 };

	message_set_payload(&m, "abcdef", 6);
	message_set_payload(&m, m.payload + 2, 3);
	cr_expect_str_eq(m.payload, "cde");
	message_fini(&m);
}

Test(message, a_copy_has_everything)
{
	struct message m = { .topic = mem_strdup("a/b"), .qos = 1, .retain = true }, copy;

	message_set_payload(&m, "a\0b", 3);
	vars_add(&m.properties, "p", "1");
	vars_add(&m.properties, "p", "2");
	m.response_topic = mem_strdup("r");
	m.correlation = mem_dup("\0c", 2);
	m.correlation_len = 2;
	message_copy(&copy, &m);
	message_fini(&m);
	cr_expect_null(m.topic);
	cr_expect_str_eq(copy.topic, "a/b");
	cr_expect_eq(copy.payload_len, 3);
	cr_expect_eq(memcmp(copy.payload, "a\0b", 4), 0, "a NUL is behind it");
	cr_expect_eq(copy.qos, 1);
	cr_expect(copy.retain);
	cr_expect_eq(copy.properties.n, 2);
	cr_expect_str_eq(copy.response_topic, "r");
	cr_expect_eq(copy.correlation_len, 2);
	cr_expect_eq(memcmp(copy.correlation, "\0c", 2), 0);
	message_fini(&copy);
}

Test(message, all_that_it_holds_counts_for_its_size)
{
	struct message m = { .topic = mem_strdup("a") };
	size_t before = message_size(&m), with_payload, with_property, with_response;

	message_set_payload(&m, "0123456789", 10);
	with_payload = message_size(&m);
	vars_add(&m.properties, "name", "value");
	with_property = message_size(&m);
	m.response_topic = mem_strdup("0123456789");
	with_response = message_size(&m);
	cr_expect_geq(before, sizeof m + 1);
	cr_expect_eq(with_payload, before + 10);
	cr_expect_geq(with_property, with_payload + 9);
	cr_expect_eq(with_response, with_property + 10);
	message_fini(&m);
}

Test(message, a_packet_is_as_long_as_mqtt_says)
{
	struct message m = { .topic = mem_strdup("v1/devices/me/attributes"), .qos = 1 };

	/* What ThingsBoard takes at most: 65,536 bytes. */
	m.payload_len = 65508;
	cr_expect_eq(message_packet_bytes(&m, 4), 65536);
	m.payload_len = 65507;
	cr_expect_eq(message_packet_bytes(&m, 5), 65536);
	m.qos = 0;
	cr_expect_eq(message_packet_bytes(&m, 5), 65534);
	m.payload_len = 0;
	vars_add(&m.properties, "name", "value"); /* 1 + 2 + 4 + 2 + 5 */
	cr_expect_eq(message_packet_bytes(&m, 4), 26);
	cr_expect_eq(message_packet_bytes(&m, 5), 26 + 1 + 14);
	m.response_topic = mem_strdup("r/t");
	m.correlation_len = 4;
	m.expiry_s = 9;
	cr_expect_eq(message_packet_bytes(&m, 5), 26 + 1 + 14 + 6 + 7 + 5);
	m.correlation_len =
		99; /* 127 bytes of properties have a length of one byte, more have one of two */
	cr_expect_eq(message_packet_bytes(&m, 5), 26 + 1 + 127);
	m.correlation_len = 100;
	cr_expect_eq(message_packet_bytes(&m, 5), 26 + 2 + 128);
	message_fini(&m);
}
