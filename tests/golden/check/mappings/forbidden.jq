module { dialect: "forbidden", messages: [ { kind: "telemetry", topic: "a/{device}", read: "f" } ] };
def f: {at: now, who: env.USER, $ENV, next: input} | debug | stderr;
def g: if . then halt else halt_error end | localtime | modulemeta;
# harmless: now
def h: .now | "env \(input_filename)";
