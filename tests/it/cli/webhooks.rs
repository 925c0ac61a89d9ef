//! `webhooks`: the golden output for several configurations (`tests/webhooks/*.yaml`).

use super::{folder, run, run_in};
use crate::golden;

const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";

/// Configurations by the name of their golden file: the lines below the head.
const CONFIGURATIONS: [(&str, &str); 14] = [
    ("hardened", "profile: hardened\n"),
    ("audit-only", "profile: audit-only\n"),
    // Whatever the policies' own modes, a label may refuse: but in kube-system.
    (
        "labels",
        "policies: {unpinned-images: {mode: audit}}\npodSecurityLabels: tighten\n\
         namespaces:\n- match: {names: [kube-system]}\n  ceiling: audit\n  relax: true\n",
    ),
    (
        "rolling-out",
        "profile: hardened\nceiling: audit\nnamespaces:\n- match: {names: [pay, bank]}\n  ceiling: enforce\n",
    ),
    // Two labels raise some policies, and defaults, in whatever namespaces carry them.
    (
        "raised-by-labels",
        "profile: hardened\nceiling: audit\nnamespaces:\n- match: {labels: {tier: pci}}\n  ceiling: enforce\n  defaults: safe\n\
         - match: {labels: {example.com/stage: [prod, staging]}}\n  ceiling: warn\n- match: {names: [pay]}\n  ceiling: enforce\n",
    ),
    (
        "relaxed",
        "profile: hardened\nnamespaces:\n- match: {names: [kube-system]}\n  ceiling: warn\n  relax: true\n\
         - match: {names: [free]}\n  ceiling: off\n  relax: true\n",
    ),
    (
        "own-namespace-enforced",
        "profile: hardened\nceiling: audit\nnamespaces:\n- match: {names: [portcullis]}\n  ceiling: enforce\n",
    ),
    (
        "more-workloads",
        "profile: hardened\nworkloads:\n- {group: argoproj.io, kind: Rollout, path: /spec/template}\n\
         - {group: jobset.x-k8s.io, kind: JobSet, path: /spec/replicatedJobs/*/template/spec/template}\n\
         - {group: example.com, kind: Proxy, resource: proxies, path: /spec/template}\n",
    ),
    ("nothing", "ceiling: off\n"),
    ("defaults", "profile: hardened\ndefaults: safe\n"),
    // Set, warned of or recorded in these namespaces, and in none where nothing acts.
    (
        "defaults-in-namespaces",
        "profile: hardened\nnamespaces:\n- match: {names: [pay]}\n  defaults: all\n\
         - match: {names: [try]}\n  defaults: all\n  ceiling: audit\n  relax: true\n\
         - match: {names: [free]}\n  defaults: all\n  ceiling: off\n  relax: true\n",
    ),
    // Kinds that settings name, with modes that differ from those of Pods and of Services.
    (
        "house",
        "policies:\n  root-users: {mode: warn}\n  exposed-services: {mode: warn}\n  \
         required-metadata: {mode: enforce, settings: {instances: [{name: a, labels: {team: .+}, kinds: [{kind: Deployment}, \
         {kind: Service}, {kind: Secret}, {kind: ServiceAccount}, {kind: Namespace}, {kind: StorageClass}]}]}}\n  \
         allowed-values: {mode: enforce, settings: {instances: [{name: a, path: spec.x, values: [a], kinds: [{kind: Pod}]}, \
         {name: b, path: spec.x, values: [a], kinds: [{group: example.com, kind: Widget, resource: widgets}], mode: warn}]}}\n",
    ),
    (
        "house-in-namespaces",
        "policies:\n  required-metadata: {mode: enforce, settings: {instances: [{name: a, labels: {team: .+}, kinds: \
         [{group: example.com, kind: Widget, resource: widgets}, {kind: Service}]}]}}\nnamespaces:\n\
         - {match: {names: [kube-system]}, ceiling: audit, relax: true}\n- match: {names: [pay]}\n  relax: true\n  policies:\n    \
         required-metadata: {settings: {instances: [{name: b, labels: {team: .+}, kinds: [{kind: ConfigMap}]}]}}\n",
    ),
    // ServiceAccounts are asked about for one of the defaults alone.
    (
        "one-default",
        "policies: {default-seccomp-profile: {mode: warn}}\n\
         workloads:\n- {group: argoproj.io, kind: Rollout, path: /spec/template}\n",
    ),
];

#[test]
fn the_webhooks_follow_from_the_configuration() {
    for (name, lines) in CONFIGURATIONS {
        let folder = folder(&[("c.yaml", &format!("{HEAD}{lines}"))]);
        let ran = run_in(folder.path(), &["webhooks", "--config", "c.yaml"], b"").with_code(0);
        let enforces = ran.out.contains("name: enforce");
        let holds_kube_system = ran.err.starts_with("note: kube-system is enforced too: ");
        assert!(ran.err.is_empty() || enforces && holds_kube_system, "{name}: {}", ran.err);
        golden::assert_holds(&format!("tests/webhooks/{name}.yaml"), &ran.out);
    }
    let mut names: Vec<String> = CONFIGURATIONS.iter().map(|(name, _)| format!("{name}.yaml")).collect();
    names.push("url.yaml".to_owned());
    names.sort();
    assert_eq!(golden::names_in("tests/webhooks"), names);
}

#[test]
fn a_url_a_service_and_a_ca_bundle_are_taken() {
    let ca = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    let folder = folder(&[("ca.pem", ca)]);
    let arguments = ["webhooks", "--profile", "hardened", "--url", "https://127.0.0.1:8443/", "--ca-bundle", "ca.pem"];
    let ran = run_in(folder.path(), &arguments, b"").with_code(0);
    golden::assert_holds("tests/webhooks/url.yaml", &ran.out);

    let ran = run(&["webhooks", "--profile", "hardened", "--namespace", "guard", "--service", "gate"]).with_code(0);
    assert!(ran.out.contains("      name: gate\n      namespace: guard\n"), "{}", ran.out);
    assert!(ran.out.contains("      values:\n      - guard\n"), "our own namespace is never judged: {}", ran.out);
    run(&["webhooks", "--ca-bundle", "no-such-file.pem"]).with_code(2);
}

#[test]
fn without_a_configuration_it_is_the_hardened_profile() {
    assert_eq!(run(&["webhooks"]).out, run(&["webhooks", "--profile", "hardened"]).out);
}

#[test]
fn a_guess_at_a_resource_is_noted_where_no_cluster_is_asked() {
    let rows = "workloads:\n- {group: argoproj.io, kind: Rollout, path: /spec/template}\n\
                - {group: agents.example.com, kind: Sandbox, path: /spec/template}\n\
                - {group: example.com, kind: Proxy, resource: proxies, path: /spec/template}\n";
    let folder = folder(&[("config.yaml", &format!("{HEAD}profile: audit-only\n{rows}")), ("empty.yaml", "")]);
    let note = "note: workloads: the resource of agents.example.com Sandbox is guessed to be sandboxes, and no cluster was asked: see \
                `kubectl api-resources --api-group=agents.example.com`, and write resource: sandboxes where that is right\n";
    for arguments in [&["webhooks"][..], &["check", "empty.yaml"]] {
        let ran = run_in(folder.path(), &[arguments, &["--config", "config.yaml"]].concat(), b"").with_code(0);
        assert_eq!(ran.err, note, "{arguments:?}");
    }
    let printed = run_in(folder.path(), &["webhooks", "--config", "config.yaml"], b"").out;
    assert!(printed.contains("- sandboxes") && !printed.contains("sandboxs"), "{printed}");
}
