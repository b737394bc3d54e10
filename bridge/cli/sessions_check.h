/* sessions_check.h -- will the devices that the state knows find a place for their sessions? */
#ifndef BRIDGE_SESSIONS_CHECK_H
#define BRIDGE_SESSIONS_CHECK_H

struct conf;
struct report;

/* The configuration's list alone is checked with it (conf/build.h).  Here those are counted, too, that the running
 * bridge has, or the state of a stopped one: more than `connections.max` of a link are in the report as something
 * that is lacking. Where neither is there to be asked, nothing is said. */
void sessions_check(const char *conf_path, const struct conf *conf, struct report *report);

#endif
