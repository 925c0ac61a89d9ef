//! Policies that must hold for an exception to count.

use portcullis::cluster::Manifests;
use portcullis::decision::{Decision, Exemption, Verdict};
use portcullis::facts::World;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{NOW, Silent, answer, configured, container, create, deployment, exception, pod, review_of, time};
use crate::judging;

/// An exception from `unpinned-images` that requires these.
fn requiring(requires: &str) -> String {
    exception("one", "unpinned-images", "namespace: shop")
        .replace("expires", &format!("requires: [{requires}], expires"))
}

/// `unpinned-images` enforced, another policy in this mode, and an exception that requires it.
fn with(other: &str, mode: &str, more: &str) -> Snapshot {
    let one = requiring(other);
    configured(&format!(
        "policies: {{unpinned-images: {{mode: enforce}}, {other}: {{mode: {mode}}}}}\nexceptions: [{one}{more}]\n"
    ))
}

fn privileged(is: bool) -> Value {
    pod("web", &[json!({"name": "web", "image": "nginx", "securityContext": {"privileged": is}})])
}

fn is_exempt(decision: &Decision) -> bool {
    let unpinned = decision.findings.iter().find(|finding| finding.meta.id == "unpinned-images").expect("unpinned");
    unpinned.exemption.is_some()
}

#[test]
fn a_required_policy_holds_where_it_finds_nothing_in_any_mode() {
    for mode in ["enforce", "warn", "audit"] {
        let snapshot = with("privileged-containers", mode, "");
        assert_eq!(create(&snapshot, &privileged(false)).verdict, Verdict::Exempt, "{mode}");
        assert_eq!(create(&snapshot, &privileged(true)).verdict, Verdict::Deny, "{mode}");
    }
}

#[test]
fn an_exception_for_the_required_policy_does_not_make_it_hold() {
    let other = exception("other", "privileged-containers", "namespace: shop");
    let decision = create(&with("privileged-containers", "enforce", &format!(", {other}")), &privileged(true));
    assert!(!is_exempt(&decision), "{decision:?}");
    assert_eq!(decision.verdict, Verdict::Deny);
}

const ISOLATED: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: shop}, \
                        spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}";
const ELSEWHERE: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: pay}, \
                         spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}";

#[test]
fn a_required_policy_that_failed_or_was_left_out_does_not_hold() {
    let snapshot = with("unisolated-pods", "audit", "");
    let review = review_of("CREATE", "jane", &privileged(false), None);
    let decide = |world: &dyn World| answer(&snapshot, &review, world, time(NOW));
    let failed = decide(&Silent);
    assert!(!is_exempt(&failed) && !failed.allowed && failed.verdict == Verdict::Error, "{failed:?}");
    let left_out = decide(&Manifests::default());
    assert!(!left_out.left_out.is_empty() && !is_exempt(&left_out), "{left_out:?}");
    assert!(!is_exempt(&decide(&judging::world(ELSEWHERE))), "not isolated");
    assert!(is_exempt(&decide(&judging::world(ISOLATED))));
}

#[test]
fn on_a_template_what_another_object_may_resolve_is_left_to_the_pods() {
    let snapshot = with("unisolated-pods", "enforce", "");
    let template = deployment("web", &[container("web", "nginx")]);
    let decide = |object: &Value| {
        answer(&snapshot, &review_of("CREATE", "jane", object, None), &judging::world(ELSEWHERE), time(NOW))
    };
    let decision = decide(&template);
    assert_eq!(decision.verdict, Verdict::Exempt, "{decision:?}");
    let (_, exemption) = decision.exempted().expect("one");
    let Exemption::Exception { undecided, .. } = exemption else { panic!("{exemption:?}") };
    assert_eq!(undecided.iter().map(|meta| meta.id).collect::<Vec<_>>(), ["unisolated-pods"]);
    let warnings = portcullis::review::warnings(&decision, None);
    assert!(
        warnings.iter().any(|line| line.starts_with(
            "exempt by exception \"one\" until 2027-01-31T00:00:00Z if its Pods keep to unisolated-pods: unpinned-images: "
        )),
        "{warnings:?}"
    );
    assert_eq!(decide(&pod("web", &[container("web", "nginx")])).verdict, Verdict::Deny, "the Pod decides");
    // What no other object resolves is not left to them.
    let mut on_host = template;
    on_host["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    let decision = decide(&on_host);
    assert_eq!(decision.verdict, Verdict::Deny, "{decision:?}");
}

#[test]
fn a_policy_that_finds_all_that_the_required_one_finds_stands_for_it() {
    // At this version one replaces the other, which does not run.
    let lines = format!(
        "policies: {{unpinned-images: {{mode: enforce}}, seccomp-unconfined: {{mode: warn}}, missing-seccomp-profiles: \
         {{mode: enforce}}}}\nexceptions: [{}]\n",
        requiring("seccomp-unconfined")
    );
    let snapshot = configured(&lines);
    let mut held = pod("web", &[container("web", "nginx")]);
    held["spec"]["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(create(&snapshot, &held).verdict, Verdict::Exempt);
    held["spec"]["securityContext"] = json!({"seccompProfile": {"type": "Unconfined"}});
    assert!(!is_exempt(&create(&snapshot, &held)));
}

#[test]
fn nothing_holds_in_an_object_with_a_field_that_could_not_be_read() {
    let lines = format!(
        "policies: {{unpinned-images: {{mode: enforce, updates: strict}}, privileged-containers: {{mode: audit}}}}\n\
         exceptions: [{}]\n",
        requiring("privileged-containers")
    );
    let mut object = deployment("web", &[container("web", "nginx")]);
    object["metadata"]["labels"] = json!(7);
    let snapshot = configured(&lines);
    let decide = |object: &Value| {
        answer(&snapshot, &review_of("UPDATE", "jane", object, Some(object)), &Manifests::default(), time(NOW))
    };
    let decision = decide(&object);
    assert!(!is_exempt(&decision) && !decision.allowed, "{decision:?}");
    assert!(decision.findings.iter().all(|finding| finding.exemption.is_none()));
    object["metadata"]["labels"] = json!({});
    assert_eq!(decide(&object).verdict, Verdict::Exempt);
}
