"""What lies in examples/ works as it lies there."""

import glob
import os
import re
import shutil
import subprocess
import sys

import pytest

from harness import LIMIT, REPOSITORY, find_bridge

EXAMPLES = sorted(p for p in glob.glob(os.path.join(REPOSITORY, "examples", "*", "*.conf"))
                  if os.path.basename(p) not in ("mosquitto.conf", "waves.conf"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: os.path.relpath(p, os.path.join(REPOSITORY, "examples")))
def test_an_example_passes_its_check(lab, path):
    """Nothing is changed but where secret files are, and the list of devices, which must be its owner's alone."""
    with open(path, encoding="utf-8") as file:
        conf = file.read()
    env = dict(os.environ, **{name: "secret-of-" + name for name in re.findall(r'"env:(\w+)"', conf)})
    conf = re.sub(r'"file:[^"]*"', f'"file:{lab.secret_file("secret", "s")}"', conf)
    conf = lab.with_list(conf, os.path.dirname(path))
    if '"/etc/calque/register"' in conf:
        program = shutil.copy(os.path.join(os.path.dirname(path), "register"), lab.directory)
        os.chmod(program, 0o755)
        conf = conf.replace('"/etc/calque/register"', f'"{program}"')
    local = os.path.join(lab.directory, "example.conf")
    with open(local, "w", encoding="utf-8") as file:
        file.write(conf)
    done = subprocess.run([find_bridge(), "check", "-c", local], env=env, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\bwarning\b", done.stderr), done.stderr


def test_the_demo_ends_well():
    done = subprocess.run([sys.executable, os.path.join(REPOSITORY, "examples", "demo", "demo.py")],
                          env=dict(os.environ, CALQUE=find_bridge(), COLUMNS="120"), capture_output=True, text=True,
                          timeout=3 * LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^demo: \d+ messages crossed, all as expected$", done.stdout.splitlines()[-1])
    assert not any(secret in done.stdout for secret in ("demo-access-key", "demo-profile-secret", "innoway-secret"))
    assert all(len(line) <= 160 for line in done.stdout.splitlines())
