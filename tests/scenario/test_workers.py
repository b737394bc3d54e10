"""What a mapping or a message can do to jq: it costs the message in hand, and nothing else."""

import contextlib
import os
import resource
import select
import signal

import pytest

from harness import LIMIT, Client, children, conf_text
from verbs import letters

KILLERS = {
    # Known to crash or to run for ever on jq 1.6; later versions carry some of them or fail in order.
    "gsub_empty": ('gsub("^ *"; "")', "kitchen"),
    "split_empty": ('split(" *"; null)', "K\u00fcche"),
    "scan_empty": ('[scan("[a-z]*")]', "K\u00fcche"),
    "todate": ("todate", 1e18),
    "index_empty": ('indices("")', "abc"),
    "tail_recursion": ("def f: f; f", 1),
    "deep_recursion": ("def f: 1 + f; f", 1),
    "endless_outputs": ("repeat(.)", 1),
    "endless_array": ("[range(1e12)]", 1),
    "long_string": ('"x" * (. * 1e9)', 1),  # jq 1.7 works constants out while it compiles
    "doubling": ('last(limit(60; "x" | recurse(. + .))) | length', 1),
    "deep_nesting": ("reduce range(400000) as $i (0; [.]) | 1", 1),
}
# These end in an error or a result on some versions: what counts is that the rest goes on.
MAY_PASS = {"gsub_empty", "split_empty", "scan_empty", "todate", "index_empty", "deep_nesting", "long_string",
            "doubling", "deep_recursion"}

MAPPING = """\
module {{
  dialect: "{name}", device: "topic",
  messages: [
    {{ kind: "telemetry", topic: "{name}/{{device}}/t" }},
{rows}
  ]
}};
{functions}
"""


def write_mapping(directory, name, functions):
    rows = ",\n".join(f'    {{ kind: "event", topic: "{name}/{{device}}/{f}", read: "{f}" }}' for f in functions)
    bodies = "\n".join(f"def {f}: {{body: {{name: (.payload | {text} | tostring)}}}};" for f, text in functions.items())
    text = MAPPING.format(name=name, rows=rows, functions=bodies).replace("t\" },\n\n", "t\" }\n")
    with open(os.path.join(directory, name + ".jq"), "w", encoding="utf-8") as file:
        file.write(text)


class World:
    """A link between two dialects of this test's own, with functions that do what they should not."""

    def __init__(self, lab, functions, workers=2, south=None):
        self.south, self.north = lab.broker("south"), lab.broker("north")
        mappings = os.path.join(lab.directory, "mappings")
        os.makedirs(mappings)
        write_mapping(mappings, "near", functions)
        with open(os.path.join(mappings, "far.jq"), "w", encoding="utf-8") as file:
            file.write('module { dialect: "far", device: "topic", messages: [\n'
                       '  { kind: "telemetry", topic: "far/{device}/t" },\n'
                       '  { kind: "event", topic: "far/{device}/e" } ] };\n')
        self.device = lab.add(Client(self.south.port, "device"))
        self.cloud = lab.add(Client(self.north.port, "cloud"))
        self.cloud.subscribe("far/#")
        self.calque = lab.calque(conf_text({"state": "@state@", "mappings": (mappings,), "workers": workers, "links": [{
            "name": "line", "south": {"dialect": "near", "url": self.south.url, **(south or {})},
            "north": {"dialect": "far", "url": self.north.url}}]}))
        self.calque.wait_up("line", count=2)

    def counters(self):
        self.calque.stop()
        return self.calque.counters("line", "up")

    def workers(self):
        """The process ids of the workers."""
        return children(self.calque, "calque-worker")


@pytest.fixture(scope="module")
def functions():
    return {name: text for name, (text, _) in KILLERS.items()}


def test_what_kills_jq_costs_one_message(lab, functions):
    """One of each, and the message behind it arrives."""
    world = World(lab, functions)
    for n, (name, (_, payload)) in enumerate(KILLERS.items()):
        world.device.publish(f"near/d1/{name}", payload)
        world.device.publish("near/d1/t", {"n": n})
        world.cloud.expect("far/d1/t", {"n": n})
    counters = world.counters()
    assert counters["received"] == 2 * len(KILLERS)
    assert counters["dead"] >= len(KILLERS) - len(MAY_PASS), counters
    assert counters["dead"] + counters["delivered"] + counters["filtered"] == counters["received"], counters


def test_order_holds_around_a_message_that_is_given_up(lab):
    world = World(lab, {"loop": "def f: f; f"})
    for n in range(40):
        world.device.publish("near/d1/t", {"n": n})
        if n == 20:
            world.device.publish("near/d1/loop", {})
    for n in range(40):
        world.cloud.expect("far/d1/t", {"n": n})
    world.calque.wait_log("dead-letter .*reason=mapping-overrun")
    counters = world.counters()
    assert (counters["received"], counters["delivered"], counters["dead"]) == (41, 40, 1), counters


POISONED = 10


def test_one_devices_poison_holds_up_no_other(lab):
    """A device most of whose messages overrun the mapping: who is beside it is served all the same."""
    world = World(lab, {"loop": "def f: f; f"})
    for n in range(POISONED):
        for _ in range(2):
            world.device.publish("near/bad/loop", {})
        world.device.publish("near/bad/t", {"n": n})
        world.device.publish("near/good/t", {"n": n})
    for n in range(POISONED):
        world.cloud.expect("far/good/t", {"n": n})
    assert sum(message.topic == "far/bad/t" for message in world.cloud.received) < POISONED // 2
    for n in range(POISONED):  # and so is this one, in its order
        world.cloud.expect("far/bad/t", {"n": n})
    counters = world.counters()
    assert (counters["dead"], counters["delivered"]) == (2 * POISONED, 2 * POISONED), counters
    assert len(world.calque.matching("device-slow link=line device=bad kind=event")) == 1, "said once"


def test_workers_that_are_killed_lose_nothing(lab):
    world = World(lab, {"echo": "."})
    for begun in range(0, 200, 20):
        for n in range(begun, begun + 20):
            world.device.publish("near/d1/echo", {"n": n})
        for pid in world.workers():
            with contextlib.suppress(ProcessLookupError):  # it may be on its way out since the last time
                os.kill(pid, signal.SIGKILL)
        # What ends two that have it alone is to blame: no message meets two of these kills.
        for n in range(begun, begun + 20):
            world.cloud.expect("far/d1/e", {"name": f'{{"n":{n}}}'})
    counters = world.counters()
    assert (counters["delivered"], counters["dead"]) == (200, 0), counters


def test_what_no_worker_has_the_memory_for_is_not_given_to_one(lab):
    """It would end each process that read it, and nothing else would move."""
    world = World(lab, {"echo": "."}, workers=1, south={"max_packet": 64 << 20})
    worker, = world.workers()
    world.device.publish("near/d1/t", '{"s": "%s"}' % ("x" * (33 << 20)))
    world.device.publish("near/d1/t", {"n": 1})
    world.cloud.expect("far/d1/t", {"n": 1})
    letter, = letters(world.calque)
    assert letter["reason"] == "too-large" and "cannot be translated" in letter["text"], letter
    assert world.workers() == [worker]
    assert world.counters()["dead"] == 1


def test_what_runs_mappings_ends_with_its_bridge(lab):
    world = World(lab, {"echo": "."}, workers=3)
    assert len(world.workers()) == 3
    ends = [os.pidfd_open(pid) for pid in children(world.calque)]
    assert len(ends) == 5, "and the first of them, and the one that compiles"
    world.calque.kill()
    for end in ends:
        assert select.select([end], [], [], LIMIT)[0], "it still runs"
        os.close(end)


def test_without_what_it_forks_from_a_bridge_goes_on_while_it_has_a_worker(lab):
    world = World(lab, {"echo": "."}, workers=2)
    first, second = world.workers()
    for name in "nursery", "compiler":
        pid, = children(world.calque, f"calque-{name}")
        os.kill(pid, signal.SIGKILL)
        world.calque.wait_log(f"{name}-lost")
    os.kill(first, signal.SIGKILL)
    world.calque.wait_log("worker-failed")
    world.device.publish("near/d1/echo", {"n": 1})
    world.cloud.expect("far/d1/e", {"name": '{"n":1}'})
    os.kill(second, signal.SIGKILL)
    world.calque.wait_log("workers-gone")
    assert world.calque.wait_end() == 1


def test_functions_cannot_see_the_environment_or_files(lab):
    """The loader refuses what would; this is what is left to try."""
    world = World(lab, {"zone": "0 | gmtime | mktime"})
    world.device.publish("near/d1/zone", {})
    world.cloud.expect("far/d1/e", {"name": "0"})
    for pid in world.workers():
        assert not os.path.exists(f"/proc/{pid}/fd/4"), "only the socket is open"
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            assert "Seccomp:\t2\n" in file.read()
    world.calque.stop()


def test_a_worker_that_could_not_be_replaced_is_replaced_later(lab):
    """It had nothing to do, so nothing but the bridge itself sees to it."""
    world = World(lab, {"echo": "."}, workers=1)
    worker, = world.workers()
    limits = resource.prlimit(world.calque.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(world.calque.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(worker, signal.SIGKILL)
    world.calque.wait_log("worker-failed .*socketpair")
    resource.prlimit(world.calque.pid, resource.RLIMIT_NOFILE, limits)
    world.device.publish("near/d1/t", {"n": 1})
    world.cloud.expect("far/d1/t", {"n": 1})
    assert world.counters()["delivered"] == 1
