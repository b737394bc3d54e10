"""A browser without a window: Debian's chromium, steered by chromium-driver over WebDriver."""

import base64
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time

from harness import LIMIT, Timeout
from lab import free_port

IS_HERE = shutil.which("chromedriver") and shutil.which("chromium")


class Browser:
    def __init__(self, directory, is_dark=False):
        self.port = free_port()
        self.log = os.path.join(directory, "chromedriver.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.profile = tempfile.TemporaryDirectory()
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,1500",
                            f"--user-data-dir={self.profile.name}",
                            *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if is_dark else [])]}
        self._until(lambda: self._call("GET", "/status")["ready"], "the driver")
        self.session = "/session/" + self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})["sessionId"]

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            told = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(told, dict) and "error" in told:
            raise AssertionError(f"{path}: {told['error']}: {told['message'][:500]}")
        return told

    @staticmethod
    def _until(ask, what):
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                if ask():
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise Timeout(f"{what}: not within {LIMIT} s")
            time.sleep(0.05)

    def open(self, url):
        self._call("POST", self.session + "/url", {"url": url})

    def run(self, script, *arguments):
        return self._call("POST", self.session + "/execute/sync", {"script": script, "args": arguments})

    def wait(self, expression):
        """Wait until this is true in the page."""
        self._until(lambda: self.run(f"return Boolean({expression})"), expression)

    def type(self, selector, text):
        element = self._call("POST", self.session + "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"{self.session}/element/{next(iter(element.values()))}/value", {"text": text})

    def prefer(self, scheme):
        """"dark" or "light", from now on."""
        self._call("POST", self.session + "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]}})

    def complaints(self):
        """What the console has of errors; an answer of 401 is told there, too."""
        told = self._call("POST", self.session + "/se/log", {"type": "browser"})
        return [line["message"] for line in told if line["level"] == "SEVERE"]

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._call("GET", self.session + "/screenshot")))

    def close(self):
        if hasattr(self, "session"):
            self._call("DELETE", self.session)
        self.process.terminate()
        self.process.wait(LIMIT)
        self.profile.cleanup()
