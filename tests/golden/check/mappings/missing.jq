module { dialect: "missing", messages: [
  { kind: "telemetry", topic: "a/{device}", read: "temp", write: "temp" },
  { kind: "event", topic: "b/{device}", publish: "event" }, { kind: "alarm", topic: "c/{device}", read: "with_argument" }
] };
def with_argument(f): f;
