//! Whatever a pod says and leaves out: our patch is what the API server makes of it, nothing that was written changes,
//! and what is set is what its sibling among the validators asks for. `PROPTEST_CASES` sets how many are tried.

use std::sync::LazyLock;

use portcullis::cluster::Manifests;
use portcullis::decision::Verdict;
use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::oracle;
use crate::fixtures::{TEMPLATE_KINDS, wrapped};
use crate::go_tool::GoTool;
use crate::judging::{self, configured, only, patch, set};

/// A mutator, and the validator that accepts what it sets.
const SISTERS: [(&str, &str); 6] = [
    ("default-seccomp-profile", "missing-seccomp-profiles"),
    ("default-no-privilege-escalation", "privilege-escalation"),
    ("default-no-token-automount", "automounted-tokens"),
    ("default-run-as-non-root", "root-users"),
    ("default-drop-capabilities", "undropped-capabilities"),
    ("default-read-only-root", "writable-root-filesystems"),
];

/// A document after a patch, as the API server's library applies it.
fn applied(document: &str, patch: &Value) -> Value {
    static APPLIER: LazyLock<GoTool> = LazyLock::new(|| GoTool::start("json-patch"));
    APPLIER.ask(&format!(r#"{{"document":{document},"patch":{patch}}}"#))
}

fn one_of(values: Vec<Value>) -> impl Strategy<Value = Value> {
    prop::sample::select(values)
}

/// A security context with all that mutators read.
fn context() -> impl Strategy<Value = Value> {
    let flag = || one_of(vec![json!(null), json!(null), json!(true), json!(false)]);
    let user = one_of(vec![
        json!(null),
        json!(null),
        json!({"runAsUserName": "ContainerUser"}),
        json!({"runAsUserName": "ContainerAdministrator"}),
        json!({"runAsUserName": null}),
    ]);
    (oracle::context(), flag(), flag(), user).prop_map(|(mut context, read_only, privileged, user)| {
        if let Some(context) = context.as_object_mut() {
            context.insert("readOnlyRootFilesystem".to_owned(), read_only);
            context.insert("privileged".to_owned(), privileged);
            context.insert("windowsOptions".to_owned(), user);
        }
        context
    })
}

fn containers(list: &'static str, fewest: usize) -> impl Strategy<Value = Value> {
    let mount = |path: &str| json!({"name": "data", "mountPath": path});
    let mounts = one_of(vec![
        json!(null),
        json!([]),
        json!([mount("/data")]),
        json!([mount("/tmp")]),
        json!([mount("/tmp/"), mount("/data")]),
        json!([mount("tmp")]),
    ]);
    let devices = one_of(vec![json!(null), json!(null), json!([]), json!([{"name": "disk", "devicePath": "/tmp"}])]);
    let one = (context(), mounts, devices).prop_map(|(context, mounts, devices)| {
        json!({"securityContext": context, "volumeMounts": mounts, "volumeDevices": devices})
    });
    let some = prop::collection::vec(one, fewest..3).prop_map(move |mut containers| {
        for (position, container) in containers.iter_mut().enumerate() {
            container["name"] = format!("{list}-{position}").into();
            container["image"] = "web".into();
        }
        Value::from(containers)
    });
    let rarely = u32::from(fewest == 0);
    prop_oneof![rarely => Just(json!(null)), 4 => some]
}

pub(super) fn pod() -> impl Strategy<Value = Value> {
    let lists = (containers("init", 0), containers("regular", 1));
    let volume = |name: &str| json!({"name": name, "emptyDir": {}});
    let volumes = one_of(vec![
        json!(null),
        json!([]),
        json!([volume("data")]),
        json!([volume("portcullis-writable-1"), volume("data"), volume("portcullis-writable-3")]),
    ]);
    let systems =
        one_of(vec![json!(null), json!(null), json!({"name": "windows"}), json!({"name": "linux"}), json!({})]);
    let selectors = one_of(vec![json!(null), json!(null), json!({}), json!({"kubernetes.io/os": "windows"})]);
    let users = one_of(vec![json!(null), json!(null), json!(true), json!(false)]);
    let accounts = one_of(vec![json!(null), json!(""), json!("default"), json!("web")]);
    let tokens = one_of(vec![json!(null), json!(null), json!(true), json!(false)]);
    let annotation = "seccomp.security.alpha.kubernetes.io/pod";
    let notes = one_of(vec![json!(null), json!(null), json!(null), json!({}), json!({annotation: "unconfined"})]);
    let rest = (volumes, systems, selectors, users, accounts, tokens, notes);
    (context(), lists, rest).prop_map(
        |(context, (init, regular), (volumes, os, selector, users, account, token, notes))| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "annotations": notes}, "spec": {
                "securityContext": context, "initContainers": init, "containers": regular, "volumes": volumes,
                "os": os, "nodeSelector": selector, "hostUsers": users, "serviceAccountName": account,
                "automountServiceAccountToken": token,
            }})
        },
    )
}

/// Leaves out what is null, as the API server does.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name, without_nulls(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn object() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![2 => Just(None), 3 => prop::sample::select(TEMPLATE_KINDS.to_vec()).prop_map(Some)];
    (pod(), kind, any::<bool>()).prop_map(|(pod, kind, is_terse)| {
        let object = kind.map_or(pod.clone(), |kind| wrapped(&pod, kind));
        if is_terse { without_nulls(object) } else { object }
    })
}

/// True if everything that was written is there and the same; lists may have got longer.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => {
            before.iter().all(|(name, value)| value.is_null() || after.get(name).is_some_and(|now| keeps(value, now)))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(before, after)| keeps(before, after))
        }
        (before, after) => before == after,
    }
}

fn in_mode(mode: &str) -> Snapshot {
    let policies: Vec<String> = SISTERS.iter().map(|(policy, _)| format!("{policy}: {{mode: {mode}}}")).collect();
    configured(&format!("policies: {{{}}}\n", policies.join(", ")))
}

proptest! {
    #[test]
    fn what_is_set_applies_stays_and_satisfies_its_sister(object in object()) {
        let all = in_mode("enforce");
        let done = set(&all, &object);
        let patch_sent = patch(&done);
        let result = done.object.clone().unwrap_or_else(|| object.clone());
        prop_assert_eq!(applied(&object.to_string(), &patch_sent), result.clone(), "patch {}", patch_sent);
        prop_assert!(keeps(&object, &result), "{} became {}", object, result);
        prop_assert_eq!(patch(&set(&all, &result)), json!([]), "a second time, after {}", patch_sent);

        for (mutator, validator) in SISTERS {
            let places = done.decision.findings.iter().filter(|finding| finding.meta.id == mutator);
            let places: Vec<String> = places.map(|finding| finding.place.shown()).collect();
            let judged = judging::create(&only(validator), &result, &Manifests::default(), Source::ApiServer);
            for finding in judged.expect("readable").findings {
                let (place, message) = (finding.place.shown(), finding.message);
                let is_at_a_set_place = places.iter().any(|set| place.starts_with(set.as_str()));
                let is_inherited = places.iter().any(|set| set.contains("spec.securityContext."))
                    && message.contains(", here or in the pod's securityContext");
                prop_assert!(!is_at_a_set_place && !is_inherited, "{}: {} {}", validator, place, message);
            }
        }

        for mode in ["audit", "warn"] {
            let thought = set(&in_mode(mode), &object);
            prop_assert!(thought.object.is_none() && thought.decision.patch.is_empty() && thought.decision.allowed);
            let is_empty = thought.decision.findings.is_empty();
            prop_assert_eq!(is_empty, done.object.is_none());
            let expected = if is_empty { Verdict::Unchanged } else { Verdict::WouldPatch };
            prop_assert_eq!(thought.decision.verdict, expected);
            let says_would = |message: &str| message.starts_with("would set ") || message.starts_with("would add ");
            let is_said = thought.decision.findings.iter().all(|finding| says_would(&finding.message));
            prop_assert!(is_said);
        }
    }
}
