"""The ThingsBoard of the other tests does what the real one does: seen by MQTT clients, byte by byte where it matters."""

import ssl

import paho.mqtt.client as paho
import pytest

from faulty import PUBLISH, make_publish
from harness import MQTT3, MQTT5, Client
from thingsboard import Profile, Server
from thingsboard.wire import Wire

TELEMETRY, ATTRIBUTES = "v1/devices/me/telemetry", "v1/devices/me/attributes"
RPC, RPC_REPLY = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
ASK, ANSWER = "v1/devices/me/attributes/request/", "v1/devices/me/attributes/response/"

both = pytest.mark.parametrize("mqtt", [MQTT3, MQTT5], ids=["mqtt3", "mqtt5"])


@pytest.fixture
def pump(tb):
    return tb.device("pump", token="t1")


@pytest.fixture
def log_in(lab, tb):
    """Makes a client of an MQTT library that is logged in and has subscribed."""
    def make(*filters, mqtt=MQTT3, token="t1"):
        client = lab.add(Client(tb.port, username=token, mqtt=mqtt))
        return client.subscribe(*(filters or (ATTRIBUTES, RPC + "+")))
    return make


# --- logins and sessions -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("username,password,client_id,code3,code5", [
    ("wrong", None, "c", 5, 0x86), ("u", "wrong", "c", 5, 0x86), (None, None, "c", 2, 0x85), (None, None, "", 5, 0x87),
    ("u", "p", "c", 0, 0), ("t1", None, "", 0, 0), ("provision", None, "", 0, 0), (None, None, "provision", 0, 0)])
@both
def test_logins(tb, pump, mqtt, username, password, client_id, code3, code5):
    tb.device("basic", username="u", password="p")
    assert Wire(tb, username, password, client_id, mqtt).login[1] == (code5 if mqtt == MQTT5 else code3)


@both
def test_no_login_while_it_is_not_ready(tb, pump, mqtt):
    tb.is_unavailable = True
    wire = Wire(tb, "t1", mqtt=mqtt)
    assert wire.login[1] == (0x88 if mqtt == MQTT5 else 3)
    assert wire.next() is None


def test_an_old_server_does_not_know_mqtt_5(tb, pump):
    tb.versions = (3, 4)
    wire = Wire(tb, "t1", mqtt=MQTT5)
    assert wire.login == (False, 1)


def trust(authority):
    context = ssl.create_default_context(cafile=authority.ca)
    context.load_cert_chain(*authority.client)
    return context


def test_a_certificate_is_a_login(lab):
    authority = lab.authority()
    with open(authority.client[0], encoding="ascii") as file:
        certificate = ssl.PEM_cert_to_DER_cert(file.read())
    with Server(tls=authority) as tb:
        device = tb.device("x", certificate=certificate)
        client = paho.Client(client_id="any")
        client.tls_set_context(trust(authority))
        client.connect("localhost", tb.port)
        client.loop_start()
        device.wait_online()
        client.disconnect()
        client.loop_stop()


@both
def test_nothing_is_kept_whatever_the_connack_says(tb, pump, mqtt):
    first = Wire(tb, "t1", client_id="c", mqtt=mqtt, clean=False)
    assert first.login == (True, 0)
    assert first.subscribe(ATTRIBUTES) == [1]
    assert pump.push(a=1) == 1
    first.read(PUBLISH)  # and no acknowledgement
    first.socket.close()
    tb.wait(lambda: not pump.is_online)
    assert pump.push(b=2) == 0
    again = Wire(tb, "t1", client_id="c", mqtt=mqtt, clean=False)
    assert again.login == (True, 0)
    assert pump.push(c=3) == 0, "no subscription is left"
    again.assert_quiet()
    again.subscribe(ATTRIBUTES)
    again.assert_quiet()
    again.publish(ASK + "1", {})
    assert again.read_publish() == (ANSWER + "1", b'{"shared":{"a":1,"b":2,"c":3}}')
    assert Wire(tb, "provision", client_id="d", mqtt=mqtt).login == (False, 0)


@both
def test_a_second_login_ends_the_first(tb, pump, mqtt):
    first, second = Wire(tb, "t1", mqtt=mqtt), Wire(tb, "t1", mqtt=mqtt)
    first.assert_closed(0x8E)
    second.assert_quiet()


# --- the device API ----------------------------------------------------------------------------------------------

@both
def test_telemetry_in_all_its_forms(tb, pump, log_in, mqtt):
    client = log_in(mqtt=mqtt)
    client.publish(TELEMETRY, {"temp": 21.5, "none": None})
    assert pump.next_sample()[1:] == ({"temp": 21.5, "none": None}, False)
    client.publish("v2/t", [{"ts": 1700000000000, "values": {"a": 1}}, {"b": 2}, {"ts": 5}])
    assert [tuple(pump.next_sample()) for _ in range(3)][0] == (1700000000000, {"a": 1}, True)
    assert [s.values for s in pump.telemetry[2:]] == [{"b": 2}, {"ts": 5}]
    assert not pump.telemetry[3].stamped, "ts without values is a key"


@both
def test_attributes_are_stored_and_asked_for(tb, pump, log_in, mqtt):
    client = log_in(mqtt=mqtt)
    client.publish(ATTRIBUTES, {"model": "A", "cfg": {"rate": 5}})
    assert pump.next_update() == {"model": "A", "cfg": {"rate": 5}}
    pump.push(rate=5, unit="C")
    for number, asked, answer in (
            (1, {}, {"client": {"model": "A", "cfg": {"rate": 5}}, "shared": {"rate": 5, "unit": "C"}}),
            (2, {"clientKeys": "model", "sharedKeys": "rate,nothing,"}, {"client": {"model": "A"}, "shared": {"rate": 5}}),
            (3, {"sharedKeys": "unit"}, {"shared": {"unit": "C"}}),
            (4, {"clientKeys": "nothing"}, {})):
        client.publish(f"{ASK}{number}", asked)
        client.expect(f"{ANSWER}{number}", answer)
    assert not [e for e in tb.find_events("subscribe") if ANSWER + "+" in e.fields["granted"]], "it came without asking"


@both
def test_nothing_is_echoed(tb, pump, mqtt):
    wire = Wire(tb, "t1", mqtt=mqtt)
    wire.subscribe(ATTRIBUTES, RPC + "+")
    wire.publish(ATTRIBUTES, {"a": 1})
    assert wire.read_puback() == (1, 0)
    wire.assert_quiet()


@both
def test_changes_of_shared_attributes_are_pushed(tb, pump, log_in, mqtt):
    client = log_in(mqtt=mqtt)
    pump.push(rate=10, unit="C")
    client.expect(ATTRIBUTES, {"rate": 10, "unit": "C"})
    pump.delete("unit")
    client.expect(ATTRIBUTES, {"deleted": ["unit"]})
    assert pump.shared == {"rate": 10}


@both
def test_rpc_and_its_reply(tb, pump, log_in, mqtt):
    client = log_in(mqtt=mqtt)
    for reply, status, body in ((b'{"ok":true}', 200, {"ok": True}), (b'"abc"', 200, "abc"), (b"", 200, None),
                                (b"abc", 406, None)):
        rpc = pump.rpc("setFan", {"rpm": 900})
        client.expect(f"{RPC}{rpc.id}", {"method": "setFan", "params": {"rpm": 900}})
        client.publish(f"{RPC_REPLY}{rpc.id}", reply)
        assert (rpc.wait(), rpc.body) == (status, body)
    tb.wait(lambda: rpc.delivered)
    assert rpc.id == 3, "numbers begin at 0"


def test_rpc_one_way_ends_when_it_is_sent(tb, pump, log_in):
    client = log_in()
    rpc = pump.rpc("reboot", oneway=True)
    assert rpc.status == 200
    client.expect(f"{RPC}0", {"method": "reboot", "params": {}})


def test_rpc_without_an_answer(tb, pump, log_in):
    assert pump.rpc("a", timeout=0.05).wait() == 409, "nobody was there"
    client = log_in()
    rpc = pump.rpc("b", timeout=0.05)
    assert rpc.wait() == 504
    client.publish(f"{RPC_REPLY}{rpc.id}", {"late": True})
    assert rpc.status == 504


def test_open_rpc_are_sent_again_under_their_id(tb, pump):
    rpc = pump.rpc("slow")
    wire = Wire(tb, "t1")
    wire.subscribe(RPC + "+")
    assert wire.read_publish()[0] == RPC + "0"
    wire.socket.close()
    again = Wire(tb, "t1")
    again.subscribe(RPC + "+")
    assert again.read_publish()[0] == RPC + "0"
    again.publish(RPC_REPLY + "0", b"1")
    assert rpc.result() == 1 and rpc.sent == 2


@both
def test_rpc_of_the_device(tb, pump, log_in, mqtt):
    tb.methods["getTime"] = lambda device, params: {"time": params["zone"]}
    tb.request_timeout = 0.05
    client = log_in(mqtt=mqtt)
    client.publish(RPC + "1", {"method": "getTime", "params": {"zone": 7}})
    client.expect(RPC_REPLY + "1", {"time": 7})
    client.publish("v2/r/req/2", {"method": "nobody"})
    client.expect("v2/r/res/2", {"error": "timeout"})
    assert pump.requests == [("getTime", {"zone": 7}), ("nobody", None)]


@both
def test_session_limits(tb, pump, log_in, mqtt):
    client = log_in(mqtt=mqtt)
    client.publish(RPC + "1", {"method": "getSessionLimits", "params": {}})
    unlimited = {"messages": None, "telemetryMessages": None, "telemetryDataPoints": None}
    client.expect(RPC_REPLY + "1", {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": unlimited})
    tb.limit(messages="20:1,1000:60")
    client.publish(RPC + "2", {"method": "getSessionLimits"})
    assert client.wait_for(RPC_REPLY + "2").json()["rateLimits"]["messages"] == "20:1,1000:60,"


def test_a_claim(tb, pump, log_in):
    client = log_in()
    client.publish("v1/devices/me/claim", {"secretKey": "s", "durationMs": 60000})
    client.publish("v1/devices/me/claim")
    assert pump.claims == [{"secretKey": "s", "durationMs": 60000}, {}]


def test_a_profile_renames_filters_but_not_the_topic_of_pushes(tb, log_in):
    tb.profiles.append(Profile(telemetry="my/+/t", shared="my/shared"))
    device = tb.device("mine", token="t2", profile=tb.profiles[1])
    client = log_in("my/shared", token="t2")
    client.publish("my/1/t", {"a": 1})
    assert device.next_telemetry() == {"a": 1}
    device.push(rate=1)
    client.expect(ATTRIBUTES, {"rate": 1})


# --- filters -----------------------------------------------------------------------------------------------------

@both
def test_filters_are_a_fixed_list(tb, pump, mqtt):
    wire = Wire(tb, "t1", mqtt=mqtt)
    refused = 0x8F if mqtt == MQTT5 else 0x80
    assert wire.subscribe(ATTRIBUTES, ANSWER + "+", "v1/gateway/rpc", "v2/fw/error", "v2/fw/response/+/chunk/+", "#",
                          "v2/fw/response/+", TELEMETRY, qos=2) == [1] * 5 + [refused] * 3
    tb.grants.update({"v2/fw/error": 0x80, ATTRIBUTES: 0})
    assert wire.subscribe("v2/fw/error", ATTRIBUTES) == [0x80, 0]
    pump.push(rate=1)
    assert wire.next().flags & 6 == 0, "with the QoS that was granted"


# --- what ends a connection --------------------------------------------------------------------------------------

@both
def test_packets_up_to_their_limit(tb, pump, mqtt):
    most = 65507 if mqtt == MQTT5 else 65508
    wire = Wire(tb, "t1", mqtt=mqtt)
    for size in (most, most + 1):
        wire.publish(ATTRIBUTES, b'{"a":"' + b"x" * (size - 8) + b'"}')
        if size == most:
            assert wire.read_puback() == (1, 0)
    wire.assert_closed(0x81)
    assert len(pump.updates) == 1


UNREADABLE = [(ATTRIBUTES, b"{"), (ATTRIBUTES, b"[1]"), (ATTRIBUTES, b"\xff"), (TELEMETRY, b"1"), (TELEMETRY, b"[1]"),
              (TELEMETRY, b'{"a":NaN}'), (ASK + "x", b"{}"), (ASK + "1", b""), (RPC + "1", b"[]")]
BROKEN = [(TELEMETRY, b'{"ts":"yesterday","values":{}}'), (RPC + "1", b'{"params":1}'), ("v2/fw/request/1/chunk/0", b"x")]


@pytest.mark.parametrize("topic,payload", UNREADABLE)
def test_an_unreadable_payload(tb, pump, topic, payload):
    """3.1.1: the end, and no PUBACK. MQTT 5: a PUBACK that says so."""
    wire = Wire(tb, "t1")
    wire.publish(topic, payload)
    assert wire.next() is None
    wire = Wire(tb, "t1", mqtt=MQTT5)
    wire.publish(topic, payload)
    assert wire.read_puback() == (1, 0x99)
    wire.publish(topic, payload, 0)
    wire.assert_closed(0x99)
    pump.profile.ack_invalid = True
    wire = Wire(tb, "t1")
    wire.publish(topic, payload)
    assert wire.read_puback() == (1, 0)


@pytest.mark.parametrize("topic,payload", BROKEN)
@both
def test_what_makes_it_stumble(tb, pump, mqtt, topic, payload):
    wire = Wire(tb, "t1", mqtt=mqtt)
    wire.publish(topic, payload)
    wire.assert_closed(0x8B)


@both
def test_an_unknown_topic_is_acknowledged(tb, pump, mqtt):
    wire = Wire(tb, "t1", mqtt=mqtt)
    wire.publish("my/topic", b"x")
    assert wire.read_puback() == (1, 0x90 if mqtt == MQTT5 else 0)


def test_what_was_stored_before_the_end_is_not_acknowledged(tb, pump):
    wire = Wire(tb, "t1")
    wire.send(b"".join(make_publish(TELEMETRY, p, mid) for mid, p in enumerate([b'{"n":1}', b'{"n":2}', b"bad"], 1)))
    assert wire.next() is None
    assert [s.values["n"] for s in pump.telemetry] == [1, 2]


def test_acknowledgements_that_are_late_are_lost_with_the_connection(tb, pump):
    tb.ack_delay = 60
    wire = Wire(tb, "t1")
    wire.publish(TELEMETRY, {"n": 1})
    wire.assert_quiet()
    assert pump.next_telemetry() == {"n": 1}
    wire.publish(TELEMETRY, b"bad")
    assert wire.next() is None


def burst(wire, n, topic=TELEMETRY):
    wire.send(b"".join(make_publish(topic, b'{"n":[{"n":%d}]}' % i, i + 1, wire.mqtt) for i in range(n)))


def test_over_the_rate_limit_the_connection_ends(tb, pump):
    tb.limit(messages="20:1000")
    wire = Wire(tb, "t1")
    burst(wire, 30)
    while wire.next():
        pass
    assert len(pump.telemetry) == 20
    tb.wait_event("close", "pump", why="rate limit")


def test_over_the_rate_limit_mqtt_5_is_told(tb, pump):
    tb.limit(messages="20:1000")
    wire = Wire(tb, "t1", mqtt=MQTT5)
    burst(wire, 30)
    assert sorted(wire.read_puback()[1] for _ in range(30)) == [0] * 20 + [0x97] * 10
    wire.assert_quiet()
    tb.limit_closes_5 = True
    burst(wire, 1)
    assert wire.read_puback() == (1, 0x97)
    wire.assert_closed(0x96)


@both
def test_over_the_rate_limit_the_gateway_api_acknowledges_and_drops(tb, mqtt):
    tb.device("gate", token="g", gateway=True)
    tb.limit(gateway="2:1000")
    wire = Wire(tb, "g", mqtt=mqtt)
    burst(wire, 5, "v1/gateway/telemetry")
    assert [wire.read_puback() for _ in range(3)] == [(1, 0), (2, 0), (3, 0x97 if mqtt == MQTT5 else 0)]
    wire.assert_closed(0x96)
    assert len(tb.devices["n"].telemetry) == 2


def test_verdicts_over_single_messages(tb, pump):
    tb.verdict = lambda device, p: {b'{"a":1}': "silent", b'{"a":2}': 0x97, b'{"a":3}': "close"}.get(p.payload)
    wire = Wire(tb, "t1", mqtt=MQTT5)
    for n in range(3):
        wire.publish(TELEMETRY, b'{"a":%d}' % n, n + 1)
    assert [wire.read_puback() for _ in range(2)] == [(1, 0), (3, 0x97)]
    wire.publish(TELEMETRY, b'{"a":3}')
    assert wire.next() is None
    assert [s.values for s in pump.telemetry] == [{"a": 0}]


def test_it_starts_again_on_its_port(tb, pump, log_in):
    client = log_in()
    rpc = pump.rpc("a")
    client.wait_for(f"{RPC}0")
    tb.stop()
    assert rpc.status == 504
    client.wait_lost()
    tb.start()
    client.wait_ready()
    assert pump.rpc("b").id == 0, "numbers begin again"
    client.expect(f"{RPC}0", {"method": "b", "params": {}})
