#include "cli/sessions_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "fleet/fleet.h"
#include "fleet/fleet_file.h"
#include "fleet/import.h"

struct counting {
	const struct conf *conf;
	size_t *n;	   /* of each link: those of the state that want a session */
	struct map listed; /* "LINK/NAME" of the list, whose rows are counted there */
};

static char *key_of(const char *link, const char *name)
{
	return mem_printf("%s/%s", link, name);
}

static void note_listed(struct counting *c)
{
	for (size_t i = 0; i < c->conf->n_links; i++) {
		const struct import_to to = { .link = c->conf->links[i].name,
					      .takes_rest = c->conf->n_links == 1 };

		for (size_t k = 0; k < c->conf->fleet.n; k++) {
			const struct fleet_file_row *row = &c->conf->fleet.rows[k];
			char *key = import_is_for(&to, row) ? key_of(to.link, row->name) : NULL;

			if (key)
				map_set_str(&c->listed, key, c);
			free(key);
		}
	}
}

static const struct conf_link *link_of(const struct counting *c, const char *name, size_t *i)
{
	for (*i = 0; *i < c->conf->n_links; ++*i)
		if (strcmp(c->conf->links[*i].name, name) == 0)
			return &c->conf->links[*i];
	return NULL;
}

/* By its own words, and the link's as they are written now. */
static bool wants_session(const struct conf_link *link, const char *mode, const char *sessions)
{
	int word = *mode ? fleet_word(fleet_mode_names, FLEET_MODES, mode) : (int)link->mode;

	return word != FLEET_OFF && word != FLEET_RETIRED &&
	       (*sessions ? strcmp(sessions, FLEET_ALWAYS) == 0 : !link->is_on_demand);
}

static void on_device(void *ctx, struct jslice item)
{
	struct counting *c = ctx;
	char *name = ask_text(item, "name"), *link_name = ask_text(item, "link"),
	     *mode = ask_text(item, "mode"), *sessions = ask_text(item, "sessions"),
	     *key = key_of(link_name, name);
	size_t i;
	const struct conf_link *link = link_of(c, link_name, &i);

	c->n[i] += link && !map_get_str(&c->listed, key) && wants_session(link, mode, sessions);
	free(name);
	free(link_name);
	free(mode);
	free(sessions);
	free(key);
}

static void on_done(void *ctx, struct jslice done)
{
	(void)ctx;
	(void)done;
}

static void tell(const struct counting *c, size_t i, struct report *report)
{
	const struct conf_link *link = &c->conf->links[i];
	const struct conf_session *north = &link->side[NORTH];
	size_t n = c->n[i] + build_listed_sessions(c->conf, link).always;
	char *place;

	if (!north->connections.max || !c->n[i] || n <= (size_t)north->connections.max)
		return;
	place = conf_place(north->file, north->line, "north.connections.max");
	report_lack(
		report,
		"%s: %d, and %zu devices of link %s want a session that is always open, %zu of "
		"them known to the state alone: sessions = \"on-demand\", devices that are off, "
		"or more",
		place, north->connections.max, n, link->name, c->n[i]);
	free(place);
}

void sessions_check(const char *conf_path, const struct conf *conf, struct report *report)
{
	static const char question[] = "{\"request\":\"devices\",\"do\":\"list\"}";
	static const struct ask_ops ops = { on_device, on_done };
	struct counting c = { .conf = conf, .n = mem_zalloc((conf->n_links + 1) * sizeof *c.n) };
	struct buf request = { 0 };
	bool is_bounded = false;

	for (size_t i = 0; i < conf->n_links; i++)
		is_bounded = is_bounded || conf->links[i].side[NORTH].connections.max;
	if (is_bounded) {
		note_listed(&c);
		buf_puts(&request, question);
		if (ask_if_there(conf_path, &request, &ops, &c))
			for (size_t i = 0; i < conf->n_links; i++)
				tell(&c, i, report);
	}
	buf_fini(&request);
	map_fini(&c.listed, NULL);
	free(c.n);
}
