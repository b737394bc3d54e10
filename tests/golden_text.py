"""A run of calque as a record of golden.py: readable, and the same in every run."""

import datetime
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "scenario"))

# pylint: disable=wrong-import-position
from harness import find_bridge  # noqa: E402
from lab import SANITIZER  # noqa: E402

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("CALQUE")}


class Neutral:
    """Replaces the uuids and times that calque made itself: those that it was not `given`, and times since then.

    What `after_ms` adds to the time is in them, too.
    """

    def __init__(self, given="", after_ms=0):
        self.given, self.uuids = given, {}
        self.start, self.after_ms = int(time.time() * 1000), after_ms

    def _is_made(self, spelling, ms):
        return spelling not in self.given and self.start <= ms <= time.time() * 1000 + self.after_ms

    def _uuid(self, match):
        if match[0] in self.given:
            return match[0]
        return self.uuids.setdefault(match[0], f"<uuid {len(self.uuids) + 1}>")

    def _ms(self, match):
        return "<ms>" if self._is_made(match[0], int(match[0])) else match[0]

    def _iso(self, match):
        ms = round(datetime.datetime.fromisoformat(match[0].replace("Z", "+00:00")).timestamp() * 1000)
        return "<iso>" if self._is_made(match[0], ms) else match[0]

    def __call__(self, text):
        text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", self._uuid, text)
        text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", self._iso, text)
        return re.sub(r"\b\d{13}\b", self._ms, text).replace(str(ROOT), "<clone>")


def shown(title, arguments, out, err, status, neutral):
    """A record: what was run, each line of stdout behind | and of stderr behind !, the exit status."""
    assert not re.search(SANITIZER, err), f"{title}: {err}"
    said = []
    for sign, text in (("|", out), ("!", err)):
        said += [sign + line for line in text.split("\n")[:-1]]
        if not text.endswith("\n") and text:
            said.append(f"{sign}{text.split(chr(10))[-1]}<no newline>")
    call = " ".join(f"'{a}'" if re.search(r"[\s{}]", a) else a for a in map(neutral, arguments))
    return neutral("\n".join([f"=== {title}", f"$ calque {call}", *said, f"exit {status}", ""]))


def run(title, *arguments, stdin="", neutral=None, **more):
    done = subprocess.run([find_bridge(), *arguments], input=stdin.encode(), capture_output=True, timeout=300,
                          check=False, **{"cwd": ROOT, "env": ENVIRONMENT, **more})
    out, err = (b.decode(errors="backslashreplace") for b in (done.stdout, done.stderr))
    return shown(title, arguments, out, err, done.returncode, neutral or Neutral())
