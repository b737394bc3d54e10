#!/usr/bin/python3
"""Random messages through `calque translate --lines`, compared with a model of what they mean (bridge.py).

README.md says more."""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from bridge import Bridge  # noqa: E402
from compare import are_same, readable  # noqa: E402
from dialects import DeviceEvents, EZtCloud, Gateway, Innoway, ThingsBoard  # noqa: E402
from says import SPEAKERS, line  # noqa: E402

MANY = ("d1", "d2", "d3", "pump é")
PAIRS = [(Innoway, ThingsBoard), (EZtCloud, ThingsBoard), (EZtCloud, DeviceEvents), (Innoway, DeviceEvents),
         (EZtCloud, Gateway), (Innoway, Gateway)]
SHOWN = int(os.environ.get("SHOWN", "12"))  # messages of a device before the one that came out otherwise


class Translate:
    """A calque that translates line by line."""

    def __init__(self, south, north, one_device):
        options = [f"--var=south.{k}={v}" for k, v in south.variables.items()]
        options += ["--var=south.device=d1"] if one_device else []
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [os.environ.get("CALQUE", "calque"), "translate", south.name, north.name, "--lines", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        self._at = self._lines = 0

    def ask(self, text):
        """(outputs, reason; None: carried)"""
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        self._lines += 1
        if not answer:
            raise SystemExit(f"calque ended: {self._process.wait()}\n{readable(text)}\n{self._said()}")
        found = re.findall(rf"^line {self._lines}: (?:filtered: )?([a-z-]+)", self._said(), re.MULTILINE)
        return json.loads(answer), found[-1] if found else None

    def _said(self):
        """What it has said since, on stderr."""
        self._errors.seek(self._at)
        text = self._errors.read()
        self._at = self._errors.tell()
        return text

    def close(self):
        """True if it ends well, and no sanitizer says anything."""
        self._process.stdin.close()
        status = self._process.wait()
        said = self._said()
        print(said, end="")
        return status in (0, 1) and not said


class Run:
    """One pair of dialects."""

    def __init__(self, south, north, seed):
        one_device = north is ThingsBoard
        devices = MANY[:1] if one_device else MANY
        self.name = f"{south.name} <-> {north.name}"
        self.chance = random.Random(f"{seed} {self.name}")
        self.bridge = Bridge(south(), north())
        self.speaker = {"up": SPEAKERS[south](self.chance, self.bridge, devices),
                        "down": SPEAKERS[north](self.chance, self.bridge, devices)}
        self.translate = Translate(south, north, one_device)
        self.said = []

    def step(self):
        """A message, or some time passes. True if what comes out is what the model says."""
        if any_order := self.chance.random() < 0.02:
            ms = self.chance.choice((500, 3000, 8999, 10001, 31000))
            text, reasons, expected = json.dumps({"after_ms": ms}), set(), self.bridge.after(ms)
        else:
            flow, side = self.chance.choice((("up", "south"),) * 3 + (("down", "north"),) * 2)
            message = self.speaker[flow].say()
            text = line(flow, message)
            expected, reasons = self.bridge.message(side, message)
        came, reason = self.translate.ask(text)
        self.said.append(readable(text))
        if (reason in reasons if reasons else reason is None) and are_same(expected, came, any_order):
            return True
        print(f"{self.name}: message {len(self.said)} came out otherwise; the last of them:", *self._last(), sep="\n")
        print(f"expected: {expected} {reasons or 'carried'}")
        print(f"came:     {json.dumps(came, ensure_ascii=False)} {reason or 'carried'}")
        return False

    def _last(self):
        """What was said of the same device."""
        named = [d for d in MANY if re.search(rf'["/]{d}["/\\]', self.said[-1])]
        return [s for s in self.said if not named or any(d in s or "after_ms" in s for d in named)][-SHOWN:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=os.environ.get("CALQUE_RANDOM_SEED", random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--messages", type=int, default=int(os.environ.get("CALQUE_RANDOM", "1500")))
    options = parser.parse_args()
    print(f"seed={options.seed} messages={options.messages}", flush=True)
    ok = True
    for south, north in PAIRS:
        began = time.monotonic()
        run = Run(south, north, options.seed)
        ok = all(run.step() for _ in range(options.messages // len(PAIRS))) and ok
        ok = run.translate.close() and ok
        print(f"{run.name}: {len(run.said)} messages in {time.monotonic() - began:.1f} s", flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
