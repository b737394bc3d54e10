#!/usr/bin/env python3
"""Layering: which folder of bridge/ may include which, and which library only one file may see.

    app -> net, store -> core -> base        (net and store do not know each other)
"""
import pathlib
import re
import sys

BRIDGE = pathlib.Path(__file__).resolve().parent.parent / "bridge"

MAY_INCLUDE = {
    "base": {"base"},
    "core": {"core", "base"},
    "net": {"net", "core", "base"},
    "store": {"store", "core", "base"},
    "app": {"app", "net", "store", "core", "base"},
    ".": {"app"},
}

# Headers of libraries (and ours that bring them), and the files (or folders) that may include them.
ONLY_IN = {
    "jq.h": ["core/mapping_inside.h"],
    "jv.h": ["core/mapping_inside.h"],
    # A session is several files; libmosquitto reaches them through these two headers, and nobody else.
    "mosquitto.h": ["net/attempt.h"],
    "mqtt_protocol.h": ["net/attempt.c", "net/session"],
    "net/attempt.h": ["net/attempt.c", "net/session_inside.h"],
    "net/session_inside.h": ["net/session"],
    "uv.h": ["net/"],
    "seccomp.h": ["net/sandbox.c"],
    "sqlite3.h": ["store/"],
    "libconfig.h": ["app/"],
    "sys/socket.h": ["net/"],
    "time.h": ["base/", "net/", "store/"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def mistakes_of(path, text):
    """The include lines of one file that break the rules, as text."""
    name = path.as_posix()
    folder = name.split("/")[0] if "/" in name else "."
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        own, library = found.groups()
        if own and own.split("/")[0] not in MAY_INCLUDE[folder]:
            yield f"bridge/{name}:{number}: {folder}/ may not include {own}"
        header = own or library
        if header in ONLY_IN and not any(name.startswith(p) for p in ONLY_IN[header]):
            yield f"bridge/{name}:{number}: only {', '.join(ONLY_IN[header])} may include {header}"


def main():
    # The rules must be able to fail.
    assert list(mistakes_of(pathlib.Path("core/x.c"), '#include "net/loop.h"'))
    assert list(mistakes_of(pathlib.Path("net/x.c"), '#include "store/state.h"'))
    assert list(mistakes_of(pathlib.Path("core/link.c"), "#include <jq.h>"))
    assert list(mistakes_of(pathlib.Path("net/loop.c"), '#include "net/attempt.h"'))
    files = [p for p in BRIDGE.rglob("*.[ch]") if p.relative_to(BRIDGE).parts[0] in MAY_INCLUDE
             or p.parent == BRIDGE]
    assert len(files) > 40, "no sources found"
    found = [m for p in files for m in mistakes_of(p.relative_to(BRIDGE), p.read_text())]
    print(*found, f"{len(files)} files, {len(found)} mistakes", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
