"""The worlds that the scenario tests are set in: an example's configuration with its brokers and platforms, or less."""

import os

from harness import LIMIT, MQTT5, Client, conf_text
from platforms import DeviceEventsCloud, EZtCloud, InnowayDevice, ThingsBoard


class InnowayThingsBoard:
    """A device and a ThingsBoard on their brokers, and the bridge of examples/innoway-to-thingsboard; `mqtt`: in the south."""

    LINK = "pump-7"
    DEVICE = "bb56e5d7-96bc-4339-8780-6ebb67e5ac44"  # as in the example
    IW_TOKEN = "innoway-south-token"
    TB_TOKEN = "tb-device-token"
    ISSUED = "tb-issued-token"
    KEY, SECRET = "tb-profile-key", "tb-profile-secret"

    def __init__(self, lab, file="calque.conf", tls=False, mqtt=4, start=True):
        self.lab = lab
        ca = lab.authority() if tls else None
        self.is_fresh = file != "calque.conf"
        self.token = self.ISSUED if self.is_fresh else self.TB_TOKEN
        self.south = lab.broker("south", tls=ca, users={name: self.IW_TOKEN for name in ("calque", "pump", "provision")})
        self.north = lab.broker("north", tls=ca, acl=ThingsBoard.ACL.format(token=self.token))
        self.tb = lab.add(ThingsBoard(self.north.port, self.KEY, self.SECRET, self.token))
        self.device = lab.add(InnowayDevice(self.south.port, self.DEVICE, self.IW_TOKEN))
        # With 3.1.1 the north's broker would give back what is said, as no ThingsBoard does.
        extra = {"south": f"mqtt = {mqtt};", "north": f"mqtt = {MQTT5};"}
        if tls:  # the example's south is a plain broker
            extra["south"] += f' tls = {{ ca = "{ca.ca}"; }};'
        conf = lab.example("innoway-to-thingsboard", self.south, self.north, extra, file)
        self.calque = lab.calque(conf, start=start, env={
            "INNOWAY_TOKEN": self.IW_TOKEN, "TB_TOKEN": self.TB_TOKEN, "TB_PROVISION_KEY": self.KEY,
            "TB_PROVISION_SECRET": self.SECRET})
        if start:
            self.wait_up(0, not self.is_fresh)

    def wait_up(self, since=0, north=True):
        self.calque.wait_up(self.LINK, "south", since)
        if north:
            self.calque.wait_up(self.LINK, "north", since)

    def restart(self):
        self.wait_up(self.calque.restart())


class EZtDeviceEvents:
    """An EZtCloud and a device-events cloud on their brokers, and the bridge of examples/eztcloud-to-device-events."""

    LINK = "meeting-room-3"
    PROJECT, EZ_DEVICE = "PR_4f8a2c61d0", "DU_a1b2c3d4e5"  # as in the example
    XY_DEVICE = "6f9c1c0e-5b3a-4d43-9a64-0d2c8d1b7e55"
    SECRET, ACCESS_KEY, CLOUD = "project-secret", "device-access-key", "cloud-password"

    def __init__(self, lab, tls=False, mqtt=4, start=True, north=""):
        ca = lab.authority() if tls else None
        self.south = lab.broker("south", tls=ca, users={self.PROJECT: self.SECRET, "cloud": self.CLOUD},
                                acl=EZtCloud.ACL.format(project=self.PROJECT))
        self.users = {self.XY_DEVICE: self.ACCESS_KEY, "cloud": self.CLOUD}
        self.north = lab.broker("north", tls=ca, users=self.users, extra=north,
                                acl=DeviceEventsCloud.ACL.format(device=self.XY_DEVICE))
        self.ez = lab.add(EZtCloud(self.south.port, self.PROJECT, self.EZ_DEVICE, self.CLOUD))
        self.cloud = lab.add(DeviceEventsCloud(self.north.port, self.XY_DEVICE, self.ACCESS_KEY, self.CLOUD))
        conf = lab.example("eztcloud-to-device-events", self.south, self.north,
                           {"south": f"mqtt = {mqtt};"},
                           secrets={"/run/secrets/meeting-room-3.key": self.ACCESS_KEY})
        conf = conf.replace(f'"{self.LINK}";', f'"{self.LINK}"; offline_delay = 0;', 1)
        self.calque = lab.calque(conf, env={"EZT_PROJECT_SECRET": self.SECRET}, start=start)
        if start:
            self.wait_up()

    def wait_up(self, since=0):
        self.calque.wait_up(self.LINK, "south", since)
        self.calque.wait_up(self.LINK, "north", since)

    def restart(self):
        self.wait_up(self.calque.restart())


class Plains:
    """One broker, and one bridge with links between two dialects that say the same: from left/LINK/t to right/LINK/t.

    `links`: {name: {"south": settings, "north": settings}}; without a `url` a side is on the broker. What goes wrong
    with one link must not be felt by another.
    """

    DIALECT = """\
module {{
  dialect: "{name}", device: "topic",
  messages: [
    {{ kind: "telemetry", topic: "{name}/{{device}}/t" }},
    {{ kind: "space_info", topic: "{name}/{{device}}/s" }}
  ]
}};
"""

    def __init__(self, lab, links, start=True, env=None, broker=None, **settings):
        self.lab, self.settings = lab, settings
        self.broker = broker or lab.broker("broker", extra="max_inflight_messages 1000")
        self.mappings = os.path.join(lab.directory, "mappings")
        os.makedirs(self.mappings, exist_ok=True)
        for name in ("left", "right"):
            with open(os.path.join(self.mappings, name + ".jq"), "w", encoding="utf-8") as file:
                file.write(self.DIALECT.format(name=name))
        self.links = links
        self.calque = lab.calque(self.conf(links), env=env, start=False)
        self.client = lab.add(Client(self.broker.port))
        self.client.subscribe("right/+/t")
        if start:
            self.calque.start()

    def conf(self, links):
        return conf_text({"state": "@state@", "mappings": (self.mappings,), **self.settings, "links": [
            {"name": name, **{side: {"dialect": dialect, "url": self.broker.url, "client_id": f"{name}-{side}",
                                     **({"vars": {"device": name}} if side == "south" else {}), **sides.get(side, {})}
                              for side, dialect in (("south", "left"), ("north", "right"))}}
            for name, sides in links.items()]})

    def wait_up(self, link, since=0):
        for side in ("south", "north"):
            self.calque.wait_up(link, side, since)

    def say(self, link, numbers, **more):
        for n in numbers:
            self.client.publish(f"left/{link}/t", {"n": n}, **more)

    def hear(self, link, n, timeout=LIMIT):
        """The numbers that come through until there are n different ones."""
        numbers = []
        while len(set(numbers)) < n:
            numbers.append(self.client.wait_for(f"right/{link}/t", timeout).json()["n"])
        return numbers

    def assert_passes(self, link, n=1):
        self.say(link, range(n))
        assert self.hear(link, n) == list(range(n))
