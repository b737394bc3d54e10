/* wave_file.h -- a file of waves (fleet/wave_list.h), written as the configuration is. */
#ifndef BRIDGE_WAVE_FILE_H
#define BRIDGE_WAVE_FILE_H

#include <stdbool.h>

struct report;
struct wave_list;

/* Read `path`, with the lists of names that it points to; every mistake is in the report, as "FILE:LINE: KEY: text".
 * False: there are some, and *l is empty.  Else caller ends it with wave_list_fini(). */
bool wave_file_read(const char *path, struct wave_list *l, struct report *report);

#endif
