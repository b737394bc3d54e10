"""Random messages through a running bridge that is stopped and killed, compared with a model (tests/random)."""

import json
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "random"))

# pylint: disable=wrong-import-position
from bridge import Bridge  # noqa: E402
from compare import is_same  # noqa: E402
from dialects import EZtCloud, Gateway, Innoway, Message, ThingsBoard  # noqa: E402
from harness import MQTT5, Client, conf_text  # noqa: E402
from says import SPEAKERS  # noqa: E402

MESSAGES = int(os.environ.get("CALQUE_RANDOM", "160"))
LIVES = 4  # of the bridge; long runs have longer ones
COMES = {Innoway: ("messages/+/command", "messages/+/config", "messages/+/fota_request"),
         EZtCloud: ("open/P/+/command_send", "open/P/+/attributes_push"),
         ThingsBoard: ("v1/devices/me/telemetry", "v1/devices/me/attributes", "v1/devices/me/rpc/response/+",
                       "v1/devices/me/rpc/request/+"),
         Gateway: ("v1/gateway/telemetry", "v1/gateway/attributes", "v1/gateway/rpc", "v1/gateway/connect",
                   "v1/gateway/disconnect")}
# What shows, by coming through itself, that what was said before it on that side is done: a topic and a payload.
MARKS = {Innoway: ("messages/{}/event", {"name": "mark"}), EZtCloud: ("open/P/{}/event_report", {"method": "mark"}),
         ThingsBoard: ("v1/devices/me/rpc/request/9999", {"method": "mark"}),
         Gateway: ("v1/gateway/rpc", {"device": "{}", "data": {"id": 9999, "method": "mark"}})}


class World:
    """A bridge between two brokers, and a model of it."""

    def __init__(self, lab, south, north, seed):
        self.chance = random.Random(seed)
        self.devices = ("d1",) if north is ThingsBoard else ("d1", "d2", "d3")
        self.kinds = {"south": south, "north": north}
        self.bridge = Bridge(south(), north(), is_live=True)
        self.speaker = {side: SPEAKERS[kind](self.chance, self.bridge, self.devices) for side, kind in self.kinds.items()}
        brokers = {side: lab.broker(side) for side in self.kinds}
        variables = {"south": {"token": "t", "secret": "s", "project": "P"}, "north": {"token": "tb"}}
        if north is ThingsBoard:
            variables["south"]["device"] = "d1"
        used = {"south": ("token", "device") if south is Innoway else ("project", "secret"), "north": ("token",)}
        self.calque = lab.calque(conf_text({"state": "@state@", "links": [{
            "name": "random", "request_timeout": 86400, "command_max_age": 86400, "offline_delay": 0,
            **{side: {"dialect": kind.name, "url": brokers[side].url, "username": "calque", "mqtt": 5,
                      "vars": {k: v for k, v in variables[side].items() if k in used[side]}}
               for side, kind in self.kinds.items()}}]}))
        self.calque.wait_up("random", count=2)
        self.client = {side: lab.add(Client(brokers[side].port, mqtt=MQTT5)).subscribe(*COMES[kind])
                       for side, kind in self.kinds.items()}
        self.marks = 0
        self.announced = []
        self.before = []  # what came before the bridge was killed may come again

    def say(self, side, message):
        expected, _ = self.bridge.message(side, message)
        self.client[side].publish(message.topic, message.payload, response_topic=message.response_topic,
                                  retain=message.retain)
        for to in self.kinds:
            self.expect(to, [out for out in expected if out.side == to])
        return expected

    def step(self):
        side = self.chance.choice(("south", "south", "south", "north", "north"))
        message = self.speaker[side].say()
        message.retain = False
        if self.bridge.is_echo(side, message):
            return
        if not self.say(side, message):
            self.mark(side)

    def mark(self, side):
        """What was said on that side is done with, if this comes through: for each device, as order is theirs."""
        topic, payload = MARKS[self.kinds[side]]
        for device in self.devices:
            self.marks += 1
            text = json.dumps(payload).replace("{}", device).replace("9999", str(9999 + self.marks)).encode()
            assert self.say(side, Message(topic.format(device).replace("9999", str(9999 + self.marks)), text))

    def expect(self, side, outs):
        """The next that come on that side are these; what one message became has no order."""
        left = list(outs)
        while left:
            came = self.as_line(side, self.client[side].wait_for(lambda m: not self._is_greeting(m)))
            found = next((out for out in left if is_same(out, came)), None)
            assert found or self.is_repeated(came), f"expected {left}\ncame {came}"
            if found:
                left.remove(found)
                self.before.append(came)

    @staticmethod
    def _is_greeting(message):
        """What the bridge asks by itself after a login."""
        return b'"getSessionLimits"' in message.payload

    @staticmethod
    def as_line(side, message):
        line = {"side": side, "topic": message.topic}
        try:
            line["payload"] = json.loads(message.payload)
        except ValueError:
            line["payload_text"] = message.payload.decode()
        return line

    def end(self, is_kill):
        """The bridge goes, and comes again. After a clean stop nothing comes twice."""
        if is_kill:
            self.calque.kill()
            self.before = self.before[-200:]
        else:
            self.calque.stop()
            self.before = []
        mark = self.calque.mark()
        self.calque.start()
        self.calque.wait_up("random", since=mark, count=2)
        self.bridge.restart()
        if self.kinds["north"] is Gateway:  # which forgets who is there
            said = {d: self.bridge.devices[d].online for d in self.devices}
            online = {d for d in self.devices if said[d]}
            # Who never said whether it is may have been heard of.
            self.announced = [{"device": d} for d in self.devices if said[d] is None]
            while online:
                came = self.as_line("north", self.client["north"].wait_for("v1/gateway/connect"))
                assert came["payload"]["device"] in online or self.is_repeated(came)
                online.discard(came["payload"]["device"])

    def is_repeated(self, came):
        """May it come though nothing was said that it follows from?"""
        if came["topic"] == "v1/gateway/connect" and came["payload"] in self.announced:
            self.announced.remove(came["payload"])
            return True
        return came in self.before


@pytest.mark.parametrize("south, north", [(EZtCloud, Gateway), (Innoway, ThingsBoard)])
def test_random_messages_and_restarts(lab, south, north):
    seed = os.environ.get("CALQUE_RANDOM_SEED", str(random.SystemRandom().randrange(1 << 32)))
    print(f"seed={seed}")
    world = World(lab, south, north, seed)
    for life in range(LIVES):
        for _ in range(MESSAGES // LIVES // 2):
            world.step()
        world.end(is_kill=life % 2)
    world.mark("south")
    world.mark("north")
    world.calque.stop()
