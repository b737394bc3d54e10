"""The image of examples/container/Dockerfile: what it does, done in a clean Debian (there is no engine here)."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest

import clean_root
from clean_root import CleanRoot, Service, run
from harness import REPOSITORY, Client

MOST_KB = 40 << 10  # beyond the base


def stages():
    """The instructions of each stage, as (word, rest)."""
    with open(os.path.join(REPOSITORY, "examples", "container", "Dockerfile"), encoding="utf-8") as file:
        text = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", file.read()))
    found = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found and word:
            found[-1].append((word, rest.strip()))
    return found


def said(stage, word):
    return [rest for w, rest in stage if w == word]


def packages_of(stage):
    [install] = [rest for rest in said(stage, "RUN") if "apt-get install" in rest]
    return [word for word in re.search(r"apt-get install (.*?)(?: &&|$)", install)[1].split() if not word.startswith("-")]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The last stage's files."""
    clean_root.need_release()
    build, last = stages()
    root = CleanRoot(clean_root.make_base(), tmp_path_factory.mktemp("image"))
    [install] = [rest for rest in said(build, "RUN") if "cmake --install" in rest]
    run("sh", "-c", install.replace("DESTDIR=/out", f"DESTDIR={shlex.quote(root.path)}"), cwd=REPOSITORY)
    for step in said(last, "RUN"):
        if "apt-get" not in step:
            root.run("sh", "-c", step)
    yield root
    shutil.rmtree(root.path)


def command(root, arguments, env=()):
    """As an engine starts it: a number for a user, nothing to write to but the volume, no capability."""
    _, last = stages()
    user = said(last, "USER")[0].split(":")
    script = 'mount --rbind "$1" "$1" && mount -t proc proc "$1/proc" && mount --bind "$1$2" "$1$2" && ' \
             'mount -o remount,bind,ro "$1" && mount -o remount,bind,rw "$1$2" && root=$1 && shift 2 && exec "$@" '
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", root.path, said(last, "VOLUME")[0],
            "setpriv", "--no-new-privs", "chroot", root.path, "setpriv", "--reuid", user[0], "--regid", user[1], "--clear-groups",
            "--bounding-set=-all", "env", "-i", "PATH=/usr/bin:/bin", *env, *arguments]


def test_it_carries_messages_with_a_read_only_root_and_drains(lab, image):
    _, last = stages()
    south, north = lab.broker("south"), lab.broker("north")
    env = [f"CALQUE_{name}={value}" for name, value in {
        "NAME": "pump", "SOUTH_DIALECT": "innoway", "SOUTH_URL": south.url, "SOUTH_VARS_DEVICE": "d",
        "SOUTH_VARS_TOKEN": "t", "NORTH_DIALECT": "thingsboard", "NORTH_URL": north.url, "NORTH_VARS_TOKEN": "t"}.items()]
    start = json.loads(said(last, "ENTRYPOINT")[0]) + json.loads(said(last, "CMD")[0])
    health = json.loads(said(last, "HEALTHCHECK")[0].partition(" CMD ")[2])
    touched = subprocess.run(command(image, ["touch", "/usr/x"]), capture_output=True, text=True, check=False)
    assert "Read-only file system" in touched.stderr
    assert subprocess.run(command(image, health, env), capture_output=True, check=False).returncode == 1

    calque = lab.add_process(Service(command(image, start, env)))
    calque.wait_log("session-up", count=2)
    run(*command(image, health, env))
    platform = lab.add(Client(north.port).subscribe("v1/devices/me/attributes"))
    device = lab.add(Client(south.port))
    device.publish("messages/d/attribute", {"n": 1})
    platform.expect("v1/devices/me/attributes", {"n": 1})
    assert said(last, "STOPSIGNAL") == ["SIGTERM"]
    calque.stop()
    assert image.stat("/var/lib/calque") == "UNKNOWN:UNKNOWN 700"
    assert "calque.db" in os.listdir(image.at("/var/lib/calque"))


def closure(root, packages):
    """These packages and all that they need, of those that are installed: {name: KB}."""
    listed = root.run("dpkg-query", "-W", "-f", "${Package}\\t${Installed-Size}\\t${Pre-Depends}, ${Depends}\\t${Essential}\\n")
    rows = {name: (int(size), needs, essential) for name, size, needs, essential in
            (line.split("\t") for line in listed.splitlines())}
    found, rest = {}, [*(packages or [name for name in rows if rows[name][2] == "yes"])]
    while rest:
        name = rest.pop()
        if name in rows and name not in found:
            found[name] = rows[name][0]
            rest += re.findall(r"(?:^|[,|]) *([a-z0-9.+-]+)", rows[name][1])
    return found


def test_it_is_small(image):
    base, ours = closure(image, None), closure(image, packages_of(stages()[1]))
    assert {"libmosquitto1", "libssl3"} <= ours.keys() - base.keys() and "libc6" in base
    libraries = sum(size for name, size in ours.items() if name not in base)
    own = int(run("du", "-sck", *(image.at(f"/usr/{p}") for p in ("bin/calque", "libexec/calque", "share/calque", "share/man/man1/calque.1")))
              .splitlines()[-1].split()[0])
    print(f"{libraries} KB of libraries, {own} KB of calque")
    assert 5000 < libraries + own < MOST_KB and own < 1500


def test_it_has_the_libraries_that_calque_is_linked_with(image):
    for program in ("/usr/bin/calque", "/usr/libexec/calque/calque-bench"):
        assert "not found" not in image.run("ldd", program)
    build, last = stages()
    assert said(last, "USER") == ["10001:10001"] and said(last, "VOLUME") == ["/var/lib/calque"]
    assert said(build, "RUN")[0] == ".ci/install build"
    assert "ca-certificates" in packages_of(last)
