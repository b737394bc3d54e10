"""Innoway devices on ThingsBoard, with the configuration of examples/innoway-to-thingsboard."""

import os
import signal

import pytest

from harness import assert_json, children, dead_letter, memory
from verbs import Verb, link_of
from worlds import InnowayThingsBoard


@pytest.fixture(params=[(False, 4), (False, 5), (True, 4), (True, 5)],
                ids=["plain-mqtt3", "plain-mqtt5", "tls-mqtt3", "tls-mqtt5"])
def world(lab, request):
    tls, mqtt = request.param
    world = InnowayThingsBoard(lab, tls=tls, mqtt=mqtt)
    world.mqtt = mqtt
    yield world
    world.calque.stop()


@pytest.fixture
def plain(lab):
    world = InnowayThingsBoard(lab)
    yield world
    world.calque.stop()


def test_everything_crosses(world):
    """One of each kind, over each kind of session."""
    tb, device = world.tb, world.device

    device.attributes(temp=21.5, on=True, model="A", cfg={"rate": 5})
    assert_json(tb.attributes(), {"temp": 21.5, "on": True, "model": "A", "cfg": {"rate": 5}})

    device.event("leak", zone=2)
    assert_json(tb.telemetry(), {"leak": {"zone": 2}})

    tb.push(rate=10)
    assert_json(device.next("config"), {"rate": 10})

    number = tb.call("setFan", {"rpm": 900})
    command = device.next("command")
    assert_json({k: command[k] for k in ("name", "params")}, {"name": "setFan", "params": {"rpm": 900}})
    device.reply(command["id"], result={"ok": True})
    assert_json(tb.reply(number), {"ok": True})

    for broker, user, version in ((world.south, "calque", world.mqtt), (world.north, world.TB_TOKEN, 5)):
        assert {v for _, u, v in broker.logins() if u == user} == {"p2" if version == 4 else "p5"}


def test_free_subtopics_arrive_as_telemetry(plain):
    plain.device.publish("status", "running")
    assert_json(plain.tb.telemetry(), {"status": "running"})
    plain.device.publish("status", {"a": 1})
    assert_json(plain.tb.telemetry(), {"status": {"a": 1}})
    plain.device.publish("scan", b"\xff\xfe\x00")
    assert_json(plain.tb.telemetry(), {"scan": "//4A"})


def test_alarm_and_presence_arrive_as_telemetry(plain):
    plain.device.publish("alarm", {"active": True})
    assert_json(plain.tb.telemetry(), {"alarm": True})
    plain.device.publish("online", {"online": True})
    assert_json(plain.tb.telemetry(), {"online": True})


def test_messages_keep_their_order(plain):
    for i in range(200):
        plain.device.attributes(n=i)
    assert [plain.tb.attributes()["n"] for _ in range(200)] == list(range(200))


def test_integers_and_text_keep_their_spelling(plain):
    plain.device.attributes(counter=9007199254740991, name="bơm số 7 – 泵", small=0.1)
    assert_json(plain.tb.attributes(), {"counter": 9007199254740991, "name": "bơm số 7 – 泵", "small": 0.1})


def test_deleted_shared_attributes_come_down(plain):
    plain.tb.push(rate=10, unit="C")
    assert_json(plain.device.next("config"), {"rate": 10, "unit": "C"})
    plain.tb.delete("unit")
    assert_json(plain.device.next("config"), {"deleted": ["unit"]})


def test_a_push_of_what_is_held_is_sent_again(plain):
    for rate in (10, 10, 11):
        plain.tb.push(rate=rate)
        assert_json(plain.device.next("config"), {"rate": rate})


def test_rpc_errors_go_up_as_errors(plain):
    number = plain.tb.call("setFan")
    command = plain.device.next("command")
    plain.device.reply(command["id"], status="in_progress")
    plain.device.reply(command["id"], status="error", message="no fan")
    assert_json(plain.tb.reply(number), {"error": "no fan"})


def test_the_log_names_the_device_and_the_far_id_of_a_dead_letter(plain):
    plain.tb.client.publish("v1/devices/me/rpc/request/77", "{")
    plain.calque.wait_log(dead_letter(plain.LINK, "down") + r" .*device=\S+ far_id=77\b")


def test_several_rpcs_are_open_at_once(plain):
    numbers = [plain.tb.call("echo", {"n": n}) for n in range(5)]
    commands = [plain.device.next("command") for _ in numbers]
    assert len({c["id"] for c in commands}) == 5
    for command in reversed(commands):
        plain.device.reply(command["id"], result=command["params"])
    for n, number in enumerate(numbers):
        assert_json(plain.tb.reply(number), {"n": n})


def test_a_device_publishing_what_it_was_sent_makes_no_loop(plain):
    plain.tb.push(rate=10)
    assert_json(plain.device.next("config"), {"rate": 10})
    plain.device.attributes(rate=10)
    assert_json(plain.tb.attributes(), {"rate": 10})
    plain.device.attributes(fence=1)
    assert_json(plain.tb.attributes(), {"fence": 1})
    assert not plain.device.client.waiting()
    assert not plain.tb.client.waiting(plain.tb.ATTRIBUTES)


def test_rpc_answered_after_a_restart(plain):
    number = plain.tb.call("slow")
    command = plain.device.next("command")
    plain.restart()
    plain.device.reply(command["id"], result="late")
    assert plain.tb.reply(number) == "late"


# --- provisioning ------------------------------------------------------------------------------------------------

@pytest.fixture(params=[(False, 4), (True, 5)], ids=["plain-mqtt3", "tls-mqtt5"])
def fresh(lab, request):
    """A link that has no credentials yet."""
    world = InnowayThingsBoard(lab, "provisioning.conf", *request.param)
    yield world
    if world.calque.is_running():
        world.calque.stop()


def assert_success(answer):
    assert_json(answer, {"device_id": InnowayThingsBoard.DEVICE, "status": "SUCCESS", "token": InnowayThingsBoard.ISSUED})


def test_provisioning(fresh):
    """The whole handshake; what came up before it waits and is delivered after it; a restart needs none."""
    fresh.device.attributes(early=True)
    assert_success(fresh.device.provision("pump seven", token=fresh.IW_TOKEN))
    assert len(fresh.tb.requests) == 1
    request = fresh.tb.requests[0]
    assert_json({k: request[k] for k in ("deviceName", "provisionDeviceKey", "provisionDeviceSecret")},
                {"deviceName": "pump seven", "provisionDeviceKey": fresh.KEY,
                 "provisionDeviceSecret": fresh.SECRET})
    assert None not in request.values(), "ThingsBoard chokes on null"

    fresh.calque.wait_up(fresh.LINK, "north")
    fresh.north.wait_login("provision")
    fresh.north.wait_login(fresh.ISSUED)
    assert_json(fresh.tb.attributes(), {"early": True})
    fresh.device.attributes(temp=1)
    assert_json(fresh.tb.attributes(), {"temp": 1})

    at_restart = fresh.north.mark()
    fresh.restart()
    fresh.device.attributes(temp=2)
    assert_json(fresh.tb.attributes(), {"temp": 2})
    users = {user for _, user, _ in fresh.north.logins(at_restart)}
    assert users == {fresh.ISSUED}


def test_asking_again_gets_the_same_answer(fresh):
    assert_success(fresh.device.provision("pump seven", token=fresh.IW_TOKEN))
    assert_success(fresh.device.provision("pump seven"))
    fresh.restart()
    assert_success(fresh.device.provision("pump seven"))
    assert len(fresh.tb.requests) == 1


def test_a_refused_handshake_is_told_and_can_be_repeated(fresh):
    fresh.tb.key = "another key"
    answer = fresh.device.provision("pump seven", token=fresh.IW_TOKEN)
    assert answer["status"] == "NOT_FOUND" and "token" not in answer
    fresh.tb.key = fresh.KEY
    assert_success(fresh.device.provision("pump seven"))


def test_old_topics_with_a_slash_are_answered_with_a_slash(fresh):
    assert_success(fresh.device.provision("pump seven", slash=True, token=fresh.IW_TOKEN))


def test_killed_in_the_middle_of_a_handshake(fresh):
    """No answer yet, SIGKILL, start: asked again, answered once it can be."""
    fresh.tb.answers = False
    fresh.device.provision_start("pump seven", token=fresh.IW_TOKEN)
    fresh.tb.client.wait_for("/provision/request")
    fresh.calque.kill()
    fresh.tb.answers = True
    mark = fresh.calque.mark()
    fresh.calque.start()
    fresh.calque.wait_up(fresh.LINK, "south", since=mark)
    assert_success(fresh.device.provision_answer())
    fresh.device.attributes(temp=1)
    assert_json(fresh.tb.attributes(), {"temp": 1})


FAILURE = {"status": "FAILURE", "message": "another device has this link"}


def test_a_link_belongs_to_the_configured_name(fresh):
    """A stranger causes no handshake; nor does a second one who does not say who it is."""
    assert_json(fresh.device.provision("evil", token=fresh.IW_TOKEN), FAILURE)
    fresh.calque.wait_log(f'handshake-refused link={fresh.LINK} name=evil reason="another device has this link"')
    assert_success(fresh.device.provision("pump seven"))
    fresh.device.client.publish("provision/request", {"provision_key": "iw-key", "provision_secret": "iw-secret"})
    assert_json(fresh.device.provision_answer(),
                {"status": "FAILURE", "message": "another device without a name was here before"})
    assert [request["deviceName"] for request in fresh.tb.requests] == ["pump seven"]
    assert link_of(fresh.calque, fresh.LINK)["belongs_to"] == "pump seven"


def test_a_link_belongs_to_the_first_that_logs_in(lab):
    """Until an operator has it forget that device."""
    world = InnowayThingsBoard(lab, "provisioning.conf", start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    assert ' name = "pump seven";' in conf
    world.calque.configure(conf.replace(' name = "pump seven";', ""))
    world.calque.start()
    world.wait_up(north=False)
    world.calque.wait_log(r"provision\.name: not set")
    assert_success(world.device.provision("pump seven", token=world.IW_TOKEN))
    world.calque.wait_log(f'device-bound link={world.LINK} name="pump seven"')
    logins = world.north.mark()
    assert_json(world.device.provision("evil"), FAILURE)
    assert "link pump-7 of pump seven\n" in Verb(world.calque, "status").out
    assert Verb(world.calque, "devices", "forget", "evil").status == 2
    done = Verb(world.calque, "devices", "forget", "pump seven", "--json")
    assert done.items() == [{"link": world.LINK, "name": "pump seven"}]
    assert not [user for _, user, _ in world.north.logins(logins) if user == world.ISSUED]
    assert "belongs_to" not in link_of(world.calque, world.LINK)
    assert_success(world.device.provision("another"))
    world.calque.wait_log(f"device-bound link={world.LINK} name=another")
    world.calque.stop()
    done = Verb(world.calque, "devices", "forget", "another")
    assert (done.status, done.out) == (0, "link pump-7 has forgotten another: it is free for the next device\n")
    mark = world.calque.mark()
    world.calque.start()
    world.calque.wait_log("session-waits .*no credentials yet", mark)
    world.calque.wait_log("started ", mark)
    world.calque.stop()


def test_a_question_that_could_not_be_put_is_settled_with_its_handshake(lab):
    """Without the authority's certificate the short-lived session cannot even be made."""
    world = InnowayThingsBoard(lab, "provisioning.conf", tls=True, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    world.calque.configure(conf.replace(f'= "{world.LINK}";', f'= "{world.LINK}"; request_timeout = 1;', 1))
    world.calque.start()
    world.wait_up(north=False)
    os.rename(world.north.tls.ca, world.north.tls.ca + ".gone")
    world.device.provision_start("pump seven", token=world.IW_TOKEN)
    world.calque.wait_log("session-failed .*session=provisioning")
    assert world.device.provision_answer()["status"] == "FAILURE"
    os.rename(world.north.tls.ca + ".gone", world.north.tls.ca)
    world.calque.stop()
    counters = world.calque.counters(world.LINK, "up")
    assert (counters["received"], counters["delivered"], counters["pending"]) == (1, 1, 0), counters


# --- secrets -----------------------------------------------------------------------------------------------------

def test_what_runs_mappings_knows_no_secret(fresh):
    """After a handshake, which carries them through mappings, and with workers that came after it."""
    assert_success(fresh.device.provision("pump seven", token=fresh.IW_TOKEN))
    fresh.calque.wait_up(fresh.LINK, "north")
    old = children(fresh.calque, "calque-worker")
    os.kill(old[0], signal.SIGKILL)
    for n in range(20):
        fresh.device.attributes(n=n)
        assert_json(fresh.tb.attributes(), {"n": n})
    fresh.calque.wait_log("worker-replaced")
    with open(os.path.join(fresh.calque.state, "key"), "rb") as file:
        key = file.read()
    canaries = [text.encode() for text in (fresh.IW_TOKEN, fresh.ISSUED, fresh.KEY, fresh.SECRET)] + [key]
    try:
        of_bridge = memory(fresh.calque.pid)
    except PermissionError:
        pytest.skip("another process's memory is for root")
    assert all(canary in of_bridge for canary in canaries), "or they would not be found in others, either"
    with open(f"/proc/{fresh.calque.pid}/maps", encoding="utf-8") as maps:
        if "libasan" in maps.read():  # which keeps a copy of the environment
            canaries = [fresh.ISSUED.encode(), key]
    with open(f"/proc/{fresh.calque.pid}/environ", "rb") as file:
        assert not file.read().strip(b"\0")
    others = children(fresh.calque)
    assert len(others) >= 3 and set(others) - set(old)
    for pid in others:
        held = memory(pid)
        with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
            assert not [canary for canary in canaries if canary in held], comm.read()
