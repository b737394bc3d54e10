module { dialect: "syntax", messages: [ { kind: "telemetry", topic: "a/{device}", read: "f" } ] };
def f: if .payload then 1;
