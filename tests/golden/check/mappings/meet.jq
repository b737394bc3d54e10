module { dialect: "meet", messages: [
  { kind: "event", topic: "a/{line}" }, { kind: "alarm", topic: "a/main" },
  { kind: "raw", topic: "{line}/{x}/b", format: "bytes" }, { kind: "claim", topic: "{x}/{line}/b" }
] };
