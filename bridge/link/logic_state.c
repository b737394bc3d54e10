/* logic_state.c -- what the bridge answers from its own state, and what changes who is who: requests
 * for attributes, snapshots, renamed and deleted devices. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "link/link_inside.h"
#include "state/devices.h"
#include "state/echo.h"
#include "state/presence.h"
#include "state/reported.h"
#include "state/twin.h"

/* The device asks for names of one scope or of both; without any names, for all it has. */
static void put_scope(struct buf *out, const char *scope, struct jslice object,
		      const struct canonical *request)
{
	struct jslice names = { NULL, 0 }, other;
	bool has_names = jtext_field(canonical_body(request), scope, &names);
	bool has_others = jtext_field(canonical_body(request),
				      strcmp(scope, "client") == 0 ? "shared" : "client", &other);

	buf_printf(out, "\"%s\":", scope);
	if (has_names || !has_others)
		reported_select(object, names, out);
	else
		buf_puts(out, "{}");
}

void logic_answer_attributes(struct link *l, struct intake *in, enum side caller,
			     const struct canonical *request, const char *reply_topic)
{
	struct canonical reply = { .kind = KIND_ATTRIBUTES_REPLY,
				   .device = request->device,
				   .id = request->id };
	struct buf client = { 0 }, shared = { 0 }, body = { 0 };

	reporteds_put(l->reporteds, request->device, &client);
	twins_document(l->twins, request->device, &shared);
	buf_putc(&body, '{');
	put_scope(&body, "client", (struct jslice){ client.data, client.len }, request);
	buf_putc(&body, ',');
	put_scope(&body, "shared", (struct jslice){ shared.data, shared.len }, request);
	buf_putc(&body, '}');
	reply.body = body.data;
	reply.body_len = body.len;
	link_write_reply(l, in, caller, &reply, request, reply_topic);
	buf_fini(&client);
	buf_fini(&shared);
	buf_fini(&body);
}

/* Is each of these names in the object? */
static bool has_all(struct jslice object, struct jslice names)
{
	struct jslice name, value;
	struct buf plain = { 0 };
	size_t pos = 0;
	bool ok = true;

	while (ok && jtext_next_element(names, &pos, &name)) {
		buf_reset(&plain);
		ok = jtext_string_decode(name, &plain) &&
		     jtext_field(object, buf_str(&plain), &value);
	}
	buf_fini(&plain);
	return ok;
}

/* Who asks for all of a scope, by no names at all, is answered if there is anything. */
static bool is_held(struct link *l, const struct canonical *request)
{
	struct buf held[2] = { { 0 }, { 0 } };
	static const char *const scopes[] = { "client", "shared" };
	bool has_names = false, ok = true, is_any;

	reporteds_put(l->reporteds, request->device, &held[0]);
	twins_document(l->twins, request->device, &held[1]);
	is_any = held[0].len > 2 || held[1].len > 2;
	for (int i = 0; i < 2; i++) {
		struct jslice names;

		if (!jtext_field(canonical_body(request), scopes[i], &names))
			continue;
		has_names = true;
		ok = ok && has_all((struct jslice){ held[i].data, held[i].len }, names);
		buf_fini(&held[i]);
	}
	buf_fini(&held[0]);
	buf_fini(&held[1]);
	return has_names ? ok : is_any;
}

bool logic_answer_held(struct link *l, struct intake *in, enum side caller,
		       const struct canonical *request, const char *reply_topic)
{
	bool is = is_held(l, request);

	if (is)
		logic_answer_attributes(l, in, caller, request, reply_topic);
	return is;
}

void logic_note_attributes(struct link *l, const struct canonical *p)
{
	if (l->keeps_reported && registry_admit(l, p->device))
		reporteds_merge(l->reporteds, p->device, canonical_body(p), &l->changes);
}

/* The name of a field for the memory, and its value in one spelling. */
static void put_carried(const char *device, const struct jfield *f, struct buf *name,
			struct buf *value)
{
	json_object *tree = jtext_tree(f->value.text, f->value.len, NULL);

	buf_reset(name);
	buf_reset(value);
	buf_printf(name, "%s/", device);
	buf_append(name, f->key.text, f->key.len);
	jtext_tree_put(value, tree);
	json_object_put(tree);
}

void logic_note_carried(struct link *l, const struct item *item)
{
	const struct row *config = plan_writer(l->plan, SOUTH, KIND_CONFIG),
			 *row = plan_writer(l->plan, SOUTH, item->plain.kind);
	struct jslice payload = { item->message.payload, item->message.payload_len };
	struct buf name = { 0 }, value = { 0 };
	struct jfield f;
	size_t pos = 0;

	if (!l->carried || item->plain.kind == KIND_CONFIG || !config || !row ||
	    topic_template_compare(&config->topic, &row->topic) != TOPIC_SAME)
		return;
	while (payload.len && jtext_next_field(payload, &pos, &f)) {
		put_carried(item->plain.device, &f, &name, &value);
		echo_sent(l->carried,
			  &(struct echo_message){
				  .topic = name.data, .payload = value.data, .len = value.len },
			  false);
	}
	buf_fini(&name);
	buf_fini(&value);
}

bool logic_awaits_echo(const struct link *l, const char *device)
{
	return (l->carried && echo_size(l->carried) > 0) || twins_watches(l->twins, device);
}

void logic_drop_carried(struct link *l, const char *device, struct jslice attributes,
			struct buf *out)
{
	struct buf name = { 0 }, value = { 0 };
	struct jfield f;
	size_t pos = 0;
	char before = '{';

	if (echo_size(l->carried) == 0) {
		buf_append(out, attributes.text, attributes.len);
		return;
	}
	while (jtext_next_field(attributes, &pos, &f)) {
		put_carried(device, &f, &name, &value);
		if (echo_take(l->carried,
			      &(struct echo_message){
				      .topic = name.data, .payload = value.data, .len = value.len },
			      l->now_ms))
			continue;
		buf_putc(out, before);
		buf_append(out, f.key.text, f.key.len);
		buf_putc(out, ':');
		buf_append(out, f.value.text, f.value.len);
		before = ',';
	}
	buf_puts(out, before == '{' ? "{}" : "}");
	buf_fini(&name);
	buf_fini(&value);
}

void logic_send_snapshot(struct link *l, struct intake *in, const char *device)
{
	struct canonical config = { .kind = KIND_CONFIG, .device = (char *)device };
	struct buf body = { 0 };

	if (plan_writer(l->plan, SOUTH, KIND_CONFIG) && twins_current(l->twins, device, &body)) {
		config.body = body.data;
		config.body_len = body.len;
		link_write_canonical(l, in, SOUTH, &config);
	} else {
		link_refuse(in, FILTERED_NO_CHANGE, NULL);
	}
	buf_fini(&body);
}

bool logic_put_full(const struct canonical *reply, struct buf *out)
{
	struct jslice shared, unread;

	if (!jtext_field(canonical_body(reply), "shared", &shared) ||
	    jtext_type_of(shared) != JTEXT_OBJECT)
		return false;
	buf_puts(out, "{\"full\":");
	buf_append(out, shared.text, shared.len);
	if (jtext_field(canonical_body(reply), "unread", &unread)) {
		buf_puts(out, ",\"unread\":");
		buf_append(out, unread.text, unread.len);
	}
	buf_putc(out, '}');
	return true;
}

void logic_take_snapshot(struct task *t, const struct canonical *p)
{
	struct link *l = t->link;
	struct twin_said said = { .at_ms = l->now_ms };
	struct buf full = { 0 }, config = { 0 };
	enum twin_outcome outcome;
	struct jslice part;
	struct err e = { 0 };

	registry_note(l, p->device); /* the north says it */
	if (jtext_field(canonical_body(p), "client", &part) && l->keeps_reported)
		reporteds_merge(l->reporteds, p->device, part, &l->changes);
	if (logic_put_full(p, &full)) {
		said.body = (struct jslice){ full.data, full.len };
		if (!twins_push(l->twins, p->device, &said, &l->changes, &outcome, &config, &e))
			link_refuse(t->intake, logic_twin_reason(&e), e.text);
	}
	logic_send_snapshot(l, t->intake, p->device);
	buf_fini(&full);
	buf_fini(&config);
}

/* The text of a string in the body, appended; false if there is none. */
static bool put_text_of(const struct canonical *p, const char *key, struct buf *out)
{
	struct jslice v;

	return jtext_field(canonical_body(p), key, &v) && jtext_string_decode(v, out);
}

/* Does a side call a device so that the bridge knows, and that is not `known`? */
static bool is_another(const struct link *l, enum side side, const char *known, const char *name)
{
	const char *here = plan_device_here(l->plan, side, name);
	struct buf held = { 0 };
	bool is;

	if (!here || strcmp(here, known) == 0)
		return false;
	reporteds_put(l->reporteds, here, &held);
	is = devices_here(l->devices, side, name) || presences_is_known(l->presences, here) ||
	     held.len > 2 || twins_watches(l->twins, here);
	buf_fini(&held);
	return is;
}

void logic_change_device(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	struct buf name = { 0 }, new_name = { 0 }, here = { 0 };
	const char *known = NULL;

	if (plan_writer(l->plan, side_other(t->job.side), p->kind)) {
		/* The other side does the same, so the two go on using one name. */
		link_write_canonical(l, t->intake, side_other(t->job.side), p);
		return;
	}
	if (put_text_of(p, "name", &name))
		known = plan_device_here(l->plan, t->job.side, buf_str(&name));
	if (!known) {
		link_refuse(t->intake, DEAD_OTHER_DEVICE, "the payload names another device");
	} else if (put_text_of(p, "new_name", &new_name) &&
		   is_another(l, t->job.side, known, new_name.data)) {
		link_refuse(t->intake, DEAD_OTHER_DEVICE, "another device has that name");
	} else {
		buf_puts(&here, known); /* the table that it may lie in changes now */
		t->intake->is_well = true;
		if (new_name.len)
			devices_set(l->devices, t->job.side, here.data, buf_str(&new_name),
				    &l->changes);
		else
			machines_device_gone(l, here.data);
	}
	buf_fini(&name);
	buf_fini(&new_name);
	buf_fini(&here);
}
