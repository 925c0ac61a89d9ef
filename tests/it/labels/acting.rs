//! Effect of Pod Security labels: their mode, the ceiling, every kind, and never less than what is configured.

use portcullis::cluster::NoCluster;
use portcullis::decision::Verdict;
use portcullis::facts::World;
use portcullis::mode::Mode;
use serde_json::json;

use super::{RESTRICTED, TIGHTEN, breaks, create, found, host_root, labelled, root};
use crate::judging::{self, configured};
use crate::kubernetes::objects::{TEMPLATES, holder, pod, spec};

const NOT_FALSE: &str = "must not be false";

#[test]
fn each_label_acts_in_its_mode_and_says_that_it_does() {
    let snapshot = configured(TIGHTEN);
    for (mode, verdict, allowed) in [
        (Mode::Enforce, Verdict::Deny, false),
        (Mode::Warn, Verdict::Warn, true),
        (Mode::Audit, Verdict::WouldDeny, true),
    ] {
        let labels = [(mode.as_str(), "restricted"), ("enforce-version", "v1.30")];
        let decision = create(&snapshot, &labels, &root());
        assert_eq!((decision.verdict, decision.allowed), (verdict, allowed), "{mode}");
        let version = if mode == Mode::Enforce { "v1.30" } else { "latest" };
        let message = format!("{NOT_FALSE}, as the namespace's labels ask ({mode}=restricted:{version})");
        assert_eq!(found(&decision), [("root-users", mode, message.as_str())]);
        assert_eq!(decision.findings[0].configured, None);
    }
    assert_eq!(create(&snapshot, RESTRICTED, &pod("web", spec())).verdict, Verdict::Allow);
}

#[test]
fn a_level_is_its_profile() {
    let snapshot = configured(TIGHTEN);
    let (baseline, restricted) = ([("enforce", "baseline")], RESTRICTED);
    assert_eq!(create(&snapshot, &baseline, &root()).verdict, Verdict::Allow);
    let host = create(&snapshot, &baseline, &host_root());
    assert!(!host.allowed && breaks(&host, "host-namespaces") && !breaks(&host, "root-users"), "{host:?}");
    let both = create(&snapshot, restricted, &host_root());
    assert!(breaks(&both, "host-namespaces") && breaks(&both, "root-users"), "{both:?}");
    // Nothing else of what is in the catalogue.
    let mut unpinned = pod("web", spec());
    unpinned["spec"]["containers"][0]["image"] = "nginx".into();
    assert_eq!(create(&snapshot, restricted, &unpinned).verdict, Verdict::Allow);
}

#[test]
fn templates_are_refused_like_pods() {
    let snapshot = configured(TIGHTEN);
    for (kind, _, path) in TEMPLATES {
        let decision = create(&snapshot, RESTRICTED, &holder(kind, "web", root()["spec"].clone()));
        assert!(!decision.allowed, "{kind}: {decision:?}");
        assert_eq!(decision.findings[0].place.shown(), format!("{path}spec.securityContext.runAsNonRoot"), "{kind}");
    }
}

#[test]
fn nothing_acts_above_the_ceiling() {
    for (ceiling, verdict) in [(Mode::Warn, Verdict::Warn), (Mode::Audit, Verdict::WouldDeny)] {
        let decision = create(&configured(&format!("{TIGHTEN}ceiling: {ceiling}\n")), RESTRICTED, &root());
        assert_eq!((decision.verdict, decision.allowed), (verdict, true), "{ceiling}");
        let [finding] = decision.findings.as_slice() else { panic!("{decision:?}") };
        assert_eq!((finding.mode, finding.configured), (ceiling, Some(Mode::Enforce)), "what it would be is said");
    }
    assert_eq!(create(&configured(&format!("{TIGHTEN}ceiling: off\n")), RESTRICTED, &root()).findings.len(), 0);
    // The ceiling of the namespace's own entry, not the top's.
    let raised = "ceiling: audit\nnamespaces: [{match: {names: [default]}, ceiling: enforce}]\n";
    assert!(!create(&configured(&format!("{TIGHTEN}{raised}")), RESTRICTED, &root()).allowed);
    let lowered = "namespaces: [{match: {names: [default]}, ceiling: warn, relax: true}]\n";
    assert!(create(&configured(&format!("{TIGHTEN}{lowered}")), RESTRICTED, &root()).allowed);
}

/// Everything that labels may say, against everything that may be configured of two policies.
#[test]
fn whatever_they_say_nothing_acts_less_far() {
    const LEVELS: [Option<&str>; 5] =
        [None, Some("privileged"), Some("baseline"), Some("restricted"), Some("nonsense")];
    let object = host_root();
    let mut all: Vec<Vec<(&str, &str)>> = Vec::new();
    for enforce in LEVELS {
        for warn in LEVELS {
            for audit in [None, Some("restricted")] {
                for version in [None, Some("v1.0"), Some("nonsense")] {
                    let labels = [("enforce", enforce), ("warn", warn), ("audit", audit), ("enforce-version", version)];
                    all.push(labels.into_iter().filter_map(|(key, value)| Some((key, value?))).collect());
                }
            }
        }
    }
    for (mode, ceiling, version) in Mode::ALL.into_iter().flat_map(|mode| {
        Mode::ALL.into_iter().flat_map(move |ceiling| ["latest", "v1.20"].map(|version| (mode, ceiling, version)))
    }) {
        let snapshot = configured(&format!(
            "{TIGHTEN}ceiling: {ceiling}\npodSecurityVersion: {version}\npolicies:\n  host-namespaces: {{mode: {mode}}}\n  \
             root-users: {{mode: {mode}}}\n"
        ));
        let without = create(&snapshot, &[], &object);
        for labels in &all {
            let with = create(&snapshot, labels, &object);
            let told = format!("{mode} under {ceiling} at {version}, {labels:?}: {with:?}");
            for before in &without.findings {
                let is_kept = with.findings.iter().any(|after| {
                    std::ptr::eq(after.meta, before.meta)
                        && after.place == before.place
                        && after.message.starts_with(&before.message)
                        && after.mode >= before.mode
                });
                assert!(is_kept, "{told}");
            }
            assert!(with.findings.iter().all(|finding| finding.mode <= ceiling), "{told}");
            let label = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, level)| *level);
            let asks = matches!(label("enforce"), Some("baseline" | "restricted" | "nonsense"));
            let refuses = ceiling == Mode::Enforce && (mode == Mode::Enforce || asks);
            assert_eq!(with.allowed, !refuses, "{told}");
        }
    }
}

#[test]
fn what_is_never_refused_is_warned_of() {
    // As labels ask, and where nobody could read them.
    for world in [&labelled(RESTRICTED) as &dyn World, &NoCluster::Missed] {
        is_warned_of(world);
    }
}

fn is_warned_of(world: &dyn World) {
    let snapshot = configured(TIGHTEN);
    let review = |user: &serde_json::Value, object: &serde_json::Value, kind: [&str; 3]| {
        let [group, version, kind] = kind;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "namespace": "default", "name": "web", "userInfo": user,
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": "any"}, "object": object,
        }});
        judging::answer(&snapshot, &review, world)
    };
    let jane = json!({"username": "jane"});
    let mut mirror = root();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "a"});
    mirror["spec"]["nodeName"] = "one".into();
    let mut owned = holder("ReplicaSet", "web", root()["spec"].clone());
    owned["metadata"]["ownerReferences"] = json!([{"controller": true, "kind": "Deployment", "name": "web"}]);
    let pod = ["", "v1", "Pod"];
    for decision in [
        review(&json!({"username": "system:apiserver"}), &root(), pod),
        review(&json!({"username": "system:node:one", "groups": ["system:nodes"]}), &mirror, pod),
        review(&jane, &owned, ["apps", "v1", "ReplicaSet"]),
    ] {
        let modes: Vec<Mode> = decision.findings.iter().map(|finding| finding.mode).collect();
        assert_eq!((modes.as_slice(), decision.allowed), (&[Mode::Warn][..], true), "{decision:?}");
    }
    assert!(!review(&jane, &mirror, pod).allowed, "the annotation alone buys nothing");
}
