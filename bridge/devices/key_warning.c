#include "devices/key_warning.h"

#include "base/err.h"
#include "conf/conf.h"
#include "fleet/fleet_file.h"

static bool has_secret(const struct fleet_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < f->rows[i].n; k++)
			if (f->rows[i].cells[k].is_secret)
				return true;
	return false;
}

void devices_warn_of_key(const char *conf, const struct fleet_file *f, struct report *report)
{
	struct report rest = { 0 };
	struct conf *c = has_secret(f) ? conf_read_state(conf, &rest) : NULL;

	if (c && !c->state_key)
		report_warning(
			report,
			"%s: credentials are stored, and the key that seals them lies beside "
			"them in %s: who copies that can read them (state_key = a file "
			"elsewhere)",
			c->file, c->state);
	conf_free(c);
	report_fini(&rest);
}
