//! No secret of a known form in what anybody is told: answers, logs, records, and what the command line prints.

use std::fs;

use serde_json::{Value, json};

use crate::serve::{HARDENED, Serve, review, run, until};
use crate::server_start;
use crate::trail_redaction::{CANARIES, pod_with};

/// A Pod that holds a text also where it is called and labelled, and in what its containers are given.
fn object_with(canary: &str) -> Value {
    let mut pod = pod_with(canary);
    pod["metadata"]["name"] = json!(canary);
    pod["metadata"]["namespace"] = json!(canary);
    pod["metadata"]["labels"] = json!({ canary: canary });
    let container = &mut pod["spec"]["containers"][0];
    container["name"] = json!(canary);
    container["args"] = json!([canary]);
    container["env"] = json!([{"name": canary, "value": canary}]);
    container["ports"] = json!([{"name": canary, "containerPort": 80, "hostPort": 80, "hostIP": canary}]);
    pod
}

/// An unreadable object: the annotation with the canary is not a string.
fn unreadable_with(canary: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": canary, "annotations": { canary: {canary: canary} }},
        "spec": {"containers": [{"name": canary, "image": canary}]}})
}

#[track_caller]
fn none_in(said: &str, what: &str) {
    for (_, canary) in CANARIES {
        let line = said.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{canary} in {what}: {}", line.unwrap_or_default());
    }
}

#[test]
fn no_canary_is_answered_or_logged() {
    for (ceiling, allowed) in [("", false), ("ceiling: warn\n", true)] {
        let config = format!("{HARDENED}defaults: all\n{ceiling}trail: {{file: trail.jsonl}}\n");
        let server = Serve::new(&config).start();
        let mut answers = String::new();
        for (turn, (canary, _)) in CANARIES.iter().enumerate() {
            for (kind, object) in [("a", object_with(canary)), ("b", unreadable_with(canary))] {
                for path in ["/validate", "/mutate"] {
                    let mut asked = review(&format!("uid-{turn}-{kind}"), "default", &object);
                    asked["request"]["namespace"] = json!(canary);
                    asked["request"]["name"] = json!(canary);
                    let mut answer = server.post(path, asked.to_string()).response();
                    assert!(path == "/mutate" || answer["allowed"] == allowed, "{answer}");
                    // What is set is no message.
                    answer["patch"] = Value::Null;
                    answers += &format!("{answer}\n");
                }
            }
        }
        none_in(&answers, "an answer");
        assert!(answers.contains("[redacted") && answers.contains(if allowed { "warnings" } else { "causes" }));
        let (_, _, stderr, folder, _) = server.stop();
        none_in(&stderr, "the log");
        let trail = fs::read_to_string(folder.path().join("trail.jsonl")).expect("read");
        none_in(&trail, "the trail");
        assert!(stderr.contains("[redacted") && trail.contains("[redacted"));
    }
}

#[test]
fn no_canary_is_printed_by_check_and_review_unless_redaction_is_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\ndefaults: all\n";
    fs::write(path("on.yaml"), config).expect("written");
    fs::write(path("off.yaml"), format!("{config}trail: {{redaction: off}}\n")).expect("written");
    let mut objects = Vec::new();
    for (canary, _) in CANARIES {
        objects.extend([object_with(canary), unreadable_with(canary)]);
    }
    let manifests: Vec<String> = objects.iter().map(Value::to_string).collect();
    // Keys that stand twice are quoted too, and what no object is.
    let twice = CANARIES.map(|(canary, _)| {
        let key = json!(canary);
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": {key}, \"data\": {{{key}: 1, {key}: 2}}}}\n---\n{{\"kind\": {key}}}"
        )
    });
    fs::write(path("set.yaml"), [&manifests[..], &twice].concat().join("\n---\n")).expect("written");
    let said = |config: &str| {
        let mut said = String::new();
        for format in ["text", "json"] {
            let (_, out, err) = run(&["check", "--config", &path(config), "--format", format, &path("set.yaml")], "");
            said += &(out + &err);
        }
        for object in &objects {
            let asked = review("uid", "default", object).to_string();
            let (_, out, err) = run(&["review", "--config", &path(config), "-"], &asked);
            said += &(out + &err);
        }
        said
    };
    let on = said("on.yaml");
    none_in(&on, "what is printed");
    assert!(on.contains("[redacted") && on.contains("set.yaml:1:"), "{on}");
    let off = said("off.yaml");
    for (_, canary) in CANARIES {
        assert!(off.contains(canary), "{canary}");
    }
}

#[test]
fn no_canary_of_a_configuration_is_printed_or_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.yaml").display().to_string();
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
    let server = Serve::new(HARDENED).start();
    let mut said = String::new();
    for (turn, (canary, _)) in CANARIES.iter().enumerate() {
        let key = json!(canary);
        let wrong = format!(
            "{head}# {turn}\nprofile: {key}\n{key}: 1\npolicies: {{{key}: {{mode: {key}}}}}\ntrail: {{sinks: [{{name: {key}, type: {key}}}]}}\n"
        );
        fs::write(&file, &wrong).expect("written");
        for command in [&["check", "--config", &file, "-"][..], &["webhooks", "--config", &file, "--url", "https://a"]]
        {
            let (code, out, err) = run(command, "");
            assert_eq!(code, Some(2), "{out}{err}");
            said += &(out + &err);
        }
        said += &server_start::start(Serve::new(&wrong)).said().concat();
        let refused = |server: &crate::serve::Server| server.stderr().matches("the last good one stays").count();
        let before = refused(&server);
        fs::write(server.path("config.yaml"), &wrong).expect("written");
        until("the refusal", || (refused(&server) > before).then_some(()));
    }
    assert!(said.contains("[redacted") && said.contains("config.yaml:4:"), "{said}");
    none_in(&said, "what is printed");
    none_in(&server.stderr(), "the log");
}

#[test]
fn redaction_that_is_off_is_warned_of_at_the_start_and_not_turned_off_by_a_reload() {
    let said = "trail.redaction is off";
    let off = format!("{HARDENED}trail: {{redaction: off}}\n");
    let refused = |server: &crate::serve::Server, uid: &str| {
        server.post("/validate", review(uid, "default", &pod_with("canary:hunter2@nginx")).to_string()).text()
    };
    let server = Serve::new(&off).start();
    assert!(server.stderr().contains(said) && refused(&server, "one").contains("hunter2"));
    let server = Serve::new(HARDENED).start();
    fs::write(server.path("config.yaml"), off).expect("written");
    until("the reload", || server.stderr().contains("takes effect at the next start").then_some(()));
    assert!(!server.stderr().contains(said) && !refused(&server, "two").contains("hunter2"));
    let replaced = "the configuration was replaced";
    until("the log line", || server.logs().into_iter().find(|line| line["message"] == replaced));
}

#[test]
fn a_password_that_is_cut_in_its_middle_is_not_said() {
    let password = format!("hunter2-{}", "p".repeat(300));
    for image in [format!("user:{password}@nginx"), format!("{}/user:{password}@nginx", "registry".repeat(13))] {
        let asked = review("uid", "default", &pod_with(&image)).to_string();
        let (_, out, _) = run(&["review", "--profile", "hardened", "-"], &asked);
        assert!(!out.contains("hunter2") && out.contains("user:..."), "{out}");
    }
}
