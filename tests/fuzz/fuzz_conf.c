/* The configuration file. */
#include "conf/conf.h"
#include "fuzz.h"

/* libconfig 1.5 keeps the text of a string that does not end. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct report report = { 0 };
	char path[32];
	int fd;

	if (memmem(data, n, "@include", 8)) /* other files are none of ours */
		return 0;
	fd = file_of(data, n, path);
	conf_free(conf_read(path, &report));
	report_fini(&report);
	report = (struct report){ 0 };
	conf_free(conf_read_state(path, &report));
	report_fini(&report);
	close(fd);
	return 0;
}
