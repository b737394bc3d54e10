"""calque under a service manager: what it tells it, and the credentials that it gets from it."""

import os
import queue
import signal
import socket
import threading

import pytest

from harness import LIMIT, conf_text


class Manager:
    """A service manager's socket, as systemd has one for each service; all that came, one dict for each datagram."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.told = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except OSError:
                return
            self.told.put(dict(line.split("=", 1) for line in text.splitlines()))

    def wait_for(self, is_it):
        """The first that is so, of those that nobody waited for."""
        while True:
            told = self.told.get(timeout=LIMIT)
            if is_it(told):
                return told

    def close(self):
        self.socket.close()


@pytest.fixture
def manager(lab, tmp_path):
    return lab.add(Manager(str(tmp_path / "notify")))


def link(south, north, **more):
    return {"name": "pump", "south": {"dialect": "innoway", "url": south, "vars": {"device": "d", "token": "t"}},
            "north": {"dialect": "thingsboard", "url": north, **more}}


def test_a_service_manager_hears_of_start_life_and_end(lab, manager):
    south, north = lab.broker("south"), lab.broker("north")
    calque = lab.calque(conf_text({"state": "@state@", "links": [link(south.url, north.url, vars={"token": "t"})]}),
                        env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "900000"})
    first = manager.told.get(timeout=LIMIT)
    assert first["READY"] == "1" and first["WATCHDOG"] == "1" and first["STATUS"].startswith("1 link, ")
    calque.wait_log(" started links=1")
    alive = manager.wait_for(lambda told: told["STATUS"] == "1 link, 2 of 2 sessions up")
    assert alive["WATCHDOG"] == "1" and "READY" not in alive
    manager.wait_for(lambda told: "WATCHDOG" in told)  # nothing happens, and the loop turns all the same
    calque.stop()
    manager.wait_for(lambda told: told == {"STOPPING": "1"})


def test_a_loop_that_does_not_turn_is_not_alive(lab, manager):
    south, north = lab.broker("south"), lab.broker("north")
    calque = lab.calque(conf_text({"state": "@state@", "links": [link(south.url, north.url, vars={"token": "t"})]}),
                        env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "900000"})
    manager.wait_for(lambda told: "WATCHDOG" in told)
    os.kill(calque.pid, signal.SIGSTOP)
    try:
        with pytest.raises(queue.Empty):
            while True:
                manager.told.get(timeout=2)
    finally:
        os.kill(calque.pid, signal.SIGCONT)
    manager.wait_for(lambda told: "WATCHDOG" in told)
    calque.stop()


def test_a_service_manager_that_is_gone_is_no_matter(lab, manager):
    south, north = lab.broker("south"), lab.broker("north")
    manager.close()
    os.unlink(manager.path)
    calque = lab.calque(conf_text({"state": "@state@", "links": [link(south.url, north.url, vars={"token": "t"})]}),
                        env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "900000"})
    calque.wait_up(count=2)
    calque.stop()


def test_credentials_come_from_the_service_manager(lab, tmp_path):
    south, north = lab.broker("south"), lab.broker("north")
    (tmp_path / "credentials").mkdir()
    lab.secret_file("credentials/tb", "its-token")
    calque = lab.calque(conf_text({"state": "@state@", "links": [link(south.url, north.url, vars={"token": "cred:tb"})]}),
                        env={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    calque.wait_up(count=2)
    north.wait_login("its-token")
    calque.stop()
