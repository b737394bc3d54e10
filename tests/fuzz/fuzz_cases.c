/* Case files, over shipped dialects. */
#include "conf/build.h"
#include "fuzz.h"
#include "offline/cases.h"

static struct build build;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct mapping_path path = { 0 };

	(void)argc;
	(void)argv;
	mute_stdout();
	build_init(&build, &path, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct case_counts counts = { 0 };
	char path[32];
	int fd = file_of(data, n, path);

	cases_run_file(&build, path, NULL, &counts);
	report_fini(&counts.hints);
	close(fd);
	return 0;
}
