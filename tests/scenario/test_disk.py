"""Limits of the journal: a disk that is full, max_bytes, max_age, sync."""

import os
import shutil
import subprocess
import threading
import time

import pytest

from harness import Calque, dead_letter, find_program
from test_journal import pending
from verbs import Verb, letters, wait_letters
from worlds import InnowayThingsBoard

FILLER = 64 * 1024
MIB = 1 << 20


class SmallDisk:
    """A file system of some MiB, mounted where only the processes in it see it; `inside` is the way to it from here."""

    def __init__(self, directory, mib):
        os.makedirs(directory, exist_ok=True)
        script = (f"mount -t tmpfs -o size={mib}m,mode=700 tmpfs '{directory}' && echo mounted && exec cat")
        try:
            self.holder = subprocess.Popen([find_program("unshare"), "-rm", "sh", "-c", script],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            pytest.skip(f"no namespaces: {error}")
        if self.holder.stdout.readline() != b"mounted\n":
            reason = self.holder.communicate()[1].decode().strip()
            pytest.skip(f"no file system of our own can be mounted here: {reason}")
        self.inside = f"/proc/{self.holder.pid}/root{directory}"
        self.prefix = [find_program("nsenter"), "--preserve-credentials", "-U", "-m", "-t", str(self.holder.pid)]

    def free(self):
        stat = os.statvfs(self.inside)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave=0):
        """Another program takes all that is free, but for `leave` bytes."""
        with open(os.path.join(self.inside, "filler"), "ab", buffering=0) as file:
            while self.free() > leave:
                try:
                    file.write(b"x" * min(FILLER, self.free() - leave))
                except OSError:
                    return

    def clear(self):
        os.unlink(os.path.join(self.inside, "filler"))

    def close(self):
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.stderr.close()
        self.holder.wait(10)


class BoxedCalque(Calque):
    """A bridge whose state is on a small disk."""

    def __init__(self, lab, calque, mib):
        self.disk = None
        super().__init__(os.path.join(lab.directory, "boxed"), "", env=calque.env, start=False)
        with open(calque.conf_path, encoding="utf-8") as file:
            self.configure(file.read().replace(calque.state, self.state))
        self.disk = lab.add(SmallDisk(self.state, mib))
        self.prefix = self.disk.prefix

    def spawn(self, command, env=None, cwd=None):
        super().spawn(self.disk.prefix + command, env, cwd)


@pytest.fixture
def world(lab):
    world = InnowayThingsBoard(lab, start=False)
    world.calque = lab.add_process(BoxedCalque(lab, world.calque, 24))
    world.calque.start()
    world.wait_up()
    yield world
    if world.calque.is_running():
        world.calque.stop()


def say(world, numbers, size=2000):
    for n in numbers:
        world.device.publish("attribute", {"n": n, "text": "x" * size}, wait=False)


def numbers(world):
    """Those that have come to the north."""
    return {m.json().get("n") for m in list(world.tb.client.received) if m.topic == world.tb.ATTRIBUTES}


def wait_numbers(world, wanted):
    world.tb.client.wait(lambda: set(wanted) <= numbers(world), "all numbers", 60)


def stop_north(world):
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)


@pytest.mark.parametrize("end", ["resume", "kill"])
def test_a_full_disk_loses_nothing_and_goes_on_by_itself(world, end):
    """It fills up under load with the north away; deliveries go on while it is full; then there is space again."""
    say(world, [0])
    wait_numbers(world, [0])
    stop_north(world)
    world.calque.disk.fill(leave=MIB)
    say(world, range(1, 3001))
    world.calque.wait_log("disk-full")
    world.calque.wait_log("source-held .*side=south")
    if end == "kill":
        world.calque.kill()
        world.calque.disk.clear()
        world.calque.start()
        world.north.start()
    else:
        world.north.start()
        wait_numbers(world, [1])
        assert not world.calque.matching("disk-free")
        world.calque.disk.clear()
        world.calque.wait_log("disk-free")
        world.calque.wait_log("source-released .*side=south")
    wait_numbers(world, range(3001))
    mark = world.south.mark()
    world.device.attributes(fence=1)
    world.tb.client.wait_for(lambda m: m.topic == world.tb.ATTRIBUTES and "fence" in m.json())
    world.south.wait_log("Received PUBACK from calque", mark)
    world.calque.stop()
    up = world.calque.counters(world.LINK, "up")
    assert up["received"] + up["resumed"] == up["delivered"] + up["filtered"] + up["dead"] + up["pending"], up
    assert (up["dead"], up["pending"]) == (0, 0), up


def fill_to_the_last_byte(world):
    """Not even the reserve is there any more."""
    os.unlink(os.path.join(world.calque.disk.inside, "reserve"))
    world.calque.disk.fill()


def test_what_cannot_be_stored_is_not_acknowledged(world):
    say(world, [0])
    wait_numbers(world, [0])
    world.south.wait_log("Received PUBACK from calque")
    mark = world.south.mark()
    stop_north(world)
    fill_to_the_last_byte(world)
    say(world, range(1, 101))
    world.calque.wait_log("disk-full")
    world.calque.wait_log("source-held .*side=south")
    world.calque.kill()
    assert not world.south.matching("Received PUBACK from calque", mark)
    world.calque.disk.clear()
    world.calque.start()
    world.north.start()
    wait_numbers(world, range(101))
    world.calque.stop()


@pytest.mark.parametrize("end", ["resume", "kill"])
def test_a_change_of_state_that_cannot_be_stored_lets_nothing_out(world, end):
    fill_to_the_last_byte(world)
    number = world.tb.call("setFan", {"rpm": 900})
    world.calque.wait_log("source-held .*side=north")
    world.calque.wait_log("disk-waits")
    if end == "kill":
        world.calque.kill()
        assert not world.device.client.waiting(world.device.topic("command"))
        world.calque.disk.clear()
        world.calque.start()
    else:
        assert not world.device.client.waiting(world.device.topic("command"))
        world.calque.disk.clear()
        world.calque.wait_log("disk-free")
    command = world.device.next("command")
    world.device.reply(command["id"], result="ok")
    assert world.tb.reply(number) == "ok"


def test_a_disk_that_is_full_at_the_start_is_waited_for(world):
    say(world, [0])
    wait_numbers(world, [0])
    world.calque.stop()
    os.unlink(os.path.join(world.calque.disk.inside, "reserve"))
    world.calque.disk.fill(leave=MIB)
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_log("disk-full", mark)
    say(world, range(1, 11))
    world.calque.disk.clear()
    world.calque.wait_log("disk-free", mark)
    wait_numbers(world, range(11))


def test_what_is_asked_of_dead_letters_is_done_or_refused(world):
    """On a disk that is full to the last byte, an answer that says "dropped" may not leave the letter where it was."""
    for n in range(40):
        world.device.client.publish(world.device.topic("attribute"), f"no json {n} " + "x" * 20000)
    ids = [letter["id"] for letter in wait_letters(world.calque, 0, 40)]
    fill_to_the_last_byte(world)
    say(world, range(1, 101))
    world.calque.wait_log("disk-full")
    refused = 0
    for number in ids:
        world.calque.disk.fill()
        done = Verb(world.calque, "deadletters", "drop", str(number))
        assert done.status in (0, 3), done.err
        is_there = number in [letter["id"] for letter in letters(world.calque)]
        assert is_there == (done.status == 3), done.out + done.err
        if done.status == 3:
            refused += 1
            assert "the disk is full" in done.err and not done.out, done.err
    assert refused
    world.calque.disk.clear()
    world.calque.wait_log("disk-free")
    assert Verb(world.calque, "deadletters", "drop", "--all").status == 0
    wait_numbers(world, range(1, 101))


def pending_inside(world):
    """As pending(), of a state that is on the small disk."""
    copy = os.path.join(world.lab.directory, "copy")
    shutil.copytree(world.calque.disk.inside, copy)
    world.calque.state, state = copy, world.calque.state
    try:
        return pending(world.calque)
    finally:
        world.calque.state = state


def reconfigure(world, text):
    world.calque.stop()
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf + text)
    mark = world.calque.mark()
    world.calque.start()
    world.wait_up(mark)


def test_a_journal_at_its_limit_holds_the_sources(world):
    reconfigure(world, "journal = { max_bytes = 100000; sync = \"off\"; };\n")
    assert not world.calque.matching("does not act on it")
    stop_north(world)
    say(world, range(200))
    world.calque.wait_log("journal-full")
    world.calque.wait_log("source-held .*side=south")
    world.north.start()
    world.calque.wait_log("journal-free")
    world.calque.wait_log("source-released .*side=south")
    wait_numbers(world, range(200))
    world.calque.stop()
    up = world.calque.counters(world.LINK, "up")
    assert (up["delivered"], up["dead"], up["pending"]) == (up["received"], 0, 0), up
    assert pending_inside(world) == 0


def test_what_waits_for_too_long_is_a_dead_letter(world):
    reconfigure(world, "journal = { max_age = 1; };\n")
    stop_north(world)
    say(world, range(5))
    world.calque.wait_log(dead_letter(world.LINK, "up", "expired"))
    mark = world.calque.mark()
    world.north.start()
    world.calque.wait_up(world.LINK, "north", mark)
    world.device.attributes(fence=1)
    world.tb.client.wait_for(lambda m: m.topic == world.tb.ATTRIBUTES and "fence" in m.json())
    world.calque.stop()
    up = world.calque.counters(world.LINK, "up")
    assert up["dead"] >= 1, up
    assert (up["received"], up["dead"] + up["delivered"], up["pending"]) == (6 + up["filtered"], 6, 0), up
    assert pending_inside(world) == 0


def test_what_is_of_a_link_that_is_gone_is_told_and_kept(world):
    stop_north(world)
    say(world, range(5))
    world.south.wait_log("Received PUBACK from calque", count=5)
    world.calque.stop()
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf.replace(f'"{world.LINK}"', '"other"'))
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_log(f"journal-orphans link={world.LINK} messages=5", mark)
    world.calque.wait_up("other", "south", mark)
    world.calque.stop()
    world.calque.configure(conf)
    world.calque.start()
    world.north.start()
    wait_numbers(world, range(5))
    world.calque.stop()
    assert pending_inside(world) == 0


# --- another machine on the same volume ------------------------------------------------------------------------------

class OtherMachine:
    """What a calque on another machine leaves in the state directory: its heartbeat."""

    def __init__(self, calque):
        self.path = os.path.join(calque.state, "heartbeat")
        self.beats = 0
        self.is_over = threading.Event()

    def beat(self, age_s=0):
        """At once, as a volume is written to by another."""
        self.beats += 1
        with open(self.path + ".other", "w", encoding="ascii") as file:
            file.write(f"calque 1 instance=other host=afar boot=1-2-3 pid=7 since=1764331200000 beats={self.beats} held\n")
        when = time.time() - age_s
        os.utime(self.path + ".other", (when, when))
        os.rename(self.path + ".other", self.path)

    def run(self):
        while not self.is_over.wait(0.1):
            self.beat()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


def test_one_state_has_one_bridge_on_all_machines(lab):
    world = InnowayThingsBoard(lab, start=False)
    other = OtherMachine(world.calque)
    os.makedirs(world.calque.state, mode=0o700)
    other.beat()
    with other:
        world.calque.start()
        assert world.calque.wait_end() == 1
    world.calque.wait_log(r"state-awaited host=afar since=2025-11-28T12:00:00Z")
    world.calque.wait_log(r"calque run: state directory .*: another calque has it, on host afar since 2025-11-28")
    assert not os.path.exists(os.path.join(world.calque.state, "calque.db")), "it was not touched"

    other.beat(age_s=19)  # and no more
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_log("state-taken-over host=afar", mark)
    world.calque.wait_log(" started ", mark)
    other.beat()  # it was only cut off
    world.calque.wait_log("state-failed reason=.*on host afar since", mark)
    assert world.calque.wait_end() == 3
    world.calque.assert_clean()
    with open(other.path, encoding="ascii") as file:
        assert "host=afar" in file.read(), "it is not ours any more"
