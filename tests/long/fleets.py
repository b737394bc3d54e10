"""A fleet: many devices of one EZtCloud project behind one client, each with a session of its own in a ThingsBoard."""

import collections
import json
import os
import subprocess
import time

from harness import conf_text, find_bridge
from lab import MQTT3, Client
from verbs import status

LINK, PROJECT = "project", "PR1"


def until(ask, is_so, what, seconds):
    """Ask twice a second until the answer is so, and return it."""
    end = time.monotonic() + seconds
    while not is_so(told := ask()):
        assert time.monotonic() < end, f"within {seconds} s {what}: {told}"
        time.sleep(0.5)
    return told


class Things:
    """All devices, over one connection of the platform's service; they do each command at once."""

    def __init__(self, lab, port, names):
        self.names = names
        self.commands = collections.Counter()
        self.client = lab.add(Client(port, "things", username="cloud", mqtt=MQTT3))
        self.client.on(f"open/{PROJECT}/+/command_send", self._do)
        self.client.subscribe(f"open/{PROJECT}/+/command_send")

    def say(self, **values):
        """Each of them; when the broker has all."""
        last = len(self.names) - 1
        for i, name in enumerate(self.names):
            self.client.publish(f"open/{PROJECT}/{name}/attributes", values, wait=i == last)

    def _do(self, message):
        name, command = message.topic.split("/")[2], message.json()
        self.commands[name] += 1
        self.client.publish(f"open/{PROJECT}/{name}/command_reply",
                            {"method": command["method"], "params": {"by": name}, "id": command["id"]}, wait=False)


class Fleet:
    """`rows`: the list of devices, as text; `north`: keys of that side beyond where it is."""

    def __init__(self, lab, tb, names, rows, **north):
        self.tb, self.names = tb, names
        self.south = lab.broker("south")
        path = os.path.join(lab.directory, "fleet.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(rows)
        os.chmod(path, 0o600)
        self.calque = lab.calque(conf_text({"state": "@state@", "devices": path, "links": [{
            "name": LINK,
            "south": {"dialect": "eztcloud", "url": self.south.url, "vars": {"project": PROJECT}, "username": ""},
            "north": {"dialect": "thingsboard", "url": tb.url, **north}}]}))
        self.calque.wait_up(LINK, "south")
        self.things = Things(lab, self.south.port, names)

    def link(self):
        return next(link for link in status(self.calque)["links"] if link["link"] == LINK)

    def wait_sessions(self, seconds):
        until(lambda: self.link()["device_sessions"], lambda told: told["up"] == len(self.names), "not all were up", seconds)

    def wait_delivered(self, seconds):
        return until(lambda: self.link()["up"], lambda told: told["pending"] == 0, "not all was delivered", seconds)

    def verb(self, *arguments, seconds=600):
        """What it printed."""
        done = subprocess.run([find_bridge(), *arguments, "-c", self.calque.conf_path], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=seconds, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def heard(self, device, key="n"):
        """The values of this key that a device of the platform has, in their order, without what came again at once."""
        values = [update[key] for update in device.updates if key in update]
        return [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]

    def journal_bytes(self):
        """What the state directory takes on the disk."""
        return sum(entry.stat().st_size for entry in os.scandir(self.calque.state) if entry.is_file())


def tell(what, **figures):
    """A figure for the guide; pytest -s shows it."""
    print(f"\n{what}: " + json.dumps(figures))
