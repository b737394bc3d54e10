/* Rows of the state, machine by machine, and messages as the store has them.
 *
 * A byte says which machine; then lines: a key and its value, as often as you like.  Of what is taken back, what is put
 * out again must be taken, too. */
#include "fuzz.h"
#include "link/link.h"
#include "message/message_codec.h"
#include "state/change.h"
#include "state/devices.h"
#include "state/machine.h"
#include "state/pairing.h"
#include "state/presence.h"
#include "handshake/provision.h"
#include "state/reported.h"
#include "state/subscription.h"
#include "state/twin.h"

static const struct machine *const machines[] = {
	&pairing_machine,  &provision_machine, &twin_machine,	      &presence_machine,
	&reported_machine, &devices_machine,   &subscription_machine,
};
#define N_MACHINES (sizeof machines / sizeof machines[0])

static void take_rows(const struct machine *machine, struct input *in)
{
	void *m = machine->new ();
	struct changes out = { 0 };
	struct err e = { 0 };

	while (in->left) {
		char *key = take_line(in), *value = take_line(in);

		if (!machine->restore(m, key, value, &out, &e))
			assert(e.code == ERR_CORRUPT && e.text[0]);
		free(key);
		free(value);
	}
	if (machine->next_deadline)
		machine->next_deadline(m);
	if (machine->forget)
		machine->forget(m, "d", &out);
	changes_fini(&out);
	machine->free(m);
}

static void take_message(const struct input *in)
{
	struct buf again = { 0 };
	struct message m;

	if (message_codec_get(in->p, in->left, &m)) {
		message_codec_put(&m, &again);
		message_fini(&m);
		assert(message_codec_get(again.data, again.len, &m));
		message_fini(&m);
	}
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { (const char *)data, n };
	unsigned which = take_byte(&in) % (N_MACHINES + 1);

	if (which < N_MACHINES)
		take_rows(machines[which], &in);
	else
		take_message(&in);
	return 0;
}
