"""The guide "Move a fleet": each of its commands, as it stands there, with fifty devices."""

import csv
import os
import re
import shutil
import subprocess
import types

from harness import LIMIT, REPOSITORY, Client, find_bridge
from verbs import wait_status

GUIDE = os.path.join(REPOSITORY, "examples", "fleet")
BLOCK = re.compile(r"^```sh( background)?\n(.*?)^```$", re.M | re.S)
NAMES = [f"pump-{i:02}" for i in range(1, 51)]


class Guide:
    def __init__(self, lab, tb):
        self.south = lab.broker("south")
        key, secret = tb.profiles[0].key, tb.profiles[0].secret
        north = types.SimpleNamespace(url=tb.url, tls=None)
        self.env = dict(os.environ, TB_PROVISION_KEY=key, TB_PROVISION_SECRET=secret)
        self.env["PATH"] = os.path.dirname(find_bridge()) + ":" + self.env["PATH"]
        self.calque = lab.calque(lab.example("fleet", self.south, north), env=self.env, start=False)
        self.directory = os.path.join(lab.directory, "guide")
        os.mkdir(self.directory)
        for name in ("fleet.csv", "waves.conf"):
            shutil.copy(os.path.join(GUIDE, name), self.directory)
        self.things = lab.add(Client(self.south.port))
        self.n_said = 0

    def run(self, script):
        """Each line as it stands, but for the configuration's name."""
        told = ""
        for line in script.splitlines():
            done = subprocess.run(line.replace("-c calque.conf", f"-c {self.calque.conf_path}"), shell=True, check=False,
                                  cwd=self.directory, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=LIMIT)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            told += done.stdout
        return told

    def say(self):
        """Each device says something, and it is over there."""
        self.n_said += 1
        for name in NAMES:
            self.things.publish(f"messages/{name}/attribute", {"rpm": self.n_said})
        wait_status(self.calque, lambda s: s["links"][0]["up"]["received"] >= len(NAMES) * self.n_said
                    and s["links"][0]["up"]["pending"] == 0)

    def stop_at_a_limit(self):
        """One of the canaries says what no mapping reads."""
        mark = self.calque.mark()
        self.things.publish("messages/pump-07/attribute", "no JSON")
        self.calque.wait_log("waves link=fleet phase=stopped", mark)

    def run_waves(self, script):
        """To their end, without the days that they soak."""
        path = os.path.join(self.directory, "waves.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"soak = \d+", "soak = 0", text))
        return self.run_until(script, "done")

    def run_until(self, script, phase):
        mark = self.calque.mark()
        told = self.run(script)
        self.calque.wait_log(f"waves link=fleet phase={phase}", mark)
        return told


def test_the_guide_moves_a_fleet(lab, tb):
    guide = Guide(lab, tb)
    with open(os.path.join(GUIDE, "README.md"), encoding="utf-8") as file:
        text = file.read()
    told = []
    for is_service, script in BLOCK.findall(text):
        if is_service:
            guide.calque.start()
            guide.calque.wait_up("fleet", "south")
            continue
        if "compare" in script:
            guide.say()
        if "deadletters" in script:
            guide.stop_at_a_limit()
        if "rollback" in script:
            told.append(guide.run_until(script, "rolled-back"))
        elif script.startswith("calque devices wave run") and "--dry-run" not in script:
            told.append(guide.run_waves(script))
        else:
            told.append(guide.run(script))
    everything = "".join(told)
    assert "50 devices: known 50; mode off 50" in everything
    assert "50 devices: 50 ready" in everything
    assert "50 devices: ready 50; mode mirror 50" in everything
    assert "pump-07 of link fleet: live" in everything
    shown = re.search(r"^```\n(link fleet: stopped.*?)^```$", text, re.M | re.S).group(1)
    assert shown in re.sub(r" +$", "", re.sub(r", by [^)]*", ", by ann", everything), flags=re.M)
    # Each has its token and its session, and is commanded from there; a retired one is not.
    assert sorted(tb.devices) == NAMES and len({d.token for d in tb.devices.values()}) == len(NAMES)
    west = tb.devices["pump-40"].wait_ready()
    assert west.client["site"] == "plant west" and west.client["rpm"] == guide.n_said
    guide.things.subscribe("messages/pump-40/#")
    west.rpc("start", {"rpm": 900}, oneway=True)
    guide.things.wait_for(lambda m: m.topic.startswith("messages/pump-40/") and b"900" in m.payload)
    tb.wait(lambda: not tb.devices["pump-01"].is_online, "end of the session of pump-01")
    issued = {name: device.token for name, device in tb.devices.items()}
    assert tokens_in(guide.directory, "tokens.csv") == issued
    assert not set(issued.values()) & set(guide.run("calque devices export -c calque.conf").split(","))
    listed = guide.run("calque devices list --name pump-0[1-3] -c calque.conf").splitlines()
    assert listed[0].split() == ["link", "name", "mode", "state", "group", "seen", "reason"] and len(listed) == 4
    assert "north.token = ***" in guide.run("calque devices show pump-07 -c calque.conf")
    guide.calque.stop()
    guide.run("calque devices export --secrets again.csv -c calque.conf")
    assert tokens_in(guide.directory, "again.csv") == issued


def tokens_in(directory, name):
    path = os.path.join(directory, name)
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as file:
        return {row["name"]: row["north.token"] for row in csv.DictReader(file)}
