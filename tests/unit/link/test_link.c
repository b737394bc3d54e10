#include <criterion/criterion.h>
#include <ctype.h>

#include "fleet/fleet.h"
#include "jq/mapping.h"
#include "link/link.h"
#include "fleet/compare.h"
#include "state/twin.h"
#include "translate/executor.h"
#include "unit/dialects.h"

/* A link between two dialects, its time moved by hand.  What it does is written down, a line each:
 *	north TOPIC PAYLOAD	sent ("ask" in place of "north": over the session of a handshake)
 *	= carried		settled; else the word of the refusal
 *	= own			settled what the bridge said by itself
 *	login BODY, end		of the handshake
 * UUIDs are written as <uuid>. */
static struct world w;
static struct executor *executor;
static struct link *l;
static enum echo_mode echoes[SIDES];
static int64_t now_ms;
static uint64_t login; /* of the session that messages come over */
static struct buf said;
static struct buf whose;       /* the device of the last output; ?: not known */
static char uuid[37];	       /* the last one said */
static struct intake *held[8]; /* when `holds`: what was sent and is not done */
static unsigned held_order[8];
static struct output_note {
	enum side to;
	uint64_t echo;
	int64_t expires_ms;
	unsigned order;
} last_output;
static size_t n_held, n_kept; /* outputs that would be sent again */
static bool holds;

static void set_up(void)
{
	world_init(&w);
	now_ms = 1700000000000;
	executor = executor_new(NULL);
}

static void tear_down(void)
{
	link_free(l);
	executor_free(executor);
	buf_fini(&said);
	buf_fini(&whose);
	world_fini(&w);
}

TestSuite(link, .init = set_up, .fini = tear_down);

static bool is_uuid(const char *s)
{
	for (int i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-'
							    : !isxdigit((unsigned char)s[i]))
			return false;
	return true;
}

static char last_token[33]; /* that the bridge chose */

static void say(const char *s, size_t n)
{
	const char *token;
	size_t chosen;

	for (size_t i = 0; i < n; i++) {
		if (n - i >= 36 && is_uuid(s + i)) {
			memcpy(uuid, s + i, 36);
			buf_puts(&said, "<uuid>");
			i += 35;
		} else if ((chosen = chosen_token(s + i, n - i, &token)) > 0) {
			snprintf(last_token, sizeof last_token, "%.32s", token);
			buf_puts(&said, "<token>");
			i += chosen - 1;
		} else {
			buf_putc(&said, s[i]);
		}
	}
}

static void delivered(struct intake *origin, unsigned order)
{
	link_done(l, origin, link_ended(l, origin, order, CARRIED), NULL);
}

static uint64_t
	asked; /* the session of handshakes that was given a question last, or is to try a login */

static void on_send(void *ctx, struct output *o)
{
	const struct message *m = &o->message;

	if (o->session)
		asked = o->session;
	(void)ctx;
	buf_printf(&said, "%s ", o->is_provisioning ? "ask" : side_name(o->to));
	say(m->topic, strlen(m->topic));
	buf_putc(&said, ' ');
	say(m->payload ? m->payload : "", m->payload_len);
	for (size_t i = 0; i < m->properties.n; i++)
		buf_printf(&said, " %s=%s", m->properties.items[i].name,
			   m->properties.items[i].value);
	if (m->response_topic)
		buf_printf(&said, " response=%s", m->response_topic);
	buf_putc(&said, '\n');
	message_fini(&o->message);
	buf_reset(&whose);
	buf_puts(&whose, o->device ? o->device : "?");
	free(o->device);
	n_kept += o->is_kept;
	last_output = (struct output_note){ o->to, o->echo, o->expires_ms, o->order };
	held_order[n_held] = o->order;
	if (holds)
		held[n_held++] = o->origin;
	else
		delivered(o->origin, o->order);
}

static void on_settled(void *ctx, const struct verdict *v)
{
	(void)ctx;
	buf_printf(&said, "= %s\n", v->is_own ? "own" : outcome_word(v->reason));
}

static void on_login(void *ctx, const char *device, struct jslice credentials)
{
	(void)ctx;
	(void)device;
	buf_puts(&said, "login ");
	say(credentials.text, credentials.len);
	buf_putc(&said, '\n');
}

static void on_end_provisioning(void *ctx, uint64_t session)
{
	(void)ctx;
	cr_expect_gt(session, 0);
	buf_puts(&said, "end\n");
}

static void on_decided(void *ctx, void *tag)
{
	(void)ctx;
	if (tag) /* most tests do not ask */
		buf_puts(&said, "decided\n");
}

static void on_handshake_refused(void *ctx, const char *name, const char *why)
{
	(void)ctx;
	buf_printf(&said, "refused %s: %s\n", name ? name : "-", why);
}

static void on_try_login(void *ctx, uint64_t session, const char *device, struct jslice credentials)
{
	(void)ctx;
	(void)device;
	asked = session;
	buf_puts(&said, "try ");
	say(credentials.text, credentials.len);
	buf_putc(&said, '\n');
}

static void on_echoes(void *ctx, enum side side)
{
	(void)ctx;
	buf_printf(&said, "%s echoes\n", side_name(side));
}

static const struct link_ops ops = { .send = on_send,
				     .settled = on_settled,
				     .login = on_login,
				     .try_login = on_try_login,
				     .end_provisioning = on_end_provisioning,
				     .decided = on_decided,
				     .handshake_refused = on_handshake_refused,
				     .echoes = on_echoes };

static void start(const char *south, const char *north)
{
	world_plan(&w, south, north);
	l = link_new(w.plan, executor, &ops, NULL, echoes);
}

/* Each message that came in has one fate. */
static void check_counters(int line)
{
	uint64_t pending = 0;

	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(l, (enum flow)f);
		uint64_t by = 0;

		for (int r = 0; r < OUTCOMES; r++)
			by += c->by[r];
		cr_expect_eq(c->received + c->resumed,
			     c->delivered + c->filtered + c->dead + c->pending,
			     "line %d: %s does not add up", line, flow_name((enum flow)f));
		cr_expect_eq(by, c->delivered + c->filtered + c->dead, "line %d", line);
		pending += c->pending;
	}
	cr_expect(holds || pending == 0, "line %d: something is pending", line);
}

/* All that is to be done now, what became of orders, too. */
static void run(void)
{
	executor_run(executor);
	while (link_next_deadline(l) == 0) {
		link_tick(l, now_ms);
		executor_run(executor);
	}
}

static void expect_at(const char *wanted, int line)
{
	run();
	expect_text(buf_str(&said), wanted, "said", line);
	buf_reset(&said);
	check_counters(line);
}
#define expect(wanted) expect_at(wanted, __LINE__)

static struct message make(const char *topic, const char *payload)
{
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };
	char *q = quoted(payload);

	message_set_payload(&m, q, strlen(q));
	free(q);
	return m;
}

static void receive(enum side from, const struct message *m, void *tag)
{
	link_receive(l, &(struct arrival){ .from = from,
					   .message = m,
					   .at_ms = now_ms,
					   .login = login,
					   .session = asked,
					   .tag = tag });
}

static void step_at(enum side from, const char *topic, const char *payload, const char *wanted,
		    int line)
{
	struct message m = make(topic, payload);

	receive(from, &m, NULL);
	message_fini(&m);
	expect_at(wanted, line);
}
#define step(from, topic, payload, wanted) step_at(from, topic, payload, wanted, __LINE__)

/* The same with a Response Topic. */
static void ask_at(enum side from, const char *topic, const char *payload, const char *response,
		   const char *wanted, int line)
{
	struct message m = make(topic, payload);

	m.response_topic = mem_strdup(response);
	receive(from, &m, NULL);
	message_fini(&m);
	expect_at(wanted, line);
}
#define ask(from, topic, payload, response, wanted)                                                \
	ask_at(from, topic, payload, response, wanted, __LINE__)

/* The same with user properties, "a=1 b=2". */
static void step_with_at(enum side from, const char *topic, const char *properties,
			 const char *wanted, int line)
{
	char *list = mem_strdup(properties), *rest = list, *one;
	struct message m = make(topic, "{}");

	while ((one = strsep(&rest, " ")) != NULL) {
		char *value = strchr(one, '=');

		*value = '\0';
		vars_add(&m.properties, one, value + 1);
	}
	receive(from, &m, NULL);
	message_fini(&m);
	free(list);
	expect_at(wanted, line);
}
#define step_with(from, topic, properties, wanted)                                                 \
	step_with_at(from, topic, properties, wanted, __LINE__)

static void step_retained(enum side from, const char *topic, const char *payload,
			  const char *wanted)
{
	struct message m = make(topic, payload);

	m.retain = true;
	receive(from, &m, NULL);
	message_fini(&m);
	expect_at(wanted, 0);
}

static void step_dup_at(enum side from, const char *topic, const char *payload, const char *wanted,
			int line)
{
	struct message m = make(topic, payload);

	m.is_dup = true;
	receive(from, &m, NULL);
	message_fini(&m);
	expect_at(wanted, line);
}
#define step_dup(from, topic, payload, wanted) step_dup_at(from, topic, payload, wanted, __LINE__)

static void after_at(int64_t ms, const char *wanted, int line)
{
	now_ms += ms;
	link_tick(l, now_ms);
	expect_at(wanted, line);
}
#define after(ms, wanted) after_at(ms, wanted, __LINE__)

static uint64_t commit;

/* How many changes are to be written? */
static size_t take_changes(void)
{
	struct changes c = { 0 };
	size_t n;

	link_take_changes(l, ++commit, &c);
	n = c.n;
	changes_fini(&c);
	return n;
}

/* End the link and start it again from what it wanted remembered. */
static bool is_same_row(const struct change *a, const struct change *b)
{
	return strcmp(a->machine, b->machine) == 0 && strcmp(a->key, b->key) == 0;
}

/* What the row that begins with this change says in the end; NULL: none begins here.  A row keeps its place. */
static const struct change *last_of_row(const struct changes *c, size_t i)
{
	const struct change *first = &c->items[i], *last = first;
	bool is_there = false;

	for (size_t k = 0; k < i; k++)
		if (is_same_row(&c->items[k], first))
			is_there = c->items[k].value;
	for (size_t k = i; k < c->n && last->value; k++)
		if (is_same_row(&c->items[k], first))
			last = &c->items[k];
	return is_there || !last->value ? NULL : last;
}

/* Between two runs, with what the journal has of messages that were received and not looked at. */
static void restart_with(const char *topic, const char *payload)
{
	struct changes c = { 0 }, all = { 0 };
	struct err e = { 0 };

	link_take_changes(l, ++commit, &all);
	for (size_t i = 0; i < all.n; i++)
		changes_put(&c, all.items[i].machine, all.items[i].key, all.items[i].value,
			    all.items[i].is_secret);
	link_free(l);
	l = link_new(w.plan, executor, &ops, NULL, echoes);
	for (size_t i = 0; i < c.n; i++) {
		const struct change *last = last_of_row(&c, i);

		if (last && strcmp(last->machine, CHANGES_NOTE) != 0)
			cr_assert(link_restore(l, last->machine, last->key, last->value, &e), "%s",
				  e.text);
	}
	changes_fini(&c);
	changes_fini(&all);
	if (topic) {
		struct message m = make(topic, payload);

		link_receive_again(
			l, &(struct arrival){ .from = NORTH, .message = &m, .at_ms = now_ms });
		message_fini(&m);
	}
	link_resume(l, now_ms);
}

static void restart(void)
{
	restart_with(NULL, NULL);
}

/* --- the way of a message ------------------------------------------------------------------ */

#define S_REPORTS                                                                                  \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t', read: 'some' },"                     \
		 "{ kind: 'event', topic: 's/{device}/e' },"                                       \
		 "{ kind: 'claim', topic: 's/{device}/claim' },"                                   \
		 "{ kind: 'telemetry', topic: 's/{device}/two', read: 'some' },"                   \
		 "{ kind: 'event', topic: 's/{device}/two', read: 'bad' },"                        \
		 "{ kind: 'space_info', topic: 's/{device}/space' }",                              \
		 "def some: .payload[] | {body: {v: .}}; def bad: select(.payload[0] == 0) | "     \
		 "error('x');")
#define N_REPORTS                                                                                  \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'event', topic: 'n/{device}/e' },"                                       \
		 "{ kind: 'space_info', topic: 'n/{device}/space' }",                              \
		 "")

Test(link, messages_pass_in_both_directions)
{
	start(S_REPORTS, N_REPORTS);
	step(SOUTH, "s/d/e", "{'name':'x'}", "north n/d/e {'name':'x'}\n= carried\n");
	step(NORTH, "n/d/space", "{'a':1}", "south s/d/space {'a':1}\n= carried\n");
	step(SOUTH, "s/d/t", "[1,2]", "north n/d/t {'v':1}\nnorth n/d/t {'v':2}\n= carried\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->received, 2);
	cr_expect_eq(link_counters(l, FLOW_UP)->delivered, 2);
	cr_expect_eq(link_counters(l, FLOW_DOWN)->delivered, 1);
}

Test(link, what_is_not_carried_is_filtered_or_dead)
{
	start(S_REPORTS, N_REPORTS);
	step(SOUTH, "s/d/x", "1", "= unknown-topic\n");
	step(SOUTH, "s/d/t", "[]", "= mapping\n");
	step(SOUTH, "s/d/t", "[", "= unreadable-payload\n");
	step(SOUTH, "s/d/t", "7", "= mapping-error\n");
	step(SOUTH, "s/d/space", "{}", "= not-read\n");
	step(SOUTH, "s/d/claim", "{}", "= no-counterpart\n");
	step(SOUTH, "s/d/e", "{}", "= wrong-shape\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->filtered, 2);
	cr_expect_eq(link_counters(l, FLOW_UP)->dead, 5);
	cr_expect_eq(link_counters(l, FLOW_UP)->by[DEAD_UNKNOWN_TOPIC], 1);
}

Test(link, unmatched_topics_may_be_dropped)
{
	w.spec.drop_unmatched = true;
	start(S_REPORTS, N_REPORTS);
	step(SOUTH, "s/d/x", "1", "= unmatched\n");
	step(SOUTH, "s/d/claim", "{}", "= no-counterpart\n"); /* it has a row */
}

Test(link, a_message_is_dead_if_any_of_its_outputs_is)
{
	start(S_REPORTS, N_REPORTS);
	step(SOUTH, "s/d/two", "[1]", "north n/d/t {'v':1}\n= carried\n");
	step(SOUTH, "s/d/two", "[0]", "north n/d/t {'v':0}\n= mapping-error\n");
}

Test(link, a_message_is_settled_when_all_it_became_is)
{
	start(S_REPORTS, N_REPORTS);
	holds = true;
	step(SOUTH, "s/d/t", "[1,2]", "north n/d/t {'v':1}\nnorth n/d/t {'v':2}\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->pending, 1);
	link_done(l, held[1], CARRIED, NULL);
	expect("");
	link_done(l, held[0], CARRIED, NULL);
	expect("= carried\n");
	step(SOUTH, "s/d/t", "[1,2]", "north n/d/t {'v':1}\nnorth n/d/t {'v':2}\n");
	link_done(l, held[2], DEAD_BROKER_REFUSED, "quota");
	link_done(l, held[3], CARRIED, NULL);
	expect("= broker-refused\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->pending, 0);
}

Test(link, messages_are_translated_in_the_order_they_came)
{
	struct message a = make("s/d/t", "[1]"), b = make("s/d/e", "{'name':'x'}");

	start(S_REPORTS, N_REPORTS);
	receive(SOUTH, &a, NULL);
	receive(SOUTH, &b, NULL);
	expect("north n/d/t {'v':1}\n= carried\nnorth n/d/e {'name':'x'}\n= carried\n");
	message_fini(&a);
	message_fini(&b);
}

Test(link, a_device_that_is_not_of_the_link_is_refused)
{
	world_set(&w, SOUTH, "device", "d");
	start(SOUTHERN("device: 'payload',",
		       "{ kind: 'telemetry', topic: 't', read: 'f' },"
		       "{ kind: 'space_info', topic: 'space/{device}' }",
		       "def f: {device: .payload.who, body: {}};"),
	      N_REPORTS);
	step(SOUTH, "t", "{'who':'d'}", "north n/d/t {}\n= carried\n");
	step(SOUTH, "t", "{'who':'e'}", "= other-device\n");
	step(NORTH, "n/d/space", "{}", "south space/d {}\n= carried\n");
	step(NORTH, "n/e/space", "{}", "= unknown-topic\n"); /* not subscribed either */
}

/* A session that is one device's does not speak for another, whatever its payloads say. */
Test(link, a_payload_names_no_other_device_than_its_session)
{
	world_set(&w, SOUTH, "device", "d");
	world_set(&w, NORTH, "device", "D");
	start(SOUTHERN("", "{ kind: 'space_info', topic: 's/{device}/space' }", ""),
	      NORTHERN("device: 'payload', session: { per: 'device' },",
		       "{ kind: 'space_info', topic: 'space', read: 'f' },"
		       "{ kind: 'space_info', topic: 'of/{device}', read: 'f' }",
		       "def f: {device: .payload.who, body: {}};"));
	step(NORTH, "space", "{'who':'D'}", "south s/d/space {}\n= carried\n");
	step(NORTH, "space", "{}", "south s/d/space {}\n= carried\n");
	step(NORTH, "space", "{'who':'d'}", "= other-device\n"); /* the name it has elsewhere */
	step(NORTH, "space", "{'who':'e'}", "= other-device\n");
	step(NORTH, "of/D", "{'who':'D'}", "south s/d/space {}\n= carried\n");
	step(NORTH, "of/D", "{'who':'e'}", "= other-device\n");
	step(NORTH, "of/e", "{'who':'D'}", "= unknown-topic\n"); /* not subscribed either */
}

/* Without a name of its own on that side, it is the device of the link. */
Test(link, a_payload_names_no_other_device_than_the_links_only_one)
{
	world_set(&w, SOUTH, "device", "d");
	start(SOUTHERN("", "{ kind: 'space_info', topic: 's/{device}/space' }", ""),
	      NORTHERN("device: 'payload',", "{ kind: 'space_info', topic: 'space', read: 'f' }",
		       "def f: {device: .payload.who, body: {}};"));
	step(NORTH, "space", "{'who':'d'}", "south s/d/space {}\n= carried\n");
	step(NORTH, "space", "{'who':'e'}", "= other-device\n");
}

/* The same on a session of one device, where the side has several. */
static void step_on_at(const char *device, enum side from, const char *topic, const char *payload,
		       const char *wanted, int line)
{
	struct message m = make(topic, payload);

	link_receive(l, &(struct arrival){
				.from = from, .device = device, .message = &m, .at_ms = now_ms });
	message_fini(&m);
	expect_at(wanted, line);
}
#define step_on(device, from, topic, payload, wanted)                                              \
	step_on_at(device, from, topic, payload, wanted, __LINE__)

Test(link, what_comes_on_a_devices_session_is_that_devices)
{
	start(SOUTHERN("", "{ kind: 'space_info', topic: 's/{device}/space' }", ""),
	      NORTHERN("device: 'payload',",
		       "{ kind: 'space_info', topic: 'space', read: 'f' },"
		       "{ kind: 'space_info', topic: 'of/{device}', read: 'f' }",
		       "def f: {device: .payload.who, body: {}};"));
	step_on("d", NORTH, "space", "{}", "south s/d/space {}\n= carried\n");
	step_on("e", NORTH, "space", "{}", "south s/e/space {}\n= carried\n");
	step_on("e", NORTH, "space", "{'who':'e'}", "south s/e/space {}\n= carried\n");
	step_on("e", NORTH, "space", "{'who':'d'}", "= other-device\n");
	step_on("e", NORTH, "of/e", "{}", "south s/e/space {}\n= carried\n");
	step_on("e", NORTH, "of/d", "{}", "= other-device\n");
	step(NORTH, "space", "{'who':'d'}", "south s/d/space {}\n= carried\n");
}

Test(link, what_is_sent_says_whose_it_is)
{
	start(S_REPORTS, N_REPORTS);
	step(SOUTH, "s/d/t", "[1]", "north n/d/t {'v':1}\n= carried\n");
	cr_expect_str_eq(buf_str(&whose), "d");
	step(NORTH, "n/e/space", "{}", "south s/e/space {}\n= carried\n");
	cr_expect_str_eq(buf_str(&whose), "e");
}

Test(link, what_the_logic_orders_says_whose_it_is)
{
	start(SOUTHERN("", "{ kind: 'presence', topic: 's/{device}/p' }", ""),
	      NORTHERN("", "{ kind: 'presence', topic: 'n/{device}/p' }", ""));
	step(SOUTH, "s/e/p", "{'online':true}", "north n/e/p {'online':true}\n= carried\n");
	cr_expect_str_eq(buf_str(&whose), "e");
}

/* --- retained, echo ------------------------------------------------------------------------ */

#define S_ASKS                                                                                     \
	"{ kind: 'command', topic: 's/{device}/do', id: 'integer', read: 'rd', write: 'wr' },"     \
	"{ kind: 'command_reply', topic: 's/{device}/did', id: 'integer',"                         \
	"  read: 'rr', write: 'wrr' }"
#define N_ASKS                                                                                     \
	"{ kind: 'command', topic: 'n/{device}/do', id: 'uuid', read: 'rd', write: 'wr' },"        \
	"{ kind: 'command_reply', topic: 'n/{device}/did', id: 'uuid',"                            \
	"  read: 'rr', write: 'wrr' }"
#define ASKS                                                                                       \
	"def rd: .payload | {id, body: {name: .do}}; def wr: {id, do: .body.name};"                \
	"def rr: {id: .payload.id, body: {status: .payload.is, result: .request.body.name}};"      \
	"def wrr: {id} + .body + {asked: .request.id};"

Test(link, old_orders_are_refused_and_deletions_filtered)
{
	start(SOUTHERN("",
		       S_ASKS ", { kind: 'telemetry', topic: 's/{device}/t' },"
			      "{ kind: 'provision', topic: 's/{device}/join' }",
		       ASKS),
	      NORTHERN("", N_ASKS ", { kind: 'telemetry', topic: 'n/{device}/t' }", ASKS));
	step(SOUTH, "s/d/t", "", "= wrong-shape\n"); /* nothing was retained there */
	step_retained(NORTH, "n/d/do", "{'id':7,'do':'x'}", "= retained\n");
	step_retained(SOUTH, "s/d/join", "{}", "= retained\n");
	step_retained(SOUTH, "s/d/t", "{'a':1}", "north n/d/t {'a':1}\n= carried\n");
	step_retained(SOUTH, "s/d/t", "", "= empty-retained\n");
	step_retained(NORTH, "n/d/do", "", "= empty-retained\n");
	step_retained(SOUTH, "any", "", "= empty-retained\n");
	/* Who had subscribed before is told so: */
	step(SOUTH, "s/d/t", "", "= empty-retained\n");
	step(NORTH, "n/d/do", "", "= empty-retained\n");
	step(SOUTH, "s/e/t", "", "= wrong-shape\n"); /* that is another topic */
}

Test(link, an_empty_message_that_means_something_is_no_deletion)
{
	start(SOUTHERN("", "{ kind: 'event', topic: 's/{device}', read: 'r' }",
		       "def r: {body: {name: (.payload.name // \"none\")}};"),
	      NORTHERN("", "{ kind: 'event', topic: 'n/{device}' }", ""));
	step_retained(SOUTH, "s/d", "{'name':'x'}", "north n/d {'name':'x'}\n= carried\n");
	step(SOUTH, "s/d", "", "north n/d {'name':'none'}\n= carried\n");
}

#define BOTH_WAYS                                                                                  \
	"{ kind: 'attributes', topic: 'x/{device}/a' },"                                           \
	"{ kind: 'space_info', topic: 'x/{device}/a' },"                                           \
	"{ kind: 'telemetry', topic: 'x/{device}/t' }"

Test(link, a_message_that_comes_back_is_no_news_once)
{
	echoes[NORTH] = ECHO_ON;
	start(SOUTHERN("", BOTH_WAYS, ""), NORTHERN("", BOTH_WAYS, ""));
	step(SOUTH, "x/d/a", "{'a':1}", "north x/d/a {'a':1}\n= carried\n");
	cr_expect_neq(last_output.echo, 0);
	step(NORTH, "x/d/a", "{'a':1}", "= echo\n");
	step(NORTH, "x/d/a", "{'a':1}", "south x/d/a {'a':1}\n= carried\n");
	cr_expect_eq(last_output.echo, 0, "the south has No Local");
	/* Nobody reads telemetry on the north, so nobody could take it for news. */
	step(SOUTH, "x/d/t", "{'a':1}", "north x/d/t {'a':1}\n= carried\n");
	cr_expect_eq(last_output.echo, 0);
}

static size_t count_deleted(struct changes c, const char *key)
{
	size_t n = 0;

	for (size_t i = 0; i < c.n; i++)
		n += strcmp(c.items[i].machine, "echo") == 0 && !c.items[i].value &&
		     strcmp(c.items[i].key, key) == 0;
	return n;
}

Test(link, the_memory_of_a_side_that_needs_none_any_more_goes)
{
	struct changes c = { 0 };
	struct err e = { 0 };

	echoes[NORTH] = ECHO_ON;
	start(SOUTHERN("", BOTH_WAYS, ""), NORTHERN("", BOTH_WAYS, ""));
	cr_assert(link_restore(l, "echo", "south/7", "\"x\"", &e), "%s", e.text);
	cr_assert(link_restore(l, "echo", "north/8",
			       "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", &e),
		  "%s", e.text);
	link_take_changes(l, ++commit, &c);
	cr_expect_eq(count_deleted(c, "south/7"), 1);
	cr_expect_eq(count_deleted(c, "north/8"), 0);
	changes_fini(&c);
	step(SOUTH, "x/d/a", "{'a':1}", "north x/d/a {'a':1}\n= carried\n");
}

Test(link, the_memory_of_what_was_sent_ends_after_its_puback)
{
	echoes[NORTH] = ECHO_ON;
	start(SOUTHERN("", BOTH_WAYS, ""), NORTHERN("", BOTH_WAYS, ""));
	step(SOUTH, "x/d/a", "{'a':1}", "north x/d/a {'a':1}\n= carried\n");
	now_ms += 100000;
	link_acked(l, NORTH, last_output.echo, now_ms);
	now_ms += 9999;
	step(NORTH, "x/d/a", "{'a':1}", "= echo\n");
	step(SOUTH, "x/d/a", "{'a':2}", "north x/d/a {'a':2}\n= carried\n");
	link_acked(l, NORTH, last_output.echo, now_ms);
	now_ms += 10000;
	step(NORTH, "x/d/a", "{'a':2}", "south x/d/a {'a':2}\n= carried\n");
}

Test(link, what_a_platform_says_that_gives_nothing_back_is_its_own)
{
	echoes[NORTH] = ECHO_WATCH;
	start(SOUTHERN("", BOTH_WAYS, ""), NORTHERN("", BOTH_WAYS, ""));
	step(SOUTH, "x/d/a", "{'fan':1}", "north x/d/a {'fan':1}\n= carried\n");
	step(NORTH, "x/d/a", "{'fan':1}", "south x/d/a {'fan':1}\n= carried\n");
	for (int i = 2; i <= 3; i++) {
		step(SOUTH, "x/d/a", "{'fan':1}", "north x/d/a {'fan':1}\n= carried\n");
		step(NORTH, "x/d/a", "{'fan':1}",
		     i < 3 ? "south x/d/a {'fan':1}\n= carried\n" : "north echoes\n= echo\n");
	}
	step(SOUTH, "x/d/a", "{'fan':2}", "north x/d/a {'fan':2}\n= carried\n");
	step(NORTH, "x/d/a", "{'fan':2}", "= echo\n");
}

Test(link, whether_a_side_gives_back_follows_its_logins)
{
	struct message m = make("x/d/a", "{'a':1}");

	start(SOUTHERN("", BOTH_WAYS, ""), NORTHERN("", BOTH_WAYS, ""));
	step(SOUTH, "x/d/a", "{'a':1}", "north x/d/a {'a':1}\n= carried\n");
	cr_expect_eq(last_output.echo, 0);
	link_set_echoes(l, NORTH, ECHO_ON); /* it waits, and goes over 3.1.1 after all */
	cr_expect_neq(link_sent_again(l, NORTH, NULL, &m, 0), 0);
	step(NORTH, "x/d/a", "{'a':1}", "= echo\n");
	link_set_echoes(l, NORTH, ECHO_OFF);
	cr_expect_eq(link_sent_again(l, NORTH, NULL, &m, 0), 0);
	step(NORTH, "x/d/a", "{'a':1}", "south x/d/a {'a':1}\n= carried\n");
	message_fini(&m);
}

/* --- who says it --------------------------------------------------------------------------- */

#define S_KEYS                                                                                     \
	SOUTHERN("credentials: ['key', 'pin'],",                                                   \
		 "{ kind: 'telemetry', topic: 's/{device}', read: 'show',"                         \
		 "  properties: { id: '{device}', key: '{key}' } },"                               \
		 "{ kind: 'attributes', topic: 's/{device}', read: 'show',"                        \
		 "  properties: { pin: 'pin {pin}', kind: 'device' } }",                           \
		 "def show: {body: .properties};")
#define N_KEYS                                                                                     \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 't/{device}' },"                                     \
		 "{ kind: 'attributes', topic: 'a/{device}' }",                                    \
		 "")

Test(link, credentials_are_checked_and_go_no_further)
{
	world_set(&w, SOUTH, "key", "k1");
	world_set(&w, SOUTH, "pin", "99");
	start(S_KEYS, N_KEYS);
	step_with(SOUTH, "s/d", "id=d key=k1 other=x pin=pin_99", "= wrong-credential\n");
	step_with(
		SOUTH, "s/d", "id=d key=k1 other=x",
		"north t/d {'id':'d','other':'x'}\nnorth a/d {'id':'d','other':'x'}\n= carried\n");
	step_with(SOUTH, "s/d", "id=d key=k2", "= wrong-credential\n");
	step_with(SOUTH, "s/d", "id=d key=", "= wrong-credential\n");
	step_with(SOUTH, "s/d", "key=k1 key=k2", "= wrong-credential\n");
	step_with(SOUTH, "s/d", "id=e key=k1", "= other-device\n");
	step_with(SOUTH, "s/d", "kind=gateway", "= other-device\n");
}

Test(link, a_credential_that_is_not_known_is_removed_all_the_same)
{
	start(S_KEYS, N_KEYS);
	step_with(SOUTH, "s/d", "id=d key=k1 pin=p",
		  "north t/d {'id':'d'}\nnorth a/d {'id':'d'}\n= carried\n");
}

/* --- where it has been ---------------------------------------------------------------------- */

#define S_SHOWS                                                                                    \
	SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'show' }",                   \
		 "def show: {body: .properties};")
#define N_HEARS NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", "")

Test(link, takes_nothing_in_that_it_has_sent_on_before)
{
	start(S_SHOWS, N_HEARS);
	link_set_mark(l, "me");
	step_with(SOUTH, "s/d", "a=1", "north t/d {'a':'1'} calque-trail=me\n= carried\n");
	step_with(SOUTH, "s/d", "a=1 calque-trail=you",
		  "north t/d {'a':'1'} calque-trail=you me\n= carried\n");
	step_with(SOUTH, "s/d", "a=1 calque-trail=me", "= loop\n");
}

Test(link, leaves_no_trail_where_there_is_no_place_for_one)
{
	echoes[NORTH] = ECHO_ON; /* MQTT 3.1.1 */
	start(S_SHOWS, N_HEARS);
	link_set_mark(l, "me");
	step_with(SOUTH, "s/d", "a=1", "north t/d {'a':'1'}\n= carried\n");
}

Test(link, leaves_no_trail_among_the_properties_of_a_platform)
{
	start(S_SHOWS,
	      NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}', properties: { id: 'x' } }",
		       ""));
	link_set_mark(l, "me");
	step_with(SOUTH, "s/d", "a=1 calque-trail=you", "north t/d {'a':'1'} id=x\n= carried\n");
	step_with(SOUTH, "s/d", "a=1 calque-trail=me", "= loop\n");
}

/* --- pairing ------------------------------------------------------------------------------- */

static void start_asks(void)
{
	start(SOUTHERN("", S_ASKS, ASKS), NORTHERN("", N_ASKS, ASKS));
}

Test(link, a_reply_comes_back_under_the_id_of_its_request)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':'abc','do':'go'}",
	     "south s/d/do {'id':1,'do':'go'}\n= carried\n");
	step(SOUTH, "s/e/did", "{'id':1,'is':'done'}", "= unknown-id\n"); /* another device's */
	step(SOUTH, "s/d/did", "{'id':2,'is':'done'}", "= unknown-id\n");
	step(SOUTH, "s/d/did", "{'id':'1','is':'done'}",
	     "north n/d/did {'id':'abc','status':'done','result':'go','asked':'abc'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "= unknown-id\n"); /* only the first closes it */
	step(NORTH, "n/d/do", "{'id':7,'do':'stop'}",
	     "south s/d/do {'id':2,'do':'stop'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':2,'is':'error'}",
	     "north n/d/did {'id':7,'status':'error','result':'stop','asked':7}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
}

Test(link, requests_with_the_same_id_are_told_apart)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':7,'do':'b'}", "south s/d/do {'id':2,'do':'b'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':2,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'b','asked':7}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\n= carried\n");
}

/* Its caller logged in again, and has no acknowledgement, or no answer. */
Test(link, a_request_that_comes_again_keeps_its_far_id)
{
	login = 1;
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':2,'do':'a'}\n= carried\n");
	now_ms += 20000;
	login = 2;
	step(NORTH, "n/d/do", "{'id':7,'do':'b'}", "south s/d/do {'id':3,'do':'b'}\n= carried\n");
	step(NORTH, "n/e/do", "{'id':7,'do':'a'}", "south s/e/do {'id':1,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':'7','do':'a'}", "south s/d/do {'id':4,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 10000,
		     "its sender waits no longer than before");
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':2,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':5,'do':'a'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\n= carried\n");
	login = 3;
	step(NORTH, "n/d/do", "{'do':'a'}", "south s/d/do {'id':6,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'do':'a'}", "south s/d/do {'id':7,'do':'a'}\n= carried\n");
	restart();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':2,'do':'a'}\n= carried\n");
}

/* Its broker says so. */
Test(link, a_request_that_is_redelivered_keeps_its_far_id)
{
	login = 1;
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	step_dup(NORTH, "n/d/do", "{'id':7,'do':'a'}",
		 "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	step_dup(NORTH, "n/d/do", "{'id':7,'do':'b'}",
		 "south s/d/do {'id':2,'do':'b'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':3,'do':'a'}\n= carried\n");
	step_dup(NORTH, "n/d/do", "{'do':'a'}", "south s/d/do {'id':4,'do':'a'}\n= carried\n");
	holds = true;
	step(NORTH, "n/d/do", "{'id':8,'do':'a'}", "south s/d/do {'id':5,'do':'a'}\n");
	step_dup(NORTH, "n/d/do", "{'id':8,'do':'a'}", "= repeated\n");
	holds = false;
	delivered(held[--n_held], last_output.order);
	expect("= carried\n");
}

Test(link, a_request_that_comes_again_while_the_first_is_on_its_way_is_not_sent_twice)
{
	login = 1;
	start_asks();
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n");
	login = 2;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "= repeated\n");
	login = 3;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "= repeated\n");
	holds = false;
	delivered(held[--n_held], last_output.order);
	expect("= carried\n");
	login = 4;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
}

Test(link, who_sent_a_command_that_cannot_be_delivered_is_told_at_once)
{
	start_asks();
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n");
	holds = false;
	link_ended(l, held[--n_held], last_output.order, DEAD_BROKER_REFUSED);
	link_done(l, held[0], DEAD_BROKER_REFUSED, "no");
	expect("= broker-refused\nnorth n/d/did {'id':7,'status':'error','message':"
	       "'broker-refused','asked':7}\n= own\n");
}

Test(link, progress_keeps_a_pairing_open)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), now_ms + 30000);
	after(29999, "");
	step(SOUTH, "s/d/did", "{'id':1,'is':'in_progress'}",
	     "north n/d/did {'id':7,'status':'in_progress','result':'a','asked':7}\n= carried\n");
	after(29999, "");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\n= carried\n");
	after(100000, "");
}

Test(link, who_gets_no_reply_in_time_is_told)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	after(30000,
	      "north n/d/did {'id':7,'status':'error','message':'timeout','asked':7}\n= own\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->own, 1);
	cr_expect_eq(link_counters(l, FLOW_UP)->received, 0);
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}", "= unknown-id\n");
}

Test(link, a_command_without_an_id_is_one_way)
{
	start_asks();
	step(NORTH, "n/d/do", "{'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}", "= one-way\n");
	step(NORTH, "n/d/do", "{'do':'a'}", "south s/d/do {'id':2,'do':'a'}\n= carried\n");
	after(30000, "= own\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->own, 0, "nothing was said");
}

Test(link, a_reply_without_an_id_answers_the_oldest_request)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	step(NORTH, "n/d/do", "{'id':8,'do':'b'}", "south s/d/do {'id':2,'do':'b'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\n= carried\n");
}

Test(link, pairings_survive_a_restart)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	restart();
	expect("");
	step(NORTH, "n/d/do", "{'id':8,'do':'b'}", "south s/d/do {'id':2,'do':'b'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\n= carried\n");
}

/* `depth` arrays in one another, the innermost with the last word. */
static char *nested(const char *before, int depth, const char *after)
{
	struct buf b = { 0 };

	buf_puts(&b, before);
	for (int i = 0; i < depth; i++)
		buf_putc(&b, '[');
	for (int i = 0; i < depth; i++)
		buf_putc(&b, ']');
	buf_puts(&b, after);
	return buf_take(&b);
}

/* Each kind of message that is kept, nested as deep as any may be. */
Test(link, what_is_taken_in_can_be_stored_and_read_back)
{
	static const char *const topics[] = { "s/d/join", "s/d/ask", "s/d/a", "n/d/do", "n/d/c" };
	char *deepest = nested("{'name':'x','params':", JTEXT_MAX_DEPTH_TAKEN - 1, "}");
	char *deeper = nested("{'name':'x','params':", JTEXT_MAX_DEPTH_TAKEN, "}");
	char *push = nested("{'changed':{'a':", JTEXT_MAX_DEPTH_TAKEN - 2, "}}");

	start(SOUTHERN("",
		       "{ kind: 'provision', topic: 's/{device}/join' },"
		       "{ kind: 'provision_reply', topic: 's/{device}/joined' },"
		       "{ kind: 'request', topic: 's/{device}/ask' },"
		       "{ kind: 'request_reply', topic: 's/{device}/told' },"
		       "{ kind: 'attributes', topic: 's/{device}/a' },"
		       "{ kind: 'attributes_request', topic: 's/{device}/asked' },"
		       "{ kind: 'command', topic: 's/{device}/do' },"
		       "{ kind: 'config', topic: 's/{device}/c' },"
		       "{ kind: 'command_reply', topic: 's/{device}/did' }",
		       ""),
	      NORTHERN("",
		       "{ kind: 'provision', topic: 'n/{device}/join' },"
		       "{ kind: 'provision_reply', topic: 'n/{device}/joined' },"
		       "{ kind: 'request', topic: 'n/{device}/ask' },"
		       "{ kind: 'request_reply', topic: 'n/{device}/told' },"
		       "{ kind: 'attributes', topic: 'n/{device}/a' },"
		       "{ kind: 'command', topic: 'n/{device}/do', response_topic: "
		       "'n/{device}/did' },"
		       "{ kind: 'config', topic: 'n/{device}/c' },"
		       "{ kind: 'command_reply', topic: 'n/{device}/did' }",
		       ""));
	for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
		enum side from = topics[i][0] == 's' ? SOUTH : NORTH;
		struct message m =
			make(topics[i], strcmp(topics[i], "n/d/c") == 0 ? push : deepest);

		receive(from, &m, NULL);
		run();
		cr_expect(strstr(buf_str(&said), "= carried"), "%s: %s", topics[i], buf_str(&said));
		buf_reset(&said);
		message_fini(&m);
		step(from, topics[i], deeper, "= unreadable-payload\n");
	}
	restart(); /* which reads all that was stored */
	free(deepest);
	free(deeper);
	free(push);
}

/* --- commands that are too old ------------------------------------------------------------- */

/* The mapping of the north gives the time of a command. */
#define N_ASKS_WITH_TIME                                                                           \
	NORTHERN("", N_ASKS,                                                                       \
		 "def rd: .payload | {id, ts: .at, body: {name: .do}}; def wr: {};"                \
		 "def rr: {body: {}}; def wrr: {id} + .body;")

/* It waited for a south that was away, for as long as that; `wanted` when it is to be sent. */
static void wait_for_south_at(int64_t ms, const char *wanted, int line)
{
	cr_assert_eq(n_held, 1, "line %d", line);
	now_ms += ms;
	holds = false;
	n_held = 0;
	link_expire(l, held[0], last_output.order, now_ms);
	expect_at(wanted, line);
}
#define wait_for_south(ms, wanted) wait_for_south_at(ms, wanted, __LINE__)

Test(link, a_command_says_when_it_is_too_old)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 30000,
		     "when its sender is told of a time-out");
	step(NORTH, "n/d/do", "{'do':'b'}", "south s/d/do {'id':2,'do':'b'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 60000, "nobody waits");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, INT64_MAX, "a reply is never too old");
}

Test(link, a_command_that_waited_too_long_is_answered_and_that_is_its_delivery)
{
	w.spec.command_max_age_ms = 10000;
	start_asks();
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n");
	wait_for_south(10000, "= carried\nnorth n/d/did {'id':7,'status':'error','message':"
			      "'expired','asked':7}\n= own\n");
	cr_expect_eq(link_counters(l, FLOW_DOWN)->delivered, 1);
	after(30000, ""); /* no time-out is told as well */
}

Test(link, a_command_that_waited_for_as_long_as_its_sender_does_timed_out)
{
	start_asks();
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n");
	wait_for_south(29001, "= carried\nnorth n/d/did {'id':7,'status':'error','message':"
			      "'timeout','asked':7}\n= own\n");
	after(30000, "");
}

Test(link, how_long_an_asker_waits_its_dialect_says_unless_it_is_configured)
{
	w.spec.request_timeout_ms = 0;
	start(SOUTHERN("request_timeout: 5,", S_ASKS, ASKS),
	      NORTHERN("request_timeout: 9,", N_ASKS, ASKS));
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 9000);
	after(8999, "");
	after(1, "north n/d/did {'id':7,'status':'error','message':'timeout','asked':7}\n= own\n");
}

Test(link, a_command_that_waited_too_long_is_not_answered_twice)
{
	unsigned order;

	start_asks();
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n");
	order = last_output.order;
	after(30000, "north n/d/did {'id':7,'status':'error','message':'timeout','asked':7}\n");
	link_done(l, held[--n_held], CARRIED, NULL);
	expect("= own\n");
	last_output.order = order;
	wait_for_south(30000, "= carried\n");
}

/* A row without an id, and one for those that are only told. */
#define S_TELLS                                                                                    \
	SOUTHERN("",                                                                               \
		 "{ kind: 'command', topic: 's/{device}/do', write: 'wd' },"                       \
		 "{ kind: 'command', topic: 's/{device}/tell', only: 'write', write: 'wt',"        \
		 "  answered: { status: 'done', message: 'told' } },"                              \
		 "{ kind: 'command_reply', topic: 's/{device}/did' }",                             \
		 "def wd: select(.body.name != 'a') | .body;"                                      \
		 "def wt: select(.body.name == 'a') | .body;")

Test(link, a_command_that_is_never_answered_is_answered_when_it_is_delivered)
{
	start(S_TELLS, NORTHERN("", N_ASKS, ASKS));
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/tell {'name':'a'}\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 30000);
	holds = false;
	delivered(held[--n_held], last_output.order);
	cr_expect_leq(link_next_deadline(l), now_ms);
	expect("= carried\nnorth n/d/did {'id':7,'status':'done','message':'told',"
	       "'asked':7}\n= own\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
}

Test(link, a_command_that_is_never_answered_and_got_too_old_is_not_called_done)
{
	start(S_TELLS, NORTHERN("", N_ASKS, ASKS));
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/tell {'name':'a'}\n");
	wait_for_south(30000, "= carried\nnorth n/d/did {'id':7,'status':'error','message':"
			      "'timeout','asked':7}\n= own\n");
	holds = true;
	step(NORTH, "n/d/do", "{'do':'a'}", "south s/d/tell {'name':'a'}\n");
	wait_for_south(60000, "= expired\n");
	cr_expect_eq(link_counters(l, FLOW_DOWN)->by[DEAD_EXPIRED], 1);
}

Test(link, a_command_that_nobody_waits_for_is_dead_when_it_waited_too_long)
{
	start_asks();
	holds = true;
	step(NORTH, "n/d/do", "{'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n");
	wait_for_south(60000, "= expired\n");
	cr_expect_eq(link_counters(l, FLOW_DOWN)->by[DEAD_EXPIRED], 1);
}

/* What an earlier run decided is sent again; `wanted` then. */
static void resend_one_at(enum side from, struct output out, int64_t age_ms, const char *wanted,
			  int line)
{
	struct message m = make("x/d/none", "");

	link_resend(l, &(struct arrival){ .from = from, .message = &m, .at_ms = now_ms - age_ms },
		    false, &out, 1);
	message_fini(&m);
	executor_run(executor);
	expect_at(wanted, line);
}
#define resend_one(from, out, age_ms, wanted) resend_one_at(from, out, age_ms, wanted, __LINE__)

/* As an earlier version stored it, without a word of who waits. */
Test(link, a_command_that_an_earlier_run_decided_still_gets_too_old)
{
	start_asks();
	holds = true;
	resend_one(NORTH,
		   ((struct output){ .to = SOUTH, .message = make("s/d/do", "{'id':1,'do':'a'}") }),
		   50000, "south s/d/do {'id':1,'do':'a'}\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 10000);
	wait_for_south(10000, "= expired\n");
	resend_one(SOUTH, ((struct output){ .to = NORTH, .message = make("n/d/did", "{}") }), 50000,
		   "north n/d/did {}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, INT64_MAX);
}

static struct output stored_command(int64_t expires_ms)
{
	return (struct output){ .to = SOUTH,
				.message = make("s/d/do", "{'id':1,'do':'a'}"),
				.device = mem_strdup("d"),
				.expires_ms = expires_ms,
				.far_id = "1" };
}

Test(link, who_waits_for_a_command_is_found_again_after_a_restart)
{
	start_asks();
	step(NORTH, "n/d/do", "{'id':7,'do':'a'}", "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	restart();
	holds = true;
	resend_one(NORTH, stored_command(now_ms + 30000), 0, "south s/d/do {'id':1,'do':'a'}\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 30000, "not when command_max_age is over");
	wait_for_south(30000, "= carried\nnorth n/d/did {'id':7,'status':'error','message':"
			      "'timeout','asked':7}\n= own\n");
	holds = true;
	resend_one(NORTH, stored_command(now_ms - 1), 40000, "south s/d/do {'id':1,'do':'a'}\n");
	wait_for_south(0, "= carried\n"); /* which was told so before */
}

Test(link, the_age_of_a_command_counts_from_its_own_time_if_it_has_one)
{
	w.spec.request_timeout_ms = 300000;
	start(SOUTHERN("", S_ASKS, ASKS), N_ASKS_WITH_TIME);
	step(NORTH, "n/d/do", "{'id':7,'do':'a','at':1699999970000}",
	     "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 30000);
	step(NORTH, "n/d/do", "{'id':8,'do':'a','at':1800000000000}",
	     "south s/d/do {'id':2,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 60000, "the future makes it no younger");
	step(NORTH, "n/d/do", "{'id':9,'do':'a','at':1699999940000}",
	     "north n/d/did {'id':9,'status':'error','message':'expired'}\n= carried\n");
	step(NORTH, "n/d/do", "{'do':'a','at':1699999940000}", "= expired\n");
}

Test(link, what_is_pending_counts_in_bytes)
{
	struct message m;

	start(S_REPORTS, N_REPORTS);
	holds = true;
	m = make("s/d/t", "[1,2]");
	receive(SOUTH, &m, NULL);
	expect("north n/d/t {'v':1}\nnorth n/d/t {'v':2}\n");
	cr_expect_eq(link_pending_bytes(l, FLOW_UP), message_size(&m));
	cr_expect_eq(link_pending_bytes(l, FLOW_DOWN), 0);
	link_done(l, held[0], CARRIED, NULL);
	cr_expect_eq(link_pending_bytes(l, FLOW_UP), message_size(&m));
	link_done(l, held[1], CARRIED, NULL);
	cr_expect_eq(link_pending_bytes(l, FLOW_UP), 0);
	message_fini(&m);
}

/* --- once more after a restart ------------------------------------------------------------- */

static char tag;

static void step_tagged_at(enum side from, const char *topic, const char *payload,
			   const char *wanted, int line)
{
	struct message m = make(topic, payload);

	receive(from, &m, &tag);
	message_fini(&m);
	expect_at(wanted, line);
}
#define step_tagged(from, topic, payload, wanted)                                                  \
	step_tagged_at(from, topic, payload, wanted, __LINE__)

Test(link, it_says_which_messages_change_the_state)
{
	start_asks();
	step_tagged(NORTH, "n/d/do", "{'id':7,'do':'a'}",
		    "south s/d/do {'id':1,'do':'a'}\ndecided\n= carried\n");
	step_tagged(SOUTH, "s/d/did", "{'id':2,'is':'done'}", "= unknown-id\n");
	step_tagged(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
		    "north n/d/did {'id':7,'status':'done','result':'a','asked':7}\ndecided\n"
		    "= carried\n");
}

Test(link, a_stateless_message_changes_nothing)
{
	start(S_REPORTS, N_REPORTS);
	step_tagged(SOUTH, "s/d/e", "{'name':'x'}", "north n/d/e {'name':'x'}\n= carried\n");
}

static void resend(enum side from, bool is_own, size_t n)
{
	struct output out[2] = {
		{ .to = side_other(from), .message = make("x/d/a", "{'a':1}") },
		{ .to = side_other(from), .message = make("x/d/a", "{'a':2}") },
	};

	struct message m = make("x/d/none", "");

	link_resend(l,
		    &(struct arrival){ .from = from, .message = &m, .at_ms = now_ms, .tag = &tag },
		    is_own, out, n);
	message_fini(&m);
	executor_run(executor);
	for (size_t i = n; i < 2; i++)
		message_fini(&out[i].message);
}

Test(link, what_was_decided_is_sent_again_and_not_decided)
{
	echoes[NORTH] = ECHO_ON;
	start(SOUTHERN("", BOTH_WAYS, ""), NORTHERN("", BOTH_WAYS, ""));
	resend(SOUTH, false, 2);
	expect("north x/d/a {'a':1}\nnorth x/d/a {'a':2}\n= carried\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->received, 0);
	cr_expect_eq(link_counters(l, FLOW_UP)->resumed, 1);
	cr_expect_eq(link_counters(l, FLOW_UP)->delivered, 1);
	step(NORTH, "x/d/a", "{'a':2}", "= echo\n");
	resend(SOUTH, false, 0);
	expect("= carried\n");
	resend(NORTH, true, 1);
	expect("south x/d/a {'a':1}\n= own\n");
	cr_expect_eq(link_counters(l, FLOW_DOWN)->resumed, 0);
	cr_expect_eq(link_counters(l, FLOW_DOWN)->own, 0, "an earlier run counted it");
}

Test(link, what_is_received_again_is_no_echo_and_has_its_old_time)
{
	struct message m;

	start_asks();
	m = make("n/d/do", "{'id':7,'do':'a'}");
	link_receive_again(
		l, &(struct arrival){
			   .from = NORTH, .message = &m, .at_ms = now_ms - 20000, .tag = &tag });
	message_fini(&m);
	expect("south s/d/do {'id':1,'do':'a'}\ndecided\n= carried\n");
	cr_expect_eq(link_next_deadline(l), now_ms + 10000);
	cr_expect_eq(link_counters(l, FLOW_DOWN)->received, 0);
	cr_expect_eq(link_counters(l, FLOW_DOWN)->resumed, 1);
}

/* It died, and is tried again after so long. */
static void try_again_at(const char *topic, const char *payload, int64_t after_ms,
			 const char *wanted, int line)
{
	struct message m = make(topic, payload);

	link_receive_again(l, &(struct arrival){ .from = NORTH,
						 .message = &m,
						 .at_ms = now_ms - after_ms,
						 .since_ms = now_ms });
	message_fini(&m);
	expect_at(wanted, line);
}
#define try_again(topic, payload, after_ms, wanted)                                                \
	try_again_at(topic, payload, after_ms, wanted, __LINE__)

Test(link, the_age_of_a_command_that_is_tried_again_counts_from_then)
{
	start(SOUTHERN("", S_ASKS, ASKS), N_ASKS_WITH_TIME);
	try_again("n/d/do", "{'do':'a'}", 3600000, "south s/d/do {'id':1,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 60000);
	try_again("n/d/do", "{'do':'a','at':1600000000000}", 3600000,
		  "south s/d/do {'id':2,'do':'a'}\n= carried\n"); /* as old as its sender says */
	cr_expect_eq(last_output.expires_ms, now_ms + 60000);
	try_again("n/d/do", "{'id':7,'do':'a'}", 3600000,
		  "south s/d/do {'id':3,'do':'a'}\n= carried\n");
	cr_expect_eq(last_output.expires_ms, now_ms + 30000, "its sender waits anew");
	try_again("n/d/do", "{'do':'a','at':1600000000000}", 0, "= expired\n"); /* a restart only */
}

/* --- with jobs that are done elsewhere ----------------------------------------------------- */

static struct job *taken[16];
static size_t n_taken;

static bool take(void *ctx, struct job *job)
{
	(void)ctx;
	taken[n_taken++] = job;
	return true;
}

static void tell(void *ctx, const struct plan *plan, const char *key, const char *value)
{
	(void)ctx;
	(void)plan;
	buf_printf(&said, "tell %s=%s\n", key, value ? value : "");
}

static void use_a_hand(void)
{
	static const struct worker_pool pool = { take, tell, NULL };

	executor_free(executor);
	executor = executor_new(&pool);
}

static void receive_tagged(enum side from, const char *topic, const char *payload)
{
	struct message m = make(topic, payload);

	receive(from, &m, &tag);
	message_fini(&m);
	executor_run(executor);
}

static void back(size_t i)
{
	struct results r = { 0 };

	translate(taken[i], &r);
	executor_back(taken[i], &r);
	executor_run(executor);
}

static void expect_said(const char *wanted, int line)
{
	expect_text(buf_str(&said), wanted, "said", line);
	buf_reset(&said);
}

Test(link, a_change_of_state_is_held_back_until_what_it_leads_to_is_there)
{
	use_a_hand();
	start_asks();
	receive_tagged(NORTH, "n/d/do", "{'id':7,'do':'a'}");
	back(0);
	cr_expect_eq(take_changes(), 0, "the command is not there yet");
	cr_assert_eq(n_taken, 2);
	expect_said("", __LINE__);
	back(1);
	cr_expect_gt(take_changes(), 0);
	expect_said("south s/d/do {'id':1,'do':'a'}\ndecided\n= carried\n", __LINE__);
	cr_expect_eq(take_changes(), 0);
}

Test(link, only_the_changes_of_the_message_in_hand_are_held_back)
{
	use_a_hand();
	start_asks();
	receive_tagged(NORTH, "n/d/do", "{'id':7,'do':'a'}");
	receive_tagged(NORTH, "n/d/do", "{'id':8,'do':'b'}");
	back(0);
	back(1);
	cr_expect_eq(take_changes(), 0);
	back(2);
	cr_expect_gt(take_changes(), 0, "of the first; the second decides");
	cr_expect_eq(take_changes(), 0);
	cr_assert_eq(n_taken, 4);
	back(3);
	cr_expect_gt(take_changes(), 0);
}

Test(link, what_times_out_while_it_is_decided_is_written_with_it)
{
	use_a_hand();
	start_asks();
	receive_tagged(NORTH, "n/d/do", "{'id':7,'do':'a'}");
	back(0);
	link_tick(l, now_ms + 60000);
	executor_run(executor);
	cr_assert_eq(n_taken, 3, "the error reply");
	back(1);
	cr_expect_eq(take_changes(), 0, "neither that the request is open nor that it is over");
	buf_reset(&said);
	back(2);
	cr_expect_gt(take_changes(), 0);
	expect_said("north n/d/did {'id':7,'status':'error','message':'timeout','asked':7}\n"
		    "south s/d/do {'id':1,'do':'a'}\ndecided\n= own\n= carried\n",
		    __LINE__);
}

/* --- one device does not wait for another */

Test(link, what_is_slow_for_one_device_holds_up_no_other)
{
	use_a_hand();
	start_asks();
	receive_tagged(NORTH, "n/B/do", "{'id':1,'do':'a'}");
	receive_tagged(NORTH, "n/A/do", "{'id':2,'do':'b'}");
	cr_assert_eq(n_taken, 2);
	back(1);
	back(2);
	expect_said("south s/A/do {'id':1,'do':'b'}\ndecided\n= carried\n", __LINE__);
	cr_expect_gt(take_changes(), 0, "it is decided alone");
	back(0);
	cr_expect_eq(take_changes(), 0);
	back(3);
	expect_said("south s/B/do {'id':1,'do':'a'}\ndecided\n= carried\n", __LINE__);
	cr_expect_gt(take_changes(), 0);
}

/* One message of several devices, whose payload says which. */
#define S_SEVERAL                                                                                  \
	SOUTHERN("device: 'payload',",                                                             \
		 "{ kind: 'telemetry', topic: 's/t', read: 't' },"                                 \
		 "{ kind: 'presence', topic: 's/p', read: 'p' }",                                  \
		 "def t: .payload | to_entries[] | {device: .key, body: {v: .value}};"             \
		 "def p: .payload | to_entries[] | {device: .key, body: {online: .value}};")
#define N_SEVERAL                                                                                  \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'presence', topic: 'n/{device}/p' }",                                    \
		 "")

/* B has something in hand; what else comes of it waits, and A does not. */
Test(link, the_parts_of_a_message_have_their_turns_with_their_devices)
{
	use_a_hand();
	start(S_SEVERAL, N_SEVERAL);
	receive_tagged(SOUTH, "s/p", "{'B':true}");
	back(0);
	cr_assert_eq(n_taken, 2, "the presence of B is being written");
	receive_tagged(SOUTH, "s/t", "{'A':1,'B':1}");
	receive_tagged(SOUTH, "s/t", "{'B':2}");
	receive_tagged(SOUTH, "s/t", "{'A':3,'B':3}");
	cr_assert_eq(n_taken, 5);
	back(4);
	back(3);
	expect_said("", __LINE__); /* what a session brings is read in its order */
	back(2);
	back(5);
	back(6);
	expect_said("north n/A/t {'v':1}\nnorth n/A/t {'v':3}\n", __LINE__);
	back(1);
	back(7);
	back(8);
	back(9);
	expect_said("north n/B/p {'online':true}\ndecided\n= carried\nnorth n/B/t {'v':1}\n"
		    "= carried\nnorth n/B/t {'v':2}\n= carried\nnorth n/B/t {'v':3}\n= carried\n",
		    __LINE__);
}

Test(link, what_changes_for_several_devices_is_decided_as_one)
{
	use_a_hand();
	start(S_SEVERAL, N_SEVERAL);
	receive_tagged(SOUTH, "s/p", "{'A':true,'B':true}");
	back(0);
	cr_assert_eq(n_taken, 3);
	receive_tagged(SOUTH, "s/t", "{'A':1}");
	back(3);
	back(1);
	back(4);
	cr_expect_eq(take_changes(), 0, "that of B is not there");
	expect_said("", __LINE__); /* nor does anything of A overtake it */
	back(2);
	cr_expect_eq(take_changes(), 2);
	expect_said("north n/A/p {'online':true}\nnorth n/A/t {'v':1}\n= carried\n"
		    "north n/B/p {'online':true}\ndecided\n= carried\n",
		    __LINE__);
}

/* The names in payloads are those of when it is their turn, though they were read before. */
Test(link, what_is_behind_a_change_of_names_is_read_by_the_new_ones)
{
	use_a_hand();
	start(SOUTHERN("",
		       "{ kind: 'telemetry', topic: 's/{device}/t' },"
		       "{ kind: 'space_info', topic: 's/{device}/space' }",
		       ""),
	      NORTHERN("device: 'payload',",
		       "{ kind: 'device_change', topic: 'n/who', read: 'f' },"
		       "{ kind: 'space_info', topic: 'n/space', read: 'g' }",
		       "def f: {device: 'd1', body: {name: 'd1', new_name: .payload.to}};"
		       "def g: {device: .payload.who, body: {}};"));
	receive_tagged(NORTH, "n/who", "{'to':'pump'}");
	receive_tagged(NORTH, "n/space", "{'who':'pump'}");
	cr_assert_eq(n_taken, 2);
	back(1);
	back(0);
	cr_assert_eq(n_taken, 3, "the second is read once more");
	buf_reset(&said);
	back(2);
	back(3);
	expect_said("south s/d1/space {}\n= carried\n", __LINE__);
}

static char slowed[32];

static void on_slowed(void *ctx, const char *device, enum kind kind)
{
	(void)ctx;
	snprintf(slowed, sizeof slowed, "%s %s", device, kind_name(kind));
}

/* Its worker took too long. */
static void overrun_of(int device)
{
	struct results r = { 0 };
	char topic[16];

	snprintf(topic, sizeof topic, device ? "s/d%d/t" : "s/d/t", device);
	receive_tagged(SOUTH, topic, "{}");
	results_refuse(&r, DEAD_MAPPING_OVERRUN, "too long");
	executor_back(taken[n_taken - 1], &r);
	executor_run(executor);
	n_taken = 0;
}

static void overrun(void)
{
	overrun_of(0);
}

static void start_slow(void)
{
	struct link_ops with_slowed = ops;

	with_slowed.slowed = on_slowed;
	use_a_hand();
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t', read: 'f' }",
			    "def f: .payload;"),
		   NORTHERN("", "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	l = link_new(w.plan, executor, &with_slowed, NULL, echoes);
}

Test(link, of_so_many_only_it_is_remembered_that_they_took_too_long)
{
	start_slow();
	overrun();
	overrun();
	for (int i = 1; i <= 256; i++) {
		now_ms++;
		overrun_of(i);
	}
	overrun();
	cr_expect_str_eq(slowed, "", "it was the one that was so the longest ago");
	overrun();
	overrun();
	cr_expect_str_eq(slowed, "d telemetry");
}

Test(link, that_something_took_too_long_is_forgotten_in_time)
{
	start_slow();
	overrun();
	overrun();
	now_ms += LINK_SLOW_MS;
	overrun_of(1);
	overrun();
	cr_expect_str_eq(slowed, "");
}

Test(link, what_takes_too_long_again_and_again_goes_to_the_slow_lane_for_a_minute)
{
	start_slow();
	overrun();
	overrun();
	receive_tagged(SOUTH, "s/d/t", "{}");
	cr_expect_not(taken[0]->is_slow);
	back(0); /* one that is well: it begins anew */
	n_taken = 0;
	for (int i = 0; i < 3; i++) {
		cr_expect_str_eq(slowed, "");
		overrun();
	}
	cr_expect_str_eq(slowed, "d telemetry");
	slowed[0] = '\0';
	overrun();
	cr_expect_str_eq(slowed, "", "said once");
	receive_tagged(SOUTH, "s/d/t", "{}");
	cr_expect(taken[0]->is_slow);
	receive_tagged(SOUTH, "s/e/t", "{}");
	cr_expect_not(taken[1]->is_slow);
	back(1);
	back(0);
	n_taken = 0;
	now_ms += LINK_SLOW_MS;
	link_tick(l, now_ms);
	receive_tagged(SOUTH, "s/d/t", "{}");
	cr_expect_not(taken[0]->is_slow);
	back(0);
}

Test(link, what_is_turned_away_is_a_dead_letter)
{
	struct message m = { .topic = "s/d/t", .payload = "{", .payload_len = 1, .is_cut = true };
	struct arrival a = { .from = SOUTH, .at_ms = now_ms };

	start_asks();
	link_turn_away(l, &a, DEAD_UNREADABLE, "no UTF-8");
	expect("= unreadable-payload\n");
	a.message = &m;
	link_turn_away(l, &a, DEAD_TOO_LARGE, "20000000 bytes");
	expect("= too-large\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->received, 2);
	cr_expect_eq(link_counters(l, FLOW_UP)->dead, 2);
	cr_expect_eq(link_pending_bytes(l, FLOW_UP), 0);
}

static void start_echoes(void)
{
	start(SOUTHERN("",
		       "{ kind: 'attributes', topic: 's/{device}/a', echoes: 'config' },"
		       "{ kind: 'config', topic: 's/{device}/push', write: 'diff' }",
		       "def diff: .body.changed;"),
	      NORTHERN("",
		       "{ kind: 'attributes', topic: 'n/{device}/a' },"
		       "{ kind: 'config_reply', topic: 'n/{device}/isset', write: 'values' },"
		       "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' }",
		       "def diff: {body: {changed: .payload}}; def values: .body.values;"));
}

Test(link, attributes_are_written_at_once_where_nothing_can_come_back)
{
	use_a_hand();
	start_echoes();
	receive_tagged(SOUTH, "s/d/a", "{'x':1}");
	back(0);
	cr_expect_eq(n_taken, 1, "no second job");
	expect_said("north n/d/a {'x':1}\n= carried\n", __LINE__);
}

Test(link, attributes_are_done_again_if_something_was_pushed_meanwhile)
{
	use_a_hand();
	start_echoes();
	receive_tagged(NORTH, "n/d/set", "{'x':1}");
	receive_tagged(SOUTH, "s/d/a", "{'x':1}");
	back(1); /* ahead of its turn: nothing is pushed yet */
	back(0);
	back(2);
	buf_reset(&said);
	cr_assert_eq(n_taken, 4, "it is read again");
	back(3);
	cr_expect_null(strstr(buf_str(&said), "north n/d/a"), "it is what was pushed: %s",
		       buf_str(&said));
}

Test(link, a_link_may_end_while_it_decides)
{
	use_a_hand();
	start_asks();
	receive_tagged(NORTH, "n/d/do", "{'id':7,'do':'a'}");
	back(0);
	buf_reset(&said);
	link_free(l);
	l = NULL;
	cr_expect_null(strstr(buf_str(&said), "south"), "nothing is sent");
	cr_expect_null(strstr(buf_str(&said), "decided"));
}

Test(link, no_row_of_an_unknown_machine_is_taken)
{
	struct err e = { 0 };

	start_asks();
	cr_expect_not(link_restore(l, "other", "k", "{}", &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_not(link_restore(l, "pairing", "k", "{}", &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
}

#define REQUEST_OF(device, id)                                                                     \
	"{'request':{'kind':'command','device':'" device "','body':{}},'caller':'north',"          \
	"'far_id':" id ",'reply_topic':null,'deadline_ms':5}"
#define OPEN_OF(device)                                                                            \
	"{'request':{'kind':'provision','device':'" device "','body':{'device_name':'W'}},"        \
	"'reply_topic':null,'south_device_id':null}"
#define ISSUED_TO(device, number)                                                                  \
	"{'device':'" device "','number':" number ",'refused':false,'proof':{},'reply':{}}"
#define TWIN	 "{'version':1,'updated_ms':1,'source_version':null,'source_updated':null}"
#define TWIN_KEY "{'key':[1,1,2],'value':1}"
#define PRESENCE "{'online':true,'alarm':null}"

/* A row of each machine for each of two devices. */
static const char *const rows_of_two[][3] = {
	{ "pairing", "command/a/1", REQUEST_OF("a", "1") },
	{ "pairing", "command/b/1", REQUEST_OF("b", "1") },
	{ "pairing", "counter/a", "1" },
	{ "pairing", "counter/b", "1" },
	{ "provision", "open/8", OPEN_OF("a") },
	{ "provision", "open/9", OPEN_OF("b") },
	{ "provision", "issued/A", ISSUED_TO("a", "1") },
	{ "provision", "issued/B", ISSUED_TO("b", "2") },
	{ "twin", "a", TWIN },
	{ "twin", "b", TWIN },
	{ "twin-key", "[\"a\",\"x\"]", TWIN_KEY },
	{ "twin-key", "[\"b\",\"x\"]", TWIN_KEY },
	{ "presence", "a", PRESENCE },
	{ "presence", "b", PRESENCE },
	{ "reported", "a", "{'x':1}" },
	{ "reported", "b", "{'x':1}" },
	{ "device", "a", "{'south':'A','north':null}" },
	{ "device", "b", "{'south':'B','north':null}" },
	{ "echo", "north/8", "'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='" },
};

static void expect_deleted(const char *wanted)
{
	struct changes c = { 0 };
	struct buf got = { 0 };

	link_take_changes(l, ++commit, &c);
	for (size_t i = 0; i < c.n; i++)
		buf_printf(&got, "%s%s %s\n", c.items[i].value ? "! " : "", c.items[i].machine,
			   c.items[i].key);
	cr_expect_str_eq(buf_str(&got), wanted);
	buf_fini(&got);
	changes_fini(&c);
}

Test(link, of_a_device_that_is_forgotten_no_row_is_left_and_of_others_all)
{
	echoes[NORTH] = ECHO_ON;
	start_asks();
	for (size_t i = 0; i < sizeof rows_of_two / sizeof rows_of_two[0]; i++) {
		char *value = quoted(rows_of_two[i][2]);
		struct err e = { 0 };

		cr_assert(link_restore(l, rows_of_two[i][0], rows_of_two[i][1], value, &e), "%s",
			  e.text);
		free(value);
	}
	link_forget(l, "a");
	expect_deleted("pairing command/a/1\npairing counter/a\nprovision open/8\n"
		       "provision issued/A\ntwin a\ntwin-key [\"a\",\"x\"]\npresence a\nreported "
		       "a\ndevice a\n");
	link_forget(l, "a");
	link_forget(l, "stranger");
	expect_deleted("");
	link_forget(l, "b");
	cr_expect_eq(take_changes(), 9);
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
}

/* Requests of devices: the id in the topic, a short alias, and a row that answers by itself. */
#define S_QUESTIONS                                                                                \
	SOUTHERN("",                                                                               \
		 "{ kind: 'request', topic: 's/{device}/ask/{id}', id: 'integer',"                 \
		 "  read: 'q', also: [{ topic: 'q/{device}/{id}', reply: 'a/{device}/{id}' }] },"  \
		 "{ kind: 'request_reply', topic: 's/{device}/answer/{id}', id: 'integer' }",      \
		 "def q: if .payload == 'own' then {kind: 'request_reply', body: 'mine'}"          \
		 "  else {body: {name: .payload}} end;")
#define N_QUESTIONS(more, functions)                                                               \
	NORTHERN("",                                                                               \
		 "{ kind: 'request', topic: 'n/{device}/ask/{id}', id: 'uuid', " more " },"        \
		 "{ kind: 'request_reply', topic: 'n/{device}/answer/{id}', id: 'uuid',"           \
		 "  read: 'a' }",                                                                  \
		 "def a: {body: {re: .request.body.name, is: .payload}};" functions)

static void reply_to_question(const char *payload, const char *wanted, int line)
{
	char *topic = mem_printf("n/d/answer/%s", uuid);

	step_at(NORTH, topic, payload, wanted, line);
	free(topic);
}

Test(link, a_reply_is_read_with_its_request)
{
	start(S_QUESTIONS, N_QUESTIONS("", ""));
	step(SOUTH, "s/d/ask/7", "'why'", "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
	reply_to_question("1", "south s/d/answer/7 {'re':'why','is':1}\n= carried\n", __LINE__);
	reply_to_question("1", "= unknown-id\n", __LINE__);
	step(NORTH, "n/d/answer/7", "1", "= unknown-topic\n"); /* that is no UUID */
}

Test(link, what_is_asked_on_an_alias_is_answered_there)
{
	start(S_QUESTIONS, N_QUESTIONS("", ""));
	step(SOUTH, "q/d/7", "'why'", "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
	restart();
	reply_to_question("1", "south a/d/7 {'re':'why','is':1}\n= carried\n", __LINE__);
	step(SOUTH, "q/d/8", "'why'", "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
	after(30000, "south a/d/8 {'error':'timeout'}\n= own\n");
}

Test(link, a_response_topic_is_where_the_answer_goes)
{
	/* No topics, or not among the device's own. */
	static const char *const unfit[] = { "$SYS/x", "a/+",	 "#", "",      "s/e/answer/7",
					     "s/dd/x", "s/../d", "s", "other", "S/d/x" };

	start(S_QUESTIONS, N_QUESTIONS("", ""));
	ask(SOUTH, "q/d/7", "'why'", "q/d/{id}/{x}",
	    "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
	reply_to_question("1", "south q/d/{id}/{x} {'re':'why','is':1}\n= carried\n", __LINE__);
	for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
		ask(SOUTH, "s/d/ask/7", "'why'", unfit[i],
		    "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
		reply_to_question("1", "south s/d/answer/7 {'re':'why','is':1}\n= carried\n",
				  __LINE__);
	}
}

/* Another device's name is no way around: q/q/7 is of the device q. */
Test(link, a_device_that_is_called_as_a_level_is_has_no_more_topics)
{
	start(S_QUESTIONS, N_QUESTIONS("", ""));
	ask(SOUTH, "q/q/7", "'why'", "q/d/7", "north n/q/ask/<uuid> {'name':'why'}\n= carried\n");
	after(30000, "south a/q/7 {'error':'timeout'}\n= own\n");
}

Test(link, a_mapping_may_answer_its_platforms_question)
{
	start(S_QUESTIONS, N_QUESTIONS("", ""));
	step(SOUTH, "s/d/ask/7", "'own'", "south s/d/answer/7 'mine'\n= carried\n");
	step(SOUTH, "q/d/7", "'own'", "south a/d/7 'mine'\n= carried\n");
	ask(SOUTH, "s/d/ask/7", "'own'", "s/d/x", "south s/d/x 'mine'\n= carried\n");
}

Test(link, a_question_that_is_never_answered_has_its_answer_in_the_mapping)
{
	start(S_QUESTIONS,
	      N_QUESTIONS("answered: {'ok': 1}, write: 'w'",
			  "def w: select(.body.name != 'none')"
			  " | if .body.name == 'bad' then error('x') else .body end;"));
	step(SOUTH, "s/d/ask/7", "'why'",
	     "north n/d/ask/7 {'name':'why'}\nsouth s/d/answer/7 {'ok':1}\n= carried\n");
	step(SOUTH, "q/d/7", "'why'",
	     "north n/d/ask/7 {'name':'why'}\nsouth a/d/7 {'ok':1}\n= carried\n");
	step(SOUTH, "q/d/7", "'bad'",
	     "south a/d/7 {'error':'it cannot be carried to the other platform'}\n= "
	     "mapping-error\n");
	step(SOUTH, "q/d/7", "'none'",
	     "south a/d/7 {'error':'the mapping filtered it'}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
}

Test(link, a_row_beside_others_may_be_the_one_that_is_never_answered)
{
	start(S_QUESTIONS,
	      NORTHERN("",
		       "{ kind: 'request', topic: 'n/{device}/ask/{id}', id: 'uuid', write: 'w' },"
		       "{ kind: 'request', topic: 'n/{device}/tell', only: 'write', write: 't',"
		       "  answered: {'told': true} },"
		       "{ kind: 'request_reply', topic: 'n/{device}/answer/{id}', id: 'uuid' }",
		       "def w: select(.body.name != 'this') | .body;"
		       "def t: select(.body.name == 'this') | .body;"));
	step(SOUTH, "q/d/7", "'this'",
	     "north n/d/tell {'name':'this'}\nsouth a/d/7 {'told':true}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
	step(SOUTH, "q/d/8", "'why'", "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
	reply_to_question("1", "south a/d/8 1\n= carried\n", __LINE__);
}

/* It is what wrote the request that counts, not what stands first. */
Test(link, the_one_that_is_never_answered_may_stand_first)
{
	start(S_QUESTIONS,
	      NORTHERN("",
		       "{ kind: 'request', topic: 'n/{device}/tell', only: 'write', write: 't',"
		       "  answered: {'told': true} },"
		       "{ kind: 'request', topic: 'n/{device}/ask/{id}', id: 'uuid', write: 'w' },"
		       "{ kind: 'request_reply', topic: 'n/{device}/answer/{id}', id: 'uuid' }",
		       "def w: select(.body.name != 'this') | .body;"
		       "def t: select(.body.name == 'this') | .body;"));
	step(SOUTH, "q/d/8", "'why'", "north n/d/ask/<uuid> {'name':'why'}\n= carried\n");
	reply_to_question("1", "south a/d/8 1\n= carried\n", __LINE__);
	step(SOUTH, "q/d/7", "'this'",
	     "north n/d/tell {'name':'this'}\nsouth a/d/7 {'told':true}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
}

Test(link, a_question_of_a_dialect_that_takes_no_answer_is_carried)
{
	start(SOUTHERN("", "{ kind: 'request', topic: 's/{device}' }", ""),
	      NORTHERN("", "{ kind: 'request', topic: 'n/{device}', answered: {} }", ""));
	step(SOUTH, "s/d", "{'name':'why'}", "north n/d {'name':'why'}\n= carried\n");
}

Test(link, an_asker_without_ids_is_answered_if_there_is_a_way)
{
	start(SOUTHERN("",
		       "{ kind: 'request', topic: 's/{device}/q' },"
		       "{ kind: 'request_reply', topic: 's/{device}/a' }",
		       ""),
	      NORTHERN("",
		       "{ kind: 'request', topic: 'n/{device}/q' },"
		       "{ kind: 'request_reply', topic: 'n/{device}/a' }",
		       ""));
	step(SOUTH, "s/d/q", "{'name':'why'}", "north n/d/q {'name':'why'}\n= carried\n");
	step(NORTH, "n/d/a", "[1]", "south s/d/a [1]\n= carried\n");
	step(NORTH, "n/d/a", "[1]", "= unknown-id\n");
}

Test(link, a_request_that_cannot_be_carried_is_answered_at_once)
{
	start(S_QUESTIONS,
	      N_QUESTIONS("write: 'w'", "def w: select(.body.name != 'none') | error('x');"));
	step(SOUTH, "s/d/ask/7", "'why'",
	     "south s/d/answer/7 {'error':'it cannot be carried to the other platform'}\n"
	     "= mapping-error\n");
	step(SOUTH, "q/d/7", "'none'",
	     "south a/d/7 {'error':'the mapping filtered it'}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX, "no pairing stays open");
}

Test(link, an_asker_hears_that_an_integer_cannot_be_carried)
{
	if (mapping_keeps_numbers())
		return; /* then it can */
	start(S_QUESTIONS, N_QUESTIONS("", ""));
	step(SOUTH, "s/d/ask/7", "9007199254740993",
	     "south s/d/answer/7 {'error':'a number that a double does not hold cannot be "
	     "carried'}\n"
	     "= wide-integer\n");
	step(SOUTH, "q/d/7", "[9007199254740993]",
	     "south a/d/7 {'error':'a number that a double does not hold cannot be carried'}\n= "
	     "wide-integer\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
}

#define N_PAYLOAD                                                                                  \
	NORTHERN("device: 'payload',",                                                             \
		 "{ kind: 'command', topic: 'n/rpc', id: 'integer', read: 'c' },"                  \
		 "{ kind: 'command_reply', topic: 'n/rpc/done', id: 'integer', write: 'done' },"   \
		 "{ kind: 'config', topic: 'n/set', read: 'set' }",                                \
		 "def c: .payload | {device: .d, id: .id, body: {name: 'go', params: .data}};"     \
		 "def done: [.to.device, .id, .body.message];"                                     \
		 "def set: .payload | to_entries[] | {device: .key, body: {full: .value}};")

Test(link, a_wide_integer_costs_its_key_or_its_device_and_the_sender_of_a_command_hears_it)
{
	if (mapping_keeps_numbers())
		return;
	start(SOUTHERN("",
		       "{ kind: 'command', topic: 's/{device}/do', id: 'integer' },"
		       "{ kind: 'command_reply', topic: 's/{device}/done', id: 'integer' },"
		       "{ kind: 'config', topic: 's/{device}/set', write: 'diff' }",
		       "def diff: .body | [.changed, .deleted];"),
	      N_PAYLOAD);
	step(NORTH, "n/rpc", "{'d':'x','id':7,'data':[9007199254740993]}",
	     "north n/rpc/done ['x',7,'a number that a double does not hold cannot be carried']\n"
	     "= wide-integer\n");
	step(NORTH, "n/rpc", "{'d':'x','data':[9007199254740993]}", "= wide-integer\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX, "none is open");
	step(NORTH, "n/set", "{'x':{'rate':1,'big':2},'y':{'rate':3}}",
	     "south s/x/set [{'rate':1,'big':2},[]]\nsouth s/y/set [{'rate':3},[]]\n= carried\n");
	step(NORTH, "n/set", "{'x':{'rate':4,'big':9007199254740993},'y':{'rate':5}}",
	     "south s/x/set [{'rate':4},[]]\nsouth s/y/set [{'rate':5},[]]\n= wide-integer\n");
	step(NORTH, "n/set", "{'x':{}}", "south s/x/set [{},['rate','big']]\n= carried\n");
}

Test(link, an_asker_hears_that_there_is_no_counterpart)
{
	start(SOUTHERN("",
		       "{ kind: 'request', topic: 's/{device}/q' },"
		       "{ kind: 'request_reply', topic: 's/{device}/a' },"
		       "{ kind: 'provision', topic: 's/{device}/join' },"
		       "{ kind: 'provision_reply', topic: 's/{device}/joined' },"
		       "{ kind: 'firmware_chunk_request', topic: 's/{device}/want' },"
		       "{ kind: 'firmware_chunk', topic: 's/{device}/chunk' },"
		       "{ kind: 'attributes_request', topic: 's/{device}/which' },"
		       "{ kind: 'attributes_reply', topic: 's/{device}/these' }",
		       ""),
	      NORTHERN("",
		       "{ kind: 'command', topic: 'n/{device}/do/{id}' },"
		       "{ kind: 'command_reply', topic: 'n/{device}/did/{id}' }",
		       ""));
	step(SOUTH, "s/d/q", "{'name':'x'}",
	     "south s/d/a {'error':'the other platform has no such request'}\n= no-counterpart\n");
	step(SOUTH, "s/d/join", "{}",
	     "south s/d/joined {'status':'FAILURE',"
	     "'message':'the other platform registers devices in another way'}\n= "
	     "no-counterpart\n");
	step(SOUTH, "s/d/want", "{'request':1,'error':0,'chunk':2}",
	     "south s/d/chunk {'request':1,'chunk':2,"
	     "'error':'the other platform has no such request'}\n= no-counterpart\n");
	step(SOUTH, "s/d/want", "{ }",
	     "south s/d/chunk {'error':'the other platform has no such request'}\n= "
	     "no-counterpart\n");
	/* What the bridge knows is better than an error. */
	step(SOUTH, "s/d/which", "{}", "south s/d/these {'client':{},'shared':{}}\n= carried\n");
	step(NORTH, "n/d/do/7", "{'name':'x'}",
	     "north n/d/did/7 {'status':'error',"
	     "'message':'the other platform has no such request'}\n= no-counterpart\n");
}

/* An empty answer would say that there are no such attributes. */
Test(link, who_asks_a_silent_platform_gets_what_is_held_if_that_is_all)
{
	start(SOUTHERN("",
		       "{ kind: 'attributes', topic: 's/{device}/a' },"
		       "{ kind: 'attributes_request', topic: 's/{device}/ask' },"
		       "{ kind: 'attributes_reply', topic: 's/{device}/told' },"
		       "{ kind: 'config', topic: 's/{device}/set', write: 'diff' }",
		       "def diff: .body.changed;"),
	      NORTHERN("",
		       "{ kind: 'attributes', topic: 'n/{device}/a' },"
		       "{ kind: 'attributes_request', topic: 'n/{device}/ask' },"
		       "{ kind: 'attributes_reply', topic: 'n/{device}/told' },"
		       "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' }",
		       "def diff: {body: {changed: .payload}};"));
	step(SOUTH, "s/d/ask", "{'shared':['rate']}",
	     "north n/d/ask {'shared':['rate']}\n= carried\n");
	after(30000, "= own\n");
	step(SOUTH, "s/d/ask", "{}", "north n/d/ask {}\n= carried\n");
	after(30000, "= own\n");
	step(NORTH, "n/d/set", "{'rate':5}", "south s/d/set {'rate':5}\n= carried\n");
	step(SOUTH, "s/d/a", "{'serial':'S'}", "north n/d/a {'serial':'S'}\n= carried\n");
	step(SOUTH, "s/d/ask", "{'shared':['rate']}",
	     "north n/d/ask {'shared':['rate']}\n= carried\n");
	after(30000, "south s/d/told {'client':{},'shared':{'rate':5}}\n= own\n");
	step(SOUTH, "s/d/ask", "{'client':['serial'],'shared':['rate','unit']}",
	     "north n/d/ask {'client':['serial'],'shared':['rate','unit']}\n= carried\n");
	after(30000, "= own\n");
	step(SOUTH, "s/d/ask", "{}", "north n/d/ask {}\n= carried\n");
	after(30000, "south s/d/told {'client':{'serial':'S'},'shared':{'rate':5}}\n= own\n");
	cr_expect_eq(link_counters(l, FLOW_UP)->unanswered, 3, "who heard nothing is counted");
	cr_expect_eq(link_counters(l, FLOW_DOWN)->unanswered, 0);
}

Test(link, a_name_that_another_device_has_is_given_to_none)
{
	start(SOUTHERN("",
		       "{ kind: 'presence', topic: 's/{device}/online' },"
		       "{ kind: 'telemetry', topic: 's/{device}/t' }",
		       ""),
	      NORTHERN("",
		       "{ kind: 'telemetry', topic: 'n/{device}/t' },"
		       "{ kind: 'presence', topic: 'n/{device}/online' },"
		       "{ kind: 'device_change', topic: 'n/renamed' }",
		       ""));
	step(SOUTH, "s/b/online", "{'online':true}",
	     "north n/b/online {'online':true}\n= carried\n");
	step(NORTH, "n/renamed", "{'operation':'renamed','name':'a','new_name':'b'}",
	     "= other-device\n");
	step(SOUTH, "s/a/online", "{'online':true}",
	     "north n/a/online {'online':true}\n= carried\n");
	step(NORTH, "n/renamed", "{'operation':'renamed','name':'a','new_name':'c'}",
	     "= carried\n");
	step(NORTH, "n/renamed", "{'operation':'renamed','name':'b','new_name':'c'}",
	     "= other-device\n");
	step(NORTH, "n/renamed", "{'operation':'renamed','name':'c','new_name':'c'}",
	     "= carried\n");
	/* One that has only been heard of. */
	step(SOUTH, "s/e/t", "1", "= wrong-shape\n");
	step(SOUTH, "s/d/t", "{}", "north n/d/t {}\n= carried\n");
	restart();
	step(NORTH, "n/renamed", "{'operation':'renamed','name':'b','new_name':'d'}",
	     "= other-device\n");
	step(NORTH, "n/renamed", "{'operation':'renamed','name':'d','new_name':'e'}",
	     "= carried\n");
	step(SOUTH, "s/d/t", "{}", "north n/e/t {}\n= carried\n");
	step(SOUTH, "s/a/online", "{'online':false}",
	     "north n/c/online {'online':false}\n= carried\n");
	step(SOUTH, "s/b/online", "{'online':false}",
	     "north n/b/online {'online':false}\n= carried\n");
}

/* --- mirror -------------------------------------------------------------------------------- */

Test(link, a_mirror_sends_up_what_is_no_question)
{
	static const char rows[] = "{ kind: 'telemetry', topic: '{device}/t' },"
				   "{ kind: 'request', topic: '{device}/q', read: 'q' },"
				   "{ kind: 'request_reply', topic: '{device}/a' },"
				   "{ kind: 'provision', topic: '{device}/join' },"
				   "{ kind: 'provision_reply', topic: '{device}/joined' },"
				   "{ kind: 'snapshot_request', topic: '{device}/all' },"
				   "{ kind: 'space_info', topic: '{device}/space' },"
				   "{ kind: 'command', topic: '{device}/do' },"
				   "{ kind: 'command_reply', topic: '{device}/did' }";
	static const char functions[] =
		"def q: if .payload == 'own' then {kind: 'request_reply', body: 1}"
		" else {body: {name: 'x'}} end;";
	char *south = mem_printf(SOUTHERN("", "%s", "%s"), rows, functions);
	char *north = mem_printf(NORTHERN("", "%s", "%s"), rows, functions);

	w.spec.mode = FLEET_MIRROR;
	start(south, north);
	step(SOUTH, "d/t", "{'a':1}", "north d/t {'a':1}\n= carried\n");
	step(SOUTH, "d/q", "1", "= mirror\n");
	step(SOUTH, "d/q", "'own'", "= mirror\n");
	step(SOUTH, "d/join", "{}", "= mirror\n");
	step(SOUTH, "d/all", "{}", "= mirror\n");
	step(SOUTH, "d/did", "{'status':'done'}", "= mirror\n");
	step(NORTH, "d/do", "{'name':'x'}", "= mirror\n");
	step(NORTH, "d/space", "{}", "= mirror\n");
	/* Nobody waits; only what is compared is to be written. */
	cr_expect_eq(link_next_deadline(l), compares_next_deadline(link_compares(l)));
	free(south);
	free(north);
}

#define MODES(side)                                                                                \
	side("",                                                                                   \
	     "{ kind: 'telemetry', topic: '{device}/t' },"                                         \
	     "{ kind: 'command', topic: '{device}/do' },"                                          \
	     "{ kind: 'command_reply', topic: '{device}/did' },"                                   \
	     "{ kind: 'config', topic: '{device}/set' },"                                          \
	     "{ kind: 'config_reply', topic: '{device}/isset' }",                                  \
	     "")

static void set_mode(const char *device, enum fleet_mode mode)
{
	struct changes c = { 0 };

	fleet_name(link_fleet(l), device, FLEET_IMPORT, &c);
	fleet_set_mode(link_fleet(l), device, mode, &c);
	changes_fini(&c);
}

Test(link, what_passes_for_a_device_is_what_its_mode_says)
{
	start(MODES(SOUTHERN), MODES(NORTHERN));
	set_mode("off", FLEET_OFF);
	set_mode("old", FLEET_RETIRED);
	set_mode("trial", FLEET_MIRROR);
	step(SOUTH, "other/t", "{'a':1}", "north other/t {'a':1}\n= carried\n");
	step(SOUTH, "off/t", "{'a':1}", "= off\n");
	step(NORTH, "off/do", "{'name':'x'}", "= off\n");
	step(SOUTH, "old/t", "{'a':1}", "= retired\n");
	step(NORTH, "old/set", "{'changed':{'x':1}}", "= retired\n");
	step(SOUTH, "trial/t", "{'a':1}", "north trial/t {'a':1}\n= carried\n");
	step(NORTH, "trial/do", "{'name':'x'}", "= mirror\n");
	set_mode("off", FLEET_LIVE);
	step(SOUTH, "off/t", "{'a':2}", "north off/t {'a':2}\n= carried\n");
}

/* The link's own mode says nothing of those that have one, and a payload says late whose it is. */
Test(link, a_device_that_only_the_payload_names_passes_by_its_own_mode)
{
	w.spec.mode = FLEET_OFF;
	start(MODES(SOUTHERN),
	      NORTHERN("device: 'payload',",
		       "{ kind: 'telemetry', topic: '{device}/t' },"
		       "{ kind: 'config', topic: 'set', read: 'f' }",
		       "def f: {device: .payload.who, body: {changed: .payload.c}};"));
	set_mode("live", FLEET_LIVE);
	step(NORTH, "set", "{'who':'live','c':{'x':1}}",
	     "south live/set {'changed':{'x':1},'deleted':[],'full':{'x':1},'version':1,"
	     "'updated':1700000000000}\n= carried\n");
	step(NORTH, "set", "{'who':'other','c':{'x':1}}", "= off\n");
}

Test(link, a_mirror_learns_a_configuration_and_sends_it_to_nobody)
{
	struct changes c = { 0 };
	bool has_key = false;

	start(MODES(SOUTHERN), MODES(NORTHERN));
	set_mode("trial", FLEET_MIRROR);
	step(NORTH, "trial/set", "{'changed':{'rate':10}}", "= mirror\n");
	link_take_changes(l, ++commit, &c);
	for (size_t i = 0; i < c.n; i++)
		has_key = has_key || strcmp(c.items[i].key, "[\"trial\",\"rate\"]") == 0;
	cr_expect(has_key);
	changes_fini(&c);
	now_ms += 120000;
	step(SOUTH, "trial/t", "{'a':1}", "north trial/t {'a':1}\n= carried\n");
	expect("");
}

Test(link, what_a_mirror_has_learnt_goes_to_the_device_when_somebody_says_so)
{
	struct buf names = { 0 };

	start(MODES(SOUTHERN), MODES(NORTHERN));
	set_mode("trial", FLEET_MIRROR);
	cr_expect_not(link_put_differing(l, "trial", &names));
	step(NORTH, "trial/set", "{'changed':{'rate':10,'unit':'s'}}", "= mirror\n");
	cr_assert(link_put_differing(l, "trial", &names));
	cr_expect_str_eq(buf_str(&names), "[\"rate\",\"unit\"]");
	set_mode("trial", FLEET_LIVE);
	now_ms += 120000;
	step(SOUTH, "trial/t", "{'a':1}", "north trial/t {'a':1}\n= carried\n");
	link_push_differing(l, "trial", now_ms);
	expect("south trial/set {'changed':{'rate':10,'unit':'s'},'deleted':[],'full':"
	       "{'rate':10,'unit':'s'},'version':2,'updated':1700000000000}\n= own\n");
	buf_reset(&names);
	cr_expect_not(link_put_differing(l, "trial", &names));
	buf_fini(&names);
}

Test(link, the_mode_of_a_link_is_that_of_devices_that_have_none)
{
	w.spec.mode = FLEET_OFF;
	start(MODES(SOUTHERN), MODES(NORTHERN));
	set_mode("chosen", FLEET_LIVE);
	step(SOUTH, "other/t", "{'a':1}", "= off\n");
	step(SOUTH, "chosen/t", "{'a':1}", "north chosen/t {'a':1}\n= carried\n");
}

Test(link, who_is_new_gets_a_row_and_the_mode_for_that)
{
	struct changes c = { 0 };
	bool has_row = false;

	w.spec.new_mode = FLEET_OFF;
	start(MODES(SOUTHERN), MODES(NORTHERN));
	set_mode("known", FLEET_DEFAULT);
	step(SOUTH, "known/t", "{'a':1}", "north known/t {'a':1}\n= carried\n");
	step(SOUTH, "stranger/t", "{'a':1}", "= off\n");
	cr_assert(fleet_find(link_fleet(l), "stranger"));
	cr_expect_eq(fleet_find(link_fleet(l), "stranger")->seen_ms[FLOW_UP], now_ms);
	now_ms += 10000;
	link_tick(l, now_ms);
	link_take_changes(l, ++commit, &c);
	for (size_t i = 0; i < c.n; i++)
		has_row = has_row || (strcmp(c.items[i].machine, "fleet") == 0 &&
				      strcmp(c.items[i].key, "stranger") == 0);
	cr_expect(has_row);
	changes_fini(&c);
}

/* --- presence and alarm -------------------------------------------------------------------- */

#define S_STATES                                                                                   \
	SOUTHERN("",                                                                               \
		 "{ kind: 'presence', topic: 's/{device}/on' },"                                   \
		 "{ kind: 'alarm', topic: 's/{device}/alarm' },"                                   \
		 "{ kind: 'telemetry', topic: 's/{device}/all', read: 'values' },"                 \
		 "{ kind: 'alarm', topic: 's/{device}/all', read: 'alarm' },"                      \
		 "{ kind: 'presence', topic: 's/{device}/all', read: 'on' }",                      \
		 "def values: .payload | select(.v) | {body: {v}};"                                \
		 "def alarm: {body: {active: (.payload.is == 'error')}};"                          \
		 "def on: {body: {online: (.payload.is != 'off')}};")
#define N_STATES                                                                                   \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t', write: 'w' },"                       \
		 "{ kind: 'presence', topic: 'n/{device}/on', write: 'w' },"                       \
		 "{ kind: 'alarm', topic: 'n/{device}/alarm', write: 'w' }",                       \
		 "def w: .body + .state;")

Test(link, only_a_change_of_presence_goes_on)
{
	start(S_STATES, N_STATES);
	step(SOUTH, "s/d/on", "{'online':false}",
	     "north n/d/on {'online':false,'alarm':false}\n= carried\n");
	step(SOUTH, "s/d/on", "{'online':false}", "= no-change\n");
	step(SOUTH, "s/d/on", "{'online':true}",
	     "north n/d/on {'online':true,'alarm':false}\n= carried\n");
	step(SOUTH, "s/e/on", "{'online':true}",
	     "north n/e/on {'online':true,'alarm':false}\n= carried\n");
	restart();
	step(SOUTH, "s/d/on", "{'online':true}", "= no-change\n");
}

Test(link, an_alarm_of_its_own_always_goes_on)
{
	start(S_STATES, N_STATES);
	step(SOUTH, "s/d/alarm", "{'active':true}",
	     "north n/d/alarm {'active':true,'online':null,'alarm':true}\n= carried\n");
	step(SOUTH, "s/d/alarm", "{'active':true}",
	     "north n/d/alarm {'active':true,'online':null,'alarm':true}\n= carried\n");
}

Test(link, an_alarm_beside_other_things_goes_on_when_it_changes)
{
	start(S_STATES, N_STATES);
	step(SOUTH, "s/d/all", "{'is':'ok','v':1}",
	     "north n/d/t {'v':1,'online':null,'alarm':false}\n"
	     "north n/d/on {'online':true,'alarm':false}\n= carried\n");
	step(SOUTH, "s/d/all", "{'is':'error','v':2}",
	     "north n/d/t {'v':2,'online':true,'alarm':false}\n"
	     "north n/d/alarm {'active':true,'online':true,'alarm':true}\n= carried\n");
	step(SOUTH, "s/d/all", "{'is':'error'}", "= no-change\n");
	step(SOUTH, "s/d/all", "{'is':'off'}",
	     "north n/d/alarm {'active':false,'online':true,'alarm':false}\n"
	     "north n/d/on {'online':false,'alarm':false}\n= carried\n");
}

Test(link, all_outputs_are_kept_of_a_message_of_which_a_later_row_changes_the_state)
{
	start(S_STATES, N_STATES);
	step(SOUTH, "s/d/all", "{'is':'ok','v':1}",
	     "north n/d/t {'v':1,'online':null,'alarm':false}\n"
	     "north n/d/on {'online':true,'alarm':false}\n= carried\n");
	cr_expect_eq(n_kept, 2, "the first row's, too");
}

Test(link, outputs_of_a_stateless_message_are_not_kept_however_many_rows_read_it)
{
	start(SOUTHERN("",
		       "{ kind: 'telemetry', topic: 's/{device}' },"
		       "{ kind: 'attributes', topic: 's/{device}' }",
		       ""),
	      NORTHERN("",
		       "{ kind: 'telemetry', topic: 'n/{device}/t' },"
		       "{ kind: 'attributes', topic: 'n/{device}/a' }",
		       ""));
	step(SOUTH, "s/d", "{'v':1}", "north n/d/t {'v':1}\nnorth n/d/a {'v':1}\n= carried\n");
	cr_expect_eq(n_kept, 0);
}

Test(link, a_message_is_written_with_the_state_that_those_before_it_left)
{
	struct message a = make("s/d/alarm", "{'active':true}"),
		       b = make("s/d/all", "{'is':'error','v':1}");

	start(S_STATES, N_STATES);
	receive(SOUTH, &a, NULL); /* both in one turn of the loop */
	receive(SOUTH, &b, NULL);
	expect("north n/d/alarm {'active':true,'online':null,'alarm':true}\n= carried\n"
	       "north n/d/t {'v':1,'online':null,'alarm':true}\n"
	       "north n/d/on {'online':true,'alarm':true}\n= carried\n");
	message_fini(&a);
	message_fini(&b);
}

Test(link, a_row_that_changes_the_state_is_told_to_the_rows_behind_it)
{
	start(SOUTHERN("",
		       "{ kind: 'alarm', topic: 's/{device}', read: 'a' },"
		       "{ kind: 'telemetry', topic: 's/{device}', read: 't' }",
		       "def a: {body: {active: .payload.alert}}; def t: {body: {v: .payload.v}};"),
	      NORTHERN("",
		       "{ kind: 'alarm', topic: 'n/{device}/alarm' },"
		       "{ kind: 'telemetry', topic: 'n/{device}/t', write: 't' }",
		       "def t: {alarm: .state.alarm, v: .body.v};"));
	step(SOUTH, "s/d", "{'alert':true,'v':1}",
	     "north n/d/alarm {'active':true}\nnorth n/d/t {'alarm':true,'v':1}\n= carried\n");
	step(SOUTH, "s/d", "{'alert':true,'v':2}", "north n/d/t {'alarm':true,'v':2}\n= carried\n");
}

Test(link, only_the_reply_among_the_rows_of_a_topic_sees_its_request)
{
	start(SOUTHERN("",
		       "{ kind: 'telemetry', topic: 's/{device}/did', read: 'see' }," S_ASKS
		       ", { kind: 'attributes', topic: 's/{device}/did', read: 'see' }",
		       ASKS "def see: {body: {request: (.request != null)}};"),
	      NORTHERN("",
		       N_ASKS ", { kind: 'telemetry', topic: 'n/{device}/t' },"
			      "{ kind: 'attributes', topic: 'n/{device}/a' }",
		       ASKS));
	step(NORTH, "n/d/do", "{'id':'abc','do':'go'}",
	     "south s/d/do {'id':1,'do':'go'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':1,'is':'done'}",
	     "north n/d/t {'request':false}\n"
	     "north n/d/did {'id':'abc','status':'done','result':'go','asked':'abc'}\n"
	     "north n/d/a {'request':false}\n= carried\n");
}

/* --- back to where it came from ------------------------------------------------------------ */

Test(link, a_kind_that_flows_the_other_way_goes_back)
{
	start(SOUTHERN("",
		       "{ kind: 'telemetry', topic: 's/{device}', read: 'f' },"
		       "{ kind: 'space_info', topic: 's/{device}/space' },"
		       "{ kind: 'config', topic: 's/{device}/config', write: 'c' }",
		       "def f: .payload; def c: .body.changed;"),
	      NORTHERN("",
		       "{ kind: 'space_info', topic: 'n/{device}', read: 'f' },"
		       "{ kind: 'telemetry', topic: 'n/{device}/t' },"
		       "{ kind: 'presence', topic: 'n/{device}/on' },"
		       "{ kind: 'license_reply', topic: 'n/{device}/licensed' }",
		       "def f: .payload;"));
	step(SOUTH, "s/d", "{'kind':'space_info','body':{'a':1}}",
	     "south s/d/space {'a':1}\n= carried\n");
	step(SOUTH, "s/d", "{'kind':'config','body':{'changed':{'a':1}}}",
	     "south s/d/config {'a':1}\n= carried\n");
	step(SOUTH, "s/d", "{'kind':'command','body':{'name':'x'}}", "= no-counterpart\n");
	step(NORTH, "n/d", "{'kind':'telemetry','body':{'a':1}}",
	     "north n/d/t {'a':1}\n= carried\n");
	step(NORTH, "n/d", "{'kind':'presence','body':{'online':true}}",
	     "north n/d/on {'online':true}\n= carried\n");
	ask(NORTH, "n/d", "{'kind':'license_reply','body':{'id':1}}", "n/d/r",
	    "north n/d/r {'id':1}\n= carried\n");
}

/* --- configuration ------------------------------------------------------------------------- */

#define S_CONFIG                                                                                   \
	SOUTHERN("",                                                                               \
		 "{ kind: 'config', topic: 's/{device}/set', write: 'diff' },"                     \
		 "{ kind: 'config_reply', topic: 's/{device}/isset' }",                            \
		 "def diff: .body | .changed + (if .deleted == [] then {} else {deleted} end);")
#define N_CONFIG                                                                                   \
	NORTHERN("",                                                                               \
		 "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' },"                      \
		 "{ kind: 'config_reply', topic: 'n/{device}/isset' }",                            \
		 "def diff: {body: .payload};")

Test(link, configuration_goes_down_as_changes_and_its_confirmation_up)
{
	start(S_CONFIG, N_CONFIG);
	step(NORTH, "n/d/set", "{'changed':{'rate':5,'unit':'C'}}",
	     "south s/d/set {'rate':5,'unit':'C'}\n= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'rate':5}}", "south s/d/set {'rate':5}\n= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'rate':6},'deleted':['unit']}",
	     "south s/d/set {'rate':6,'deleted':['unit']}\n= carried\n");
	step(SOUTH, "s/d/isset", "{'version':3,'values':{'rate':6}}",
	     "north n/d/isset {'version':3,'values':{'rate':6},'updated':1700000000000}\n= "
	     "carried\n");
	step(NORTH, "n/d/set", "{'full':{'rate':6,'zone':1}}",
	     "south s/d/set {'zone':1}\n= carried\n");
	step(NORTH, "n/d/set", "{}", "= wrong-shape\n");
	step(NORTH, "n/d/set", "{'full':{'rate':6,'zone':1}}", /* which nobody has confirmed */
	     "south s/d/set {'zone':1}\n= carried\n");
	step(SOUTH, "s/d/isset", "{'values':{'zone':1}}",
	     "north n/d/isset {'values':{'zone':1},'version':5,'updated':1700000000000}\n= "
	     "carried\n");
	restart();
	step(NORTH, "n/d/set", "{'full':{'rate':6,'zone':1}}", "= no-change\n");
}

Test(link, the_first_version_is_the_time_unless_it_is_to_be_counted)
{
	w.spec.has_epoch_versions = true;
	start(SOUTHERN("",
		       "{ kind: 'config', topic: 's/{device}/set', write: 'v' },"
		       "{ kind: 'config_reply', topic: 's/{device}/isset' }",
		       "def v: .body.version;"),
	      N_CONFIG);
	step(NORTH, "n/d/set", "{'changed':{'rate':5}}", "south s/d/set 1700000000\n= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'rate':6}}", "south s/d/set 1700000001\n= carried\n");
	step(SOUTH, "s/e/isset", "{'version':1800000000}",
	     "north n/e/isset {'version':1800000000}\n= carried\n");
	restart();
	step(NORTH, "n/e/set", "{'changed':{'rate':5}}", "south s/e/set 1800000001\n= carried\n");
}

Test(link, who_waits_for_a_word_on_a_configuration_gets_one)
{
	start(S_CONFIG, N_CONFIG);
	ask(NORTH, "n/d/set", "{'full':{'rate':5},'version':'v1','updated':3}", "n/d/isset",
	    "south s/d/set {'rate':5}\n= carried\n");
	step(SOUTH, "s/d/isset", "{'version':1}",
	     "north n/d/isset {'version':'v1','updated':3,'values':{'rate':5}}\n= carried\n");
	ask(NORTH, "n/d/set", "{'full':{'rate':5},'version':'v2','updated':4}", "n/d/isset",
	    "north n/d/isset {'version':'v2','updated':4,'values':{'rate':5}}\n= carried\n");
}

Test(link, a_configuration_that_cannot_be_said_is_confirmed_to_who_waits)
{
	start(SOUTHERN("", "{ kind: 'config', topic: 's/{device}/set', write: 'keys' }",
		       "def keys: .body.changed | select(. != {});"),
	      N_CONFIG);
	step(NORTH, "n/d/set", "{'changed':{'a':1,'b':2}}",
	     "south s/d/set {'a':1,'b':2}\n= carried\n");
	step(NORTH, "n/d/set", "{'deleted':['a']}", "= mapping\n");
	ask(NORTH, "n/d/set", "{'full':{}}", "n/d/isset",
	    "north n/d/isset {'version':3,'updated':1700000000000,'values':{}}\n= carried\n");
}

Test(link, a_confirmation_that_comes_back_is_an_echo)
{
	start_echoes();
	step(NORTH, "n/d/set", "{'a':1}", "south s/d/push {'a':1}\n= carried\n");
	step(SOUTH, "s/d/a", "{'a':1}", "north n/d/isset {'a':1}\n= carried\n");
	step(NORTH, "n/d/set", "{'a':1}", "= echo\n");
	step(NORTH, "n/d/set", "{'a':1}", "south s/d/push {'a':1}\n= carried\n");
}

Test(link, a_push_takes_back_what_the_device_changed)
{
	start_echoes();
	step(NORTH, "n/d/set", "{'a':1}", "south s/d/push {'a':1}\n= carried\n");
	step(SOUTH, "s/d/a", "{'a':1}", "north n/d/isset {'a':1}\n= carried\n");
	step(SOUTH, "s/d/a", "{'a': 2}", "north n/d/a {'a': 2}\n= carried\n");
	restart();
	step(NORTH, "n/d/set", "{'a':1}", "south s/d/push {'a':1}\n= carried\n");
	step(SOUTH, "s/d/a", "{'a':1}", "north n/d/isset {'a':1}\n= carried\n");
}

Test(link, nobody_is_confirmed_who_could_not_be_told)
{
	start(S_CONFIG, NORTHERN("", "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' }",
				 "def diff: {body: .payload};"));
	ask(NORTH, "n/d/set", "{'full':{'a':1}}", "r/x", "south s/d/set {'a':1}\n= carried\n");
	step(SOUTH, "s/d/isset", "{}", "= no-counterpart\n");
	ask(NORTH, "n/d/set", "{'full':{'a':1}}", "r/x", "= no-change\n");
}

/* --- what does not get there */

#define S_REACHED                                                                                  \
	SOUTHERN("",                                                                               \
		 "{ kind: 'config', topic: 's/{device}/set', write: 'diff' },"                     \
		 "{ kind: 'config_reply', topic: 's/{device}/isset' },"                            \
		 "{ kind: 'command', topic: 's/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}' },"                        \
		 "{ kind: 'presence', topic: 's/{device}/online' },"                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' }",                                   \
		 "def diff: .body | .changed + (if .deleted == [] then {} else {deleted} end);")
#define N_REACHED                                                                                  \
	NORTHERN("",                                                                               \
		 "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' },"                      \
		 "{ kind: 'command', topic: 'n/{device}/do', read: 'order' },"                     \
		 "{ kind: 'command_reply', topic: 'n/{device}/did' },"                             \
		 "{ kind: 'presence', topic: 'n/{device}/online' },"                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' }",                                   \
		 "def diff: {body: .payload};"                                                     \
		 "def order: .payload | {id, body: {name: .do, params: {}}};")

/* What the far end says to the oldest message that it was sent. */
static void ends_at(enum outcome reason, const char *wanted, int line)
{
	cr_assert_gt(n_held, 0, "line %d: nothing was sent", line);
	link_done(l, held[0], link_ended(l, held[0], held_order[0], reason), NULL);
	n_held--;
	memmove(held, held + 1, n_held * sizeof *held);
	memmove(held_order, held_order + 1, n_held * sizeof *held_order);
	expect_at(wanted, line);
}
#define ends(reason, wanted) ends_at(reason, wanted, __LINE__)

/* Something of the device, after a while, at which `then` is sent south. */
static void shows_up_at(const char *then, int line)
{
	now_ms += 10;
	step_at(SOUTH, "s/d/t", "{'v':1}", "north n/d/t {'v':1}\n", line);
	ends_at(CARRIED, "= carried\n", line);
	if (link_next_deadline(l) <= now_ms)
		link_tick(l, now_ms);
	expect_at(then, line);
}
#define shows_up(then) shows_up_at(then, __LINE__)

/* --- two clocks ------------------------------------------------------------------------------ */

/* Times that are handed in are an hour behind the time of day. */
#define AHEAD_MS INT64_C(3600000)
#define S_TIMES                                                                                    \
	SOUTHERN("",                                                                               \
		 "{ kind: 'config', topic: 's/{device}/set', write: 'w' },"                        \
		 "{ kind: 'command', topic: 's/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}' },"                        \
		 "{ kind: 'telemetry', topic: 's/{device}/t', read: 'r' }",                        \
		 "def w: .body.updated; def r: {body: {at}};")
#define N_TIMES                                                                                    \
	NORTHERN("",                                                                               \
		 "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' },"                      \
		 "{ kind: 'command', topic: 'n/{device}/do', read: 'order' },"                     \
		 "{ kind: 'command_reply', topic: 'n/{device}/did' },"                             \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' }",                                   \
		 "def diff: {body: .payload};"                                                     \
		 "def order: .payload | {id, ts, body: {name: .do, params: {}}};")

static void command_of(int64_t ts, const char *wanted, int line)
{
	char *payload = mem_printf("{'id':7,'do':'it','ts':%lld}", (long long)ts);

	step_at(NORTH, "n/d/do", payload, wanted, line);
	free(payload);
}

#define IT_IS_DONE    "south s/d/do/<uuid> {'name':'it','params':{}}\n= carried\n"
#define IT_IS_TOO_OLD "north n/d/did {'status':'error','message':'expired'}\n= carried\n"

Test(link, messages_say_the_time_of_day_and_ages_are_counted_by_the_other_clock)
{
	w.spec.command_max_age_ms = 10000;
	start(S_TIMES, N_TIMES);
	link_set_ahead(l, AHEAD_MS);
	step(NORTH, "n/d/set", "{'changed':{'x':1}}", "south s/d/set 1700003600000\n= carried\n");
	step(SOUTH, "s/d/t", "{}", "north n/d/t {'at':1700003600000}\n= carried\n");
	command_of(now_ms + AHEAD_MS - 1000, IT_IS_DONE, __LINE__);
	cr_expect_eq(last_output.expires_ms, now_ms + 9000);
	command_of(now_ms + AHEAD_MS + 5000, IT_IS_DONE, __LINE__); /* its clock is ahead */
	cr_expect_eq(last_output.expires_ms, now_ms + 10000);
	command_of(now_ms + AHEAD_MS - 10000, IT_IS_TOO_OLD, __LINE__);
	link_set_ahead(l, 0); /* the clock of the machine was set back */
	step(NORTH, "n/d/set", "{'changed':{'x':2}}", "south s/d/set 1700000000000\n= carried\n");
}

Test(link, commands_of_before_are_too_old_if_nobody_knows_how_long_ago_that_was)
{
	struct message m = make("n/d/do", "{'id':7,'do':'it'}");
	struct arrival a = { .from = NORTH, .message = &m, .at_ms = now_ms };

	start(S_TIMES, N_TIMES);
	link_void_commands(l);
	link_receive_again(l, &a);
	expect(IT_IS_TOO_OLD);
	step(NORTH, "n/d/do", "{'id':8,'do':'it'}", IT_IS_DONE);
	message_fini(&m);
}

/* --- of how many devices something is remembered ------------------------------------------- */

static void expect_devices(size_t n, uint64_t forgotten, uint64_t unremembered, int line)
{
	struct link_devices d;

	link_devices(l, &d);
	cr_expect_eq(d.n, n, "line %d: %zu", line, d.n);
	cr_expect_eq(d.forgotten, forgotten, "line %d: %d", line, (int)d.forgotten);
	cr_expect_eq(d.unremembered, unremembered, "line %d: %d", line, (int)d.unremembered);
}

static void online_at(const char *device, bool is_news, int line)
{
	char *topic = mem_printf("s/%s/online", device);
	char *wanted = mem_printf(is_news ? "north n/%s/online {\"online\":true}\n= carried\n"
					  : "= no-change\n",
				  device);

	step_at(SOUTH, topic, "{'online':true}", wanted, line);
	free(topic);
	free(wanted);
}
#define comes_online(device)	online_at(device, true, __LINE__)
#define is_known_online(device) online_at(device, false, __LINE__)

static void start_for_three(void)
{
	world_plan(&w, S_REACHED, N_REACHED);
	w.plan->max_devices = 3;
	l = link_new(w.plan, executor, &ops, NULL, echoes);
}

Test(link, a_new_device_takes_the_place_of_the_youngest_that_was_seen_once)
{
	start_for_three();
	comes_online("old");
	now_ms += 60000;
	step(SOUTH, "s/old/t", "{'v':1}", "north n/old/t {'v':1}\n= carried\n");
	comes_online("first");
	comes_online("second");
	expect_devices(3, 0, 0, __LINE__);
	take_changes();
	comes_online("third");
	expect_deleted("presence second\nfleet second\nfleet-seen second\n! presence third\n");
	expect_devices(3, 1, 0, __LINE__);
	is_known_online("old");
	is_known_online("first");
	is_known_online("third");
	comes_online("second"); /* which is new again */
	expect_devices(3, 2, 0, __LINE__);
	expect_deleted("presence third\nfleet third\nfleet-seen third\n! presence second\n");
}

Test(link, a_device_that_came_back_is_forgotten_after_those_seen_once)
{
	start_for_three();
	comes_online("a");
	comes_online("b");
	comes_online("c");
	now_ms += 60000;
	step(SOUTH, "s/c/t", "{'v':1}", "north n/c/t {'v':1}\n= carried\n");
	comes_online("d");
	is_known_online("c");
	is_known_online("a");
	is_known_online("d");
	expect_devices(3, 1, 0, __LINE__); /* b */
}

Test(link, what_is_configured_or_asked_is_forgotten_for_nobody)
{
	char *done;

	start_for_three();
	step(NORTH, "n/a/set", "{'changed':{'x':1}}", "south s/a/set {'x':1}\n= carried\n");
	comes_online("a");
	comes_online("b");
	step(NORTH, "n/b/do", "{'id':7,'do':'it'}",
	     "south s/b/do/<uuid> {'name':'it','params':{}}\n= carried\n");
	step(NORTH, "n/c/set", "{'changed':{'x':1}}", "south s/c/set {'x':1}\n= carried\n");
	expect_devices(3, 0, 0, __LINE__);
	comes_online("stranger");
	comes_online("stranger"); /* nothing is remembered of it, so it is news each time */
	expect_devices(3, 0, 4, __LINE__);
	is_known_online("b");
	step(NORTH, "n/new/set", "{'changed':{'x':1}}", "south s/new/set {'x':1}\n= carried\n");
	expect_devices(4, 0, 5, __LINE__);
	done = mem_printf("s/b/did/%s", uuid);
	step(SOUTH, done, "{'status':'done'}", "north n/b/did {'status':'done'}\n= carried\n");
	free(done);
	now_ms += 1000;
	comes_online("stranger");
	expect_devices(4, 1, 5, __LINE__); /* b, of whom nobody waits for anything any more */
	is_known_online("a");
	is_known_online("stranger");
}

Test(link, what_an_unremembered_device_has_set_goes_on_as_it_came)
{
	start_for_three();
	w.plan->max_devices = 1;
	step(NORTH, "n/a/set", "{'changed':{'x':1}}", "south s/a/set {'x':1}\n= carried\n");
	take_changes();
	for (int i = 0; i < 2; i++)
		step(SOUTH, "s/b/isset", "{'version':4,'values':{'x':1}}", "= no-counterpart\n");
	expect_devices(1, 0, 4, __LINE__);
	expect_deleted("");
}

Test(link, too_many_of_an_earlier_run_are_forgotten_at_the_start)
{
	start_for_three();
	w.plan->max_devices = 100;
	step(NORTH, "n/b/set", "{'changed':{'x':1}}", "south s/b/set {'x':1}\n= carried\n");
	comes_online("a");
	comes_online("b");
	comes_online("c");
	comes_online("d");
	w.plan->max_devices = 2;
	restart();
	expect_devices(2, 2, 0, __LINE__);
	expect_deleted("presence d\npresence c\n");
	is_known_online("a");
	is_known_online("b");
	comes_online("e");
	expect_devices(2, 3, 0, __LINE__);
}

Test(link, a_configuration_that_would_grow_too_large_is_a_dead_letter_and_changes_nothing)
{
	struct buf most = { 0 };
	char *body;

	buf_puts(&most, "{\"changed\":{\"k0\":0");
	for (int i = 1; i < TWIN_MAX_KEYS; i++)
		buf_printf(&most, ",\"k%d\":0", i);
	buf_puts(&most, "}}");
	start(S_REACHED, N_REACHED);
	holds = true;
	body = mem_strdup(buf_str(&most));
	receive_tagged(NORTH, "n/d/set", body);
	buf_reset(&said);
	ends(CARRIED, "= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'k9':1,'new':1}}", "= too-large\n");
	step(NORTH, "n/d/set", "{'changed':{'k9':1,'new':1},'deleted':['k8']}",
	     "south s/d/set {'k9':1,'new':1,'deleted':['k8']}\n");
	free(body);
	buf_fini(&most);
}

Test(link, a_configuration_that_nobody_heard_is_sent_when_the_device_shows_up)
{
	start(S_REACHED, N_REACHED);
	holds = true;
	step(NORTH, "n/d/set", "{'changed':{'rate':10,'unit':'C'}}",
	     "south s/d/set {'rate':10,'unit':'C'}\n");
	ends(DEAD_NO_LISTENER, "= carried\n"); /* it is kept in the state */
	step(NORTH, "n/d/set", "{'changed':{'rate':11},'deleted':['zone']}",
	     "south s/d/set {'rate':11,'deleted':['zone']}\n");
	ends(DEAD_NO_LISTENER, "= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'fan':1}}", "south s/d/set {'fan':1}\n");
	ends(CARRIED, "= carried\n");
	restart();
	shows_up("south s/d/set {'rate':11,'unit':'C','deleted':['zone']}\n");
	ends(CARRIED, "= own\n");
	now_ms += 60000;
	shows_up("");
}

Test(link, what_failed_of_a_device_that_was_cut_back_is_not_sent_by_itself)
{
	struct buf names = { 0 };

	start(S_REACHED, N_REACHED);
	set_mode("d", FLEET_LIVE);
	holds = true;
	step(NORTH, "n/d/set", "{'changed':{'rate':10}}", "south s/d/set {'rate':10}\n");
	ends(DEAD_NO_LISTENER, "= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'unit':'C'}}", "south s/d/set {'unit':'C'}\n");
	set_mode("d", FLEET_MIRROR);
	cr_expect_eq(link_cut_over(l, "d", now_ms, 60000), FLEET_PASSES(FLOW_DOWN));
	ends(DEAD_CUT_BACK, "= cut-back\n");
	cr_expect_eq(link_next_deadline(l), now_ms + 60000);
	set_mode("d", FLEET_LIVE);
	shows_up("");
	cr_assert(link_put_differing(l, "d", &names));
	cr_expect_str_eq(buf_str(&names), "[\"rate\",\"unit\"]");
	buf_fini(&names);
}

Test(link, what_failed_is_tried_once_a_minute_at_most)
{
	start(S_REACHED, N_REACHED);
	holds = true;
	step(NORTH, "n/d/set", "{'changed':{'rate':10}}", "south s/d/set {'rate':10}\n");
	ends(DEAD_NO_LISTENER, "= carried\n");
	shows_up("south s/d/set {'rate':10}\n");
	ends(DEAD_NO_LISTENER, "= own\n");
	after(100000, ""); /* the device has said nothing since */
	shows_up("south s/d/set {'rate':10}\n");
	ends(DEAD_NO_LISTENER, "= own\n");
	shows_up("");
	cr_expect_eq(link_next_deadline(l), now_ms - 10 + 60000);
	after(59989, "");
	after(1, "south s/d/set {'rate':10}\n");
	ends(CARRIED, "= own\n");
}

Test(link, a_last_will_does_not_show_that_a_device_is_there)
{
	start(S_REACHED, N_REACHED);
	holds = true;
	step(NORTH, "n/d/set", "{'changed':{'rate':10}}", "south s/d/set {'rate':10}\n");
	ends(DEAD_NO_LISTENER, "= carried\n");
	now_ms++;
	step(SOUTH, "s/d/online", "{'online':false}", "north n/d/online {'online':false}\n");
	ends(CARRIED, "= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX);
	step(SOUTH, "s/d/online", "{'online':true}", "north n/d/online {'online':true}\n");
	ends(CARRIED, "= carried\n");
	after(0, "south s/d/set {'rate':10}\n");
	ends(CARRIED, "= own\n");
}

Test(link, a_configuration_that_expired_is_a_letter_and_is_sent_when_the_device_shows_up)
{
	struct message letter = make("n/d/set", "{'changed':{'rate':10}}");
	int64_t came_ms = now_ms;

	start(S_REACHED, N_REACHED);
	holds = true;
	step(NORTH, "n/d/set", "{'changed':{'rate':10}}", "south s/d/set {'rate':10}\n");
	ends(DEAD_EXPIRED, "= expired\n");
	shows_up("south s/d/set {'rate':10}\n");
	ends(CARRIED, "= own\n");
	link_receive_again(l, &(struct arrival){ .from = NORTH,
						 .message = &letter,
						 .at_ms = came_ms,
						 .since_ms = now_ms });
	expect("= superseded\n");
	message_fini(&letter);
}

Test(link, a_letter_tried_again_says_what_holds_now)
{
	struct message letter =
		make("n/d/set", "{'changed':{'rate':10,'unit':'C'},'deleted':['fan']}");
	struct arrival again = {
		.from = NORTH, .message = &letter, .at_ms = now_ms, .since_ms = now_ms + 1
	};

	start(S_REACHED, N_REACHED);
	holds = true;
	step(NORTH, "n/d/set", "{'changed':{'rate':10,'unit':'C'},'deleted':['fan']}",
	     "south s/d/set {'rate':10,'unit':'C','deleted':['fan']}\n");
	ends(DEAD_BROKER_REFUSED, "= broker-refused\n");
	link_receive_again(l, &again); /* nothing was said since */
	expect("south s/d/set {'rate':10,'unit':'C','deleted':['fan']}\n");
	ends(DEAD_BROKER_REFUSED, "= broker-refused\n");
	now_ms += 1000;
	step(NORTH, "n/d/set", "{'changed':{'rate':11}}", "south s/d/set {'rate':11}\n");
	ends(CARRIED, "= carried\n");
	step(NORTH, "n/d/set", "{'changed':{'fan':3}}", "south s/d/set {'fan':3}\n");
	ends(DEAD_BROKER_REFUSED, "= broker-refused\n");
	restart();
	link_receive_again(l, &again); /* the rate has got there, the fan holds something else */
	expect("south s/d/set {'unit':'C','fan':3}\n");
	ends(CARRIED, "= carried\n");
	link_receive_again(l, &again);
	expect("= superseded\n");
	message_fini(&letter);
}

static void expect_delivery_to_confirm(const char *south)
{
	start(south, N_CONFIG);
	ask(NORTH, "n/d/set", "{'full':{'rate':5},'version':'v1','updated':3}", "n/d/isset",
	    "south s/d/set {'rate':5}\n= carried\n"
	    "north n/d/isset {'version':'v1','updated':3,'values':{'rate':5}}\n= own\n");
	ask(NORTH, "n/d/set", "{'full':{'rate':5},'version':'v2','updated':4}", "n/d/isset",
	    "north n/d/isset {'version':'v2','updated':4,'values':{'rate':5}}\n= carried\n");
	step(NORTH, "n/d/set", "{'full':{'rate':6}}", /* nobody waits */
	     "south s/d/set {'rate':6}\n= carried\n");
}

Test(link, delivery_confirms_where_the_south_has_no_word_for_it)
{
	expect_delivery_to_confirm(
		SOUTHERN("", "{ kind: 'config', topic: 's/{device}/set', write: 'diff' }",
			 "def diff: .body.changed;"));
}

Test(link, delivery_confirms_where_the_row_says_that_nothing_else_does)
{
	expect_delivery_to_confirm(
		SOUTHERN("",
			 "{ kind: 'config', topic: 's/{device}/set', write: 'diff', answered: {} },"
			 "{ kind: 'config_reply', topic: 's/{device}/isset' }",
			 "def diff: .body.changed;"));
}

Test(link, a_command_that_nobody_heard_is_answered_at_once)
{
	start(S_REACHED, N_REACHED);
	holds = true;
	step(NORTH, "n/d/do", "{'id':7,'do':'x'}",
	     "south s/d/do/<uuid> {'name':'x','params':{}}\n");
	ends(DEAD_NO_LISTENER,
	     "= carried\nnorth n/d/did {'status':'error','message':'no device listens'}\n");
	ends(CARRIED, "= own\n");
	after(60000, ""); /* and not once more */
	step(NORTH, "n/d/do", "{'do':'x'}", "south s/d/do/<uuid> {'name':'x','params':{}}\n");
	ends(DEAD_NO_LISTENER, "= no-listener\n"); /* nobody waits */
	step(SOUTH, "s/d/t", "{'v':1}", "north n/d/t {'v':1}\n");
	ends(DEAD_NO_LISTENER, "= carried\n"); /* whoever reads it comes later */
}

Test(link, a_configuration_without_a_counterpart_is_dead)
{
	start(SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""), N_CONFIG);
	step(NORTH, "n/d/set", "{'changed':{'a':1}}", "= no-counterpart\n");
}

Test(link, what_rides_with_pushes_is_no_news_when_it_comes_back)
{
	start(SOUTHERN("",
		       "{ kind: 'attributes', topic: 's/{device}/a', echoes: 'config' },"
		       "{ kind: 'license', topic: 's/{device}/push', write: 'license' },"
		       "{ kind: 'space_info', topic: 's/{device}/other' },"
		       "{ kind: 'config', topic: 's/{device}/push', write: 'diff' }",
		       "def diff: .body.changed; def license: {license: .body};"),
	      NORTHERN("",
		       "{ kind: 'attributes', topic: 'n/{device}/a' },"
		       "{ kind: 'license', topic: 'n/{device}/license' },"
		       "{ kind: 'space_info', topic: 'n/{device}/space' }",
		       ""));
	step(NORTH, "n/d/license", "{'id':'L','n':1}",
	     "south s/d/push {'license':{'id':'L','n':1}}\n= carried\n");
	step(NORTH, "n/d/space", "{'name':'room'}", "south s/d/other {'name':'room'}\n= carried\n");
	step(SOUTH, "s/e/a", "{'license':{'id':'L','n':1}}",
	     "north n/e/a {'license':{'id':'L','n':1}}\n= carried\n"); /* another device */
	step(SOUTH, "s/d/a", "{'license': {'id': 'L', 'n': 1}}", "= echo\n");
	step(SOUTH, "s/d/a", "{'license':{'id':'L','n':1}}",
	     "north n/d/a {'license':{'id':'L','n':1}}\n= carried\n"); /* it serves once */
	step(SOUTH, "s/d/a", "{'name':'room'}", "north n/d/a {'name':'room'}\n= carried\n");
}

Test(link, what_comes_back_of_a_push_confirms_it_and_the_rest_is_news)
{
	start_echoes();
	step(SOUTH, "s/d/a", "{'x': 1.0}", "north n/d/a {'x': 1.0}\n= carried\n");
	step(NORTH, "n/d/set", "{'a':1,'b':2}", "south s/d/push {'a':1,'b':2}\n= carried\n");
	step(SOUTH, "s/d/a", "{'a':1}", "= echo\n");
	step(SOUTH, "s/d/a", "{'a':1,'b':3}", "north n/d/a {'a':1,'b':3}\n= carried\n");
	step(SOUTH, "s/d/a", "{'b':2,'c':4}",
	     "north n/d/isset {'a':1,'b':2}\nnorth n/d/a {'c':4}\n= carried\n");
	step(SOUTH, "s/d/a", "{'b':2}", "north n/d/a {'b':2}\n= carried\n");
}

/* --- handshakes ---------------------------------------------------------------------------- */

#define S_JOIN                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'provision', topic: 'join',"                                             \
		 "  also: [{ topic: '/join', reply: '/joined' }] },"                               \
		 "{ kind: 'provision_reply', topic: 'joined', write: 'r' }",                       \
		 "def r: .body + {asked: .request.body.device_name};")
#define N_JOIN                                                                                     \
	NORTHERN("credentials: ['token'],"                                                         \
		 "session: { username: '{token}', provisioning: { username: 'provision' } },",     \
		 "{ kind: 'provision', topic: 'P/ask', write: 'w' },"                              \
		 "{ kind: 'provision_reply', topic: 'P/reply' },"                                  \
		 "{ kind: 'telemetry', topic: 'T/{device}' }",                                     \
		 "def w: .body | if .device_name == 'bad' then error('x') else . end;")

static void start_join(void)
{
	world_set(&w, SOUTH, "device", "d1");
	start(S_JOIN, N_JOIN);
}

#define ISSUED "'status':'SUCCESS','token':'T1','device_id':'d1','credentials_type':'ACCESS_TOKEN'"

Test(link, a_device_gets_its_credentials_and_the_bridge_logs_in_with_them)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','token':'T1'}",
	     "login {" ISSUED "}\nend\nsouth joined {" ISSUED ",'asked':'D'}\n= carried\n");
	cr_expect_neq(link_credentials(l, NULL).len, 0);
	/* Again: the same answer, no second handshake. */
	step(SOUTH, "join", "{'device_name':'D'}",
	     "south joined {" ISSUED ",'asked':'D'}\n= carried\n");
	step(SOUTH, "/join", "{'device_name':'D'}",
	     "south /joined {" ISSUED ",'asked':'D'}\n= carried\n");
	restart();
	expect("");
	step(SOUTH, "join", "{'device_name':'D'}",
	     "south joined {" ISSUED ",'asked':'D'}\n= carried\n");
	link_login_refused(l, NULL);
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
}

/* The second answer would be given to whoever is next. */
Test(link, an_answer_that_an_earlier_run_received_is_heard_and_not_asked_for_again)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	restart_with("P/reply", "{'status':'SUCCESS','token':'T1'}");
	expect("login {" ISSUED "}\nsouth joined {" ISSUED ",'asked':'D'}\n= carried\n");
	cr_expect_eq(link_next_deadline(l), INT64_MAX, "nothing is asked later");
}

Test(link, what_was_no_answer_is_asked_again_and_one_that_died_is_nobodys)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	restart_with("P/reply", "{}");
	expect("= wrong-shape\nask P/ask {'device_name':'D',<token>}\n= own\n");
	/* A dead letter that is tried again while somebody else's question is open. */
	try_again("P/reply", "{'status':'SUCCESS','token':'T2'}", 3600000, "= unknown-id\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','token':'T1'}",
	     "login {" ISSUED "}\nend\nsouth joined {" ISSUED ",'asked':'D'}\n= carried\n");
}

Test(link, a_handshake_on_an_alias_is_answered_there_even_after_a_restart)
{
	start_join();
	step(SOUTH, "/join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	restart();
	expect("ask P/ask {'device_name':'D',<token>}\n= own\n");
	step(NORTH, "P/reply", "{'status':'NOT_FOUND'}",
	     "end\nsouth /joined {'status':'NOT_FOUND','asked':'D'}\n= carried\n");
	cr_expect_eq(link_credentials(l, NULL).len, 0);
	cr_expect_eq(link_counters(l, FLOW_UP)->own, 1);
}

Test(link, a_handshake_that_is_not_answered_fails)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	after(30000,
	      "end\nsouth joined {'status':'FAILURE','message':'timeout','asked':'D'}\n= own\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','token':'T1'}", "= unknown-id\n");
}

Test(link, one_handshake_at_a_time)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'A'}",
	     "ask P/ask {'device_name':'A',<token>}\n= carried\n");
	step(SOUTH, "join", "{'device_name':'B'}", "= carried\n");
	step(NORTH, "P/reply", "{'status':'FAILURE'}",
	     "south joined {'status':'FAILURE','asked':'A'}\nask P/ask "
	     "{'device_name':'B',<token>}\n= "
	     "carried\n");
	step(NORTH, "P/reply", "{'status':'FAILURE'}",
	     "end\nsouth joined {'status':'FAILURE','asked':'B'}\n= carried\n");
}

Test(link, the_time_of_a_handshake_runs_from_its_own_question)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'A'}",
	     "ask P/ask {'device_name':'A',<token>}\n= carried\n");
	after(20000, "");
	step(SOUTH, "join", "{'device_name':'B'}", "= carried\n");
	after(10000, "end\nsouth joined {'status':'FAILURE','message':'timeout','asked':'A'}\n"
		     "ask P/ask {'device_name':'B',<token>}\n= own\n");
	after(29999, "");
	after(1, "end\nsouth joined {'status':'FAILURE','message':'timeout','asked':'B'}\n= own\n");
}

Test(link, a_device_whose_answer_was_lost_is_known_by_the_token_that_was_chosen_for_it)
{
	char token[33];

	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	memcpy(token, last_token, sizeof token);
	restart();
	expect("ask P/ask {'device_name':'D',<token>}\n= own\n");
	cr_expect_str_eq(last_token, token);
	step(NORTH, "P/reply", "{'status':'FAILURE'}",
	     "try {'status':'SUCCESS',<token>,'device_id':'d1'}\n= carried\n");
	cr_expect_str_eq(last_token, token);
	link_login_tried(l, asked, true);
	after(0, "login {'status':'SUCCESS',<token>,'device_id':'d1'}\nend\n"
		 "south joined {'status':'SUCCESS',<token>,'device_id':'d1','asked':'D'}\n= own\n");
	cr_expect_str_eq(last_token, token);
}

Test(link, a_dialect_that_cannot_say_a_token_is_not_tried)
{
	world_set(&w, SOUTH, "device", "d1");
	start(S_JOIN, NORTHERN("session: { username: '{token}', provisioning: { username: 'p' } },",
			       "{ kind: 'provision', topic: 'P/ask', write: 'w' },"
			       "{ kind: 'provision_reply', topic: 'P/reply' }",
			       "def w: .body | {device_name};"));
	step(SOUTH, "join", "{'device_name':'D'}", "ask P/ask {'device_name':'D'}\n= carried\n");
	cr_expect(link_handshakes_down(l, asked, true));
	step(NORTH, "P/reply", "{'status':'FAILURE'}",
	     "end\nsouth joined {'status':'FAILURE','asked':'D'}\n= carried\n");
}

Test(link, a_handshake_that_cannot_be_carried_is_dead_and_answered_at_once)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'bad'}",
	     "end\nsouth joined {'status':'FAILURE','message':'the other platform cannot be asked "
	     "for "
	     "this','asked':'bad'}\n= mapping-error\n");
}

Test(link, the_sessions_own_key_replaces_the_devices)
{
	w.spec.provision_key = "K";
	w.spec.provision_secret = "S";
	w.spec.provision_name = "N";
	start_join();
	step(SOUTH, "join", "{'device_name':'N','provision_key':'k','x':1}",
	     "ask P/ask "
	     "{'device_name':'N','provision_key':'K','x':1,<token>,'provision_secret':'S'}\n"
	     "= carried\n");
}

#define OTHERS_LINK "'status':'FAILURE','message':'another device has this link'"
#define NAMELESS    "{'status':'FAILURE','message':'another device without a name was here before'"

Test(link, a_stranger_gets_no_credentials_and_changes_no_login)
{
	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','token':'T1'}",
	     "login {" ISSUED "}\nend\nsouth joined {" ISSUED ",'asked':'D'}\n= carried\n");
	cr_expect_str_eq(link_login_accepted(l, NULL), "D");
	step(SOUTH, "join", "{'device_name':'evil'}",
	     "refused evil: another device has this link\n"
	     "south joined {" OTHERS_LINK ",'asked':'evil'}\n= carried\n");
	restart();
	step(SOUTH, "join", "{'device_name':'evil'}",
	     "refused evil: another device has this link\n"
	     "south joined {" OTHERS_LINK ",'asked':'evil'}\n= carried\n");
	cr_expect(link_forget_name(l, "D"));
	cr_expect_eq(link_credentials(l, NULL).len, 0);
	step(SOUTH, "join", "{'device_name':'evil'}",
	     "ask P/ask {'device_name':'evil',<token>}\n= carried\n");
}

Test(link, the_configured_name_is_the_only_one_that_may_ask)
{
	w.spec.provision_name = "N";
	start_join();
	step(SOUTH, "join", "{'device_name':'D'}",
	     "refused D: another device has this link\n"
	     "south joined {" OTHERS_LINK ",'asked':'D'}\n= carried\n");
	step(SOUTH, "join", "{'device_name':'N'}",
	     "ask P/ask {'device_name':'N',<token>}\n= carried\n");
}

Test(link, who_does_not_say_its_name_is_the_links_device_but_only_once)
{
	static const char *const bodies[] = { "{}", "{'device_name':null}", "{'device_name':''}",
					      "{'device_name':7}" };

	start_join();
	step(SOUTH, "join", "{}", "ask P/ask {<token>}\n= carried\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','token':'T1'}",
	     "login {" ISSUED "}\nend\nsouth joined {" ISSUED ",'asked':null}\n= carried\n");
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		char *wanted =
			mem_printf("refused -: it names no device, and one such was here before\n"
				   "south joined " NAMELESS ",'asked':%s}\n= carried\n",
				   i == 2   ? "''"
				   : i == 3 ? "7"
					    : "null");

		step(SOUTH, "join", bodies[i], wanted);
		free(wanted);
	}
}

Test(link, topics_may_name_the_device_that_asks)
{
	start(SOUTHERN("",
		       "{ kind: 'provision', topic: '{device}/join' },"
		       "{ kind: 'provision_reply', topic: '{device}/joined' }",
		       ""),
	      N_JOIN);
	step(SOUTH, "a/join", "{}", "ask P/ask {<token>}\n= carried\n");
	step(SOUTH, "b/join", "{}", "= carried\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','username':'u'}",
	     "login {'status':'SUCCESS','username':'u','device_id':'<uuid>'}\n"
	     "south a/joined {'status':'SUCCESS','username':'u','device_id':'<uuid>'}\n"
	     "ask P/ask {<token>}\n= carried\n");
}

Test(link, a_device_that_is_told_no_id_always_gets_the_same)
{
	char first[37];

	start(SOUTHERN("device: 'none',",
		       "{ kind: 'provision', topic: 'join' },"
		       "{ kind: 'provision_reply', topic: 'joined' }",
		       ""),
	      N_JOIN);
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','username':'u'}",
	     "login {'status':'SUCCESS','username':'u','device_id':'<uuid>'}\nend\n"
	     "south joined {'status':'SUCCESS','username':'u','device_id':'<uuid>'}\n= carried\n");
	memcpy(first, uuid, sizeof first);
	link_login_refused(l, NULL);
	step(SOUTH, "join", "{'device_name':'D'}",
	     "ask P/ask {'device_name':'D',<token>}\n= carried\n");
	step(NORTH, "P/reply", "{'status':'SUCCESS','username':'u'}",
	     "login {'status':'SUCCESS','username':'u','device_id':'<uuid>'}\nend\n"
	     "south joined {'status':'SUCCESS','username':'u','device_id':'<uuid>'}\n= carried\n");
	cr_expect_str_eq(uuid, first);
}

/* --- through files and remapping, on the whole way ----------------------------------------- */

Test(link, replies_pass_through_files_too)
{
	world_through(&w, "loud",
		      "module { through: 'loud', up: 'u', down: 'd' };"
		      "def u: .body.result |= (. // '' | ascii_upcase);"
		      "def d: select(.body.name != 'quiet');");
	start_asks();
	step(NORTH, "n/d/do", "{'id':6,'do':'quiet'}",
	     "north n/d/did {'id':6,'status':'error','message':'the mapping filtered "
	     "it','asked':6}\n"
	     "= carried\n");
	step(NORTH, "n/d/do", "{'id':7,'do':'go'}", "south s/d/do {'id':2,'do':'go'}\n= carried\n");
	step(SOUTH, "s/d/did", "{'id':2,'is':'done'}",
	     "north n/d/did {'id':7,'status':'done','result':'GO','asked':7}\n= carried\n");
}

/* The twin speaks the tongue of the north: what comes back is compared with what the north said, and a device is
 * told in its own units, whoever answers. */
Test(link, conversions_break_no_confirmation_and_no_answer)
{
	world_through(
		&w, "tenths",
		"module { through: 'tenths', up: 'u', down: 'd' };"
		"def u: if .body.rate then .body.rate /= 10 else . end;"
		"def d: if .kind == 'config' then .body |= (.changed.rate |= . * 10 | .full.rate "
		"|= . * 10)"
		"  elif .kind == 'attributes_reply' then .body.shared.rate |= . * 10 else . end;");
	start(SOUTHERN("",
		       "{ kind: 'attributes', topic: 's/{device}/a', echoes: 'config' },"
		       "{ kind: 'attributes_request', topic: 's/{device}/ask' },"
		       "{ kind: 'attributes_reply', topic: 's/{device}/told' },"
		       "{ kind: 'config', topic: 's/{device}/push', write: 'diff' }",
		       "def diff: .body.changed;"),
	      NORTHERN("",
		       "{ kind: 'attributes', topic: 'n/{device}/a' },"
		       "{ kind: 'config_reply', topic: 'n/{device}/isset', write: 'values' },"
		       "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' }",
		       "def diff: {body: {full: .payload}}; def values: .body.values;"));
	step(NORTH, "n/d/set", "{'rate':5}", "south s/d/push {'rate':50}\n= carried\n");
	step(SOUTH, "s/d/a", "{'rate':50}", "north n/d/isset {'rate':5}\n= carried\n");
	step(NORTH, "n/d/set", "{'rate':5}", "= no-change\n");
	step(SOUTH, "s/d/ask", "{}",
	     "south s/d/told {'client':{},'shared':{'rate':50}}\n= carried\n");
	step(SOUTH, "s/d/a", "{'rate':60}", "north n/d/a {'rate':6}\n= carried\n");
	step(NORTH, "n/d/set", "{'rate':5}", "south s/d/push {'rate':50}\n= carried\n");
}

Test(link, what_comes_back_confirms_under_another_kind_too)
{
	enum kind remap[KINDS];

	for (int k = 0; k < KINDS; k++)
		remap[k] = KIND_NONE;
	remap[KIND_ATTRIBUTES] = KIND_TELEMETRY;
	w.spec.remap = remap;
	start(SOUTHERN("",
		       "{ kind: 'attributes', topic: 's/{device}/a', echoes: 'config' },"
		       "{ kind: 'config', topic: 's/{device}/push', write: 'diff' }",
		       "def diff: .body.changed;"),
	      NORTHERN("",
		       "{ kind: 'telemetry', topic: 'n/{device}/t' },"
		       "{ kind: 'config_reply', topic: 'n/{device}/isset', write: 'values' },"
		       "{ kind: 'config', topic: 'n/{device}/set', read: 'diff' }",
		       "def diff: {body: {changed: .payload}}; def values: .body.values;"));
	step(NORTH, "n/d/set", "{'rate':5}", "south s/d/push {'rate':5}\n= carried\n");
	step(SOUTH, "s/d/a", "{'rate':5,'temp':1}",
	     "north n/d/isset {'rate':5}\nnorth n/d/t {'temp':1}\n= carried\n");
}

Test(link, payload_may_name_a_device_beside_the_topics)
{
	start(SOUTHERN("device: 'payload',", "{ kind: 'alarm', topic: 'gateway', read: 'f' }",
		       "def f: .payload[] | {device: ., body: {active: true}};"),
	      N_STATES);
	step(SOUTH, "gateway", "['a','b']",
	     "north n/a/alarm {'active':true,'online':null,'alarm':true}\n"
	     "north n/b/alarm {'active':true,'online':null,'alarm':true}\n= carried\n");
}

Test(link, what_was_not_worked_on_ends_without_a_leak)
{
	struct message m = { .topic = (char *)"n/d/set", .qos = 1 };

	start(S_CONFIG, N_CONFIG);
	message_set_payload(&m, "{}", 2);
	receive(NORTH, &m, NULL); /* and the executor is not run: see tear_down */
	free(m.payload);
}
