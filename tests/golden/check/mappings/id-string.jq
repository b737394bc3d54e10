module { dialect: "id-string", messages: [
  { kind: "license", topic: "string/l/{id}", id: "string" },
  { kind: "command", topic: "string/c/{id}", id: "string", read: "f" }, { kind: "command_reply", topic: "string/r/{id}", id: "uuid" }
] };
def f: .;
