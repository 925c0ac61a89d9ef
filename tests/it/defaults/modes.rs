//! Modes of mutators, and the settings that they take.

use portcullis::config::compile;
use portcullis::decision::Verdict;
use portcullis::mode::Mode;
use serde_json::json;

use crate::fixtures;
use crate::judging::{HEAD, configured, patch, set};

#[test]
fn below_enforce_what_would_be_set_is_said_and_nothing_is_patched() {
    for (id, fixture) in fixtures::of_mutators() {
        let name = format!("{id}/{}", fixture.name);
        let object = fixture.object();
        let in_mode = |mode: &str| set(&configured(&format!("policies: {{{id}: {{mode: {mode}}}}}\n")), &object);
        let done = in_mode("enforce");
        let expected = if fixture.is_patched() { Verdict::Patch } else { Verdict::Unchanged };
        assert_eq!((done.decision.verdict, done.object.is_some()), (expected, fixture.is_patched()), "{name}");
        for (word, mode) in [("audit", Mode::Audit), ("warn", Mode::Warn)] {
            let thought = in_mode(word);
            let expected = if fixture.is_patched() { Verdict::WouldPatch } else { Verdict::Unchanged };
            assert_eq!(thought.decision.verdict, expected, "{name} under {word}");
            assert!(thought.object.is_none() && thought.decision.patch.is_empty(), "{name} under {word}");
            assert!(thought.decision.allowed);
            assert_eq!(thought.decision.findings.len(), done.decision.findings.len(), "{name} under {word}");
            for (would, does) in thought.decision.findings.iter().zip(&done.decision.findings) {
                assert_eq!(would.message, format!("would {}", does.message), "{name}");
                assert_eq!((would.mode, would.place.clone()), (mode, does.place.clone()), "{name}");
            }
        }
        let off = in_mode("off");
        assert_eq!((off.decision.verdict, off.decision.findings.len()), (Verdict::Unchanged, 0), "{name}");
    }
}

#[test]
fn a_ceiling_lowers_mutators_too() {
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "web"}]}});
    let set = set(&configured("defaults: all\nceiling: warn\n"), &object);
    assert_eq!(set.decision.verdict, Verdict::WouldPatch);
    let said: Vec<String> = set.decision.findings.iter().map(|finding| finding.message.clone()).collect();
    assert_eq!(
        said,
        [
            r#"would set spec.securityContext.seccompProfile to {"type":"RuntimeDefault"}"#,
            "would set spec.containers[0].securityContext.allowPrivilegeEscalation to false",
            "would set spec.securityContext.runAsNonRoot to true",
            r#"would set spec.containers[0].securityContext.capabilities.drop to ["ALL"]"#,
            "would set spec.containers[0].securityContext.readOnlyRootFilesystem to true",
            r#"would add {"emptyDir":{},"name":"portcullis-writable-1"} to spec.volumes"#,
            r#"would add {"mountPath":"/tmp","name":"portcullis-writable-1"} to spec.containers[0].volumeMounts"#,
        ]
    );
    assert!(set.decision.findings.iter().all(|finding| finding.configured == Some(Mode::Enforce)));
}

#[test]
fn one_mutator_may_be_weaker_than_the_others() {
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "web"}]}});
    let lines = "defaults: safe\npolicies: {default-seccomp-profile: {mode: audit}}\n";
    let set = set(&configured(lines), &object);
    assert_eq!(set.decision.verdict, Verdict::Patch);
    assert_eq!(
        patch(&set),
        json!([{"op": "add", "path": "/spec/containers/0/securityContext", "value": {"allowPrivilegeEscalation": false}}])
    );
    assert_eq!(set.decision.findings.len(), 2);
}

fn paths(paths: &str) -> String {
    format!("policies: {{default-read-only-root: {{mode: enforce, settings: {{paths: {paths}}}}}}}\n")
}

#[test]
fn each_container_gets_room_of_its_own_at_each_path() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {
        "initContainers": [{"name": "prepare"}],
        "containers": [{"name": "web", "volumeMounts": [{"name": "cache", "mountPath": "/var/cache"}]}],
        "volumes": [{"name": "cache"}],
    }});
    let set = set(&configured(&paths("[/tmp, /var/cache/]")), &pod);
    let object = set.object.expect("patched");
    assert_eq!(
        object["spec"]["volumes"],
        json!([{"name": "cache"}, {"name": "portcullis-writable-1", "emptyDir": {}},
            {"name": "portcullis-writable-2", "emptyDir": {}}, {"name": "portcullis-writable-3", "emptyDir": {}}])
    );
    let mounts = |list: &str| object["spec"][list][0]["volumeMounts"].clone();
    assert_eq!(
        mounts("initContainers"),
        json!([{"name": "portcullis-writable-1", "mountPath": "/tmp"},
            {"name": "portcullis-writable-2", "mountPath": "/var/cache/"}])
    );
    assert_eq!(
        mounts("containers"),
        json!([{"name": "cache", "mountPath": "/var/cache"}, {"name": "portcullis-writable-3", "mountPath": "/tmp"}])
    );
    let nothing = crate::judging::set(&configured(&paths("[]")), &pod);
    assert!(nothing.object.expect("patched")["spec"]["volumes"].as_array().is_some_and(|volumes| volumes.len() == 1));
}

#[test]
fn a_path_that_cannot_be_mounted_is_refused_with_its_place() {
    let must = "must be an absolute path below /, without a colon or ..";
    for (value, why) in [
        ("[tmp]", format!("\"tmp\" {must}")),
        ("[\"\"]", format!("\"\" {must}")),
        ("[/]", format!("\"/\" {must}")),
        ("[/./]", format!("\"/./\" {must}")),
        ("[\"/tmp:ro\"]", format!("\"/tmp:ro\" {must}")),
        ("[/tmp/../etc]", format!("\"/tmp/../etc\" {must}")),
        ("[/tmp, /var, /tmp/]", "\"/tmp/\" must be listed once".to_owned()),
    ] {
        let error = compile("config.yaml", &format!("{HEAD}{}", paths(value)), None).err().expect(value).to_string();
        let place = "config.yaml:3:70: policies.default-read-only-root.settings.paths: ";
        assert_eq!(error, format!("{place}{why}"));
    }
}
