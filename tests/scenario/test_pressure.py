"""More than a target takes: sources that are held, platforms with a pace, commands that get too old, cut connections."""

import os
import socket
import threading

import pytest

from harness import MQTT3, MQTT5, Client, conf_text, dead_letter
from verbs import Verb
from worlds import InnowayThingsBoard

PAD = "x" * 65536  # 256 of these are 16 MiB

ROWS = """
    {{ kind: "telemetry", topic: "{0}/{{device}}/t" }},
    {{ kind: "request", topic: "{0}/{{device}}/ask", id: "integer", read: "asked", write: "ask" }},
    {{ kind: "request_reply", topic: "{0}/{{device}}/answer", id: "integer", read: "answered", write: "answer" }},
    {{ kind: "command", topic: "{0}/{{device}}/do", id: "integer", read: "asked", write: "ask" }},
    {{ kind: "command_reply", topic: "{0}/{{device}}/done", id: "integer", read: "answered", write: "answer" }},
    {{ kind: "space_info", topic: "{0}/{{device}}/space" }}"""

DIALECT = """module {{ dialect: "{name}", {keys} messages: [{rows}
]}};
def asked: .payload | {{id, body: {{name: .do, params: {{}}}}}};
def ask: {{id, do: .body.name}};
def answered: .payload | {{id, body: {{status: "done", result: .is}}}};
def answer: {{id}} + .body;
"""


@pytest.fixture
def dialects(tmp_path):
    """A directory with "plant", and "office", "slow" and "slower" that say the same under n/."""
    for name, prefix, keys in (("plant", "{plant}", ""), ("office", "n", ""),
                               ("slow", "n", "limits: { in_flight: 5, messages_per_second: 40 },"),
                               ("slower", "n", "limits: { messages_per_second: 2 },")):
        with open(os.path.join(tmp_path, f"{name}.jq"), "w", encoding="utf-8") as file:
            file.write(DIALECT.format(name=name, keys=keys, rows=ROWS.format(prefix)))
    return str(tmp_path)


def link(name, south, north, dialect="office", mqtt=MQTT3):
    return {"name": name,
            "south": {"dialect": "plant", "url": south, "vars": {"plant": name}, "mqtt": mqtt},
            "north": {"dialect": dialect, "url": north, "mqtt": mqtt}}


def start(lab, dialects, links):
    calque = lab.calque(conf_text({"state": "@state@", "mappings": (dialects,), "links": links}))
    calque.wait_up(count=2 * len(links))
    return calque


def client(lab, broker, *filters):
    made = lab.add(Client(broker.port))
    return made.subscribe(*filters)


def take(subscriber, count, topic="n/d/t"):
    return [subscriber.wait_for(topic).json()["n"] for _ in range(count)]


def assert_in_order(subscriber, count, topic="n/d/t"):
    """Wait for that many different ones: none may be missing, and the first of each must come in order."""
    seen = {}  # keeps the order
    while len(seen) < count:
        seen[subscriber.wait_for(topic).json()["n"]] = True
    assert list(seen) == list(range(count))


def assert_all_delivered(calque, name, flow="up"):
    counters = calque.counters(name, flow)
    assert counters["dead"] == counters["pending"] == counters["filtered"] == 0, counters
    assert counters["received"] + counters["resumed"] == counters["delivered"], counters


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_a_dead_target_holds_its_own_source_and_nobody_else(lab, dialects, mqtt):
    south = lab.broker("south")
    norths = [lab.broker(f"north{i}") for i in range(3)]
    links = [link(f"l{i}", south.url, norths[i].url, mqtt=mqtt) for i in range(3)]
    calque = start(lab, dialects, links)
    targets = [client(lab, n, "n/+/t") for n in norths]
    source = client(lab, south)
    norths[0].stop()
    calque.wait_down("l0", "north")
    targets[0].wait_lost()
    for n in range(400):
        source.publish("l0/d/t", {"n": n, "pad": PAD})
    calque.wait_log("source-held link=l0 side=south bytes=")
    for i in (1, 2):
        for n in range(50):
            source.publish(f"l{i}/d/t", {"n": n})
        assert take(targets[i], 50) == list(range(50))
    norths[0].start()
    targets[0].wait_ready()
    assert_in_order(targets[0], 400)
    calque.wait_log("source-released link=l0 side=south bytes=")
    source.publish("l0/d/t", {"n": 400})
    targets[0].wait_for(lambda m: m.json() == {"n": 400})
    calque.stop()
    assert not calque.matching("source-held link=l[12]")
    assert not calque.matching("dead-letter|session-lost")
    for i in range(3):
        assert_all_delivered(calque, f"l{i}")


def test_a_held_source_still_gets_its_commands(lab, dialects):
    """Two messages per second go north, so it is held for the better part of a minute."""
    south, north = lab.broker("south"), lab.broker("north")
    calque = start(lab, dialects, [link("l", south.url, north.url, "slower")])
    device, office = client(lab, south, "l/d/do"), client(lab, north)
    for n in range(300):
        device.publish("l/d/t", {"n": n, "pad": PAD}, wait=False)
    calque.wait_log("source-held link=l side=south")
    for n in range(3):
        office.publish("n/d/do", {"id": n, "do": f"stop {n}"})
        assert device.wait_for("l/d/do").json()["do"] == f"stop {n}"
    assert not calque.matching("source-released|dead-letter|session-down|session-lost")
    calque.kill()


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_floods_both_ways_hold_both_sources_and_all_arrives(lab, dialects, mqtt):
    """Each side is away in turn, so that much waits for both; nothing blocks, nothing is lost."""
    south, north = lab.broker("south"), lab.broker("north")
    calque = start(lab, dialects, [link("l", south.url, north.url, mqtt=mqtt)])
    device, office = client(lab, south, "l/d/space"), client(lab, north, "n/d/t")
    north.stop()
    office.wait_lost()
    for n in range(300):
        device.publish("l/d/t", {"n": n, "pad": PAD}, wait=False)
    calque.wait_log("source-held link=l side=south")
    south.stop()
    device.wait_lost()
    north.start()
    office.wait_ready()
    for n in range(300):
        office.publish("n/d/space", {"n": n, "pad": PAD}, wait=False)
    calque.wait_log("source-held link=l side=north")
    south.start()
    device.wait_ready()
    assert_in_order(office, 300)
    assert_in_order(device, 300, "l/d/space")
    calque.wait_log("source-released", count=2)
    calque.stop()
    assert not calque.matching("dead-letter")
    for flow in ("up", "down"):
        assert_all_delivered(calque, "l", flow)


def test_a_backlog_is_drained_at_the_pace_of_the_platform_requests_first(lab, dialects):
    south, north = lab.broker("south"), lab.broker("north")
    calque = start(lab, dialects, [link("l", south.url, north.url, "slow")])
    device, office = client(lab, south, "l/d/answer"), client(lab, north, "n/d/t", "n/d/ask")
    north.stop()
    calque.wait_down("l", "north")
    office.wait_lost()
    for n in range(60):
        device.publish("l/d/t", {"n": n})
    device.publish("l/d/ask", {"id": 1, "do": "time"})
    north.start()
    office.wait_ready()
    asked = office.wait_for("n/d/ask").json()
    office.publish("n/d/answer", {"id": asked["id"], "is": 12})
    device.wait_for("l/d/answer")
    assert take(office, 60) == list(range(60))
    order = [m.topic for m in office.received]
    assert order.index("n/d/ask") == 0, order
    calque.stop()
    assert_all_delivered(calque, "l")


# --- commands ----------------------------------------------------------------------------------------------------

def test_a_command_that_waited_too_long_is_answered_and_not_delivered(lab):
    world = InnowayThingsBoard(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf.replace(f'= "{world.LINK}";', f'= "{world.LINK}"; command_max_age = 1;', 1))
    world.calque.start()
    world.wait_up()
    mark = world.calque.mark()
    world.south.stop()
    world.calque.wait_down(world.LINK, "south", mark)
    number = world.tb.call("setFan", {"rpm": 900})
    assert "expired" in str(world.tb.reply(number))
    world.south.start()
    world.device.client.wait_ready()
    world.tb.push(rate=1)  # configuration does not get too old
    world.device.next("config")
    assert not world.device.client.waiting(world.device.topic("command"))
    world.calque.stop()
    counters = world.calque.counters(world.LINK, "down")
    assert counters["dead"] == counters["pending"] == 0, counters


def test_a_command_that_nobody_waits_for_is_a_dead_letter_when_it_is_too_old(lab, dialects):
    south, north = lab.broker("south"), lab.broker("north")
    calque = start(lab, dialects, [{**link("l", south.url, north.url), "command_max_age": 3}])
    device, office = client(lab, south, "l/d/do"), client(lab, north)
    south.stop()
    calque.wait_down("l", "south")
    device.wait_lost()
    office.publish("n/d/do", {"do": "stop"})
    calque.wait_log(dead_letter("l", "down", "expired") + r" .*device=d\b")
    south.start()
    device.wait_ready()
    calque.wait_up("l", "south", count=2)
    office.publish("n/d/do", {"do": "go"})
    assert [device.wait_for("l/d/do").json()["do"]] == ["go"]
    calque.stop()
    counters = calque.counters("l", "down")
    assert (counters["dead"], counters["delivered"], counters["pending"]) == (1, 1, 0), counters


def test_an_expired_command_that_is_tried_again_is_sent(lab, dialects):
    south, north = lab.broker("south"), lab.broker("north")
    calque = start(lab, dialects, [{**link("l", south.url, north.url), "command_max_age": 2}])
    device, office = client(lab, south, "l/d/do"), client(lab, north)
    south.stop()
    calque.wait_down("l", "south")
    device.wait_lost()
    office.publish("n/d/do", {"do": "stop"})
    calque.wait_log(dead_letter("l", "down", "expired"))
    south.start()
    device.wait_ready()
    calque.wait_up("l", "south", count=2)
    assert Verb(calque, "deadletters", "retry", "1").out == "retried 1\n"
    assert device.wait_for("l/d/do").json()["do"] == "stop"
    assert Verb(calque, "deadletters", "list").out == ""
    calque.stop()


def test_a_command_that_was_accepted_before_a_kill_still_gets_too_old(lab, dialects):
    south, north = lab.broker("south"), lab.broker("north")
    calque = start(lab, dialects, [{**link("l", south.url, north.url), "command_max_age": 3}])
    device, office = client(lab, south, "l/d/do"), client(lab, north)
    south.stop()
    calque.wait_down("l", "south")
    mark = north.mark()
    office.publish("n/d/do", {"do": "stop"})
    north.wait_log("Received PUBACK from calque", mark)
    calque.kill()
    mark = calque.mark()
    calque.start()
    calque.wait_log(dead_letter("l", "down", "expired"), mark)
    south.start()
    device.wait_ready()
    calque.wait_up("l", "south", mark)
    office.publish("n/d/do", {"do": "go"})
    assert device.wait_for("l/d/do").json()["do"] == "go"
    assert len(device.received) == 1
    calque.stop()


# --- cut connections ---------------------------------------------------------------------------------------------

class Wire:
    """A connection to a broker that can be cut, with whatever is on it."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with self._lock:
                self._open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    @staticmethod
    def _carry(source, target):
        try:
            while data := source.recv(1500):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self._lock:
            for end in self._open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()
            self._open = []

    def close(self):
        self.listener.close()
        self.cut()


LINES = 3
CUTS = 4  # of each; the waits between grow
BURST = 150


def test_order_is_kept_per_device_and_direction_while_connections_are_cut(lab, dialects):
    south, north = lab.broker("south"), lab.broker("north")
    wires = [lab.add(Wire(north.port)) for _ in range(LINES)]
    links = [link(f"l{i}", south.url, f"mqtt://127.0.0.1:{wire.port}") for i, wire in enumerate(wires)]
    for i, it in enumerate(links):
        it["south"]["vars"]["device"] = it["name"]
        it["north"]["vars"] = {"device": f"{i}"}
    calque = start(lab, dialects, links)
    ups, downs = client(lab, north, "n/+/t"), client(lab, south, "+/+/space")
    for cut in range(CUTS):
        marks = calque.mark()
        for n in range(cut * BURST, (cut + 1) * BURST):
            for i in range(LINES):
                downs.publish(f"l{i}/l{i}/t", {"n": n}, wait=False)
                ups.publish(f"n/{i}/space", {"n": n}, wait=i == LINES - 1 and n % 10 == 0)
            if n % BURST == BURST // 2:
                for wire in wires:
                    wire.cut()
        calque.wait_up(side="north", since=marks, count=LINES)
    for i in range(LINES):
        assert_in_order(ups, CUTS * BURST, f"n/{i}/t")
        assert_in_order(downs, CUTS * BURST, f"l{i}/l{i}/space")
    calque.stop()
    for i in range(LINES):
        for flow in ("up", "down"):
            assert_all_delivered(calque, f"l{i}", flow)
