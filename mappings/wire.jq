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

# A time to epoch milliseconds: ISO-8601 with Z or an offset, extended (2024-02-29T23:59:59.5+01:00, T or a
# space, seconds and their fraction may be missing) or basic (20240229T235959Z).  A day that is not in the
# calendar, an hour, minute or offset that is not on a clock, and a time that does not say its zone are errors:
# ms("+01:00") and ms("Z") say it for those, and take a date alone for its first moment.  A number stays as it is,
# and so does all else that is no string.
def ms(zone):
  def bad: error("not an ISO-8601 time with a zone");
  def number: if . == null or . == "" then 0 else tonumber end;
  def offset: if . == "Z" or . == "z" then 0 else
      capture("^(?<sign>[-+])(?<h>[01]\\d|2[0-3]):?(?<m>[0-5]\\d)?$")
      | ((.h | number) * 60 + (.m | number)) * (if .sign == "-" then -60000 else 60000 end)
    end;
  def days: . as $d | ($d.y - (if $d.mo <= 2 then 1 else 0 end)) as $y | (($d.mo + 9) % 12) as $m
    | 365 * $y + ($y / 4 | floor) - ($y / 100 | floor) + ($y / 400 | floor) + ((153 * $m + 2) / 5 | floor) + $d.d - 719469;
  def is_day: . as $d | .mo >= 1 and .mo <= 12 and .d >= 1
    and .d <= [31, (if .y % 4 == 0 and (.y % 100 != 0 or .y % 400 == 0) then 29 else 28 end),
      31, 30, 31, 30, 31, 31, 30, 31, 30, 31][.mo - 1];
  def parts: capture("^(?<y>\\d{4})-(?<mo>\\d\\d)-(?<d>\\d\\d)([Tt ](?<h>\\d\\d):(?<mi>\\d\\d)(:(?<s>\\d\\d)([.,](?<part>\\d+))?)?(?<zone>[Zz]|[-+]\\d\\d(:?\\d\\d)?)?)?$")
    // capture("^(?<y>\\d{4})(?<mo>\\d\\d)(?<d>\\d\\d)([Tt](?<h>\\d\\d)(?<mi>\\d\\d)((?<s>\\d\\d)([.,](?<part>\\d+))?)?(?<zone>[Zz]|[-+]\\d\\d(:?\\d\\d)?)?)?$");
  # The common form, without a regular expression: strptime takes 30 February, but another day comes back.
  def common: select(length == 24 and .[23:] == "Z")
    | (.[20:23] | explode | select(min >= 48 and max <= 57) | implode | tonumber) as $part
    | (.[:19] + "Z") as $text | select(.[19:20] == ".") | $text
    | (try (strptime("%Y-%m-%dT%H:%M:%SZ") | mktime) catch -1)
    | select(. >= 0 and (gmtime | todate) == $text) | . * 1000 + $part;
  def any_form: (parts // bad) | . as {$zone, $part} | del(.zone, .part) | map_values(number)
    | ($zone // zone // bad) as $at | ([$at | offset][0] // bad) as $offset
    | if (is_day and .h <= 23 and .mi <= 59 and .s <= 60) | not then bad
      else days * 86400000 + .h * 3600000 + .mi * 60000 + .s * 1000 + ("\($part // "")000" | .[:3] | tonumber) - $offset end;
  if type != "string" then . else [common][0] // any_form end;
def ms: ms(null);

# A number that counts from 1970, in whatever unit, to epoch milliseconds.  Its size tells: below 1e11 (the year
# 5138) seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds.  So milliseconds of before
# 3 March 1973 are taken for seconds: who knows the unit had better say it.
def epoch:
  if type == "string" then tonumber else . end
  | if type != "number" or isnan then error("no number that counts from 1970") else . end
  | fabs as $size | (if $size < 1e11 then . * 1000 elif $size < 1e14 then . elif $size < 1e17 then . / 1000 else . / 1000000 end) | floor;

# Bytes are lists of numbers from 0 to 255: of base64 (as rows of bytes have it), and of hexadecimal digits.
def bytes:
  def sextet: if . >= 97 and . <= 122 then . - 71 elif . >= 65 and . <= 90 then . - 65
    elif . >= 48 and . <= 57 then . + 4 elif . == 43 then 62 elif . == 47 then 63 else error("no base64") end;
  (rtrimstr("=") | rtrimstr("=") | explode | map(sextet)) as $s
  | [range($s | length * 6 / 8 | floor) | (. % 3) as $n | (. * 4 / 3 | floor) as $i
    | if $n == 0 then $s[$i] * 4 + ($s[$i + 1] / 16 | floor)
      elif $n == 1 then $s[$i] % 16 * 16 + ($s[$i + 1] / 4 | floor)
      else $s[$i] % 4 * 64 + $s[$i + 1] end];
def unhex:
  def nibble: if . >= 48 and . <= 57 then . - 48 elif . >= 97 and . <= 102 then . - 87
    elif . >= 65 and . <= 70 then . - 55 else error("no hexadecimal digit") end;
  if length % 2 == 1 then error("an odd number of hexadecimal digits") else explode | map(nibble) end
  | . as $n | [range(0; length; 2) | $n[.] * 16 + $n[. + 1]];
def check_bytes: if all(.[]; type == "number" and . == floor and . >= 0 and . <= 255) then . else error("a byte is 0 to 255") end;
def hex: check_bytes | map((. / 16 | floor), . % 16 | if . < 10 then . + 48 else . + 87 end) | implode;
def base64:
  def letters: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  check_bytes | . as $b | [range(0; length; 3) | $b[.:. + 3] | length as $n
    | (.[0] * 65536 + (.[1] // 0) * 256 + (.[2] // 0)) as $w
    | [262144, 4096, 64, 1] | map($w / . | floor % 64 | letters[.:. + 1]) | .[:$n + 1] + ["=", "="][:3 - $n] | join("")] | join("");

# A number of all the bytes there are, the highest first; for the lowest first: .[0:2] | reverse | u16
def unsigned(n): if length == n then reduce .[] as $b (0; . * 256 + $b) else error("\(n) bytes are needed") end;
def signed(n): unsigned(n) | if . >= pow(2; 8 * n - 1) then . - pow(2; 8 * n) else . end;
def u16: unsigned(2);
def i16: signed(2);
def u32: unsigned(4);
def i32: signed(4);
# IEEE 754.  What is no number there is an error, since JSON has no word for it.
def float(bits; bias; top):
  (if . >= top then -1 else 1 end) as $sign | (if . >= top then . - top else . end)
  | (. / bits | floor) as $e | (. - $e * bits) as $m
  | if $e == 2 * bias + 1 then error("no number") elif $e == 0 then $sign * $m / bits * pow(2; 1 - bias)
    else $sign * (1 + $m / bits) * pow(2; $e - bias) end;
def f32: unsigned(4) | float(8388608; 127; 2147483648);
def f64:
  if length != 8 then error("8 bytes are needed") else . end
  | (if .[0] >= 128 then -1 else 1 end) as $sign | (.[0] % 128 * 16 + (.[1] / 16 | floor)) as $e
  | ([.[1] % 16] + .[2:] | reduce .[] as $b (0; . * 256 + $b)) as $m
  | if $e == 2047 then error("no number") elif $e == 0 then $sign * $m / 4503599627370496 * pow(2; -1022)
    else $sign * (1 + $m / 4503599627370496) * pow(2; $e - 1023) end;

# A query string, a=1&b=x+y, to an object of texts, and the reverse.
def decoded: if test("%(?![0-9A-Fa-f]{2})") then error("a % without two hexadecimal digits") else . end
  | split("%") | (.[0] // "" | @base64 | bytes) as $first
  | reduce .[1:][] as $p ($first; . + ($p[:2] | unhex) + ($p[2:] | @base64 | bytes)) | base64
  | . as $bytes | @base64d | if @base64 == $bytes then . else error("no UTF-8") end;  # calque: checked
def query: split("&") | map(select(. != "") | split("=") | {key: .[0], value: (.[1:] | join("="))}
  | map_values(split("+") | join(" ") | decoded)) | from_entries;
def unquery: to_entries | map("\(.key | @uri)=\(.value | tostring | @uri)") | join("&");

# Lines of values to a list of lists of texts.  A value in quotes may have the separator, lines and "" for " in it.
def quoted_csv(separator):
  def closed: {rows: (.rows + [.row + [.text]]), row: [], text: "", quoted: false, was: false};
  reduce (explode[] | [.] | implode) as $c ({rows: [], row: [], text: "", quoted: false, was: false};
    if .quoted then (if $c == "\"" then .quoted = false | .was = true else .text += $c end)
    elif $c == "\"" then (if .was then .text += $c else . end) | .quoted = true
    elif $c == separator then .row += [.text] | .text = "" | .was = false
    elif $c == "\n" then closed
    elif $c == "\r" then .
    else .text += $c end)
  | if .quoted then error("a quote without an end") elif .row == [] and .text == "" and (.was | not) then .rows else closed | .rows end;
def csv(separator):
  if contains("\"") then quoted_csv(separator)
  else split("\r") | join("") | split("\n") | if .[-1:] == [""] then .[:-1] else . end
    | map(if . == "" then [""] else split(separator) end) end;
def csv: csv(",");

# Nested objects to dotted keys, arrays to JSON text, nulls left out.
def flat:
  # In the order of jq: null, scalars, arrays, objects.  One comparison tells most values.
  def leaves($at): . as $object | keys_unsorted[] | . as $key | $object[.]
    | if . < [] then (if . == null then empty else {($at + $key): .} end) elif . < {} then {($at + $key): tojson}
      else leaves($at + $key + ".") end;
  [.[]] as $values
  | if ($values | max) < [] then  # nearly always, and much cheaper
      if ($values | min) != null then . else keys_unsorted as $keys | delpaths([$values | .[[null]][] | [$keys[.]]]) end
    else [leaves("")] | length as $n | add // {}
      | if length == $n then . else error("two values have the same dotted key") end end;

# Configuration as {key: value, "deleted": [names]}; a key "deleted" with another value is a key.
def read_changes:
  if .deleted | type == "array" and all(type == "string") then {changed: del(.deleted), deleted}
  else {changed: .} end;
def write_changes: .changed + (if (.deleted // []) == [] then {} else {deleted} end) | select(. != {});
