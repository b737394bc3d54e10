#include "devices/device_request.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "conf/environment.h"
#include "fleet/choice.h"
#include "fleet/choice_file.h"
#include "message/state_json.h"

void device_request_put_field(struct buf *out, const char *key, const char *text)
{
	if (!text)
		return;
	buf_printf(out, ",\"%s\":", key);
	state_json_put_text(out, text);
}

static void put_flag(struct buf *out, const char *key, bool is_set)
{
	if (is_set)
		buf_printf(out, ",\"%s\":true", key);
}

char *device_request_user(void)
{
	const char *sudo = environment_get("SUDO_USER");
	const struct passwd *me = getpwuid(getuid());

	if (getuid() == 0 && sudo && *sudo && jtext_is_utf8(sudo, strlen(sudo)))
		return mem_strndup(sudo, 64);
	return me ? mem_strndup(me->pw_name, 64) : mem_printf("%lu", (unsigned long)getuid());
}

/* Of all devices: those that the filters leave, and of a list, those that it names.  False: told why it cannot be
 * read. */
static bool put_filters(const struct cli *cli, int n_names, struct buf *out)
{
	/* Its texts are the command line's. */
	struct choice c = { .pattern = (char *)cli->devices.name,
			    .state = (char *)cli->devices.state,
			    .mode = (char *)cli->devices.mode,
			    .reason = (char *)cli->devices.reason,
			    .group = (char *)cli->devices.group,
			    .percent = (char *)cli->devices.percent,
			    .is_orphan = cli->devices.is_orphan };
	struct choice list = { 0 };
	struct report report = { 0 };
	bool ok;

	if (cli->devices.list)
		choice_file_load(&list, cli->devices.list, &report);
	c.has_list = list.has_list;
	c.list = list.list;
	c.n = list.n;
	c.is_all = cli->letters.is_all ||
		   (strcmp(cli->argv[0], "provision") == 0 && !n_names && !c.has_list);
	cli_print_report(&report);
	ok = report.n_errors == 0;
	if (ok)
		choice_put(&c, out);
	report_fini(&report);
	choice_fini(&list);
	return ok;
}

bool device_request_put(const struct cli *cli, const char *word, char *const *names, int n,
			bool has_filters, struct buf *out)
{
	char *who = device_request_user();
	bool ok;

	buf_printf(out, "{\"request\":\"devices\",\"do\":\"%s\"", word);
	device_request_put_field(out, "who", who);
	device_request_put_field(out, "link", cli->letters.link);
	ok = !has_filters || put_filters(cli, n, out);
	put_flag(out, "credentials", cli->devices.has_credentials);
	put_flag(out, "secrets", cli->devices.secrets);
	put_flag(out, "partial", cli->devices.is_partial);
	put_flag(out, "dry_run", cli->devices.is_dry);
	put_flag(out, "replace", cli->devices.replaces);
	put_flag(out, "push", cli->devices.pushes);
	put_flag(out, "provision", cli->devices.provisions);
	put_flag(out, "retry_lost", cli->devices.retries_lost);
	buf_printf(out, ",\"rate\":%" PRId64 ",\"max_failures\":%" PRId64 ",\"since_ms\":%" PRId64,
		   cli->devices.rate, cli->devices.max_failures, cli->devices.since_ms);
	buf_puts(out, n ? ",\"names\":[" : "");
	for (int i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		state_json_put_text(out, names[i]);
	}
	buf_puts(out, n ? "]" : "");
	free(who);
	return ok;
}
