//! `backstop` and `webhooks --static`: the golden output (`tests/backstop/*.yaml`), and what is refused.

use super::{folder, run, run_in};
use crate::golden;

const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
/// A configuration with all that a backstop looks at.
const EVERYTHING: &str = "profile: hardened\nbreakGlass: {groups: [sre]}\nnamespaces:\n\
    - {match: {names: [kube-system]}, ceiling: audit, relax: true}\n\
    - {match: {names: [old]}, policies: {proc-mounts: {settings: {level: baseline}}}, relax: true}\n";
const CA: &str = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";

#[test]
fn the_backstop_follows_from_the_configuration() {
    let folder = folder(&[("c.yaml", &format!("{HEAD}{EVERYTHING}"))]);
    let base = ["backstop", "--config", "c.yaml", "--allow-group", "on-call", "system:serviceaccounts:argocd"];
    for (name, more) in
        [("api", &["--allow-user", "aksService"][..]), ("static", &["--static", "--namespace", "guard"])]
    {
        let ran = run_in(folder.path(), &[&base, more].concat(), b"").with_code(0);
        golden::assert_holds(&format!("tests/backstop/{name}.yaml"), &ran.out);
        assert!(ran.err.lines().all(|line| line.starts_with("note: left to Portcullis")), "{}", ran.err);
        for line in ran.err.lines().filter_map(|line| line.strip_prefix("note: ")) {
            assert!(ran.out.contains(&format!("# {line}\n")), "{line}");
        }
    }
    assert_eq!(golden::names_in("tests/backstop"), ["api.yaml", "static.yaml"]);
}

#[test]
fn where_nothing_refuses_only_our_own_objects_are_guarded() {
    let ran = run(&["backstop", "--profile", "audit-only", "--allow-group", "on-call"]).with_code(0);
    assert!(ran.err.contains("no policy on Pods enforces anywhere"), "{}", ran.err);
    assert!(ran.out.contains("name: portcullis-backstop-guard\n") && !ran.out.contains("portcullis-backstop-pods"));
}

#[test]
fn what_a_label_raises_is_judged_in_the_namespaces_that_carry_it() {
    let raised = "profile: hardened\nceiling: audit\nnamespaces:\n- {match: {labels: {tier: pci}}, ceiling: enforce}\n\
                  - {match: {names: [old]}, policies: {proc-mounts: {settings: {level: baseline}}}, relax: true}\n";
    let folder = folder(&[("c.yaml", &format!("{HEAD}{raised}"))]);
    let ran = run_in(folder.path(), &["backstop", "--config", "c.yaml", "--allow-group", "on-call"], b"").with_code(0);
    assert!(!ran.err.contains("no policy on Pods enforces anywhere"), "{}", ran.err);
    assert!(ran.out.contains("name: portcullis-backstop-pods\n"), "{}", ran.out);
    let selects = |left_out: &str| {
        format!(
            "- key: kubernetes.io/metadata.name\n        operator: NotIn\n        values:\n{left_out}        - portcullis\n      \
                 - key: tier\n        operator: In\n        values:\n        - pci\n"
        )
    };
    assert!(ran.out.contains(&selects("")), "{}", ran.out);
    assert!(ran.out.contains(&selects("        - old\n")), "other settings are left to Portcullis: {}", ran.out);
}

#[test]
fn whoever_may_turn_it_off_must_be_named() {
    let long = "x".repeat(254);
    let many: Vec<String> = (0..65).map(|number| format!("g{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (groups, said) in [
        (&[][..], "--allow-group"),
        (&["--allow-group", ""], "must be a name"),
        (&["--allow-group", &long], "must be at most 253 bytes long"),
        (&["--allow-group", "system:authenticated"], "everybody"),
        (&["--allow-group", "system:serviceaccounts"], "everybody, every program"),
        (&["--allow-group", "system:serviceaccounts:kube-system"], "every controller that creates Pods"),
        (&[&["--allow-group"], many.as_slice()].concat(), "--allow-group: must be at most 64, not 65"),
        (&["--allow-group", "a", "--config", "no-such-file.yaml"], "no-such-file.yaml"),
    ] {
        let ran = run(&[&["backstop"], groups].concat()).with_code(2);
        assert!(ran.err.contains(said) && ran.out.is_empty(), "{groups:?}: {}", ran.err);
    }
}

#[test]
fn webhooks_in_files_have_an_address_and_what_signs_it() {
    let folder = folder(&[("ca.pem", CA)]);
    let run = |arguments: &[&str]| run_in(folder.path(), &[&["webhooks", "--static"], arguments].concat(), b"");
    let good = ["--url", "https://127.0.0.1:8443", "--ca-bundle", "ca.pem"];
    let both = run(&good).with_code(0).out;
    assert_eq!(both.matches("\n  name: portcullis.static.k8s.io\n").count(), 2, "{both}");
    assert!(!both.contains("service:"), "{both}");
    let one = |kind: &str| run(&[&good[..], &["--only", kind]].concat()).with_code(0).out;
    assert_eq!(format!("{}---\n{}", one("validating"), one("mutating")), both);
    assert!(one("validating").contains("plugin ValidatingAdmissionWebhook names"));
    for (arguments, said) in [
        (&[][..], "--url"),
        (&["--url", "https://127.0.0.1:8443"], "--ca-bundle"),
        (&["--ca-bundle", "ca.pem"], "--url"),
        (&["--url", "http://127.0.0.1:8443", "--ca-bundle", "ca.pem"], "--url: must begin with https://"),
    ] {
        let ran = run(arguments).with_code(2);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
}
