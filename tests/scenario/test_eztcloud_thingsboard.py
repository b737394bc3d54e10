"""EZtCloud devices on ThingsBoard, both stood in for by ordinary brokers with MQTT 3.1.1: all that is said comes back."""

import os
import time

import pytest

from harness import Client, assert_json, conf_text
from platforms import EZtCloud, ThingsBoard

SOAK_S = float(os.environ.get("CALQUE_SOAK_S", "0"))  # README.md has the command
ROUNDS = 10


class World:
    PROJECT, DEVICE, LINK = "PR_1", "DU_1", "room"

    def __init__(self, lab):
        self.south, self.north = lab.broker("south"), lab.broker("north")
        self.ez = lab.add(EZtCloud(self.south.port, self.PROJECT, self.DEVICE))
        self.tb = lab.add(ThingsBoard(self.north.port))
        self.spies = [lab.add(Client(broker.port)).subscribe("#") for broker in (self.south, self.north)]
        self.calque = lab.calque(conf_text({"state": "@state@", "links": [{
            "name": self.LINK,
            "south": {"dialect": "eztcloud", "url": self.south.url, "mqtt": 4,
                      "vars": {"project": self.PROJECT, "device": self.DEVICE, "secret": "s"}},
            "north": {"dialect": "thingsboard", "url": self.north.url, "mqtt": 4, "vars": {"token": "t"}}}]}))
        self.calque.wait_up(self.LINK, count=2)

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
    world = World(lab)
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
    end = time.monotonic() + SOAK_S
    while time.monotonic() < end:
        assert world.said() == before
    assert world.said() == before
    assert [len(said) for said in before] == [5, 5], before  # twice a push and its echo, and what the device said
