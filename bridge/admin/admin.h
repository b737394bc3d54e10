/* admin.h -- the admin interface: what a running bridge says over HTTP, and takes (`admin` in the configuration).
 *
 *	/healthz /readyz /metrics	for machines, without a token
 *	/				the page
 *	/status				as `calque status --json`
 *	/request			a request of the control socket (control/control_request.h), with the token
 *	/bench				a mapping is tried (play/play_child.h), with the token and `admin_bench`
 *
 * Where others than this machine reach it, /status wants the token, too. */
#ifndef BRIDGE_ADMIN_H
#define BRIDGE_ADMIN_H

#include "run/bridge.h"

/* Closed where `admin` is "". */
extern const struct bridge_door admin_door;

#endif
