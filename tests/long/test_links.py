"""A thousand links in one process: README.md."""

import json
import socket
import statistics
import subprocess
import sys
import time

from fleets import tell
from test_admin import Admin
from verbs import Verb
from worlds import Plains

LINKS = 1000
PER_SECOND, SECONDS, ROUNDS = 200, 6, 7

# In a process of its own: what measures messages must not be held up by what reads numbers.
SCRAPER = """
import json, sys, time, urllib.request
for line in sys.stdin:
    begin = time.monotonic()
    size = len(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics").read())
    print(json.dumps({"ms": (time.monotonic() - begin) * 1000, "bytes": size}), flush=True)
"""


class Scraper:
    def __init__(self, lab, port):
        self.process = subprocess.Popen([sys.executable, "-c", SCRAPER, str(port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.told = []
        lab.add(self)

    def scrape(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def take(self, n):
        """What the last n scrapes took, in ms."""
        self.told += [json.loads(self.process.stdout.readline()) for _ in range(n)]
        return [told["ms"] for told in self.told[-n:]]

    def close(self):
        self.process.kill()
        self.process.communicate()


class Sender:
    """Says something on one link after the other, at an even pace, and knows how long each message took."""

    def __init__(self, client):
        self.client, self.sent, self.took_ms = client, {}, {}
        client.paho.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.on("right/+/t", self._heard)

    def _heard(self, message):
        n = message.json()["n"]
        self.took_ms[n] = (time.monotonic() - self.sent[n]) * 1000

    def run(self, seconds, every_second):
        """The times of all messages of so many seconds, sorted."""
        first = len(self.sent)
        begin = time.monotonic()
        for i in range(seconds * PER_SECOND):
            if i % PER_SECOND == PER_SECOND // 2:
                every_second()
            time.sleep(max(0, begin + i / PER_SECOND - time.monotonic()))
            n = first + i
            self.sent[n] = time.monotonic()
            self.client.publish(f"left/l{n % LINKS}/t", {"n": n}, wait=False)
        self.client.wait(lambda: len(self.took_ms) == len(self.sent), "all messages")
        return sorted(self.took_ms[n] for n in range(first, len(self.sent)))


def p99(times):
    return times[len(times) * 99 // 100]


def test_a_scrape_of_a_thousand_links_holds_nobody_up(lab):
    """And a reload of as many is done in two seconds."""
    broker = lab.broker("broker", extra="log_type none\nlog_type information\nset_tcp_nodelay true\nmax_inflight_messages 1000")
    links = {f"l{i}": {} for i in range(LINKS)}
    world = Plains(lab, links, broker=broker, admin="127.0.0.1:0")
    world.calque.wait_up(count=2 * LINKS, timeout=120)
    scraper = Scraper(lab, Admin(world.calque).port)
    sender = Sender(world.client)

    for _ in range(9):
        scraper.scrape()
    at_rest = statistics.median(scraper.take(9))
    size = scraper.told[-1]["bytes"]
    sender.run(3, lambda: None)  # workers are started and warm
    without, scraped = [], []
    for _ in range(ROUNDS):  # in turn: what else the machine does meets both
        without.append(p99(sender.run(SECONDS, lambda: None)))
        scraped.append(p99(sender.run(SECONDS, scraper.scrape)))
    loaded = statistics.median(scraper.take(ROUNDS * SECONDS))
    tell(f"/metrics of {LINKS} links", bytes=size, ms=round(at_rest, 1), ms_under_load=round(loaded, 1),
         p99_ms_without=[round(x, 2) for x in without], p99_ms_with=[round(x, 2) for x in scraped])

    took = []
    for keepalive in (61, 62, 63):
        for name in list(links)[:10]:
            links[name] = {"north": {"keepalive": keepalive}}
        world.calque.configure(world.conf(links))
        mark, begin = world.calque.mark(), time.monotonic()
        done = Verb(world.calque, "reload")
        assert done.status == 0, done.err
        world.calque.wait_log(" reloaded same=990 changed=10 ", mark)
        took.append(time.monotonic() - begin)
        world.calque.wait_up(since=mark, side="north", count=10)
    tell(f"reload of {LINKS} links", seconds=[round(x, 2) for x in took])

    assert at_rest < 50 and loaded < 50
    assert statistics.median(scraped) < 1.5 * statistics.median(without)
    assert statistics.median(took) < 2
    world.calque.stop()
