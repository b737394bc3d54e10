"""Faults that must be survived: connections that break in every way, brokers that do not do what they should.

What a broker sends that no broker should is in test_hostile.py; kills of the bridge itself are in test_journal.py, brokers
that are restarted or stay away in test_sessions.py.

Longer: CALQUE_TEST_MESSAGES=100000 (in TLS records), CALQUE_TEST_STOPS=500 (under load).
"""

import os
import re
import socket
import subprocess
import threading

import pytest

from faulty import (CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBSCRIBE, FakeBroker, Proxy, make_connack,
                    make_connect, make_packet, make_suback)
from harness import MQTT3, MQTT5, Client, find_program
from verbs import wait_status
from worlds import Plains

MANY = int(os.environ.get("CALQUE_TEST_MESSAGES", "1000"))


def retries(calque, event, link):
    """The waits in ms that the log tells of."""
    lines = calque.matching(rf" {event} link={link} ")
    return [int(re.search(r"retry_ms=(\d+)", line)[1]) for line in lines]


# --- the connection ----------------------------------------------------------------------------------------------

def test_connections_cut_in_the_middle_of_a_packet(lab):
    """Of a PUBLISH to us and of one of ours, twice each; of an acknowledgement to us and of one of ours."""
    broker = lab.broker("broker")
    south, north = lab.add(Proxy(broker.port)), lab.add(Proxy(broker.port))
    world = Plains(lab, {"cut": {"south": {"url": south.url}, "north": {"url": north.url}}}, broker=broker)
    world.wait_up("cut")
    world.assert_passes("cut")
    south.cut_in("down", PUBLISH, (10, 50))
    north.cut_in("up", PUBLISH, (20, 60))
    south.cut_in("up", PUBACK, (70,))
    north.cut_in("down", PUBACK, (5,))
    world.say("cut", range(200))
    heard = world.hear("cut", 200)
    assert south.counts["cuts"] == 3 and north.counts["cuts"] == 3
    assert list(dict.fromkeys(heard)) == list(range(200)), "something is lost or out of order"
    in_flight = 20 + 60 + 100 + 3 * 20  # at each cut: what north was sent, or the bridge's window of 100; south, the broker's
    assert len(heard) <= 200 + in_flight, "what had been acknowledged was sent again"
    world.calque.stop()


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_one_byte_at_a_time(lab, mqtt):
    broker = lab.broker("broker")
    proxies = {side: lab.add(Proxy(broker.port, chunk=1)) for side in ("south", "north")}
    world = Plains(lab, {"slow": {s: {"url": p.url, "mqtt": mqtt} for s, p in proxies.items()}}, broker=broker)
    world.wait_up("slow")
    world.assert_passes("slow", 100)
    assert not world.calque.matching("session-down")
    world.calque.stop()


@pytest.mark.parametrize("mqtt", [MQTT3, MQTT5])
def test_several_packets_in_one_tls_record(lab, mqtt):
    """libmosquitto before 2.1 leaves them in OpenSSL, for ever, once it has sent about 278 packets."""
    broker = lab.broker("broker", extra="max_inflight_messages 1000")
    ca = lab.authority()
    proxies = {side: lab.add(Proxy(broker.port, ca, delay=0.002)) for side in ("south", "north")}
    world = Plains(lab, {"tls": {s: {"url": p.url, "mqtt": mqtt, "tls": {"ca": ca.ca}} for s, p in proxies.items()}},
                   broker=broker)
    world.wait_up("tls")
    world.say("tls", range(MANY), wait=False)
    assert world.hear("tls", MANY) == list(range(MANY))
    assert proxies["south"].counts["gathered"] > 10 and proxies["north"].counts["gathered"] > 1
    assert not world.calque.matching("session-down")
    world.calque.stop()


def test_a_peer_that_is_gone_without_a_word_is_noticed(lab):
    """One link idle, one that waits for an acknowledgement. The pings that are not answered tell the time."""
    broker = lab.broker("broker")
    idle, busy = lab.add(Proxy(broker.port)), lab.add(Proxy(broker.port))
    world = Plains(lab, {"idle": {"south": {"url": idle.url, "keepalive": 5}},
                         "busy": {"north": {"url": busy.url, "keepalive": 5}}, "good": {}}, broker=broker)
    for link in world.links:
        world.wait_up(link)
    world.assert_passes("busy")
    busy.wait_count(("down", PUBACK))
    mark = world.calque.mark()
    idle.freeze()
    busy.freeze()
    world.say("busy", range(1, 11))
    world.assert_passes("good", 10)
    world.calque.wait_log("session-down link=idle side=south .*no answer to a ping", mark)
    world.calque.wait_log("session-down link=busy side=north .*(no answer to a ping|timed out)", mark)
    for link, side in (("idle", "south"), ("busy", "north")):
        world.calque.wait_up(link, side, mark)
    assert world.hear("busy", 10) == list(range(1, 11))
    world.assert_passes("idle")
    world.calque.stop()


# --- logins ------------------------------------------------------------------------------------------------------

def test_two_clients_with_one_id_do_not_fight_at_full_speed(lab):
    """A twin that comes back at once each time. MQTT 5 may tell what happened; else it can only be guessed."""
    broker = lab.broker("broker")
    telling = lab.add(FakeBroker({SUBSCRIBE: lambda _, p: make_suback(p, [1], MQTT5) + make_packet(DISCONNECT, b"\x8e")}))
    world = Plains(lab, {"twin": {"south": {"client_id": "twin"}},
                         "told": {"south": {"url": telling.url, "mqtt": MQTT5}}, "good": {}}, broker=broker)
    for i in range(1, 4):
        world.calque.wait_up("twin", "south", count=i)
        lab.add(take_id(broker, "twin"))
    world.calque.wait_log("session-down link=twin side=south", count=3)
    world.calque.wait_log("session-down link=twin side=south .*does another client use this client id")
    world.calque.wait_log("error session-down link=told side=south .*session taken over, another client")
    guessed, told = retries(world.calque, "session-down", "twin"), retries(world.calque, "session-down", "told")
    assert guessed[0] >= 500 and guessed[1] >= 1000 and guessed[2] >= 2000, guessed
    assert told[0] >= 15000, told
    world.wait_up("good")
    world.assert_passes("good", 10)
    world.calque.stop()


def take_id(broker, client_id):
    """Log in with this id, and stay until the socket is closed."""
    sock = socket.create_connection(("127.0.0.1", broker.port))
    sock.sendall(make_connect(client_id))
    assert sock.recv(4)[0] == CONNACK << 4
    return sock


def once(bad, kind):
    """A broker whose first answer to this kind of packet is bad(connection, packet)."""
    broker = FakeBroker()
    usual = broker.answers[kind]
    broker.answers[kind] = lambda c, p: bad(c, p) if c.number == 1 else usual(c, p)
    return broker


def test_what_is_refused_is_said_and_asked_for_again(lab):
    """All refusals at once, since the next try is 15 to 30 s away: nobody gets locked out by us."""
    refusals = {
        "login-3": (MQTT3, CONNECT, lambda c, p: make_connack(5), r"login-refused .*code=5 reason=\"not authorised\""),
        "login-5": (MQTT5, CONNECT, lambda c, p: make_connack(0x86, MQTT5),
                    r"login-refused .*code=134 reason=\"bad user name or password\""),
    }
    brokers = {link: lab.add(once(bad, kind)) for link, (_, kind, bad, _) in refusals.items()}
    links = {link: {"south": {"url": brokers[link].url, "mqtt": mqtt}} for link, (mqtt, _, _, _) in refusals.items()}
    hanging = {"hanging": {"south": {"url": "mqtt://south.hangs.invalid"}}}
    world = Plains(lab, {**links, **hanging, "good": {}}, env=hanging_lookup(lab.directory))
    for link, (_, _, _, pattern) in refusals.items():
        line = world.calque.wait_log(rf"error {pattern.replace(' .*', f' link={link} side=south .*', 1)}")
        assert 15000 <= int(re.search(r"retry_ms=(\d+)", line)[1]) <= 30000, line
        assert not world.calque.matching(f"session-up link={link} side=south")
    world.wait_up("good")
    world.assert_passes("good", 10)
    world.calque.wait_log("lookup-slow link=hanging side=south host=south.hangs.invalid")
    for link in refusals:
        world.calque.wait_up(link, "south")
    world.calque.stop()


# --- names -------------------------------------------------------------------------------------------------------

HANGING_LOOKUP = """\
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	while (node && strstr(node, ".hangs.invalid"))
		pause();
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, result);
}
"""


def hanging_lookup(directory):
    """Environment for a process whose lookups of NAME.hangs.invalid never end."""
    source, library = (os.path.join(directory, "lookup" + s) for s in (".c", ".so"))
    with open(source, "w", encoding="utf-8") as file:
        file.write(HANGING_LOOKUP)
    subprocess.run([find_program("cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    asan = os.environ.get("ASAN_OPTIONS")
    return {"LD_PRELOAD": library,
            "ASAN_OPTIONS": ":".join(filter(None, (asan, "verify_asan_link_order=0")))}


def test_a_lookup_that_hangs_holds_up_nothing(lab):
    """Not the other link, not its reconnect, and not the end of the bridge."""
    broker = lab.broker("broker")
    proxy = lab.add(Proxy(broker.port))
    hanging = {f"lost-{i}": {side: {"url": f"mqtt://{side}-{i}.hangs.invalid:1883"} for side in ("south", "north")}
               for i in range(4)}
    world = Plains(lab, {**hanging, "good": {"south": {"url": proxy.url}}}, broker=broker,
                   env=hanging_lookup(lab.directory))
    world.wait_up("good")
    world.assert_passes("good", 10)
    mark = world.calque.mark()
    proxy.cut_in("down", PUBLISH)
    world.say("good", [10])
    world.calque.wait_up("good", "south", mark)
    assert world.hear("good", 1) == [10]
    world.calque.stop()
    assert not world.calque.matching("session-up link=lost")


# --- the end -----------------------------------------------------------------------------------------------------

STOPS = int(os.environ.get("CALQUE_TEST_STOPS", "8"))


def test_stops_under_load_lose_nothing(lab):
    """SIGTERM whenever 50 more messages have come through, again and again, while a client goes on publishing."""
    world = Plains(lab, {"load": {}})
    world.wait_up("load")
    is_over = threading.Event()
    said = []

    def load():
        while not is_over.wait(0.001):
            world.say("load", [len(said)])
            said.append(len(said))

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    try:
        for _ in range(STOPS):
            enough = len(world.client.received) + 50
            world.client.wait(lambda: len(world.client.received) >= enough, "50 more messages")
            world.calque.wait_log("started links=1", world.calque.restart())
    finally:
        is_over.set()
        thread.join()
    heard = world.hear("load", len(said))
    print(f"stops={STOPS} messages={len(said)} duplicates={len(heard) - len(said)}")
    assert sorted(set(heard)) == said
    assert len(heard) - len(said) <= 100 * STOPS, "more than what could be in flight"
    assert len(world.calque.matching("stop-forced")) < STOPS / 2, "new messages held up the end"
    world.calque.stop()


def test_a_stop_does_not_wait_for_ever_for_an_answer(lab):
    """The target takes everything and acknowledges nothing: after the limit the rest stays in the journal."""
    broker = lab.broker("broker")
    proxy = lab.add(Proxy(broker.port))
    world = Plains(lab, {"mute": {"north": {"url": proxy.url}}}, broker=broker)
    world.wait_up("mute")
    proxy.freeze()
    world.say("mute", range(50))
    proxy.wait_count("swallowed")
    wait_status(world.calque, lambda told: told["links"][0]["up"]["pending"] == 50)
    world.calque.stop()
    assert world.calque.matching("stop-forced")
    assert world.calque.counters("mute", "up")["pending"] == 50
    world.calque.start()
    assert world.hear("mute", 50) == list(range(50))
    world.calque.stop()


# --- two bridges -------------------------------------------------------------------------------------------------

def test_two_bridges_back_to_back_make_no_circle(lab):
    """One brings back what the other carries away. (With MQTT 3.1.1 nothing in a message can tell.)"""
    far = lab.broker("far")
    near = {"mqtt": MQTT5}
    away = Plains(lab, {"ring": {"south": near, "north": {"url": far.url, "mqtt": MQTT5}}})
    back = lab.calque(away.conf({"ring": {
        "south": {"dialect": "right", "url": far.url, "mqtt": MQTT5, "client_id": "back-south"},
        "north": {"dialect": "left", "mqtt": MQTT5, "client_id": "back-north"}}}), name="back")
    away.wait_up("ring")
    back.wait_up("ring", count=2)
    heard = lab.add(Client(far.port)).subscribe("right/ring/t")
    away.say("ring", range(20))
    for _ in range(20):
        heard.wait_for("right/ring/t")
    wait_status(back, lambda told: told["links"][0]["up"]["delivered"] == 20)  # all of it is back
    back.stop()
    away.say("ring", ["fence"])
    heard.wait_for(lambda m: m.json()["n"] == "fence")
    away.calque.stop()
    counters = away.calque.counters("ring", "up")
    assert counters["delivered"] == 21, counters
    assert counters["filtered"] == back.counters("ring", "up")["delivered"] > 0, counters
    assert len(heard.received) == 21
