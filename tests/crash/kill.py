#!/usr/bin/python3
"""kill -9 at random moments under load; every message that a source's broker has accepted must come through.

The brokers are real, and all sessions persistent: what calque has not acknowledged comes again, what it has
acknowledged only calque can bring. So a message that never comes was acknowledged and lost.
"""

import argparse
import itertools
import random
import re
import sys
import tempfile
import time

from load import Lab, Load

# How calque lives while it is killed: a name, kills of a round, which broker is away, and the longest life as
# a multiple of the time that a start takes.
SEASONS = [("steady", 4, None, 6), ("start-up", 4, None, 1.2), ("north away", 3, "north", 4),
           ("steady", 4, None, 6), ("start-up", 2, None, 1.2), ("south away", 3, "south", 4)]


class Victim:
    """The bridge that is killed."""

    def __init__(self, lab, conf, chance):
        self.calque = lab.calque(conf, start=False)
        self.chance = chance
        self.kills = 0
        self.start_s = self._measure()

    def _measure(self):
        """How long a start takes here and today."""
        began = time.monotonic()
        self.calque.start()
        for side in ("south", "north"):  # their sessions are there from now on
            self.calque.wait_up(side=side)
        return time.monotonic() - began

    def live(self, longest):
        """Start, live for a random time of at least 20 ms, and be killed."""
        self.calque.start()
        time.sleep(self.chance.uniform(0.020, max(0.020, longest * self.start_s)))
        if not self.calque.is_running():
            raise SystemExit(f"calque ended by itself\n{self.calque.log()}")
        self.calque.kill()
        self.kills += 1


def kill_often(victim, load, kills):
    """Season after season."""
    count = dict.fromkeys((name for name, *_ in SEASONS), 0)
    victim.calque.kill()
    victim.kills += 1
    for name, times, away, longest in itertools.cycle(SEASONS):
        if away:
            load.take_down(away)
        for _ in range(times):
            if victim.kills >= kills:
                break
            victim.live(longest)
            count[name] += 1
        if away:
            load.bring_up(away)
        if victim.kills >= kills:
            return count


def report(victim, load, took_s):
    flows = load.flows.values()
    sent = sum(f.sent for f in flows)
    duplicates = sum(f.duplicates for f in flows)
    for f in flows:
        print(f"{f.name}: messages={f.sent} lost={f.missing} duplicates={f.duplicates} inversions={f.inversions}")
    for lane in load.lanes.values():
        print(f"all {lane.name} of the device: messages={lane.sent} inversions={lane.inversions}")
    dead = [re.search(r"flow=(\S+) reason=(\S+)", line).groups() for line in victim.calque.matching("dead-letter")]
    for flow, reason in sorted(set(dead)):
        print(f"dead letters: flow={flow} reason={reason} (lines of the log: {dead.count((flow, reason))})")
    if load.strays:
        print(f"came back to where they are from: {dict(load.strays)}")
    print(f"kills={victim.kills} messages={sent} lost={load.missing()} duplicates={duplicates} "
          f"duplicates_per_kill={duplicates / victim.kills:.1f} inversions={sum(f.inversions for f in flows)} "
          f"start_ms={victim.start_s * 1000:.0f} seconds={took_s:.0f}", flush=True)


def run(lab, options):
    chance = random.Random(options.seed)
    load = Load(lab, options.window, mqtt=options.mqtt)
    victim = Victim(lab, load.conf, chance)
    began = time.monotonic()
    load.run()
    print(f"seasons: {kill_often(victim, load, options.kills)}")
    victim.calque.start()
    load.pause()
    is_complete = load.wait_all() and load.wait_quiet()
    if victim.calque.is_running():
        victim.calque.stop()
    report(victim, load, time.monotonic() - began)
    lab.assert_clean()
    if not is_complete:
        print(victim.calque.log(50))
    return is_complete and load.is_in_order()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--window", type=int, default=100, help="messages of each flow that are on their way")
    parser.add_argument("--mqtt", type=int, choices=(4, 5), default=4)
    options = parser.parse_args()
    print(f"seed={options.seed} mqtt={options.mqtt} window={options.window}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(directory)
        try:
            return 0 if run(lab, options) else 1
        finally:
            lab.close()


if __name__ == "__main__":
    sys.exit(main())
