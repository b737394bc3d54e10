#!/usr/bin/python3
"""Two brokers, four simulated platforms and one bridge on this machine; what goes in beside what comes out.

Ends by itself, with status 0 only if everything arrived as expected. `examples/demo/run` builds calque first.
"""

import json
import os
import shutil
import sys
import tempfile
import textwrap

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from lab import Broker, Calque, localise, same_json  # noqa: E402
from platforms import DeviceEventsCloud, EZtCloud, InnowayDevice, ThingsBoard, printable  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SECRETS = {"INNOWAY_TOKEN": "demo-innoway-token", "EZT_PROJECT_SECRET": "demo-project-secret",
           "ACCESS_KEY": "demo-access-key", "TB_PROVISION_KEY": "demo-profile-key",
           "TB_PROVISION_SECRET": "demo-profile-secret"}
HIDDEN = ("provisionDeviceSecret", "provision_secret", "access_key", "token")  # the last: chosen for the device


class Page:
    """Prints the two sides in two columns, and counts."""

    def __init__(self, out):
        self.out = out
        self.width = (max(100, min(160, shutil.get_terminal_size((120, 40)).columns)) - 5) // 2
        self.is_coloured = out.isatty() and "NO_COLOR" not in os.environ
        self.crossed = self.wrong = 0

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.is_coloured else text

    def line(self, text=""):
        print(text, file=self.out, flush=True)

    def heading(self, south, north):
        self.line()
        self.line(self.paint("1", f"{south:{self.width}}     {north}"))
        self.line(f"{'-' * self.width}     {'-' * self.width}")

    def step(self, title, south, arrow, north, problem=None):
        """One crossing: `south` and `north` are lists of texts, the topic first."""
        self.crossed += 1
        self.wrong += problem is not None
        self.line(self.paint("36", title))
        columns = [[line for i, text in enumerate(side) for line in self.wrap(text, i > 0)] for side in (south, north)]
        for i in range(max(map(len, columns))):
            left, right = (c[i] if i < len(c) else "" for c in columns)
            middle = arrow if i == 0 else ""
            self.line(f"{left:{self.width}} {middle:3} {right}".rstrip())
        if problem:
            self.line(self.paint("31", f"  NOT AS EXPECTED: {problem}"))

    def wrap(self, text, is_indented):
        pad = "  " if is_indented else ""
        return textwrap.wrap(text, self.width, initial_indent=pad, subsequent_indent=pad + "  ",
                             break_on_hyphens=False) or [pad]


def show(payload):
    """A payload for people: JSON with blanks (so that it can be wrapped) and without secrets."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    try:
        value = json.loads(data)
    except ValueError:
        return printable(data)
    if isinstance(value, dict):
        value = {k: "***" if k in HIDDEN else v for k, v in value.items()}
    return json.dumps(value, ensure_ascii=False)


def told(message):
    """The lines that show a message."""
    lines = [message.topic, show(message.payload)]
    if message.properties:
        lines.append("user properties " + ", ".join(
            f"{k}={'***' if k in HIDDEN else v}" for k, v in message.properties.items()))
    if message.response_topic:
        lines.append("response topic " + message.response_topic)
    return lines


class Link:
    """Sends on one side, waits on the other, and has both shown."""

    def __init__(self, page, south, north):
        self.page, self.south, self.north = page, south, north

    def up(self, title, topic, payload, to, expected):
        """What the south publishes must arrive in the north; the message that did."""
        self.south.publish(topic, payload)
        message = self.north.wait_for(to)
        self.page.step(title, [topic, show(payload)], "-->", told(message), self.check(message, expected))
        return message

    def down(self, title, topic, payload, to, expected, response_topic=None):
        """What the north publishes must arrive in the south; the message that did."""
        self.north.publish(topic, payload, response_topic=response_topic)
        message = self.south.wait_for(to)
        north = [topic, show(payload)] + ([f"response topic {response_topic}"] if response_topic else [])
        self.page.step(title, told(message), "<--", north, self.check(message, expected))
        return message

    @staticmethod
    def check(message, expected):
        """None, or what is wrong. `expected` is the payload, or a question about it."""
        try:
            actual = message.json()
        except ValueError:
            actual = message.payload
        is_good = expected(actual) if callable(expected) else same_json(actual, expected)
        return None if is_good else f"{message.topic} {message.payload!r}"


def innoway_to_thingsboard(page, device, tb):
    page.heading("SOUTH: a device that speaks Innoway", "NORTH: ThingsBoard")
    link = Link(page, device.client, tb.client)

    device.provision_start("pump-7", key="innoway-key", secret="innoway-secret")
    asked = tb.client.wait_for("/provision/request")
    request = {"device_name": "pump-7", "device_key": "pump-7", "provision_key": "innoway-key",
               "provision_secret": "innoway-secret"}
    page.step("provisioning: the device asks, in its own dialect; the link has no credentials yet",
              ["provision/request", show(request)], "-->", told(asked),
              link.check(asked, lambda got: got["deviceName"] == "pump-7" and
                         got["provisionDeviceKey"] == SECRETS["TB_PROVISION_KEY"]))
    answer = device.provision_answer()
    page.step("ThingsBoard issues a token; it is stored, the link goes on with it, and the device is told",
              ["provision/response", show(answer)], "<--",
              ["/provision/response", show({"credentialsValue": tb.token, "credentialsType": "ACCESS_TOKEN",
                                            "status": "SUCCESS"})],
              None if same_json(answer, {"device_id": "pump-7", "status": "SUCCESS", "token": tb.token})
              else f"the device got {answer}")

    link.up("attributes", device.topic("attribute"), {"temp": 21.5, "model": "A"}, tb.ATTRIBUTES,
            {"temp": 21.5, "model": "A"})
    link.up("event", device.topic("event"), {"name": "leak", "params": {"zone": 2}}, tb.TELEMETRY,
            {"leak": {"zone": 2}})
    link.up("alarm", device.topic("alarm"), {"active": True}, tb.TELEMETRY, {"alarm": True})
    link.up("raw: any subtopic, any bytes", device.topic("scan"), b"\x01\x03\xff\xfe", tb.TELEMETRY,
            {"scan": "AQP//g=="})
    link.down("a shared attribute is set in the cloud", tb.ATTRIBUTES, {"rate": 10}, device.topic("config"),
              {"rate": 10})
    rpc = "v1/devices/me/rpc/{}/12"
    command = link.down("a command comes down …", rpc.format("request"), {"method": "set_fan", "params": {"rpm": 900}},
                        device.topic("command"),
                        lambda got: (got["name"], got["params"]) == ("set_fan", {"rpm": 900}))
    link.up("… and its reply goes up under the id it had", device.topic("command_reply"),
            {"id": command.json()["id"], "status": "done", "result": {"ok": True}}, rpc.format("response"),
            {"ok": True})


def eztcloud_to_device_events(page, ez, cloud):
    page.heading("SOUTH: EZtCloud", "NORTH: a cloud that speaks device-events")
    link = Link(page, ez.client, cloud.client)
    telemetry = cloud.topic("telemetry")

    link.up("telemetry", ez.topic("attributes"), {"temp": 21.5, "gps": {"lat": 1.5, "lng": 2.5}}, telemetry,
            {"status": "online", "telemetries": {"temp": 21.5, "gps.lat": 1.5, "gps.lng": 2.5}})
    link.up("event", ez.topic("event_report"), {"method": "door_open", "params": {"door": 2}}, telemetry,
            {"status": "online", "telemetries": {"door_open.door": 2}})
    link.up("alarm: the device's status changes", ez.topic("alarm"), {"alerting": True}, telemetry,
            {"status": "error", "telemetries": {"alarm": True}})
    link.up("and back", ez.topic("alarm"), {"alerting": False}, telemetry,
            {"status": "online", "telemetries": {"alarm": False}})
    link.up("raw", ez.topic("data/scan"), b"\x01\x03\xff\xfe", telemetry,
            {"status": "online", "telemetries": {"scan": "AQP//g=="}})

    number = "7d1f0b52-5a0e-4a4f-9a39-1c8b3c2f6d10"
    command = link.down("a command with a UUID comes down with an integer …", cloud.topic("commands"),
                        {"id": number, "status": "pending", "name": "set_fan", "parameters": {"rpm": 900}},
                        ez.topic("command_send"),
                        lambda got: type(got["id"]) is int and got["params"] == {"rpm": 900},
                        cloud.topic("commands/update"))
    link.up("… and its reply goes up under the UUID", ez.topic("command_reply"),
            {"method": "set_fan", "params": {"rpm": 900}, "id": command.json()["id"]},
            cloud.topic("commands/update"), lambda got: (got["id"], got["status"]) == (number, "done"))

    ez.echoes = False  # by hand here, to show it
    held = {}
    for version, settings in ((4, {"rate": 5, "unit": "C"}), (5, {"rate": 6, "unit": "C"})):
        document = {"version": version, "last_updated": "2026-03-04T05:06:07.089Z", **settings}
        changed = {k: v for k, v in settings.items() if held.get(k) != v}
        held = settings
        link.down("a configuration comes down …" if version == 4 else "the next one: only what differs …",
                  cloud.topic("config"), document, ez.topic("attributes_push"), changed, cloud.topic("config/update"))
        link.up("… and its echo confirms it, under its version", ez.topic("attributes"), changed,
                cloud.topic("config/update"), document)


def run(page, directory, things):
    """The demo; what has to be ended afterwards is put into `things`."""
    def begin(thing):
        things.append(thing)
        return thing

    south, north = (begin(Broker(directory, name)) for name in ("south", "north"))
    tb = begin(ThingsBoard(north.port, SECRETS["TB_PROVISION_KEY"], SECRETS["TB_PROVISION_SECRET"], "tb-token-4711"))
    device = begin(InnowayDevice(south.port, "pump-7"))
    ez = begin(EZtCloud(south.port, "PR_demo", "DU_room3"))
    cloud = begin(DeviceEventsCloud(north.port, "room-3", SECRETS["ACCESS_KEY"]))
    with open(os.path.join(HERE, "calque.conf"), encoding="utf-8") as file:
        conf = localise(file.read(), south.url, north.url)
    calque = begin(Calque(directory, conf, env=SECRETS))
    calque.wait_up("pump-7", "south")  # its north comes with the handshake
    calque.wait_up("room-3", "south")
    calque.wait_up("room-3", "north")

    page.line("Two MQTT brokers and four simulated platforms on this machine, one bridge with two links between them.")
    innoway_to_thingsboard(page, device, tb)
    eztcloud_to_device_events(page, ez, cloud)
    calque.stop()


def end(things):
    for thing in reversed(things):
        if isinstance(thing, (Broker, Calque)):
            thing.kill()
        else:
            thing.close()


def main():
    page = Page(sys.stdout)
    things = []
    with tempfile.TemporaryDirectory(prefix="calque-demo-") as directory:
        try:
            run(page, directory, things)
        except (AssertionError, OSError) as error:
            page.line(f"\ndemo: failed after {page.crossed} messages: {error}")
            for thing in things:
                if isinstance(thing, Calque) and "--- log of calque" not in str(error):
                    page.line(thing.log(40))
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            end(things)
    page.line()
    if page.wrong:
        page.line(f"demo: {page.crossed} messages crossed, {page.wrong} not as expected")
        return 1
    page.line(f"demo: {page.crossed} messages crossed, all as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
