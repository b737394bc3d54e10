/* kind.h -- what a message means: the closed list of kinds, one table row each. */
#ifndef BRIDGE_KIND_H
#define BRIDGE_KIND_H

#include <stdbool.h>

/* Where a session is: towards the devices, or towards where their data goes. */
enum side { SOUTH, NORTH };
#define SIDES 2
/* Which way a message goes: up is south to north. */
enum flow { FLOW_UP, FLOW_DOWN };
#define FLOWS 2

/* In which of two queues a message waits for its session: requests and replies go first. */
enum lane { LANE_EXCHANGE, LANE_REPORT };
#define LANES 2

enum kind {
	KIND_TELEMETRY,
	KIND_ATTRIBUTES,
	KIND_EVENT,
	KIND_ALARM,
	KIND_PRESENCE,
	KIND_RAW,
	KIND_COMMAND,
	KIND_COMMAND_REPLY,
	KIND_CONFIG,
	KIND_CONFIG_REPLY,
	KIND_ATTRIBUTES_REQUEST,
	KIND_ATTRIBUTES_REPLY,
	KIND_REQUEST,
	KIND_REQUEST_REPLY,
	KIND_CLAIM,
	KIND_PROVISION,
	KIND_PROVISION_REPLY,
	KIND_FIRMWARE,
	KIND_FIRMWARE_CHUNK_REQUEST,
	KIND_FIRMWARE_CHUNK,
	KIND_FIRMWARE_STATE,
	KIND_LICENSE,
	KIND_LICENSE_REPLY,
	KIND_SPACE_INFO,
	KIND_DEVICE_INFO,
	KIND_SETTING,
	KIND_SNAPSHOT_REQUEST,
	KIND_DEVICE_CHANGE,
	KINDS,
	KIND_NONE = KINDS
};

struct kind_info {
	const char *name;
	enum flow flow;
	enum kind reply;   /* the kind that answers this one, or KIND_NONE */
	enum kind request; /* the kind that this one answers, or KIND_NONE */
};

extern const struct kind_info kind_table[KINDS];

/* The kind called `name`, or KIND_NONE. */
enum kind kind_of(const char *name);
const char *kind_name(enum kind kind);
/* Are there credentials in the body of such a message? */
bool kind_has_secrets(enum kind kind);

static inline enum side flow_source(enum flow f)
{
	return f == FLOW_UP ? SOUTH : NORTH;
}
static inline enum side flow_target(enum flow f)
{
	return f == FLOW_UP ? NORTH : SOUTH;
}
static inline enum flow flow_from(enum side s)
{
	return s == SOUTH ? FLOW_UP : FLOW_DOWN;
}
static inline enum side side_other(enum side s)
{
	return s == SOUTH ? NORTH : SOUTH;
}
const char *side_name(enum side s); /* "south", "north" */
const char *flow_name(enum flow f); /* "up", "down" */

#endif
