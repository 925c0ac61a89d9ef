//! `review`: AdmissionReviews in, exact responses out (`tests/reviews/<case>.json` → `<case>.response.json`).
//!
//! The last part of a case's name says how it is answered: `.warned` under a ceiling of `warn`, `.strict` with
//! `updates: strict`; `.mutate` as `/mutate` does, and `.defaults` so with `defaults: all`, `.defaults-warned` and
//! `.defaults-audited` under a ceiling too. The others are judged under the profile `hardened`. There is a NetworkPolicy
//! for every Pod of the namespace `default`, and none elsewhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ISOLATED, Ran, folder, run_in};
use crate::golden::{assert_holds, names_in, repository};

/// The API server's limits, in characters (`K/staging/src/k8s.io/apiserver/pkg/endpoints/filters/warning.go`), and ours.
const WARNINGS: (usize, usize, usize) = (12, 256, 3_800);

/// The names of the cases.
fn cases() -> Vec<String> {
    let names = names_in("tests/reviews").into_iter().filter(|name| !name.ends_with(".response.json"));
    names.map(|name| name.strip_suffix(".json").expect("JSON").to_owned()).collect()
}

/// True if a case is answered as `/mutate` does.
fn is_mutation(case: &str) -> bool {
    case.ends_with(".mutate") || case.contains(".defaults")
}

pub(super) fn answer(case: &str, review: &[u8]) -> Ran {
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n";
    let lines = match case.rsplit_once('.').map(|(_, how)| how) {
        None | Some("mutate") => "",
        Some("warned") => "ceiling: warn\n",
        Some("strict") => "policies: {unpinned-images: {updates: strict}}\n",
        Some("defaults") => "defaults: all\n",
        Some("defaults-warned") => "defaults: all\nceiling: warn\n",
        Some("defaults-audited") => "defaults: all\nceiling: audit\n",
        Some(how) => panic!("{case}: nobody knows how `{how}` is answered"),
    };
    let folder = folder(&[("config.yaml", &format!("{head}{lines}")), ("isolated.yaml", ISOLATED)]);
    // The configuration's digest is in the answer: where nothing is added, it is that of the profile.
    let policies = if lines.is_empty() { ["--profile", "hardened"] } else { ["--config", "config.yaml"] };
    let mutate: &[&str] = if is_mutation(case) { &["--mutate"] } else { &[] };
    let arguments = [&["review", "-"], &policies[..], mutate, &["--cluster-from", "isolated.yaml"]];
    run_in(folder.path(), &arguments.concat(), review)
}

/// The review of a case.
pub(super) fn review(case: &str) -> Value {
    let text = std::fs::read(repository(&format!("tests/reviews/{case}.json"))).expect(case);
    serde_json::from_slice(&text).expect(case)
}

/// The response to a case.
pub(super) fn response(case: &str) -> Value {
    let mut envelope: Value = serde_json::from_str(&answer(case, review(case).to_string().as_bytes()).out).expect(case);
    envelope["response"].take()
}

#[test]
fn every_review_gets_its_exact_response() {
    for case in cases() {
        let review = std::fs::read(repository(&format!("tests/reviews/{case}.json"))).expect("a review");
        let ran = answer(&case, &review);
        assert_eq!(ran.err, "", "{case}");
        assert_eq!(ran.out.lines().count(), 1, "{case}");
        assert_holds(&format!("tests/reviews/{case}.response.json"), &ran.out);

        let sent: Value = serde_json::from_slice(&review).expect("JSON");
        let envelope: Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!((&envelope["apiVersion"], &envelope["kind"]), (&sent["apiVersion"], &sent["kind"]), "{case}");
        let response = &envelope["response"];
        assert_eq!(response["uid"], sent["request"]["uid"], "{case}");
        let allowed = response["allowed"].as_bool().expect("a decision");
        assert_eq!(ran.code, i32::from(!allowed), "{case}");
        assert_eq!(response["status"].is_null(), allowed, "{case}");
        // On /mutate a patch alone has annotations.
        let is_silent = is_mutation(&case) && response["patch"].is_null();
        assert_eq!(response["auditAnnotations"].is_null(), is_silent, "{case}");
    }
}

#[test]
fn no_response_is_left_without_its_review() {
    let responses = names_in("tests/reviews").into_iter();
    let responses: BTreeSet<String> =
        responses.filter_map(|name| name.strip_suffix(".response.json").map(str::to_owned)).collect();
    let cases = cases().into_iter().collect();
    assert_eq!(responses.difference(&cases).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The decision of each case, besides its golden file: a wrong decision must not be rewritten unseen.
#[test]
fn what_is_never_refused_passes_and_what_only_claims_to_be_does_not() {
    for (case, decision) in [
        ("admitted-pod", "allow"),
        ("api-server-itself", "warn"),
        ("delete", "allow"),
        ("delete-collection", "allow"),
        ("denied-pod", "deny"),
        ("denied-pod-with-a-mounted-token", "deny"),
        ("exec", "warn"),
        ("generated-name", "deny"),
        ("hostile-label", "error"),
        ("long-and-hostile-image", "deny"),
        ("long-and-hostile-image.warned", "warn"),
        ("many-findings", "deny"),
        ("many-findings.warned", "warn"),
        ("mirror-pod", "warn"),
        ("mirror-pod-by-a-user", "deny"),
        ("mirror-pod-by-another-node", "deny"),
        ("mirror-pod-outside-the-group", "deny"),
        ("namespace", "allow"),
        ("node-without-the-annotation", "deny"),
        ("object-that-is-not-its-kind", "error"),
        ("object-that-is-not-its-kind.warned", "error"),
        ("owned-replica-set", "warn"),
        ("replica-set-of-nobody", "deny"),
        ("service-account", "allow"),
        ("template-without-the-automount-field", "warn"),
        ("unisolated-pod", "deny"),
        ("unisolated-template", "warn"),
        ("unknown-kind", "allow"),
        ("unknown-subresource", "deny"),
        ("update-of-ephemeral-containers", "deny"),
        ("update-of-status", "allow"),
        ("update-strict.strict", "deny"),
        ("update-with-a-new-image", "deny"),
        ("update-with-an-unreadable-old-object", "deny"),
        ("update-with-inherited-findings", "warn"),
        ("update-without-the-old-object", "deny"),
        ("v1beta1", "error"),
    ] {
        let response = response(case);
        assert_eq!(response["auditAnnotations"]["decision"], decision, "{case}");
        let refuses = decision == "deny" || decision == "error" && !case.ends_with(".warned");
        assert_eq!(response["allowed"], !refuses, "{case}");
    }
    for case in ["delete-collection.mutate", "denied-pod.mutate"] {
        assert_eq!(response(case), json!({"uid": response(case)["uid"], "allowed": true}), "no default is on");
    }
}

#[test]
fn a_refusal_has_a_line_and_a_cause_for_each_finding() {
    let response = response("denied-pod");
    let status = &response["status"];
    assert_eq!((&status["code"], &status["reason"]), (&403.into(), &"Forbidden".into()));
    let message = status["message"].as_str().expect("a message");
    let causes = status["details"]["causes"].as_array().expect("causes");
    assert_eq!(message.lines().count(), causes.len());
    for (line, cause) in message.lines().zip(causes) {
        let (field, said) = (cause["field"].as_str().expect("a field"), cause["message"].as_str().expect("a message"));
        let (policy, rest) = said.split_once(": ").expect("policy: message");
        assert_eq!(line, format!("{policy}: {field} {rest}"));
        assert!(rest.ends_with(')') && rest.contains(" ("), "how to comply: {rest}");
    }
    // Those that refuse have a line; the one that warns has its warnings.
    let refusing: BTreeSet<&str> = message.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    let policies = "unpinned-images,root-users,privilege-escalation,undropped-capabilities,missing-seccomp-profiles,\
                    writable-root-filesystems,automounted-tokens,default-service-accounts";
    assert_eq!(refusing, policies.split(',').collect());
    assert_eq!(response["auditAnnotations"]["policies"], format!("{policies},unbounded-containers"));
    let warnings = response["warnings"].as_array().expect("warnings").iter().filter_map(Value::as_str);
    assert!(warnings.clone().all(|warning| warning.starts_with("unbounded-containers: ")), "{warnings:?}");
    assert_eq!(warnings.count(), 3);
}

#[test]
fn warnings_stay_within_what_the_api_server_hands_on() {
    let (most, longest, together) = WARNINGS;
    let mut cut = 0;
    for case in cases() {
        let response = response(&case);
        let warnings: Vec<&str> =
            response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(warnings.len() <= most, "{case}: {}", warnings.len());
        let lengths = warnings.iter().map(|warning| warning.chars().count());
        assert!(lengths.clone().all(|length| length <= longest), "{case}");
        assert!(lengths.sum::<usize>() <= together, "{case}");
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert!(!message.contains(|said: char| said.is_control() && said != '\n'), "{case}: {message}");
        for warning in &warnings {
            assert!(!warning.contains(char::is_control), "{case}: {warning}");
        }
        // Whoever reads the header as something else than UTF-8 must not stumble over our own mark.
        assert!(!response.to_string().contains('…'), "{case}");
        cut += warnings.iter().filter(|warning| warning.chars().count() == longest && warning.ends_with("...")).count();
    }
    assert!(cut > 0, "one of them is cut");

    let response = response("many-findings.warned");
    let warnings = response["warnings"].as_array().expect("warnings");
    // Twenty containers with nine findings each, and the eleven that are spelled out.
    assert_eq!((warnings.len(), &warnings[11]), (12, &json!("and 169 more")));
}

#[test]
fn a_refusal_names_so_many_findings_and_counts_the_rest() {
    let response = response("many-findings");
    let message = response["status"]["message"].as_str().expect("a message");
    assert_eq!(message.lines().count(), 65);
    assert!(message.ends_with("\nand 56 more"), "{message}");
    assert_eq!(response["status"]["details"]["causes"].as_array().map(Vec::len), Some(64));
}

#[test]
fn what_cannot_be_answered_with_a_uid_ends_with_2() {
    for input in [
        "",
        "not JSON",
        "{}",
        "[]",
        "7",
        r#"["admission.k8s.io/v1", "AdmissionReview", {"uid": "1"}]"#,
        r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": "1"}}"#,
        r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#,
        r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}"#,
        r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": ""}}"#,
    ] {
        let ran = answer("case", input.as_bytes()).with_code(2);
        assert!(ran.out.is_empty() && ran.err.starts_with("-: ") && ran.err.lines().count() == 1, "{input}: {ran:?}");
    }
    let missing = run_in(&repository(""), &["review", "no-such-file.json"], b"").with_code(2);
    assert!(missing.err.starts_with("no-such-file.json: "), "{missing:?}");
    run_in(&repository(""), &["review", "--profile", "soft", "tests/reviews/admitted-pod.json"], b"").with_code(2);
}

#[test]
fn a_service_account_among_the_manifests_counts_for_a_template() {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\nautomountServiceAccountToken: false\n";
    let folder = folder(&[("account.yaml", &format!("{account}---\n{ISOLATED}")), ("bad.yaml", "a: [\n")]);
    let review = repository("tests/reviews/template-without-the-automount-field.json");
    let review = review.to_str().expect("UTF-8");
    let ran = run_in(folder.path(), &["review", review, "--cluster-from", "account.yaml"], b"").with_code(0);
    assert!(!ran.out.contains("\"warnings\""), "{ran:?}");
    run_in(folder.path(), &["review", review, "--cluster-from", "bad.yaml"], b"").with_code(2);
}
