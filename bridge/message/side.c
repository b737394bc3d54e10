#include "message/side.h"

const char *side_name(enum side s)
{
	return s == SOUTH ? "south" : "north";
}

const char *flow_name(enum flow f)
{
	return f == FLOW_UP ? "up" : "down";
}
