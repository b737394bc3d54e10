"""One link, many devices: a fleet that speaks Innoway behind one gateway session of ThingsBoard."""

import pytest

from harness import Client, conf_text


class Fleet:
    LINK = "fleet"

    def __init__(self, lab):
        self.south, self.north = lab.broker("south"), lab.broker("north")
        self.calque = lab.calque(conf_text({"state": "@state@", "links": [{
            "name": self.LINK, "offline_delay": 0,
            "south": {"dialect": "innoway", "url": self.south.url, "username": "calque", "vars": {"token": "t"}},
            "north": {"dialect": "thingsboard-gateway", "url": self.north.url, "vars": {"token": "tb"}}}]}))
        self.calque.wait_up(self.LINK, count=2)
        self.devices = lab.add(Client(self.south.port))
        self.devices.subscribe("messages/+/command", "messages/+/config")
        self.cloud = lab.add(Client(self.north.port))
        self.cloud.subscribe("v1/gateway/telemetry", "v1/gateway/attributes", "v1/gateway/connect",
                             "v1/gateway/disconnect", "v1/gateway/rpc")

    def command(self, name, topic):
        """The command that came down on this topic."""
        got = self.devices.wait_for(topic).json()
        assert got["name"] == name
        return got


@pytest.fixture
def fleet(lab):
    made = Fleet(lab)
    yield made
    made.calque.stop()


def test_each_device_is_named_in_the_payload(fleet):
    fleet.devices.publish("messages/d1/attribute", {"temp": 21.5})
    fleet.devices.publish("messages/d2/event", {"name": "leak", "params": {"zone": 2}})
    fleet.cloud.expect("v1/gateway/attributes", {"d1": {"temp": 21.5}})
    fleet.cloud.expect("v1/gateway/telemetry", {"d2": [{"leak": {"zone": 2}}]})


def test_presence_connects_and_disconnects(fleet):
    fleet.devices.publish("messages/d1/online", {"online": True})
    fleet.devices.publish("messages/d1/online", {"online": True})
    fleet.devices.publish("messages/d1/online", {"online": False})
    assert fleet.cloud.wait_for("v1/gateway/connect").json()["device"] == "d1"
    fleet.cloud.expect("v1/gateway/disconnect", {"device": "d1"})
    assert not fleet.cloud.waiting("v1/gateway/connect"), "only a change is a message"


def test_commands_of_two_devices_with_one_id_are_kept_apart(fleet):
    for device in ("d1", "d2"):
        fleet.cloud.publish("v1/gateway/rpc", {"device": device, "data": {"id": 5, "method": f"go-{device}", "params": {}}})
    sent = {d: fleet.command(f"go-{d}", f"messages/{d}/command") for d in ("d1", "d2")}
    for device in ("d2", "d1"):
        fleet.devices.publish(f"messages/{device}/command_reply",
                              {"id": sent[device]["id"], "status": "done", "result": {"by": device}})
    for device in ("d2", "d1"):
        reply = fleet.cloud.wait_for(
            lambda m, d=device: m.topic == "v1/gateway/rpc" and m.json() == {"device": d, "id": 5, "data": {"by": d}})
        assert reply


def test_a_reply_from_another_device_is_not_taken(fleet):
    fleet.cloud.publish("v1/gateway/rpc", {"device": "d1", "data": {"id": 1, "method": "go", "params": {}}})
    command = fleet.command("go", "messages/d1/command")
    fleet.devices.publish("messages/d2/command_reply", {"id": command["id"], "status": "done", "result": {"by": "d2"}})
    fleet.calque.wait_log(r"dead-letter link=fleet flow=up reason=unknown-id")
    fleet.devices.publish("messages/d1/command_reply", {"id": command["id"], "status": "done", "result": {"by": "d1"}})
    fleet.cloud.wait_for(
        lambda m: m.topic == "v1/gateway/rpc" and m.json() == {"device": "d1", "id": 1, "data": {"by": "d1"}})


def test_a_renamed_device_keeps_its_name_in_the_south(fleet):
    fleet.cloud.publish("v1/gateway/attributes", {"device": "d1", "data": {"rate": 10}})
    fleet.devices.expect("messages/d1/config", {"rate": 10})
    fleet.cloud.publish("v1/devices/me/rpc/request/0", {"method": "gateway_device_renamed", "params": {"d1": "pump"}})
    fleet.cloud.publish("v1/gateway/attributes", {"device": "pump", "data": {"rate": 11}})
    fleet.devices.expect("messages/d1/config", {"rate": 11})
    fleet.devices.publish("messages/d1/attribute", {"temp": 1})
    fleet.cloud.expect("v1/gateway/attributes", {"pump": {"temp": 1}})
    fleet.calque.wait_up(fleet.LINK, since=fleet.calque.restart(), count=2)
    fleet.devices.publish("messages/d1/attribute", {"temp": 2})
    fleet.cloud.expect("v1/gateway/attributes", {"pump": {"temp": 2}})
