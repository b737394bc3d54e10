#include "link/backpressure.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(backpressure, a_source_is_held_from_the_high_to_below_the_low_mark)
{
	struct backpressure p = { 0 };

	cr_expect_eq(backpressure_step(&p, SOUTH, BACKPRESSURE_HIGH_BYTES - 1), BACKPRESSURE_SAME);
	cr_expect_eq(backpressure_step(&p, SOUTH, BACKPRESSURE_HIGH_BYTES), BACKPRESSURE_HOLD);
	cr_expect_eq(backpressure_step(&p, SOUTH, BACKPRESSURE_HIGH_BYTES), BACKPRESSURE_SAME);
	cr_expect_eq(backpressure_step(&p, SOUTH, BACKPRESSURE_LOW_BYTES), BACKPRESSURE_SAME);
	cr_expect(p.is_held[SOUTH]);
	cr_expect_not(p.is_held[NORTH]);
	cr_expect_eq(backpressure_step(&p, SOUTH, BACKPRESSURE_LOW_BYTES - 1),
		     BACKPRESSURE_RELEASE);
	cr_expect_not(p.is_held[SOUTH]);
}

Test(backpressure, a_store_that_takes_no_more_holds_both_sides)
{
	struct backpressure p = { .is_closed = true };

	cr_expect_eq(backpressure_step(&p, SOUTH, 0), BACKPRESSURE_HOLD);
	cr_expect_eq(backpressure_step(&p, NORTH, 0), BACKPRESSURE_HOLD);
	p.is_closed = false;
	cr_expect_eq(backpressure_step(&p, NORTH, 0), BACKPRESSURE_RELEASE);
	cr_expect_eq(backpressure_step(&p, SOUTH, BACKPRESSURE_LOW_BYTES), BACKPRESSURE_SAME);
}

/* --- a model of a link --------------------------------------------------------------------- */

#define TURN_BYTES (4u << 20) /* what a session brings in one turn at most */
#define LOADS	   400

struct model {
	struct backpressure pressure;
	uint64_t random;
	size_t to_come[SIDES];		   /* at the broker of each side */
	size_t pending[SIDES];		   /* of what came from that side */
	size_t delivered[SIDES];	   /* of that */
	size_t reads[SIDES], takes[SIDES]; /* at most in one turn: from that side, and by it */
	bool is_up[SIDES];
	bool can_be_visited;
};

/* xorshift: the same numbers everywhere. */
static size_t below(struct model *m, size_t n)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (size_t)(m->random % n);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void turn(struct model *m, enum side s)
{
	enum side other = side_other(s);
	size_t n;

	if (!m->is_up[s])
		return;
	if (!m->pressure.is_held[s]) {
		n = smaller(m->to_come[s], below(m, m->reads[s]) + 1);
		m->to_come[s] -= n;
		m->pending[s] += n;
	} else if (!m->can_be_visited || below(m, 4) != 0) {
		return; /* a visit takes some turns */
	}
	n = smaller(m->pending[other], below(m, m->takes[s]) + 1);
	m->pending[other] -= n;
	m->delivered[other] += n;
}

static bool is_done(const struct model *m)
{
	return m->to_come[SOUTH] + m->to_come[NORTH] + m->pending[SOUTH] + m->pending[NORTH] == 0;
}

/* A random load; sessions come and go until `unrest` turns are over, the store may close meanwhile.
 * How many turns until all was delivered, or `max` if never. */
static size_t run(struct model *m, size_t unrest, size_t max)
{
	size_t t;

	for (t = 0; t < max && !(t >= unrest && is_done(m)); t++) {
		for (int s = 0; s < SIDES; s++)
			m->is_up[s] = t >= unrest || (below(m, 50) ? m->is_up[s] : !m->is_up[s]);
		m->pressure.is_closed = t < unrest && (below(m, 100) == 0) != m->pressure.is_closed;
		for (int s = 0; s < SIDES; s++)
			turn(m, (enum side)s);
		for (int s = 0; s < SIDES; s++) {
			backpressure_step(&m->pressure, (enum side)s, m->pending[s]);
			cr_assert_lt(m->pending[s], BACKPRESSURE_HIGH_BYTES + TURN_BYTES);
		}
	}
	return t;
}

static struct model make(uint64_t seed)
{
	struct model m = { .random = seed * 0x9e3779b97f4a7c15u + 1, .can_be_visited = true };

	for (int s = 0; s < SIDES; s++) {
		m.to_come[s] = below(&m, 200u << 20);
		m.reads[s] = (size_t)1 << (10 + below(&m, 13)); /* 1 KiB to 4 MiB */
		m.takes[s] = (size_t)1 << (14 + below(&m, 9));
		m.is_up[s] = below(&m, 2);
	}
	return m;
}

/* Fast sources and slow targets on both sides among them. */
Test(backpressure, whatever_the_load_everything_is_delivered_and_memory_is_bounded)
{
	for (uint64_t seed = 1; seed <= LOADS; seed++) {
		struct model m = make(seed);
		size_t wanted[SIDES] = { m.to_come[SOUTH], m.to_come[NORTH] };
		size_t max = 1000000, turns = run(&m, 2000, max);

		cr_assert_lt(turns, max, "seed %llu: it hangs", (unsigned long long)seed);
		for (int s = 0; s < SIDES; s++)
			cr_assert_eq(m.delivered[s], wanted[s], "seed %llu",
				     (unsigned long long)seed);
	}
}

Test(backpressure, one_dead_target_holds_its_source_alone)
{
	struct model m = make(1);
	size_t to_come = 100u << 20;

	m.to_come[SOUTH] = to_come;
	m.to_come[NORTH] = 0;
	for (int t = 0; t < 1000000; t++) {
		m.is_up[SOUTH] = true;
		m.is_up[NORTH] = false;
		turn(&m, SOUTH);
		backpressure_step(&m.pressure, SOUTH, m.pending[SOUTH]);
		backpressure_step(&m.pressure, NORTH, m.pending[NORTH]);
	}
	cr_expect(m.pressure.is_held[SOUTH]);
	cr_expect_not(m.pressure.is_held[NORTH]);
	cr_expect_geq(m.pending[SOUTH], BACKPRESSURE_HIGH_BYTES);
	cr_expect_eq(m.to_come[SOUTH] + m.pending[SOUTH], to_come);
}

/* Why a held side is visited. */
Test(backpressure, sides_that_are_held_and_not_visited_wait_for_each_other)
{
	struct model m = make(1);

	for (int s = 0; s < SIDES; s++) {
		m.to_come[s] = 100u << 20;
		m.reads[s] = 4u << 20;
		m.takes[s] = 1u << 18;
	}
	m.can_be_visited = false;
	cr_expect_eq(run(&m, 0, 100000), 100000);
	m.can_be_visited = true;
	cr_expect_lt(run(&m, 0, 100000), 100000);
}
