"""Beginning without a configuration file: calque init writes one, the environment is one."""

import json
import os
import re
import stat

import pytest

from harness import Client, find_bridge
from lab import SANITIZER, Process
from test_cli import Done

SHIPPED = ("innoway", "thingsboard", "thingsboard-gateway", "eztcloud", "device-events")


# --- calque init -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("south", SHIPPED)
@pytest.mark.parametrize("north", ["thingsboard", "device-events"])
def test_what_init_writes_passes_its_check(tmp_path, south, north):
    path = tmp_path / "plant.conf"
    done = Done("init", south, "mqtt://s", north, "mqtts://n:8884", "--link", "pump-7", "-c", str(path))
    assert (done.status, done.err) == (0, "")
    assert done.out == f"wrote {path}; put the right values into it, and then: calque check -c {path}\n"
    assert not stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH
    done = Done("check", "-c", str(path))
    assert (done.status, done.out) == (0, f"{path}: 1 link, no mistakes\n"), done.err
    text = path.read_text()
    assert 'url = "mqtts://n:8884";' in text and "CHANGE-ME" in text and "#tls = " in text
    changed = text.count('= "CHANGE-ME"')
    assert len(re.findall(r'\.conf:\d+: (south|north)\.vars\.\w+: "CHANGE-ME" stands there yet \(warning\)', done.err)) == changed


def test_init_remembers_where_a_dialect_of_ones_own_is(tmp_path):
    path = tmp_path / "plant.conf"
    (tmp_path / "mine.jq").write_text("""module { dialect: "mine", messages: [ { kind: "telemetry", topic: "l/{device}" } ] };""")
    done = Done("init", "mine", "mqtt://s", "thingsboard", "mqtt://n", "--link", "p", "-c", str(path), "--mappings", ".", cwd=tmp_path)
    assert done.status == 0, done.err
    assert f'\nmappings = [ "{tmp_path}" ];' in path.read_text()
    assert Done("check", "-c", str(path)).status == 0


def test_init_asks_what_it_was_not_told(tmp_path):
    path = tmp_path / "plant.conf"
    done = Done("init", "-c", str(path), stdin=b"pump\ninnoway\nmqtt://s\r\neztcloud\nmqtt://n\n")
    assert done.status == 0 and done.err.count(": \n") == 5
    assert 'name = "pump";' in path.read_text() and "project = " in path.read_text()
    os.unlink(path)
    done = Done("init", "innoway", "mqtt://s", "-c", str(path), "--link", "pump", stdin=b"eztcloud\n")
    assert done.status == 2 and "a configuration needs an answer to each" in done.err
    assert not path.exists()


def test_init_takes_values_of_variables(tmp_path):
    path = tmp_path / "plant.conf"
    done = Done("init", "innoway", "mqtt://s", "thingsboard", "mqtt://n", "--link", "p", "-c", str(path),
                "--var", 'south.token=a "quoted" \\ one', "--var", "north.telemetry_topic=t")
    assert done.status == 0, done.err
    text = path.read_text()
    assert 'token = "a \\"quoted\\" \\\\ one";' in text and 'telemetry_topic = "t";' in text
    assert Done("check", "-c", str(path)).status == 0


@pytest.mark.parametrize("arguments, line", [
    (("nosuch", "mqtt://s", "thingsboard", "mqtt://n"), "nosuch"),
    (("innoway", "http://s", "thingsboard", "mqtt://n"), 'south.url: unknown scheme "http"'),
    (("innoway", "mqtt://s", "thingsboard", "mqtt://user@n"), "north.url: put the user name into username"),
], ids=["dialect", "scheme", "user"])
def test_init_refuses_what_would_not_pass_and_leaves_nothing(tmp_path, arguments, line):
    done = Done("init", *arguments, "--link", "p", "-c", str(tmp_path / "plant.conf"))
    assert done.status == 1 and line in done.err
    assert not os.listdir(tmp_path)


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "plant.conf").write_text("mine")
    done = Done("init", "innoway", "mqtt://s", "thingsboard", "mqtt://n", "--link", "p", "-c", str(tmp_path / "plant.conf"))
    assert done.status == 1 and "is there already, and nothing is overwritten" in done.err
    assert (tmp_path / "plant.conf").read_text() == "mine"


# --- configuration by the environment ----------------------------------------------------------------------------

def variables(south, north, state):
    return {"CALQUE_NAME": "pump", "CALQUE_STATE": state, "CALQUE_SOUTH_DIALECT": "innoway", "CALQUE_SOUTH_URL": south,
            "CALQUE_SOUTH_VARS_DEVICE": "d7", "CALQUE_SOUTH_VARS_TOKEN": "south-token",
            "CALQUE_NORTH_DIALECT": "thingsboard", "CALQUE_NORTH_URL": north}


def test_a_link_is_configured_by_the_environment_alone(lab, tmp_path):
    south, north = lab.broker("south"), lab.broker("north")
    env = {**variables(south.url, north.url, str(tmp_path / "state")),
           "CALQUE_NORTH_VARS_TOKEN": f"file:{lab.secret_file('token', 'north-token')}",
           "CALQUE_SERVICE_HOST": "10.0.0.1", "CALQUE_PORT_1883_TCP": "tcp://10.0.0.1:1883"}
    calque = lab.add_process(Process("calque"))
    calque.spawn([find_bridge(), "run"], env={"PATH": os.environ["PATH"], **env})
    calque.wait_log("session-up", count=2)
    north.wait_login("north-token")
    with open(f"/proc/{calque.pid}/environ", "rb") as file:
        assert not file.read().strip(b"\0"), "something is left of it"
    platform = lab.add(Client(north.port).subscribe("v1/devices/me/attributes"))
    lab.add(Client(south.port)).publish("messages/d7/attribute", {"temp": 21.5})
    platform.expect("v1/devices/me/attributes", {"temp": 21.5})
    done = Done("status", "--json", env=env)  # verbs find it in the same way
    assert done.status == 0 and json.loads(done.out)["links"][0]["link"] == "pump", done.err
    calque.process.terminate()
    assert calque.wait_end() == 0
    assert not calque.matching(SANITIZER)


def test_the_environment_is_checked_like_a_file(tmp_path):
    env = variables("mqtt://s", "mqtt://n", str(tmp_path / "state"))
    done = Done("check", env={**env, "CALQUE_NORTH_VARS_TOKEN": "t"})
    assert (done.status, done.out, done.err) == (0, "environment: 1 link, no mistakes\n", "")
    done = Done("check", env={**env, "CALQUE_NORTH_VARS_TOKEN": "t", "CALQUE_NORTH_VARS_TOKN": "t"})
    assert "environment: north.vars.tokn" in done.err and "did you mean \"token\"?" in done.err
    done = Done("check", env={**env, "CALQUE_SOUTH_URL": "s", "CALQUE_NORT_URL": "t"})
    assert done.status == 1
    assert "CALQUE_NORT_URL: there is no such key; did you mean CALQUE_NORTH_URL?\n" in done.err
    assert "CALQUE_SOUTH_URL: no url: " in done.err


def test_a_file_and_the_environment_are_one_too_many(tmp_path):
    (tmp_path / "plant.conf").write_text("links = ();\n")
    done = Done("check", "-c", str(tmp_path / "plant.conf"), env={"CALQUE_NORTH_URL": "mqtt://n"})
    assert done.status == 1 and done.err.startswith("calque check: there is ") and "CALQUE_NORTH_URL is set" in done.err
