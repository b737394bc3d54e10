"""The Debian package on a clean machine: installed, upgraded with messages on their way, downgraded, removed, purged."""

import glob
import hashlib
import os
import re
import shutil
import subprocess

import pytest

import clean_root
from clean_root import CleanRoot, Service, names_of, run
from harness import LIMIT, REPOSITORY, Client, conf_text, find_bridge

NEXT = "9.9.0"  # a version to come, which keeps its state in another way


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The package of this tree, and that of a version to come."""
    clean_root.need_release()
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "file"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: .ci/install test")
    made = tmp_path_factory.mktemp("package")
    run("cpack", "-G", "DEB", "--config", f"{clean_root.RELEASE}/CPackConfig.cmake", "-B", str(made))
    [ours], [_] = glob.glob(f"{made}/calque_*.deb"), glob.glob(f"{made}/calque-frontdoor_*.deb")
    tree, later = made / "later", f"{made}/later.deb"
    run("dpkg-deb", "-R", ours, str(tree))
    run("strip", "-o", str(tree / "usr/bin/calque"), f"{clean_root.RELEASE}/tests/calque-next")
    control = tree / "DEBIAN/control"
    control.write_text("".join(f"Version: {NEXT}\n" if line.startswith("Version:") else line
                               for line in control.read_text().splitlines(keepends=True)))
    run("dpkg-deb", "--root-owner-group", "-b", str(tree), later)
    return ours, later


@pytest.fixture(scope="module")
def machine(packages, tmp_path_factory):
    assert set(names_of(run("dpkg-deb", "-f", packages[0], "Depends"))) <= set(clean_root.PACKAGES)
    machine = CleanRoot(clean_root.make_base(), tmp_path_factory.mktemp("machine"))
    yield machine
    shutil.rmtree(machine.path)


@pytest.fixture
def root(machine, packages):
    """That machine with the package of this tree, and without it afterwards."""
    dpkg(machine, "-i", packages[0])
    yield machine
    dpkg(machine, "-P", "calque")


def dpkg(root, *arguments):
    return run("dpkg", f"--root={root.path}", "--force-downgrade", *arguments)


def digest(root, path):
    """Of each file of a directory with something in it (whoever looks into a database leaves an empty log of it, and says in
    `heartbeat` that it was there)."""
    return {name: hashlib.sha256(open(root.at(f"{path}/{name}"), "rb").read()).hexdigest()
            for name in sorted(os.listdir(root.at(path))) if os.path.getsize(root.at(f"{path}/{name}")) and name not in ("control.sock", "heartbeat")}


def test_it_is_installed_disabled(root, packages):
    assert root.run("calque", "--version").startswith("calque ")
    assert "calque" in root.run("getent", "passwd", "calque")
    assert root.stat("/etc/calque") == "root:calque 2750"
    assert not glob.glob(root.at("/etc/systemd/system/*/calque.service")), "it is enabled"
    assert not os.path.exists(root.at("/etc/calque/calque.conf"))
    assert "thingsboard" in root.run("calque", "routes", "innoway", "thingsboard")  # the mappings are found
    assert "usage: calque bench" in root.run("calque", "bench", "--help")
    for page in ("man/man1/calque.1", "bash-completion/completions/calque", "zsh/vendor-completions/_calque"):
        assert os.path.getsize(root.at(f"/usr/share/{page}")) > 1000
    assert int(run("dpkg-deb", "-f", packages[0], "Installed-Size")) < 1500


def test_the_front_door_is_a_package_that_only_lies_there(packages):
    [door] = glob.glob(os.path.join(os.path.dirname(packages[0]), "calque-frontdoor_*.deb"))
    assert "mosquitto" in names_of(run("dpkg-deb", "-f", door, "Depends"))
    assert "calque" not in names_of(run("dpkg-deb", "-f", door, "Depends")), "they may be on two machines"
    files = [line.split()[-1] for line in run("dpkg-deb", "-c", door).splitlines() if not line.endswith("/")]
    assert sorted(files) == ["./usr/lib/calque/calque-frontdoor.so", "./usr/share/doc/calque-frontdoor/copyright"]
    assert "calque-frontdoor" not in run("dpkg-deb", "-c", packages[0])


def test_its_unit_is_well_formed(root, tmp_path):
    with open(root.at("/usr/lib/systemd/system/calque.service"), encoding="utf-8") as file:
        unit = file.read()
    for line in ("Type=notify", "ExecStart=/usr/bin/calque run", "LimitNOFILE=524288", "StateDirectory=calque",
                 "ConditionPathExists=/etc/calque/calque.conf", "User=calque", "TimeoutStopSec=30", "WatchdogSec=60"):
        assert f"\n{line}\n" in unit
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed: .ci/install test")
    (tmp_path / "calque.service").write_text(unit.replace("/usr/bin/calque", find_bridge()))
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "calque.service")],
                          capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (told.returncode, [line for line in told.stderr.splitlines() if "calque" in line]) == (0, []), told.stderr


def calls_of(name):
    """The system calls of a set of systemd ("@process"), or the one itself."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, timeout=LIMIT, check=True)
    words = [line.strip() for line in told.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(calls_of(word) for word in words))


def test_the_unit_lets_a_program_register_devices():
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed: .ci/install test")
    with open(os.path.join(REPOSITORY, "examples/systemd/calque.service"), encoding="utf-8") as file:
        unit = file.read()
    allowed = set().union(*(calls_of(name) for name in re.search(r"^SystemCallFilter=(.*)$", unit, re.M)[1].split()))
    # What starts one, and ends it; what a shell and curl want.
    assert {"pipe2", "close_range", "fork", "clone", "setsid", "chdir", "execve", "wait4", "kill", "vfork", "dup2",
            "socket", "connect", "sendto", "poll"} <= allowed
    assert "seccomp" in allowed and "ptrace" not in allowed, "it is the set that is meant"
    for family in ("AF_INET", "AF_INET6", "AF_UNIX"):
        assert family in re.search(r"^RestrictAddressFamilies=(.*)$", unit, re.M)[1].split()


def test_the_example_of_a_configuration_passes_its_check(root):
    for name in ("innoway-token", "thingsboard-token"):
        root.write(f"/etc/calque/{name}", "t\n", 0o640, group="calque")
    root.run("cp", "/etc/calque/calque.conf.example", "/etc/calque/calque.conf")
    root.run("install", "-d", "-o", "calque", "-m", "700", "/var/lib/calque")
    for user in ("calque", "root"):
        done = root.try_to("calque", "check", user=user)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout == "/etc/calque/calque.conf: 1 link, no mistakes\n"
    root.run("chmod", "600", "/etc/calque/innoway-token")  # root can read that, and the service cannot
    done = root.try_to("calque", "check")
    assert done.returncode == 1 and "/etc/calque/innoway-token: Permission denied" in done.stderr
    root.run("rm", "/etc/calque/innoway-token", "/etc/calque/thingsboard-token")


class World:
    """Innoway in the south, ThingsBoard in the north, and a calque of the package between them."""

    def __init__(self, lab, root):
        self.lab, self.root = lab, root
        self.south, self.north = lab.broker("south"), lab.broker("north")
        self.platform = lab.add(Client(self.north.port).subscribe("v1/devices/me/attributes"))
        self.device = lab.add(Client(self.south.port))
        root.write("/etc/calque/calque.conf", conf_text({"journal": {"max_bytes": 65536}, "links": [
            {"name": "pump", "south": {"dialect": "innoway", "url": self.south.url, "vars": {"device": "d", "token": "t"}},
             "north": {"dialect": "thingsboard", "url": self.north.url, "vars": {"token": "t"}}}]}), 0o640, group="calque")
        root.run("install", "-d", "-o", "calque", "-g", "calque", "-m", "700", "/var/lib/calque")  # StateDirectory=

    def start(self):
        """As the unit does it."""
        return self.lab.add_process(Service(self.root.command("calque", "run", user="calque")))

    def send(self, numbers):
        for n in numbers:
            self.device.publish("messages/d/attribute", {"n": n, "text": "x" * 1000})

    def await_all(self, numbers):
        assert [self.platform.wait_for("v1/devices/me/attributes").json()["n"] for _ in numbers] == list(numbers)


def test_an_upgrade_keeps_what_waits_and_a_downgrade_refuses(lab, root, packages):
    world = World(lab, root)
    calque = world.start()
    calque.wait_log("session-up", count=2)
    world.north.stop()
    calque.wait_log("session-down link=pump side=north")
    world.send(range(200))  # more than the journal takes: the rest waits in the south
    calque.wait_log("journal-full")
    calque.stop()

    dpkg(root, "-i", packages[1])
    world.north.start()
    calque = world.start()
    world.await_all(range(200))
    calque.stop()

    state = digest(root, "/var/lib/calque")
    assert "calque.db" in state
    dpkg(root, "-i", packages[0])
    refused = root.try_to("calque", "run", user="calque")
    assert refused.returncode == 1
    assert "calque run: /var/lib/calque/calque.db was written by a newer calque (version " in refused.stderr
    assert digest(root, "/var/lib/calque") == state

    dpkg(root, "-i", packages[1])  # and on with that
    calque = world.start()
    world.send(range(200, 210))
    world.await_all(range(200, 210))
    calque.stop()


def test_removed_it_leaves_the_state_and_purged_nothing(root):
    root.write("/etc/calque/calque.conf", "links = ();\n", 0o640, group="calque")
    root.run("install", "-d", "-o", "calque", "-m", "700", "/var/lib/calque")
    root.write("/var/lib/calque/calque.db", "", 0o600, owner="calque")
    dpkg(root, "-r", "calque")
    assert not os.path.exists(root.at("/usr/bin/calque")) and not os.path.exists(root.at("/usr/share/calque"))
    assert sorted(os.listdir(root.at("/etc/calque"))) == ["calque.conf", "calque.conf.example"]
    assert os.listdir(root.at("/var/lib/calque")) == ["calque.db"]
    dpkg(root, "-P", "calque")
    assert not os.path.exists(root.at("/etc/calque")) and not os.path.exists(root.at("/var/lib/calque"))
    assert root.try_to("id", "calque").returncode == 0  # files elsewhere may be its own
