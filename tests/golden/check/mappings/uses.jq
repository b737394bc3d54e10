module { dialect: "uses", messages: [
  { kind: "event", topic: "a", answered: {} }, { kind: "event", topic: "b", also: [{ topic: "c", reply: "d" }] },
  { kind: "telemetry", topic: "e", only: "write", read: "f", echoes: "config" }
] };
def f: .;
