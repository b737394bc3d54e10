"""ThingsBoard's own client (tb-mqtt-client of PyPI) as a device, a gateway and one who provisions; run by test_frontdoor_tb.py
in an environment that has it. Prints what it gets, a line of JSON each; ends when it has all."""

import hashlib
import json
import sys
import threading

from tb_device_mqtt import TBDeviceMqttClient
from tb_gateway_mqtt import TBGatewayMqttClient

PORT, LIMIT = int(sys.argv[2]), 40


def say(what, value):
    print(json.dumps({what: value}), flush=True)


class Wait:
    """Callbacks come in another thread."""

    def __init__(self, what, enough=1):
        self.what, self.left, self.event = what, enough, threading.Event()

    def __call__(self, value):
        say(self.what, value)
        self.left -= 1
        if self.left == 0:
            self.event.set()

    def wait(self):
        if not self.event.wait(LIMIT):
            sys.exit(f"no {self.what}")


def provision():
    answer = TBDeviceMqttClient.provision("127.0.0.1", "key-of-device", "secret-of-device", port=PORT, device_name="lamp")
    say("credentials", answer)


def device(token):
    client = TBDeviceMqttClient("127.0.0.1", PORT, token)
    rpc, attributes, pushed = Wait("rpc"), Wait("attributes"), Wait("pushed")

    def on_rpc(request_id, content):
        client.send_rpc_reply(request_id, {"done": content["method"]})
        rpc(content)
    client.set_server_side_rpc_request_handler(on_rpc)
    client.subscribe_to_all_attributes(lambda content, *_: pushed(content))
    client.connect()
    client.send_telemetry({"temp": 21.5}).get()
    client.send_attributes({"serial": "A-1"}).get()
    client.request_attributes(shared_keys=["rate"], callback=lambda content, *_: attributes(content))
    for wait in (rpc, attributes, pushed):
        wait.wait()
    client.disconnect()
    client.stop()


def firmware(token):
    client = TBDeviceMqttClient("127.0.0.1", PORT, token, chunk_size=1000)
    got = Wait("firmware")

    def on_firmware(_client, data, version):
        got({"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "version": version})
    client.set_on_firmware_received_callback(on_firmware)
    client.connect()
    client.get_firmware_update()
    got.wait()
    client.disconnect()
    client.stop()


def gateway(token):
    client = TBGatewayMqttClient("127.0.0.1", PORT, token)
    rpc = Wait("rpc")

    def on_rpc(_client, content):
        client.gw_send_rpc_reply(content["device"], content["data"]["id"], {"done": True})
        rpc(content)
    client.gw_set_server_side_rpc_request_handler(on_rpc)
    client.connect()
    client.gw_connect_device("meter 1")
    client.gw_send_telemetry("meter 1", [{"ts": 1700000000000, "values": {"kwh": 7}}]).get()
    rpc.wait()
    client.disconnect()
    client.stop()


{"provision": provision, "device": device, "firmware": firmware, "gateway": gateway}[sys.argv[1]](*sys.argv[3:])
