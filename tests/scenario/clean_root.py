"""A clean Debian in a directory, as a machine on which only a package, or the steps of an image, come to be."""

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import zlib

import pytest

from harness import LIMIT, REPOSITORY
from lab import Process

RELEASE = os.path.join(REPOSITORY, "build", "release")
DOWNLOAD_LIMIT = 300


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, **more)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def alone(name):
    """For what several tests need and one makes, in build/."""
    with open(os.path.join(REPOSITORY, "build", f"{name}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need_release():
    """The optimised build, brought up to date: what is installed has no sanitizers."""
    if not os.path.exists(os.path.join(RELEASE, "CPackConfig.cmake")):
        pytest.skip("there is no build/release: cmake --preset release && cmake --build --preset release")
    with alone("release"):
        done = subprocess.run(["cmake", "--build", RELEASE, "-j2", "--target", "calque", "calque-bench", "calque-frontdoor", "pages",
                               "calque-next"], capture_output=True, text=True, timeout=15 * LIMIT, check=False)
    if "unknown target" in done.stdout:
        pytest.skip("build/release was made without its tests: cmake --preset release -DBUILD_TESTING=ON")
    assert done.returncode == 0, done.stdout


# What calque is linked with, and what its package and its image need beside that.
PACKAGES = ["ca-certificates", "libc6", "libconfig9", "libjq1", "libjson-c5", "libmicrohttpd12", "libmosquitto1", "libonig5",
            "libseccomp2", "libsqlite3-0", "libssl3", "libuv1", "systemd-standalone-sysusers"]


def make_base():
    """A directory with the essential packages and these, as the mirrors of this machine have them; kept in build/."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a clean Debian with its users")
    if not shutil.which("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed: .ci/install test")
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    base = os.path.join(REPOSITORY, "build", f"root-{suite}-{zlib.crc32(' '.join(PACKAGES).encode()):08x}")
    with alone("root"):
        if not os.path.exists(base):
            shutil.rmtree(f"{base}.new", ignore_errors=True)  # somebody was ended
            done = subprocess.run(["mmdebstrap", "--mode=root", "--variant=essential", f"--include={','.join(PACKAGES)}",
                                   "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
                                   suite, f"{base}.new"],
                                  capture_output=True, text=True, timeout=DOWNLOAD_LIMIT, check=False)
            if done.returncode != 0:
                shutil.rmtree(f"{base}.new", ignore_errors=True)
                pytest.skip(f"no clean Debian can be made here: {done.stderr.splitlines()[-1:]}")
            os.rename(f"{base}.new", base)
    return base


class CleanRoot:
    """A copy of such a directory, for one test."""

    def __init__(self, base, directory):
        self.path = os.path.join(str(directory), "root")
        run("cp", "-a", base, self.path)

    def at(self, path):
        return os.path.join(self.path, path.lstrip("/"))

    def command(self, *command, user="root", env=()):
        """What runs it in there, seeing its own processes' files and our network."""
        script = 'mount -t proc proc "$1/proc" && root=$1 user=$2 && shift 2 && exec chroot "$root" setpriv ' \
                 '--reuid "$user" --regid "$user" --init-groups env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", self.path, user, *env,
                *command]

    def run(self, *command, **more):
        """It must end well; what it printed."""
        return run(*self.command(*command, **more))

    def try_to(self, *command, **more):
        return subprocess.run(self.command(*command, **more), capture_output=True, text=True, timeout=LIMIT, check=False)

    def write(self, path, text, mode=0o644, owner="root", group="root"):
        with open(self.at(path), "w", encoding="utf-8") as file:
            file.write(text)
        self.run("chown", f"{owner}:{group}", path)
        os.chmod(self.at(path), mode)

    def stat(self, path):
        return self.run("stat", "-c", "%U:%G %a", path).strip()


class Service(Process):
    """A calque in a clean root, as its service runs it."""

    def __init__(self, command):
        super().__init__("calque in a clean root")
        self.spawn(command)

    def stop(self):
        self.process.terminate()
        status = self.wait_end()
        assert status == 0, self.log()


def names_of(depends):
    """The packages of a line of dependencies, of alternatives the last."""
    return [re.sub(r" *\(.*?\)", "", one.split("|")[-1]).strip() for one in depends.split(",")]
