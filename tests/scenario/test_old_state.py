"""State directories that earlier calques left in the middle of everything (tests/fixtures): the present one goes on."""

import contextlib
import json
import os
import shutil
import sqlite3
import time

import pytest

from harness import Client, assert_json
from old_state import BACKLOG, FILES, FIXTURES, ISSUED, KNOWN, MENDED, OldState
from verbs import Verb, letters, link_of

STATES = sorted(name for name in os.listdir(FIXTURES) if name.startswith("state-"))


def as_if_made_now(state, made_ms):
    """Move what was written down as a time: requests are answered within a day, letters kept for a month.

    This is about version 4 of the database. What else has a time may be ten years old (OldState.conf()).
    """
    later_ms = int(time.time() * 1000) - made_ms
    with contextlib.closing(sqlite3.connect(os.path.join(state, "calque.db"))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
        db.execute("UPDATE deadletter SET received_ms = received_ms + ?1, died_ms = died_ms + ?1", (later_ms,))
        db.execute("UPDATE state SET value = json_set(value, '$.deadline_ms', json_extract(value, '$.deadline_ms') + ?)"
                   " WHERE machine = 'pairing' AND key NOT LIKE 'counter/%'", (later_ms,))
        db.commit()


@pytest.fixture(name="old", params=STATES)
def _old(lab, request):
    """(the world, what is known of the state) before the bridge is started on it."""
    fixture = os.path.join(FIXTURES, request.param)
    world = OldState(lab, MENDED)
    world.new_tb.answers = False
    os.makedirs(world.calque.state, mode=0o700)
    for name in FILES:  # git does not keep these rights
        shutil.copyfile(os.path.join(fixture, name), os.path.join(world.calque.state, name))
        os.chmod(os.path.join(world.calque.state, name), 0o600)
    with open(os.path.join(fixture, KNOWN), encoding="utf-8") as file:
        known = json.load(file)
    as_if_made_now(world.calque.state, known["made_ms"])
    yield world, known
    if world.calque.is_running():
        world.calque.stop()


def test_letters_of_a_stopped_bridge_are_listed(old):
    world, known = old
    assert [[f[key] for key in ("id", "link", "route", "reason")] for f in letters(world.calque)] == known["letters"]


def test_all_that_was_open_goes_on(old):
    world, known = old
    asker = world.lab.add(Client(world.brokers["souths"].port, "asker")).subscribe("provision/response")
    world.calque.start()
    echoes(world)  # first: an echo is remembered for ten seconds
    handshakes(world, known, asker)
    commands(world, known)
    configurations(world, known)
    backlog(world, known)
    presence(world)
    retried(world, known)
    names(world)
    world.calque.stop()
    assert world.rows("SELECT count(*) FROM pending") == [(0,)]
    assert world.rows("SELECT count(*) FROM state WHERE machine = 'pairing' AND key NOT LIKE 'counter/%'") == [(0,)]
    resumed = {link: world.calque.counters(link, "up")["resumed"] for link in ("line", "room", "new")}
    assert resumed == {"line": len(BACKLOG) + 1, "room": 1, "new": 1}  # one was a letter


def echoes(world):
    """What was in flight is sent again. A push of the same is no echo: there is none in ThingsBoard."""
    world.brokers["new-north"].wait_login(ISSUED)
    assert_json(world.new_tb.attributes(), {"echoed": 1})
    world.new_tb.push(echoed=1)
    assert_json(world.new.next("config"), {"echoed": 1})


def handshakes(world, known, asker):
    """The link is now the last one's that was issued credentials: it is told again what it was, and the open request of
    another device is refused without asking."""
    asker.expect("provision/response", {"status": "FAILURE", "message": "another device has this link"})
    assert_json(world.new.provision("number one"), known["issued"])
    assert world.new_tb.requests == []
    assert link_of(world.calque, "new")["belongs_to"] == "number one"


def commands(world, known):
    """The one that had not got there does now; it and the one that is being done are answered to their askers."""
    command = world.pump.next("command")
    assert_json([command["name"], command["params"]], ["setLamp", {"on": True}])
    world.pump.reply(command["id"], result="lit")
    assert world.tb.reply(known["waits"]) == "lit"
    world.pump.reply(known["command"], result="blows")
    assert world.tb.reply(known["asked"]) == "blows"
    assert not world.pump.client.waiting(world.pump.topic("command"))


def configurations(world, known):
    """Pushes are confirmed: by an echo, with the version that the sender knows, and by a word of the device's."""
    world.ez.attributes(rate=5, unit="C")
    assert_json(world.cloud.config_update(), known["config"])
    world.pump.publish("config_reply", {"version": 1})
    confirmed = world.tb.attributes()
    assert_json([confirmed["version"], confirmed["values"]], [1, {"rate": 10}])
    world.tb.push(rate=10, unit="F")
    assert_json(world.pump.next("config"), {"rate": 10, "unit": "F"})


def backlog(world, known):
    """In order: what is translated now, what was decided, what the bridge had said by itself."""
    got = [world.factory.wait_for("factory/l1/t").json()["v"] for _ in BACKLOG]
    assert got == BACKLOG
    assert_json(world.cloud.telemetry(), {"status": "online", "telemetries": {"alarm": False}})
    update = world.cloud.command_update()
    assert (update["id"], update["status"]) == (known["late"], "error"), update
    world.cloud.command("go")
    assert world.ez.command()["id"] == 2, "ids are not given again"
    assert world.cloud.command_update()["status"] == "error"  # in time nobody answers that, either


def presence(world):
    """That the device is online is no news."""
    world.ez.online(True)
    world.ez.attributes(temp=1)
    assert_json(world.cloud.telemetry(), {"status": "online", "telemetries": {"temp": 1}})


def retried(world, known):
    done = Verb(world.calque, "deadletters", "retry", "--reason", "mapping-error")
    assert (done.status, done.out) == (0, "retried 1\n"), done.err
    assert_json(world.factory.wait_for("factory/l1/t").json(), {"v": 101})
    left = [letter for letter in known["letters"] if letter[3] != "mapping-error"]
    assert [letter["id"] for letter in letters(world.calque)] == [letter[0] for letter in left]


def names(world):
    """What a device reported is told when asked for; a device that was renamed is called so."""
    world.line.publish("v1/devices/me/attributes/request/1", {"clientKeys": "serial,model"})
    world.line.expect("v1/devices/me/attributes/response/1", {"client": {"serial": "S1", "model": "M1"}})
    world.fleet.publish("messages/d1/attribute", {"temp": 2})
    world.gateway.expect("v1/gateway/attributes", {"d9": {"temp": 2}})
