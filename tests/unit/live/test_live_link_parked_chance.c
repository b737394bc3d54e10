/* What waits for devices on the disk, whatever happens.
 *
 * Three devices, events by chance.  Of each device what leaves is in order; without a crash each message is taken
 * once, with one at least once; and the counters have all.  By hand, for more of it: CALQUE_TEST_SEED is the first
 * seed, and CALQUE_TEST_SEEDS says how many. */
#include <criterion/criterion.h>

#include "store/db_inside.h"
#include "unit/live/parked_bridge.h"

TestSuite(live_link_parked_chance, .init = set_up, .fini = tear_down);

#define DEVICES 3
#define MOST	3000 /* messages of each */
#define STEPS	200

enum lot {
	LOT_PLAIN,
	LOT_KILLS,
	LOT_QOS_0,
	LOT_FULL_DISK,
	LOT_FALLS,
	LOT_FALLS_MIRRORED,
	LOT_MODES,
	LOT_AGES,
	LOTS
};

static struct far_device {
	char name[2], carrier[8];
	int sent, shown, taken, most_shown;
	int open[MOST], n_open; /* shown, and not taken yet */
	bool is_held;		/* nothing goes on that wire any more */
	bool was_taken[MOST + 1];
} far[DEVICES];
static struct sent {
	struct far_device *of;
	int number;
} at_south[MOST * DEVICES]; /* not acknowledged */
static size_t n_at_south;
static unsigned chance;
static enum lot lot;
static int n_taken;

static unsigned below(unsigned n)
{
	chance = chance * 1664525u + 1013904223u;
	return (chance >> 8) % n;
}

static bool falls(void)
{
	return lot >= LOT_FALLS;
}

static void device_sends(struct far_device *f, int number, uint8_t qos)
{
	char *topic = mem_printf("s/%s/%s", f->name, number % 3 ? "t" : "a");
	char *payload = mem_printf("{\"a\":%d}", number);
	struct message m = { .topic = topic, .qos = qos };
	struct carrier *c = find("south");

	message_set_payload(&m, payload, strlen(payload));
	c->n_unacked += qos;
	if (qos)
		at_south[n_at_south++] = (struct sent){ f, number };
	c->events->message(c->port, &m);
	message_fini(&m);
	free(payload);
}

/* The session begins anew: what was not taken goes again. */
static void begins(struct far_device *f)
{
	f->shown = f->taken;
	f->n_open = 0;
}

static void shows(struct far_device *f, int number, unsigned seed)
{
	if (lot == LOT_KILLS)
		cr_assert_leq(number, f->most_shown + 1, "seed %u: %s: %d after %d", seed, f->name,
			      number, f->most_shown);
	else if (falls())
		cr_assert_gt(number, f->shown, "seed %u: %s", seed, f->name);
	else
		cr_assert_eq(number, f->shown + 1, "seed %u: %s: %d after %d", seed, f->name,
			     number, f->shown);
	f->shown = number;
	f->most_shown = number > f->most_shown ? number : f->most_shown;
	f->open[f->n_open++] = number;
}

static struct carrier *carrier_of(const struct far_device *f)
{
	for (size_t i = 0; i < CARRIERS; i++)
		if (strcmp(carriers[i].name, f->carrier) == 0)
			return &carriers[i];
	return NULL;
}

static void hear_line(const char *line, unsigned seed)
{
	int n;

	if (sscanf(line, "south acks %d", &n) == 1) {
		n_at_south -= (size_t)n;
		memmove(at_south, at_south + n, n_at_south * sizeof *at_south);
	}
	for (struct far_device *f = far; f < far + DEVICES; f++) {
		size_t len = strlen(f->carrier);

		if (strncmp(line, f->carrier, len) != 0 || line[len] != ' ')
			continue;
		if (sscanf(line + len, " me/%*c {\"a\":%d}", &n) == 1) {
			if (!f->is_held)
				shows(f, n, seed);
		} else if (strcmp(line + len, " retract") == 0)
			f->is_held = true;
		else if (!strstr(line, " hold") && !strstr(line, " visit") &&
			 !strstr(line, " release"))
			begins(f);
	}
}

static void hear_all(unsigned seed)
{
	char *copy = mem_strdup(buf_str(&said)), *save = NULL;

	buf_reset(&said);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		hear_line(line, seed);
	free(copy);
	for (struct far_device *f = far; f < far + DEVICES; f++) {
		if (f->is_held && carrier_of(f) && carrier_of(f)->is_up)
			goes(f->carrier);
		if (f->is_held)
			begins(f);
		f->is_held = false;
	}
}

static void take_some(struct far_device *f, unsigned n, unsigned seed)
{
	struct carrier *c = carrier_of(f);

	for (; c && c->is_up && n > 0 && f->n_open > 0; n--) {
		int number = f->open[0];

		memmove(f->open, f->open + 1, (size_t)--f->n_open * sizeof f->open[0]);
		cr_assert(lot == LOT_KILLS || !f->was_taken[number], "seed %u: %s: %d twice", seed,
			  f->name, number);
		n_taken += !f->was_taken[number];
		f->was_taken[number] = true;
		f->taken = number;
		c->events->acked(c->port, ++c->acked_mid, 0, NULL);
	}
}

static void comes_or_goes(struct far_device *f)
{
	struct carrier *c = carrier_of(f);

	if (!c) {
		know(f->name);
	} else if (c->is_up) {
		goes(f->carrier);
		begins(f);
	} else if (!c->is_in_line) {
		comes(f->carrier);
	}
}

static void commit_all(unsigned seed)
{
	for (int i = 0; i < 3; i++) {
		bridge_hand_over();
		bridge_let_out();
	}
	hear_all(seed);
}

/* The link has changed. */
static void load_again(void)
{
	live_link_end(live);
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
}

/* The far end has nothing that it was not shown, and the source sends again what was not acknowledged. */
static void start_again(unsigned seed)
{
	struct sent again[64];
	size_t n;

	if (lot == LOT_PLAIN && below(2)) {
		commit_all(seed);
		load_again();
	} else {
		if (lot != LOT_KILLS) {
			generation_run(generation);
			commit_all(seed);
		}
		restart();
	}
	for (struct far_device *f = far; f < far + DEVICES; f++)
		begins(f);
	hear_all(seed);
	n = n_at_south;
	cr_assert_lt(n, 64);
	memcpy(again, at_south, n * sizeof *again);
	n_at_south = 0;
	for (size_t i = 0; i < n; i++)
		device_sends(again[i].of, again[i].number, 1);
}

static void set_pages(const char *most)
{
	char *sql = mem_printf("PRAGMA max_page_count = %s", most);

	cr_assert_eq(sqlite3_exec(db_sqlite(parts.db), sql, NULL, NULL, NULL), SQLITE_OK);
	free(sql);
}

static void happens(struct far_device *f, unsigned seed)
{
	unsigned what = below(100), n = below(4) == 0 ? 40 : 1 + below(6);

	if (what < 35)
		while (n-- > 0 && n_at_south < 60)
			device_sends(f, ++f->sent,
				     (lot == LOT_QOS_0 || lot == LOT_FULL_DISK) && below(3) ? 0
											    : 1);
	else if (what < 45)
		generation_run(generation);
	else if (what < 55)
		live_link_tick(live, now_ms);
	else if (what < 65)
		turn();
	else if (what < 75)
		take_some(f, below(80), seed);
	else if (what < 82)
		now_ms += below(300);
	else if (what < 83)
		now_ms += 6000;
	else if (what < 87)
		comes_or_goes(f);
	else if (what < 88 && (lot <= LOT_KILLS || lot >= LOT_MODES))
		start_again(seed);
	else if (what < 90 && lot == LOT_FULL_DISK)
		set_pages(below(3) ? "1" : "1073741823");
	else if (what < 90 && lot == LOT_MODES)
		set_mode(f->name, below(2) ? FLEET_LIVE : below(2) ? FLEET_OFF : FLEET_RETIRED);
	else if (what < 92)
		settle_down();
	else
		bridge_hand_over();
	if (n_at_south >= 55)
		turn();
	hear_all(seed);
}

static void expect_all_taken(unsigned seed)
{
	int sent = 0;

	if (lot == LOT_FULL_DISK)
		set_pages("1073741823");
	for (int i = 0; lot == LOT_MODES && i < DEVICES; i++)
		set_mode(far[i].name, FLEET_LIVE);
	for (int i = 0; i < 600 && (i < 20 || up()->pending > 0); i++) {
		now_ms += 100;
		live_link_wake(live);
		turn();
		hear_all(seed);
		for (struct far_device *f = far; f < far + DEVICES; f++) {
			if (!carrier_of(f) || !carrier_of(f)->is_up)
				comes_or_goes(f);
			take_some(f, 80, seed);
		}
	}
	for (struct far_device *f = far; f < far + DEVICES; f++) {
		sent += f->sent;
		for (int i = 1; !falls() && i <= f->sent; i++)
			cr_assert(f->was_taken[i], "seed %u: %s: %d of %d", seed, f->name, i,
				  f->sent);
	}
	cr_assert(!falls() || lot >= LOT_MODES || n_taken + (int)up()->by[DEAD_PARKED_FULL] == sent,
		  "seed %u: %d taken and %d fallen of %d", seed, n_taken,
		  (int)up()->by[DEAD_PARKED_FULL], sent);
	now_ms += 2000;
	expect_nothing_left();
	cr_assert_eq(up()->pending, 0, "seed %u", seed);
	cr_assert_eq(journal_live_messages(parts.journal), 0, "seed %u", seed);
	cr_assert_eq(live_link_journal_bytes(live), 0, "seed %u", seed);
	cr_assert_eq(link_pending_bytes(live->link, FLOW_UP), 0, "seed %u", seed);
	for (struct far_device *f = far; f < far + DEVICES; f++)
		cr_assert_eq(live_link_bytes(port(f->name)), 0, "seed %u", seed);
}

static void try_one(unsigned seed)
{
	static const char *const keys[LOTS] = {
		[LOT_PLAIN] = "",
		[LOT_KILLS] = "",
		[LOT_QOS_0] = "",
		[LOT_FULL_DISK] = "",
		[LOT_FALLS] = "waiting = { messages = 25; };",
		[LOT_FALLS_MIRRORED] = "waiting = { messages = 25; };",
		[LOT_MODES] = "drain = 1;",
		[LOT_AGES] = "waiting = { age = 10; };",
	};

	chance = seed;
	lot = (enum lot)(seed % LOTS);
	n_taken = 0;
	n_at_south = 0;
	memset(far, 0, sizeof far);
	start(keys[lot]);
	for (int i = 0; i < DEVICES; i++) {
		snprintf(far[i].name, sizeof far[i].name, "%c", 'x' + i);
		snprintf(far[i].carrier, sizeof far[i].carrier, "north/%c", 'x' + i);
		if (lot == LOT_FALLS_MIRRORED)
			set_mode(far[i].name, FLEET_MIRROR);
	}
	for (int i = 0; i < STEPS; i++)
		happens(&far[below(DEVICES)], seed);
	expect_all_taken(seed);
}

static void several(unsigned first, unsigned n)
{
	for (unsigned seed = first; seed < first + n; seed++) {
		if (seed != first) {
			tear_down();
			set_up();
		}
		try_one(seed);
	}
}

Test(live_link_parked_chance, whatever_happens_nothing_is_lost_nor_passes_another)
{
	const char *first = getenv("CALQUE_TEST_SEED"), *n = getenv("CALQUE_TEST_SEEDS");

	several(first ? (unsigned)atoi(first) : 1, n ? (unsigned)atoi(n) : LOTS);
}
