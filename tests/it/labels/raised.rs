//! Labels that entries of `namespaces` match: what is judged in a namespace that carries one, and when nobody can tell.

use portcullis::cluster::Manifests;
use portcullis::decision::{Decision, ModedFinding, Verdict, mode_of_trouble};
use portcullis::mode::Mode;
use portcullis::request::Source;
use portcullis::review::{self, Judge};
use serde_json::{Value, json};

use super::{host_root, root};
use crate::judging::{self, answer, configured, with_creation, world};

const RAISED: &str = "ceiling: audit\npolicies: {root-users: {mode: enforce}, unlabelled-namespaces: {mode: enforce, settings: \
                      {enforce: privileged, mayWeaken: [it-platform]}}}\n\
                      namespaces:\n- {match: {labels: {tier: pci}}, ceiling: enforce, defaults: safe}\n";

/// The namespace `default` with one label.
fn tier(value: &str) -> Manifests {
    world(
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"tier": value}}})
            .to_string(),
    )
}

fn create(world: &Manifests, object: &Value, source: Source) -> Decision {
    judging::create(&configured(RAISED), object, world, source).expect("readable")
}

#[test]
fn a_policy_refuses_where_the_namespace_carries_the_label() {
    for (value, verdict) in [("pci", Verdict::Deny), ("prod", Verdict::WouldDeny), ("", Verdict::WouldDeny)] {
        assert_eq!(create(&tier(value), &root(), Source::ApiServer).verdict, verdict, "{value}");
    }
    assert_eq!(create(&Manifests::whole(true), &root(), Source::ApiServer).verdict, Verdict::WouldDeny);
    let left_out = create(&Manifests::default(), &root(), Source::Manifest);
    let ids: Vec<_> = left_out.left_out.iter().map(|meta| meta.id).collect();
    assert_eq!((left_out.verdict, ids), (Verdict::WouldDeny, vec!["namespaces"]));
    // Pod Security labels add to what is raised, up to its ceiling.
    let tightened = configured(&format!("podSecurityLabels: tighten\n{RAISED}"));
    let labels = json!({"tier": "pci", "pod-security.kubernetes.io/enforce": "baseline"});
    let both = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": labels}});
    let decision =
        judging::create(&tightened, &host_root(), &world(&both.to_string()), Source::ApiServer).expect("readable");
    let refusing: Vec<_> = decision.findings.iter().filter(|one| one.refuses()).map(|one| one.meta.id).collect();
    assert_eq!(refusing, ["host-namespaces", "root-users"]);
}

#[test]
fn labels_that_nobody_can_tell_refuse_as_far_as_they_could_raise() {
    let none = super::unread::unknown();
    let decision = judging::create(&configured(RAISED), &root(), &none, Source::ApiServer).expect("readable");
    let failed: Vec<_> = decision.findings.iter().filter(|one| one.failed).map(|one| (one.meta.id, one.mode)).collect();
    assert_eq!((decision.verdict, failed), (Verdict::Error, vec![("namespaces", Mode::Enforce)]));
    // Nothing raises what no policy judges.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}});
    assert_eq!(
        judging::create(&configured(RAISED), &map, &none, Source::ApiServer).expect("readable").verdict,
        Verdict::Allow
    );

    let mode = |world: &dyn portcullis::facts::World| {
        let snapshot = configured(RAISED);
        with_creation(&snapshot, &root(), Source::ApiServer, |request| mode_of_trouble(&snapshot, request, world))
    };
    assert_eq!(mode(&none).expect("readable"), Mode::Enforce);
    assert_eq!(mode(&tier("pci")).expect("readable"), Mode::Enforce);
    assert_eq!(mode(&tier("prod")).expect("readable"), Mode::Audit);
}

#[test]
fn defaults_are_set_where_the_namespace_carries_the_label() {
    let snapshot = configured(RAISED);
    let mut pod = root();
    pod["spec"]["securityContext"]["seccompProfile"] = Value::Null;
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "CREATE", "name": "web", "namespace": "default", "userInfo": {"username": "jane"},
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": pod,
    }})
    .to_string();
    let review =
        review::decode(review.as_bytes(), snapshot.workloads(), jiff::Timestamp::UNIX_EPOCH).expect("has a uid");
    for (value, verdict) in [("pci", Verdict::Patch), ("prod", Verdict::Unchanged)] {
        let world = tier(value);
        let judge = Judge { snapshot: &snapshot, world: &world, endpoint: portcullis::decision::Endpoint::Mutate };
        assert_eq!(judge.decide_at_once(&review).verdict, verdict, "{value}");
    }
}

/// What refuses an update of the labels of a Namespace, by a member of `group`.
fn refused(group: &str, subresource: &str, from: &Value, to: &Value) -> Vec<String> {
    refused_by(RAISED, group, subresource, from, to)
}

fn refused_by(configuration: &str, group: &str, subresource: &str, from: &Value, to: &Value) -> Vec<String> {
    let object = |labels: &Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "subResource": subresource, "name": "shop", "namespace": "shop",
        "kind": {"group": "", "version": "v1", "kind": "Namespace"},
        "resource": {"group": "", "version": "v1", "resource": "namespaces"},
        "userInfo": {"username": "alice", "groups": [group]}, "object": object(to), "oldObject": object(from),
    }});
    let decision = answer(&configured(configuration), &review, &super::unread::unknown());
    let refusing = decision.findings.into_iter().filter(ModedFinding::refuses);
    refusing.map(|finding| format!("{} {}", finding.place.shown(), finding.message)).collect()
}

#[test]
fn a_namespace_whose_name_is_generated_is_governed_by_its_label_too() {
    let object = |tier: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "shop-", "labels": {"tier": tier, "pod-security.kubernetes.io/enforce": "foo"}}});
    let asked = |tier: &str| {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Namespace"},
            "resource": {"group": "", "version": "v1", "resource": "namespaces"}, "object": object(tier),
        }})
    };
    for (tier, allowed) in [("pci", false), ("prod", true)] {
        assert_eq!(answer(&configured(RAISED), &asked(tier), &super::unread::unknown()).allowed, allowed, "{tier}");
    }
}

#[test]
fn a_namespace_that_cannot_be_read_is_refused_as_far_as_its_labels_could_raise() {
    let asked = |labels: Value| {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "name": "shop", "kind": {"group": "", "version": "v1", "kind": "Namespace"},
            "resource": {"group": "", "version": "v1", "resource": "namespaces"},
            "object": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}},
        }})
        .to_string()
    };
    let snapshot = configured(RAISED);
    let world = super::unread::unknown();
    let judge = Judge { snapshot: &snapshot, world: &world, endpoint: portcullis::decision::Endpoint::Validate };
    for (labels, allowed) in [(json!(7), false), (json!({"tier": "prod"}), true)] {
        let text = asked(labels);
        let review = review::decode(text.as_bytes(), snapshot.workloads(), jiff::Timestamp::UNIX_EPOCH).expect("a uid");
        assert_eq!(judge.decide_at_once(&review).allowed, allowed, "{text}");
    }
}

#[test]
fn a_namespace_keeps_the_label_that_raises() {
    let gone = "metadata.labels[tier] must stay \"pci\": only the groups in mayWeaken may take it away";
    let pci = json!({"tier": "pci"});
    for below in ["", "status", "finalize"] {
        assert_eq!(refused("dev", below, &pci, &json!({})), [gone], "{below}");
        let exempt = RAISED.replace("mayWeaken", "exempt: [shop], mayWeaken");
        assert_eq!(refused_by(&exempt, "dev", below, &pci, &json!({})), [gone], "of its Pod Security labels alone");
        let other =
            "metadata.labels[tier] must stay \"pci\", not become \"prod\": only the groups in mayWeaken may change it";
        assert_eq!(refused("dev", below, &pci, &json!({"tier": "prod"})), [other], "{below}");
        assert_eq!(refused("it-platform", below, &pci, &json!({})), [] as [&str; 0]);
    }
    for (from, to) in [
        (json!({}), pci.clone()),
        (pci.clone(), json!({"tier": "pci", "team": "a"})),
        (json!({"tier": "prod"}), json!({})),
        (json!({"tier": "prod"}), json!({"tier": "dev"})),
    ] {
        assert_eq!(refused("dev", "", &from, &to), [] as [&str; 0], "{from} {to}");
    }
}
