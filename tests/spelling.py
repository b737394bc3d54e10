#!/usr/bin/env python3
"""How each shipped dialect spells each kind: the table in mappings/kinds.md, made by calque itself.

Example messages are translated from a dialect that says plain messages as they are, and what comes out is the
table.  Without arguments: is the table in the file that table, and has each kind its row in the other one?
With --write the table is put there.
"""
import difflib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CALQUE = os.environ.get("CALQUE") or str(ROOT / "build/sanitize/calque")
GUIDE = ROOT / "mappings/kinds.md"
BEGIN, END = "<!-- made by tests/spelling.py -->\n", "<!-- end -->\n"
DIALECTS = ["innoway", "thingsboard", "thingsboard-gateway", "eztcloud", "device-events"]
REQUESTS = {"command_reply": "command", "config_reply": "config", "attributes_reply": "attributes_request",
            "request_reply": "request", "limits": "limits_request", "provision_reply": "provision", "firmware_chunk": "firmware_chunk_request"}
LATE = ["presence", "alarm"]  # from then on, a status report says so

# For rows that say nothing at first: a gateway can speak of itself, stock firmware has commands of its own form.
SECOND = {"thingsboard-gateway": ("gw", {}), "innoway": ("d7", {"command_topics": "stock"})}

# A body of each kind, or several where a dialect has a row for each.
EXAMPLES = {
    "telemetry": [{"temp": 21.5}],
    "attributes": [{"model": "A1"}],
    "event": [{"name": "door", "params": {"open": True}}],
    "alarm": [{"active": True, "code": 7}],
    "presence": [{"online": True}, {"online": False}],
    "raw": [{"stream": "tty0", "base64": "AQP/"}],
    "command": [{"name": "set_fan", "params": {"rpm": 900}}],
    "command_reply": [{"status": "done", "result": {"rpm": 900}}],
    "config": [{"full": {"rate": 5}, "version": 4, "updated": 1700000000000}],
    "config_reply": [{"version": 4, "updated": 1700000000000, "values": {"rate": 5}}],
    "attributes_request": [{"shared": ["rate", "unit"]}],
    "attributes_reply": [{"client": {}, "shared": {"rate": 5, "unit": "C"}}],
    "request": [{"name": "help", "params": {"where": "here"}}],
    "request_reply": [{"answer": 42}],
    "claim": [{"secret": "s", "duration_ms": 60000}],
    "provision": [{"device_name": "d7", "provision_key": "k", "provision_secret": "s"}],
    "provision_reply": [{"status": "SUCCESS", "device_id": "7", "credentials_type": "ACCESS_TOKEN", "token": "t"}],
    "firmware": [{"title": "F", "version": "2.0", "url": "https://host/f"}, {"version": "2.0", "file": "f-1"}],
    "firmware_chunk_request": [{"package": "fw", "request": 1, "chunk": 0, "size": 3}],
    "firmware_chunk": [{"package": "fw", "request": 1, "chunk": 0, "base64": "AQP/"},
                       {"package": "sw", "request": 1, "chunk": 0, "base64": "AQP/"},
                       {"package": "fw", "request": 1, "chunk": 0, "error": "no such chunk"}],
    "firmware_state": [{"state": "UPDATING", "title": "F", "version": "2.0"},
                       {"state": "UPDATED", "title": "F", "version": "2.0"}],
    "license": [{"id": "L1", "data": "D", "signature": "S", "operation": "add"}],
    "license_reply": [{"id": "L1", "state": "inuse"}],
    "space_info": [{"name": "Hall"}],
    "device_info": [{"name": "d7", "firmware_version": "1.2"}],
    "setting": [{"property": "name", "value": "d7"}],
    "snapshot_request": [{}, {"shared": ["rate", "unit"]}],
    "limits_request": [{}],
    "limits": [{"packet_bytes": 65536, "in_flight": 100, "messages_per_second": 20}],
    "hello": [{}],
    "device_change": [{"operation": "renamed", "name": "d7", "new_name": "d9"}],
}


def kinds():
    """All kinds that this calque knows, in their order."""
    schema = json.loads(run([CALQUE, "new", "--schema"]).stdout)
    found = []

    def walk(node):
        if isinstance(node, dict):
            found.extend([node["kind"]["enum"]] if "enum" in node.get("kind", {}) else [])
            node = list(node.values())
        if isinstance(node, list):
            for below in node:
                walk(below)

    walk(schema)
    return found[0]


def kinds_in_code():
    """Of each kind: its name, does the bridge's own logic always have a say, its flow, its reply."""
    text = (ROOT / "bridge/message/kind.def").read_text()
    rows = re.findall(r'^R(?:EPORT|EQUEST|EPLY)\(\w+, "(\w+)", FLOW_(\w+)(?:, KIND_(\w+))?(.*?)\)\n', text, re.M | re.S)
    requests = set(re.findall(r"^REQUEST\(\w+, \"(\w+)", text, re.M))
    return [(name, "LOGIC_ALWAYS" in more, flow.lower(), other.lower() if name in requests else "")
            for name, flow, other, more in rows]


def kinds_in_guide(text):
    rows = re.findall(r"^\| `(\w+)`( \*)? \| (up|down) \| .* \| (?:`(\w+)`.*)?\|$", text, re.M)
    return [(name, bool(star), flow, reply) for name, star, flow, reply in rows]


def run(command, text=""):
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)


def metadata(name):
    return json.loads(run(["jq", "-n", "-L", str(ROOT / "mappings"), f'"{name}" | modulemeta']).stdout)


class Tongue:
    """A dialect for plain messages as they are, on the other side of the one in question."""

    def __init__(self, directory, all_kinds):
        self.directory = directory
        rows = ", ".join(f'{{ kind: "{k}", topic: "{k}/{{device}}", id: "integer", read: "r", write: "w" }}'
                         for k in all_kinds)
        (pathlib.Path(directory) / "tongue.jq").write_text(
            f'module {{ dialect: "tongue", messages: [ {rows} ] }};\n'
            "def r: .payload | {body} + (if .id then {id} else {} end);\ndef w: {body};\n")

    def translate(self, dialect, flow, lines, device, more):
        """For each line, the messages that come out on the side of `dialect`."""
        south, north = ("tongue", dialect) if flow == "up" else (dialect, "tongue")
        side = "north" if flow == "up" else "south"
        command = [CALQUE, "translate", south, north, "--lines", "--mappings", self.directory,
                   "--mappings", str(ROOT / "mappings")]
        for name, value in (("project", "P"), ("gateway", "gw"), ("device", device), *more.items()):
            command += ["--var", f"{side}.{name}={value}"]
        out = run(command, "".join(json.dumps(line) + "\n" for line in lines)).stdout.splitlines()
        assert len(out) == len(lines)
        return [[m for m in json.loads(line) if m["side"] == side] for line in out]

    def spell(self, dialect, flows, device, **more):
        """For each kind, the messages that this dialect writes, with `more` variables; replies after the request that
        they answer."""
        said = {kind: [] for kind in [*flows, "asked"]}

        def say(flow, batch):
            for (kind, _), messages in zip(batch, self.translate(dialect, flow, [line for _, line in batch], device, more)):
                said[kind] += messages

        early = sorted(flows, key=lambda k: LATE.index(k) if k in LATE else -1)
        for flow in ("up", "down"):
            say(flow, [(k, line) for k in early if flows[k] == flow and k not in REQUESTS
                       for line in examples(k, flow, device)])
        for flow in ("up", "down"):
            say(flow, [pair for k in flows if flows[k] == flow and k in REQUESTS for line in examples(k, flow, device)
                       for pair in [*asked(said[REQUESTS[k]], flow), (k, line)]])
        return said


def examples(kind, flow, device):
    return [{"flow": flow, "topic": f"{kind}/{device}", "payload": {"body": b, **({"id": b["id"]} if "id" in b else {})}}
            for b in EXAMPLES[kind]]


def asked(messages, flow):
    """The first of these, as it comes in on the other side."""
    keys = ("topic", "payload", "payload_text", "payload_base64", "response_topic", "correlation")
    other = "down" if flow == "up" else "up"
    return [("asked", {"flow": other, **{k: m[k] for k in keys if k in m}}) for m in messages[:1]]


def pattern(topic, variables):
    """What topics a template makes, as a regular expression."""
    topic = re.sub(r"\{(\w+)\.\.\.\}", lambda m: variables.get(m[1], m[0]), topic)
    return topic, re.compile(re.sub(r"\\\{\w+(\\\.){3}\\\}$", ".+", re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(topic))))


def payload(message):
    if "payload_text" in message:
        text = message["payload_text"]
    elif "payload_base64" in message:
        return "the bytes"
    elif "payload" in message:
        text = json.dumps(message["payload"], separators=(",", ":"))
    else:
        return "empty"
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text).replace("|", "\\|")
    return f"`{text}`" if text else "empty"


def rows_of(dialect, kind, table, said):
    """A line of the table for each row of the mapping file."""
    rows = [row for row in table["messages"] if row["kind"] == kind]
    for row in rows:
        topic, matches = pattern(row["topic"], table.get("vars", {}))
        others = [pattern(r["topic"], {})[1] for r in rows if topic.endswith("...}") and not r["topic"].endswith("...}")]
        only = row.get("only", "both")
        text = "" if only == "read" else next((payload(m) for m in said if matches.fullmatch(m["topic"]) and not any(
            other.fullmatch(m["topic"]) for other in others)), "")
        yield f"| {kind} | {dialect} | `{topic}` | {only} | {text} |\n"


def make_table(flows):
    tables = {d: metadata(d) for d in DIALECTS}
    said = {}
    with tempfile.TemporaryDirectory() as directory:
        tongue = Tongue(directory, flows)
        for d in DIALECTS:
            said[d] = tongue.spell(d, flows, "d7")
            if d in SECOND:
                device, more = SECOND[d]
                for kind, messages in tongue.spell(d, flows, device, **more).items():
                    said[d][kind] += messages
    return "| kind | dialect | topic | rows | payload |\n|---|---|---|---|---|\n" + "".join(
        line for kind in flows for d in DIALECTS for line in rows_of(d, kind, tables[d], said[d][kind]))


def main():
    text, told = GUIDE.read_text(), kinds_in_code()
    assert [kind for kind, *_ in told] == kinds()
    if kinds_in_guide(text) != told:
        print("mappings/kinds.md: the table of kinds is not what message/kind.def says (kind, star, flow, answered by)",
              *difflib.unified_diff(*[list(map(str, k)) for k in (kinds_in_guide(text), told)], "kinds.md", "kind.def",
                                    n=0, lineterm=""), sep="\n")
        return 1
    flows = {kind: flow for kind, _, flow, _ in told}
    before, rest = text.split(BEGIN)
    old, behind = rest.split(END)
    new = make_table(flows)
    if "--write" in sys.argv:
        GUIDE.write_text(before + BEGIN + new + END + behind)
    elif old != new:
        print("mappings/kinds.md: not what the mappings say; tests/spelling.py --write puts it right",
              *difflib.unified_diff(old.splitlines(), new.splitlines(), "kinds.md", "mappings", n=0, lineterm=""), sep="\n")
        return 1
    print(f"{len(flows)} kinds, {new.count(chr(10)) - 2} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
