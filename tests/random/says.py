"""What devices and clouds say, at random: mostly what makes sense, sometimes an answer to what is open, sometimes nonsense."""

import base64
import json

from dialects import DeviceEvents, EZtCloud, Gateway, Innoway, Message, ThingsBoard
from values import fields, number, spell, spell_lenient, value

PUSHED = ("rate", "unit", "mode", "limit", "x.y", "ключ")  # keys of configurations
WIDE = ("9007199254740993", "1e400", "-123456789012345678901")
BYTES = (b"", b"\x00\xff\xfe", b"<a>1</a>", b"007", b"nan", b'{"a":[1,2.5]}', b'"x"', b"null", b"9007199254740993",
         b"\xc3\xa9", b" 12 ", b"x" * 1200, b"[1,{}]")


class Speaker:
    """What those of all dialects have in common."""

    is_lenient = False  # may it speak as the samples in the manuals do?
    KINDS = TOPICS = ()

    def __init__(self, chance, bridge, devices):
        self.chance, self.bridge, self.devices = chance, bridge, devices
        self._n = 0

    def say(self):
        device = self.chance.choice(self.devices)
        what = self.chance.choice(self.KINDS)
        if self.chance.random() < 0.03:
            return self._nonsense(device)
        return getattr(self, what)(device) or self.say()

    def number_up(self):
        """One that was not there before."""
        self._n += 1
        return self._n

    def json(self, topic, what, **more):
        lenient = isinstance(what, dict) and self.is_lenient and self.chance.random() < 0.1
        text = (spell_lenient if lenient else spell)(self.chance, what)
        return Message(topic, text.encode(), **more)

    def _nonsense(self, device):
        topic = self.chance.choice(self.TOPICS).format(device)
        return self.chance.choice((Message("no/such/topic", b"{}"), *(
            Message(topic, payload) for payload in (b'{"a":', b'{"a" 1}', b"\xff{}", b"{}{}"))))

    def pushed(self):
        """Keys and values of a configuration: few, so that the same come again."""
        return {key: self.chance.choice((1, 2, True, "on", {"a": 1}, [1, 2.5], number(self.chance)))
                for key in self.chance.sample(PUSHED, self.chance.randint(1, 3))}

    def waiting(self, device):
        return self.bridge.devices[device].twin.waiting

    def open_requests(self, device, asker):
        return [p for p in self.bridge.devices[device].pairings if p.asker == asker and p.far_id is not None]

    def params(self):
        return self.chance.choice((None, {}, value(self.chance), fields(self.chance)))

    def word(self):
        return self.chance.choice(("door", "set_fan", "é", "a.b", "x y", "reboot"))


class InnowayDevice(Speaker):
    """Devices of Innoway."""

    is_lenient = True
    KINDS = ("attributes", "attributes", "wide", "event", "alarm", "online", "raw", "request", "reply", "reply", "confirm",
             "confirm", "firmware", "license", "odd")
    TOPICS = ("messages/{}/attribute", "messages/{}/event", "messages/{}/alarm", "messages/{}/online")

    def attributes(self, d):
        return self.json(f"messages/{d}/attribute", fields(self.chance, least=0))

    def wide(self, d):
        subtopic, text = self.chance.choice((("attribute", '{"w":%s}'), ("event", '{"name":"w","params":%s}')))
        return Message(f"messages/{d}/{subtopic}", (text % self.chance.choice(WIDE)).encode())

    def event(self, d):
        return self.json(f"messages/{d}/event", {"name": self.word(), "params": self.params()})

    def alarm(self, d):
        return self.json(f"messages/{d}/alarm", {"active": self.chance.random() < 0.5, **fields(self.chance, least=0)})

    def online(self, d):
        return self.json(f"messages/{d}/online", {"online": self.chance.random() < 0.6})

    def raw(self, d):
        stream = self.chance.choice(("tty0", "a/b", "é", "x.y"))
        return Message(f"messages/{d}/{stream}", self.chance.choice(BYTES))

    def request(self, d):
        return self.json(f"messages/{d}/request", {"name": self.word(), "params": self.params()})

    def reply(self, d):
        open_ = self.open_requests(d, "north")
        if not open_:
            return None
        body = {"id": self.chance.choice(open_).far_id}
        if self.chance.random() < 0.1:
            del body["id"]
        elif self.chance.random() < 0.1:
            body["id"] = f"no-{self.number_up()}"
        body.update(self.chance.choice((
            {}, {"status": "in_progress", "message": "half"}, {"status": "error", "message": "no"},
            {"status": "error"}, {"status": "done", "result": value(self.chance)}, {"result": fields(self.chance)},
            {"status": "done", "message": "ok"})))
        return self.json(f"messages/{d}/command_reply", body)

    def confirm(self, d):
        values = dict(self.chance.choice((self.waiting(d), self.pushed())))
        return self.json(f"messages/{d}/config_reply", self.chance.choice(({"values": values}, {"values": values}, {})))

    def firmware(self, d):
        return self.json(f"messages/{d}/fota_response", {"version": "2.0", "status": self.chance.choice(("Success", "Failed"))})

    def license(self, d):
        return self.json(f"messages/{d}/license_reply", {"id": f"L{self.number_up()}", "state": "inuse"})

    def odd(self, d):
        subtopic, what = self.chance.choice((
            ("attribute", [1]), ("attribute", "x"), ("event", {"params": 1}), ("event", {"name": 5}), ("alarm", {"active": 1}),
            ("online", {"online": "yes"}), ("online", {}), ("command", {"name": "x"}), ("config", {"a": 1})))
        return self.json(f"messages/{d}/{subtopic}", what)


class EZtCloudProject(Speaker):
    """Devices of an EZtCloud project, as their applications see them."""

    is_lenient = True
    KINDS = ("attributes", "attributes", "wide", "event", "alarm", "online", "raw", "reply", "reply", "echo", "echo",
             "license", "odd")
    TOPICS = ("open/P/{}/attributes", "open/P/{}/event_report", "open/P/{}/alarm", "open/P/{}/online")

    def attributes(self, d):
        return self.json(f"open/P/{d}/attributes", self.chance.choice((fields(self.chance), fields(self.chance), self.pushed())))

    def wide(self, d):
        text = '{"w":%s}' % self.chance.choice(WIDE)
        return Message(f"open/P/{d}/attributes", text.encode())

    def event(self, d):
        return self.json(f"open/P/{d}/event_report", {"method": self.word(), "params": self.params()})

    def alarm(self, d):
        return self.json(f"open/P/{d}/alarm", {"alerting": self.chance.random() < 0.5, **fields(self.chance, least=0)})

    def online(self, d):
        return self.json(f"open/P/{d}/online", {"online": self.chance.random() < 0.6})

    def raw(self, d):
        return Message(f"open/P/{d}/data/{self.chance.choice(('tty0', 'é', 'x.y'))}", self.chance.choice(BYTES))

    def reply(self, d):
        open_ = self.open_requests(d, "north")
        if not open_:
            return None
        request = self.chance.choice(open_)
        body = {"method": "m", "id": request.far_id, "params": self.chance.choice(
            (None, {}, fields(self.chance), "text", 5, [1], {"error": "no"}))}
        if self.chance.random() < 0.1:
            body["id"] = 10 ** 6 + self.number_up()
        return self.json(f"open/P/{d}/command_reply", body)

    def echo(self, d):
        waiting = self.waiting(d)
        if not waiting:
            return None
        keys = self.chance.sample(sorted(waiting), self.chance.randint(1, len(waiting)))
        body = {k: waiting[k] for k in (keys if self.chance.random() < 0.4 else waiting)}
        if self.chance.random() < 0.3:
            body.update(self.chance.choice((fields(self.chance), self.pushed())))
        return self.json(f"open/P/{d}/attributes", body)

    def license(self, d):
        body = {"license": {"id": f"L{self.number_up()}", "state": self.chance.choice(("inuse", "inactive")),
                            **self.chance.choice(({}, {"error": "bad"}))}}
        if self.chance.random() < 0.3:
            body.update(fields(self.chance))
        return self.json(f"open/P/{d}/attributes", body)

    def odd(self, d):
        tail, what = self.chance.choice((
            ("attributes", [1]), ("attributes", "x"), ("event_report", {"params": 1}), ("event_report", {"method": 5}),
            ("alarm", {"alerting": 1}), ("online", {"online": "yes"}), ("command_send", {"method": "x"}),
            ("attributes_push", {"a": 1}), ("nothing", {})))
        return self.json(f"open/P/{d}/{tail}", what)


class ThingsBoardServer(Speaker):
    """The server, towards one device."""

    KINDS = ("push", "push", "push", "command", "command", "answer", "notice", "odd")
    TOPICS = ("v1/devices/me/attributes",)
    NOTICE = {"fw_title": "F", "fw_version": "2.0", "fw_size": 10000, "fw_checksum": "c0ffee"}

    def attributes(self, d, what):
        del d
        return self.json("v1/devices/me/attributes", what)

    def rpc(self, d, ident, what, **more):
        del d
        return self.json(f"v1/devices/me/rpc/request/{ident}", what, **more)

    def push(self, d):
        pushed = self.pushed()
        if self.chance.random() < 0.2:
            pushed = {**self.chance.choice(({}, pushed)), "deleted": self.chance.sample(PUSHED, self.chance.randint(1, 2))}
            pushed = {k: v for k, v in pushed.items() if k not in pushed["deleted"]}
        elif self.chance.random() < 0.05:
            pushed["deleted"] = self.chance.choice((True, [1], "x"))  # a key like any other
        return self.attributes(d, pushed)

    def command(self, d):
        ident = self.chance.randint(0, 40)
        more = {"retain": True} if self.chance.random() < 0.05 else {}
        return self.rpc(d, ident, {"method": self.word(), "params": self.params()}, **more)

    def answer(self, d):
        open_ = self.open_requests(d, "south")
        ident = self.chance.choice(open_).far_id if open_ else 10 ** 6 + self.number_up()
        return self.json(f"v1/devices/me/rpc/response/{ident}", value(self.chance))

    def notice(self, d):
        notice = {**self.NOTICE, "fw_checksum_algorithm": self.chance.choice(("MD5", "SHA256"))}
        if self.chance.random() < 0.8:
            notice["fw_url"] = "https://host/f"
        if self.chance.random() < 0.3:
            notice.update(self.pushed())
        if self.chance.random() < 0.2:
            notice.update({"sw_title": "S", "sw_version": 3, "sw_url": "u"})
        return self.attributes(d, notice)

    def odd(self, d):
        return self.chance.choice((
            lambda: self.rpc(d, 5, {"params": 1}), lambda: self.rpc(d, 5, {"method": 7}),
            lambda: Message("v1/devices/me/telemetry", b"{}"), lambda: self.attributes(d, {"fw_title": "F", "fw_state": 1})))()


class ThingsBoardGatewayServer(ThingsBoardServer):
    """The server, towards a gateway."""

    KINDS = ("push", "push", "push", "command", "command", "notice", "odd")
    TOPICS = ("v1/gateway/attributes",)

    def attributes(self, d, what):
        return self.json("v1/gateway/attributes", {"device": d, "data": what})

    def rpc(self, d, ident, what, **more):
        return self.json("v1/gateway/rpc", {"device": d, "data": {"id": ident, **what}}, **more)

    def odd(self, d):
        return self.chance.choice((
            lambda: self.rpc(d, 5, {"params": 1}), lambda: Message("v1/gateway/telemetry", b"{}"),
            lambda: self.json("v1/gateway/attributes", {"data": {"a": 1}})))()


class Xyte(Speaker):
    """The device cloud of device-events."""

    is_lenient = True
    KINDS = ("push", "push", "push", "command", "command", "license", "space", "firmware", "odd")
    TOPICS = ("v1/device/{}/config", "v1/device/{}/commands")

    def _to(self, d, tail, what, **more):
        return self.json(f"v1/device/{d}/{tail}", what, response_topic=f"v1/device/{d}/{tail}/update", **more)

    def push(self, d):
        """The whole configuration: the last one, somewhat changed."""
        document = dict(self.bridge.devices[d].twin.document)
        if self.chance.random() < 0.7:
            document.update(self.pushed())
        if document and self.chance.random() < 0.3:
            del document[self.chance.choice(sorted(document))]
        document["version"] = self.chance.choice((self.number_up(), str(self.number_up())))
        if self.chance.random() < 0.8:
            document["last_updated"] = f"2024-01-02T03:04:05.{self.chance.randint(0, 999):03}Z"
        return self._to(d, "config", document)

    def command(self, d):
        what = {"id": f"{self.number_up():08x}-0000-4000-8000-000000000000", "status": "pending", "name": self.word(),
                "parameters": self.chance.choice((None, {}, fields(self.chance)))}
        topic = self.chance.choice((f"v1/device/{d}/commands/update", f"v1/device/{d}/elsewhere", None, "v1/device/zz/mine"))
        more = {"retain": True} if self.chance.random() < 0.05 else {}
        return self.json(f"v1/device/{d}/commands", what, response_topic=topic, **more)

    def license(self, d):
        do = self.chance.choice(("add", "update", "remove"))
        what = {"id": f"L{self.number_up()}", "data": "D", "signature": "S", **{k: k == do for k in ("add", "update", "remove")}}
        return self._to(d, "license", what)

    def space(self, d):
        return self.json(f"v1/device/{d}/space_info", fields(self.chance))

    def firmware(self, d):
        return self.json(f"v1/device/{d}/firmware", {"latest_fw_version": "2.0", "latest_fw_file_id": f"f{self.number_up()}"})

    def odd(self, d):
        tail, what = self.chance.choice((("commands", {"id": "1"}), ("commands", {"id": "1", "name": 1}), ("telemetry", {}),
                                         ("space_info", [1]), ("nothing", {})))
        return self.json(f"v1/device/{d}/{tail}", what)


SPEAKERS = {Innoway: InnowayDevice, EZtCloud: EZtCloudProject, ThingsBoard: ThingsBoardServer,
            Gateway: ThingsBoardGatewayServer, DeviceEvents: Xyte}


def line(flow, message):
    """A line for `calque translate --lines`."""
    what = {"flow": flow, "topic": message.topic, "payload_base64": base64.b64encode(message.payload).decode()}
    if message.response_topic:
        what["response_topic"] = message.response_topic
    if message.retain:
        what["retain"] = True
    return json.dumps(what)
