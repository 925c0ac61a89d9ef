//! `check` judges what would be stored: defaults come first, and findings point into the file as it is written.

use serde_json::{Value, json};

use super::{ISOLATED, folder, run_in};

/// A Deployment that says little; no default changes the user, the image or the ServiceAccount.
const BARE: &str = "\
# a comment
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext:
        runAsUser: 0
      volumes:
      - name: tools
        image: {reference: tools}
      containers:
      - name: web
        image: web:1
        resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 64Mi}}
      - name: side
        image: side@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc
        resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 64Mi}}
        securityContext:
          capabilities:
            drop: [NET_RAW]
";

/// A finding: policy, mode, path, pointer, line and column.
type Found = (String, String, String, String, (u64, u64));

/// Every finding under these lines of the configuration.
fn findings(lines: &str, arguments: &[&str]) -> Vec<Found> {
    let config = format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n{lines}");
    let folder = folder(&[("c.yaml", &config), ("isolated.yaml", ISOLATED), ("bare.yaml", BARE)]);
    let fixed = ["check", "bare.yaml", "--config", "c.yaml", "--format", "json", "--cluster-from", "isolated.yaml"];
    let ran = run_in(folder.path(), &[&fixed, arguments].concat(), b"");
    assert_eq!((ran.err.as_str(), ran.out.lines().count()), ("", 1));
    let row: Value = serde_json::from_str(&ran.out).expect("JSON");
    let text = |finding: &Value, key: &str| finding[key].as_str().expect(key).to_owned();
    let number = |finding: &Value, key: &str| finding[key].as_u64().expect(key);
    let findings = row["findings"].as_array().expect("findings").iter();
    let findings = findings.map(|one| {
        let place = (number(one, "line"), number(one, "column"));
        (text(one, "policy"), text(one, "mode"), text(one, "path"), text(one, "pointer"), place)
    });
    findings.collect()
}

fn policies(lines: &str, arguments: &[&str]) -> Vec<String> {
    let mut policies: Vec<String> = findings(lines, arguments).into_iter().map(|finding| finding.0).collect();
    policies.dedup();
    policies
}

/// The policies with findings in what is written.
const AS_WRITTEN: [&str; 8] = [
    "unpinned-images",
    "root-users",
    "privilege-escalation",
    "undropped-capabilities",
    "missing-seccomp-profiles",
    "writable-root-filesystems",
    "automounted-tokens",
    "default-service-accounts",
];

#[test]
fn what_a_default_repairs_is_no_finding() {
    assert_eq!(policies("", &[]), AS_WRITTEN);
    assert_eq!(
        policies("defaults: safe\n", &[]),
        [
            "unpinned-images",
            "root-users",
            "undropped-capabilities",
            "writable-root-filesystems",
            "default-service-accounts"
        ]
    );
    assert_eq!(
        policies("defaults: all\n", &[]),
        ["unpinned-images", "root-users", "undropped-capabilities", "default-service-accounts"]
    );
}

#[test]
fn a_default_that_is_not_enforced_repairs_nothing() {
    assert_eq!(policies("defaults: all\n", &["--ceiling", "warn"]), AS_WRITTEN);
    assert_eq!(policies("defaults: all\nceiling: audit\n", &[]), AS_WRITTEN);
    let without =
        "defaults: all\npolicies: {default-seccomp-profile: {mode: off}, default-no-token-automount: {mode: audit}}\n";
    assert_eq!(
        policies(without, &[]),
        [
            "unpinned-images",
            "root-users",
            "undropped-capabilities",
            "missing-seccomp-profiles",
            "automounted-tokens",
            "default-service-accounts"
        ]
    );
}

#[test]
fn the_defaults_are_those_of_the_namespace() {
    let lines = "namespaces: [{match: {names: [default]}, defaults: all}]\n";
    assert_eq!(policies(lines, &[]), policies("defaults: all\n", &[]));
    // Nothing isolates Pods there.
    let elsewhere = [&AS_WRITTEN[..], &["unisolated-pods"]].concat();
    assert_eq!(policies(lines, &["--namespace", "elsewhere"]), elsewhere);
}

#[test]
fn places_are_those_of_the_file_as_it_is_written() {
    let row = |policy: &str, path: &str, pointer: &str, place: (u64, u64)| {
        let below = |text: &str| format!("spec.template.spec.{text}");
        (policy.to_owned(), "enforce".to_owned(), below(path), format!("/spec/template/spec{pointer}"), place)
    };
    let expected = [
        // The defaults add volumes behind this one.
        row("unpinned-images", "containers[0].image", "/containers/0/image", (17, 9)),
        row("unpinned-images", "volumes[0].image.reference", "/volumes/0/image/reference", (14, 17)),
        row("root-users", "securityContext.runAsUser", "/securityContext/runAsUser", (11, 9)),
        // The defaults add a securityContext to the first container, and nothing to this one's capabilities.
        row("root-users", "containers[0].securityContext.runAsNonRoot", "/containers/0", (16, 9)),
        row("root-users", "containers[1].securityContext.runAsNonRoot", "/containers/1/securityContext", (22, 9)),
        row(
            "undropped-capabilities",
            "containers[1].securityContext.capabilities.drop",
            "/containers/1/securityContext/capabilities/drop",
            (24, 13),
        ),
        row("default-service-accounts", "serviceAccountName", "", (9, 5)),
    ];
    assert_eq!(findings("defaults: all\n", &[]), expected);
}

#[test]
fn what_would_be_set_is_no_finding_of_check() {
    let clean = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}).to_string();
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\ndefaults: all\n";
    for ceiling in ["enforce", "warn", "audit"] {
        let folder = folder(&[("c.yaml", config), ("account.json", &clean), ("bare.yaml", BARE)]);
        let arguments = ["check", "account.json", "bare.yaml", "--config", "c.yaml", "--ceiling", ceiling];
        let ran = run_in(folder.path(), &arguments, b"").with_code(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("2 objects judged: 0 would be refused, 0 findings\n", ""));
    }
}
