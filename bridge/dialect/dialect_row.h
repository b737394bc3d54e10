/* dialect_row.h -- the rows of a dialect's table: their keys and the checks of one row alone.
 *
 * Inside of dialect.c; rows themselves are in dialect.h. */
#ifndef BRIDGE_DIALECT_ROW_H
#define BRIDGE_DIALECT_ROW_H

#include "dialect/schema.h"

struct row;

extern const struct schema dialect_row_schema;	  /* of an element of `messages` */
extern const struct schema dialect_shared_schema; /* of `up` and `down` */

/* Read the row `own`, on top of `shared`, what `up` or `down` says (NULL: nothing), whose mistakes
 * were told before.  Caller ends it with dialect_row_fini() in any case. */
void dialect_row_read(struct schema_reader *r, struct row *row, json_object *own,
		      json_object *shared);
void dialect_row_fini(struct row *row);

/* Report the mistakes of `up` or `down`. */
void dialect_shared_check(struct schema_reader *r, json_object *shared);

/* A hint for each key of a row, or of `up` or `down`, that MQTT 3.1.1 has nothing for. */
void dialect_row_check_mqtt(struct schema_reader *r, json_object *own);

#endif
