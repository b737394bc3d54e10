"""Is what came out what must come out?"""

import base64
import json

from values import equal


def readable(text):
    """A line for `translate --lines` with its payload as text."""
    what = json.loads(text)
    if "payload_base64" in what:
        what["payload"] = str(base64.b64decode(what.pop("payload_base64")), errors="replace")
    return json.dumps(what, ensure_ascii=False)


def is_same(expected, came):
    """came: an output as `translate --lines` prints it."""
    payload = base64.b64decode(came["payload_base64"]) if "payload_base64" in came else \
        came.get("payload", came.get("payload_text"))
    more = {k: came[k] for k in ("properties", "correlation") if k in came}
    return expected.side == came["side"] and expected.topic == came["topic"] and equal(expected.payload, payload) \
        and expected.more == more


def are_same(expected, came, any_order):
    """any_order: whose turn it is when time passes is nobody's business."""
    if len(expected) != len(came):
        return False
    if not any_order:
        return all(map(is_same, expected, came))
    left = list(came)
    for e in expected:
        match = next((c for c in left if is_same(e, c)), None)
        if not match:
            return False
        left.remove(match)
    return True
