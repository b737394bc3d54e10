#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"

/* Each test runs in a directory of its own, so that paths in messages are short. */
static char dir[] = "/tmp/calque-conf-XXXXXX";

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

TestSuite(conf, .init = set_up, .fini = tear_down);

static void put(const char *name, const char *text, size_t n, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert(fd >= 0, "%s", name);
	cr_assert_eq(write(fd, text, n), (ssize_t)n);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void put_text(const char *name, const char *text, mode_t mode)
{
	put(name, text, strlen(text), mode);
}

#define CURE                                                                                       \
	"; a secret of Kubernetes: defaultMode: 0440 and securityContext.fsGroup; of Docker: "     \
	"mode: "                                                                                   \
	"0440)"
#define S "south = { dialect = \"a\"; url = \"mqtt://s\"; };"
#define N "north = { dialect = \"b\"; url = \"mqtt://n\"; };"
/* A file of one good link with `more` in it (or in its south session), which is line 1. */
#define LINK(more) "links = ( { name = \"l\"; " S N more " } );\n"
#define SOUTH(more)                                                                                \
	"links = ( { name = \"l\"; south = { dialect = \"a\"; url = \"mqtt://s\"; " more " }; " N  \
	" } );\n"
#define URL(url)                                                                                   \
	"links = ( { name = \"l\"; south = { dialect = \"a\"; url = \"" url "\"; }; " N " } );\n"
#define TLS(more)                                                                                  \
	"links = ( { name = \"l\"; south = { dialect = \"a\"; url = \"mqtts://s\"; tls = { " more  \
	" }; }; " N " } );\n"

static struct conf *read_good(const char *text)
{
	struct report r = { 0 };
	struct conf *c;

	put_text("plant.conf", text, 0644);
	c = conf_read("plant.conf", &r);
	cr_assert(c, "%s: %s", text, r.n_lines ? r.lines[0].text : "no reason");
	cr_expect_eq(r.n_lines, 0, "%s", r.n_lines ? r.lines[0].text : "");
	report_fini(&r);
	return c;
}

/* Expect exactly the `n` lines, which may leave "plant.conf:" out. */
static void expect_lines(const char *text, const char *const *lines, size_t n)
{
	struct report r = { 0 };

	put_text("plant.conf", text, 0644);
	conf_free(conf_read("plant.conf", &r));
	cr_expect_eq(r.n_lines, n, "%zu lines of %s", r.n_lines, text);
	cr_expect_eq(r.n_errors + r.n_lacks, n);
	for (size_t i = 0; i < r.n_lines; i++) {
		const char *got = r.lines[i].text;

		if (i >= n) {
			cr_expect_fail("not expected: %s", got);
			continue;
		}
		if (strncmp(got, "plant.conf:", 11) == 0 && strncmp(lines[i], "plant", 5) != 0)
			got += 11;
		cr_expect_str_eq(got, lines[i], "\n got: %s\nwant: %s", got, lines[i]);
	}
	report_fini(&r);
}

Test(conf, every_key_of_the_design_is_read)
{
	static const char text[] =
		"state = \"/var/lib/else\";\n"
		"state_key = \"keys/state\";\n"
		"mappings = [ \"/etc\", \"maps\" ];\n"
		"admin = \"127.0.0.1:9464\";\n"
		"journal = { max_bytes = 5000000000; max_age = 3600; sync = \"off\"; };\n"
		"workers = 3;\n"
		"devices = \"fleet.csv\";\n"
		"links = (\n"
		"  {\n"
		"    name = \"pump-7\";\n"
		"    mode = \"mirror\";\n"
		"    through = ( \"celsius\", { name = \"scale\"; vars = { factor = 10; k = 0.1; "
		"}; } );\n"
		"    remap = { attributes = \"telemetry\"; };\n"
		"    unmatched = \"drop\";\n"
		"    command_max_age = 61;\n"
		"    request_timeout = 31;\n"
		"    south = {\n"
		"      dialect = \"innoway\"; url = \"mqtt://127.0.0.1\"; username = \"calque\";\n"
		"      password = \"p\"; client_id = \"c\"; keepalive = 30; ack_timeout = 90; mqtt "
		"= 5; config_version = \"counter\"; front_door = "
		"true;\n"
		"      vars = { device = \"bb56\"; token = \"file:token\"; n = -7; big = "
		"84123456789;\n"
		"               hex = 0x10; yes = true; no = false; };\n"
		"      provision = { key = \"k\"; secret = \"env:PROVISION\"; name = \"n\"; };\n"
		"      connections = { max = 200; per_second = 5; };\n"
		"      limits = { packet_bytes = 4096; in_flight = 20; messages_per_second = 7;\n"
		"                 ask = false; };\n"
		"    };\n"
		"    north = {\n"
		"      dialect = \"thingsboard\"; url = \"mqtts://[::1]:8884\";\n"
		"      vars = { token = \"env:TB_TOKEN\"; };\n"
		"      tls = { ca = \"ca.crt\"; cert = \"c.crt\"; key = \"c.key\"; server_name = "
		"\"tb\"; };\n"
		"    };\n"
		"  }\n"
		");\n";
	struct conf_session *s, *n;
	struct conf_link *l;
	struct conf *c;

	cr_assert_eq(mkdir("maps", 0755), 0);
	put_text("token", "s3cret\n", 0600);
	put_text("ca.crt", "", 0644);
	put_text("c.crt", "", 0644);
	put_text("c.key", "", 0640);
	setenv("TB_TOKEN", "t0ken", 1);
	setenv("PROVISION", "pr0v", 1);
	put_text("fleet.csv", "link,name\n", 0644);
	c = read_good(text);
	cr_expect_str_eq(c->file, "plant.conf");
	cr_expect_str_eq(c->state, "/var/lib/else");
	cr_expect_str_eq(c->state_key, "keys/state");
	cr_assert_eq(c->mappings.n, 2);
	cr_expect_str_eq(c->mappings.dirs[0], "/etc");
	cr_expect_str_eq(c->mappings.dirs[1], "maps");
	cr_expect_str_eq(c->admin, "127.0.0.1:9464");
	cr_expect_eq(c->journal.max_bytes, 5000000000);
	cr_expect_eq(c->journal.max_age_s, 3600);
	cr_expect_not(c->journal.is_sync);
	cr_expect_eq(c->workers, 3);
	cr_expect_str_eq(c->devices, "fleet.csv");

	cr_assert_eq(c->n_links, 1);
	l = &c->links[0];
	cr_expect_str_eq(l->name, "pump-7");
	cr_expect_eq(l->line, 9);
	cr_expect_eq(l->mode, FLEET_MIRROR);
	cr_assert_eq(l->n_through, 2);
	cr_expect_str_eq(l->through[0].name, "celsius");
	cr_expect_eq(l->through[0].line, 12);
	cr_expect_str_eq(l->through[1].name, "scale");
	cr_expect_str_eq(vars_get(&l->through[1].vars, "factor"), "10");
	cr_expect_str_eq(vars_get(&l->through[1].vars, "k"), "0.1");
	for (int k = 0; k < KINDS; k++)
		cr_expect_eq(l->remap[k], k == KIND_ATTRIBUTES ? KIND_TELEMETRY : KIND_NONE);
	cr_expect(l->drop_unmatched);
	cr_expect_eq(l->command_max_age_s, 61);
	cr_expect_eq(l->request_timeout_s, 31);

	s = &l->side[SOUTH];
	cr_expect_eq(s->line, 17);
	cr_expect_str_eq(s->dialect, "innoway");
	cr_expect_str_eq(s->url, "mqtt://127.0.0.1");
	cr_expect_str_eq(s->host, "127.0.0.1");
	cr_expect_eq(s->port, 1883);
	cr_expect_not(s->is_tls);
	cr_expect_str_eq(s->username, "calque");
	cr_expect_str_eq(s->password, "p");
	cr_expect_str_eq(s->client_id, "c");
	cr_expect_eq(s->keepalive_s, 30);
	cr_expect_eq(s->ack_timeout_s, 90);
	cr_expect_eq(s->limits.packet_bytes, 4096);
	cr_expect_eq(s->limits.in_flight, 20);
	cr_expect_eq(s->limits.messages_per_second, 7);
	cr_expect_not(s->asks_limits);
	cr_expect_eq(s->mqtt, 5);
	cr_expect(s->front_door);
	cr_expect(s->counts_versions);
	cr_expect_str_eq(vars_get(&s->vars, "device"), "bb56");
	cr_expect_not(vars_find(&s->vars, "device")->is_secret);
	cr_expect_str_eq(vars_get(&s->vars, "token"), "s3cret");
	cr_expect(vars_find(&s->vars, "token")->is_secret);
	cr_expect_str_eq(vars_get(&s->vars, "n"), "-7");
	cr_expect_str_eq(vars_get(&s->vars, "big"), "84123456789");
	cr_expect_str_eq(vars_get(&s->vars, "hex"), "16");
	cr_expect_str_eq(vars_get(&s->vars, "yes"), "true");
	cr_expect_str_eq(vars_get(&s->vars, "no"), "false");
	cr_expect_str_eq(s->provision.key, "k");
	cr_expect_str_eq(s->provision.secret, "pr0v");
	cr_expect_str_eq(s->provision.name, "n");
	cr_expect_eq(s->connections.max, 200);
	cr_expect_eq(s->connections.per_second, 5);
	cr_expect_eq(s->connections.idle_s, 300);
	cr_expect_null(s->tls.ca);

	n = &l->side[NORTH];
	cr_expect_str_eq(n->host, "::1");
	cr_expect_eq(n->port, 8884);
	cr_expect(n->is_tls);
	cr_expect_str_eq(vars_get(&n->vars, "token"), "t0ken");
	cr_expect(vars_find(&n->vars, "token")->is_secret);
	cr_expect_str_eq(n->tls.ca, "ca.crt");
	cr_expect_str_eq(n->tls.cert, "c.crt");
	cr_expect_str_eq(n->tls.key, "c.key");
	cr_expect_str_eq(n->tls.server_name, "tb");
	conf_free(c);
	conf_free(NULL);
}

Test(conf, what_is_not_said_has_its_default)
{
	struct conf *c = read_good(LINK(""));
	struct conf_session *s = &c->links[0].side[SOUTH];

	cr_expect_str_eq(c->state, "/var/lib/calque");
	cr_expect_null(c->state_key);
	cr_expect_eq(c->mappings.n, 0);
	cr_expect_str_eq(c->admin, "");
	cr_expect_eq(c->journal.max_bytes, 1 << 30);
	cr_expect_eq(c->journal.max_age_s, 604800);
	cr_expect(c->journal.is_sync);
	cr_expect_eq(c->workers, 0);
	cr_expect_null(c->devices);
	cr_expect_eq(c->links[0].mode, FLEET_LIVE);
	cr_expect_eq(c->links[0].n_through, 0);
	cr_expect_eq(c->links[0].remap[KIND_TELEMETRY], KIND_NONE);
	cr_expect_not(c->links[0].drop_unmatched);
	cr_expect_eq(c->links[0].command_max_age_s, 60);
	cr_expect_eq(c->links[0].request_timeout_s, 0);
	cr_expect_eq(s->keepalive_s, 60);
	cr_expect_eq(s->ack_timeout_s, 60);
	cr_expect_eq(s->limits.in_flight, 0);
	cr_expect_eq(s->limits.messages_per_second, 0);
	cr_expect(s->asks_limits);
	cr_expect_eq(s->mqtt, 0);
	cr_expect_not(s->front_door);
	cr_expect_null(s->username);
	cr_expect_null(s->password);
	cr_expect_null(s->client_id);
	cr_expect_null(s->provision.key);
	cr_expect_eq(s->connections.max, 0);
	cr_expect_eq(c->links[0].side[NORTH].port, 1883);
	conf_free(c);
}

Test(conf, relative_paths_start_at_the_file)
{
	char *file = mem_printf("%s/sub/plant.conf", dir), *want;
	struct report r = { 0 };
	struct conf *c;

	cr_assert_eq(mkdir("sub", 0755), 0);
	cr_assert_eq(mkdir("sub/maps", 0755), 0);
	put_text("sub/token", "x", 0600);
	put_text("sub/ca.crt", "", 0644);
	put_text("sub/plant.conf",
		 "state = \"state\"; state_key = \"key\"; devices = \"fleet.csv\"; mappings = [ "
		 "\"maps\" ];\n"
		 "links = ( { name = \"l\"; " N
		 " south = { dialect = \"a\"; url = \"mqtts://s\"; password = \"file:token\";"
		 " tls = { ca = \"ca.crt\"; }; }; } );\n",
		 0644);
	c = conf_read(file, &r);
	cr_assert(c, "%s", r.n_lines ? r.lines[0].text : "");
	want = mem_printf("%s/sub/state", dir);
	cr_expect_str_eq(c->state, want);
	cr_expect_eq(strncmp(c->state_key, want, strlen(dir) + 5), 0);
	cr_expect_eq(strncmp(c->devices, want, strlen(dir) + 5), 0);
	cr_expect_eq(strncmp(c->mappings.dirs[0], want, strlen(dir) + 5), 0);
	cr_expect_eq(strncmp(c->links[0].side[SOUTH].tls.ca, want, strlen(dir) + 5), 0);
	cr_expect_str_eq(c->links[0].side[SOUTH].password, "x");
	cr_expect_eq(c->links[0].side[SOUTH].port, 8883);
	free(want);
	free(file);
	report_fini(&r);
	conf_free(c);
}

Test(conf, each_mistake_is_told_with_its_place)
{
	static const struct {
		const char *text, *line;
	} rows[] = {
		{ "", "1: links: is missing" },
		{ "links = ( );", "1: links: there is no link in it" },
		{ "links = { };",
		  "1: links: a list of groups ( { }, { } ) is wanted, not a group { }" },
		{ "links = ( 5 );", "1: links[0]: a group { } is wanted, not a number" },
		{ "\nlinks = ( {\n " S N " } );", "2: name: is missing" },
		{ "links = ( { name = \"l\"; " S " } );", "1: north: is missing" },
		{ "links = ( { name = \"l\"; " S "\n north = { url = \"mqtt://h\"; }; } );",
		  "2: north.dialect: is missing" },
		{ "links = ( { name = \"l\"; " S "\n north = { dialect = \"x\"; }; } );",
		  "2: north.url: is missing" },
		{ "links = ( { name = \"l\"; " S " north = \"x\"; } );",
		  "1: north: a group { } is wanted, not a string" },
		{ "links = ( { name = \"a b\"; " S N "} );",
		  "1: name: a name is made of letters, digits, '.', '_' and '-'" },
		{ "links = ( { name = \"\"; " S N "} );", "1: name: must not be empty" },
		{ "links = ( { name = "
		  "\"0123456789012345678901234567890123456789012345678901234567890123x\"; " S N
		  "} );",
		  "1: name: a name has 64 characters at most" },
		{ "links = ( { name = \"a\"; " S N "},\n {\n name = \"a\"; " S N "} );",
		  "3: name: the link of line 1 is called \"a\" too" },

		{ "stat = \"/x\";\n" LINK(""), "1: stat: unknown key; did you mean \"state\"?" },
		{ "colour = 1;\n" LINK(""), "1: colour: unknown key" },
		{ "State = \"x\";\n" LINK(""), "1: State: unknown key; did you mean \"state\"?" },
		{ "state = \"\";\n" LINK(""), "1: state: must not be empty" },
		{ "state = 5;\n" LINK(""), "1: state: a string is wanted, not a number" },
		{ "mappings = \"/x\";\n" LINK(""),
		  "1: mappings: an array of directories [ ] is wanted, not a string" },
		{ "mappings = [ 3 ];\n" LINK(""),
		  "1: mappings[0]: a string is wanted, not a number" },
		{ "mappings = [ \"plant.conf\" ];\n" LINK(""),
		  "1: mappings[0]: plant.conf is no directory" },
		{ "admin = \"localhost\";\n" LINK(""),
		  "1: admin: HOST:PORT is wanted, or \"\" for off" },
		{ "admin = \"localhost:99999\";\n" LINK(""),
		  "1: admin: the port is no number up to 65535" },
		{ "admin = \"::1:80\";\n" LINK(""),
		  "1: admin: an IPv6 address stands in brackets: [::1]:1883" },
		{ "journal = 7;\n" LINK(""), "1: journal: a group { } is wanted, not a number" },
		{ "journal = {\n max_bytes = 7; };\n" LINK(""),
		  "2: journal.max_bytes: 7 is outside 65536..1125899906842624" },
		{ "journal = { max_bytes = \"1G\"; };\n" LINK(""),
		  "1: journal.max_bytes: a whole number is wanted, not a string" },
		{ "journal = { max_age = 0; };\n" LINK(""),
		  "1: journal.max_age: 0 is outside 1..316224000" },
		{ "journal = { sync = \"half\"; };\n" LINK(""),
		  "1: journal.sync: unknown value \"half\" (\"off\" or \"full\")" },
		{ "workers = 257;\n" LINK(""), "1: workers: 257 is outside 0..256" },
		{ "workers = 4294967297;\n" LINK(""), "1: workers: 4294967297 is outside 0..256" },
		{ "workers =\n 4294967297;\n" LINK(""),
		  "1: workers: 4294967297 is outside 0..256" },
		{ "workers = -1;\n" LINK(""), "1: workers: -1 is outside 0..256" },
		{ "workers = 1.5;\n" LINK(""),
		  "1: workers: a whole number is wanted, not a fraction" },
		{ "workers = 010;\n" LINK(""),
		  "1: workers: a number starts with 0 (put it in quotes if the 0 matters)" },

		{ LINK("mode = \"dead\";"), "1: mode: unknown value \"dead\" (\"live\" or "
					    "\"mirror\" or \"off\" or \"retired\")" },
		{ LINK("mode = \"mirorr\";"), "1: mode: unknown value \"mirorr\" (\"live\" or "
					      "\"mirror\" or \"off\" or \"retired\"); did you mean "
					      "\"mirror\"?" },
		{ LINK("unmatched = \"x\";"),
		  "1: unmatched: unknown value \"x\" (\"dead-letter\" or \"drop\")" },
		{ LINK("command_max_age = 0;"), "1: command_max_age: 0 is outside 1..316224000" },
		{ LINK("request_timeout = 86401;"),
		  "1: request_timeout: 86401 is outside 1..86400" },
		{ LINK("remap = 1;"), "1: remap: a group { } is wanted, not a number" },
		{ LINK("remap = { attribute = \"telemetry\"; };"),
		  "1: remap.attribute: unknown kind \"attribute\"; did you mean \"attributes\"?" },
		{ LINK("remap = { attributes = \"blue\"; };"),
		  "1: remap.attributes: unknown kind \"blue\"" },
		{ LINK("remap = { attributes = 3; };"),
		  "1: remap.attributes: a string is wanted, not a number" },
		{ LINK("remap = { attributes = \"command\"; };"),
		  "1: remap.attributes: attributes goes up, command goes down" },
		{ LINK("through = \"celsius\";"),
		  "1: through: a list ( ) is wanted, not a string" },
		{ LINK("through = ( \"a\", 1 );"),
		  "1: through[1]: a string is wanted, not a number" },
		{ LINK("through = ( { vars = { }; } );"), "1: through[0].name: is missing" },
		{ LINK("through = ( \"a\",\n{ name = \"b\"; var = 1; } );"),
		  "2: through[1].var: unknown key; did you mean \"vars\"?" },
		{ LINK("through = ( \"../a\" );"),
		  "1: through[0]: a name is made of letters, digits, '.', '_' and '-'" },

		{ SOUTH("qos = 2;"), "1: south.qos: unknown key" },
		{ SOUTH("usrname = \"x\";"),
		  "1: south.usrname: unknown key; did you mean \"username\"?" },
		{ SOUTH("limits = { in_flight = 0; };"),
		  "1: south.limits.in_flight: 0 is outside 1..65535" },
		{ SOUTH("ack_timeout = 4;"), "1: south.ack_timeout: 4 is outside 5..86400" },
		{ SOUTH("keepalive = 4;"), "1: south.keepalive: 4 is outside 5..65535" },
		{ SOUTH("config_version = \"time\";"),
		  "1: south.config_version: unknown value \"time\" (\"epoch\" or \"counter\")" },
		{ SOUTH("mqtt = 3;"), "1: south.mqtt: 3 is outside 4..5" },
		{ SOUTH("front_door = 1;"),
		  "1: south.front_door: true or false is wanted, not a number" },
		{ SOUTH("client_id = \"\";"),
		  "1: south.client_id: must not be empty (the broker could keep nothing for us)" },
		{ SOUTH("password = 1234;"),
		  "1: south.password: a string is wanted, not a number" },
		{ SOUTH("provision = { kex = \"x\"; };"),
		  "1: south.provision.kex: unknown key; did you mean \"key\"?" },
		{ SOUTH("connections = { max = 0; };"),
		  "1: south.connections.max: 0 is outside 1..1000000" },
		{ SOUTH("vars = ( );"), "1: south.vars: a group { } is wanted, not a list ( )" },
		{ SOUTH("vars = { a = [ 1 ]; };"),
		  "1: south.vars.a: a string is wanted, not an array [ ]" },
		{ SOUTH("vars = { pin = 0042; };"),
		  "1: south.vars.pin: a number starts with 0 (put it in quotes if the 0 matters)" },
		{ SOUTH("tls = { };"),
		  "1: south.tls: the url is mqtt://, which does not encrypt (mqtts:// does)" },
		{ "links = ( { name = \"a\"; south = { dialect = \"a\"; url = \"mqtt://H\"; "
		  "client_id = "
		  "\"x\"; }; \nnorth = { dialect = \"a\"; url = \"mqtt://h:1883\"; \nclient_id = "
		  "\"x\"; "
		  "}; } );",
		  "3: north.client_id: the session of line 1 has the same at this broker" },

		{ URL(""), "1: south.url: must not be empty" },
		{ URL("localhost:1883"),
		  "1: south.url: no url: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] is wanted" },
		{ URL("mqt://h"), "1: south.url: unknown scheme \"mqt\" (mqtt:// or mqtts://)" },
		{ URL("mqtt://u:s3cret@h"),
		  "1: south.url: put the user name into username, the password into password" },
		{ URL("mqtt://h/x"),
		  "1: south.url: only a port may follow the host, MQTT has no paths" },
		{ URL("mqtt://h:"), "1: south.url: the port is no number up to 65535" },
		{ URL("mqtt://h:0"), "1: south.url: port 0 cannot be connected to" },
		{ URL("mqtt://h:65536"), "1: south.url: the port is no number up to 65535" },
		{ URL("mqtt://h:1x"), "1: south.url: the port is no number up to 65535" },
		{ URL("mqtt://"), "1: south.url: no host name in it" },
		{ URL("mqtt://a b"), "1: south.url: no host name in it" },
		{ URL("mqtt://:1883"), "1: south.url: no host name in it" },
		{ URL("mqtt://::1"),
		  "1: south.url: an IPv6 address stands in brackets: [::1]:1883" },
		{ URL("mqtt://[::1"), "1: south.url: the ] behind the IPv6 address is missing" },
		{ URL("mqtt://[::x]"), "1: south.url: no IPv6 address in the brackets" },
		{ URL("mqtt://[::1]1883"), "1: south.url: only a port may follow the host" },

		{ TLS("ca = \"nope.crt\";"),
		  "1: south.tls.ca: nope.crt: No such file or directory" },
		{ TLS("cert = \"plant.conf\";"), "1: south.tls.key: is missing, there is a cert" },
		{ TLS("key = \"closed\";"), "1: south.tls.cert: is missing, there is a key" },
		{ TLS("cert = \".\"; key = \"closed\";"), "1: south.tls.cert: . is no file" },
		{ TLS("cert = \"closed\"; key = \"plant.conf\";"),
		  "1: south.tls.key: plant.conf is readable by everyone (chmod 600 "
		  "plant.conf" CURE },
		{ TLS("verify = false;"), "1: south.tls.verify: unknown key" },

		{ "a = 1;\nb = = 2;\n", "2: syntax error" },
		{ "state = \"a\";\nstate = \"b\";\n", "2: duplicate setting name" },
	};

	put_text("closed", "", 0600);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		expect_lines(rows[i].text, &rows[i].line, 1);
}

/* libconfig's words differ between its versions, the place does not. */
Test(conf, what_libconfig_refuses_is_told_with_its_line)
{
	static const char *const texts[] = {
		"workers = 2;\n@include \"nope.conf\"\n",
		"workers = 2;\njournal = { max_bytes = 99999999999999999999; };\n" LINK(""),
		"workers = 2;\nworkers = 3;\n",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct report r = { 0 };

		put_text("plant.conf", texts[i], 0644);
		conf_free(conf_read("plant.conf", &r));
		cr_expect_gt(r.n_errors, 0);
		cr_assert_eq(r.n_lines, 1);
		cr_expect(strncmp(r.lines[0].text, "plant.conf:2: ", 14) == 0, "%s",
			  r.lines[0].text);
		report_fini(&r);
	}
}

Test(conf, all_mistakes_come_at_once_in_the_order_of_the_file)
{
	static const char text[] = "state = 7;\n"
				   "worker = 2;\n"
				   "journal = {\n"
				   "  max_age = -1;\n"
				   "  sync = \"no\";\n"
				   "};\n"
				   "links = (\n"
				   "  {\n"
				   "    name = \"a/b\";\n"
				   "    south = {\n"
				   "      dialect = \"innoway\";\n"
				   "      url = \"mqt://h\";\n"
				   "      vars = {\n"
				   "        token = \"env:CALQUE_UNSET\";\n"
				   "        other = \"file:nope\";\n"
				   "      };\n"
				   "    };\n"
				   "    north = {\n"
				   "      url = \"mqtt://h:port\";\n"
				   "      tls = { cert = \"x\"; };\n"
				   "    };\n"
				   "    mode = \"dead\";\n"
				   "  },\n"
				   "  { }\n"
				   ");\n";
	static const char *const lines[] = {
		"1: state: a string is wanted, not a number",
		"2: worker: unknown key; did you mean \"workers\"?",
		"4: journal.max_age: -1 is outside 1..316224000",
		"5: journal.sync: unknown value \"no\" (\"off\" or \"full\")",
		"9: name: a name is made of letters, digits, '.', '_' and '-'",
		"12: south.url: unknown scheme \"mqt\" (mqtt:// or mqtts://)",
		"14: south.vars.token: the environment variable CALQUE_UNSET is not set",
		"15: south.vars.other: file:nope: No such file or directory",
		"19: north.url: the port is no number up to 65535",
		"18: north.dialect: is missing",
		"20: north.tls.key: is missing, there is a cert",
		"20: north.tls.cert: x: No such file or directory",
		("22: mode: unknown value \"dead\" (\"live\" or \"mirror\" or \"off\" or "
		 "\"retired\")"),
		"24: name: is missing",
		"24: south: is missing",
		"24: north: is missing",
	};

	unsetenv("CALQUE_UNSET");
	expect_lines(text, lines, sizeof lines / sizeof lines[0]);
}

Test(conf, secrets_come_from_files_and_the_environment)
{
	static const struct {
		const char *content;
		size_t n;
		const char *value;
	} rows[] = {
		{ "s3cret", 6, "s3cret" },	    { "s3cret\n", 7, "s3cret" },
		{ "s3cret\n\n", 8, "s3cret\n" },    { "s3cret\r\n", 8, "s3cret" },
		{ " s3 cret \n", 10, " s3 cret " },
	};

	setenv("CALQUE_SECRET", "from env", 1);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct conf_session *s;
		struct conf *c;

		put("secret", rows[i].content, rows[i].n, 0640);
		c = read_good(SOUTH(
			"username = \"env:CALQUE_SECRET\"; password = \"file:secret\"; "
			"client_id = \"file:secret\"; provision = { name = \"file:secret\"; };"
			"vars = { v = \"file:secret\"; lit = \"a env:x\"; };"));
		s = &c->links[0].side[SOUTH];
		cr_expect_str_eq(s->username, "from env");
		cr_expect_str_eq(s->password, rows[i].value);
		cr_expect_str_eq(s->client_id, rows[i].value);
		cr_expect_str_eq(s->provision.name, rows[i].value);
		cr_expect_str_eq(vars_get(&s->vars, "v"), rows[i].value);
		cr_expect_str_eq(vars_get(&s->vars, "lit"), "a env:x");
		conf_free(c);
	}
}

Test(conf, secrets_that_are_not_safe_or_not_usable_are_refused)
{
	static const struct {
		const char *text, *line;
	} rows[] = {
		{ SOUTH("password = \"file:open\";"),
		  "1: south.password: file:open is readable by everyone (chmod 600 open" CURE },
		{ LINK("through = ( { name = \"a\"; vars = { k = \"file:open\"; }; } );"),
		  "1: through[0].vars.k: file:open is readable by everyone (chmod 600 open" CURE },
		{ SOUTH("vars = { t = \"file:nul\"; };"),
		  "1: south.vars.t: file:nul holds a NUL byte" },
		{ SOUTH("vars = { t = \"file:long\"; };"),
		  "1: south.vars.t: file:long is longer than 65535 bytes" },
		{ SOUTH("vars = { t = \"file:.\"; };"),
		  "1: south.vars.t: file:. is no regular file" },
		{ SOUTH("vars = { t = \"file:pipe\"; };"),
		  "1: south.vars.t: file:pipe is no regular file" },
		{ SOUTH("vars = { t = \"file:nope\"; };"),
		  "1: south.vars.t: file:nope: No such file or directory" },
		{ SOUTH("username = \"env:CALQUE_UNSET\";"),
		  "1: south.username: the environment variable CALQUE_UNSET is not set" },
	};
	char *longest = mem_zalloc(70000);

	memset(longest, 'x', 70000);
	put("long", longest, 65536, 0600);
	put_text("open", "s3cret", 0644);
	put("nul", "s3\0cret", 7, 0600);
	cr_assert_eq(mkfifo("pipe", 0600), 0);
	unsetenv("CALQUE_UNSET");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		expect_lines(rows[i].text, &rows[i].line, 1);
	put("long", longest, 65535, 0600);
	conf_free(read_good(SOUTH("vars = { t = \"file:long\"; };")));
	free(longest);
}

/* As systemd leaves them: $CREDENTIALS_DIRECTORY/NAME. */
Test(conf, a_credential_is_read_from_the_directory_of_the_service)
{
	static const char text[] =
		SOUTH("password = \"cred:broker\"; vars = { t = \"cred:broker\"; };");
	struct conf *c;

	put_text("broker", "s3cret\n", 0440);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	c = read_good(text);
	cr_expect_str_eq(c->links[0].side[SOUTH].password, "s3cret");
	cr_expect_str_eq(vars_get(&c->links[0].side[SOUTH].vars, "t"), "s3cret");
	conf_free(c);
}

Test(conf, a_credential_that_is_not_there_is_a_lack)
{
	char *lines[] = {
		mem_strdup("1: south.password: cred:x: CREDENTIALS_DIRECTORY is not set (a service "
			   "gets credentials by LoadCredential= in its unit)"),
		mem_printf("1: south.password: cred:%s/x: No such file or directory", dir),
		mem_strdup("1: south.password: cred:../x: the name of a credential is wanted, no "
			   "path"),
		mem_strdup("1: south.password: cred:: the name of a credential is wanted, no path"),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	expect_lines(SOUTH("password = \"cred:x\";"), (const char *const *)&lines[0], 1);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	expect_lines(SOUTH("password = \"cred:x\";"), (const char *const *)&lines[1], 1);
	expect_lines(SOUTH("password = \"cred:../x\";"), (const char *const *)&lines[2], 1);
	expect_lines(SOUTH("password = \"cred:\";"), (const char *const *)&lines[3], 1);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		free(lines[i]);
}

Test(conf, an_empty_secret_and_an_absent_directory_are_warnings)
{
	struct report r = { 0 };
	struct conf *c;

	setenv("CALQUE_EMPTY", "", 1);
	put_text("plant.conf",
		 "mappings = [ \"later\" ];\n" SOUTH("vars = { t = \"env:CALQUE_EMPTY\"; };"),
		 0644);
	c = conf_read("plant.conf", &r);
	cr_assert(c);
	cr_assert_eq(r.n_lines, 2);
	cr_expect_str_eq(r.lines[0].text,
			 "plant.conf:1: mappings[0]: later: No such file or directory");
	cr_expect_str_eq(r.lines[1].text, "plant.conf:2: south.vars.t: env:CALQUE_EMPTY is empty");
	cr_expect(r.lines[0].is_warning && r.lines[1].is_warning);
	report_fini(&r);
	conf_free(c);
}

Test(conf, includes_are_read_and_mistakes_name_the_included_file)
{
	static const char *const lines[] = {
		"sub.conf:2: admin: a string is wanted, not a number",
		"sub.conf:3: workers: 4294967300 is outside 0..256",
		"plant.conf:2: links: is missing",
	};
	struct report r = { 0 };
	struct conf *c;

	put_text("sub.conf", "# shared\nadmin = 5;\nworkers = 4294967300;\n", 0644);
	put_text("plant.conf", "@include \"sub.conf\"\n", 0644);
	conf_free(conf_read("plant.conf", &r));
	cr_expect_gt(r.n_errors, 0);
	cr_assert_eq(r.n_lines, 3);
	cr_expect_str_eq(r.lines[0].text, lines[0]);
	cr_expect_str_eq(r.lines[1].text, lines[1]);
	cr_expect(strstr(r.lines[2].text, "plant.conf:"), "%s", r.lines[2].text);
	report_fini(&r);

	put_text("sub.conf", LINK(""), 0644);
	c = read_good("@include \"sub.conf\"\n");
	cr_assert_eq(c->included.n, 2);
	cr_expect_str_eq(c->included.items[0].name, "plant.conf");
	cr_expect_str_eq(c->included.items[1].name, "sub.conf");
	conf_free(c);
	c = read_good("workers = 2;\n@include \"sub.conf\"\n");
	cr_expect_str_eq(c->links[0].name, "l");
	cr_expect_str_eq(c->links[0].side[SOUTH].file, "sub.conf");
	cr_expect_eq(c->links[0].line, 1);
	conf_free(c);
}

Test(conf, includes_are_found_beside_the_file)
{
	char *file = mem_printf("%s/sub/plant.conf", dir), *want;
	struct report r = { 0 };

	cr_assert_eq(mkdir("sub", 0755), 0);
	put_text("sub/plant.conf", "@include \"more.conf\"\n", 0644);
	put_text("sub/more.conf", "workers = 4294967297;\n" LINK(""), 0644);
	conf_free(conf_read(file, &r));
	cr_expect_gt(r.n_errors, 0);
	want = mem_printf("%s/sub/more.conf:1: workers: 4294967297 is outside 0..256", dir);
	cr_assert_eq(r.n_lines, 1);
	cr_expect_str_eq(r.lines[0].text, want);
	free(want);
	free(file);
	report_fini(&r);
}

Test(conf, a_file_that_cannot_be_read_is_told_with_the_reason)
{
	static const char *const paths[] = { "nope.conf", "." };
	static const char *const lines[] = { "nope.conf: No such file or directory",
					     ".: is no file" };

	for (size_t i = 0; i < 2; i++) {
		struct report r = { 0 };

		conf_free(conf_read(paths[i], &r));
		cr_expect_gt(r.n_errors, 0);
		cr_assert_eq(r.n_errors, 1);
		cr_expect_str_eq(r.lines[0].text, lines[i]);
		report_fini(&r);
	}
}

Test(conf, no_value_of_a_secret_is_in_any_message)
{
	struct report r = { 0 };

	put_text("open", "c4nary", 0644);
	put("nul", "c4nary\0", 7, 0600);
	setenv("CALQUE_CANARY", "c4nary", 1);
	put_text("plant.conf",
		 "links = ( { name = \"l\"; " N
		 " south = { dialect = \"a\"; url = \"mqtt://u:c4nary@h\"; password = \"c4nary\";"
		 " username = \"c4nary\"; client_id = \"c4nary\"; vars = { a = \"c4nary\"; b = "
		 "\"file:open\";"
		 " c = \"file:nul\"; d = \"env:CALQUE_CANARY\"; e = { x = \"c4nary\"; }; };"
		 " provision = { key = \"c4nary\"; secret = (\"c4nary\"); }; }; } );\n",
		 0644);
	conf_free(conf_read("plant.conf", &r));
	cr_expect_gt(r.n_errors, 0);
	cr_expect_eq(r.n_lines, 5);
	for (size_t i = 0; i < r.n_lines; i++)
		cr_expect_null(strstr(r.lines[i].text, "c4nary"), "%s", r.lines[i].text);
	report_fini(&r);
}

/* --- only where the state is --- */

static struct conf *read_state(const char *text, struct report *report)
{
	put_text("c", text, 0600);
	return conf_read_state("c", report);
}

Test(conf, the_state_is_found_without_secrets_and_dialects)
{
	struct report report = { 0 };
	struct conf *c =
		read_state("state = \"here\"; state_key = \"k\"; devices = \"none\"; admin = 7; "
			   "workers = \"x\";\n"
			   "links = ( { name = \"a\"; south = { url = \"env:NOT_SET\"; }; },"
			   " { name = \"b\"; } );\n",
			   &report);

	cr_assert(c, "%s", report.n_lines ? report.lines[0].text : "");
	cr_expect_str_eq(c->state, "here");
	cr_expect_str_eq(c->state_key, "k");
	cr_expect_str_eq(c->devices, "none");
	cr_assert_eq(c->n_links, 2);
	cr_expect_str_eq(c->links[1].name, "b");
	conf_free(c);
	report_fini(&report);
}

Test(conf, a_mistake_about_the_state_leads_to_no_other_state)
{
	static const char *const wrong[] = {
		"state = 7; links = ();",
		"stat = \"here\"; links = ();",
		"state = \"\"; links = ();",
		"state = \"here\"",
		"state =",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct report report = { 0 };

		cr_expect_null(read_state(wrong[i], &report), "%s", wrong[i]);
		cr_expect_gt(report.n_errors, 0, "%s", wrong[i]);
		report_fini(&report);
	}
}

/* A group may read what Kubernetes mounts with defaultMode 0440 and an fsGroup. */
Test(conf, a_secret_of_a_volume_is_read)
{
	struct conf *c;

	put_text("token", "t0\n", 0440);
	c = read_good(SOUTH("password = \"file:token\";"));
	cr_expect_str_eq(c->links[0].side[SOUTH].password, "t0");
	conf_free(c);
}

Test(conf, every_string_may_come_from_the_environment)
{
	struct conf *c;

	cr_assert_eq(setenv("CALQUE_NAME", "pod-7", 1), 0);
	cr_assert_eq(setenv("CALQUE_URL", "mqtt://broker:1999", 1), 0);
	cr_assert_eq(setenv("CALQUE_STATE", "kept", 1), 0);
	cr_assert_eq(setenv("CALQUE_MODE", "mirror", 1), 0);
	cr_assert_eq(setenv("CALQUE_DIALECT", "factory", 1), 0);
	c = read_good(
		"state = \"env:CALQUE_STATE\"; links = ( { name = \"env:CALQUE_NAME\"; mode = "
		"\"env:CALQUE_MODE\"; south = { dialect = \"env:CALQUE_DIALECT\"; url = "
		"\"env:CALQUE_URL\"; }; " N " } );\n");
	cr_expect_str_eq(c->state, "kept");
	cr_expect_str_eq(c->links[0].name, "pod-7");
	cr_expect_eq(c->links[0].mode, FLEET_MIRROR);
	cr_expect_str_eq(c->links[0].side[SOUTH].dialect, "factory");
	cr_expect_str_eq(c->links[0].side[SOUTH].host, "broker");
	cr_expect_eq(c->links[0].side[SOUTH].port, 1999);
	conf_free(c);
}

Test(conf, a_name_or_an_address_that_the_environment_lacks_is_a_mistake)
{
	static const char *const lines[] = {
		"1: state: the environment variable CALQUE_UNSET is not set",
		"1: name: the environment variable CALQUE_UNSET is not set",
		"1: south.url: the environment variable CALQUE_UNSET is not set",
	};

	expect_lines(
		"state = \"env:CALQUE_UNSET\"; links = ( { name = \"env:CALQUE_UNSET\"; south = { "
		"dialect = \"a\"; url = \"env:CALQUE_UNSET\"; }; " N " } );\n",
		lines, 3);
}

/* --- what a reload sees -------------------------------------------------------------------- */

static char *values(const char *text)
{
	struct conf *c = read_good(text);
	struct buf out = { 0 };

	conf_put_values(c, &out);
	conf_link_put_values(&c->links[0], &out);
	conf_free(c);
	return buf_take(&out);
}

/* Keys of all kinds, and all that have a way of their own of being read. */
Test(conf, a_change_of_any_key_is_seen)
{
	static const char *const texts[] = {
		LINK(""),
		LINK("sessions = \"on-demand\";"),
		LINK("drain = 7;"),
		LINK("mode = \"off\";"),
		LINK("new = \"off\";"),
		LINK("through = ( \"t\" );"),
		LINK("through = ( \"u\" );"),
		LINK("remap = { telemetry = \"attributes\"; };"),
		SOUTH("vars = { a = \"1\"; };"),
		SOUTH("vars = { a = \"2\"; };"),
		SOUTH("client_id = \"c\";"),
		SOUTH("provision = { name = \"{device}\"; };"),
		SOUTH("provision = { greet = { site = \"7\"; }; };"),
		SOUTH("provision = { greet = { site = \"8\"; }; };"),
		SOUTH("connections = { max = 3; };"),
		URL("mqtt://other"),
		"log_levels = \"warning\"; " LINK(""),
		"admin = \":1\"; " LINK(""),
		"admin = \":1\"; admin_hosts = [ \"h\" ]; " LINK(""),
		"mappings = [ \".\" ]; " LINK(""),
	};
	char *seen[sizeof texts / sizeof texts[0]];

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		seen[i] = values(texts[i]);
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(seen[i], seen[k], "%s\n%s", texts[i], texts[k]);
	}
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(seen[i]);
}
