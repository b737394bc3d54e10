/* line_session.c -- the sessions of a line: how they are made, and what they say. */
#include <stdlib.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "link/delivery.h"
#include "net/loop.h"
#include "run/line_inside.h"
#include "run/records.h"

static void on_up(void *ctx)
{
	(void)ctx; /* what waits goes out before the loop sleeps */
}

static void on_down(void *ctx, bool refused)
{
	struct peer *p = ctx;

	delivery_reset(p->delivery);
	if (refused && p->side == NORTH && !p->is_provisioning && p->line->uses_issued)
		link_login_refused(p->line->link);
}

static void on_message(void *ctx, const struct message *m)
{
	struct peer *p = ctx;
	struct line *line = p->line;
	int64_t now_ms = loop_now_ms(line->parts->loop);
	struct record *r = NULL;

	if (m->qos > 0)
		r = records_accept(line->records, p->side, m, now_ms, now_ms);
	link_receive(line->link, p->side, m, now_ms, r);
}

void line_end_parcel(struct peer *p, struct parcel *parcel, enum refusal reason, const char *text)
{
	link_acked(p->line->link, p->side, parcel->echo, loop_now_ms(p->line->parts->loop));
	link_done(p->line->link, parcel->origin, reason, text);
	message_fini(&parcel->message);
}

static void on_acked(void *ctx, int mid, int code, const char *reason)
{
	struct peer *p = ctx;
	struct parcel parcel;

	if (delivery_acked(p->delivery, mid, &parcel))
		line_end_parcel(p, &parcel, code >= 128 ? DEAD_BROKER_REFUSED : REFUSED_NOT,
				reason);
}

/* The broker sends it again after each login, and each time it is one more. */
static void on_unreadable(void *ctx, const char *reason)
{
	struct peer *p = ctx;

	link_unreadable(p->line->link, p->side, reason, loop_now_ms(p->line->parts->loop));
}

static const struct session_ops session_ops = { .on_up = on_up,
						.on_down = on_down,
						.on_message = on_message,
						.on_acked = on_acked,
						.on_unreadable = on_unreadable };

int line_mqtt_version(const struct line *line, enum side side)
{
	int asked = line->conf->side[side].mqtt;

	return asked ? asked : line->plan->side[side].dialect->mqtt;
}

struct session *line_make_session(struct peer *p, const struct session_login *login, struct err *e)
{
	struct line *line = p->line;
	const struct conf_session *c = &line->conf->side[p->side];
	struct session_filter *filters;
	struct session *s;
	size_t n;
	char **texts = plan_filters(line->plan, p->side, p->is_provisioning, &n);
	struct session_conf conf = {
		.name = p->name,
		.host = c->host,
		.port = c->port,
		.is_tls = c->is_tls,
		.tls = { c->tls.ca, c->tls.cert, c->tls.key, c->tls.server_name },
		.username = login->username,
		.password = login->password,
		.client_id = login->client_id,
		.keepalive_s = c->keepalive_s,
		.mqtt = line_mqtt_version(line, p->side),
		.n_filters = n,
		.is_clean = p->is_provisioning,
	};

	filters = mem_zalloc((n + 1) * sizeof *filters);
	for (size_t i = 0; i < n; i++)
		filters[i] = (struct session_filter){ texts[i], 1 };
	conf.filters = filters;
	s = session_new(line->parts->loop, &conf, &session_ops, p, e);
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
	free(filters);
	return s;
}
