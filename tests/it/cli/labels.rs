//! `check` and `review` with the Pod Security labels of Namespaces in files.

use super::{Ran, folder, run_in};

const CONFIG: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npodSecurityLabels: tighten\n";
const NOTE: &str = "note: podSecurityLabels was left out: the inputs do not hold the cluster objects that it reads; name \
                    manifests or a dump of the cluster with --cluster-from\n";
const REVIEW: &str = r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
    "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"resource": "pods"},
    "namespace": "pay", "object": {"spec": {"hostPID": true}}}}"#;

fn namespace(name: &str, labels: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
}

fn check(arguments: &[&str]) -> Ran {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: pay}\nspec: {hostPID: true}\n";
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n\
                      spec: {template: {spec: {hostPID: true}}}\n";
    let folder = folder(&[
        ("c.yaml", CONFIG),
        ("ignoring.yaml", &CONFIG.replace("tighten", "ignore")),
        ("pod.yaml", pod),
        ("deployment.yaml", deployment),
        ("pay.yaml", &namespace("pay", "pod-security.kubernetes.io/enforce: baseline")),
        ("warned.yaml", &namespace("pay", "pod-security.kubernetes.io/warn: baseline, a: b")),
        ("default.yaml", &namespace("default", "pod-security.kubernetes.io/enforce: restricted")),
        ("odd.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: pay, labels: [a]}\n"),
        ("nothing.yaml", ""),
        ("review.json", REVIEW),
    ]);
    run_in(folder.path(), arguments, b"")
}

fn checked(arguments: &[&str]) -> Ran {
    check(&[&["check", "--config", "c.yaml"], arguments].concat())
}

#[test]
fn a_namespace_among_the_inputs_counts_wherever_it_stands() {
    for order in [["pay.yaml", "pod.yaml"], ["pod.yaml", "pay.yaml"]] {
        let ran = checked(&order).with_code(1);
        assert!(
            ran.out.contains(
                "pod.yaml:4:8: enforce: Pod pay/web: spec.hostPID must not be true, as the namespace's labels ask \
                 (enforce=baseline:latest) [host-namespaces]\n"
            ),
            "{ran:?}"
        );
        assert!(ran.out.ends_with(
            "2 objects judged: 1 would be refused, 1 finding; `portcullis explain ID` says why and how to comply\n"
        ));
        assert_eq!(ran.err, "");
    }
    let warned = checked(&["pod.yaml", "warned.yaml"]).with_code(0);
    assert!(warned.out.contains(": warn: Pod pay/web: spec.hostPID must not be true, as "), "{warned:?}");
    // Where objects without a namespace go.
    let ran = checked(&["deployment.yaml", "pay.yaml", "--namespace", "pay"]).with_code(1);
    assert!(ran.out.contains(": enforce: Deployment pay/web: spec.template.spec.hostPID must not "), "{ran:?}");
    assert_eq!(checked(&["deployment.yaml", "pay.yaml"]).with_code(0).err, "", "another namespace's are no matter");
}

#[test]
fn without_any_namespace_they_are_left_out_and_said_to_be_once() {
    for format in ["text", "json"] {
        let ran = checked(&["pod.yaml", "deployment.yaml", "pod.yaml", "--format", format]).with_code(0);
        assert_eq!(ran.err, NOTE);
        assert!(!ran.out.contains("left out"), "{ran:?}");
    }
    assert_eq!(checked(&["default.yaml"]).with_code(0).err, "", "nothing was asked");
    assert_eq!(check(&["check", "--config", "ignoring.yaml", "pod.yaml"]).with_code(0).err, "");
    assert_eq!(checked(&["pod.yaml", "--ceiling", "off"]).with_code(0).err, "");
}

#[test]
fn with_cluster_from_a_namespace_that_is_not_there_has_no_labels() {
    for around in ["nothing.yaml", "default.yaml", "odd.yaml"] {
        assert_eq!(checked(&["pod.yaml", "--cluster-from", around]).with_code(0).err, "", "{around}");
    }
    checked(&["pod.yaml", "--cluster-from", "pay.yaml"]).with_code(1);
    // What is about to be applied stands above what is there.
    checked(&["pod.yaml", "warned.yaml", "--cluster-from", "pay.yaml"]).with_code(0);
}

#[test]
fn a_ceiling_from_the_command_line_holds_them_back() {
    let ran = checked(&["pod.yaml", "pay.yaml", "--ceiling", "audit"]).with_code(0);
    assert!(ran.out.contains(": audit: Pod pay/web: spec.hostPID must not be true"), "{ran:?}");
}

#[test]
fn a_review_is_answered_as_its_namespace_is_labelled() {
    let review = |arguments: &[&str]| check(&[&["review", "--config", "c.yaml", "review.json"], arguments].concat());
    let denied = review(&["--cluster-from", "pay.yaml"]).with_code(1);
    assert!(
        denied.out.contains("host-namespaces: spec.hostPID must not be true, as the namespace's labels"),
        "{denied:?}"
    );
    assert_eq!(review(&["--cluster-from", "default.yaml"]).with_code(0).err, "");
    assert_eq!(review(&[]).with_code(0).err, NOTE);
}
