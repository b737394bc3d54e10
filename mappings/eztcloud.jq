# EZtCloud, MQTT API for applications.
#
# One login sees every device of a project.  `attributes` carries what devices report, what was pushed to them
# and what was edited in the cloud, all alike: a push is confirmed by its keys coming back.  No message
# carries a time.
module {
  dialect: "eztcloud", about: "EZtCloud, MQTT API for applications", version: 1,
  device: "topic",
  session: { username: "{project}", password: "{secret}" },
  credentials: ["secret"],
  up: { lenient: true },
  down: { lenient: true },
  messages: [
    # What a device has to say
    { kind: "telemetry",      topic: "open/{project}/{device}/attributes", only: "write" },
    { kind: "attributes",     topic: "open/{project}/{device}/attributes", echoes: "config",
      read: "read_attributes" },
    { kind: "config_reply",   topic: "open/{project}/{device}/attributes", only: "write", write: "confirmed" },
    { kind: "firmware_state", topic: "open/{project}/{device}/attributes", only: "write" },
    { kind: "license_reply",  topic: "open/{project}/{device}/attributes", when: { has: "license" },
      read: "read_license_reply", write: "license" },
    { kind: "device_info",    topic: "open/{project}/{device}/attributes", only: "write" },
    { kind: "setting",        topic: "open/{project}/{device}/attributes", only: "write", write: "setting" },
    { kind: "event",          topic: "open/{project}/{device}/event_report",
      read: "read_event", write: "write_event" },
    { kind: "request",        topic: "open/{project}/{device}/event_report", answered: {},
      only: "write", write: "write_event" },
    { kind: "alarm",          topic: "open/{project}/{device}/alarm", read: "read_alarm", write: "write_alarm" },
    { kind: "presence",       topic: "open/{project}/{device}/online", write: "write_online" },
    { kind: "raw",            topic: "open/{project}/{device}/data/{stream}", format: "bytes",
      read: "read_raw", publish: "publish_raw" },

    # What an application tells it, and its answer
    { kind: "command",        topic: "open/{project}/{device}/command_send", id: "integer",
      read: "read_command", write: "write_command" },
    { kind: "command_reply",  topic: "open/{project}/{device}/command_reply", id: "integer",
      read: "read_command_reply", write: "write_command_reply" },
    { kind: "config",         topic: "open/{project}/{device}/attributes_push",
      read: "read_config", write: "write_config" },
    { kind: "firmware",       topic: "open/{project}/{device}/attributes_push", only: "write", write: "firmware" },
    { kind: "license",        topic: "open/{project}/{device}/attributes_push", only: "write", write: "license" },
    { kind: "space_info",     topic: "open/{project}/{device}/attributes_push", only: "write", write: "space_info" }
  ]
};
import "wire" as wire;

# {"temp": 21.5}.  A device's word on a license, {"license": {"id": "L1", "state": "inuse"}}, goes here too.
def is_license_reply: .license | type == "object" and has("state");
def less_license: if is_license_reply then del(.license) | select(. != {}) else . end;
def read_attributes: .payload | {body: (if .license then less_license else . end)};
def read_license_reply: .payload | select(is_license_reply) | .license | {id, body: .};

def confirmed: .body.values;
def setting: .body | {(.property): .value};
def license: {license: .body};
def firmware: {firmware: .body};
def space_info: {space_info: .body};

# {"method": "door_open", "params": {"door": 2}}
def read_event: .payload | {body: {name: .method, params}};
def write_event: .body | {method: .name, params: (.params | wire::object)};

def write_online: .body | {online};

# {"alerting": true}, maybe with more.
def read_alarm: .payload | {body: ({active: .alerting} + del(.alerting))};
def write_alarm: .body | {alerting: .active} + del(.active);

# The exact bytes.
def read_raw: {body: {stream: .topic.stream, base64: .payload}};
def publish_raw: {payload: .body.base64, topic: {stream: .body.stream}};

# {"method": "set_fan", "params": {"rpm": 900}, "id": 7}, in an older form wrapped as {"command": …}.
def read_command: .payload | {id: (.id // .command.id), body: (.command // . | {name: .method, params})};
def write_command: {method: .body.name, params: (.body.params | wire::object), id};

# Applications take one reply, so progress is kept back.  It names the method again, and has no status.
def read_command_reply: .payload | {id, body: {status: "done", result: .params}};
def write_command_reply: select(.body.status != "in_progress")
  | {method: .request.body.name, id, params: (.body
      | if .result | type == "object" then .result else {result, status, message} | wire::some end)};

# {"rate": 10}, in an older form wrapped as {"attrs": …}.  There is no way to delete a key.
def read_config: .payload
  | {body: {changed: (if keys == ["attrs"] and (.attrs | type == "object") then .attrs else . end)}};
def write_config: .body.changed | select(. != {});
