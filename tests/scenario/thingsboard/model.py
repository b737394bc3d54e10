"""What the server knows: device profiles, devices, their attributes and telemetry, open RPC, rate limits.

Everything here changes in the server's thread only, and under its lock; methods marked @in_server may be called from
anywhere.
"""

import collections
import functools
import json
import time

from lab import LIMIT

Sample = collections.namedtuple("Sample", "ts values stamped")  # stamped: the device said the time
Package = collections.namedtuple("Package", "title version data")


def in_server(method):
    """Done in the server's thread, whoever calls it."""
    @functools.wraps(method)
    def call(self, *arguments, **named):
        return getattr(self, "server", self).run(lambda: method(self, *arguments, **named))
    return call


class Profile:
    """A device profile.

    key, secret     of provisioning
    strategy        "allow": makes new devices; "check": only devices that exist already; "disabled"
    ack_invalid     acknowledges an unreadable payload to 3.1.1 too, instead of ending the connection
    telemetry, attributes, shared   topic (filters) of the device's own, beside the usual ones
    """

    def __init__(self, key="tb-key", secret="tb-secret", strategy="allow", ack_invalid=False,
                 telemetry=None, attributes=None, shared=None):
        self.key, self.secret, self.strategy, self.ack_invalid = key, secret, strategy, ack_invalid
        self.telemetry, self.attributes, self.shared = telemetry, attributes, shared


class Bucket:
    """A rate limit as the server writes it, "20:1,1000:60": so many per so many seconds, all of them kept.

    It fills evenly, up to the number, as the server's own does.
    """

    def __init__(self, text, clock=time.monotonic):
        self._clock = clock
        self._parts = [[int(n), int(seconds), float(n)] for n, seconds in
                       (part.split(":") for part in (text or "").split(",") if part)]
        self._at = clock()

    def take(self):
        """One more; False: over the limit."""
        now = self._clock()
        for part in self._parts:
            n, seconds, left = part
            part[2] = min(n, left + (now - self._at) * n / seconds)
        self._at = now
        if any(part[2] < 1 for part in self._parts):
            return False
        for part in self._parts:
            part[2] -= 1
        return True


class Rpc:
    """An RPC of the server's, as its REST caller sees it.

    status   None while it is open; 200; 406 the reply was no JSON; 409 nobody was there; 504 no reply in time
    body     the reply, if status is 200 and there is one
    sent     how often it went out;  delivered: an acknowledgement for it came
    """

    def __init__(self, device, number, method, params, oneway):
        self.device, self.id, self.method, self.params, self.oneway = device, number, method, params, oneway
        self.status = self.body = self.text = None
        self.sent, self.delivered = 0, False

    def wait(self, timeout=LIMIT):
        """Wait for its end; the status."""
        self.device.server.wait(lambda: self.status is not None, f"end of RPC {self.id} {self.method}", timeout)
        return self.status

    def result(self, timeout=LIMIT):
        """Wait for the reply, which must be one that the caller gets."""
        assert self.wait(timeout) == 200, f"RPC {self.method}: {self.status} ({self.text!r})"
        return self.body

    def answer(self, reply):
        """The device's reply, any text; only the first counts."""
        self.text = reply
        try:
            self.body = json.loads(reply) if reply else None
            self.end(200)
        except ValueError:
            self.end(406)

    def end(self, status):
        if self.status is None:
            self.status = status
            self.device.pending.pop(self.id, None)
            self.device.server.note("rpc-end", self.device.name, id=self.id, status=status)


class Device:
    """A device, with what came from it.

    telemetry     [Sample], in the order of arrival
    updates       [dict], each message of client attributes, in order
    requests      [(method, params)] of the RPC that it made;  claims: [dict]
    client, shared  the attributes as they stand
    sessions      what it is reachable through now (its own connections, or a gateway's)
    """

    def __init__(self, server, name, token=None, gateway=False, profile=None, type_="default", **credentials):
        """credentials: client_id, username, password (basic; those that are given must agree), or certificate (DER)."""
        self.server, self.name, self.token, self.is_gateway, self.type = server, name, token, gateway, type_
        self.profile = profile or server.profiles[0]
        self.credentials = credentials
        self.client, self.shared = {}, {}
        self.telemetry, self.updates, self.requests, self.claims = [], [], [], []
        self.packages = {}
        self.sessions = []
        self.pending = {}   # RPC without a reply, by id
        self._next_id = 0
        self._read = collections.Counter()

    # --- for tests

    @property
    def is_online(self):
        return bool(self.sessions)

    @property
    def hears_shared(self):
        """Is there a session that shared attributes are pushed to?"""
        return any(s.hears_shared for s in self.sessions)

    @property
    def hears_rpc(self):
        return any(s.hears_rpc for s in self.sessions)

    def next_telemetry(self, timeout=LIMIT):
        """Wait for the next telemetry that was not taken yet; its values."""
        return self._next("telemetry", timeout).values

    def next_sample(self, timeout=LIMIT):
        return self._next("telemetry", timeout)

    def next_update(self, timeout=LIMIT):
        """Wait for the next client attributes that were not taken yet."""
        return self._next("updates", timeout)

    def next_request(self, timeout=LIMIT):
        """Wait for the next RPC of the device's that was not taken yet."""
        return self._next("requests", timeout)

    def _next(self, what, timeout):
        found = getattr(self, what)
        self.server.wait(lambda: len(found) > self._read[what], f"{what} of {self.name}", timeout)
        self._read[what] += 1
        return found[self._read[what] - 1]

    def wait_online(self, timeout=LIMIT):
        self.server.wait(lambda: self.is_online, f"session of {self.name}", timeout)
        return self

    def wait_ready(self, timeout=LIMIT):
        """Wait until it hears pushes and RPC."""
        self.server.wait(lambda: self.hears_shared and self.hears_rpc, f"subscriptions of {self.name}", timeout)
        return self

    @in_server
    def push(self, **attributes):
        """Set shared attributes; how many sessions were told."""
        self.shared.update(attributes)
        return self._tell(attributes)

    @in_server
    def delete(self, *names):
        """Delete shared attributes."""
        for name in names:
            self.shared.pop(name, None)
        return self._tell({"deleted": list(names)})

    def _tell(self, change):
        told = [s for s in self.sessions if s.hears_shared]
        for session in told:
            session.send_shared(change)
        self.server.note("push", self.name, change=change, told=len(told))
        return len(told)

    @in_server
    def rpc(self, method, params=None, oneway=False, timeout=10):
        """Call the device. Without a listener it waits for one until the time-out."""
        rpc = Rpc(self, self._next_id, method, {} if params is None else params, oneway)
        self._next_id += 1
        self.pending[rpc.id] = rpc
        self.server.later(timeout, lambda: rpc.end(504 if rpc.sent else 409))
        for session in [s for s in self.sessions if s.hears_rpc]:
            self._send(session, rpc)
        return rpc

    def _send(self, session, rpc):
        rpc.sent += 1
        session.send_rpc(rpc)
        if rpc.oneway:
            rpc.end(200)

    @in_server
    def assign(self, title, version, data, package="fw"):
        """Give it a firmware (or "sw"): the notice goes out as shared attributes."""
        self.packages[package] = Package(title, version, data)
        return self.push(**{f"{package}_{k}": v for k, v in {
            "title": title, "version": version, "tag": f"{title} {version}", "size": len(data),
            "checksum": self.server.checksum(data), "checksum_algorithm": "SHA256"}.items()})

    @in_server
    def disconnect(self):
        """End its sessions, as after a change of its credentials."""
        for session in list(self.sessions):
            session.end_connection("credentials changed", 0x98)

    # --- for the transport

    def accepts(self, connect, certificate):
        """Are these its credentials?"""
        wanted = self.credentials
        if "certificate" in wanted:
            return certificate is not None and certificate == wanted["certificate"]
        if wanted:
            return all(getattr(connect, field) == value for field, value in wanted.items())
        return self.token is not None and connect.username == self.token

    def store_telemetry(self, samples):
        now = int(time.time() * 1000)
        for ts, values in samples:
            self.telemetry.append(Sample(now if ts is None else ts, values, ts is not None))

    def store_attributes(self, values):
        self.updates.append(values)
        self.client.update({k: v for k, v in values.items() if v is not None})

    def find(self, client, shared):
        """The attributes of these names, of each kind; None: of this kind nothing is asked. Unknown names are absent."""
        if client is None and shared is None:
            return dict(self.client), dict(self.shared)
        return tuple({k: held[k] for k in asked or () if k in held}
                     for held, asked in ((self.client, client), (self.shared, shared)))

    def reply(self, number, text):
        """A reply to an RPC; to one that is not open: ignored."""
        rpc = self.pending.get(number)
        if rpc:
            rpc.answer(text)

    def add_session(self, session):
        """One more way to reach it; over the server's limit the oldest is ended."""
        self.sessions.append(session)
        if len(self.sessions) > self.server.max_sessions:
            self.sessions[0].end_connection("taken over", 0x8E)

    def forget_rpc(self):
        """The server was started again: its numbers begin at 0."""
        for rpc in list(self.pending.values()):
            rpc.end(504)
        self._next_id = 0

    def start_rpc(self, session):
        """A session listens from now on: what is open is sent (again)."""
        for rpc in list(self.pending.values()):
            self._send(session, rpc)
