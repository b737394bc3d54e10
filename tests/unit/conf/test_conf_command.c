#include <criterion/criterion.h>

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/conf_command.h"

static char dir[] = "/tmp/calque-command-XXXXXX";

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", dir);

	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(conf_command, .init = set_up, .fini = tear_down);

static char *make(const char *name, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0, "%s", name);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
	return mem_printf("%s/%s", dir, name);
}

/* NULL: it may be run; else a piece of what is said. */
static void expect_checked(char *path, const char *why)
{
	struct err e = { 0 };

	cr_expect_eq(conf_command_check(path, &e), why == NULL, "%s: %s", path, e.text);
	cr_expect(!why || strstr(e.text, why), "%s: %s", path, e.text);
	free(path);
}

Test(conf_command, what_only_we_may_write_to_may_be_run)
{
	expect_checked(mem_strdup("/bin/sh"), NULL); /* /bin is a link, perhaps */
	expect_checked(make("good", 0755), NULL);    /* in a folder of ours, in /tmp */
	expect_checked(make("mine", 0700), NULL);
}

Test(conf_command, what_others_may_write_to_is_not)
{
	expect_checked(make("group", 0775), "group may be written to by others");
	expect_checked(make("all", 0757), "all may be written to by others");
}

Test(conf_command, nor_what_others_may_put_another_in_the_place_of)
{
	cr_assert_eq(mkdir("open", 0755), 0);
	cr_assert_eq(chmod("open", 0777), 0);
	expect_checked(make("open/p", 0755), "/open may be written to by others");
	cr_assert_eq(chmod("open", 01777), 0);
	expect_checked(mem_printf("%s/open/p", dir), NULL);
	/* A link that others may turn to another file. */
	cr_assert_eq(chmod("open", 0777), 0);
	cr_assert_eq(symlink("/bin/true", "open/link"), 0);
	expect_checked(mem_printf("%s/open/link", dir), "/open may be written to by others");
}

Test(conf_command, nor_what_is_somebody_elses)
{
	const struct passwd *nobody = getpwnam("nobody");
	char *path = make("theirs", 0755);

	if (geteuid() != 0 || !nobody)
		cr_skip_test("only root can give a file away");
	cr_assert_eq(chown(path, nobody->pw_uid, (gid_t)-1), 0);
	expect_checked(path, "theirs belongs to neither root nor the user of calque");
}

Test(conf_command, nor_what_is_no_program)
{
	expect_checked(make("text", 0644), "text cannot be executed");
	expect_checked(mem_strdup(dir), "is no file");
	expect_checked(mem_printf("%s/none", dir), "none: No such file or directory");
}

/* --- in a configuration */

static struct conf *read_with(const char *provision, struct report *r)
{
	FILE *f = fopen("plant.conf", "w");

	cr_assert_not_null(f);
	fprintf(f,
		"links = ( { name = \"l\"; south = { dialect = \"a\"; url = \"mqtt://s\"; };\n"
		"north = { dialect = \"b\"; url = \"mqtt://n\"; provision = { %s }; }; } );\n",
		provision);
	fclose(f);
	return conf_read("plant.conf", r);
}

static void expect_mistake(const char *provision, const char *why)
{
	struct report r = { 0 };
	struct conf *c = read_with(provision, &r);
	char *wanted = mem_printf("plant.conf:2: north.provision.%s", why);

	cr_assert_eq(r.n_lines, 1);
	cr_expect_str_eq(r.lines[0].text, wanted);
	conf_free(c);
	report_fini(&r);
	free(wanted);
}

Test(conf_command, it_is_read_with_its_arguments)
{
	struct report r = { 0 };
	struct conf *c = read_with("command = ( \"/bin/sh\", \"-c\", \"\" ); sessions = 2; "
				   "idempotent = true;",
				   &r);
	const struct conf_session *north;
	struct buf put = { 0 };

	cr_assert(c, "%s", r.n_lines ? r.lines[0].text : "");
	north = &c->links[0].side[NORTH];
	cr_expect_str_eq(north->provision.command.argv[0], "/bin/sh");
	cr_expect_str_eq(north->provision.command.argv[1], "-c");
	cr_expect_str_eq(north->provision.command.argv[2], "");
	cr_expect_null(north->provision.command.argv[3]);
	cr_expect_eq(north->provision.sessions, 2);
	cr_expect(north->provision.is_idempotent);
	cr_expect_null(c->links[0].side[SOUTH].provision.command.argv);
	cr_expect_eq(c->links[0].side[SOUTH].provision.sessions, 4);
	conf_command_put(&north->provision.command, &put);
	cr_expect_str_eq(buf_str(&put), "7:/bin/sh2:-c0:");
	buf_fini(&put);
	conf_free(c);
	report_fini(&r);
}

Test(conf_command, mistakes_in_it_are_told)
{
	expect_mistake("command = \"/bin/sh\";", "command: a list ( ) is wanted, not a string");
	expect_mistake("command = ( );", "command: begins with the absolute path of a program");
	expect_mistake("command = ( \"sh\" );",
		       "command: begins with the absolute path of a program");
	expect_mistake("command = ( \"/bin/sh\", 3 );",
		       "command[1]: a string is wanted, not a number");
	expect_mistake("command = ( \"/none/at/all\" );",
		       "command: /none/at/all: No such file or directory");
	expect_mistake("sessions = 65;", "sessions: 65 is outside 1..64");
}
