"""What a link means, in the words of mappings/kinds.md and without a line of calque: presence, alarms, pairing, the
configuration of each device. A dialect (dialects.py) reads and writes; this stands between."""

import collections
import copy

from values import Any, equal

ECHO_MS = 10000  # a push of just what we confirmed a moment ago is a broker's echo


class Dead(Exception):
    """A message that becomes a dead letter, of one of these reasons."""

    def __init__(self, *reasons):
        super().__init__(*reasons)
        self.reasons = set(reasons)


class Plain:
    """A message of a kind, between two spellings."""

    def __init__(self, kind, device, body, id=None, response_topic=None):  # pylint: disable=redefined-builtin
        self.kind, self.device, self.body = kind, device, body
        self.id, self.response_topic = id, response_topic
        self.is_wide = False  # it has a number that jq would change


class Out:
    """A message that must come out."""

    def __init__(self, side, topic, payload, **more):
        self.side, self.topic, self.payload, self.more = side, topic, payload, more

    def __repr__(self):
        return f"{self.side} {self.topic} {self.payload!r} {self.more or ''}"


class Pairing:
    """A request that crossed."""

    def __init__(self, asker, request, deadline, far_type):
        self.asker, self.request, self.deadline = asker, request, deadline
        self.far_type, self.far_id = far_type, None
        self.login = 0  # of the asker's session

    def is_repeated(self, asker, request, login):
        """Did the asker lose its connection since, and ask the same again? Without an id nobody can tell."""
        return request.id is not None and self.login < login and self.asker == asker \
            and self.request.kind == request.kind and equal(self.request.id, request.id) and equal(self.request.body, request.body)


def a_time():
    """Milliseconds of a moment in this run."""
    return Any("time", lambda came: isinstance(came, int) and came > 1_700_000_000_000)


class Said:
    """What a platform said of a configuration: all of it, or what is to change."""

    def __init__(self, body, twin):
        self.is_document = "full" in body
        if self.is_document:
            self.document = body["full"]
            gone = twin.document.keys()
            self.changed = {k: v for k, v in self.document.items() if k not in twin.has or not equal(twin.has[k], v)}
            self.deleted = sorted(gone - self.document.keys())
            self.words = {"version": body.get("version"), "updated": body.get("updated") or a_time()}
        else:
            self.changed, self.deleted = body.get("changed", {}), body.get("deleted", [])
            self.document = {k: v for k, v in {**twin.document, **self.changed}.items() if k not in self.deleted}
            self.words = None

    def is_echo_of(self, twin, now):
        """Does a broker give us back what we confirmed a moment ago? Our word serves once."""
        if twin.echo is None or now >= twin.echo[0] or self.deleted or not equal(twin.echo[1], self.changed):
            return False
        if any(k not in twin.document or not equal(twin.document[k], v) or not equal(twin.has.get(k), v)
               for k, v in self.changed.items()):
            return False  # somebody has changed it since
        twin.echo = None
        return True


class Twin:
    """The configuration of a device."""

    def __init__(self, is_live):
        self.is_live, self._last_version = is_live, 1_700_000_000
        self.document = {}  # what the platform last said
        self.has = {}  # what the device confirmed or reported, as far as is known
        self.waiting = {}  # what was sent, and is not confirmed
        self.pushed = {}  # with what was confirmed of the same push
        self.is_open = False  # is it not confirmed yet, be it only of names that were deleted
        self.is_document = False
        self.words = {}  # version and time of the last push, as its sender knows it
        self.version = 0
        self.echo = None  # (until, values) of our own last confirmation

    def push(self, said):
        theirs = said.words and said.words["version"]
        self.version = max(self.version + 1, theirs if isinstance(theirs, int) else 0)
        self.is_document, self.is_open = said.is_document, True
        if said.is_document:
            self.words = said.words
        else:
            self.words = {"version": self._own_version(), "updated": a_time()}
        for key in (*said.changed, *said.deleted):
            self.has.pop(key, None)
        for what in (self.waiting, self.pushed):
            what.update(said.changed)
        self.drop(said.deleted)

    def _own_version(self):
        """The next; of a bridge that begins with the time, one that is greater than all before."""
        if not self.is_live:
            return self.version
        before = self._last_version

        def accepts(came):
            self._last_version = max(self._last_version, came)
            return isinstance(came, int) and came > before

        return Any("version", accepts)

    def drop(self, keys):
        """Nobody will hear of these again."""
        for key in keys:
            self.waiting.pop(key, None)
            self.pushed.pop(key, None)

    def close(self):
        """All of the open push is there. What it was, for the word about it."""
        values = dict(self.document) if self.is_document else self.pushed
        self.has.update(self.waiting)
        self.waiting, self.pushed, self.is_open = {}, {}, False
        return values

    def report(self, values):
        """The device says so itself."""
        for key, value in values.items():
            if key in self.waiting:
                self.has.pop(key, None)  # said before the push got there, or after
            elif key in self.document:
                self.has[key] = value


class Device:
    """What is remembered of one."""

    def __init__(self, is_live):
        self.online = None
        self.alarm = None
        self.twin = Twin(is_live)
        self.pairings = []


REPLIES = {"command": "command_reply", "request": "request_reply"}
OTHER = {"south": "north", "north": "south"}


class Bridge:
    """One link. Each step gives (expected outputs, reasons it may end with; None: carried)."""

    def __init__(self, south, north, is_live=False):
        """is_live: versions begin with the time, and not with 1."""
        self.is_live = is_live
        self.dialect = {"south": south, "north": north}
        self.devices = collections.defaultdict(lambda: Device(is_live))
        self.now = 0
        self._login = 0
        self._out = []
        self._filtered = set()

    # --- steps

    def message(self, side, message):
        """A message from that side. Outputs, and how it ends: a set of reasons, empty where it is carried."""
        self._out, self._filtered = [], set()
        dead = set()
        try:
            plains = self.dialect[side].read(message)
        except Dead as e:
            return [], e.reasons
        for plain in plains:
            try:
                self._take(side, plain)
            except Dead as e:
                dead |= e.reasons
        if dead:
            return self._out, dead
        if self._out:
            return self._out, set()
        return [], self._filtered or {"mapping"}

    def after(self, ms):
        """That time passes: what is said because of it, in any order among devices."""
        self._out = []
        self.now += ms
        for device in self.devices.values():
            for pairing in [p for p in device.pairings if p.deadline <= self.now]:
                device.pairings.remove(pairing)
                self._answer_error(pairing, "timeout")
        return self._out

    def restart(self):
        """What is not kept: the memory of our own words."""
        self._login += 1
        for device in self.devices.values():
            device.twin.echo = None

    def is_echo(self, side, message):
        """Would it be taken for our own word? That is a matter of time."""
        try:
            plains = self.dialect[side].read(message)
        except Dead:
            return False
        return any(isinstance(p, Plain) and p.kind == "config" and self._is_last_word(p) for p in plains)

    def _is_last_word(self, plain):
        echo = self.devices[plain.device].twin.echo
        return echo is not None and equal(echo[1], plain.body.get("changed"))

    # --- kind by kind

    def _take(self, side, plain):
        take = getattr(self, "_take_" + plain.kind, None)
        if take:
            take(side, plain)
        else:
            self._write(OTHER[side], plain)

    def _write(self, side, plain, **context):
        device = self.devices[plain.device]
        if not self.dialect[side].has(plain.kind):
            raise Dead("no-counterpart")
        out = self.dialect[side].write(plain, device, **context)
        if not out:
            self._filtered.add("mapping")
        for topic, payload, more in out:
            self._out.append(Out(side, topic, payload, **more))
        return len(out)

    def _take_presence(self, _, plain):
        device = self.devices[plain.device]
        if device.online is plain.body["online"]:
            self._filtered.add("no-change")
            return
        device.online = plain.body["online"]
        self._write("north", plain)

    def _take_alarm(self, _, plain):
        self.devices[plain.device].alarm = plain.body["active"]
        self._write("north", plain)

    # --- requests and their replies

    def _take_command(self, side, plain):
        self._ask(side, plain)

    def _take_request(self, side, plain):
        self._ask(side, plain)

    def _ask(self, side, plain):
        far = self.dialect[OTHER[side]]
        if not far.has(plain.kind):
            self._answer(side, plain, error="the other platform has no such request")
            raise Dead("no-counterpart")
        pairing = Pairing(side, plain, self.now + self.dialect[side].request_timeout_ms, far.id_type[plain.kind])
        device = self.devices[plain.device]
        asked = copy.copy(plain)
        for repeated in (p for p in device.pairings if p.is_repeated(side, plain, self._login)):
            repeated.login, asked.id = self._login, repeated.far_id
            self._write(OTHER[side], asked)
            return
        pairing.login = self._login
        asked.id = self._new_id(device, pairing)
        device.pairings.append(pairing)
        try:
            self._write(OTHER[side], asked)
        except Dead:
            device.pairings.remove(pairing)
            self._answer_error(pairing, None)
            raise

    @staticmethod
    def _new_id(device, pairing):
        """One of the type that the far dialect wants, and that no open request of the device has."""
        taken = [p.far_id for p in device.pairings if p.far_type == pairing.far_type]

        def accepts(came):
            pairing.far_id = came
            if pairing.far_type == "integer":
                return isinstance(came, int) and came > 0 and came not in taken
            return isinstance(came, str) and len(came) == 36 and came.count("-") == 4 and came not in taken

        return Any("new " + pairing.far_type, accepts)

    def _answer_error(self, pairing, text):
        """What the bridge itself says: which words it takes is its own affair, but for a time-out."""
        what = Any("an error", lambda came: isinstance(came, str) and (came == text or not text))
        self._answer(pairing.asker, pairing.request, error=what)

    def _answer(self, side, request, error):
        kind = REPLIES[request.kind]
        if not self.dialect[side].has(kind):
            return
        body = {"status": "error", "message": error} if kind == "command_reply" else {"error": error}
        self._reply(side, request, Plain(kind, request.device, body))

    def _reply(self, side, request, plain):
        plain.id, plain.response_topic = request.id, request.response_topic
        return self._write(side, plain, request=request)

    def _take_command_reply(self, side, plain):
        self._take_reply(side, plain, "command")

    def _take_request_reply(self, side, plain):
        self._take_reply(side, plain, "request")

    def _take_reply(self, side, plain, kind):
        device = self.devices[plain.device]
        open_ = [p for p in device.pairings if p.asker != side and p.request.kind == kind
                 and (plain.id is None or equal(p.far_id, plain.id))]
        if not open_:
            raise Dead("unknown-id")
        pairing = open_[0]
        is_final = kind != "command" or plain.body["status"] != "in_progress"
        if is_final:
            device.pairings.remove(pairing)
        else:
            pairing.deadline = self.now + self.dialect[pairing.asker].request_timeout_ms
        if self.dialect[pairing.asker].has(plain.kind) and pairing.request.id is not None:
            self._reply(pairing.asker, pairing.request, plain)
        else:
            self._filtered.add("one-way")

    # --- configuration

    def _take_config(self, _, plain):
        twin = self.devices[plain.device].twin
        said = Said(plain.body, twin)
        if not said.is_document and said.is_echo_of(twin, self.now):
            self._filtered.add("echo")
            return
        twin.document = said.document
        if said.is_document and not said.changed and not said.deleted:
            twin.words = said.words
            self._confirm(plain.device, twin.document)
            return
        twin.push(said)
        push = {"changed": said.changed, "deleted": said.deleted}
        is_said = self._write("south", Plain("config", plain.device, push))
        if not is_said:  # the south has no word for it
            twin.has.update(said.changed)
            twin.drop(said.changed)
            if not twin.waiting:
                twin.close()
        if said.is_document and (not is_said or self.dialect["south"].is_silent):
            twin.waiting = dict(twin.document)
            self._confirm(plain.device, twin.close())

    def confirm_by_echo(self, plain):
        """Attributes that say what was pushed confirm it; what is left of them."""
        twin = self.devices[plain.device].twin
        same = {k for k, v in plain.body.items() if k in twin.waiting and equal(twin.waiting[k], v)}
        rest = {k: v for k, v in plain.body.items() if k not in same}
        for key in same:
            twin.has[key] = twin.waiting.pop(key)
        twin.report(rest)
        if same and not twin.waiting:
            self._confirm(plain.device, twin.close())
        elif same:
            self._filtered.add("echo")
        return rest

    def _take_attributes(self, side, plain):
        if self.dialect["south"].echoes_config:
            rest = self.confirm_by_echo(plain)
            if not rest and plain.body:
                return
            plain.body = rest
        self._write(OTHER[side], plain)

    def _take_config_reply(self, _, plain):
        """Goes on as it came, and what it leaves out is filled in."""
        twin = self.devices[plain.device].twin
        said = plain.body.get("values", {})
        values = twin.close() if twin.is_open else dict(twin.document)
        twin.report(said)
        if not twin.words:
            values = None
        self._confirm(plain.device, said if "values" in plain.body else values)

    def _confirm(self, name, values):
        twin = self.devices[name].twin
        body = {**twin.words, "values": values}
        twin.echo = (self.now + ECHO_MS, dict(values or {}))
        self._write("north", Plain("config_reply", name, {k: v for k, v in body.items() if v is not None}))
