#include "gate/gate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "message/message.h"
#include "plan/plan.h"

#define UP    "$frontdoor/up/"
#define DOWN  "$frontdoor/down/"
#define STATE "$frontdoor/state/"
#define TABLE "$frontdoor/table/"
#define TAKEN                                                                                      \
	"$" /* what was sent goes on under it: without that subscription nothing is ever handed over */
#define MANY_ROWS 300 /* in a message, of about 100 bytes each */

/* A device of the table.  One whose rows have gone is forgotten when that was told. */
struct gate_row {
	char *device;
	struct buf text; /* its lines; empty: it may not come in */
	bool is_here;	 /* the front door has said so */
	bool is_told;	 /* that there are lines */
	bool is_due;
	TAILQ_ENTRY(gate_row) due;
};
TAILQ_HEAD(gate_due, gate_row);

/* What is to be said of the table, in this order. */
enum step { STEP_NONE, STEP_BEGIN, STEP_ROWS, STEP_END, STEP_CHANGES };

struct gate {
	const struct plan *plan;
	const struct conf_session *conf;
	uint8_t key[CRYPTO_KEY_BYTES];
	char *only;	 /* the level of its one identity; NULL: it has many */
	struct map rows; /* by device */
	struct gate_due due;
	size_t n_sending; /* of these, in the message that is being handed over */
	uint64_t serial;
	enum step step;
	bool has_list;	 /* @begin came, and no @end */
	struct buf name; /* of whom gate_take() told */
};

static bool is_gateways(const struct gate *g)
{
	return g->plan->side[SOUTH].dialect->device == DEVICE_IN_PAYLOAD;
}

struct gate *gate_new(const struct plan *plan, const struct conf_session *conf,
		      const uint8_t key[CRYPTO_KEY_BYTES])
{
	struct gate *g = mem_zalloc(sizeof *g);
	struct buf name = { 0 };

	g->plan = plan;
	g->conf = conf;
	memcpy(g->key, key, sizeof g->key);
	TAILQ_INIT(&g->due);
	if (plan->is_single || is_gateways(g)) {
		gate_put_name(plan->device, &name);
		g->only = buf_take(&name);
	}
	return g;
}

static void free_row(void *row)
{
	struct gate_row *r = row;

	free(r->device);
	buf_fini(&r->text);
	free(r);
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	map_fini(&g->rows, free_row);
	free(g->only);
	buf_fini(&g->name);
	mem_free_secret(g, sizeof *g);
}

const char *gate_only_device(const struct gate *g)
{
	return g->only ? g->plan->device : NULL;
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

/* Where topics name a device as well, another's are to be seen. */
static bool hears_all(const struct gate *g)
{
	return g->only && g->plan->side[SOUTH].dialect->device == DEVICE_IN_TOPIC;
}

char **gate_filters(const struct gate *g, char **filters, size_t *n)
{
	const char *level = g->only ? g->only : "+";
	char **list = NULL;
	size_t all = 0;

	if (hears_all(g))
		add(&list, &all, mem_printf(UP "%s/#", level));
	for (size_t i = 0; i < *n; i++) {
		const struct reader *r = NULL;

		if (!hears_all(g))
			add(&list, &all, mem_printf(UP "%s/%s", level, filters[i]));
		while (g->only && (r = plan_next_reader(g->plan, SOUTH, r))) {
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
	add(&list, &all, mem_printf(STATE "%s", level));
	if (g->only) {
		add(&list, &all, mem_strdup(STATE "@begin"));
		add(&list, &all, mem_strdup(STATE "@end"));
	}
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

/* The row of the device that is called so there; NULL: it is none of the link's. */
static struct gate_row *row_named(struct gate *g, const char *name, size_t n)
{
	buf_reset(&g->name);
	return gate_read_name(name, n, &g->name) ? map_get_str(&g->rows, buf_str(&g->name)) : NULL;
}

static void forget_who_is_here(struct gate *g)
{
	struct map_pos pos = { 0 };
	struct gate_row *r;

	while ((r = map_next(&g->rows, &pos)) != NULL)
		r->is_here = false;
}

static enum gate_word take_state(struct gate *g, const char *name, const struct message *m,
				 const char **device)
{
	bool is_online = m->payload_len == 6 && memcmp(m->payload, "online", 6) == 0;
	struct gate_row *r;

	if (is_gateways(g))
		return GATE_NOTHING; /* a gateway says itself which of its devices are here */
	if (strcmp(name, "@begin") == 0) {
		g->has_list = true;
		forget_who_is_here(g);
	} else if (strcmp(name, "@end") == 0 && g->has_list) {
		g->has_list = false;
		return GATE_LISTED;
	} else if ((r = row_named(g, name, strlen(name))) != NULL) {
		r->is_here = is_online;
		*device = r->device;
		return is_online ? GATE_ONLINE : GATE_OFFLINE;
	}
	return GATE_NOTHING;
}

const char *gate_next_missing(const struct gate *g, struct map_pos *pos)
{
	struct gate_row *r;

	while ((r = map_next(&g->rows, pos)) != NULL)
		if (!r->is_here && r->text.len)
			return r->device;
	return NULL;
}

bool gate_is_here(const struct gate *g, const char *device)
{
	const struct gate_row *r = map_get_str(&g->rows, device);

	return r && r->is_here;
}

/* What was taken of a device whose row has gone since is its message all the same: it has its PUBACK. */
static enum gate_word take_identity(struct gate *g, const char *name, size_t n, const char **device)
{
	buf_reset(&g->name);
	if (g->only && (strncmp(name, g->only, n) != 0 || g->only[n]))
		return GATE_NOTHING;
	if (!gate_read_name(name, n, &g->name))
		return GATE_NOTHING;
	*device = is_gateways(g) ? NULL : buf_str(&g->name);
	return GATE_MESSAGE;
}

enum gate_word gate_take(struct gate *g, const struct message *m, struct message *out,
			 const char **device)
{
	const char *who = m->topic + strlen(UP), *rest;
	char *answer;

	*device = NULL;
	if (strncmp(m->topic, STATE, strlen(STATE)) == 0)
		return take_state(g, m->topic + strlen(STATE), m, device);
	if (strncmp(m->topic, UP, strlen(UP)) != 0 || !(rest = strchr(who, '/')) || !rest[1])
		return GATE_NOTHING;
	*out = *m;
	out->response_topic = NULL;
	out->topic += rest + 1 - m->topic;
	if (*who != '@')
		return take_identity(g, who, (size_t)(rest - who), device);
	answer = answer_topic(g, rest + 1);
	if (!answer)
		return GATE_NOTHING;
	out->response_topic = mem_printf("%.*s/%s", (int)(rest - who), who, answer);
	free(answer);
	return GATE_MESSAGE;
}

void gate_end_message(struct message *out)
{
	free(out->response_topic);
}

void gate_put_topic(const struct gate *g, const char *device, const char *topic, struct buf *out)
{
	buf_reset(out);
	buf_puts(out, DOWN);
	if (topic[0] != '@') {
		if (g->only)
			buf_puts(out, g->only);
		else
			gate_put_name(device ? device : g->plan->device, out);
		buf_putc(out, '/');
	}
	buf_puts(out, topic);
}

/* --- the table ----------------------------------------------------------------------------- */

static void set_due(struct gate *g, struct gate_row *r)
{
	if (!r->is_due)
		TAILQ_INSERT_TAIL(&g->due, r, due);
	r->is_due = true;
}

static void unset_due(struct gate *g, struct gate_row *r)
{
	if (r->is_due)
		TAILQ_REMOVE(&g->due, r, due);
	r->is_due = false;
}

/* It may not come in, and that is known there. */
static void drop_row(struct gate *g, struct gate_row *r)
{
	unset_due(g, r);
	if (g->only)
		return;
	map_remove_str(&g->rows, r->device);
	free_row(r);
}

void gate_begin(struct gate *g, uint64_t serial)
{
	struct map_pos pos = { 0 };
	struct gate_row *r;

	g->serial = serial;
	g->step = STEP_BEGIN;
	g->has_list = false;
	while ((r = map_next(&g->rows, &pos)) != NULL) {
		r->is_told = false;
		if (r->text.len)
			set_due(g, r);
		else
			drop_row(g, r);
	}
}

static struct gate_row *row_of(struct gate *g, const char *device)
{
	struct gate_row *r = map_get_str(&g->rows, device);

	if (!r) {
		r = mem_zalloc(sizeof *r);
		r->device = mem_strdup(device);
		map_set_str(&g->rows, device, r);
	}
	return r;
}

void gate_set(struct gate *g, const char *device, const struct gate_login *by)
{
	struct gate_login login = by ? *by : (struct gate_login){ 0 };
	struct gate_row *r = map_get_str(&g->rows, device);
	struct buf name = { 0 }, text = { 0 };

	login.is_gateway = login.is_gateway || is_gateways(g);
	gate_put_name(device, &name);
	if (by)
		gate_put_rows(g->plan, g->conf, g->key, device, buf_str(&name), &login, &text);
	buf_fini(&name);
	if (!r && text.len == 0 && !g->only) {
		buf_fini(&text);
		return;
	}
	r = row_of(g, device);
	if (strcmp(buf_str(&r->text), buf_str(&text)) != 0) {
		buf_fini(&r->text);
		r->text = text;
		set_due(g, r);
		return;
	}
	buf_fini(&text);
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

/* Rows that never got there need not go. */
static struct gate_row *first_due(struct gate *g)
{
	struct gate_row *r;

	while ((r = TAILQ_FIRST(&g->due)) != NULL && r->text.len == 0 && !r->is_told)
		drop_row(g, r);
	return r;
}

/* Those in front that are of one sort: lines that hold now, or names whose lines go. */
static const char *put_due(struct gate *g, struct buf *out)
{
	const struct gate_row *r = first_due(g);
	bool is_set = r->text.len > 0;

	for (g->n_sending = 0; r && g->n_sending < MANY_ROWS && (r->text.len > 0) == is_set;
	     r = TAILQ_NEXT(r, due), g->n_sending++) {
		if (is_set) {
			buf_append(out, r->text.data, r->text.len);
			continue;
		}
		gate_put_name(r->device, out);
		buf_putc(out, '\n');
	}
	return is_set ? TABLE "set" : TABLE "remove";
}

bool gate_next(struct gate *g, struct message *out)
{
	const char *topic = g->step == STEP_BEGIN ? TABLE "begin" : TABLE "end";
	struct buf text = { 0 };

	if (g->step == STEP_ROWS && !first_due(g))
		g->step = STEP_END;
	if (g->step == STEP_NONE || (g->step == STEP_CHANGES && !first_due(g)))
		return false;
	g->n_sending = 0;
	if (g->step == STEP_BEGIN)
		put_head(g, &text);
	else if (g->step != STEP_END)
		topic = put_due(g, &text);
	*out = (struct message){ .topic = mem_strdup(topic), .qos = 1 };
	message_set_payload(out, buf_str(&text), text.len);
	buf_fini(&text);
	return true;
}

void gate_sent(struct gate *g)
{
	for (; g->n_sending; g->n_sending--) {
		struct gate_row *r = TAILQ_FIRST(&g->due);

		unset_due(g, r);
		r->is_told = r->text.len > 0;
		if (!r->is_told)
			drop_row(g, r);
	}
	if (g->step == STEP_BEGIN)
		g->step = STEP_ROWS;
	else if (g->step == STEP_END)
		g->step = STEP_CHANGES;
}
