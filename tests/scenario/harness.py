"""What the scenario tests stand on: the laboratory of examples/demo, and certificates, examples and fixtures."""

import base64
import contextlib
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "demo"))

# pylint: disable=wrong-import-position,unused-import
from lab import (LIMIT, MQTT3, MQTT5, REPOSITORY, Broker, Calque, Client, Ended, Process, Timeout,  # noqa: F401,E402
                 assert_json, conf_text, conf_value, find_bridge, find_program, free_port, is_uuid, localise,
                 same_json)


class Authority:
    """A certificate authority of our own: `ca`, and (certificate, key) pairs `server` and `client`."""

    def __init__(self, directory, name="ca"):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, exist_ok=True)
        self.ca = self._path("ca.pem")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-days", "2", "-subj", f"/CN=calque test authority {name}",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", self._path("ca.key"), "-out", self.ca)
        self.server = self._issue("localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.client = self._issue("bridge", "extendedKeyUsage=clientAuth", days=3)

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _openssl(self, *arguments):
        subprocess.run([find_program("openssl"), *arguments], check=True, capture_output=True, text=True)

    def _issue(self, name, extension, days=2):
        certificate, key, request, ext = (self._path(name + s) for s in (".pem", ".key", ".csr", ".ext"))
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        with open(ext, "w", encoding="utf-8") as file:
            file.write(extension + "\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("ca.key"),
                      "-CAcreateserial", "-days", str(days), "-extfile", ext, "-out", certificate)
        os.chmod(key, 0o600)
        return certificate, key


class Lab:
    """Makes brokers, platforms and bridges in one directory, and ends all of them: close()."""

    def __init__(self, directory):
        self.directory = str(directory)
        self._open = []
        self._processes = []
        self._authorities = {}

    def add(self, thing):
        """Something with close() to be closed at the end."""
        self._open.append(thing)
        return thing

    def authority(self, name="ca"):
        if name not in self._authorities:
            self._authorities[name] = Authority(self.directory, name)
        return self._authorities[name]

    def broker(self, name, **settings):
        return self.add_process(Broker(self.directory, name, **settings))

    def calque(self, conf, **settings):
        return self.add_process(Calque(self.directory, conf, **settings))

    def add_process(self, process):
        """A process to be killed at the end, its log to be shown if the test fails."""
        self._processes.append(process)
        return process

    def secret_file(self, name, text):
        """A file for `file:PATH`, readable by us only."""
        path = os.path.join(self.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        return path

    def with_list(self, conf, folder):
        """The list of devices that lies beside a configuration, as one here that nobody else can read."""
        def here(match):
            with open(os.path.join(folder, match[1]), encoding="utf-8") as file:
                return f'devices = "{self.secret_file(match[1], file.read().rstrip())}"'
        return re.sub(r'(?m)^devices\s*=\s*"([^"/]+)"', here, conf)

    def example(self, name, south, north, extra=None, file="calque.conf", secrets=None):
        """The configuration of an example, made to run between these two brokers.

        `secrets`: {path written in the example: text}; each is put into a file here.
        """
        with open(os.path.join(REPOSITORY, "examples", name, file), encoding="utf-8") as source:
            conf = source.read()
        ca = next((b.tls.ca for b in (south, north) if b.tls), None)
        conf = self.with_list(conf, os.path.join(REPOSITORY, "examples", name))
        conf = localise(conf, south.url, north.url, extra, ca)
        for path, text in (secrets or {}).items():
            assert f'"file:{path}"' in conf, f"the example does not name {path}"
            conf = conf.replace(f'"file:{path}"', f'"file:{self.secret_file(os.path.basename(path), text)}"')
        assert "file:/run" not in conf, "a secret file of the example was not replaced"
        return conf

    def close(self):
        for thing in reversed(self._open):
            thing.close()
        for process in reversed(self._processes):
            process.kill()

    def report(self):
        """What everyone said, for a failed test."""
        return "\n".join(p.log() for p in self._processes)

    def assert_clean(self):
        """No bridge may have been reported by a sanitizer, however the test ended it."""
        for process in self._processes:
            if isinstance(process, Calque):
                process.assert_clean()


def spellings(secret):
    """The ways in which a secret might be written down in clear."""
    data = secret.encode()
    yield data
    yield data.hex().encode()
    for i in range(3):  # base64, wherever the secret starts within a group of three
        coded = base64.b64encode(b"\0" * i + data)
        yield coded[(0, 2, 3)[i]:-4].rstrip(b"=")


def find_secret(directory, secret):
    """Files below the directory that hold the secret in clear."""
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            if any(s in content for s in spellings(secret)):
                found.append(path)
    return found


def children(calque, name=""):
    """The process ids of those of its processes that are called so."""
    def name_of(pid):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as comm:
            return comm.read().strip()
        return None

    with open(f"/proc/{calque.pid}/task/{calque.pid}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split() if name in (name_of(pid) or ())]


def memory(pid):
    """What a process can write to, and has written; for root.  What is too large to be its own is a sanitizer's."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        areas = [[int(n, 16) for n in line.split()[0].split("-")] for line in maps if line.split()[1].startswith("rw")]
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for begin, end in areas:
            if end - begin < 256 << 20:
                with contextlib.suppress(OSError, OverflowError):
                    file.seek(begin)
                    found.append(file.read(end - begin))
    return b"".join(found)


def dead_letter(link, flow, reason=r"\S+"):
    """A pattern for the log line of a dead letter."""
    return rf"dead-letter link={re.escape(link)} flow={flow} reason={reason}"
