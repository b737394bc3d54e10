#!/usr/bin/env python3
"""Run the commands of the documentation as they are written, and compare what they print.

A block ```sh is run; a block ```text right behind it is what it must print.  `sh background` starts a
service, ended with the file; `sh by-ci` is what CI itself runs (tests/run), `sh by-hand` what
changes the machine (the brokers that it starts are here, too).  The blocks of a file
share one directory and one shell environment; the ports 1883 and 1884 stand for two real brokers, and
examples/, tests/ and build/sanitize/ for those of this tree and of the calque under test.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = ["README.md", "mappings/README.md", "bridge/README.md"]
BLOCK = re.compile(r"^```(sh|text)( [a-z-]+)?\n(.*?)^```$", re.M | re.S)
AGE = re.compile(r"\b\d+s +")  # in a table: how long ago it was is nobody's promise
LIMIT_S = 240


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_broker(directory, port):
    conf = directory / f"broker-{port}.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen(["/usr/sbin/mosquitto", "-c", conf], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and broker.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return broker
    raise SystemExit(f"no broker on port {port}")


class Shell:
    """One bash for all blocks of a file, so that variables live on."""

    def __init__(self, directory, ports):
        self.directory, self.ports = directory, ports
        binary = pathlib.Path(os.environ["CALQUE"]).resolve()
        path = f"{binary.parent}:/usr/bin:/usr/sbin:/bin:/sbin"
        self.env = {"PATH": path, "HOME": str(directory), "CALQUE": str(binary), "CI": "true",
                    "PYTHONDONTWRITEBYTECODE": "1"}
        self.build = binary.parent
        self.services = []

    def real(self, script):
        for written, port in self.ports.items():
            script = script.replace(written, str(port))
        script = script.replace("/tmp/", f"{self.directory}/")
        script = script.replace("build/sanitize/", f"{self.build}/")
        return re.sub(r"(?<![\w./-])(examples|tests)/", rf"{ROOT}/\1/", script)

    def run(self, script):
        keep = self.directory / ".env"
        wrapped = f"set -e\n[ ! -f {keep} ] || . {keep}\n{self.real(script)}\nexport -p > {keep}\n"
        done = subprocess.run(["bash", "-c", wrapped], cwd=self.directory, env=self.env, timeout=LIMIT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stdout, done.stderr

    def serve(self, script):
        keep = self.directory / ".env"
        self.services.append(subprocess.Popen(
            ["bash", "-c", f". {keep}\nexec {self.real(script).strip()}"], cwd=self.directory, env=self.env,
            stderr=subprocess.DEVNULL))

    def close(self):
        status = [0]
        for service in self.services:
            service.send_signal(signal.SIGTERM)
            status.append(service.wait(timeout=60))
        return max(map(abs, status))


def check_file(name):
    text = (ROOT / name).read_text()
    blocks = BLOCK.findall(text)
    failed = []
    with tempfile.TemporaryDirectory() as made:
        directory = pathlib.Path(made)
        ports = {"1883": free_port(), "1884": free_port()}
        brokers = [start_broker(directory, p) for p in ports.values()]
        shell = Shell(directory, ports)
        try:
            printed = ""
            for language, mark, body in blocks:
                if language == "text":
                    if AGE.sub("<age> ", printed) != AGE.sub("<age> ", body):
                        failed.append(f"{name}: expected\n{body}got\n{printed}")
                elif mark.strip() == "background":
                    shell.serve(body)
                elif mark.strip() not in ("by-ci", "by-hand"):
                    status, printed, errors = shell.run(body)
                    if status != 0:
                        failed.append(f"{name}: exit status {status}\n{body}{printed}{errors}")
        finally:
            if shell.close() != 0:
                failed.append(f"{name}: a service did not end well")
            for broker in brokers:
                broker.terminate()
                broker.wait()
    print(f"{name}: {len(blocks)} blocks, {len(failed)} wrong")
    return failed


def main():
    failed = [f for name in FILES if (ROOT / name).exists() for f in check_file(name)]
    print(*failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
