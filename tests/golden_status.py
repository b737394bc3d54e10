"""The status of two bridges at work, as records of golden.py."""

import re
import tempfile

from golden_text import Neutral, shown

# What golden_text imports has made tests/scenario known.
from harness import Lab
from verbs import Verb, wait_status
from worlds import EZtDeviceEvents, InnowayThingsBoard


def asked(title, calque, *options):
    """The status of this bridge, its ports, pids, ages and the size of its journal replaced."""
    done = Verb(calque, "status", *options)
    text = shown(title, ["status", *options], done.out, done.err, done.status, Neutral())
    text = re.sub(r"(mqtts?://[^:\s\"]+:)\d+", r"\1<port>", text)
    text = re.sub(r'("(?:pid|uptime_s|since_s|journal_bytes|last_s|workers)":)\d+', r"\1<n>", text)
    text = re.sub(r"(, process )\d+", r"\1<pid>", text)
    text = re.sub(r"(in the journal )\d+( bytes)", r"\1<n>\2", text)
    return re.sub(r"(\bfor |\blast )\d+\w+( \d+\w+)?", r"\1<age>", text)


def settle(calque, up, down):
    """Wait until so many messages came in (what we publish comes back with MQTT 3.1.1) and all have their verdict."""
    def is_so(told):
        return all(link[flow]["received"] == n and link[flow]["pending"] == 0 and
                   not any(s["waiting"] or s["in_flight"] or s["is_provisioning"] for s in link["sessions"])
                   for link in told["links"] for flow, n in (("up", up), ("down", down)))
    wait_status(calque, is_so)


def all_of(title, calque):
    return [asked(f"{title}, for programs", calque, "--json"), asked(f"{title}, for people", calque)]


def innoway(lab):
    """A handshake, then one of each verdict."""
    world = InnowayThingsBoard(lab, "provisioning.conf")
    device, tb = world.device, world.tb
    yield from all_of("innoway, before the handshake", world.calque)
    device.provision("pump seven", token=world.IW_TOKEN)
    world.calque.wait_up(world.LINK, "north")
    device.attributes(temp=1)
    tb.attributes()
    device.event("leak", zone=2)
    tb.telemetry()
    tb.push(rate=10)
    device.next("config")
    tb.push(rate=10)  # said once more
    device.next("config")
    number = tb.call("setFan", {"rpm": 900})
    command = device.next("command")["id"]
    device.reply(command, status="in_progress")  # kept back
    device.reply(command, result={"ok": True})
    tb.reply(number)
    device.reply("nobody-asked")
    for payload in ("no json", [1], b"\xff"):
        device.publish("attribute", payload)
    device.publish("license_reply", {"id": "L1", "state": "inuse"})
    settle(world.calque, 13, 4)  # with our questions for limits and a snapshot
    yield from all_of("innoway, after messages", world.calque)
    world.calque.stop()
    yield from all_of("innoway, stopped", world.calque)


def eztcloud(lab):
    """A command with its reply, a configuration with its confirmation, and what dies on the way."""
    world = EZtDeviceEvents(lab)
    ez, cloud = world.ez, world.cloud
    ez.online(True)
    cloud.telemetry()
    ez.attributes(temp=21.5)
    cloud.telemetry()
    cloud.command("set_fan", rpm=900)
    ez.reply(ez.command(), speed=900)
    cloud.command_update()
    cloud.config(4, rate=5)
    ez.pushed()
    cloud.config_update()
    cloud.config(5, rate=5)
    cloud.config_update()
    ez.alarm(False)  # no news
    ez.publish("event_report", "no json")
    cloud.client.publish(cloud.topic("commands"), {"name": 1})
    cloud.client.publish(cloud.topic("config"), "no json")
    settle(world.calque, 6, 5)
    yield from all_of("eztcloud, after messages", world.calque)
    world.calque.stop()


def status(play):
    """The records of innoway or eztcloud."""
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(directory)
        try:
            return "\n".join(play(lab))
        finally:
            lab.close()
            lab.assert_clean()
