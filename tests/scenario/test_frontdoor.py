"""The front door without calque: who gets in, and that each sees its own only."""

import hashlib
import json
import os
import signal
import socket
import ssl
import stat
import struct
import sys

import paho.mqtt.client as paho
import pytest

from frontdoor import KEY, Device, FrontDoor, HandBridge, mac, row
from harness import MQTT3, MQTT5, REPOSITORY

sys.path.insert(0, os.path.join(REPOSITORY, "tests", "bench"))
from frontdoor_cost import Client as BenchClient  # noqa: E402  pylint: disable=wrong-import-position

ATTRIBUTES = "v1/devices/me/attributes"
MQTT31 = paho.MQTTv31


@pytest.fixture
def make_door(lab):
    def make(**settings):
        return lab.add_process(FrontDoor(lab.directory, **settings))
    return make


@pytest.fixture
def come(lab):
    def come(*arguments, **settings):
        return lab.add(Device(*arguments, **settings))
    return come


def bridge(lab, door, rows, head=(), **settings):
    return lab.add(HandBridge(door, **settings)).snapshot(rows, head).listen()


def token(i):
    return f"token-{i}"


def name(i):
    return f"pump {i}"


def isolation(lab, come, door, transports, n):
    """n devices over these transports: each says and gets its own, nobody else's, on topics that go both ways."""
    b = bridge(lab, door, [row(name(i), token(i)) for i in range(n)])
    filters = [[(ATTRIBUTES, i % 3), ("v1/devices/me/rpc/request/+", 1), ("v2/fw/response/+", 1)] if i % 2
               else [("#", 1), ("+/+/+/attributes", 0)] for i in range(n)]
    devices = [come(door, token(i), protocol=(MQTT31, MQTT3, MQTT5)[i % 3], subscribe=filters[i],
                    will=(ATTRIBUTES, b"a will", 1, True), **transports[i % len(transports)]) for i in range(n)]
    up, down = {}, {}
    for round_ in range(3):
        for i, d in enumerate(devices):
            for topic in (ATTRIBUTES, f"v1/devices/me/rpc/request/{round_}", f"/v2/t//{round_}"):
                payload = f"{i} says {round_} on {topic}".encode()
                up.setdefault(name(i), []).append((topic, payload))
                d.publish(topic, payload, qos=(i + round_) % 3, retain=True, wait=False)
        for i in range(n):
            for topic in (ATTRIBUTES, f"v1/devices/me/rpc/request/{round_}", f"v2/fw/response/1/chunk/{round_}"):
                payload = f"{round_} for {i} on {topic}".encode()
                down.setdefault(i, []).append((topic, payload))
                b.publish(f"$frontdoor/down/{name(i)}/{topic}", payload, wait=False)
    for i, d in enumerate(devices):
        b.send(f"down/{name(i)}/v2/fw/response/1/chunk/9", b"")  # how firmware ends
        down[i].append(("v2/fw/response/1/chunk/9", b""))
        d.wait(lambda d=d, i=i: len(d.got) >= len(down[i]), "all that is for it")
    b.wait(lambda: sum(m.topic.startswith("$frontdoor/up/") for m in b.received) >= 9 * n, "all that was said")
    for i, d in enumerate(devices):
        assert [g[:2] for g in d.got] == down[i]
        assert not any(g[3] for g in d.got)
        if transports[i % len(transports)].get("vanishes", True):
            d.vanish()
    b.wait(lambda: sum(m.payload == b"offline" for m in b.received) >= n, "all to be gone")
    heard = {}
    for m in b.received:
        if m.topic.startswith("$frontdoor/up/"):
            _, _, who, topic = m.topic.split("/", 3)
            heard.setdefault(who, []).append((topic, m.payload))
            assert not m.retain
    assert {who: sorted(what) for who, what in heard.items()} == {who: sorted(what) for who, what in up.items()}


def test_each_device_sees_its_own_only(lab, make_door, come):
    door = make_door(tls=lab.authority(), websockets=True)
    isolation(lab, come, door, [{}, {"port": door.tls_port, "tls": (door.tls.ca,)},
                                {"port": door.ws_port, "transport": "websockets"}], 18)


def test_who_gets_in(lab, make_door, come):
    certificate = lab.authority()
    door = make_door(tls=certificate, client_certificates=True)
    with open(certificate.client[0], encoding="ascii") as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    fingerprint = hashlib.sha256(der).hexdigest()
    b = bridge(lab, door, [row("by-token", "t1"), f"password device {mac('password', 't2')} by-password",
                           f"basic device {mac('basic', 'id3', 'u3', 'p3')} by-basic",
                           f"basic gateway {mac('basic', '', 'u4', 'p4')} by-two",
                           f"certificate device {mac('certificate', fingerprint)} by-certificate"])
    goes = {"by-token": come(door, "t1"), "by-password": come(door, "any", "t2"),
            "by-basic": come(door, "u3", "p3", client_id="id3"), "by-two": come(door, "u4", "p4", client_id="x"),
            "by-certificate": come(door, port=door.tls_port, tls=(certificate.ca, *certificate.client))}
    for who, device in goes.items():
        device.publish(ATTRIBUTES, who)
        assert b.wait_for(f"$frontdoor/up/{who}/{ATTRIBUTES}").text() == who
    refused = [("t2", None, "x"), ("", "t1", "x"), ("u3", "p3", "other"), ("u4", "p3", "x"), ("calque", "wrong", "x"),
               ("provision", None, "x"), (None, None, "x")]
    for user, password, id_ in refused:
        d = come(door, user, password, client_id=id_, wait=False)
        d.wait(lambda d=d: d.code is not None, "answer")
        assert d.code == 5, (user, password, id_)
        d.close()
    # Neither tokens nor the bridge's password are in what the broker says or keeps.
    door.stop()
    for path in (door.options["table"], os.path.join(door.directory, "mosquitto.db")):
        with open(path, "rb") as file:
            content = file.read()
        assert not any(secret in content for secret in (b"t1\0", b"sesame", b"u't1'"))
    assert stat.S_IMODE(os.stat(door.options["table"]).st_mode) == 0o600
    assert not door.matching("u't1'")


def test_devices_get_in_while_the_bridge_is_away(lab, make_door, come):
    door = make_door()
    b = bridge(lab, door, [row("a", "ta"), row("b", "tb")])
    b.close()
    door.stop()
    door.start()
    a = come(door, "ta")
    for i in range(20):
        a.publish("v1/devices/me/telemetry", str(i))
    late = lab.add(HandBridge(door)).listen()  # no table this time: the old one holds
    assert [late.wait_for("$frontdoor/up/a/#").text() for _ in range(20)] == [str(i) for i in range(20)]
    late.wait_for("$frontdoor/state/@begin")
    late.wait_for("$frontdoor/state/@end")
    assert [m.payload for m in late.received if m.topic == "$frontdoor/state/a"][-1] == b"online"


def test_who_loses_its_credential_is_out(lab, make_door, come):
    door = make_door()
    b = bridge(lab, door, [row("a", "ta"), row("b", "tb"), row("c", "tc"), row("d", "td")])
    a, b_, c, d = (come(door, t) for t in ("ta", "tb", "tc", "td"))
    b.send("table/remove", "a")
    a.wait(lambda: a.lost, "end")
    b.send("table/set", row("b", "tb2"))
    b_.wait(lambda: b_.lost, "end")
    come(door, "tb2")
    refused = come(door, "ta", wait=False)
    refused.wait(lambda: refused.code is not None, "answer")
    assert refused.code == 5
    refused.close()
    b.send("table/set", row("c", "tc") + "\n" + row("c", "another"))
    c.publish(ATTRIBUTES, "c is here")
    assert not c.lost
    # A snapshot without d; one that is not complete changes nothing.
    b.send("table/begin", f"serial 2\nkey {KEY.hex()}")
    b.send("table/set", row("c", "tc"))
    d.publish(ATTRIBUTES, "d is still here")
    b.send("table/end", "")
    d.wait(lambda: d.lost, "end")
    c.publish(ATTRIBUTES, "c is here")
    assert not c.lost
    # Whose row is gone is no more of this bridge's business; whose row changed has been away.
    assert [m.payload for m in b.received if m.topic == "$frontdoor/state/b"] == [b"online", b"offline", b"online"]


def test_what_a_bridge_hears_of_what_it_sends(lab, make_door, come):
    door = make_door()
    b = bridge(lab, door, [row("a", "ta"), row("b", "tb")])
    come(door, "ta")
    codes = [code for _, code in raw_codes(door, ["down/a/x", "down/b/x", "down/nobody/x", "table/set"])]
    assert codes == [0, 16, 135, 135]
    b.close()


def raw_codes(door, topics):
    """PUBACK codes of MQTT 5, which paho 1 does not tell: as the bridge, but for its packets."""
    def field(data):
        data = data if isinstance(data, bytes) else data.encode()
        return struct.pack("!H", len(data)) + data

    def packet(kind, body):
        assert len(body) < 128
        return bytes([kind, len(body)]) + body
    with socket.create_connection(("127.0.0.1", door.port)) as s:
        s.settimeout(20)
        s.sendall(packet(0x10, field("MQTT") + b"\x05\xc0\x00\x3c\x00" + field("bridge") + field("calque") +
                         field("sesame")))
        file = s.makefile("rb")

        def read(kind):
            while True:
                head = file.read(2)
                body = file.read(head[1])
                if head[0] == kind:
                    return body
        read(0x20)
        s.sendall(packet(0x82, b"\0\1\0" + field("$") + b"\1"))
        read(0x90)
        for i, topic in enumerate(topics):
            s.sendall(packet(0x32, field("$frontdoor/" + topic) + struct.pack("!H", i + 2) + b"\0" + b"not a row"))
            body = read(0x40)
            yield topic, body[2] if len(body) > 2 else 0


def test_provisioning(lab, make_door, come):
    door = make_door(options={"provision_per_address": 3})
    b = bridge(lab, door, [row("a", "ta")], head=["provision /provision/request"])
    filters = [("/provision/response", 1)]
    asks = [come(door, "provision", client_id=id_, subscribe=filters) for id_ in ("provision", "", "same")]
    one_more = come(door, "provision", wait=False)
    one_more.wait(lambda: one_more.code is not None, "answer")
    assert one_more.code == 5
    for i, ask in enumerate(asks):
        ask.publish("/provision/request", json.dumps({"n": i}))
    requests = [b.wait_for(lambda m: m.topic.startswith("$frontdoor/up/@")) for _ in asks]
    for r in reversed(requests):
        who = r.topic.split("/")[2]
        b.send("table/set", row(f"new-{r.json()['n']}", f"fresh-{r.json()['n']}"))
        b.send(f"down/{who}//provision/response", r.payload)
    for i, ask in enumerate(asks):
        ask.wait(lambda ask=ask: ask.got, "its answer")
        assert [(g[0], json.loads(g[1])) for g in ask.got] == [("/provision/response", {"n": i})]
        come(door, f"fresh-{i}").publish(ATTRIBUTES, "hello")
        b.wait_for(f"$frontdoor/up/new-{i}/{ATTRIBUTES}")
    asks[0].publish("v1/devices/me/telemetry", "not for such")
    asks[1].close()
    b.send(f"down/{requests[1].topic.split('/')[2]}//provision/response", "late")
    assert not b.waiting("$frontdoor/up/+/v1/devices/me/telemetry")


def test_same_client_id_takeover_and_reload(lab, make_door, come):
    door = make_door()
    b = bridge(lab, door, [row("a", "ta"), row("b", "tb")])
    first = come(door, "ta", client_id="bridge", will=(ATTRIBUTES, b"will", 1, False))
    other = come(door, "tb", client_id="bridge", subscribe=(("#", 1),), clean=False)
    second = come(door, "ta", client_id="bridge")
    first.wait(lambda: first.lost, "takeover")
    door.process.send_signal(signal.SIGHUP)
    door.wait_log("Reloading config")
    second.publish(ATTRIBUTES, "still here")
    other.publish(ATTRIBUTES, "me too")
    b.wait_for(f"$frontdoor/up/a/{ATTRIBUTES}")
    b.wait_for(f"$frontdoor/up/b/{ATTRIBUTES}")
    assert not second.lost and not other.lost and not other.got
    states = [m.payload for m in b.received if m.topic == "$frontdoor/state/a"]
    assert states in ([b"online"], [b"online", b"online"])  # a takeover is no absence; a list may tell once more
    b.send(f"down/a/{ATTRIBUTES}", "x")
    second.wait_got(ATTRIBUTES, b"x")


def test_others(lab, make_door, come):
    shut = make_door(name="shut")
    stranger = come(shut, "stranger", "secret", wait=False)
    stranger.wait(lambda: stranger.code is not None, "answer")
    assert stranger.code == 5
    stranger.close()
    door = make_door(name="open", options={"others": "allow"}, acl="user stranger\ntopic readwrite #\n",
                     users={"stranger": "secret"})
    b = bridge(lab, door, [row("a", "ta")])
    stranger = come(door, "stranger", "secret", subscribe=[("plain/#", 1), ("#", 1)])
    a = come(door, "ta")
    for filter_ in ("$frontdoor/#", "$", "$share/x/$frontdoor/up/#"):
        codes = []
        stranger.paho.on_subscribe = lambda _c, _u, _m, granted, *_, codes=codes: (
            codes.append(granted[0]), stranger._tell(lambda: None))
        stranger.paho.subscribe(filter_, 1)
        stranger.wait(lambda codes=codes: codes, "SUBACK")
        assert codes == [128], filter_
    stranger.publish("$frontdoor/down/a/v1/devices/me/attributes", "forged")
    stranger.publish("v1/devices/me/attributes", "forged")
    stranger.publish("plain/topic", "own")
    stranger.wait_got("plain/topic", b"own")
    a.publish(ATTRIBUTES, "a")
    b.wait_for(f"$frontdoor/up/a/{ATTRIBUTES}")
    assert not a.got
    assert not [g for g in stranger.got if b"a" == g[1]]


def test_limits(lab, make_door, come):
    door = make_door(options={"invalid": "close", "rate": 1, "when_away": "close"})
    b = bridge(lab, door, [row("a", "ta"), row("b", "tb")],
               head=["packet_bytes 2000", "json strict v1/devices/me/telemetry"])
    for payload in ("{broken", "[" * 65 + "]" * 65, json.dumps("x" * 2000)):
        bad = come(door, "ta")
        bad.paho.publish("v1/devices/me/telemetry", payload, 1)
        bad.wait(lambda bad=bad: bad.lost, "end")
        bad.close()
    good = come(door, "ta")
    good.publish("v1/devices/me/telemetry", "[" * 64 + "]" * 64)
    good.publish(ATTRIBUTES, "{broken, but not named JSON")
    b.wait_for(f"$frontdoor/up/a/{ATTRIBUTES}")
    assert [m.payload for m in b.received if m.topic.endswith("telemetry")] == [b"[" * 64 + b"]" * 64]
    fast = come(door, "tb")
    for i in range(150):
        fast.paho.publish(ATTRIBUTES, str(i), 1)
    fast.wait(lambda: fast.lost, "end of one that is too fast")
    fast.close()
    b.close()
    door.wait_log("Client b/calque/bridge (disconnected|closed)")
    away = come(door, "ta")
    away.paho.publish(ATTRIBUTES, "nobody is there", 1)
    away.wait(lambda: away.lost, "end without an acknowledgement")


class Wire(BenchClient):
    """A client packet by packet: two hundred of them need no thread."""

    def next(self):
        """The next message: (topic, payload)."""
        kind, body = self.read()
        while kind & 0xf0 != 0x30:
            kind, body = self.read()
        n = struct.unpack("!H", body[:2])[0]
        at = 2 + n
        if kind & 6:
            self.send(0x40, body[at:at + 2])
            at += 2
        return body[2:2 + n].decode(), body[at:]


def test_two_hundred_with_one_client_id(make_door):
    """RPC of both directions and firmware chunks, each device's own, before and after kill -9 of mosquitto."""
    door, n = make_door(), 200
    rows = "\n".join(row(f"d{i}", f"t{i}") for i in range(n)).encode()
    for turn in range(2):
        b = Wire(door.port, "bridge", "calque", "sesame")
        b.subscribe("$frontdoor/up/#", "$")
        if turn == 0:  # afterwards it has its own copy
            for topic, payload in (("begin", f"serial 1\nkey {KEY.hex()}\n".encode()), ("set", rows), ("end", b"")):
                b.publish(f"$frontdoor/table/{topic}", payload)
                b.acknowledged()
        devices = [Wire(door.port, "ESP8266 Device", f"t{i}") for i in range(n)]
        for d in devices:
            d.subscribe("#", "v2/fw/response/+")
        asked = ("v1/devices/me/telemetry", "v1/devices/me/rpc/request/1", "v2/fw/request/1/chunk/0")
        for topic in asked:
            for i, d in enumerate(devices):
                d.publish(topic, f"{topic} of {i}".encode())
            heard = {b.next() for _ in devices}
            assert heard == {(f"$frontdoor/up/d{i}/{topic}", f"{topic} of {i}".encode()) for i in range(n)}
        for topic in ("v1/devices/me/rpc/response/1", "v2/fw/response/1/chunk/0", "v1/devices/me/rpc/request/7"):
            for i in reversed(range(n)):
                b.publish(f"$frontdoor/down/d{i}/{topic}", f"{topic} for {i}".encode())
            for i, d in enumerate(devices):
                assert d.next() == (topic, f"{topic} for {i}".encode())
        # Nothing else is on its way to anybody: what comes next is the answer to a ping.
        for d in devices:
            d.send(0xc0, b"")
            kind, _ = d.read()
            while kind == 0x40:
                kind, _ = d.read()
            assert kind == 0xd0
        for c in (b, *devices):
            c.socket.close()
        if turn == 0:
            door.wait_log("frontdoor: table of")
            door.kill()
            door.start()
