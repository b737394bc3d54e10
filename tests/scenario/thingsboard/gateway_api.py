"""The gateway API: one connection speaks for many devices, which are named in the payloads."""

from . import topics
from .device_api import DONE, UNKNOWN_TOPIC, Invalid, read_json, read_samples, write_json


class Child:
    """The session of a device behind a gateway: it hears everything, as long as it is there."""

    hears_shared = hears_rpc = True

    def __init__(self, connection, device):
        self.connection, self.device = connection, device

    def send_shared(self, change):
        self.connection.send("v1/gateway/attributes", write_json({"device": self.device.name, "data": change}))

    def send_rpc(self, rpc):
        self.connection.send("v1/gateway/rpc", write_json({
            "device": self.device.name, "data": {"id": rpc.id, "method": rpc.method, "params": rpc.params}}))

    def end_connection(self, _why, _code):
        """Only this device's session: the gateway goes on."""
        self.connection.gateway.drop(self.device.name)


class GatewayApi:
    """What a connection has besides the device API if its device is a gateway.

    devices: {name: Child}, made by connect or by data; all of them go with the connection.
    """

    def __init__(self, connection):
        self.connection, self.server = connection, connection.server
        self.devices = {}
        self._topics = {"connect": self._connect, "disconnect": self._disconnect, "telemetry": self._telemetry,
                        "attributes": self._attributes, "attributes/request": self._attributes_request,
                        "rpc": self._reply, "claim": self._claim}

    def publish(self, p):
        """Do what a publish asks for; the code of its acknowledgement. Raises Invalid, Broken."""
        handle = self._topics.get(p.topic[len(topics.GATEWAY):])
        if handle is None:
            return UNKNOWN_TOPIC
        handle(read_json(p.payload, dict))
        return DONE

    def drop(self, name):
        child = self.devices.pop(name, None)
        if child and child in child.device.sessions:
            child.device.sessions.remove(child)
            self.server.note("gateway-device-gone", name)

    def end(self):
        for name in list(self.devices):
            self.drop(name)

    # --- the devices

    @staticmethod
    def _name(value):
        if not isinstance(value, str) or not value:
            raise Invalid("device name")
        return value

    def _child(self, name, type_="default"):
        """The device of that name, made and connected if it is not."""
        if name not in self.devices:
            device = self.server.find_or_make(self._name(name), type_)
            child = self.devices[name] = Child(self.connection, device)
            self.server.note("gateway-device", name, type=device.type)
            device.add_session(child)
            device.start_rpc(child)
        return self.devices[name].device

    def _connect(self, asked):
        type_ = asked.get("type")
        self._child(self._name(asked.get("device")), "default" if type_ is None else type_)

    def _disconnect(self, asked):
        self.drop(self._name(asked.get("device")))

    # --- up

    def _parts(self, asked, kind):
        """(device, its part) of those of the right type; the others are passed over, unless there is none else."""
        parts = {name: part for name, part in asked.items() if isinstance(part, kind)}
        if not parts:
            raise Invalid("nothing for any device")
        return parts.items()

    def _for_each(self, asked, kind, store):
        """Store each device's part; a bad one ends in Invalid, but the others are stored."""
        bad = None
        for name, part in self._parts(asked, kind):
            device = self._child(name)
            try:
                store(device, part)
            except Invalid as error:
                bad = error
        if bad:
            raise bad

    def _telemetry(self, asked):
        self._for_each(asked, list, lambda device, part: device.store_telemetry(read_samples(part)))

    def _attributes(self, asked):
        self._for_each(asked, dict, lambda device, part: device.store_attributes(part))

    def _claim(self, asked):
        self._for_each(asked, dict, lambda device, part: device.claims.append(part))

    def _attributes_request(self, asked):
        """G5: one key is answered with `value`, several with `values`, and unknown ones not at all."""
        number, is_client = asked.get("id"), asked.get("client")
        names = [asked["key"]] if "key" in asked else asked.get("keys")
        if not isinstance(number, int) or not isinstance(is_client, bool) or not isinstance(names, list):
            raise Invalid("attribute request")
        device = self._child(self._name(asked.get("device")))
        found = device.find(names if is_client else None, None if is_client else names)[0 if is_client else 1]
        answer = {"id": number, "device": device.name}
        if len(found) == 1 and len(names) == 1:
            answer["value"] = next(iter(found.values()))
        elif found:
            answer["values"] = found
        self.connection.send("v1/gateway/attributes/response", write_json(answer))

    def _reply(self, asked):
        """G9: `data` is JSON in any case."""
        if not isinstance(asked.get("id"), int) or "data" not in asked:
            raise Invalid("RPC reply")
        self._child(self._name(asked.get("device"))).reply(asked["id"], write_json(asked["data"]).decode())
