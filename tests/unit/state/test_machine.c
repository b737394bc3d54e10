#include "state/machine.h"

#include <string.h>

#include <criterion/criterion.h>

#include "base/err.h"
#include "fleet/fleet.h"
#include "fleet/waves.h"
#include "state/change.h"
#include "fleet/compare.h"
#include "state/devices.h"
#include "state/echo.h"
#include "state/pairing.h"
#include "state/presence.h"
#include "handshake/provision.h"
#include "state/reported.h"
#include "state/subscription.h"
#include "state/twin.h"

static const struct machine *const all[] = {
	&pairing_machine,  &twin_machine,	 &presence_machine,   &provision_machine,
	&reported_machine, &devices_machine,	 &echo_machine,	      &subscription_machine,
	&twin_key_machine, &fleet_machine,	 &fleet_seen_machine, &fleet_salt_machine,
	&waves_machine,	   &wave_device_machine, &compare_machine
};
#define N_MACHINES (sizeof all / sizeof all[0])

Test(machine, each_has_a_name_of_its_own_and_can_be_ended_and_restored)
{
	for (size_t i = 0; i < N_MACHINES; i++) {
		cr_assert_not_null(all[i]->name);
		cr_expect_not_null(all[i]->free, "%s", all[i]->name);
		cr_expect_not_null(all[i]->restore, "%s", all[i]->name);
		cr_expect(all[i]->forget || all[i] == &echo_machine ||
				  all[i] == &subscription_machine || all[i] == &twin_key_machine ||
				  all[i] == &fleet_seen_machine || all[i] == &fleet_salt_machine ||
				  all[i] == &waves_machine || all[i] == &wave_device_machine,
			  "%s", all[i]->name);
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(all[i]->name, all[k]->name);
	}
}

Test(machine, an_empty_one_forgets_whom_it_does_not_know_and_refuses_what_is_no_row)
{
	for (size_t i = 0; i < N_MACHINES; i++) {
		const struct machine *m = all[i];
		struct changes out = { 0 };
		struct err e = { 0 };
		void *empty;

		m->free(NULL);
		if (!m->new)
			continue;
		empty = m->new ();
		if (m->forget)
			m->forget(empty, "stranger", &out);
		cr_expect_eq(out.n, 0, "%s", m->name);
		if (m->next_deadline)
			cr_expect_eq(m->next_deadline(empty), INT64_MAX, "%s", m->name);
		cr_expect_not(m->restore(empty, "key", "[", &out, &e), "%s", m->name);
		cr_expect_eq(e.code, ERR_CORRUPT, "%s", m->name);
		m->free(empty);
	}
}
