/* apart.h -- mappings in processes of their own, for every verb that loads some. */
#ifndef BRIDGE_APART_H
#define BRIDGE_APART_H

struct compiler;

/* Before the configuration is read: fork the process from which others come, which then knows nothing (work/nursery.h),
 * keep the environment to this one (conf/environment.h), and have a compiler.  That process can fork what tries
 * mappings, too (play/play_child.h).  Caller ends it with compiler_free().
 * NULL: there is none, and it was said why. */
struct compiler *apart_begin(const char *verb);

#endif
