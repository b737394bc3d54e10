/* control_request_devices.c -- what is known of devices: {"request":"devices","do":"forget","name":NAME,"link":LINK}.
 * Without "link", in all links.  An item {"link","name"} for each in which something was known of it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "run/control_request_table.h"
#include "run/live_link.h"
#include "state/change.h"
#include "state/machine.h"
#include "state/provision.h"
#include "store/state.h"

struct work {
	const struct control_request_parts *parts;
	char *name, *link; /* `link` NULL: any */
	size_t at, n_done; /* the link to look at next */
};

static char *text_of(struct jslice asked, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(asked, key, &v) && jtext_string_decode(v, &text) && text.len)
		return buf_take(&text);
	buf_fini(&text);
	return NULL;
}

static void end(void *work)
{
	struct work *w = work;

	free(w->name);
	free(w->link);
	free(w);
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);
	struct jslice word;

	w->parts = parts;
	w->name = text_of(asked, "name");
	w->link = text_of(asked, "link");
	if (w->name && jtext_field(asked, "do", &word) && jtext_string_is(word, "forget"))
		return w;
	err_set(e, ERR_INVALID, "the bridge does not know what to do with devices");
	end(w);
	return NULL;
}

/* --- no bridge runs ------------------------------------------------------------------------ */

/* Of the rows of a link, those of handshakes. */
static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	if (strcmp(machine, provision_machine.name) != 0)
		return true;
	return provisions_restore(ctx, key, value, e);
}

static void set_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	(void)ctx; /* the next start of the bridge would, and `calque status --aside` tells */
	(void)machine;
	(void)key;
	(void)why;
}

/* False: nothing is known of it, or *e is set. */
static bool forget_stored(const struct work *w, const char *link, struct err *e)
{
	static const struct state_reader reader = { .each = restore, .aside = set_aside };
	const struct provision_terms terms = { .is_single = true };
	struct provisions *t = provisions_new();
	struct changes changes = { 0 };
	bool ok = state_load(w->parts->db, link, &reader, t, e) &&
		  provisions_forget_name(t, &terms, w->name, &changes) &&
		  state_apply(w->parts->db, link, &changes, e);

	changes_fini(&changes);
	provisions_free(t);
	return ok;
}

/* --- all links ----------------------------------------------------------------------------- */

static const char *link_at(const struct work *w)
{
	return w->parts->is_running ? live_link_name(w->parts->links[w->at])
				    : w->parts->conf->links[w->at].name;
}

static bool forget_at(const struct work *w, struct err *e)
{
	if (w->link && strcmp(w->link, link_at(w)) != 0)
		return false;
	if (w->parts->is_running)
		return live_link_forget(w->parts->links[w->at], w->name);
	return forget_stored(w, link_at(w), e);
}

static void put_item(struct work *w, struct buf *out)
{
	buf_puts(out, "{\"item\":{\"link\":");
	jtext_put_string(out, link_at(w), strlen(link_at(w)));
	buf_puts(out, ",\"name\":");
	jtext_put_string(out, w->name, strlen(w->name));
	buf_puts(out, "}}\n");
	w->n_done++;
}

/* One link per turn of the loop. */
static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;
	size_t n = w->parts->is_running ? w->parts->n_links : w->parts->conf->n_links;

	if (w->at < n) {
		if (forget_at(w, e))
			put_item(w, out);
		w->at++;
		return e->code == ERR_NONE;
	}
	buf_printf(out, "{\"done\":{\"forgotten\":%zu}}\n", w->n_done);
	return false;
}

const struct control_request_row control_request_devices = { "devices", start, more, end };
