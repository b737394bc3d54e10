#!/usr/bin/python3
"""Power loss: record what calque does to its state directory and says on its sockets, rebuild what a power cut at any
moment may have left (disk.py), start calque on it, and demand every message that it had acknowledged by then.

A message is demanded if its PUBACK had left to the source and the target's had not come back yet.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

from disk import VARIANTS, Disk
from load import HANDSHAKE, LIMIT, SOURCE, TARGET, Lab, Load, conf_between, tokens
from harness import Calque, Process, Timeout, find_bridge
from mqtt import CONNECT, PUBACK, PUBLISH, FakeBroker, Stream, publish_parts

Record = collections.namedtuple("Record", "kind pid fd at data")
HEAD = struct.Struct("=IiiIq")
ON_DISK = "OCWTSUR"
CHANGES = "OWTSUR"
PAD = 12000  # pages of the database, so that its log is moved into it while all this goes on (SQLite: at 1000)

# Credentials that were issued are acknowledged by the first login with them, and owed as a login ever after.
TO = {**TARGET, "credentials": "north"}


# --- the recording -------------------------------------------------------------------------------------------------

def preload():
    """LD_PRELOAD for calque: the recorder of its build; a sanitizer's library must be the first."""
    bridge = find_bridge()
    linked = subprocess.run(["ldd", bridge], check=True, capture_output=True, text=True).stdout
    sanitizer = [line.split()[2] for line in linked.splitlines() if "libasan" in line]
    return ":".join(sanitizer + [os.path.join(os.path.dirname(bridge), "tests", "librecorder.so")])


def say(load, calque, numbers):
    """Both sides up: up to that number, all to the end."""
    load.run(numbers)
    if not load.wait_all():
        raise Timeout(f"recording: {load.describe()}\n{calque.log()}")


def take_in(load, numbers):
    """The north away: what the device says is acknowledged and stays with calque."""
    mark = load.broker["south"].mark()
    load.take_down("north")
    before = sum(load.flows[f].sent for f in ("event", "attributes"))
    load.run(numbers)
    load.broker["south"].wait_log("Received PUBACK from calque-", mark, 2 * numbers - before)


@contextlib.contextmanager
def between_changes(log):
    """The recorder's lock: no change of the directory is without its record."""
    with open(log, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def record(directory, log, size):
    """A life with all that there is in one. Returns {port: side} of the brokers, and what was there when nothing ran:
    [(length of the record, {name: content})]."""
    looks = []

    def look():
        files = {}
        for name in os.listdir(calque.state):
            path = os.path.join(calque.state, name)
            if os.path.isfile(path):  # a kill leaves the control socket behind
                with open(path, "rb") as file:
                    files[name] = file.read()
        looks.append((os.path.getsize(log), files))

    lab = Lab(directory)
    try:
        load = Load(lab, window=size, pad=PAD, login=HANDSHAKE, broker="max_inflight_messages 200\n")
        calque = lab.calque(load.conf, start=False)
        calque.env = {"LD_PRELOAD": preload(), "CALQUE_RECORD_LOG": log,
                      "CALQUE_RECORD_DIR": os.path.realpath(calque.state)}
        calque.start()
        calque.wait_up(side="south")
        assert load.device.provision("pump")["status"] == "SUCCESS"
        calque.wait_log("session-up link=crash side=north present")  # not that of the handshake
        say(load, calque, size)
        take_in(load, 2 * size)
        with between_changes(log):
            calque.kill()
        look()
        calque.start()
        load.bring_up("north")
        say(load, calque, 3 * size)
        calque.stop()
        calque.start()
        say(load, calque, 4 * size)
        calque.stop()
        look()
        lab.assert_clean()
        return {load.broker[side].port: side for side in load.broker}, looks
    finally:
        lab.close()


def read_log(path, length=-1):
    with open(path, "rb") as file:
        data = file.read(length)
    records, at = [], 0
    while at < len(data):
        kind, pid, fd, length, where = HEAD.unpack_from(data, at)
        at += HEAD.size
        records.append(Record(chr(kind), pid, fd, where, data[at:at + length]))
        at += length
    return records


class Timeline:
    """When, as an index of the records, each message was acknowledged by us and to us."""

    def __init__(self, records, sides):
        self.acked, self.delivered = {}, {}
        self._connections = {}
        for i, r in enumerate(records):
            if r.kind == "N":
                self._connections[r.pid, r.fd] = (sides.get(r.at), {"I": Stream(), "E": Stream()}, {"I": {}, "E": {}})
            elif r.kind in "IE":
                self._packets(i, r)

    def _packets(self, i, r):
        side, streams, open_ = self._connections[r.pid, r.fd]
        for kind, flags, body in streams[r.kind].feed(r.data):
            if kind == PUBLISH:
                ident, _, payload = publish_parts(flags, body)
                ends = SOURCE if r.kind == "I" else TARGET
                open_[r.kind][ident] = [t for t in tokens(payload) if ends.get(t[0]) == side]
            elif kind == CONNECT:
                for token in tokens(body):
                    self.acked.setdefault(token, i)
            elif kind == PUBACK:
                other, times = ("I", self.acked) if r.kind == "E" else ("E", self.delivered)
                for token in open_[other].pop(int.from_bytes(body[:2], "big"), ()):
                    times.setdefault(token, i)

    def demanded(self, since, end):
        """What calque owes at some moment between these two records."""
        return {token for token, acked in self.acked.items()
                if acked < end and self.delivered.get(token, end) >= max(acked, since)}


def follow(records):
    """Yield (index of a change, index of the one before, the disk before it), and at last the disk at the end."""
    disk, before = Disk(), 0
    for i, r in enumerate(records):
        if r.kind not in ON_DISK:
            continue
        fd = r.pid, r.fd
        if r.kind in CHANGES:
            yield i, before, disk
            before = i
        if r.kind == "O":
            disk.opened(fd, r.data.decode(), r.at)
        elif r.kind == "C":
            disk.closed(fd)
        elif r.kind == "W":
            disk.wrote(fd, r.at, r.data)
        elif r.kind == "T":
            disk.truncated(fd, r.at)
        elif r.kind == "S":
            disk.synced(fd)
        elif r.kind == "U":
            disk.unlinked(r.data.decode())
        else:
            disk.renamed(*r.data.decode().split("\0"))
    yield len(records), before, disk


def choose(records, wanted, chance):
    """{index of a change: variants} of so many states, half of them before the first connection."""
    first, rest = [], []
    connected = next(i for i, r in enumerate(records) if r.kind == "N")
    for i, _, disk in follow(records):
        for variant in VARIANTS[:1] if disk.is_settled() else VARIANTS:
            (first if i < connected else rest).append((i, variant))
    n = min(wanted // 2, len(first))
    chosen = collections.defaultdict(list)
    for i, variant in chance.sample(first, n) + chance.sample(rest, min(wanted - n, len(rest))):
        chosen[i].append(variant)
    return chosen, len(first) + len(rest)


# --- the replays ---------------------------------------------------------------------------------------------------

class Replay:
    """calque, started on a rebuilt state between brokers that know of nothing."""

    def __init__(self, files, demanded):
        self._changed = threading.Condition()
        self._demanded = demanded
        self.verdict, self.log = "ok", ""
        with tempfile.TemporaryDirectory() as directory:
            self._brokers = {side: FakeBroker(self._changed) for side in ("south", "north")}
            self._calque = Calque(directory, conf_between(self._brokers["south"].url, self._brokers["north"].url,
                                                         HANDSHAKE), start=False)
            self._write(files)
            try:
                self._run()
            finally:
                self._calque.kill()
                for broker in self._brokers.values():
                    broker.close()

    def _write(self, files):
        os.mkdir(self._calque.state, 0o700)
        for name, content in files.items():
            path = os.path.join(self._calque.state, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content)

    def _run(self):
        self._calque.start()
        try:
            self._calque.wait_log(" started ")
        except Timeout:
            self._fail("corrupt")
            return
        deadline = time.monotonic() + LIMIT
        with self._changed:
            while missing := self._missing():
                if time.monotonic() > deadline or not self._calque.is_running():
                    self._fail(f"lost {sorted(missing)[:5]}")
                    return
                self._changed.wait(0.5)

    def _missing(self):
        came = {t for side, broker in self._brokers.items() for data in list(broker.said)
                for t in tokens(data) if TO.get(t[0]) == side}
        return self._demanded - came

    def _fail(self, verdict):
        self.verdict, self.log = verdict, self._calque.log(20)


ENOUGH = 10  # bad states: each takes LIMIT seconds, and the rest would say the same


def replay_all(records, timeline, chosen, chance, jobs):
    """Run all; the counts by outcome, and of messages that were demanded."""
    counts = collections.Counter()
    lock = threading.Lock()
    room = threading.Semaphore(2 * jobs)  # states are built as they are needed

    def one(where, files, demanded):
        if counts["lost"] + counts["corrupt"] >= ENOUGH:
            room.release()
            return
        try:
            replay = Replay(files, demanded)
        finally:
            room.release()
        if replay.verdict != "ok":
            print(f"{where}: {replay.verdict}: files {({n: len(c) for n, c in files.items()})}\n{replay.log}", flush=True)
        with lock:
            counts[replay.verdict.split()[0]] += 1
            counts["demanded"] += len(demanded)
            counts["owing"] += len(demanded) > 0

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = []
        for i, before, disk in follow(records):
            for variant in chosen.get(i, ()):
                room.acquire()
                results.append(pool.submit(one, f"before record {i}, {variant}", disk.state(variant, chance),
                                           timeline.demanded(before, i)))
        for result in results:
            result.result()
    return counts


def run(directory, options):
    chance = random.Random(options.seed)
    log = os.path.join(directory, "record")
    began = time.monotonic()
    sides, looks = record(directory, log, options.size)
    for length, files in looks:
        *_, (_, _, disk) = follow(read_log(log, length))
        assert disk.live() == files, f"the recorder has missed something: {sorted(files)} {sorted(disk.live())}"
        assert not any(name.endswith("-shm") for name in files), "the index of the log is shared: other processes?"
    records = read_log(log)
    timeline = Timeline(records, sides)
    unseen = 3 * options.size * len(TARGET) + 1 - len(timeline.acked)
    assert unseen <= options.size, f"{unseen} acknowledgements were not seen"  # a kill comes before some records
    chosen, legal = choose(records, options.states, chance)
    print(f"recorded: {len(timeline.acked)} messages acknowledged, {sum(r.kind in CHANGES for r in records)} changes "
          f"of the directory in {time.monotonic() - began:.0f} s", flush=True)
    counts = replay_all(records, timeline, chosen, chance, options.jobs)
    states = sum(map(len, chosen.values()))
    replayed = counts["ok"] + counts["lost"] + counts["corrupt"]
    print(f"states={replayed} of {legal} owing={counts['owing']} messages_demanded={counts['demanded']} "
          f"lost={counts['lost']} corrupt={counts['corrupt']} seconds={time.monotonic() - began:.0f}", flush=True)
    return counts["ok"] == states


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=3000)
    parser.add_argument("--size", type=int, default=40, help="messages of each flow in each of four parts")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    print(f"seed={options.seed} size={options.size}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        return 0 if run(directory, options) else 1


if __name__ == "__main__":
    sys.exit(main())
