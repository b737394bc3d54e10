# ThingsBoard, MQTT device API.
#
# A session is one device: no topic and no payload names it.  The same topics serve both directions of
# attributes and of RPC, so who published decides what a message is.
module {
  dialect: "thingsboard", about: "ThingsBoard, MQTT device API", version: 1,
  device: "none",
  session: { username: "{token}", provisioning: { username: "provision" }, per: "device" },
  credentials: ["token"],
  limits: { payload_bytes: 65536, packet_bytes: 65536, in_flight: 100 },
  request_timeout: 9,           # the server gives up on a device after 10 s, unless it is told otherwise
  echoes_publishes: false,
  on_connect: ["limits_request", "snapshot_request"],
  # A device profile may rename these three
  vars: { telemetry_topic: "v1/devices/me/telemetry", attributes_topic: "v1/devices/me/attributes",
          shared_attributes_topic: "v1/devices/me/attributes" },
  up: { lenient: true },
  messages: [
    # Telemetry, and what else goes there
    { kind: "telemetry",      topic: "{telemetry_topic...}", also: ["v2/t", "v2/t/j"],
      read: "read_telemetry", write: "write_telemetry" },
    { kind: "event",          topic: "{telemetry_topic...}", only: "write", write: "write_event" },
    { kind: "alarm",          topic: "{telemetry_topic...}", only: "write", write: "write_alarm" },
    { kind: "presence",       topic: "{telemetry_topic...}", only: "write", write: "write_presence" },
    { kind: "raw",            topic: "{telemetry_topic...}", only: "write", write: "write_raw" },
    { kind: "firmware_state", topic: "{telemetry_topic...}", also: ["v2/t", "v2/t/j"],
      read: "read_firmware_state", write: "write_firmware_state" },

    # Client attributes, and what else goes there
    { kind: "attributes",     topic: "{attributes_topic...}", also: ["v2/a", "v2/a/j"] },
    { kind: "config_reply",   topic: "{attributes_topic...}", only: "write" },
    { kind: "device_info",    topic: "{attributes_topic...}", only: "write" },
    { kind: "setting",        topic: "{attributes_topic...}", only: "write", write: "write_setting" },
    { kind: "license_reply",  topic: "{attributes_topic...}", only: "write", write: "write_license" },

    # Shared attributes: the device's configuration.  A firmware notice is a group of them.  A profile renames the
    # filter only: the server's pushes come on the usual topic all the same
    { kind: "firmware",       topic: "{shared_attributes_topic...}", also: ["v1/devices/me/attributes"],
      read: "read_firmware", write: "write_firmware" },
    { kind: "config",         topic: "{shared_attributes_topic...}", also: ["v1/devices/me/attributes"],
      read: "read_config", write: "write_config" },
    { kind: "license",        topic: "{shared_attributes_topic...}", only: "write", write: "write_license" },
    { kind: "space_info",     topic: "{shared_attributes_topic...}", only: "write", write: "write_space_info" },

    # Asking for attributes
    { kind: "attributes_request", topic: "v1/devices/me/attributes/request/{id}", id: "integer",
      also: [{ topic: "v2/a/req/{id}", reply: "v2/a/res/{id}" },
             { topic: "v2/a/req/j/{id}", reply: "v2/a/res/j/{id}" }],
      read: "read_attributes_request", write: "write_attributes_request" },
    { kind: "attributes_reply", topic: "v1/devices/me/attributes/response/{id}", id: "integer",
      read: "read_attributes_reply", write: "write_attributes_reply" },
    { kind: "snapshot_request", topic: "v1/devices/me/attributes/request/{id}", id: "integer",
      only: "write", write: "write_snapshot_request" },

    # RPC from the server
    { kind: "command",        topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      read: "read_command", write: "write_rpc" },
    { kind: "command_reply",  topic: "v1/devices/me/rpc/response/{id}", id: "integer", format: "text",
      also: ["v2/r/res/{id}", "v2/r/res/j/{id}"],
      read: "read_command_reply", write: "write_command_reply" },

    # RPC from the device
    { kind: "request",        topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      also: [{ topic: "v2/r/req/{id}", reply: "v2/r/res/{id}" },
             { topic: "v2/r/req/j/{id}", reply: "v2/r/res/j/{id}" }],
      read: "read_request", write: "write_rpc" },
    { kind: "request_reply",  topic: "v1/devices/me/rpc/response/{id}", id: "integer" },
    { kind: "limits_request", topic: "v1/devices/me/rpc/request/{id}", id: "integer",
      only: "write", write: "write_limits_request" },
    { kind: "limits",         topic: "v1/devices/me/rpc/response/{id}", id: "integer",
      only: "read", read: "read_limits" },

    # Firmware (or software) in chunks, one request for each.  The one error topic names neither
    { kind: "firmware_chunk_request", topic: "v2/{package}/request/{request}/chunk/{chunk}", format: "text",
      read: "read_chunk_request", publish: "publish_chunk_request" },
    { kind: "firmware_chunk", topic: "v2/fw/response/{request}/chunk/{chunk}", format: "bytes",
      read: "read_fw_chunk", publish: "publish_fw_chunk" },
    { kind: "firmware_chunk", topic: "v2/sw/response/{request}/chunk/{chunk}", format: "bytes",
      read: "read_sw_chunk", publish: "publish_sw_chunk" },
    { kind: "firmware_chunk", topic: "v2/fw/error", format: "text",
      read: "read_chunk_error", write: "write_chunk_error" },

    { kind: "claim",          topic: "v1/devices/me/claim", read: "read_claim", write: "write_claim" },

    # The manual says /provision, the server listens on /provision/request
    { kind: "provision",      topic: "/provision/request", also: ["/provision"],
      read: "read_provision", write: "write_provision" },
    { kind: "provision_reply", topic: "/provision/response",
      read: "read_provision_reply", write: "write_provision_reply" }
  ]
};
import "wire" as wire;

# {"temp": 21.5} or {"ts": 1700000000000, "values": {"temp": 21.5}}, or an array of either.
def samples: .payload | if type == "array" then .[] else . end
  | if has("ts") and has("values") then {ts: (.ts | tonumber), body: .values} else {body: .} end;
def sample(values): if .ts then {ts, values: values} else values end;

def read_telemetry: samples
  | if .body | has("fw_state") then
      .body |= del(.current_fw_title, .current_fw_version, .fw_state, .fw_error) | select(.body != {})
    else . end;
def write_telemetry: sample(.body);
def write_presence: sample(.body | {online});
def write_event: sample({(.body.name): (.body.params | if . == null then true else . end)});
def write_alarm: sample({alarm: .body.active} + (.body | del(.active)));
def write_raw: sample({(.body.stream): (.body | if has("value") then .value else .base64 end)});

# {"current_fw_title": "F", "current_fw_version": "1.0", "fw_state": "DOWNLOADING"}
def read_firmware_state: samples | select(.body | has("fw_state"))
  | .body |= ({state: .fw_state, title: .current_fw_title, version: .current_fw_version, error: .fw_error}
      | wire::some);
def write_firmware_state: sample(.body
  | {current_fw_title: .title, current_fw_version: .version, fw_state: .state, fw_error: .error} | wire::some);

def write_setting: .body | {(.property): .value};
def write_license: {license: .body};
def write_space_info: {space_info: .body};

# {"fw_title": "F", "fw_version": "2.0", "fw_size": 10000, …}, or sw_ for software.
def packages: ("fw", "sw") as $package | select(has($package + "_title") and has($package + "_version")) | $package;
def fields: "title", "version", "tag", "size", "checksum", "checksum_algorithm", "url";
def read_firmware: .payload | packages as $package
  | with_entries(select(.key | startswith($package + "_")) | .key |= .[3:])
  | {title, version, size, checksum, checksum_algorithm, url, $package} | {body: wire::some};
def write_firmware: .body | "\(.package // "fw")_" as $prefix
  | {title: (.title // .file), version, size, checksum, checksum_algorithm, url} | wire::some
  | with_entries(.key |= $prefix + .);

# {"rate": 10, "deleted": ["unit"]}, less what the firmware notice took.
def without_packages: delpaths([packages + "_" + fields | [.]]);
def read_config: .payload | without_packages | wire::read_changes | select(. != {changed: {}}) | {body: .};
def write_config: .body | wire::write_changes;

# {"clientKeys": "model", "sharedKeys": "rate,unit"}; neither: all.  The C++ SDK ends its lists with a comma.
def read_attributes_request: .payload // {}
  | {client: .clientKeys, shared: .sharedKeys} | wire::some
  | {body: map_values(split(",") | map(select(. != "")))};
def write_attributes_request:
  .body | {clientKeys: .client, sharedKeys: .shared} | wire::some | map_values(join(","));

# A snapshot is all attributes.  Of the shared ones, some are a firmware notice, the others the configuration.
def write_snapshot_request: {};
def snapshot: {kind: "firmware"} + ({payload: (.payload.shared // {})} | read_firmware);

# {"client": {"model": "A"}, "shared": {"rate": 5}}, an empty part left out.
def read_attributes_reply: (.request.kind == "snapshot_request") as $all
  | (select($all) | snapshot),
    (.payload | {client: (.client // {}), shared: (.shared // {})}
      | if $all then .shared |= without_packages else . end | {body: .});
def write_attributes_reply: .body | del(.[] | select(. == {} or . == null));

# {"method": "setFan", "params": {"rpm": 900}}
def read_rpc: .payload | {body: {name: .method, params}};
def write_rpc: .body | {method: .name, params};
# Our own question for the limits, which a broker that stands in for the server may give back after a restart.
def read_command: select(.payload.method != "getSessionLimits") | read_rpc;

# Devices may reply with any text.  Written is always JSON: the server takes any text, too, but refuses its own
# caller (406) what is no JSON.  It takes one reply, so progress is kept back.
def read_outcome:
  if type == "object" and .error then
    {status: "error", message: (.error | tostring)} + (if length > 1 then {result: .} else {} end)
  else {status: "done", result: .} end;
def outcome: .body | select(.status != "in_progress")
  | if .status == "error" then {error: (.message // .result // "error")}
    elif .result != null then .result
    else {status, message} | wire::some end;
def read_command_reply: {body: (.payload | wire::parse | read_outcome)};
def write_command_reply: outcome | tojson;

# The SDKs ask for the session's limits after each connect.  These are the far side's.
def session_limits: .limits | {
    maxPayloadSize: first((.payload_bytes, 65536) | select(. > 0)),
    maxInflightMessages: first((.in_flight, 100) | select(. > 0)),
    rateLimits: (.messages_per_second | if . > 0 then "\(.):1," | {messages: ., telemetryMessages: .} else {} end)
  };
def read_request:
  if .payload.method == "getSessionLimits" then {kind: "request_reply", body: session_limits} else read_rpc end;

# And the bridge asks for its own: {"maxPayloadSize": 65536, "maxInflightMessages": 100,
# "rateLimits": {"messages": "200:1,6000:60", "telemetryMessages": null}}, where null is unlimited.
def write_limits_request: {method: "getSessionLimits", params: {}};
def least: map(numbers) | min;
def per_second: [strings | split(",")[] | select(. != "") | split(":") | map(tonumber) | .[0] / .[1]]
  | least | if . then [floor, 1] | max else . end;
def limits(rates): {packet_bytes: .maxPayloadSize, in_flight: .maxInflightMessages,
    messages_per_second: ([rates | .messages, .telemetryMessages | per_second] | least)} | wire::some;
def read_limits_of(rates): select(.request.kind == "limits_request") | {body: (.payload | limits(rates))};
def read_limits: read_limits_of(.rateLimits);

# The size in decimal digits, nothing for the whole image; the exact bytes, none past the end.
def chunk(body): .topic | {package, request: (.request | tonumber), chunk: (.chunk | tonumber)}
  | {id: "\(.package)/\(.request)/\(.chunk)", body: (. + body)};
def read_chunk_request: select(.topic.package == "fw" or .topic.package == "sw")
  | (.payload | if test("^\\s*$") then 0 else tonumber end) as $size
  | chunk(if $size > 0 then {$size} else {} end);
def publish_chunk_request: .body
  | {payload: (.size // "" | tostring), topic: {package, request, chunk}};
def read_chunk($package): .payload as $base64 | .topic.package = $package | chunk({$base64});
def publish_chunk($package): .body | select(.package == $package and has("base64"))
  | {payload: .base64, topic: {request, chunk}};
def read_fw_chunk: read_chunk("fw");
def read_sw_chunk: read_chunk("sw");
def publish_fw_chunk: publish_chunk("fw");
def publish_sw_chunk: publish_chunk("sw");
def read_chunk_error: {body: ((.request.body // {} | {package, request, chunk} | wire::some) + {error: .payload})};
def write_chunk_error: .body.error // empty;

# {"secretKey": "s", "durationMs": 60000} or nothing.
def read_claim: .payload // {} | {secret: .secretKey, duration_ms: .durationMs} | {body: wire::some};
def write_claim: .body | {secretKey: .secret, durationMs: .duration_ms} | wire::some;

# An explicit null makes the server drop the connection, so what is not there is left out.
def provision_names: {
    device_name: "deviceName", provision_key: "provisionDeviceKey", provision_secret: "provisionDeviceSecret",
    credentials_type: "credentialsType", token: "token", client_id: "clientId", username: "username",
    password: "password", certificate: "hash", gateway: "gateway"
  };
def read_provision: .payload as $wire | {body: (provision_names | map_values($wire[.]) | wire::some)};
# Without a name the server invents one, which nobody here would know.
def write_provision: ({device_name: .to.device} + (.body | wire::some)) as $body
  | provision_names | with_entries({key: .value, value: $body[.key]}) | wire::some;

# credentialsValue is a token, a certificate, or {clientId, userName, password}.
def read_provision_reply: .payload | .credentialsType as $type
  | {status, credentials_type: $type, message: .errorMsg} + (.credentialsValue
      | if type == "object" then {client_id: .clientId, username: .userName, password}
        elif $type == "X509_CERTIFICATE" then {certificate: .} else {token: .} end)
  | {body: wire::some};
def credentials: .token // .certificate // ({clientId: .client_id, userName: .username, password} | wire::some);
# The Python SDK waits for ever if a failure has no errorMsg; these are the server's own.
def failure: .message // {NOT_FOUND: "Provision data was not found!"}[.status] // "Failed to provision device!";
def write_provision_reply: .body
  | if .status == "SUCCESS" then
      {status, errorMsg: .message, credentialsType: .credentials_type, credentialsValue: credentials} | wire::some
    else {status, errorMsg: failure} end;
