/* client_id.h -- gives a client another id while it logs in.
 *
 * To a broker an id is a session; devices of these dialects use any, and often all the same.  mosquitto 2.1 has
 * a call for it.  2.0 has none: there the one word in the client's block that holds the very pointer which
 * mosquitto_client_id() returns is changed, if there is exactly one and the accessor agrees afterwards.
 * Within MOSQ_EVT_BASIC_AUTH only, before the broker has put the id into its table. */
#ifndef BRIDGE_CLIENT_ID_H
#define BRIDGE_CLIENT_ID_H

#include <stdbool.h>

struct mosquitto;

/* False: this broker is not like that, and nothing was changed. */
bool client_id_set(struct mosquitto *client, const char *id);

#endif
