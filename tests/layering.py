#!/usr/bin/env python3
"""The rooms of bridge/: who may include whom, which header only some files may see, and how big things may be.

Prints the rooms, lowest first, with what each includes; and every mistake.
"""
import pathlib
import re
import sys

BRIDGE = pathlib.Path(__file__).resolve().parent.parent / "bridge"

# Lowest first.  A room may include itself and those before it, but for the ones in APART.  Each is in calque, but
# for bench, which is an executable of its own (calque-bench), and frontdoor, a plugin for mosquitto.
ROOMS = ["base", "metric", "message", "dialect", "jq", "state", "handshake", "fleet", "plan", "translate", "delivery", "link", "net", "work",
         "conf", "offline", "play", "disk", "store", "gate", "port", "http", "live", "control", "run", "admin", "args", "cli", "author",
         "devices", "bench", "frontdoor"]
# These know nothing of each other: what a message means, what carries it, and what keeps it.
APART = {
    "state": {"jq"},
    "handshake": {"dialect", "jq"},
    "fleet": {"dialect", "jq", "handshake"},
    "delivery": {"dialect", "jq", "state", "handshake", "fleet", "plan", "translate"},
    "net": {"dialect", "jq", "state", "handshake", "fleet", "plan", "translate", "delivery", "link"},
    "work": {"delivery", "link"},
    "conf": {"delivery", "link", "net", "work"},
    "disk": set(ROOMS) - {"base", "disk"},
    "store": {"dialect", "jq", "fleet", "plan", "translate", "delivery", "link", "net", "work", "conf", "offline", "play"},
    "gate": set(ROOMS) - {"base", "message", "dialect", "plan", "conf", "gate"},
    "port": set(ROOMS) - {"base", "net", "conf", "port"},
    "metric": set(),
    "http": set(ROOMS) - {"base", "net", "conf", "http"},
    "live": {"offline", "play", "http"},
    "control": {"offline", "play", "http", "net"},
    "run": {"offline", "play"},
    "admin": {"offline", "jq", "dialect", "gate"},
    # What calque and calque-bench share of a command line.
    "args": set(ROOMS) - {"base", "args"},
    "frontdoor": set(ROOMS) - {"base", "frontdoor"},
    "bench": set(ROOMS) - {"base", "message", "args", "bench"},
}

# Headers of libraries (and ours that bring them), and the files (or folders) that may include them.
ONLY_IN = {
    "jq.h": ["jq/mapping_inside.h", "bench/bench_bare.c"],
    "jv.h": ["jq/mapping_inside.h"],
    "oniguruma.h": ["jq/jq_empty_match.c"],
    # A session is several files; libmosquitto reaches them through these two headers, and nobody else.
    "mosquitto.h": ["net/attempt.h", "net/sieve.c", "bench/bench_bare.c", "frontdoor/door.h"],
    "mosquitto_broker.h": ["frontdoor/door", "frontdoor/client_id.c"],
    "mosquitto_plugin.h": ["frontdoor/door"],
    "mqtt_protocol.h": ["net/attempt.c", "net/session"],
    "net/attempt.h": ["net/attempt.c", "net/session_inside.h"],
    "uv.h": ["net/", "work/"],
    "seccomp.h": ["work/sandbox.c"],
    "sqlite3.h": ["store/"],
    "libconfig.h": ["conf/"],
    "microhttpd.h": ["http/http_server.c"],
    "sys/socket.h": ["base/service.c", "http/http_server.c", "net/", "work/", "bench/"],
    "time.h": ["base/", "net/", "work/", "store/", "bench/"],
    # The inside of a module that is several files: X_inside.h is for X*.c, and for these.
    "link/link_inside.h": ["link/decision", "link/greeting", "link/intake", "link/logic", "link/machines", "link/registry",
                             "link/sequence", "link/slow"],
    "store/db_inside.h": ["store/"],
    "translate/translate_inside.h": ["translate/"],
}

MAX_FILES = 28     # in a folder
MAX_FUNCTION = 80  # lines, from the first of its signature to the closing brace

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
NO_SIGNATURE = re.compile(r"^$|^[#}]|[;\\]$|\*/$")  # a line that is above one
ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\) ")
INSIDE = re.compile(r"(.*)_inside\.h$")


def may_include(room, other):
    if room == "main.c":
        return True
    return ROOMS.index(other) <= ROOMS.index(room) and other not in APART.get(room, ())


def allowed_files(header):
    """The beginnings of the names of those that may include it; None: everybody."""
    allowed = list(ONLY_IN.get(header, []))
    inside = INSIDE.match(header)
    if inside:
        allowed.append(inside.group(1))
    return allowed or None


def include_mistakes(name, text):
    """The include lines of one file that break the rules, as text."""
    room = name.split("/")[0]
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        own, library = found.groups()
        if own and not may_include(room, own.split("/")[0]):
            yield f"bridge/{name}:{number}: {room}/ may not include {own}"
        header = own or library
        allowed = allowed_files(header)
        if allowed and not any(name.startswith(a) for a in allowed):
            yield f"bridge/{name}:{number}: only {', '.join(allowed)}* may include {header}"


def functions(text):
    """(first line number, name, lines) of each function; clang-format gives its braces lines of their own."""
    lines, start = text.splitlines(), None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
            while start > 1 and not NO_SIGNATURE.search(lines[start - 2]):
                start -= 1
        elif line == "}" and start:
            signature = ATTRIBUTE.sub("", " ".join(lines[start - 1:number]))
            yield start, re.search(r"(\w+)\(", signature).group(1), number - start + 1
            start = None


def size_mistakes(files):
    for room in {name.split("/")[0] for name in files if "/" in name}:
        n = sum(name.startswith(f"{room}/") for name in files)
        if n > MAX_FILES:
            yield f"bridge/{room}: {n} files, {MAX_FILES} at most"
    for name, text in files.items():
        for number, function, lines in functions(text):
            if lines > MAX_FUNCTION:
                yield f"bridge/{name}:{number}: {function}: {lines} lines, {MAX_FUNCTION} at most"


def print_rooms(files):
    for room in ROOMS:
        own = {name: text for name, text in files.items() if name.startswith(f"{room}/")}
        others = {m.group(1).split("/")[0] for text in own.values() for m in map(INCLUDE.match, text.splitlines())
                  if m and m.group(1)} - {room}
        lines = sum(text.count("\n") for text in own.values())
        print(f"{room:<10} {len(own):>3} files {lines:>6} lines  includes",
              " ".join(sorted(others, key=ROOMS.index)) or "nothing")


# What comes before the body of a function f that is a line or more too long; its signature is behind the bar.
COUNTED = [
    "int f(int a,\n      int b)\n",
    "static struct x *\nf(int a)\n",
    "__attribute__((format(printf, 2, 3))) static void\nf(int a, const char *fmt, ...)\n",
    "static void (*f(int a))(int,\n\t\t\tint)\n",
    "int g(void);\n\n/* Why. */\n|static void f(int a,\n\t      int b)\n",
    "#define G(x) \\\n\tg(x)\n\n|static void f(int a,\n\t      int b)\n",
    "static void h(void)\n{\n}\n\n|struct x f(int a,\n\t   int b)\n",
]
# What is long and no function.
LINES = "\tg(1), \\\n" * MAX_FUNCTION
UNCOUNTED = [
    "int g(void);\n\nstatic const int table[] = {\n" + LINES + "};\n\nint f(void)\n{\n}\n",
    "#define G(x) \\\n\tdo { \\\n" + LINES + "\t} while (0)\n",
    "struct x {\n" + "\tint a;\n" * MAX_FUNCTION + "};\n",
    "TAILQ_HEAD(jobs, job);\n" + "/* Text. */\n" * MAX_FUNCTION + "int f(void)\n{\n}\n",
]


def check_rules():
    """The rules must be able to fail."""
    assert list(include_mistakes("message/x.c", '#include "net/loop.h"'))
    assert list(include_mistakes("net/x.c", '#include "store/state.h"'))
    assert list(include_mistakes("cli/cli.c", '#include "bench/broker.h"'))
    assert list(include_mistakes("bench/x.c", '#include "cli/cli.h"'))
    assert list(include_mistakes("link/link.c", "#include <jq.h>"))
    assert list(include_mistakes("net/loop.c", '#include "net/attempt.h"'))
    assert list(include_mistakes("run/bridge.c", '#include "link/link_inside.h"'))
    assert not list(include_mistakes("link/logic_x.c", '#include "link/link_inside.h"'))
    body = "{\n" + "\tg();\n" * (MAX_FUNCTION - 3) + "}\n"
    assert not list(size_mistakes({"base/x.c": "int f(void)\n" + body}))
    for start in COUNTED:
        before, _, signature = start.rpartition("|")
        found = [f for f in functions(before + signature + body) if f[2] > MAX_FUNCTION]
        assert [(f[0], f[1]) for f in found] == [(before.count("\n") + 1, "f")], start
    for text in UNCOUNTED:
        assert not list(size_mistakes({"base/x.c": text})), text
    assert list(size_mistakes({f"base/{i}.c": "" for i in range(MAX_FILES + 1)}))


def main():
    check_rules()
    files = {p.relative_to(BRIDGE).as_posix(): p.read_text() for p in sorted(BRIDGE.rglob("*.[ch]"))}
    assert len(files) > 40, "no sources found"
    found = [f"bridge/{name}: in no room of ROOMS" for name in files
             if name.split("/")[0] not in ROOMS and name != "main.c"]
    known = {name: text for name, text in files.items() if f"bridge/{name}: in no room of ROOMS" not in found}
    found += [m for name, text in known.items() for m in include_mistakes(name, text)]
    found += size_mistakes(known)
    print_rooms(known)
    print(*found, f"{len(files)} files, {len(found)} mistakes", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
