"""As much of MQTT 3.1.1 as is needed to read what a recorder has seen, and to be a broker for one bridge."""

import socket
import threading

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP = 1, 2, 3, 4, 8, 9, 12, 13


class Stream:
    """Bytes of one direction of a connection, as they come; packets, as they are complete."""

    def __init__(self):
        self._bytes = bytearray()

    def feed(self, data):
        """Yield (type, flags, body) of each packet that is complete now."""
        self._bytes += data
        while True:
            length, at, shift = 0, 1, 0
            while True:
                if at >= len(self._bytes):
                    return
                byte = self._bytes[at]
                length |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            if len(self._bytes) < at + length:
                return
            first, body = self._bytes[0], bytes(self._bytes[at:at + length])
            del self._bytes[:at + length]
            yield first >> 4, first & 15, body


def publish_parts(flags, body):
    """(packet id or None, topic, payload) of a PUBLISH."""
    end = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:end].decode()
    if not flags & 6:
        return None, topic, body[end:]
    return int.from_bytes(body[end:end + 2], "big"), topic, body[end + 2:]


class FakeBroker:
    """Takes what one bridge has to say, acknowledges it, and never says anything by itself.

    A new one is on a port of its own, so that nothing an earlier bridge has said can come to it.
    """

    def __init__(self, changed):
        """changed: a threading.Condition to be notified of everything that comes."""
        self.said = []  # payloads, and what was said at the login
        self._changed = changed
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = Stream()
        with connection:
            try:
                while data := connection.recv(65536):
                    answers = b"".join(self._answer(*packet) for packet in stream.feed(data))
                    with self._changed:
                        self._changed.notify_all()
                    connection.sendall(answers)
            except OSError:  # the bridge was killed
                pass

    def _answer(self, kind, flags, body):
        if kind == CONNECT:
            self.said.append(body)
            return bytes([CONNACK << 4, 2, 0, 0])
        if kind == SUBSCRIBE:
            codes, at = b"", 2
            while at < len(body):
                at += 3 + int.from_bytes(body[at:at + 2], "big")
                codes += b"\1"
            return bytes([SUBACK << 4, 2 + len(codes)]) + body[:2] + codes
        if kind == PINGREQ:
            return bytes([PINGRESP << 4, 0])
        if kind != PUBLISH:
            return b""
        ident, _, payload = publish_parts(flags, body)
        self.said.append(payload)
        return bytes([PUBACK << 4, 2]) + ident.to_bytes(2, "big") if ident else b""

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
