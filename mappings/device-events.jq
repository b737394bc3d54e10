# Xyte, "Events in MQTT".
#
# MQTT 5 only: a device repeats its id and access key in the user properties of all it says, and answers on the
# Response Topic of what it was sent.  Status and telemetry travel together.  Registration is HTTPS only.
module {
  dialect: "device-events", about: "Xyte device cloud, Events in MQTT", version: 1, mqtt: 5,
  device: "topic",
  session: { username: "{device}", password: "{access_key}", client_id: "{device}", per: "device" },
  application: { username: "{device}", password: "{access_key}" },  # the client id is the device's own
  credentials: ["access_key"],
  on_connect: ["snapshot_request"],
  offline_after: 300,  # devices report every 5 to 120 s, and say no goodbye
  up: { lenient: true, properties: { device_id: "{device}", access_key: "{access_key}" } },
  down: { lenient: true },
  messages: [
    # The status report, and what else goes there
    { kind: "telemetry",      topic: "v1/device/{device}/telemetry",
      read: "read_telemetry", write: "write_telemetry" },
    { kind: "attributes",     topic: "v1/device/{device}/telemetry", only: "write", write: "write_telemetry" },
    { kind: "event",          topic: "v1/device/{device}/telemetry", only: "write", write: "write_event" },
    { kind: "alarm",          topic: "v1/device/{device}/telemetry", when: { has: "status" },
      read: "read_alarm", write: "write_alarm" },
    { kind: "presence",       topic: "v1/device/{device}/telemetry", when: { has: "status" },
      read: "read_presence", write: "write_presence" },
    { kind: "raw",            topic: "v1/device/{device}/telemetry", only: "write", write: "write_raw" },
    { kind: "firmware_state", topic: "v1/device/{device}/telemetry", only: "write", write: "write_firmware_state" },

    # What a device is told, and its answers
    { kind: "command",        topic: "v1/device/{device}/commands", id: "uuid",
      response_topic: "v1/device/{device}/commands/update",
      read: "read_command", write: "write_command" },
    { kind: "command_reply",  topic: "v1/device/{device}/commands/update", id: "uuid", correlation: "{id}",
      read: "read_command_reply", write: "write_command_reply" },
    { kind: "config",         topic: "v1/device/{device}/config",
      response_topic: "v1/device/{device}/config/update",
      read: "read_config", write: "write_config" },
    { kind: "config_reply",   topic: "v1/device/{device}/config/update",
      read: "read_config_reply", write: "write_config_reply" },
    { kind: "license",        topic: "v1/device/{device}/license", id: "string",
      response_topic: "v1/device/{device}/license/update",
      read: "read_license", write: "write_license" },
    { kind: "license_reply",  topic: "v1/device/{device}/license/update", id: "string", correlation: "{id}",
      read: "read_license_reply", write: "write_license_reply" },
    { kind: "space_info",     topic: "v1/device/{device}/space_info" },

    # Firmware: by file id, or by URL as a command
    { kind: "firmware",       topic: "v1/device/{device}/firmware",
      read: "read_firmware", write: "write_firmware" },
    { kind: "firmware",       topic: "v1/device/{device}/commands", only: "write", write: "write_update",
      response_topic: "v1/device/{device}/commands/update" },
    { kind: "firmware_state", topic: "v1/device/{device}/commands/update", only: "read", read: "read_update" },
    { kind: "firmware_state", topic: "v1/device/{device}/update", only: "write", write: "write_firmware_version" },

    # What a device wants of its cloud
    { kind: "device_info",    topic: "v1/device/{device}/update", write: "write_device_info" },
    { kind: "setting",        topic: "v1/device/{device}/cloud_settings/update" },
    { kind: "snapshot_request", topic: "v1/device/{device}/get", format: "text",
      read: "read_get", write: "write_get" }
  ]
};
import "wire" as wire;

# {"status": "online", "timestamp": "2024-01-02T03:04:05.678Z", "telemetries": {"fan": 900}}
# The status is online, offline, or error while an alarm is active.  A message is one more telemetry.
def read_telemetry: .payload
  | {ts: (.timestamp | wire::ms), body: ((.telemetries // {}) + (if .message then {message} else {} end))}
  | select(.body != {});
def read_alarm: .payload | select(.status) | {ts: (.timestamp | wire::ms), body: {active: (.status == "error")}};
def read_presence: .payload | select(.status) | {ts: (.timestamp | wire::ms), body: {online: (.status != "offline")}};

def status: if .state.alarm then "error" else "online" end;
def stamp: if .ts then {timestamp: (.ts | wire::iso)} else {} end;
def report: {status: status, telemetries: (.body | wire::flat | select(. != {}))};
def report(telemetries): .body = telemetries | report + stamp;

def write_telemetry: if .ts then report + stamp else report end;
def write_event: report({(.body.name): (.body.params | if . == null or . == {} then true else . end)});
def write_alarm: .state.alarm = .body.active | report({alarm: .body.active} + (.body | del(.active)));
def write_presence: {status: (if .body.online then status else "offline" end)} + stamp;
def write_raw: report({(.body.stream): (.body | if has("value") then .value else .base64 end)})
  | if [.telemetries[] | strings | select(utf8bytelength > 1000)] == [] then .
    else error("Xyte takes strings up to 1000 bytes") end;
def write_firmware_state: select(.body.state != "UPDATED") | report + stamp;
def write_firmware_version: .body | select(.state == "UPDATED") | {firmware_version: .version};

# {"id": "9b2c…", "status": "pending", "name": "set_fan", "parameters": {"rpm": 900}}
def read_command: .payload | {id, body: {name, params: .parameters}};
def write_command: {id, status: "pending", name: .body.name, parameters: (.body.params | wire::object)};

# {"id": "9b2c…", "status": "done", "message": "ok"}, as often as there is progress; "failed" is seen too.
def is_update: .id | type == "string" and startswith("update_firmware:");
def read_command_reply: .payload | select(is_update | not)
  | {id, body: ({status: (if .status == "failed" then "error" else .status end), message} | wire::some)};
def write_command_reply: {id} + (.body
  | {status, message: (.message // (.result | if . == null then . else tostring end))} | wire::some);

# A firmware command has no asker, so its id says what its updates are about.
def write_update: .body | select(.url)
  | {id: "update_firmware:\(.version)", status: "pending", name: "update_firmware", parameters: {url, version}};
def read_update: .payload | select(is_update)
  | {body: ({version: (.id | ltrimstr("update_firmware:"))} + (.message as $error
      | {in_progress: {state: "UPDATING"}, done: {state: "UPDATED"}}[.status] // {state: "FAILED", $error}))};
def read_firmware: .payload
  | {version: .latest_fw_version, file: .latest_fw_file_id, package: "fw"} | {body: wire::some};
def write_firmware: .body | select(.url | not)
  | {latest_fw_version: .version, latest_fw_file_id: .file} | wire::some;

# {"version": 4, "last_updated": "2024-01-02T03:04:05.678Z", "rate": 5}: the whole configuration, always.
# Newer models have it as {"name": …, "version": …, "last_updated": …, "config": {"rate": 5}}.
def settings:
  if (.config | type == "object") and keys - ["name", "version", "last_updated"] == ["config"] then .config
  else del(.version, .last_updated) end;
def issue: {version, updated: ((.last_updated | wire::ms)? // .last_updated)} | wire::some;
# The newer form, too, where a setting is called like one of these, or the older would be taken for it.
def document(settings): (settings // {}) as $settings | ({version, last_updated: (.updated | wire::iso)} | wire::some)
  | if $settings | has("version") or has("last_updated") or
      ((.config | type == "object") and keys - ["name"] == ["config"])
    then . + {config: $settings} else $settings + . end;
def read_config: .payload | {body: (issue + {full: settings})};
def write_config: .body | document(.full);
def read_config_reply: .payload | {body: (issue + {values: settings})};
def write_config_reply: .body | document(.values);

# {"id": "L1", "data": "…", "signature": "…", "add": true, "update": false, "remove": false}, or an array of them.
def read_license: .payload | if type == "array" then .[] else . end
  | {id, data, signature, expires_at}
    + {operation: (if .remove then "remove" elif .update then "update" else "add" end)}
  | {id, body: wire::some};
def write_license: .body | (.operation // "add") as $do
  | ({id, data, signature, expires_at} | wire::some)
    + {add: ($do == "add"), update: ($do == "update"), remove: ($do == "remove")};

# {"id": "L1", "state": "inuse"}; the manual's own sample says "done".
def read_license_reply: .payload
  | {id, body: ({id, state: (if .state == "done" then "inuse" else .state end), error} | wire::some)};
def write_license_reply: .body | {id, state, error} | wire::some;

# Unknown fields are refused.
def write_device_info: .body | {name, firmware_version} | wire::some;

def read_get: {body: {}};
def write_get: "";
