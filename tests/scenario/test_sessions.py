"""What goes wrong on the way: brokers that go and come back, refused logins, bad messages, bad configurations."""

import os
import socket
import stat

import pytest

from harness import (MQTT5, Calque, Client, assert_json, conf_text, conf_value, dead_letter, find_secret, free_port,
                     same_json, spellings)
from test_admin import Admin
from worlds import EZtDeviceEvents, InnowayThingsBoard

# --- brokers that go and come back -------------------------------------------------------------------------------


@pytest.fixture
def innoway(lab):
    world = InnowayThingsBoard(lab)
    yield world
    if world.calque.is_running():
        world.calque.stop()


@pytest.fixture
def ezt(lab):
    world = EZtDeviceEvents(lab)
    yield world
    if world.calque.is_running():
        world.calque.stop()


def assert_traffic(world, n):
    """Both directions, so the subscriptions of both sides."""
    world.device.attributes(n=n)
    world.tb.client.wait_for(lambda m: m.topic == world.tb.ATTRIBUTES and same_json(m.json(), {"n": n}))
    number = world.tb.call("echo", {"n": n})
    command = world.device.next("command")
    world.device.reply(command["id"], result=n)
    assert world.tb.reply(number) == n


def test_a_device_keeps_its_client_id_beside_the_bridge(lab):
    """device-events in the south: calque logs in as an application, not as the device that is there already."""
    south, north = lab.broker("south"), lab.broker("north")
    device = lab.add(Client(south.port, "d1", mqtt=MQTT5))
    cloud = lab.add(Client(north.port)).subscribe("v1/devices/me/telemetry")
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "room",
        "south": {"dialect": "device-events", "url": south.url, "vars": {"device": "d1", "access_key": "k"}},
        "north": {"dialect": "thingsboard", "url": north.url, "vars": {"token": "t"}}}]}))
    calque.wait_up("room", count=2)
    device.publish("v1/device/d1/telemetry", {"status": "online", "telemetries": {"fan": 900}},
                   properties={"device_id": "d1", "access_key": "k"})
    cloud.expect("v1/devices/me/telemetry", {"fan": 900})
    assert [client for client, *_ in south.logins()].count("d1") == 1
    calque.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("sides", [("south",), ("north",), ("south", "north")], ids="+".join)
def test_traffic_resumes_when_brokers_come_back(innoway, sides, end):
    """stop: the broker keeps its sessions. kill: it has forgotten everything, subscriptions included."""
    brokers = {"south": innoway.south, "north": innoway.north}
    clients = {"south": innoway.device.client, "north": innoway.tb.client}
    assert_traffic(innoway, 1)
    mark = innoway.calque.mark()
    for side in sides:
        getattr(brokers[side], end)()
    for side in sides:
        innoway.calque.wait_down(innoway.LINK, side, mark)
        clients[side].wait_lost()
    mark = innoway.calque.mark()
    for side in sides:
        brokers[side].start()
    for side in sides:
        innoway.calque.wait_up(innoway.LINK, side, mark)
        clients[side].wait_ready()
        lost = innoway.calque.matching(rf"session-lost link={innoway.LINK} side={side} ", mark)
        assert len(lost) == (end == "kill")
    assert_traffic(innoway, 2)


def test_what_came_up_while_the_north_was_away_is_delivered(innoway):
    mark = innoway.calque.mark()
    innoway.north.stop()
    innoway.calque.wait_down(innoway.LINK, "north", mark)
    for n in range(50):
        innoway.device.attributes(n=n)
    innoway.north.start()
    seen = [innoway.tb.attributes()["n"] for _ in range(50)]
    assert seen == list(range(50))


def test_what_came_down_while_the_south_was_away_is_delivered(innoway):
    innoway.tb.push(rate=1)
    innoway.device.next("config")
    mark = innoway.calque.mark()
    innoway.south.stop()
    innoway.calque.wait_down(innoway.LINK, "south", mark)
    for rate in range(2, 12):
        innoway.tb.push(rate=rate)
    innoway.south.start()
    innoway.device.client.wait_for(
        lambda m: m.topic == innoway.device.topic("config") and same_json(m.json(), {"rate": 11}))


def test_nothing_acknowledged_is_lost_when_the_bridge_is_killed(innoway):
    """SIGKILL in the middle of a stream, twice: every message arrives, at least once."""
    for n in range(300):
        innoway.device.attributes(n=n)
        if n in (100, 200):
            innoway.calque.kill()
            innoway.calque.start()
    missing = set(range(300))
    while missing:
        missing.discard(innoway.tb.attributes()["n"])


def test_the_bridge_starts_before_its_brokers(lab):
    world = InnowayThingsBoard(lab, start=False)
    world.south.stop()
    world.north.stop()
    world.calque.start()
    world.calque.wait_down(world.LINK, "south")
    world.calque.wait_down(world.LINK, "north")
    world.south.start()
    world.north.start()
    world.wait_up()
    world.device.client.wait_ready()
    world.tb.client.wait_ready()
    assert_traffic(world, 1)
    world.calque.stop()


def test_a_link_that_cannot_connect_does_not_hold_up_another(lab):
    world = InnowayThingsBoard(lab, start=False)
    conf = lab.example("innoway-to-thingsboard", world.south, world.north)
    dead = {"name": "dead",
            "south": {"dialect": "innoway", "url": f"mqtt://127.0.0.1:{free_port()}", "vars": {"device": "d"}},
            "north": {"dialect": "thingsboard", "url": "mqtt://nosuch.invalid:1883", "vars": {"token": "t" * 20}}}
    world.calque.configure(conf.rstrip().removesuffix(");") + ", " + conf_value(dead) + ");\n")
    world.calque.start()
    world.wait_up()
    world.calque.wait_down("dead", "south")
    assert_traffic(world, 1)
    world.calque.wait_down("dead", "north")
    world.calque.stop()


# --- logins and TLS ----------------------------------------------------------------------------------------------

def wait_tries(broker, count):
    """Wait until so many connections have come to the broker's TLS port."""
    broker.wait_log(rf"New connection from \S+ on port {broker.tls_port}", count=count)


def test_a_refused_login_is_named_and_tried_again(lab):
    world = EZtDeviceEvents(lab, start=False)
    world.north.stop()
    world.north.set_users({**world.users, world.XY_DEVICE: "another access key"})
    world.north.start()
    world.calque.start()
    world.calque.wait_up(world.LINK, "south")
    world.calque.wait_log(rf"login-refused link={world.LINK} side=north .*(?i:not authori[sz]ed|bad user ?name or password)")
    world.ez.attributes(early=1)
    world.north.stop()
    world.north.set_users(world.users)
    world.north.start()
    world.calque.wait_up(world.LINK, "north", timeout=90)  # the first retry is 15 to 30 s away: no account gets locked
    assert_json(world.cloud.telemetry()["telemetries"], {"early": 1})
    world.calque.stop()


def test_a_certificate_of_another_authority_is_refused(lab):
    world = EZtDeviceEvents(lab, tls=True, start=False)
    good, other = lab.authority().ca, lab.authority("other").ca
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    assert conf.count(good) == 2
    world.calque.configure(conf[::-1].replace(good[::-1], other[::-1], 1)[::-1])  # the north's
    world.calque.start()
    world.calque.wait_up(world.LINK, "south")
    world.calque.wait_log(rf"session-down link={world.LINK} side=north .*(?i:certificate)")
    wait_tries(world.north, 2)
    assert not world.calque.matching("session-up .*side=north")
    assert world.XY_DEVICE not in {user for _, user, _ in world.north.logins()}
    world.calque.stop()


def test_a_certificate_for_another_name_is_refused(lab):
    """The authority is right, the name in the certificate is not; `server_name` says which is expected."""
    world = EZtDeviceEvents(lab, tls=True, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    head, tail = conf.rsplit("ca = ", 1)
    for name, is_good in (("broker.example", False), ("localhost", True)):
        mark = world.calque.mark()
        world.calque.configure(f'{head}server_name = "{name}"; ca = {tail}')
        world.calque.start()
        if is_good:
            world.calque.wait_up(world.LINK, "north", mark)
        else:
            world.calque.wait_log(rf"session-down link={world.LINK} side=north .*(?i:certificate|host)", mark)
            assert not world.calque.matching("session-up .*side=north", mark)
        world.calque.stop()


@pytest.mark.parametrize("has_certificate", [True, False])
def test_client_certificates(lab, has_certificate):
    """And when they expire, ours and the broker's, is among the metrics."""
    ca = lab.authority()
    south = lab.broker("south")
    north = lab.broker("north", tls=ca, client_certificates=True)
    tls = {"ca": ca.ca}
    if has_certificate:
        tls.update(cert=ca.client[0], key=ca.client[1])
    calque = lab.calque(conf_text({"state": "@state@", "admin": "127.0.0.1:0", "links": [{
        "name": "tls",
        "south": {"dialect": "innoway", "url": south.url, "vars": {"device": "d"}},
        "north": {"dialect": "thingsboard", "url": north.url, "vars": {"token": "tb-device-token"}, "tls": tls}}]}))
    if has_certificate:
        calque.wait_up("tls", "north")
        told = Admin(calque).metrics()
        assert 2.9 < told['calque_certificate_expiry_days{link="tls",side="north"}'] <= 3
        assert 1.9 < told['calque_server_certificate_expiry_days{link="tls",side="north"}'] <= 2
        assert 'calque_server_certificate_expiry_days{link="tls",side="south"}' not in told, "it is plain"
        north.stop()
        calque.wait_down("tls", "north")
        assert 'calque_server_certificate_expiry_days{link="tls",side="north"}' in Admin(calque).metrics(), "the last known"
    else:
        calque.wait_down("tls", "north")
        wait_tries(north, 2)
        assert not calque.matching("session-up link=tls side=north")
    calque.stop()


# --- messages that cannot be carried -----------------------------------------------------------------------------

def assert_goes_on(world):
    """The link still works."""
    world.ez.attributes(fence=1)
    assert_json(world.cloud.telemetry(), {"status": "online", "telemetries": {"fence": 1}})


@pytest.mark.parametrize("payload", [b"{", b"21.5 21.6", b"\xff\xfe", b'{"a":"\xff"}', b"[" * 20000, b'"text"'],
                         ids=["cut", "two", "binary", "bad-utf8", "deep", "no-object"])
def test_a_bad_payload_is_a_dead_letter(ezt, payload):
    """Logged once for three of the kind; the link goes on."""
    for _ in range(3):
        ezt.ez.publish("attributes", payload)
    assert_goes_on(ezt)
    ezt.calque.wait_log(dead_letter(ezt.LINK, "up"))
    assert len(ezt.calque.matching(dead_letter(ezt.LINK, "up"))) == 1


def test_a_bad_payload_from_the_north_is_a_dead_letter(ezt):
    ezt.cloud.client.publish(ezt.cloud.topic("config"), "{", response_topic=ezt.cloud.topic("config/update"))
    ezt.calque.wait_log(dead_letter(ezt.LINK, "down"))
    ezt.cloud.config(1, rate=1)
    assert_json(ezt.ez.pushed(), {"rate": 1})


def test_a_bad_payload_is_not_quoted_in_the_log(ezt):
    ezt.ez.publish("attributes", '{"password": "canary-in-a-payload", ')
    ezt.calque.wait_log(dead_letter(ezt.LINK, "up"))
    assert not ezt.calque.matching("canary-in-a-payload")


def test_raw_data_over_the_limit_of_the_platform_is_a_dead_letter(ezt):
    ezt.ez.data("big", "x" * 1001)
    ezt.calque.wait_log(dead_letter(ezt.LINK, "up"))
    ezt.ez.data("fits", "x" * 1000)
    assert_json(ezt.cloud.telemetry(), {"status": "online", "telemetries": {"fits": "x" * 1000}})


def test_a_payload_over_the_limit_of_the_dialect_is_a_dead_letter(innoway):
    """ThingsBoard closes the connection on more than 65536 bytes: it must not get there."""
    innoway.device.attributes(big="x" * 70000)
    innoway.calque.wait_log(dead_letter(innoway.LINK, "up"))
    innoway.device.attributes(small=1)
    assert_json(innoway.tb.attributes(), {"small": 1})
    assert not innoway.calque.matching("session-down")


def test_a_packet_over_the_limit_of_the_broker_is_a_dead_letter(lab):
    """MQTT 5: the broker says what it takes."""
    world = EZtDeviceEvents(lab, north="max_packet_size 2000")
    world.ez.attributes(**{f"key{i}": "x" * 500 for i in range(10)})
    world.calque.wait_log(dead_letter(world.LINK, "up"))
    assert_goes_on(world)
    assert not world.calque.matching("session-down")
    world.calque.stop()


def test_a_reply_that_nobody_asked_for_does_no_harm(ezt):
    ezt.ez.publish("command_reply", {"method": "set_fan", "params": {}, "id": 4711})
    assert_goes_on(ezt)
    assert not ezt.cloud.client.waiting(ezt.cloud.topic("commands/update"))


def test_the_counters_add_up(ezt):
    """received = delivered + filtered + dead + pending, each way."""
    for n in range(5):
        ezt.ez.attributes(n=n)
        ezt.cloud.telemetry()
    for payload in ("{", "[}"):
        ezt.ez.publish("attributes", payload)
    ezt.ez.online(True)
    ezt.cloud.telemetry()
    ezt.ez.online(True)  # no change: filtered
    ezt.cloud.config(1, rate=1)
    ezt.ez.pushed()
    ezt.cloud.config_update()  # answers the echo, so all before it is through
    ezt.calque.stop()
    up, down = (ezt.calque.counters(ezt.LINK, flow) for flow in ("up", "down"))
    for c in (up, down):
        assert c["received"] == c["delivered"] + c["filtered"] + c["dead"] + c["pending"], c
    assert (up["received"], up["delivered"], up["filtered"], up["dead"]) == (10, 7, 1, 2), up
    assert (down["received"], down["delivered"]) == (1, 1), down


def test_a_retained_command_is_not_carried_out(lab):
    """Nobody wants to start a pump because somebody once did."""
    world = InnowayThingsBoard(lab, start=False)
    world.tb.call("start_pump", retain=True)
    world.calque.start()
    world.calque.wait_log(dead_letter(world.LINK, "down"))
    world.wait_up()
    number = world.tb.call("status")
    command = world.device.next("command")
    assert command["name"] == "status"
    world.device.reply(command["id"], result="ok")
    assert world.tb.reply(number) == "ok"
    world.calque.stop()


def test_a_command_that_nobody_answers_times_out(lab):
    world = EZtDeviceEvents(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf.replace('name = "meeting-room-3";', 'name = "meeting-room-3"; request_timeout = 1;'))
    world.calque.start()
    world.wait_up()
    number = world.cloud.command("set_fan")
    command = world.ez.command()
    update = world.cloud.command_update()
    assert (update["id"], update["status"]) == (number, "error")
    world.ez.reply(command, late=True)
    assert_goes_on(world)
    assert not world.cloud.client.waiting(world.cloud.topic("commands/update"))
    world.calque.stop()


# --- a mapping of one's own --------------------------------------------------------------------------------------

FACTORY = """\
# The old factory line: one topic per line and sensor.
module {
  dialect: "factory",
  about: "Factory line controllers, 2009",
  device: "topic",
  messages: [
    { kind: "telemetry", topic: "factory/{device}/temp",  read: "temp" },
    { kind: "claim",     topic: "factory/{device}/claim" },
    { kind: "request",   topic: "factory/{device}/ask/{id}" },
    { kind: "attributes", topic: "factory/{device}/loop", read: "loop" },
    { kind: "command",   topic: "factory/{device}/do",    write: "do", format: "text" }
  ]
};
def temp: { ts: (.payload.at * 1000), body: { temperature: .payload.v } };
def loop: def again: again; again;
def do:   .body.name;
"""


@pytest.fixture
def factory(lab):
    """A link whose south is a dialect written for this test."""
    world = EZtDeviceEvents(lab, start=False)
    mappings = os.path.join(lab.directory, "mappings")
    os.makedirs(mappings)
    with open(os.path.join(mappings, "factory.jq"), "w", encoding="utf-8") as file:
        file.write(FACTORY)
    world.line = lab.add(Client(world.south.port, "line", "cloud", world.CLOUD))
    world.line.subscribe("factory/l1/do")
    world.calque.configure(conf_text({"state": "@state@", "mappings": (mappings,), "links": [{
        "name": "line",
        "south": {"dialect": "factory", "url": world.south.url, "vars": {"device": "l1"},
                  "username": "cloud", "password": world.CLOUD},
        "north": {"dialect": "device-events", "url": world.north.url,
                  "vars": {"device": world.XY_DEVICE, "access_key": world.ACCESS_KEY}}}]}))
    world.calque.start()
    world.calque.wait_up("line", count=2)
    yield world
    world.calque.stop()


def assert_temperature(world, value):
    world.line.publish("factory/l1/temp", {"v": value, "at": 1700000000.25})
    assert_json(world.cloud.telemetry(), {"status": "online", "timestamp": "2023-11-14T22:13:20.250Z",
                                          "telemetries": {"temperature": value}})


def test_a_dialect_of_ones_own(factory):
    assert_temperature(factory, 21.5)
    factory.cloud.command("start")
    assert factory.line.wait_for("factory/l1/do").payload == b"start"


def test_an_error_in_a_mapping_is_a_dead_letter(factory):
    factory.line.publish("factory/l1/temp", {"v": 21.5})  # no time: null times 1000
    factory.calque.wait_log(dead_letter("line", "up"))
    assert_temperature(factory, 22)


def test_a_kind_without_counterpart_is_not_heard_but_a_request_is(factory):
    factory.line.publish("factory/l1/claim", {"secret": "s"})
    factory.line.publish("factory/l1/ask/7", {"name": "time"})
    factory.calque.wait_log(dead_letter("line", "up"))
    assert_temperature(factory, 22)
    factory.calque.stop()
    up = factory.calque.counters("line", "up")
    assert (up["received"], up["dead"]) == (2, 1), up


def test_a_mapping_that_loops_costs_one_message(factory):
    factory.line.publish("factory/l1/loop", {})
    factory.calque.wait_log(dead_letter("line", "up"))
    assert_temperature(factory, 22)


# --- configurations that are refused -----------------------------------------------------------------------------

@pytest.fixture
def wire():
    """A port that must not be connected to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


def run_to_end(lab, conf, env=None):
    calque = lab.calque(conf, env=env)
    status = calque.wait_end()
    calque.assert_clean()
    return status, calque


def test_every_mistake_of_a_configuration_is_listed(lab, wire):
    status, calque = run_to_end(lab, f"""\
state = "@state@";
stat = "typo";
links = (
  {{
    name = "a/b";
    mode = "sideways";
    south = {{
      dialect = "innoway";
      url = "mqtt://127.0.0.1:{wire}";
      keepalive = "soon";
      colour = "red";
      vars = {{ device = "d"; token = "env:NOT_SET_ANYWHERE"; }};
    }};
    north = {{
      dialect = "thingsboard";
      url = "ftp://127.0.0.1:{wire}";
      mqtt = 3;
      vars = {{ token = "file:/nonexistent/secret"; }};
    }};
  }}
);
""")
    assert status == 1
    for line, key in ((2, "stat"), (5, "name"), (6, "mode"), (10, "keepalive"), (11, "colour"), (12, "token"),
                      (16, "url"), (17, "mqtt"), (18, "token")):
        assert calque.matching(rf"calque\.conf:{line}: (\S*\b)?{key}: \S"), f"line {line}, {key}\n{calque.log()}"


def test_a_syntax_error_names_its_line(lab, wire):
    status, calque = run_to_end(lab, f'state = "@state@";\nlinks = (\n  {{ name = "x" url = "mqtt://127.0.0.1:{wire}" }}\n);\n')
    assert status == 1
    assert calque.matching(r"calque\.conf:3: ")


def test_every_mistake_of_a_mapping_is_listed(lab, wire):
    mappings = os.path.join(lab.directory, "mappings")
    os.makedirs(mappings)
    files = {
        "one.jq": 'module { dialect: "one", colour: "red", device: "topic", messages: ['
                  '{ kind: "telemetry", topic: "one/{device}/t", read: "nosuch" },'
                  '{ kind: "telemetri", topic: "one/{device}/u" },'
                  '{ kind: "event", topic: "one/+/v" } ] };\n',
        "two.jq": 'module { dialect: "two", device: "topic", messages: ['
                  '{ kind: "telemetry", topic: "two/{device}/t", write: "t" } ] };\ndef t: env;\n',
    }
    for name, text in files.items():
        with open(os.path.join(mappings, name), "w", encoding="utf-8") as file:
            file.write(text)
    status, calque = run_to_end(lab, conf_text({"state": "@state@", "mappings": (mappings,), "links": [{
        "name": "x",
        "south": {"dialect": "one", "url": f"mqtt://127.0.0.1:{wire}", "vars": {"device": "d"}},
        "north": {"dialect": "two", "url": f"mqtt://127.0.0.1:{wire}", "vars": {"device": "d"}}}]}))
    assert status == 1
    for pattern in (r"one\.jq: .*\bcolour\b", r"one\.jq: messages\[1\]\.kind: ", r"one\.jq: messages\[2\]\.topic: ",
                    r"two\.jq\S* .*\benv\b"):
        assert calque.matching(pattern), f"{pattern}\n{calque.log()}"


def test_an_unknown_dialect_and_a_typo_are_both_listed(lab, wire):
    status, calque = run_to_end(lab, conf_text({"state": "@state@", "links": [{
        "name": "x", "colour": "red",
        "south": {"dialect": "nosuch", "url": f"mqtt://127.0.0.1:{wire}", "vars": {"device": "d"}},
        "north": {"dialect": "thingsboard", "url": f"mqtt://127.0.0.1:{wire}", "vars": {"token": "t"}}}]}))
    assert status == 1
    assert calque.matching(r"calque\.conf:\d+: (\S*\b)?colour: \S")
    assert calque.matching("nosuch")


def test_a_device_less_south_to_one_device_is_refused(lab, wire):
    """Every device of the broker would write into one device of the cloud."""
    status, calque = run_to_end(lab, conf_text({"state": "@state@", "links": [{
        "name": "x",
        "south": {"dialect": "innoway", "url": f"mqtt://127.0.0.1:{wire}"},
        "north": {"dialect": "thingsboard", "url": f"mqtt://127.0.0.1:{wire}", "vars": {"token": "t"}}}]}))
    assert status == 1
    assert calque.matching(r"calque\.conf:\d+: \S")


def test_two_bridges_do_not_share_a_state_directory(innoway, lab):
    other = Calque(os.path.join(lab.directory, "second"), "", start=False)
    with open(innoway.calque.conf_path, encoding="utf-8") as file:
        other.configure(file.read())
    other.env = innoway.calque.env
    lab.add_process(other)
    other.start()
    assert other.wait_end() in (1, 3)
    assert other.matching(innoway.calque.state)
    assert_traffic(innoway, 1)


# --- secrets -----------------------------------------------------------------------------------------------------

CANARIES = {"IW_TOKEN": "canary-innoway-token-7d1f", "SECRET": "canary-profile-secret-91aa",
            "ISSUED": "canary-issued-token-c03b", "DEVICE_SECRET": "canary-device-secret-5e7c"}


def assert_kept(calque, secrets):
    """None of the secrets is in the log or in clear in the state directory; nobody else may look into that."""
    log = calque.log(100000)
    for secret in secrets:
        assert not any(s.decode() in log for s in spellings(secret)), f"{secret} is in the log"
        assert find_secret(calque.state, secret) == []
    assert stat.S_IMODE(os.stat(calque.state).st_mode) == 0o700
    for folder, _, names in os.walk(calque.state):
        for name in names:
            assert stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) & 0o077 == 0, name


def test_secrets_of_a_handshake_are_kept(lab, monkeypatch):
    for name in ("IW_TOKEN", "SECRET", "ISSUED"):
        monkeypatch.setattr(InnowayThingsBoard, name, CANARIES[name])
    world = InnowayThingsBoard(lab, "provisioning.conf")
    world.tb.answers = False
    world.device.provision_start("pump seven", secret=CANARIES["DEVICE_SECRET"], token=world.IW_TOKEN)
    world.tb.client.wait_for("/provision/request")
    chosen = [request["token"] for request in world.tb.requests]
    assert len(chosen) == 1
    assert_kept(world.calque, [*CANARIES.values(), *chosen])
    world.calque.kill()  # the request is in the journal now
    assert_kept(world.calque, CANARIES.values())
    world.tb.answers = True
    world.calque.start()
    assert world.device.provision_answer()["token"] == CANARIES["ISSUED"]
    world.device.attributes(temp=1)
    assert_json(world.tb.attributes(), {"temp": 1})
    assert_kept(world.calque, CANARIES.values())
    world.calque.stop()
    assert_kept(world.calque, CANARIES.values())


def test_secrets_of_user_properties_are_kept(lab, monkeypatch):
    secrets = {"SECRET": "canary-project-secret-2b2b", "ACCESS_KEY": "canary-access-key-88f0"}
    for name, value in secrets.items():
        monkeypatch.setattr(EZtDeviceEvents, name, value)
    world = EZtDeviceEvents(lab)
    assert_goes_on(world)
    number = world.cloud.command("echo")
    world.ez.reply(world.ez.command())
    assert world.cloud.command_update()["id"] == number
    world.north.stop()
    world.ez.attributes(waiting=1)  # stays in the journal
    world.calque.stop()
    assert_kept(world.calque, secrets.values())


def test_a_secret_file_that_everyone_may_read_is_refused(lab, wire):
    path = lab.secret_file("token", "some-secret")
    os.chmod(path, 0o644)
    status, calque = run_to_end(lab, conf_text({"state": "@state@", "links": [{
        "name": "x",
        "south": {"dialect": "innoway", "url": f"mqtt://127.0.0.1:{wire}", "vars": {"device": "d"}},
        "north": {"dialect": "thingsboard", "url": f"mqtt://127.0.0.1:{wire}",
                  "vars": {"token": f"file:{path}"}}}]}))
    assert status == 1
    assert calque.matching(r"calque\.conf:\d+: .*token")
    assert not calque.matching("some-secret")
