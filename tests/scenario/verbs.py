"""Verbs that look at a bridge and steer it, as people run them beside it."""

import json
import os
import re
import socket
import subprocess
import time

from harness import LIMIT, Timeout, find_bridge
from lab import SANITIZER


class Verb:
    """A run of `calque VERB -c …` for this bridge, at its end. Nothing of its environment is given to it."""

    def __init__(self, calque, *arguments):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CALQUE")}
        where = getattr(calque, "prefix", [])  # the way to a state that not all see
        done = subprocess.run([*where, find_bridge(), *arguments, "-c", calque.conf_path], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT, env=env, check=False)
        self.status, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        assert not re.search(SANITIZER, self.err), self.err

    def items(self):
        """The lines of its JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


def letters(calque, *options):
    """The dead letters, oldest first."""
    return Verb(calque, "deadletters", "list", "--json", *options).items()


def status(calque):
    return Verb(calque, "status", "--json").items()[0]


def link_of(calque, name):
    """What the status says of this link."""
    return next(link for link in status(calque)["links"] if link["link"] == name)


def ask_until(ask, is_so):
    """Ask, again and again, until the answer is so."""
    deadline = time.monotonic() + LIMIT
    while True:
        told = ask()
        if is_so(told):
            return told
        if time.monotonic() > deadline:
            raise Timeout(f"within {LIMIT} s it came no further than {told}")


def wait_status(calque, is_so):
    return ask_until(lambda: status(calque), is_so)


def wait_letters(calque, log_since, count):
    """Wait until so many messages have died since then. (The log tells the first of each reason and minute.)"""
    calque.wait_log("dead-letter ", log_since)
    return ask_until(lambda: letters(calque), lambda found: len(found) >= count)


def connect(calque):
    """A client of the control socket that is not ours."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.path.join(calque.state, "control.sock"))
    client.settimeout(LIMIT)
    return client
