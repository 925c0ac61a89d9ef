//! The audit event: its fields, their order, and what they say.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::serve::{AUDIT, HARDENED, Serve, bad_pod, good_pod, review, run};

/// The fields of an event, in the order that people and programs rely on.
const FIELDS: [&str; 27] = [
    "stream",
    "seq",
    "prev",
    "time",
    "cluster",
    "endpoint",
    "caller",
    "uid",
    "operation",
    "resource",
    "kind",
    "namespace",
    "name",
    "objectUid",
    "user",
    "dryRun",
    "decision",
    "allowed",
    "findings",
    "exception",
    "patch",
    "object",
    "configuration",
    "version",
    "micros",
    "hash",
    "",
];

/// A JSON object's keys and values, in the order in which they stand.
struct Ordered(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Ordered;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Ordered(fields))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Ordered {
    fn of(text: &str) -> Self {
        serde_json::from_str(text).expect("an object")
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key.as_str()).collect()
    }

    fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).expect("a field").1.get()
    }
}

fn line(stdout: &str, uid: &str) -> Ordered {
    Ordered::of(stdout.lines().find(|line| line.contains(&format!("\"uid\":\"{uid}\""))).expect("a line"))
}

#[test]
fn fields_stand_in_the_order_of_the_contract() {
    let config = format!("{AUDIT}trail: {{cluster: prod-1}}\n");
    let server = Serve::new(&config).start();
    let mut asked = review("one", "default", &bad_pod());
    asked["request"]["userInfo"] = json!({"username": "alice", "uid": "u-1", "groups": vec!["g"; 70], "extra": {}});
    server.post("/validate", asked.to_string());
    server.post("/mutate", review("two", "default", &good_pod()).to_string());
    server.event("two");
    let stdout = server.stdout();
    let wanted = &FIELDS[..FIELDS.len() - 1];
    for uid in ["one", "two"] {
        assert_eq!(line(&stdout, uid).keys(), wanted);
    }
    let one = line(&stdout, "one");
    assert_eq!(Ordered::of(one.get("resource")).keys(), ["group", "version", "resource", "subresource"]);
    assert_eq!(Ordered::of(one.get("kind")).keys(), ["group", "version", "kind"]);
    assert_eq!(Ordered::of(one.get("user")).keys(), ["name", "uid", "groups", "groupsOmitted"]);
    assert_eq!(Ordered::of(line(&stdout, "two").get("user")).keys(), ["name", "uid", "groups"]);
    let findings: Vec<Ordered> = serde_json::from_str(one.get("findings")).expect("a list");
    assert!(!findings.is_empty());
    for finding in findings {
        assert_eq!(finding.keys(), ["policy", "severity", "mode", "configured", "path", "message", "inherited"]);
    }
}

#[test]
fn fields_say_what_was_asked_and_answered() {
    let config = format!("{HARDENED}trail: {{cluster: prod-1}}\n");
    let server = Serve::new(&config).start();
    let mut asked = review("one", "payments", &good_pod());
    asked["request"]["subResource"] = json!("resize");
    asked["request"]["object"]["spec"]["containers"][0]["image"] = json!("nginx:latest");
    let answer = server.post("/validate", asked.to_string()).response();
    let event = server.event("one");
    let hex = |field: &str, digits| {
        let text = event[field].as_str().expect("text");
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(is_hex && text.len() == digits, "{field}: {text}");
    };
    for field in ["prev", "hash", "object", "configuration"] {
        hex(field, 64);
    }
    hex("stream", 16);
    let time = event["time"].as_str().expect("text");
    assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    let said = json!({
        "seq": 1, "cluster": "prod-1", "endpoint": "validate", "caller": "unknown", "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods", "subresource": "resize"},
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "payments", "name": "web",
        "objectUid": "object-uid", "user": {"name": "alice", "uid": "", "groups": ["developers"]}, "dryRun": false,
        "decision": "deny", "allowed": false, "exception": null, "patch": [], "version": env!("CARGO_PKG_VERSION"),
    });
    for (field, value) in said.as_object().expect("a map") {
        assert_eq!(&event[field], value, "{field}");
    }
    assert_eq!(event["findings"].as_array().expect("a list").len(), 1);
    let finding = &event["findings"][0];
    assert_eq!((&finding["policy"], &finding["mode"]), (&json!("unpinned-images"), &json!("enforce")));
    assert_eq!((&finding["path"], &finding["inherited"]), (&json!("spec.containers[0].image"), &json!(false)));
    assert!(finding.get("configured").is_none());
    let annotations = &answer["auditAnnotations"];
    assert_eq!((&annotations["decision"], &annotations["policies"]), (&json!("deny"), &json!("unpinned-images")));
    assert_eq!(annotations["configuration"], event["configuration"]);
}

#[test]
fn every_verdict_has_its_word() {
    let policies = "  unpinned-images: {mode: warn}\n";
    let server = Serve::new(&format!("{HARDENED}{policies}")).start();
    let decided = |uid: &str, path: &str, object: &Value| {
        server.post(path, review(uid, "default", object).to_string());
        server.event(uid)["decision"].clone()
    };
    let mut unpinned = good_pod();
    unpinned["spec"]["containers"][0]["image"] = json!("registry.example.com/web:1");
    assert_eq!(decided("a", "/validate", &good_pod()), "allow");
    assert_eq!(decided("b", "/validate", &unpinned), "warn");
    assert_eq!(decided("c", "/validate", &bad_pod()), "deny");
    assert_eq!(decided("d", "/validate", &json!(1)), "error");
    assert_eq!(decided("e", "/mutate", &bad_pod()), "unchanged");
    let server = Serve::new(AUDIT).start();
    server.post("/validate", review("f", "default", &bad_pod()).to_string());
    assert_eq!(server.event("f")["decision"], "would-deny");
}

#[test]
fn the_chain_on_standard_output_verifies_and_starts_and_stops() {
    let server = Serve::new(HARDENED).start();
    for turn in 0..20 {
        server.post("/validate", review(&format!("uid-{turn}"), "default", &bad_pod()).to_string());
    }
    let (_, stdout, ..) = server.stop();
    let (code, said, _) = run(&["trail", "verify", "-"], &stdout);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("records 0 to 21,"), "{said}");
    assert!(said.ends_with("ok: every record that is here is as it was written\n"), "{said}");
    assert!(!said.contains("unproven"));
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["record"], &lines[21]["record"]), (&json!("start"), &json!("stop")));
    assert_eq!((&lines[0]["prev"], &lines[0]["torn"]), (&json!("0".repeat(64)), &json!(0)));
    let without_end: String = stdout.lines().take(21).map(|line| format!("{line}\n")).collect();
    let (code, said, _) = run(&["trail", "verify", "-"], &without_end);
    assert_eq!(code, Some(3));
    assert!(said.contains("unproven") && !said.contains("\nok: "), "{said}");
}
