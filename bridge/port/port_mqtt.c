/* port_mqtt.c -- an MQTT session as what carries a port's messages. */
#include <stdlib.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "net/session.h"
#include "port/port.h"

#define UNANSWERED_MS 2000 /* ThingsBoard before 3.9 does not answer the SUBSCRIBE of a handshake */

static void *open_session(void *loop, const struct port_conf *conf,
			  const struct port_events *events, void *port, struct err *e)
{
	const struct conf_session *c = conf->conf;
	const struct session_ops ops = { .on_stir = events->stirred,
					 .on_up = events->up,
					 .on_login = events->login,
					 .may_connect = events->may_connect,
					 .on_down = events->down,
					 .on_answered = events->answered,
					 .on_message = events->message,
					 .on_acked = events->acked,
					 .on_unsubscribed = events->unsubscribed,
					 .on_refused = events->refused,
					 .tellable = events->tellable };
	struct session_filter *filters = mem_zalloc((conf->n_filters + 1) * sizeof *filters);
	struct session_conf session = {
		.name = conf->name,
		.host = c->host,
		.port = c->port,
		.is_tls = c->is_tls,
		.tls = { c->tls.ca, c->tls.cert, c->tls.key, c->tls.server_name },
		.username = conf->login->username,
		.password = conf->login->password,
		.client_id = conf->login->client_id,
		.keepalive_s = c->keepalive_s,
		.mqtt = conf->mqtt,
		.packet_bytes = conf->packet_bytes,
		.max_packet = (size_t)c->max_packet,
		.filters = filters,
		.n_filters = conf->n_filters,
		.old = (const char *const *)conf->old,
		.n_old = conf->n_old,
		.is_clean = conf->is_provisioning,
		.is_one_of_many = conf->device,
		.unanswered_ms = conf->is_provisioning ? UNANSWERED_MS : 0,
	};
	struct session *s;

	for (size_t i = 0; i < conf->n_filters; i++)
		filters[i] = (struct session_filter){ conf->filters[i], 1, conf->kinds[i],
						      conf->shown[i] };
	s = session_new(loop, &session, &ops, port, e);
	free(filters);
	return s;
}

static void start(void *session)
{
	session_start(session);
}

static bool go(void *session)
{
	return session_go(session);
}

static void set_login(void *session, const struct session_login *login)
{
	session_set_login(session, login->username, login->password, login->client_id);
}

static void probe(void *session, bool is_probing)
{
	session_probe(session, is_probing);
}

static void stop(void *session)
{
	session_stop(session);
}

static void reconnect(void *session, const char *reason)
{
	session_reconnect(session, reason);
}

static bool taken(const void *session, uint64_t *n, uint64_t *owed)
{
	return session_taken(session, n, owed);
}

static bool is_up(const void *session)
{
	return session_is_up(session);
}

static bool takes(const void *session)
{
	return session_takes(session);
}

static bool publish(void *session, const struct message *m, int *mid, struct err *e)
{
	return session_publish(session, m, mid, e);
}

static void flush(void *session, uint64_t acks, uint64_t published)
{
	session_flush(session, acks, published);
}

static void let_out(void *session, uint64_t durable)
{
	session_let_out(session, durable);
}

static void hold(void *session)
{
	session_hold(session);
}

static void retract(void *session)
{
	session_retract(session);
}

static void release(void *session)
{
	session_release(session);
}

static void visit(void *session)
{
	session_visit(session);
}

static void status(const void *session, struct port_status *out)
{
	struct session_status s;

	session_status(session, &s);
	*out = (struct port_status){ .phase = s.phase,
				     .since_ms = s.since_ms,
				     .attempts = s.attempts,
				     .why = s.why,
				     .degraded = s.degraded,
				     .mqtt = s.mqtt,
				     .certificate_s = s.certificate_s,
				     .peer_certificate_s = s.peer_certificate_s };
}

static void close_session(void *session)
{
	session_free(session);
}

const struct port_ops port_mqtt_ops = {
	.open = open_session,
	.start = start,
	.go = go,
	.set_login = set_login,
	.probe = probe,
	.stop = stop,
	.reconnect = reconnect,
	.taken = taken,
	.is_up = is_up,
	.takes = takes,
	.publish = publish,
	.flush = flush,
	.let_out = let_out,
	.hold = hold,
	.retract = retract,
	.release = release,
	.visit = visit,
	.status = status,
	.close = close_session,
};
