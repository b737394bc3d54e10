/* bridge_conf.c -- what the bridge as a whole does by its configuration: at a start, and once another one has taken
 * over. */
#include "run/bridge_inside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "fleet/import.h"
#include "state/change.h"

/* What the configuration's list says of the devices of a link is so from now on.  False sets *e: two would have one
 * name, with what the state says. */
static bool list_link_devices(struct bridge *b, struct live_link *live, struct err *e)
{
	const struct fleet_file *f = &b->conf->fleet;
	struct import_to to = { .fleet = live_link_fleet(live),
				.names = live_link_names(live),
				.link = live_link_name(live),
				.takes_rest = b->conf->n_links == 1,
				.file = b->conf->devices,
				.origin = FLEET_CONFIGURATION };
	bool *wrong = mem_zalloc((f->n + 1) * sizeof *wrong);
	struct changes changes = { 0 };
	struct report report = { 0 };

	fleet_act_for(to.fleet, NULL, clock_now_ms());
	import_check(&to, f, wrong, &report);
	if (report.n_errors)
		err_set(e, ERR_INVALID, "%s", report_first_mistake(&report));
	else
		import_list(&to, f, &changes);
	if (changes.n)
		live_link_fleet_changed(live, &changes);
	changes_fini(&changes);
	free(wrong);
	report_fini(&report);
	return e->code == ERR_NONE;
}

bool bridge_list_devices(struct bridge *b, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; ok && b->conf->devices && i < b->n_links; i++)
		ok = list_link_devices(b, b->links[i], e);
	return ok;
}

static void tell_orphans(const char *link, size_t n)
{
	log_event(LOG_WARNING, "journal-orphans", "link=%s messages=%zu", link, n);
}

static void tell_aside(const char *link, uint64_t seq, const char *why)
{
	log_event(LOG_ERROR, "row-set-aside", "link=%s part=journal key=%llu reason=%s", link,
		  (unsigned long long)seq, log_value(why));
}

const struct journal_live_reader bridge_journal_reader = { .take = live_link_take_again,
							   .orphans = tell_orphans,
							   .aside = tell_aside };

void bridge_bound_journal(struct bridge *b)
{
	b->parts.max_age_ms = b->conf->journal.max_age_s * INT64_C(1000);
	/* The other half is for what holds its source. */
	b->parts.most_parked_bytes = (uint64_t)b->conf->journal.max_bytes / 2 /
				     (b->conf->n_links ? b->conf->n_links : 1);
}
