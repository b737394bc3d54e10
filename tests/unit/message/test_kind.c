#include "message/kind.h"

#include <string.h>

#include <criterion/criterion.h>

/* All kinds, with what the documentation of mappings promises of each.  This is a second list on purpose: a
 * row that is taken out, or a stateful kind that is no longer one, is seen. */
static const struct {
	const char *name;
	enum flow flow;
	bool is_stateful;
} promised[] = {
	{ "telemetry", FLOW_UP, false },
	{ "attributes", FLOW_UP, false },
	{ "event", FLOW_UP, false },
	{ "alarm", FLOW_UP, true },
	{ "presence", FLOW_UP, true },
	{ "raw", FLOW_UP, false },
	{ "command", FLOW_DOWN, true },
	{ "command_reply", FLOW_UP, true },
	{ "config", FLOW_DOWN, true },
	{ "config_reply", FLOW_UP, true },
	{ "attributes_request", FLOW_UP, true },
	{ "attributes_reply", FLOW_DOWN, true },
	{ "request", FLOW_UP, true },
	{ "request_reply", FLOW_DOWN, true },
	{ "claim", FLOW_UP, false },
	{ "provision", FLOW_UP, true },
	{ "provision_reply", FLOW_DOWN, true },
	{ "firmware", FLOW_DOWN, true },
	{ "firmware_chunk_request", FLOW_UP, true },
	{ "firmware_chunk", FLOW_DOWN, true },
	{ "firmware_state", FLOW_UP, false },
	{ "license", FLOW_DOWN, true },
	{ "license_reply", FLOW_UP, false },
	{ "space_info", FLOW_DOWN, true },
	{ "device_info", FLOW_UP, false },
	{ "setting", FLOW_UP, false },
	{ "snapshot_request", FLOW_UP, true },
	{ "limits_request", FLOW_UP, true },
	{ "limits", FLOW_DOWN, true },
	{ "hello", FLOW_UP, false },
	{ "device_change", FLOW_DOWN, true },
};

static const struct kind_info *row(int kind)
{
	return &kind_table[kind];
}

#define EXPECT(kind, condition) cr_expect(condition, "%s", row(kind)->name)

Test(kind, every_kind_of_the_documentation_is_there_and_no_other)
{
	cr_assert_eq(sizeof promised / sizeof promised[0], KINDS);
	for (int k = 0; k < KINDS; k++) {
		cr_expect_str_eq(row(k)->name, promised[k].name);
		EXPECT(k, row(k)->flow == promised[k].flow);
		EXPECT(k, (row(k)->logic == LOGIC_ALWAYS) == promised[k].is_stateful);
	}
}

Test(kind, names_are_found_and_none_is_there_twice)
{
	for (int k = 0; k < KINDS; k++) {
		EXPECT(k, kind_of(row(k)->name) == (enum kind)k);
		cr_expect_str_eq(kind_name((enum kind)k), row(k)->name);
	}
	cr_expect_eq(kind_of("none"), KIND_NONE);
	cr_expect_eq(kind_of(""), KIND_NONE);
	cr_expect_str_eq(kind_name(KIND_NONE), "none");
}

Test(kind, replies_and_requests_name_each_other_and_go_opposite_ways)
{
	for (int k = 0; k < KINDS; k++) {
		enum kind reply = row(k)->reply, request = row(k)->request;

		EXPECT(k, reply == KIND_NONE || request == KIND_NONE);
		if (reply != KIND_NONE) {
			EXPECT(k, row((int)reply)->request == (enum kind)k);
			EXPECT(k, row((int)reply)->flow != row(k)->flow);
		}
		if (request != KIND_NONE)
			EXPECT(k, row((int)request)->reply == (enum kind)k);
	}
}

Test(kind, requests_and_replies_go_before_reports)
{
	for (int k = 0; k < KINDS; k++)
		EXPECT(k, (row(k)->lane == LANE_EXCHANGE) ==
				  (row(k)->reply != KIND_NONE || row(k)->request != KIND_NONE));
}

Test(kind, who_asks_for_a_reply_has_one_and_goes_through_the_logic)
{
	for (int k = 0; k < KINDS; k++) {
		enum kind_asks asks = row(k)->asks;
		bool waits = asks == ASKS_BY_ID || asks == ASKS_IN_TURN;

		EXPECT(k, asks == ASKS_NOTHING || row(k)->logic == LOGIC_ALWAYS);
		EXPECT(k, !waits || row(k)->reply != KIND_NONE);
		EXPECT(k, asks != ASKS_FOR_REPORTS || row(k)->reply == KIND_NONE);
		EXPECT(k, !row(k)->keeps_id || asks == ASKS_BY_ID);
		EXPECT(k, !row(k)->is_one_way || asks == ASKS_BY_ID);
		if (waits)
			EXPECT(k, row((int)row(k)->reply)->logic == LOGIC_ALWAYS);
	}
}

Test(kind, who_waits_for_a_reply_is_told_of_an_error_or_answered_from_the_state)
{
	for (int k = 0; k < KINDS; k++) {
		enum kind_unmatched unmatched = row(k)->unmatched;
		bool waits = row(k)->asks != ASKS_NOTHING;
		enum kind reply = row(k)->reply;

		EXPECT(k,
		       waits == (unmatched == UNMATCHED_ERROR || unmatched == UNMATCHED_OWN_STATE));
		if (unmatched == UNMATCHED_ERROR)
			EXPECT(k, row((int)reply)->error != NULL);
		if (row(k)->error)
			EXPECT(k, row((int)row(k)->request)->unmatched == UNMATCHED_ERROR);
		EXPECT(k, !row(k)->error_has_request || row(k)->error);
		EXPECT(k, !row(k)->has_progress || kind_is_paired_reply((enum kind)k));
	}
}

Test(kind, what_the_bridge_says_by_itself_goes_back_to_who_sent)
{
	for (int k = 0; k < KINDS; k++) {
		enum kind answer = kind_own_answer((enum kind)k);

		EXPECT(k, row(k)->asks == ASKS_NOTHING || answer != KIND_NONE);
		if (answer != KIND_NONE)
			EXPECT(k, row((int)answer)->flow != row(k)->flow);
	}
	cr_expect_eq(kind_own_answer(KIND_LICENSE), KIND_NONE);
	cr_expect_eq(kind_own_answer(KIND_CONFIG), KIND_CONFIG_REPLY);
	cr_expect_eq(kind_own_answer(KIND_SNAPSHOT_REQUEST), KIND_CONFIG);
}

Test(kind, both_halves_of_a_handshake_are_one_and_secret)
{
	for (int k = 0; k < KINDS; k++)
		EXPECT(k, !kind_is_handshake((enum kind)k) || row(k)->has_secrets);
	cr_expect(kind_is_handshake(KIND_PROVISION));
	cr_expect(kind_is_handshake(KIND_PROVISION_REPLY));
	cr_expect_not(kind_is_handshake(KIND_COMMAND));
	cr_expect_not(kind_is_handshake(KIND_TELEMETRY));
	cr_expect(kind_is_paired_reply(KIND_COMMAND_REPLY));
	cr_expect_not(kind_is_paired_reply(KIND_PROVISION_REPLY));
	cr_expect_not(kind_is_paired_reply(KIND_CONFIG_REPLY));
	cr_expect_not(kind_is_paired_reply(KIND_COMMAND));
}

Test(kind, shapes_end_and_ask_for_what_can_be_checked)
{
	for (int k = 0; k < KINDS; k++) {
		const struct field_shape *f = row(k)->fields;

		EXPECT(k, !f[MAX_FIELD_SHAPES].key);
		EXPECT(k, !row(k)->is_any_json || !f->key);
		for (; f->key; f++)
			EXPECT(k, !f->words || f->type == FIELD_STRING);
	}
}
