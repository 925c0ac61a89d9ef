//! Other objects of the cluster that `check` knows, and its messages where it knows none.

use super::{ISOLATED, Ran, folder, run_in};

const NOTE: &str = "note: unisolated-pods was left out: the inputs do not hold the cluster objects that it reads; name \
                    manifests or a dump of the cluster with --cluster-from\n";

fn pod(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: web}}}}\nspec: {{containers: []{rest}}}\n"
    )
}

/// Checks files with this configuration of the one policy.
fn check_with(policy: &str, arguments: &[&str]) -> Ran {
    let config =
        format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {{unisolated-pods: {policy}}}\n");
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n\
                      spec: {template: {metadata: {labels: {app: web}}, spec: {}}}\n";
    let folder = folder(&[
        ("c.yaml", &config),
        ("a.yaml", &pod("a", "")),
        ("more.yaml", &format!("{}---\n{}---\n{deployment}", pod("b", ""), pod("c", ""))),
        ("host.yaml", &pod("host", ", hostNetwork: true")),
        ("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"),
        ("isolated.yaml", ISOLATED),
        ("elsewhere.yaml", &ISOLATED.replace("namespace: default", "namespace: elsewhere")),
        ("empty.yaml", ""),
    ]);
    run_in(folder.path(), &[&["check", "--config", "c.yaml"], arguments].concat(), b"")
}

fn check(arguments: &[&str]) -> Ran {
    check_with("{mode: enforce}", arguments)
}

#[test]
fn what_is_left_out_is_said_once() {
    for format in ["text", "json"] {
        let ran = check(&["a.yaml", "more.yaml", "a.yaml", "--format", format]).with_code(0);
        assert_eq!(ran.err, NOTE);
        assert!(!ran.out.contains("left out"), "{ran:?}");
    }
    assert_eq!(check_with("{mode: audit}", &["a.yaml"]).with_code(0).err, NOTE, "in every mode");
}

#[test]
fn nothing_is_said_to_be_left_out_where_nothing_was() {
    assert_eq!(check(&["other.yaml"]).with_code(0).err, "", "nothing was asked");
    assert_eq!(check_with("{mode: off}", &["a.yaml"]).with_code(0).err, "");
    let host = check(&["host.yaml"]).with_code(1);
    assert!(host.out.contains("spec.hostNetwork must not be true"), "it is no question of NetworkPolicies: {host:?}");
    assert_eq!(host.err, "");
}

#[test]
fn a_network_policy_among_the_inputs_counts_wherever_it_stands() {
    for order in [["a.yaml", "more.yaml", "isolated.yaml"], ["isolated.yaml", "more.yaml", "a.yaml"]] {
        let ran = check(&order).with_code(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("5 objects judged: 0 would be refused, 0 findings\n", ""));
    }
    // Where there is one, its kind is known, and what it does not select is found.
    let ran = check(&["a.yaml", "elsewhere.yaml"]).with_code(1);
    assert!(ran.out.contains("Pod default/a: metadata.labels must be selected by a NetworkPolicy"), "{ran:?}");
    assert_eq!(ran.err, "");
}

#[test]
fn with_cluster_from_what_is_not_there_is_missing() {
    let isolated = check(&["a.yaml", "more.yaml", "--cluster-from", "isolated.yaml"]).with_code(0);
    assert_eq!(
        (isolated.out.as_str(), isolated.err.as_str()),
        ("4 objects judged: 0 would be refused, 0 findings\n", "")
    );
    for around in ["elsewhere.yaml", "other.yaml", "empty.yaml"] {
        let ran = check(&["a.yaml", "more.yaml", "--cluster-from", around]).with_code(1);
        assert_eq!(ran.err, "", "{around}");
        // The whole set is there to see: a template is refused too.
        assert!(
            ran.out.contains(": enforce: Deployment default/web: spec.template.metadata.labels must be "),
            "{ran:?}"
        );
        assert!(ran.out.contains("4 objects judged: 4 would be refused, 8 findings"), "{ran:?}");
    }
}
