module { dialect: "imports", messages: [ { kind: "telemetry", topic: "a/{device}" } ] };
import "wire" as wire;
import "nosuch" as n;
import "../plain" as up;
import "celsius" as $data;
import "celsius" as c {search: "/tmp"};
include "wire";
