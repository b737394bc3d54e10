/* device_file.h -- a list of devices (fleet/fleet_file.h) read from a file, with what its cells point to. */
#ifndef BRIDGE_DEVICE_FILE_H
#define BRIDGE_DEVICE_FILE_H

#include <stdbool.h>

struct fleet_file;
struct report;

/* Read `path` ("-": what comes on stdin).  Cells "env:NAME", "cred:NAME" and "file:PATH" (as seen from its directory)
 * are resolved, and are secrets.  All mistakes are in the report; so is it if the list has a secret in it and is open
 * to others.  False: nothing of it can be used.  Caller ends it with fleet_file_fini(), in any case. */
bool device_file_read(const char *path, struct fleet_file *f, struct report *report);
/* The same for who wants only the modes: what cannot be resolved stays as it stands there, and nobody asks who may read
 * the file. */
bool device_file_read_modes(const char *path, struct fleet_file *f, struct report *report);

#endif
