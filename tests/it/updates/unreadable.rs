//! Fields that cannot be read: an update that leaves them as they are is not refused for them, and gains nothing by them.

use portcullis::decision::{Decision, Verdict};
use portcullis::review;
use serde_json::{Value, json};

use super::{all_inherited, container, found, pod, review as asked, update};
use crate::fixtures::{TEMPLATE_KINDS, wrapped};
use crate::judging::configured;

const PINNED: &str = "web@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";
const HARDENED: &str = "profile: hardened\n";

/// A Pod in order.
fn good() -> Value {
    let mut pod = pod(&[container("a", PINNED)]);
    pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
    pod
}

/// Puts a value under a JSON pointer, the last part of which need not be there.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    object.pointer_mut(parent).expect("its parent")[field] = value;
}

/// Why the review cannot be judged.
fn unreadable(object: &Value, old: Option<&Value>) -> Option<String> {
    let review = asked(if old.is_some() { "UPDATE" } else { "CREATE" }, object, old).to_string();
    let snapshot = configured(HARDENED);
    let read = review::decode(review.as_bytes(), snapshot.workloads(), jiff::Timestamp::UNIX_EPOCH);
    read.expect("has a uid").unreadable
}

/// One finding says that the field is not readable, and nothing else is found.
#[track_caller]
fn is_excused(decision: &Decision, path: &str) {
    assert!(decision.allowed && all_inherited(decision), "{path}: {decision:?}");
    assert_eq!(found(decision), [("unreadable-fields", path.to_owned(), true)]);
    assert_eq!(decision.verdict, Verdict::Warn);
    assert!(decision.findings[0].message.starts_with("must be readable: "), "{decision:?}");
}

/// Fields of the metadata, and something else than their type.
fn metadata() -> [(&'static str, Value); 6] {
    [
        ("labels", json!({"a": 7})),
        ("annotations", json!([])),
        ("ownerReferences", json!([{"controller": "yes"}])),
        ("generateName", json!(5)),
        ("uid", json!({})),
        ("namespace", json!(false)),
    ]
}

/// Fields of a pod spec, and something else than their type.
fn fields_of_a_spec() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/volumes", json!("x")),
        ("/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": "80"}])),
        ("/spec/containers/0/securityContext", json!([true])),
        ("/spec/containers/0/securityContext/runAsUser", json!("0")),
        ("/spec/containers/0/volumeMounts", json!([null])),
        ("/spec/initContainers", json!({})),
        ("/spec/nodeSelector", json!({"kubernetes.io/os": 1})),
        ("/spec/hostPID", json!("true")),
        ("/spec", json!("x")),
    ]
}

#[test]
fn a_field_of_the_metadata_that_stays_as_it_is_is_no_reason() {
    let snapshot = configured(HARDENED);
    for (field, value) in metadata() {
        let mut old = good();
        old["metadata"][field] = value;
        old["metadata"]["finalizers"] = json!(["example.com/wait"]);
        let path = format!("metadata.{field}");
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!(null);
        is_excused(&update(&snapshot, &new, &old), &path);
        // Everything else is judged as usual: what is new refuses, what was there does not.
        new["spec"]["containers"][0]["image"] = json!("web:2");
        let decision = update(&snapshot, &new, &old);
        let image = ("unpinned-images", "spec.containers[0].image".to_owned(), false);
        assert_eq!(found(&decision), [image, ("unreadable-fields", path.clone(), true)]);
        assert!(!decision.allowed);
        new["spec"]["containers"][0] = old["spec"]["containers"][0].clone();
        new["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
        let decision = update(&snapshot, &new, &old);
        assert!(
            !decision.allowed
                && found(&decision).contains(&(
                    "privileged-containers",
                    "spec.containers[0].securityContext.privileged".to_owned(),
                    false
                ))
        );
        // Neither a creation nor a change of the field itself is excused.
        assert!(unreadable(&old, None).is_some_and(|why| why.contains(&path)), "{path}");
        let mut changed = old.clone();
        changed["metadata"][field] = json!([[[1]]]);
        assert!(unreadable(&changed, Some(&old)).is_some() && unreadable(&changed, Some(&good())).is_some());
        assert!(unreadable(&old, Some(&json!(null))).is_some() && unreadable(&old, Some(&json!(7))).is_some());
    }
}

#[test]
fn several_fields_of_the_metadata_are_excused_together_or_not_at_all() {
    let mut old = good();
    for (field, value) in metadata() {
        old["metadata"][field] = value;
    }
    let decision = update(&configured(HARDENED), &old, &old);
    assert!(decision.allowed && decision.findings.len() == 6, "{decision:?}");
    let mut new = old.clone();
    new["metadata"]["labels"]["a"] = json!(8);
    assert!(unreadable(&new, Some(&old)).is_some_and(|why| why.contains("metadata.labels")));
}

#[test]
fn a_pod_spec_that_cannot_be_read_is_excused_whole_or_not_at_all() {
    let snapshot = configured(HARDENED);
    for (pointer, value) in fields_of_a_spec() {
        let mut old = good();
        put(&mut old, pointer, value);
        let mut new = old.clone();
        new["metadata"]["labels"] = json!({"team": "pay"});
        is_excused(&update(&snapshot, &new, &old), "spec");
        assert!(unreadable(&new, None).is_some(), "{pointer}: a creation");
        if pointer == "/spec" {
            continue;
        }
        for (beside, change) in [
            ("/spec/hostNetwork", json!(true)),
            ("/spec/terminationGracePeriodSeconds", json!(3)),
            ("/spec/containers/0/image", json!(PINNED.replace("web", "app"))),
        ] {
            let mut changed = new.clone();
            put(&mut changed, beside, change);
            assert!(unreadable(&changed, Some(&old)).is_some(), "{pointer}, {beside}");
        }
        let mut privileged = new.clone();
        if privileged["spec"]["containers"][0]["securityContext"].is_object() {
            privileged["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
            assert!(unreadable(&privileged, Some(&old)).is_some(), "{pointer}");
        }
        let mut second = container("b", "web:1");
        second["securityContext"]["privileged"] = json!(true);
        privileged = new.clone();
        privileged["spec"]["ephemeralContainers"] = json!([second]);
        assert!(unreadable(&privileged, Some(&old)).is_some(), "{pointer}");
    }
}

#[test]
fn labels_are_judged_beside_a_spec_that_cannot_be_read() {
    let world = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: all, namespace: default}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}\n";
    let world = crate::judging::world(world);
    let mut old = good();
    old["metadata"]["labels"] = json!({"app": "web"});
    old["spec"]["volumes"] = json!("x");
    let snapshot = configured("policies: {unisolated-pods: {mode: enforce}}\n");
    let judged = |new: &Value| crate::judging::answer(&snapshot, &asked("UPDATE", new, Some(&old)), &world);
    assert!(judged(&old).allowed);
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"app": "other"});
    let decision = judged(&new);
    assert!(!decision.allowed, "it leaves its NetworkPolicy: {decision:?}");
}

#[test]
fn a_template_that_cannot_be_read_is_excused_whole_or_not_at_all() {
    let snapshot = configured(HARDENED);
    for kind in TEMPLATE_KINDS {
        for (pointer, value) in fields_of_a_spec() {
            let mut broken = good();
            put(&mut broken, pointer, value);
            let old = wrapped(&broken, kind);
            let mut new = old.clone();
            new["metadata"]["annotations"] = json!({"team": "pay"});
            if kind.2 == "spec.template" {
                new["spec"]["replicas"] = json!(0);
            }
            is_excused(&update(&snapshot, &new, &old), kind.2);
            assert!(unreadable(&new, None).is_some(), "{pointer}: a creation");
            broken["metadata"]["labels"] = json!({"team": "pay"});
            assert!(unreadable(&wrapped(&broken, kind), Some(&old)).is_some(), "{pointer}: a template is judged whole");
        }
    }
}

#[test]
fn beside_a_template_that_cannot_be_read_the_others_are_judged() {
    let rows = "workloads:\n- {group: jobset.x-k8s.io, kind: JobSet, path: /spec/jobs/*/template}\n";
    let snapshot = configured(&format!("{HARDENED}defaults: all\n{rows}"));
    let set = |specs: [Value; 2]| {
        let jobs = specs.map(|spec| json!({"name": "j", "template": {"spec": spec}}));
        json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "web"}, "spec": {"jobs": jobs}})
    };
    let mut bad = good()["spec"].clone();
    bad["containers"][0]["image"] = json!("web:1");
    let broken = json!({"containers": [{"name": "a", "ports": "x"}]});
    let old = set([broken.clone(), good()["spec"].clone()]);
    let decision = update(&snapshot, &set([broken.clone(), bad.clone()]), &old);
    assert!(!decision.allowed, "{decision:?}");
    let image = "spec.jobs[1].template.spec.containers[0].image".to_owned();
    let unread = ("unreadable-fields", "spec.jobs[0].template".to_owned(), true);
    assert_eq!(found(&decision), [("unpinned-images", image, false), unread]);
    let mutation = crate::judging::set_in_review(&snapshot, &asked("UPDATE", &set([broken.clone(), bad]), Some(&old)));
    let patch = crate::judging::patch(&mutation).to_string();
    assert!(!patch.contains("/spec/jobs/0/"), "{patch}");
    // In another place it is another one.
    assert!(update_is_unreadable(&snapshot, &set([good()["spec"].clone(), broken]), &old));
}

fn update_is_unreadable(snapshot: &portcullis::snapshot::Snapshot, new: &Value, old: &Value) -> bool {
    let review = asked("UPDATE", new, Some(old)).to_string();
    let read = review::decode(review.as_bytes(), snapshot.workloads(), jiff::Timestamp::UNIX_EPOCH);
    read.expect("has a uid").unreadable.is_some()
}

#[test]
fn what_leads_to_templates_and_stays_as_it_is_is_no_reason() {
    let rows = "workloads:\n- {group: jobset.x-k8s.io, kind: JobSet, path: /spec/jobs/*/template}\n";
    let snapshot = configured(&format!("{HARDENED}{rows}"));
    for (spec, path) in [
        (json!("x"), "spec"),
        (json!({"jobs": "x"}), "spec.jobs"),
        (json!({"jobs": [7]}), "spec.jobs[0]"),
        (json!({"jobs": [{"template": []}]}), "spec.jobs[0].template"),
    ] {
        let old = json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "web"}, "spec": spec});
        let mut new = old.clone();
        new["metadata"]["labels"] = json!({"team": "pay"});
        is_excused(&update(&snapshot, &new, &old), path);
    }
}

#[test]
fn strict_updates_excuse_no_field_either() {
    let mut old = good();
    old["metadata"]["annotations"] = json!([]);
    let strict = |mode: &str| format!("{HARDENED}policies: {{unpinned-images: {{mode: {mode}, updates: strict}}}}\n");
    assert!(!update(&configured(&strict("enforce")), &old, &old).allowed);
    assert!(update(&configured(&strict("warn")), &old, &old).allowed);
}

#[test]
fn below_warn_it_is_recorded_only() {
    let mut old = good();
    old["spec"]["volumes"] = json!("x");
    let decision = update(&configured("profile: hardened\nceiling: audit\n"), &old, &old);
    assert_eq!((decision.verdict, decision.findings.len()), (Verdict::WouldDeny, 1));
    assert_eq!(update(&configured("ceiling: off\n"), &old, &old).verdict, Verdict::Allow);
}
