#include "link/link_inside.h"

#include <signal.h>

#include <criterion/criterion.h>

/* The arrows, once more: whoever adds one says here that it is meant. */
static const struct {
	enum intake_stage from, to;
} arrows[] = {
	{ INTAKE_READING, INTAKE_OPEN },     { INTAKE_READING, INTAKE_SETTLED },
	{ INTAKE_OPEN, INTAKE_CHANGED },     { INTAKE_OPEN, INTAKE_SETTLED },
	{ INTAKE_CHANGED, INTAKE_DECIDING }, { INTAKE_CHANGED, INTAKE_DECIDED },
	{ INTAKE_CHANGED, INTAKE_SETTLED },  { INTAKE_DECIDING, INTAKE_WAITING },
	{ INTAKE_WAITING, INTAKE_DECIDED },  { INTAKE_DECIDED, INTAKE_SETTLED },
};
#define N_ARROWS (sizeof arrows / sizeof arrows[0])

static bool is_arrow(int from, int to)
{
	for (size_t i = 0; i < N_ARROWS; i++)
		if ((int)arrows[i].from == from && (int)arrows[i].to == to)
			return true;
	return false;
}

Test(intake, goes_along_its_arrows_and_never_back)
{
	for (int from = 0; from < INTAKE_STAGES; from++) {
		bool goes_on = false;

		for (int to = 0; to < INTAKE_STAGES; to++) {
			bool may = intake_may_move((enum intake_stage)from, (enum intake_stage)to);

			cr_expect_eq(may, is_arrow(from, to), "%d to %d", from, to);
			cr_expect(!may || to > from, "%d to %d", from, to);
			goes_on = goes_on || may;
		}
		cr_expect_eq(goes_on, from != INTAKE_SETTLED, "%d", from);
	}
}

Test(intake, what_may_change_the_state_is_open_once)
{
	struct intake in = { .stage = INTAKE_READING };

	intake_open(&in);
	cr_expect_eq(in.stage, INTAKE_OPEN);
	intake_open(&in);
	cr_expect_eq(in.stage, INTAKE_OPEN);
	intake_move(&in, INTAKE_CHANGED);
	intake_open(&in);
	cr_expect_eq(in.stage, INTAKE_CHANGED);
}

Test(intake, a_way_that_is_none_is_a_bug, .signal = SIGABRT)
{
	struct intake in = { .stage = INTAKE_DECIDED };

	intake_move(&in, INTAKE_DECIDING);
}

Test(intake, it_is_the_bridges_own_where_nothing_came_in)
{
	static const struct {
		enum intake_origin origin;
		bool is_own;
	} cases[] = {
		{ ORIGIN_RECEIVED, false }, { ORIGIN_AGAIN, false },	  { ORIGIN_DECIDED, false },
		{ ORIGIN_OWN, true },	    { ORIGIN_OWN_RESUMED, true },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_eq(intake_is_own(&(struct intake){ .origin = cases[i].origin }),
			     cases[i].is_own, "%zu", i);
}
