/* Several sessions of handshakes at once. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "handshake/provision.h"
#include "state/change.h"

static struct provisions *table;
static struct changes changed; /* of all steps since the start */
static struct provision_actions acts;
static struct provision_terms terms;

/* What was asked for a device last: over which session, and with which token. */
static struct question {
	uint64_t session;
	char token[33];
} asked[26];

static void set_up(void)
{
	table = provisions_new();
	terms = (struct provision_terms){
		.device = "-", .chooses_token = true, .timeout_ms = 100, .sessions = 3
	};
}

static void tear_down(void)
{
	provisions_free(table);
	changes_fini(&changed);
	provision_actions_fini(&acts);
}

TestSuite(provision_talk, .init = set_up, .fini = tear_down);

static struct jslice slice(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

static void note_question(const struct provision_action *a)
{
	struct question *q = &asked[a->message.device[0] - 'a'];
	struct buf token = { 0 };
	struct jslice v;

	q->session = a->session;
	if (jtext_field(canonical_body(&a->message), "token", &v))
		jtext_string_decode(v, &token);
	snprintf(q->token, sizeof q->token, "%s", buf_str(&token));
	buf_fini(&token);
	provisions_written(table, a->session, canonical_body(&a->message));
	provisions_sent(table, a->session);
}

/* "ASK a 0", with the place; "OK a", "NO a": it is answered; "TRY a 0"; "CLOSE 0"; "DISTRUST"; without LOGIN. */
static void expect_acts_at(const char *expected, int line)
{
	struct buf got = { 0 };

	for (size_t i = 0; i < acts.n; i++) {
		const struct provision_action *a = &acts.items[i];
		const char *device = a->message.device;
		unsigned place = provision_place(a->session);
		struct jslice v;

		if (a->act == PROVISION_LOGIN)
			continue;
		if (got.len)
			buf_puts(&got, ", ");
		if (a->act == PROVISION_ASK || a->act == PROVISION_TRY)
			buf_printf(&got, "%s %s %u", a->act == PROVISION_ASK ? "ASK" : "TRY",
				   device, place);
		else if (a->act == PROVISION_CLOSE)
			buf_printf(&got, "CLOSE %u", place);
		else if (a->act == PROVISION_DISTRUST)
			buf_puts(&got, "DISTRUST");
		else
			buf_printf(&got, "%s %s",
				   jtext_field(canonical_body(&a->message), "status", &v) &&
						   jtext_string_is(v, "SUCCESS")
					   ? "OK"
					   : "NO",
				   device);
		if (a->act == PROVISION_TRY)
			asked[device[0] - 'a'].session = a->session;
		else if (a->act == PROVISION_ASK)
			note_question(a);
	}
	cr_expect_str_eq(buf_str(&got), expected, "line %d: %s", line, buf_str(&got));
	buf_fini(&got);
	provision_actions_fini(&acts);
}
#define expect_acts(expected) expect_acts_at(expected, __LINE__)

static void ask_for(const char *device, bool is_own)
{
	char *body = mem_printf("{\"device_name\":\"%s\"}", device);
	struct canonical p = { .kind = KIND_PROVISION,
			       .device = (char *)device,
			       .body = body,
			       .body_len = strlen(body) };

	provisions_request(
		table, &terms,
		&(struct provision_question){ .request = &p, .is_named = true, .is_own = is_own },
		&changed, &acts);
	free(body);
}

/* The bridge wants these, a letter each. */
static void want(const char *devices)
{
	for (; *devices; devices++)
		ask_for((char[]){ *devices, '\0' }, true);
}

static bool reply(uint64_t session, const char *body)
{
	return provisions_reply(table, &terms, session, slice(body), &changed, &acts, NULL);
}

/* SUCCESS with this token comes over this session. */
static bool gives(uint64_t session, const char *token)
{
	char *body = mem_printf("{\"status\":\"SUCCESS\",\"token\":\"%s\"}", token);
	bool is_taken = reply(session, body);

	free(body);
	return is_taken;
}

/* The answer to what was asked for the device, over its own session. */
#define session_of(device) asked[(device) - 'a'].session
#define token_of(device)   asked[(device) - 'a'].token
#define grant(device)	   cr_expect(gives(session_of(device), token_of(device)))
#define FAILED		   "{\"status\":\"FAILURE\"}"

static void expect_token(const char *device, const char *token)
{
	const struct provision_terms of = { .device = device };
	struct jslice v;

	cr_expect(jtext_field(provisions_credentials(table, &of), "token", &v) &&
			  jtext_string_is(v, token),
		  "%s", device);
}

/* It is shown that each session hears the answers to its own questions; those for a to c are made. */
static void become_three(const char *others)
{
	want("abc");
	want(others);
	expect_acts("ASK a 0");
	grant('a');
	expect_acts("OK a, ASK b 1"); /* the first one listens */
	grant('b');
	expect_acts("OK b, ASK c 0");
	grant('c');
}

Test(provision_talk, three_are_open_once_it_is_shown_who_hears_what)
{
	become_three("defg");
	expect_acts("OK c, ASK d 0, ASK e 1, ASK f 2");
	grant('f');
	expect_acts("OK f, ASK g 2");
	cr_expect(reply(session_of('d'), FAILED)); /* that of its session */
	expect_acts("NO d");
	grant('g');
	expect_acts("OK g");
	grant('e');
	expect_acts("OK e, CLOSE 0, CLOSE 1, CLOSE 2");
	expect_token("e", token_of('e'));
	expect_token("f", token_of('f'));
	expect_token("g", token_of('g'));
}

Test(provision_talk, what_is_shown_holds_for_the_sessions_after_these)
{
	become_three("");
	expect_acts("OK c, CLOSE 0, CLOSE 1");
	want("de");
	expect_acts("ASK d 0, ASK e 1");
	cr_expect_neq(session_of('d'), session_of('a'), "another one in the same place");
	cr_expect_not(gives(session_of('a'), token_of('d')), "the one before has ended");
	expect_acts("");
	grant('d');
	expect_acts("OK d");
}

Test(provision_talk, a_platform_with_tokens_of_its_own_is_asked_over_one)
{
	want("abcd");
	expect_acts("ASK a 0");
	cr_expect(gives(session_of('a'), "its-own"));
	expect_acts("OK a, ASK b 0");
	cr_expect(gives(session_of('b'), "another"));
	expect_acts("OK b, ASK c 0");
	expect_token("b", "another");
}

Test(provision_talk, so_is_what_a_key_that_is_not_known_is_asked_for)
{
	want("abcd");
	expect_acts("ASK a 0");
	cr_expect(reply(session_of('a'), "{\"status\":\"NOT_FOUND\"}"));
	expect_acts("NO a, ASK b 0");
	cr_expect(reply(session_of('b'), "{\"status\":\"NOT_FOUND\"}"));
	expect_acts("NO b, ASK c 0");
}

Test(provision_talk, what_was_offered_for_another_is_never_taken)
{
	become_three("def");
	expect_acts("OK c, ASK d 0, ASK e 1, ASK f 2");
	/* Each is asked again, alone, when the time of the others is up. */
	cr_expect_not(gives(session_of('d'), token_of('e')));
	expect_acts("CLOSE 0, CLOSE 1, CLOSE 2, DISTRUST");
	cr_expect_eq(provisions_next_deadline(table), 100);
	terms.now_ms = 99;
	want("g");
	provisions_expire(table, &terms, &changed, &acts);
	expect_acts("");
	terms.now_ms = 100;
	provisions_expire(table, &terms, &changed, &acts);
	expect_acts("ASK d 0");
	cr_expect(reply(session_of('d'), FAILED)); /* it was made then */
	expect_acts("TRY d 0");
	provisions_tried(table, session_of('d'), true);
	provisions_expire(table, &terms, &changed, &acts);
	expect_acts("OK d, CLOSE 0, ASK e 0");
	expect_token("d", token_of('d'));
	/* A copy of it is still there. */
	cr_expect_not(gives(session_of('e'), token_of('d')));
	expect_acts("");
	grant('e');
	expect_acts("OK e, ASK f 0");
	expect_token("e", token_of('e'));
}

Test(provision_talk, nor_what_nobody_was_offered)
{
	become_three("de");
	expect_acts("OK c, ASK d 0, ASK e 1");
	cr_expect_not(gives(session_of('d'), "whose?"));
	expect_acts("CLOSE 0, CLOSE 1, DISTRUST");
}

Test(provision_talk, nor_with_one_session)
{
	terms.sessions = 1;
	want("ab");
	expect_acts("ASK a 0");
	grant('a');
	expect_acts("OK a, ASK b 0");
	cr_expect_not(gives(session_of('b'), token_of('a')));
	expect_acts("");
	cr_expect(gives(session_of('b'), "its-own"));
	expect_acts("OK b, CLOSE 0");
	expect_token("b", "its-own");
}

Test(provision_talk, the_first_session_hears_what_was_asked_over_the_second)
{
	want("abcd");
	expect_acts("ASK a 0");
	grant('a');
	expect_acts("OK a, ASK b 1");
	cr_expect_not(gives(session_of('a'), token_of('b')), "it comes there before");
	expect_acts("CLOSE 0, DISTRUST");
	grant('b');
	expect_acts("OK b, ASK c 0");
	grant('c');
	expect_acts("OK c, ASK d 0");
}

Test(provision_talk, or_hears_it_when_it_has_a_question_of_its_own)
{
	want("abcd");
	expect_acts("ASK a 0");
	grant('a');
	expect_acts("OK a, ASK b 1");
	grant('b');
	expect_acts("OK b, ASK c 0");
	cr_expect_not(gives(session_of('c'), token_of('b')));
	expect_acts("CLOSE 1, DISTRUST");
	grant('c'); /* it is open still, and alone */
	expect_acts("OK c, ASK d 0");
	expect_token("c", token_of('c'));
}

Test(provision_talk, with_a_gap_in_what_it_heard_it_is_shown_anew)
{
	want("abcdef");
	expect_acts("ASK a 0");
	grant('a');
	expect_acts("OK a, ASK b 1");
	cr_expect_not(provisions_down(table, session_of('a'), false), "nothing goes again");
	grant('b');
	expect_acts("OK b, ASK c 0");
	grant('c');
	expect_acts("OK c, ASK d 1");
	grant('d');
	expect_acts("OK d, ASK e 0");
	grant('e');
	expect_acts("OK e, ASK f 0");
}

Test(provision_talk, what_could_not_be_put_shows_nothing)
{
	want("abcde");
	expect_acts("ASK a 0");
	grant('a');
	expect_acts("OK a, ASK b 1");
	grant('b');
	for (size_t i = 0; i < acts.n; i++) /* that for c, which is not sent */
		if (acts.items[i].act == PROVISION_ASK)
			session_of('c') = acts.items[i].session;
	provision_actions_fini(&acts);
	cr_expect(reply(session_of('c'), FAILED));
	expect_acts("NO c, ASK d 0");
	grant('d');
	expect_acts("OK d, ASK e 0");
}

Test(provision_talk, what_a_device_asks_itself_is_open_alone)
{
	become_three("d");
	expect_acts("OK c, ASK d 0");
	ask_for("x", false);
	want("ef");
	expect_acts("");
	grant('d');
	expect_acts("OK d, ASK x 0");
	grant('x');
	expect_acts("OK x, ASK e 0, ASK f 1");
}

Test(provision_talk, time_is_up_for_one)
{
	become_three("d");
	expect_acts("OK c, ASK d 0");
	terms.now_ms = 50;
	want("ef");
	expect_acts("ASK e 1, ASK f 2");
	terms.now_ms = 100;
	provisions_expire(table, &terms, &changed, &acts);
	expect_acts("NO d, CLOSE 0");
	cr_expect_eq(provisions_next_deadline(table), 150);
	want("d");
	expect_acts("ASK d 0");
	grant('e');
	grant('d');
	expect_acts("OK e, OK d");
}

/* Its question may have arrived twice. */
Test(provision_talk, a_session_that_was_lost_is_closed_behind_the_answer)
{
	become_three("def");
	expect_acts("OK c, ASK d 0, ASK e 1, ASK f 2");
	want("g");
	expect_acts("");
	cr_expect(provisions_down(table, session_of('d'), true));
	grant('d');
	expect_acts("OK d, CLOSE 0, ASK g 0");
	cr_expect_not(reply(session_of('d'), FAILED));
	expect_acts("");
	grant('g');
	expect_acts("OK g");
}

/* --- a restart */

static bool is_last_word(size_t i)
{
	for (size_t k = i + 1; k < changed.n; k++)
		if (strcmp(changed.items[k].key, changed.items[i].key) == 0)
			return false;
	return changed.items[i].value != NULL;
}

static void restart(void)
{
	struct err e = { 0 };

	provisions_free(table);
	table = provisions_new();
	for (size_t i = 0; i < changed.n; i++)
		if (is_last_word(i))
			cr_assert(provisions_restore(table, changed.items[i].key,
						     changed.items[i].value, &e),
				  "%s", e.text);
}

Test(provision_talk, of_several_that_an_earlier_run_received_their_tokens_tell)
{
	become_three("defg");
	expect_acts("OK c, ASK d 0, ASK e 1, ASK f 2");
	restart();
	provisions_hear(table);
	provisions_hear(table);
	cr_expect(gives(PROVISION_NO_SESSION, token_of('f')));
	cr_expect_not(reply(PROVISION_NO_SESSION, FAILED), "whose is it?");
	cr_expect_not(gives(PROVISION_NO_SESSION, "whose?"));
	cr_expect(gives(PROVISION_NO_SESSION, token_of('d')));
	expect_acts("OK f, OK d");
	expect_token("d", token_of('d'));
	expect_token("f", token_of('f'));
	provisions_resume(table, &terms, &changed, &acts);
	expect_acts("ASK e 0"); /* one at a time at first */
	cr_expect(reply(session_of('e'), FAILED));
	expect_acts("TRY e 0");
}

/* What is asked alone after others were open is so after a restart, too. */
Test(provision_talk, one_that_was_open_alone_is_given_what_it_was_not_offered)
{
	become_three("de");
	expect_acts("OK c, ASK d 0, ASK e 1");
	restart();
	provisions_resume(table, &terms, &changed, &acts);
	expect_acts("ASK d 0");
	grant('d');
	expect_acts("OK d, ASK e 1");
	restart();
	provisions_hear(table);
	cr_expect(gives(PROVISION_NO_SESSION, "its-own"));
	expect_acts("OK e");
	expect_token("e", "its-own");
}
