#include "control/device_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "control/control_request.h"
#include "control/device_table.h"
#include "live/live_link.h"
#include "message/state_json.h"
#include "fleet/compare.h"

static void put_count(struct buf *out, const char *field, uint64_t n)
{
	buf_printf(out, ",\"%s\":%" PRIu64, field, n);
}

static void put_time(struct buf *out, const char *field, int64_t at_ms)
{
	if (at_ms)
		buf_printf(out, ",\"%s\":%" PRId64, field, at_ms + clock_ahead_ms());
}

static void put_value(struct buf *out, const char *field, const struct compare_value *v)
{
	if (!v->has)
		return;
	if (v->text.len) {
		buf_printf(out, ",\"%s\":", field);
		buf_append(out, v->text.data, v->text.len);
	}
	buf_printf(out, ",\"%s_hash\":\"%08" PRIx32 "\"", field, (uint32_t)(compare_hash(v) >> 32));
}

/* What is not as it should be; NULL: nothing.  Caller frees. */
static char *difference_of(const struct compare_key *k, int64_t since_ms)
{
	if (k->dropped && k->dropped_ms >= since_ms)
		return mem_printf("dropped (%s): %" PRIu64 " of %" PRIu64, k->why, k->dropped,
				  k->acked + k->dropped);
	if (k->there == COMPARE_DIFFERS)
		return mem_strdup("the platform has another value");
	if (k->there == COMPARE_MISSING)
		return mem_strdup("the platform does not have it");
	return NULL;
}

static void put_key(const struct compare_key *k, int64_t since_ms, struct buf *out)
{
	char *difference = difference_of(k, since_ms);

	buf_puts(out, "{\"name\":");
	state_json_put_text(out, k->name);
	control_request_put_text(out, "kind",
				 k->kind == KIND_NONE ? "payload" : kind_name(k->kind));
	put_count(out, "read", k->acked + k->dropped);
	put_count(out, "acknowledged", k->acked);
	put_count(out, "dropped", k->dropped);
	put_time(out, "acknowledged_ms", k->acked_ms);
	put_time(out, "dropped_ms", k->dropped_ms);
	put_count(out, "lag_ms", (uint64_t)k->lag_ms);
	put_count(out, "most_lag_ms", (uint64_t)k->most_lag_ms);
	put_value(out, "value", &k->read);
	put_value(out, "acknowledged_value", &k->ack);
	if (k->there != COMPARE_NOT_ASKED)
		control_request_put_text(out, "platform",
					 k->there == COMPARE_SAME      ? "same"
					 : k->there == COMPARE_DIFFERS ? "another"
								       : "none");
	if (difference)
		control_request_put_text(out, "differs", difference);
	buf_putc(out, '}');
	free(difference);
}

static void put_compared(const struct compare_device *c, int64_t since_ms, struct buf *out)
{
	bool is_first = true;

	put_time(out, "since_ms", c->since_ms);
	put_time(out, "last_ms", c->last_ms);
	put_count(out, "messages", c->messages);
	put_count(out, "left_out", c->left_out);
	if (c->asked_ms && !c->answered_ms)
		buf_puts(out, ",\"asking\":true");
	put_time(out, "answered_ms", c->answered_ms);
	buf_puts(out, ",\"keys\":[");
	for (size_t i = 0; i < c->n_keys; i++) {
		if (c->keys[i].acked_ms < since_ms && c->keys[i].dropped_ms < since_ms)
			continue;
		buf_puts(out, is_first ? "" : ",");
		is_first = false;
		put_key(&c->keys[i], since_ms, out);
	}
	buf_putc(out, ']');
}

static bool is_compared(const struct device_table *t, const struct fleet_device *d)
{
	return fleet_passes(fleet_mode_of(d, t->link_mode)) & FLEET_PASSES(FLOW_UP);
}

void device_compare_put(const struct device_table *t, const char *name, int64_t since_ms,
			struct buf *out)
{
	const struct fleet_device *d = fleet_find(t->fleet, name);
	const struct compare_device *c = compares_find(t->compares, name);
	enum fleet_mode passes = fleet_mode_of(d, t->link_mode);
	int64_t heard_ms = d ? d->seen_ms[FLOW_UP] : 0;

	if ((!d && !c) || !is_compared(t, d))
		return;
	if (c && c->last_ms > heard_ms)
		heard_ms = c->last_ms;
	buf_puts(out, "{\"item\":{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "name", name);
	control_request_put_text(out, "passes", fleet_mode_names[passes]);
	put_time(out, "heard_ms", heard_ms);
	if (!heard_ms || heard_ms < since_ms)
		control_request_put_text(out, "differs", "silent");
	if (c)
		put_compared(c, since_ms, out);
	buf_puts(out, "}}\n");
}

void device_compare_ask(const struct device_table *t, const char *name, struct buf *out)
{
	const struct fleet_device *d = fleet_find(t->fleet, name);
	const struct compare_device *c = compares_find(t->compares, name);
	struct buf names = { 0 };
	const char *why;

	if (c && is_compared(t, d) && compare_put_attributes(c, &names) > 0) {
		why = t->live ? live_link_read_back(t->live, name)
			      : "only a running bridge can ask the north for attributes";
		buf_puts(out, "{\"item\":{\"link\":");
		state_json_put_text(out, t->link);
		control_request_put_text(out, "name", name);
		if (why)
			control_request_put_text(out, "why", why);
		buf_puts(out, "}}\n");
	}
	buf_fini(&names);
}

char **device_compare_names(const struct device_table *t, size_t *n)
{
	const struct compare_device *c;
	struct map_pos pos = { 0 };
	char **names = NULL;

	for (*n = 0; (c = compares_next(t->compares, &pos)) != NULL; ++*n) {
		names = mem_grow(names, *n, sizeof *names);
		names[*n] = mem_strdup(c->name);
	}
	return names ? names : mem_zalloc(sizeof *names);
}
