#include "conf/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

static const char *variable; /* of whatever the test was started with */
static char *name, *value;

static void set_up(void)
{
	extern char **environ;

	for (char **v = environ; *v && !variable; v++)
		if (strlen(*v) > strcspn(*v, "=") + 3 && !strchr("LORST", **v))
			variable = *v; /* none that libraries look for */
	cr_assert(variable);
	name = strndup(variable, strcspn(variable, "="));
	value = strdup(getenv(name));
}

static void tear_down(void)
{
	free(name);
	free(value);
}

TestSuite(environment, .init = set_up, .fini = tear_down);

static void expect_nothing_to_see(void)
{
	FILE *f = fopen("/proc/self/environ", "r");
	int c;

	while ((c = getc(f)) != EOF)
		cr_assert_eq(c, '\0');
	fclose(f);
	cr_expect_null(getenv(name));
}

Test(environment, is_as_it_was_until_it_is_kept)
{
	cr_expect_str_eq(environment_get(name), value);
	cr_expect_null(environment_get("CALQUE_NO_SUCH_VARIABLE"));
}

Test(environment, what_libraries_look_for_they_find)
{
	setenv("SSL_CERT_FILE", "/bundle.pem", 1);
	setenv("TZ", "Europe/Dublin", 1);
	setenv("CALQUE_NORTH_VARS_TOKEN", "s3cret", 1);
	environment_keep();
	cr_expect_str_eq(getenv("SSL_CERT_FILE"), "/bundle.pem");
	cr_expect_str_eq(environment_get("TZ"), getenv("TZ"));
	cr_expect_null(getenv("CALQUE_NORTH_VARS_TOKEN"));
	environment_wipe();
	cr_expect_null(getenv("SSL_CERT_FILE"));
	cr_expect_str_eq(environment_get("SSL_CERT_FILE"), "/bundle.pem");
}

Test(environment, that_is_kept_is_seen_by_nobody_else)
{
	environment_keep();
	expect_nothing_to_see();
	cr_expect_str_eq(environment_get(name), value);
	cr_expect_null(environment_get("CALQUE_NO_SUCH_VARIABLE"));
	environment_keep(); /* once is enough */
	cr_expect_str_eq(environment_get(name), value);
}

Test(environment, that_is_kept_is_not_there_in_what_is_forked)
{
	int status;
	pid_t pid;

	environment_keep();
	pid = fork();
	if (pid == 0)
		_exit(environment_get(name) != NULL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(environment, that_is_wiped_is_gone)
{
	environment_wipe();
	expect_nothing_to_see();
	cr_expect_null(environment_get(name));
}
