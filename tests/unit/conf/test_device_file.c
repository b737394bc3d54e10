/* A list of devices, with what its cells point to. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/device_file.h"
#include "fleet/fleet_file.h"

static char dir[] = "/tmp/test_device_file.XXXXXX";

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(dir));
}

static char *put(const char *name, const char *text, mode_t mode)
{
	char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
	return path;
}

TestSuite(device_file, .init = set_up);

/* Of the only row. */
static const struct fleet_cell *cell(const struct fleet_file *f, const char *column)
{
	cr_assert_eq(f->n, 1);
	for (size_t i = 0; i < f->rows[0].n; i++)
		if (strcmp(f->rows[0].cells[i].column, column) == 0)
			return &f->rows[0].cells[i];
	cr_assert(false, "%s", column);
	return NULL;
}

Test(device_file, cells_may_point_to_files_the_environment_and_credentials_of_the_service)
{
	char *list =
		put("fleet.csv", "name,north.a,north.b,north.c\npump,file:f,env:E,cred:c\n", 0600);
	char *file = put("f", "of-file\n", 0600), *credential = put("c", "of-service\n", 0440);
	struct report report = { 0 };
	struct fleet_file f;

	setenv("E", "of-environment", 1);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	cr_assert(device_file_read(list, &f, &report), "%s",
		  report.n_lines ? report.lines[0].text : "");
	cr_expect_str_eq(cell(&f, "north.a")->value, "of-file");
	cr_expect_str_eq(cell(&f, "north.b")->value, "of-environment");
	cr_expect_str_eq(cell(&f, "north.c")->value, "of-service");
	cr_expect(cell(&f, "north.c")->is_secret);
	cr_expect_not(f.has_secrets, "none stands in its text");
	fleet_file_fini(&f);
	report_fini(&report);
	free(list);
	free(file);
	free(credential);
}

Test(device_file, modes_are_read_without_what_others_point_to)
{
	char *list = put("fleet.csv", "name,mode,north.a,north.token\npump,off,file:none,c4nary\n",
			 0644);
	struct report report = { 0 };
	struct fleet_file f;

	cr_expect_not(device_file_read(list, &f, &report));
	fleet_file_fini(&f);
	report_fini(&report);
	report = (struct report){ 0 };
	cr_assert(device_file_read_modes(list, &f, &report), "%s",
		  report.n_lines ? report.lines[0].text : "");
	cr_expect_str_eq(cell(&f, "mode")->value, "off");
	fleet_file_fini(&f);
	report_fini(&report);
	free(list);
}

Test(device_file, a_credential_that_is_no_name_or_not_there_is_a_mistake_of_its_row)
{
	static const struct {
		const char *cell, *told;
	} cases[] = {
		{ "cred:../x", "the name of a credential is wanted, no path" },
		{ "cred:none", "none: No such file or directory" },
	};

	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = mem_printf("name,north.token\npump,%s\n", cases[i].cell);
		char *list = put("fleet.csv", text, 0600);
		struct report report = { 0 };
		struct fleet_file f;

		device_file_read(list, &f, &report);
		cr_assert_eq(report.n_errors, 1);
		cr_expect(strstr(report.lines[0].text, ":2: north.token: "), "%s",
			  report.lines[0].text);
		cr_expect(strstr(report.lines[0].text, cases[i].told), "%s", report.lines[0].text);
		fleet_file_fini(&f);
		report_fini(&report);
		free(list);
		free(text);
	}
}
