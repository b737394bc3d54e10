#include "gate/gate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "message/message.h"
#include "plan/plan.h"

#define UP    "$frontdoor/up/"
#define DOWN  "$frontdoor/down/"
#define STATE "$frontdoor/state/"
#define TABLE "$frontdoor/table/"
#define TAKEN                                                                                      \
	"$" /* what was sent goes on under it: without that subscription nothing is ever handed over */

/* What is to be said of the table, in this order. */
enum step { STEP_BEGIN, STEP_ROWS, STEP_END, STEP_NONE };

struct gate {
	const struct plan *plan;
	const struct conf_session *conf;
	uint8_t key[CRYPTO_KEY_BYTES];
	char *name; /* of the identity, a level */
	char *up;   /* what its topics begin with */
	struct buf row,
		told; /* with its end of line; "": it is not known by what the device logs in */
	struct buf issued; /* what a handshake brought */
	uint64_t serial;
	enum step step;
	bool is_snapshot;
	bool is_here, has_word; /* what the list says of the device until its end */
};

static void put_row(struct gate *g, const char *form, const char *credential)
{
	const char *const texts[] = { form, credential, "", "" };
	uint8_t mac[CRYPTO_HASH_BYTES];

	crypto_hmac(g->key, texts, 4, mac);
	buf_printf(&g->row, "%s %s ", form,
		   g->plan->side[SOUTH].dialect->device == DEVICE_IN_PAYLOAD ? "gateway"
									     : "device");
	for (size_t i = 0; i < sizeof mac; i++)
		buf_printf(&g->row, "%02x", mac[i]);
	buf_printf(&g->row, " %s\n", g->name);
}

/* By what does the dialect log in: a token as its user name, or one as password, whatever the user name? */
static void make_row(struct gate *g)
{
	const struct jslice issued = { g->issued.data, g->issued.len };
	struct conf_session device = *g->conf;
	struct session_login login;

	device.username = device.password = device.client_id = NULL;
	device.tls.cert = NULL;
	login_make(&login, &(struct login_terms){ .plan = g->plan,
						  .conf = &device,
						  .side = SOUTH,
						  .credentials = issued,
						  .instance = "" });
	buf_reset(&g->row);
	if (!login.is_missing && login.password)
		put_row(g, "password", login.password);
	else if (!login.is_missing && login.username)
		put_row(g, "token", login.username);
	login_fini(&login);
}

struct gate *gate_new(const struct plan *plan, const struct conf_session *conf,
		      const uint8_t key[CRYPTO_KEY_BYTES])
{
	struct gate *g = mem_zalloc(sizeof *g);

	g->plan = plan;
	g->conf = conf;
	memcpy(g->key, key, sizeof g->key);
	g->name = mem_strdup(plan->device);
	g->up = mem_printf(UP "%s/", g->name);
	g->step = STEP_NONE;
	make_row(g);
	return g;
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	free(g->name);
	free(g->up);
	buf_fini(&g->row);
	buf_fini(&g->told);
	mem_free_secret(g->issued.data, g->issued.len);
	mem_free_secret(g, sizeof *g);
}

/* --- topics -------------------------------------------------------------------------------- */

static bool provisions(const struct gate *g, const struct reader *r)
{
	return r->row->kind == KIND_PROVISION && plan_writer(g->plan, SOUTH, KIND_PROVISION_REPLY);
}

static void add(char ***list, size_t *n, char *filter)
{
	*list = mem_grow(*list, *n, sizeof(char *));
	(*list)[(*n)++] = filter;
}

char **gate_filters(const struct gate *g, char **filters, size_t *n)
{
	char **list = NULL;
	size_t all = 0;

	/* Where topics name a device as well, another's are to be seen. */
	if (g->plan->side[SOUTH].dialect->device == DEVICE_IN_TOPIC)
		add(&list, &all, mem_printf("%s#", g->up));
	for (size_t i = 0; i < *n; i++) {
		const struct reader *r = NULL;

		if (g->plan->side[SOUTH].dialect->device != DEVICE_IN_TOPIC)
			add(&list, &all, mem_printf("%s%s", g->up, filters[i]));
		while ((r = plan_next_reader(g->plan, SOUTH, r))) {
			struct buf own = { 0 };

			topic_template_filter(&r->topic, &own);
			if (provisions(g, r) && strcmp(buf_str(&own), filters[i]) == 0) {
				add(&list, &all, mem_printf(UP "+/%s", filters[i]));
				r = NULL;
			}
			buf_fini(&own);
			if (!r)
				break;
		}
		free(filters[i]);
	}
	free(filters);
	add(&list, &all, mem_printf(STATE "%s", g->name));
	add(&list, &all, mem_strdup(STATE "@begin"));
	add(&list, &all, mem_strdup(STATE "@end"));
	add(&list, &all, mem_strdup(TAKEN));
	*n = all;
	return list;
}

/* Where the answer goes to what was asked on this topic; NULL: it is no such question. */
static char *answer_topic(const struct gate *g, const char *topic)
{
	const struct reader *r = NULL;
	const struct row *reply = plan_writer(g->plan, SOUTH, KIND_PROVISION_REPLY);

	while ((r = plan_next_reader(g->plan, SOUTH, r)))
		if (provisions(g, r) && topic_template_match(&r->topic, topic, NULL)) {
			struct buf text = { 0 };

			if (r->reply)
				return mem_strdup(r->reply);
			topic_template_text(&reply->topic, &text);
			return buf_take(&text);
		}
	return NULL;
}

static enum gate_word take_state(struct gate *g, const char *name, const struct message *m)
{
	bool is_online = m->payload_len == 6 && memcmp(m->payload, "online", 6) == 0;

	if (g->plan->side[SOUTH].dialect->device == DEVICE_IN_PAYLOAD)
		return GATE_NOTHING; /* a gateway says itself which of its devices are here */
	if (strcmp(name, "@begin") == 0) {
		g->has_word = true;
		g->is_here = false;
	} else if (strcmp(name, "@end") == 0 && g->has_word) {
		g->has_word = false;
		return g->is_here ? GATE_NOTHING : GATE_OFFLINE;
	} else if (strcmp(name, g->name) == 0) {
		g->is_here = is_online;
		return is_online ? GATE_ONLINE : GATE_OFFLINE;
	}
	return GATE_NOTHING;
}

enum gate_word gate_take(struct gate *g, const struct message *m, struct message *out)
{
	size_t n = strlen(g->up);
	const char *who = m->topic + strlen(UP), *rest;
	char *answer;

	if (strncmp(m->topic, STATE, strlen(STATE)) == 0)
		return take_state(g, m->topic + strlen(STATE), m);
	*out = *m;
	out->response_topic = NULL;
	if (strncmp(m->topic, g->up, n) == 0 && m->topic[n]) {
		out->topic += n;
		return GATE_MESSAGE;
	}
	if (strncmp(m->topic, UP "@", strlen(UP) + 1) != 0 || !(rest = strchr(who, '/')))
		return GATE_NOTHING;
	answer = answer_topic(g, rest + 1);
	if (!answer)
		return GATE_NOTHING;
	out->topic += rest + 1 - m->topic;
	out->response_topic = mem_printf("%.*s/%s", (int)(rest - who), who, answer);
	free(answer);
	return GATE_MESSAGE;
}

void gate_end_message(struct message *out)
{
	free(out->response_topic);
}

void gate_put_topic(const struct gate *g, const char *topic, struct buf *out)
{
	buf_reset(out);
	if (topic[0] == '@')
		buf_printf(out, DOWN "%s", topic);
	else
		buf_printf(out, DOWN "%s/%s", g->name, topic);
}

/* --- the table ----------------------------------------------------------------------------- */

void gate_begin(struct gate *g, uint64_t serial)
{
	make_row(g); /* a secret may have changed */
	g->serial = serial;
	g->step = STEP_BEGIN;
	g->is_snapshot = true;
}

void gate_set_issued(struct gate *g, struct jslice issued)
{
	if (issued.len != g->issued.len ||
	    (issued.len && memcmp(issued.text, g->issued.data, issued.len) != 0)) {
		buf_reset(&g->issued);
		buf_append(&g->issued, issued.text, issued.len);
		make_row(g);
	}
	if (g->step == STEP_NONE && strcmp(buf_str(&g->row), buf_str(&g->told)) != 0) {
		g->step = STEP_ROWS;
		g->is_snapshot = false;
	}
}

static void put_head(const struct gate *g, struct buf *out)
{
	const struct reader *r = NULL;
	int64_t packet_bytes = g->plan->side[SOUTH].dialect->limits.packet_bytes;

	buf_printf(out, "serial %" PRIu64 "\nkey ", g->serial);
	for (size_t i = 0; i < sizeof g->key; i++)
		buf_printf(out, "%02x", g->key[i]);
	if (packet_bytes)
		buf_printf(out, "\npacket_bytes %" PRId64, packet_bytes);
	while ((r = plan_next_reader(g->plan, SOUTH, r))) {
		struct buf filter = { 0 };

		topic_template_filter(&r->topic, &filter);
		if (r->row->format == FORMAT_JSON)
			buf_printf(out, "\njson %s %s", r->row->lenient ? "lenient" : "strict",
				   buf_str(&filter));
		if (provisions(g, r))
			buf_printf(out, "\nprovision %s", buf_str(&filter));
		buf_fini(&filter);
	}
	buf_putc(out, '\n');
}

bool gate_next(struct gate *g, struct message *out)
{
	static const char *const topics[] = { TABLE "begin", TABLE "set", TABLE "end" };
	struct buf text = { 0 };

	if (g->step == STEP_ROWS && g->row.len == 0)
		gate_sent(g);
	if (g->step == STEP_NONE)
		return false;
	if (g->step == STEP_BEGIN)
		put_head(g, &text);
	else if (g->step == STEP_ROWS)
		buf_puts(&text, buf_str(&g->row));
	*out = (struct message){ .topic = mem_strdup(topics[g->step]), .qos = 1 };
	message_set_payload(out, buf_str(&text), text.len);
	buf_fini(&text);
	return true;
}

void gate_sent(struct gate *g)
{
	if (g->step == STEP_ROWS) {
		buf_reset(&g->told);
		buf_puts(&g->told, buf_str(&g->row));
	}
	g->step = g->is_snapshot ? g->step + 1 : STEP_NONE;
}
