"""EZtCloud devices on ThingsBoard, both stood in for by ordinary brokers: with MQTT 3.1.1, all that is said comes back."""

import os
import time

import pytest

from harness import MQTT3, MQTT5, Client, assert_json, conf_text
from platforms import EZtCloud, ThingsBoard
from verbs import ask_until

SOAK_S = float(os.environ.get("CALQUE_SOAK_S", "0"))  # README.md has the command
ROUNDS = 10


class World:
    PROJECT, DEVICE, LINK = "PR_1", "DU_1", "room"

    def __init__(self, lab, south=MQTT3, is_away=False):
        """`is_away`: nobody is at the south broker."""
        self.lab, self.south, self.north = lab, lab.broker("south"), lab.broker("north")
        self.tb = lab.add(ThingsBoard(self.north.port))
        if not is_away:
            self.come()
            self.spies = [lab.add(Client(broker.port)).subscribe("#") for broker in (self.south, self.north)]
        self.calque = lab.calque(conf_text({"state": "@state@", "links": [{
            "name": self.LINK, "request_timeout": 86400,  # nobody answers the calls of a soak
            "south": {"dialect": "eztcloud", "url": self.south.url, "mqtt": south,
                      "vars": {"project": self.PROJECT, "device": self.DEVICE, "secret": "s"}},
            "north": {"dialect": "thingsboard", "url": self.north.url, "mqtt": 4, "vars": {"token": "t"}}}]}))
        self.calque.wait_up(self.LINK, count=2)

    def come(self):
        self.ez = self.lab.add(EZtCloud(self.south.port, self.PROJECT, self.DEVICE))

    def rounds(self):
        """A message up and one down, one after the other: all that was said before has led to something meanwhile."""
        for n in range(ROUNDS):
            self.ez.event("round", n=n)
            self.spies[1].wait_for(lambda m, n=n: m.topic == self.tb.TELEMETRY and m.json() == {"round": {"n": n}})
            self.tb.call("round", {"n": n})
            self.spies[0].wait_for(lambda m, n=n: m.topic == self.ez.topic("command_send") and m.json()["params"] == {"n": n})

    def said(self):
        """What was said that is of no round, by topic and payload."""
        self.rounds()
        return [[(m.topic, m.text()) for m in spy.waiting() if "round" not in m.text()] for spy in self.spies]


@pytest.fixture
def world(lab):
    """The broker that stands in for ThingsBoard gives back what is said, which is found out by the third."""
    world = World(lab)
    for n in range(3):
        world.ez.attributes(n=n)
    world.calque.wait_log("warning echo-found link=room side=north")
    world.rounds()
    for client in (world.tb.client, world.ez.client, *world.spies):
        client.inbox.clear()
    yield world
    world.calque.stop()


def confirmed(world, **values):
    """The next confirmation; the pushes before it, which the cloud's own client hears as well, are left out."""
    message = world.tb.client.wait_for(lambda m: m.topic == world.tb.ATTRIBUTES and "values" in m.json())
    assert_json(message.json()["values"], values)


def test_a_push_takes_back_what_the_device_changed_and_nothing_circles(world):
    world.tb.push(rate=10)
    assert_json(world.ez.pushed(), {"rate": 10})
    confirmed(world, rate=10)
    world.ez.attributes(rate=11)
    world.tb.client.expect(world.tb.ATTRIBUTES, {"rate": 11})
    world.tb.push(rate=10)
    assert_json(world.ez.pushed(), {"rate": 10})
    confirmed(world, rate=10)
    before = world.said()
    end, n = time.monotonic() + SOAK_S, 0
    while time.monotonic() < end:
        assert world.said() == before
        n += 2 * ROUNDS
    print(f"{n} messages in {SOAK_S:.0f} s, and nothing that comes of none")
    assert world.said() == before
    # Twice a push and its echo, or the confirmation of it, and what the device said.
    assert [len(said) for said in before] == [5, 5], before


def all_came_back(broker, last):
    """calque has acknowledged all that it was sent, up to this: after a restart it would not know it for its own."""
    ask_until(lambda: [len(broker.matching(f"{what} calque-.*{more}")) for what, more in
                       (("Sending PUBLISH to", last), ("Sending PUBLISH to", " q1,"), ("Received PUBACK from", ""))],
              lambda n: n[0] and n[1] == n[2])


def test_what_nobody_listens_to_is_told_or_sent_later(lab):
    """A broker of MQTT 5 says so. The RPC is answered at once, the pushes wait for the device."""
    world = World(lab, MQTT5, is_away=True)
    assert world.tb.reply(world.tb.call("setFan", {"rpm": 900})) == {"error": "no device listens"}
    world.tb.push(rate=10, unit="C")
    world.tb.push(rate=11)
    world.calque.wait_log("warning no-listener link=room side=south device=DU_1")
    assert world.tb.reply(world.tb.call("setFan")) == {"error": "no device listens"}  # so the pushes were before it
    all_came_back(world.north, "rpc/response/2'")
    world.calque.wait_up(world.LINK, since=world.calque.restart(), count=2)
    world.come()
    world.ez.online(True)
    assert_json(world.ez.pushed(), {"rate": 11, "unit": "C"})
    confirmed(world, rate=11, unit="C")
    world.calque.stop()
    assert world.calque.counters(world.LINK, "down")["dead"] == 0
