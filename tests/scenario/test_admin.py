"""The admin interface: who may ask, and that its numbers are those of what was sent."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from harness import LIMIT, REPOSITORY
from verbs import Verb, letters, status, wait_status
from worlds import InnowayThingsBoard

TOKEN = "0123456789abcdef"


class Admin:
    """Who asks a bridge over HTTP."""

    def __init__(self, calque, since=0):
        self.port = int(re.search(r"port=(\d+)", calque.wait_log("admin-listening", since)).group(1))

    def ask(self, path, method="GET", body=None, token=None, **headers):
        """(status, text, headers)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        got = connection.getresponse()
        text = got.read().decode()
        connection.close()
        return got.status, text, got.headers

    def request(self, asked, token=TOKEN, content_type="application/json", **headers):
        """(status, the lines of its answer)."""
        code, text, _ = self.ask("/request", "POST", json.dumps(asked), token, Content_Type=content_type, **headers)
        return code, [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def bench(self, asked, token=TOKEN):
        code, text, _ = self.ask("/bench", "POST", json.dumps(asked), token, Content_Type="application/json")
        return code, json.loads(text) if code == 200 else text

    def metrics(self):
        """{name{labels}: number}, and nothing in it that Prometheus would not read."""
        code, text, headers = self.ask("/metrics")
        assert code == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return read_metrics(text)


def read_metrics(text):
    told, family = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family and line.split()[3] in ("counter", "gauge", "histogram"), line
        else:
            name, labels, number = re.fullmatch(
                r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\]|\\["\\n])*"(?:,(?=[a-z])|(?=\})))+\})? (\S+)', line).groups()
            assert re.sub("_(bucket|sum|count)$", "", name) == family or name == family, line
            assert name + (labels or "") not in told, line
            told[name + (labels or "")] = float(number)
    return told


def world_with(lab, **settings):
    world = InnowayThingsBoard(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    keys = "".join(f"{key} = {json.dumps(value)};\n" for key, value in settings.items())
    world.calque.configure(keys + conf)
    world.calque.start()
    world.wait_up()
    return world


@pytest.fixture
def world(lab):
    world = world_with(lab, admin="127.0.0.1:0", admin_hosts=["bridge.example"],
                       admin_token=f"file:{lab.secret_file('admin.token', TOKEN)}")
    yield world
    if world.calque.is_running():
        world.calque.stop()


def test_it_lets_in_whom_it_should(world):
    admin = Admin(world.calque)
    assert admin.ask("/healthz")[:2] == (200, "ok\n")
    for host, code in {"localhost": 200, "[::1]:9": 200, "10.1.2.3": 200, "Bridge.Example:80": 200, "evil.example": 421,
                       "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "": 421}.items():
        assert admin.ask("/healthz", Host=host)[0] == code, host
    for origin, code in {"http://localhost:1": 200, "https://localhost:1": 200, "http://localhost": 403,
                         "http://evil.example": 403, "null": 403}.items():
        assert admin.ask("/status", Host="localhost:1", Origin=origin)[0] == code, origin
    asked = {"request": "deadletters", "do": "list"}
    for token in (None, "", TOKEN[:-1], TOKEN + "x", "x" * 16):
        code, text, headers = admin.ask("/request", "POST", json.dumps(asked), token, Content_Type="application/json")
        assert code == 401 and headers["WWW-Authenticate"].startswith("Bearer") and TOKEN not in text
    assert admin.request(asked)[0] == 200
    assert admin.request(asked, Origin="http://evil.example")[0] == 403
    assert admin.request(asked, content_type="text/plain")[0] == 415  # what a form of anybody's page could send
    assert admin.request({"request": "devices", "do": "export"})[0] == 400
    assert admin.request({"request": "state"})[0] == 400
    assert admin.ask("/status", token="x" * 16)[0] == 401
    assert admin.bench({"do": "list"}, token=None)[0] == 401
    code, told = admin.bench({"do": "list"})
    assert code == 403 and "admin_bench" in told and admin.ask("/bench", token=TOKEN)[:2] == (200, '{"on":false}\n')
    code, _, headers = admin.ask("/metrics", "POST", "")
    assert code == 405 and headers["Allow"] == "GET, HEAD"
    for age, code in {"300": 200, "999999999": 200, "0": 400, "-1": 400, "1x": 400, "": 400, "99999999999999999999": 400}.items():
        assert admin.ask(f"/readyz?age={age}")[0] == code, age
    assert admin.ask("/nothing")[0] == 404 and admin.ask("/../etc/passwd")[0] == 404
    try:
        assert admin.ask("/request", "POST", b"x" * ((1 << 20) + 1), TOKEN)[0] == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was not even read
    code, text, headers = admin.ask("/", "HEAD")
    assert code == 200 and text == "" and int(headers["Content-Length"]) > 0
    assert "Set-Cookie" not in headers and headers["Cache-Control"] == "no-store"
    assert TOKEN not in world.calque.log()

    # Who never gets to an end with a request holds no place for long that others want.
    slow = [socket.create_connection(("127.0.0.1", admin.port), timeout=LIMIT) for _ in range(40)]
    for one in slow:
        one.sendall(b"GET /heal")
    assert admin.ask("/healthz")[:2] == (200, "ok\n")
    for one in slow:
        one.close()


def test_a_mapping_is_tried_beside_what_runs(lab):
    world = world_with(lab, admin="127.0.0.1:0", admin_token=f"file:{lab.secret_file('admin.token', TOKEN)}",
                       admin_bench=True)
    admin = Admin(world.calque)
    assert admin.ask("/bench", token=TOKEN)[:2] == (200, '{"on":true}\n') and admin.ask("/bench")[0] == 401
    text = admin.bench({"do": "open", "name": "innoway"})[1]["text"]
    asked = {"do": "try", "south": "innoway", "north": "innoway", "flow": "up", "topic": "messages/D1/event", "payload_text": "{}",
             "edits": {"innoway": text.replace('topic: "messages/{device}/event"', 'topic: "other/{device}"')}}
    deadline = time.monotonic() + LIMIT
    told = {}
    while "why" not in told and time.monotonic() < deadline:  # a busy machine may take more than its 2 s
        told = admin.bench(asked)[1]
    assert [row["kind"] for row in told["why"]["rows"] if row["topic"] == "other/{device}"] == ["event"]
    assert [row["kind"] for row in told["why"]["rows"] if row["result"] == "matches"] == ["raw"]
    assert not os.path.exists(os.path.join(world.calque.state, "bench"))
    world.device.attributes(n=1)  # what runs has heard nothing of it
    wait_status(world.calque, lambda s: s["links"][0]["up"]["delivered"] == 1)
    assert "innoway" not in " ".join(world.calque.matching("mapping-|reload"))


def test_its_numbers_are_those_of_what_was_sent(world, tmp_path):
    admin = Admin(world.calque)
    up, down = (f'{{link="{world.LINK}",flow="{flow}"}}' for flow in ("up", "down"))
    before = admin.metrics()
    for flow in (up, down):
        for name in ("received_total", "delivered_total", "filtered_total", "dead_total", "pending"):
            assert before[f"calque_messages_{name}{flow}"] == 0  # and not only once there is something to tell
    assert not any(name.startswith("calque_message_outcomes_total") for name in before)
    for n in range(3):
        world.device.attributes(n=n)
    world.device.publish("attribute", b"no JSON")
    wait_status(world.calque, lambda s: s["links"][0]["up"]["delivered"] == 3 and s["links"][0]["up"]["dead"] == 1)
    told = admin.metrics()
    told_up = {name: told[f"calque_messages_{name}{up}"] for name in
               ("received_total", "resumed_total", "delivered_total", "filtered_total", "dead_total", "pending")}
    assert (told_up["delivered_total"], told_up["dead_total"], told_up["pending"]) == (3, 1, 0)
    assert told_up["received_total"] == sum(told_up.values()) - told_up["received_total"]
    outcomes = {name: n for name, n in told.items() if name.startswith("calque_message_outcomes_total")}
    assert sum(n for name, n in outcomes.items() if 'flow="up"' in name) == told_up["received_total"]
    assert sum(n for name, n in outcomes.items() if 'reason="unreadable-payload"' in name) == 1
    assert all(outcomes.values())
    assert told[f'calque_session_up{{link="{world.LINK}",side="north"}}'] == 1
    assert told["calque_translation_duration_seconds_count"] >= 3
    assert told['calque_translation_duration_seconds_bucket{le="+Inf"}'] == \
        told["calque_translation_duration_seconds_count"]
    assert told["calque_commit_duration_seconds_count"] >= 1 and told["calque_commit_duration_seconds_sum"] > 0
    assert told["calque_dead_letters"] == 1 and told["calque_workers"] >= 1 and told["calque_state_writable"] == 1
    assert world.DEVICE not in admin.ask("/metrics")[1]
    assert_examples_name_what_there_is(admin.ask("/metrics")[1])
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=admin.ask("/metrics")[1], text=True,
                                 capture_output=True, check=False)
        assert checked.returncode == 0 and not checked.stdout, checked.stdout + checked.stderr

    # A dead letter is shown with its message only to who has the token, and is dropped for good.
    shown = admin.request({"request": "deadletters", "do": "list"})[1]
    assert [line["item"]["reason"] for line in shown if "item" in line] == ["unreadable-payload"]
    number = shown[0]["item"]["id"]
    assert admin.request({"request": "deadletters", "do": "drop", "ids": [number]})[1][-1]["done"]
    assert letters(world.calque) == [] and admin.metrics()["calque_dead_letters"] == 0

    # A run of waves is told of as it stands, and none of its devices.
    link = f'link="{world.LINK}"'
    assert not any(name.startswith("calque_wave_") for name in before) and before[f"calque_waves_kept_devices{{{link}}}"] == 0
    table, waves = tmp_path / "fleet.csv", tmp_path / "waves.conf"
    table.write_text(f"name\n{world.DEVICE}\n")
    waves.write_text('waves = ( { name = "all"; match = { all = true; }; mode = "live"; soak = 3600; max_failures = 2; max_dead_letters = 7; } );')
    for words in (("import", table), ("wave", "run", waves)):
        assert Verb(world.calque, "devices", *words).status == 0
    world.calque.wait_log("wave link=.* state=soaks")
    told = admin.metrics()
    assert told[f'calque_waves_state{{{link},phase="running",wave="all",state="soaks"}}'] == 1
    assert [told[f'calque_wave_{name}{{{link},wave="all"}}'] for name in
            ("devices", "failures", "max_failures", "dead_letters", "max_dead_letters")] == [1, 0, 2, 0, 7]
    assert Verb(world.calque, "devices", "wave", "stop").status == 0
    assert admin.metrics()[f'calque_waves_state{{{link},phase="stopped",wave="all",state="stopped"}}'] == 1
    assert world.DEVICE not in admin.ask("/metrics")[1]


def test_messages_are_told_while_they_cross(world):
    admin = Admin(world.calque)
    asked = {"request": "tap", "by": "page", "link": world.LINK, "topic": "messages/+/attribute"}
    assert admin.request(asked, token="x" * 16)[0] == 401 and not world.calque.matching("tap-begins")
    assert admin.request({**asked, "link": "no such"})[1] == [{"error": 'there is no link "no such"', "status": 2}]
    assert "no topic filter" in admin.request({**asked, "topic": "a#"})[1][0]["error"]
    mark = world.calque.mark()
    connection = http.client.HTTPConnection("127.0.0.1", admin.port, timeout=20)
    connection.request("POST", "/request", json.dumps(asked),
                       {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    told = (json.loads(line)["item"] for line in connection.getresponse())
    assert next(told)["step"] == "begins"
    world.calque.wait_log("tap-begins .*by=page topic=messages/\\+/attribute", mark)
    world.device.attributes(n=1, password="swordfish")
    steps = []
    while not steps or steps[-1]["step"] != "settled":  # and the answer goes on
        steps += [item for item in [next(told)] if item["step"] != "beat"]
    assert [step["step"] for step in steps] == ["arrived", "read", "made", "ended", "settled"]
    assert steps[0]["payload"] == steps[2]["payload"] == {"n": 1, "password": "***"}
    assert steps[2]["topic"] == world.tb.ATTRIBUTES and steps[4]["result"] == "delivered"
    connection.close()  # which is noticed
    world.calque.wait_log("tap-ends .*by=page .*dropped=0", mark)


def assert_examples_name_what_there_is(text):
    """The rules and the dashboard have no other metrics than these."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    folder = os.path.join(REPOSITORY, "examples", "monitoring")
    for file in ("alerts.yaml", "dashboard.json"):
        with open(os.path.join(folder, file), encoding="utf-8") as source:
            named = set(re.findall(r"\bcalque_\w+", source.read()))
        assert len(named) > 5
        assert not {name for name in named if re.sub("_bucket$", "", name) not in kinds}, file
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "rules", os.path.join(folder, "alerts.yaml")],
                                 capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_status_and_readiness_are_those_of_the_verb(world):
    admin = Admin(world.calque)
    assert admin.ask("/readyz")[:2] == (200, "ready\n") == admin.ask("/readyz?strict=1")[:2]
    full, bare = (json.loads(admin.ask("/status", token=token)[1]) for token in (TOKEN, None))
    verb = status(world.calque)
    assert full.keys() == verb.keys() == bare.keys() and full["ready"] is True
    assert [link["link"] for link in bare["links"]] == [world.LINK]
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    assert admin.ask("/readyz")[:2] == (200, "ready\n")  # messages are taken in and kept
    code, text, _ = admin.ask("/readyz?strict=1")
    assert code == 503 and f"link {world.LINK}: north is not up" in text
    full, bare = (json.loads(admin.ask("/status", token=token)[1]) for token in (TOKEN, None))
    assert "why" in full["links"][0]["sessions"][1] and "why" not in bare["links"][0]["sessions"][1]
    assert full["ready"] is False is bare["ready"]
    assert admin.metrics()[f'calque_session_up{{link="{world.LINK}",side="north"}}'] == 0
    mark = world.calque.mark()
    world.south.stop()
    world.calque.wait_down(world.LINK, "south", mark)
    code, text, _ = admin.ask("/readyz")
    assert code == 503 and f"link {world.LINK}: south is not up" in text


def test_others_see_only_health_and_numbers_without_the_token(lab):
    world = world_with(lab, admin="0.0.0.0:0")
    admin = Admin(world.calque)
    assert [admin.ask(path)[0] for path in ("/healthz", "/readyz", "/metrics", "/")] == [200] * 4
    assert admin.ask("/status")[0] == 403
    assert admin.request({"request": "deadletters", "do": "list"}, token="x" * 16)[0] == 403
    checked = Verb(world.calque, "check")
    assert "admin: others reach it, and there is no TLS" in checked.err + checked.out
    taken = world_with_port(lab, world, admin.port)
    assert taken.wait_end() == 1
    assert f"admin 0.0.0.0:{admin.port}: listen: Address already in use" in taken.log()


def world_with_port(lab, world, port):
    """Another bridge, which is to listen where this one does."""
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read().replace("0.0.0.0:0", f"0.0.0.0:{port}").replace(world.calque.state, "@state@")
    other = lab.calque(conf, start=False, env=world.calque.env, name="other")
    other.start()
    return other
