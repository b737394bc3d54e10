#include "conf/conf_skeleton.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "dialect/dialect.h"

static void put_text(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *text);
	}
	buf_putc(out, '"');
}

/* A variable that a login is made of, once. */
static void put_variable(const struct conf_skeleton *s, enum side side, const char *name,
			 struct vars *done, struct buf *out)
{
	const char *value = vars_get(s->side[side].vars, name);
	bool is_secret = dialect_is_credential(s->side[side].dialect, name);

	if (vars_get(done, name))
		return;
	vars_set(done, name, "", false);
	if (!value)
		value = strcmp(name, "device") == 0 ? s->name : CONF_SKELETON_CHANGE;
	buf_printf(out, "        %s = ", name);
	put_text(out, value);
	buf_printf(out, ";%s\n",
		   is_secret ? "   # or \"file:PATH\", \"env:NAME\", \"cred:NAME\"" : "");
}

/* Those of a template, "{token}". */
static void put_template(const struct conf_skeleton *s, enum side side, const char *template,
			 struct vars *done, struct buf *out)
{
	const char *at = template, *end;

	while (at && (at = strchr(at, '{')) && (end = strchr(at, '}'))) {
		char *name = mem_strndup(at + 1, (size_t)(end - at - 1));

		put_variable(s, side, name, done, out);
		free(name);
		at = end;
	}
}

static bool has_device(const char *template)
{
	return template && strstr(template, "{device}");
}

/* Is a session of it one device's, so that the other side must be, too? */
static bool is_one_devices(const struct dialect *d)
{
	return d->device == DEVICE_IN_SESSION || has_device(d->session.username) ||
	       has_device(d->session.client_id);
}

static void put_vars(const struct conf_skeleton *s, enum side side, struct buf *out)
{
	const struct dialect *d = s->side[side].dialect;
	const struct login_template *logins[] = { &d->session, &d->application };
	const struct vars *more = s->side[side].vars;
	struct vars done = { 0 };

	buf_puts(out, "      vars = {\n");
	if (side == SOUTH && is_one_devices(s->side[NORTH].dialect))
		put_variable(s, side, "device", &done, out);
	for (size_t i = 0; i < (d->has_application ? 2u : 1u); i++) {
		put_template(s, side, logins[i]->username, &done, out);
		put_template(s, side, logins[i]->password, &done, out);
		put_template(s, side, logins[i]->client_id, &done, out);
	}
	for (size_t i = 0; i < more->n; i++)
		put_variable(s, side, more->items[i].name, &done, out);
	buf_puts(out, "      };\n");
	vars_fini(&done);
}

static void put_side(const struct conf_skeleton *s, enum side side, struct buf *out)
{
	const struct dialect *d = s->side[side].dialect;
	bool is_tls = strncmp(s->side[side].url, "mqtts:", 6) == 0;

	buf_printf(out, "    # %s\n    %s = {\n      dialect = ",
		   side == SOUTH ? "Where the devices are." : "Where their data goes.",
		   side_name(side));
	put_text(out, d->name);
	buf_puts(out, ";\n      url = ");
	put_text(out, s->side[side].url);
	buf_puts(out, ";\n");
	put_vars(s, side, out);
	if (is_tls)
		buf_puts(out,
			 "      # The server's certificate is verified, with what this machine "
			 "trusts.\n"
			 "      #tls = { ca = \"/etc/calque/ca.pem\"; cert = \"/etc/calque/"
			 "cert.pem\"; key = \"/etc/calque/key.pem\"; };\n");
	buf_puts(out,
		 "      #limits = { messages_per_second = 20; in_flight = 20; };   # that this "
		 "side puts up with\n    };\n");
}

void conf_skeleton_put(const struct conf_skeleton *s, struct buf *out)
{
	buf_puts(out, "# Made by calque init.  Is all well?  calque check -c ");
	buf_puts(out, s->file);
	buf_puts(out,
		 "\n# What crosses, and what does not: calque routes -c FILE.  All keys: calque "
		 "check "
		 "--schema\n\n"
		 "# What the bridge remembers: messages that wait, open commands, credentials.\n"
		 "state = \"" CONF_DEFAULT_STATE "\";\n");
	buf_puts(out, s->mappings ? "mappings = [ " : "#mappings = [ ");
	put_text(out, s->mappings ? s->mappings : "/etc/calque/mappings");
	buf_puts(out, " ];   # dialects of your own\n"
		      "#journal = { max_bytes = 1073741824; max_age = 604800; };\n\n"
		      "links = (\n  {\n    name = ");
	put_text(out, s->name);
	buf_puts(out, ";\n");
	for (int side = 0; side < SIDES; side++)
		put_side(s, (enum side)side, out);
	buf_puts(out,
		 "    #mode = \"mirror\";                # a trial run: nothing is written in the "
		 "south\n"
		 "    #remap = { attributes = \"telemetry\"; };\n"
		 "    #command_max_age = 60;           # s, after which a command is not obeyed\n"
		 "  }\n);\n");
}

static void check_side(const struct conf_session *s, enum side side, struct report *report)
{
	for (size_t i = 0; i < s->vars.n; i++) {
		char *place;

		if (strcmp(s->vars.items[i].value, CONF_SKELETON_CHANGE) != 0)
			continue;
		place = conf_place(s->file, s->line, side_name(side));
		report_warning(report, "%s.vars.%s: \"" CONF_SKELETON_CHANGE "\" stands there yet",
			       place, s->vars.items[i].name);
		free(place);
	}
}

void conf_skeleton_check(const struct conf *conf, struct report *report)
{
	for (size_t i = 0; i < conf->n_links; i++)
		for (int side = 0; side < SIDES; side++)
			check_side(&conf->links[i].side[side], (enum side)side, report);
}
