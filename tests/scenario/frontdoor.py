"""The front door (bridge/frontdoor/) for tests: a mosquitto that has it, devices that come in, and a bridge by hand."""

import hashlib
import hmac
import os
import re
import subprocess
import threading

import paho.mqtt.client as paho

from harness import LIMIT, MQTT3, MQTT5, Broker, Client, Timeout, find_bridge, find_program, free_port

KEY = bytes(range(32))


def plugin():
    return os.path.join(os.path.dirname(os.path.abspath(find_bridge())), "calque-frontdoor.so")


def preload(path):
    """What a broker must load first, so that a plugin built with a sanitizer works in it."""
    needed = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"(\S*/libasan\S*)", needed)
    return {"LD_PRELOAD": found[0], "ASAN_OPTIONS": "detect_leaks=0"} if found else {}


class FrontDoor(Broker):
    """A broker with the plugin. Options are those of plugin_opt_*; `websockets` a third listener; `extra` in place of never saving."""

    def __init__(self, directory, name="door", options=None, websockets=False, extra="", users=None, **settings):
        self.options = {"table": os.path.join(directory, name, "table"), "bridge": os.path.join(directory, name, "bridges"),
                        **(options or {})}
        self.ws_port = free_port() if websockets else None
        self.more = extra
        os.makedirs(os.path.join(directory, name), exist_ok=True)
        self.add_bridge("calque", "sesame")
        super().__init__(directory, name, users=users or {"nobody": "nothing"}, **settings)

    def add_bridge(self, user, password):
        path = self.options["bridge"]
        new = [] if os.path.exists(path) else ["-c"]
        subprocess.run([find_program("mosquitto_passwd"), *new, "-b", path, user, password], check=True,
                       capture_output=True)
        os.chmod(path, 0o600)

    def _write(self):
        lines = [f"plugin {plugin()}", *(f"plugin_opt_{k} {v}" for k, v in self.options.items()),
                 *(self.more or "autosave_interval 3600").splitlines()]
        self.extra = "\n".join(lines)
        super()._write()
        if self.ws_port:
            with open(self._path("mosquitto.conf"), "a", encoding="utf-8") as file:
                file.write(f"listener {self.ws_port} 127.0.0.1\nprotocol websockets\n")

    def spawn(self, command, **more):
        return super().spawn(command, env={**os.environ, **preload(plugin())}, **more)


def mac(form, a, b="", c="", key=KEY):
    return hmac.new(key, "\0".join((form, a, b, c)).encode(), hashlib.sha256).hexdigest()


def row(name, token, kind="device", key=KEY):
    return f"token {kind} {mac('token', token, key=key)} {name}"


class HandBridge(Client):
    """What calque does at a front door, by hand. It speaks MQTT 5."""

    def __init__(self, door, client_id="bridge", user="calque", password="sesame"):
        super().__init__(door.port, client_id, user, password, mqtt=MQTT5)

    def send(self, topic, payload=b""):
        return self.publish("$frontdoor/" + topic, payload)

    def snapshot(self, rows, head=(), serial=1, key=KEY):
        self.send("table/begin", "\n".join([f"serial {serial}", f"key {key.hex()}", *head]))
        for at in range(0, len(rows), 500):
            self.send("table/set", "\n".join(rows[at:at + 500]))
        self.send("table/end")
        return self

    def listen(self):
        return self.subscribe("$frontdoor/up/#", "$frontdoor/state/+", "$")


class Device:
    """A device as they are: any client id, any subscriptions, any protocol; keeps all that it gets."""

    def __init__(self, door, token=None, password=None, client_id="same", protocol=MQTT3, transport="tcp", port=None,
                 tls=None, clean=True, will=None, subscribe=(("v1/devices/me/attributes", 1),), wait=True):
        kind = {} if protocol == MQTT5 else {"clean_session": clean}
        make = paho.Client
        if hasattr(paho, "CallbackAPIVersion"):
            kind["callback_api_version"] = paho.CallbackAPIVersion.VERSION1
        self.paho = make(client_id=client_id, protocol=protocol, transport=transport, **kind)
        self.got, self.code, self.lost = [], None, 0
        self.changed = threading.Condition()
        self.granted = set()
        self.filters = list(subscribe)
        if token is not None:
            self.paho.username_pw_set(token, password)
        if tls:
            self.paho.tls_set(tls[0], *(tls[1:] or ()))
        if will:
            self.paho.will_set(*will)
        self.paho.on_connect, self.paho.on_message = self._on_connect, self._on_message
        self.paho.on_subscribe, self.paho.on_disconnect = self._on_subscribe, self._on_disconnect
        self.paho.reconnect_delay_set(60, 60)  # one that was let go stays away
        self.paho.connect("localhost" if tls else "127.0.0.1", port or door.port, 60)
        self.paho.loop_start()
        if wait:
            self.wait(lambda: self.code == 0 and len(self.granted) >= len(self.filters), "login")

    def _tell(self, change):
        with self.changed:
            change()
            self.changed.notify_all()

    def _on_connect(self, _c, _u, _f, code, *_):
        def change():
            self.code = getattr(code, "value", code)
            self.granted.clear()
        self._tell(change)
        for filter_, qos in self.filters if self.code == 0 else ():
            self.paho.subscribe(filter_, qos)

    def _on_subscribe(self, _c, _u, mid, *_):
        self._tell(lambda: self.granted.add(mid))

    def _on_disconnect(self, *_):
        def change():
            self.lost += 1
        self._tell(change)

    def _on_message(self, _c, _u, m):
        self._tell(lambda: self.got.append((m.topic, bytes(m.payload), m.qos, bool(m.retain))))

    def wait(self, is_true, what, timeout=LIMIT):
        with self.changed:
            if not self.changed.wait_for(is_true, timeout):
                raise Timeout(f"no {what}; code {self.code}, got {self.got[-5:]}")

    def wait_got(self, topic, payload):
        self.wait(lambda: any(g[:2] == (topic, payload) for g in self.got), f"{topic} {payload!r}")

    def publish(self, topic, payload, qos=1, retain=False, wait=True):
        info = self.paho.publish(topic, payload, qos, retain)
        if qos and wait:
            info.wait_for_publish(LIMIT)
            if not info.is_published():
                raise Timeout(f"no acknowledgement of {topic}")

    def close(self):
        self.paho.disconnect()
        self._end_thread()

    def _end_thread(self):
        """Without waiting for it, as loop_stop() does: one that waits for its next try sleeps for a second."""
        self.paho._thread_terminate = True  # pylint: disable=protected-access

    def vanish(self):
        """The connection goes without a DISCONNECT: its will would be due."""
        self._end_thread()
        self.paho._sock_close()  # pylint: disable=protected-access
