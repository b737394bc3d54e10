/* sample.h -- the numbers of a bridge at one moment, so that they add up however long it takes to tell them. */
#ifndef BRIDGE_SAMPLE_H
#define BRIDGE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "message/outcome.h"
#include "message/side.h"
#include "metric/histogram.h"

struct control_request_parts;

/* Of a session that carries any device's messages; `phase` is static (port/port.h), NULL: there is none. */
struct sample_session {
	const char *phase;
	uint64_t attempts, waiting, in_flight, bytes;
	uint64_t window, per_second, packet_bytes; /* what the platform bears; 0: not known */
	int64_t oldest_ms;			   /* of what waits; INT64_MAX: nothing does */
	int64_t certificate_s;			   /* epoch seconds; 0: it has none */
};

struct sample_flow {
	uint64_t received, resumed, delivered, filtered, dead, pending, own, unanswered;
	uint64_t by[OUTCOMES];
	int64_t oldest_ms; /* of what waits for the far side; INT64_MAX: nothing does */
};

/* Of a run of waves; of its numbers, the wave that runs, or stopped.  `phase` and `state` are static. */
struct sample_waves {
	const char *phase; /* NULL: there is none */
	char *wave;	   /* NULL: none runs */
	const char *state;
	uint64_t devices, failures, max_failures, dead_letters, max_dead_letters;
	uint64_t kept; /* of all waves */
};

struct sample_link {
	char *name;
	struct buf label; /* link="NAME" */
	struct sample_flow flow[FLOWS];
	struct buf by_kind; /* lines of the exposition */
	struct sample_session side[SIDES];
	/* What the far end shows of itself, the first to expire of all sessions of the side; as certificate_s. */
	int64_t peer_certificate_s[SIDES];
	bool has_device_sessions;
	uint64_t up, down, refused, lacking; /* of those */
	uint64_t parked;		     /* messages for devices that are not let in */
	uint64_t devices, devices_max, forgotten, unremembered;
	struct sample_waves waves;
};

struct sample {
	int64_t now_ms; /* clock_now_ms() */
	int64_t wall_ms;
	int64_t uptime_ms;
	struct sample_link *links;
	size_t n_links;
	uint64_t journal_bytes, journal_max_bytes, journal_messages;
	uint64_t workers, replaced, renewed, lied;
	uint64_t letters, letter_bytes, evicted;
	bool is_writable; /* the state */
	struct histogram commits, translations;
};

struct sample *sample_new(const struct control_request_parts *parts);
void sample_free(struct sample *s);

/* Why the bridge is not ready, a line each: the state cannot be written, no worker is there, a session of the south is
 * neither up nor held by us, a message that could leave has not for `age_s`.  `is_strict`: any session is not.  Appends
 * nothing if it is. */
void sample_put_lacks(const struct sample *s, bool is_strict, int64_t age_s, struct buf *out);

/* Is every session up or held, and of those of devices some, if there are any?  As `calque status` has it. */
bool sample_is_up(const struct sample *s);

#endif
