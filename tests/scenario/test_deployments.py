"""The examples of a deployment: manifests are valid, what is in them passes its check, and the broker keeps its promise."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from harness import LIMIT, REPOSITORY, Client, find_program, free_port
from lab import Process, conf_text
from test_cli import Done

EXAMPLES = os.path.join(REPOSITORY, "examples")
VALIDATOR = "kubernetes-validate==1.37.0"
KUBERNETES = sorted(glob.glob(os.path.join(EXAMPLES, "kubernetes", "*.yaml")))


@pytest.fixture(scope="module")
def validator():
    """kubernetes-validate and PyYAML from PyPI, kept in build/."""
    kept = os.path.join(REPOSITORY, "build", "kubernetes-validate")
    if not os.path.isdir(kept):
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", f"{kept}.new", VALIDATOR],
                              capture_output=True, text=True, timeout=5 * LIMIT, check=False)
        if done.returncode != 0:
            shutil.rmtree(f"{kept}.new", ignore_errors=True)
            pytest.skip(f"{VALIDATOR} is out of reach: {done.stderr.splitlines()[-1:]}")
        os.rename(f"{kept}.new", kept)
    return kept


# In a process of its own: pytest has other versions of some modules.
READ = """
import json, sys, yaml
made = list(yaml.safe_load_all(sys.stdin))
if sys.argv[1:]:
    import kubernetes_validate
    for document in made:
        kubernetes_validate.validate(document, sys.argv[1], strict=True)
print(json.dumps(made))
"""


def read(validator, text, *version):
    """The documents of a YAML file, as JSON; None: for this version of Kubernetes they are not valid."""
    done = subprocess.run([sys.executable, "-c", READ, *version], input=text, capture_output=True, text=True, timeout=LIMIT,
                          env={**os.environ, "PYTHONPATH": validator}, check=False)
    if done.returncode and "ValidationError" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def check(text, tmp_path, env=None, warning=""):
    """`calque check` of a configuration (or of an environment), with files of secrets that are here; all that it warns of."""
    secret = tmp_path / "secret"
    secret.write_text("s\n")
    secret.chmod(0o600)
    here = re.compile(r"file:/run/secrets/[\w/-]+")
    if env:
        done = Done("check", env={**{k: here.sub(f"file:{secret}", v) for k, v in env.items()},
                                  "CALQUE_STATE": str(tmp_path / "state")})
    else:
        conf = tmp_path / "calque.conf"
        conf.write_text(here.sub(f"file:{secret}", text).replace("/var/lib/calque/state", str(tmp_path / "state")))
        done = Done("check", "-c", str(conf))
    assert done.status == 0 and re.fullmatch(warning, done.err), done.err
    assert "1 link, no mistakes" in done.out


@pytest.mark.parametrize("path", KUBERNETES, ids=os.path.basename)
def test_manifests_of_kubernetes_are_valid_and_careful(validator, tmp_path, path):
    made = read(validator, text_of(path), "1.30")
    assert made
    assert read(validator, text_of(path).replace("replicas:", "replica:"), "1.30") is None
    [workload] = [d for d in made if "template" in d.get("spec", {})]
    assert workload["spec"]["replicas"] == 1
    pod = workload["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False and pod["terminationGracePeriodSeconds"] > 5
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["fsGroup"] == 10001
    assert [v["secret"]["defaultMode"] for v in pod["volumes"] if "secret" in v] == [0o440]
    [calque] = [c for c in pod["containers"] if c["name"] == "calque"]
    assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= calque.keys()
    assert calque["securityContext"]["readOnlyRootFilesystem"] is True
    names = {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])}
    assert {m["name"] for m in calque["volumeMounts"]} <= names
    texts = [d["data"]["calque.conf"] for d in made if d["kind"] == "ConfigMap"]
    env = {e["name"]: e["value"] for e in calque.get("env", [])}
    assert_the_kubelet_is_answered(calque, texts[0] if texts else env["CALQUE_ADMIN"])
    check(texts[0] if texts else None, tmp_path, env, r".*admin: others reach it, and there is no TLS.*only health and metrics.*\n")
    calque.update(read(validator, block_of(os.path.join(EXAMPLES, "kubernetes", "README.md")))[0])
    assert calque["livenessProbe"]["exec"]["command"] == ["calque", "status"]
    assert read(validator, json.dumps(workload), "1.30")


def assert_the_kubelet_is_answered(calque, conf):
    """It asks at the address of the pod, which is none of loopback."""
    host, port = re.search(r"(0\.0\.0\.0|\[::\]):(\d+)", conf).groups()
    assert [p["containerPort"] for p in calque["ports"] if p["name"] == "admin"] == [int(port)], host
    for probe, path in {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}.items():
        assert calque[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "admin"}


def block_of(path):
    """The block of YAML in a guide."""
    [text] = re.findall(r"```yaml\n(.*?)```", text_of(path), re.DOTALL)
    return text


def test_the_services_of_compose_fit_together(validator, tmp_path):
    [made] = read(validator, text_of(os.path.join(EXAMPLES, "container", "compose.yaml")))
    calque = made["services"]["calque"]
    check(None, tmp_path, calque["environment"])
    assert calque["read_only"] is True and calque["secrets"][0]["mode"] == 0o400
    assert int(calque["stop_grace_period"].rstrip("s")) > 5
    for service in made["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in made["volumes"] or os.path.exists(os.path.join(EXAMPLES, "container", source)), volume
        assert all(other in made["services"] for other in service.get("depends_on", []))
    assert os.path.exists(os.path.join(EXAMPLES, "container", calque["build"]["context"], calque["build"]["dockerfile"]))
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        done = subprocess.run(["docker", "compose", "-f", os.path.join(EXAMPLES, "container", "compose.yaml"), "config", "-q"],
                              capture_output=True, text=True, timeout=LIMIT, check=False)
        assert (done.returncode, done.stderr) == (0, "")


class Mosquitto(Process):
    """mosquitto with the settings of the example, here."""

    def __init__(self, directory):
        super().__init__("mosquitto of the example")
        self.port, self.url = free_port(), None
        self.url = f"mqtt://127.0.0.1:{self.port}"
        with open(os.path.join(EXAMPLES, "mosquitto", "mosquitto.settings"), encoding="utf-8") as file:
            text = file.read()
        assert "\nlistener 1883\n" in text and "/mosquitto/data/" in text
        os.makedirs(f"{directory}/data")
        self.conf = f"{directory}/mosquitto.conf"
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write("user root\n" + text.replace("listener 1883", f"listener {self.port} 127.0.0.1")
                       .replace("/mosquitto/data/", f"{directory}/data/"))
        self.start()

    def start(self):
        since = self.mark()
        self.spawn([find_program("mosquitto"), "-c", self.conf])
        self.wait_log(r"mosquitto version \S+ running", since)


def test_mosquitto_keeps_what_waits_for_calque_through_a_crash(lab, tmp_path):
    """More than the default queue holds, and all but the last 20 of it."""
    south, north = lab.add_process(Mosquitto(tmp_path)), lab.broker("north")
    calque = lab.calque(conf_text({"state": "@state@", "links": [
        {"name": "pump", "south": {"dialect": "innoway", "url": south.url, "vars": {"device": "d", "token": "t"}},
         "north": {"dialect": "thingsboard", "url": north.url, "vars": {"token": "t"}}}]}))
    calque.wait_up(count=2)
    calque.stop()
    device = lab.add(Client(south.port))
    for n in range(2000):
        device.publish("messages/d/attribute", {"n": n}, wait=n == 1999)
    device.close()
    south.kill()
    south.start()
    platform = lab.add(Client(north.port).subscribe("v1/devices/me/attributes"))
    calque.start()
    platform.wait(lambda: len(platform.received) >= 1980, "what was kept")
    assert [m.json()["n"] for m in platform.received[:1980]] == list(range(1980))
    calque.stop()
