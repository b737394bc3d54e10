"""Peers that misbehave: a proxy in front of a real broker, and a broker that answers as it is told.

Both serve each connection in a thread of its own, and count what they do, so that a test can see that the fault it
wanted did happen.
"""

import collections
import select
import socket
import ssl
import threading
import time

from lab import LIMIT, MQTT5, Timeout

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 12, 13, 14

READ_BYTES = 65536


# --- packets -----------------------------------------------------------------------------------------------------

Packet = collections.namedtuple("Packet", "kind flags body raw")


def make_packet(kind, body=b"", flags=0):
    """The bytes of an MQTT packet."""
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = length >> 7, length & 0x7f
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def split_packets(data):
    """The whole packets at the start of a stream, and what is left of it."""
    packets = []
    while len(data) >= 2:
        length, i = 0, 1
        while i < len(data) and i < 5:
            length |= (data[i] & 0x7f) << 7 * (i - 1)
            i += 1
            if not data[i - 1] & 0x80:
                break
        else:
            break
        if len(data) < i + length:
            break
        packets.append(Packet(data[0] >> 4, data[0] & 15, data[i:i + length], data[:i + length]))
        data = data[i + length:]
    return packets, data


def text(string):
    """A string as MQTT writes it."""
    data = string.encode()
    return len(data).to_bytes(2, "big") + data


def make_publish(topic, payload, mid=0, mqtt=4, properties=b""):
    """A PUBLISH; with QoS 1 if it has a packet identifier."""
    body = text(topic) + (mid.to_bytes(2, "big") if mid else b"")
    if mqtt == MQTT5:
        body += bytes([len(properties)]) + properties
    return make_packet(PUBLISH, body + payload, 2 if mid else 0)


def make_connect(client_id, mqtt=4):
    """A login that keeps its session, without keepalive."""
    return make_packet(CONNECT, text("MQTT") + bytes([mqtt, 0, 0, 0]) + (b"\0" if mqtt == MQTT5 else b"") + text(client_id))


def make_connack(code=0, mqtt=4, properties=b"", present=False):
    body = bytes([present, code])
    return make_packet(CONNACK, body + bytes([len(properties)]) + properties if mqtt == MQTT5 else body)


def make_suback(subscribe, codes, mqtt=4):
    """The answer to a SUBSCRIBE (a Packet)."""
    return make_packet(SUBACK, subscribe.body[:2] + (b"\0" if mqtt == MQTT5 else b"") + bytes(codes))


# --- servers -----------------------------------------------------------------------------------------------------

class Connection:
    """One connection to a Peer, the `number`th."""

    def __init__(self, sock, number):
        self.socket, self.number = sock, number
        self.mqtt = 4           # as its CONNECT says
        self.is_frozen = False  # a Proxy swallows all

    def send(self, data):
        self.socket.sendall(data)


class Peer:
    """Listens on a port that the kernel picked, from the start to close(). `tls`: a harness.Authority."""

    def __init__(self, tls=None):
        self._tls = None
        if tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls.server)
        self.counts = collections.Counter()
        self.open = []
        self._changed = threading.Condition()
        self._sockets = set()
        self._threads = []
        self._is_closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self):
        return f"{'mqtts' if self._tls else 'mqtt'}://127.0.0.1:{self.port}"

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def count(self, what, n=1):
        with self._changed:
            self.counts[what] += n
            self._changed.notify_all()

    def wait_count(self, what, n=1, timeout=LIMIT):
        """Wait until that has been counted n times."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.counts[what] >= n, timeout):
                raise Timeout(f"{what}: {self.counts[what]}, not {n}, within {timeout} s")

    def keep(self, sock):
        """Will be closed at the end."""
        with self._changed:
            self._sockets.add(sock)
            if self._is_closing:
                sock.close()
        return sock

    def drop(self, sock):
        with self._changed:
            self._sockets.discard(sock)
        sock.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.count("connections")
            self._start(self._run, self.keep(sock), self.counts["connections"])

    def _run(self, sock, number):
        connection = Connection(sock, number)
        try:
            if self._tls:
                connection.socket = self.keep(self._tls.wrap_socket(sock, server_side=True))
            with self._changed:
                self.open.append(connection)
            self.serve(connection)
        except (OSError, ValueError):  # ValueError: select() on a socket that has been closed
            pass
        finally:
            with self._changed:
                if connection in self.open:
                    self.open.remove(connection)
            self.drop(connection.socket)
            self.count("ends")

    def serve(self, connection):
        raise NotImplementedError

    def close(self):
        with self._changed:
            self._is_closing = True
            sockets = list(self._sockets)
        for sock in [self._listener] + sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(LIMIT)
        self._listener.close()
        for sock in sockets:
            sock.close()


class Proxy(Peer):
    """Between the bridge and the broker on `port`. What it can do to the bytes:

    chunk    passes so many bytes at a time
    delay    waits so many seconds before it passes on what the broker sends (with TLS, much of it in one record)
    cut_in() passes half of a packet and closes
    freeze() swallows everything from then on, closing nothing: the peer is gone and nobody says so

    "up" is towards the broker, "down" towards the bridge. It counts the packets, ("up", PUBLISH), "cuts" and
    "gathered", the most packets that went down in one piece.
    """

    def __init__(self, port, tls=None, chunk=0, delay=0):
        self.broker_port, self.chunk, self.delay = port, chunk, delay
        self._cuts = []
        super().__init__(tls)

    def cut_in(self, way, kind, at=(1,)):
        """Cut the connection in the middle of these packets of that kind, counted from now on."""
        with self._changed:
            self._cuts += [(way, kind, self.counts[way, kind] + n) for n in at]

    def freeze(self):
        with self._changed:
            for connection in self.open:
                connection.is_frozen = True

    def serve(self, connection):
        client = connection.socket
        broker = self.keep(socket.create_connection(("127.0.0.1", self.broker_port)))
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = {client: ("up", broker), broker: ("down", client)}
        rest = {"up": b"", "down": b""}
        try:
            while True:
                for sock in select.select(list(ways), [], [])[0]:
                    way, to = ways[sock]
                    data = self._receive(sock, sock is client)
                    if connection.is_frozen:
                        if not data and sock is broker:
                            del ways[broker]
                        elif not data:
                            return
                        self.count("swallowed", len(data))
                        continue
                    if not data:
                        return
                    packets, rest[way] = split_packets(rest[way] + data)
                    if not self._pass(way, to, data, packets, rest[way]):
                        return
        finally:
            self.drop(broker)

    def _receive(self, sock, is_client):
        if self.delay and not is_client:
            time.sleep(self.delay)
        data = sock.recv(READ_BYTES)
        while isinstance(sock, ssl.SSLSocket) and sock.pending():
            data += sock.recv(sock.pending())
        return data

    def _pass(self, way, to, data, packets, rest):
        """Pass the data on, which ends with `packets` and the rest; False: cut."""
        end = len(data) - len(rest)
        starts = [end - sum(len(p.raw) for p in packets[i:]) for i in range(len(packets))]
        for packet, start in zip(packets, starts):
            self.count((way, packet.kind))
            if (way, packet.kind, self.counts[way, packet.kind]) in self._cuts:
                self._send(to, data[:max(start, 0) + len(packet.raw) // 2])
                self.count("cuts")
                return False
        if way == "down":
            with self._changed:
                self.counts["gathered"] = max(self.counts["gathered"], len(packets))
        self._send(to, data)
        return True

    def _send(self, to, data):
        step = self.chunk or len(data) or 1
        for i in range(0, len(data), step):
            to.sendall(data[i:i + step])


class FakeBroker(Peer):
    """Takes every login and subscription and acknowledges what it gets, as far as it is not told otherwise.

    `answers`: {kind of packet: function(connection, packet)}, over the usual answers; the function returns what to
    send, or None to close the connection. Counts the packets that come, by kind.
    """

    def __init__(self, answers=None, tls=None):
        self.answers = {CONNECT: self._connack, SUBSCRIBE: self._suback, PUBLISH: self._puback,
                         PINGREQ: lambda *_: make_packet(PINGRESP), DISCONNECT: lambda *_: None, **(answers or {})}
        super().__init__(tls)

    @staticmethod
    def _connack(connection, _packet):
        return make_connack(mqtt=connection.mqtt)

    @staticmethod
    def _suback(connection, packet):
        return make_suback(packet, [1], connection.mqtt)

    @staticmethod
    def _puback(_connection, packet):
        if not packet.flags & 6:
            return b""
        start = 2 + int.from_bytes(packet.body[:2], "big")
        return make_packet(PUBACK, packet.body[start:start + 2])

    def serve(self, connection):
        rest = b""
        while True:
            data = connection.socket.recv(READ_BYTES)
            if not data:
                return
            packets, rest = split_packets(rest + data)
            for packet in packets:
                if packet.kind == CONNECT:
                    connection.mqtt = packet.body[6]
                self.count(packet.kind)
                answer = self.answers.get(packet.kind, lambda *_: b"")(connection, packet)
                if answer is None:
                    return
                connection.send(self.to_send(answer))

    def to_send(self, answer):
        """What becomes of an answer."""
        return answer
