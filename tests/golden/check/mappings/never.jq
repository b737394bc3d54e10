module { dialect: "never", messages: [
  { kind: "raw", topic: "r/{device}/{rest...}", format: "bytes" },
  { kind: "event", topic: "r/{device}/{name}" },
  { kind: "attributes", topic: "r/{device}/{name}/{rest...}" }
] };
