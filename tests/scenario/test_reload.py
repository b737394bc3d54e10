"""A configuration read again while the bridge runs."""

import os
import re
import signal
import threading

import pytest

from test_service import Manager
from verbs import Verb, connect, status
from worlds import Plains


def start(lab, *names, **more):
    world = Plains(lab, {name: {} for name in names}, **more)
    for name in names:
        world.wait_up(name)
    return world


def configure(world, links, **settings):
    world.settings.update(settings)
    world.calque.configure(world.conf(links))


def reload(world, *options):
    mark = world.calque.mark()
    done = Verb(world.calque, "reload", *options)
    return done, mark


def test_under_load_nothing_is_lost_and_what_did_not_change_stays_connected(lab):
    world = start(lab, "same", "other")
    stop, sent = threading.Event(), {"same": 0, "other": 0}

    def speak():
        while not stop.wait(0.002):
            for name in sent:
                world.client.publish(f"left/{name}/t", {"n": sent[name]})
                sent[name] += 1

    speaker = threading.Thread(target=speak)
    speaker.start()
    marks = [world.calque.mark()]
    for keepalive in (61, 62, 63):
        configure(world, {"same": {}, "other": {"north": {"keepalive": keepalive}}, "new": {}})
        done, mark = reload(world)
        assert done.status == 0, done.err
        assert "other: changed, its sessions connect anew: north.keepalive" in done.out
        world.calque.wait_log(r" reloaded ", mark)
        world.wait_up("other", mark)
        marks.append(mark)
    world.wait_up("new")
    stop.set()
    speaker.join()
    for name, n in sent.items():
        heard = world.hear(name, n)
        assert sorted(set(heard)) == list(range(n)), "none is lost"
        if name == "same":
            assert heard == list(range(n)), "in order, and once"
    assert not world.calque.matching(r"session-\w+ link=same ", marks[0]), "it did not notice"
    world.assert_passes("new")
    world.calque.stop()


def test_a_mapping_that_changed_is_used_and_one_that_is_broken_changes_nothing(lab):
    world = start(lab, "a")
    path = os.path.join(world.mappings, "right.jq")
    good = Plains.DIALECT.format(name="right")
    with open(path, "w", encoding="utf-8") as file:
        file.write(good.replace('/t" }', '/t", write: "w" }') + "def w: .body | {n: (.n + 1000)};\n")
    before = Verb(world.calque, "check", "--plan")
    assert before.status == 0 and "a: changed, its sessions connect anew: north.dialect(file)" in before.out, before.err
    world.assert_passes("a")
    done, mark = reload(world)
    assert done.status == 0, done.err
    world.calque.wait_log(" reloaded same=0 changed=1 added=0 removed=0", mark)
    world.wait_up("a", mark)
    world.say("a", [1])
    assert world.hear("a", 1) == [1001]
    with open(path, "w", encoding="utf-8") as file:
        file.write("module {")
    done, mark = reload(world)
    assert done.status != 0 and "right.jq" in done.err and "nothing is changed" in done.err
    world.calque.wait_log(" reload-mistake reason=.*right.jq", mark)
    world.calque.wait_log(" reload-refused ", mark)
    world.say("a", [2])
    assert world.hear("a", 1) == [1002], "as it was"
    with open(path, "w", encoding="utf-8") as file:
        file.write(good)
    world.calque.process.send_signal(signal.SIGHUP)
    world.calque.wait_log(" reloaded ", mark)
    world.wait_up("a", mark)
    world.assert_passes("a")
    assert not world.calque.matching(" session-down ", mark)
    with open(world.calque.conf_path, encoding="utf-8") as file:
        conf = file.read()
    with open(world.calque.conf_path, "w", encoding="utf-8") as file:
        file.write('log_levels = "info,reloaded=off";\n' + conf)
    done, mark = reload(world)
    assert done.status == 0, done.err
    world.calque.stop()
    assert not world.calque.matching(" reloaded ", mark), "what the log says is changed as well"


def test_files_that_are_watched_are_read_again_by_themselves(lab):
    world = start(lab, "a")
    library = os.path.join(world.mappings, "scale.jq")

    def edit(path, text):
        with open(path + "~", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + "~", path)

    edit(library, "module {}; def scaled: . + 1000;\n")
    edit(os.path.join(world.mappings, "right.jq"), Plains.DIALECT.format(name="right")
         .replace('/t" }', '/t", write: "w" }')
         .replace("};\n", '};\nimport "scale" as s;\ndef w: .body | {n: (.n | s::scaled)};\n'))
    configure(world, {"a": {}}, watch=True)
    done, mark = reload(world)
    assert done.status == 0, done.err
    world.wait_up("a", mark)
    mark = world.calque.mark()
    edit(library, "module {}; def scaled: ")
    world.calque.wait_log(" files-changed file=.*scale.jq n=1", mark)
    world.calque.wait_log(" reload-refused ", mark)
    world.say("a", [1])
    assert world.hear("a", 1) == [1001], "as it was"
    assert not world.calque.matching(" session-down ", mark)
    edit(library, "module {}; def scaled: . + 2000;\n")
    world.calque.wait_log(" reloaded same=0 changed=1 added=0 removed=0", mark)
    world.wait_up("a", mark)
    world.say("a", [2])
    assert world.hear("a", 1) == [2002]
    assert len(world.calque.matching(" reload-refused ", mark)) == 1, "it was not tried again until it changed"
    assert not world.calque.matching(" hangup ", 0)
    world.calque.stop()


@pytest.mark.parametrize("option", ["kept", "--drop"])
def test_messages_of_a_link_that_is_gone(lab, option):
    north = lab.broker("north")
    world = Plains(lab, {"stays": {}, "goes": {"north": {"url": north.url}}})
    world.wait_up("stays")
    world.wait_up("goes")
    north.stop()
    world.say("goes", [1, 2])
    done, mark = Verb(world.calque, "check", "--plan"), world.calque.mark()
    assert "1 of 2" not in done.out and "2 of 2 links are the same" in done.out, done.out + done.err
    configure(world, {"stays": {}})
    done, mark = reload(world, "--strict")
    assert done.status == 1 and "goes has 2 messages that are not settled" in done.err
    assert [link["link"] for link in status(world.calque)["links"]] == ["stays", "goes"]
    done, mark = reload(world, *([option] if option != "kept" else []))
    assert done.status == 0, done.err
    assert "goes: removed" in done.out and "2 messages not settled" in done.out
    world.calque.wait_log(" reloaded same=1 changed=0 added=0 removed=1", mark)
    assert [link["link"] for link in status(world.calque)["links"]] == ["stays"]
    north.start()
    configure(world, {"stays": {}, "goes": {}})
    done, mark = reload(world)
    assert done.status == 0, done.err
    world.wait_up("goes", mark)
    world.say("goes", [3])
    assert world.hear("goes", 1 if option == "--drop" else 3) == ([3] if option == "--drop" else [1, 2, 3])
    world.calque.stop()


@pytest.mark.parametrize("way", ["reload", "start"])
def test_a_link_that_is_called_otherwise_takes_its_messages_and_its_sessions_with_it(lab, way):
    north = lab.broker("north")
    world = Plains(lab, {}, start=False)

    def name(link, rename, **sides):
        text = re.sub(r'client_id = "[^"]*";', "", world.conf({"before": sides}))
        world.calque.configure(text.replace('name = "before"', f'name = "{link}"{rename}'))

    name("before", "", north={"url": north.url})
    world.calque.start()
    world.wait_up("before")
    north.stop()
    world.say("before", [1, 2])
    name("after", '; rename = "before"')
    mark = world.calque.mark()
    if way == "reload":
        done, mark = reload(world)
        assert done.status == 0 and "after: changed, its sessions connect anew: name,rename,north.url" in done.out, done.out + done.err
    else:
        world.calque.kill()
        world.calque.start()
    world.calque.wait_log(" renamed link=after was=before", mark)
    world.wait_up("after", mark)
    assert sorted(set(world.hear("before", 2))) == [1, 2]
    assert world.calque.matching(" session-up link=after side=south present=1", mark), "the broker knows it as before"
    name("after", "")
    done, mark = reload(world)
    assert done.status == 0 and "1 of 1 link is the same" in done.out, done.out + done.err
    world.say("before", [3])
    while world.hear("before", 1) != [3]:
        pass  # what was not acknowledged before the reload may come twice
    world.calque.stop()


def test_a_service_manager_hears_of_it_and_what_takes_a_restart_is_refused(lab, tmp_path):
    manager = lab.add(Manager(str(tmp_path / "notify")))
    world = Plains(lab, {"a": {}}, env={"NOTIFY_SOCKET": manager.path})
    world.wait_up("a")
    manager.wait_for(lambda told: told.get("READY") == "1")
    configure(world, {"a": {}}, workers=3)
    done, mark = reload(world)
    assert done.status == 1 and "workers has changed: that takes a restart" in done.err
    told = manager.wait_for(lambda told: told.get("RELOADING") == "1")
    assert int(told["MONOTONIC_USEC"]) > 0
    manager.wait_for(lambda told: told.get("READY") == "1")
    world.assert_passes("a")
    assert not world.calque.matching(" session-down ", mark)

    # Of two in one turn the second waits for the first.
    del world.settings["workers"]
    configure(world, {"a": {}, "b": {}})
    os.kill(world.calque.pid, signal.SIGSTOP)
    asking = [connect(world.calque) for _ in range(2)]
    for client in asking:
        client.sendall(b'{"request":"reload"}\n')
    os.kill(world.calque.pid, signal.SIGCONT)
    told = [client.makefile().readline() for client in asking]
    assert sorted(re.search('"change":"[a-z]*"|error.*', line)[0] for line in told) == ['"change":"same"'] * 2, told
    world.calque.wait_log(" reloaded .*added=1 ", mark)
    world.calque.wait_log(" reloaded .*same=2 ", mark)
    world.calque.stop()
