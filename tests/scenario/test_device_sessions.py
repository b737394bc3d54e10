"""One EZtCloud project, many devices: each has a session of its own in a device-events cloud, whose broker lets a login use
its own device's topics only."""

import os
import re

import pytest

from harness import assert_json, conf_text
from lab import MQTT3, Client
from platforms import DeviceEventsCloud, EZtCloud
from verbs import Verb, link_of, wait_status

LINK, PROJECT, KEY, CLOUD = "project", "PR1", "shared-key", "cloud-password"
DEVICES = ("lamp", "door", "Lüfter 3")


class Project:
    def __init__(self, lab, north=(), **keys):
        self.south = lab.broker("south")
        self.north = lab.broker("north", users={**{d: KEY for d in DEVICES}, "cloud": CLOUD},
                                acl="".join(DeviceEventsCloud.ACL.format(device=d) for d in DEVICES))
        self.calque = lab.calque(conf_text({"state": "@state@", "links": [{
            "name": LINK, "new": "live",
            "south": {"dialect": "eztcloud", "url": self.south.url, "vars": {"project": PROJECT}, "username": ""},
            "north": {"dialect": "device-events", "url": self.north.url, "vars": {"access_key": KEY}, **dict(north)}, **keys}]}))
        self.calque.wait_up(LINK, "south")
        self.things = {d: lab.add(EZtCloud(self.south.port, PROJECT, d, name=f"ez {d}")) for d in DEVICES}
        self.clouds = {d: lab.add(DeviceEventsCloud(self.north.port, d, KEY, CLOUD, name=f"de {d}")) for d in DEVICES}

    def say_and_hear(self, value):
        for d in DEVICES:
            self.things[d].attributes(value=value, of=d)
        for d in DEVICES:
            assert_json(self.clouds[d].telemetry(), {"status": "online", "telemetries": {"value": value, "of": d}})


@pytest.fixture
def project(lab):
    made = Project(lab)
    yield made
    made.calque.stop()


def test_each_device_speaks_over_a_session_of_its_own(project):
    project.say_and_hear(1)
    numbers = {d: project.clouds[d].command("set", by=d) for d in DEVICES}
    for d in reversed(DEVICES):
        command = project.things[d].command()
        assert command["params"] == {"by": d}
        project.things[d].reply(command, done=d)
    for d in DEVICES:
        update = project.clouds[d].command_update()
        assert (update["id"], update["status"]) == (numbers[d], "done")


def test_devices_that_are_known_are_there_after_a_restart(project):
    for d in DEVICES:
        project.things[d].online(True)
    for d in DEVICES:
        assert project.clouds[d].telemetry()["status"] == "online"
    since = project.calque.restart()
    project.calque.wait_log(r"sessions link=project side=north up=3 of=3 refused=0 lacking=0", since)
    assert "of devices: 3 up, 0 down, 0 refused, 0 without credentials" in Verb(project.calque, "status").out
    for d in DEVICES:
        project.clouds[d].command("set", by=d)
    for d in DEVICES:
        assert project.things[d].command()["params"] == {"by": d}
    project.say_and_hear(2)


def test_one_device_that_is_refused_holds_nobody(lab, project):
    """The broker does not know it."""
    stranger = lab.add(EZtCloud(project.south.port, PROJECT, "stranger", name="ez stranger"))
    stranger.attributes(value=0)
    project.say_and_hear(1)
    project.calque.wait_log(r"sessions link=project side=north .*refused=1 ")
    project.say_and_hear(2)
    told = link_of(project.calque, LINK)
    assert told["device_sessions"] == {"up": 3, "down": 0, "refused": 1, "lacking": 0, "asleep": 0}
    assert told["up"]["pending"] == 1, "it waits for its own"
    assert told["up"]["dead"] == 0


def test_all_come_back_when_the_broker_does(project):
    project.say_and_hear(1)
    project.north.stop()
    project.calque.wait_log(r"sessions link=project side=north up=0 of=3")
    for d in DEVICES:
        project.things[d].attributes(value=2, of=d)
    project.north.start()
    project.calque.wait_log(r"sessions link=project side=north up=3 of=3")
    wait_status(project.calque, lambda s: s["links"][0]["up"]["pending"] == 0)


def test_on_demand_a_session_is_there_for_a_message_and_gone_without_a_word(lab):
    """Two at once, of three: the third gets in when one of the others is idle."""
    project = Project(lab, north={"connections": {"max": 2, "idle": 2}}, sessions="on-demand")
    project.say_and_hear(1)
    project.calque.wait_log(r"sessions link=project side=north up=0 of=3 .*asleep=3")
    assert "of devices: 0 up, 0 down, 0 refused, 0 without credentials, 3 asleep" in Verb(project.calque, "status").out
    project.say_and_hear(2)
    told = link_of(project.calque, LINK)
    assert told["up"]["dead"] == 0 and told["down"]["received"] == 0
    # Would these find a place if all wanted one for good?  That is asked of who runs, and of what it left.
    assert Verb(project.calque, "check").status == 0
    with open(project.calque.conf_path, encoding="utf-8") as file:
        project.calque.configure(file.read().replace("on-demand", "always"))
    for _ in ("runs", "stopped"):
        checked = Verb(project.calque, "check")
        assert checked.status == 1
        assert re.search(r"north\.connections\.max: 2, and 3 devices of link project want .*, 3 of them known to the state alone",
                         checked.err)
        if project.calque.is_running():
            project.calque.stop()


# --- ThingsBoard, with a token for each, from a list of devices

def listed(lab, *rows):
    """A file with tokens."""
    path = os.path.join(lab.directory, "fleet.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("name,north.token,mode\n" + "".join(f"{row}\n" for row in rows))
    os.chmod(path, 0o600)
    return path


def test_tokens_of_a_list_let_each_device_in_and_modes_let_it_go(lab, tb):
    south = lab.broker("south")
    calque = lab.calque(conf_text({"state": "@state@", "devices": listed(lab, "lamp,t-lamp,", "door,t-door,", "fan,wrong,"), "links": [{
        "name": LINK, "new": "live",
        "south": {"dialect": "eztcloud", "url": south.url, "vars": {"project": PROJECT}, "username": ""},
        "north": {"dialect": "thingsboard", "url": tb.url}}]}))
    calque.wait_up(LINK, "south")
    names = ("lamp", "door", "fan", "late")
    far = {d: tb.device(d, token=f"t-{d}") for d in names}
    things = {d: lab.add(EZtCloud(south.port, PROJECT, d, name=f"ez {d}")) for d in names}
    for d in names:
        things[d].attributes(of=d)
    for d in ("lamp", "door"):
        assert far[d].wait_ready().next_update() == {"of": d}
        call = far[d].rpc("set", {"by": d})
        command = things[d].command()
        things[d].reply(command, done=d)
        assert call.result() == {"done": d}
    calque.wait_log(r"sessions link=project side=north up=2 of=4 refused=1 lacking=1")
    states = {d["name"]: d["state"] for d in Verb(calque, "devices", "list", "--json").items()}
    assert states["lamp"] == "ready" and states["fan"] == "refused" and states["late"] == "known"
    alone = Verb(calque, "devices", "set-mode", "mirror", "fan", "late", "lamp")
    assert alone.status == 1 and alone.out == "lamp of link project: mirror\n"
    assert "fan: left as it is: the north refuses it" in alone.err and "late: left as it is: it has no credentials" in alone.err
    assert Verb(calque, "devices", "set-mode", "link", "lamp").status == 0
    # Credentials come while the bridge runs, and what waited goes.
    assert Verb(calque, "devices", "import", listed(lab, "late,t-late,", "fan,t-fan,")).status == 0
    for d in ("late", "fan"):
        assert far[d].wait_online().next_update() == {"of": d}
    # Nothing passes for it, and it has no session.
    assert Verb(calque, "devices", "set-mode", "off", "door").status == 0
    calque.wait_log(r"sessions link=project side=north up=3 of=4")
    tb.wait(lambda: not far["door"].is_online, "end of the session of door")
    things["door"].attributes(of="nobody")
    things["lamp"].attributes(of="lamp", again=True)
    assert far["lamp"].next_update() == {"of": "lamp", "again": True}
    assert Verb(calque, "devices", "set-mode", "live", "door").status == 0
    far["door"].wait_ready()
    things["door"].attributes(of="door", again=True)
    assert far["door"].next_update() == {"of": "door", "again": True}
    wait_status(calque, lambda s: s["links"][0]["up"]["pending"] == 0)
    calque.stop()


class Everybody:
    """All devices of the project, over one connection of the platform's service; they do each command at once."""

    def __init__(self, lab, port):
        self.commands = []
        self.client = lab.add(Client(port, "everybody", username="cloud", mqtt=MQTT3))
        self.client.on(f"open/{PROJECT}/+/command_send", self._do)
        self.client.subscribe(f"open/{PROJECT}/+/command_send")

    def say(self, names, **values):
        for i, d in enumerate(names, 1):
            self.client.publish(f"open/{PROJECT}/{d}/attributes", values, wait=i == len(names))

    def _do(self, message):
        device, command = message.topic.split("/")[2], message.json()
        self.commands.append(device)
        self.client.publish(f"open/{PROJECT}/{device}/command_reply",
                            {"method": command["method"], "params": {"by": device}, "id": command["id"]}, wait=False)


def test_two_hundred_speak_and_hear_and_nothing_is_lost_while_their_platform_is_away(lab, tb):
    names = [f"d{i:03}" for i in range(200)]
    south = lab.broker("south")
    far = {d: tb.device(d, token=f"t-{d}") for d in names}
    calque = lab.calque(conf_text({"state": "@state@", "devices": listed(lab, *(f"{d},t-{d}," for d in names)), "links": [{
        "name": LINK,
        "south": {"dialect": "eztcloud", "url": south.url, "vars": {"project": PROJECT}, "username": ""},
        "north": {"dialect": "thingsboard", "url": tb.url, "connections": {"per_second": 1000}}}]}))
    calque.wait_up(LINK, "south")
    calque.wait_log(r"sessions link=project side=north up=200 of=200 refused=0 lacking=0")
    everybody = Everybody(lab, south.port)
    everybody.say(names, n=0)
    calls = {d: far[d].wait_ready().rpc("set", {"for": d}) for d in names}
    for d in names:
        assert calls[d].result() == {"by": d}
    assert sorted(everybody.commands) == names
    tb.stop()
    calque.wait_log(r"sessions link=project side=north up=0 of=200")
    for n in range(1, 3):
        everybody.say(names, n=n)
    tb.start()
    tb.wait(lambda: all({"n": 2} in far[d].updates for d in names), "the last of each")
    for d in names:
        heard = [update["n"] for update in far[d].updates]
        assert heard == sorted(heard) and set(heard) == {0, 1, 2}, d
    wait_status(calque, lambda s: s["links"][0]["up"]["pending"] == 0)
    assert link_of(calque, LINK)["up"]["dead"] == 0
    calque.stop()
def test_a_comparison_finds_what_a_through_file_drops_and_asks_the_platform(lab, tb):
    """A planted difference: all goes well, but one value of one device never arrives."""
    south = lab.broker("south")
    with open(os.path.join(lab.directory, "thin.jq"), "w", encoding="utf-8") as file:
        file.write('module { through: "thin", up: "thin" };\ndef thin: if .device == "door" then del(.body.hum) else . end;\n')
    far = {d: tb.device(d, token=f"t-{d}") for d in ("lamp", "door")}
    calque = lab.calque(conf_text({
        "state": "@state@", "mappings": (lab.directory,), "devices": listed(lab, "lamp,t-lamp,mirror", "door,t-door,mirror"),
        "links": [{"name": LINK, "through": ["thin"], "mode": "off",
                   "south": {"dialect": "innoway", "url": south.url, "username": ""},
                   "north": {"dialect": "thingsboard", "url": tb.url}}]}))
    calque.wait_up(LINK, "south")
    things = lab.add(Client(south.port))

    def say(device, **values):
        things.publish(f"messages/{device}/attribute", values)
        far[device].wait_ready().next_update()
        wait_status(calque, lambda s: s["links"][0]["up"]["pending"] == 0)

    say("lamp", temp=21.5, hum=40)
    one = Verb(calque, "devices", "compare", "lamp")
    assert one.status == 0, one.out + one.err
    assert "2 attributes read back from the platform, which is the only proof" in one.out
    say("door", temp=20, hum=41)
    both = Verb(calque, "devices", "compare")
    rows = [line.split() for line in both.out.splitlines() if line.startswith(("lamp", "door"))]
    assert both.status == 1 and len(rows) == 1, both.out
    assert rows[0][:5] == ["door", "hum", "payload", "1", "0"] and "dropped (mapping or through): 1 of 1" in both.out
    # Somebody changes it over there: only the platform can know.
    far["lamp"].client["temp"] = 99
    told = Verb(calque, "devices", "compare", "lamp", "--json")
    keys = {k["name"]: k for k in told.items()[0]["keys"]}
    assert told.status == 1 and keys["temp"]["differs"] == "the platform has another value"
    assert keys["hum"]["platform"] == "same" and keys["hum"]["value"] == 40
    # One that cannot be asked is told of, and the answers of the others are waited for all the same.
    mark = calque.mark()
    assert Verb(calque, "devices", "import", listed(lab, "door,wrong,")).status == 0
    calque.wait_log(r"sessions link=project side=north up=1 of=2 refused=1", mark)
    told = Verb(calque, "devices", "compare")
    assert "1 device not read back: its session in the north is not up" in told.err
    assert "2 attributes read back" in told.out and "the platform has another value" in told.out
    calque.stop()
    stopped = Verb(calque, "devices", "compare")
    assert stopped.status == 1 and "hum" in stopped.out and "nothing was read back" in stopped.out
