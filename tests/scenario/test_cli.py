"""The command line as people and scripts meet it: what the offline verbs print, and how they end."""

import base64
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from harness import LIMIT, assert_json, conf_text, find_bridge, is_uuid
from lab import SANITIZER

VERBS = ("run", "check", "routes", "translate", "why", "test", "record", "replay", "play", "new", "init", "status", "deadletters", "devices", "reload", "state",
         "report")


def environment(**more):
    """Ours, without what would change what is printed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CALQUE") and k != "NO_COLOR"}
    return {**env, **more}


class Done:
    """A run of the binary, at its end."""

    def __init__(self, *arguments, stdin=b"", cwd=None, env=None):
        done = subprocess.run([find_bridge(), *arguments], input=stdin, capture_output=True, timeout=LIMIT, cwd=cwd,
                              env=environment(**(env or {})), check=False)
        self.status = done.returncode
        self.out, self.err = done.stdout.decode(), done.stderr.decode()
        assert not re.search(SANITIZER, self.err), self.err

    def messages(self):
        return [json.loads(line) for line in self.out.splitlines()]


def translate(south, north, flow, topic, payload=None, *options):
    """One message, its payload on the standard input; None: no payload is named."""
    arguments = ["translate", south, north, flow, topic] + ([] if payload is None else ["-"])
    if payload is not None and not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    return Done(*arguments, *options, stdin=payload or b"")


def assert_messages(done, *expected, status=0):
    assert done.status == status, done.err
    assert_json(done.messages(), list(expected), "messages")


# --- translate: one message --------------------------------------------------------------------------------------

def test_a_message_has_side_topic_qos_retain_and_payload():
    done = translate("innoway", "thingsboard", "up", "messages/d/attribute", {"temp": 21.5})
    assert_messages(done, {"side": "north", "topic": "v1/devices/me/attributes", "qos": 1, "retain": False,
                           "payload": {"temp": 21.5}})
    assert done.err == ""
    assert re.fullmatch(r'\{"side":"north","topic":"[^"]*","qos":1,"retain":false,"payload":.*\}\n', done.out)


def test_several_messages_are_several_lines():
    done = translate("device-events", "innoway", "up", "v1/device/d/telemetry",
                     {"status": "online", "telemetries": {"fan": 900}})
    assert [m["topic"] for m in done.messages()] == ["messages/d/attribute", "messages/d/online"]


def test_a_payload_is_printed_as_it_is():
    done = translate("innoway", "thingsboard", "up", "messages/d/attribute", b'{ "b": 1.50, "a": 12345678901234567890 }')
    assert done.out.endswith('"payload":{ "b": 1.50, "a": 12345678901234567890 }}\n')


def test_a_payload_of_many_lines_is_one_line():
    done = translate("innoway", "thingsboard", "up", "messages/d/attribute", b'{\n  "a": 1,\r\n  "b": "x\\ny"\n}\n')
    assert_messages(done, {"side": "north", "topic": "v1/devices/me/attributes", "qos": 1, "retain": False,
                           "payload": {"a": 1, "b": "x\ny"}})


@pytest.mark.parametrize("payload, key, value", [
    (b"hello", "payload_text", "hello"),
    ("Grüße \"quoted\"\n".encode(), "payload_text", "Grüße \"quoted\"\n"),
    (b"\xff\x00", "payload_base64", base64.b64encode(b"\xff\x00").decode()),
    (b"[1,2]", "payload", [1, 2]),
    (b"", "payload_text", ""),
], ids=["text", "utf-8", "bytes", "json", "empty"])
def test_payloads_that_are_no_json(payload, key, value):
    done = translate("innoway", "eztcloud", "up", "messages/d/log", payload, "--var", "north.project=P")
    assert_messages(done, {"side": "north", "topic": "open/P/d/data/log", "qos": 1, "retain": False, key: value})


def test_without_a_file_the_payload_is_empty():
    done = translate("device-events", "thingsboard", "up", "v1/device/d/get")
    assert done.status == 0 and done.messages()[0]["topic"].startswith("v1/devices/me/attributes/request/"), done.err
    assert translate("innoway", "thingsboard", "up", "messages/d/attribute").status == 1  # null is no object


def test_a_payload_may_come_from_a_file(tmp_path):
    (tmp_path / "p.json").write_text('{"a": 1}')
    done = Done("translate", "innoway", "thingsboard", "up", "messages/d/attribute", "p.json", cwd=tmp_path)
    assert done.status == 0 and done.messages()[0]["payload"] == {"a": 1}
    done = Done("translate", "innoway", "thingsboard", "up", "messages/d/attribute", "no.json", cwd=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.err == "calque translate: no.json: No such file or directory\n"


def test_properties_response_topic_and_correlation_are_printed():
    down = translate("device-events", "innoway", "down", "messages/d/command", {"id": "7", "name": "go", "params": {}})
    assert down.status == 0, down.err
    message = down.messages()[0]
    assert (message["side"], message["response_topic"]) == ("south", "v1/device/d/commands/update")
    assert "properties" not in message and "correlation" not in message
    up = translate("innoway", "device-events", "up", "messages/d/license_reply", {"id": "L1", "state": "inuse"})
    assert_messages(up, {"side": "north", "topic": "v1/device/d/license/update", "qos": 1, "retain": False,
                         "payload": {"id": "L1", "state": "inuse"}, "correlation": "L1",
                         "properties": {"device_id": "d", "access_key": "***"}})


@pytest.mark.parametrize("options", [(), ("--var", "north.access_key=very-secret")], ids=["unset", "set"])
def test_a_credential_is_never_printed(options):
    done = translate("innoway", "device-events", "up", "messages/d/attribute", {"a": 1}, *options)
    assert done.status == 0, done.err
    assert done.messages()[0]["properties"]["access_key"] == "***"
    assert "very-secret" not in done.out + done.err


def test_variables_fill_topics():
    done = translate("eztcloud", "device-events", "up", "open/P/ez/attributes", {"a": 1},
                     "--var", "south.project=P", "--var=south.device=ez", "--var", "north.device=xy=1")
    assert done.status == 0 and done.messages()[0]["topic"] == "v1/device/xy=1/telemetry", done.err
    assert done.messages()[0]["properties"]["device_id"] == "xy=1"


def test_a_variable_that_is_missing_is_named():
    done = translate("innoway", "eztcloud", "up", "messages/d/attribute", {"a": 1})
    assert (done.status, done.out) == (1, "")
    assert "{project} is not set" in done.err and "north.vars.project" in done.err


def test_a_property_that_came_with_the_message_is_checked():
    def came(*properties):
        return translate("device-events", "innoway", "up", "v1/device/d/telemetry",
                         {"status": "online", "telemetries": {"a": 1}}, "--var", "south.access_key=right",
                         *[x for p in properties for x in ("--property", p)])
    assert came("device_id=d", "access_key=right", "colour=red=ish").status == 0
    for wrong in (("access_key=wrong",), ("access_key=right", "access_key=wrong"), ("device_id=e",)):
        done = came(*wrong)
        assert (done.status, done.out) == (1, ""), wrong
        assert "wrong" not in done.err.replace("wrong-credential", "")


def test_an_answer_goes_to_the_response_topic():
    done = translate("thingsboard", "innoway", "up", "v1/devices/me/rpc/request/1", {"method": "getSessionLimits"},
                     "--response-topic", "my/answers")
    assert done.status == 0, done.err
    message = done.messages()[0]
    assert (message["side"], message["topic"]) == ("south", "my/answers")
    assert message["payload"]["maxInflightMessages"] == 100


def test_what_cannot_be_read_of_a_device_costs_its_part_of_a_batch_and_no_others():
    done = translate("thingsboard-gateway", "innoway", "up", "v1/gateway/telemetry",
                     {"D1": "bad", "D2": [{"a": 1}, {"ts": "noon", "values": {"a": 2}}], "D3": [{"temp": 21.5}]})
    assert done.status == 1 and "wrong-shape" in done.err
    assert [(m["topic"], m["payload"]) for m in done.messages()] == [
        ("messages/D2/attribute", {"a": 1}), ("messages/D3/attribute", {"temp": 21.5})]


def test_the_bridge_may_answer_itself():
    """A command that the other platform has no message for is refused, in the asker's own dialect."""
    done = translate("device-events", "thingsboard", "up", "v1/device/d/cloud_settings/update",
                     {"property": "interval", "value": 5})
    assert_messages(done, {"side": "north", "topic": "v1/devices/me/attributes", "qos": 1, "retain": False,
                           "payload": {"interval": 5}})
    done = translate("thingsboard", "device-events", "up", "v1/devices/me/rpc/request/4", {"method": "m", "params": 1})
    assert [m["side"] for m in done.messages()] == ["south"]
    assert done.messages()[0]["topic"] == "v1/devices/me/rpc/response/4"
    assert "error" in done.messages()[0]["payload"]


@pytest.mark.parametrize("arguments, status, word", [
    (("innoway", "thingsboard", "up", "nowhere"), 2, "unknown-topic"),
    (("innoway", "thingsboard", "down", "messages/d/attribute"), 2, "unknown-topic"),
    (("innoway", "thingsboard", "up", "messages/d/command"), 2, "not-read"),
    (("innoway", "thingsboard", "up", "messages/d/license_reply"), 1, ""),
    (("thingsboard", "eztcloud", "up", "v1/devices/me/claim"), 1, "no-counterpart"),
    (("nosuch", "thingsboard", "up", "x"), 1, "nosuch"),
    (("wire", "thingsboard", "up", "x"), 1, "wire"),
])
def test_why_there_is_no_result(arguments, status, word):
    done = Done("translate", *arguments)
    assert (done.status, done.out) == (status, ""), done.err
    assert word in done.err and done.err.endswith("\n")


def test_a_broken_payload_is_never_quoted():
    done = translate("innoway", "thingsboard", "up", "messages/d/attribute", b'{"token": "hush", bad "')
    assert (done.status, done.out) == (1, "")
    assert "unreadable" in done.err and "hush" not in done.err


# --- translate --lines -------------------------------------------------------------------------------------------

class Lines:
    """`translate --lines`, line by line: each answer is read before the next question is asked."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([find_bridge(), "translate", *arguments, "--lines"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self._rest = b""

    def ask(self, line):
        text = line if isinstance(line, bytes) else json.dumps(line).encode()
        self.process.stdin.write(text + b"\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self):
        deadline = time.monotonic() + LIMIT
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            assert ready, "no answer before the next line"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"it has ended: {self.process.stderr.read().decode()}"
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def end(self):
        """(exit status, what it said on stderr); nothing may be left on stdout."""
        out, err = self.process.communicate(timeout=LIMIT)
        assert self._rest + out == b""
        assert not re.search(SANITIZER, err.decode()), err.decode()
        return self.process.returncode, err.decode()


@pytest.fixture
def lines():
    made = []

    def make(*arguments):
        made.append(Lines(*arguments))
        return made[-1]
    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


def test_each_line_is_answered_before_the_next_is_read(lines):
    """A whole conversation through one state."""
    talk = lines("innoway", "thingsboard", "--var", "south.device=d")
    down = talk.ask({"flow": "down", "topic": "v1/devices/me/rpc/request/12", "payload": {"method": "go", "params": {}}})
    assert [(m["side"], m["topic"]) for m in down] == [("south", "messages/d/command")]
    number = down[0]["payload"]["id"]
    assert is_uuid(number)
    up = talk.ask({"flow": "up", "topic": "messages/d/command_reply", "payload": {"id": number, "result": {"ok": True}}})
    assert_json(up, [{"side": "north", "topic": "v1/devices/me/rpc/response/12", "qos": 1, "retain": False,
                      "payload": {"ok": True}}])
    assert talk.end() == (0, "")


def test_time_passes_only_when_told(lines):
    talk = lines("innoway", "thingsboard", "--var", "south.device=d")
    assert len(talk.ask({"flow": "down", "topic": "v1/devices/me/rpc/request/1", "payload": {"method": "go"}})) == 1
    assert talk.ask({"after_ms": 8999}) == []  # the mapping says 9 s
    late = talk.ask({"after_ms": 1})
    assert_json(late, [{"side": "north", "topic": "v1/devices/me/rpc/response/1", "qos": 1, "retain": False,
                        "payload": {"error": "timeout"}}])
    assert talk.ask({"after_ms": 10**9}) == []
    assert talk.end() == (0, "")


def test_lines_that_cannot_be_read_are_empty_arrays(lines):
    talk = lines("innoway", "thingsboard")
    bad = [b"nonsense", b"", b"[]", b"7", {"flow": "sideways", "topic": "messages/d/log"}, {"topic": "messages/d/log"},
           {"flow": "up"}, {"flow": "up", "topic": 7}, {"after_ms": -1}, {"after_ms": "soon"},
           {"flow": "up", "topic": "messages/d/log", "payload_text": 7},
           {"flow": "up", "topic": "messages/d/log", "payload_base64": "!"},
           {"flow": "up", "topic": "messages/d/log", "properties": []},
           {"flow": "up", "topic": "messages/d/log", "retain": "yes"}]
    for line in bad:
        assert talk.ask(line) == [], line
    assert len(talk.ask({"flow": "up", "topic": "messages/d/attribute", "payload": {"a": 1}})) == 1
    assert talk.ask({"flow": "up", "topic": "nowhere"}) == []
    status, err = talk.end()
    assert status == 1
    said = err.splitlines()
    assert len(said) == len(bad) + 1, err
    for number, line in enumerate(said[:-1], 1):
        assert line.startswith(f"line {number}: unreadable: "), line
    assert said[-1] == f"line {len(bad) + 2}: unknown-topic: nowhere"


def test_a_filtered_line_is_no_failure(lines):
    """Progress is kept back from ThingsBoard, which takes one reply."""
    talk = lines("innoway", "thingsboard", "--var", "south.device=d")
    number = talk.ask({"flow": "down", "topic": "v1/devices/me/rpc/request/1",
                       "payload": {"method": "go"}})[0]["payload"]["id"]
    assert talk.ask({"flow": "up", "topic": "messages/d/command_reply",
                     "payload": {"id": number, "status": "in_progress"}}) == []
    status, err = talk.end()
    assert status == 0
    assert err.startswith("line 2: filtered: ")


def test_a_line_says_all_that_came_with_the_message(lines):
    talk = lines("device-events", "innoway", "--var", "south.access_key=k")
    question = {"flow": "up", "topic": "v1/device/d/telemetry", "payload": {"status": "online", "telemetries": {"a": 1}}}
    assert talk.ask({**question, "properties": {"access_key": "other"}}) == []
    assert len(talk.ask({**question, "properties": {"access_key": "k", "device_id": "d"}})) == 2
    status, err = talk.end()
    assert status == 1 and err.startswith("line 1: wrong-credential"), err


def test_lines_carry_text_and_bytes(lines):
    talk = lines("innoway", "eztcloud", "--var", "north.project=P")
    for key, value in (("payload_text", "hello"), ("payload_base64", "/wA="), ("payload", [1])):
        assert talk.ask({"flow": "up", "topic": "messages/d/log", key: value})[0][key] == value
    assert talk.ask({"flow": "up", "topic": "messages/d/log"})[0]["payload_text"] == ""
    assert talk.end() == (0, "")


def test_a_retained_command_is_not_carried(lines):
    talk = lines("innoway", "thingsboard", "--var", "south.device=d")
    assert talk.ask({"flow": "down", "topic": "v1/devices/me/rpc/request/1", "payload": {"method": "go"},
                     "retain": True}) == []
    assert talk.end()[0] == 1


def test_a_last_line_without_its_end_counts():
    done = Done("translate", "innoway", "thingsboard", "--lines",
                stdin=b'{"flow":"up","topic":"messages/d/attribute","payload":{"a":1}}')
    assert done.status == 0 and len(json.loads(done.out)) == 1
    assert (Done("translate", "innoway", "thingsboard", "--lines").status) == 0


# --- routes ------------------------------------------------------------------------------------------------------

def test_routes_are_a_table():
    done = Done("routes", "innoway", "thingsboard")
    assert (done.status, done.err) == (0, "")
    table, _, gaps = done.out.partition("\nno counterpart\n")
    lines = table.split("\n\n")[0].splitlines()
    assert re.fullmatch(r"kind +innoway +thingsboard", lines[0])
    assert len({line.index("->" if "->" in line else "<-") for line in lines[1:]}) == 1  # one column
    assert lines[0].index("thingsboard") == lines[1].index("v1/devices")
    assert re.search(r"^attributes +messages/\{device\}/attribute +-> +v1/devices/me/attributes$", table, re.M)
    assert re.search(r"^command +messages/\{device\}/command +<- +v1/devices/me/rpc/request/\{id\}$", table, re.M)
    assert re.search(r"^\w+ +\S+ +(->|<-) +\S+ +\(dead letter.*\)$", gaps, re.M)
    assert "\033" not in done.out


def test_routes_for_programs():
    done = Done("routes", "innoway", "thingsboard", "--json")
    assert (done.status, done.err) == (0, "")
    routes = done.messages()
    assert {"south_dialect": "innoway", "north_dialect": "thingsboard", "kind": "attributes", "flow": "up",
            "south": "messages/{device}/attribute", "north": "v1/devices/me/attributes"} in routes
    gaps = [r for r in routes if "no_counterpart" in r]
    assert gaps and all((r["south"] is None) != (r["north"] is None) for r in gaps)
    table = Done("routes", "innoway", "thingsboard").out
    assert len(routes) == len([line for line in table.splitlines() if "->" in line or "<-" in line])


def test_routes_of_a_configuration(tmp_path):
    sides = {"south": {"dialect": "innoway", "url": "mqtt://a", "vars": {"device": "d"}},
             "north": {"dialect": "thingsboard", "url": "mqtt://b", "vars": {"token": "hush"}}}
    conf = tmp_path / "c.conf"
    conf.write_text(conf_text({"state": "s", "links": [
        {"name": "one", **sides}, {"name": "two", **sides, "remap": {"attributes": "telemetry"}}]}))
    done = Done("routes", "-c", str(conf))
    assert done.status == 0, done.err
    one, two = done.out.split("\n\nlink two\n")
    assert one.startswith("link one\nkind ")
    assert re.search(r"^attributes .*-> +v1/devices/me/attributes$", one, re.M)
    assert re.search(r"^attributes .*-> +v1/devices/me/telemetry$", two, re.M)
    assert "hush" not in done.out + done.err
    done = Done("routes", "--json", "-c", str(conf))
    assert {r["link"] for r in done.messages()} == {"one", "two"}


def on_terminal(*arguments, **env):
    """What the binary writes to a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen([find_bridge(), *arguments], stdin=slave, stdout=slave, stderr=slave,
                               env=environment(TERM="xterm", **env))
    os.close(slave)
    text = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # its end, on Linux
            break
        if not data:
            break
        text += data
    os.close(master)
    assert process.wait(LIMIT) == 0
    return text.decode()


def test_colour_is_for_terminals():
    coloured = on_terminal("routes", "innoway", "thingsboard")
    assert "\033[" in coloured
    plain = Done("routes", "innoway", "thingsboard").out
    assert re.sub(r"\033\[\d*m", "", coloured).replace("\r\n", "\n") == plain
    assert "\033" not in on_terminal("routes", "innoway", "thingsboard", NO_COLOR="1")
    assert "\033" not in on_terminal("routes", "innoway", "thingsboard", "--json")


# --- the log ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, setting", [(("--log-format", "json"), ""), ((), 'log_format = "json";')])
def test_a_log_in_json_has_an_object_per_line(tmp_path, arguments, setting):
    conf = tmp_path / "a.conf"
    conf.write_text(setting + 'log_levels = "warning,started=info";state = "state"; links = ( { name = "a";'
                    'south = { dialect = "innoway"; url = "mqtt://localhost:1"; vars = { device = "d"; token = "t"; }; };'
                    'north = { dialect = "thingsboard"; url = "mqtt://localhost:1"; vars = { token = "t"; }; }; } );')
    with subprocess.Popen([find_bridge(), "run", "-c", conf, *arguments], stderr=subprocess.PIPE, text=True,
                          env=environment()) as process:
        told = iter(process.stderr)
        first = next(line for line in told if line.startswith(("{", "2")))  # behind what it says of the configuration
        process.terminate()
        rest = list(told)
    lines = [json.loads(line) for line in [first, *rest]]
    assert {"time", "level", "event"} <= set(lines[0]), lines
    assert all(line["level"] != "info" or line["event"] == "started" for line in lines), lines


def test_a_report_hides_what_may_be_a_secret(tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text("""token = "canary-1" "canary-2"; pass_word = "seen"; api_key: 12345; /* canary-3 */ password = "file:p"; passwd: -12345;
vars = { pin = "canary-4"; n = 12345; a = { b = -12345; }; of = "env:PIN"; }; name = "p"; at = 7;
url = "mqtts://me:canary-5@h:1/?sig=canary-6"; other = ("wss://h/a/b", "mail@h", "ws://canary-7@h");
secret = "canary-8 \\" canary-9""")
    report = tmp_path / "report.txt"
    assert Done("report", report, "-c", conf).status == 0
    text = report.read_text()
    assert "canary" not in text and "12345" not in text
    assert 'token = "***" "***"; pass_word = "seen"; api_key: ***;  password = "file:p"; passwd: ***;' in text
    assert 'vars = { pin = "***"; n = ***; a = { b = ***; }; of = "env:PIN"; }; name = "p"; at = 7;' in text
    assert 'url = "mqtts://***@h:1/?***"; other = ("wss://h/a/b", "mail@h", "ws://***@h");\nsecret = "***"' in text

    # What is configured by the environment is seen as well, and once it is told why there is no more.
    env = {"NAME": "p", "STATE": str(tmp_path / "none"), "SOUTH_URL": "mqtt://h", "SOUTH_PASSWORD": "canary-1",
           "NORTH_VARS_PIN": "canary-2", "NORTH_VARS_TOKEN": "file:t"}
    done = Done("report", tmp_path / "other.txt", env={"CALQUE_" + name: value for name, value in env.items()})
    assert done.status == 0 and done.err.count("no bridge runs") == 1
    text = (tmp_path / "other.txt").read_text()
    assert "canary" not in text and "\nCALQUE_SOUTH_URL=mqtt://h\n" in text and "\nCALQUE_NORTH_VARS_PIN=***\n" in text
    assert "\nCALQUE_NORTH_VARS_TOKEN=file:t\n" in text


def test_levels_that_are_none_are_a_mistake(tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text('log_levels = "loud"; links = ( );')
    done = Done("check", "-c", conf)
    assert done.status == 1 and "log_levels: no levels: " in done.err


# --- help and misuse ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_verb_has_help(verb, option):
    done = Done(verb, option)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: calque {verb} ")
    assert "exit status: 0 " in done.out
    assert all(len(line) <= 100 for line in done.out.splitlines())


@pytest.mark.parametrize("option", ["--help", "help"])
def test_help_names_every_verb(option):
    done = Done(option)
    assert (done.status, done.err) == (0, "")
    assert all(re.search(rf"^  {verb} +\S", done.out, re.M) for verb in VERBS)


def test_version():
    done = Done("--version")
    assert (done.status, done.err) == (0, "") and re.fullmatch(r"calque \d+\.\d+\.\d+\n", done.out)


@pytest.mark.parametrize("arguments", [
    (), ("nosuch",), ("-x",), ("run", "--nosuch"), ("run", "--aside"), ("run", "now"), ("check", "-c"), ("check", "a.conf"),
    ("check", "--payload"), ("status", "--strict"), ("routes", "innoway"), ("routes", "a", "b", "c"), ("routes", "a", "b", "-c", "x.conf"),
    ("translate",), ("translate", "a", "b"), ("translate", "a", "b", "up"), ("translate", "a", "b", "across", "t"),
    ("translate", "a", "b", "up", "t", "f", "g"), ("translate", "a", "b", "up", "t", "--lines"),
    ("translate", "a", "b", "--lines", "--property", "k=v"), ("translate", "a", "b", "--lines", "--response-topic", "t"),
    ("translate", "a", "b", "up", "t", "--json"), ("translate", "a", "b", "up", "t", "--var", "project=P"),
    ("translate", "a", "b", "up", "t", "--var", "west.x=1"), ("translate", "a", "b", "up", "t", "--var", "south.=1"),
    ("translate", "a", "b", "up", "t", "--var", "south.x"), ("translate", "a", "b", "up", "t", "--property", "=v"),
    ("translate", "a", "b", "up", "t", "--property", "v"), ("translate", "a", "b", "up", "t", "--response-topic"),
    ("devices", "wave", "stop", "--dry-run"), ("devices", "wave", "rollback", "--group", "a"), ("devices", "import", "f", "--name", "a*"),
], ids=" ".join)
def test_misuse_ends_with_2(arguments):
    done = Done(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err


def test_a_configuration_that_is_not_there_is_a_failure():
    for verb in ("run", "check", "routes"):
        done = Done(verb, "-c", "/nonexistent.conf")
        assert (done.status, done.out) == (1, "")
        assert done.err == "/nonexistent.conf: No such file or directory\n"


# --- where mappings are found ------------------------------------------------------------------------------------

def write_dialect(directory, topic):
    directory.mkdir()
    (directory / "mine.jq").write_text(
        f'module {{ dialect: "mine", messages: [ {{ kind: "telemetry", topic: "{topic}" }} ] }};\n')
    return str(directory)


def test_the_first_directory_that_has_a_mapping_wins(tmp_path):
    one, two, three = (write_dialect(tmp_path / name, f"{name}/t") for name in ("one", "two", "three"))
    empty = tmp_path / "empty"
    empty.mkdir()

    def topic(*options, **env):
        done = Done("routes", "mine", "innoway", "--json", *options, env=env)
        return done.messages()[0]["south"] if done.status == 0 else None
    assert topic() is None
    assert topic("--mappings", str(empty), "--mappings", two, "--mappings", one) == "two/t"
    assert topic("--mappings", one, CALQUE_MAPPINGS=two) == "one/t"
    assert topic(CALQUE_MAPPINGS=f"{empty}::{three}:{one}") == "three/t"
    conf = tmp_path / "c.conf"
    conf.write_text(conf_text({"state": "s", "mappings": (three,), "links": [{
        "name": "x", "south": {"dialect": "mine", "url": "mqtt://a", "vars": {"device": "d"}},
        "north": {"dialect": "innoway", "url": "mqtt://b"}}]}))

    def topic_of_conf(*options, **env):
        done = Done("routes", "-c", str(conf), "--json", *options, env=env)
        assert done.status == 0, done.err
        return done.messages()[0]["south"]
    assert topic_of_conf(CALQUE_MAPPINGS=two) == "three/t"
    assert topic_of_conf("--mappings", one, CALQUE_MAPPINGS=two) == "one/t"


def test_results_that_cannot_be_written_are_a_failure():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([find_bridge(), "routes", "innoway", "thingsboard"], stdout=full, stderr=subprocess.PIPE,
                              timeout=LIMIT, env=environment(), check=False)
    assert done.returncode == 1
    assert b"standard output: " in done.stderr
