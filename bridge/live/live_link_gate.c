/* live_link_gate.c -- the port of a live link whose broker carries a front door: the rows of who may log in there,
 * and whose message is whose.
 *
 * The rows follow the table of devices and what handshakes bring, never what the north thinks of a device.  They are
 * made anew after each login, and one by one as something changes; they leave before whatever else waits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "conf/conf.h"
#include "fleet/fleet.h"
#include "gate/gate.h"
#include "net/loop.h"
#include "live/live_link_inside.h"
#include "port/port.h"
#include "store/db.h"

static bool is_gateway(const struct fleet_device *d)
{
	return d && d->kind && strcmp(d->kind, "gateway") == 0;
}

/* One that is retired has no business there; whoever is off is let in, and not heard. */
static void set_row(struct port *p, const char *device)
{
	struct live_link *live = p->live;
	const struct fleet_device *d = fleet_find(link_fleet(live->link), device);
	bool is_only = gate_only_device(p->gate) != NULL;
	const struct gate_login by = { .own = link_own_vars(live->link, SOUTH, device),
				       .issued = link_credentials(live->link,
								  is_only ? p->device : device),
				       .is_gateway = is_gateway(d) };
	bool is_let_in = (d || is_only) && fleet_mode_of(d, live->plan->mode) != FLEET_RETIRED;

	if (d && !is_let_in && gate_is_here(p->gate, device))
		link_presence(live->link, device, false, loop_now_ms(live->parts->loop));
	gate_set(p->gate, device, is_let_in ? &by : NULL);
}

static void set_rows(struct port *p)
{
	const char *only = gate_only_device(p->gate);
	size_t n = 0;
	char **names = only ? NULL : fleet_names(link_fleet(p->live->link), &n);

	if (only)
		set_row(p, only);
	for (size_t i = 0; i < n; i++) {
		set_row(p, names[i]);
		free(names[i]);
	}
	free(names);
}

char **live_link_gate_filters(struct port *p, char **filters, size_t *n)
{
	const struct live_link *live = p->live;
	const struct conf_session *conf = &live->conf->side[p->side];
	uint8_t key[CRYPTO_KEY_BYTES];

	gate_free(p->gate);
	p->gate = NULL;
	if (!conf->front_door || p->side != SOUTH)
		return filters;
	db_derive_key(live->parts->db, "front door", key);
	p->gate = gate_new(live->plan, conf, key);
	explicit_bzero(key, sizeof key);
	return gate_filters(p->gate, filters, n);
}

void live_link_gate_up(struct port *p)
{
	set_rows(p);
	gate_begin(p->gate, (uint64_t)loop_now_ms(p->live->parts->loop));
}

static struct port *port_with_gate(const struct live_link *live)
{
	struct port *p;

	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->device || p->gate)
			break; /* those of devices are behind all others */
	return p && p->gate ? p : NULL;
}

void live_link_gate_renew(struct live_link *live, const char *device)
{
	struct port *p = port_with_gate(live);
	const char *only = p ? gate_only_device(p->gate) : NULL;

	if (!p)
		return;
	live_link_wake_port(p);
	set_row(p,
		only ? only : device); /* (a handshake of the one may have gone by another name) */
}

void live_link_gate_changed(struct live_link *live, const char *device)
{
	struct port *p = port_with_gate(live);
	const struct fleet_device *d = fleet_find(link_fleet(live->link), device);

	live_link_gate_renew(live, device);
	if (p && d && fleet_mode_of(d, live->plan->mode) != FLEET_RETIRED &&
	    gate_is_here(p->gate, device))
		link_presence(live->link, device, true, loop_now_ms(live->parts->loop));
}

static void tell_missing(struct port *p)
{
	struct map_pos pos = { 0 };
	const char *device;

	while ((device = gate_next_missing(p->gate, &pos)) != NULL)
		link_presence(p->live->link, device, false, loop_now_ms(p->live->parts->loop));
}

bool live_link_gate_take(struct port *p, const struct message *m, struct message *said,
			 const char **device)
{
	enum gate_word word = gate_take(p->gate, m, said, device);

	if (word == GATE_LISTED)
		tell_missing(p);
	else if (word == GATE_ONLINE || word == GATE_OFFLINE)
		link_presence(p->live->link, *device, word == GATE_ONLINE,
			      loop_now_ms(p->live->parts->loop));
	return word == GATE_MESSAGE;
}

bool live_link_gate_publish(struct port *p, const char *device, const struct message *m, int *mid,
			    struct err *e)
{
	struct message out = *m;
	struct buf topic = { 0 };
	bool ok;

	gate_put_topic(p->gate, device, m->topic, &topic);
	out.topic = topic.data;
	ok = p->live->parts->port->publish(p->carrier, &out, mid, e);
	buf_fini(&topic);
	return ok;
}

bool live_link_gate_publish_table(struct port *p)
{
	const struct port_ops *ops = p->live->parts->port;
	struct message m;
	int mid;
	bool ok = true;

	while (ok && ops->takes(p->carrier) && gate_next(p->gate, &m)) {
		ok = ops->publish(p->carrier, &m, &mid, NULL);
		if (ok)
			gate_sent(p->gate);
		message_fini(&m);
	}
	return ok && ops->takes(p->carrier);
}

void live_link_gate_refused(const struct port *p, int code)
{
	log_limited(LOG_WARNING, loop_now_ms(p->live->parts->loop), p->name, "table-refused",
		    "%s code=%d reason=\"the front door did not take a piece of the table: some "
		    "devices cannot log in; its own log says why\"",
		    p->name, code);
}
