/* device_rest.h -- of a bridge that does not run: what its state remembers of devices beside their rows in the
 * table, to go with them.  (A running link sees to that itself, link/link_cut_over.c.) */
#ifndef BRIDGE_DEVICE_REST_H
#define BRIDGE_DEVICE_REST_H

struct changes;
struct db;
struct device_rest;
struct err;

/* Of a link.  NULL sets *e (ERR_IO). */
struct device_rest *device_rest_load(struct db *db, const char *link, struct err *e);
void device_rest_forget(struct device_rest *r, const char *device, struct changes *out);
void device_rest_free(struct device_rest *r); /* NULL is allowed */

#endif
