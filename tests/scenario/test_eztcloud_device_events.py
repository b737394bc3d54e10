"""EZtCloud devices in a device-events cloud, with the configuration of examples/eztcloud-to-device-events."""

import pytest

from harness import assert_json
from worlds import EZtDeviceEvents


@pytest.fixture(params=[(False, 4), (False, 5), (True, 4), (True, 5)],
                ids=["plain-mqtt3", "plain-mqtt5", "tls-mqtt3", "tls-mqtt5"])
def world(lab, request):
    world = EZtDeviceEvents(lab, *request.param)
    yield world
    world.calque.stop()


@pytest.fixture
def plain(lab):
    world = EZtDeviceEvents(lab)
    yield world
    world.calque.stop()


def telemetry(world, **expected):
    """The next telemetry must be this."""
    assert_json(world.cloud.telemetry(), expected)


def test_everything_comes_up(world):
    """All that EZtCloud publishes under open/ arrives, with its user properties (DeviceEventsCloud checks them)."""
    ez = world.ez
    ez.online(True)
    assert world.cloud.telemetry()["status"] == "online"
    ez.attributes(temp=21.5, sw=True, mode="auto")
    telemetry(world, status="online", telemetries={"temp": 21.5, "sw": True, "mode": "auto"})
    ez.event("door_open", door=2, by="key")
    telemetry(world, status="online", telemetries={"door_open.door": 2, "door_open.by": "key"})
    ez.data("s1", "1;2;3")
    telemetry(world, status="online", telemetries={"s1": "1;2;3"})
    ez.data("s2", b"\xff\xfe\x00")
    telemetry(world, status="online", telemetries={"s2": "//4A"})
    ez.alarm(True)
    telemetry(world, status="error", telemetries={"alarm": True})
    ez.attributes(temp=99)
    telemetry(world, status="error", telemetries={"temp": 99})
    ez.alarm(False)
    telemetry(world, status="online", telemetries={"alarm": False})
    ez.online(False)
    assert world.cloud.telemetry()["status"] == "offline"


def test_command_with_a_uuid_comes_down_with_an_integer(world):
    number = world.cloud.command("set_fan", rpm=900)
    command = world.ez.command()
    assert type(command["id"]) is int
    assert_json(command, {"method": "set_fan", "params": {"rpm": 900}, "id": command["id"]})
    world.ez.reply(command, speed=900)
    update = world.cloud.command_update()
    assert (update["id"], update["status"]) == (number, "done")
    assert "900" in update["message"]


def test_config_comes_down_as_the_difference_and_its_echo_confirms_it(world):
    first = world.cloud.config(4, rate=5, unit="C")
    assert_json(world.ez.pushed(), {"rate": 5, "unit": "C"})
    assert_json(world.cloud.config_update(), first)
    second = world.cloud.config(5, rate=6, unit="C")
    assert_json(world.ez.pushed(), {"rate": 6})
    assert_json(world.cloud.config_update(), second)
    assert not world.cloud.client.waiting(world.cloud.topic("telemetry")), "an echo is not telemetry"


def test_versions_survive_a_restart(plain):
    plain.cloud.config(4, rate=5, unit="C")
    assert_json(plain.ez.pushed(), {"rate": 5, "unit": "C"})
    plain.cloud.config_update()
    plain.restart()
    same = plain.cloud.config(5, rate=5, unit="C")  # nothing differs: confirmed without a push
    assert_json(plain.cloud.config_update(), same)
    other = plain.cloud.config(6, rate=7, unit="C")
    assert_json(plain.ez.pushed(), {"rate": 7})
    assert_json(plain.cloud.config_update(), other)
    assert not plain.ez.client.waiting(plain.ez.topic("attributes_push"))


def test_an_echo_that_comes_after_a_restart_confirms(plain):
    plain.ez.echoes = False
    config = plain.cloud.config("4", rate=5)
    assert_json(plain.ez.pushed(), {"rate": 5})
    plain.restart()
    plain.ez.attributes(rate=5)
    assert_json(plain.cloud.config_update(), config)


def test_an_echo_in_parts_confirms_once_and_the_rest_is_telemetry(plain):
    plain.ez.echoes = False
    config = plain.cloud.config(4, rate=5, unit="C")
    plain.ez.pushed()
    plain.ez.attributes(rate=5, temp=20)
    telemetry(plain, status="online", telemetries={"temp": 20})
    assert not plain.cloud.client.waiting(plain.cloud.topic("config/update"))
    plain.ez.attributes(unit="C")
    assert_json(plain.cloud.config_update(), config)


def test_commands_pair_across_a_restart_and_out_of_order(plain):
    numbers = [plain.cloud.command("echo", n=n) for n in range(4)]
    commands = [plain.ez.command() for _ in numbers]
    plain.restart()
    late = plain.cloud.command("echo", n=4)
    commands.append(plain.ez.command())
    assert len({c["id"] for c in commands}) == 5, "ids are not used again after a restart"
    for command in reversed(commands):
        plain.ez.reply(command, n=command["params"]["n"])
    updates = [plain.cloud.command_update() for _ in commands]
    assert [u["id"] for u in updates] == [late, *reversed(numbers)]
    assert {u["status"] for u in updates} == {"done"}


def test_nested_and_null_values_are_flattened(plain):
    plain.ez.attributes(gps={"lat": 1.5, "lng": 2.5}, tags=["a", "b"], gone=None)
    telemetry(plain, status="online", telemetries={"gps.lat": 1.5, "gps.lng": 2.5, "tags": '["a","b"]'})


def test_sloppy_json_of_the_platform_is_understood(plain):
    plain.ez.publish("event_report", '{ "method": "door_open", "params": { "door": 2, }, }')
    telemetry(plain, status="online", telemetries={"door_open.door": 2})


def test_firmware_notice_is_carried(plain):
    plain.ez.echoes = False
    plain.cloud.client.publish(plain.cloud.topic("firmware"),
                               {"latest_fw_version": "1.0.8", "latest_fw_file_id": "f62e0c28"})
    firmware = plain.ez.pushed()["firmware"]
    assert (firmware["version"], firmware["file"]) == ("1.0.8", "f62e0c28")


def test_license_goes_down_and_its_state_comes_up(plain):
    plain.ez.echoes = False
    plain.cloud.client.publish(plain.cloud.topic("license"),
                               {"id": "L1", "data": "d", "signature": "s", "add": True, "update": False,
                                "remove": False}, response_topic=plain.cloud.topic("license/update"))
    pushed = plain.ez.pushed()["license"]
    assert (pushed["id"], pushed["operation"]) == ("L1", "add")
    plain.ez.attributes(license={"id": "L1", "state": "inuse"})
    assert_json(plain.cloud.next("license/update"), {"id": "L1", "state": "inuse"})
