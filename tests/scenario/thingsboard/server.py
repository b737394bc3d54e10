"""The server: its listener, its thread, what it is told, and what tests ask it."""

import asyncio
import collections
import hashlib
import ssl
import threading
import time

from paho.mqtt.client import topic_matches_sub

from lab import LIMIT, Timeout
from .connection import Connection
from .model import Bucket, Device, Profile, in_server

Event = collections.namedtuple("Event", "number kind device fields")


class Server:
    """A ThingsBoard on a port that the kernel picks, from the start to close().

    `tls`: a harness.Authority; the listener then speaks TLS, and takes the client certificates of that authority.

    Told to, at any time:
    verdict           function(device, publish), over the usual treatment of a publish: None the usual; "close" the
                      connection ends; "silent" nothing, ever; a number: acknowledged with this code, and not stored.
                      `publish` has topic, payload, qos, mid, dup
    grants            {filter: code} over the usual answers to a SUBSCRIBE, e.g. 0x80, or QoS 0
    is_before_3_9     no SUBACK to `provision`
    is_unavailable    no login
    versions          of the protocol; (3, 4): a server that does not know MQTT 5
    max_packet        bytes of remaining length
    max_sessions      of one device, the oldest is ended
    limit_closes_5    over a rate limit MQTT 5 is told 0x97, and then the connection ends too
    ack_delay         seconds until acknowledgements leave: they are lost if the connection ends before
    provision_answers "sent"; "kept": the device is made, but not told; "cut": and the connection ends;
                      "held": they are sent by give()
    methods           {name: function(device, params)}: what answers RPC of devices; others time out after
    request_timeout   seconds
    told_limits       what getSessionLimits says, over what is the case

    What it keeps: `devices` by name, `profiles`, `requests` for provisioning, `events`, `connections`.
    """

    def __init__(self, tls=None, profiles=None):
        self.changed = threading.Condition(threading.RLock())
        self.profiles = profiles or [Profile()]
        self.devices, self.requests, self.events, self.connections = {}, [], [], []
        self.verdict, self.grants, self.methods = None, {}, {}
        self.is_before_3_9 = self.is_unavailable = self.limit_closes_5 = False
        self.versions, self.max_packet, self.max_sessions = (3, 4, 5), 65536, 1
        self.ack_delay, self.request_timeout, self.provision_answers = 0, 60, "sent"
        self.held = []
        self.told_limits = None
        self._rates = {"messages": None, "gateway": None}
        self._buckets = {}
        self._tls = self._make_tls(tls) if tls else None
        self._loop = asyncio.new_event_loop()
        self._listener, self.port = None, 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="thingsboard", daemon=True)
        self._thread.start()
        self.start()

    @staticmethod
    def _make_tls(authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.server)
        context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- the thread

    def run(self, function):
        """Call it in the server's thread, under the lock; what it returns."""
        def locked():
            with self.changed:
                return function()
        if threading.current_thread() is self._thread:
            return locked()

        async def call():
            return locked()
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(LIMIT)

    def hold(self, answer):
        self.held.append(answer)
        self.changed.notify_all()

    def later(self, seconds, function):
        """In the server's thread."""
        def locked():
            with self.changed:
                function()
                self.changed.notify_all()
        self._loop.call_later(seconds, locked)

    def start(self):
        """Listen, again on the port that it had."""
        async def listen():
            return await self._loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, ssl=self._tls,
                                                  backlog=256)
        self._listener = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(LIMIT)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    @in_server
    def stop(self):
        """As if it had been killed: connections end without a word, open RPC and their numbers are forgotten."""
        self._listener.close()
        self.cut("stop")
        for device in self.devices.values():
            device.forget_rpc()

    @in_server
    def give(self, i):
        """Send the answer to one of the questions of provisioning that are open."""
        self.held.pop(i)()

    @in_server
    def cut(self, why="cut"):
        """End all connections without a word, and go on listening."""
        for connection in list(self.connections):
            connection.abort(why)

    def close(self):
        if self._loop.is_closed():
            return
        self.stop()

        async def end():
            self._loop.stop()
        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(LIMIT)
        self._loop.close()

    # --- for tests

    @property
    def url(self):
        return f"mqtts://localhost:{self.port}" if self._tls else f"mqtt://127.0.0.1:{self.port}"

    @in_server
    def device(self, name, token=None, **more):
        """Make a device: see Device."""
        assert name not in self.devices, name
        device = self.devices[name] = Device(self, name, token, **more)
        return device

    def wait(self, is_true, what="event", timeout=LIMIT):
        """Wait until is_true(), and return what it returned; it is asked whenever something has happened."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                result = is_true()
                if result:
                    return result
                if not self.changed.wait(max(0, deadline - time.monotonic())):
                    raise Timeout(f"thingsboard: no {what} within {timeout} s\n{self.log()}")

    def mark(self):
        """A place among the events, for `since`."""
        with self.changed:
            return len(self.events)

    def find_events(self, kind, device=None, since=0, **fields):
        """The events of this kind, about this device if it is given, with these fields."""
        with self.changed:
            return [e for e in self.events[since:] if e.kind == kind and device in (None, e.device)
                    and all(e.fields.get(k) == v for k, v in fields.items())]

    def wait_event(self, kind, device=None, since=0, count=1, timeout=LIMIT, **fields):
        """Wait for the `count`th such event."""
        self.wait(lambda: len(self.find_events(kind, device, since, **fields)) >= count,
                  f"{kind} of {device} {fields}", timeout)
        return self.find_events(kind, device, since, **fields)[count - 1]

    @in_server
    def limit(self, messages=None, gateway=None):
        """Rate limits from now on, such as "20:1", for each device, and for what comes over the gateway API."""
        self._rates = {"messages": messages, "gateway": gateway}
        self._buckets = {}

    @in_server
    def rename(self, name, new_name):
        """A device gets another name; its gateway is told (G11)."""
        device = self.devices[new_name] = self.devices.pop(name)
        device.name = new_name
        self._tell_gateways(name, "gateway_device_renamed", {name: new_name})

    @in_server
    def remove(self, name):
        """A device is deleted; its own connections end, and its gateway is told (G11)."""
        device = self.devices.pop(name)
        self._tell_gateways(name, "gateway_device_deleted", name)
        device.disconnect()

    def _tell_gateways(self, name, method, params):
        for connection in self.connections:
            if connection.gateway and name in connection.gateway.devices:
                connection.gateway.drop(name)
                connection.device.rpc(method, params, oneway=True)

    def log(self, last=200):
        """What happened, newest last."""
        with self.changed:
            lines = [f"{e.number} {e.kind} {e.device or ''} " +
                     " ".join(f"{k}={str(v)[:120]}" for k, v in e.fields.items()) for e in self.events[-last:]]
        return "--- log of thingsboard\n" + "\n".join(lines)

    kill = close  # for Lab.add_process()

    # --- for the transport

    def note(self, kind, device=None, **fields):
        self.events.append(Event(len(self.events), kind, device, fields))
        self.changed.notify_all()

    def find_device(self, connect, certificate):
        return next((d for d in self.devices.values() if d.accepts(connect, certificate)), None)

    def find_or_make(self, name, type_):
        """For a gateway, which may make devices."""
        return self.devices.get(name) or self.device(name, type_=type_)

    def take(self, device, is_for_gateway):
        """One more message; False: over the limit."""
        kind = "gateway" if is_for_gateway else "messages"
        if (kind, device) not in self._buckets:
            self._buckets[kind, device] = Bucket(self._rates[kind])
        return self._buckets[kind, device].take()

    def session_limits(self, device):
        """What getSessionLimits says: null is unlimited."""
        if self.told_limits is not None:
            return self.told_limits

        def rates(text):
            return {"messages": text and text + ",", "telemetryMessages": None, "telemetryDataPoints": None}
        limits = {"maxPayloadSize": self.max_packet, "maxInflightMessages": 100,
                  "rateLimits": rates(self._rates["messages"])}
        if device.is_gateway:
            limits["gatewayRateLimits"] = rates(self._rates["gateway"])
        return limits

    @staticmethod
    def matches(filter_, topic):
        return topic_matches_sub(filter_, topic)

    @staticmethod
    def checksum(data):
        return hashlib.sha256(data).hexdigest()
