# What the spellings of several dialects have in common.  A library: it has no table of its own.
# Safe on jq 1.6: no global regular expressions, no date function on an unchecked number.

# An object without its null values.
def some: del(.[] | nulls);

# Parameters for a platform that wants an object.
def object: if type == "object" then . elif . == null then {} else {value: .} end;

# What a text means: the JSON that it is, else the text itself.  jq takes 007 and nan for JSON and rounds
# integers beyond 2^53; these stay text.
def parse: . as $text
  | try fromjson catch $text
  | if (type == "number" or . == null)
      and ($text | test("^\\s*(null|-?(0|[1-9]\\d*)(\\.\\d+)?([eE][-+]?\\d+)?)\\s*$") | not) then $text
    elif [.. | numbers | select(fabs >= 9007199254740992)] != [] then $text
    elif . == 0 and ($text | test("[1-9].*[eE]")) then $text  # too small for a double
    else . end;

# The reverse, for text topics: a string that would be taken for JSON gets its quotes.
def unparse: if type == "string" and parse != . then tojson else . end;

# Epoch milliseconds to 2024-01-02T03:04:05.678Z.  What is no number stays as it is.
def iso:
  if type != "number" then .
  elif . < 0 or . >= 253402300800000 then error("a time outside the years 1970 to 9999")
  else "\(. / 1000 | floor | todate | .[:19]).\(1000 + . % 1000 | tostring | .[1:])Z" end;  # calque: checked

# ISO-8601, any fraction, Z or an offset, to epoch milliseconds.  What is no string stays as it is.
def ms:
  def bad: error("not an ISO-8601 time");
  def epoch: try (strptime("%Y-%m-%dT%H:%M:%S") | mktime * 1000) catch bad;
  if type != "string" then .
  elif length == 24 and .[19:20] == "." and .[23:] == "Z" then (.[:19] | epoch) + (.[20:23] | tonumber)
  else
    (capture("^(?<date>[-\\d]{10})[Tt ](?<time>[:\\d]{8})([.,](?<part>\\d+))?"
      + "([Zz]|(?<sign>[-+])(?<h>\\d\\d):?(?<m>\\d\\d)?)$") // bad)
    | ("\(.date)T\(.time)" | epoch) + ("\(.part // "")000" | .[:3] | tonumber)
      - ("\(.sign // "")1" | tonumber) * (((.h // "0") | tonumber) * 60 + ((.m // "0") | tonumber)) * 60000
  end;

# Nested objects to dotted keys, arrays to JSON text, nulls left out.
def flat:
  # In the order of jq, scalars come before arrays, and these before objects: one comparison for most.
  def leaves($at): . as $object | keys_unsorted[] | . as $key | $object[.]
    | if . == null then empty elif . < [] then {($at + $key): .} elif . < {} then {($at + $key): tojson}
      else leaves($at + $key + ".") end;
  if [.[] | type] - ["number", "string", "boolean"] == [] then .  # nearly always, and much cheaper
  else reduce leaves("") as $leaf ({};
    if has($leaf | keys_unsorted[0]) then error("two values have the same dotted key") else . + $leaf end) end;

# Configuration as {key: value, "deleted": [names]}; a key "deleted" with another value is a key.
def read_changes:
  if .deleted | type == "array" and all(type == "string") then {changed: del(.deleted), deleted}
  else {changed: .} end;
def write_changes: .changed + (if (.deleted // []) == [] then {} else {deleted} end) | select(. != {});
