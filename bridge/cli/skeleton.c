#include "cli/skeleton.h"

#include <string.h>

#include "base/buf.h"
#include "dialect/dialect.h"

/* clang-format off */
/* In the texts @ is the name, ~ and % are lists of the keys of a dialect and of a row. */
static const char mapping[] =
	"# @: what it is, who makes it, and where its manual is.\n"
	"#\n"
	"# A dialect is a table with a row per message, and functions that read and write them.  In the\n"
	"# middle is a plain message, {kind, device, id, ts, body}, the same for all dialects.\n"
	"# After each change:  calque test @.cases.json  (with --watch: at every save)\n"
	"module {\n"
	"  dialect: \"@\", about: \"@, in a line\", version: 1,\n"
	"  device: \"topic\",\n"
	"\n"
	"  # What else can stand here, each key followed by a comma:\n"
	"~"
	"\n"
	"  messages: [\n"
	"    # More rows, ready to be taken in:\n"
	"    # {\"door\": \"open\"} that a device says of itself, without a function\n"
	"    # { kind: \"attributes\", topic: \"@/{device}/attributes\" },\n"
	"    # {\"name\": \"door_open\", \"params\": {\"door\": 2}}, something happened\n"
	"    # { kind: \"event\", topic: \"@/{device}/event\" },\n"
	"    # {\"active\": true}, and false when it is over\n"
	"    # { kind: \"alarm\", topic: \"@/{device}/alarm\" },\n"
	"    # {\"online\": true}\n"
	"    # { kind: \"presence\", topic: \"@/{device}/online\" },\n"
	"    # Changed settings for the device: {\"rate\": 10}\n"
	"    # { kind: \"config\", topic: \"@/{device}/config\", read: \"read_config\", write: \"write_config\" },\n"
	"    # Bytes that nobody looks into\n"
	"    # { kind: \"raw\", topic: \"@/{device}/data/{stream}\", format: \"bytes\",\n"
	"    #   read: \"read_raw\", publish: \"publish_raw\" },\n"
	"\n"
	"    # What else can stand in a row:\n"
	"%"
	"\n"
	"    # A device's measurements\n"
	"    { kind: \"telemetry\",     topic: \"@/{device}/telemetry\",\n"
	"      read: \"read_telemetry\", write: \"write_telemetry\" },\n"
	"    # What a device is told to do, and its answer; the id pairs them\n"
	"    { kind: \"command\",       topic: \"@/{device}/command\",       id: \"integer\",\n"
	"      read: \"read_command\", write: \"write_command\" },\n"
	"    { kind: \"command_reply\", topic: \"@/{device}/command_reply\", id: \"integer\",\n"
	"      read: \"read_command_reply\", write: \"write_command_reply\" }\n"
	"  ]\n"
	"};\n"
	"import \"wire\" as wire;  # wire::iso, wire::ms, wire::object, wire::flat ...\n"
	"\n"
	"# To read: . is {payload, topic: {device ...}, properties, at, limits}; out come plain messages, whose kind,\n"
	"# device and id default to the row's and the topic's.  To write: . is a plain message; out come payloads.\n"
	"\n"
	"# {\"time\": \"2024-01-02T03:04:05Z\", \"values\": {\"temp\": 21.5}}; the time may be missing.\n"
	"def read_telemetry: .payload | {body: .values} + (if .time then {ts: (.time | wire::ms)} else {} end);\n"
	"def write_telemetry: (if .ts then {time: (.ts | wire::iso)} else {} end) + {values: .body};\n"
	"\n"
	"# {\"id\": 7, \"do\": \"set_fan\", \"with\": {\"rpm\": 900}}\n"
	"def read_command: .payload | {id, body: {name: .do, params: .with}};\n"
	"def write_command: {id, do: .body.name, with: (.body.params | wire::object)};\n"
	"\n"
	"# {\"id\": 7, \"ok\": true, \"result\": {\"rpm\": 900}}; status is \"done\", \"error\" or \"in_progress\".\n"
	"def read_command_reply: .payload\n"
	"  | {id, body: {status: (if .ok then \"done\" else \"error\" end), result, message: .error}};\n"
	"def write_command_reply: select(.body.status != \"in_progress\")\n"
	"  | {id, ok: (.body.status == \"done\"), result: .body.result, error: .body.message} | wire::some;\n"
	"\n"
	"# For the rows above that wait to be taken in:\n"
	"# def read_config: .payload | {body: {changed: .}};\n"
	"# def write_config: .body.changed;\n"
	"# def read_raw: {body: {stream: .topic.stream, base64: .payload}};\n"
	"# def publish_raw: {payload: .body.base64, topic: {stream: .body.stream}};\n";

static const char cases[] =
	"[\n"
	"  { \"name\": \"telemetry keeps its time\", \"south\": \"@\", \"north\": \"thingsboard\", \"flow\": \"up\",\n"
	"    \"topic\": \"@/d1/telemetry\", \"payload\": { \"time\": \"2024-01-02T03:04:05Z\", \"values\": { \"temp\": 21.5 } },\n"
	"    \"expect\": [ { \"topic\": \"v1/devices/me/telemetry\", \"payload\": { \"ts\": 1704164645000, \"values\": { \"temp\": 21.5 } } } ] },\n"
	"\n"
	"  { \"name\": \"telemetry without a time\", \"south\": \"@\", \"north\": \"thingsboard\", \"flow\": \"up\",\n"
	"    \"topic\": \"@/d1/telemetry\", \"payload\": { \"values\": { \"temp\": 21.5 } },\n"
	"    \"expect\": [ { \"topic\": \"v1/devices/me/telemetry\", \"payload\": { \"temp\": 21.5 } } ] },\n"
	"\n"
	"  { \"name\": \"telemetry is written\", \"south\": \"thingsboard\", \"north\": \"@\", \"flow\": \"up\",\n"
	"    \"vars\": { \"north.device\": \"d1\" },\n"
	"    \"topic\": \"v1/devices/me/telemetry\", \"payload\": { \"ts\": 1704164645678, \"values\": { \"temp\": 21.5 } },\n"
	"    \"expect\": [ { \"topic\": \"@/d1/telemetry\", \"payload\": { \"time\": \"2024-01-02T03:04:05.678Z\", \"values\": { \"temp\": 21.5 } } } ] },\n"
	"\n"
	"  { \"name\": \"a command and its answer\", \"south\": \"@\", \"north\": \"thingsboard\", \"vars\": { \"south.device\": \"d1\" },\n"
	"    \"about\": \"{{id}} takes what comes the first time, and stands for the same from then on\",\n"
	"    \"steps\": [\n"
	"      { \"flow\": \"down\", \"topic\": \"v1/devices/me/rpc/request/12\", \"payload\": { \"method\": \"set_fan\", \"params\": { \"rpm\": 900 } },\n"
	"        \"expect\": [ { \"topic\": \"@/d1/command\", \"payload\": { \"id\": \"{{id}}\", \"do\": \"set_fan\", \"with\": { \"rpm\": 900 } } } ] },\n"
	"      { \"flow\": \"up\", \"topic\": \"@/d1/command_reply\", \"payload\": { \"id\": \"{{id}}\", \"ok\": true, \"result\": { \"rpm\": 900 } },\n"
	"        \"expect\": [ { \"topic\": \"v1/devices/me/rpc/response/12\", \"payload\": { \"rpm\": 900 } } ] } ] },\n"
	"\n"
	"  { \"name\": \"a command is read, and its answer written\", \"south\": \"thingsboard\", \"north\": \"@\", \"vars\": { \"north.device\": \"d1\" },\n"
	"    \"steps\": [\n"
	"      { \"flow\": \"down\", \"topic\": \"@/d1/command\", \"payload\": { \"id\": 7, \"do\": \"set_fan\", \"with\": { \"rpm\": 900 } },\n"
	"        \"expect\": [ { \"topic\": \"v1/devices/me/rpc/request/{{id}}\", \"payload\": { \"method\": \"set_fan\", \"params\": { \"rpm\": 900 } } } ] },\n"
	"      { \"flow\": \"up\", \"topic\": \"v1/devices/me/rpc/response/{{id}}\", \"payload\": { \"rpm\": 900 },\n"
	"        \"expect\": [ { \"topic\": \"@/d1/command_reply\", \"payload\": { \"id\": 7, \"ok\": true, \"result\": { \"rpm\": 900 } } } ] } ] }\n"
	"]\n";
/* clang-format on */

static void fill(const char *text, const char *name, struct buf *out)
{
	for (; *text; text++) {
		if (*text == '@')
			buf_puts(out, name);
		else if (*text == '~')
			dialect_put_keys("  # ", out);
		else if (*text == '%')
			dialect_put_row_keys("    # ", out);
		else
			buf_putc(out, *text);
	}
}

void skeleton_put_mapping(const char *name, struct buf *out)
{
	fill(mapping, name, out);
}

void skeleton_put_cases(const char *name, struct buf *out)
{
	fill(cases, name, out);
}

const char *skeleton_name_mistake(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	if (!*name)
		return "it is empty";
	if (*name == '-')
		return "it starts with -, as options do";
	if (name[strspn(name, letters)])
		return "it becomes a file's name and the word in configurations, so it has small "
		       "letters, "
		       "digits and - only";
	if (strlen(name) > 64)
		return "it is longer than 64 letters";
	return NULL;
}
