module { dialect: "plain", messages: [
  { kind: "telemetry", topic: "plain/{device}/t" },
  { kind: "space_info", topic: "plain/{device}/s" }
] };
