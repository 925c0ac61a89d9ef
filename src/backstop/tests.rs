//! The namespaces of each policy, and names that are written into expressions.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};

use super::pods::RULES;
use super::{Backstop, Settings, backstop};
use crate::config::compile_at;
use crate::policy::catalogue;

/// The time at which configurations are read.
const NOW: &str = "2026-11-26T12:00:00Z";

fn settings() -> Settings {
    Settings {
        namespace: "portcullis".to_owned(),
        groups: vec!["on-call".to_owned()],
        users: Vec::new(),
        is_static: false,
        now: NOW.parse().expect("a time"),
    }
}

fn made(configuration: &str, settings: &Settings) -> Backstop {
    let text = format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n{configuration}");
    let now: Timestamp = settings.now;
    backstop(&compile_at("test", &text, None, now).expect("compiles").snapshot, settings)
}

/// The namespaces in which a policy is judged: `In a b`, or `NotIn a b`; none if it is not.
fn places(configuration: &str, id: &str) -> Vec<String> {
    let made = made(configuration, &settings());
    let judges = |policy: &ValidatingAdmissionPolicy| {
        let validations = policy.spec.iter().flat_map(|spec| spec.validations.iter().flatten());
        let mut messages = validations.filter_map(|one| one.message.as_ref());
        messages.any(|message| message.starts_with(&format!("{id}: ")))
    };
    let place = |binding: &ValidatingAdmissionPolicyBinding| {
        let selector = binding.spec.match_resources.clone()?.namespace_selector?;
        let requirement = selector.match_expressions?.pop()?;
        Some(format!("{} {}", requirement.operator, requirement.values?.join(" ")))
    };
    made.policies.iter().filter(|(policy, _)| judges(policy)).filter_map(|(_, binding)| place(binding)).collect()
}

#[test]
fn a_policy_is_judged_where_it_enforces() {
    assert_eq!(places("profile: hardened\n", "host-ports"), ["NotIn portcullis"]);
    let relaxed = "profile: hardened\nnamespaces: [{match: {names: [kube-system]}, ceiling: audit, relax: true}]\n";
    assert_eq!(places(relaxed, "host-ports"), ["NotIn kube-system portcullis"]);
    let raised =
        "profile: hardened\nceiling: audit\nnamespaces: [{match: {names: [pay, portcullis]}, ceiling: enforce}]\n";
    assert_eq!(places(raised, "host-ports"), ["In pay"]);
    assert_eq!(places("profile: audit-only\n", "host-ports"), [] as [&str; 0]);
    // Another policy finds all that it finds, and runs in its place.
    assert_eq!(places("profile: hardened\n", "host-paths"), [] as [&str; 0]);
    assert_eq!(places("profile: pss-baseline\n", "host-paths"), ["NotIn portcullis"]);
    // It has two meanings here, each in its place.
    let levels = "profile: pss-restricted\nnamespaces:\n- match: {names: [old]}\n  relax: true\n  \
                  policies: {proc-mounts: {settings: {level: baseline}}}\n";
    assert_eq!(places(levels, "proc-mounts"), ["In old", "NotIn old portcullis"]);
}

#[test]
fn what_else_may_admit_a_pod_leaves_the_policy_out() {
    let exception = |policy: &str, until: &str| {
        format!(
            "profile: hardened\nexceptions:\n- {{name: old-images, policies: [{policy}], match: {{namespace: shop, kind: Deployment, \
             name: web}}, expires: {until}, reason: r, owner: o}}\n"
        )
    };
    let open = exception("unpinned-images", "2027-01-31T00:00:00Z");
    assert_eq!(places(&open, "unpinned-images"), ["NotIn portcullis shop"]);
    assert_eq!(places(&open, "host-ports"), ["NotIn portcullis"]);
    // One that has ended counts for nothing.
    let ended = exception("unpinned-images", "2026-11-26T12:00:00Z");
    assert_eq!(places(&ended, "unpinned-images"), ["NotIn portcullis"]);
    let notes = made(&open, &settings()).notes;
    let note = "left to Portcullis in namespace shop, because exception \"old-images\" names it: unpinned-images";
    assert!(notes.iter().any(|one| one == note), "{notes:?}");

    let existing = "profile: hardened\nexisting: {admit: true, createdBefore: 2020-01-01T00:00:00Z}\n\
                    policies: {host-ports: {updates: strict}}\n";
    assert_eq!(places(existing, "privileged-containers"), [] as [&str; 0]);
    assert_eq!(places(existing, "host-ports"), ["NotIn portcullis"]);
    let notes = made(existing, &settings()).notes;
    assert!(
        notes.iter().any(|note| note.contains("`existing` admits Pods of old workloads: unpinned-images, ")),
        "{notes:?}"
    );
}

#[test]
fn every_policy_of_the_standards_is_known() {
    let of_standards = catalogue::CATALOGUE.iter().filter(|entry| {
        entry.safety.is_none()
            && entry.meta.controls.iter().any(|control| control.standard.starts_with("Pod Security Standards"))
    });
    let mut ids: Vec<&str> = of_standards.map(|entry| entry.meta.id).chain(["unpinned-images"]).collect();
    let mut known: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, ids);
    let notes = made("profile: hardened\n", &settings()).notes;
    let left = "writable-root-filesystems, automounted-tokens, default-service-accounts, unisolated-pods";
    assert!(notes.iter().any(|note| note.ends_with(&format!("no rule for them: {left}"))), "{notes:?}");
}

#[test]
fn a_name_is_a_literal_whatever_is_in_it() {
    let bad = "a\"] || true || g in [\"\\\n\u{2028}'";
    let settings = Settings { groups: vec![bad.to_owned()], users: vec![bad.to_owned()], ..settings() };
    let made = made("profile: hardened\nbreakGlass: {groups: [\"x\\\"y\"]}\n", &settings);
    let escaped = r#""a\"] || true || g in [\"\\\n"#;
    let mut seen = 0;
    for (policy, _) in &made.policies {
        let spec = policy.spec.clone().expect("a spec");
        let conditions = spec.match_conditions.into_iter().flatten().map(|one| one.expression);
        for expression in conditions.chain(spec.validations.into_iter().flatten().map(|one| one.expression)) {
            assert!(!expression.contains('\n'));
            seen += expression.matches(escaped).count();
            assert_eq!(expression.matches("g in [\"system:masters\"").count(), expression.matches("exists(").count());
        }
    }
    // In the condition of the Pods, and as group and user of the guard.
    assert_eq!(seen, 3);
    let pods = made.policies[0].0.spec.as_ref().and_then(|spec| spec.match_conditions.as_ref()).expect("conditions");
    assert!(pods[2].expression.ends_with(r#", "x\"y"])"#), "{}", pods[2].expression);
}
