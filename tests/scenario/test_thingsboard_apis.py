"""The ThingsBoard of the other tests: provisioning, firmware and the gateway API do what the real one does."""

import pytest

from faulty import PUBACK
from harness import MQTT3, MQTT5, Client
from thingsboard import Profile
from thingsboard.wire import Wire

TELEMETRY, ATTRIBUTES, RPC = "v1/devices/me/telemetry", "v1/devices/me/attributes", "v1/devices/me/rpc/request/"
ASK, ANSWER = "/provision/request", "/provision/response"

both = pytest.mark.parametrize("mqtt", [MQTT3, MQTT5], ids=["mqtt3", "mqtt5"])


# --- provisioning ------------------------------------------------------------------------------------------------

def provision(lab, tb, mqtt=MQTT3, key="tb-key", **more):
    """The answer to a request for provisioning."""
    client = lab.add(Client(tb.port, username="provision", mqtt=mqtt)).subscribe(ANSWER)
    client.publish(ASK, {"provisionDeviceKey": key, "provisionDeviceSecret": "tb-secret", **more})
    return client.wait_for(ANSWER).json()


@both
def test_a_device_may_choose_its_token(lab, tb, mqtt):
    assert provision(lab, tb, mqtt, deviceName="d", credentialsType="ACCESS_TOKEN", token="mine") == {
        "credentialsValue": "mine", "credentialsType": "ACCESS_TOKEN", "status": "SUCCESS"}
    assert Wire(tb, "mine").login == (False, 0)


def test_the_server_makes_what_is_not_given(lab, tb):
    answer = provision(lab, tb)
    (name, device), = tb.devices.items()
    assert len(name) == 20 and device.token == answer["credentialsValue"]
    basic = provision(lab, tb, deviceName="b", credentialsType="MQTT_BASIC", clientId="c", username="u", password="p",
                      gateway=True)
    assert basic["credentialsValue"] == {"clientId": "c", "userName": "u", "password": "p"}
    assert Wire(tb, "u", "p", "c").login == (False, 0)
    assert tb.devices["b"].is_gateway


def test_refusals(lab, tb):
    tb.device("taken", token="t")
    failure = {"errorMsg": "Failed to provision device!", "status": "FAILURE"}
    assert provision(lab, tb, key="wrong") == {"errorMsg": "Provision data was not found!", "status": "NOT_FOUND"}
    assert provision(lab, tb, deviceName="taken") == failure
    assert provision(lab, tb, deviceName="other", token="t") == failure, "somebody else's token"
    assert list(tb.devices) == ["taken"]


def test_a_device_made_in_advance_gets_its_token_each_time(lab, tb):
    tb.profiles[0].strategy = "check"
    tb.device("known", token="t")
    for _ in range(2):
        assert provision(lab, tb, deviceName="known")["credentialsValue"] == "t"
    assert provision(lab, tb, deviceName="unknown")["status"] == "FAILURE"
    tb.profiles[0].strategy = "disabled"
    assert provision(lab, tb, deviceName="known")["status"] == "NOT_FOUND"


@both
@pytest.mark.parametrize("topic,payload", [
    ("/provision", {}), (TELEMETRY, {}), (ASK, {"provisionDeviceKey": "tb-key"}), (ASK, b"x"),
    (ASK, {"provisionDeviceKey": "tb-key", "provisionDeviceSecret": "tb-secret", "token": None})])
def test_what_ends_a_provisioning_session(tb, mqtt, topic, payload):
    wire = Wire(tb, "provision", mqtt=mqtt)
    wire.publish(topic, payload)
    assert wire.read_puback()[1] == (0 if mqtt == MQTT3 else 0x83 if topic == ASK else 0x90)
    wire.assert_closed(None)


@both
def test_an_answer_may_be_lost_though_the_device_is_made(lab, tb, mqtt):
    for how, name in (("cut", "a"), ("kept", "b")):
        tb.provision_answers = how
        wire = Wire(tb, "provision", mqtt=mqtt)
        wire.publish(ASK, {"provisionDeviceKey": "tb-key", "provisionDeviceSecret": "tb-secret", "deviceName": name})
        if how == "cut":
            assert wire.next() is None
        else:
            wire.read_puback()
            wire.assert_quiet()
        tb.provision_answers = "sent"
        assert provision(lab, tb, deviceName=name)["status"] == "FAILURE"


def test_an_old_release_sends_no_suback_to_provision(tb):
    wire = Wire(tb, "provision")
    assert wire.subscribe(ANSWER, "#") == [1, 0x80]
    tb.is_before_3_9 = True
    wire = Wire(tb, "provision")
    wire.send_subscribe(ANSWER)
    wire.assert_quiet()
    wire.publish(ASK, {"provisionDeviceKey": "tb-key", "provisionDeviceSecret": "tb-secret"})
    wire.read(PUBACK)
    assert wire.read_publish()[0] == ANSWER


# --- firmware ----------------------------------------------------------------------------------------------------

@both
def test_firmware_in_chunks(lab, tb, mqtt):
    device, image = tb.device("pump", token="t1"), bytes(range(250)) * 600
    client = lab.add(Client(tb.port, username="t1", mqtt=mqtt)).subscribe(ATTRIBUTES)
    device.assign("F", "2.0", image)
    notice = client.wait_for(ATTRIBUTES).json()
    assert (notice["fw_title"], notice["fw_version"], notice["fw_size"]) == ("F", "2.0", len(image))
    got = b""
    for index in range(5):
        client.publish(f"v2/fw/request/1/chunk/{index}", b"40000" if index == 0 else b"")
        got += client.wait_for(f"v2/fw/response/1/chunk/{index}").payload
    assert got == image, "the last chunk is empty"
    client.publish("v2/fw/request/2/chunk/0")
    assert client.wait_for("v2/fw/response/2/chunk/0").payload == image, "no size: all of it"


@pytest.mark.parametrize("kind,size,error", [("fw", b"65537", b"PAYLOAD_TOO_LARGE"), ("sw", b"100", b"NOT_FOUND")])
@both
def test_a_bad_chunk_request_ends_the_connection(tb, mqtt, kind, size, error):
    tb.device("pump", token="t1").assign("F", "1", b"x" * 100)
    wire = Wire(tb, "t1", mqtt=mqtt)
    wire.publish(f"v2/{kind}/request/1/chunk/0", size)
    assert wire.read_publish() == ("v2/fw/error", error)
    assert wire.next() is None


# --- the gateway API ---------------------------------------------------------------------------------------------

@pytest.fixture
def gate(tb):
    return tb.device("gate", token="g", gateway=True)


def log_in(lab, tb, mqtt=MQTT3):
    return lab.add(Client(tb.port, username="g", mqtt=mqtt)).subscribe("v1/gateway/attributes", "v1/gateway/rpc",
                                                                       "v1/gateway/attributes/response", RPC + "+")


@both
def test_a_gateway_speaks_for_devices(lab, tb, gate, mqtt):
    client = log_in(lab, tb, mqtt)
    client.publish("v1/gateway/connect", {"device": "d1", "type": "pump"})
    client.publish("v1/gateway/telemetry", {"d1": [{"ts": 5, "values": {"a": 1}}, {"b": 2}], "d2": [{"c": 3}]})
    client.publish("v1/gateway/attributes", {"d1": {"model": "A"}})
    client.publish("v1/gateway/claim", {"d2": {"secretKey": "s"}})
    client.publish(TELEMETRY, {"own": 1})
    one, two = tb.devices["d1"], tb.devices["d2"]
    assert (one.type, two.type) == ("pump", "default")
    assert [s.values for s in one.telemetry] == [{"a": 1}, {"b": 2}] and one.telemetry[0].ts == 5
    assert two.next_telemetry() == {"c": 3} and two.claims == [{"secretKey": "s"}]
    assert one.next_update() == {"model": "A"}
    assert gate.next_telemetry() == {"own": 1}


@both
def test_a_gateway_hears_for_its_devices(lab, tb, gate, mqtt):
    client = log_in(lab, tb, mqtt)
    client.publish("v1/gateway/connect", {"device": "d1"})
    device = tb.devices["d1"]
    device.push(rate=10)
    client.expect("v1/gateway/attributes", {"device": "d1", "data": {"rate": 10}})
    rpc = device.rpc("setFan", {"rpm": 900})
    client.expect("v1/gateway/rpc", {"device": "d1", "data": {"id": 0, "method": "setFan", "params": {"rpm": 900}}})
    client.publish("v1/gateway/rpc", {"device": "d1", "id": 0, "data": "done"})
    assert rpc.result() == "done"
    device.push(unit="C")
    client.wait_for("v1/gateway/attributes")
    for names, answer in (({"keys": ["rate", "unit"]}, {"values": {"rate": 10, "unit": "C"}}),
                          ({"key": "rate"}, {"value": 10}), ({"keys": ["rate", "x"]}, {"values": {"rate": 10}}), ({"keys": ["x"]}, {})):
        client.publish("v1/gateway/attributes/request", {"id": 3, "device": "d1", "client": False, **names})
        client.expect("v1/gateway/attributes/response", {"id": 3, "device": "d1", **answer})
    client.publish("v1/gateway/disconnect", {"device": "d1"})
    assert device.push(rate=11) == 0


@both
def test_its_devices_go_with_its_connection(lab, tb, gate, mqtt):
    client = log_in(lab, tb, mqtt)
    client.publish("v1/gateway/connect", {"device": "d1"})
    device = tb.devices["d1"]
    assert device.hears_rpc
    client.publish(TELEMETRY, b"bad", qos=0)  # not to be said again at each login
    client.wait_lost()
    client.wait_ready()
    assert not device.is_online and device.push(rate=10) == 0
    rpc = device.rpc("a")
    client.publish("v1/gateway/telemetry", {"d1": [{"a": 1}]})
    assert client.wait_for("v1/gateway/rpc").json()["data"]["id"] == rpc.id, "data connects it, and what is open comes"


@both
def test_a_part_that_is_wrong_costs_no_other_its_part(tb, gate, mqtt):
    wire = Wire(tb, "g", mqtt=mqtt)
    wire.publish("v1/gateway/telemetry", {"d1": {"no": "array"}, "d2": [{"a": 1}]})
    assert wire.read_puback() == (1, 0)
    assert "d1" not in tb.devices and tb.devices["d2"].next_telemetry() == {"a": 1}
    wire.publish("v1/gateway/telemetry", {"d1": [1], "d2": [{"a": 2}]}, 2)
    if mqtt == MQTT5:
        assert wire.read_puback() == (2, 0x99)
    else:
        assert wire.next() is None
    assert tb.devices["d2"].next_telemetry() == {"a": 2}


@both
def test_a_device_that_is_no_gateway_is_never_answered(tb, mqtt):
    tb.device("pump", token="t1")
    wire = Wire(tb, "t1", mqtt=mqtt)
    wire.publish("v1/gateway/connect", {"device": "d1"})
    wire.publish("v1/gateway/telemetry", {"d1": [{"a": 1}]}, 2)
    wire.assert_quiet()
    wire.publish(TELEMETRY, {"a": 1}, 3)
    assert wire.read_puback() == (3, 0)
    assert "d1" not in tb.devices


def test_a_gateway_is_told_of_new_names(lab, tb, gate):
    client = log_in(lab, tb)
    client.publish("v1/gateway/connect", {"device": "d1"})
    tb.rename("d1", "pump")
    client.expect(RPC + "0", {"method": "gateway_device_renamed", "params": {"d1": "pump"}})
    client.publish("v1/gateway/connect", {"device": "pump"})
    tb.remove("pump")
    client.expect(RPC + "1", {"method": "gateway_device_deleted", "params": "pump"})


def test_profiles_are_told_apart_by_their_keys(lab, tb):
    tb.profiles.append(Profile(key="k2", secret="tb-secret"))
    provision(lab, tb, key="k2", deviceName="d")
    assert tb.devices["d"].profile is tb.profiles[1]
