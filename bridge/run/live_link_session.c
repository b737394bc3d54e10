/* live_link_session.c -- the sessions of a live link: how they are made, and what they say. */
#include <stdlib.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "link/delivery.h"
#include "net/loop.h"
#include "run/live_link_inside.h"
#include "store/journal_live.h"

static void on_up(void *ctx)
{
	(void)ctx; /* what waits goes out before the loop sleeps */
}

static void on_down(void *ctx, bool refused)
{
	struct peer *p = ctx;

	delivery_reset(p->delivery);
	if (refused && p->side == NORTH && !p->is_provisioning && p->live->uses_issued)
		link_login_refused(p->live->link);
}

static void on_message(void *ctx, const struct message *m)
{
	struct peer *p = ctx;
	struct live_link *live = p->live;
	int64_t now_ms = loop_now_ms(live->parts->loop);
	struct record *r = NULL;

	if (m->qos > 0)
		r = journal_live_accept(live->records, p->side, m, now_ms, now_ms);
	link_receive(live->link,
		     &(struct arrival){ .from = p->side, .message = m, .at_ms = now_ms, .tag = r });
}

void live_link_end_parcel(struct peer *p, struct parcel *parcel, enum outcome reason,
			  const char *text)
{
	link_acked(p->live->link, p->side, parcel->echo, loop_now_ms(p->live->parts->loop));
	link_done(p->live->link, parcel->origin, reason, text);
	parcel_fini(parcel);
}

static void on_acked(void *ctx, int mid, int code, const char *reason)
{
	struct peer *p = ctx;
	struct parcel parcel;

	if (delivery_acked(p->delivery, mid, &parcel))
		live_link_end_parcel(p, &parcel, code >= 128 ? DEAD_BROKER_REFUSED : CARRIED,
				     reason);
}

/* The broker sends it again after each login, and each time it is one more. */
static void on_unreadable(void *ctx, const char *reason)
{
	struct peer *p = ctx;

	link_unreadable(p->live->link, p->side, reason, loop_now_ms(p->live->parts->loop));
}

static const struct session_ops session_ops = { .on_up = on_up,
						.on_down = on_down,
						.on_message = on_message,
						.on_acked = on_acked,
						.on_unreadable = on_unreadable };

int live_link_mqtt_version(const struct live_link *live, enum side side)
{
	int asked = live->conf->side[side].mqtt;

	return asked ? asked : live->plan->side[side].dialect->mqtt;
}

struct session *live_link_make_session(struct peer *p, const struct session_login *login,
				       struct err *e)
{
	struct live_link *live = p->live;
	const struct conf_session *c = &live->conf->side[p->side];
	struct session_filter *filters;
	struct session *s;
	size_t n;
	char **texts = plan_filters(live->plan, p->side, p->is_provisioning, &n);
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
		.mqtt = live_link_mqtt_version(live, p->side),
		.n_filters = n,
		.is_clean = p->is_provisioning,
	};

	filters = mem_zalloc((n + 1) * sizeof *filters);
	for (size_t i = 0; i < n; i++)
		filters[i] = (struct session_filter){ texts[i], 1 };
	conf.filters = filters;
	s = session_new(live->parts->loop, &conf, &session_ops, p, e);
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
	free(filters);
	return s;
}
