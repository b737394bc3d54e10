"""The session of somebody who has no credentials yet, and asks for some."""

import secrets
import string

from . import topics
from .device_api import Broken, Invalid, read_json, write_json

ALPHANUMERIC = string.ascii_letters + string.digits


def random_text(n=20):
    return "".join(secrets.choice(ALPHANUMERIC) for _ in range(n))


class Refused(Exception):
    """The answer is this status and text."""


NOT_FOUND = Refused("NOT_FOUND", "Provision data was not found!")
FAILURE = Refused("FAILURE", "Failed to provision device!")


class ProvisioningApi:
    """May publish one topic and subscribe to one."""

    def __init__(self, connection):
        self.connection, self.server = connection, connection.server

    def publish(self, p):
        """Another topic than the one: acknowledged, and ended."""
        if p.topic != topics.PROVISION_REQUEST:
            self.connection.acknowledge(p, 0x90)
            self.connection.close("provisioning on another topic")
            return
        try:
            request = read_json(p.payload, dict)
            self._check(request)
        except (Invalid, Broken):
            self.connection.acknowledge(p, 0x83)
            self.connection.close("provisioning request")
            return
        self.server.requests.append(request)
        try:
            answer = self._provision(request)
        except Refused as refused:
            status, text = refused.args
            answer = {"errorMsg": text, "status": status}
        self.server.note("provision", request.get("deviceName"), status=answer["status"])
        self._answer(p, answer)

    def _answer(self, p, answer):
        """The device may be made, and yet its answer be lost."""
        if self.server.provision_answers == "cut":
            self.connection.close("told to lose the answer")
            return
        self.connection.acknowledge(p)
        if self.server.provision_answers == "sent":
            self._send(answer)
        elif self.server.provision_answers == "held":
            self.server.hold(lambda: self._send(answer))

    def _send(self, answer):
        self.connection.send(topics.PROVISION_RESPONSE, write_json(answer))
        self.server.later(60, lambda: self.connection.close("provisioned"))

    @staticmethod
    def _check(request):
        """Key and secret must be there, and nothing may be null."""
        for field in ("provisionDeviceKey", "provisionDeviceSecret"):
            if not isinstance(request.get(field), str):
                raise Broken(field)
        if any(value is None for value in request.values()):
            raise Broken("null")

    def _provision(self, request):
        pair = request["provisionDeviceKey"], request["provisionDeviceSecret"]
        profile = next((p for p in self.server.profiles if (p.key, p.secret) == pair), None)
        if profile is None or profile.strategy == "disabled":
            raise NOT_FOUND
        name = request.get("deviceName") or random_text()
        device = self.server.devices.get(name)
        if profile.strategy == "check":
            if device is None:
                raise FAILURE
            return self._success("ACCESS_TOKEN", device.token)
        if device is not None:
            raise FAILURE
        kind, credentials, value = self._credentials(request)
        if any(d.token is not None and d.token == credentials.get("token") for d in self.server.devices.values()):
            raise FAILURE
        self.server.device(name, gateway=request.get("gateway") is True, profile=profile, **credentials)
        return self._success(kind, value)

    @staticmethod
    def _credentials(request):
        """(type, credentials of the device, how they are told)."""
        kind = request.get("credentialsType", "ACCESS_TOKEN")
        if kind == "ACCESS_TOKEN":
            token = request.get("token") or random_text()
            return kind, {"token": token}, token
        if kind == "MQTT_BASIC":
            given = {mine: request.get(theirs) for mine, theirs in
                     (("client_id", "clientId"), ("username", "username"), ("password", "password"))}
            if given["client_id"] is None and given["username"] is None:
                given["username"], given["password"] = random_text(), random_text()
            told = {"clientId": given["client_id"], "userName": given["username"], "password": given["password"]}
            return kind, {k: v for k, v in given.items() if v is not None}, told
        if kind == "X509_CERTIFICATE" and request.get("hash"):
            return kind, {"certificate": request["hash"]}, request["hash"]
        raise FAILURE

    @staticmethod
    def _success(kind, value):
        return {"credentialsValue": value, "credentialsType": kind, "status": "SUCCESS"}
