module { dialect: "id-uuid", messages: [
  { kind: "license", topic: "uuid/l/{id}", id: "uuid" },
  { kind: "command", topic: "uuid/c/{id}", id: "uuid", read: "f" }, { kind: "command_reply", topic: "uuid/r/{id}", id: "uuid" }
] };
def f: .;
