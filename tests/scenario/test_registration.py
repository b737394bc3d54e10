"""Devices of an EZtCloud project that a program registers over HTTPS: the one of examples/xyte, at a Xyte of our own."""

import contextlib
import http.server
import json
import os
import shutil
import ssl
import threading
import uuid

from harness import LIMIT, REPOSITORY, Timeout, children, conf_text, find_secret
from platforms import DeviceEventsCloud, EZtCloud
from verbs import Verb, ask_until

LINK, PROJECT = "project", "PR1"


class Xyte:
    """What it answers to registrations. `busy`: how often a serial number is told to come later; `held`: whose answers
    wait for release()."""

    def __init__(self, authority):
        self.ca = authority.ca
        self.registered, self.asked, self.busy, self.held = {}, [], {}, set()
        self._changed = threading.Condition()
        self._released = threading.Event()
        xyte = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, answer = xyte._register(self.path, body, self.headers)
                with contextlib.suppress(OSError):  # who asked may have been killed
                    self.send_response(code)
                    self.end_headers()
                    self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.server)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/v1/devices"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _register(self, path, body, headers):
        serial = body.get("sn")
        with self._changed:
            self.asked.append((serial, headers["Idempotency-Key"]))
            self._changed.notify_all()
            if path != "/v1/devices" or headers["Content-Type"] != "application/json" or "firmware_version" not in body:
                return 400, {}
            if self.busy.get(serial, 0):
                self.busy[serial] -= 1
                return 429, {}
            if body["hardware_key"] != f"hw of {serial}":
                return 403, {"error": "wrong hardware key"}
            if serial in self.registered:
                return 422, {"error": "registered already"}
            self.registered[serial] = (str(uuid.uuid4()), f"key \"of\" {serial}")
            is_held = serial in self.held
        if is_held:
            self._released.wait(LIMIT)
        number, key = self.registered[serial]
        return 201, {"id": number, "access_key": key, "hub_url": "https://hub", "mqtt_hub_url": "mqtts://hub:8883"}

    def wait(self, is_true, what):
        with self._changed:
            if not self._changed.wait_for(is_true, LIMIT):
                raise Timeout(f"within {LIMIT} s not: {what}")

    def close(self):
        self._released.set()
        self.server.shutdown()
        self.server.server_close()


class Registration:
    def __init__(self, lab, devices, **provision):
        self.lab = lab
        self.xyte = lab.add(Xyte(lab.authority()))
        self.south, self.north = lab.broker("south"), lab.broker("north")
        program = shutil.copy(os.path.join(REPOSITORY, "examples", "xyte", "register"), lab.directory)
        os.chmod(program, 0o755)
        rows = "".join(f"{d},live,SN-{d},hw of SN-{d}\n" for d in devices)
        fleet = lab.secret_file("fleet.csv", "name,mode,north.sn,north.hardware_key\n" + rows.rstrip())
        self.calque = lab.calque(conf_text({"state": "@state@", "devices": fleet, "links": [{
            "name": LINK,
            "south": {"dialect": "eztcloud", "url": self.south.url, "vars": {"project": PROJECT}, "username": ""},
            "north": {"dialect": "device-events", "url": self.north.url, "provision": {
                "command": [program, self.xyte.url, self.xyte.ca], **provision}}}]}))
        self.calque.wait_up(LINK, "south")

    def provision(self, *options):
        return Verb(self.calque, "devices", "provision", "--link", LINK, *options)

    def listed(self):
        return {d["name"]: (d["state"], d.get("reason", "")) for d in Verb(self.calque, "devices", "list", "--json").items()}

    def serials(self):
        return [serial for serial, _ in self.xyte.asked]


def of(calque, name):
    """The words of the command lines of what it has started and is called so, with those that these started."""
    def below(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                for child in file.read().split():
                    yield from below(child)
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                yield file.read().decode().split("\0")

    return [line for pid in children(calque, name) for line in below(pid)]


def test_each_is_registered_once_whatever_the_platform_says(lab):
    r = Registration(lab, ["good", "busy", "wrong", "twice"])
    r.xyte.busy["SN-busy"] = 1
    r.xyte.registered["SN-twice"] = ("other", "other")
    # The row's key is wrong at the platform, which alone can say that.
    assert Verb(r.calque, "devices", "import", lab.secret_file(
        "wrong.csv", "name,north.hardware_key\nwrong,hw of another")).status == 0
    done = r.provision()
    assert done.status == 1 and done.out.splitlines()[-1] == "4 devices: 2 ready 2 refused", done.out
    assert r.listed() == {"good": ("ready", ""), "busy": ("ready", ""),
                          "wrong": ("refused", "xyte: refused with 403"),
                          "twice": ("refused", "xyte: it is registered already: import its id and access key, or remove "
                                               "it there")}
    assert sorted(r.serials()) == ["SN-busy", "SN-busy", "SN-good", "SN-twice", "SN-wrong"]
    assert len(set(r.xyte.asked)) == 4, "a device has one key, each time"
    number, key = r.xyte.registered["SN-good"]
    cloud = lab.add(DeviceEventsCloud(r.north.port, number, key))
    lab.add(EZtCloud(r.south.port, PROJECT, "good", name="ez")).attributes(temp=21.5)
    assert cloud.telemetry()["telemetries"] == {"temp": 21.5}
    r.calque.stop()
    for secret in (key, "hw of SN-good"):
        assert secret not in r.calque.log(100000)
        assert not find_secret(os.path.join(lab.directory, "state"), secret)


def test_whose_answer_nobody_heard_is_made_no_second_time(lab):
    devices = [f"d{i}" for i in range(6)]
    r = Registration(lab, devices, sessions=3)
    r.xyte.held = {"SN-d1", "SN-d4"}
    assert r.provision("--dry-run").status == 0 and not r.xyte.asked
    with contextlib.ExitStack() as stack:
        verb = threading.Thread(target=r.provision)
        verb.start()
        stack.callback(verb.join)
        r.xyte.wait(lambda: len(r.xyte.asked) == 6, "all are asked for")
        ask_until(r.listed, lambda told: [told[d][0] for d in devices].count("ready") == 4)
        lines = of(r.calque, "register")
        assert any("curl" in line[0] for line in lines), lines
        assert not any("hw of" in word for line in lines for word in line), lines
        r.calque.kill()
    mark = r.calque.mark()
    r.calque.start()
    r.calque.wait_up(LINK, "south", mark)
    refused = "xyte: it is registered already: import its id and access key, or remove it there"
    assert r.provision().status == 1
    assert {r.listed()[d] for d in ("d1", "d4")} == {("lost", "calque ended before the answer came")}
    assert len(r.xyte.asked) == 6
    assert r.provision("--retry-lost", "d1").status == 1
    assert r.listed()["d1"] == ("refused", refused)
    number, key = r.xyte.registered["SN-d4"]
    quoted = key.replace('"', '""')
    table = lab.secret_file("d4.csv", f'name,north.device,north.access_key\nd4,{number},"{quoted}"')
    assert Verb(r.calque, "devices", "import", table).status == 0
    assert r.listed()["d4"][0] == "ready"
    assert len(set(r.xyte.asked)) == len(r.xyte.registered) == 6
    r.calque.stop()
