"""Simulated platforms: each plays its part over an ordinary broker, as the platform's own pages describe it.

They say only what the real ones say, and believe only what the real ones would. Used by the demo and by the scenario
tests.
"""

import itertools
import json
import uuid

from lab import LIMIT, MQTT3, MQTT5, Client, to_bytes


class ThingsBoard:
    """The cloud behind the device API, seen from one device's connection.

    The real one gives each connection its own view of `v1/devices/me/…`; on an ordinary broker there is only one such
    view, so one device to a broker.
    """

    TELEMETRY = "v1/devices/me/telemetry"
    ATTRIBUTES = "v1/devices/me/attributes"

    # For Broker(acl=…): a device's session may not provision, a provisioning session may do nothing else.
    ACL = """\
user thingsboard
topic readwrite #
user provision
topic write /provision/request
topic read /provision/response
user {token}
topic readwrite v1/devices/me/#
"""

    def __init__(self, port, key="tb-key", secret="tb-secret", token="tb-issued-token"):
        self.key, self.secret, self.token = key, secret, token
        self.requests = []  # what asked for provisioning, in order
        self.answers = True  # False: let handshakes hang
        self._names = set()
        self._ids = itertools.count(1)
        self.client = Client(port, "thingsboard", username="thingsboard", mqtt=MQTT3)
        self.client.on("/provision/request", self._provision)
        self.client.on("v1/devices/me/rpc/request/+", self._client_rpc)
        self.client.subscribe(self.TELEMETRY, self.ATTRIBUTES, "v1/devices/me/attributes/request/+",
                              "v1/devices/me/rpc/response/+", "v1/devices/me/rpc/request/+", "v1/devices/me/claim",
                              "/provision/request")

    def telemetry(self, timeout=LIMIT):
        """The next telemetry that arrives."""
        return self.client.wait_for(self.TELEMETRY, timeout).json()

    def attributes(self, timeout=LIMIT):
        """The next client attributes that arrive."""
        return self.client.wait_for(self.ATTRIBUTES, timeout).json()

    def push(self, **attributes):
        """A shared attribute is set in the cloud (T5)."""
        return self.client.publish(self.ATTRIBUTES, attributes)

    def delete(self, *names):
        """Shared attributes are deleted in the cloud (T5)."""
        return self.client.publish(self.ATTRIBUTES, {"deleted": list(names)})

    def call(self, method, params=None, retain=False):
        """Send a server-side RPC (T6); its id."""
        number = next(self._ids)
        self.client.publish(f"v1/devices/me/rpc/request/{number}", {"method": method, "params": params or {}},
                            retain=retain)
        return number

    def reply(self, number, timeout=LIMIT):
        """The reply to that RPC (T7), JSON if it is any."""
        message = self.client.wait_for(f"v1/devices/me/rpc/response/{number}", timeout)
        try:
            return message.json()
        except ValueError:
            return message.text()

    def _client_rpc(self, message):
        """Each connection has numbers of its own, and here they share them: what bridges ask of themselves is not answered."""
        number = message.topic.rsplit("/", 1)[1]
        if message.json().get("method") == "getSessionLimits":
            return
        self.client.publish(f"v1/devices/me/rpc/response/{number}", {}, wait=False)

    def _provision(self, message):
        request = message.json()
        self.requests.append(request)
        if self.answers:
            self.client.publish("/provision/response", self._answer(request), wait=False)

    def _answer(self, request):
        name = request.get("deviceName")
        if (request.get("provisionDeviceKey"), request.get("provisionDeviceSecret")) != (self.key, self.secret):
            return {"errorMsg": "Provision data was not found!", "status": "NOT_FOUND"}
        if name in self._names:
            return {"errorMsg": "Failed to provision device!", "status": "FAILURE"}
        self._names.add(name)
        return {"credentialsValue": self.token, "credentialsType": "ACCESS_TOKEN", "status": "SUCCESS"}

    def close(self):
        self.client.close()


class InnowayDevice:
    """A device whose firmware speaks Innoway."""

    DOWN = ("command", "config", "license", "space_info", "fota_request")

    def __init__(self, port, device, token="innoway-token", mqtt=MQTT3):
        self.device, self.port, self.mqtt = device, port, mqtt
        self.client = Client(port, device, username="pump", password=token, mqtt=mqtt)
        self.client.subscribe(*(self.topic(t) for t in self.DOWN))
        self._provisioning = None

    def topic(self, subtopic):
        return f"messages/{self.device}/{subtopic}"

    def publish(self, subtopic, payload, **more):
        """Publish on one of the device's subtopics (I1, I2)."""
        return self.client.publish(self.topic(subtopic), payload, **more)

    def attributes(self, **values):
        """I1."""
        return self.publish("attribute", values)

    def event(self, name, **params):
        return self.publish("event", {"name": name, "params": params})

    def next(self, subtopic, timeout=LIMIT):
        """The next message that came down on this subtopic."""
        return self.client.wait_for(self.topic(subtopic), timeout).json()

    def reply(self, number, status="done", **more):
        """Answer a command."""
        return self.publish("command_reply", {"id": number, "status": status, **more})

    def provision_start(self, name, key="iw-key", secret="iw-secret", slash=False, token=None):
        """Ask for provisioning on a session of its own (I4)."""
        prefix = "/provision" if slash else "provision"
        if self._provisioning is None:
            self._provisioning = Client(self.port, f"{self.device}-provision", username="provision", password=token,
                                        mqtt=self.mqtt)
            self._provisioning.subscribe("provision/response", "/provision/response")
        request = {"device_name": name, "device_key": self.device, "provision_key": key, "provision_secret": secret}
        self._provisioning.publish(f"{prefix}/request", request)
        return request

    def provision_answer(self, slash=False, timeout=LIMIT):
        """The answer (I5)."""
        topic = "/provision/response" if slash else "provision/response"
        return self._provisioning.wait_for(topic, timeout).json()

    def provision(self, name, **more):
        self.provision_start(name, **more)
        return self.provision_answer(more.get("slash", False))

    def close(self):
        self.client.close()
        if self._provisioning:
            self._provisioning.close()


class EZtCloud:
    """The EZtCloud application service with one device of one project behind it.

    As on the real one, what an application pushes to the device shows up on `attributes` again.
    """

    ACL = """\
user cloud
topic readwrite #
user {project}
topic readwrite open/{project}/+/+
topic readwrite open/{project}/+/data/+
"""

    def __init__(self, port, project, device, password=None, name="eztcloud"):
        self.project, self.device = project, device
        self.echoes = True  # False: the device does not take what is pushed
        self.client = Client(port, name, username="cloud", password=password, mqtt=MQTT3)
        self.client.on(self.topic("attributes_push"), self._echo)
        self.client.subscribe(self.topic("attributes_push"), self.topic("command_send"))

    def topic(self, tail):
        return f"open/{self.project}/{self.device}/{tail}"

    def publish(self, tail, payload, **more):
        return self.client.publish(self.topic(tail), payload, **more)

    def attributes(self, **values):
        """E1."""
        return self.publish("attributes", values)

    def event(self, method, **params):
        """E2."""
        return self.publish("event_report", {"method": method, "params": params})

    def data(self, stream, payload):
        """E4."""
        return self.publish(f"data/{stream}", payload)

    def alarm(self, alerting):
        """E5, with the trailing comma and the comment of the platform's own page."""
        return self.publish("alarm", '{ "alerting": %s, // true=on\n}' % json.dumps(alerting))

    def online(self, online):
        """E6."""
        return self.publish("online", {"online": online})

    def command(self, timeout=LIMIT):
        """The next command that an application sends (E8)."""
        return self.client.wait_for(self.topic("command_send"), timeout).json()

    def reply(self, command, **params):
        """The device answers a command (E3)."""
        return self.publish("command_reply", {"method": command["method"], "params": params, "id": command["id"]})

    def pushed(self, timeout=LIMIT):
        """The next attribute push of an application (E7)."""
        return self.client.wait_for(self.topic("attributes_push"), timeout).json()

    def _echo(self, message):
        if self.echoes:
            self.client.publish(self.topic("attributes"), message.payload, wait=False)

    def close(self):
        self.client.close()


class DeviceEventsCloud:
    """A cloud that speaks device-events, seen from one device. MQTT 5 only."""

    UP = ("telemetry", "config/update", "commands/update", "license/update", "update", "cloud_settings/update", "get")

    # The login may use its own device's topics only.
    ACL = """\
user cloud
topic readwrite #
user {device}
topic readwrite v1/device/{device}/#
"""

    def __init__(self, port, device, access_key, password=None, name="device-events"):
        self.device, self.access_key = device, access_key
        self.client = Client(port, name, username="cloud", password=password, mqtt=MQTT5)
        self.client.subscribe(*(self.topic(t) for t in self.UP))

    def topic(self, tail):
        return f"v1/device/{self.device}/{tail}"

    def next(self, tail, timeout=LIMIT):
        """The next message of the device on this topic; it must carry the user properties that they all carry."""
        message = self.client.wait_for(self.topic(tail), timeout)
        expected = {"device_id": self.device, "access_key": self.access_key}
        assert message.properties == expected, f"{message.topic}: user properties {sorted(message.properties)}"
        return message.json()

    def telemetry(self, timeout=LIMIT):
        """X1."""
        return self.next("telemetry", timeout)

    def command(self, name, retain=False, **parameters):
        """Send a command (X4); its id, a UUID."""
        number = str(uuid.uuid4())
        payload = {"id": number, "status": "pending", "name": name, "parameters": parameters}
        self.client.publish(self.topic("commands"), payload, response_topic=self.topic("commands/update"),
                            retain=retain)
        return number

    def command_update(self, timeout=LIMIT):
        """X5."""
        return self.next("commands/update", timeout)

    def config(self, version, last_updated="2026-03-04T05:06:07.089Z", **fields):
        """Send the whole configuration (X2)."""
        payload = {"version": version, "last_updated": last_updated, **fields}
        self.client.publish(self.topic("config"), payload, response_topic=self.topic("config/update"))
        return payload

    def config_update(self, timeout=LIMIT):
        """X3."""
        return self.next("config/update", timeout)

    def close(self):
        self.client.close()


def printable(payload):
    """A payload as text for people."""
    data = payload if isinstance(payload, bytes) else to_bytes(payload)
    try:
        text = data.decode()
        return text if text.isprintable() or "\n" in text else repr(data)
    except UnicodeDecodeError:
        return "bytes " + data.hex(" ")
