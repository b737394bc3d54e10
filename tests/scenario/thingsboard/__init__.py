"""A ThingsBoard that behaves like the real one: its MQTT transport, on a port of its own, for tests.

It is no general broker and no mock of calque: it reads and writes MQTT 3.1.1 and 5 itself, and what it does follows the
server of release 4.2.1, as its source says and as it was seen to do.

    with Server() as tb:
        pump = tb.device("pump", token="t1")
        ...                                              # a client logs in to tb.url with the user name t1
        assert pump.next_telemetry() == {"temp": 21.5}   # waits for it
        pump.push(rate=10)                               # a shared attribute is set
        assert pump.rpc("setFan", {"rpm": 900}).result() == {"ok": True}

Faithful to
- logins: access token, basic, X.509, `provision`; the codes of refusals in both versions; one session for a device, the
  older one is ended; session present is the inverse of clean session, though nothing is ever kept;
- the fixed list of topic filters, at QoS 1 at most; attribute responses, RPC answers, chunks and provisioning answers
  come without a subscription; pushes and RPC of the server only with one, and are forgotten (pushes) or wait for their
  time-out (RPC, sent again with their old id at every new subscription) while there is none;
- no echo, ever; retain and will ignored; a QoS 2 publish is answered with PUBACK;
- what ends a connection without PUBACK: a packet over 65,536 bytes of remaining length, an unreadable payload (MQTT 5:
  PUBACK 0x99), a `ts` or chunk size that is no number, an RPC without method, a bad chunk request (after an error
  message), a rate limit. What was read in the same piece of the stream has been stored then, but not acknowledged;
- the gateway API: devices made by connect or by data, dropped with the connection; never a PUBACK for a device that is no
  gateway; over a rate limit it acknowledges, drops, and closes;
- provisioning: all three credential types, chosen by the device or made here; NOT_FOUND, FAILURE; devices that were
  made in advance; the connection ends 60 s after the answer.

Told to: see the attributes of `Server` and `Profile` (old releases, refused filters, limits, lost answers, verdicts over
single messages, no storage, no answer).

Not here: Protobuf, Sparkplug, the lenient forms of JSON that Gson takes (comments, bare words), the cast of strings that
look like numbers, persisted RPC, the 600 s of inactivity, two nodes.
"""

from .model import Device, Profile, Sample  # noqa: F401
from .server import Server  # noqa: F401
