"""ThingsBoard's topics, and the filters that it lets a client subscribe to."""

import re

TELEMETRY = ("v1/devices/me/telemetry", "v2/t", "v2/t/j")
ATTRIBUTES = ("v1/devices/me/attributes", "v2/a", "v2/a/j")
CLAIM = "v1/devices/me/claim"
FIRMWARE_ERROR = "v2/fw/error"

GATEWAY = "v1/gateway/"

PROVISION_REQUEST, PROVISION_RESPONSE = "/provision/request", "/provision/response"

# A request's topic, and where its answer goes: each spelling has its own.
ATTRIBUTES_ANSWER = {"v1/devices/me/attributes/request/": "v1/devices/me/attributes/response/",
                     "v2/a/req/j/": "v2/a/res/j/", "v2/a/req/": "v2/a/res/"}
RPC_ANSWER = {"v1/devices/me/rpc/request/": "v1/devices/me/rpc/response/",
              "v2/r/req/j/": "v2/r/res/j/", "v2/r/req/": "v2/r/res/"}

CHUNK = re.compile(r"v2/(fw|sw)/request/(\d+)/chunk/(\d+)")

# What a subscription to a filter of these asks for, and the topic (or its beginning) that it then comes on.
SHARED_FILTERS = {"v1/devices/me/attributes": "v1/devices/me/attributes", "v2/a": "v2/a", "v2/a/j": "v2/a/j"}
RPC_FILTERS = {"v1/devices/me/rpc/request/+": "v1/devices/me/rpc/request/", "v2/r/req/+": "v2/r/req/",
               "v2/r/req/j/+": "v2/r/req/j/"}
# These come anyway; a subscription only says with which QoS.
OTHER_FILTERS = {
    "v1/devices/me/rpc/response/+", "v2/r/res/+", "v2/r/res/j/+",
    "v1/devices/me/attributes/response/+", "v2/a/res/+", "v2/a/res/j/+",
    "v1/gateway/attributes", "v1/gateway/rpc", "v1/gateway/attributes/response",
    PROVISION_RESPONSE, "v2/fw/response/+/chunk/+", "v2/fw/error", "v2/sw/response/+/chunk/+", "v2/sw/error"}


def split_request(topic, answers):
    """(number as the topic spells it, beginning of the answer's topic) of a request's topic; None: it is no such one."""
    for beginning, answer in answers.items():
        if topic.startswith(beginning):
            return topic[len(beginning):], answer
    return None
