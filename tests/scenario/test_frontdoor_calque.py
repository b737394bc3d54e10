"""calque behind the front door: devices that speak ThingsBoard's dialect in the south, another cloud in the north."""

import getpass
import json
import os
import re

import pytest

from frontdoor import Device, FrontDoor, plugin
from harness import MQTT5, REPOSITORY, Client, conf_text
from platforms import DeviceEventsCloud

TELEMETRY, ATTRIBUTES = "v1/devices/me/telemetry", "v1/devices/me/attributes"
RPC = [("v1/devices/me/rpc/request/+", 1), (ATTRIBUTES, 1), ("v1/devices/me/rpc/response/+", 1)]


class Cloud(DeviceEventsCloud):
    """One of many at one broker."""

    def __init__(self, port, device):  # pylint: disable=super-init-not-called
        self.device, self.access_key = device, "k"
        self.client = Client(port, f"cloud of {device}", mqtt=MQTT5)
        self.client.subscribe(*(self.topic(t) for t in self.UP))

    def telemetries(self):
        """The next telemetry that says more than whether the device is there."""
        while True:
            message = self.telemetry()
            if "telemetries" in message:
                return message["telemetries"]


def link(door, north, device, **more):
    south = {"dialect": "thingsboard", "url": door.url, "front_door": True, "username": "calque", "password": "sesame",
             "vars": {"device": device, "token": f"token-of-{device}"}, **more}
    return {"name": f"link-{device}", "south": south,
            "north": {"dialect": "device-events", "url": north.url, "vars": {"device": device, "access_key": "k"},
                      "username": device, "password": "k"}}


@pytest.fixture
def world(lab):
    """Devices, calque and clouds: start(names)."""
    class World:
        def start(self, names, extra=""):
            self.door = lab.add_process(FrontDoor(lab.directory, extra=extra))
            self.north = lab.broker("north")
            self.calque = lab.calque(conf_text({"state": "@state@",
                                                "links": [link(self.door, self.north, n) for n in names]}))
            for n in names:
                self.calque.wait_up(f"link-{n}", "south")
                self.calque.wait_up(f"link-{n}", "north")
            self.door.wait_log("frontdoor: table of .*, 1 rows", count=len(names))
            self.clouds = {n: lab.add(Cloud(self.north.port, n)) for n in names}
            self.devices = {n: self.come(n) for n in names}
            return self

        def come(self, name):
            return lab.add(Device(self.door, f"token-of-{name}", subscribe=RPC))
    return World()


def test_each_device_is_itself(world):
    names = ["lamp", "door", "pump-3"]
    world.start(names)
    for n in names:
        world.devices[n].publish(TELEMETRY, json.dumps({"of": n}))
    for n in names:
        assert world.clouds[n].telemetries() == {"of": n}
    # A command, on a topic that all have subscribed, and its reply.
    for n in reversed(names):
        world.clouds[n].command("set", of=n)
    for n in names:
        d = world.devices[n]
        d.wait(lambda d=d: d.got, "its command")
        (topic, payload, _, _), = d.got
        assert json.loads(payload) == {"method": "set", "params": {"of": n}}
        d.publish(topic.replace("request", "response"), json.dumps({"done": n}))
    for n in names:
        assert world.clouds[n].command_update()["status"] == "done"
    assert all(len(d.got) == 1 for d in world.devices.values())
    world.calque.stop()


def test_a_device_that_is_not_there_is_told_of(world):
    world.start(["lamp"])
    world.devices["lamp"].close()
    while world.clouds["lamp"].telemetry().get("status") != "offline":
        pass
    since = world.calque.mark()
    world.clouds["lamp"].command("set", by="cloud")
    world.calque.wait_log("no-listener link=link-lamp side=south device=lamp", since)
    world.calque.stop()


def test_killed_calque_loses_nothing_that_was_acknowledged(lab, world):
    world.start(["lamp"])
    d, n = world.devices["lamp"], 60
    for i in range(n):
        d.publish(TELEMETRY, json.dumps({"i": i}), wait=i % 20 == 19)
        if i in (19, 39):
            world.calque.kill()
        if i in (29, 49):
            world.calque.start()
    seen = set()
    while len(seen) < n:
        seen.add(world.clouds["lamp"].telemetries()["i"])
    assert seen == set(range(n))
    world.calque.stop()


@pytest.mark.parametrize("saves, least, most", [
    ("autosave_interval 3600", 20, 20), ("autosave_on_changes true\nautosave_interval 1", 0, 3)])
def test_killed_mosquitto_loses_only_what_waited_in_it(world, saves, least, most):
    """What calque had acknowledged is safe; of the rest as much is lost as mosquitto had not saved."""
    world.start(["lamp"], saves)
    d = world.devices["lamp"]
    for i in range(20):
        d.publish(TELEMETRY, json.dumps({"i": i}))
    seen = [world.clouds["lamp"].telemetries()["i"] for _ in range(20)]
    world.calque.kill()
    for i in range(20, 40):
        d.publish(TELEMETRY, json.dumps({"i": i}))
    world.door.kill()
    d.close()
    world.door.start()
    again = world.come("lamp")  # the plugin's own copy lets it in, calque is away
    since = world.calque.mark()
    world.calque.start()
    world.calque.wait_up("link-lamp", "south", since)
    again.publish(TELEMETRY, json.dumps({"i": "last"}))
    while seen[-1] != "last":
        seen.append(world.clouds["lamp"].telemetries()["i"])
    assert set(range(20)) <= set(seen)
    assert least <= 40 - len(set(seen) - {"last"}) <= most
    world.calque.stop()


def test_a_device_gets_its_credentials_through_the_door(lab, tb):
    """The answer goes to who asked, and the token in it lets the device in at once."""
    door = lab.add_process(FrontDoor(lab.directory))
    south = {"dialect": "thingsboard", "url": door.url, "front_door": True, "username": "calque", "password": "sesame",
             "vars": {"device": "lamp"}}
    north = {"dialect": "thingsboard", "url": tb.url, "provision": {"key": "tb-key", "secret": "tb-secret", "name": "lamp"}}
    calque = lab.calque(conf_text({"state": "@state@", "links": [{"name": "link", "south": south, "north": north}]}))
    door.wait_log("frontdoor: table of .*, 0 rows")
    asker = lab.add(Device(door, "provision", client_id="", subscribe=[("/provision/response", 1)]))
    asker.publish("/provision/request", json.dumps({"deviceName": "lamp", "provisionDeviceKey": "device-key",
                                                    "provisionDeviceSecret": "device-secret"}))
    asker.wait(lambda: asker.got, "an answer")
    answer = json.loads(asker.got[0][1])
    assert answer["status"] == "SUCCESS", answer
    device = lab.add(Device(door, answer["credentialsValue"], subscribe=RPC))
    device.publish(TELEMETRY, json.dumps({"is": "in"}))
    calque.wait_up("link", "north")
    calque.stop()


class ExampleDoor(FrontDoor):
    """The mosquitto.conf of examples/frontdoor, with other paths and another port."""

    def _write(self):
        with open(os.path.join(REPOSITORY, "examples", "frontdoor", "mosquitto.conf"), encoding="utf-8") as file:
            text = file.read()
        for pattern, value in ((r"plugin /.*", f"plugin {plugin()}"),
                               (r"plugin_opt_table .*", f"plugin_opt_table {self.options['table']}"),
                               (r"plugin_opt_bridge .*", f"plugin_opt_bridge {self.options['bridge']}"),
                               (r"listener .*", f"listener {self.port} 127.0.0.1"),
                               (r"persistence_location .*", f"persistence_location {self.directory}/")):
            text, n = re.subn(f"(?m)^{pattern}$", value, text)
            assert n == 1, pattern
        with open(self._path("mosquitto.conf"), "w", encoding="utf-8") as file:
            file.write(f"user {getpass.getuser()}\nlog_dest stderr\nlog_type all\n{text}")


def test_the_example(lab):
    door, north = lab.add_process(ExampleDoor(lab.directory)), lab.broker("north")
    calque = lab.calque(lab.example("frontdoor", door, north), env={
        "FRONT_DOOR_PASSWORD": "sesame", "PUMP_TOKEN": "pump-token", "ACCESS_KEY": "k"})
    calque.wait_up("pump-7", "south")
    door.wait_log("frontdoor: table of .*, 1 rows")
    cloud = lab.add(Cloud(north.port, "pump-7"))
    device = lab.add(Device(door, "pump-token", subscribe=RPC))
    device.publish(TELEMETRY, json.dumps({"temp": 21.5}))
    assert cloud.telemetries() == {"temp": 21.5}
    number = cloud.command("open", wide=True)
    device.wait(lambda: device.got, "a command")
    assert json.loads(device.got[0][1]) == {"method": "open", "params": {"wide": True}}
    device.publish(device.got[0][0].replace("request", "response"), json.dumps({"done": True}))
    assert cloud.command_update()["id"] == number
    calque.stop()


def test_the_example_of_many(lab):
    """By the list that lies beside it; each row's device is its own in the north."""
    door, north = lab.add_process(ExampleDoor(lab.directory)), lab.broker("north")
    calque = lab.calque(lab.example("frontdoor", door, north, file="fleet.conf"), env={"FRONT_DOOR_PASSWORD": "sesame"})
    door.wait_log("frontdoor: table of .*, 2 rows")
    names = ("pump-7", "pump-8")
    clouds = {n: lab.add(Cloud(north.port, n)) for n in names}
    for n in names:
        clouds[n].access_key = f"KEY-OF-{n.upper()}"  # which it looks for in each message
        lab.add(Device(door, f"TOKEN-OF-{n.upper()}")).publish(TELEMETRY, json.dumps({"of": n}))
    for n in names:
        assert clouds[n].telemetries() == {"of": n}
    calque.stop()
