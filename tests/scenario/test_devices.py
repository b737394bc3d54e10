"""The devices of a link: what passes for each, named by files and verbs, on a bridge that runs and on one that does not."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import stat
import tempfile
import types

import pytest

from harness import assert_json
from test_gateway import Fleet
from verbs import Verb, wait_status


@pytest.fixture
def fleet(lab):
    made = Fleet(lab)
    yield made
    if made.calque.is_running():
        made.calque.stop()


def write(fleet, text, mode=0o600, name="fleet.csv"):
    path = os.path.join(fleet.calque.state, "..", name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def devices(fleet, *options):
    return Verb(fleet.calque, "devices", "list", "--json", *options).items()


def rows_of(fleet, device):
    """The machines that remember it."""
    with contextlib.closing(sqlite3.connect(os.path.join(fleet.calque.state, "calque.db"))) as db:
        return {machine for machine, key in db.execute("SELECT machine, key FROM state") if key == device}


def modes(fleet):
    return {d["name"]: d["mode"] for d in devices(fleet)}




def test_a_mode_holds_for_one_device_and_across_a_restart(fleet):
    fleet.devices.publish("messages/d1/attribute", {"temp": 1})
    fleet.cloud.expect("v1/gateway/attributes", {"d1": {"temp": 1}})
    fleet.devices.publish("messages/d2/attribute", {"temp": 1})
    fleet.cloud.expect("v1/gateway/attributes", {"d2": {"temp": 1}})
    assert {d["name"] for d in devices(fleet)} == {"d1", "d2"}, "who is heard of has a row"
    done = Verb(fleet.calque, "devices", "set-mode", "off", "d1")
    assert (done.status, done.out) == (0, "d1 of link fleet: off\n")
    for device in ("d1", "d2"):
        fleet.devices.publish(f"messages/{device}/attribute", {"temp": 2})
    fleet.cloud.expect("v1/gateway/attributes", {"d2": {"temp": 2}})
    assert [d["name"] for d in devices(fleet, "--mode", "off")] == ["d1"]
    fleet.calque.stop()
    refused = Verb(fleet.calque, "devices", "set-mode", "live", "d1", "--push", "diff")
    assert refused.status == 1 and "only a running bridge can push: start it first" in refused.err
    refused = Verb(fleet.calque, "devices", "set-mode", "live", "d1", "--provision")
    assert refused.status == 1 and "only a running bridge asks for credentials" in refused.err
    assert Verb(fleet.calque, "devices", "set-mode", "retired", "d2").status == 0
    assert modes(fleet)["d1"] == "off"
    mark = fleet.calque.mark()
    fleet.calque.start()
    fleet.calque.wait_up(fleet.LINK, "south", mark)
    fleet.calque.wait_up(fleet.LINK, "north", mark)
    for device in ("d1", "d2", "d3"):
        fleet.devices.publish(f"messages/{device}/attribute", {"temp": 3})
    fleet.cloud.expect("v1/gateway/attributes", {"d3": {"temp": 3}})
    history = Verb(fleet.calque, "devices", "history", "d2", "--json").items()
    assert history[-1]["note"]["what"] == "mode" and history[-1]["note"]["answer"] == "retired"
    assert history[-1]["note"]["who"]


def test_a_device_is_cut_over_and_back(fleet):
    """What its cloud says of the configuration meanwhile goes down when that is wanted, and no command does in mirror."""
    fleet.devices.publish("messages/d1/attribute", {"temp": 1})
    fleet.cloud.expect("v1/gateway/attributes", {"d1": {"temp": 1}})
    assert Verb(fleet.calque, "devices", "set-mode", "mirror", "d1").status == 0
    fleet.cloud.publish("v1/gateway/rpc", {"device": "d1", "data": {"id": 1, "method": "never", "params": {}}})
    fleet.cloud.publish("v1/gateway/attributes", {"device": "d1", "data": {"rate": 10}})
    wait_status(fleet.calque, lambda s: s["links"][0]["down"]["by"].get("mirror") == 2)
    plan = Verb(fleet.calque, "devices", "set-mode", "live", "d1", "--dry-run", "--push", "diff")
    assert plan.out == ("d1 of link fleet would be live, and is mirror\n"
                        "  the north says otherwise than the device has, and that is sent then: rate\n")
    assert modes(fleet) == {"d1": "mirror"}
    done = Verb(fleet.calque, "devices", "set-mode", "live", "d1", "--push", "diff")
    assert done.status == 0 and "is sent: rate" in done.out and "old cloud's own users" in done.err
    fleet.devices.expect("messages/d1/config", {"rate": 10})
    again = Verb(fleet.calque, "devices", "set-mode", "live", "d1", "--push", "diff")
    assert (again.status, again.out, again.err) == (0, "d1 of link fleet: live\n", "")
    fleet.cloud.publish("v1/gateway/rpc", {"device": "d1", "data": {"id": 2, "method": "go", "params": {}}})
    fleet.command("go", "messages/d1/command")
    assert Verb(fleet.calque, "devices", "retire", "d1").status == 0
    answer = fleet.cloud.wait_for(lambda m: m.topic == "v1/gateway/rpc" and m.json().get("id") == 2 and "method" not in m.json()["data"])
    assert "cut back" in str(answer.json()["data"])
    # Who is forgotten by a bridge that does not run leaves nothing either.
    fleet.calque.stop()
    assert {"fleet", "twin"} <= rows_of(fleet, "d1")
    assert Verb(fleet.calque, "devices", "forget", "d1").status == 0
    assert rows_of(fleet, "d1") == set()


@pytest.mark.parametrize("runs", [True, False])
def test_a_list_is_imported_and_comes_back(fleet, runs):
    if not runs:
        fleet.calque.stop()
    path = write(fleet, "name,group,mode,north.token,south.device\npump,hall,live,hush-hush,P-1\nfan,,off,,\n")
    dry = Verb(fleet.calque, "devices", "import", path, "--dry-run")
    assert dry.status == 0 and "pump" in dry.out and not devices(fleet)
    done = Verb(fleet.calque, "devices", "import", path)
    assert done.status == 0, done.err
    assert "the key that seals them lies beside them" in done.err
    listed = {d["name"]: d for d in devices(fleet)}
    assert listed["pump"]["state"] == "ready" and listed["pump"]["south"] == "P-1"
    assert listed["fan"]["state"] == "known" and listed["fan"]["mode"] == "off"
    shown = Verb(fleet.calque, "devices", "show", "pump")
    assert "hush-hush" not in shown.out and "north.token = ***" in shown.out
    exported = Verb(fleet.calque, "devices", "export")
    assert "hush-hush" not in exported.out
    secrets = os.path.join(fleet.calque.state, "..", "secrets.csv")
    assert Verb(fleet.calque, "devices", "export", "--secrets", secrets).status == 0
    assert stat.S_IMODE(os.stat(secrets).st_mode) == 0o600
    with open(secrets, encoding="utf-8") as file:
        assert "hush-hush" in file.read()
    again = Verb(fleet.calque, "devices", "import", secrets)
    assert (again.status, again.out) == (0, "nothing changes\n")
    for text, why in (("name\n", "no device is in it"), ("name,mode\nfan,lve\n", "off, mirror, live or retired is wanted")):
        refused = Verb(fleet.calque, "devices", "import", "--replace", "--partial", write(fleet, text, name="less.csv"))
        assert refused.status == 1 and why in refused.err, "it would turn the whole fleet off"
    replaced = Verb(fleet.calque, "devices", "import", "--replace", write(fleet, "name\nfan\n", name="less.csv"))
    assert "seals" not in replaced.err, "no secret in it"
    assert replaced.status == 0 and modes(fleet)["pump"] == "off"
    refused = Verb(fleet.calque, "devices", "forget", "pump")
    assert refused.status == 1 and "--credentials" in refused.err
    assert Verb(fleet.calque, "devices", "forget", "pump", "--credentials").status == 0
    assert "pump" not in modes(fleet)
    assert Verb(fleet.calque, "devices", "history", "pump").status == 0, "it survives"


def test_nothing_of_a_list_with_mistakes_is_taken_unless_that_is_said(fleet):
    path = write(fleet, "name,mode,south.device\na,life,\nb,off,X\nc,off,X\n")
    done = Verb(fleet.calque, "devices", "import", path)
    assert done.status == 1 and f"{path}:2: mode:" in done.err and not devices(fleet)
    done = Verb(fleet.calque, "devices", "import", "--partial", path)
    assert done.status == 1 and f'{path}:4: south.device: "X" is what the south calls "b"' in done.err
    assert modes(fleet) == {"b": "off"}
    open_path = write(fleet, "name,north.token\nd,hush-hush\n", 0o644)
    done = Verb(fleet.calque, "devices", "import", open_path)
    assert done.status == 1 and "chmod 600" in done.err and "hush-hush" not in done.err


def test_a_list_that_is_too_long_for_a_running_bridge_is_taken_by_a_stopped_one(fleet):
    path = write(fleet, "name,group\n" + "".join(f"d{i},{'g' * 1000}\n" for i in range(5000)))
    done = Verb(fleet.calque, "devices", "import", path)
    assert done.status == 1 and "are more than a running bridge takes" in done.err and not devices(fleet)
    fleet.calque.stop()
    assert Verb(fleet.calque, "devices", "import", path).status == 0
    assert Verb(fleet.calque, "devices", "list", "--summary", "--json").items()[0]["devices"] == 5000


def test_a_summary_counts(fleet):
    path = write(fleet, "".join(["name,group,mode\n", *(f"d{i},g{i % 2},{'off' if i % 3 else 'live'}\n" for i in range(200))]))
    assert Verb(fleet.calque, "devices", "import", path).status == 0
    told = Verb(fleet.calque, "devices", "list", "--summary", "--json").items()[0]
    assert_json(told, {"devices": 200, "states": {"known": 200, "asking": 0, "ready": 0, "refused": 0, "lost": 0},
                       "modes": {"off": 133, "mirror": 0, "live": 67, "retired": 0}})
    assert len(devices(fleet, "--group", "g1", "--name", "d1?")) == 5
    report = Verb(fleet.calque, "devices", "report", "--csv").out.splitlines()
    assert report[0] == "link,group,devices,known,asking,ready,refused,lost,off,mirror,live,retired,seen"
    assert sorted(report[1:]) == ["fleet,g0,100,100,0,0,0,0,66,0,34,0,", "fleet,g1,100,100,0,0,0,0,67,0,33,0,"]
    assert Verb(fleet.calque, "devices", "report", "--json", "--group", "g1").items()[0]["live"] == 33
    some, more = ({d["name"] for d in devices(fleet, "--percent", n)} for n in ("10", "30"))
    assert some < more and 5 < len(some) < 40 < len(more) < 80, "the same again, and more"
    exported = write(fleet, Verb(fleet.calque, "devices", "export", "--group", "g1").out, name="g1.csv")
    done = Verb(fleet.calque, "devices", "set-mode", "retired", "--list", exported, "--name", "d1?")
    assert done.status == 0 and len(done.out.splitlines()) == 5
    assert {d["name"] for d in devices(fleet, "--mode", "retired")} == {"d11", "d13", "d15", "d17", "d19"}
    names = write(fleet, "# two of them\nd2\nnobody\n", name="names")
    done = Verb(fleet.calque, "devices", "set-mode", "mirror", "--list", names)
    assert (done.status, done.out) == (1, "d2 of link fleet: mirror\n")
    assert "nobody: nothing is known of such a device" in done.err
    assert Verb(fleet.calque, "devices", "set-mode", "off", "--list", names + "?").status == 1


def test_the_list_of_the_configuration_is_so_at_the_start(fleet):
    fleet.calque.stop()
    path = write(fleet, "name,mode,group\nd1,off,hall\nd2,,hall\n", name="wanted.csv")
    with open(fleet.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    fleet.calque.configure(f'devices = "{path}";\n' + conf)
    mark = fleet.calque.mark()
    fleet.calque.start()
    fleet.calque.wait_up(fleet.LINK, "south", mark)
    fleet.calque.wait_up(fleet.LINK, "north", mark)
    assert modes(fleet) == {"d1": "off", "d2": ""}
    fixed = Verb(fleet.calque, "devices", "set-mode", "live", "d1", "d2")
    assert fixed.status == 1 and f"its mode is fixed by {path}:2" in fixed.err
    assert modes(fleet) == {"d1": "off", "d2": "live"}
    waves = write(fleet, 'waves = ( { name = "all"; match = { all = true; }; mode = "live"; } );', name="waves.conf")
    fixed = Verb(fleet.calque, "devices", "wave", "run", waves)
    assert fixed.status == 1 and f"wave all: d1: its mode is fixed by {path}:2" in fixed.err and "nothing is run" in fixed.err
    fleet.calque.stop()
    write(fleet, "name,mode,north.x\nd2,,env:NOT_SET_HERE\nd1,mirror,\n", name="wanted.csv")
    listed, others = write(fleet, "name,mode\nd1,off\n"), write(fleet, "name\nd2\n", name="others.csv")
    for words in (("set-mode", "live", "d1"), ("set-mode", "off", "d1"), ("retire", "d1"), ("wave", "run", waves),
                  ("import", listed), ("import", "--replace", others)):
        fixed = Verb(fleet.calque, "devices", *words)
        assert fixed.status == 1 and f"d1: its mode is fixed by {path}:3" in fixed.err.replace("line 2: ", ""), words
    assert modes(fleet) == {"d1": "off", "d2": "live"}, "nothing is set"
    write(fleet, "name,mode\nd1,life\n", name="wanted.csv")
    fixed = Verb(fleet.calque, "devices", "set-mode", "off", "d2")
    assert fixed.status != 0 and f"{path}:2: mode:" in fixed.err
    assert modes(fleet) == {"d1": "off", "d2": "live"}, "nothing is set, and it can be looked at"
    write(fleet, "name,mode\nd2,\n", name="wanted.csv")
    mark = fleet.calque.mark()
    fleet.calque.start()
    fleet.calque.wait_log("started ", mark)
    assert modes(fleet) == {"d1": "off", "d2": "live"}, "who is not listed any more stays as it is"
    assert [d["name"] for d in devices(fleet, "--orphan")] == ["d1"]
    fleet.calque.stop()
    write(fleet, "name,mode\nd2,life\n", name="wanted.csv")
    said = Verb(fleet.calque, "check")
    assert said.status != 0 and f"{path}:2: mode:" in said.err + said.out


def test_waves_go_on_after_a_kill_stop_at_their_limit_and_go_back(fleet):
    wave = lambda *words: Verb(fleet.calque, "devices", "wave", *words)
    listed = write(fleet, "name,mode\n" + "".join(f"d{i},off\n" for i in range(20)) + "x,mirror\n")
    assert Verb(fleet.calque, "devices", "import", listed).status == 0
    path = write(fleet, """waves = (
      { name = "canary"; match = { list = ( "d1", "x" ); }; mode = "live"; soak = 1; },
      { name = "all"; match = { name = "d*"; }; mode = "live"; soak = 3600; max_dead_letters = 1; } );
    """, name="waves.conf")
    assert wave("status").out == "no waves have run\n"
    refused = wave("run", write(fleet, 'waves = ( { name = "a"; match = { list = ( "nobody" ); }; mode = "off"; } );', name="none.conf"))
    assert refused.status == 1 and "wave a: nobody: nothing is known of such a device" in refused.err
    timed = write(fleet, 'waves = ( { name = "a"; match = { list = ( "x" ); }; mode = "off"; not_before = "2036-12-01T06:00:00+01:00"; } );',
                  name="timed.conf")
    assert wave("run", timed, "--dry-run").out == "link fleet: wave a: 1 device, off, not before 2036-12-01T05:00:00Z\nnothing is run\n"
    begun = wave("run", path)
    assert (begun.status, begun.out) == (0, "link fleet: wave canary: 2 devices, live\nlink fleet: wave all: 20 devices, live\n")
    fleet.calque.wait_log("wave link=fleet wave=all state=soaks")
    fleet.calque.kill()
    assert "no bridge runs: it goes on when one is started" in wave("status").out
    mark = fleet.calque.mark()
    fleet.calque.start()
    fleet.calque.wait_up(fleet.LINK, "south", mark)
    fleet.calque.wait_up(fleet.LINK, "north", mark)
    fleet.calque.wait_log("wave link=fleet wave=all state=soaks", mark)
    assert wave("run", path).status == 1, "it goes on"
    assert "  waves      running: wave all soaks\n" in Verb(fleet.calque, "status").out
    for device in ("x", "d7", "d8"):  # x is of a wave that has passed
        fleet.devices.publish(f"messages/{device}/command_reply", {"id": 99, "status": "done", "result": {}})
    fleet.calque.wait_log('waves link=fleet phase=stopped reason="wave all: 2 dead letters of its devices, and 1 may be"', mark)
    told = wave("status", "--json").items()[0]
    assert [(w["name"], w["state"], w["devices"], w["dead_letters"]) for w in told["waves"]] == [
        ("canary", "passed", 2, 0), ("all", "stopped", 20, 2)]
    assert set(modes(fleet).values()) == {"live"}
    history = Verb(fleet.calque, "devices", "history", "d7", "--json").items()
    assert history[-1]["note"]["who"].endswith(", wave all")
    # What somebody has set since stays, and is told of.
    assert Verb(fleet.calque, "devices", "set-mode", "retired", "d9").status == 0
    assert wave("rollback").status == 0
    fleet.calque.wait_log("waves link=fleet phase=rolled-back", mark)
    assert modes(fleet) == {"x": "mirror", **{f"d{i}": "off" for i in range(20)}, "d9": "retired"}
    assert "\nd9: somebody has retired it: waves leave it alone\n" in wave("status").out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_root_takes_on_the_owner_of_the_state(fleet):
    fleet.calque.stop()
    nobody = 65534
    with tempfile.TemporaryDirectory() as place:  # pytest keeps others out of its own again and again
        os.chmod(place, 0o711)
        state = shutil.copytree(fleet.calque.state, os.path.join(place, "state"))
        for directory, _, names in os.walk(state):
            for path in (directory, *(os.path.join(directory, name) for name in names)):
                os.chown(path, nobody, nobody)
        conf, listed = pathlib.Path(place, "calque.conf"), pathlib.Path(place, "fleet.csv")
        conf.write_text(pathlib.Path(fleet.calque.conf_path).read_text().replace(fleet.calque.state, state))
        listed.write_text("name,mode\nd1,off\n")
        moved = types.SimpleNamespace(conf_path=str(conf))
        done = Verb(moved, "devices", "import", str(listed))
        assert done.status == 0, done.err
        assert modes(types.SimpleNamespace(calque=moved)) == {"d1": "off"}
        owners = {os.stat(os.path.join(state, name)).st_uid for name in os.listdir(state)}
        assert owners == {nobody}
        for verb in (["devices", "export", "--secrets"], ["report"]):  # where the owner could write nothing
            path = os.path.join(place, verb[0])
            done = Verb(moved, *verb, path)
            assert done.status == 0 and os.stat(path).st_uid == 0, done.err
            assert os.stat(path).st_size > 10 and os.stat(path).st_mode & 0o777 == 0o600
