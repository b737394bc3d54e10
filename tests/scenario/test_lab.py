"""The laboratory itself: if these fail, no other scenario means anything. No bridge is started here."""

import base64
import os
import socket
import ssl

import pytest

from harness import (MQTT3, MQTT5, Client, Timeout, assert_json, conf_text, find_secret, is_uuid, localise,
                     same_json)
from platforms import DeviceEventsCloud, EZtCloud, InnowayDevice, ThingsBoard


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_a_client_does_not_hear_itself(lab, mqtt):
    broker = lab.broker("b")
    one = lab.add(Client(broker.port, "one", mqtt=mqtt)).subscribe("t/#")
    two = lab.add(Client(broker.port, "two", mqtt=mqtt)).subscribe("t/#")
    one.publish("t/a", {"n": 1})
    two.expect("t/a", {"n": 1})
    two.publish("t/a", {"n": 1})  # the same, but not its own
    one.expect("t/a", {"n": 1})
    assert not one.waiting() and not two.waiting()


def test_mqtt5_fields_cross(lab):
    broker = lab.broker("b")
    one = lab.add(Client(broker.port, mqtt=MQTT5))
    two = lab.add(Client(broker.port, mqtt=MQTT5)).subscribe("t")
    one.publish("t", b"\xff", properties={"k": "v"}, response_topic="r", correlation=b"c")
    message = two.wait_for("t")
    assert (message.payload, message.properties, message.response_topic, message.correlation) == \
        (b"\xff", {"k": "v"}, "r", b"c")


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_clients_come_back_with_their_subscriptions(lab, mqtt, end):
    broker = lab.broker("b")
    one = lab.add(Client(broker.port, mqtt=mqtt)).subscribe("t")
    two = lab.add(Client(broker.port, mqtt=mqtt))
    port = broker.port
    getattr(broker, end)()
    one.wait_lost()
    two.wait_lost()
    broker.start()
    assert broker.port == port
    one.wait_ready()
    two.wait_ready()
    two.publish("t", "again")
    assert one.wait_for("t").text() == "again"


def test_a_refused_login_is_an_error(lab):
    broker = lab.broker("b", users={"u": "right"})
    lab.add(Client(broker.port, username="u", password="right"))
    with pytest.raises((AssertionError, OSError)):
        Client(broker.port, username="u", password="wrong")
    assert [user for _, user, _ in broker.logins()] == ["u"]


def test_a_wait_that_fails_tells_what_was_seen(lab):
    broker = lab.broker("b")
    client = lab.add(Client(broker.port)).subscribe("t")
    lab.add(Client(broker.port)).publish("t", "something else")
    client.wait(lambda: client.received, "message")
    with pytest.raises(Timeout, match="something else"):
        client.wait_for("u", timeout=0.01)
    with pytest.raises(Timeout, match="mosquitto version"):
        broker.wait_log("never said", timeout=0.01)


def test_tls_with_client_certificates(lab):
    ca = lab.authority()
    broker = lab.broker("b", tls=ca, client_certificates=True)
    context = ssl.create_default_context(cafile=ca.ca)
    context.load_cert_chain(*ca.client)
    with socket.create_connection(("localhost", broker.tls_port)) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as secure:
        assert secure.version()
    other = ssl.create_default_context(cafile=lab.authority("other").ca)
    with socket.create_connection(("localhost", broker.tls_port)) as plain, pytest.raises(ssl.SSLError):
        other.wrap_socket(plain, server_hostname="localhost")


def test_json_equality():
    assert same_json({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]})
    for a, b in ((1, True), (0, False), ("1", 1), ({"a": 1}, {}), ([1], [1, 2]), (None, False)):
        assert not same_json(a, b)
    with pytest.raises(AssertionError, match="expected"):
        assert_json({"a": 1}, {"a": 2})


def test_configuration_text():
    assert conf_text({"a": 'x"y\\', "b": True, "c": ("p", "q"), "d": [{"n": 1}]}) == \
        'a = "x\\"y\\\\";\nb = true;\nc = ["p", "q"];\nd = ({\n  n = 1;\n});\n'


def test_a_real_configuration_is_made_local():
    conf = ('state = "/var/lib/x";\nlinks = ( { south = { url = "mqtt://s:1"; };\n'
            'north = { url = "mqtts://n:2"; tls = { ca = "/etc/ca"; }; }; } );\n')
    assert localise(conf, "mqtt://a:3", "mqtts://b:4", {"south": "mqtt = 5;"}, "/tmp/ca") == (
        'state = "@state@";\nlinks = ( { south = { url = "mqtt://a:3"; mqtt = 5; };\n'
        'north = { url = "mqtts://b:4";  tls = { ca = "/tmp/ca"; }; }; } );\n')
    assert "tls" not in localise(conf, "mqtt://a:3", "mqtt://b:4")


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_secrets_are_found_however_they_are_written(tmp_path, offset):
    secret = "canary-0123456789"
    path = os.path.join(tmp_path, "file")
    for text in (secret.encode(), secret.encode().hex().encode(),
                 base64.b64encode(b"abc"[:offset] + secret.encode() + b"xyz")):
        with open(path, "wb") as file:
            file.write(b"before" + text + b"after")
        assert find_secret(tmp_path, secret) == [path]
    assert find_secret(tmp_path, "canary-another-one") == []


# --- the platforms -----------------------------------------------------------------------------------------------

def test_thingsboard_keeps_sessions_apart_and_answers_handshakes(lab):
    broker = lab.broker("b", acl=ThingsBoard.ACL.format(token="tok"))
    tb = lab.add(ThingsBoard(broker.port, "key", "secret", "tok"))
    device = lab.add(Client(broker.port, "d", "tok")).subscribe("v1/devices/me/rpc/request/+", tb.ATTRIBUTES)
    newcomer = lab.add(Client(broker.port, "p", "provision")).subscribe("/provision/response")

    newcomer.publish(tb.TELEMETRY, {"not": "allowed"})
    device.publish(tb.TELEMETRY, {"temp": 1})
    assert_json(tb.telemetry(), {"temp": 1})
    tb.push(rate=1)
    device.expect(tb.ATTRIBUTES, {"rate": 1})
    device.publish(tb.ATTRIBUTES, {"rate": 1})
    assert_json(tb.attributes(), {"rate": 1})
    number = tb.call("setFan", {"rpm": 1})
    device.expect(f"v1/devices/me/rpc/request/{number}", {"method": "setFan", "params": {"rpm": 1}})
    device.publish(f"v1/devices/me/rpc/response/{number}", "done")
    assert tb.reply(number) == "done"

    for name, key, answer in (("n", "key", "SUCCESS"), ("n", "key", "FAILURE"), ("m", "wrong", "NOT_FOUND")):
        newcomer.publish("/provision/request",
                         {"deviceName": name, "provisionDeviceKey": key, "provisionDeviceSecret": "secret"})
        assert newcomer.wait_for("/provision/response").json()["status"] == answer


def test_innoway_device(lab):
    broker = lab.broker("b")
    device = lab.add(InnowayDevice(broker.port, "D"))
    platform = lab.add(Client(broker.port, "p")).subscribe("messages/#", "provision/request")
    device.attributes(temp=1)
    platform.expect("messages/D/attribute", {"temp": 1})
    device.event("leak", zone=2)
    platform.expect("messages/D/event", {"name": "leak", "params": {"zone": 2}})
    platform.publish("messages/D/command", {"id": 1, "name": "n"})
    assert_json(device.next("command"), {"id": 1, "name": "n"})
    device.provision_start("D7")
    assert platform.wait_for("provision/request").json()["device_name"] == "D7"
    platform.publish("provision/response", {"status": "SUCCESS"})
    assert_json(device.provision_answer(), {"status": "SUCCESS"})


def test_eztcloud_echoes_what_is_pushed(lab):
    broker = lab.broker("b", users={"PR_x": "s", "cloud": "c"}, acl=EZtCloud.ACL.format(project="PR_x"))
    ez = lab.add(EZtCloud(broker.port, "PR_x", "DU_y", "c"))
    application = lab.add(Client(broker.port, "a", "PR_x", "s")).subscribe("open/PR_x/+/attributes")
    application.publish(ez.topic("attributes_push"), {"rate": 1})
    assert_json(ez.pushed(), {"rate": 1})
    application.expect(ez.topic("attributes"), {"rate": 1})
    ez.attributes(temp=2)
    application.expect(ez.topic("attributes"), {"temp": 2})
    application.publish(ez.topic("command_send"), {"method": "m", "params": {}, "id": 1})
    assert ez.command()["id"] == 1


def test_device_events_cloud_demands_user_properties(lab):
    broker = lab.broker("b", users={"D": "k", "cloud": "c"}, acl=DeviceEventsCloud.ACL.format(device="D"))
    cloud = lab.add(DeviceEventsCloud(broker.port, "D", "k", "c"))
    device = lab.add(Client(broker.port, "D", "D", "k", mqtt=MQTT5)).subscribe(cloud.topic("commands"))
    device.publish(cloud.topic("telemetry"), {"status": "online"}, properties={"device_id": "D", "access_key": "k"})
    assert_json(cloud.telemetry(), {"status": "online"})
    device.publish(cloud.topic("telemetry"), {"status": "online"})
    with pytest.raises(AssertionError, match="user properties"):
        cloud.telemetry()
    number = cloud.command("reboot", after=1)
    command = device.wait_for(cloud.topic("commands"))
    assert is_uuid(number) and command.json()["id"] == number
    assert command.response_topic == cloud.topic("commands/update")
