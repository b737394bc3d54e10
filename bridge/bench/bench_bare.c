#include "bench/bench_bare.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jq.h>
#include <mosquitto.h>

#include "base/exit_status.h"

#define OUT_TOPIC    "bench/d1/out"
#define READ_AT_ONCE 100
#define MISC_MS	     1000

struct bare {
	const char *topic;
	struct mosquitto *in, *out;
	jq_state *jq;
};

static void on_connect(struct mosquitto *m, void *ctx, int rc)
{
	const struct bare *b = ctx;

	if (rc == 0 && m == b->in)
		mosquitto_subscribe(m, NULL, b->topic, 1);
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *message)
{
	const struct bare *b = ctx;
	jv value = jv_parse_sized(message->payload, message->payloadlen), text;

	(void)m;
	if (!jv_is_valid(value)) {
		jv_free(value);
		return;
	}
	jq_start(b->jq, value, 0);
	while (jv_is_valid(value = jq_next(b->jq))) {
		text = jv_dump_string(value, 0);
		mosquitto_publish(b->out, NULL, OUT_TOPIC, jv_string_length_bytes(jv_copy(text)),
				  jv_string_value(text), 1, false);
		jv_free(text);
	}
	jv_free(value);
}

static struct mosquitto *connect_to(struct bare *b, const char *id, const char *port)
{
	struct mosquitto *m = mosquitto_new(id, true, b);

	mosquitto_max_inflight_messages_set(m, 0);
	mosquitto_connect_callback_set(m, on_connect);
	mosquitto_message_callback_set(m, on_message);
	return mosquitto_connect(m, "127.0.0.1", atoi(port), 60) == MOSQ_ERR_SUCCESS ? m : NULL;
}

/* Until a session ends. */
static void carry(struct mosquitto *ends[2])
{
	bool is_good = true;

	while (is_good) {
		struct pollfd fds[2];

		for (int i = 0; i < 2; i++)
			fds[i] = (struct pollfd){ .fd = mosquitto_socket(ends[i]),
						  .events = mosquitto_want_write(ends[i])
								    ? POLLIN | POLLOUT
								    : POLLIN };
		poll(fds, 2, MISC_MS);
		for (int i = 0; i < 2 && is_good; i++)
			is_good = (!fds[i].revents || mosquitto_loop_read(ends[i], READ_AT_ONCE) ==
							      MOSQ_ERR_SUCCESS) &&
				  mosquitto_loop_write(ends[i], 1) == MOSQ_ERR_SUCCESS &&
				  mosquitto_loop_misc(ends[i]) == MOSQ_ERR_SUCCESS;
	}
}

int bench_bare(int argc, char **argv)
{
	struct bare b = { .topic = argc == 6 ? argv[4] : NULL };

	if (argc != 6)
		return EXIT_MISUSED;
	mosquitto_lib_init();
	b.jq = jq_init();
	if (!jq_compile(b.jq, argv[5]) || !(b.in = connect_to(&b, "in", argv[2])) ||
	    !(b.out = connect_to(&b, "out", argv[3]))) {
		fputs("calque bench: the bare loop does not start\n", stderr);
		return EXIT_FAILED;
	}
	carry((struct mosquitto *[2]){ b.in, b.out });
	return EXIT_FAILED;
}
