//! The Pod Security labels of a namespace: what they add to what is configured, and that they take nothing away.

mod acting;
mod raised;
mod running;
mod unread;
mod updates;

use portcullis::cluster::Manifests;
use portcullis::decision::Decision;
use portcullis::mode::Mode;
use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging::{self, configured};
use crate::kubernetes::objects::{pod, spec};

/// Nothing is configured but that labels count.
const TIGHTEN: &str = "podSecurityLabels: tighten\n";
/// The label that asks for most.
const RESTRICTED: &[(&str, &str)] = &[("enforce", "restricted")];

/// The namespace `default` with these Pod Security labels.
fn labelled(labels: &[(&str, &str)]) -> Manifests {
    let labels: Value =
        labels.iter().map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), *value)).collect();
    let metadata = json!({"name": "default", "labels": labels});
    judging::world(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).to_string())
}

/// The decision about the creation of an object there.
fn create(snapshot: &Snapshot, labels: &[(&str, &str)], object: &Value) -> Decision {
    judging::create(snapshot, object, &labelled(labels), Source::ApiServer).expect("readable")
}

/// A Pod that breaks one policy of level restricted, `root-users`.
fn root() -> Value {
    let mut spec = spec();
    spec["securityContext"]["runAsNonRoot"] = false.into();
    spec["containers"][0]["securityContext"]["runAsNonRoot"] = true.into();
    pod("web", spec)
}

/// A Pod that breaks one policy of level baseline, `host-namespaces`, too.
fn host_root() -> Value {
    let mut pod = root();
    pod["spec"]["hostPID"] = true.into();
    pod
}

/// Policy, mode and message of each finding.
fn found(decision: &Decision) -> Vec<(&str, Mode, &str)> {
    decision.findings.iter().map(|finding| (finding.meta.id, finding.mode, finding.message.as_str())).collect()
}

/// True if a policy found something.
fn breaks(decision: &Decision, policy: &str) -> bool {
    decision.findings.iter().any(|finding| finding.meta.id == policy)
}

#[test]
fn they_count_only_where_the_configuration_says_so() {
    for lines in ["", "podSecurityLabels: ignore\n", "podSecurityLabels:\n"] {
        let decision = create(&configured(lines), RESTRICTED, &host_root());
        assert!(decision.allowed && decision.findings.is_empty(), "{lines}: {decision:?}");
    }
    assert!(!create(&configured(TIGHTEN), RESTRICTED, &host_root()).allowed);
}

#[test]
fn labels_of_anything_but_the_namespace_count_for_nothing() {
    let mut labelled = host_root();
    labelled["metadata"]["labels"] = json!({
        "pod-security.kubernetes.io/enforce": "privileged",
        "pod-security.kubernetes.io/enforce-version": "v1.0",
    });
    let snapshot = configured(TIGHTEN);
    assert_eq!(
        found(&create(&snapshot, RESTRICTED, &labelled)),
        found(&create(&snapshot, RESTRICTED, &host_root())),
        "a Pod does not excuse itself"
    );
    labelled["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted".into();
    assert_eq!(found(&create(&snapshot, &[], &labelled)), [], "nor does it ask for anything");
    // The Namespace itself holds no pod.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    assert_eq!(found(&create(&snapshot, RESTRICTED, &namespace)), []);
}
