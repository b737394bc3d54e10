/* live_link_waves.c -- a run of waves (fleet/waves.h) goes on: its devices are set as `calque devices set-mode` does,
 * and looked at.
 *
 * What is set and that it is are changes of one step, so whatever ends the process, each device is in a row or it was
 * not touched. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "fleet/fleet.h"
#include "fleet/waves.h"
#include "live/change_mode.h"
#include "live/live_link_inside.h"
#include "plan/plan.h"
#include "state/change.h"

#define AT_ONCE 64 /* steps in a turn, so that messages do not wait */

struct waves *live_link_waves(struct live_link *live)
{
	return link_waves(live->link);
}

/* Who does it, for the history. */
static void act(struct live_link *live, const struct waves_next *next, int64_t now_ms, char **who)
{
	const struct waves *w = link_waves(live->link);

	free(*who);
	*who = next->wave ? mem_printf("%s, wave %s", waves_who(w), next->wave->name)
			  : mem_printf("%s, waves rolled back", waves_who(w));
	fleet_act_for(link_fleet(live->link), *who, now_ms);
}

static void take(struct live_link *live, const struct wave *wave, struct changes *out)
{
	const struct choice *c = &wave->choice;
	size_t n;
	char **names =
		choice_take(c, link_fleet(live->link), live->plan->name, live->plan->mode, &n, out);

	for (size_t i = 0; i < c->n; i++) {
		const struct choice_name *item = &c->list[i];

		if (fleet_find(link_fleet(live->link), item->name) ||
		    (item->link && strcmp(item->link, live->plan->name) != 0))
			continue;
		names = mem_grow(names, n, sizeof *names);
		names[n++] = mem_strdup(item->name);
	}
	waves_take(link_waves(live->link), names, n);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static const char nobody[] = "nothing is known of such a device";
static const char forgotten[] = "somebody has forgotten it";

/* Who has another mode than a wave gave it. */
static const char *const set_to[FLEET_MODES] = {
	[FLEET_DEFAULT] = "somebody has set it to the link's mode",
	[FLEET_OFF] = "somebody has set it to off",
	[FLEET_MIRROR] = "somebody has set it to mirror",
	[FLEET_LIVE] = "somebody has set it to live",
	[FLEET_RETIRED] = "somebody has retired it",
};

/* It stays as somebody else has set it.  (Who is kept is listed, and that may be many.) */
static void keep(struct live_link *live, const char *device, const char *why, struct changes *out)
{
	log_limited(LOG_WARNING, live->now_ms, live->plan->name, "device-left",
		    "link=%s device=%s reason=%s", live->plan->name, log_value(device),
		    log_value(why));
	waves_was_kept(link_waves(live->link), device, why, out);
}

static void set(struct live_link *live, const struct waves_next *next, int64_t now_ms,
		struct changes *out)
{
	struct fleet *fleet = link_fleet(live->link);
	const struct mode_table table = { live, fleet, live->plan->mode };
	const struct mode_wish wish = { .to = next->mode,
					.provisions = next->wave->provisions,
					.pushes = next->wave->pushes };
	const struct fleet_device *d = fleet_find(fleet, next->device);
	struct mode_change end = { 0 };
	enum fleet_mode before = d ? d->mode : FLEET_DEFAULT;

	if (d && waves_is_changed(link_waves(live->link), next->device, before)) {
		keep(live, next->device, set_to[before], out);
		return;
	}
	if (d)
		mode_change(&table, next->device, &wish, &end, out);
	waves_was_set(link_waves(live->link), next->device, before, d ? end.left : nobody, now_ms,
		      out);
	mode_change_fini(&end);
}

/* Ready or not, it is what it was; only a file may forbid that, and who has set it since. */
static void unset(struct live_link *live, const struct waves_next *next, struct changes *out)
{
	struct fleet *fleet = link_fleet(live->link);
	struct waves *w = link_waves(live->link);
	const struct fleet_device *d = fleet_find(fleet, next->device);
	char *fixed = d ? mode_fixed(d, next->mode) : NULL;

	if (fixed) {
		keep(live, next->device, fixed, out);
	} else if (d && waves_is_changed(w, next->device, d->mode)) {
		keep(live, next->device, set_to[d->mode], out);
	} else {
		if (d)
			fleet_set_mode(fleet, next->device, next->mode, out);
		waves_was_unset(w, next->device, out);
	}
	free(fixed);
}

/* Those that are registered wait for each other. */
static const char *find_lack(void *ctx, const char *device, enum waves_comes *comes)
{
	struct live_link *live = ctx;
	const struct waves *w = link_waves(live->link);
	const struct fleet_device *d = fleet_find(link_fleet(live->link), device);
	bool does_come = false;
	const char *lack;

	if (!d || d->mode != waves_list(w)->items[waves_at(w)].mode) {
		*comes = WAVES_OTHERS;
		return d ? set_to[d->mode] : forgotten;
	}
	lack = live_link_lacks(live, device, &does_come);
	*comes = !does_come ? WAVES_NEVER : d->state == FLEET_ASKING ? WAVES_LATER : WAVES_SOON;
	return lack;
}

static void log_wave(const struct live_link *live, const struct waves *w, size_t i)
{
	const struct wave_count *c = waves_count(w, i);

	log_event(LOG_INFO, "wave",
		  "link=%s wave=%s state=%s devices=%" PRId64 " failures=%" PRId64
		  " dead_letters=%" PRId64,
		  live->plan->name, log_value(waves_list(w)->items[i].name),
		  wave_state_names[c->state], c->devices, c->failures, c->dead_letters);
}

/* What has become of it since it was told last, in this turn or by a verb. */
static void tell(struct live_link *live, struct waves *w)
{
	enum waves_phase phase = waves_phase(w);
	bool is_wrong = *waves_why(w) && (phase == WAVES_STOPPED || phase == WAVES_BACK);
	size_t i;

	if (!waves_has_news(w, &i))
		return;
	for (; i <= waves_at(w) && i < waves_list(w)->n; i++)
		log_wave(live, w, i);
	log_event(is_wrong ? LOG_WARNING : LOG_INFO, "waves", "link=%s phase=%s%s%s",
		  live->plan->name, waves_phase_names[phase], is_wrong ? " reason=" : "",
		  is_wrong ? log_value(waves_why(w)) : "");
}

static bool step(struct live_link *live, struct waves *w, int64_t now_ms, char **who,
		 struct changes *out)
{
	struct waves_next next = waves_next(w, now_ms, out);

	if (next.step != WAVES_REST)
		act(live, &next, now_ms, who);
	if (next.step == WAVES_TAKE)
		take(live, next.wave, out);
	else if (next.step == WAVES_SET)
		set(live, &next, now_ms, out);
	else if (next.step == WAVES_UNSET)
		unset(live, &next, out);
	else if (next.step == WAVES_LOOK)
		waves_look(w, find_lack, live, now_ms, out);
	return next.step != WAVES_REST;
}

void live_link_tell_waves(struct live_link *live)
{
	tell(live, link_waves(live->link));
}

void live_link_tick_waves(struct live_link *live, int64_t now_ms)
{
	struct waves *w = link_waves(live->link);
	struct changes out = { 0 };
	char *who = NULL;

	for (int i = 0; waves_next_deadline(w) <= now_ms && i < AT_ONCE; i++)
		if (!step(live, w, now_ms, &who, &out))
			break;
	fleet_act_for(link_fleet(live->link), NULL, 0);
	if (out.n)
		live_link_fleet_changed(live, &out);
	tell(live, w);
	changes_fini(&out);
	free(who);
}
