"""A client that sees each packet, byte by byte, for what an MQTT library would hide."""

import json
import socket

from faulty import (CONNACK, CONNECT, DISCONNECT, MQTT5, PINGREQ, PINGRESP, PUBACK, PUBLISH, SUBACK, SUBSCRIBE,
                    make_packet, make_publish, split_packets, text)
from lab import LIMIT, MQTT3


class Wire:
    """A client that sees each packet. `login`: its CONNACK, (session present, code)."""

    def __init__(self, tb, username=None, password=None, client_id="", mqtt=MQTT3, clean=True):
        self.mqtt, self._rest, self._packets = mqtt, b"", []
        self.socket = socket.create_connection(("127.0.0.1", tb.port), LIMIT)
        flags = (0x80 if username is not None else 0) | (0x40 if password is not None else 0) | (2 if clean else 0)
        body = text("MQTT") + bytes([mqtt, flags, 0, 0]) + (b"\0" if mqtt == MQTT5 else b"")
        self.send(make_packet(CONNECT, body + b"".join(text(s) for s in (client_id, username, password) if s is not None)))
        connack = self.read(CONNACK)
        self.login = bool(connack.body[0]), connack.body[1]

    def send(self, data):
        self.socket.sendall(data)

    def publish(self, topic, payload, mid=1):
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send(make_publish(topic, payload, mid, self.mqtt))

    def send_subscribe(self, *filters, qos=1):
        self.send(make_packet(SUBSCRIBE, b"\0\1" + (b"\0" if self.mqtt == MQTT5 else b"") +
                              b"".join(text(f) + bytes([qos]) for f in filters), 2))

    def subscribe(self, *filters, qos=1):
        """The codes of the SUBACK."""
        self.send_subscribe(*filters, qos=qos)
        return list(self.read(SUBACK).body[3 if self.mqtt == MQTT5 else 2:])

    def next(self):
        """The next packet; None: the connection has been closed."""
        while not self._packets:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:  # closed before all that we sent was read
                data = b""
            if not data:
                self.socket.close()
                return None
            self._packets, self._rest = split_packets(self._rest + data)
        return self._packets.pop(0)

    def read(self, kind):
        packet = self.next()
        assert packet and packet.kind == kind, packet
        return packet

    def read_puback(self):
        """(packet identifier, code)."""
        body = self.read(PUBACK).body
        return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0

    def read_publish(self):
        """(topic, payload), QoS 1."""
        body = self.read(PUBLISH).body
        end = 2 + int.from_bytes(body[:2], "big")
        return body[2:end].decode(), body[end + (3 if self.mqtt == MQTT5 else 2):]

    def assert_quiet(self):
        """Nothing but the answer to a ping comes."""
        self.send(make_packet(PINGREQ))
        self.read(PINGRESP)

    def assert_closed(self, code):
        """The next thing is the end; MQTT 5 is told why."""
        if self.mqtt == MQTT5 and code is not None:
            assert self.read(DISCONNECT).body[0] == code
        assert self.next() is None
