/* What is in the database beside the state: rows of the journal, and what verbs ask of a bridge.
 *
 * The first byte says what the rest is: the content of a batch, of outputs, or the line of a request. */
#include "conf/conf.h"
#include "fuzz.h"
#include "control/control_request.h"
#include "store/db.h"
#include "store/deadletter_live.h"
#include "store/journal.h"

#define MOST_PIECES 100

static char dir[] = "/dev/shm/calque-fuzz-XXXXXX";
static struct db *db;
static struct deadletter_live *letters;
static struct conf *conf;

static void clean_up(void)
{
	char *command = mem_printf("rm -rf %s", dir);

	deadletter_live_free(letters);
	db_close(db);
	conf_free(conf);
	if (system(command) != 0)
		perror(dir);
	free(command);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char text[] =
		"links = ( { name = \"l\";"
		" south = { dialect = \"innoway\"; url = \"mqtt://h\"; };"
		" north = { dialect = \"thingsboard\"; url = \"mqtt://h\"; }; } );\n";
	struct report report = { 0 };
	struct err e = { 0 };
	char path[32], *state;
	int fd = file_of(text, sizeof text - 1, path);

	(void)argc;
	(void)argv;
	conf = conf_read(path, &report);
	close(fd);
	report_fini(&report);
	assert(conf && mkdtemp(dir));
	state = mem_printf("%s/state", dir);
	db = db_open(state, NULL, &e);
	assert(db && db_set_sync(db, false, &e));
	letters = deadletter_live_new(db, &e);
	assert(letters);
	free(state);
	atexit(clean_up);
	return 0;
}

static bool wants(void *ctx, const struct journal_row *row, const struct journal_bits *settled)
{
	(void)ctx;
	(void)row;
	(void)settled;
	return true;
}

static bool take(void *ctx, struct journal_entry *entry, struct journal_output *outputs, size_t n,
		 struct err *e)
{
	(void)ctx;
	(void)e;
	assert(entry->batch == 0 || entry->message.topic);
	for (size_t i = 0; i < n; i++)
		assert(outputs[i].message.topic && outputs[i].to < SIDES);
	return true;
}

static void aside(void *ctx, const struct journal_row *row, bool was_wanted, const char *why)
{
	(void)ctx;
	(void)row;
	(void)was_wanted;
	assert(why[0]);
}

/* The next number for a row. */
static uint64_t next(void)
{
	struct err e = { 0 };
	uint64_t seq;

	assert(journal_last(db, &seq, &e));
	return seq + JOURNAL_BATCH + 1;
}

static void load(struct input *in, bool is_batch)
{
	static const struct journal_reader reader = { wants, take, aside };
	struct journal_row row = { .seq = next(), .link = "l", .from = SOUTH };
	struct buf content = { 0 };
	struct err e = { 0 };

	row.n = is_batch ? take_byte(in) % 4 + 1 : 0;
	row.is_own = !is_batch;
	buf_append(&content, in->p, in->left);
	assert(journal_put(db, &row, &content, &e));
	assert(journal_load(db, &reader, NULL, &e));
	assert(journal_remove(db, row.seq, &e));
	assert(db_commit(db, &e));
	buf_fini(&content);
}

static void ask(const struct input *in)
{
	const struct control_request_parts parts = { .conf = conf, .db = db, .letters = letters };
	struct request *r = control_request_new(&parts, in->p, in->left);
	struct buf answer = { 0 };
	struct err e = { 0 };
	int n = 0;

	while (control_request_more(r, &answer))
		assert(++n < MOST_PIECES);
	control_request_free(r);
	assert(answer.len > 0 && answer.data[answer.len - 1] == '\n');
	buf_fini(&answer);
	db_commit(db, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { (const char *)data, n };
	unsigned what = take_byte(&in) % 4;

	if (what < 2)
		load(&in, what == 0);
	else
		ask(&in);
	return 0;
}
