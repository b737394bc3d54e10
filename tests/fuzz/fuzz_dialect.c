/* The table of a mapping file: of a dialect, and of a through file. */
#include "dialect/dialect.h"
#include "dialect/through.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct report report = { 0 };
	struct buf table = { 0 };
	struct err e = { 0 };

	if (jtext_read((const char *)data, n, true, &table, &e)) {
		struct dialect *d = dialect_new("F", table.data, table.len, &report);

		assert(!d == (report.n_errors > 0));
		dialect_free(d);
		report_fini(&report);
		report = (struct report){ 0 };
		through_free(through_new("F", table.data, table.len, &report));
	}
	report_fini(&report);
	buf_fini(&table);
	return 0;
}
