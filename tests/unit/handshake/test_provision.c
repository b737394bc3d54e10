#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "handshake/provision.h"

static struct provisions *table;
static struct changes changed; /* of all steps since the start */
static struct provision_actions acts;
static bool is_named;
static struct provision_terms terms; /* a link of many devices, by default */
static uint64_t asked; /* the session that was given a question last, or is to try a login */

static void set_up(void)
{
	table = provisions_new();
	is_named = true;
	terms = (struct provision_terms){ .device = "d" };
}

static void tear_down(void)
{
	provisions_free(table);
	changes_fini(&changed);
	provision_actions_fini(&acts);
}

TestSuite(provision, .init = set_up, .fini = tear_down);

static bool is_last_word(size_t i)
{
	for (size_t k = i + 1; k < changed.n; k++)
		if (strcmp(changed.items[k].key, changed.items[i].key) == 0)
			return false;
	return changed.items[i].value != NULL;
}

static size_t rows(const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < changed.n; i++)
		n += is_last_word(i) && strncmp(changed.items[i].key, prefix, strlen(prefix)) == 0;
	return n;
}

static void restart(void)
{
	provisions_free(table);
	table = provisions_new();
	for (size_t i = 0; i < changed.n; i++) {
		struct err e = { 0 };

		cr_expect_str_eq(changed.items[i].machine, "provision");
		cr_expect(changed.items[i].is_secret || !changed.items[i].value);
		if (is_last_word(i))
			cr_assert(provisions_restore(table, changed.items[i].key,
						     changed.items[i].value, &e),
				  "%s", e.text);
	}
}

/* "ASK a", "ANSWER a SUCCESS 1", "LOGIN a", "CLOSE", in one line: device, status and id of the request. */
static void expect_acts(const char *expected)
{
	static const char *const names[] = { "ASK", "ANSWER", "LOGIN", "TRY", "CLOSE", "DISTRUST" };
	struct buf got = { 0 };

	for (size_t i = 0; i < acts.n; i++) {
		const struct provision_action *a = &acts.items[i];
		struct buf status = { 0 };
		struct jslice v;

		buf_printf(&got, "%s%s", i ? ", " : "", names[a->act]);
		if (a->act != PROVISION_CLOSE && a->act != PROVISION_DISTRUST)
			buf_printf(&got, " %s", a->message.device);
		if (a->act == PROVISION_ANSWER) {
			cr_expect_eq(a->message.kind, KIND_PROVISION_REPLY);
			cr_expect_eq(a->request.kind, KIND_PROVISION);
			cr_expect(jtext_field(canonical_body(&a->message), "status", &v));
			jtext_string_decode(v, &status);
			buf_printf(&got, " %s", buf_str(&status));
		}
		if (a->act == PROVISION_ANSWER)
			buf_printf(&got, " %s", a->request.id);
		if (a->act == PROVISION_ASK)
			buf_printf(&got, " %s", a->message.id ? a->message.id : "-");
		buf_fini(&status);
	}
	cr_expect_str_eq(buf_str(&got), expected);
	buf_fini(&got);
	provision_actions_fini(&acts);
}

static void note_asked(void)
{
	for (size_t i = 0; i < acts.n; i++)
		if (acts.items[i].act == PROVISION_ASK || acts.items[i].act == PROVISION_TRY)
			asked = acts.items[i].session;
}

static void expire(int64_t now_ms)
{
	terms.now_ms = now_ms;
	provisions_expire(table, &terms, &changed, &acts);
	note_asked();
}

static void resume(int64_t deadline_ms)
{
	terms.timeout_ms = deadline_ms - terms.now_ms;
	provisions_resume(table, &terms, &changed, &acts);
	note_asked();
}

static void ask_body(const char *device, const char *body, int number, int64_t deadline_ms)
{
	char *id = mem_printf("%d", number);
	struct canonical p = { .id = id,
			       .kind = KIND_PROVISION,
			       .device = (char *)device,
			       .body = (char *)body,
			       .body_len = strlen(body) };

	terms.timeout_ms = deadline_ms - terms.now_ms;
	provisions_request(table, &terms,
			   &(struct provision_question){
				   .request = &p, .is_named = is_named, .south_device_id = "uuid" },
			   &changed, &acts);
	note_asked();
	free(id);
}

static void ask(const char *device, const char *name, int number, int64_t deadline_ms)
{
	char *body = mem_printf("{\"device_name\":\"%s\",\"provision_key\":\"k\"}", name);

	ask_body(device, body, number, deadline_ms);
	free(body);
}

static struct jslice slice(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

static bool reply_over(uint64_t session, const char *body)
{
	bool is_taken =
		provisions_reply(table, &terms, session, slice(body), &changed, &acts, NULL);

	note_asked();
	return is_taken;
}

/* Over the session that was given a question last. */
static bool reply(const char *body)
{
	return reply_over(asked, body);
}

/* What an earlier run received. */
static bool heard(const char *body)
{
	return reply_over(PROVISION_NO_SESSION, body);
}

static void reply_token(const char *token)
{
	char *body = mem_printf("{\"status\":\"SUCCESS\",\"token\":\"%s\"}", token);

	cr_expect(reply(body));
	free(body);
}

static void expect_credentials(const char *device, const char *expected)
{
	const struct provision_terms of = { .device = device };
	struct jslice v = provisions_credentials(table, &of);
	char *got = mem_strndup(v.len ? v.text : "", v.len);

	cr_expect_str_eq(got, expected);
	free(got);
}

#define TOKEN(t)                                                                                   \
	"{\"status\":\"SUCCESS\",\"token\":\"" t                                                   \
	"\",\"device_id\":\"uuid\",\"credentials_type\":\"ACCESS_TOKEN\"}"

Test(provision, success_is_stored_then_logs_in_and_answers)
{
	ask("d", "D", 7, 100);
	cr_expect_str_eq(acts.items[0].message.body,
			 "{\"device_name\":\"D\",\"provision_key\":\"k\"}");
	expect_acts("ASK d 7");
	cr_expect_eq(rows("open/"), 1);
	reply_token("T");
	cr_expect_str_eq(acts.items[0].message.body, TOKEN("T"));
	cr_expect_str_eq(acts.items[1].message.body, TOKEN("T"));
	expect_acts("LOGIN d, ANSWER d SUCCESS 7, CLOSE");
	cr_expect_eq(rows("open/"), 0);
	cr_expect_eq(rows("issued/"), 1);
	expect_credentials("d", TOKEN("T"));
	expect_credentials("other", "");
}

Test(provision, answer_carries_the_request_and_its_topic)
{
	struct canonical p = { .kind = KIND_PROVISION,
			       .device = (char *)"d",
			       .id = (char *)"3",
			       .body = (char *)"{}",
			       .body_len = 2 };

	provisions_request(
		table, &terms,
		&(struct provision_question){ &p, true, NULL, "/provision/response", NULL, false },
		&changed, &acts);
	note_asked();
	provision_actions_fini(&acts);
	reply_token("T");
	cr_assert_eq(acts.n, 3);
	cr_expect_str_eq(acts.items[1].reply_topic, "/provision/response");
	cr_expect_str_eq(acts.items[1].request.body, "{}");
	cr_expect_str_eq(acts.items[1].message.id, "3");
}

Test(provision, what_the_north_says_is_kept_and_what_it_leaves_out_is_filled_in)
{
	static const struct {
		const char *north, *answer;
	} cases[] = {
		{ "{\"status\":\"SUCCESS\",\"token\":\"a\"}", TOKEN("a") },
		{ "{\"device_id\":null,\"credentials_type\":null,\"status\":\"SUCCESS\","
		  "\"token\":\"a\"}",
		  TOKEN("a") },
		{ "{\"status\":\"SUCCESS\",\"device_id\":\"x\",\"credentials_type\":\"T\","
		  "\"token\":\"a\"}",
		  "{\"status\":\"SUCCESS\",\"device_id\":\"x\",\"credentials_type\":\"T\","
		  "\"token\":\"a\"}" },
		{ "{\"status\":\"SUCCESS\",\"username\":\"u\",\"n\":1.50}",
		  "{\"status\":\"SUCCESS\",\"username\":\"u\",\"n\":1.50,\"device_id\":\"uuid\"}" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char name[8];

		snprintf(name, sizeof name, "D%zu", i);
		ask(name, name, 1, 100);
		provision_actions_fini(&acts);
		cr_expect(reply(cases[i].north));
		cr_expect_str_eq(acts.items[1].message.body, cases[i].answer, "case %zu", i);
		expect_credentials(name, cases[i].answer);
		provision_actions_fini(&acts);
		provisions_free(table);
		table = provisions_new();
	}
}

Test(provision, refusal_goes_back_as_it_came_and_is_not_stored)
{
	static const char *const bodies[] = {
		"{\"status\":\"NOT_FOUND\",\"message\":\"Provision data was not found!\"}",
		"{\"status\":\"FAILURE\",\"message\":\"no\"}",
	};

	for (size_t i = 0; i < 2; i++) {
		ask("d", "D", 7, 100);
		expect_acts("ASK d 7");
		cr_expect(reply(bodies[i]));
		cr_expect_str_eq(acts.items[0].message.body, bodies[i]);
		expect_acts(i ? "ANSWER d FAILURE 7, CLOSE" : "ANSWER d NOT_FOUND 7, CLOSE");
		cr_expect_eq(rows(""), 0);
		expect_credentials("d", "");
	}
}

Test(provision, one_handshake_at_a_time_in_the_order_asked)
{
	ask("a", "A", 1, 100);
	ask("b", "B", 2, 100);
	ask("c", "C", 3, 100);
	expect_acts("ASK a 1");
	reply_token("ta");
	expect_acts("LOGIN a, ANSWER a SUCCESS 1, ASK b 2");
	cr_expect(reply("{\"status\":\"FAILURE\"}"));
	expect_acts("ANSWER b FAILURE 2, ASK c 3");
	reply_token("tc");
	expect_acts("LOGIN c, ANSWER c SUCCESS 3, CLOSE");
	expect_credentials("a", TOKEN("ta"));
	expect_credentials("b", "");
	expect_credentials("c", TOKEN("tc"));
}

Test(provision, asked_again_while_in_hand_joins)
{
	ask("a", "A", 1, 100);
	ask("b", "B", 2, 100);
	ask("a", "A", 3, 100);
	ask("b", "B", 4, 100);
	expect_acts("ASK a 1");
	reply_token("ta");
	expect_acts("LOGIN a, ANSWER a SUCCESS 1, ANSWER a SUCCESS 3, ASK b 2");
	reply_token("tb");
	expect_acts("LOGIN b, ANSWER b SUCCESS 2, ANSWER b SUCCESS 4, CLOSE");
}

Test(provision, asked_again_later_gets_the_same_answer)
{
	ask("a", "A", 1, 100);
	reply_token("ta");
	provision_actions_fini(&acts);
	for (int i = 0; i < 2; i++) {
		ask("a", "A", 5, 200);
		cr_expect_str_eq(acts.items[0].message.body, TOKEN("ta"));
		expect_acts("ANSWER a SUCCESS 5");
		restart();
	}
	cr_expect_eq(provisions_next_deadline(table), INT64_MAX);
}

Test(provision, other_keys_under_the_same_name_are_for_the_north_to_judge)
{
	ask("a", "A", 1, 100);
	reply_token("ta");
	provision_actions_fini(&acts);
	ask_body("a", "{\"device_name\":\"A\",\"provision_key\":\"guessed\"}", 2, 100);
	expect_acts("ASK a 2");
	cr_expect(reply("{\"status\":\"FAILURE\"}"));
	expect_acts("ANSWER a FAILURE 2, CLOSE");
	ask("a", "A", 3, 100);
	expect_acts("ANSWER a SUCCESS 3");
}

Test(provision, device_without_a_name_is_known_by_its_device)
{
	ask_body("a", "{}", 1, 100);
	reply_token("ta");
	provision_actions_fini(&acts);
	ask_body("a", "{\"device_name\":null}", 2, 100);
	expect_acts("ANSWER a SUCCESS 2");
	ask_body("b", "{\"device_name\":\"\"}", 3, 100);
	expect_acts("ASK b 3");
}

Test(provision, refused_login_makes_the_next_request_ask_again)
{
	ask("a", "A", 1, 100);
	reply_token("old");
	provision_actions_fini(&acts);
	terms.device = "nobody";
	provisions_refused(table, &terms, &changed);
	terms.device = "a";
	provisions_refused(table, &terms, &changed);
	for (int i = 0; i < 2; i++) {
		size_t before = changed.n;

		restart();
		provisions_refused(table, &terms, &changed);
		cr_expect_eq(changed.n, before, "told twice is written once");
		expect_credentials("a", TOKEN("old"));
		ask("a", "A", 2, 200);
		expect_acts("ASK a 2");
		cr_expect(reply(i ? "{\"status\":\"SUCCESS\",\"token\":\"new\"}"
				  : "{\"status\":\"FAILURE\"}"));
		provision_actions_fini(&acts);
	}
	expect_credentials("a", TOKEN("new"));
	ask("a", "A", 3, 200);
	expect_acts("ANSWER a SUCCESS 3");
}

Test(provision, credentials_of_a_device_are_the_latest_issued)
{
	ask("d", "B", 1, 100);
	reply_token("b");
	ask("d", "A", 2, 100);
	reply_token("a");
	provision_actions_fini(&acts);
	expect_credentials("d", TOKEN("a"));
	restart();
	expect_credentials("d", TOKEN("a"));
}

Test(provision, reply_that_nobody_asked_for_is_not_found)
{
	struct err e = { 0 };
	const char *body = "{\"status\":\"SUCCESS\",\"token\":\"x\"}";

	cr_expect_not(provisions_reply(table, &terms, asked, (struct jslice){ body, strlen(body) },
				       &changed, &acts, &e));
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	expect_acts("");
}

Test(provision, unreadable_reply_leaves_the_handshake_in_hand)
{
	ask("a", "A", 1, 100);
	provision_actions_fini(&acts);
	cr_expect_not(reply("[]"));
	cr_expect_not(reply("{}"));
	expect_acts("");
	reply_token("t");
	expect_acts("LOGIN a, ANSWER a SUCCESS 1, CLOSE");
}

Test(provision, handshake_in_time_does_not_expire)
{
	ask("a", "A", 1, 100);
	provision_actions_fini(&acts);
	cr_expect_eq(provisions_next_deadline(table), 100);
	expire(99);
	expect_acts("");
}

Test(provision, timeout_is_answered_and_the_session_closed)
{
	ask("a", "A", 1, 100);
	ask("a", "A", 2, 150);
	provision_actions_fini(&acts);
	expire(100);
	cr_expect_str_eq(acts.items[0].message.body,
			 "{\"status\":\"FAILURE\",\"message\":\"timeout\"}");
	expect_acts("ANSWER a FAILURE 1, ANSWER a FAILURE 2, CLOSE");
	cr_expect_eq(rows(""), 0);
	cr_expect_not(reply("{\"status\":\"SUCCESS\",\"token\":\"late\"}"));
	expire(1000);
	expect_acts("");
	ask("a", "A", 3, 2000);
	expect_acts("ASK a 3");
}

Test(provision, next_question_after_a_timeout_goes_over_a_new_session)
{
	ask("a", "A", 1, 100);
	ask("b", "B", 2, 100);
	provision_actions_fini(&acts);
	expire(100);
	expect_acts("ANSWER a FAILURE 1, CLOSE, ASK b 2");
	reply_token("t");
	expect_acts("LOGIN b, ANSWER b SUCCESS 2, CLOSE");
}

Test(provision, time_of_who_waits_runs_from_its_own_question)
{
	ask("a", "A", 1, 100);
	terms.now_ms = 90;
	ask("b", "B", 2, 190);
	provision_actions_fini(&acts);
	cr_expect_eq(provisions_next_deadline(table), 100);
	expire(100);
	cr_expect_eq(provisions_next_deadline(table), 200);
	provision_actions_fini(&acts);
	expire(199);
	expect_acts("");
	expire(200);
	expect_acts("ANSWER b FAILURE 2, CLOSE");
}

Test(provision, more_than_a_thousand_do_not_wait)
{
	char name[16];

	for (int i = 0; i < 1001; i++) { /* one in hand, 1000 wait */
		snprintf(name, sizeof name, "N%d", i);
		ask("d", name, 1, 100);
	}
	expect_acts("ASK d 1");
	ask("d", "last", 9, 100);
	expect_acts("ANSWER d FAILURE 9");
	reply_token("t");
	expect_acts("LOGIN d, ANSWER d SUCCESS 1, ASK d 1");
	ask("d", "last", 9, 200);
	expect_acts("");
	cr_expect_eq(rows("open/"), 1001);
}

static const char *asker; /* of the next ask_as() */

static void ask_as(const char *name, int id)
{
	char *text = mem_printf("%d", id), *body = mem_printf("{\"device_name\":\"%s\"}", name);
	struct canonical p = {
		.kind = KIND_PROVISION,
		.device = (char *)"d",
		.id = text,
		.body = body,
		.body_len = strlen(body),
	};

	terms.timeout_ms = 100;
	provisions_request(
		table, &terms,
		&(struct provision_question){ .request = &p, .is_named = true, .asker = asker },
		&changed, &acts);
	note_asked();
	free(text);
	free(body);
}

/* Under as many names as it likes. */
Test(provision, one_asker_does_not_fill_the_queue)
{
	char name[16];

	asker = "flood";
	for (int i = 0; i < 20000; i++) { /* one in hand, ten wait */
		snprintf(name, sizeof name, "N%d", i);
		ask_as(name, i);
		if (i == 0)
			expect_acts("ASK d 0");
		else if (i > 10)
			cr_assert_eq(acts.n, 1);
		provision_actions_fini(&acts);
	}
	cr_expect_eq(rows("open/"), 11);
	asker = "other";
	ask_as("O", 1);
	expect_acts("");
	cr_expect_eq(rows("open/"), 12);
}

Test(provision, nor_does_one_name)
{
	asker = NULL;
	for (int i = 0; i < 11; i++)
		ask_as("A", i);
	expect_acts("ASK d 0");
	ask_as("A", 11);
	expect_acts("ANSWER d FAILURE 11");
	ask_as("B", 12);
	expect_acts("");
	reply_token("t"); /* all who wait for it have it */
	cr_expect_eq(acts.n, 13);
	cr_expect_eq(rows("open/"), 1);
	provision_actions_fini(&acts);
}

/* 20,000 strangers, each under a name of its own; the device that was here before needs new credentials. */
Test(provision, who_was_here_before_does_not_wait_behind_strangers)
{
	char name[16];

	asker = NULL;
	ask_as("known", 1);
	reply_token("t");
	provision_actions_fini(&acts);
	terms.device = "d";
	provisions_refused(table, &terms, &changed);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "N%d", i);
		ask_as(name, i);
		provision_actions_fini(&acts);
	}
	cr_expect_eq(rows("open/"), 1001);
	ask_as("known", 7);
	expect_acts("ANSWER d FAILURE 1000"); /* to the stranger that came last */
	cr_expect_eq(rows("open/"), 1001);
	restart();
	resume(1000);
	expect_acts("ASK d 7");
	reply_token("t2");
	expect_acts("LOGIN d, ANSWER d SUCCESS 7, ASK d 0");
}

Test(provision, restart_asks_again_in_order_and_answers)
{
	struct canonical p = { .kind = KIND_PROVISION,
			       .device = (char *)"b",
			       .id = (char *)"2",
			       .body = (char *)"{\"device_name\":\"B\"}",
			       .body_len = 19 };

	ask("z", "Z", 1, 100);
	reply_token("z");
	ask("a", "A", 1, 100);
	provisions_request(table, &terms,
			   &(struct provision_question){ &p, true, NULL, "topic", "b-id", false },
			   &changed, &acts);
	note_asked();
	ask("a", "A", 3, 100);
	provision_actions_fini(&acts);
	restart();
	expect_credentials("z", TOKEN("z"));
	cr_expect_eq(provisions_next_deadline(table), INT64_MAX);
	resume(500);
	expect_acts("ASK a 1");
	cr_expect_eq(provisions_next_deadline(table), 500);
	reply_token("a");
	expect_acts("LOGIN a, ANSWER a SUCCESS 1, ANSWER a SUCCESS 3, ASK b 2");
	ask("c", "C", 4, 600);
	reply_token("b");
	cr_expect_str_eq(acts.items[1].reply_topic, "topic");
	cr_expect_str_eq(acts.items[1].message.body,
			 "{\"status\":\"SUCCESS\",\"token\":\"b\",\"device_id\":\"b-id\","
			 "\"credentials_type\":\"ACCESS_TOKEN\"}");
	expect_acts("LOGIN b, ANSWER b SUCCESS 2, ASK c 4");
	cr_expect_eq(rows("open/"), 1);
}

Test(provision, resume_with_nothing_open_does_nothing)
{
	resume(500);
	expect_acts("");
}

/* --- answers that are lost ----------------------------------------------------------------- */

/* The token in the last action's body. */
static void take_token(char token[33])
{
	struct buf text = { 0 };
	struct jslice v;

	cr_assert(acts.n > 0 &&
		  jtext_field(canonical_body(&acts.items[acts.n - 1].message), "token", &v));
	jtext_string_decode(v, &text);
	snprintf(token, 33, "%s", buf_str(&text));
	buf_fini(&text);
}

/* The question is written as it is. */
static void written(void)
{
	provisions_written(table, asked, canonical_body(&acts.items[acts.n - 1].message));
	provision_actions_fini(&acts);
}

#define FAILED "{\"status\":\"FAILURE\",\"message\":\"taken\"}"

Test(provision, a_token_is_chosen_and_sealed_before_it_is_asked_for)
{
	char token[33], other[33];

	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	take_token(token);
	cr_expect_eq(
		strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
		32);
	cr_expect_eq(rows("asked/"), 1);
	for (size_t i = 0; i < changed.n; i++)
		cr_expect(!changed.items[i].value || changed.items[i].is_secret);
	reply_token("theirs"); /* wins */
	expect_credentials("a", TOKEN("theirs"));
	cr_expect_eq(rows("asked/"), 0);
	provision_actions_fini(&acts);
	ask("b", "B", 1, 100);
	take_token(other);
	cr_expect_str_neq(token, other);
}

/* Was it asked again, there would be two answers, and the second would be taken for that to the next question. */
Test(provision, an_answer_of_an_earlier_run_is_heard_before_its_question_is_asked_again)
{
	ask("a", "A", 1, 100);
	written();
	ask("b", "B", 2, 100);
	expect_acts("");
	restart();
	provisions_hear(table);
	cr_expect(heard(TOKEN("theirs")));
	expect_credentials("a", TOKEN("theirs"));
	expect_acts("LOGIN a, ANSWER a SUCCESS 1");
	resume(200);
	expect_acts("ASK b 2");
}

Test(provision, what_an_earlier_run_asked_is_asked_again_if_that_was_no_answer)
{
	provisions_hear(table); /* nothing is open */
	ask("a", "A", 1, 100);
	expect_acts("");
	resume(100);
	written();
	restart();
	provisions_hear(table);
	cr_expect_not(heard("{}"));
	resume(200);
	expect_acts("ASK a 1");
	cr_expect_eq(provisions_next_deadline(table), 200);
}

Test(provision, request_with_credentials_of_its_own_is_left_alone)
{
	static const char *const bodies[] = {
		"{\"device_name\":\"A\",\"token\":\"mine\"}",
		"{\"device_name\":\"A\",\"credentials_type\":\"MQTT_BASIC\"}",
		"{\"device_name\":\"A\",\"username\":\"u\",\"password\":\"p\"}",
		"{\"device_name\":\"A\",\"certificate\":\"c\"}",
	};

	terms.chooses_token = true;
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		ask_body("a", bodies[i], 1, 100);
		cr_expect_str_eq(acts.items[0].message.body, bodies[i]);
		reply(FAILED);
		provision_actions_fini(&acts);
	}
}

Test(provision, failure_after_a_lost_answer_is_tried_by_logging_in)
{
	char token[33], again[33];
	char *issued;

	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	take_token(token);
	written();
	expire(100); /* the answer is lost */
	expect_acts("ANSWER a FAILURE 1, CLOSE");
	for (int i = 0; i < 2; i++) {
		restart();
		ask("a", "A", 2, 300);
		take_token(again);
		cr_expect_str_eq(again, token);
		written();
		cr_expect(reply(FAILED));
		expect_acts("TRY a");
		cr_expect_not(reply(FAILED));
	}
	cr_expect_eq(provisions_next_deadline(table), 300);
	provisions_tried(table, asked, true);
	cr_expect_eq(provisions_next_deadline(table), 0);
	expire(120);
	expect_acts("LOGIN a, ANSWER a SUCCESS 2, ANSWER a SUCCESS 2, CLOSE");
	issued = mem_printf(
		"{\"status\":\"SUCCESS\",\"credentials_type\":\"ACCESS_TOKEN\",\"token\":"
		"\"%s\",\"device_id\":\"uuid\"}",
		token);
	expect_credentials("a", issued);
	free(issued);
	cr_expect_eq(rows("asked/"), 0);
	cr_expect_eq(rows("open/"), 0);
}

Test(provision, name_of_another_device_stays_a_failure)
{
	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	written();
	provisions_down(table, asked, true); /* it may have arrived, and goes again */
	cr_expect(reply(FAILED));
	expect_acts("TRY a");
	ask("b", "B", 2, 100);
	provisions_tried(table, asked, false);
	expire(50);
	cr_expect_str_eq(acts.items[0].message.body, FAILED);
	expect_acts("ANSWER a FAILURE 1, CLOSE, ASK b 2");
	cr_expect_eq(rows("asked/"), 1, "that of b");
	expect_credentials("a", "");
}

Test(provision, only_a_failure_after_a_question_without_an_answer_is_tried)
{
	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	written();
	cr_expect(reply(FAILED)); /* the first question has its answer */
	expect_acts("ANSWER a FAILURE 1, CLOSE");
	ask("a", "A", 2, 100);
	written();
	cr_expect(reply(FAILED));
	expect_acts("ANSWER a FAILURE 2, CLOSE");
	ask("a", "A", 3, 100);
	written();
	provisions_down(table, asked, true);
	cr_expect(reply("{\"status\":\"NOT_FOUND\"}"));
	expect_acts("ANSWER a NOT_FOUND 3, CLOSE");
	ask("a", "A", 4, 100);
	provisions_down(table, asked, true);
	provisions_written(table, asked,
			   slice("{\"device_name\":\"A\"}")); /* the dialect has no place for it */
	provision_actions_fini(&acts);
	cr_expect(reply(FAILED));
	expect_acts("ANSWER a FAILURE 4, CLOSE");
}

Test(provision, who_knows_the_name_only_is_not_given_what_another_asked_for)
{
	char token[33], other[33];

	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	take_token(token);
	written();
	expire(100);
	provision_actions_fini(&acts);
	ask_body("a", "{\"device_name\":\"A\",\"provision_key\":\"guessed\"}", 2, 300);
	take_token(other);
	cr_expect_str_neq(token, other);
	written();
	cr_expect(reply(FAILED));
	expect_acts("ANSWER a FAILURE 2, CLOSE");
	ask("a", "A", 3, 300);
	take_token(other);
	cr_expect_str_eq(token, other);
}

Test(provision, own_credentials_are_tried_as_well)
{
	static const char body[] = "{\"device_name\":\"A\",\"credentials_type\":\"MQTT_BASIC\","
				   "\"username\":\"u\",\"password\":\"p\"}";

	ask_body("a", body, 1, 100);
	written();
	provisions_down(table, asked, true);
	cr_expect(reply(FAILED));
	cr_expect_str_eq(acts.items[0].message.body,
			 "{\"status\":\"SUCCESS\",\"credentials_type\":\"MQTT_BASIC\",\"username\":"
			 "\"u\",\"password\":\"p\",\"device_id\":\"uuid\"}");
	expect_acts("TRY a");
}

/* The bridge asks by itself, and nobody in the south. */
static void ask_own(const char *device, int64_t deadline_ms)
{
	char *body = mem_printf("{\"device_name\":\"%s\"}", device);
	struct canonical p = { .id = (char *)"1",
			       .kind = KIND_PROVISION,
			       .device = (char *)device,
			       .body = body,
			       .body_len = strlen(body) };

	terms.timeout_ms = deadline_ms - terms.now_ms;
	provisions_request(
		table, &terms,
		&(struct provision_question){
			.request = &p, .is_named = true, .asker = device, .is_own = true },
		&changed, &acts);
	note_asked();
	free(body);
}

static void expect_own_answer(bool is_lost)
{
	cr_assert_eq(acts.items[0].act, PROVISION_ANSWER);
	cr_expect(acts.items[0].is_own);
	cr_expect_eq(acts.items[0].is_lost, is_lost);
}

Test(provision, own_question_says_so_with_its_answer_and_after_a_restart)
{
	terms.chooses_token = true;
	ask_own("d", 100);
	cr_expect(provisions_has_own(table, "d"));
	expect_acts("ASK d 1");
	restart();
	cr_expect(provisions_has_own(table, "d"));
	cr_expect_not(provisions_has_own(table, "e"));
	resume(500);
	expect_acts("ASK d 1");
	cr_expect(reply(FAILED));
	expect_own_answer(
		true); /* an earlier run may have asked, and this question does not say the token */
	cr_expect_eq(provisions_count_own(table), 0);
}

Test(provision, own_question_that_left_without_a_token_and_has_no_answer_is_lost)
{
	ask_own("d", 100);
	provision_actions_fini(&acts);
	provisions_sent(table, asked);
	expire(100);
	expect_own_answer(true);
}

Test(provision, own_question_that_did_not_leave_or_says_the_token_is_not)
{
	ask_own("d", 100);
	provision_actions_fini(&acts);
	expire(100);
	expect_own_answer(false);
	provision_actions_fini(&acts);
	terms.chooses_token = true;
	ask_own("e", 200);
	written();
	provisions_sent(table, asked);
	expire(200);
	expect_own_answer(false);
}

Test(provision, what_the_bridge_was_issued_is_given_to_nobody_who_knows_the_name)
{
	ask_own("d", 100);
	reply_token("T");
	expect_credentials("d", "{\"status\":\"SUCCESS\",\"token\":\"T\",\"credentials_type\":"
				"\"ACCESS_TOKEN\"}");
	provision_actions_fini(&acts);
	ask_body("d", "{\"device_name\":\"d\"}", 2, 200);
	expect_acts("ASK d 2");
}

Test(provision, trial_that_takes_too_long_is_a_timeout_and_may_be_had_again)
{
	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	written();
	provisions_down(table, asked, true);
	cr_expect(reply(FAILED));
	provision_actions_fini(&acts);
	expire(100);
	expect_acts("ANSWER a FAILURE 1, CLOSE");
	provisions_tried(table, asked, true); /* of no handshake any more */
	ask("a", "A", 2, 200);
	written();
	cr_expect(reply(FAILED));
	expect_acts("TRY a");
}

Test(provision, forgotten_name_is_asked_anew)
{
	char token[33], other[33];

	terms.chooses_token = true;
	ask("a", "A", 1, 100);
	take_token(token);
	written();
	expire(100);
	provision_actions_fini(&acts);
	cr_expect(provisions_forget_name(table, &terms, "A", &changed));
	cr_expect_eq(rows(""), 0);
	ask("a", "A", 2, 200);
	take_token(other);
	cr_expect_str_neq(token, other);
}

/* --- a link of one device ------------------------------------------------------------------ */

static void expect_owner(const char *name, bool is_proved)
{
	bool proved;
	const char *owner = provisions_owner(table, &terms, &proved);

	cr_expect_str_eq(owner ? owner : "-", name);
	cr_expect_eq(proved, is_proved);
}

static void expect_login(const char *expected)
{
	struct jslice v = provisions_credentials(table, &terms);
	char *got = mem_strndup(v.len ? v.text : "", v.len);

	cr_expect_str_eq(got, expected);
	free(got);
}

static void accepted(const char *news)
{
	const char *name = provisions_accepted(table, &terms, &changed);

	cr_expect_str_eq(name ? name : "-", news);
}

Test(provision, link_of_one_device_is_the_first_ones_that_logs_in)
{
	terms.is_single = true;
	ask("d", "A", 1, 100);
	expect_owner("-", false);
	reply_token("ta");
	expect_acts("ASK d 1, LOGIN d, ANSWER d SUCCESS 1, CLOSE");
	expect_owner("A", false);
	accepted("A");
	accepted("-");
	for (int i = 0; i < 2; i++) {
		expect_owner("A", true);
		expect_login(TOKEN("ta"));
		ask("d", "evil", 2, 100);
		cr_expect_str_eq(
			acts.items[0].message.body,
			"{\"status\":\"FAILURE\",\"message\":\"another device has this link\"}");
		cr_expect_str_eq(acts.items[0].refusal, "another device has this link");
		expect_acts("ANSWER d FAILURE 2");
		cr_expect_eq(rows("open/"), 0);
		ask("d", "A", 3, 100);
		expect_acts("ANSWER d SUCCESS 3");
		restart();
	}
}

Test(provision, who_waits_behind_the_first_is_refused_when_its_turn_comes)
{
	terms.is_single = true;
	ask("d", "A", 1, 100);
	ask("d", "B", 2, 100);
	ask("d", "A", 3, 100);
	provision_actions_fini(&acts);
	cr_expect(reply("{\"status\":\"FAILURE\"}"));
	expect_acts("ANSWER d FAILURE 1, ANSWER d FAILURE 3, ASK d 2");
	ask("d", "C", 4, 100);
	expect_acts("");
	reply_token("tb");
	expect_acts("LOGIN d, ANSWER d SUCCESS 2, ANSWER d FAILURE 4, CLOSE");
	expect_login(TOKEN("tb"));
}

Test(provision, another_comes_while_the_north_refuses_the_first)
{
	terms.is_single = true;
	ask("d", "A", 1, 100);
	reply_token("ta");
	ask("d", "B", 2, 100);
	expect_acts("ASK d 1, LOGIN d, ANSWER d SUCCESS 1, CLOSE, ANSWER d FAILURE 2");
	provisions_refused(table, &terms, &changed);
	ask("d", "B", 3, 100);
	reply_token("tb");
	expect_acts("ASK d 3, LOGIN d, ANSWER d SUCCESS 3, CLOSE");
	expect_owner("B", false);
	accepted("B");
	provisions_refused(table, &terms, &changed); /* it has been in: the link stays its own */
	ask("d", "A", 4, 100);
	expect_acts("ANSWER d FAILURE 4");
	ask("d", "B", 5, 100);
	expect_acts("ASK d 5");
}

Test(provision, configured_name_is_the_only_one)
{
	terms = (struct provision_terms){ .is_single = true, .name = "N", .device = "d" };
	expect_owner("N", true);
	ask("d", "evil", 1, 100);
	expect_acts("ANSWER d FAILURE 1");
	ask("d", "N", 2, 100);
	reply_token("t");
	expect_acts("ASK d 2, LOGIN d, ANSWER d SUCCESS 2, CLOSE");
	accepted("N");
	ask_body("d", "{}", 3, 100); /* something else says that it is the device */
	expect_acts("ASK d 3");
	terms.name = "M";
	expect_login("");
	expect_owner("M", true);
}

Test(provision, forgotten_name_frees_the_link)
{
	terms.is_single = true;
	cr_expect_not(provisions_forget_name(table, &terms, "A", &changed));
	ask("d", "A", 1, 100);
	reply_token("ta");
	accepted("A");
	provision_actions_fini(&acts);
	cr_expect_not(provisions_forget_name(table, &terms, "B", &changed));
	cr_expect(provisions_forget_name(table, &terms, "A", &changed));
	for (int i = 0; i < 2; i++) {
		expect_owner("-", false);
		expect_login("");
		restart();
		resume(500);
	}
	ask("d", "B", 2, 100);
	reply_token("tb");
	expect_acts("ASK d 2, LOGIN d, ANSWER d SUCCESS 2, CLOSE");
	expect_owner("B", false);
}

#define OLD_ISSUED(number)                                                                         \
	"{\"device\":\"d\",\"number\":" number                                                     \
	",\"refused\":false,\"proof\":{},\"reply\":" TOKEN("t" number) "}"

/* As earlier versions left them: without an owner. */
static void restore_old(void)
{
	static const char *const old[][2] = {
		{ "issued/A", OLD_ISSUED("4") },
		{ "issued/B", OLD_ISSUED("7") },
		{ "open/8", "{\"request\":{\"kind\":\"provision\",\"device\":\"d\",\"id\":8,"
			    "\"body\":{\"device_name\":\"C\"}},\"reply_topic\":null,"
			    "\"south_device_id\":null}" },
		{ "open/9", "{\"request\":{\"kind\":\"provision\",\"device\":\"d\",\"id\":9,"
			    "\"body\":{}},\"reply_topic\":null,\"south_device_id\":null}" },
	};

	terms.is_single = true;
	for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
		cr_assert(provisions_restore(table, old[i][0], old[i][1], NULL), "%zu", i);
}

Test(provision, old_rows_make_the_link_the_last_ones_that_was_issued_anything)
{
	restore_old();
	expect_login(TOKEN("t7"));
	resume(500);
	expect_owner("B", true);
	expect_login(TOKEN("t7"));
	expect_acts("ANSWER d FAILURE 8, ANSWER d FAILURE 9");
	cr_expect_eq(rows("owner"), 1);
	ask_body("d", "{\"device_name\":\"B\"}", 10, 600);
	expect_acts("ANSWER d SUCCESS 10");
}

Test(provision, old_rows_under_another_name_are_the_configured_ones)
{
	restore_old();
	terms.name = "N";
	expect_login(TOKEN("t7"));
	resume(500);
	expect_login(TOKEN("t7"));
	cr_expect_eq(rows("issued/N"), 1);
}

Test(provision, second_without_a_name_is_another_device)
{
	terms = (struct provision_terms){ .is_single = true, .device = "d" };
	is_named = false;
	ask_body("d", "{}", 1, 100);
	ask_body("d", "{\"device_name\":\"\"}", 2, 100);
	cr_expect_str_eq(acts.items[1].refusal, "it names no device, and one such was here before");
	expect_acts("ASK d 1, ANSWER d FAILURE 2");
	reply_token("t");
	expect_acts("LOGIN d, ANSWER d SUCCESS 1, CLOSE");
	for (int i = 0; i < 2; i++) {
		ask_body("d", "{}", 3, 100);
		expect_acts("ANSWER d FAILURE 3");
		restart();
	}
	provisions_refused(table, &terms, &changed); /* what the first got is good for nothing */
	ask_body("d", "{}", 4, 100);
	expect_acts("ASK d 4");
}

Test(provision, one_without_a_name_is_the_configured_device)
{
	terms = (struct provision_terms){ .is_single = true, .name = "N", .device = "d" };
	is_named = false;
	ask_body("d", "{}", 1, 100);
	reply_token("t");
	expect_acts("ASK d 1, LOGIN d, ANSWER d SUCCESS 1, CLOSE");
	cr_expect_eq(rows("issued/N"), 1);
}

Test(provision, old_questions_without_a_name_are_as_many_devices)
{
	static const char row[] = "{\"request\":{\"kind\":\"provision\",\"device\":\"d\",\"id\":1,"
				  "\"body\":{}},\"reply_topic\":null,\"south_device_id\":null}";

	cr_assert(provisions_restore(table, "open/1", row, NULL));
	cr_assert(provisions_restore(table, "open/2", row, NULL));
	resume(500);
	reply_token("t");
	expect_acts("ASK d 1, LOGIN d, ANSWER d SUCCESS 1, ANSWER d FAILURE 1, CLOSE");
}

Test(provision, success_without_a_credential_is_a_failure)
{
	static const char *const bodies[] = {
		"{\"status\":\"SUCCESS\"}",
		"{\"status\":\"SUCCESS\",\"token\":null,\"device_id\":\"x\"}",
		"{\"status\":\"SUCCESS\",\"token\":\"\",\"password\":\"p\"}",
	};

	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		ask("d", "D", 1, 100);
		provision_actions_fini(&acts);
		cr_expect(reply(bodies[i]));
		cr_expect_str_eq(acts.items[0].message.body,
				 "{\"status\":\"FAILURE\",\"message\":\"the other platform issued "
				 "no credentials\"}");
		expect_acts("ANSWER d FAILURE 1, CLOSE");
		cr_expect_eq(rows(""), 0);
	}
}

Test(provision, bad_rows_change_nothing)
{
#define REQUEST(kind) "{\"kind\":\"" kind "\",\"device\":\"a\",\"body\":{}}"
#define OPEN_ROW(request)                                                                          \
	"{\"request\":" request ",\"name\":\"A\",\"reply_topic\":null,\"south_device_id\":null}"
#define ISSUED_ROW(device, number, refused, proof, reply)                                          \
	"{\"device\":" device ",\"number\":" number ",\"refused\":" refused ",\"proof\":" proof    \
	",\"reply\":" reply "}"
	static const struct {
		const char *key, *value;
	} bad[] = {
		{ "", "{}" },
		{ "other/1", OPEN_ROW(REQUEST("provision")) },
		{ "open/x", OPEN_ROW(REQUEST("provision")) },
		{ "open/", OPEN_ROW(REQUEST("provision")) },
		{ "open/0", OPEN_ROW(REQUEST("provision")) },
		{ "open/1", OPEN_ROW(REQUEST("command")) },
		{ "open/1", OPEN_ROW("{\"kind\":\"provision\",\"body\":{}}") },
		{ "open/1", "{\"request\":" REQUEST("provision") "}" },
		{ "open/1", "" },
		{ "open/1", "[" },
		{ "asked/1", "" },
		{ "asked/0", "{\"name\":\"a\",\"device\":\"a\",\"proof\":{},\"chosen\":true,"
			     "\"reply\":{}}" },
		{ "asked/1", "{\"name\":\"a\",\"device\":\"a\",\"proof\":{},\"chosen\":true}" },
		{ "owner", "" },
		{ "owner", "{\"name\":7,\"proved\":true}" },
		{ "owner", "{\"name\":\"a\"}" },
		{ "issued/a", "" },
		{ "issued/a", "{}" },
		{ "issued/a", ISSUED_ROW("null", "1", "false", "{}", "{}") },
		{ "issued/a", ISSUED_ROW("\"a\"", "0", "false", "{}", "{}") },
		{ "issued/a", ISSUED_ROW("\"a\"", "1", "null", "{}", "{}") },
		{ "issued/a", ISSUED_ROW("\"a\"", "1", "false", "[]", "{}") },
		{ "issued/a", ISSUED_ROW("\"a\"", "1", "false", "{}", "7") },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = { 0 };

		cr_expect_not(provisions_restore(table, bad[i].key, bad[i].value, &e), "row %zu",
			      i);
		cr_expect_eq(e.code, ERR_CORRUPT, "row %zu", i);
	}
	cr_expect(provisions_restore(table, "open/2", OPEN_ROW(REQUEST("provision")), NULL));
	cr_expect_not(provisions_restore(table, "open/2", OPEN_ROW(REQUEST("provision")), NULL));
	cr_expect(provisions_restore(table, "open/1", OPEN_ROW(REQUEST("provision")), NULL));
	expect_credentials("a", "");
	resume(5);
	expect_acts("ASK a -");
}

Test(provision, what_was_issued_to_a_device_that_is_forgotten_goes)
{
	ask("d", "D", 1, 100);
	reply_token("T");
	ask("d", "D2", 2, 100);
	reply_token("T2");
	ask("e", "E", 3, 100);
	reply_token("U");
	provision_actions_fini(&acts);
	cr_expect_eq(rows("issued/"), 3);
	provisions_forget(table, "d", &changed);
	cr_expect_eq(rows("issued/"), 1);
	expect_credentials("d", "");
	expect_credentials("e", TOKEN("U"));
	provisions_forget(table, "stranger", &changed);
	restart();
	expect_credentials("e", TOKEN("U"));
	ask("d", "D", 4, 100);
	expect_acts("ASK d 4");
}

Test(provision, who_waits_is_forgotten_but_not_the_handshake_in_hand)
{
	ask("d", "D", 1, 100);
	ask("d", "D2", 2, 100);
	ask("e", "E", 3, 100);
	expect_acts("ASK d 1");
	provisions_forget(table, "d", &changed);
	cr_expect_eq(rows("open/"), 2);
	reply_token("T");
	expect_acts("LOGIN d, ANSWER d SUCCESS 1, ASK e 3");
	provisions_forget(table, "d", &changed);
	provisions_forget(table, "e", &changed);
	cr_expect_eq(rows("open/"), 1);
	cr_expect_eq(rows("issued/"), 0);
	restart();
	provisions_forget(table, "e", &changed);
	cr_expect_eq(rows("open/"), 0, "it is not in hand before it is asked");
	resume(5);
	expect_acts("");
}
