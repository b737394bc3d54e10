"""ThingsBoard's own client, unmodified, from PyPI: through the front door and calque to ThingsBoard."""

import hashlib
import json
import os
import subprocess
import venv

import pytest

from frontdoor import FrontDoor
from harness import LIMIT, conf_text

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = {"username": "calque", "password": "sesame", "front_door": True}


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """A Python that has tb-mqtt-client; $TB_MQTT_CLIENT: one that is there already."""
    if os.environ.get("TB_MQTT_CLIENT"):
        return os.environ["TB_MQTT_CLIENT"]
    where = tmp_path_factory.mktemp("venv")
    try:
        venv.create(where, with_pip=True)
        subprocess.run([where / "bin/pip", "install", "-q", "--retries", "0", "--timeout", "15", "tb-mqtt-client==1.13.14"],
                       check=True, capture_output=True, text=True, timeout=2 * LIMIT)
    except (subprocess.SubprocessError, OSError, SystemExit) as error:
        pytest.skip(f"tb-mqtt-client cannot be installed, as PyPI is out of reach or there is no venv: {error}")
    return where / "bin/python"


def start(python, what, door, *arguments):
    return subprocess.Popen([python, os.path.join(HERE, "tb_client.py"), what, str(door.port), *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err[-2000:]
    return {k: v for line in out.splitlines() if line.startswith("{") for k, v in json.loads(line).items()}


def test_device_and_provisioning(lab, tb, python):
    door = lab.add_process(FrontDoor(lab.directory))
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "link", "south": {"dialect": "thingsboard", "url": door.url, **SHARED, "vars": {"device": "lamp"}},
        "north": {"dialect": "thingsboard", "url": tb.url,
                  "provision": {"key": "tb-key", "secret": "tb-secret", "name": "lamp"}}}]}))
    door.wait_log("frontdoor: table of .*, 0 rows")
    token = end(start(python, "provision", door))["credentials"]["credentialsValue"]
    assert token, door.log()
    calque.wait_up("link", "north")
    lamp = tb.devices["lamp"]
    lamp.push(rate=10)
    client = start(python, "device", door, token)
    tb.wait(lambda: any(s.values == {"temp": 21.5} for s in lamp.telemetry), "the telemetry")  # presence is there, too
    tb.wait(lambda: lamp.client.get("serial") == "A-1", "the attribute")
    lamp.rpc("blink", {"times": 3}, oneway=True)
    lamp.push(rate=11)
    got = end(client)
    assert got["rpc"] == {"method": "blink", "params": {"times": 3}}
    calque.stop()


def test_firmware(lab, tb, python):
    """It asks for what there is, then for chunk after chunk by ids of its own, subscribed to v2/fw/response/+ alone."""
    image = bytes(i * 7 % 251 for i in range(10_500))
    door = lab.add_process(FrontDoor(lab.directory))
    lamp = tb.device("lamp", token="north-token")
    lamp.assign("blinker", "2.0", image)
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "link",
        "south": {"dialect": "thingsboard", "url": door.url, **SHARED, "vars": {"device": "lamp", "token": "south-token"}},
        "north": {"dialect": "thingsboard", "url": tb.url, "vars": {"token": "north-token"}}}]}))
    calque.wait_up("link", "north")
    door.wait_log("frontdoor: table of .*, 1 rows")
    got = end(start(python, "firmware", door, "south-token"))["firmware"]
    assert got == {"sha256": hashlib.sha256(image).hexdigest(), "size": len(image), "version": "2.0"}
    states = ["IDLE", "DOWNLOADING", "DOWNLOADED", "VERIFIED"]
    tb.wait(lambda: [s.values["fw_state"] for s in lamp.telemetry if "fw_state" in s.values] == states, "its states")
    calque.stop()


def test_gateway(lab, tb, python):
    door = lab.add_process(FrontDoor(lab.directory))
    tb.device("gate", token="north-token", gateway=True)
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "gate", "south": {"dialect": "thingsboard-gateway", "url": door.url, **SHARED, "vars": {"token": "south-token"}},
        "north": {"dialect": "thingsboard-gateway", "url": tb.url, "vars": {"token": "north-token"}}}]}))
    calque.wait_up("gate", "north")
    door.wait_log("frontdoor: table of .*, 1 rows")
    client = start(python, "gateway", door, "south-token")
    tb.wait(lambda: "meter 1" in tb.devices, "the device")
    meter = tb.devices["meter 1"]
    assert meter.next_telemetry() == {"kwh": 7}
    meter.rpc("read", {}, oneway=True)
    assert end(client)["rpc"]["device"] == "meter 1"
    calque.stop()
