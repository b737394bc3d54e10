#include "message/kind.h"

#include <string.h>

#define ALONE(name, flow)                                                                          \
	{                                                                                          \
		name, flow, KIND_NONE, KIND_NONE                                                   \
	}
#define ASKS(name, flow, reply)                                                                    \
	{                                                                                          \
		name, flow, reply, KIND_NONE                                                       \
	}
#define ANSWERS(name, flow, request)                                                               \
	{                                                                                          \
		name, flow, KIND_NONE, request                                                     \
	}

const struct kind_info kind_table[KINDS] = {
	[KIND_TELEMETRY] = ALONE("telemetry", FLOW_UP),
	[KIND_ATTRIBUTES] = ALONE("attributes", FLOW_UP),
	[KIND_EVENT] = ALONE("event", FLOW_UP),
	[KIND_ALARM] = ALONE("alarm", FLOW_UP),
	[KIND_PRESENCE] = ALONE("presence", FLOW_UP),
	[KIND_RAW] = ALONE("raw", FLOW_UP),
	[KIND_COMMAND] = ASKS("command", FLOW_DOWN, KIND_COMMAND_REPLY),
	[KIND_COMMAND_REPLY] = ANSWERS("command_reply", FLOW_UP, KIND_COMMAND),
	[KIND_CONFIG] = ASKS("config", FLOW_DOWN, KIND_CONFIG_REPLY),
	[KIND_CONFIG_REPLY] = ANSWERS("config_reply", FLOW_UP, KIND_CONFIG),
	[KIND_ATTRIBUTES_REQUEST] = ASKS("attributes_request", FLOW_UP, KIND_ATTRIBUTES_REPLY),
	[KIND_ATTRIBUTES_REPLY] = ANSWERS("attributes_reply", FLOW_DOWN, KIND_ATTRIBUTES_REQUEST),
	[KIND_REQUEST] = ASKS("request", FLOW_UP, KIND_REQUEST_REPLY),
	[KIND_REQUEST_REPLY] = ANSWERS("request_reply", FLOW_DOWN, KIND_REQUEST),
	[KIND_CLAIM] = ALONE("claim", FLOW_UP),
	[KIND_PROVISION] = ASKS("provision", FLOW_UP, KIND_PROVISION_REPLY),
	[KIND_PROVISION_REPLY] = ANSWERS("provision_reply", FLOW_DOWN, KIND_PROVISION),
	[KIND_FIRMWARE] = ALONE("firmware", FLOW_DOWN),
	[KIND_FIRMWARE_CHUNK_REQUEST] =
		ASKS("firmware_chunk_request", FLOW_UP, KIND_FIRMWARE_CHUNK),
	[KIND_FIRMWARE_CHUNK] = ANSWERS("firmware_chunk", FLOW_DOWN, KIND_FIRMWARE_CHUNK_REQUEST),
	[KIND_FIRMWARE_STATE] = ALONE("firmware_state", FLOW_UP),
	[KIND_LICENSE] = ASKS("license", FLOW_DOWN, KIND_LICENSE_REPLY),
	[KIND_LICENSE_REPLY] = ANSWERS("license_reply", FLOW_UP, KIND_LICENSE),
	[KIND_SPACE_INFO] = ALONE("space_info", FLOW_DOWN),
	[KIND_DEVICE_INFO] = ALONE("device_info", FLOW_UP),
	[KIND_SETTING] = ALONE("setting", FLOW_UP),
	[KIND_SNAPSHOT_REQUEST] = ALONE("snapshot_request", FLOW_UP),
	[KIND_DEVICE_CHANGE] = ALONE("device_change", FLOW_DOWN),
};

enum kind kind_of(const char *name)
{
	for (int k = 0; k < KINDS; k++)
		if (strcmp(kind_table[k].name, name) == 0)
			return (enum kind)k;
	return KIND_NONE;
}

const char *kind_name(enum kind kind)
{
	return kind < KINDS ? kind_table[kind].name : "none";
}

bool kind_has_secrets(enum kind kind)
{
	return kind == KIND_PROVISION || kind == KIND_PROVISION_REPLY || kind == KIND_CLAIM;
}

const char *side_name(enum side s)
{
	return s == SOUTH ? "south" : "north";
}

const char *flow_name(enum flow f)
{
	return f == FLOW_UP ? "up" : "down";
}
