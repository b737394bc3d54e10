/* check_presence.h -- what is said of the presence of devices, and does nothing on this link. */
#ifndef BRIDGE_CHECK_PRESENCE_H
#define BRIDGE_CHECK_PRESENCE_H

struct conf_link;
struct plan;
struct report;

/* Warn of it.  `where`: the place of the link's north, "plant.conf:7: north". */
void check_presence(const struct conf_link *link, const struct plan *plan, const char *where,
		    struct report *report);

#endif
