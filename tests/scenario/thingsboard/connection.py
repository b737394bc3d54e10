"""A connection: MQTT, up to where a publish is given to one of the APIs."""

import asyncio

from faulty import CONNECT, DISCONNECT, MQTT5, PINGREQ, PINGRESP, PUBACK, PUBLISH, SUBSCRIBE, make_packet
from . import packets, topics
from .device_api import Broken, ChunkError, DeviceApi, Invalid
from .gateway_api import GatewayApi
from .provisioning import ProvisioningApi

# What refuses a login, in 3.1.1 and in 5.
BAD_CREDENTIALS, BAD_CLIENT_ID, NOT_AUTHORIZED, UNAVAILABLE = (5, 0x86), (2, 0x85), (5, 0x87), (3, 0x88)


class Connection(asyncio.Protocol):
    """Lives in the server's thread; every entry takes the server's lock."""

    def __init__(self, server):
        self.server = server
        self.version = 4
        self.transport = self.connect = None
        self.device = self.api = self.gateway = None
        self.is_closed = False
        self._data = bytearray()
        self._filters = {}   # {filter: QoS}, in the order of their subscription
        self._acks = []      # made, and not yet written
        self._mid = 0
        self._handlers = {CONNECT: self._on_connect, PUBLISH: self._on_publish, SUBSCRIBE: self._on_subscribe,
                          packets.UNSUBSCRIBE: self._on_unsubscribe, PUBACK: self._on_puback,
                          PINGREQ: self._on_ping, DISCONNECT: lambda _flags, _body: self.close("DISCONNECT")}

    @property
    def name(self):
        return self.device.name if self.device else None

    # --- the stream

    def connection_made(self, transport):
        self.transport = transport
        with self.server.changed:
            self.server.connections.append(self)
            self.server.note("open")

    def connection_lost(self, _error):
        with self.server.changed:
            self._end("lost")
            self.server.connections.remove(self)

    def data_received(self, data):
        with self.server.changed:
            self._data += data
            try:
                while not self.is_closed and self._take_packet():
                    pass
            except packets.Malformed as error:
                self.close(f"malformed: {error}", 0x81)
            if self._acks and not self.is_closed:
                self.server.later(self.server.ack_delay, self._flush)

    def _take_packet(self):
        size = packets.packet_size(self._data)
        if size is None:
            return False
        start, length = size
        if length > self.server.max_packet:
            self.close("packet too large", 0x81)
            return False
        if len(self._data) < start + length:
            return False
        kind, flags = self._data[0] >> 4, self._data[0] & 15
        body = bytes(self._data[start:start + length])
        del self._data[:start + length]
        if (kind == CONNECT) == (self.connect is not None) or kind not in self._handlers:
            self.close(f"unexpected packet {kind}", 0x82)
            return False
        self._handlers[kind](flags, body)
        return True

    def write(self, data):
        if not self.is_closed:
            self.transport.write(data)

    def close(self, why, code=None):
        """End it. Acknowledgements that were not written yet are not; MQTT 5 is told the code."""
        if self.is_closed:
            return
        if code and self.version == MQTT5 and self.connect:
            self.write(packets.make_disconnect(code))
        self._end(why)
        self.transport.close()

    def abort(self, why):
        """End it without a word, what is written and not sent included."""
        self._end(why)
        self.transport.abort()

    def _end(self, why):
        """Nothing is kept of it: no subscription, no message, no device behind a gateway."""
        if self.is_closed:
            return
        self.is_closed = True
        self.server.note("close", self.name, why=why, unwritten=len(self._acks))
        if self.api in getattr(self.device, "sessions", ()):
            self.device.sessions.remove(self.api)
        if self.gateway:
            self.gateway.end()

    # --- logins

    def _on_connect(self, _flags, body):
        connect = packets.read_connect(body)
        self.version = connect.version
        if connect.version not in self.server.versions:
            self.version = 4  # one that it does not know is answered as by the servers that did not know it
            self.write(packets.make_connack(4, 1))
            self.close("protocol version")
            return
        self.connect = connect
        if self.server.is_unavailable:
            self._refuse(UNAVAILABLE)
        elif "provision" in (connect.username, connect.client_id):
            self.api = ProvisioningApi(self)
            self._accept()
        else:
            self._log_in(connect)

    def _log_in(self, connect):
        tls = self.transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(True) if tls else None
        device = self.server.find_device(connect, certificate)
        if device is None:
            has_login = connect.username is not None or connect.password is not None
            self._refuse(BAD_CREDENTIALS if has_login else BAD_CLIENT_ID if connect.client_id else NOT_AUTHORIZED)
            return
        self.device = device
        self.api = DeviceApi(self, device)
        if device.is_gateway:
            self.gateway = GatewayApi(self)
        self._accept()
        device.add_session(self.api)

    def _accept(self):
        self.write(packets.make_connack(self.version, 0, not self.connect.clean))
        self.server.note("login", self.name, version=self.version, username=self.connect.username,
                         client_id=self.connect.client_id)

    def _refuse(self, codes):
        code = codes[self.version == MQTT5]
        self.write(packets.make_connack(self.version, code))
        self.server.note("refused", None, code=code, username=self.connect.username)
        self.close("login refused")

    # --- subscriptions

    def _on_subscribe(self, _flags, body):
        asked = packets.read_subscribe(body, self.version)
        if not self.device:
            if self.server.is_before_3_9:
                return
            codes = [self._grant(f, qos, f == topics.PROVISION_RESPONSE) for f, qos in asked.filters]
            self.write(packets.make_suback(self.version, asked.mid, codes))
            return
        codes = [self._subscribe(f, qos) for f, qos in asked.filters]
        self.write(packets.make_suback(self.version, asked.mid, codes))
        granted = [f for (f, _), code in zip(asked.filters, codes) if code < 0x80]
        self.server.note("subscribe", self.name, granted=granted,
                         refused=[f for (f, _), code in zip(asked.filters, codes) if code >= 0x80])
        self.api.subscribed(granted)

    def _subscribe(self, filter_, qos):
        code = self._grant(filter_, qos, filter_ in topics.OTHER_FILTERS)
        if self.server.grants.get(filter_, 0) >= 0x80:
            return code
        if self.api.subscribe(filter_):
            return self._grant(filter_, qos, True)
        return code

    def _grant(self, filter_, qos, is_known):
        """The code for a filter; what was granted is remembered."""
        code = self.server.grants.get(filter_, min(qos, 1) if is_known else 0x8F if self.version == MQTT5 else 0x80)
        if code < 0x80:
            self._filters[filter_] = code
        return code

    def _on_unsubscribe(self, _flags, body):
        mid, filters = packets.read_unsubscribe(body, self.version)
        codes = []
        for filter_ in filters:
            is_held = self._filters.pop(filter_, None) is not None
            codes.append(0 if is_held else 0x11)
            if self.device and is_held:
                self.api.unsubscribe(filter_)
        self.write(packets.make_unsuback(self.version, mid, codes))
        self.server.note("unsubscribe", self.name, filters=filters)

    # --- down

    def send(self, topic, payload):
        """A publish to the client; its packet identifier, 0 with QoS 0. Whether there is a subscription is not asked."""
        if self.is_closed:
            return 0
        qos = next((q for f, q in self._filters.items() if self.server.matches(f, topic)), 1)
        mid = 0
        if qos:
            self._mid = mid = self._mid % 0xffff + 1
        self.write(packets.make_publish(self.version, topic, payload, mid))
        self.server.note("send", self.name, topic=topic, payload=payload)
        return mid

    def _on_puback(self, _flags, body):
        mid = int.from_bytes(body[:2], "big")
        if self.device:
            self.api.acknowledged(mid)
        self.server.note("acknowledged", self.name, mid=mid, code=body[2] if len(body) > 2 else 0)

    def _on_ping(self, _flags, _body):
        self.write(make_packet(PINGRESP))

    # --- up

    def acknowledge(self, p, code=0):
        """At once, with all that waits: the PUBACK has to leave before what comes next."""
        self._ack_later(p, code)
        self._flush()

    def _flush(self):
        if self.is_closed:
            return
        for mid, code in self._acks:
            self.write(packets.make_puback(self.version, mid, code))
            self.server.note("ack", self.name, mid=mid, code=code if self.version == MQTT5 else 0)
        self._acks.clear()

    def _on_publish(self, flags, body):
        p = packets.read_publish(flags, body, self.version)
        self.server.note("publish", self.name, topic=p.topic, payload=p.payload, qos=p.qos, mid=p.mid, dup=p.dup)
        if not self.device:
            self.api.publish(p)
            return
        verdict = self.server.verdict(self.device, p) if self.server.verdict else None
        is_for_gateway = p.topic.startswith(topics.GATEWAY)
        if verdict == "close":
            self.close("told to")
        elif verdict == "silent" or is_for_gateway and not self.gateway:
            self.server.note("unanswered", self.name, topic=p.topic)
        elif verdict is not None:
            self._ack_later(p, verdict)
        elif not self.server.take(self.device, is_for_gateway):
            self._over_limit(p, is_for_gateway)
        else:
            self._carry_out(p, self.gateway if is_for_gateway else self.api)

    def _carry_out(self, p, api):
        try:
            code = api.publish(p)
        except Invalid as error:
            self._invalid(p, error)
        except ChunkError as error:
            self.send(topics.FIRMWARE_ERROR, str(error).encode())
            self.close("chunk request")
        except Broken as error:
            self.close(f"broken: {error}", 0x8B)
        else:
            if code is not None:
                self._ack_later(p, code)

    def _ack_later(self, p, code=0):
        """The acknowledgement is written when all that was read has been seen to."""
        if p.mid:
            self._acks.append((p.mid, code))

    def _invalid(self, p, error):
        if self.version == MQTT5 and p.qos:
            self._ack_later(p, 0x99)
        elif self.device.profile.ack_invalid and p.qos:
            self._ack_later(p)
        else:
            self.close(f"invalid: {error}", 0x99)

    def _over_limit(self, p, is_for_gateway):
        """What is over the limit is dropped; only the gateway API, and MQTT 5, say something."""
        self.server.note("over-limit", self.name, topic=p.topic)
        if is_for_gateway or self.version == MQTT5:
            self.acknowledge(p, 0x97)
        if is_for_gateway or self.version != MQTT5 or self.server.limit_closes_5:
            self.close("rate limit", 0x96)
