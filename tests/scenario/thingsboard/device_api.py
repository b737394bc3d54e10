"""The device API: one connection, one device."""

import json

from paho.mqtt.client import topic_matches_sub

from . import topics


DONE, UNKNOWN_TOPIC = 0, 0x90


class Invalid(Exception):
    """A payload that the server finds unreadable."""


class Broken(Exception):
    """One that makes it stumble: the connection ends, whatever the version."""


class ChunkError(Exception):
    """A bad chunk request: the connection ends after this text."""


def read_json(payload, *types):
    """The JSON value of a payload, of one of these types."""
    def no_number(name):
        raise ValueError(name)
    try:
        value = json.loads(payload.decode(errors="replace"), parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Invalid("no JSON") from None
    if not isinstance(value, types):
        raise Invalid(f"no {' or '.join(t.__name__ for t in types)}")
    return value


def write_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_samples(value):
    """[(ts or None, values)] of a telemetry: an object or an array of them, with `ts` and `values` or without."""
    samples = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise Invalid("a sample is no object")
        if "ts" not in item or "values" not in item:
            samples.append((None, item))
            continue
        try:
            ts = int(item["ts"])
        except (TypeError, ValueError):
            raise Broken("ts is no number") from None
        if not isinstance(item["values"], dict):
            raise Invalid("values is no object")
        samples.append((ts, item["values"]))
    return samples


def read_number(text):
    if not text.isdecimal() or int(text) >= 1 << 31:
        raise Invalid("no number in the topic")
    return int(text)


class DeviceApi:
    """The session of a device on its own connection."""

    def __init__(self, connection, device):
        self.connection, self.device, self.server = connection, device, connection.server
        self.hears_shared = self.hears_rpc = False
        self._shared_topic, self._rpc_topic = topics.ATTRIBUTES[0], next(iter(topics.RPC_ANSWER))
        self._awaited = {}      # RPC, by the packet identifier that will be acknowledged
        self._chunk_sizes = {}  # by request

    # --- subscriptions

    def subscribe(self, filter_):
        """Is it one of the filters that the server knows? If so, it holds from now on."""
        if filter_ in topics.SHARED_FILTERS or (self.device.profile.shared and filter_ == self.device.profile.shared):
            self.hears_shared = True
            self._shared_topic = topics.SHARED_FILTERS.get(filter_, topics.ATTRIBUTES[0])  # only the filter is renamed
        elif filter_ in topics.RPC_FILTERS:
            self.hears_rpc = True
            self._rpc_topic = topics.RPC_FILTERS[filter_]
        elif filter_ not in topics.OTHER_FILTERS:
            return False
        return True

    def subscribed(self, filters):
        """The answer to a SUBSCRIBE with these has been sent."""
        if any(f in topics.RPC_FILTERS for f in filters):
            self.device.start_rpc(self)

    def unsubscribe(self, filter_):
        if filter_ in topics.SHARED_FILTERS or filter_ == self.device.profile.shared:
            self.hears_shared = False
        elif filter_ in topics.RPC_FILTERS:
            self.hears_rpc = False

    # --- down

    def send_shared(self, change):
        self.connection.send(self._shared_topic, write_json(change))

    def send_rpc(self, rpc):
        mid = self.connection.send(f"{self._rpc_topic}{rpc.id}", write_json({"method": rpc.method, "params": rpc.params}))
        if mid:
            self._awaited[mid] = rpc

    def acknowledged(self, mid):
        rpc = self._awaited.pop(mid, None)
        if rpc:
            rpc.delivered = True

    def end_connection(self, why, code):
        self.connection.close(why, code)

    # --- up

    def publish(self, p):
        """Do what a publish asks for. The code of its acknowledgement; None: it has left already.

        Raises Invalid, Broken, ChunkError.
        """
        if self._is_attributes(p.topic):
            self.device.store_attributes(read_json(p.payload, dict))
            return DONE
        if self._is_telemetry(p.topic):
            self.device.store_telemetry(read_samples(read_json(p.payload, dict, list)))
            return DONE
        chunk = topics.CHUNK.match(p.topic)
        asked = topics.split_request(p.topic, topics.ATTRIBUTES_ANSWER)
        replied = topics.split_request(p.topic, {answer: "" for answer in topics.RPC_ANSWER.values()})
        called = topics.split_request(p.topic, topics.RPC_ANSWER)
        if asked:
            self._attributes_request(p, *asked)
        elif replied:
            self.device.reply(read_number(replied[0]), p.payload.decode(errors="replace"))
        elif called:
            self._request(p, *called)
        elif p.topic == topics.CLAIM:
            self.device.claims.append(read_json(p.payload, dict) if p.payload else {})
        elif chunk:
            self._chunk_request(p, *chunk.groups())
            return None
        else:
            return UNKNOWN_TOPIC
        return DONE

    def _is_attributes(self, topic):
        own = self.device.profile.attributes
        return topic in topics.ATTRIBUTES or bool(own and topic_matches_sub(own, topic))

    def _is_telemetry(self, topic):
        own = self.device.profile.telemetry
        return topic in topics.TELEMETRY or bool(own and topic_matches_sub(own, topic))

    def _attributes_request(self, p, number, answer):
        number, asked = read_number(number), read_json(p.payload, dict)
        names = [self._names(asked.get(field)) for field in ("clientKeys", "sharedKeys")]
        found = dict(zip(("client", "shared"), self.device.find(*names)))
        self.connection.send(f"{answer}{number}", write_json({k: v for k, v in found.items() if v}))

    @staticmethod
    def _names(text):
        """Comma-separated names; empty ones are dropped."""
        if text is None:
            return None
        if not isinstance(text, str):
            raise Invalid("names are a text")
        return [name for name in text.split(",") if name]

    def _request(self, p, number, answer):
        number, asked = read_number(number), read_json(p.payload, dict)
        method, params = asked.get("method"), asked.get("params")
        if not isinstance(method, str):
            raise Broken("an RPC without method")
        topic = f"{answer}{number}"
        self.device.requests.append((method, params))
        if method == "getSessionLimits":
            self.connection.send(topic, write_json(self.server.session_limits(self.device)))
        elif method in self.server.methods:
            self.connection.send(topic, write_json(self.server.methods[method](self.device, params)))
        else:
            self.server.later(self.server.request_timeout,
                              lambda: self.connection.send(topic, write_json({"error": "timeout"})))

    def _chunk_request(self, p, kind, request, index):
        """T14: the size is remembered for the request; past the end an empty chunk."""
        size = p.payload.decode(errors="replace")
        if size and not size.isdecimal():
            raise Broken("chunk size")
        if size and int(size) > 0:
            self._chunk_sizes[request] = int(size)
        size, index = self._chunk_sizes.get(request, 0), int(index)
        if size > self.server.max_packet:
            raise ChunkError("PAYLOAD_TOO_LARGE")
        if kind not in self.device.packages:
            raise ChunkError("NOT_FOUND")
        data = self.device.packages[kind].data
        self.connection.acknowledge(p)
        self.connection.send(f"v2/{kind}/response/{request}/chunk/{index}",
                             data[size * index:size * (index + 1)] if size else data)
