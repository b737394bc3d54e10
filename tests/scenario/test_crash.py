"""A message that ends the process: it is found, and only it is dead. No other end of the process costs anything."""

import os
import signal

import pytest

from harness import Client, find_bridge
from verbs import Verb, letters, status, wait_status
from worlds import Plains

RESTARTS = int(os.environ.get("CALQUE_TEST_RESTARTS", "20"))


@pytest.fixture
def faulty(monkeypatch):
    """calque ends by SIGSEGV when it looks at a topic with /poison/ in it."""
    binary = os.path.join(os.path.dirname(find_bridge()), "tests", "calque-crash")
    if not os.access(binary, os.X_OK):
        pytest.skip(f"{binary} is not there")
    monkeypatch.setenv("CALQUE", binary)


def crash(calque):
    assert calque.wait_end() == -signal.SIGSEGV


@pytest.mark.parametrize("has_backlog", [False, True])
def test_a_message_that_ends_calque_is_dead_at_the_third_time(lab, faulty, has_backlog):
    """Whether it was in the journal already, beside others, or comes again from its broker each time."""
    north = lab.broker("north")
    client = lab.add(Client(north.port))
    client.subscribe("right/+/t")
    if has_backlog:
        north.stop()
    world = Plains(lab, {"any": {"south": {"vars": {}}, "north": {"url": north.url}}})
    world.calque.wait_up("any", "south")
    world.say("a", range(10))
    if has_backlog:
        wait_status(world.calque, lambda told: told["links"][0]["up"]["pending"] == 10)
    world.say("poison", [0])
    world.say("a", range(10, 20))
    crash(world.calque)  # nobody was careful then
    for _ in range(3):
        world.calque.start()
        crash(world.calque)
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_log("dead-letter link=any flow=up reason=crash", mark)
    if has_backlog:
        north.start()
    heard = []
    while set(heard) != set(range(20)):
        heard.append(client.wait_for("right/a/t").json()["n"])
    assert [n for i, n in enumerate(heard) if n not in heard[:i]] == list(range(20)), "in their order"
    assert [(letter["reason"], letter["topic"]) for letter in letters(world.calque)] == [("crash", "left/poison/t")]
    world.calque.stop()
    assert not os.path.exists(os.path.join(world.calque.state, "crash"))
    assert Verb(world.calque, "deadletters", "drop", "--all").status == 0
    world.calque.start()
    world.calque.wait_log("started links=1", mark, 2)
    assert not letters(world.calque)
    world.calque.stop()


def test_no_other_end_costs_a_message_anything(lab):
    """Restarts and kill -9 with a backlog."""
    north = lab.broker("north")
    north.kill()
    world = Plains(lab, {"any": {"south": {"vars": {}}, "north": {"url": north.url}}})
    world.calque.wait_up("any", "south")
    world.say("a", range(50))
    wait_status(world.calque, lambda told: told["links"][0]["up"]["pending"] == 50)
    for _ in range(RESTARTS):
        world.calque.wait_log("started links=1", world.calque.restart())
    for _ in range(RESTARTS):
        mark = world.calque.mark()
        world.calque.process.kill()
        assert world.calque.wait_end() == -signal.SIGKILL
        world.calque.start()
        world.calque.wait_log("started links=1", mark)
    north.start()
    world.calque.wait_up("any", "north")
    wait_status(world.calque, lambda told: told["links"][0]["up"]["pending"] == 0)
    assert status(world.calque)["links"][0]["up"]["dead"] == 0
    assert not letters(world.calque)
    assert not world.calque.matching("crash-found")
    world.calque.stop()
