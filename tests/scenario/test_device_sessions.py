"""One EZtCloud project, many devices: each has a session of its own in a device-events cloud, whose broker lets a login use
its own device's topics only."""

import pytest

from harness import assert_json, conf_text
from platforms import DeviceEventsCloud, EZtCloud
from verbs import Verb, link_of, wait_status

LINK, PROJECT, KEY, CLOUD = "project", "PR1", "shared-key", "cloud-password"
DEVICES = ("lamp", "door", "Lüfter 3")


class Project:
    def __init__(self, lab):
        self.south = lab.broker("south")
        self.north = lab.broker("north", users={**{d: KEY for d in DEVICES}, "cloud": CLOUD},
                                acl="".join(DeviceEventsCloud.ACL.format(device=d) for d in DEVICES))
        self.calque = lab.calque(conf_text({"state": "@state@", "links": [{
            "name": LINK,
            "south": {"dialect": "eztcloud", "url": self.south.url, "vars": {"project": PROJECT}, "username": ""},
            "north": {"dialect": "device-events", "url": self.north.url, "vars": {"access_key": KEY}}}]}))
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
    assert told["device_sessions"] == {"up": 3, "down": 0, "refused": 1, "lacking": 0}
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
