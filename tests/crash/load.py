"""Numbered messages through a bridge between two real brokers, both ways, and what became of each of them."""

import collections
import os
import re
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))

# pylint: disable=wrong-import-position
from harness import LIMIT, Lab, Timeout  # noqa: F401,E402
from platforms import InnowayDevice, ThingsBoard  # noqa: E402

DEVICE = "bb56e5d7-96bc-4339-8780-6ebb67e5ac44"
ISSUED = "credentials-0.issued"  # what a handshake brings

# What each flow is: where it ends.
TARGET = {"event": "north", "attributes": "north", "command": "south", "reply": "north", "config": "south"}
SOURCE = {"event": "south", "attributes": "south", "command": "north", "reply": "south", "config": "north"}
# What keeps its order among all kinds of a device: its reports, and what it is told.
LANE = {"event": "reports", "attributes": "reports", "command": "orders", "config": "orders"}
LANE_TARGET = {"reports": "north", "orders": "south"}

# For thousands of messages: wide, and not telling of every packet.
BROKER = "max_inflight_messages 200\nlog_type none\nlog_type information\n"

CONF = """\
state = "@state@";
links = ({
  name = "crash";
  request_timeout = 86400;
  command_max_age = 86400;
  south = { dialect = "innoway"; url = "%s"; username = "calque"; mqtt = %d;
            vars = { device = "%s"; token = "south-token"; }; };
  north = { dialect = "thingsboard"; url = "%s"; mqtt = %d; %s };
});
"""
LOGIN = 'vars = { token = "north-token"; };'
HANDSHAKE = 'provision = { key = "tb-key"; secret = "tb-secret"; };'


def conf_between(south, north, login=LOGIN, mqtt=4):
    """The configuration of the bridge between these two urls."""
    return CONF % (south, mqtt, DEVICE, north, mqtt, login)


def tokens(data):
    """What is numbered in these bytes: [(name, number)]."""
    return [(name.decode(), int(number)) for name, number in re.findall(rb"([a-z]+)-(\d+)\.", data)]


class Flow:
    """Messages of one kind: those that were sent, and those that came, in order."""

    def __init__(self, name):
        self.name = name
        self.sent = 0
        self.came = collections.Counter()
        self.inversions = 0
        self._last = -1

    def arrived(self, number):
        """One came; only the first of its number counts for the order."""
        if not self.came[number]:
            self.inversions += number < self._last
            self._last = max(self._last, number)
        self.came[number] += 1

    @property
    def missing(self):
        return self.sent - len(self.came)

    @property
    def duplicates(self):
        return sum(self.came.values()) - len(self.came)


class Load:
    """Two brokers, a device and a ThingsBoard on them, and flows that are kept full while they run.

    window: so many messages of a flow may be on their way. pad: bytes by which each is made longer.
    """

    def __init__(self, lab, window=100, pad=0, login=LOGIN, mqtt=4, broker=BROKER):
        self.window, self.pad = window, "_" * pad
        self.broker = {side: lab.broker(side, extra=broker) for side in ("south", "north")}
        self.device = lab.add(InnowayDevice(self.broker["south"].port, DEVICE))
        self.tb = lab.add(ThingsBoard(self.broker["north"].port, token=ISSUED))
        self.client = {"south": self.device.client, "north": self.tb.client}
        self.conf = conf_between(self.broker["south"].url, self.broker["north"].url, login, mqtt)
        self.flows = {name: Flow(name) for name in TARGET}
        self.lanes = {name: Flow(name) for name in LANE.values()}
        self.strays = collections.Counter()
        self._changed = threading.Condition()
        self._limit = {name: 0 for name in TARGET}  # of numbers, exclusive
        self._published = collections.Counter()  # by side
        self._accepted = collections.Counter()
        self._is_paused = set()
        self._is_closing = False
        self._in_order = {side: threading.Lock() for side in self.client}
        self._watch()
        self._feeders = [threading.Thread(target=self._feed, args=(flow,), daemon=True)
                         for name, flow in self.flows.items() if name != "reply"]
        for feeder in self._feeders:
            feeder.start()
        lab.add(self)

    # --- the far ends

    def _watch(self):
        for side, client in self.client.items():
            client.paho.on_publish = lambda *_, side=side: self._on_accepted(side)
            client.on("#", lambda m, side=side: self._on_message(side, m))

    def _on_accepted(self, side):
        with self._changed:
            self._accepted[side] += 1
            self._changed.notify_all()

    def _on_message(self, side, message):
        del self.client[side].inbox[:], self.client[side].received[:]  # thousands, and nobody asks for them
        for name, number in tokens(message.payload):
            if name in self.lanes and LANE_TARGET[name] == side:
                self.lanes[name].arrived(number)
            if name not in self.flows:
                continue
            with self._changed:
                if TARGET[name] != side:
                    self.strays[name] += 1
                    continue
                self.flows[name].arrived(number)
                self._changed.notify_all()
            if name == "command":
                self._reply(number, message.json()["id"])

    def _publish(self, side, topic, payload):
        with self._changed:
            self._published[side] += 1
        self.client[side].publish(topic, payload, wait=False)

    def _reply(self, number, ident):
        """The device answers each copy of a command."""
        with self._changed:
            self.flows["reply"].sent = max(self.flows["reply"].sent, number + 1)
        self._publish("south", self.device.topic("command_reply"),
                      {"id": ident, "status": "done", "result": f"reply-{number}.{self.pad}"})

    # --- the sources

    def _send(self, name, number):
        lane = self.lanes[LANE[name]]
        text = f"{name}-{number}.{lane.name}-{lane.sent}.{self.pad}"
        lane.sent += 1
        if name == "event":
            self._publish("south", self.device.topic("event"), {"name": "e", "params": {"text": text}})
        elif name == "attributes":
            self._publish("south", self.device.topic("attribute"), {"text": text})
        elif name == "command":
            self._publish("north", f"v1/devices/me/rpc/request/{number}", {"method": "m", "params": {"text": text}})
        else:
            self._publish("north", self.tb.ATTRIBUTES, {"rate": text})

    def _may_send(self, flow):
        return (flow.sent < self._limit[flow.name] and flow.missing < self.window
                and SOURCE[flow.name] not in self._is_paused)

    def _feed(self, flow):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing or self._may_send(flow))
                if self._is_closing:
                    return
                number = flow.sent
                flow.sent += 1
            with self._in_order[SOURCE[flow.name]]:
                self._send(flow.name, number)

    # --- what a test does

    def run(self, limit=1 << 60):
        """Keep all flows full, up to that number."""
        with self._changed:
            self._limit = {name: limit for name in TARGET}
            self._changed.notify_all()

    def pause(self):
        """Say nothing more; what has been said is with the brokers afterwards."""
        with self._changed:
            for name, flow in self.flows.items():
                self._limit[name] = flow.sent
        for side in self.client:
            self._wait(lambda side=side: self._accepted[side] >= self._published[side], "acceptance")

    def _wait(self, is_true, what):
        """Wait, as long as anything comes at least every LIMIT seconds."""
        with self._changed:
            while not is_true():
                if not self._changed.wait(LIMIT):
                    raise Timeout(f"no {what}, and nothing has come for {LIMIT} s: {self.describe()}")

    def _is_done(self, flow):
        limit = self._limit["command" if flow.name == "reply" else flow.name]
        return flow.sent >= limit and not flow.missing

    def wait_all(self):
        """Wait until each number has come, up to the limit; False: some have not, and no more come."""
        try:
            self._wait(lambda: all(map(self._is_done, self.flows.values())), "rest of the messages")
        except Timeout:
            return False
        return True

    def wait_quiet(self):
        """Send one more on each flow and wait for it: then the copies of those before it have come, too."""
        with self._changed:
            self._limit = {name: flow.sent + 1 for name, flow in self.flows.items()}
            self._changed.notify_all()
        return self.wait_all()

    def take_down(self, side):
        """The broker of that side ends, and keeps its sessions; the other side's sources go on."""
        with self._changed:
            self._is_paused.add(side)
        self._wait(lambda: self._accepted[side] >= self._published[side], "acceptance")
        self.broker[side].stop()

    def bring_up(self, side):
        self.broker[side].start()
        self.client[side].wait_ready()
        with self._changed:
            self._is_paused.discard(side)
            self._changed.notify_all()

    def is_in_order(self):
        """Within each flow, and among all kinds of the device."""
        return not any(f.inversions for f in (*self.flows.values(), *self.lanes.values()))

    def missing(self):
        return sum(flow.missing for flow in self.flows.values())

    def describe(self):
        return " ".join(f"{f.name}={len(f.came)}/{f.sent}" for f in self.flows.values())

    def close(self):
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
