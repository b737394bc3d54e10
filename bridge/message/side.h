/* side.h -- where a session is, and which way a message goes. */
#ifndef BRIDGE_SIDE_H
#define BRIDGE_SIDE_H

/* South is where the devices are (or the platform that speaks for them), north where their data goes. */
enum side { SOUTH, NORTH };
#define SIDES 2
/* Up is south to north, down is north to south. */
enum flow { FLOW_UP, FLOW_DOWN };
#define FLOWS 2

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
