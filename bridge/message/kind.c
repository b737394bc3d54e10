#include "message/kind.h"

#include <string.h>

const struct kind_info kind_table[KINDS] = {
#define KIND(constant, name_, flow_, lane_, reply_, request_, ...)                                 \
	[KIND_##constant] = { .name = (name_),                                                     \
			      .flow = (flow_),                                                     \
			      .lane = (lane_),                                                     \
			      .reply = (reply_),                                                   \
			      .request = (request_),                                               \
			      __VA_ARGS__ },
#include "message/kind.def"
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

bool kind_is_paired_reply(enum kind kind)
{
	enum kind request = kind_table[kind].request;

	return request != KIND_NONE && kind_table[request].asks == ASKS_BY_ID;
}

bool kind_is_handshake(enum kind kind)
{
	enum kind request = kind_table[kind].request;

	return kind_table[request != KIND_NONE ? request : kind].asks == ASKS_IN_TURN;
}

enum kind kind_own_answer(enum kind kind)
{
	const struct kind_info *k = &kind_table[kind];

	if (!k->is_answered)
		return KIND_NONE;
	/* Of the reports that a snapshot is made of, the bridge has the configuration. */
	return k->asks == ASKS_FOR_REPORTS ? KIND_CONFIG : k->reply;
}
