"""The packets of MQTT 3.1.1 and 5, as a server reads and writes them."""

import collections

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from faulty import CONNACK, DISCONNECT, MQTT5, PUBACK, PUBLISH, SUBACK, make_packet, text

UNSUBSCRIBE, UNSUBACK = 10, 11

Connect = collections.namedtuple("Connect", "version client_id username password clean keepalive")
Publish = collections.namedtuple("Publish", "topic payload qos mid dup retain properties")
Subscribe = collections.namedtuple("Subscribe", "mid filters")  # filters: [(filter, QoS)]


class Malformed(Exception):
    """These bytes are no packet."""


def packet_size(data):
    """(bytes before the body, bytes of the body) of the packet that starts the data; None: not enough of it yet."""
    length = 0
    for i in range(1, 5):
        if len(data) <= i:
            return None
        length |= (data[i] & 0x7f) << 7 * (i - 1)
        if not data[i] & 0x80:
            return i + 1, length
    raise Malformed("remaining length")


class Reader:
    """Takes the fields of a packet's body one after the other."""

    def __init__(self, body):
        self.body, self.at = bytes(body), 0

    def take(self, n):
        if self.at + n > len(self.body):
            raise Malformed("too short")
        self.at += n
        return self.body[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def data(self):
        return self.take(self.number(2))

    def text(self):
        try:
            return self.data().decode()
        except UnicodeDecodeError:
            raise Malformed("no UTF-8") from None

    def properties(self, kind):
        """Of MQTT 5."""
        try:
            found, n = Properties(kind).unpack(self.body[self.at:])
        except Exception as error:  # paho says what it does not like in many ways
            raise Malformed(f"properties: {error}") from None
        self.take(n)
        return found

    def rest(self):
        return self.take(len(self.body) - self.at)

    def is_at_end(self):
        return self.at == len(self.body)


def read_connect(body):
    r = Reader(body)
    if r.text() not in ("MQTT", "MQIsdp"):
        raise Malformed("protocol name")
    version, flags, keepalive = r.number(1), r.number(1), r.number(2)
    if version == MQTT5:
        r.properties(PacketTypes.CONNECT)
    client_id = r.text()
    if flags & 4:  # a will: nobody is told of it
        if version == MQTT5:
            r.properties(PacketTypes.WILLMESSAGE)
        r.text(), r.data()
    username = r.text() if flags & 0x80 else None
    password = r.data().decode(errors="replace") if flags & 0x40 else None
    return Connect(version, client_id, username, password, bool(flags & 2), keepalive)


def read_publish(flags, body, version):
    r = Reader(body)
    qos = flags >> 1 & 3
    topic = r.text()
    mid = r.number(2) if qos else 0
    properties = r.properties(PacketTypes.PUBLISH) if version == MQTT5 else None
    return Publish(topic, r.rest(), qos, mid, bool(flags & 8), bool(flags & 1), properties)


def read_subscribe(body, version):
    r = Reader(body)
    mid, filters = r.number(2), []
    if version == MQTT5:
        r.properties(PacketTypes.SUBSCRIBE)
    while not r.is_at_end():
        filters.append((r.text(), r.number(1) & 3))
    return Subscribe(mid, filters)


def read_unsubscribe(body, version):
    r = Reader(body)
    mid, filters = r.number(2), []
    if version == MQTT5:
        r.properties(PacketTypes.UNSUBSCRIBE)
    while not r.is_at_end():
        filters.append(r.text())
    return mid, filters


def _with_properties(version):
    return b"\0" if version == MQTT5 else b""


def make_connack(version, code, present=False):
    return make_packet(CONNACK, bytes([present, code]) + _with_properties(version))


def make_puback(version, mid, code=0):
    """3.1.1 knows no code."""
    return make_packet(PUBACK, mid.to_bytes(2, "big") + (bytes([code, 0]) if version == MQTT5 and code else b""))


def make_suback(version, mid, codes):
    return make_packet(SUBACK, mid.to_bytes(2, "big") + _with_properties(version) + bytes(codes))


def make_unsuback(version, mid, codes):
    return make_packet(UNSUBACK, mid.to_bytes(2, "big") + (b"\0" + bytes(codes) if version == MQTT5 else b""))


def make_publish(version, topic, payload, mid):
    """With QoS 1 if it has a packet identifier."""
    body = text(topic) + (mid.to_bytes(2, "big") if mid else b"") + _with_properties(version)
    return make_packet(PUBLISH, body + payload, 2 if mid else 0)


def make_disconnect(code):
    """3.1.1 has none that a server may send."""
    return make_packet(DISCONNECT, bytes([code, 0]))
