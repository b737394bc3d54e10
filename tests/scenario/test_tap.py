"""What passes on a link, for who listens."""

import json
import re
import subprocess

import pytest

from harness import LIMIT, find_bridge
from lab import SANITIZER
from worlds import InnowayThingsBoard


@pytest.fixture
def world(lab):
    world = InnowayThingsBoard(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        world.calque.configure('log_levels = "info,message=debug";\n' + file.read())
    world.calque.start()
    world.wait_up()
    yield world
    world.calque.stop()


class Listening:
    """A verb at work, which listens by now."""

    def __init__(self, world, *arguments):
        since = world.calque.mark()
        self.process = subprocess.Popen([find_bridge(), *arguments, "-c", world.calque.conf_path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        world.calque.wait_log("tap-begins", since)

    def end(self):
        """(status, standard output, standard error)."""
        out, err = self.process.communicate(timeout=LIMIT)
        assert not re.search(SANITIZER, err), err
        return self.process.returncode, out, err


def test_why_of_the_next_message_tells_what_became_of_it(world):
    tb, device = world.tb, world.device
    verb = Listening(world, "why", "--topic", "messages/+/attribute", "--timeout", "60s", "--json")
    device.event("leak", zone=2)  # another topic
    device.attributes(temp=21.5, password="swordfish")
    status, out, err = verb.end()
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert [step["step"] for step in told["steps"]] == ["arrived", "read", "made", "ended", "settled"]
    assert {step["id"] for step in told["steps"]} == {told["id"]} and told["link"] == world.LINK
    assert told["steps"][0]["payload"] == {"temp": 21.5, "password": "***"} and "swordfish" not in out
    times = [step["us"] for step in told["steps"]]
    assert times == sorted(times) and times[0] < times[-1]
    assert told["steps"][-1]["result"] == "delivered"
    assert [row["result"] for row in told["rows"]].count("matches") >= 1 and told["outputs"][0]["topic"] == tb.ATTRIBUTES
    # In the log it is followed by the same number.
    follow = [line.split()[2] for line in world.calque.matching(rf"message-\w+ link={world.LINK} id={told['id']} ")]
    assert follow == ["message-arrived", "message-read", "message-made", "message-ended", "message-settled"]

    number = tb.call("setFan", {"rpm": 900})
    command = device.next("command")
    verb = Listening(world, "why", "--device", world.DEVICE, "--timeout", "60s")
    device.reply(command["id"], result=5)
    status, out, _ = verb.end()
    assert tb.reply(number) == 5 and status == 0
    assert re.search(r"^  \+\d+\.\d{3} ms arrived ", out, re.M)
    assert re.search(r"^  \+\d+\.\d{3} ms made command_reply .* north v1/devices/me/rpc/response/1 5$", out, re.M), out
    # Its request was open when it came, and the mappings are tried with what was known then.
    assert re.search(r"^  messages\[\d+\] command_reply v1/devices/me/rpc/response/1, to the north", out, re.M), out

    verb = Listening(world, "why", "--device", "nobody", "--timeout", "1s")
    assert verb.end() == (1, "", "calque why: no such message came within 1 s\n")
