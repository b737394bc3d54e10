#!/usr/bin/env python3
"""What translate, routes, check and status print, byte for byte: the same as was recorded in golden/*.txt?

For changes of the code that must change nothing. Where a change is meant: `CALQUE=... tests/golden.py --record`, and
look at the diff. Only what differs from run to run is replaced by a word in <>: times, uuids, ports, pids, ages, the
directory of this clone. Recorded with Debian 12's libraries: other versions of jq may use other words.
"""
import concurrent.futures
import difflib
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from golden_text import ENVIRONMENT, ROOT, Neutral, find_bridge, run, shown  # noqa: E402
from golden_status import eztcloud, innoway, status  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
LEAST = {"translate": 250, "pairs": 50, "routes": 55, "check": 25, "status": 5}  # records
DIALECTS = ("device-events", "eztcloud", "innoway", "thingsboard", "thingsboard-gateway")
SECRETS = {"GOLDEN_SET": "c4nary", "GOLDEN_EMPTY": "", "INNOWAY_TOKEN": "t", "TB_TOKEN": "t", "TB_PROVISION_KEY": "k",
           "TB_PROVISION_SECRET": "s", "EZT_PROJECT_SECRET": "s", "ACCESS_KEY": "k", "FRONT_DOOR_PASSWORD": "s",
           "PUMP_TOKEN": "t"}


# --- translate ---------------------------------------------------------------------------------------------------

def all_cases():
    return [(path.name, case) for path in sorted((ROOT / "mappings").glob("*.cases.json"))
            for case in json.loads(path.read_text(encoding="utf-8"))]


def question(step):
    """A step (or a case of one step) as translate --lines takes it."""
    about = ("name", "about", "south", "north", "vars", "expect", "dead", "filtered")
    return {k: v for k, v in step.items() if k not in about}


def line_of(value):
    return json.dumps(value, ensure_ascii=False)


def bind(want, got, bound):
    """What the {{placeholders}} of an expectation stand for."""
    if isinstance(want, str) and re.fullmatch(r"{{.*}}", want):
        bound.setdefault(want, got)
    elif isinstance(want, dict) and isinstance(got, dict):
        for key in want.keys() & got.keys():
            bind(want[key], got[key], bound)
    elif isinstance(want, list) and isinstance(got, list):
        for one, other in zip(want, got):
            bind(one, other, bound)


def filled(value, bound):
    if isinstance(value, dict):
        return {k: filled(v, bound) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, bound) for v in value]
    return bound.get(value, value) if isinstance(value, str) else value


def talk(title, arguments, steps, neutral):
    """All steps of a case through one `translate --lines`, each answered before the next is filled in and sent."""
    bound, out = {}, ""
    with subprocess.Popen([find_bridge(), *arguments], cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        for step in steps:
            try:
                process.stdin.write(line_of(filled(question(step), bound)) + "\n")
                process.stdin.flush()
            except BrokenPipeError:  # it has ended; the record says why
                break
            answer = process.stdout.readline()
            if not answer:
                break
            bind(step.get("expect", []), json.loads(answer), bound)
            out += answer
        rest, err = process.communicate(timeout=300)
    return shown(title, arguments, out + rest, err, process.returncode, neutral)


def translate(file, case):
    """One case: as a call of its own if that can say it, else through --lines.

    Not carried over from the case files, since JSON is read and written by Python between: how floats are spelled
    (1.50), and placeholders within a longer text (there are none).
    """
    title, neutral = f"{file}: {case['name']}", Neutral(json.dumps(case), sum(
        s.get("after_ms", 0) for s in case.get("steps", [])))
    arguments = ["translate", case["south"], case["north"]]
    options = ["--mappings=mappings"]
    options += [f"--var={name}={value}" for name, value in case.get("vars", {}).items()]
    step = question(case)
    if "steps" in case or not step.keys() <= {"flow", "topic", "payload", "payload_text", "properties",
                                             "response_topic"}:
        return talk(title, [*arguments, "--lines", *options], case.get("steps", [case]), neutral)
    options += [f"--property={name}={value}" for name, value in step.get("properties", {}).items()]
    options += [f"--response-topic={step['response_topic']}"] if "response_topic" in step else []
    stdin = line_of(step["payload"]) if "payload" in step else step.get("payload_text", "")
    return run(title, *arguments, step["flow"], step["topic"], "-", *options, stdin=stdin, neutral=neutral)


def pair(south, north, flow):
    """What all cases of that dialect send on this flow, through this pair, one after the other in one state.

    Placeholders stay as they are: ids that nobody gave.
    """
    source = south if flow == "up" else north
    asked = dict.fromkeys(line_of(question(step)) for _, case in all_cases() for step in case.get("steps", [case])
                          if case["south" if flow == "up" else "north"] == source and step.get("flow") == flow)
    options = [f"--var={side}.project=PR_x" for side, d in (("south", south), ("north", north)) if d == "eztcloud"]
    options.append("--var=north.device=N1" if flow == "up" else "--var=south.device=S1")
    return run(f"all that {source} sends {flow}: {south} to {north}", "translate", south, north, "--lines",
               "--mappings=mappings", *options, stdin="".join(line + "\n" for line in asked),
               neutral=Neutral("".join(asked)))


# --- routes and check --------------------------------------------------------------------------------------------

def routes(south, north, *options):
    return run(f"routes {south} {north}", "routes", south, north, "--mappings=mappings", *options)


def make_configurations(directory):
    """Copies of ours, with modes that Git does not keep, and of the examples, with files that are here."""
    shutil.copytree(GOLDEN / "check", directory, dirs_exist_ok=True)
    for path in directory.rglob("*"):
        is_closed = path.suffix == ".conf" or path.name == "closed.secret"
        path.chmod(0o755 if path.is_dir() else 0o600 if is_closed else 0o644)
    for path in sorted((ROOT / "examples").glob("*/*.conf")):
        if path.name in ("mosquitto.conf", "waves.conf"):
            continue
        text = re.sub(r'"file:/(run|etc)/[^"]*"', '"file:closed.secret"', path.read_text(encoding="utf-8"))
        text = text.replace('"/etc/calque/register"', '"/bin/true"')
        text = re.sub(r'"/(run|etc)/[^"]*"', '"ca.crt"', text)
        copy = directory / f"example-{path.parent.name}-{path.name}"
        copy.write_text(text, encoding="utf-8")
        copy.chmod(0o600)


def configuration(directory, name, verb, *options, secrets=None):
    env = {**ENVIRONMENT, **(SECRETS if secrets is None else secrets)}
    title = f"{verb} {name}" + ("" if secrets is None else ", nothing in the environment")
    return run(title, verb, "-c", name, f"--mappings={ROOT}/mappings", *options, cwd=directory, env=env)


# --- all ---------------------------------------------------------------------------------------------------------

def start_all(pool, directory):
    """Everything at once: {name of the file: what becomes its records, in order}."""
    make_configurations(directory)
    names = sorted(path.name for path in directory.glob("*.conf"))
    examples = [name for name in names if name.startswith("example-")]
    pairs = list(itertools.product(DIALECTS, DIALECTS))
    return {
        "status": [pool.submit(status, play) for play in (innoway, eztcloud)],
        "pairs": [pool.submit(pair, *p, flow) for p in pairs for flow in ("up", "down")],
        "translate": [pool.submit(translate, *c) for c in all_cases()],
        "routes": [pool.submit(routes, *p, *options) for p in pairs for options in ((), ("--json",))] +
                  [pool.submit(configuration, directory, name, "routes", *options)
                   for name in [*examples, "good.conf", "rows.conf"] for options in ((), ("--json",))],
        "check": [pool.submit(configuration, directory, name, "check") for name in names] +
                 [pool.submit(configuration, directory, name, "check", secrets={}) for name in examples] +
                 [pool.submit(configuration, directory, name, "check", "--json")
                  for name in ("good.conf", "rows.conf", "syntax.conf", "nothing.conf")],
    }


def compare(name, text):
    """Does it equal what was recorded?  If not, show where."""
    path = GOLDEN / f"{name}.txt"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), text.splitlines(True),
                                               f"tests/golden/{name}.txt", "now"))
    return text == before


def main():
    is_same = True
    with tempfile.TemporaryDirectory() as made, concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
        for name, records in start_all(pool, pathlib.Path(made)).items():
            text = "\n".join(r.result() for r in records)
            count = len(re.findall(r"^=== ", text, re.M))
            assert count >= LEAST[name], f"{name}: {count} records, and {LEAST[name]} at least are wanted"
            if "--record" in sys.argv[1:]:
                (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
            else:
                is_same = compare(name, text) and is_same
            print(f"{name}: {count} records")
    if not is_same:
        print("calque prints something else than it did; if that is meant: tests/golden.py --record")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
