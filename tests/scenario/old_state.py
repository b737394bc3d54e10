"""A state directory with all that can be open in one, and the world that goes on with it.

tests/fixtures/make_state.py lets a calque make such a state; test_old_state.py has the present one take it over. What
both must agree on is here: links, names, what was asked and what is waited for.
"""

import contextlib
import os
import signal
import sqlite3
import time

from harness import MQTT3, REPOSITORY, Client, conf_text
from platforms import DeviceEventsCloud, EZtCloud, InnowayDevice, ThingsBoard
from verbs import wait_status

FIXTURES = os.path.join(REPOSITORY, "tests", "fixtures")
FILES = ("calque.db", "key")  # of the state directory
KNOWN = "made.json"           # what make() knows of it
TEN_YEARS_S = 315360000  # what waits in the journal is not to grow too old
A_DAY_S = 86400

PUMP, NEW = "3f0d7c52-1c1b-4bb1-a6a4-0d9f0a5c1e01", "3f0d7c52-1c1b-4bb1-a6a4-0d9f0a5c1e02"
PROJECT, EZ_DEVICE = "PR_4f8a2c61d0", "DU_a1b2c3d4e5"
ROOM, ACCESS_KEY = "6f9c1c0e-5b3a-4d43-9a64-0d2c8d1b7e55", "room-access-key"
KEY, SECRET, ISSUED = "profile-key", "profile-secret", "issued-token"
BACKLOG = list(range(10))

# The north of the line: what is too hot dies, until the mapping is mended.
FACTORY = """module {{ dialect: "factory", messages: [
  {{ kind: "telemetry", topic: "factory/l1/t", write: "hot" }},
  {{ kind: "attributes", topic: "factory/l1/a" }}
] }};
def hot: {hot};
"""
BROKEN = 'if .body.v > 100 then error("too hot") else .body end'
MENDED = ".body"


class OldState:
    """Five links between five brokers, each with something that is open.

    pump   Innoway, ThingsBoard: commands, a configuration
    room   EZtCloud, device-events: presence, a configuration with a version, time-outs
    new    Innoway, ThingsBoard: handshakes, echoes
    line   ThingsBoard, a dialect of our own: a backlog, dead letters, what was reported
    fleet  Innoway, ThingsBoard's gateway: a device that was renamed
    """

    def __init__(self, lab, hot=BROKEN):
        self.lab = lab
        self.brokers = {name: lab.broker(name) for name in ("pump-south", "pump-north", "souths", "norths", "new-north")}
        self.mappings = os.path.join(lab.directory, "mappings")
        os.makedirs(self.mappings, exist_ok=True)
        with open(os.path.join(self.mappings, "factory.jq"), "w", encoding="utf-8") as file:
            file.write(FACTORY.format(hot=hot))
        ports = {name: broker.port for name, broker in self.brokers.items()}
        self.pump = lab.add(InnowayDevice(ports["pump-south"], PUMP))
        self.tb = lab.add(ThingsBoard(ports["pump-north"]))
        self.ez = lab.add(EZtCloud(ports["souths"], PROJECT, EZ_DEVICE))
        self.ez.echoes = False
        self.cloud = lab.add(DeviceEventsCloud(ports["norths"], ROOM, ACCESS_KEY))
        self.new = lab.add(InnowayDevice(ports["souths"], NEW))
        self.new_tb = lab.add(ThingsBoard(ports["new-north"], KEY, SECRET, ISSUED))
        self.line = lab.add(Client(ports["souths"], "line"))
        self.line.subscribe("v1/devices/me/attributes/response/+")
        self.factory = lab.add(Client(ports["norths"], "factory")).subscribe("factory/#")
        self.fleet = lab.add(Client(ports["pump-north"], "fleet"))
        self.gateway = lab.add(Client(ports["norths"], "gateway")).subscribe("v1/gateway/attributes")
        self.calque = lab.calque(self.conf(), start=False)

    def conf(self):
        def side(dialect, broker, **more):
            return {"dialect": dialect, "url": self.brokers[broker].url, **more}
        link = {"command_max_age": TEN_YEARS_S, "request_timeout": A_DAY_S}
        return conf_text({"state": "@state@", "mappings": (self.mappings,), "workers": 1,
                          "journal": {"max_age": TEN_YEARS_S}, "links": [
            {"name": "pump", **link,
             "south": side("innoway", "pump-south", vars={"device": PUMP, "token": "t"}),
             "north": side("thingsboard", "pump-north", vars={"token": "t"})},
            {"name": "room", "request_timeout": 1,
             "south": side("eztcloud", "souths", mqtt=MQTT3,
                           vars={"project": PROJECT, "secret": "s", "device": EZ_DEVICE}),
             "north": side("device-events", "norths", vars={"device": ROOM, "access_key": ACCESS_KEY})},
            {"name": "new", **link,
             "south": side("innoway", "souths", username="calque", vars={"device": NEW, "token": "t"}),
             "north": side("thingsboard", "new-north", provision={"key": KEY, "secret": SECRET})},
            {"name": "line", **link,
             "south": side("thingsboard", "souths", vars={"token": "t"}),
             "north": side("factory", "norths")},
            {"name": "fleet", **link,
             "south": side("innoway", "pump-north", username="calque", vars={"token": "t"}),
             "north": side("thingsboard-gateway", "norths", vars={"token": "t"})}]})

    def rows(self, sql):
        """Out of the database of a bridge that does not run."""
        with contextlib.closing(sqlite3.connect(os.path.join(self.calque.state, "calque.db"))) as db:
            return db.execute(sql).fetchall()


# --- making one --------------------------------------------------------------------------------------------------

# What must be in it: a question that counts, and the least answer.
WANTED = {
    "open pairings": ("SELECT count(*) FROM state WHERE machine = 'pairing' AND link = 'pump'", 2),
    "twins": ("SELECT count(DISTINCT link) FROM state WHERE machine = 'twin'", 2),
    "rows of handshakes": ("SELECT count(DISTINCT substr(key, 1, 3)) FROM state WHERE machine = 'provision'", 2),
    "presence": ("SELECT count(*) FROM state WHERE machine = 'presence'", 1),
    "reported": ("SELECT count(*) FROM state WHERE machine = 'reported'", 1),
    "echoes": ("SELECT count(*) FROM state WHERE machine = 'echo'", 1),
    "renamed devices": ("SELECT count(*) FROM state WHERE machine = 'device'", 1),
    "reasons of dead letters": ("SELECT count(DISTINCT reason) FROM deadletter", 4),
    "messages that wait": ("SELECT sum(n) FROM pending WHERE link = 'line'", len(BACKLOG)),
    "decided messages": ("SELECT count(*) FROM pending WHERE n = 0 AND NOT is_own", 2),
    "words of the bridge's own": ("SELECT count(*) FROM pending WHERE is_own", 1),
}


def make(world):
    """Have the bridge open all that can be open, and kill it. Returns what the next one must know of it."""
    calque = world.calque.start()
    for link in ("pump", "room", "line", "fleet"):
        for side in ("south", "north"):
            calque.wait_up(link, side)
    calque.wait_up("new", "south")
    known = {}

    # Handshakes: one that was answered, one that is not.
    known["issued"] = world.new.provision("number one")
    calque.wait_up("new", "north")
    world.new_tb.answers = False
    world.new.provision_start("number two")
    world.new_tb.client.wait_for(lambda m: m.topic == "/provision/request" and b"number two" in m.payload)

    # Presence; a configuration that has a version, and no echo yet.
    world.ez.online(True)
    world.ez.alarm(True)
    for _ in range(2):
        world.cloud.telemetry()
    known["config"] = world.cloud.config(4, rate=5, unit="C")
    world.ez.pushed()

    world.gateway.publish("v1/devices/me/rpc/request/0", {"method": "gateway_device_renamed", "params": {"d1": "d9"}})
    world.fleet.publish("messages/d1/attribute", {"temp": 1})
    world.gateway.expect("v1/gateway/attributes", {"d9": {"temp": 1}})

    world.line.publish("v1/devices/me/attributes", {"serial": "S1", "model": "M1"})
    world.factory.wait_for("factory/l1/a")

    # Letters: what cannot be read, has no counterpart, nobody asked for; and one that the mapping will mend.
    world.line.publish("v1/devices/me/telemetry", "no json")
    world.line.publish("v1/devices/me/telemetry", {"v": 101})
    world.line.publish("v1/devices/me/rpc/request/1", {"method": "time", "params": {}})
    world.pump.reply("999")
    wait_status(calque, lambda s: s["deadletters"] == 4)

    # A command that is being done, a push that nobody confirmed; a command that has not got there.
    known["asked"] = world.tb.call("setFan", {"rpm": 900})
    known["command"] = world.pump.next("command")["id"]
    world.tb.push(rate=10)
    world.pump.next("config")
    mark = calque.mark()
    world.brokers["pump-south"].stop()
    calque.wait_down("pump", "south", mark)
    mark = world.brokers["pump-north"].mark()
    known["waits"] = world.tb.call("setLamp", {"on": True})
    world.brokers["pump-north"].wait_log("Received PUBACK from (?!thingsboard|fleet)", mark)
    calque.stop()  # which waits until it is decided
    mark = calque.mark()
    calque.start()
    for link, side in (("pump", "north"), ("room", "south"), ("room", "north"), ("new", "south"), ("new", "north"),
                       ("line", "south"), ("line", "north")):
        calque.wait_up(link, side, mark)

    # From here on the norths hear nothing: what was handed to them is in flight.
    known["late"] = world.cloud.command("set_fan", rpm=900)  # nobody will answer it in time
    world.ez.command()
    for name in ("norths", "new-north"):
        os.kill(world.brokers[name].pid, signal.SIGSTOP)
    world.ez.alarm(False)
    world.new.attributes(echoed=1)
    for n in BACKLOG:
        world.line.publish("v1/devices/me/telemetry", {"v": n})
    in_flight = {"room": 2, "new": 1, "line": len(BACKLOG)}  # of the room the time-out, too
    wait_status(calque, lambda s: all(
        sum(session["in_flight"] for session in link["sessions"]) == in_flight.get(link["link"], 0) for link in s["links"]))
    calque.kill()
    known["made_ms"] = int(time.time() * 1000)
    known["letters"] = [list(row) for row in world.rows(
        "SELECT id, link, kind, reason FROM deadletter ORDER BY id")]
    for name in ("norths", "new-north"):
        os.kill(world.brokers[name].pid, signal.SIGCONT)
    return known
