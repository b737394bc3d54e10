# Viettel Innoway, device API.
#
# Each message has a subtopic of its own: JSON on `attribute` shows in the device's attribute list, anything
# else is for the user's flows.  The platform names no subtopics for replies and for what comes down; those
# marked "ours" are calque's convention, and any other subtopic that comes down is a one-way command.  Stock
# firmware listens for commands on such subtopics: set the variable `command_topics` to "stock" to write them so.
# No message carries a time.
module {
  dialect: "innoway", about: "Viettel Innoway, MQTT device API", version: 1,
  device: "topic",
  session: { username: "{device}", password: "{token}", provisioning: { username: "provision" }, per: "device" },
  credentials: ["token"],
  vars: { command_topics: "command" }, choices: { command_topics: ["command", "stock"] },
  up: { lenient: true },
  down: { lenient: true },
  messages: [
    # What a device has to say
    { kind: "telemetry",       topic: "messages/{device}/attribute", only: "write" },
    { kind: "attributes",      topic: "messages/{device}/attribute", also: ["attribute"] },
    { kind: "device_info",     topic: "messages/{device}/attribute", only: "write" },
    { kind: "setting",         topic: "messages/{device}/attribute", only: "write", write: "write_setting" },
    { kind: "event",           topic: "messages/{device}/event" },                            # ours
    { kind: "alarm",           topic: "messages/{device}/alarm" },                            # ours
    { kind: "presence",        topic: "messages/{device}/online", write: "write_online" },    # ours
    { kind: "raw",             topic: "messages/{device}/{stream...}", format: "bytes",
      read: "read_raw", publish: "publish_raw" },
    { kind: "request",         topic: "messages/{device}/request", answered: {} },            # ours

    # What it is told, and its answers
    { kind: "command",         topic: "messages/{device}/command", id: "string",              # ours
      read: "read_command", write: "write_command" },
    { kind: "command",         topic: "messages/{device}/{stream...}", format: "text",
      publish: "publish_stock", only: "write", answered: { status: "done", message: "sent, and nothing comes back" } },
    { kind: "command_reply",   topic: "messages/{device}/command_reply", id: "string",        # ours
      read: "read_command_reply", write: "write_command_reply" },
    { kind: "command",         topic: "messages/{device}/{stream...}", format: "bytes",
      read: "read_subtopic", only: "read" },
    { kind: "config",          topic: "messages/{device}/config", answered: {},               # ours; stock
      read: "read_config", write: "write_config" },                                           # firmware is silent
    { kind: "config_reply",    topic: "messages/{device}/config_reply" },                     # ours
    { kind: "firmware",        topic: "messages/{device}/fota_request",
      read: "read_firmware", write: "write_firmware" },
    { kind: "firmware_state",  topic: "messages/{device}/fota_response",
      read: "read_firmware_state", write: "write_firmware_state" },
    { kind: "license",         topic: "messages/{device}/license", read: "read_license" },        # ours
    { kind: "license_reply",   topic: "messages/{device}/license_reply", read: "read_license" },  # ours
    { kind: "space_info",      topic: "messages/{device}/space_info" },                       # ours

    # How it gets its token; an older page of the manual writes these topics with a leading slash
    { kind: "provision",       topic: "provision/request", write: "write_provision",
      also: [{ topic: "/provision/request", reply: "/provision/response" }] },
    { kind: "provision_reply", topic: "provision/response",
      read: "read_provision_reply", write: "write_provision_reply" }
  ]
};
import "wire" as wire;

def write_setting: .body | {(.property): .value};
def write_online: .body | {online};

# Strings, JSON, XML, characters: the exact bytes.
def read_raw: {body: {stream: .topic.stream, base64: .payload}};
def publish_raw: {payload: .body.base64, topic: {stream: .body.stream}};
def read_subtopic: {body: {name: .topic.stream, params: (if has("value") then .value else .payload end)}};

# {"id": "7", "name": "set_fan", "params": {"rpm": 900}}
def read_command: .payload | {id, body: {name, params}};
def write_command:
  if .to.command_topics == "command" then ({id} | wire::some) + (.body | {name, params})
  else empty end;

# Stock firmware: control_pump {"status": "on"}, one way.
def publish_stock: select(.to.command_topics == "stock") | .body
  | if .name | test("^$|[/+#]") then error("the name of the command cannot be a subtopic") else . end
  | {payload: (.params | if . == null then "" else wire::unparse end), topic: {stream: .name}};

# {"id": "7", "status": "done", "result": {"ok": true}}
def read_command_reply: .payload | {id, body: ({status: "done"} + del(.id))};
def write_command_reply: {id} + .body;

# {"rate": 10, "deleted": ["unit"]}
def read_config: {body: (.payload | wire::read_changes)};
def write_config: .body | wire::write_changes;

# FOTA: the device fetches the image by HTTP and says how it went.
def read_firmware: .payload
  | {title: .id, version, url: .url_api, checksum: .check_sum, checksum_algorithm: "MD5", package: "fw"}
  | {body: wire::some};
def write_firmware: .body
  | if .url then . else error("an Innoway device needs the URL of its firmware") end
  | {id: .title, version, url_api: .url, method: "GET"}
    + (if .checksum_algorithm == "MD5" then {check_sum: .checksum} else {} end)
  | wire::some;
def read_firmware_state:
  .payload | {body: {version, state: (if .status == "Success" then "UPDATED" else "FAILED" end)}};
def write_firmware_state:
  .body | {UPDATED: "Success", FAILED: "Failed"}[.state] as $status | select($status) | {version, $status};

def read_license: .payload | {id, body: .};

# Innoway wants a device_name, and issues tokens only.
def write_provision:
  if (.body.credentials_type // "ACCESS_TOKEN") != "ACCESS_TOKEN" then error("Innoway issues access tokens only")
  else {device_name: .device} + (.body | {device_name, device_key, provision_key, provision_secret} | wire::some) end;

# The form of a failure is not documented: ours is a status and a message.
def read_provision_reply: .payload
  | if .status == "SUCCESS" then {status, device_id, token, credentials_type: "ACCESS_TOKEN"}
    elif .status == "NOT_FOUND" then {status, message}
    else {status: "FAILURE", message: (.message // .status)} end
  | {body: wire::some};
def write_provision_reply: .body
  | if .status == "SUCCESS" then {device_id, status, token} else {status, message} end | wire::some;
