#!/usr/bin/env python3
"""What the front door costs mosquitto: tests/bench/frontdoor_cost.py [CLIENTS [PAIRS]]

Alternately a mosquitto with the plugin, and one without, in which each client has topics of its own. Per message, QoS 1
from end to end: the broker's processor time (schedstat), up and down. Per client: its memory, after the login, two
subscriptions and ten messages. Medians. $CALQUE says beside which calque the plugin is.
"""

import base64
import hashlib
import hmac
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

BATCH, TEN = 50, 10
KEY = bytes(32)


def field(data):
    data = data if isinstance(data, bytes) else data.encode()
    return struct.pack("!H", len(data)) + data


def packet(kind, body):
    n, length = len(body), b""
    while True:
        n, digit = divmod(n, 128)
        length += bytes([digit | (128 if n else 0)])
        if not n:
            return bytes([kind]) + length + body


class Client:
    """As little of MQTT 3.1.1 as is needed, packet by packet."""

    def __init__(self, port, name, user, password=None):
        for _ in range(200):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.send(0x10, field("MQTT") + bytes([4, 0xc2 if password else 0x82]) + struct.pack("!H", 600) + field(name) +
                  field(user) + (field(password) if password else b""))
        kind, body = self.read()
        assert kind == 0x20 and body[1] == 0, body

    def send(self, kind, body):
        self.socket.sendall(packet(kind, body))

    def read(self):
        while True:
            if len(self.buffer) > 1:
                n, shift, at = 0, 0, 1
                while at < len(self.buffer):
                    n |= (self.buffer[at] & 127) << shift
                    at, shift = at + 1, shift + 7
                    if self.buffer[at - 1] < 128:
                        if len(self.buffer) >= at + n:
                            kind, body = self.buffer[0], self.buffer[at:at + n]
                            self.buffer = self.buffer[at + n:]
                            return kind, body
                        break
            data = self.socket.recv(65536)
            assert data, "the broker ended it"
            self.buffer += data

    def subscribe(self, *filters):
        self.send(0x82, b"\0\1" + b"".join(field(f) + b"\1" for f in filters))
        while self.read()[0] != 0x90:
            pass

    def publish(self, topic, payload):
        self.send(0x32, field(topic) + b"\0\2" + payload)

    def take(self):
        """Read on to the next message, and acknowledge it."""
        kind, body = self.read()
        while kind & 0xf0 != 0x30:
            kind, body = self.read()
        n = struct.unpack("!H", body[:2])[0]
        self.send(0x40, body[2 + n:4 + n])

    def acknowledged(self):
        while self.read()[0] != 0x40:
            pass


class Broker:
    def __init__(self, directory, plugin):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        lines = [f"user {os.environ.get('USER', 'root')}", f"listener {self.port} 127.0.0.1", "log_dest none",
                 "max_queued_messages 1000000", "max_inflight_messages 0", f"allow_anonymous {'false' if plugin else 'true'}"]
        if plugin:
            salt = os.urandom(12)
            sealed = hashlib.pbkdf2_hmac("sha512", b"p", salt, 101)
            bridges = os.path.join(directory, "bridges")
            with open(os.open(bridges, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
                file.write("calque:$7$101$" + "$".join(base64.b64encode(x).decode() for x in (salt, sealed)) + "\n")
            lines += [f"plugin {plugin}", f"plugin_opt_table {directory}/table", f"plugin_opt_bridge {bridges}",
                      "plugin_opt_rate 0"]
        conf = os.path.join(directory, "mosquitto.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", conf], stderr=subprocess.DEVNULL)

    def cpu_ns(self):
        with open(f"/proc/{self.process.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])

    def memory(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()


def enter(bridge, n):
    """The table of the front door."""
    bridge.subscribe("$frontdoor/up/#", "$")
    bridge.publish("$frontdoor/table/begin", f"serial 1\nkey {KEY.hex()}\n".encode())
    bridge.acknowledged()
    for at in range(0, n, 500):
        rows = (f"token device {hmac.new(KEY, f'token{chr(0)}t{i}{chr(0)}{chr(0)}'.encode(), hashlib.sha256).hexdigest()} d{i}"
                for i in range(at, min(at + 500, n)))
        bridge.publish("$frontdoor/table/set", "\n".join(rows).encode())
        bridge.acknowledged()
    bridge.publish("$frontdoor/table/end", b"")
    bridge.acknowledged()


def go(broker, clients, bridge, up, down):
    """CPU per message, both ways, in us."""
    payload, costs = b'{"temperature": 21.5, "humidity": 40}', []
    for direction in ("up", "down"):
        began, n = broker.cpu_ns(), 0
        for _ in range(TEN):
            for at in range(0, len(clients), BATCH):
                some = range(at, min(at + BATCH, len(clients)))
                for i in some:
                    if direction == "up":
                        clients[i].publish(up(i), payload)
                    else:
                        bridge.publish(down(i), payload)
                for i in some:
                    if direction == "up":
                        bridge.take()
                    else:
                        clients[i].take()
                for i in some:
                    (clients[i] if direction == "up" else bridge).acknowledged()
                n += len(some)
        costs.append((broker.cpu_ns() - began) / n / 1000)
    return costs


def run(plugin, n):
    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(directory, plugin)
        try:
            bridge = Client(broker.port, "bridge", "calque", "p")
            if plugin:
                enter(bridge, n)
            else:
                bridge.subscribe("d/+/up")
            before, clients = broker.memory(), []
            for i in range(n):
                c = Client(broker.port, f"c{i}", f"t{i}")
                c.subscribe(*(("v1/devices/me/attributes", "v1/devices/me/rpc/request/+") if plugin
                              else (f"d/{i}/down", f"d/{i}/also")))
                clients.append(c)
            costs = go(broker, clients, bridge, *(
                (lambda i: "v1/devices/me/telemetry", lambda i: f"$frontdoor/down/d{i}/v1/devices/me/attributes") if plugin
                else (lambda i: f"d/{i}/up", lambda i: f"d/{i}/down")))
            return [*costs, (broker.memory() - before) / n / 1024]
        finally:
            broker.process.terminate()
            broker.process.wait()


def main():
    n, pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5000, int(sys.argv[2]) if len(sys.argv) > 2 else 5
    plugin = os.environ.get("PLUGIN") or os.path.join(os.path.dirname(os.path.abspath(os.environ["CALQUE"])),
                                                      "calque-frontdoor.so")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * n + 200), hard), hard))
    results = {"without": [], "with": []}
    for _ in range(pairs):
        results["without"].append(run(None, n))
        results["with"].append(run(plugin, n))
        print("  ".join(f"{k} {v[-1][0]:.1f} us up, {v[-1][1]:.1f} us down, {v[-1][2]:.2f} KiB" for k, v in results.items()),
              flush=True)
    medians = {k: [statistics.median(c) for c in zip(*v)] for k, v in results.items()}
    up, down = ((medians["with"][i] / medians["without"][i] - 1) * 100 for i in (0, 1))
    print(f"{n} clients, medians of {pairs}: up {up:+.0f} %, down {down:+.0f} %, "
          f"{medians['with'][2] - medians['without'][2]:+.2f} KiB per client")


if __name__ == "__main__":
    main()
