"""A small laboratory on this machine: MQTT brokers, MQTT clients and a bridge, each started and ended by us.

Used by the demo and by the scenario tests. Nothing here waits for a fixed time: every wait is for something that
happens, ends as soon as it does, and after LIMIT seconds raises Timeout with what was seen so far.
"""

import collections
import getpass
import glob
import itertools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

LIMIT = 60  # seconds, of every wait: long, for a busy machine; nothing that goes well takes so long
MQTT3, MQTT5 = 4, 5

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Timeout(AssertionError):
    """What was waited for did not happen."""


class Ended(AssertionError):
    """A process ended that should not have, or ended badly."""


def find_program(name):
    """The path of a program that may live in an sbin that is not on the PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise Ended(f"{name} is not installed")
    return path


def find_bridge():
    """The binary under test: $CALQUE, else the newest build."""
    binary = os.environ.get("CALQUE")
    if not binary:
        built = glob.glob(os.path.join(REPOSITORY, "build", "*", "calque"))
        binary = max(built, key=os.path.getmtime, default=None)
    if not binary:
        raise Ended("there is no build/*/calque: build it (cmake --preset sanitize && cmake --build --preset sanitize), "
                    "or say in CALQUE where it is")
    if not os.access(binary, os.X_OK):
        raise Ended(f"{binary} is not there: build it, or say in CALQUE where it is")
    return os.path.abspath(binary)


def to_bytes(payload):
    """The bytes of a payload: bytes as they are, text in UTF-8, None empty, anything else as JSON."""
    if payload is None:
        return b""
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode()
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def same_json(a, b):
    """Equal as JSON: true is not 1, the order of keys does not matter, 1 and 1.0 are the same number."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return a == b


def assert_json(actual, expected, what="payload"):
    """Raise unless the two are equal as JSON."""
    assert same_json(actual, expected), (
        f"{what} differs\n  got:      {json.dumps(actual, sort_keys=True, ensure_ascii=False)}"
        f"\n  expected: {json.dumps(expected, sort_keys=True, ensure_ascii=False)}")


def is_uuid(text):
    """Is the value a UUID in its usual spelling?"""
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


# --- processes ---------------------------------------------------------------------------------------------------

PIPE_BYTES = 1 << 20  # what one read takes: more than a pipe holds


class Process:
    """A child process whose output lines are collected as they come.

    Whoever asks about the log takes in first what has been written by then. So a mark stands behind all that the
    process had said, and what matching() does not find had not been said.
    """

    def __init__(self, title):
        self.title = title
        self.lines = []
        self.process = None
        self._changed = threading.Condition()
        self._streams = {}  # those that are open, with the beginning of their next line
        self._reader = None

    @property
    def pid(self):
        return self.process.pid

    def spawn(self, command, env=None, cwd=None):
        guard = shutil.which("setpriv")  # ends the child with us, even if we are killed
        if guard:
            command = [guard, "--pdeathsig", "KILL"] + command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, cwd=cwd)
        streams = [self.process.stdout, self.process.stderr]
        for stream in streams:
            os.set_blocking(stream.fileno(), False)
        with self._changed:
            self._streams.update(dict.fromkeys(streams, b""))
        self._reader = threading.Thread(target=self._read, args=(streams,), daemon=True)
        self._reader.start()

    def _read(self, streams):
        """Take in what comes, until the last of the streams ends."""
        while streams:
            poll = select.poll()
            for stream in streams:
                poll.register(stream, select.POLLIN)
            poll.poll()
            with self._changed:
                for stream in self._take():
                    if stream in streams:  # else it is of another life of the process
                        streams.remove(stream)
                        self._end(stream)

    def _take(self):
        """Take in what has been written by now; the streams that have ended. The lock is held."""
        ended, before = [], len(self.lines)
        for stream in list(self._streams):
            try:
                data = os.read(stream.fileno(), PIPE_BYTES)
            except BlockingIOError:
                continue
            if not data:
                ended.append(stream)
            *lines, self._streams[stream] = (self._streams[stream] + data).split(b"\n")
            self.lines += [line.decode(errors="replace") for line in lines]
        if len(self.lines) > before:
            self._changed.notify_all()
        return ended

    def _end(self, stream):
        rest = self._streams.pop(stream)
        if rest:
            self.lines.append(rest.decode(errors="replace"))
        stream.close()
        self._changed.notify_all()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def mark(self):
        """A place in the log, for `since`: behind all that has been said."""
        with self._changed:
            self._take()
            return len(self.lines)

    def matching(self, pattern, since=0):
        """The log lines after `since` that match the regular expression."""
        with self._changed:
            self._take()
            return [line for line in self.lines[since:] if re.search(pattern, line)]

    def log(self, last=200):
        with self._changed:
            self._take()
            return f"--- log of {self.title}\n" + "\n".join(self.lines[-last:])

    def wait_log(self, pattern, since=0, count=1, timeout=LIMIT):
        """Wait until `count` lines after `since` match; the last of them."""
        deadline = time.monotonic() + timeout
        missing = count
        with self._changed:
            while True:
                has_ended = not self.is_running() and not self._streams
                self._take()
                for line in self.lines[since:]:
                    missing -= bool(re.search(pattern, line))
                    if not missing:
                        return line
                since = max(since, len(self.lines))
                left = deadline - time.monotonic()
                if left <= 0 or has_ended:
                    why = f"{self.title} has ended" if has_ended else f"not within {timeout} s"
                    raise Timeout(f"log line {pattern!r} ({count} times): {why}\n{self.log()}")
                self._changed.wait(min(left, 0.2))  # nobody tells when the process ends

    def wait_end(self, timeout=LIMIT):
        """Wait for the process to end by itself; its exit status (negative: the signal)."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.title} did not end within {timeout} s\n{self.log()}") from None
        self._reader.join(timeout)
        return status

    def kill(self):
        """SIGKILL, at once. Harmless if it has ended already."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.wait_end()


# --- brokers -----------------------------------------------------------------------------------------------------

class Broker(Process):
    """A mosquitto on a port that the kernel picked.

    users     {name: password}; without it everyone may log in
    acl       text of an ACL file (it also applies to names without a password)
    tls       a certificate authority (harness.Authority): the bridge is given a second, TLS listener; `port` stays
              plain, for the simulated platforms
    client_certificates  the TLS listener demands one of that authority
    extra     more lines of configuration
    It keeps its sessions across stop() and start(), and loses them with kill().
    """

    def __init__(self, directory, name="broker", users=None, acl=None, tls=None, client_certificates=False,
                 extra=""):
        super().__init__(f"broker {name}")
        self.directory = os.path.join(directory, name)
        self.users, self.acl, self.tls, self.extra = users, acl, tls, extra
        self.client_certificates = client_certificates
        self.port = self.tls_port = None
        os.makedirs(self.directory, exist_ok=True)
        self.start()

    @property
    def url(self):
        """What the bridge connects to."""
        return f"mqtts://localhost:{self.tls_port}" if self.tls else f"mqtt://127.0.0.1:{self.port}"

    def _path(self, name):
        return os.path.join(self.directory, name)

    def set_users(self, users):
        """Takes effect with the next start()."""
        self.users = users

    def _write(self):
        lines = [f"user {getpass.getuser()}", "persistence true", f"persistence_location {self.directory}/",
                 "max_queued_messages 100000", "log_dest stderr", "log_type all",
                 f"allow_anonymous {'false' if self.users is not None else 'true'}"]
        if self.users is not None:
            passwords = self._path("passwords")
            with open(passwords, "w", encoding="utf-8") as file:
                file.writelines(f"{name}:{password}\n" for name, password in self.users.items())
            os.chmod(passwords, 0o600)
            subprocess.run([find_program("mosquitto_passwd"), "-U", passwords], check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        if self.acl is not None:
            with open(self._path("acl"), "w", encoding="utf-8") as file:
                file.write(self.acl)
            os.chmod(self._path("acl"), 0o600)
            lines.append(f"acl_file {self._path('acl')}")
        lines += self.extra.splitlines()
        lines.append(f"listener {self.port} 127.0.0.1")
        if self.tls:
            lines += [f"listener {self.tls_port} localhost", f"cafile {self.tls.ca}",
                      f"certfile {self.tls.server[0]}", f"keyfile {self.tls.server[1]}",
                      f"require_certificate {'true' if self.client_certificates else 'false'}"]
        with open(self._path("mosquitto.conf"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def start(self):
        """Start, again on the port it had before; on the first start on one that is free."""
        deadline = time.monotonic() + LIMIT
        is_first = self.port is None
        while True:
            if is_first:
                self.port, self.tls_port = free_port(), free_port()
            self._write()
            since = self.mark()
            self.spawn([find_program("mosquitto"), "-c", self._path("mosquitto.conf")])
            try:
                self.wait_log(r"mosquitto version \S+ running", since)
                return self
            except Timeout:
                if not self.matching("Address already in use", since) or time.monotonic() > deadline:
                    raise
                self.kill()

    def stop(self):
        """SIGTERM: it saves its sessions and ends."""
        self.process.terminate()
        self.wait_end()

    def logins(self, since=0):
        """Who has connected: a list of (client id, user name or None, "p2" for 3.1.1 or "p5")."""
        pattern = r"New client connected from \S+ as (.*) \((p\d), c\d, k\d+(?:, u'(.*)')?\)"
        return [(m[1], m[3], m[2]) for m in (re.search(pattern, l) for l in self.matching(pattern, since))]

    def wait_login(self, user, since=0):
        """Wait until somebody has connected with this user name."""
        return self.wait_log(rf"New client connected from .*, u'{re.escape(user)}'\)", since)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- MQTT clients ------------------------------------------------------------------------------------------------

Message = collections.namedtuple(
    "Message", "topic payload qos retain properties response_topic correlation")
Message.json = lambda self: json.loads(self.payload.decode())
Message.text = lambda self: self.payload.decode()

_numbers = itertools.count(1)


class Client:
    """An MQTT client that connects at once, stays connected, and keeps everything that it receives.

    Its own publishes are not among what it receives: MQTT 5 has No Local, for 3.1.1 they are remembered. (Platforms
    do not hear themselves; clients of an ordinary broker do, where topics are used both ways.)
    """

    def __init__(self, port, client_id=None, username=None, password=None, mqtt=MQTT3):
        self.client_id = client_id or f"client-{next(_numbers)}"
        self.mqtt = mqtt
        self.received = []  # everything, in order
        self.inbox = []     # what no wait has taken yet
        self.filters = {}
        self.handlers = []
        self.failure = None
        self._sent = collections.Counter()
        self._granted = {}
        self._connected = threading.Event()
        self._lost = 0
        self._closing = False
        self._changed = threading.Condition()
        self.paho = self._make()
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_message = self._on_message
        self.paho.reconnect_delay_set(1, 1)
        self.paho.max_inflight_messages_set(1000)  # who publishes keeps to a window of its own, or none
        if username is not None:
            self.paho.username_pw_set(username, password)
        self._connect(port)

    def _make(self):
        kind = {"client_id": self.client_id, "protocol": self.mqtt}
        if self.mqtt == MQTT3:
            kind["clean_session"] = False
        if hasattr(paho, "CallbackAPIVersion"):  # paho-mqtt 2
            return paho.Client(paho.CallbackAPIVersion.VERSION2, **kind)
        return paho.Client(**kind)

    def _connect(self, port):
        more = {}
        if self.mqtt == MQTT5:
            expiry = Properties(PacketTypes.CONNECT)
            expiry.SessionExpiryInterval = 3600
            more = {"clean_start": False, "properties": expiry}
        self.paho.connect("127.0.0.1", port, 60, **more)
        self.paho.loop_start()
        self.wait(self._connected.is_set, "a connection")

    # paho-mqtt 1 and 2 give their callbacks different arguments; the ones used here have the same place.

    def _on_connect(self, _client, _userdata, _flags, code, *_):
        if getattr(code, "value", code) != 0:
            self._fail(f"login refused: {code}")
            return
        with self._changed:
            self._granted.clear()
            for filter_ in self.filters:
                self._send_subscribe(filter_)
            self._connected.set()
            self._changed.notify_all()

    def _on_disconnect(self, *_):
        with self._changed:
            self._connected.clear()
            self._lost += 1
            self._changed.notify_all()

    def _on_subscribe(self, _client, _userdata, mid, codes, *_):
        bad = [code for code in codes if getattr(code, "value", code) >= 128]
        if bad:
            self._fail(f"subscription refused: {bad}")
        with self._changed:
            self._granted[mid] = True
            self._changed.notify_all()

    def _on_message(self, _client, _userdata, m):
        try:
            message = Message(m.topic, bytes(m.payload), m.qos, bool(m.retain), *self._read_properties(m))
            with self._changed:
                if self._sent[m.topic, message.payload] > 0:
                    self._sent[m.topic, message.payload] -= 1
                    return
                self.received.append(message)
                self.inbox.append(message)
                self._changed.notify_all()
            for filter_, handler in self.handlers:
                if paho.topic_matches_sub(filter_, m.topic):
                    handler(message)
        except Exception as error:  # paho's thread would end without a word
            self._fail(f"{type(error).__name__}: {error} (on {m.topic})")

    @staticmethod
    def _read_properties(m):
        p = getattr(m, "properties", None)
        correlation = getattr(p, "CorrelationData", None)
        return (dict(getattr(p, "UserProperty", [])), getattr(p, "ResponseTopic", None),
                correlation)

    def _fail(self, text):
        with self._changed:
            self.failure = text
            self._changed.notify_all()

    def _send_subscribe(self, filter_):
        if self.mqtt == MQTT5:
            _, mid = self.paho.subscribe(filter_, options=SubscribeOptions(qos=1, noLocal=True))
        else:
            _, mid = self.paho.subscribe(filter_, 1)
        self.filters[filter_] = mid

    def wait(self, is_true, what, timeout=LIMIT):
        """Wait until is_true(); it is asked under the client's lock whenever something has happened."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if self.failure:
                    raise Ended(f"{self.client_id}: {self.failure}")
                result = is_true()
                if result:
                    return result
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"{self.client_id}: no {what} within {timeout} s\n{self.describe()}")
                self._changed.wait(left)

    def wait_ready(self):
        """Wait until connected (again), with all subscriptions granted."""
        self.wait(lambda: self._connected.is_set() and all(m in self._granted for m in self.filters.values()),
                  "connection with its subscriptions")

    def wait_lost(self, times=1):
        """Wait until the connection has been lost that often."""
        self.wait(lambda: self._lost >= times, "loss of the connection")

    def subscribe(self, *filters):
        with self._changed:
            for filter_ in filters:
                self._send_subscribe(filter_)
        self.wait_ready()
        return self

    def on(self, filter_, handler):
        """Call handler(message) in the client's thread; it must not wait for anything."""
        self.handlers.append((filter_, handler))

    def publish(self, topic, payload=None, qos=1, retain=False, properties=None, response_topic=None,
                correlation=None, wait=True):
        """Publish and wait for the broker's acknowledgement. The payload: see to_bytes()."""
        data = to_bytes(payload)
        fields = None
        if self.mqtt == MQTT5 and (properties or response_topic or correlation):
            fields = Properties(PacketTypes.PUBLISH)
            if properties:
                fields.UserProperty = list(properties.items())
            if response_topic:
                fields.ResponseTopic = response_topic
            if correlation:
                fields.CorrelationData = correlation
        if self.mqtt == MQTT3 and any(paho.topic_matches_sub(f, topic) for f in self.filters):
            with self._changed:
                self._sent[topic, data] += 1
        info = self.paho.publish(topic, data, qos, retain, fields) if fields else \
            self.paho.publish(topic, data, qos, retain)
        if wait:
            info.wait_for_publish(LIMIT)
            if not info.is_published():
                raise Timeout(f"{self.client_id}: no acknowledgement of {topic}")
        return data

    def wait_for(self, what, timeout=LIMIT):
        """Take the first message that matches a topic filter or a predicate out of the inbox."""
        is_it = self._predicate(what)

        def take():
            for i, message in enumerate(self.inbox):
                if is_it(message):
                    return self.inbox.pop(i)
            return None
        return self.wait(take, f"message {what if isinstance(what, str) else ''}", timeout)

    def expect(self, topic, payload, timeout=LIMIT):
        """Wait for a message on the topic and demand its payload: bytes, or the same JSON."""
        message = self.wait_for(topic, timeout)
        if isinstance(payload, bytes):
            assert message.payload == payload, f"{topic}: got {message.payload!r}, expected {payload!r}"
        else:
            assert_json(message.json(), payload, message.topic)
        return message

    def waiting(self, what="#"):
        """The messages in the inbox that match."""
        is_it = self._predicate(what)
        with self._changed:
            return [m for m in self.inbox if is_it(m)]

    @staticmethod
    def _predicate(what):
        return what if callable(what) else lambda m: paho.topic_matches_sub(what, m.topic)

    def describe(self):
        with self._changed:
            lines = [f"    {m.topic} {m.payload[:300]!r}" for m in self.received]
        return f"{self.client_id} has received {len(lines)}:\n" + "\n".join(lines)

    def close(self):
        if not self._closing:
            self._closing = True
            self.paho.disconnect()
            self.paho.loop_stop()


# --- the bridge --------------------------------------------------------------------------------------------------

COUNTERS = " counters link="
SANITIZER = r"LeakSanitizer|AddressSanitizer|runtime error:|Assertion .* failed"


class Calque(Process):
    """`calque run` with the configuration text given. `directory`/`name` holds its files; `state` is inside."""

    def __init__(self, directory, conf, env=None, verb="run", start=True, name="calque"):
        super().__init__(name)
        self.directory = os.path.join(directory, name)
        self.state = os.path.join(self.directory, "state")
        self.conf_path = os.path.join(self.directory, "calque.conf")
        self.env = env or {}
        self.verb = verb
        os.makedirs(self.directory, exist_ok=True)
        self.configure(conf)
        if start:
            self.start()

    def configure(self, conf):
        """Write the configuration; @state@ in it is the state directory. There may be secrets in it."""
        with open(os.open(self.conf_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(conf.replace("@state@", self.state))

    def start(self):
        binary = find_bridge()
        env = {k: v for k, v in os.environ.items() if not k.startswith("CALQUE")}
        env.update(self.env)
        self.spawn([binary, self.verb, "-c", self.conf_path], env=env, cwd=self.directory)
        return self

    def wait_up(self, link=r"\S+", side="south|north", since=0, count=1, timeout=LIMIT):
        """Wait until that session is connected and subscribed."""
        return self.wait_log(rf"session-up link={link} side=(?:{side})\b", since, count, timeout)

    def wait_down(self, link=r"\S+", side="south|north", since=0, count=1):
        """Wait until that session is seen to be lost, or cannot be made. (Logged once a minute for each reason.)"""
        return self.wait_log(rf"(?:session-down|login-refused) link={link} side=(?:{side})\b", since, count)

    def stop(self):
        """SIGTERM; it must end well."""
        self.process.terminate()
        status = self.wait_end()
        self.assert_clean()
        if status != 0:
            raise Ended(f"calque ended with status {status}\n{self.log()}")
        self.assert_counted()

    def restart(self):
        """Stop and start again with the same state; a mark in the log between the two."""
        self.stop()
        mark = self.mark()
        self.start()
        return mark

    def counters(self, link, flow):
        """The counters that a bridge leaves in its log when it stops: {name: number}."""
        return self._read_counters(self.matching(rf"{COUNTERS}{link} flow={flow} ")[-1])

    @staticmethod
    def _read_counters(line):
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)\b", line)}

    def assert_clean(self):
        """No sanitizer and no assertion may have said anything, and no message may be missing from the counters."""
        found = self.matching(SANITIZER)
        if found:
            raise Ended(f"calque: {found[0]}\n{self.log(2000)}")
        for line in self.matching(COUNTERS):
            c = self._read_counters(line)
            if c["received"] + c["resumed"] != c["delivered"] + c["filtered"] + c["dead"] + c["pending"]:
                raise Ended(f"calque: the counters do not add up: {line}\n{self.log(2000)}")

    def assert_counted(self):
        """One that ended well has left its counters, of each link both ways."""
        with self._changed:
            lines = list(self.lines)
        starts = [i for i, line in enumerate(lines) if re.search(r" started links=\d", line)]
        if not starts:
            return
        links, begin = int(lines[starts[-1]].rsplit("=", 1)[1]), starts[-1]
        for i in range(begin, len(lines)):  # what a reload ends is counted then
            found = re.search(r" reloaded same=(\d+) changed=(\d+) added=(\d+) removed=", lines[i])
            if found:
                links, begin = sum(map(int, found.groups())), i
        counted = [line for line in lines[begin:] if re.search(COUNTERS, line)]
        if len(counted) != 2 * links:
            raise Ended(f"calque: {len(counted)} lines of counters for {links} links\n{self.log()}")


# --- configurations ----------------------------------------------------------------------------------------------

def conf_value(value, indent=0):
    """A Python value in libconfig's spelling: dict a group, list a list, tuple an array."""
    pad = "  " * indent
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        inner = "".join(f"{pad}  {k} = {conf_value(v, indent + 1)};\n" for k, v in value.items())
        return "{\n" + inner + pad + "}"
    opening, closing = ("[", "]") if isinstance(value, tuple) else ("(", ")")
    return opening + ", ".join(conf_value(v, indent) for v in value) + closing


def conf_text(settings):
    """The text of a configuration file."""
    return "".join(f"{key} = {conf_value(value)};\n" for key, value in settings.items())


def localise(conf, south, north, extra=None, ca=None):
    """Make a real configuration run here: other urls, the state in @state@, our certificate authority.

    `south`, `north`: the url of each side. `extra`: {side: text} put behind the url. Without `ca`, or with a url that
    is not mqtts, the side's tls group goes.
    """
    urls = {"south": south, "north": north}
    side = None

    def replace(match):
        nonlocal side
        if match["side"]:
            side = match["side"]
            return match[0]
        if match["url"]:
            return f'url = "{urls[side]}"; {(extra or {}).get(side, "")}'
        if not urls[side].startswith("mqtts:"):
            return ""
        return re.sub(r'\bca\s*=\s*"[^"]*"', lambda _: f'ca = "{ca}"', match[0])

    conf = re.sub(r'(?m)^state\s*=\s*"[^"]*"', 'state = "@state@"', conf)
    return re.sub(r'(?m)\b(?P<side>south|north)\s*=\s*\{|\b(?P<url>url\s*=\s*"[^"]*"\s*;)|\btls\s*=\s*\{[^}]*\}\s*;?',
                  replace, conf)
