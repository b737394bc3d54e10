"""What a power cut may leave of one directory, from the order of the calls that changed it.

A completed fsync (or fdatasync) of a file has put all earlier writes and the size of that file on disk. Of the changes
behind it any may be there and any may not, whatever their order; of a write each sector by itself; and a file may have
its new length without its data. The name of a file is an entry of the directory and is on disk after an fsync of the
directory, no sooner: file systems that do better are not relied on.
"""

import os

SECTORS = (512, 4096)


class File:
    """An inode: what is certainly on disk, and what was done to it since."""

    def __init__(self):
        self.durable = bytearray()
        self.pending = []  # (offset, bytes), or (length, None): cut or grown to that

    def sync(self):
        for at, data in self.pending:
            apply(self.durable, at, data)
        self.pending = []

    def left(self, changes):
        """The content after these changes."""
        content = bytearray(self.durable)
        for at, data in changes:
            apply(content, at, data)
        return content


def apply(content, at, data):
    """One change of pending; no bytes at an offset: at least as long."""
    if data is None:
        del content[at:]
        content.extend(bytes(at - len(content)))
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at:at + len(data)] = data


class Disk:
    """A directory, followed call by call."""

    def __init__(self):
        self.names = {}  # as a running process sees them
        self.durable_names = {}
        self.pending_names = []  # (name, File or None) that is to be set at once, as a list
        self._open = {}

    # --- the calls

    def _set(self, changes):
        set_names(self.names, changes)
        self.pending_names.append(changes)

    def opened(self, fd, name, flags):
        if name == ".":
            self._open[fd] = None
            return
        if name not in self.names:
            assert flags & os.O_CREAT, f"{name} was opened and never created"
            self._set([(name, File())])
        file = self._open[fd] = self.names[name]
        if flags & os.O_TRUNC:
            file.pending.append((0, None))

    def closed(self, fd):
        self._open.pop(fd, None)

    def wrote(self, fd, at, data):
        self._open[fd].pending.append((at, data))

    def truncated(self, fd, length):
        self._open[fd].pending.append((length, None))

    def synced(self, fd):
        file = self._open[fd]
        if file is not None:
            file.sync()
            return
        self.durable_names = dict(self.names)
        self.pending_names = []

    def unlinked(self, name):
        self._set([(name, None)])

    def renamed(self, old, new):
        self._set([(new, self.names[old]), (old, None)])

    # --- what may be left

    def live(self):
        """{name: content} with everything that was done: what kill -9 leaves."""
        return {name: bytes(file.left(file.pending)) for name, file in self.names.items()}

    def least(self):
        """{name: content} with nothing but what is certain."""
        return {name: bytes(file.durable) for name, file in self.durable_names.items()}

    def prefix(self, chance):
        """Of each file the first changes, the last of them torn; of the directory the first."""
        names = some_names(self, self.pending_names[:chance.randint(0, len(self.pending_names))])
        return {name: bytes(file.left(torn_prefix(file.pending, chance))) for name, file in names.items()}

    def subset(self, chance):
        """Of each file any changes, sector by sector; of the directory any."""
        names = some_names(self, [c for c in self.pending_names if chance.random() < 0.5])
        return {name: bytes(file.left(any_of(file.pending, chance))) for name, file in names.items()}

    def latest(self, chance):
        """All is there but one change."""
        lost = chance.randrange(len(self.names) or 1)
        left = {}
        for i, (name, file) in enumerate(self.names.items()):
            changes = list(file.pending)
            if i == lost and changes:
                del changes[chance.randrange(len(changes))]
            left[name] = bytes(file.left(changes))
        return left

    def is_settled(self):
        """Is there but one legal state?"""
        return not self.pending_names and not any(file.pending for file in self.names.values())

    def state(self, variant, chance):
        """{name: content} of one state that is legal now."""
        is_fixed = variant in ("live", "least")
        return getattr(self, variant)() if is_fixed else getattr(self, variant)(chance)


VARIANTS = ("live", "least", "prefix", "subset", "latest")


def set_names(names, changes):
    for name, file in changes:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def some_names(disk, changes):
    names = dict(disk.durable_names)
    for change in changes:
        set_names(names, change)
    return names


def pieces(at, data, sector):
    """A write, cut where the sectors of the file end."""
    while data:
        n = sector - at % sector
        yield at, data[:n]
        at, data = at + n, data[n:]


def torn_prefix(changes, chance):
    n = chance.randint(0, len(changes))
    left = list(changes[:n])
    if left and left[-1][1] is not None:
        cut = list(pieces(*left.pop(), chance.choice(SECTORS)))
        left += cut[:chance.randint(0, len(cut))]
    return left


def any_of(changes, chance):
    sector = chance.choice(SECTORS)
    share = chance.choice((0.1, 0.5, 0.9))
    left = []
    end = 0
    for at, data in changes:
        if data is None:
            left += [(at, None)] * (chance.random() < share)
            continue
        end = max(end, at + len(data))
        whole = chance.random() < 0.5
        there = chance.random() < share
        left += [piece for piece in pieces(at, data, sector)
                 if (there if whole else chance.random() < share)]
    if chance.random() < 0.3:
        left.insert(0, (end, b""))  # the length came first
    return left
