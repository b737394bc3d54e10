/* link_registration.c -- devices registered by a program of the operator's (provision.command), where the platform has
 * no handshake: which may run, what it is told, what becomes of its answer.
 *
 * A device is `offered` in the state before its program starts, and no longer once the answer is there.  So what a
 * run finds `offered` may have been made by a program whose answer nobody heard: it is lost, unless the program says
 * that it makes none twice (idempotent). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "fleet/fleet.h"
#include "fleet/fleet_file.h"
#include "link/link_inside.h"
#include "message/state_json.h"
#include "plan/plan.h"
#include "state/devices.h"

#define AGAIN_FIRST_MS 1000
#define AGAIN_LAST_MS  300000
#define FAULTS	       3 /* so many in a row that did nothing that was agreed: it is the program's fault */

/* A device of which it is not over. */
struct attempt {
	char *device;
	unsigned n; /* how often it was tried */
	bool is_running;
	int64_t again_ms; /* 0: it is in the queue, or runs */
};

static const char faulty[] = "the command failed three times in a row: see the log";
static const char cannot_start[] = "the command cannot be started: see the log";

static void end_attempt(void *value)
{
	struct attempt *a = value;

	free(a->device);
	free(a);
}

static struct attempt *attempt_of(struct provisioning *q, const char *device)
{
	struct attempt *a = map_get_str(&q->attempts, device);

	if (a)
		return a;
	a = mem_zalloc(sizeof *a);
	a->device = mem_strdup(device);
	map_set_str(&q->attempts, device, a);
	return a;
}

static void drop_attempt(struct provisioning *q, const char *device)
{
	struct attempt *a = map_remove_str(&q->attempts, device);

	if (a)
		end_attempt(a);
}

void registration_free(struct link *l)
{
	map_fini(&l->provisioning.attempts, end_attempt);
}

bool registration_is_on(const struct link *l, const char *device)
{
	const struct attempt *a = map_get_str(&l->provisioning.attempts, device);

	return a && (a->is_running || a->again_ms);
}

/* Among a device's secrets may be some by which a platform is asked (a hardware key).  What counts is what its dialect
 * logs in with, where that says it. */
bool registration_has_login(const struct link *l, const struct fleet_device *d)
{
	const struct dialect *north = l->plan->side[NORTH].dialect;

	if (!l->plan->registers_by_command || !north->n_credentials)
		return fleet_has_credentials(d, NORTH);
	for (size_t i = 0; i < north->n_credentials; i++)
		if (fleet_var(d, NORTH, north->credentials[i]))
			return true;
	return false;
}

/* --- its start ------------------------------------------------------------------------------- */

bool registration_has_place(const struct link *l)
{
	return l->provisioning.n_running < l->plan->provision_sessions;
}

/* Those of a device count more than the side's. */
static void put_vars(const struct link *l, const struct fleet_device *d, struct buf *out)
{
	const struct vars *sets[] = { &d->vars[NORTH], &l->plan->side[NORTH].vars };
	bool is_first = true;

	buf_putc(out, '{');
	for (size_t k = 0; k < sizeof sets / sizeof sets[0]; k++)
		for (size_t i = 0; i < sets[k]->n; i++) {
			const struct var *v = &sets[k]->items[i];

			if (k && vars_get(&d->vars[NORTH], v->name))
				continue;
			buf_puts(out, is_first ? "" : ",");
			state_json_put_text(out, v->name);
			buf_putc(out, ':');
			state_json_put_text(out, v->value);
			is_first = false;
		}
	buf_putc(out, '}');
}

/* The same for this device whenever it is asked for, and by whichever calque: also by one that has lost its state. */
static void put_key(const struct link *l, const char *device, struct buf *out)
{
	char *seed = mem_printf("%s/%s", l->plan->name, device), uuid[CRYPTO_UUID_CHARS + 1];

	crypto_uuid_of(seed, uuid);
	state_json_put_text(out, uuid);
	free(seed);
}

static void put_question(const struct link *l, const struct fleet_device *d, const char *name,
			 unsigned n, struct buf *out)
{
	buf_puts(out, "{\"link\":");
	state_json_put_text(out, l->plan->name);
	buf_puts(out, ",\"device\":");
	state_json_put_text(out, name);
	buf_puts(out, ",\"vars\":");
	put_vars(l, d, out);
	buf_printf(out, ",\"attempt\":%u,\"key\":", n);
	put_key(l, d->name, out);
	buf_puts(out, "}\n");
}

void registration_start(struct link *l, const struct fleet_device *d, const char *name)
{
	struct provisioning *q = &l->provisioning;
	struct attempt *a = attempt_of(q, d->name);
	struct buf question = { 0 };

	a->n++;
	a->is_running = true;
	a->again_ms = 0;
	q->n_running++;
	provisioning_asked(l, d->name);
	put_question(l, d, name, a->n, &question);
	l->ops.run_command(l->ctx, d->name, (struct jslice){ question.data, question.len });
	mem_free_secret(question.data, question.len);
}

/* --- again ----------------------------------------------------------------------------------- */

static void try_again(struct link *l, struct attempt *a)
{
	int64_t wait_ms = AGAIN_FIRST_MS;

	for (unsigned i = 1; i < a->n && wait_ms < AGAIN_LAST_MS; i++)
		wait_ms *= 2;
	a->again_ms = l->now_ms + (wait_ms < AGAIN_LAST_MS ? wait_ms : AGAIN_LAST_MS);
	if (!l->provisioning.again_ms || a->again_ms < l->provisioning.again_ms)
		l->provisioning.again_ms = a->again_ms;
}

int64_t registration_next_deadline(const struct link *l)
{
	return l->provisioning.again_ms ? l->provisioning.again_ms : INT64_MAX;
}

void registration_enqueue_due(struct link *l)
{
	struct provisioning *q = &l->provisioning;
	struct attempt *a;
	struct map_pos pos = { 0 };

	if (registration_next_deadline(l) > l->now_ms)
		return;
	q->again_ms = 0;
	while ((a = map_next(&q->attempts, &pos)) != NULL) {
		if (a->again_ms && a->again_ms <= l->now_ms) {
			a->again_ms = 0;
			provisioning_enqueue(l, a->device);
		} else if (a->again_ms && (!q->again_ms || a->again_ms < q->again_ms)) {
			q->again_ms = a->again_ms;
		}
	}
}

bool registration_resume(struct link *l, const struct fleet_device *d)
{
	if (d->step != FLEET_OFFERED)
		return true;
	if (l->plan->is_idempotent) {
		attempt_of(&l->provisioning, d->name)->n = 1;
		return true;
	}
	fleet_set_state(l->fleet, d->name, FLEET_LOST, "calque ended before the answer came",
			&l->changes);
	return false;
}

/* --- its end --------------------------------------------------------------------------------- */

static bool is_text(struct jslice v)
{
	return jtext_type_of(v) == JTEXT_STRING && !jtext_string_is(v, "");
}

/* Not of the device's: what is said of the answer itself. */
static bool is_about(struct jslice key)
{
	static const char *const words[] = { "status", "message", "credentials_type", "device_name",
					     "device_id" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (jtext_string_is(key, words[i]))
			return true;
	return false;
}

static bool is_credential(const struct link *l, const char *name)
{
	return dialect_is_credential(l->plan->side[NORTH].dialect, name) ||
	       fleet_is_secret_name(name);
}

/* Does the north call another device so? */
static bool is_anothers(const struct link *l, const char *device, const char *id)
{
	const char *holder = devices_here(l->devices, NORTH, id);

	if (!holder && fleet_find(l->fleet, id) && !devices_there(l->devices, NORTH, id))
		holder = id;
	return holder && strcmp(holder, device) != 0;
}

/* What the platform calls it.  False: that is another's name. */
static bool take_id(struct link *l, const char *device, struct jslice reply, struct changes *out)
{
	char *id = NULL;
	bool ok;

	if (!jtext_field(reply, "device_id", &(struct jslice){ 0 }) ||
	    !state_json_text(reply, "device_id", &id) || !id)
		return true;
	ok = !is_anothers(l, device, id);
	if (ok && *id)
		devices_set(l->devices, NORTH, device, id, out);
	free(id);
	return ok;
}

/* Its strings become variables of the device. */
static void take_fields(struct link *l, const char *device, struct jslice reply,
			struct changes *out)
{
	struct buf name = { 0 }, value = { 0 };
	struct jfield f;
	size_t pos = 0;

	while (jtext_next_field(reply, &pos, &f)) {
		if (is_about(f.key) || !is_text(f.value))
			continue;
		buf_reset(&name);
		buf_reset(&value);
		if (jtext_string_decode(f.key, &name) && jtext_string_decode(f.value, &value))
			fleet_set_var(l->fleet, device, NORTH, buf_str(&name), buf_str(&value),
				      is_credential(l, buf_str(&name)), out);
	}
	mem_free_secret(value.data, value.len);
	buf_fini(&name);
}

static bool has_credential(const struct link *l, struct jslice reply)
{
	struct buf name = { 0 };
	struct jfield f;
	size_t pos = 0;
	bool has = false;

	while (!has && jtext_next_field(reply, &pos, &f)) {
		buf_reset(&name);
		has = !is_about(f.key) && is_text(f.value) && jtext_string_decode(f.key, &name) &&
		      is_credential(l, buf_str(&name));
	}
	buf_fini(&name);
	return has;
}

/* It says that it is done.  NULL: and it is; else what is wrong with its answer. */
static const char *take_reply(struct link *l, const char *device, struct jslice out_text,
			      struct changes *out)
{
	struct buf text = { 0 };
	struct jslice reply, status;
	const char *why = NULL;

	if (!jtext_take(out_text.text, out_text.len, false, &text, NULL))
		why = "its answer is no JSON";
	reply = (struct jslice){ buf_str(&text), text.len };
	if (why || jtext_type_of(reply) != JTEXT_OBJECT)
		why = "its answer is no JSON object";
	else if (jtext_field(reply, "status", &status) && !jtext_string_is(status, "SUCCESS"))
		why = "its answer has another status than SUCCESS";
	else if (!has_credential(l, reply))
		why = "its answer has no credentials";
	else if (!take_id(l, device, reply, out))
		why = "its answer has the id of another device";
	else
		take_fields(l, device, reply, out);
	mem_free_secret(text.data, text.len);
	return why;
}

static void take_success(struct link *l, const char *device, struct changes *out)
{
	l->provisioning.n_faults = 0;
	fleet_set_step(l->fleet, device, FLEET_ISSUED, out);
	fleet_set_state(l->fleet, device, FLEET_READY, NULL, out);
	drop_attempt(&l->provisioning, device);
	log_event(LOG_INFO, "device-registered", "link=%s device=%s", l->plan->name,
		  log_value(device));
}

static void take_refusal(struct link *l, const char *device, const char *why, struct changes *out)
{
	l->provisioning.n_faults = 0;
	fleet_set_step(l->fleet, device, FLEET_NONE, out);
	fleet_set_state(l->fleet, device, FLEET_REFUSED, *why ? why : "the command refused it",
			out);
	drop_attempt(&l->provisioning, device);
	provisioning_refused(l);
}

static void take_again(struct link *l, struct attempt *a, struct changes *out)
{
	l->provisioning.n_faults = 0;
	fleet_set_step(l->fleet, a->device, FLEET_NONE, out);
	try_again(l, a);
}

/* Nobody knows whether it has made the device. */
static void take_unknown(struct link *l, struct attempt *a, const char *why, struct changes *out)
{
	if (l->plan->is_idempotent) {
		try_again(l, a);
	} else {
		fleet_set_state(l->fleet, a->device, FLEET_LOST, why, out);
		drop_attempt(&l->provisioning, a->device);
	}
	if (++l->provisioning.n_faults >= FAULTS)
		provisioning_stop(l, faulty);
}

/* It did nothing: it waits for whoever asks again. */
static void take_unstarted(struct link *l, struct attempt *a, struct changes *out)
{
	char *device = mem_strdup(a->device);

	a->n--;
	fleet_set_step(l->fleet, device, FLEET_NONE, out);
	provisioning_enqueue(l, device);
	free(device);
}

void link_command_ended(struct link *l, const char *device, const struct link_command_end *end,
			int64_t now_ms, struct changes *out)
{
	struct attempt *a = map_get_str(&l->provisioning.attempts, device);
	const char *why = end->why;
	bool has_row = fleet_find(l->fleet, device);

	l->now_ms = now_ms;
	a->is_running = false;
	l->provisioning.n_running--;
	if (!has_row) { /* it was forgotten meanwhile */
		drop_attempt(&l->provisioning, device);
		return;
	}
	switch (end->how) {
	case LINK_COMMAND_DONE:
		why = take_reply(l, device, end->out, out);
		if (!why) {
			take_success(l, device, out);
			break;
		}
		log_event(LOG_WARNING, "command-answer", "link=%s device=%s reason=%s",
			  l->plan->name, log_value(device), log_value(why));
		take_unknown(l, a, why, out);
		break;
	case LINK_COMMAND_REFUSED:
		take_refusal(l, device, why, out);
		break;
	case LINK_COMMAND_AGAIN:
		take_again(l, a, out);
		break;
	case LINK_COMMAND_UNKNOWN:
		take_unknown(l, a, why, out);
		break;
	case LINK_COMMAND_NOT_STARTED:
		take_unstarted(l, a, out);
		if (!end->is_stopping)
			provisioning_stop(l, cannot_start);
		break;
	}
}
