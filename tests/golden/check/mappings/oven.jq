module { dialect: "stove", colour: 1, version: true, mqtt: 3, device: "header", session: { user: "u", per: "group" },
  credentials: ["a b"], limits: { in_flight: 0, bytes: 1 }, up: { kind: "event" }, down: { qos: 2 },
  messages: [
    { kind: "telemetri", topic: "x" }, { topic: "a/+" }, { kind: "event", topic: "a{b}", raed: "f" },
    { kind: "event", topic: "{b...}/a", read: "a b", write: "f", publish: "g" },
    { kind: "event", topic: "b", only: "both", format: "xml", qos: 2, retain: 1, id: "number", echoes: "echo" },
    { kind: "event", topic: "c", only: "read", write: "f", also: ["d/+", { reply: "z" }, 1], properties: [], lenient: "yes" },
    1
  ] };
