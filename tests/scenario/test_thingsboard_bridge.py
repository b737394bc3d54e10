"""A bridge whose north behaves like the real ThingsBoard: Innoway devices on an ordinary broker in the south."""

import json
import os
import re
import ssl
import time

import pytest

from harness import MQTT3, MQTT5, Client, assert_json, conf_text
from platforms import InnowayDevice
from thingsboard import Profile, Server
from verbs import Verb, link_of, status, wait_status
from worlds import InnowayThingsBoard

LINK = InnowayThingsBoard.LINK
both = pytest.mark.parametrize("mqtt", [MQTT3, MQTT5], ids=["mqtt3", "mqtt5"])


class Pump:
    """One device, with the configuration of examples/innoway-to-thingsboard."""

    def __init__(self, lab, tb, file="calque.conf", mqtt=MQTT3):
        self.tb, self.south = tb, lab.broker("south")
        self.device = lab.add(InnowayDevice(self.south.port, InnowayThingsBoard.DEVICE))
        conf = lab.example("innoway-to-thingsboard", self.south, North(tb), {"north": f"mqtt = {mqtt};"} if mqtt else {}, file)
        self.calque = lab.calque(conf, env={"INNOWAY_TOKEN": "iw", "TB_TOKEN": "t1", "TB_PROVISION_KEY": "tb-key",
                                            "TB_PROVISION_SECRET": "tb-secret"})
        self.calque.wait_up(LINK, "south")


class North:
    """A ThingsBoard, where a broker is expected."""

    tls = None

    def __init__(self, tb):
        self.url = tb.url


@both
def test_both_ways_between_a_device_and_the_server(lab, tb, mqtt):
    cloud = tb.device("pump-7", token="t1")
    world = Pump(lab, tb, mqtt=mqtt)
    cloud.wait_ready()

    world.device.attributes(temp=21.5, on=True)
    assert_json(cloud.next_update(), {"temp": 21.5, "on": True})
    world.device.event("leak", zone=2)
    assert_json(cloud.next_telemetry(), {"leak": {"zone": 2}})

    cloud.push(on=True)  # the device has just said so, and the cloud wants it
    assert_json(world.device.next("config"), {"on": True})

    rpc = cloud.rpc("setFan", {"rpm": 900})
    command = world.device.next("command")
    assert_json({k: command[k] for k in ("name", "params")}, {"name": "setFan", "params": {"rpm": 900}})
    world.device.reply(command["id"], result={"ok": True})
    assert_json(rpc.result(), {"ok": True})

    rpc = cloud.rpc("serial")  # the server refuses its caller (406) what is no JSON
    world.device.reply(world.device.next("command")["id"], result="A-12 of 2009")
    assert rpc.result() == "A-12 of 2009"
    world.calque.stop()


def link_conf(south, tb, south_vars="", north_vars="", more=""):
    """One Innoway device and one ThingsBoard device."""
    return f"""state = "@state@";
links = ({{
  name = "pump-7";
  south = {{ dialect = "innoway"; url = "{south.url}"; username = "calque";
             vars = {{ device = "d"; token = "t"; {south_vars} }}; }};
  north = {{ dialect = "thingsboard"; url = "{tb.url}"; vars = {{ {north_vars} }}; {more} }};
}});
"""


@both
def test_as_much_as_the_server_takes_and_no_more(lab, tb, mqtt):
    """A packet of 65,536 bytes; one byte more would end the connection. What MQTT 5 adds by itself gives way."""
    cloud = tb.device("pump-7", token="t1")
    south = lab.broker("south")
    device = lab.add(InnowayDevice(south.port, "d"))
    calque = lab.calque(link_conf(south, tb, north_vars='token = "t1";', more=f"mqtt = {mqtt};"))
    calque.wait_up("pump-7", count=2)
    most = 65508 if mqtt == MQTT3 else 65507
    text = "x" * (most - len('{"a":""}'))
    device.publish("attribute", '{"a":"%sx"}' % text)
    calque.wait_log("dead-letter .*reason=too-large")
    device.publish("attribute", '{"a":"%s"}' % text)
    assert_json(cloud.next_update(), {"a": text})
    assert not calque.matching("session-down")
    calque.stop()


def test_an_image_is_as_large_as_the_server_sends_it(lab, tb):
    """Its limit is on what devices send."""
    image = bytes(range(256)) * 586
    cloud = tb.device("pump-7", token="t1")
    cloud.assign("F", "2.0", image)
    south = lab.broker("south")
    calque = lab.calque(f"""state = "@state@";
links = ({{ name = "pump-7"; south = {{ dialect = "thingsboard"; url = "{south.url}"; username = "calque"; }};
            north = {{ dialect = "thingsboard"; url = "{tb.url}"; vars = {{ token = "t1"; }}; }}; }});
""")
    calque.wait_up("pump-7", count=2)
    device = lab.add(Client(south.port)).subscribe("v2/fw/response/+/chunk/+")
    device.publish("v2/fw/request/1/chunk/0", b"")
    assert device.wait_for("v2/fw/response/1/chunk/0").payload == image
    calque.stop()


def test_a_gateway_is_a_device_too(lab, tb):
    """What it says of itself makes no device that is called as the link, and commands for it reach it."""
    cloud = tb.device("Gateway 7", token="t1", gateway=True)
    south = lab.broker("south")
    calque = lab.calque(f"""state = "@state@";
links = ({{ name = "fleet"; south = {{ dialect = "thingsboard-gateway"; url = "{south.url}"; username = "calque"; }};
            north = {{ dialect = "thingsboard-gateway"; url = "{tb.url}"; vars = {{ token = "t1"; }}; }}; }});
""")
    calque.wait_up("fleet", count=2)
    cloud.wait_ready()
    box = lab.add(Client(south.port)).subscribe("v1/devices/me/rpc/request/+", "v1/devices/me/attributes")
    box.publish("v1/devices/me/telemetry", {"load": 3})
    assert_json(cloud.next_telemetry(), {"load": 3})
    cloud.push(interval=60)
    box.expect("v1/devices/me/attributes", {"interval": 60})
    rpc = cloud.rpc("gateway_ping")
    asked = box.wait_for(lambda m: m.topic.startswith("v1/devices/me/rpc/request/"))
    box.publish(asked.topic.replace("request", "response"), {"code": 200})
    assert_json(rpc.result(), {"code": 200})
    assert list(tb.devices) == ["Gateway 7"]
    calque.stop()


def test_the_configuration_may_say_less(lab, tb):
    cloud = tb.device("pump-7", token="t1")
    south = lab.broker("south")
    device = lab.add(InnowayDevice(south.port, "d"))
    calque = lab.calque(link_conf(south, tb, north_vars='token = "t1";', more="limits = { packet_bytes = 200; };"))
    calque.wait_up("pump-7", count=2)
    device.attributes(a="x" * 200)
    calque.wait_log("dead-letter .*reason=too-large .*and thingsboard takes 200")
    device.attributes(a=1)
    assert_json(cloud.next_update(), {"a": 1})
    calque.stop()


def test_a_profile_may_rename_topics(lab, tb):
    """The filter of shared attributes is the profile's, and pushes come on the usual topic."""
    tb.profiles.append(Profile(telemetry="my/t", attributes="my/a", shared="my/shared"))
    cloud = tb.device("pump-7", token="t1", profile=tb.profiles[1])
    south = lab.broker("south")
    device = lab.add(InnowayDevice(south.port, "d"))
    names = 'telemetry_topic = "my/t"; attributes_topic = "my/a"; shared_attributes_topic = "my/shared";'
    calque = lab.calque(link_conf(south, tb, north_vars=f'token = "t1"; {names}'))
    calque.wait_up("pump-7", count=2)
    cloud.wait_ready()
    device.attributes(temp=21.5)
    assert_json(cloud.next_update(), {"temp": 21.5})
    cloud.push(rate=10)
    assert_json(device.next("config"), {"rate": 10})
    calque.stop()


def test_a_client_certificate_is_a_login(lab):
    """No token is waited for, and none is missed."""
    authority = lab.authority()
    with open(authority.client[0], encoding="ascii") as file:
        certificate = ssl.PEM_cert_to_DER_cert(file.read())
    with Server(tls=authority) as tb:
        cloud = tb.device("pump-7", certificate=certificate)
        south = lab.broker("south")
        device = lab.add(InnowayDevice(south.port, "d"))
        tls = f'tls = {{ ca = "{authority.ca}"; cert = "{authority.client[0]}"; key = "{authority.client[1]}"; }};'
        calque = lab.calque(link_conf(south, tb, more=tls))
        calque.wait_up("pump-7", count=2)
        device.attributes(temp=21.5)
        assert_json(cloud.next_update(), {"temp": 21.5})
        calque.stop()
        assert not calque.matching("unset=token")


def test_stock_firmware_has_a_subtopic_for_each_command(lab, tb):
    cloud = tb.device("pump-7", token="t1")
    south = lab.broker("south")
    calque = lab.calque(link_conf(south, tb, 'command_topics = "stock";', 'token = "t1";'))
    calque.wait_up("pump-7", count=2)
    cloud.wait_ready()
    firmware = lab.add(Client(south.port)).subscribe("messages/d/control_pump")
    rpc = cloud.rpc("control_pump", {"status": "on"})
    firmware.expect("messages/d/control_pump", {"status": "on"})
    assert rpc.result()["status"] == "done"
    assert "error" in cloud.rpc("attribute", {"status": "on"}).result(), "that subtopic is another message's"
    calque.stop()


@both
def test_a_device_gets_its_credentials_by_handshake(lab, tb, mqtt):
    world = Pump(lab, tb, "provisioning.conf", mqtt)
    world.device.attributes(early=True)
    answer = world.device.provision("pump seven", token="any")
    cloud = tb.devices["pump seven"]
    assert_json(cloud.next_update(), {"early": True})
    assert_provisioned(world, answer)


def assert_provisioned(world, answer):
    """With a token that calque chose, which is in no log."""
    cloud = world.tb.devices["pump seven"]
    assert_json(answer, {"device_id": InnowayThingsBoard.DEVICE, "status": "SUCCESS", "token": cloud.token})
    assert re.fullmatch("[A-Za-z0-9]{32}", cloud.token)
    world.device.attributes(temp=1)
    assert_json(cloud.next_update(), {"temp": 1})
    assert not world.calque.matching(cloud.token)
    world.calque.stop()


@both
def test_a_handshake_survives_a_connection_that_takes_the_answer_along(lab, tb, mqtt):
    """The device is made; asked once more, the server says FAILURE, and a login shows that it is this one."""
    tb.provision_answers = "cut"
    world = Pump(lab, tb, "provisioning.conf", mqtt)
    world.device.provision_start("pump seven", token="any")
    tb.wait_event("provision", "pump seven")
    tb.provision_answers = "sent"
    assert_provisioned(world, world.device.provision_answer())
    assert [e.fields["status"] for e in tb.find_events("provision")] == ["SUCCESS", "FAILURE"]


def test_a_handshake_survives_a_kill_before_its_answer(lab, tb):
    tb.provision_answers = "kept"
    world = Pump(lab, tb, "provisioning.conf")
    world.device.provision_start("pump seven", token="any")
    tb.wait_event("provision", "pump seven")
    world.calque.kill()
    tb.provision_answers = "sent"
    world.calque.start()
    assert_provisioned(world, world.device.provision_answer())


def test_a_name_that_is_somebody_elses_stays_refused(lab, tb):
    """Also if an answer was lost: the login is tried once, and is not let in."""
    tb.device("pump seven", token="another's")
    world = Pump(lab, tb, "provisioning.conf")
    tb.provision_answers = "cut"
    world.device.provision_start("pump seven", token="any")
    tb.wait_event("provision", "pump seven")
    tb.provision_answers = "sent"
    assert world.device.provision_answer() == {"status": "FAILURE", "message": "Failed to provision device!"}
    assert len(world.calque.matching("login-tried ")) == 1
    assert world.device.provision("pump seven")["status"] == "FAILURE"
    assert len(world.calque.matching("login-tried ")) == 1, "this question had its answer"
    world.calque.stop()


def test_a_release_that_answers_no_subscribe_of_a_handshake(lab, tb):
    tb.is_before_3_9 = True
    world = Pump(lab, tb, "provisioning.conf")
    assert_provisioned(world, world.device.provision("pump seven", token="any"))


def mqtt_of(world):
    return next(s["mqtt"] for s in link_of(world.calque, LINK)["sessions"] if s["side"] == "north")


@pytest.mark.parametrize("versions, mqtt", [((3, 4, 5), 5), ((3, 4), 4)], ids=["new", "old"])
def test_mqtt_5_is_tried_first(lab, tb, versions, mqtt):
    """A server that does not know it answers in the form of 3.1.1; then 3.1.1 is remembered."""
    tb.versions = versions
    cloud = tb.device("pump-7", token="t1")
    world = Pump(lab, tb, mqtt=None)
    cloud.wait_ready()
    assert mqtt_of(world) == mqtt
    world.device.attributes(temp=1)
    assert_json(cloud.next_update(), {"temp": 1})
    mark = tb.mark()
    cloud.disconnect()
    world.device.attributes(temp=2)
    assert_json(cloud.next_update(), {"temp": 2})
    assert mqtt_of(world) == mqtt
    assert not tb.find_events("close", since=mark, why="protocol version")
    world.calque.stop()


def test_a_wrong_token_does_not_lead_to_mqtt_3(lab, tb):
    tb.device("pump-7", token="another")
    world = Pump(lab, tb, mqtt=None)
    world.calque.wait_log("login-refused .*side=north")
    assert mqtt_of(world) == 5
    world.calque.stop()


@both
def test_a_filter_that_the_server_refuses_costs_its_kinds_and_no_more(lab, tb, mqtt):
    """And one granted at QoS 0 costs nothing but a warning. Both are asked for again with the next login."""
    cloud = tb.device("pump-7", token="t1")
    tb.grants = {"v1/devices/me/rpc/response/+": 0x87 if mqtt == MQTT5 else 0x80, "v1/devices/me/attributes": 0}
    world = Pump(lab, tb, mqtt=mqtt)
    world.calque.wait_up(LINK, "north")
    world.calque.wait_log(r"warning subscription-refused .*side=north filter=v1/devices/me/rpc/response/\+ kinds=request_reply,limits code=1")
    world.calque.wait_log(r"warning subscription-lowered .*side=north filter=v1/devices/me/attributes kinds=\S*config\S* "
                          r'reason="granted QoS 0, asked for 1: what comes may be lost"')
    world.device.attributes(temp=21.5)
    assert_json(cloud.next_update(), {"temp": 21.5})
    cloud.push(rate=10)
    assert_json(world.device.next("config"), {"rate": 10})
    north = next(s for s in status(world.calque)["links"][0]["sessions"] if s["side"] == "north")
    assert north["state"] == "up"
    assert re.search("filter=v1/devices/me/rpc/response/[+] kinds=request_reply,limits .*; filter=.*config", north["degraded"]) or \
        re.search("config.*; filter=v1/devices/me/rpc/response/[+] kinds=request_reply,limits ", north["degraded"]), north
    assert "filter=v1/devices/me/rpc/response/+ kinds=request_reply,limits" in Verb(world.calque, "status").out
    tb.grants = {}
    mark = world.calque.mark()
    tb.cut()
    world.calque.wait_up(LINK, "north", mark)
    assert "degraded" not in json.dumps(status(world.calque))
    world.calque.stop()


def test_what_was_not_acknowledged_is_sent_again(lab, tb):
    """The server ends the connection with acknowledgements unwritten: everything is there, in order."""
    cloud = tb.device("pump-7", token="t1")
    world = Pump(lab, tb)
    cloud.wait_ready()
    tb.ack_delay = 60
    for n in range(50):
        world.device.attributes(n=n)
    tb.wait(lambda: len(cloud.updates) == 50)
    tb.ack_delay = 0
    tb.cut()
    world.device.attributes(n=50)
    tb.wait(lambda: cloud.updates and cloud.updates[-1] == {"n": 50})
    assert [u["n"] for u in cloud.updates] == [*range(50), *range(51)]
    world.calque.stop()


def test_what_the_server_answers_by_closing_is_found_and_the_rest_goes_on(lab, tb):
    """One message, of many that wait. (Pauses and pings take their time: about half a minute.)"""
    cloud = tb.device("pump-7", token="t1")
    world = Pump(lab, tb)
    cloud.wait_ready()
    tb.verdict = lambda _device, publish: "close" if json.loads(publish.payload) == {"n": 7} else None
    for n in range(30):
        world.device.attributes(n=n)
    world.calque.wait_log(f"warning slow-start link={LINK} side=north")
    world.calque.wait_log(f"warning message-suspected link={LINK} side=north")
    world.calque.wait_log(rf'dead-letter link={LINK} flow=up reason=broker-refused detail="the far side ends', timeout=60)
    tb.wait(lambda: {u["n"] for u in cloud.updates} == {*range(30)} - {7})
    assert "another client" not in world.calque.log()
    cloud.push(rate=10)
    assert_json(world.device.next("config"), {"rate": 10})
    world.calque.stop()


def test_what_the_server_never_acknowledges_is_told_and_sent_again(lab, tb):
    """A gateway's token whose device is no gateway."""
    tb.device("gate", token="g")
    south = lab.broker("south")
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "fleet",
        "south": {"dialect": "innoway", "url": south.url, "username": "calque", "vars": {"token": "t"}},
        "north": {"dialect": "thingsboard-gateway", "url": tb.url, "vars": {"token": "g"}, "ack_timeout": 5}}]}))
    calque.wait_up("fleet", count=2)
    devices = lab.add(Client(south.port))
    devices.publish("messages/d1/attribute", {"temp": 21.5})
    calque.wait_log(r"warning not-acknowledged link=fleet side=north messages=\d+ .*want a gateway")
    north = next(s for s in status(calque)["links"][0]["sessions"] if s["side"] == "north")
    assert north["state"] == "up" and "want a gateway" in north["late"]
    assert north["late"] in Verb(calque, "status").out
    calque.wait_log(r'session-down link=fleet side=north reason="no acknowledgement of what was sent" retry_ms=0')
    n = len(tb.find_events("unanswered"))
    tb.wait_event("unanswered", count=n + 1)
    assert status(calque)["links"][0]["up"]["dead"] == 0
    calque.stop()


def test_a_server_that_is_killed_over_and_over_makes_no_dead_letter(lab, tb):
    """Whatever was in flight: it is not to blame. CALQUE_SOAK_S: for so many seconds."""
    cloud = tb.device("pump-7", token="t1")
    world = Pump(lab, tb)
    cloud.wait_ready()
    end = time.monotonic() + int(os.environ.get("CALQUE_SOAK_S", "0"))
    n = lives = 0
    while lives < 5 or time.monotonic() < end:
        mark = tb.mark()
        for n in range(n + 1, n + 6):
            world.device.attributes(n=n)
        tb.wait_event("publish", "pump-7", mark, timeout=90)
        tb.stop()
        tb.start()
        lives += 1
    tb.wait(lambda: {u["n"] for u in cloud.updates} == {*range(1, n + 1)}, timeout=90)
    tb.wait(lambda: status(world.calque)["links"][0]["up"]["pending"] == 0)
    assert status(world.calque)["links"][0]["up"]["dead"] == 0
    print(f"killed {lives} times, {n} messages, none dead")
    world.calque.stop()


@both
@pytest.mark.parametrize("limits", ["", "limits = { messages_per_second = 40; };"], ids=["unknown", "known"])
def test_a_rate_limit_of_the_server_is_found_and_kept_to(lab, tb, mqtt, limits):
    """It ends the connection (3.1.1), or says 0x97 and goes on (5); one that is known is not even touched."""
    cloud = tb.device("pump-7", token="t1")
    south = lab.broker("south")
    calque = lab.calque(link_conf(south, tb, north_vars='token = "t1";', more=f"mqtt = {mqtt}; {limits}"))
    calque.wait_up("pump-7", count=2)
    cloud.wait_ready()
    tb.limit("50:1")
    device = lab.add(Client(south.port))
    tb.stop()  # so that all of them come at once, however slow the machine
    for n in range(150):
        device.publish("messages/d/attribute", {"n": n})
    wait_status(calque, lambda s: s["links"][0]["up"]["received"] == 150)
    tb.start()
    tb.wait(lambda: {u["n"] for u in cloud.updates} == {*range(150)}, timeout=60)
    assert bool(tb.find_events("over-limit")) == (not limits)
    tb.wait(lambda: status(calque)["links"][0]["up"]["pending"] == 0)
    assert status(calque)["links"][0]["up"]["dead"] == 0
    calque.stop()


def test_the_servers_own_limits_are_asked_for_after_each_login(lab, tb):
    cloud = tb.device("pump-7", token="t1")
    tb.told_limits = {"maxPayloadSize": 65536, "maxInflightMessages": 2,
                      "rateLimits": {"messages": "50:1,600:60,", "telemetryMessages": "20:1", "telemetryDataPoints": None}}
    world = Pump(lab, tb)
    world.calque.wait_log(r"limits-told .*side=north packet_bytes=65536 in_flight=2 messages_per_second=10")
    tb.ack_delay = 60
    for n in range(10):
        world.device.attributes(n=n)
    tb.wait(lambda: len(cloud.updates) == 2)
    wait_status(world.calque, lambda s: s["links"][0]["sessions"][1]["waiting"] == 8)  # two are in flight
    tb.told_limits = {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits":
                      {"messages": None, "telemetryMessages": None, "telemetryDataPoints": None}}  # null: unlimited
    tb.ack_delay = 0
    mark = world.calque.mark()
    tb.cut()
    world.calque.wait_log("limits-told .* in_flight=100 messages_per_second=0", mark)
    tb.wait(lambda: cloud.updates and cloud.updates[-1] == {"n": 9})
    world.calque.stop()


def test_what_the_server_was_told_while_nobody_listened_is_asked_for(lab, tb):
    """It forgets pushes without a session. Only what is new is sent on: a knob that was turned at the device stays."""
    cloud = tb.device("pump-7", token="t1")
    cloud.push(old=1)
    world = Pump(lab, tb)
    cloud.wait_ready()
    cloud.push(rate=10)
    assert_json(world.device.next("config"), {"rate": 10})  # and not `old`, which the device may have long since
    world.device.attributes(rate=11)
    assert_json(cloud.next_update(), {"rate": 11})

    world.calque.stop()
    assert cloud.push(mode="eco") == 0
    cloud.delete("old")
    cloud.push(fw_title="pump", fw_version="2.0", fw_url="https://host/pump-2.0")
    world.calque.start()
    assert_json(world.device.next("config"), {"mode": "eco", "deleted": ["old"]})
    assert world.device.next("fota_request")["version"] == "2.0"
    mark = tb.mark()
    tb.cut()
    tb.wait(lambda: any("/attributes/request/" in e.fields["topic"] for e in tb.find_events("publish", "pump-7", mark)))
    cloud.wait_ready()
    cloud.push(last=True)
    assert_json(world.device.next("config"), {"last": True})
    assert not world.device.client.waiting(world.device.topic("fota_request"))
    world.calque.stop()


def test_an_integer_that_jq_would_change_costs_its_key(lab, tb):
    """In a push, and in the answer after a login, where what is missing would be deleted."""
    cloud = tb.device("pump-7", token="t1")
    world = Pump(lab, tb)
    cloud.wait_ready()
    cloud.push(rate=10, serial=2**53 + 1)
    got = world.device.next("config")
    assert got in ({"rate": 10}, {"rate": 10, "serial": 2**53 + 1})  # jq 1.7 keeps it
    if "serial" not in got:
        world.calque.wait_log("dead-letter link=pump-7 flow=down reason=wide-integer")
    world.calque.stop()
    assert cloud.push(mode="eco") == 0
    world.calque.start()
    assert_json(world.device.next("config"), {"mode": "eco"})
    world.calque.stop()


def fleet(lab, south, tb, **gateway):
    """Any Innoway devices behind one gateway session."""
    calque = lab.calque(conf_text({"state": "@state@", "links": [{
        "name": "fleet", "offline_delay": 0,
        "south": {"dialect": "innoway", "url": south.url, "username": "calque", "vars": {"token": "t"}},
        "north": {"dialect": "thingsboard-gateway", "url": tb.url, "vars": {"token": "g"} | gateway}}]}))
    calque.wait_up("fleet", count=2)
    return calque


def test_devices_behind_a_gateway(lab, tb):
    tb.device("gate", token="g", gateway=True)
    south = lab.broker("south")
    calque = fleet(lab, south, tb)
    devices = lab.add(Client(south.port)).subscribe("messages/+/command", "messages/+/config")

    devices.publish("messages/d1/online", {"online": True})
    devices.publish("messages/d1/attribute", {"temp": 21.5})
    devices.publish("messages/d2/event", {"name": "leak", "params": {"zone": 2}})
    tb.wait(lambda: {"d1", "d2"} <= tb.devices.keys())
    one, two = tb.devices["d1"], tb.devices["d2"]
    assert_json(one.next_update(), {"temp": 21.5})
    assert_json(two.next_telemetry(), {"leak": {"zone": 2}})

    one.push(rate=10)
    devices.expect("messages/d1/config", {"rate": 10})
    rpcs = {d: d.rpc("go") for d in (one, two)}
    for device, rpc in rpcs.items():
        command = devices.wait_for(f"messages/{device.name}/command").json()
        devices.publish(f"messages/{device.name}/command_reply",
                        {"id": command["id"], "status": "done", "result": {"by": device.name}})
        assert_json(rpc.result(), {"by": device.name})
    calque.stop()


def test_who_is_online_behind_a_gateway_is_said_after_each_login(lab, tb):
    """With the connection the server forgets them: a device that has nothing to say would get no command any more."""
    tb.device("gate", token="g", gateway=True)
    tb.limit(gateway="100:1")
    south = lab.broker("south")
    calque = fleet(lab, south, tb)
    calque.wait_log("limits-told .*side=north .* messages_per_second=100")
    devices = lab.add(Client(south.port)).subscribe("messages/+/command")
    for name, is_online in (("silent", True), ("gone", True), ("gone", False)):
        devices.publish(f"messages/{name}/online", {"online": is_online})
    devices.publish("messages/meter/attribute", {"kwh": 1})  # which never says that it is there
    tb.wait_event("gateway-device-gone", "gone")
    tb.wait_event("gateway-device", "meter")
    for end in (tb.cut, calque.kill):
        mark = tb.mark()
        end()
        tb.wait_event("gateway-device-gone", "silent", mark)
        if end == calque.kill:
            calque.start()
        tb.wait_event("gateway-device", "silent", mark)
        tb.wait_event("gateway-device", "meter", mark)
        rpc = tb.devices["silent"].rpc("go")
        devices.publish("messages/silent/command_reply", {"id": devices.wait_for("messages/silent/command").json()["id"],
                                                          "status": "done", "result": {"gone": True}})
        assert_json(rpc.result(), {"gone": True})
        assert not tb.find_events("gateway-device", "gone", mark)
    calque.stop()


def test_a_gateway_asks_what_it_and_its_devices_were_told_while_it_was_away(lab, tb):
    gate = tb.device("gate", token="g", gateway=True)
    south = lab.broker("south")
    calque = fleet(lab, south, tb, gateway="gate")
    devices = lab.add(Client(south.port)).subscribe("messages/+/config", "messages/+/fota_request")
    devices.publish("messages/d1/online", {"online": True})
    tb.wait_event("gateway-device", "d1")
    one = tb.devices["d1"]
    gate.wait_ready()
    gate.push(level=1)
    devices.expect("messages/gate/config", {"level": 1})
    one.push(rate=10, unit="C")
    devices.expect("messages/d1/config", {"rate": 10, "unit": "C"})

    calque.stop()
    assert one.push(rate=11) == gate.push(level=2) == 0
    one.delete("unit")
    calque.start()
    devices.expect("messages/gate/config", {"level": 2})
    devices.expect("messages/d1/config", {"rate": 11, "deleted": ["unit"]})
    calque.stop()
    one.push(fw_title="pump", fw_version="2.0", fw_url="https://host/pump-2.0")
    calque.start()
    assert devices.wait_for("messages/d1/fota_request").json()["version"] == "2.0"
    mark = tb.mark()
    devices.publish("messages/d1/online", {"online": False})
    tb.wait_event("gateway-device-gone", "d1", mark)
    assert one.push(rate=13) == 0
    devices.publish("messages/d1/online", {"online": True})
    devices.expect("messages/d1/config", {"rate": 13})
    one.push(rate=12)
    devices.expect("messages/d1/config", {"rate": 12})
    calque.stop()
