"""`calque check`: mistakes of whole links and of all links of a configuration together, and nothing but mistakes."""

import itertools
import os
import re
import resource

import pytest

from harness import conf_text

SHIPPED = {
    "innoway": {"device": "iw-1", "token": "t"},
    "thingsboard": {"token": "t"},
    "thingsboard-gateway": {"token": "t", "device": "gw-1"},
    "eztcloud": {"project": "PR_x", "secret": "s", "device": "ez-1"},
    "device-events": {"device": "xy-1", "access_key": "k"},
}
PAIRS = [pytest.param(south, north, id=f"{south}-{north}") for south, north in itertools.product(SHIPPED, SHIPPED)]


def session(dialect, broker, **variables):
    """One side of a link, on the broker of that name."""
    known = {**SHIPPED.get(dialect, {}), **variables}
    return {"dialect": dialect, "url": f"mqtt://{broker}", **({"vars": known} if known else {})}


def link(name, south, north, **settings):
    return {"name": name, "south": south, "north": north, **settings}


def finish(lab, links, verb="check", **settings):
    """Run the verb on a configuration with these links to its end: (status, all that it said)."""
    calque = lab.calque(conf_text({"state": "@state@", **settings, "links": links}), verb=verb)
    status = calque.wait_end()
    calque.assert_clean()
    return status, "\n".join(calque.lines)


def write_mappings(lab, **dialects):
    """Files of dialects, {name: rows and functions}; the setting that names their directory."""
    directory = os.path.join(lab.directory, "mappings")
    os.makedirs(directory, exist_ok=True)
    for name, text in dialects.items():
        rows, _, functions = text.partition("---")
        with open(os.path.join(directory, f"{name}.jq"), "w", encoding="utf-8") as file:
            file.write(f'module {{ dialect: "{name}", messages: [{rows}] }};\n{functions}\n')
    return (directory,)


def assert_lines(text, *patterns):
    """Each pattern matches one line, and each line is matched."""
    lines = text.splitlines()
    for pattern in patterns:
        assert any(re.search(pattern, line) for line in lines), f"{pattern}\n{text}"
    assert len(lines) == len(patterns), text


NO_MISTAKES = r"calque\.conf: \d+ links?, no mistakes$"

# Devices of these share their topics: said of each link that has them in the south.
VOICE = r"south: devices of thingsboard(-gateway)? speak and listen on one topic, .* \(warning\)$"


def voices(south, n=1):
    return [VOICE] * n if south.startswith("thingsboard") else []


# --- nothing to say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("south, north", PAIRS)
def test_of_a_shipped_pair_there_is_nothing_to_say(lab, south, north):
    status, said = finish(lab, [link("x", session(south, "south"), session(north, "north"))])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES, *voices(south))


@pytest.mark.parametrize("south, north", PAIRS)
def test_devices_do_not_get_in_each_others_way(lab, south, north):
    """Two links between the same brokers, each for a device of its own."""
    def variables(dialect, n):
        return {**({"device": f"d{n}"} if dialect != "thingsboard" else {}),
                **({"token": f"t{n}"} if dialect.startswith("thingsboard") else {})}
    status, said = finish(lab, [link(f"l{n}", session(south, "south", **variables(south, n)),
                                     session(north, "north", **variables(north, n))) for n in (1, 2)])
    assert status == 0, said
    one = [r'link "l1" has the same device of thingsboard there'] if south == "thingsboard" else []  # on one broker
    assert_lines(said, NO_MISTAKES, *voices(south, 2), *one)


def test_links_in_each_others_way(lab):
    links = [link(f"l{n}", session("innoway", "south", device=device), session("thingsboard", "north", token=token))
             for n, device, token in ((1, "d1", "t1"), (2, "d1", "t2"), (3, "d3", "t1"))]
    status, said = finish(lab, links)
    assert status == 0, said
    assert_lines(said, NO_MISTAKES, r'south: link "l1" has the same device of innoway there: .*\(warning\)$',
                 r'north: link "l1" has the same credentials of thingsboard there: .*\(warning\)$')
    status, said = finish(lab, [links[0], {**links[1], "mode": "mirror"}])
    assert_lines(said, NO_MISTAKES)


def test_a_login_that_nothing_will_bring(lab):
    """And a word that is nearly right. A handshake brings the token of a ThingsBoard device, no other."""
    bare = {"url": "mqtt://south", "dialect": "innoway", "vars": {"device": "d", "tokn": "t"}}
    north = {"url": "mqtt://north", "dialect": "thingsboard-gateway", "vars": {"token": "t"}}
    status, said = finish(lab, [link("a", bare, {**north, "vars": {"tocen": "t"}})])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES,
                 r"south\.vars\.token: not set, and innoway logs in with it; no handshake brings it: .*\(warning\)$",
                 r'south\.vars\.tokn: nothing in innoway uses it; did you mean "token"\? \(warning\)$',
                 r"north\.vars\.token: not set, and thingsboard-gateway logs in with it; no handshake .*\(warning\)$",
                 r'north\.vars\.tocen: nothing in thingsboard-gateway uses it; did you mean "token"\? \(warning\)$')
    _, said = finish(lab, [link("a", {**bare, "vars": {"device": "d"}, "username": ""}, {**north, "vars": {}, "username": "u"})])
    assert_lines(said, NO_MISTAKES)
    handshake = {**north, "dialect": "thingsboard", "vars": {}, "provision": {"key": "k", "secret": "s", "name": "d"}}
    _, said = finish(lab, [link("a", session("innoway", "south"), handshake)])
    assert_lines(said, NO_MISTAKES)


def test_a_session_for_each_device(lab):
    """What one session of all of them would have is no mistake, but for a client id; and each waits for its own credentials."""
    many = {"url": "mqtt://south", "dialect": "eztcloud", "vars": {"project": "P"}, "username": ""}
    north = {"url": "mqtt://north", "dialect": "thingsboard"}
    status, said = finish(lab, [link("a", many, north)])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES, r"north\.vars\.token: not set, and thingsboard logs in with it; no handshake brings it: "
                                    r"each device has a session of its own, and waits .*\(warning\)$")
    status, said = finish(lab, [link("a", many, {**north, "client_id": "c"})])
    assert status == 1
    assert "north.client_id: is one, and each device has a session of its own: leave it out" in said
    for login, key in (({"vars": {"token": "t"}}, "vars.token"), ({"username": "t"}, "username")):
        status, said = finish(lab, [link("a", many, {**north, **login})])
        assert status == 1
        assert f"north.{key}: is what one device logs in with, and each device has a session of its own" in said
    status, said = finish(lab, [link("a", many, {**north, "username": ""})])
    assert status == 0, said
    named = {"url": "mqtt://north", "dialect": "device-events", "vars": {"access_key": "k"}}
    status, said = finish(lab, [link("a", many, named)])
    assert status == 0, f"each logs in under its own name: {said}"


def test_a_program_registers_where_each_device_has_a_session(lab):
    command = {"command": ["/bin/true"]}
    one = session("eztcloud", "s")
    many = {**one, "vars": {"project": "PR_x", "secret": "s"}}
    north = {"dialect": "device-events", "url": "mqtt://n", "provision": command}
    status, said = finish(lab, [link("a", many, north)])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES)
    for south, north, told in (
            (one, {**session("device-events", "n"), "provision": command},
             r"north\.provision\.command: only where the south brings many devices and each has a session of its own"),
            (many, {**north, "provision": {**command, "key": "k"}},
             r"north\.provision\.key: it is the command that registers devices"),
            ({**many, "provision": command}, north,
             r"south\.provision\.command: devices are registered in the north")):
        status, said = finish(lab, [link("a", south, north)])
        assert status == 1 and re.search(told, said), said


def test_sessions_that_are_always_open_are_no_more_than_may_be(lab, tmp_path):
    many = {"url": "mqtt://south", "dialect": "eztcloud", "vars": {"project": "P"}, "username": ""}
    north = {"url": "mqtt://north", "dialect": "thingsboard", "connections": {"max": 1}}
    path = tmp_path / "fleet.csv"
    path.write_text("name,mode,sessions\na,,\nb,off,\nc,,on-demand\nd,,always\n")
    status, said = finish(lab, [link("a", many, north)], devices=str(path))
    assert status == 1
    assert "north.connections.max: 1, and 2 devices of the list want a session that is always open" in said
    assert finish(lab, [link("a", many, north, sessions="on-demand")], devices=str(path))[0] == 0
    status, said = finish(lab, [link("x", session("innoway", "south"), session("thingsboard", "north"), sessions="on-demand")])
    assert 'sessions = "on-demand" is for links whose devices have a session of their own' in said


OPEN = r"is a secret, and everyone may read .*/calque\.conf \(chmod 640 .*/calque\.conf, or env:NAME, or file:PATH\) \(warning\)$"
PASSWORD = {"username": "u", "password": "p"}


@pytest.mark.parametrize("north, mode, said", [
    ({"vars": {"token": "t"}}, 0o644, [r"north\.vars\.token: " + OPEN]),
    ({"vars": {"token": "t"}}, 0o604, [r"north\.vars\.token: " + OPEN]),
    ({"vars": {"token": "t"}}, 0o640, []),
    ({"vars": {"token": "env:OPEN_TOKEN"}}, 0o644, []),
    (PASSWORD, 0o644, [r"north\.password: " + OPEN]),
    ({**PASSWORD, "password": "env:OPEN_TOKEN"}, 0o644, []),
])
def test_a_secret_that_everyone_may_read_is_a_warning(lab, north, mode, said):
    """Once for a file, however many stand in it; what is no secret may be read."""
    links = [link(f"l{n}", session("innoway", "south", device=f"d{n}", token="env:OPEN_TOKEN"),
                  {"dialect": "thingsboard", "url": f"mqtt://north{n}", **north}) for n in (1, 2)]
    calque = lab.calque(conf_text({"state": "@state@", "links": links}), verb="check", start=False,
                        env={"OPEN_TOKEN": "t"})
    os.chmod(calque.conf_path, mode)
    calque.start()
    assert calque.wait_end() == 0
    assert_lines("\n".join(calque.lines), NO_MISTAKES, *said)


def test_a_dialect_that_is_nearly_there(lab):
    status, said = finish(lab, [link("a", session("inoway", "south", device="d"), session("thingsboard", "north"))])
    assert status == 1, said
    assert_lines(said, r'south: there is no mapping "inoway"; did you mean "innoway"\?$')


def test_a_large_fleet_is_checked_in_no_time(lab):
    """Of the processor's: a machine may have other things to do."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, said = finish(lab, [link(f"l{n}", session("innoway", "south", device=f"d{n}"),
                                     session("thingsboard", "n", token=f"t{n}")) for n in range(200)])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert status == 0, said
    assert_lines(said, NO_MISTAKES)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


# --- loops -------------------------------------------------------------------------------------------------------

def back_to_back(south, north):
    return [link("there", session(south, "one"), session(north, "two")),
            link("back", session(north, "two"), session(south, "one"))]


def test_run_refuses_what_check_does(lab):
    links = back_to_back("innoway", "thingsboard")
    assert finish(lab, links, "run") == finish(lab, links) and finish(lab, links)[0] == 1


@pytest.mark.parametrize("south, north", PAIRS)
def test_two_links_back_to_back_are_refused(lab, south, north):
    status, said = finish(lab, back_to_back(south, north))
    assert status == 1, said
    loops = [line for line in said.splitlines() if ": loop: " in line]
    assert all(re.search(VOICE, line) for line in said.splitlines() if line not in loops), said
    row = r"\(\S+\.jq: messages\[\d+\]\)"
    for line in loops:
        assert re.search(rf"calque\.conf:\d+: (south|north): loop: \w+ read here {row} would come back: "
                         rf'link there writes "\S+" on its (south|north) {row}, and link back reads it on its '
                         rf"(south|north) as \w+ {row}; ", line), line
        assert re.search(r", and link there reads it on its (south|north) again(; likewise [\w, ]+)?$", line), line
    assert any("south: loop" in line for line in loops) and any("north: loop" in line for line in loops)


def test_a_loop_names_its_places(lab):
    status, said = finish(lab, [link("x", session("eztcloud", "here"), session("eztcloud", "here"))])
    assert status == 1
    assert_lines(
        said,
        r'calque\.conf:4: south: loop: attributes read here \(eztcloud\.jq: messages\[1\]\) would come back: link x '
        r'writes "open/PR_x/ez-1/attributes" on its north \(eztcloud\.jq: messages\[1\]\), and link x reads it on its '
        r'south again; likewise ([\w]+, )*event, alarm, presence, raw$',
        r"calque\.conf:13: north: loop: command read here .*; likewise config$")


def test_a_device_may_become_another_on_the_same_broker(lab):
    status, said = finish(lab, [link("x", session("eztcloud", "here", device="a"),
                                     session("eztcloud", "here", device="b"))])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES)


@pytest.mark.parametrize("url, is_same", [("localhost:1883", True), ("LOCALHOST", True), ("[::1]", True),
                                          ("127.0.0.1:1884", False), ("127.0.0.2", False)])
def test_a_broker_is_a_host_and_a_port(lab, url, is_same):
    status, said = finish(lab, [link("x", session("eztcloud", "127.0.0.1"), session("eztcloud", url))])
    assert status == int(is_same), said


def test_a_mirror_does_not_lead_down(lab):
    links = [link("there", session("eztcloud", "one"), session("innoway", "two"), mode="mirror"),
             link("back", session("innoway", "two"), session("eztcloud", "one"))]
    status, said = finish(lab, links)
    assert status == 1
    assert_lines(said, r"south: loop: .*; likewise ([\w]+, )*event\b")


def test_a_loop_of_handshakes_is_a_warning(lab):
    """The older page of Innoway's manual and ThingsBoard ask on the same topic."""
    status, said = finish(lab, [link("x", session("innoway", "one"), session("thingsboard", "one"))])
    assert status == 0
    assert_lines(said, r'calque\.conf:4: south: loop: provision read here .* "/provision/request" .* \(warning\)$',
                 NO_MISTAKES)


@pytest.mark.parametrize("more, is_told", [
    ({}, True), ({"mqtt": 4}, True), ({"mqtt": 5}, False), ({"username": "u"}, False)])
def test_a_password_without_a_user_name_is_a_warning(lab, more, is_told):
    """MQTT 3.1.1 forbids it; the user name of innoway is the device, of which there are many here."""
    south = {"dialect": "innoway", "url": "mqtt://one", "vars": {"token": "t"}, **more}
    north = {"dialect": "thingsboard-gateway", "url": "mqtt://two", "vars": {"token": "t"}}
    status, said = finish(lab, [link("x", south, north)])
    assert status == 0
    told = [r"south\.(username|vars\.device): not set, and MQTT 3\.1\.1 has no password without a user name: .*\(warning\)$"]
    assert_lines(said, *told[:is_told], NO_MISTAKES)


@pytest.mark.parametrize("north, is_told", [
    ({}, True),
    ({"provision": {"key": "k", "secret": "s"}}, True),
    ({"provision": {"key": "k", "secret": "s", "name": "pump seven"}}, False),
    ({"vars": {"token": "t"}}, False),
    ({"vars": {"token": "t"}, "provision": {"key": "k", "secret": "s"}}, True),
])
def test_a_link_that_any_device_may_take_is_a_warning(lab, north, is_told):
    """The operator's key would make a device of any name, and the link would log in as that."""
    north = {"dialect": "thingsboard", "url": "mqtt://two", **north}
    status, said = finish(lab, [link("x", session("innoway", "one"), north)])
    assert status == 0
    told = [r"calque\.conf:\d+: north\.provision\.name: not set: the link is that device's which first .* \(warning\)$"]
    assert_lines(said, *told[:is_told], NO_MISTAKES)


# --- rows --------------------------------------------------------------------------------------------------------

OTHER = '{ kind: "telemetry", topic: "o/t" }'


def test_a_row_that_can_never_be_read_is_told(lab):
    mappings = write_mappings(lab, other=OTHER, rows="""
        { kind: "raw", topic: "r/{device}/{rest...}", format: "bytes" },
        { kind: "event", topic: "r/{device}/{name}" },
        { kind: "attributes", topic: "r/{device}/{name}/{rest...}" }""")
    status, said = finish(lab, [link("x", session("rows", "one", device="d"), session("other", "two"))],
                          mappings=mappings)
    assert status == 0
    assert_lines(said, r'calque\.conf:5: south: "r/d/\{rest\.\.\.\}" \(rows\.jq: messages\[0\]\) can never be read: more '
                       r"specific rows take all its topics \(warning\)$", NO_MISTAKES)


def test_values_that_upset_topics_are_told(lab):
    mappings = write_mappings(lab, other=OTHER, rows="""
        { kind: "event", topic: "a/{line}" }, { kind: "alarm", topic: "a/main" },
        { kind: "raw", topic: "{line}/{x}/b", format: "bytes" }, { kind: "claim", topic: "{x}/{line}/b" }""")
    status, said = finish(lab, [link("x", session("rows", "one", line="main"), session("other", "two"))],
                          mappings=mappings)
    assert status == 1
    assert_lines(said, r'calque\.conf:5: south\.vars: with these values "a/main" \(rows\.jq: messages\[0\]\) and '
                       r'"a/main" \(rows\.jq: messages\[1\]\) are one topic \(warning\)$',
                 r'calque\.conf:5: south\.vars: with these values "main/\{x\}/b" .* and "\{x\}/main/b" .* overlap, and '
                 r"neither is more specific$")


# --- ids ---------------------------------------------------------------------------------------------------------

def check_licenses(lab, south, north):
    mappings = write_mappings(lab, low=f'{{ kind: "license", {south} }}---def f: .;',
                              high=f'{{ kind: "license", {north} }}---def f: .;')
    return finish(lab, [link("x", session("low", "one", device="d"), session("high", "two"))], mappings=mappings)


def test_an_id_that_no_message_gives_is_told(lab):
    status, said = check_licenses(lab, 'topic: "l/{id}"', 'topic: "l"')
    assert status == 1
    assert_lines(said, r"calque\.conf:5: south: topic of low\.jq: messages\[0\] \(license\) needs an \{id\}, and no "
                       r"license read on the north gives one \(high\.jq: messages\[0\]\)$")


@pytest.mark.parametrize("north", ['topic: "l/{id}"', 'topic: "l", read: "f"'])
def test_an_id_that_a_message_may_give_is_no_mistake(lab, north):
    status, said = check_licenses(lab, 'topic: "l/{id}"', north)
    assert status == 0, said
    assert_lines(said, NO_MISTAKES)


def test_ids_that_never_convert_are_told(lab):
    status, said = check_licenses(lab, 'topic: "l/{id}", id: "integer"', 'topic: "l/{id}", id: "uuid"')
    assert status == 1
    assert_lines(said, r"calque\.conf:5: south: license takes integer ids \(low\.jq: messages\[0\]\), and the north "
                       r"gives uuid ids \(high\.jq: messages\[0\]\), which never convert$")


def test_ids_that_may_not_convert_are_a_warning(lab):
    status, said = check_licenses(lab, 'topic: "l/{id}", id: "integer"', 'topic: "l/{id}"')
    assert status == 0
    assert_lines(said, r"south: license takes integer ids .* string ids .*, which may not convert \(warning\)$",
                 NO_MISTAKES)


def test_replies_that_never_match_are_told(lab):
    mappings = write_mappings(
        lab, high='{ kind: "command", topic: "c", read: "f" }---def f: .;',
        low='{ kind: "command", topic: "c/{id}", id: "integer" }, { kind: "command_reply", topic: "r/{id}", id: "uuid" }')
    status, said = finish(lab, [link("x", session("low", "one", device="d"), session("high", "two"))],
                          mappings=mappings)
    assert status == 1
    assert_lines(said, r"calque\.conf:5: south: command is asked with integer ids \(low\.jq: messages\[0\]\), and its "
                       r"replies are read with uuid ids \(low\.jq: messages\[1\]\), so none is ever found$")


# --- what was told before ----------------------------------------------------------------------------------------

def test_a_variable_that_no_message_gives_is_told(lab):
    south = session("eztcloud", "one")
    del south["vars"]["project"]
    status, said = finish(lab, [link("x", south, session("thingsboard", "two"))])
    assert status == 1
    assert_lines(said, r"calque\.conf:4: south\.vars\.project: not set \(nor a column of the list of devices\), and topic of messages\[\d+\] needs it$")


def test_mistakes_of_all_links_are_told_at_once(lab):
    south = session("eztcloud", "one")
    del south["vars"]["project"]
    mappings = write_mappings(lab, low='{ kind: "license", topic: "l/{id}" }', high='{ kind: "license", topic: "l" }')
    status, said = finish(lab, [link("a", south, session("thingsboard", "two")),
                                link("b", session("low", "one", device="d"), session("high", "two")),
                                link("c", session("innoway", "one"), session("innoway", "one"))], mappings=mappings)
    assert status == 1
    for pattern in (r":\d+: south\.vars\.project: ", r":\d+: south: topic of low\.jq", r":\d+: south: loop: ",
                    r":\d+: north: loop: "):
        assert re.search(pattern, said), f"{pattern}\n{said}"


def test_commands_may_be_good_for_ten_years(lab):
    """In milliseconds that is more than an int holds."""
    status, said = finish(lab, [link("x", session("innoway", "south"), session("thingsboard", "north"),
                                     command_max_age=10 * 366 * 86400)])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES)


def test_one_second_is_too_little_for_mqtt_5(lab):
    """Which counts whole seconds, and in the last one nothing is sent."""
    def check(mqtt, **options):
        south = {**session("innoway", "south"), "mqtt": mqtt}
        return finish(lab, [link("x", south, session("thingsboard", "north"), **options)])
    for key in ("command_max_age", "request_timeout"):
        status, said = check(5, **{key: 1})
        assert status == 1 and re.search(rf":\d+: south: with {key} = 1 no command passes by MQTT 5", said), said
        assert check(5, **{key: 2})[0] == check(4, **{key: 1})[0] == 0


# --- settings of later versions ------------------------------------------------------------------------------------

def test_settings_that_are_not_acted_on_are_said(lab):
    south = {**session("innoway", "south"), "connections": {"max": 5}}
    status, text = finish(lab, [link("x", south, session("thingsboard", "north"), command_max_age=5)],
                          admin="127.0.0.1:0")
    assert status == 0
    assert_lines(text, r"calque\.conf:\d+: south\.connections\.max: this version does not act on it yet \(warning\)$", NO_MISTAKES)


@pytest.mark.parametrize("settings, told, code", [
    ({"admin": "0.0.0.0:1"}, r"admin: others reach it, and there is no TLS.*without admin_token only", 0),
    ({"admin": "[::]:1", "admin_token": "x" * 16}, r"admin_token: stands in the text of the configuration", 0),
    ({"admin": ":1", "admin_token": "x" * 15}, r"admin_token: 16 bytes at least are wanted$", 1),
    ({"admin": "localhost"}, r'admin: HOST:PORT is wanted, or "" for off$', 1),
    ({"admin": ":1", "admin_token": "file:/nowhere"}, r"admin_token: .*/nowhere", 1)])
def test_what_the_admin_interface_lacks_is_said(lab, settings, told, code):
    status, text = finish(lab, [link("x", session("innoway", "south"), session("thingsboard", "north"))], **settings)
    assert status == code, text
    assert re.search(told, text, re.M), text
    assert "x" * 15 not in text


@pytest.mark.parametrize("north, more, is_told", [
    ("eztcloud", {"first_snapshot": "push"}, True), ("thingsboard", {"first_snapshot": "push", "mode": "mirror"}, True),
    ("thingsboard", {"first_snapshot": "push"}, False), ("thingsboard-gateway", {"first_snapshot": "push"}, False),
    ("eztcloud", {"first_snapshot": "learn"}, False)])
def test_a_first_snapshot_that_nobody_asks_for_is_told(lab, north, more, is_told):
    status, said = finish(lab, [{**link("x", session("innoway", "south"), session(north, "north")), **more}])
    assert status == 0, said
    assert_lines(said, NO_MISTAKES,
                 *[rf'north: first_snapshot = "push" does nothing: {north} is asked for no snapshot .*\(warning\)$'] * is_told)


@pytest.mark.parametrize("south, north, more, told", [
    ("innoway", "thingsboard", {"presence": "session"}, None),
    ("innoway", "thingsboard-gateway", {"presence": "session"}, r'presence = "session" is for links whose devices have a session'),
    ("innoway", "thingsboard", {"offline_after": 600}, None),
    ("talks", "thingsboard", {"presence": "session"}, r'presence = "session" closes none'),
    ("talks", "thingsboard", {"presence": "session", "offline_after": 600}, None),
    ("innoway", "talks", {"offline_after": 600}, r"offline_after does nothing: talks has no message")])
def test_what_does_nothing_about_presence_is_told(lab, south, north, more, told):
    mappings = write_mappings(lab, talks='{ kind: "telemetry", topic: "{device}/t" }')
    sides = {side: {"dialect": d, "url": f"mqtt://{side}", "username": ""} for side, d in (("south", south), ("north", north))}
    _, said = finish(lab, [{"name": "x", **sides, **more}], mappings=mappings)
    found = re.findall(r"north: ((?:presence|offline_after).*)\(warning\)$", said, re.M)
    assert len(found) == bool(told), said
    assert not told or re.match(told, found[0]), said
