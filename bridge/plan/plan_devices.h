/* plan_devices.h -- what a plan says of the devices of its link: what passes for them, who they are, when one of them
 * counts as gone, and how they are registered. */
#ifndef BRIDGE_PLAN_DEVICES_H
#define BRIDGE_PLAN_DEVICES_H

struct plan;
struct plan_spec;

/* A plan whose sides are set, and of which it is known whether they bring many devices. */
void plan_set_devices(struct plan *p, const struct plan_spec *spec);

#endif
