"""Beginning without a configuration file: the environment is one."""

import json
import os

from harness import Client, find_bridge
from lab import SANITIZER, Process
from test_cli import Done

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
