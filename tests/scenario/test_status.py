"""calque status, and the control socket through which it asks."""

import json
import os
import re
import stat
import subprocess
import sys
import threading

import pytest

from harness import LIMIT
from verbs import Verb, ask_until, connect, status, wait_status
from worlds import InnowayThingsBoard


@pytest.fixture
def world(lab):
    world = InnowayThingsBoard(lab)
    yield world
    if world.calque.is_running():
        world.calque.stop()


def assert_adds_up(counters):
    assert counters["received"] + counters["resumed"] == \
        counters["delivered"] + counters["filtered"] + counters["dead"] + counters["pending"], counters


def socket_path(calque):
    return os.path.join(calque.state, "control.sock")


def test_a_running_bridge_tells_how_it_is(world):
    told = status(world.calque)
    assert told["running"] is True
    assert told["pid"] == world.calque.pid
    assert [link["link"] for link in told["links"]] == [world.LINK]
    sessions = told["links"][0]["sessions"]
    assert [(s["side"], s["state"], s["url"]) for s in sessions] == [
        ("south", "up", world.south.url), ("north", "up", world.north.url)]
    done = Verb(world.calque, "status")
    assert done.status == 0
    assert f"process {world.calque.pid}" in done.out
    assert f"link {world.LINK}" in done.out and "received 0 + resumed 0 = " in done.out


def test_a_report_has_all_but_the_secrets(world, tmp_path):
    with open(world.calque.conf_path, "a", encoding="utf-8") as file:
        file.write("# canary-comment\n")
    report = tmp_path / "report.txt"
    done = Verb(world.calque, "report", str(report))
    assert done.status == 0, done.err
    text = report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600
    parts = re.findall(r"^--- (.+) ---$", text, re.M)
    assert parts == ["versions", "configuration", "status", "dead letters", "log"]
    assert re.search(r"^calque \d", text) or "\ncalque " in text
    assert re.search(r"^libmosquitto\.so", text, re.M)
    assert "canary" not in text and world.IW_TOKEN not in text and world.TB_TOKEN not in text
    assert world.south.url in text and '"running":true' in text
    assert re.search(rf"^\S+Z info session-up link={world.LINK} ", text, re.M)
    assert Verb(world.calque, "report", str(report)).status == 1  # nothing is overwritten


def test_a_bridge_that_does_not_run_is_told_by_the_status(world):
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    world.device.attributes(n=1)
    wait_status(world.calque, lambda s: s["links"][0]["up"]["pending"] == 1)
    world.calque.stop()
    done = Verb(world.calque, "status")
    assert done.status == 1
    assert done.out.splitlines() == ["not running", "dead letters 0 (0 bytes), in the journal 1 message"]
    assert status(world.calque)["running"] is False


def test_a_session_that_is_down_is_told_with_its_reason_and_what_waits(world):
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    world.device.attributes(n=1)
    told = wait_status(world.calque, lambda s: s["links"][0]["sessions"][1]["waiting"] == 1)  # it is translated
    assert told["links"][0]["up"]["pending"] == 1
    south, north = told["links"][0]["sessions"]
    assert south["state"] == "up" and "why" not in south
    assert north["state"] != "up" and north["attempts"] >= 1 and "reason=" in north["why"]
    assert (north["waiting"], north["in_flight"]) == (1, 0) and north["bytes"] > 0
    text = Verb(world.calque, "status").out
    assert "reason=" in text and "waiting 1, in flight 0" in text
    assert told["workers"] > 0 and told["workers_replaced"] == told["workers_lied"] == 0
    assert told["journal_bytes"] > 0 and f"in the journal {told['journal_bytes']} bytes" in text
    world.north.start()
    wait_status(world.calque, lambda s: s["links"][0]["up"]["delivered"] == 1)
    wait_status(world.calque, lambda s: s["journal_bytes"] == 0)


def test_status_says_whether_the_bridge_is_ready(world):
    ready = Verb(world.calque, "status", "--ready")
    assert (ready.status, ready.out) == (0, "")
    assert status(world.calque)["ready"] is True
    assert "1 link: 1 ready; 0 messages dead since the start" in Verb(world.calque, "status").out.splitlines()
    assert "link " not in Verb(world.calque, "status", "--bad").out
    mark = world.calque.mark()
    world.north.stop()
    world.calque.wait_down(world.LINK, "north", mark)
    for options in ([], ["--link", world.LINK]):
        ready = Verb(world.calque, "status", "--ready", *options)
        assert ready.status == 1
        assert ready.out.startswith(f"link {world.LINK}  north  ") and "reason=" in ready.out
        assert "south" not in ready.out
    assert status(world.calque)["ready"] is False
    out = Verb(world.calque, "status", "--bad").out
    assert "1 link: 0 ready, 1 not; 0 messages dead since the start" in out.splitlines()
    assert f"link {world.LINK}" in out
    world.north.start()
    ask_until(lambda: Verb(world.calque, "status", "--ready").status, lambda code: code == 0)
    world.calque.stop()
    ready = Verb(world.calque, "status", "--ready")
    assert (ready.status, ready.out) == (1, "not running\n")


def test_status_tells_of_one_link_and_of_those_with_dead_letters(world):
    assert Verb(world.calque, "status", "--link", world.LINK).out.count("\nlink ") == 1
    none = Verb(world.calque, "status", "--link", "nobody")
    assert (none.status, none.err) == (2, 'calque status: no link is called "nobody"\n')
    told = status(world.calque)["links"][0]
    assert "last_s" not in told["up"]
    world.device.publish("attribute", b"no JSON")
    told = wait_status(world.calque, lambda s: s["links"][0]["up"]["dead"] == 1)["links"][0]
    assert told["up"]["last_s"] >= 0
    out = Verb(world.calque, "status", "--bad").out
    assert "1 link: 1 ready; 1 message dead since the start" in out.splitlines()
    assert f"\nlink {world.LINK}\n" in out and "  up     last " in out


def test_counters_add_up_at_every_moment_of_a_load(world):
    stop = threading.Event()
    sent = 0

    def load():
        nonlocal sent
        while not stop.is_set():
            payload = {"n": sent} if sent % 3 else "no json"
            world.device.publish("attribute", payload, wait=sent % 20 == 19)
            sent += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        seen = []
        while len(seen) < 20 or seen[-1]["received"] == seen[0]["received"]:
            link = status(world.calque)["links"][0]
            assert_adds_up(link["up"])
            assert_adds_up(link["down"])
            seen.append(link["up"])
    finally:
        stop.set()
        thread.join(LIMIT)
    dead = (sent + 2) // 3
    told = wait_status(world.calque, lambda s: s["links"][0]["up"]["delivered"] == sent - dead
                       and s["links"][0]["up"]["pending"] == 0)
    up = told["links"][0]["up"]
    assert_adds_up(up)
    assert (up["received"], up["dead"], up["by"]) == (sent, dead, {"unreadable-payload": dead})
    assert told["deadletters"] == dead
    assert all(a["received"] <= b["received"] for a, b in zip(seen, seen[1:]))


# --- the socket --------------------------------------------------------------------------------------------------

def test_the_socket_is_ours_alone_and_goes_with_the_bridge(world):
    mode = os.stat(socket_path(world.calque)).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    world.calque.stop()
    assert not os.path.exists(socket_path(world.calque))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_not_heard_even_if_the_socket_is_open_to_all(world):
    os.chmod(world.calque.state, 0o711)
    os.chmod(socket_path(world.calque), 0o666)
    script = f"""if True:
        import os, socket
        os.chdir({world.calque.state!r})
        os.setuid(65534)
        client = socket.socket(socket.AF_UNIX)
        client.connect("control.sock")
        client.settimeout({LIMIT})
        client.sendall(b'{{"request":"status"}}\\n')
        print(client.recv(100))
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("b''", "") and "Timeout" not in done.stderr, done
    world.calque.wait_log("control-dropped reason=.*another user")
    assert status(world.calque)["running"] is True


def test_what_a_kill_leaves_behind_is_in_nobodys_way(world):
    world.calque.kill()
    assert os.path.exists(socket_path(world.calque))
    assert Verb(world.calque, "status").status == 1
    mark = world.calque.mark()
    world.calque.start()
    world.wait_up(mark)
    assert status(world.calque)["pid"] == world.calque.pid


def test_a_state_with_a_long_path_has_a_socket_too(lab):
    state = os.path.join(lab.directory, "a" * 60, "b" * 60)
    os.makedirs(os.path.dirname(state))
    world = InnowayThingsBoard(lab, start=False)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        world.calque.configure(file.read().replace(world.calque.state, state))
    world.calque.state = state
    world.calque.start()
    world.wait_up()
    assert stat.S_IMODE(os.stat(socket_path(world.calque)).st_mode) == 0o600
    assert status(world.calque)["running"] is True
    world.calque.stop()
    assert not os.path.exists(socket_path(world.calque))


def ask(client, request):
    """Send a line; the lines of the answer."""
    client.sendall(request.encode() + b"\n")
    answer = b""
    while True:
        answer += client.recv(1 << 16)
        lines = answer.decode().splitlines()
        if answer.endswith(b"\n") and ("done" in json.loads(lines[-1]) or "error" in json.loads(lines[-1])):
            return [json.loads(line) for line in lines]


def test_several_clients_are_served_at_once_and_in_turn(world):
    clients = [connect(world.calque) for _ in range(5)]
    for _ in range(3):
        for client in clients:
            assert ask(client, '{"request":"status"}')[-1]["done"]["running"] is True
    for client in clients:
        client.close()


@pytest.mark.parametrize("request_line", ["", "no json", "[]", "{}", '{"request":7}', '{"request":"reboot"}',
                                          '{"request":"deadletters"}', '{"request":"deadletters","do":"lose"}',
                                          '{"request":"deadletters","do":"show","ids":["x",{}]}', "\0\x7f"])
def test_a_request_that_makes_no_sense_is_answered_so(world, request_line):
    client = connect(world.calque)
    assert ask(client, request_line)[-1]["status"] == 2
    assert ask(client, '{"request":"status"}')[-1]["done"]["running"] is True
    client.close()


def test_a_request_in_pieces_is_one_and_two_in_one_are_two(world):
    client = connect(world.calque)
    client.sendall(b'{"request":')
    status(world.calque)
    client.sendall(b'"status"}\n{"request":"nothing"}\n')
    answer = b""
    while b'"error"' not in answer or not answer.endswith(b"\n"):
        answer += client.recv(1 << 16)
    assert [list(json.loads(line)) for line in answer.splitlines()] == [["item"], ["done"], ["error", "status"]]
    client.close()


def wait_dropped(client):
    """Wait until the bridge has closed it."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionError:
        pass


def test_a_client_that_says_nothing_is_dropped(world):
    client = connect(world.calque)
    wait_dropped(client)
    world.calque.wait_log('control-dropped reason="does not ask"')


def test_a_question_without_an_end_is_not_heard_to_the_end(world):
    client = connect(world.calque)
    try:
        for _ in range(100):
            client.sendall(b"x" * (1 << 16))
    except ConnectionError:
        pass
    else:
        wait_dropped(client)
    world.calque.wait_log("control-dropped reason=.*too long")
    assert status(world.calque)["running"] is True


def test_a_client_that_never_reads_holds_up_nothing(world):
    client = connect(world.calque)
    client.settimeout(1)
    try:
        while True:
            client.sendall(b'{"request":"status"}\n' * 1000)
    except (TimeoutError, ConnectionError, OSError):
        pass
    world.device.attributes(n=1)
    assert world.tb.attributes()["n"] == 1
    assert status(world.calque)["running"] is True
    world.calque.wait_log('control-dropped reason="does not read"')
    client.close()


def test_a_client_that_goes_in_the_middle_is_forgotten(world):
    for _ in range(20):
        client = connect(world.calque)
        client.sendall(b'{"request":"status"}\n' * 100)
        client.close()
    assert status(world.calque)["running"] is True


def test_too_many_clients_are_sent_away(world):
    clients = [connect(world.calque) for _ in range(40)]
    world.calque.wait_log("control-dropped reason=.*too many")
    for client in clients:
        client.close()
    ask_until(lambda: Verb(world.calque, "status").status, lambda status: status == 0)  # it may not have seen them go yet
