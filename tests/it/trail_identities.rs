//! Pseudonyms: who and where are told apart in a trail, and not named.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::serve::{AUDIT, Serve, bad_pod, review, spawn, text, until};

const KEY: &str = "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0\n";
/// Every policy that runs, also the one that speaks of the namespace.
const CONFIG: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\nceiling: audit\n";

/// The review that is sent: every identity contains a word that nothing else contains.
fn asked(uid: &str) -> Value {
    let mut pod = bad_pod();
    pod["metadata"] = json!({"name": "zebra-1", "namespace": "walrus", "annotations": {
        "container.apparmor.security.beta.kubernetes.io/zebra-1": "unconfined walrus"}});
    pod["spec"]["containers"][0]["image"] = json!("registry.example.com/walrus/zebra-1:latest");
    let mut asked = review(uid, "walrus", &pod);
    asked["request"]["name"] = json!("zebra-1");
    asked["request"]["userInfo"] = json!({"username": "system:serviceaccount:walrus:ferret", "uid": "otter-uid", "groups": ["badgers", "developers"]});
    asked
}

#[test]
fn pseudonyms_are_the_same_for_the_same_name_and_the_names_are_nowhere() {
    let serve =
        Serve::new(&format!("{CONFIG}trail: {{file: trail.jsonl, identities: hmac, identitiesKeyFile: key}}\n"));
    fs::write(serve.path("key"), KEY).expect("written");
    let server = serve.start();
    for uid in ["one", "two"] {
        server.post("/validate", asked(uid).to_string()).response();
    }
    server.post("/mutate", asked("three").to_string()).response();
    let mut other = asked("four");
    other["request"]["userInfo"]["username"] = json!("walrus");
    server.post("/validate", other.to_string()).response();
    let weaker = format!(
        "{CONFIG}namespaces:\n- match: {{names: [walrus]}}\n  relax: true\n  policies: {{root-users: {{mode: off}}}}\n"
    );
    fs::write(server.path("config.yaml"), weaker).expect("written");
    let file = server.path("trail.jsonl");
    let trail = until("the change", || {
        let trail = fs::read_to_string(&file).expect("read");
        trail.contains("\"record\":\"configuration\"").then_some(trail)
    });
    for word in ["walrus", "zebra", "ferret", "otter", "badgers", "developers"] {
        let line = trail.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{word}: {}", line.unwrap_or_default());
    }
    let log = server.stderr();
    for word in ["walrus", "zebra", "ferret"] {
        let line = log.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{word}: {}", line.unwrap_or_default());
    }
    let lines: Vec<Value> = trail.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let event = |uid: &str| lines.iter().find(|line| line["uid"] == uid).expect("an event");
    let (one, four) = (event("one"), event("four"));
    for uid in ["two", "three"] {
        for field in ["namespace", "name", "user"] {
            assert_eq!(one[field], event(uid)[field], "{field}");
        }
    }
    assert_ne!(one["user"]["name"], four["user"]["name"]);
    // A user and a namespace of one name are one name.
    assert_eq!(four["user"]["name"], one["namespace"]);
    let groups = one["user"]["groups"].as_array().expect("groups");
    let all: BTreeSet<&str> = [&one["namespace"], &one["name"], &one["user"]["name"], &one["user"]["uid"]]
        .into_iter()
        .chain(groups)
        .map(|value| value.as_str().expect("text"))
        .collect();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|name| name.len() == 37 && name.starts_with("hmac:")), "{all:?}");
    // What messages say of a namespace is said of the pseudonym.
    let namespace = one["namespace"].as_str().expect("text");
    let weakened = lines.iter().find(|line| line["record"] == "configuration").expect("a record");
    assert_eq!(weakened["weaker"][0]["namespace"], namespace);
    let messages = one["findings"].to_string();
    assert!(messages.contains(namespace), "{messages}");
}

#[test]
fn another_key_makes_other_pseudonyms() {
    let namespace = |key: &str| {
        let serve = Serve::new(&format!("{AUDIT}trail: {{identities: hmac, identitiesKeyFile: key}}\n"));
        fs::write(serve.path("key"), key).expect("written");
        let server = serve.start();
        server.post("/validate", asked("one").to_string()).response();
        server.event("one")["namespace"].clone()
    };
    assert_eq!(namespace(KEY), namespace(KEY.trim()), "a line end at the end is no part of the key");
    assert_ne!(namespace(KEY), namespace(&KEY.to_uppercase()));
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_not_shown() {
    for (key, wanted) in
        [(None, "No such file"), (Some("hunter2-is-short"), "must hold at least 32 bytes: openssl rand -hex 32")]
    {
        let serve = Serve::new(&format!("{AUDIT}trail: {{identities: hmac, identitiesKeyFile: key}}\n"));
        if let Some(key) = key {
            fs::write(serve.path("key"), key).expect("written");
        }
        let (mut child, _, stderr) = spawn(&mut serve.command());
        assert_eq!(until("the end", || child.try_wait().expect("its state")).code(), Some(2));
        until("its words", || text(&stderr).contains(wanted).then_some(()));
        let said = text(&stderr);
        assert!(said.contains("trail.identitiesKeyFile: key: ") && !said.contains("hunter2"), "{said}");
    }
}
