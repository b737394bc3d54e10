module { dialect: "hazards", messages: [ { kind: "telemetry", topic: "a/{device}", read: "f" } ] };
def f: .payload | gsub("^ *"; "") | [scan("[a-z]*")] | splits(" *") | match("x*"; "g");
def g($re): gsub($re; ""; "g") | index("") | indices("");
def h: todate, strftime("%H") | (.[] |= empty) | limit(0; .) | error(null);
def i: gsub("^ *"; ""); # calque: checked
def j: fromdate, strptime("%Y"), 9007199254740993, tonumber;
