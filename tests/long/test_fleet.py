"""Fleets of the size that people have: README.md."""

import json
import os
import subprocess
import time

import pytest

from fleets import LINK, Fleet, tell, until
from harness import find_bridge

# A session, of which device sessions in one process are to take no more than this (all of the process, kiB).
MOST_KIB = {"devices-5000": 100 << 10, "devices-tls-5000": 300 << 10}


@pytest.mark.parametrize("scenario", MOST_KIB)
def test_five_thousand_sessions_take_what_they_may(tmp_path, scenario):
    done = subprocess.run([find_bridge(), "bench", "--json", "--seconds", "20", "--scenario", scenario], capture_output=True,
                          text=True, check=True)
    (row,) = json.loads(done.stdout)["scenarios"]
    fleet = row["fleet"]
    tell(scenario, **fleet)
    assert fleet["own_rss_kib"] < MOST_KIB[scenario]
    assert fleet["up_s"] < 60 and fleet["back_s"] < 120
    assert fleet["most_in_second"] <= 105, "our own pace (and the clock's seconds are not its own)"
    assert fleet["resting"] < 0.02
    assert fleet["descriptors"] < 3 * 5000 + 64
    assert row["sent"] == row["arrived"]


def test_a_thousand_are_registered_in_one_run(lab, tb):
    names = [f"d{i:04}" for i in range(1000)]
    profile = tb.profiles[0]
    fleet = Fleet(lab, tb, names, "name\n" + "".join(f"{n}\n" for n in names),
                  provision={"key": profile.key, "secret": profile.secret})
    start = time.monotonic()
    told = fleet.verb("devices", "provision", "--link", "project")
    assert told.splitlines()[-1] == "1000 devices: 1000 ready"
    tell("provision 1000", seconds=round(time.monotonic() - start, 1))
    assert sorted(tb.devices) == names, "each once, and no other"
    fleet.wait_sessions(120)
    fleet.things.say(n=1)
    fleet.wait_delivered(120)
    assert all(fleet.heard(tb.devices[n]) == [1] for n in names)
    fleet.calque.stop()


def test_an_hour_without_the_platform_loses_nothing(lab, tb):
    """A message a minute of each of 200 devices, as fast as the south takes them; then all of it, in order."""
    names, minutes = [f"d{i:03}" for i in range(200)], 60
    far = {n: tb.device(n, token=f"t-{n}") for n in names}
    fleet = Fleet(lab, tb, names, "name,north.token\n" + "".join(f"{n},t-{n}\n" for n in names))
    fleet.wait_sessions(60)
    before = fleet.journal_bytes()
    tb.stop()
    fleet.calque.wait_log(r"sessions link=project side=north up=0 of=200")
    for minute in range(minutes):
        fleet.things.say(n=minute, place="in the hall, behind the second door", temperature=21.5, humidity=48, fan="on")
    tell("an hour of 200 devices", messages=len(names) * minutes, payload_bytes=100, bytes=fleet.journal_bytes() - before)
    tb.start()
    fleet.wait_sessions(180)
    told = fleet.wait_delivered(300)
    assert told["dead"] == 0
    for n in names:
        assert fleet.heard(far[n]) == list(range(minutes)), n
    fleet.calque.stop()


def test_two_hundred_are_registered_and_move_though_the_bridge_is_killed(lab, tb):
    """While they speak; no device is there twice, nothing is lost, and each hears its own commands."""
    names = [f"d{i:03}" for i in range(200)]
    profile = tb.profiles[0]
    fleet = Fleet(lab, tb, names, "name\n", provision={
                      "key": profile.key, "secret": profile.secret, "auto": True})
    fleet.things.say(n=0)
    tb.wait(lambda: 40 <= len(tb.devices) < 200, "some devices")
    fleet.calque.kill()
    mark = fleet.calque.mark()
    fleet.things.say(n=1)
    fleet.calque.start()
    fleet.calque.wait_up("project", "south", mark)
    for n in range(2, 5):
        fleet.things.say(n=n)
    fleet.wait_sessions(120)
    fleet.calque.kill()
    mark = fleet.calque.mark()
    fleet.calque.start()
    fleet.calque.wait_up("project", "south", mark)
    fleet.things.say(n=5)
    fleet.wait_sessions(120)
    assert fleet.wait_delivered(120)["dead"] == 0
    assert sorted(tb.devices) == names
    for n in names:
        heard = fleet.heard(tb.devices[n])
        assert sorted(set(heard)) == list(range(6)), f"{n}: {heard}"
        # What had no acknowledgement when it was killed comes again, with all behind it.
        firsts = [v for i, v in enumerate(heard) if v not in heard[:i]]
        assert firsts == sorted(firsts), f"{n}: {heard}"
    calls = {n: tb.devices[n].wait_ready().rpc("set", {"for": n}) for n in names}
    for n in names:
        assert calls[n].result() == {"by": n}
    assert set(fleet.things.commands.values()) == {1} and len(fleet.things.commands) == 200
    fleet.calque.stop()


def rss_kib(calque):
    with open(f"/proc/{calque.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_what_waits_for_devices_without_credentials_is_not_in_memory(lab, tb):
    """A thousand messages for each of 200; the same after kill -9; then they are let in, and all of it arrives in order."""
    names, each = [f"d{i:03}" for i in range(200)], 1000
    fleet = Fleet(lab, tb, names, "name\n" + "".join(f"{n}\n" for n in names))
    fleet.things.say(n=0, place="in the hall, behind the second door", temperature=21.5, humidity=48, fan="on")
    until(fleet.link, lambda told: told["up"]["received"] == len(names), "not all was read", 60)
    before = rss_kib(fleet.calque)
    start = time.monotonic()
    for n in range(1, each):
        fleet.things.say(n=n, place="in the hall, behind the second door", temperature=21.5, humidity=48, fan="on")
    until(fleet.link, lambda told: told["up"]["received"] == len(names) * each, "not all was read", 600)
    seconds = time.monotonic() - start
    time.sleep(2)
    parked = rss_kib(fleet.calque)
    fleet.calque.kill()
    start, mark = time.monotonic(), fleet.calque.mark()
    fleet.calque.start()
    fleet.calque.wait_up(LINK, "south", since=mark)
    until(fleet.link, lambda told: told["up"]["pending"] == len(names) * each, "not all was taken up", 300)
    resumed_s = time.monotonic() - start
    time.sleep(2)
    resumed = rss_kib(fleet.calque)
    tell("200,000 parked", before_kib=before, parked_kib=parked, resumed_kib=resumed, resumed_s=round(resumed_s, 1),
         per_message=round((parked - before) * 1024 / len(names) / each), disk_bytes=fleet.journal_bytes(),
         a_second=round(len(names) * (each - 1) / seconds))
    assert parked - before < 48 << 10
    assert resumed < 96 << 10
    far = {n: tb.device(n, token=f"t-{n}") for n in names}
    rows = os.path.join(lab.directory, "tokens.csv")
    with open(rows, "w", encoding="utf-8") as file:
        file.write("name,north.token\n" + "".join(f"{n},t-{n}\n" for n in names))
    os.chmod(rows, 0o600)
    start = time.monotonic()
    fleet.verb("devices", "import", rows, "--link", "project")
    told = fleet.wait_delivered(900)
    tell("200,000 sent", seconds=round(time.monotonic() - start, 1), rss_kib=rss_kib(fleet.calque))
    assert told["dead"] == 0
    for n in names:
        assert fleet.heard(far[n]) == list(range(each)), n
    fleet.calque.stop()
