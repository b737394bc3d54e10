"""What those who write mappings work with: calque new, calque test --watch, and the warnings."""

import json
import os
import re
import signal
import subprocess

import pytest

from harness import LIMIT, REPOSITORY, Process, find_bridge

MAPPINGS = os.path.join(REPOSITORY, "mappings")


def calque(*arguments, cwd=None):
    """Run it to its end; the result has returncode, stdout, stderr. (All mappings take seconds of processor time.)"""
    return subprocess.run([find_bridge(), *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
                          timeout=5 * LIMIT)


@pytest.fixture
def pump(tmp_path):
    """The directory of a new dialect called pump."""
    done = calque("new", "pump", "--mappings", tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


# --- calque new --------------------------------------------------------------------------------------------------

def test_a_new_dialect_works_at_once(tmp_path):
    done = calque("new", "pump", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("wrote ./pump.jq and ./pump.cases.json; edit them, and try them at every save: "
                           "calque test --watch ./pump.cases.json\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pump.cases.json", "pump.jq"]
    done = calque("test", tmp_path / "pump.cases.json")
    assert (done.returncode, done.stdout) == (0, "5 passed, 0 failed\n"), done.stdout + done.stderr
    assert not re.search(r"pump\.jq.*\(warning\)", done.stderr)


def test_an_ordinary_jq_reads_a_new_dialect(pump):
    done = subprocess.run(["jq", "-c", "-L", pump, "-L", MAPPINGS, 'import "pump" as p; p::read_telemetry'],
                          input='{"payload": {"values": {"temp": 1}}}', capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('{"body":{"temp":1}}\n', "")


def test_what_a_new_dialect_proposes_can_be_taken_in(pump):
    path = pump / "pump.jq"
    text, n = re.subn(r"^( *)# (\{ kind|  read:|def )", r"\1\2", path.read_text(), flags=re.M)
    assert n == 11
    path.write_text(text)
    routes = calque("routes", "pump", "thingsboard", "--mappings", pump)
    assert routes.returncode == 0, routes.stderr
    for kind in ("attributes", "event", "alarm", "presence", "config", "raw"):
        assert re.search(rf"^{kind} +pump/", routes.stdout, flags=re.M), routes.stdout
    assert calque("test", pump / "pump.cases.json").stdout == "5 passed, 0 failed\n"


def test_a_new_dialect_speaks_of_every_key(pump):
    schema = json.loads(calque("new", "--schema").stdout)
    table = schema["$defs"]["dialect"]["properties"]
    text = (pump / "pump.jq").read_text()
    for keys in (table, table["messages"]["items"]["properties"]):
        for key in keys:
            assert re.search(rf"^ *(# )?(\{{ )?{key}: ", text, flags=re.M) or f" {key}: " in text, key


@pytest.mark.parametrize("there", ["pump.jq", "pump.cases.json"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / there).write_text("mine")
    done = calque("new", "pump", "--mappings", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert there in done.stderr and "overwritten" in done.stderr
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "mine")]


def test_a_shipped_name_is_not_hidden(tmp_path):
    for name in ("wire", "thingsboard"):
        done = calque("new", name, "--mappings", tmp_path)
        assert done.returncode == 1 and f"{name}.jq" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Pump", "a_b", "a/b", "..", "a.b", "", "p\u00fcmp", "x" * 65])
def test_names_are_checked(tmp_path, name):
    done = calque("new", name, "--mappings", tmp_path)
    assert done.returncode == 2 and "cannot be the name of a dialect: it" in done.stderr
    assert not list(tmp_path.iterdir())


def test_misuse_of_new_is_said(tmp_path):
    for arguments in ((), ("a", "b"), ("--schema", "a")):
        assert calque("new", *arguments, cwd=tmp_path).returncode == 2
    done = calque("new", "pump", "--mappings", tmp_path / "nowhere")
    assert done.returncode == 1 and "nowhere/pump.jq: No such file" in done.stderr


# --- calque test --watch -----------------------------------------------------------------------------------------

class Watch(Process):
    def __init__(self, path, *more):
        super().__init__("calque test --watch")
        self.spawn([find_bridge(), "test", "--watch", str(path), *more])

    def round(self, since, summary):
        """Wait for the end of a round; where the next one begins."""
        assert self.wait_log(r"\d+ passed, \d+ failed", since) == summary, self.log()
        return self.mark()


def test_watching_runs_again_at_every_save(lab, pump):
    watch = lab.add_process(Watch(pump / "pump.cases.json"))
    since = watch.round(0, "5 passed, 0 failed")
    assert not watch.matching("^---")

    edit(pump / "pump.cases.json", '"payload": { "temp": 21.5 } } ] },\n', '"payload": { "temp": 22 } } ] },\n')
    now = watch.round(since, "4 passed, 1 failed")
    assert watch.matching(r"^--- \d\d:\d\d:\d\d pump\.cases\.json$", since)
    assert watch.matching("FAIL .*: telemetry without a time", since)
    since = now

    edit(pump / "pump.jq", "def read_telemetry: .payload", "def read_telemetry: .payload | .values.temp |= 22")
    now = watch.round(since, "4 passed, 1 failed")
    assert watch.matching("FAIL .*: telemetry keeps its time", since)
    assert watch.matching(r"^--- \d\d:\d\d:\d\d pump\.jq$", since)
    since = now

    new = pump / ".pump.jq.new"  # as editors do
    new.write_text((pump / "pump.jq").read_text().replace("};\nimport", "}\nimport"))
    os.rename(new, pump / "pump.jq")
    now = watch.round(since, "0 passed, 5 failed")
    assert watch.matching(r"pump\.jq:\d+: syntax error.*;", since)
    since = now

    (pump / "notes.txt").write_text("not a mapping")
    assert calque("new", "other", "--mappings", pump).returncode == 0
    watch.round(since, "0 passed, 5 failed")
    assert not watch.matching("notes", since)

    watch.process.send_signal(signal.SIGINT)
    assert watch.wait_end() == -signal.SIGINT


def test_watching_keeps_the_mapping_path_of_the_environment(lab, pump, monkeypatch):
    monkeypatch.setenv("CALQUE_MAPPINGS", str(pump))
    cases = pump / "cases"
    cases.mkdir()
    path = cases / "pump.cases.json"
    os.rename(pump / "pump.cases.json", path)
    watch = lab.add_process(Watch(path))
    since = watch.round(0, "5 passed, 0 failed")
    os.utime(path)  # no write, no round
    path.write_text(path.read_text())
    since = watch.round(since, "5 passed, 0 failed")
    edit(pump / "pump.jq", "version: 1,", "version: 2,")
    watch.round(since, "5 passed, 0 failed")


def test_watching_a_directory_that_is_not_there_is_an_error_only_if_there_is_no_other(lab, tmp_path):
    watch = lab.add_process(Watch(tmp_path / "none" / "x.cases.json"))
    watch.round(0, "0 passed, 1 failed")


# --- warnings ----------------------------------------------------------------------------------------------------

CONF = """state = "{0}/state";
links = ( {{ name = "l"; south = {{ dialect = "pump"; url = "mqtt://127.0.0.1"; vars = {{ device = "d1"; }}; }};
             north = {{ dialect = "thingsboard"; url = "mqtt://127.0.0.1"; vars = {{ token = "t"; }}; }}; }} );
"""


def test_check_and_test_warn_and_others_do_not(pump):
    edit(pump / "pump.jq", "def read_telemetry: .payload",
         'def read_telemetry: .payload\n  | .on |= (. // true)\n  | .name |= (. // "" | gsub("^ *"; ""))\n ')
    edit(pump / "pump.jq", 'topic: "pump/{device}/telemetry",\n',
         'topic: "pump/{device}/telemetry", properties: {n: "9007199254740993"},\n')
    conf = pump / "pump.conf"
    conf.write_text(CONF.format(pump))
    wanted = [r"pump\.jq:\d+: `//`: ", r"pump\.jq:\d+: `gsub`: ", r"pump\.jq: messages\[0\]\.properties: MQTT 3\.1\.1"]
    for arguments in (("check", "-c", conf, "--mappings", pump), ("test", pump)):
        done = calque(*arguments)
        for pattern in wanted:
            lines = [l for l in done.stderr.splitlines() if re.search(pattern, l)]
            assert len(lines) == 1 and lines[0].endswith(" (warning)"), done.stderr
        assert "(warning)" not in done.stdout
    assert calque("check", "-c", conf, "--mappings", pump).returncode == 0
    payload = pump / "payload.json"
    payload.write_text('{"values": {}}')
    for arguments in (("routes", "pump", "thingsboard"),
                      ("translate", "pump", "thingsboard", "up", "pump/d1/telemetry", payload)):
        done = calque(*arguments, "--mappings", pump)
        assert done.stderr == ""


def test_shipped_mappings_have_no_warnings():
    done = calque("test", MAPPINGS)
    assert (done.returncode, done.stderr) == (0, "")


# --- mistakes in case files --------------------------------------------------------------------------------------

@pytest.mark.parametrize("case, said", [
    ({"flow": "up", "topic": "x", "expcet": []}, 'unknown key "expcet"; there are: name about'),
    ({"flow": "up", "topic": "x"}, "step 1: expect: an array was expected; write "),
    ({"flow": "up", "topic": "x", "expect": [5]}, "step 1: expect: an array was expected; write "),
    ({"flow": "upp", "topic": "x", "expect": []}, 'step 1: flow: "up" or "down" was expected'),
    ({"flow": "up", "expect": []}, "step 1: topic: no string"),
    ({"steps": 5}, "steps: write ["),
    ({"steps": [5]}, "step 1: write an object"),
    ({"steps": [], "topic": "x"}, 'beside steps: unknown key "topic"'),
    ({"vars": 5, "steps": []}, "vars: write {"),
    ({"vars": {"project": "p"}, "steps": []}, 'vars: "project": write south.NAME or north.NAME'),
    ({"north": 5}, "a case needs name, south and north"),
    (5, "a case needs name, south and north"),
])
def test_a_mistake_in_a_case_says_what_to_write(tmp_path, case, said):
    if isinstance(case, dict):
        case = {"name": "n", "south": "thingsboard", "north": "thingsboard", **case}
    (tmp_path / "x.cases.json").write_text(json.dumps([case]))
    done = calque("test", tmp_path / "x.cases.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert said in done.stdout and done.stdout.endswith("\n0 passed, 1 failed\n")


# --- what a case can say -----------------------------------------------------------------------------------------

CLOCK = """module {
  dialect: "clock",
  messages: [
    { kind: "telemetry", topic: "clock/{device}/t", read: "r", write: "w" },
    { kind: "telemetry", topic: "clock/{device}/raw", read: "raw" },
    { kind: "command", topic: "clock/{device}/do", write: "w" },
    { kind: "command_reply", topic: "clock/{device}/done", read: "done" } ]
};
def r: if .payload == "off" then empty else {body: {at: .at, v: .payload}} end;
def raw: {body: .payload};
def w: .body;
def done: .payload | {id, body: {status: "done"}};
"""
CASE = {"name": "n", "south": "clock", "north": "thingsboard", "vars": {"south.device": "c1"}}
V1 = {"topic": "v1/devices/me/telemetry"}


@pytest.fixture
def run_case(tmp_path):
    """Run one case with these keys of its own; the lines that `calque test` prints of it."""
    (tmp_path / "clock.jq").write_text(CLOCK)

    def run(*options, **keys):
        path = tmp_path / "clock.cases.json"
        one = {} if "steps" in keys else {"flow": "up", "topic": "clock/c1/t"}
        path.write_text(json.dumps([{**CASE, **one, **keys}]))
        done = calque("test", path, *options)
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert (done.returncode, lines[-1]) in ((0, "1 passed, 0 failed"), (1, "0 passed, 1 failed"))
        return lines[1:-1]
    return run


@pytest.mark.parametrize("keys, wrong", [
    ({"topic": "clock/c1/x", "expect": []},
     '  step 1: dead letter "unknown-topic": clock/c1/x; where that is meant: "dead": "unknown-topic"'),
    ({"topic": "clock/c1/x", "dead": "unknown-topic"}, None),
    ({"topic": "clock/c1/x", "dead": "unknown-topic", "expect": []}, None),
    ({"topic": "clock/c1/x", "dead": "unknown-id"},
     '  step 1: expected dead letter "unknown-id", got dead letter "unknown-topic": clock/c1/x'),
    ({"payload": "off", "dead": "mapping"}, "  step 1: dead: there is no such reason; mappings/README.md lists them"),
    ({"payload": "off", "dead": 5}, "  step 1: dead: there is no such reason; mappings/README.md lists them"),
    ({"payload": "off", "dead": "no-change"}, "  step 1: dead: there is no such reason; mappings/README.md lists them"),
    ({"payload": "off", "filtered": "unknown-id"},
     "  step 1: filtered: there is no such reason; mappings/README.md lists them"),
    ({"payload": "off", "expect": []}, None),
    ({"payload": "off", "filtered": "mapping"}, None),
    ({"payload": "off", "filtered": "echo"}, '  step 1: expected filtered "echo", got filtered "mapping"'),
    ({"payload": 1, "filtered": "echo", "expect": [V1]}, '  step 1: expected filtered "echo", got carried'),
])
def test_a_case_says_what_becomes_of_its_message(run_case, keys, wrong):
    assert run_case(**keys) == ([wrong] if wrong else [])


@pytest.mark.parametrize("want, wrong", [
    ({"contains": {"a": 1}}, []),
    ({"contains": {"a": 1, "b": {"c": [1, 2]}}}, []),
    ({"contains": {"a": 2, "x": 1, "b": {"c": [1]}}},
     ["    payload.a: expected 2, got 1", "    payload.x: expected 1, got nothing",
      "    payload.b.c: expected [1], got [1,2]"]),
    ({"payload": {"b": {"c": [1, 3], "d": None}, "s": "t"}},
     ["    payload.b.c[1]: expected 3, got 2", '    payload.s: expected "t", got "x"', "    payload.a: expected nothing, got 1"]),
    ({"topic": "x", "qos": 0}, ['    topic: expected "x", got "v1/devices/me/telemetry"', "    qos: expected 0, got 1"]),
    ({"side": "south"}, ['    side: expected "south", got "north"']),
    ({"payload_text": "x"}, ['    payload_text: expected "x", got nothing']),
])
def test_a_failing_case_tells_what_differs(run_case, want, wrong):
    lines = run_case(topic="clock/c1/raw", payload={"a": 1, "s": "x", "b": {"c": [1, 2], "d": None}}, expect=[want])
    assert [line.startswith("  step 1: message 1 of 1, which is {") for line in lines[:1]] == [True] * bool(wrong)
    assert lines[1:] == wrong


def test_a_case_sets_the_clock(run_case):
    def step(time, v, **keys):
        return {"flow": "up", "topic": "clock/c1/t", "payload": v, "expect": [{"payload": {"at": time, "v": v}}], **keys}

    noon = 1769857200500
    assert run_case(steps=[
        step(noon, 1, at="2026-01-31T12:00:00.5+01:00"),
        step(noon, 2),
        {"after_ms": 1000, "expect": []},
        step(noon + 1000, 3),
        step(5, 4, at=5),
    ]) == []


@pytest.mark.parametrize("at", ["yesterday", "2026-02-30T12:00:00Z", "2026-01-31T12:00:00", True])
def test_a_clock_that_no_case_can_have(run_case, at):
    assert run_case(at=at, expect=[]) == [
        '  step 1: at: write a time, "2026-01-31T12:00:00Z", or epoch milliseconds']


def test_what_the_clock_brings_is_a_part_of_the_step(run_case):
    def ask(at, n):
        return {"flow": "down", "topic": "v1/devices/me/rpc/request/%d" % n, "payload": {"method": "m", "params": 1},
                "at": at}

    asked = {"topic": "clock/c1/do"}
    lost = {"side": "north", "topic": "v1/devices/me/rpc/response/1", "payload": {"error": "timeout"}}
    assert run_case(steps=[{**ask(0, 1), "expect": [asked]}, {**ask(60000, 2), "expect": [lost, asked]}]) == []


def test_a_case_takes_a_configured_link(run_case, tmp_path):
    conf = tmp_path / "plant.conf"
    conf.write_text(
        'links = ( { name = "a"; remap = { telemetry = "attributes"; };\n'
        f'  south = {{ dialect = "clock"; url = "mqtt://s"; vars = {{ device = "c1"; }}; }};\n'
        '  north = { dialect = "thingsboard"; url = "mqtt://n"; vars = { token = "file:/does/not/exist"; }; }; } );\n'
        f'mappings = [ "{tmp_path}" ];\n')
    want = [{"topic": "v1/devices/me/attributes", "contains": {"v": 5}}]
    assert run_case("-c", conf, payload=5, expect=want) == []
    assert run_case("-c", conf, "--link", "a", payload=5, expect=want) == []
    assert run_case("-c", conf, payload=5, expect=want, north="innoway") == [
        '  north: it is for "innoway", and link a has "thingsboard"']
    done = calque("test", "-c", conf, "--link", "b")
    assert (done.returncode, done.stderr) == (1, f'{conf}: no link is called "b"; there are: a\n')
    done = calque("test", "--link", "b")
    assert (done.returncode, done.stderr) == (1, "calque: --link needs a configuration, -c FILE\n")
    payload = tmp_path / "payload"
    payload.write_text("5")
    done = calque("translate", "-c", conf, "up", "clock/c1/t", payload)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["topic"] == "v1/devices/me/attributes"


# --- calque translate --trace ------------------------------------------------------------------------------------

TRAM = """module {
  dialect: "tram",
  messages: [
    { kind: "telemetry", topic: "tram/{device}/{sensor}", read: "one" },
    { kind: "telemetry", topic: "tram/{device}/all", read: "all" },
    { kind: "presence", topic: "tram/{device}/all", read: "seen" },
    { kind: "command", topic: "tram/{device}/all", only: "write", write: "w" } ]
};
def one: {body: {(.topic.sensor): .payload}};
def all: {body: .payload};
def seen: if .payload.x then error("no x wanted") else empty end;
def w: .body;
"""


@pytest.mark.parametrize("payload, read", [
    ('{"a": 1}', ["  messages[1] telemetry reads", '    {"kind":"telemetry","device":"t1","body":{"a":1}}',
                  "      written by messages[0] telemetry messages/{device}/attribute",
                  "  messages[2] presence reads nothing"]),
    ('{"x": 1}', ["  messages[1] telemetry reads", '    {"kind":"telemetry","device":"t1","body":{"x":1}}',
                  "      written by messages[0] telemetry messages/{device}/attribute",
                  "  messages[2] presence reads",
                  "    mapping-error: {dir}/tram.jq: seen: no x wanted"]),
])
def test_a_trace_tells_every_row_and_what_it_made(tmp_path, payload, read):
    (tmp_path / "tram.jq").write_text(TRAM)
    call = [find_bridge(), "translate", "tram", "innoway", "up", "tram/t1/all", "-", "--mappings", tmp_path]
    traced = subprocess.run([*call, "--trace"], input=payload, capture_output=True, text=True)
    plain = subprocess.run(call, input=payload, capture_output=True, text=True)
    assert (traced.returncode, traced.stdout) == (plain.returncode, plain.stdout)
    assert traced.stderr == "\n".join([
        f"up tram/t1/all, {len(payload)} bytes, to tram",
        "  messages[0] telemetry tram/{device}/{sensor}: a topic that says more comes first",
        "  messages[1] telemetry tram/{device}/all: matches",
        "  messages[2] presence tram/{device}/all: matches",
        "  messages[3] command tram/{device}/all: not read from this side",
        *read]).replace("{dir}", str(tmp_path)) + "\n" + plain.stderr


# --- calque why --------------------------------------------------------------------------------------------------

def why(directory, *arguments):
    done = calque("why", "tram", "thingsboard", "--mappings", directory, *arguments)
    assert done.stderr == ""
    return done


def test_why_tells_each_step(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM)
    done = why(tmp_path, "--topic", "tram/t1/all", "--payload", '{"a": 1, "password": "hush"}', "--json",
               "--var", "north.device=t1")
    told = json.loads(done.stdout)
    assert (done.returncode, told["result"], told["flow"], told["from"], told["to"]) == \
        (0, "carried", "up", "tram", "thingsboard")
    assert [(r["row"], r["result"]) for r in told["rows"]] == \
        [(0, "less-specific"), (1, "matches"), (2, "matches"), (3, "not-read")]
    assert told["rows"][1]["captures"] == {"device": "t1"}
    assert [(r["row"], [m["body"] for m in r["messages"]]) for r in told["read"]] == \
        [(1, [{"a": 1, "password": "***"}]), (2, [])]
    assert [w["topic"] for w in told["writers"]] == ["v1/devices/me/telemetry"]
    assert [(o["kind"], o["side"], o["topic"], o["payload"]) for o in told["outputs"]] == \
        [("telemetry", "north", "v1/devices/me/telemetry", {"a": 1, "password": "***"})]
    assert told["us"] > 0 and told["read"][0]["us"] > 0


def test_why_tells_what_is_paired_and_where_a_template_differs(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM)
    done = why(tmp_path, "--topic", "v1/devices/me/rpc/request/7", "--payload", '{"method": "stop", "params": {}}')
    assert done.returncode == 0
    assert done.stdout.startswith("down v1/devices/me/rpc/request/7, 32 bytes, from thingsboard to tram\n")
    assert re.search(r"^  messages\[\d+\] command v1/devices/me/rpc/request/\{id\}: matches, id=7$", done.stdout, re.M)
    assert re.search(r"^  pairing command/\S+: ", done.stdout, re.M)
    lost = why(tmp_path, "--topic", "tram/t1", "--json")
    assert lost.returncode == 2
    assert json.loads(lost.stdout)["result"] == "unknown-topic"
    assert '"text":"the topic does not fit"' in lost.stdout


def test_why_shows_a_message_before_and_after_the_through_files(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM)
    (tmp_path / "twice.jq").write_text('module { through: "twice", up: "double" };\ndef double: .body |= map_values(. * 2);\n')
    conf = tmp_path / "tram.conf"
    conf.write_text("""
        state = "state";
        mappings = ("."); links = ( { name = "line"; through = ( { name = "twice"; } );
          south = { dialect = "tram"; url = "mqtt://localhost"; };
          north = { dialect = "thingsboard"; url = "mqtt://localhost"; vars = { token = "sesame-1"; device = "t1"; }; }; } );
        """)
    done = calque("why", "-c", conf, "--topic", "tram/t1/all", "--payload", '{"a": 21, "b": "sesame-1"}', "--json")
    told = json.loads(done.stdout)
    assert [told[step][0]["messages"][0]["body"] for step in ("read", "through")] == \
        [{"a": 21, "b": "***"}, {"a": 42, "b": "******"}], done.stderr
    assert "sesame" not in done.stdout


@pytest.mark.parametrize("arguments", [("x",), ("1", "--topic", "t"), ("tram", "innoway"), ("--topic", ""),
                                       ("1", "--device", "d"), ("--payload", "x"), ("--topic", "t", "--payload", "x", "--timeout", "1s")])
def test_why_wants_to_know_which_message(arguments):
    done = calque("why", *arguments)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("calque why: ")


# --- calque routes --lossy ---------------------------------------------------------------------------------------

LOSSY = """module {
  dialect: "lossy",
  messages: [
    { kind: "telemetry", topic: "l/{device}/t", write: "t" },
    { kind: "event", topic: "l/{device}/e", write: "e" },
    { kind: "attributes", topic: "l/{device}/a", only: "read" },
    { kind: "alarm", topic: "l/{device}/b", write: "fails" } ]
};
def t: {v: .body, at: .ts};
def e: {name: .body.name};
def fails: error("no alarm");
"""


def test_routes_tell_what_the_other_side_does_not_take(tmp_path):
    (tmp_path / "lossy.jq").write_text(LOSSY)
    done = calque("routes", "--lossy", "--json", "thingsboard-gateway", "lossy", "--mappings", tmp_path)
    assert done.returncode == 0, done.stderr
    told = {row["kind"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert told["telemetry"] == {"kind": "telemetry", "flow": "up", "to": "lossy", "drops": []}
    assert "attributes" not in told
    (tmp_path / "says.jq").write_text("""module { dialect: "says", messages: [
        { kind: "event", topic: "s/{device}/e" }, { kind: "alarm", topic: "s/{device}/a" } ] };""")
    done = calque("routes", "--lossy", "--json", "says", "lossy", "--mappings", tmp_path)
    told = {row["kind"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert told["event"]["drops"] == ["ts", "body.params.open"]
    assert "drops" not in told["alarm"] and told["alarm"]["refused"] == "mapping-error"
    shown = calque("routes", "--lossy", "says", "lossy", "--mappings", tmp_path).stdout
    assert re.search(r"^event +lossy +ts, body\.params\.open$", shown, re.M)


def test_what_a_topic_lacks_is_said_and_can_be_given(tmp_path):
    (tmp_path / "sited.jq").write_text(
        """module { dialect: "sited", messages: [ { kind: "telemetry", topic: "l/{site}/{device}/t" } ] };""")
    asked = ("routes", "thingsboard-gateway", "sited", "--mappings", tmp_path)
    assert re.search(r"^telemetry .*bad-topic.*--var", calque(*asked, "--lossy").stdout, re.M)
    assert re.search(r"^telemetry +sited +ts$", calque(*asked, "--lossy", "--var", "north.site=x").stdout, re.M)
    done = calque(*asked, "--var", "north.site=x")
    assert done.returncode == 2 and "--var is for --lossy" in done.stderr


def test_a_mapping_that_lies_beside_who_asks_is_told(tmp_path):
    (tmp_path / "mine.jq").write_text("""module { dialect: "mine", messages: [ { kind: "telemetry", topic: "l/{device}" } ] };""")
    done = calque("routes", "mine", "innoway", cwd=tmp_path)
    assert "mine.jq in this directory is found with --mappings ." in done.stderr
    assert calque("routes", "mine", "innoway", "--mappings", ".", cwd=tmp_path).returncode == 0


# --- calque test --accept ----------------------------------------------------------------------------------------

ACCEPTED = """[
  { "name": "as it is", "south": "tram", "north": "thingsboard", "vars": {"north.device": "t1"},
    "flow": "up", "topic": "tram/t1/all", "payload": {"a": 1.0},
    "expect": [ {"payload": {"a":1}} ] },
  {
    "name": "two steps",
    "south": "tram", "north": "thingsboard", "vars": {"north.device": "t1"},
    "steps": [
      {"flow": "up", "topic": "tram/t1/all", "payload": {"b": 1, "c": 2}, "expect": [{"contains": {"b": 7}}]},
      { "flow": "up",
        "topic": "tram/t1/all",
        "payload": {"x": 1} },
      {"flow": "up", "topic": "nowhere", "dead": "wrong-shape"},
      {"flow": "up", "topic": "tram/t1/all", "payload": {"d": 1}, "dead": "wrong-shape", "expect": []}
    ]
  }
]
"""
ACCEPTED_THEN = ACCEPTED.replace('{"contains": {"b": 7}}', '{"contains": {"b": 1}}').replace(
    '        "payload": {"x": 1} },', """        "payload": {"x": 1},
        "expect": [{"topic": "v1/devices/me/telemetry", "payload": {"x": 1}}],
        "dead": "mapping-error" },""").replace(
    '"nowhere", "dead": "wrong-shape"', '"nowhere", "dead": "unknown-topic"').replace(
    '{"d": 1}, "dead": "wrong-shape", "expect": []',
    '{"d": 1}, "expect": [{"topic": "v1/devices/me/telemetry", "payload": {"d": 1}}]')


def test_what_came_out_is_accepted_and_all_else_stays(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM)
    cases = tmp_path / "tram.cases.json"
    cases.write_text(ACCEPTED)
    cases.chmod(0o640)
    done = calque("test", "--accept", cases)
    assert done.stdout.endswith("2 passed, 0 failed, 1 accepted\n"), done.stdout + done.stderr
    assert f"ACCEPTED {cases}: two steps\n" in done.stdout and "as it is" not in done.stdout
    assert "b: expected 7, got 1\n" in done.stdout
    assert cases.read_text() == ACCEPTED_THEN
    assert cases.stat().st_mode & 0o777 == 0o640
    done = calque("test", "--accept", cases)
    assert done.stdout == "2 passed, 0 failed, 0 accepted\n", done.stdout


def test_what_is_made_up_is_accepted_as_a_placeholder(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM.replace("def w: .body;", "def w: .body + {id};").replace(
        'only: "write", write: "w"', 'only: "write", write: "w", id: "uuid"'))
    cases = tmp_path / "tram.cases.json"
    cases.write_text(json.dumps([{
        "name": "asks", "south": "tram", "north": "thingsboard", "flow": "down", "topic": "v1/devices/me/rpc/request/7",
        "payload": {"method": "stop", "params": {}}}]))
    done = calque("test", "--accept", cases)
    assert done.stdout.endswith("1 passed, 0 failed, 1 accepted\n"), done.stdout
    assert json.loads(cases.read_text())[0]["expect"][0]["payload"]["id"] == "{{id1}}"
    assert calque("test", cases).stdout == "1 passed, 0 failed\n"


def test_a_text_with_a_nul_is_the_whole_text(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM)
    cases = tmp_path / "tram.cases.json"
    case = {"name": "nul", "south": "tram", "north": "thingsboard", "flow": "up", "topic": "tram/t1/all", "payload": {"v": "a\0b {{c}}"}}
    cases.write_text(json.dumps([case]))
    done = calque("test", "--accept", cases)
    assert done.stdout.endswith("1 passed, 0 failed, 1 accepted\n"), done.stdout + done.stderr
    expect = json.loads(cases.read_text())[0]["expect"]
    assert [one["payload"] for one in expect] == [case["payload"]]
    assert calque("test", cases).stdout == "1 passed, 0 failed\n"
    for other in ("a", "a\0", "a\0b", "{{any}}x"):
        cases.write_text(json.dumps([{**case, "expect": [{**expect[0], "payload": {"v": other}}]}]))
        assert calque("test", cases).stdout.endswith("0 passed, 1 failed\n"), other


def test_a_case_may_have_through_files_in_between(tmp_path):
    (tmp_path / "tram.jq").write_text(TRAM)
    (tmp_path / "more.jq").write_text(
        'module { through: "more", up: "add" };\ndef add: .vars.by as $by | .body |= map_values(. * 2 + ($by // "0" | tonumber));\n')
    cases = tmp_path / "tram.cases.json"
    case = {"name": "n", "south": "tram", "north": "thingsboard", "flow": "up", "topic": "tram/t1/all", "payload": {"a": 1}}

    def run(through, a):
        cases.write_text(json.dumps([{**case, "through": through, "expect": [{"topic": "v1/devices/me/telemetry", "payload": {"a": a}}]}]))
        return calque("test", cases).stdout
    assert run([], 1) == run(["more"], 2) == run([{"name": "more", "vars": {"by": 5}}, "more"], 14) == "1 passed, 0 failed\n"
    assert "expected 3, got 2" in run(["more"], 3)
    assert "tram.jq is a dialect, not a through file" in run(["tram"], 1)
    for wrong in ("more", [5], [{"vars": {}}], [{"name": "more", "vars": []}]):
        assert '  through: write ["NAME", {"name": "NAME", ' in run(wrong, 1), wrong


# --- calque replay -----------------------------------------------------------------------------------------------

def test_a_replay_tells_what_a_new_mapping_does_otherwise(tmp_path):
    for name, all_of in (("old", "{body: .payload}"), ("new", "{body: (.payload | .a += 1)}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tram.jq").write_text(TRAM.replace("def all: {body: .payload}", f"def all: {all_of}"))
    cases = tmp_path / "seen.cases.json"
    base = {"south": "tram", "north": "thingsboard", "vars": {"north.device": "t1"}, "flow": "up"}
    cases.write_text(json.dumps([
        {**base, "name": "one", "topic": "tram/t1/oil", "payload": 7, "expect": [{"payload": "not so"}]},
        {**base, "name": "two", "topic": "tram/t1/all", "payload": {"a": 1}, "expect": []}]))
    text = cases.read_text()
    done = calque("replay", cases, tmp_path / "old", tmp_path / "new")
    assert done.returncode == 1
    assert f"DIFFERS {cases}: two\n" in done.stdout and "a: expected 1, got 2" in done.stdout, done.stdout
    assert "one" not in done.stdout and done.stdout.endswith("\ntelemetry: 1\n1 the same, 1 differ\n")
    (tmp_path / "new" / "tram.jq").write_text(TRAM.replace("def all: {body: .payload}", "def all: empty"))
    assert calque("replay", cases, tmp_path / "old", tmp_path / "new").stdout.endswith(
        "\nnothing any more: 1\n1 the same, 1 differ\n")
    assert calque("replay", cases, tmp_path / "old", tmp_path / "old").stdout == "2 the same, 0 differ\n"
    assert cases.read_text() == text


# --- calque new --from -------------------------------------------------------------------------------------------

SAMPLES = """
{"topic": "plant/pump-7/data", "payload": {"temp": 21.5}}
{"topic": "plant/pump-8/data", "payload": {"temp": 22, "rpm": 900}}
{"topic": "plant/pump-7/info", "payload": {"model": "A1"}}
{"topic": "plant/pump-7/event", "payload": {"door": "open"}}
{"topic": "plant/pump-7/blob", "payload_text": "hello"}
{"topic": "plant/pump-7/cmd/12", "flow": "down", "payload": {"cmd": "stop", "args": {"fast": true}}}
{"topic": "plant/pump-7/cmd/12/result", "payload": {"ok": true}}
{"topic": "plant/pump-7/config", "flow": "down", "payload": {"rate": 5}}
"""


def test_a_dialect_out_of_samples_passes_its_cases(tmp_path):
    (tmp_path / "samples.jsonl").write_text(SAMPLES)
    done = calque("new", "plant", "--from", tmp_path / "samples.jsonl", "--mappings", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r'kind: "(\w+)", topic: "([^"]+)"', (tmp_path / "plant.jq").read_text())
    assert rows == [("telemetry", "plant/{device}/data"), ("attributes", "plant/{device}/info"),
                    ("event", "plant/{device}/event"), ("raw", "plant/{device}/blob"),
                    ("command", "plant/{device}/cmd/{id}"), ("command_reply", "plant/{device}/cmd/{id}/result"),
                    ("config", "plant/{device}/config")]
    cases = json.loads((tmp_path / "plant.cases.json").read_text())
    assert cases[1]["expect"] == [{"topic": "v1/devices/me/telemetry", "payload": {"temp": 22, "rpm": 900}}]
    assert cases[5]["expect"][0]["payload"] == {"method": "stop", "params": {"fast": True}}
    assert calque("test", tmp_path / "plant.cases.json").stdout == "8 passed, 0 failed\n"
    again = calque("new", "plant", "--from", tmp_path / "samples.jsonl", "--mappings", tmp_path)
    assert again.returncode == 1 and "none is overwritten" in again.stderr


# As mosquitto_sub -F %j prints them.
PRINTED = r"""
{"tst":"2026-11-28T12:07:27.755098Z+0000","topic":"well/w17/data","qos":0,"retain":0,"payloadlen":14,"payload":"{\"level\": 4.1}"}
{"tst":"2026-11-28T12:07:27.758368Z+0000","topic":"well/w18/beat","qos":0,"retain":1,"payloadlen":10,"payload":"OK;231;4.2"}
{"tst":"2026-11-28T12:07:27.760479Z+0000","topic":"well/w17/cmd/77","qos":0,"retain":0,"payloadlen":13,"payload":"{\"do\":\"stop\"}"}
{"tst":"2026-11-28T12:07:27.763096Z+0000","topic":"well/w17/res/77","qos":0,"retain":0,"payloadlen":11,"payload":"{\"ok\":true}"}
"""


def test_a_dialect_out_of_what_mosquitto_sub_prints(tmp_path):
    (tmp_path / "samples.jsonl").write_text(PRINTED)
    done = calque("new", "wells", "--from", tmp_path / "samples.jsonl", "--mappings", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r'kind: "(\w+)", topic: "([^"]+)"', (tmp_path / "wells.jq").read_text())
    assert rows == [("telemetry", "well/{device}/data"), ("raw", "well/{device}/beat"), ("command", "well/{device}/cmd/{id}"),
                    ("command_reply", "well/{device}/res/{id}")]
    cases = json.loads((tmp_path / "wells.cases.json").read_text())
    assert cases[0]["payload"] == {"level": 4.1} and cases[1]["payload_text"] == "OK;231;4.2" and cases[1]["retain"]
    assert cases[1]["expect"][0]["payload"] == {"beat": "OK;231;4.2"}
    assert [c["flow"] for c in cases] == ["up", "up", "down", "up"]


@pytest.mark.parametrize("line, said", [
    ("", "there is no message in it"), ("{", "line 2: byte "), ('{"payload": 1}', "line 2: "),
    ('{"topic": "a/+"}', "line 2: topic: none that is published on has"), ('{"topic": "a", "flow": "across"}', "line 2: ")])
def test_samples_that_are_none_are_told_by_their_line(tmp_path, line, said):
    (tmp_path / "samples.jsonl").write_text("\n" + line)
    done = calque("new", "plant", "--from", tmp_path / "samples.jsonl", "--mappings", tmp_path)
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["samples.jsonl"]


# --- what would not end -------------------------------------------------------------------------------------------

HARD = """module {
  dialect: "hard",
  messages: [
    { kind: "telemetry", topic: "hard/{device}/loop", read: "loop" },
    { kind: "telemetry", topic: "hard/{device}/eat", read: "eat" },
    { kind: "telemetry", topic: "hard/{device}/crash", read: "crash" },
    { kind: "telemetry", topic: "hard/{device}/ok", read: "ok" } ]
};
def loop: def f: f; f;
def eat: {body: {n: ([range(1e12)] | length)}};
def crash: {body: {date: (.payload.n | todate)}};
def ok: {body: .payload};
"""


@pytest.fixture
def hard(tmp_path):
    (tmp_path / "hard.jq").write_text(HARD)
    return tmp_path


def test_what_a_mapping_does_to_jq_costs_one_line(hard):
    """The same letter as in a running bridge, and the next message is translated."""
    lines = [{"side": "south", "flow": "up", "topic": f"hard/d/{end}", "payload": {"n": 1e18}}
             for overrun in ("loop", "eat", "crash") for end in (overrun, "ok")]
    done = subprocess.run([find_bridge(), "translate", "hard", "innoway", "--lines", "--mappings", hard],
                          input="\n".join(map(json.dumps, lines)), capture_output=True, text=True, timeout=5 * LIMIT)
    outputs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(output) for output in outputs] == [0, 1, 0, 1, len(outputs[4]), 1]
    said = done.stderr.splitlines()
    assert done.returncode == 1 and said[0] == "line 1: mapping-overrun: it took more than 250 ms"
    assert re.fullmatch("line 3: mapping-overrun: (it took more than 250 ms|jq ended by signal 6 .*)", said[1]), said
    if outputs[4]:  # jq from 1.7 on can write such a date
        assert len(said) == 2, said
    else:
        assert re.fullmatch("line 5: mapping-overrun: jq ended by signal 6 .*", said[2]), said


def test_a_trace_of_what_loops_ends(hard):
    done = calque("translate", "hard", "innoway", "up", "hard/d/loop", "--mappings", hard, "--trace")
    assert "  messages[0] telemetry reads\n    mapping-overrun: it took more than 250 ms\n" in done.stderr
    assert done.returncode == 1


def test_a_case_that_loops_fails_and_the_next_one_runs(hard):
    case = {"south": "hard", "north": "innoway", "flow": "up", "topic": "hard/d/loop"}
    (hard / "hard.cases.json").write_text(json.dumps([
        {**case, "name": "loops", "expect": [{"payload": {}}]},
        {**case, "name": "is known to loop", "dead": "mapping-overrun"},
        {**case, "name": "goes on", "topic": "hard/d/ok", "payload": {"a": 1}, "expect": [{"payload": {"a": 1}}]}]))
    done = calque("test", hard)
    assert "FAIL" in done.stdout and ": loops\n" in done.stdout and "mapping-overrun" in done.stdout
    assert done.stdout.endswith("2 passed, 1 failed\n"), done.stdout
    assert "worker-replaced" not in done.stderr


def test_a_program_that_wants_no_more_lines_ends_it(hard):
    """`calque translate --lines | head -1`."""
    with subprocess.Popen([find_bridge(), "translate", "hard", "innoway", "--lines", "--mappings", hard],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        process.stdin.write(json.dumps({"side": "south", "flow": "up", "topic": "hard/d/ok", "payload": {}}) + "\n")
        process.stdin.flush()
        assert process.wait(timeout=LIMIT) == -signal.SIGPIPE


# --- terminals ---------------------------------------------------------------------------------------------------

def test_a_terminal_has_nothing_to_obey(hard):
    """Neither in what is translated nor in what fails; results are the same JSON."""
    obeyed = "\x7f\x9b31m\u202e"
    call = [find_bridge(), "translate", "hard", "innoway", "up", "hard/d/ok", "-", "--trace", "--mappings", hard]
    done = subprocess.run(call, input=json.dumps({"text": obeyed}, ensure_ascii=False), capture_output=True, text=True)
    assert json.loads(done.stdout)["payload"] == {"text": obeyed}
    (hard / "hard.cases.json").write_text(json.dumps([
        {"name": "x\x9b", "south": "hard", "north": "innoway", "flow": "up", "topic": "hard/d/ok",
         "payload": {"text": obeyed}, "expect": [{"payload": {"text": "other"}}]}]))
    failed = calque("test", hard)
    for output in done.stdout, done.stderr, failed.stdout:
        assert r"\u009b" in output
        assert not set("\x7f\x9b\u202e").intersection(output), output


# --- what is shown of what was given by hand -----------------------------------------------------------------------

WRONG = """module {
  dialect: "wrong",
  messages: [
    { kind: "telemetry", topic: "wrong/{device}/t", read: "refuses" },
    { kind: "event", topic: "wrong/{device}/e", read: "misspells" } ]
};
def refuses: error("code \\(.payload.code)");
def misspells: {bdoy: .payload};
"""


@pytest.mark.parametrize("topic, said", [
    ("wrong/d/t", "refuses: code E 77?"),
    ("wrong/d/e", 'misspells: an unknown key, "bdoy"; kind, device, id, ts and body are known'),
])
def test_what_was_given_by_hand_is_shown(tmp_path, topic, said):
    (tmp_path / "wrong.jq").write_text(WRONG)
    done = subprocess.run([find_bridge(), "translate", "wrong", "innoway", "up", topic, "-", "--mappings", tmp_path],
                          input=json.dumps({"code": "E 77\x1b"}), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"calque translate: mapping-error: {tmp_path}/wrong.jq: {said}\n")


def test_a_function_with_parameters_is_told_from_one_that_is_missing(tmp_path):
    text = WRONG.replace("def misspells:", "def misspells(a; b):").replace("def refuses:", "def refuse:")
    (tmp_path / "wrong.jq").write_text(text)
    done = calque("translate", "wrong", "innoway", "up", "x", "--mappings", tmp_path)
    file = tmp_path / "wrong.jq"
    assert f'{file}: messages[1].read: the function "misspells" takes 2 parameters; one that is named here takes none' \
        in done.stderr
    assert f'{file}: messages[0].read: there is no function "refuses" in this file; write one: ' in done.stderr


# --- what only recorded cases have -------------------------------------------------------------------------------

def test_a_case_may_begin_with_a_state_and_come_on_a_session(tmp_path):
    pair = {"south": "innoway", "north": "thingsboard"}
    asked = {"request": {"kind": "command", "device": "d1", "id": 7, "body": {"name": "stop", "params": {}}}, "caller": "north",
             "far_id": "f1", "reply_topic": None, "deadline_ms": 1700000030000}
    reply = {"at": 1700000001000, "flow": "up", "topic": "messages/d1/command_reply", "payload": {"id": "f1", "status": "done", "result": 1},
             "expect": [{"topic": "v1/devices/me/rpc/response/7", "payload": 1}]}
    call = {"flow": "down", "topic": "v1/devices/me/rpc/request/8", "payload": {"method": "go", "params": {}}}
    cases = tmp_path / "some.cases.json"
    cases.write_text(json.dumps([
        {**pair, "name": "in time", "at": 1700000000000, "steps": [reply],
         "state": [{"machine": "pairing", "key": "command/d1/f1", "value": asked}]},
        {**pair, **call, "name": "of a device", "session": "d1", "expect": [{"topic": "messages/d1/command", "contains": {"name": "go"}}]}]))
    done = calque("test", cases)
    assert (done.returncode, done.stdout) == (0, "2 passed, 0 failed\n"), done.stdout + done.stderr
    cases.write_text(json.dumps([{**pair, "name": "nonsense", "state": [{"machine": "pairing", "key": "x", "value": 1}], "steps": []}]))
    assert "  before the first step: " in calque("test", cases).stdout
