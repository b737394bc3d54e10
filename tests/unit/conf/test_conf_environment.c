#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"

extern char **environ;

/* Only what a test sets. */
static void set_up(void)
{
	static char *none[] = { NULL };

	environ = none;
}

TestSuite(conf_environment, .init = set_up);

static void set_link(void)
{
	setenv("CALQUE_NAME", "pump", 1);
	setenv("CALQUE_SOUTH_DIALECT", "a", 1);
	setenv("CALQUE_SOUTH_URL", "mqtt://s:1", 1);
	setenv("CALQUE_NORTH_DIALECT", "b", 1);
	setenv("CALQUE_NORTH_URL", "mqtts://n", 1);
}

static struct conf *read_good(void)
{
	struct report r = { 0 };
	struct conf *c = conf_read(conf_environment, &r);

	cr_assert(c && r.n_lines == 0, "%s", r.n_lines ? r.lines[0].text : "no reason");
	report_fini(&r);
	return c;
}

/* Expect exactly these lines; environ is in their order. */
static void expect_lines(const char *const *lines, size_t n)
{
	struct report r = { 0 };

	conf_free(conf_read(conf_environment, &r));
	cr_expect_eq(r.n_lines, n);
	for (size_t i = 0; i < n && i < r.n_lines; i++)
		cr_expect_str_eq(r.lines[i].text, lines[i], "\n got: %s\nwant: %s", r.lines[i].text,
				 lines[i]);
	report_fini(&r);
}

Test(conf_environment, names_are_paths_of_keys)
{
	struct conf *c;

	set_link();
	setenv("CALQUE_STATE", "/state", 1);
	setenv("CALQUE_STATE_KEY", "/key", 1);
	setenv("CALQUE_JOURNAL_MAX_BYTES", "99999999999", 1);
	setenv("CALQUE_JOURNAL_SYNC", "off", 1);
	setenv("CALQUE_WORKERS", "3", 1);
	setenv("CALQUE_SOUTH_VARS_DEVICE", "007", 1);
	setenv("CALQUE_SOUTH_LIMITS_ASK", "false", 1);
	setenv("CALQUE_NORTH_VARS_ACCESS_KEY", "k", 1);
	setenv("CALQUE_NORTH_TLS_SERVER_NAME", "other", 1);
	setenv("CALQUE_NORTH_PROVISION_SECRET", "s", 1);
	setenv("CALQUE_THROUGH", " celsius, scale,", 1);
	setenv("CALQUE_ADMIN_HOSTS", " a.example ,b.example, ", 1);
	setenv("CALQUE_REMAP_ATTRIBUTES", "telemetry", 1);
	setenv("CALQUE_MODE", "mirror", 1);
	c = read_good();
	cr_expect_str_eq(c->state, "/state");
	cr_expect_str_eq(c->state_key, "/key");
	cr_expect_eq(c->journal.max_bytes, 99999999999);
	cr_expect_not(c->journal.is_sync);
	cr_expect_eq(c->workers, 3);
	cr_assert_eq(c->n_links, 1);
	cr_expect_str_eq(c->links[0].name, "pump");
	cr_expect_eq(c->links[0].mode, FLEET_MIRROR);
	cr_expect_str_eq(c->links[0].side[SOUTH].url, "mqtt://s:1");
	cr_expect_str_eq(vars_get(&c->links[0].side[SOUTH].vars, "device"), "007");
	cr_expect_not(c->links[0].side[SOUTH].asks_limits);
	cr_expect(c->links[0].side[NORTH].asks_limits);
	cr_expect_str_eq(vars_get(&c->links[0].side[NORTH].vars, "access_key"), "k");
	cr_expect_str_eq(c->links[0].side[NORTH].tls.server_name, "other");
	cr_expect_str_eq(c->links[0].side[NORTH].provision.secret, "s");
	cr_assert_eq(c->links[0].n_through, 2);
	cr_expect_str_eq(c->links[0].through[0].name, "celsius");
	cr_expect_str_eq(c->links[0].through[1].name, "scale");
	cr_assert_eq(c->admin_hosts.n, 2);
	cr_expect_str_eq(c->admin_hosts.items[0], "a.example");
	cr_expect_str_eq(c->admin_hosts.items[1], "b.example");
	cr_expect_eq(c->links[0].remap[KIND_ATTRIBUTES], KIND_TELEMETRY);
	conf_free(c);
}

/* The test's own /proc/self/environ is that of its start: the strings themselves have to be gone. */
Test(conf_environment, nothing_of_it_is_left_where_it_was)
{
	static char secret[] = "CALQUE_NORTH_VARS_TOKEN=s3cret", *one[] = { secret, NULL };
	struct report r = { 0 };

	environ = one;
	conf_free(conf_read(conf_environment, &r));
	report_fini(&r);
	for (size_t i = 0; i < sizeof secret; i++)
		cr_expect_eq(secret[i], '\0');
	cr_expect_null(getenv("CALQUE_NORTH_VARS_TOKEN"));
}

Test(conf_environment, a_secret_may_be_in_a_file)
{
	char path[] = "/tmp/calque-secret-XXXXXX", *value;
	int fd = mkstemp(path);
	struct conf *c;

	cr_assert_eq(write(fd, "s3cret\n", 7), 7);
	close(fd);
	value = mem_printf("file:%s", path);
	set_link();
	setenv("CALQUE_NORTH_VARS_TOKEN", value, 1);
	setenv("CALQUE_NORTH_PASSWORD", value, 1);
	c = read_good();
	cr_expect_str_eq(vars_get(&c->links[0].side[NORTH].vars, "token"), "s3cret");
	cr_expect_str_eq(c->links[0].side[NORTH].password, "s3cret");
	cr_expect_eq(c->links[0].side[NORTH].secrets.n, 2, "both can be read again");
	conf_free(c);
	unlink(path);
	free(value);
}

Test(conf_environment, what_kubernetes_sets_for_a_service_is_not_ours)
{
	setenv("CALQUE_SERVICE_HOST", "10.0.0.1", 1);
	setenv("CALQUE_SERVICE_PORT", "1883", 1);
	setenv("CALQUE_PORT", "tcp://10.0.0.1:1883", 1);
	setenv("CALQUE_PORT_1883_TCP_ADDR", "10.0.0.1", 1);
	setenv("CALQUE_MAPPINGS", "/m", 1);
	setenv("CALQUE", "x", 1);
	cr_expect_neq(conf_choose(NULL, NULL), conf_environment);
	set_link();
	conf_free(read_good());
}

Test(conf_environment, mistakes_name_the_variable)
{
	static const char *const unknown[] = {
		"CALQUE_LINKS: there is no such key (calque check --schema)",
		"CALQUE_SOUTH_UR: there is no such key; did you mean CALQUE_SOUTH_URL?",
		"CALQUE_ZZZZZZZZZZ: there is no such key (calque check --schema)",
		"CALQUE_NORTH_VARS_1: there is no such key (calque check --schema)",
	};

	for (size_t i = 0; i < 4; i++) {
		char *name = mem_strndup(unknown[i], strcspn(unknown[i], ":"));

		setenv(name, "c4nary", 1);
		free(name);
	}
	set_link();
	expect_lines(unknown, 4);
}

Test(conf_environment, values_are_checked_as_those_of_a_file)
{
	static const char *const lines[] = {
		"CALQUE_SOUTH_URL: no url: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] is wanted",
		"CALQUE_SOUTH_MQTT: 6 is outside 4..5",
		"CALQUE_NORTH_URL: is missing",
		"CALQUE_WORKERS: a whole number is wanted, not a string",
	};

	set_link();
	unsetenv("CALQUE_NORTH_URL");
	setenv("CALQUE_SOUTH_URL", "nowhere", 1);
	setenv("CALQUE_SOUTH_MQTT", "6", 1);
	setenv("CALQUE_WORKERS", "many", 1);
	expect_lines(lines, 4);
}

Test(conf_environment, a_file_and_the_environment_are_one_too_many)
{
	struct err e = { 0 };

	setenv("CALQUE_MY_OWN", "for env:CALQUE_MY_OWN", 1);
	cr_expect_str_eq(conf_choose("plant.conf", &e), "plant.conf");
	setenv("CALQUE_NORTH_VARS_TOKEN", "c4nary", 1);
	cr_expect_null(conf_choose("plant.conf", &e));
	cr_expect_str_eq(e.text, "there is plant.conf, and CALQUE_NORTH_VARS_TOKEN is set: a "
				 "configuration is a file, or the environment, and not both");
}
