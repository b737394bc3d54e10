"""Dead letters: kept with their reason, looked at without showing secrets, tried again, dropped."""

import contextlib
import os
import random
import re
import sqlite3

import pytest

from harness import MQTT5, Client, assert_json, conf_text, find_secret
from verbs import Verb, ask_until, letters, wait_letters, wait_status
from worlds import InnowayThingsBoard

BROKEN = """
module {{ dialect: "factory", device: "topic", credentials: ["token"], messages: [
  {{ kind: "telemetry", topic: "factory/{{device}}/temp", read: "temp" }},
  {{ kind: "attributes", topic: "factory/{{device}}/about", read: "about" }},
  {{ kind: "command", topic: "factory/{{device}}/do", write: "do" }}
] }};
def temp: {temp};
def about: error("nobody wrote this");
def do: .body;
"""
TOO_HOT = 'if .payload.v > 100 then error("too hot") else {body: {t: .payload.v}} end'
MENDED = "{body: {t: .payload.v}}"
TELEMETRY = "v1/devices/me/telemetry"
TOKEN = "canary-token-of-the-south"


class Factory:
    """A dialect of our own, with mistakes in it, before ThingsBoard's."""

    LINK = "line-1"

    def __init__(self, lab, state="@state@", south=None):
        self.south, self.north = lab.broker("south"), lab.broker("north")
        self.mappings = os.path.join(lab.directory, "mappings")
        os.makedirs(self.mappings, exist_ok=True)
        self.write(TOO_HOT)
        self.machine = lab.add(Client(self.south.port, "machine"))
        self.cloud = lab.add(Client(self.north.port, "cloud")).subscribe(TELEMETRY)
        # An older subscription, which the broker keeps, brings what no row reads.
        before = Client(self.south.port, "bridge")
        before.subscribe("factory/#")
        before.close()
        self.calque = lab.calque(conf_text({
            "state": state, "mappings": (self.mappings,),
            "links": [{
                "name": self.LINK,
                "south": {"dialect": "factory", "url": self.south.url, "client_id": "bridge",
                          "vars": {"device": "l1", "token": "env:FACTORY_TOKEN"}, **(south or {})},
                "north": {"dialect": "thingsboard", "url": self.north.url, "vars": {"token": "t"}}}]}),
            env={"FACTORY_TOKEN": TOKEN})
        self.wait_up()

    def wait_up(self, since=0):
        self.calque.wait_up(self.LINK, "south", since)
        self.calque.wait_up(self.LINK, "north", since)

    def write(self, temp):
        with open(os.path.join(self.mappings, "factory.jq"), "w", encoding="utf-8") as file:
            file.write(BROKEN.format(temp=temp))

    def mend(self):
        """Another mapping from the next start on."""
        self.write(MENDED)

    def die(self, *values):
        """Messages that are too hot; the letters there are then."""
        before = len(letters(self.calque))
        for n, value in enumerate(values):
            self.machine.publish("factory/l1/temp", {"v": value}, wait=n == len(values) - 1)
        return wait_letters(self.calque, 0, before + len(values))

    def delivered(self, count):
        """What arrives in the cloud, in order."""
        values = [self.cloud.wait_for(TELEMETRY).json() for _ in range(count)]
        return [v.get("values", v)["t"] for v in values]


@pytest.fixture
def world(lab):
    world = Factory(lab)
    yield world
    if world.calque.is_running():
        world.calque.stop()


def test_what_dies_is_listed_with_its_reason(world):
    world.machine.publish("factory/l1/what/is/this", {"v": 1})
    world.machine.publish("factory/l1/temp", {"v": 101})
    world.machine.publish("factory/l1/temp", "no json", qos=0)
    found = wait_letters(world.calque, 0, 3)
    assert [(f["id"], f["link"], f["flow"], f["route"], f["reason"], f["topic"]) for f in found] == [
        (1, "line-1", "up", "none", "unknown-topic", "factory/l1/what/is/this"),
        (2, "line-1", "up", "telemetry", "mapping-error", "factory/l1/temp"),
        (3, "line-1", "up", "telemetry", "unreadable-payload", "factory/l1/temp")]
    assert all(f["received_ms"] <= f["died_ms"] for f in found)
    table = Verb(world.calque, "deadletters", "list").out.splitlines()
    assert table[0].split() == ["id", "age", "link", "flow", "route", "reason", "topic", "text"]
    assert [line.split()[0] for line in table[1:]] == ["1", "2", "3"]
    assert "mapping-error" in table[2] and "factory/l1/temp" in table[2]


def test_a_letter_without_its_message_says_so(world):
    """Of a message that is larger than what is kept, say."""
    world.machine.publish("factory/l1/temp", "x" * (9 << 20))
    assert not wait_letters(world.calque, 0, 1)[0]["has_message"]
    said = "(its message was not kept)"
    assert said in Verb(world.calque, "deadletters", "list").out
    assert said in Verb(world.calque, "deadletters", "show", "1", "--payload").out
    world.die(101)
    done = Verb(world.calque, "deadletters", "list", "--limit", "1")
    assert "too hot" in done.out and said not in done.out
    done = Verb(world.calque, "deadletters", "retry", "1")
    assert (done.status, done.out) == (1, "retried 0\n")
    assert "letter 1: its message was not kept" in done.err
    assert [letter["id"] for letter in letters(world.calque)] == [1, 2]


def test_letters_are_chosen_by_link_reason_route_age_and_number(world):
    world.machine.publish("factory/l1/what/is/this", {"v": 1})
    world.die(101, 102)

    def chosen(*options):
        return [f["id"] for f in letters(world.calque, *options)]
    assert chosen("--reason", "mapping-error") == [2, 3]
    assert chosen("--route", "none") == [1]
    assert chosen("--link", "line-1") == [1, 2, 3]
    assert chosen("--limit", "2") == [2, 3]
    assert chosen("--newer", "3d") == [1, 2, 3]
    for options in (("--link", "line-2"), ("--older", "1h"), ("--reason", "queue-full")):
        done = Verb(world.calque, "deadletters", "list", *options)
        assert (done.status, done.out) == (2, ""), options
        assert "no dead letter matched" in done.err


def test_mistakes_on_the_command_line_change_nothing(world):
    world.die(101)
    for arguments in (("retry",), ("drop",), ("drop", "x"), ("drop", "1", "--all"), ("show",), ("show", "1", "2"),
                      ("list", "1"), ("list", "--payload"), ("list", "--older", "1w"), ("list", "--reason", "mapping"),
                      ("list", "--route", "comand"), ("list", "--limit", "0"), ("lose", "--all"), ("drop", "1", "99")):
        done = Verb(world.calque, "deadletters", *arguments)
        assert (done.status, done.out) == (2, ""), arguments
    assert len(letters(world.calque)) == 1


def test_the_payload_is_shown_only_when_asked_for(world):
    world.machine.publish("factory/l1/temp", {"v": 12345})
    wait_letters(world.calque, 0, 1)
    for options in ((), ("--json",)):
        done = Verb(world.calque, "deadletters", "show", "1", *options)
        assert done.status == 0
        assert "mapping-error" in done.out and "12345" not in done.out
    assert "12345" in Verb(world.calque, "deadletters", "show", "1", "--payload").out
    message = Verb(world.calque, "deadletters", "show", "1", "--payload", "--json").items()[0]["message"]
    assert_json(message, {"side": "south", "topic": "factory/l1/temp", "qos": 1, "retain": False,
                          "payload": {"v": 12345}})
    assert "12345" not in Verb(world.calque, "deadletters", "list", "--json").out
    why = Verb(world.calque, "why", "1", "--json", "--mappings", world.mappings)
    told = why.items()[0]
    assert (why.status, told["result"], told["topic"]) == (1, "mapping-error", "factory/l1/temp"), why.err
    assert [(row["refused"], row["text"].endswith("temp: too hot")) for row in told["read"]] == [("mapping-error", True)]


def test_a_letter_gives_a_terminal_nothing_to_obey(world):
    """Controls of the second set, and marks that turn the direction of writing."""
    obeyed = "\x7f\u009b31m\u202e\u2066"
    escaped = "\\u007f\\u009b31m\\u202e\\u2066"
    world.machine.publish("factory/l1/temp", f'{{"v": 101, "s": "{obeyed}"}}')
    wait_letters(world.calque, 0, 1)
    world.machine.publish("factory/l1/\u202egpj.exe", {})
    wait_letters(world.calque, 0, 2)
    calls = [("list",), ("list", "--json"), ("show", "1", "--payload"), ("show", "1", "--payload", "--json"),
             ("show", "2", "--payload")]
    outputs = [Verb(world.calque, "deadletters", *call).out for call in calls]
    for output in outputs:
        assert not set(obeyed).difference("31m").intersection(output), output
    assert "factory/l1/\\u202egpj.exe" in outputs[0] and escaped in outputs[2]
    shown = Verb(world.calque, "deadletters", "show", "1", "--payload", "--json").items()[0]
    assert_json(shown["message"]["payload"], {"v": 101, "s": obeyed})


def test_a_user_property_that_is_a_secret_is_not_shown(lab):
    """By its name, or because the link keeps its value secret; what else came is."""
    world = Factory(lab, south={"mqtt": 5})
    device = lab.add(Client(world.south.port, "with-properties", mqtt=MQTT5))
    device.publish("factory/l1/temp", {"v": 101}, properties={"X-Api-Key": "canary-of-a-key", "who": "me",
                                                               "note": f"I am {TOKEN}"})
    wait_letters(world.calque, 0, 1)
    shown = Verb(world.calque, "deadletters", "show", "1", "--payload", "--json")
    assert shown.items()[0]["message"]["properties"] == {"X-Api-Key": "***", "who": "me", "note": "I am ***"}
    world.calque.stop()
    shown = Verb(world.calque, "deadletters", "show", "1", "--payload")
    assert '"X-Api-Key":"***"' in shown.out and "canary-of-a-key" not in shown.out


def test_after_the_mapping_is_mended_all_go_out_in_order(world):
    world.die(*range(101, 141))
    world.machine.publish("factory/l1/about", {"by": "us"})
    wait_letters(world.calque, 0, 41)
    world.calque.stop()
    world.mend()
    mark = world.calque.mark()
    world.calque.start()
    world.wait_up(mark)
    done = Verb(world.calque, "deadletters", "retry", "--reason", "mapping-error", "--route", "telemetry")
    assert (done.status, done.out) == (0, "retried 40\n")
    assert world.delivered(40) == list(range(101, 141))
    assert [f["route"] for f in letters(world.calque)] == ["attributes"]
    world.calque.stop()
    counters = world.calque.counters(world.LINK, "up")
    assert (counters["resumed"], counters["delivered"], counters["pending"]) == (40, 40, 0), counters
    assert not world.cloud.waiting(TELEMETRY)


def test_a_letter_that_dies_again_gets_a_new_number(world):
    world.die(101)
    assert Verb(world.calque, "deadletters", "retry", "1").status == 0
    assert [f["id"] for f in letters(world.calque)] == [2]
    assert Verb(world.calque, "deadletters", "retry", "1").status == 2


def test_what_was_retried_survives_a_kill(world):
    """It is no dead letter any more, and in the journal."""
    world.die(101, 102)
    world.calque.stop()
    world.mend()
    world.north.stop()
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_up(world.LINK, "south", mark)
    assert Verb(world.calque, "deadletters", "retry", "--all").out == "retried 2\n"
    assert letters(world.calque) == []
    world.calque.kill()
    world.calque.start()
    world.north.start()
    assert world.delivered(2) == [101, 102]


def test_an_old_letter_that_is_retried_may_wait_as_long_as_a_new_message(world):
    """It was received before journal.max_age (7 days)."""
    world.die(101, 102)
    world.calque.stop()
    world.mend()
    world.north.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(world.calque.state, "calque.db"))) as db:
        db.execute("UPDATE deadletter SET received_ms = received_ms - 10 * 86400000")
        db.commit()
    assert Verb(world.calque, "deadletters", "retry", "1").out == "retried 1\n"
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_up(world.LINK, "south", mark)
    assert Verb(world.calque, "deadletters", "retry", "2").out == "retried 1\n"
    world.calque.kill()
    world.calque.start()
    world.north.start()
    assert world.delivered(2) == [101, 102]
    assert letters(world.calque) == []


def test_no_more_is_retried_than_the_other_side_has_room_for(world):
    """24 MB, with the north away: what does not fit stays."""
    for n in range(24):  # in portions: a source that is held may bring a message twice
        world.machine.publish("factory/l1/temp", {"v": 101 + n, "more": "x" * 1000000})
        if n % 6 == 5:
            wait_letters(world.calque, 0, n + 1)
    world.calque.stop()
    world.mend()
    world.north.stop()
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_up(world.LINK, "south", mark)
    done = Verb(world.calque, "deadletters", "retry", "--all")
    assert done.status == 1
    first = int(re.search(r"retried (\d+), then too much waited", done.err)[1])
    assert 0 < first < 24
    assert len(letters(world.calque)) == 24 - first
    world.north.start()
    assert world.delivered(first) == list(range(101, 101 + first))
    wait_status(world.calque, lambda s: s["links"][0]["up"]["pending"] == 0)
    assert Verb(world.calque, "deadletters", "retry", "--all").out == f"retried {24 - first}\n"
    assert world.delivered(24 - first) == list(range(101 + first, 125))


def test_no_dead_letter_is_lost_in_a_loop_of_kills(world):
    """What was acknowledged is in the journal or a dead letter, at every moment."""
    chance, sent = random.Random(11), 0
    for _ in range(8):
        fatal = chance.randrange(60)
        for i in range(60):
            world.machine.publish(f"factory/{sent}/temp", {"v": 101}, wait=i % 8 == 7)
            sent += 1
            if i == fatal:
                world.calque.kill()
                world.calque.start()
    world.machine.publish("factory/fence/temp", {"v": 101})
    last = {f"factory/{sent - 1}/temp", "factory/fence/temp"}
    topics = ask_until(lambda: {f["topic"] for f in letters(world.calque)}, last.issubset)
    assert topics == {f"factory/{n}/temp" for n in [*range(sent), "fence"]}


def test_drop_takes_out_what_was_chosen(world):
    world.die(101, 102, 103)
    assert Verb(world.calque, "deadletters", "drop", "2").out == "dropped 1\n"
    assert [f["id"] for f in letters(world.calque)] == [1, 3]
    assert Verb(world.calque, "deadletters", "drop", "--all").out == "dropped 2\n"
    assert letters(world.calque) == []
    assert Verb(world.calque, "deadletters", "drop", "--all").status == 2


def test_all_works_on_the_state_of_a_bridge_that_does_not_run(world):
    world.die(101, 102, 103)
    world.calque.stop()
    assert [f["id"] for f in letters(world.calque)] == [1, 2, 3]
    assert '"v":102' in Verb(world.calque, "deadletters", "show", "2", "--payload").out
    why = Verb(world.calque, "why", "2", "--mappings", world.mappings)
    assert why.status == 1 and "\nresult: mapping-error: " in why.out, why.out + why.err
    assert Verb(world.calque, "deadletters", "drop", "2").out == "dropped 1\n"
    assert Verb(world.calque, "deadletters", "retry", "--newer", "1h").out == "retried 2\n"
    assert letters(world.calque) == []
    world.mend()
    world.calque.start()
    assert world.delivered(2) == [101, 103]
    world.calque.stop()
    assert not world.cloud.waiting(TELEMETRY)


def test_letters_and_what_waits_are_read_with_a_new_key(world):
    world.die(101)
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    mark = world.south.mark()
    world.machine.publish("factory/l1/temp", {"v": 7})
    world.south.wait_log("Received PUBACK from bridge", mark)
    refused = Verb(world.calque, "state", "rotate-key")
    assert refused.status == 1 and "stop it first" in refused.err, refused.err
    world.calque.stop()
    with open(os.path.join(world.calque.state, "key"), "rb") as file:
        old = file.read()
    done = Verb(world.calque, "state", "rotate-key")
    assert (done.status, done.err) == (0, "") and "new one" in done.out, done.err
    with open(os.path.join(world.calque.state, "key"), "rb") as file:
        assert len(old) == 32 and file.read() not in (old, b"")
    assert '"v":101' in Verb(world.calque, "deadletters", "show", "1", "--payload").out
    world.mend()
    world.north.start()
    world.calque.start()
    assert world.delivered(1) == [7]
    assert Verb(world.calque, "deadletters", "retry", "1").out == "retried 1\n"
    assert world.delivered(1) == [101]


def test_a_letter_of_a_link_that_is_gone_stays(world):
    world.die(101)
    world.calque.stop()
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf.replace('"line-1"', '"line-2"'))
    for _ in range(2):
        done = Verb(world.calque, "deadletters", "retry", "1")
        assert (done.status, done.out) == (1, "retried 0\n")
        assert "not in the configuration" in done.err
        if not world.calque.is_running():
            mark = world.calque.mark()
            world.calque.start()
            world.calque.wait_up("line-2", "south", mark)
    assert len(letters(world.calque)) == 1


def test_no_state_is_made_by_looking_for_one(lab):
    calque = lab.calque('state = "@state@"; links = ();', start=False)
    for arguments in (("deadletters", "list"), ("status",)):
        done = Verb(calque, *arguments)
        assert done.status == 1
        assert "no bridge runs or ran" in done.err
    assert not os.path.exists(calque.state)


def test_qos_0_that_waits_in_vain_is_a_dead_letter_of_the_stop(world):
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    world.machine.publish("factory/l1/temp", {"v": 7}, qos=0)
    world.machine.publish("factory/l1/temp", {"v": 101})
    wait_letters(world.calque, 0, 1)
    world.calque.stop()
    found = letters(world.calque)
    assert [(f["id"], f["reason"]) for f in found] == [(2, "stopping"), (1, "mapping-error")]
    assert found[0]["text"] == "the bridge was stopped"


def test_the_old_word_for_two_reasons_finds_letters_of_before_and_since(world):
    world.die(101, 102, 103)
    world.calque.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(world.calque.state, "calque.db"))) as db, db:
        for number, reason in (1, "queue-full"), (2, "stopping"), (3, "too-large"):
            db.execute("UPDATE deadletter SET reason = ? WHERE id = ?", (reason, number))
    mark = world.calque.mark()
    world.calque.start()
    world.wait_up(mark)

    def chosen(reason):
        return [(f["id"], f["reason"]) for f in letters(world.calque, "--reason", reason)]
    assert chosen("queue-full") == [(1, "queue-full"), (2, "stopping"), (3, "too-large")]
    assert chosen("stopping") == [(2, "stopping")]
    assert chosen("too-large") == [(3, "too-large")]
    for number, meaning in ("1", "too large to wait for a session"), ("2", "when the bridge was stopped"):
        assert meaning in Verb(world.calque, "deadletters", "show", number).out
    world.calque.stop()
    assert Verb(world.calque, "deadletters", "drop", "--reason", "queue-full").out == "dropped 3\n"


def test_secrets_are_in_no_output(lab):
    """Handshakes are not shown even when asked for, nor what is known to be a credential in a topic."""
    world = InnowayThingsBoard(lab)
    secret = "canary-of-a-handshake"
    world.device.client.publish("provision/request", f'{{"provisionDeviceSecret": "{secret}", broken', qos=1)
    wait_letters(world.calque, 0, 1)
    outputs = [Verb(world.calque, *a) for a in (
        ("deadletters", "list"), ("deadletters", "list", "--json"), ("deadletters", "show", "1"),
        ("deadletters", "show", "1", "--payload"), ("deadletters", "show", "1", "--payload", "--json"),
        ("status",), ("status", "--json"))]
    message = outputs[4].items()[0]["message"]
    assert outputs[4].items()[0]["route"] == "provision"
    assert message["payload"] == "***"
    world.calque.stop()
    outputs += [Verb(world.calque, *a) for a in (("deadletters", "show", "1", "--payload"), ("status",))]
    for output in outputs:
        for canary in (secret, world.IW_TOKEN, world.TB_TOKEN, world.SECRET):
            assert canary not in output.out + output.err
    assert not find_secret(world.calque.state, secret)


def test_a_known_credential_in_a_topic_is_not_told(world):
    world.machine.publish(f"factory/l1/{TOKEN}/temp", {"v": 1})
    found = wait_letters(world.calque, 0, 1)
    assert found[0]["topic"] == "factory/l1/***/temp"
    for arguments in (("list",), ("show", "1", "--payload")):
        assert TOKEN not in Verb(world.calque, "deadletters", *arguments).out
    world.calque.stop()
    assert not world.calque.matching(TOKEN)
    assert not find_secret(world.calque.state, TOKEN)
