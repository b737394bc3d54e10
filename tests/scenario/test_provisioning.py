"""Devices of an EZtCloud project that the bridge has registered by a ThingsBoard, each with a token of its own."""

import contextlib
import os
import pty
import re
import subprocess

from harness import LIMIT, conf_text, find_bridge
from platforms import EZtCloud
from verbs import Verb, ask_until

LINK, PROJECT = "project", "PR1"


class Registration:
    def __init__(self, lab, tb, devices, **provision):
        self.lab, self.tb, self.devices = lab, tb, devices
        self.south = lab.broker("south")
        profile = tb.profiles[0]
        path = os.path.join(lab.directory, "fleet.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("name,greet.site\n" + "".join(f"{d},site of {d}\n" for d in devices))
        self.calque = lab.calque(conf_text({"state": "@state@", "devices": path, "links": [{
            "name": LINK,
            "south": {"dialect": "eztcloud", "url": self.south.url, "vars": {"project": PROJECT}, "username": ""},
            "north": {"dialect": "thingsboard", "url": tb.url, "provision": {
                "key": profile.key, "secret": profile.secret, **provision}}}]}))
        self.calque.wait_up(LINK, "south")

    def provision(self, *options):
        return Verb(self.calque, "devices", "provision", "--link", LINK, *options)

    def provision_on_a_terminal(self):
        """The same with its standard error on one: status, what stands there, and its standard output."""
        ours, its = pty.openpty()
        with open(ours, "rb", buffering=0) as terminal:
            with open(its, "wb", buffering=0) as end:
                verb = subprocess.Popen([find_bridge(), "devices", "provision", "-c", self.calque.conf_path, "--link", LINK],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=end)
            shown = b""
            with contextlib.suppress(OSError):  # so it ends
                while piece := terminal.read(4096):
                    shown += piece
            out, _ = verb.communicate(timeout=LIMIT)
        return verb.returncode, shown.decode(), out.decode()

    def listed(self):
        return {d["name"]: d for d in Verb(self.calque, "devices", "list", "--json").items()}

    def asked(self):
        return [request["deviceName"] for request in self.tb.requests]


def test_fifty_are_registered_though_the_bridge_is_killed_meanwhile(lab, tb):
    r = Registration(lab, tb, [f"d{i:02}" for i in range(50)], name="plant {device}", greet={"by": "calque"})
    with subprocess.Popen([find_bridge(), "devices", "provision", "-c", r.calque.conf_path], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as verb:
        tb.wait(lambda: len(tb.requests) >= 15, "some questions")
        r.calque.kill()
        verb.wait()
    assert len(tb.devices) < 50, "it was too fast to be killed"
    mark = r.calque.mark()
    r.calque.start()
    r.calque.wait_up(LINK, "south", mark)
    done = r.provision()
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == "50 devices: 50 ready"
    assert sorted(tb.devices) == [f"plant {d}" for d in r.devices], "each once, and no other"
    far = {d: tb.devices[f"plant {d}"] for d in r.devices}
    for d in r.devices:
        far[d].wait_online()
        tb.wait(lambda d=d: far[d].client == {"site": f"site of {d}", "by": "calque"}, f"greeting of {d}")
    thing = lab.add(EZtCloud(r.south.port, PROJECT, "d07", name="ez d07"))
    thing.attributes(value=1)
    tb.wait(lambda: far["d07"].client.get("value") == 1, "what d07 says")
    ask_until(lambda: {d["step"] for d in r.listed().values()}, lambda steps: steps == {"greeted"})
    r.calque.stop()


def test_four_are_registered_at_once_once_it_is_seen_whose_the_answers_are(lab, tb):
    tb.provision_answers = "held"
    r = Registration(lab, tb, list("abcdefghi"))
    with subprocess.Popen([find_bridge(), "devices", "provision", "-c", r.calque.conf_path], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as verb:
        for n in range(1, 4):
            tb.wait(lambda n=n: len(tb.held) == 1 and len(tb.requests) == n, f"question {n}")
            tb.give(0)
        tb.wait(lambda: len(tb.held) == 4, "four questions")
        assert r.asked() == list("abcdefg"), "and no more"
        tb.provision_answers = "sent"
        while tb.held:
            tb.give(len(tb.held) - 1)
        assert verb.wait(LIMIT) == 0
    for d in r.devices:
        tb.devices[d].wait_online()
    assert sorted(r.asked()) == r.devices, "each once"
    r.calque.stop()


def test_who_is_set_to_live_is_registered_for_that_if_it_is_said(lab, tb):
    r = Registration(lab, tb, ["a", "b", "c"])
    set_mode = lambda *more: Verb(r.calque, "devices", "set-mode", "live", *more)
    left = set_mode("a")
    assert left.status == 1 and "a: left as it is: it has no credentials in the north" in left.err and not r.asked()
    names = os.path.join(lab.directory, "names")
    with open(names, "w", encoding="utf-8") as file:
        file.write("a\nb\n")
    assert set_mode("--list", names, "--provision", "--dry-run").status == 0 and not r.asked()
    done = set_mode("--list", names, "--provision")
    assert done.status == 0 and "2 of these are not ready yet" in done.out, done.err
    ask_until(lambda: [(d["state"], d["mode"]) for d in r.listed().values()],
              lambda is_so: is_so == [("ready", "live"), ("ready", "live"), ("known", "")])
    assert sorted(r.asked()) == ["a", "b"]
    r.calque.stop()


def test_issued_tokens_are_those_of_the_devices_after_a_change_of_the_key(lab, tb):
    r = Registration(lab, tb, ["a", "b"])
    assert r.provision().status == 0
    r.calque.stop()
    asked = len(r.asked())
    assert Verb(r.calque, "state", "rotate-key").status == 0
    mark = r.calque.mark()
    r.calque.start()
    r.calque.wait_up(LINK, "south", mark)
    thing = lab.add(EZtCloud(r.south.port, PROJECT, "b", name="ez b"))
    thing.attributes(value=1)
    tb.wait(lambda: tb.devices["b"].client.get("value") == 1, "what b says")
    assert {d["state"] for d in r.listed().values()} == {"ready"}
    assert len(r.asked()) == asked
    r.calque.stop()


def test_a_key_that_is_unknown_stops_the_run_and_no_device_is_blamed(lab, tb):
    tb.profiles[0].strategy = "disabled"
    r = Registration(lab, tb, ["a", "b", "c", "d", "e"])
    done = r.provision()
    assert done.status == 1
    assert "three in a row got NOT_FOUND" in done.err
    assert {d["state"] for d in r.listed().values()} == {"asking"}
    tb.profiles[0].strategy = "allow"
    assert r.provision("--csv").out.splitlines()[1].startswith(f"{LINK},a,ready,")
    assert sorted(tb.devices) == ["a", "b", "c", "d", "e"]
    r.calque.stop()


def test_a_name_that_is_taken_is_that_devices_fault(lab, tb):
    r = Registration(lab, tb, ["a", "b", "c"])
    tb.device("b", token="another's")
    assert r.provision("--dry-run").status == 0 and not r.asked()
    status, shown, out = r.provision_on_a_terminal()
    assert status == 1
    assert re.match(r"\r\[[#.]{30}\] \d of 3, ", shown), shown
    assert re.search(r"\r\[#{30}\] 3 of 3, 1 refused, 0 lost, \d+\.\d/s(, 0:00 left)? \x1b\[K\r?\n$", shown), shown
    assert re.fullmatch(rf"{LINK} +b +refused +\w+ +name-taken\n3 devices: 2 ready 1 refused\n", out), out
    plain = r.provision("--csv")
    assert re.fullmatch(r"(\d of 3, \d refused, 0 lost, \d+\.\d/s(, \d+:\d\d left)?\n)+", plain.err), plain.err
    assert [line.split(",")[:3] + line.split(",")[4:] for line in plain.out.splitlines()] == [
        ["link", "name", "state", "reason"], [LINK, "a", "ready", ""], [LINK, "b", "refused", "name-taken"],
        [LINK, "c", "ready", ""]]
    listed = r.listed()
    assert (listed["b"]["state"], listed["b"]["reason"]) == ("refused", "name-taken")
    assert {listed[d]["state"] for d in "ac"} == {"ready"}
    refused = Verb(r.calque, "devices", "forget", "a")
    assert refused.status == 1 and "will not issue others" in refused.err
    assert r.listed()["a"]["state"] == "ready"
    r.calque.stop()
