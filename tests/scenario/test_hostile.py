"""Brokers that send what no broker should: the link is lost for a while, the others never.

Longer: CALQUE_TEST_ROUNDS=200 tests/run -R test_hostile, each round with a seed of its own, which a failure names.
"""

import collections
import os
import random
import re
import threading

import pytest

from faulty import (CONNACK, CONNECT, DISCONNECT, PINGRESP, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, FakeBroker, make_connack,
                    make_packet, make_publish, make_suback, split_packets, text)
from harness import LIMIT, MQTT3, MQTT5, Client, conf_text
from verbs import Verb
from worlds import Plains

UNKNOWN = b"\x7f\x01"  # no property has this number


def leaving_behind(directory):
    """Environment in which it is no leak what libmosquitto 2.0.11 had in its hands when an assertion ended its call."""
    path = os.path.join(directory, "suppressions")
    with open(path, "w", encoding="utf-8") as file:
        file.write("leak:libmosquitto\n")
    given = os.environ.get("LSAN_OPTIONS")
    return {"LSAN_OPTIONS": ":".join(filter(None, (given, f"suppressions={path}", "print_suppressions=0")))}


# --- a property that libmosquitto 2.0.11 does not know -------------------------------------------------------------

BAD = {
    "connack": {CONNECT: lambda _, p: make_connack(mqtt=MQTT5, properties=UNKNOWN)},
    "suback": {SUBSCRIBE: lambda _, p: make_packet(SUBACK, p.body[:2] + bytes([len(UNKNOWN)]) + UNKNOWN + b"\1")},
    "publish": {SUBSCRIBE: lambda _, p: make_suback(p, [1], MQTT5) + make_publish(
        "left/bad/t", b"{}", mid=1, mqtt=MQTT5, properties=UNKNOWN)},
    "disconnect": {SUBSCRIBE: lambda _, p: make_suback(p, [1], MQTT5) + make_packet(
        DISCONNECT, b"\0" + bytes([len(UNKNOWN)]) + UNKNOWN)},
}


@pytest.mark.parametrize("where", BAD)
def test_an_unknown_property_costs_one_connection(lab, where):
    (kind, bad), = BAD[where].items()
    fake = lab.add(FakeBroker())
    usual = fake.answers[kind]
    fake.answers[kind] = lambda c, p: bad(c, p) if c.number == 1 else usual(c, p)
    world = Plains(lab, {"good": {}, "bad": {"south": {"url": fake.url, "mqtt": MQTT5}}})
    world.wait_up("good")
    world.calque.wait_log("session-down link=bad side=south .*the broker sent a malformed packet: "
                          f"properties of {where.upper()}")
    world.assert_passes("good", 10)
    fake.wait_count("connections", 2)
    fake.wait_count(SUBSCRIBE, 1 if where == "connack" else 2)
    world.calque.wait_up("bad", "south")
    fake.open[-1].send(make_publish("left/bad/t", b'{"n": 7}', mid=1, mqtt=MQTT5))
    assert world.hear("bad", 1) == [7]
    assert not world.calque.matching("library-failed"), "the library has not seen it"
    world.calque.stop()


def test_a_command_that_a_broker_redelivers_is_the_same(lab):
    """With DUP, and on the same connection, as a broker may that misses the acknowledgement."""
    def rpc(number):
        return make_publish(f"v1/devices/me/rpc/request/{number}", b'{"method": "go", "params": 1}', mid=number)
    fake, south = lab.add(FakeBroker()), lab.broker("south")
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "x", "south": {"dialect": "innoway", "url": south.url, "username": "calque", "vars": {"token": "t", "device": "d"}},
        "north": {"dialect": "thingsboard", "url": fake.url, "mqtt": MQTT3, "vars": {"token": "t"}}}]}))
    calque.wait_up("x", count=2)
    device = lab.add(Client(south.port)).subscribe("messages/+/command")
    fake.open[-1].send(rpc(1))
    first = device.wait_for("messages/d/command").json()["id"]
    fake.wait_count(PUBACK, 1)
    fake.open[-1].send(bytes([rpc(1)[0] | 8]) + rpc(1)[1:])
    assert device.wait_for("messages/d/command").json()["id"] == first
    fake.open[-1].send(rpc(1))  # its caller asks once more
    assert device.wait_for("messages/d/command").json()["id"] != first
    calque.stop()


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_a_topic_that_mqtt_does_not_allow_costs_one_letter(lab, mqtt):
    """libmosquitto would end the connection, and the broker send it again after each login."""
    good = make_publish("left/bad/t", b'{"n": 1}', mid=1, mqtt=mqtt)
    fake = lab.add(FakeBroker({CONNECT: lambda c, _: make_connack(mqtt=mqtt, present=True) + b"".join(
        good.replace(b"bad", bad) for bad in (b"b\xffd", "\ufffe".encode(), b"bad"))}))
    world = Plains(lab, {"bad": {"south": {"url": fake.url, "mqtt": mqtt}}})
    assert world.hear("bad", 1) == [1]
    fake.wait_count(PUBACK, 3)
    assert not world.calque.matching("session-down")
    letters = Verb(world.calque, "deadletters", "list", "--json").items()
    assert [letter["topic"] for letter in letters] == [r"left/b\xFFd/t", r"left/\xEF\xBF\xBE/t"]
    assert {letter["reason"] for letter in letters} == {"unreadable-payload"}
    assert all("the topic is no text that MQTT allows" in letter["text"] for letter in letters)
    world.calque.stop()
    counters = world.calque.counters("bad", "up")
    assert (counters["received"], counters["dead"]) == (3, 2), counters


# --- what is too large ---------------------------------------------------------------------------------------------

HUGE, PIECE = 250 << 20, 1 << 20


def peak_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s*(\d+)", file.read())[1])


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_a_packet_of_250_mb_costs_one_letter_and_nobody_else_waits(lab, mqtt):
    packet = make_publish("left/bad/t", b"", mid=1, mqtt=mqtt)
    size = len(packet) - 2 + HUGE
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    small = make_publish("left/bad/t", b'{"n": 7}', mid=2, mqtt=mqtt)
    going, done = threading.Event(), threading.Event()

    def send_huge(connection, subscribe):
        connection.send(make_suback(subscribe, [1], mqtt) + packet[:1] + length + packet[2:])
        for i in range(HUGE // PIECE):
            connection.send(b"x" * PIECE)
            if i == 20:
                going.set()
            if i == 100:
                done.wait(LIMIT)
        return small

    fake = lab.add(FakeBroker({SUBSCRIBE: send_huge}))
    world = Plains(lab, {"good": {}, "bad": {"south": {"url": fake.url, "mqtt": mqtt}}})
    world.wait_up("good")
    before = peak_kb(world.calque.pid)
    assert going.wait(LIMIT)
    world.assert_passes("good", 20)  # amid it
    done.set()
    assert world.hear("bad", 1) == [7]
    fake.wait_count(PUBACK, 2)
    assert peak_kb(world.calque.pid) - before < 30000
    letter, = Verb(world.calque, "deadletters", "list", "--json").items()
    assert (letter["reason"], letter["topic"]) == ("too-large", "left/bad/t")
    assert letter["text"] == f"a packet of {size} bytes, and max_packet is 16777216"
    shown, = Verb(world.calque, "deadletters", "show", "1", "--payload", "--json").items()
    assert "x" * 4096 in str(shown["message"]) and "x" * 4097 not in str(shown["message"])
    assert "only the beginning" in Verb(world.calque, "deadletters", "retry", "1").err
    assert not world.calque.matching("session-down")
    world.calque.stop()
    counters = world.calque.counters("bad", "up")
    assert (counters["received"], counters["dead"], counters["delivered"]) == (2, 1, 1), counters


def test_what_a_real_broker_hands_on_is_measured_by_the_sessions_own_limit(lab):
    """Just within the limit passes, one byte more does not; the other side has its own."""
    world = Plains(lab, {name: {"south": {"max_packet": most, "mqtt": MQTT3}}
                         for name, most in (("small", 2000), ("large", 4000))})
    for link in ("small", "large"):
        world.wait_up(link)
        room = 2000 - 2 - len(f"left/{link}/t") - 2 - len('{"n": 1, "s": ""}')
        world.client.publish(f"left/{link}/t", '{"n": 1, "s": "%s"}' % ("y" * room))
        world.client.publish(f"left/{link}/t", '{"n": 2, "s": "%s"}' % ("y" * (room + 1)))
        world.client.publish(f"left/{link}/t", '{"n": 3}')
    assert world.hear("small", 2) == [1, 3]
    assert world.hear("large", 3) == [1, 2, 3]
    letter, = Verb(world.calque, "deadletters", "list", "--json").items()
    assert letter["text"] == "a packet of 2001 bytes, and max_packet is 2000"
    world.calque.stop()


def test_a_message_of_qos_2_is_no_message(lab):
    """It was never asked for, and libmosquitto may lose it (bridge/net/attempt.c)."""
    bad = make_packet(PUBLISH, text("left/bad/t") + b"\0\1{}", 4)
    fake = lab.add(FakeBroker({SUBSCRIBE: lambda c, p: make_suback(p, [1]) + (
        bad if c.number == 1 else make_publish("left/bad/t", b'{"n": 7}', mid=1))}))
    world = Plains(lab, {"bad": {"south": {"url": fake.url, "mqtt": MQTT3}}})
    assert world.hear("bad", 1) == [7]
    world.calque.wait_log('session-down link=bad side=south reason=".*QoS 2, which was never asked for"')
    world.calque.stop()


# --- anything ------------------------------------------------------------------------------------------------------

ROUNDS = int(os.environ.get("CALQUE_TEST_ROUNDS", "1"))
LINKS = 100  # each with two sessions: the waits between tries get longer, so many sessions make many connections
CONNECTIONS = 400
LONGEST = 1 << 20  # no length beyond this: the library would take the memory, and we want to run many


class Mangler:
    """Damages packets, two in ten: bits, ends, lengths, order."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def __call__(self, data):
        packets, rest = split_packets(data)
        return b"".join(self._mangle(p.raw) for p in packets) + rest

    def _mangle(self, raw):
        if self.chance.random() < 0.8:
            return raw
        damage = self.chance.choice((self._flip, self._flip, self._cut, self._set_length, self._insert, self._repeat))
        bad = damage(bytearray(raw))
        return raw if self._length(bad) > LONGEST else bytes(bad)

    @staticmethod
    def _length(raw):
        return sum((b & 0x7f) << 7 * i for i, b in enumerate(raw[1:5]) if i == 0 or raw[i] & 0x80)

    def _flip(self, raw):
        for _ in range(self.chance.choice((1, 1, 2, 8))):
            raw[self.chance.randrange(len(raw))] ^= 1 << self.chance.randrange(8)
        return raw

    def _cut(self, raw):
        return raw[:self.chance.randrange(len(raw))]

    def _set_length(self, raw):
        raw[1] = self.chance.randrange(128)
        return raw

    def _insert(self, raw):
        at = self.chance.randrange(len(raw) + 1)
        return raw[:at] + self.chance.randbytes(self.chance.choice((1, 2, 8, 64))) + raw[at:]

    def _repeat(self, raw):
        return raw * self.chance.randrange(2, 4)


class HostileBroker(FakeBroker):
    """Says all that a broker may say to a client that has subscribed, damaged."""

    def __init__(self, seed):
        self.mangler = Mangler(seed)
        super().__init__()
        self.answers.update({SUBSCRIBE: self._greet, PUBACK: self._go_on})
        self._greeted = set()  # connections

    def _greet(self, connection, packet):
        """Talk at once, or let it come up: it has when it acknowledges a message."""
        suback = make_suback(packet, [1], connection.mqtt)
        if self.mangler.chance.random() < 0.3:
            return suback + self._talk(connection)
        self._greeted.add(connection)
        connection.send(suback + make_publish("left/bad-0/t", b"{}", mid=99, mqtt=connection.mqtt))
        return b""

    def _go_on(self, connection, _packet):
        if connection not in self._greeted:
            return b""
        self._greeted.discard(connection)
        return self._talk(connection)

    def _talk(self, connection):
        chance, mqtt = self.mangler.chance, connection.mqtt
        said = [make_publish(f"{chance.choice(('left', 'right'))}/bad-{chance.randrange(LINKS)}/{chance.choice('ts')}",
                             chance.choice((b'{"n":1}', b"", b"[" * 50, b"\xff\xfe")), chance.choice((0, i)), mqtt,
                             chance.choice((b"", b"\x01\x01", b"\x26\0\1a\0\1b", b"\x08\0\1r\x09\0\2cd")))
                for i in range(1, 21)]
        said += [make_packet(kind, i.to_bytes(2, "big") + chance.choice((b"", b"\0", b"\x87\0", b"\x87\x03\x1f\0\0")))
                 for i in range(4) for kind in (PUBACK, 5, 6, 7)]
        said += [make_packet(PINGRESP), make_connack(0, mqtt), make_packet(SUBACK, b"\0\1\1"), make_packet(11, b"\0\1")]
        chance.shuffle(said)
        if chance.random() < 0.3:
            said.append(make_packet(DISCONNECT, chance.choice((b"", b"\x8b", b"\x8d\0", b"\x9c\x04\x1c\0\1x"))))
        if chance.random() < 0.1:
            said.append(make_packet(15, b"\x18\0"))
        return b"".join(said)

    def to_send(self, data):
        return self.mangler(data)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_mutated_packets_do_no_harm(lab, seed):
    hostile = lab.add(HostileBroker(seed))
    links = {f"bad-{i}": {side: {"url": hostile.url, "mqtt": (MQTT3, MQTT5)[(i + (side == "north")) % 2]}
                          for side in ("south", "north")} for i in range(LINKS)}
    world = Plains(lab, {"good": {}, **links}, env=leaving_behind(lab.directory))
    world.wait_up("good")
    world.assert_passes("good", 100)
    hostile.wait_count("connections", CONNECTIONS)
    world.say("good", range(100, 200))
    assert world.hear("good", 100) == list(range(100, 200))
    assert not world.calque.matching("session-down link=good")
    world.calque.stop()
    reasons = collections.Counter(re.findall(r'reason="?([^"(]*)', "\n".join(world.calque.matching("session-down link=bad"))))
    ups = len(world.calque.matching("session-up link=bad"))
    received = sum(world.calque.counters(link, "up")["received"] for link in links)
    print(f"connections={hostile.counts['connections']} ups={ups} received={received} reasons={dict(reasons)}")
    assert ups > 50 and received > 50, "the packets did not get far"
