"""What passes on a link, for who listens: `calque record`, and `calque why` of the next message."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess

import pytest

from harness import LIMIT, REPOSITORY, assert_json, find_bridge
from lab import SANITIZER
from verbs import Verb
from worlds import InnowayThingsBoard

MAPPINGS = os.path.join(REPOSITORY, "mappings")


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

    def end(self, interrupt=False):
        """(status, standard output, standard error)."""
        if interrupt:
            self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=LIMIT)
        assert not re.search(SANITIZER, err), err
        return self.process.returncode, out, err


def calque(*arguments):
    return subprocess.run([find_bridge(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT, check=False)


def test_what_is_recorded_is_a_case_that_passes(world, tmp_path):
    tb, device = world.tb, world.device
    file = tmp_path / "pump.cases.json"
    tb.push(rate=5)  # the state at the beginning
    device.next("config")
    open_before = tb.call("early")
    early = device.next("command")
    verb = Listening(world, "record", "--link", world.LINK, "-o", file)
    device.attributes(temp=21.5, password="swordfish", note=world.IW_TOKEN)
    tb.attributes()
    device.reply(early["id"], result="done")
    assert tb.reply(open_before) == "done"
    number = tb.call("setFan", {"rpm": 900})
    command = device.next("command")
    device.reply(command["id"], result={"ok": True})
    assert_json(tb.reply(number), {"ok": True})
    tb.push(rate=10)
    device.next("config")
    mark = world.calque.mark()
    device.publish("attribute", b"no JSON")
    world.calque.wait_log("dead-letter", mark)
    status, out, err = verb.end(interrupt=True)
    assert (status, err) == (0, ""), (out, err)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    text = file.read_text()
    for secret in ("swordfish", world.IW_TOKEN, world.TB_TOKEN):
        assert secret not in text
    case, = json.loads(text)
    assert (case["south"], case["north"]) == ("innoway", "thingsboard") and case["state"]
    kept = [step for step in case["steps"] if "{{id1}}" in json.dumps(step)]
    assert [step["flow"] for step in kept] == ["down", "up"] and command["id"] not in text
    assert case["steps"][-1]["dead"] == "unreadable-payload"
    done = calque("test", file)
    assert (done.returncode, done.stdout) == (0, "1 passed, 0 failed\n"), done.stdout + done.stderr
    new = tmp_path / "new"
    shutil.copytree(MAPPINGS, new)
    mapping = (new / "thingsboard.jq").read_text()
    (new / "thingsboard.jq").write_text(mapping.replace('"command_reply",  topic: "v1/', '"command_reply",  topic: "v2/'))
    differs = calque("replay", file, MAPPINGS, new)
    assert differs.returncode == 1 and "\ncommand_reply: 2\n" in differs.stdout, differs.stdout + differs.stderr
    assert calque("replay", file, MAPPINGS, MAPPINGS).stdout == "1 the same, 0 differ\n"
    again = calque("record", "--link", world.LINK, "-o", file, "-c", world.calque.conf_path)
    assert again.returncode == 1 and "File exists" in again.stderr and file.read_text() == text


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


def test_who_listens_is_told_of_a_state_that_is_too_long(world, tmp_path):
    for n in range(2):  # a running bridge does not take a list as long as that at once
        listed = tmp_path / f"{n}.csv"
        listed.write_text("name,greet.note\n" + "".join(f"d{n}-{i},{'x' * 60000}\n" for i in range(40)))
        assert Verb(world.calque, "devices", "import", str(listed)).status == 0
    record = Listening(world, "record", "--link", world.LINK, "-o", tmp_path / "pump.cases.json")
    why = Listening(world, "why", "--link", world.LINK, "--timeout", "60s")
    world.device.attributes(temp=21.5)
    status, _, err = why.end()
    assert status == 0 and err.count("calque why: warning: the state is too long") == 1, err
    world.tb.attributes()
    _, _, err = record.end(interrupt=True)
    assert err.count("calque record: warning: the state is too long") == 1, err
