"""What was acknowledged is not lost: kill -9, stops, brokers that are away, a disk that takes no more."""

import contextlib
import hashlib
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from harness import Ended, assert_json, same_json
from verbs import Verb, ask_until, status
from worlds import InnowayThingsBoard

PUBACK = "Received PUBACK from (?!thingsboard|bb56e5d7)"  # from calque


@pytest.fixture
def world(lab):
    world = InnowayThingsBoard(lab)
    yield world
    if world.calque.is_running():
        world.calque.stop()


@pytest.fixture
def patient_world(lab):
    """The same, where nobody stops waiting for a device's answer, however slow the machine."""
    world = InnowayThingsBoard(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        text = file.read()
    with open(world.calque.conf_path, "w", encoding="utf-8") as file:
        file.write(text.replace('name = "pump-7";', 'name = "pump-7"; request_timeout = 600; command_max_age = 600;', 1))
    world.calque.start()
    world.wait_up()
    yield world
    if world.calque.is_running():
        world.calque.stop()


def read_state(calque, sql):
    """Rows out of the database of a bridge that does not run."""
    with contextlib.closing(sqlite3.connect(os.path.join(calque.state, "calque.db"))) as db:
        return db.execute(sql).fetchall()


def pending(calque):
    """The number of messages in the journal of a bridge that does not run."""
    rows = read_state(calque, "SELECT n, is_own, settled FROM pending LEFT JOIN mark USING (seq)")
    return sum(n + own - bin(int.from_bytes(settled or b"", "little")).count("1") for n, own, settled in rows)


def say(world, numbers):
    """The device says these, and calque acknowledges them to the south."""
    mark = world.south.mark()
    for n in numbers:
        world.device.attributes(n=n)
    world.south.wait_log(PUBACK, mark, count=len(numbers))


def take_in(world, numbers):
    """The same, with the north away."""
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    say(world, numbers)


def forget(world):
    """The south's broker forgets all: only calque has the messages now."""
    world.south.kill()
    world.south.start()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_acknowledged_survives_the_end_of_the_bridge(world, end):
    take_in(world, range(100))
    getattr(world.calque, end)()
    if end == "stop":
        counters = world.calque.counters(world.LINK, "up")
        assert (counters["received"], counters["pending"]) == (100, 100), counters
    assert pending(world.calque) == 100
    forget(world)
    world.calque.start()
    world.north.start()
    assert [world.tb.attributes()["n"] for _ in range(100)] == list(range(100))
    world.calque.stop()
    counters = world.calque.counters(world.LINK, "up")
    assert (counters["received"], counters["resumed"], counters["delivered"]) == (0, 100, 100), counters
    assert read_state(world.calque, "SELECT count(*) FROM pending") == [(0,)]
    assert not world.tb.client.waiting(world.tb.ATTRIBUTES)


def test_a_command_in_flight_is_not_decided_twice(patient_world):
    world = patient_world
    mark = world.calque.mark()
    world.south.stop()
    world.calque.wait_down(world.LINK, "south", mark)
    mark = world.north.mark()
    number = world.tb.call("setFan", {"rpm": 900})
    world.north.wait_log(PUBACK, mark)
    pairings = set()
    for end in ("stop", "kill", "kill"):  # the first one waits until it is decided
        getattr(world.calque, end)()
        pairings.update(read_state(world.calque, "SELECT key FROM state WHERE machine = 'pairing'"))
        assert len(pairings) == 1
        assert pending(world.calque) == 1
        assert read_state(world.calque, "SELECT count(*) FROM pending WHERE n = 0") == [(1,)]
        mark = world.calque.mark()
        world.calque.start()
        world.calque.wait_up(world.LINK, "north", mark)
    world.south.start()
    command = world.device.next("command")
    assert_json(command["params"], {"rpm": 900})
    world.device.reply(command["id"], result="ok")
    assert world.tb.reply(number) == "ok"
    assert not world.device.client.waiting(world.device.topic("command"))
    assert not world.tb.client.waiting("v1/devices/me/rpc/response/+")


def test_a_time_out_that_was_decided_is_told_after_a_kill(lab):
    """What the bridge says by itself has a record, too."""
    world = InnowayThingsBoard(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf.replace(f'= "{world.LINK}";', f'= "{world.LINK}"; request_timeout = 2;', 1))
    world.calque.start()
    world.wait_up()
    number = world.tb.call("setFan")
    world.device.next("command")
    world.calque.kill()
    world.north.stop()

    def live():
        """Start, and be killed once it works; how many messages of its own it leaves in the journal."""
        since = world.calque.mark()
        world.calque.start()
        world.calque.wait_up(world.LINK, "south", since)
        world.calque.kill()
        return read_state(world.calque, "SELECT count(*) FROM pending WHERE is_own")[0][0]

    ask_until(live, lambda told: told == 1)
    assert read_state(world.calque, "SELECT count(*) FROM state WHERE machine = 'pairing'") == [(0,)]
    world.north.start()
    world.calque.start()
    assert "timeout" in str(world.tb.reply(number))
    world.calque.stop()


def test_what_cannot_be_read_back_is_set_aside(world):
    """Damage to some rows costs these, and nothing else."""
    take_in(world, [1])
    world.calque.kill()
    forget(world)
    with contextlib.closing(sqlite3.connect(os.path.join(world.calque.state, "calque.db"))) as db:
        db.execute("UPDATE pending SET content = x'00'")
        db.execute("INSERT INTO state (link, machine, key, value, is_secret) VALUES (?, 'pairing', 'odd', '{}', 0)",
                   (world.LINK,))
        db.commit()
    mark = world.calque.mark()
    world.calque.start()
    world.north.start()
    world.wait_up(mark)
    world.calque.wait_log(f"row-set-aside link={world.LINK} part=pairing key=odd ", mark)
    world.calque.wait_log(f"row-set-aside link={world.LINK} part=journal ", mark)
    for client in world.device.client, world.tb.client:
        client.wait_ready()
    world.device.attributes(n=2)
    assert world.tb.attributes() == {"n": 2}
    assert status(world.calque)["set_aside"] == 2
    assert sorted(row["part"] for row in Verb(world.calque, "status", "--aside", "--json").items()) == [
        "journal", "pairing"]
    assert "pairing of 'odd': its sum is of something else" in Verb(world.calque, "status", "--aside").out
    world.calque.stop()
    mark = world.calque.mark()
    world.calque.start()
    world.wait_up(mark)
    assert not world.calque.matching("row-set-aside", mark)


KILLS = 15
BURST = 80


def test_nothing_is_lost_in_a_loop_of_kills(world, record_property):
    """SIGKILL at random moments under load, the north away at every third."""
    chance = random.Random(7)
    n = 0
    for kill in range(KILLS):
        is_away = kill % 3 == 2
        if is_away:
            world.north.stop()
        fatal = chance.randrange(BURST)
        for i in range(BURST):
            world.device.publish("attribute", {"n": n}, wait=i % 8 == 7)
            n += 1
            if i == fatal:
                world.calque.kill()
                mark = world.calque.mark()
                world.calque.start()
                if chance.random() < 0.7:
                    world.calque.wait_up(world.LINK, "south", mark)
        if is_away:
            world.north.start()
    world.tb.client.wait_ready()
    seen = {}
    while len(seen) < n:
        number = world.tb.attributes(60)["n"]
        seen[number] = seen.get(number, 0) + 1
    world.device.attributes(fence=1)
    world.tb.client.wait_for(lambda m: m.topic == world.tb.ATTRIBUTES and same_json(m.json(), {"fence": 1}))
    received = [m.json()["n"] for m in world.tb.client.received if b'"n"' in m.payload]
    lost = n - len(set(received))
    duplicates = len(received) - len(set(received))
    print(f"kills={KILLS} messages={n} lost={lost} duplicates={duplicates}")
    record_property("duplicates", duplicates)
    assert lost == 0
    assert duplicates < n
    world.calque.stop()
    assert read_state(world.calque, "SELECT count(*) FROM pending") == [(0,)]


def test_a_commit_that_fails_lets_no_acknowledgement_out(world):
    """Files may not grow any more: calque stops with status 3, and what it read comes again."""
    world.device.attributes(n=0)
    assert world.tb.attributes()["n"] == 0
    world.south.wait_log(PUBACK)  # its own acknowledgement is not to be counted below
    mark = world.south.mark()
    resource.prlimit(world.calque.pid, resource.RLIMIT_FSIZE, (4096, 4096))
    for n in range(1, 6):
        world.device.publish("attribute", {"n": n}, wait=False)
    assert world.calque.wait_end() == 3
    assert world.calque.matching("state-failed")
    assert not world.south.matching(PUBACK, mark)
    world.calque.start()
    numbers = []  # what changes no state may have left before, and what was delivered could not be written any more
    while numbers[-5:] != list(range(1, 6)):
        numbers.append(world.tb.attributes()["n"])
    world.south.wait_log(PUBACK, mark, 5)


class ClockShim:
    """The time of day that a bridge is told (clock_shim.c)."""

    def __init__(self, lab):
        self.path, library = (os.path.join(lab.directory, name) for name in ("clock", "clock_shim.so"))
        self.set(0)
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock_shim.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.env = {"LD_PRELOAD": library, "CLOCK_SHIM": self.path, "ASAN_OPTIONS": asan}

    def set(self, more_s):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(int(more_s).to_bytes(8, sys.byteorder, signed=True))


def test_nothing_gets_older_by_a_clock_that_is_set(lab):
    """1970, then now, then three days back: what waits is delivered, and nothing is dead."""
    world, shim = InnowayThingsBoard(lab, start=False), ClockShim(lab)
    world.calque.env.update(shim.env)
    shim.set(-int(time.time()))
    world.calque.start()
    world.wait_up()
    assert re.search(r"1970-01-01T\S+ info started", world.calque.log())
    take_in(world, range(3))
    shim.set(0)
    say(world, [3])
    world.calque.wait_log(r"clock-stepped by_s=\+\d{10}\b")
    shim.set(-3 * 86400)
    say(world, [4])
    world.calque.wait_log(r"clock-stepped by_s=-2592\d\d\b|clock-stepped by_s=-2591\d\d\b")
    world.calque.kill()
    shim.set(0)  # the same boot, so that it is known how long that was
    mark = world.calque.mark()
    world.calque.start()
    world.north.start()
    assert [world.tb.attributes()["n"] for _ in range(5)] == list(range(5))
    assert "clock-unknown" not in world.calque.log(mark)
    world.calque.stop()
    assert world.calque.counters(world.LINK, "up")["dead"] == 0


def test_after_another_boot_with_a_clock_that_is_behind_reports_wait_and_commands_are_expired(lab):
    world = InnowayThingsBoard(lab)
    mark = world.calque.mark()
    world.south.stop()
    world.calque.wait_down(world.LINK, "south", mark)
    mark = world.north.mark()
    number = world.tb.call("setFan", {"rpm": 900})
    world.north.wait_log(PUBACK, mark)
    world.calque.kill()
    wall_ms = int(time.time() * 1000)
    text = f"another-boot 1 {wall_ms + 3 * 3600 * 1000} {wall_ms} ".encode()
    text += hashlib.sha256(len(text).to_bytes(8, "big") + text).hexdigest()[:16].encode()
    with contextlib.closing(sqlite3.connect(os.path.join(world.calque.state, "calque.db"))) as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", (text.decode(),))
        db.commit()
    world.calque.start()
    world.calque.wait_log("clock-unknown")
    assert world.tb.reply(number) == {"error": "expired"}
    mark, up = world.south.mark(), world.calque.mark()
    world.south.start()
    world.calque.wait_up(world.LINK, "south", up)
    world.south.wait_log("Sending SUBACK to (?!calque)", mark)
    world.device.attributes(n=1)
    assert world.tb.attributes()["n"] == 1
    assert not world.device.client.waiting(world.device.topic("command"))
    world.calque.stop()


def test_a_state_is_copied_beside_a_running_bridge_and_put_back(world):
    """What waited at that moment is delivered by the copy, and what came later is not known to it."""
    take_in(world, range(3))
    copy = os.path.join(world.lab.directory, "copy")
    done = Verb(world.calque, "state", "backup", copy)
    assert (done.status, done.out) == (0, f"wrote {copy} and {copy}.key, which opens it\n"), done.err
    assert [os.stat(path).st_mode & 0o777 for path in (copy, copy + ".key")] == [0o600, 0o600]
    again = Verb(world.calque, "state", "backup", copy)
    assert again.status != 0 and "is there already" in again.err
    assert (Verb(world.calque, "state", "check").status, Verb(world.calque, "state", "check").out) == (
        0, "all is well\n")
    mark = world.south.mark()
    world.device.attributes(n=3)
    world.south.wait_log(PUBACK, mark)
    world.calque.kill()
    for name in os.listdir(world.calque.state):
        if name.startswith("calque.db"):
            os.remove(os.path.join(world.calque.state, name))
    shutil.copy(copy, os.path.join(world.calque.state, "calque.db"))
    shutil.copy(copy + ".key", os.path.join(world.calque.state, "key"))
    assert Verb(world.calque, "state", "check").status == 0  # no bridge runs
    forget(world)
    world.calque.start()
    world.north.start()
    assert [world.tb.attributes()["n"] for _ in range(3)] == list(range(3))
    world.calque.stop()
    assert world.calque.counters(world.LINK, "up")["resumed"] == 3


def test_damage_is_named_by_its_link(world):
    take_in(world, [1])
    world.calque.kill()
    with contextlib.closing(sqlite3.connect(os.path.join(world.calque.state, "calque.db"))) as db:
        db.execute("UPDATE pending SET received_ms = received_ms + 1")
        db.commit()
    done = Verb(world.calque, "state", "check")
    assert (done.status, done.out) == (
        1, f"rows of the journal of link {world.LINK} whose sum is of something else: 1\n")


def test_a_bridge_on_a_damaged_state_starts_or_says_why(world):
    """Bits flipped at random places; what is not started has said what is damaged and what to do, in its last line."""
    take_in(world, range(3))
    world.calque.kill()
    path, chance = os.path.join(world.calque.state, "calque.db"), random.Random(2026)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(path, "rb") as file:
        good = file.read()
    n_started = 0
    for _ in range(10):
        bad, at = bytearray(good), chance.randrange(len(good))
        bad[at] ^= 1 << chance.randrange(8)
        for name in os.listdir(world.calque.state):
            if name.startswith("calque.db-"):
                os.remove(os.path.join(world.calque.state, name))
        with open(path, "wb") as file:
            file.write(bad)
        mark = world.calque.mark()
        world.calque.start()
        try:
            world.calque.wait_log("info started", mark)
        except Ended:
            last = world.calque.log(mark).splitlines()[-1]
            assert "calque.db" in last and "backup" in last, (at, last)
        else:
            n_started += 1
            world.calque.kill()
    assert n_started >= 5
