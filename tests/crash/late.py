#!/usr/bin/python3
"""With a store that answers late (CALQUE: the program calque-late), messages are read and translated all the same.

A message that comes alone is delivered after one commit. Many that come together must not take one commit each:
they are accepted, translated and handed over while the first is in flight. Only the ratio of the two times counts.
"""

import argparse
import os
import sys
import tempfile
import time

from load import Lab, Load

LATE_S = 0.2  # late_store.c
ROUNDS = 5


def took(load, n):
    """Seconds until `n` more messages of each flow, said at once, have come through."""
    limit = max(flow.sent for flow in load.flows.values()) + n
    began = time.monotonic()
    load.run(limit)
    if not load.wait_all():
        raise SystemExit(f"not all came: {load.describe()}")
    return time.monotonic() - began


def run(lab, options):
    load = Load(lab, options.window, mqtt=options.mqtt)
    calque = lab.calque(load.conf, start=False)
    calque.start()
    for side in ("south", "north"):
        calque.wait_up(side=side)
    took(load, 1)  # devices are known from now on
    alone = min(took(load, 1) for _ in range(ROUNDS))
    together = min(took(load, options.window) for _ in range(ROUNDS))
    calque.stop()
    lab.assert_clean()
    inversions = sum(flow.inversions for flow in load.flows.values())
    print(f"window={options.window} alone_ms={alone * 1000:.0f} together_ms={together * 1000:.0f} "
          f"ratio={together / alone:.1f} inversions={inversions}", flush=True)
    if alone < LATE_S:
        print(f"the store is not late: is {os.environ.get('CALQUE')} calque-late?")
        return False
    return together < options.ratio * alone and not inversions


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=int, default=100, help="messages of each flow that are on their way")
    parser.add_argument("--ratio", type=float, default=8)
    parser.add_argument("--mqtt", type=int, choices=(4, 5), default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(directory)
        try:
            return 0 if run(lab, options) else 1
        finally:
            lab.close()


if __name__ == "__main__":
    sys.exit(main())
