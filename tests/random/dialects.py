"""How platforms spell what they say, from mappings/kinds.md: each reads and writes, and makes up messages."""

import base64
import calendar
import re
import time

from bridge import Dead, Plain
from values import Any, equal, is_kept, parse, text_of



class Message:
    """One that comes in; `payload` is bytes."""

    def __init__(self, topic, payload=b"", response_topic=None, retain=False):
        self.topic, self.payload = topic, payload
        self.response_topic, self.retain = response_topic, retain


def without_nulls(what):
    return {k: v for k, v in what.items() if v is not None}


def strip_lenient(text):
    """Comments and a last comma, as spell_lenient() makes them."""
    return re.sub(r",\s*}\s*$", "}", re.sub(r"^// so\n| // so$", "", text))


def json_of(message, is_changed=True):
    """A JSON payload. is_changed: its numbers go through jq, and must stay what they are."""
    if not message.payload:
        return None
    try:
        text = strip_lenient(message.payload.decode())
        what = parse(text)
    except ValueError as e:
        raise Dead("unreadable-payload") from e
    if is_changed and not is_kept(text):
        raise Dead("wide-integer")
    return what


def meaning(data):
    """What bytes mean: the JSON or the text that they are; None: nothing."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    try:
        what = parse(text)
        return what if is_kept(text) else text
    except ValueError:
        return text


def as_object(params):
    if isinstance(params, dict):
        return params
    return {} if params is None else {"value": params}


def plain_of(kind, device, body, shape, **more):
    """A message with a body of this shape, or none."""
    if not isinstance(body, dict) or not all(isinstance(body.get(k), t) for k, t in shape.items()):
        raise Dead("wrong-shape", "mapping-error")  # whether jq already fails with it is no matter
    return Plain(kind, device, body, **more)


def outcome(body):
    """A reply to a command for ThingsBoard, which takes one, without a status."""
    if body["status"] == "error":
        return {"error": next((body[k] for k in ("message", "result") if body.get(k)), "error")}
    if body.get("result") is not None:
        return body["result"]
    return without_nulls({"status": body["status"], "message": body.get("message")})


def flat(what, before=""):
    """Nested objects to dotted keys, arrays to their text, nulls left out."""
    out = {}
    for key, v in what.items():
        if v is None:
            continue
        leaves = flat(v, before + key + ".") if isinstance(v, dict) else \
            {before + key: text_of(v) if isinstance(v, list) else v}
        if out.keys() & leaves.keys():
            raise Dead("mapping-error")
        out.update(leaves)
    return out


class Dialect:
    """What all have."""

    name = ""
    request_timeout_ms = 30000
    echoes_config = False
    is_silent = False  # devices may not confirm a configuration
    keeps_numbers = ()  # kinds that are written without a function
    id_type = {}
    variables = {}

    def has(self, kind):
        return hasattr(self, "write_" + kind)

    def write(self, plain, device, request=None):
        """[(topic, payload, more)]"""
        if plain.is_wide and plain.kind not in self.keeps_numbers:
            raise Dead("wide-integer")
        return getattr(self, "write_" + plain.kind)(plain, device, request)


class Innoway(Dialect):
    """messages/DEVICE/SUBTOPIC"""

    name = "innoway"
    is_silent = True
    id_type = {"command": "uuid"}
    DOWN = ("command", "config", "license", "space_info", "fota_request")

    def read(self, message):
        parts = message.topic.split("/", 2)
        if len(parts) != 3 or parts[0] != "messages":
            raise Dead("unknown-topic")
        _, device, subtopic = parts
        if subtopic in self.DOWN:
            raise Dead("not-read")
        read = {"attribute": self._attributes, "event": self._event, "alarm": self._alarm, "online": self._online,
                "request": self._request, "command_reply": self._command_reply, "config_reply": self._config_reply,
                "fota_response": self._firmware_state, "license_reply": self._license_reply}.get(subtopic)
        if not read:
            return [Plain("raw", device, {"stream": subtopic, "data": message.payload})]
        plain = read(device, json_of(message, is_changed=subtopic not in ("attribute", "event")))
        plain.is_wide = bool(message.payload) and not is_kept(strip_lenient(message.payload.decode()))
        return [plain]

    @staticmethod
    def _attributes(device, what):
        return plain_of("attributes", device, what, {})

    @staticmethod
    def _event(device, what):
        return plain_of("event", device, what, {"name": str})

    @staticmethod
    def _alarm(device, what):
        return plain_of("alarm", device, what, {"active": bool})

    @staticmethod
    def _online(device, what):
        return plain_of("presence", device, what, {"online": bool})

    @staticmethod
    def _request(device, what):
        return plain_of("request", device, what, {"name": str})

    @staticmethod
    def _command_reply(device, what):
        body = {"status": "done", **{k: v for k, v in what.items() if k != "id"}}
        return plain_of("command_reply", device, body, {"status": str}, id=what.get("id"))

    @staticmethod
    def _config_reply(device, what):
        return plain_of("config_reply", device, what, {})

    @staticmethod
    def _firmware_state(device, what):
        state = "UPDATED" if what.get("status") == "Success" else "FAILED"
        return plain_of("firmware_state", device, without_nulls({"version": what.get("version"), "state": state}), {})

    @staticmethod
    def _license_reply(device, what):
        return plain_of("license_reply", device, what, {}, id=what.get("id"))

    @staticmethod
    def topic(plain, subtopic):
        return f"messages/{plain.device}/{subtopic}"

    def write_command(self, plain, *_):
        body = {"id": plain.id, "name": plain.body["name"], "params": plain.body.get("params")}
        return [(self.topic(plain, "command"), body, {})]

    def write_config(self, plain, *_):
        deleted = plain.body["deleted"]
        body = {**plain.body["changed"], **({"deleted": same_names(deleted)} if deleted else {})}
        return [(self.topic(plain, "config"), body, {})] if body else []

    def write_firmware(self, plain, *_):
        body = plain.body
        if not body.get("url"):
            raise Dead("mapping-error")
        check = body.get("checksum") if body.get("checksum_algorithm") == "MD5" else None
        return [(self.topic(plain, "fota_request"), without_nulls(
            {"id": body.get("title"), "version": body.get("version"), "url_api": body["url"], "method": "GET",
             "check_sum": check}), {})]

    def write_license(self, plain, *_):
        return [(self.topic(plain, "license"), plain.body, {})]

    def write_space_info(self, plain, *_):
        return [(self.topic(plain, "space_info"), plain.body, {})]


class EZtCloud(Dialect):
    """open/P/DEVICE/TAIL, as its applications see it."""

    name = "eztcloud"
    echoes_config = True
    id_type = {"command": "integer"}
    variables = {"project": "P"}
    DOWN = ("command_send", "attributes_push")

    def read(self, message):
        parts = message.topic.split("/")
        if parts[:2] != ["open", "P"] or len(parts) not in (4, 5):
            raise Dead("unknown-topic")
        device, tail = parts[2], parts[3]
        if tail == "data" and len(parts) == 5:
            return [Plain("raw", device, {"stream": parts[4], "data": message.payload})]
        if len(parts) == 5:
            raise Dead("unknown-topic")
        if tail in self.DOWN:
            raise Dead("not-read")
        read = {"attributes": self._attributes, "event_report": self._event, "alarm": self._alarm,
                "online": self._online, "command_reply": self._command_reply}.get(tail)
        if not read:
            raise Dead("unknown-topic")
        return read(device, json_of(message, is_changed=tail != "online"))

    @staticmethod
    def _attributes(device, what):
        if isinstance(what, dict) and isinstance(what.get("license"), dict) and "state" in what["license"]:
            rest = {k: v for k, v in what.items() if k != "license"}
            reply = plain_of("license_reply", device, what["license"], {}, id=what["license"].get("id"))
            return ([plain_of("attributes", device, rest, {})] if rest else []) + [reply]
        return [plain_of("attributes", device, what, {})]

    @staticmethod
    def _event(device, what):
        return [plain_of("event", device, {"name": what.get("method"), "params": what.get("params")}, {"name": str})]

    @staticmethod
    def _alarm(device, what):
        rest = {k: v for k, v in what.items() if k != "alerting"}
        return [plain_of("alarm", device, {"active": what.get("alerting"), **rest}, {"active": bool})]

    @staticmethod
    def _online(device, what):
        return [plain_of("presence", device, what, {"online": bool})]

    @staticmethod
    def _command_reply(device, what):
        body = {"status": "done", "result": what.get("params")}
        return [plain_of("command_reply", device, body, {}, id=what.get("id"))]

    @staticmethod
    def topic(plain, tail):
        return f"open/P/{plain.device}/{tail}"

    def write_command(self, plain, *_):
        body = {"method": plain.body["name"], "params": as_object(plain.body.get("params")), "id": plain.id}
        return [(self.topic(plain, "command_send"), body, {})]

    def _push(self, plain, body):
        return [(self.topic(plain, "attributes_push"), body, {})] if body else []

    def write_config(self, plain, *_):
        return self._push(plain, plain.body["changed"])

    def write_firmware(self, plain, *_):
        return self._push(plain, {"firmware": plain.body})

    def write_license(self, plain, *_):
        return self._push(plain, {"license": plain.body})

    def write_space_info(self, plain, *_):
        return self._push(plain, {"space_info": plain.body})


class AnyId:
    """A topic that ends with an id."""

    def __init__(self, topic, ident):
        self.topic, self.ident = topic, ident

    def __eq__(self, other):
        digits = other[len(self.topic):]
        return other.startswith(self.topic) and digits.isdecimal() and equal(self.ident, int(digits))

    def __repr__(self):
        return f"{self.topic}{self.ident}"


def same_names(names):
    """These, in any order."""
    return Any(f"names {names}", lambda came: isinstance(came, list) and sorted(came) == sorted(names))


def firmware_of(what):
    """ThingsBoard's shared attributes: (notices, the rest)."""
    notices, rest = [], dict(what)
    for package in ("fw", "sw"):
        if f"{package}_title" in what and f"{package}_version" in what:
            fields = {f: what.get(f"{package}_{f}") for f in
                      ("title", "version", "size", "checksum", "checksum_algorithm", "url")}
            notices.append(without_nulls({**fields, "package": package}))
            for f in (*fields, "tag"):
                rest.pop(f"{package}_{f}", None)
    return notices, rest


def changes_of(what):
    deleted = what.get("deleted")
    if isinstance(deleted, list) and all(isinstance(n, str) for n in deleted):
        return {"changed": {k: v for k, v in what.items() if k != "deleted"}, "deleted": deleted}
    return {"changed": what}


class ThingsBoard(Dialect):
    """The device API, as the cloud of one device."""

    name = "thingsboard"
    request_timeout_ms = 9000
    keeps_numbers = ("attributes", "config_reply")
    id_type = {"request": "integer"}
    TELEMETRY, ATTRIBUTES = "v1/devices/me/telemetry", "v1/devices/me/attributes"
    RPC_REQUEST, RPC_RESPONSE = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
    DEVICE = "d1"

    # --- what it reads

    def read(self, message):
        device, topic = self.DEVICE, message.topic
        if topic == self.ATTRIBUTES:
            return self._shared(device, json_of(message))
        if topic.startswith(self.RPC_REQUEST):
            return [self._command(message, device, json_of(message), int(topic[len(self.RPC_REQUEST):]))]
        if topic.startswith(self.RPC_RESPONSE):
            return [Plain("request_reply", device, json_of(message), id=int(topic[len(self.RPC_RESPONSE):]))]
        raise Dead("not-read" if topic == self.TELEMETRY else "unknown-topic")

    @staticmethod
    def _shared(device, what):
        notices, rest = firmware_of(what)
        changes = changes_of(rest)
        return [Plain("firmware", device, n) for n in notices] + (
            [Plain("config", device, changes)] if changes != {"changed": {}} else [])

    @staticmethod
    def _command(message, device, what, ident):
        if message.retain:
            raise Dead("retained")
        body = {"name": what.get("method"), "params": what.get("params")}
        return plain_of("command", device, body, {"name": str}, id=ident)

    # --- what it is told

    def _sample(self, plain, what):
        return [(self.TELEMETRY, what, {})]

    def _client(self, plain, what):
        return [(self.ATTRIBUTES, what, {})]

    def write_attributes(self, plain, *_):
        return self._client(plain, plain.body)

    def write_event(self, plain, *_):
        params = plain.body.get("params")
        return self._sample(plain, {plain.body["name"]: True if params is None else params})

    def write_alarm(self, plain, *_):
        rest = {k: v for k, v in plain.body.items() if k != "active"}
        return self._sample(plain, {"alarm": plain.body["active"], **rest})

    def write_presence(self, plain, *_):
        return self._sample(plain, {"online": plain.body["online"]})

    def write_raw(self, plain, *_):
        data = plain.body["data"]
        value = meaning(data)
        if value is None and data.strip() != b"null":
            value = base64.b64encode(data).decode()
        return self._sample(plain, {plain.body["stream"]: value})

    def write_firmware_state(self, plain, *_):
        names = {"current_fw_title": "title", "current_fw_version": "version", "fw_state": "state", "fw_error": "error"}
        return self._sample(plain, without_nulls({k: plain.body.get(v) for k, v in names.items()}))

    def write_config_reply(self, plain, *_):
        return self._client(plain, plain.body)

    def write_license_reply(self, plain, *_):
        return self._client(plain, {"license": plain.body})

    def write_request(self, plain, *_):
        return [(AnyId(self.RPC_REQUEST, plain.id), {"method": plain.body["name"], "params": plain.body.get("params")},
                 {})]

    def write_command_reply(self, plain, *_):
        if plain.body["status"] == "in_progress":
            return []
        return [(f"{self.RPC_RESPONSE}{plain.id}", outcome(plain.body), {})]


class Gateway(ThingsBoard):
    """The gateway API, as the cloud of many devices."""

    name = "thingsboard-gateway"
    keeps_numbers = ()

    def read(self, message):
        if message.topic == "v1/gateway/attributes":
            what = json_of(message)
            if not isinstance(what.get("device"), str):
                raise Dead("mapping-error")
            return self._shared(what["device"], what["data"])
        if message.topic == "v1/gateway/rpc":
            what = json_of(message)
            if not isinstance(what.get("device"), str):
                raise Dead("mapping-error")
            return [self._command(message, what["device"], what["data"], what["data"].get("id"))]
        raise Dead("not-read" if message.topic == "v1/gateway/telemetry" else "unknown-topic")

    def _sample(self, plain, what):
        return [("v1/gateway/telemetry", {plain.device: [what]}, {})]

    def _client(self, plain, what):
        return [("v1/gateway/attributes", {plain.device: what}, {})]

    def write_presence(self, plain, *_):
        return [("v1/gateway/connect" if plain.body["online"] else "v1/gateway/disconnect", {"device": plain.device}, {})]

    def write_request(self, *_):
        raise Dead("mapping-error")  # only the gateway itself may ask

    def write_command_reply(self, plain, *_):
        if plain.body["status"] == "in_progress":
            return []
        body = {"device": plain.device, "id": plain.id, "data": outcome(plain.body)}
        return [("v1/gateway/rpc", body, {})]


def iso(updated):
    """Milliseconds as ISO-8601; a moment that nobody knows beforehand as any."""
    if isinstance(updated, int):
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(updated // 1000))
        return f"{seconds}.{updated % 1000:03}Z"
    return Any("iso", lambda came: isinstance(came, str) and re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", came))


class DeviceEvents(Dialect):
    """Xyte, as the cloud."""

    name = "device-events"
    UP = ("telemetry", "commands/update", "config/update", "license/update", "update", "cloud_settings/update", "get")

    def read(self, message):
        parts = message.topic.split("/", 3)
        if parts[:2] != ["v1", "device"] or len(parts) != 4:
            raise Dead("unknown-topic")
        device, tail = parts[2], parts[3]
        if tail in self.UP:
            raise Dead("not-read")
        read = {"commands": self._command, "config": self._config, "license": self._license,
                "space_info": self._space_info, "firmware": self._firmware}.get(tail)
        if not read:
            raise Dead("unknown-topic")
        return read(message, device, json_of(message))

    @staticmethod
    def _command(message, device, what):
        if message.retain:
            raise Dead("retained")
        own = f"v1/device/{device}/"
        topic = message.response_topic if (message.response_topic or "").startswith(own) else own + "commands/update"
        body = {"name": what.get("name"), "params": what.get("parameters")}
        return [plain_of("command", device, body, {"name": str}, id=what.get("id"), response_topic=topic)]

    @staticmethod
    def _config(_, device, what):
        full = {k: v for k, v in what.items() if k not in ("version", "last_updated")}
        updated = what.get("last_updated")
        body = without_nulls({"version": what.get("version"), "updated": updated and ms(updated)})
        return [Plain("config", device, {**body, "full": full})]

    @staticmethod
    def _license(_, device, what):
        do = "remove" if what.get("remove") else "update" if what.get("update") else "add"
        body = {"id": what.get("id"), "data": what.get("data"), "signature": what.get("signature"), "operation": do,
                "expires_at": what.get("expires_at")}
        return [Plain("license", device, without_nulls(body), id=what.get("id"))]

    @staticmethod
    def _space_info(_, device, what):
        return [plain_of("space_info", device, what, {})]

    @staticmethod
    def _firmware(_, device, what):
        return [Plain("firmware", device, without_nulls(
            {"version": what.get("latest_fw_version"), "file": what.get("latest_fw_file_id"), "package": "fw"}))]

    @staticmethod
    def _say(plain, tail, body, **more):
        properties = {"device_id": plain.device, "access_key": "***"}
        return [(f"v1/device/{plain.device}/{tail}", body, {"properties": properties, **more})]

    def _report(self, plain, device, what):
        telemetries = flat(what)
        status = "error" if device.alarm else "online"
        return self._say(plain, "telemetry", {"status": status, "telemetries": telemetries}) if telemetries else []

    def write_attributes(self, plain, device, _):
        return self._report(plain, device, plain.body)

    def write_event(self, plain, device, _):
        params = plain.body.get("params")
        return self._report(plain, device, {plain.body["name"]: True if params in (None, {}) else params})

    def write_alarm(self, plain, device, _):
        rest = {k: v for k, v in plain.body.items() if k != "active"}
        return self._report(plain, device, {"alarm": plain.body["active"], **rest})

    def write_presence(self, plain, device, _):
        status = ("error" if device.alarm else "online") if plain.body["online"] else "offline"
        return self._say(plain, "telemetry", {"status": status})

    def write_raw(self, plain, device, _):
        data = plain.body["data"]
        value = meaning(data)
        if value is None and data.strip() != b"null":
            value = base64.b64encode(data).decode()
        out = flat({plain.body["stream"]: value})
        texts = [v if isinstance(v, str) else "" for v in out.values()]
        if any(len(t.encode()) > 1000 for t in texts):
            raise Dead("mapping-error")
        return self._report(plain, device, {plain.body["stream"]: value})

    def write_firmware_state(self, plain, device, _):
        if plain.body["state"] == "UPDATED":
            return self._say(plain, "update", {"firmware_version": plain.body.get("version")})
        return self._report(plain, device, plain.body)

    def write_config_reply(self, plain, *_):
        body = plain.body
        document = {k: v for k, v in {"version": body.get("version"), "last_updated": body.get("updated")
                                      and iso(body["updated"])}.items() if v is not None}
        return self._say(plain, "config/update", {**(body.get("values") or {}), **document})

    def write_license_reply(self, plain, *_):
        body = {k: plain.body.get(k) for k in ("id", "state", "error")}
        return self._say(plain, "license/update", without_nulls({**body}), correlation=plain.id)

    def write_command_reply(self, plain, *_):
        message = plain.body.get("message")
        if message is None or message is False:
            result = plain.body.get("result")
            message = result if isinstance(result, str) or result is None else text_of(result)
        body = without_nulls({"id": plain.id, "status": plain.body["status"], "message": message})
        return [(plain.response_topic, body, {"properties": {"device_id": plain.device, "access_key": "***"},
                                              "correlation": plain.id})]


def ms(text):
    """2024-01-02T03:04:05.678Z"""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(text[20:23])
