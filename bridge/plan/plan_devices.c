#include "plan/plan_devices.h"

#include "base/mem.h"
#include "plan/plan.h"

/* Where each device has a session of its own, it was named by somebody, or it is none of ours: a stranger on the
 * south's broker must not become one by a message. */
static void set_modes(struct plan *p, const struct plan_spec *spec)
{
	p->mode = spec->mode != FLEET_DEFAULT ? spec->mode : FLEET_LIVE;
	p->new_mode = p->issued_mode = spec->new_mode;
	if (spec->new_mode == FLEET_DEFAULT && p->has_device_sessions && !spec->provisions_new &&
	    !spec->is_offline)
		p->new_mode = FLEET_OFF;
	p->is_mirror = p->mode == FLEET_MIRROR;
	p->max_devices = spec->max_devices ? spec->max_devices : PLAN_DEFAULT_MAX_DEVICES;
}

static void set_provisioning(struct plan *p, const struct plan_spec *spec)
{
	p->provision_key = mem_strdup(spec->provision_key);
	p->provision_secret = mem_strdup(spec->provision_secret);
	p->provision_name = mem_strdup(spec->provision_name);
	p->provisions_new = spec->provisions_new;
	p->provision_per_second = spec->provision_per_second;
	p->registers_by_command = spec->registers_by_command;
	p->is_idempotent = spec->is_idempotent;
	p->provision_sessions = (size_t)spec->provision_sessions;
	for (size_t i = 0; spec->greet && i < spec->greet->n; i++)
		vars_set(&p->greet, spec->greet->items[i].name, spec->greet->items[i].value, false);
}

/* A front door knows who is here; where nothing runs nobody is silent. */
static int64_t said_silence_ms(const struct plan *p, const struct plan_spec *spec)
{
	if (spec->is_offline || spec->has_front_door)
		return 0;
	return p->side[SOUTH].dialect->offline_after_s * INT64_C(1000);
}

static void set_presence(struct plan *p, const struct plan_spec *spec)
{
	p->has_session_presence = spec->has_session_presence && p->has_device_sessions;
	p->offline_delay_ms = spec->offline_delay_ms;
	p->offline_after_ms =
		spec->offline_after_ms ? spec->offline_after_ms : said_silence_ms(p, spec);
	if (p->offline_after_ms < 0 ||
	    !(p->has_session_presence || plan_writer(p, NORTH, KIND_PRESENCE)))
		p->offline_after_ms = 0; /* nobody would be told */
}

/* What it asks by itself takes a key; and two with one client id would throw each other out. */
size_t plan_handshake_sessions(const struct plan *p)
{
	bool may_be_many = p->has_device_sessions && !p->registers_by_command && p->provision_key &&
			   plan_is_provisioning(p, NORTH, KIND_PROVISION) &&
			   !p->side[NORTH].dialect->provisioning.client_id;

	return may_be_many && p->provision_sessions > 1 ? p->provision_sessions : 1;
}

void plan_set_devices(struct plan *p, const struct plan_spec *spec)
{
	set_modes(p, spec);
	set_provisioning(p, spec);
	set_presence(p, spec);
}
