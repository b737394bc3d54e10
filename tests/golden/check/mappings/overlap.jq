module { dialect: "overlap", messages: [
  { kind: "event", topic: "a/{x}/c" }, { kind: "alarm", topic: "{y}/b/c", also: ["a/b/{z}"] }
] };
