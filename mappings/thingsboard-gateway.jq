# ThingsBoard, MQTT gateway API.
#
# One session speaks for many devices, whose names are in the payloads.  What the gateway has to say of itself
# goes over the device API: the variable `gateway` is its name in the bridge (default: the link's).  The variable
# `type` is the device profile of devices that ThingsBoard makes when they come online.
module {
  dialect: "thingsboard-gateway", about: "ThingsBoard, MQTT gateway API", version: 1,
  device: "payload",
  session: { username: "{token}" },
  credentials: ["token"],
  limits: { payload_bytes: 65536, packet_bytes: 65536, in_flight: 100 },
  request_timeout: 9,           # the server gives up on a device after 10 s, unless it is told otherwise
  echoes_publishes: false,
  # With the connection the server forgets which devices are there, and changes that it could push to nobody
  # are asked for
  on_connect: ["limits_request", "presence", "snapshot_request"],
  up: { lenient: true },
  messages: [
    # Telemetry of devices, and what else goes there
    { kind: "telemetry",      topic: "v1/gateway/telemetry", read: "read_telemetry", write: "write_telemetry" },
    { kind: "event",          topic: "v1/gateway/telemetry", only: "write", write: "write_event" },
    { kind: "alarm",          topic: "v1/gateway/telemetry", only: "write", write: "write_alarm" },
    { kind: "raw",            topic: "v1/gateway/telemetry", only: "write", write: "write_raw" },
    { kind: "firmware_state", topic: "v1/gateway/telemetry", only: "write", write: "write_firmware_state" },

    { kind: "presence",       topic: "v1/gateway/connect", read: "read_connect", write: "write_connect" },
    { kind: "presence",       topic: "v1/gateway/disconnect", read: "read_disconnect", write: "write_disconnect" },

    # Client attributes of devices, and what else goes there
    { kind: "attributes",     topic: "v1/gateway/attributes", read: "read_attributes", write: "write_attributes" },
    { kind: "config_reply",   topic: "v1/gateway/attributes", only: "write", write: "write_body" },
    { kind: "device_info",    topic: "v1/gateway/attributes", only: "write", write: "write_body" },
    { kind: "setting",        topic: "v1/gateway/attributes", only: "write", write: "write_setting" },
    { kind: "license_reply",  topic: "v1/gateway/attributes", only: "write", write: "write_license_reply" },

    # Shared attributes: a device's configuration.  A firmware notice is a group of them
    { kind: "firmware",       topic: "v1/gateway/attributes", read: "read_firmware", write: "write_firmware" },
    { kind: "config",         topic: "v1/gateway/attributes", read: "read_config", write: "write_config" },
    { kind: "license",        topic: "v1/gateway/attributes", only: "write", write: "write_license" },
    { kind: "space_info",     topic: "v1/gateway/attributes", only: "write", write: "write_space_info" },

    # Asking for attributes
    { kind: "attributes_request", topic: "v1/gateway/attributes/request", id: "integer",
      read: "read_attributes_request", write: "write_attributes_request" },
    { kind: "attributes_reply", topic: "v1/gateway/attributes/response", id: "integer",
      read: "read_attributes_reply", write: "write_attributes_reply" },
    { kind: "snapshot_request", topic: "v1/gateway/attributes/request", id: "integer",
      only: "write", write: "write_snapshot_request" },

    # RPC from the server
    { kind: "command",        topic: "v1/gateway/rpc", id: "integer", read: "read_command", write: "write_command" },
    { kind: "command_reply",  topic: "v1/gateway/rpc", id: "integer",
      read: "read_command_reply", write: "write_command_reply" },

    { kind: "claim",          topic: "v1/gateway/claim", read: "read_claim", write: "write_claim" },

    # The gateway itself
    { kind: "telemetry",      topic: "v1/devices/me/telemetry",
      read: "read_own_telemetry", write: "write_own_telemetry" },
    { kind: "event",          topic: "v1/devices/me/telemetry", only: "write", write: "write_own_event" },
    { kind: "alarm",          topic: "v1/devices/me/telemetry", only: "write", write: "write_own_alarm" },
    { kind: "presence",       topic: "v1/devices/me/telemetry", only: "write", write: "write_own_presence" },
    { kind: "raw",            topic: "v1/devices/me/telemetry", only: "write", write: "write_own_raw" },
    { kind: "firmware_state", topic: "v1/devices/me/telemetry", only: "write", write: "write_own_firmware_state" },
    { kind: "attributes",     topic: "v1/devices/me/attributes", write: "write_own_body" },
    { kind: "config_reply",   topic: "v1/devices/me/attributes", only: "write", write: "write_own_body" },
    { kind: "device_info",    topic: "v1/devices/me/attributes", only: "write", write: "write_own_body" },
    { kind: "setting",        topic: "v1/devices/me/attributes", only: "write", write: "write_own_setting" },
    { kind: "license_reply",  topic: "v1/devices/me/attributes", only: "write", write: "write_own_license" },
    { kind: "firmware",       topic: "v1/devices/me/attributes",
      read: "read_own_firmware", write: "write_own_firmware" },
    { kind: "config",         topic: "v1/devices/me/attributes", read: "read_own_config", write: "write_own_config" },
    { kind: "license",        topic: "v1/devices/me/attributes", only: "write", write: "write_own_license" },
    { kind: "space_info",     topic: "v1/devices/me/attributes", only: "write", write: "write_own_space_info" },
    { kind: "attributes_request", topic: "v1/devices/me/attributes/request/{id}", id: "integer",
      read: "read_own_attributes_request", write: "write_own_attributes_request" },
    { kind: "attributes_reply", topic: "v1/devices/me/attributes/response/{id}", id: "integer",
      read: "read_own_attributes_reply", write: "write_own_attributes_reply" },
    { kind: "snapshot_request", topic: "v1/devices/me/attributes/request/{id}", id: "integer",
      only: "write", write: "write_own_snapshot_request" },
    { kind: "command",        topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      read: "read_own_command", write: "write_own_command" },
    { kind: "command_reply",  topic: "v1/devices/me/rpc/response/{id}", id: "integer", format: "text",
      read: "read_own_command_reply", write: "write_own_command_reply" },
    { kind: "request",        topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      read: "read_request", write: "write_request" },
    { kind: "request_reply",  topic: "v1/devices/me/rpc/response/{id}", id: "integer" },
    { kind: "limits_request", topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      only: "write", write: "write_limits_request" },
    { kind: "limits",         topic: "v1/devices/me/rpc/response/{id}", id: "integer",
      only: "read", read: "read_limits" },
    { kind: "device_change",  topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      read: "read_service", publish: "publish_service" }
  ]
};
import "thingsboard" as tb;
import "wire" as wire;

# {"D1": …, "D2": …}: what `read` makes of each device's part, as messages of that device.
# One that cannot be read costs its own messages only.
def of_each(read): (.payload | to_entries[]) as $part | .payload = $part.value
  | (try read catch {body: "no message: \(.)"}) + {device: $part.key};
# {"device": "D1", …}, what it says in `data` or beside.
def device: .device // error("it names no device");
def of_one(read): (.payload | device) as $device | .payload |= .data | read + {$device};

# What the gateway itself says or hears has topics of its own.
def is_gateway: .to.device == .to.gateway;
def of_gateway(part): select(is_gateway) | part;
def by_name(part): select(is_gateway | not) | {(.to.device): part};
def to_one(data): select(is_gateway | not) | {device: .to.device, data: data};

# {"D1": [{"ts": 1700000000000, "values": {"temp": 21.5}}], "D2": [{"on": true}]}, always arrays.
def read_telemetry: of_each(tb::samples);
def write_telemetry: by_name([tb::sample(.body)]);
def write_event: by_name([tb::write_event]);
def write_alarm: by_name([tb::write_alarm]);
def write_raw: by_name([tb::write_raw]);
def write_firmware_state: by_name([tb::write_firmware_state]);

# {"device": "D1", "type": "pump"}: the server makes a device of this profile, if there is none of that name.
def read_connect: .payload | {device: device, body: ({online: true, type} | wire::some)};
def read_disconnect: .payload | {device: device, body: {online: false}};
def write_connect: select(.body.online and (is_gateway | not)) | {device: .to.device, type: (.body.type // .to.type)} | wire::some;
def write_disconnect: select(.body.online or is_gateway | not) | {device: .to.device};

# {"D1": {"model": "A"}}
def read_attributes: of_each({body: .payload});
def write_attributes: by_name(.body);
def write_body: by_name(.body);
def write_setting: by_name(tb::write_setting);
def write_license_reply: by_name(tb::write_license);

# {"device": "D1", "data": {"rate": 10, "deleted": ["unit"]}}
def read_firmware: of_one(tb::read_firmware);
def write_firmware: to_one(tb::write_firmware);
def read_config: of_one(tb::read_config);
def write_config: to_one(tb::write_config);
def write_license: to_one(tb::write_license);
def write_space_info: to_one(tb::write_space_info);

# {"id": 3, "device": "D1", "client": false, "keys": ["rate", "unit"]}, or "key": "rate".  Newer pages of the
# manual have {"client": [names], "shared": [names]}, which the server does not take.
def names: .keys // [.key // empty];
def read_attributes_request: .payload
  | {id, device: device, body: (
      if (.client | type) == "array" or (.shared | type) == "array" then {client, shared} | wire::some
      elif .client then {client: names} else {shared: names} end)};
# The keys of one scope can be asked for; for anything else the bridge answers itself.
def write_attributes_request: (.body | to_entries | map(select(.value != []))) as $scopes
  | select(($scopes | length == 1) and (is_gateway | not))
  | {id, device: .to.device, client: ($scopes[0].key == "client")}
    + ($scopes[0].value | if length == 1 then {key: .[0]} else {keys: .} end);

# A snapshot can be asked for by name only: of a device, the names that are known (which only the bridge itself
# says after a login; a device that asks is told what the bridge holds) and those of firmware notices.
def write_snapshot_request: select((.body | has("shared")) and (is_gateway | not))
  | {id, device: .to.device, client: false, keys: (.body.shared + [("fw_", "sw_") + tb::fields])};
def write_own_snapshot_request: of_gateway(tb::write_snapshot_request);

# {"id": 3, "device": "D1", "values": {"rate": 5, "unit": "C"}}, and {"id": 4, "device": "D1", "value": 5} if one
# key was asked for; neither if there is nothing of that name.  Only the request says of which scope.
def asked: .request.body // {} | [(.client // [])[], (.shared // [])[]];
def read_attributes_reply: (.request.kind == "snapshot_request") as $all
  | asked as $keys | (.request.body // {} | if .client then "client" else "shared" end) as $scope
  | .payload
  | (if .values then .values
     elif (has("value") | not) or $keys == [] then {}
     elif ($keys | length) == 1 then {($keys[0]): .value}
     else error("one value for several keys") end) as $values
  | {id, device: device} as $of
  | (select($all) | {payload: {shared: $values}} | tb::snapshot | .device = $of.device),
    ($of + {body: ({client: {}, shared: {}}
                   + {($scope): ($values | if $all then tb::without_packages else . end)})});
def write_attributes_reply: select(is_gateway | not) | asked as $keys
  | {id, device: .to.device} + (.body | ((.client // {}) + (.shared // {}))
    | if . == {} then {} elif ($keys | length) == 1 then {value: .[$keys[0]]} else {values: .} end);

# {"device": "D1", "data": {"id": 5, "method": "setFan", "params": {"rpm": 900}}}
def read_command: of_one({id: .payload.id} + tb::read_rpc);
def write_command: to_one({id} + tb::write_rpc);

# {"device": "D1", "id": 5, "data": {"ok": true}}
def read_command_reply: .payload | {id, device: device, body: (.data | tb::read_outcome)};
def write_command_reply: select(is_gateway | not) | {device: .to.device, id, data: tb::outcome};

# {"D1": {"secretKey": "s", "durationMs": 60000}}
def read_claim: of_each(tb::read_claim);
def write_claim: by_name(tb::write_claim);

# As a device of its own.
def read_own_telemetry: tb::samples;
def write_own_telemetry: of_gateway(tb::write_telemetry);
def write_own_event: of_gateway(tb::write_event);
def write_own_alarm: of_gateway(tb::write_alarm);
def write_own_presence: of_gateway(tb::write_presence);
def write_own_raw: of_gateway(tb::write_raw);
def write_own_firmware_state: of_gateway(tb::write_firmware_state);
def write_own_body: of_gateway(.body);
def write_own_setting: of_gateway(tb::write_setting);
def write_own_license: of_gateway(tb::write_license);
def read_own_firmware: tb::read_firmware;
def write_own_firmware: of_gateway(tb::write_firmware);
def read_own_config: tb::read_config;
def write_own_config: of_gateway(tb::write_config);
def write_own_space_info: of_gateway(tb::write_space_info);
def read_own_attributes_request: tb::read_attributes_request;
def write_own_attributes_request: of_gateway(tb::write_attributes_request);
def read_own_attributes_reply: tb::read_attributes_reply;
def write_own_attributes_reply: of_gateway(tb::write_attributes_reply);
def write_own_command: of_gateway(tb::write_rpc);
def read_own_command_reply: tb::read_command_reply;
def write_own_command_reply: of_gateway(tb::write_command_reply);
def read_request:
  if .payload.method == "getSessionLimits" then
    {kind: "request_reply", body: (tb::session_limits | . + {gatewayRateLimits: .rateLimits})}
  else tb::read_rpc end;
# Nearly all that is sent counts for the limits of the gateway API.
def write_limits_request: tb::write_limits_request;
def read_limits: tb::read_limits_of(.gatewayRateLimits // .rateLimits);
def write_request: if is_gateway then tb::write_rpc else error("only the gateway itself can ask ThingsBoard") end;

# What the server tells a gateway about its devices: {"method": "gateway_device_renamed", "params": {"D1": "D9"}},
# {"method": "gateway_device_deleted", "params": "D1"}.  All else is a command for the gateway.
def is_service: .payload.method == "gateway_device_renamed" or .payload.method == "gateway_device_deleted";
def read_own_command: select(is_service | not) | tb::read_rpc;
def read_service: select(is_service) | .payload
  | if .method == "gateway_device_renamed" then
      .params | to_entries[] | {device: .key, body: {operation: "renamed", name: .key, new_name: .value}}
    else .params | {device: ., body: {operation: "deleted", name: .}} end;
def publish_service: .body
  | if .operation == "renamed" then {method: "gateway_device_renamed", params: {(.name): .new_name}}
    else {method: "gateway_device_deleted", params: .name} end
  | {payload: ., topic: {id: "0"}};
