#!/usr/bin/env python3
"""The guides and comments: do they still speak of what is there?

Every file that a comment or a guide names exists, and every place that a guide links to.  The table of rooms in
bridge/README.md has all rooms in their order, with about the files and lines that they have; --write puts the
numbers right.  Its table of what can become of a message has all words that calque knows, and no other; so has the
runbook, which has every alert and every event of the log, too, and in every row what is seen, why, and what to do.
"""
import pathlib
import re
import subprocess
import sys

import layering

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDE = ROOT / "bridge/README.md"
RUNBOOK = "examples/operations/README.md"
# Of libraries.
FOREIGN = {"assert.h", "builtin.c", "execute.c", "jq.h", "jv_aux.c", "jv_parse.c", "jv_print.c", "sqlite3.h"}
NAME = re.compile(r"(?<![\w*.<-])((?:[\w-]+/)*[\w-]+\.(?:c|h|def|py|md))\b(?![\w*])")
PATTERN = re.compile(r"(?:^|[_/])[A-Z]+(?=[_.])")  # control_request_NAME.c is any
LINK = re.compile(r"\]\(([^)#:\s]*)(#[^)\s]*)?\)")
ROOM = re.compile(r"^\| `(\w+)/` \|(.*)\| (\d+) \| ([\d,]+) \|$", re.M)
WORD = re.compile(r"^\| `([a-z-]+)` \|", re.M)


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    return listed or [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]


def comments(text):
    """(line number, text) of each comment."""
    return [(text.count("\n", 0, m.start()) + 1, m[0]) for m in re.finditer(r"/\*.*?\*/", text, re.S)]


def prose(name, text):
    """Where names of files stand: comments of C, and guides less their examples."""
    if name.endswith((".c", ".h", ".def")):
        return comments(text)
    return [(1, re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S))]


def unknown_names(name, text, known):
    for line, part in prose(name, text):
        for m in NAME.finditer(part):
            is_known = m[1] in FOREIGN or any(k == m[1] or k.endswith(f"/{m[1]}") for k in known)
            if not is_known and not PATTERN.search(m[1]):
                yield f"{name}:{line + part.count(chr(10), 0, m.start())}: there is no {m[1]}"


def anchors(text):
    return {"#" + re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.M)}


def broken_links(name, text):
    for path, anchor in LINK.findall(prose(name, text)[0][1]):
        to = (ROOT / name).parent / path if path else ROOT / name
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to.read_text())):
            yield f"{name}: nothing is at {path}{anchor}"


def count_rooms():
    rooms = {}
    for room in layering.ROOMS:
        files = [p.read_text() for p in (ROOT / "bridge" / room).glob("*.[ch]")]
        rooms[room] = len(files), sum(text.count("\n") for text in files)
    return rooms


def wrong_rooms(text, rooms):
    """About is enough: nobody wants to touch the guide for each line."""
    told = {room: (int(files), int(lines.replace(",", ""))) for room, _, files, lines in ROOM.findall(text)}
    if list(told) != list(rooms):
        yield f"bridge/README.md: the rooms are {', '.join(rooms)}, in this order"
        return
    for room, (files, lines) in rooms.items():
        if abs(told[room][0] - files) > 2 or abs(told[room][1] - lines) > max(200, lines / 8):
            yield f"bridge/README.md: {room}/ has {files} files and {lines} lines (tests/guides.py --write)"


def with_numbers(text, rooms):
    def row(m):
        files, lines = rooms[m[1]]
        return f"| `{m[1]}/` |{m[2]}| {files} | {round(lines, -2):,} |"
    return ROOM.sub(row, text)


def outcome_words():
    text = "".join(p.read_text() for p in (ROOT / "bridge/message").glob("outcome.[cd]*"))
    return set(re.findall(r'(?:\] = |^\w+\((?:\w+, )?)"([a-z-]+)"', text, re.M))


def wrong_words(text, words):
    section = text.split("\n## What becomes of a message\n")[1].split("\n## ")[0]
    told = set(WORD.findall(section))
    return [f"bridge/README.md: {w}: calque {'says' if w in words else 'does not say'} it" for w in sorted(told ^ words)]


def untold_words(text, words):
    """`calque test` sends who writes a case to that list."""
    return [f"mappings/README.md: {w}: no reason of this name" for w in sorted(words) if f"`{w}`" not in text]


def alert_names():
    return set(re.findall(r"^ *- alert: (\w+)$", (ROOT / "examples/monitoring/alerts.yaml").read_text(), re.M))


EVENT_CALL = re.compile(r"\b(log_event|log_limited|degrade|tell)\(")
EVENT_AT = {"log_event": 1, "log_limited": 3, "degrade": 1, "tell": 2}  # the argument that has the word
EVENT_SET = re.compile(r"(?:\.event =|\*event =[^;]*?\?|\[DEVICE_\w+\] =)([^,;]*)")


def arguments(text, at):
    """Those of the call whose parenthesis ends before `at`."""
    found, depth, begin = [], 0, at
    for end in range(at, len(text)):
        if text[end] in ",)" and depth == 0:
            found.append(text[begin:end])
            begin = end + 1
            if text[end] == ")":
                return found
        depth += {"(": 1, ")": -1}.get(text[end], 0)
    return found


def log_events(texts):
    """The words of all events that a running bridge writes."""
    found = set()
    for name, text in texts.items():
        if not name.startswith("bridge/") or not name.endswith(".c") or name.startswith(("bridge/frontdoor/", "bridge/bench/")):
            continue
        places = [all_[EVENT_AT[m.group(1)]] for m in EVENT_CALL.finditer(text)
                  if len(all_ := arguments(text, m.end())) > EVENT_AT[m.group(1)]]
        for place in places + EVENT_SET.findall(text):
            found |= set(re.findall(r'"([a-z][a-z0-9-]+)"', place))
    return found


def wrong_runbook(text, names):
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    told = [cells[0].strip(" `") for cells in rows]
    yield from (f"{RUNBOOK}: {name}: told {told.count(name)} times" for name in sorted(names) if told.count(name) != 1)
    yield from (f"{RUNBOOK}: {name}: there is no such reason or alert" for name in sorted(set(told) - names))
    yield from (f"{RUNBOOK}: {name}: what is seen, why, and what to do?" for name, cells in zip(told, rows)
                if len(cells) != 4 or not all(cell.strip() for cell in cells))


def check_rules():
    """The rules must be able to fail."""
    assert list(unknown_names("x.c", "/* see gone.c */", ["a/here.c"]))
    assert not list(unknown_names("x.c", "/* see here.c and a/here.c */ gone();", ["a/here.c"]))
    assert list(broken_links("README.md", "[x](nowhere.md)")) and list(broken_links("README.md", "[x](#nowhere)"))
    rooms = {"base": (10, 1000)}
    assert list(wrong_rooms("| `base/` | x | 10 | 1,300 |", rooms)) and list(wrong_rooms("", rooms))
    assert with_numbers("| `base/` | x | 1 | 2 |", rooms) == "| `base/` | x | 10 | 1,000 |"
    assert untold_words("`b`", {"a"}) and not untold_words("`b`", {"b"})
    assert not list(wrong_runbook("| `a` | b | c | d |", {"a"}))
    for text in ("", "| `a` | b |  | d |", "| `a` | b | c |", "| `a` | b | c | d |\n| `b` | b | c | d |"):
        assert list(wrong_runbook(text, {"a"}))
    assert log_events({"bridge/x.c": 'log_event(f(a, b) ? A : B, is ? "a-b" : "cc", "d=%s", "e"); log_limited(L, n(), "s", "f-g", NULL)'
                                     '.event = "hh";'}) == {"a-b", "cc", "f-g", "hh"}
    assert wrong_words("\n## What becomes of a message\n| `b` |\n", {"a"})


def main():
    check_rules()
    known, guide, rooms, words = tracked(), GUIDE.read_text(), count_rooms(), outcome_words()
    assert len(known) > 200 and len(words) > 20
    if "--write" in sys.argv:
        GUIDE.write_text(with_numbers(guide, rooms))
        return 0
    texts = {k: (ROOT / k).read_text() for k in known if k.endswith((".c", ".h", ".def", ".md")) and (ROOT / k).exists()}
    found = [m for name, text in texts.items() for m in unknown_names(name, text, known)]
    found += [m for name, text in texts.items() if name.endswith(".md") for m in broken_links(name, text)]
    found += [*wrong_rooms(guide, rooms), *wrong_words(guide, words)]
    found += untold_words(texts["mappings/README.md"], words - {"carried", "queue-full"})
    assert len(alert_names()) > 5
    runbook, events = (ROOT / RUNBOOK).read_text().split("\n## Log events\n")
    found += wrong_runbook(runbook, alert_names() | words - {"carried"})
    assert len(log_events(texts)) > 60
    found += wrong_runbook(events, log_events(texts))
    print(*found, f"{len(texts)} files, {len(found)} mistakes", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
