module { dialect: "id-integer", messages: [
  { kind: "license", topic: "integer/l/{id}", id: "integer" },
  { kind: "command", topic: "integer/c/{id}", id: "integer", read: "f" }, { kind: "command_reply", topic: "integer/r/{id}", id: "uuid" }
] };
def f: .;
