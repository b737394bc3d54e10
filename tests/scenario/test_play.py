"""calque play: mappings are edited, and what becomes of a message is seen, without a bridge."""

import glob
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from harness import LIMIT, Process, children, find_bridge

MINE = """module { dialect: "mine", device: "topic", messages: [
  { kind: "telemetry", topic: "t/{device}", read: "read_it" }
] };
def read_it: {body: {temp: .payload.t}};
"""
OURS = """module { dialect: "ours", device: "topic", messages: [
  { kind: "telemetry", topic: "o/{device}", write: "write_it" }
] };
def write_it: .body;
"""
HALF = """module { through: "half", up: "change" };
def change: .body.temp /= 2;
"""
# Eight rows for one topic, so that it takes more than the limits of one call allow.
LOOPS = MINE.replace("\n] };", "".join(f',\n  {{ kind: "telemetry", topic: "t/{{device}}", read: "loop{n}" }}' for n in range(8))
                     + "\n] };") + "".join(f"def loop{n}: def f: f; f;\n" for n in range(8))
TOO_LATE = "it took more than 2 s, and was ended"


class Play(Process):
    def __init__(self, directory, *arguments):
        super().__init__("calque play")
        self.temporary = os.path.join(directory, "tmp")
        os.makedirs(self.temporary)
        self.spawn([find_bridge(), "play", *arguments], env={**os.environ, "TMPDIR": self.temporary})
        self.url = self.wait_log("^http://127")
        self.port, self.token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#(\w{32})", self.url).groups()

    def ask(self, body, token=True, method="POST", path="/bench", **headers):
        """(status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=LIMIT)
        headers = {"Content-Type": "application/json", **headers}
        if token:
            headers["Authorization"] = "Bearer " + self.token
        connection.request(method, path, body, headers)
        got = connection.getresponse()
        text = got.read().decode()
        connection.close()
        return got.status, text

    def bench(self, todo, **asked):
        """The answer, whatever it is."""
        code, text = self.ask(json.dumps({"do": todo, **asked}))
        assert code == 200, text
        return json.loads(text)

    def attempt(self, **asked):
        """What comes out; again where a busy machine took too long over it."""
        deadline = time.monotonic() + LIMIT
        while True:
            told = self.bench("try", **{"south": "mine", "north": "ours", "flow": "up", "topic": "t/d1",
                                        "payload_text": '{"t": 21.5}', **asked})
            if told.get("error") != TOO_LATE or time.monotonic() > deadline:
                return told


@pytest.fixture
def mappings(tmp_path):
    folder = tmp_path / "mappings"
    folder.mkdir()
    for name, text in (("mine", MINE), ("ours", OURS), ("half", HALF)):
        (folder / f"{name}.jq").write_text(text)
    return folder


@pytest.fixture
def play(lab, mappings):
    return lab.add_process(Play(lab.directory, "mine", "ours", "--mappings", str(mappings), "--var", "north.x=1"))


def test_an_edit_shows_at_each_step(play, mappings, tmp_path):
    assert {"name": "half", "type": "through"} in play.bench("list")["mappings"]
    assert {"name": "mine", "type": "dialect"} in play.bench("list")["mappings"]
    assert {"name": "wire", "type": "library"} in play.bench("list")["mappings"]
    (mappings / "mine.cases.json").write_text('[{"name": "<b>"}]')
    assert play.bench("open", name="mine") == {"name": "mine", "text": MINE, "cases": [{"name": "<b>"}]}
    told = play.attempt()
    assert told["mistakes"] == [] and told["why"]["result"] == "carried"
    assert told["why"]["rows"][0]["captures"] == {"device": "d1"}
    assert [m["body"] for m in told["why"]["read"][0]["messages"]] == [{"temp": 21.5}]
    assert [(o["topic"], o["payload"]) for o in told["why"]["outputs"]] == [("o/d1", {"temp": 21.5})]

    edited = MINE.replace("temp: .payload.t", "warmth: (.payload.t * 2)")
    told = play.attempt(edits={"mine": edited, "ours": OURS.replace("o/", "p/")}, name='edited, "really"')
    assert [(o["topic"], o["payload"]) for o in told["why"]["outputs"]] == [("p/d1", {"warmth": 43})]
    told_through = play.attempt(through=["half"])
    assert told_through["why"]["read"][0]["messages"][0]["body"] == {"temp": 21.5}
    assert told_through["why"]["through"][0]["messages"][0]["body"] == {"temp": 10.75}
    assert told_through["why"]["outputs"][0]["payload"] == {"temp": 10.75}
    told_text = play.attempt(edits={"half": HALF.replace("/=", "*=")}, through=["half"])
    assert told_text["why"]["outputs"][0]["payload"] == {"temp": 43}

    # The case with the through file says that it was there.
    (mappings / "half.cases.json").write_text(told_through["cases"])
    assert json.loads(told_through["cases"])[0]["through"] == ["half"]
    done = subprocess.run([find_bridge(), "test", str(mappings / "half.cases.json")], capture_output=True, text=True, timeout=5 * LIMIT)
    assert (done.returncode, done.stdout) == (0, "1 passed, 0 failed\n"), done.stdout

    # Nothing was saved, and nothing is left.
    assert (mappings / "mine.jq").read_text() == MINE
    assert glob.glob(play.temporary + "/*/*") == []
    # The case that it gives fails as long as the edit is not saved, and holds then.
    cases = mappings / "pair.cases.json"
    cases.write_text(told["cases"])
    assert json.loads(told["cases"])[0]["name"] == 'edited, "really"'
    test = [find_bridge(), "test", str(cases)]
    assert subprocess.run(test, capture_output=True, timeout=5 * LIMIT).returncode == 1
    (mappings / "mine.jq").write_text(edited)
    (mappings / "ours.jq").write_text(OURS.replace("o/", "p/"))
    done = subprocess.run(test, capture_output=True, text=True, timeout=5 * LIMIT)
    assert (done.returncode, done.stdout) == (0, "1 passed, 0 failed\n"), done.stdout


def test_a_mistake_has_its_place(play):
    def mistakes(old, new):
        told = play.attempt(edits={"mine": MINE.replace(old, new)})
        assert "why" not in told and all(m["file"] == "mine" and not m["is_warning"] for m in told["mistakes"])
        return [(m["line"], m["column"], m["text"]) for m in told["mistakes"]]

    [(line, column, text)] = mistakes(".payload.t}", "temperature}")
    assert (line, column) == (4, 28) and text.startswith("temperature/0 is not defined")
    [(line, column, text)] = mistakes('"telemetry"', '"telemetri"')
    assert (line, column) == (2, 5) and 'did you mean "telemetry"?' in text
    for module in ("/etc/passwd", "../mappings/ours"):
        told = mistakes("def read_it", f'import "{module}" as x;\ndef read_it')
        assert told[0][:2] == (4, 8) and f'module "{module}" cannot be imported' in told[0][2]
    told = mistakes("def read_it", 'import "ours" as x {search: "/etc"};\ndef read_it')
    assert "`search` is not allowed" in told[0][2]
    assert "`input_filename` is not allowed" in mistakes(".payload.t}", "input_filename}")[0][2]
    told = play.attempt(edits={"mine": MINE.replace(".payload.t}", '(.payload.t | error("of \\(.)"))}')})
    assert (told["why"]["result"], told["why"]["outputs"]) == ("mapping-error", [])
    assert "of 21.5" in told["why"]["read"][0]["text"]


def test_what_loops_is_ended_and_the_next_one_goes_on(play):
    loops = {}

    def ask():
        began = time.monotonic()
        loops.update(play.bench("try", south="mine", north="ours", flow="up", topic="t/d1", payload_text="{}",
                                edits={"mine": LOOPS}), took=time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    told = play.attempt()  # another one, which waits for it
    thread.join(LIMIT)
    assert loops["error"] == TOO_LATE and loops["took"] >= 2
    assert told["why"]["outputs"][0]["payload"] == {"temp": 21.5}
    # No process is left of it, and no file.
    names = {open(f"/proc/{pid}/comm", encoding="ascii").read().strip() for pid in children(play)}
    assert names <= {"calque-nursery", "calque-compiler"}
    assert play.attempt()["why"]["result"] == "carried"
    assert glob.glob(play.temporary + "/*/*") == []


def test_who_may_ask_and_how_much(play, mappings, tmp_path):
    assert play.ask("", method="GET", path="/", token=False)[0] == 200
    assert json.loads(play.ask("", method="GET", path="/status", token=False)[1]) == {"play": True}
    told = json.loads(play.ask("", method="GET", path="/status")[1])
    assert (told["south"], told["north"], told["vars"]) == ("mine", "ours", {"north.x": "1"})
    asked = json.dumps({"do": "list"})
    assert play.ask(asked, token=False)[0] == 401
    assert play.ask(asked, token=False, Authorization="Bearer " + "x" * 32)[0] == 401
    assert play.ask(asked, Host="evil.example")[0] == 421
    assert play.ask(asked, Host="localhost:1", Origin="http://evil.example")[0] == 403
    assert play.ask(asked, **{"Content-Type": "text/plain"})[0] == 415
    assert play.ask(asked, path="/request")[0] == 404
    try:
        assert play.ask(json.dumps({"do": "try", "payload_text": "x" * (2 << 20)}))[0] == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was not even read
    (tmp_path / "outside.jq").write_text("def a: 1;")
    for asked in ({"do": "open", "name": "../outside"}, {"do": "open", "name": str(tmp_path / "outside")}, {"do": "else"},
                  {"do": "try", "south": "../outside", "north": "ours"},
                  {"do": "try", "south": "mine", "north": "ours", "edits": {"wire": "def a: 1;"}},
                  {"do": "try", "south": "mine", "north": "ours", "edits": {"../outside": "def a: 1;"}}, []):
        told = json.loads(play.ask(json.dumps(asked))[1])
        assert list(told) == ["error"], asked
    assert (tmp_path / "outside.jq").read_text() == "def a: 1;"
    (mappings / "ours.cases.json").write_text('{"no": "list"}')
    assert play.bench("open", name="ours")["cases"] == []
    for no_text in (b"def a: 1;\0def b: 2;", b"# \xff"):
        (mappings / "half.jq").write_bytes(no_text)
        assert play.bench("open", name="half") == {"error": "half: it is no text in UTF-8"}
    assert "error" in json.loads(play.ask("no JSON")[1])
    play.process.send_signal(signal.SIGINT)
    assert play.wait_end() == 0
    assert os.listdir(play.temporary) == []


def test_what_it_cannot_begin_with(mappings):
    done = subprocess.run([find_bridge(), "play", "mine", "their", "--mappings", mappings], capture_output=True, text=True,
                          timeout=LIMIT)
    assert (done.returncode, done.stdout) == (1, "") and 'there is no mapping "their"' in done.stderr
    done = subprocess.run([find_bridge(), "play", "mine", "ours", "--port", "0"], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 2
