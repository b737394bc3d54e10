#!/usr/bin/env python3
"""The JSON Schema that `calque new --schema` prints, and the loader: they must judge metadata alike."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent
CALQUE = os.environ["CALQUE"]

ROW = {"kind": "telemetry", "topic": "x/{device}"}
COMMAND = {"kind": "command", "topic": "x/{device}/{id}"}
TABLE = {"dialect": "x", "messages": [ROW]}
THROUGH = {"through": "x", "up": "f"}
FUNCTIONS = "def f: .;\ndef g: .;\n"


def rows(*changes, row=None):
    """A dialect of one row for each change to it."""
    return [{**TABLE, "messages": [{**(row or ROW), **c}]} for c in changes]


def tables(*changes):
    return [{**TABLE, **c} for c in changes]


GOOD = [
    TABLE, THROUGH,
    *tables({"about": "a", "version": 1}, {"version": "1.2"}, {"mqtt": 4}, {"mqtt": 5}, {"device": "topic"},
            {"device": "payload"}, {"device": "none"}, {"session": {}},
            {"session": {"username": "{token}", "password": "p", "client_id": "c", "per": "device",
                         "provisioning": {"username": "provision", "password": "p", "client_id": "c"}}},
            {"session": {"per": "link"}}, {"application": {}}, {"application": {"username": "{u}", "client_id": "c"}},
            {"credentials": []}, {"credentials": ["secret", "_k2"]}, {"choices": {"v": ["a", "b"]}}, {"limits": {}},
            {"limits": {"payload_bytes": 1, "packet_bytes": 4, "in_flight": 2, "messages_per_second": 3}},
            {"up": {}, "down": {"qos": 0, "lenient": False}}, {"up": {"read": "f", "properties": {"a": "{b}"}}}),
    *rows({"read": "f"}, {"write": "f"}, {"read": "f", "write": "g"}, {"publish": "f"}, {"only": "read", "read": "f"},
          {"only": "write", "write": "f"}, {"only": "write", "publish": "f"}, {"only": "read", "echoes": "config"},
          {"format": "json"}, {"format": "text"}, {"format": "bytes"}, {"qos": 0}, {"qos": 1}, {"retain": True},
          {"properties": {}}, {"properties": {"k": "{v} and more"}}, {"response_topic": "r/{device}"},
          {"correlation": "{id}"}, {"id": "integer"}, {"id": "uuid"}, {"id": "string"}, {"echoes": "config"},
          {"lenient": True}, {"when": {"has": "a b"}}, {"when": {"has": "k"}, "only": "read", "read": "f"}, {"also": []}, {"also": ["y/{device}", {"topic": "z/{device}"}]},
          {"topic": "a/{b}/{c...}"}, {"topic": "/a//b/"}, {"topic": "{a}"}, {"topic": "{a...}"}, {"topic": "ä b/$"}),
    *rows({"answered": {}}, {"answered": None}, {"answered": [1, "a"]},
          {"also": [{"topic": "y/{device}/{id}", "reply": "z/{id}"}]}, row=COMMAND),
    {"through": "x", "about": "a", "version": 2, "down": "f"}, {"through": "x", "up": "f", "down": "g"},
]

BAD = [
    {"dialect": "x"}, {"messages": [ROW]}, {"dialect": "", "messages": [ROW]}, {"dialect": 1, "messages": [ROW]},
    *tables({"messages": []}, {"messages": {}}, {"messages": [1]}, {"colour": 1}, {"about": ""}, {"about": 5},
            {"version": True}, {"version": ""}, {"mqtt": 3}, {"mqtt": 6}, {"mqtt": "5"}, {"mqtt": 4.5},
            {"device": "header"}, {"device": None}, {"session": []}, {"session": {"user": "u"}},
            {"session": {"per": "group"}}, {"session": {"username": ""}}, {"session": {"provisioning": "p"}},
            {"session": {"provisioning": {"per": "link"}}}, {"application": "a"}, {"application": {"per": "device"}},
            {"credentials": "secret"}, {"credentials": ["a b"]},
            {"credentials": [1]}, {"limits": {"in_flight": 0}}, {"limits": {"in_flight": "1"}},
            {"limits": {"bytes": 1}}, {"up": []}, {"up": {"kind": "event"}}, {"up": {"topic": "t"}},
            {"down": {"also": []}}, {"up": {"when": {"has": "k"}}}, {"down": {"qos": 2}}, {"up": {"write": "f", "publish": "g"}},
            {"up": {"only": "write", "read": "f"}}, {"through": "x"}),
    *rows({"kind": "temperature"}, {"kind": 1}, {"topic": ""}, {"topic": 1}, {"topic": "a/+"}, {"topic": "a/#"},
          {"topic": "a{b}"}, {"topic": "{b}a"}, {"topic": "{b...}/a"}, {"topic": "{}"}, {"topic": "{1}"},
          {"topic": "a}"}, {"read": ""}, {"read": "a b"}, {"read": "1a"}, {"read": 1}, {"write": "m::f"},
          {"write": "f", "publish": "g"}, {"only": "both"}, {"only": "read", "write": "f"},
          {"only": "read", "publish": "f"}, {"only": "write", "read": "f"}, {"only": "write", "echoes": "config"},
          {"format": "xml"}, {"qos": 2}, {"qos": -1}, {"qos": "1"}, {"retain": 1}, {"properties": []},
          {"properties": {"a": 1}}, {"properties": {"a": ""}}, {"properties": {"": "a"}}, {"response_topic": ""},
          {"correlation": 7}, {"id": "number"}, {"echoes": "echo"}, {"lenient": "yes"}, {"when": "k"}, {"when": {}},
          {"when": {"has": ""}}, {"when": {"has": ["k"]}}, {"when": {"lacks": "k"}}, {"when": {"has": "k"}, "only": "write"},
          {"also": "y"},
          {"also": [1]}, {"also": ["a/+"]}, {"also": [{"reply": "z"}]}, {"also": [{"topic": "y", "to": "z"}]},
          {"topik": "a"}),
    *rows({"also": [{"topic": "y/{id}", "reply": "a/+"}]}, row=COMMAND),
    {"dialect": "x", "messages": [{"topic": "a"}]}, {"dialect": "x", "messages": [{"kind": "event"}]},
    {"through": "x"}, {"through": "x", "up": ""}, {"through": "x", "up": "f", "left": "g"}, {"through": 1, "up": "f"},
    {"through": "x", "up": "a-b"}, {},
]


def loads(directory, metadata):
    """Does calque take it?  A through file is asked for by a configuration."""
    directory.mkdir()
    (directory / "x.jq").write_text(f"module {json.dumps(metadata)};\n{FUNCTIONS}")
    through = 'through = ("x"); ' if "through" in metadata and "dialect" not in metadata else ""
    side = '{ dialect = "%s"; url = "mqtt://127.0.0.1"; vars = { device = "d"; token = "t"; }; }; '
    names = ("thingsboard", "thingsboard") if through else ("x", "x")
    (directory / "x.conf").write_text(
        f'state = "{directory}/state";\nlinks = ( {{ name = "l"; {through}'
        f'south = {side % names[0]} north = {side % names[1]} }} );\n')
    done = subprocess.run([CALQUE, "check", "-c", directory / "x.conf", "--mappings", directory],
                          capture_output=True, text=True, timeout=300)
    about_it = [line for line in done.stderr.splitlines() if line.startswith(str(directory / "x.jq"))
                and not line.endswith("(warning)")]
    assert done.returncode in (0, 1), done.stderr
    return not about_it, done.stderr


def shipped(name):
    """The metadata of a mapping file, by the ordinary jq."""
    out = subprocess.run(["jq", "-n", "-L", ROOT / "mappings", f'"{name}" | modulemeta | del(.deps, .defs)'],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def main():
    schema = json.loads(subprocess.run([CALQUE, "new", "--schema"], capture_output=True, text=True, check=True).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    wrong = []
    examples = [(True, e) for e in GOOD] + [(False, e) for e in BAD]
    with tempfile.TemporaryDirectory() as made, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        directories = [pathlib.Path(made) / str(i) for i in range(len(examples))]
        judged = pool.map(loads, directories, [metadata for _, metadata in examples])
        for (expected, metadata), (loaded, said) in zip(examples, judged):
            if loaded != expected:
                wrong.append(f"the loader {'takes' if loaded else 'refuses'} {json.dumps(metadata)}\n{said}")
            if validator.is_valid(metadata) != expected:
                wrong.append(f"the schema {'refuses' if expected else 'takes'} {json.dumps(metadata)}")
    names = [p.stem for p in (ROOT / "mappings").glob("*.jq")]
    assert len(names) >= 5
    for name in names:
        metadata = shipped(name)
        if metadata:  # a library has none
            wrong += [f"{name}: {e.json_path}: {e.message}" for e in validator.iter_errors(metadata)]
    print(*wrong, f"{len(GOOD)} good and {len(BAD)} bad tables, {len(names)} mappings, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
