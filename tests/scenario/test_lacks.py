"""What depends on the machine, secrets and TLS files, takes down the link that needs it, until it is there; no other."""

import os
import shutil
import signal
import subprocess

import pytest

from harness import assert_json, conf_text, find_bridge, find_program
from verbs import Verb, status
from worlds import EZtDeviceEvents, Plains


def tls_setups(lab):
    """{name: (tls of a link, what check says of it)}: all ways in which a file can be wrong."""
    ca, other = lab.authority(), lab.authority("other")
    cert, key = ca.client
    junk, empty, locked = (os.path.join(lab.directory, name) for name in ("junk", "empty", "locked.key"))
    for path, text in ((junk, "no PEM at all\n"), (empty, "")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
    subprocess.run([find_program("openssl"), "ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked],
                   check=True, capture_output=True)
    os.chmod(locked, 0o600)
    whole = {"ca": ca.ca, "cert": cert, "key": key}
    return {
        "ca-no-pem": ({**whole, "ca": junk}, f"CA certificates {junk}: "),
        "ca-empty": ({**whole, "ca": empty}, f"CA certificates {empty}: "),
        "cert-no-pem": ({**whole, "cert": junk}, f"certificate {junk}: "),
        "key-no-pem": ({**whole, "key": junk}, f"key {junk}: "),
        "key-foreign": ({**whole, "key": other.client[1]}, f"key {other.client[1]}: "),
        "key-encrypted": ({**whole, "key": locked}, f"key {locked}: "),
        "ca-absent": ({**whole, "ca": junk + ".not"}, f"{junk}.not: No such file"),
    }


def make_world(lab, bad, **more):
    """A link called good between plain brokers, and others to a port with TLS with these settings of theirs."""
    broker = lab.broker("broker", tls=lab.authority())
    plain, tls = f"mqtt://127.0.0.1:{broker.port}", f"mqtts://localhost:{broker.tls_port}"
    links = {"good": {}, **{name: {"north": {"url": tls if "tls" in settings else plain, **settings}}
                            for name, settings in bad.items()}}
    for sides in links.values():
        for side in ("south", "north"):
            sides.setdefault(side, {}).setdefault("url", plain)
    return Plains(lab, links, start=False, broker=broker, **more)


def session_of(calque, link, side="north"):
    found = next(one for one in status(calque)["links"] if one["link"] == link)
    return next(one for one in found["sessions"] if one["side"] == side)


def test_broken_tls_files_are_found_by_check_and_stop_no_other_link(lab):
    setups = tls_setups(lab)
    world = make_world(lab, {name: {"tls": tls} for name, (tls, _) in setups.items()})
    check = Verb(world.calque, "check")
    assert check.status == 1
    for name, (_, words) in setups.items():
        assert words in check.err, name
    assert len(check.err.splitlines()) == len(setups)
    assert Verb(world.calque, "run", "--strict").status == 1
    world.calque.start()
    world.wait_up("good")
    world.assert_passes("good", 3)
    for name, (_, words) in setups.items():
        world.calque.wait_log(rf"link-down link={name} side=north .*retry_ms=60000")
        north, south = session_of(world.calque, name), session_of(world.calque, name, "south")
        assert (north["state"], south["state"]) == ("lacking", "lacking")
        assert words.rsplit(": ", 1)[0] in north["why"], name
    assert "lacking" in Verb(world.calque, "status").out
    world.calque.stop()


def test_a_link_is_tried_again_and_brings_what_waited(lab):
    """It had been running, and something is still in the journal when a file of it is broken."""
    ca = os.path.join(lab.directory, "ca.copy")
    world = make_world(lab, {"late": {"tls": {"ca": ca}}})
    shutil.copy(lab.authority().ca, ca)
    world.calque.start()
    world.wait_up("late")
    world.assert_passes("late", 2)
    world.calque.stop()
    os.rename(ca, ca + ".gone")
    world.say("late", [7])  # the broker keeps it for the session
    mark = world.calque.mark()
    world.calque.start()
    world.wait_up("good", mark)
    world.calque.wait_log("link-down link=late", mark)
    os.rename(ca + ".gone", ca)
    world.calque.process.send_signal(signal.SIGHUP)
    world.calque.wait_log("link-opened link=late", mark)
    world.wait_up("late", mark)
    assert world.hear("late", 1) == [7]
    assert session_of(world.calque, "late")["state"] == "up"
    world.calque.stop()


@pytest.mark.parametrize("password", ["env:NOT_SET_ANYWHERE", "file:absent", "file:open"])
def test_a_secret_that_is_not_there_stops_no_other_link(lab, password):
    world = make_world(lab, {"bad": {"username": "u", "password": password}})
    with open(os.path.join(world.calque.directory, "open"), "w", encoding="utf-8") as file:
        file.write("secret")
    os.chmod(file.name, 0o644)
    assert Verb(world.calque, "check").status == 1
    world.calque.start()
    world.wait_up("good")
    world.assert_passes("good")
    world.calque.wait_log(r"link-down link=bad side=north reason=.*north\.password")
    world.calque.stop()


def test_without_any_link_there_is_no_bridge(lab):
    world = make_world(lab, {})
    world.links = {"bad": {"north": {"password": "file:absent"}}}
    world.calque.configure(world.conf(world.links))
    world.calque.start()
    assert world.calque.wait_end() == 1
    assert world.calque.matching("no link can be opened")


def test_mistakes_in_the_text_stop_all(lab):
    world = make_world(lab, {"bad": {"colour": "red"}})
    world.calque.start()
    assert world.calque.wait_end() == 1
    assert world.calque.matching("north.colour: unknown key")


def test_check_looks_at_the_state_directory_and_makes_none(lab):
    world = make_world(lab, {"other": {"tls": {"ca": lab.authority().ca}}})
    assert Verb(world.calque, "check").status == 0
    assert not os.path.exists(world.calque.state)
    os.mkdir(world.calque.state, 0o755)
    check = Verb(world.calque, "check")
    assert check.status == 1 and "is open to others" in check.err
    os.chmod(world.calque.state, 0o700)
    assert Verb(world.calque, "check").status == 0
    with open(os.path.join(world.calque.state, "key"), "w", encoding="utf-8") as file:
        file.write("no key")
    os.chmod(file.name, 0o600)
    check = Verb(world.calque, "check")
    assert check.status == 1 and "holds no key" in check.err


# --- secrets that change -----------------------------------------------------------------------------------------

def test_a_password_that_expired_heals_by_itself(lab):
    """The file is read before each login; what waited since before carries the new access key, too."""
    world = EZtDeviceEvents(lab)
    path = os.path.join(lab.directory, "meeting-room-3.key")
    assert os.path.exists(path)
    world.north.stop()
    world.calque.wait_down(world.LINK, "north")
    world.ez.attributes(waiting=1)
    world.north.set_users({**world.users, world.XY_DEVICE: "second key"})
    world.cloud.access_key = "second key"
    lab.secret_file("meeting-room-3.key", "second key")
    mark = world.calque.mark()
    world.north.start()
    world.calque.wait_up(world.LINK, "north", mark)
    assert world.calque.matching(r"secrets-renewed link=\S+ side=north", mark)
    assert_json(world.cloud.telemetry()["telemetries"], {"waiting": 1})
    world.calque.stop()


def test_a_secret_that_cannot_be_read_stays_what_it_was(lab):
    world = EZtDeviceEvents(lab)
    os.rename(os.path.join(lab.directory, "meeting-room-3.key"), os.path.join(lab.directory, "gone"))
    world.north.stop()
    world.calque.wait_down(world.LINK, "north")
    mark = world.calque.mark()
    world.north.start()
    world.calque.wait_up(world.LINK, "north", mark)
    assert world.calque.matching("secret-unreadable link=.* side=north .*No such file")
    world.calque.stop()


def test_a_hangup_ends_nothing(lab):
    world = make_world(lab, {})
    world.calque.start()
    world.wait_up("good")
    for count in (1, 2):
        world.calque.process.send_signal(signal.SIGHUP)
        world.calque.wait_log(" hangup", count=count)
        world.assert_passes("good")
    world.calque.stop()


def test_too_few_descriptors_are_told_at_the_start(lab):
    """Of the hard limit, to which calque raises its own; with the number that would do."""
    nobody = {"url": "mqtt://127.0.0.1:9"}
    links = [{"name": f"l{n}", "south": {"dialect": "innoway", **nobody, "vars": {"device": f"d{n}"}},
              "north": {"dialect": "thingsboard", **nobody, "vars": {"token": f"t{n}"}}} for n in range(10)]
    path = os.path.join(lab.directory, "many.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(conf_text({"state": os.path.join(lab.directory, "many"), "workers": 1, "links": links}))
    with subprocess.Popen([find_program("prlimit"), "--nofile=64:100", find_bridge(), "run", "-c", path],
                          stderr=subprocess.PIPE, text=True) as calque:
        told = next((line for line in calque.stderr if " descriptors-few " in line), "")
        calque.kill()  # it may not yet hear another end
    assert "limit=100 needed=162 links=10 devices=0" in told


def test_descriptors_for_the_sessions_of_devices_are_counted_at_the_start_and_by_check(lab):
    """Those of the list, three for each."""
    fleet = os.path.join(lab.directory, "fleet.csv")
    with open(fleet, "w", encoding="utf-8") as file:
        file.write("name,north.token,mode\n" + "".join(f"d{n},t{n},\n" for n in range(40)) + "gone,t,off\n")
    os.chmod(fleet, 0o600)
    nobody = {"url": "mqtt://127.0.0.1:9"}
    path = os.path.join(lab.directory, "fleet.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(conf_text({"state": os.path.join(lab.directory, "of-fleet"), "workers": 1, "devices": fleet, "links": [{
            "name": "fleet", "south": {"dialect": "eztcloud", **nobody, "vars": {"project": "PR"}, "username": ""},
            "north": {"dialect": "thingsboard", **nobody}}]}))
    limited = [find_program("prlimit"), "--nofile=64:100", find_bridge()]
    checked = subprocess.run([*limited, "check", "-c", path], capture_output=True, text=True, check=True)
    assert "takes 201 file descriptors (links: 1, devices with sessions of their own: 40), and here a process may have 100: " \
        in checked.stderr + checked.stdout
    with subprocess.Popen([*limited, "run", "-c", path], stderr=subprocess.PIPE, text=True) as calque:
        told = next((line for line in calque.stderr if " descriptors-few " in line), "")
        calque.kill()
    assert "limit=100 needed=201 links=1 devices=40" in told
