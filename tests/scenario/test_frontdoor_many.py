"""Many devices behind one front door, over one session of calque's."""

import collections
import json
import os
import threading

import paho.mqtt.client as paho
import pytest

from frontdoor import Device, FrontDoor
from harness import LIMIT, Client, Timeout, conf_text
from verbs import Verb

TELEMETRY, ATTRIBUTES = "v1/devices/me/telemetry", "v1/devices/me/attributes"
ALL = [("#", 1), ("v2/fw/response/+", 1), ("v1/devices/me/rpc/request/+", 1), (ATTRIBUTES, 1)]
SOUTH = {"dialect": "thingsboard", "front_door": True, "username": "calque", "password": "sesame"}
PROJECT = "11111111-2222-3333-4444-555555555555"


def listed(lab, header, *rows):
    path = os.path.join(lab.directory, "fleet.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows, ""]))
    os.chmod(path, 0o600)
    return path


class Crowd:
    """Devices, many in one process: each says only what is its own, and looks at each message that it gets."""

    class One:
        def __init__(self, name):
            self.name, self.seen, self.wrong, self.subscribed, self.chunks = name, collections.Counter(), [], False, {}

    def __init__(self, door, names):
        self.door, self.changed = door, threading.Condition()
        self.ones = {n: self.One(n) for n in names}
        self.clients = {n: self._client(one) for n, one in self.ones.items()}

    def _client(self, one):
        kind = {"callback_api_version": paho.CallbackAPIVersion.VERSION1} if hasattr(paho, "CallbackAPIVersion") else {}
        client = paho.Client(client_id="ESP8266 Device", clean_session=True, userdata=one, **kind)
        client.username_pw_set(f"token-of-{one.name}")
        client.on_connect, client.on_message, client.on_subscribe = self._on_connect, self._on_message, self._on_subscribe
        client.reconnect_delay_set(1, 1)
        client.connect_async("127.0.0.1", self.door.port, 60)
        client.loop_start()
        return client

    @staticmethod
    def _on_connect(client, _one, _flags, code, *_):
        if code == 0:
            client.subscribe(ALL)

    def _on_subscribe(self, _client, one, *_):
        with self.changed:
            one.subscribed = True
            self.changed.notify_all()

    def _on_message(self, client, one, m):
        topic, payload = m.topic, bytes(m.payload)
        with self.changed:
            if topic.startswith("v2/fw/response/"):
                one.seen["chunk"] += payload == f"firmware of {one.name}".encode()
                if payload != f"firmware of {one.name}".encode():
                    one.wrong.append((topic, payload))
            else:
                self._look(client, one, topic, json.loads(payload))
            self.changed.notify_all()

    def _look(self, client, one, topic, body):
        """All that is said to a device here has its name in it somewhere."""
        if one.name not in json.dumps(body).split('"'):
            one.wrong.append((topic, body))
        elif topic.startswith("v1/devices/me/rpc/request/"):
            one.seen["call"] += 1
            client.publish(topic.replace("request", "response"), json.dumps({"done": one.name}), 1)
        elif topic.startswith("v1/devices/me/rpc/response/"):
            one.seen["answer"] += 1
        elif topic == ATTRIBUTES:
            one.seen["push"] += 1

    def publish(self, name, topic, body):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.clients[name].publish(topic, payload, 1)

    def wait(self, is_true, what):
        with self.changed:
            if not self.changed.wait_for(lambda: all(map(is_true, self.ones.values())), LIMIT):
                raise Timeout(f"{what}: {[o.name for o in self.ones.values() if not is_true(o)][:5]}")
            assert not any(o.wrong for o in self.ones.values()), [o.wrong for o in self.ones.values() if o.wrong][:3]

    def stay(self):
        """Forget who had subscribed, before the broker ends."""
        for one in self.ones.values():
            one.subscribed = False

    def close(self):
        for client in self.clients.values():
            client._thread_terminate = True  # pylint: disable=protected-access
            client.disconnect()


@pytest.fixture
def door(lab):
    return lab.add_process(FrontDoor(
        lab.directory, options={"provision_per_address": "50"},
        extra="max_queued_messages 1000000\nautosave_on_changes true\nautosave_interval 1"))


@pytest.fixture
def fleet(lab, tb, door):
    """Devices at the door, calque, and ThingsBoard: start(how many)."""
    class Fleet:
        def start(self, number):
            self.names = [f"d{i}" for i in range(number)]
            path = listed(lab, "name,south.token,north.token", *(f"{n},token-of-{n},north-of-{n}" for n in self.names))
            self.far = {n: tb.device(n, token=f"north-of-{n}") for n in self.names}
            self.calque = lab.calque(conf_text({"state": "@state@", "devices": path, "links": [{
                "name": "fleet", "request_timeout": 60, "south": {**SOUTH, "url": door.url},
                "north": {"dialect": "thingsboard", "url": tb.url}}]}))
            door.wait_log(f"frontdoor: table of .*, {number} rows")
            self.crowd = lab.add(Crowd(door, self.names))
            self.crowd.wait(lambda o: o.subscribed, "subscribed")
            return self

        def everybody_says(self, what):
            for n in self.names:
                self.crowd.publish(n, TELEMETRY, {"of": n, "what": what})

        def wait_north(self, what):
            """All of it is there, each with the device that said it."""
            tb.wait(lambda: all(any(s.values == {"of": n, "what": what} for s in self.far[n].telemetry)
                                for n in self.names), what)
            for n in self.names:
                assert {s.values["of"] for s in self.far[n].telemetry if "of" in s.values} == {n}

        def call_all(self):
            """Under the same id for all of them."""
            calls = [(n, self.far[n].wait_ready().rpc("set", {"to": n}, timeout=60)) for n in self.names]
            for n, call in calls:
                assert call.result() == {"done": n}
            self.crowd.wait(lambda o: o.seen["call"], "a call")
    return Fleet()


def test_two_hundred_hear_only_what_is_theirs(fleet):
    fleet.start(200).everybody_says("first")
    fleet.wait_north("first")
    fleet.call_all()
    for n in fleet.names:
        fleet.far[n].push(name=n)
    fleet.crowd.wait(lambda o: o.seen["push"], "a push")
    some = fleet.names[:10]
    for n in some:
        fleet.far[n].assign(n, "1", f"firmware of {n}".encode())
        fleet.crowd.publish(n, "v2/fw/request/1/chunk/0", b"65536")
    fleet.crowd.wait(lambda o: o.name not in some or o.seen["chunk"] == 1, "a chunk")
    assert not any(o.seen["chunk"] for o in fleet.crowd.ones.values() if o.name not in some)
    assert all(o.seen["call"] == 1 for o in fleet.crowd.ones.values())
    fleet.calque.stop()


def test_what_is_killed_comes_back_with_all_devices(fleet, door):
    """calque, mosquitto, and both, while something is on its way."""
    fleet.start(int(os.environ.get("CALQUE_DOOR_KILLS", "50")))
    fleet.everybody_says("before")
    fleet.calque.kill()
    fleet.everybody_says("while it is away")
    fleet.calque.start()
    fleet.wait_north("before")
    fleet.wait_north("while it is away")
    for both in (False, True):
        fleet.crowd.stay()
        if both:
            fleet.calque.kill()
        door.kill()
        door.start()
        if both:
            fleet.calque.start()
        fleet.crowd.wait(lambda o: o.subscribed, "back")
        fleet.everybody_says(f"after {both}")
        fleet.wait_north(f"after {both}")
        fleet.call_all()
    fleet.calque.stop()


def test_rows_follow_the_table_of_devices(lab, door):
    north = lab.broker("north")
    path = listed(lab, "name,south.token,south.username,south.password,mode",
                  "lamp,t-lamp,,,", "door,,joe,secret,", "fan,t-fan,,,")
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "fleet", "south": {**SOUTH, "url": door.url},
        "north": {"dialect": "eztcloud", "url": north.url, "vars": {"project": PROJECT}, "username": ""}}]}))
    calque.wait_up("fleet", "south")
    assert Verb(calque, "devices", "import", path).status == 0
    devices = {"lamp": lab.add(Device(door, "t-lamp", subscribe=ALL)),
               "door": lab.add(Device(door, "joe", "secret", subscribe=ALL)),
               "fan": lab.add(Device(door, "t-fan", subscribe=ALL))}
    cloud = lab.add(Client(north.port).subscribe(f"open/{PROJECT}/+/attributes"))
    refused = lab.add(Device(door, "joe", "wrong", wait=False))
    refused.wait(lambda: refused.code == 5, "a refusal")
    for name, device in devices.items():
        device.publish(TELEMETRY, json.dumps({"of": name}))
        cloud.expect(f"open/{PROJECT}/{name}/attributes", {"of": name})
    # Each change ends the session of that device alone, at once.
    assert Verb(calque, "devices", "set-mode", "retired", "fan").status == 0
    devices["fan"].wait(lambda: devices["fan"].lost, "an end")
    listed(lab, "name,south.token", "lamp,t-lamp-2")
    assert Verb(calque, "devices", "import", path).status == 0
    devices["lamp"].wait(lambda: devices["lamp"].lost, "an end")
    lab.add(Device(door, "t-lamp-2")).publish(TELEMETRY, json.dumps({"v": 2}))
    cloud.expect(f"open/{PROJECT}/lamp/attributes", {"v": 2})
    assert not devices["door"].lost
    calque.stop()


def test_each_that_provisions_gets_its_own_token(lab, tb, door):
    names = [f"n{i}" for i in range(5)]
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "fleet", "south": {**SOUTH, "url": door.url},
        "north": {"dialect": "thingsboard", "url": tb.url, "provision": {"key": "tb-key", "secret": "tb-secret"}}}]}))
    door.wait_log("frontdoor: table of .*, 0 rows")
    askers = {n: lab.add(Device(door, "provision", client_id="", subscribe=[("/provision/response", 1)])) for n in names}
    for n, asker in askers.items():
        asker.publish("/provision/request", json.dumps(
            {"deviceName": n, "provisionDeviceKey": "k", "provisionDeviceSecret": "s"}), wait=False)
    tokens = {}
    for n, asker in askers.items():
        asker.wait(lambda asker=asker: asker.got, f"an answer to {n}")
        assert len(asker.got) == 1
        answer = json.loads(asker.got[0][1])
        assert answer["status"] == "SUCCESS", answer
        tokens[n] = answer["credentialsValue"]
    assert len(set(tokens.values())) == len(names)
    for n in names:
        lab.add(Device(door, tokens[n])).publish(TELEMETRY, json.dumps({"of": n}))
    tb.wait(lambda: all(any(s.values == {"of": n} for s in tb.devices[n].telemetry) for n in names), "telemetry")
    calque.stop()
