/* descriptors_check.h -- may this process have as many files and sockets open as its links want? */
#ifndef BRIDGE_DESCRIPTORS_CHECK_H
#define BRIDGE_DESCRIPTORS_CHECK_H

struct generation;
struct live_link;
struct report;

/* Of a running bridge with these links, as many as the configuration has: raise the limit, and say in one line of the
 * log if that is not enough. */
void descriptors_tell(const struct generation *g, struct live_link *const *links);
/* Before it runs: a warning, as far as the list of devices tells.  Another process may have another limit. */
void descriptors_warn(const struct generation *g, struct report *report);

#endif
