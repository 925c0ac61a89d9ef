//! Input of `check`: YAML as kubectl reads it, JSON, `List`s, and objects that do not match their kind.

use super::{ALONE, Ran, folder, run_in};
use crate::golden::repository;

/// Checks standard input.
fn check(text: impl AsRef<[u8]>) -> Ran {
    run_in(folder(&[("alone.yaml", ALONE)]).path(), &["check", "-", "--config", "alone.yaml"], text.as_ref())
}

/// A Pod with one finding of each of the policies, but with this name and image.
fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: a, image: {image}}}]}}\n"
    )
}

#[test]
fn many_documents_are_many_objects() {
    let text = format!("---\n{}---\n# nothing\n---\n{}...\n", pod("a", "x"), pod("b", "z"));
    let ran = check(&text).with_code(1);
    assert!(ran.out.contains("Pod default/a") && ran.out.contains("Pod default/b"));
    assert!(ran.out.contains("2 objects judged: 2 would be refused"), "{ran:?}");
}

#[test]
fn empty_input_is_clean() {
    for text in ["", "---\n", "# nothing\n---\n---\n"] {
        assert_eq!(check(text).with_code(0).out, "0 objects judged: 0 would be refused, 0 findings\n");
    }
}

#[test]
fn lists_are_taken_apart_and_may_leave_kinds_out() {
    let items = "items:\n- metadata: {name: a}\n  spec: {containers: [{image: x}]}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n  spec: {containers: [{image: x}]}\n";
    let ran = check(format!("apiVersion: v1\nkind: PodList\n{items}")).with_code(1);
    assert!(ran.out.contains("-:5:24: enforce: Pod default/a: spec.containers[0].image"), "{ran:?}");
    assert!(ran.out.contains("2 objects judged"), "{ran:?}");

    let deployments = "apiVersion: apps/v1\nkind: DeploymentList\nitems: [{metadata: {name: d}, spec: {template: {spec: {containers: [{image: x}]}}}}]\n";
    assert!(
        check(deployments).with_code(1).out.contains("Deployment default/d: spec.template.spec.containers[0].image")
    );

    // A `List` says nothing of the kinds of its items.
    let ran = check(format!("apiVersion: v1\nkind: List\n{items}")).with_code(2);
    assert_eq!(ran.err, "-:4:3: not a Kubernetes object: it has no kind\n");
    assert!(ran.out.contains("1 object judged"), "{ran:?}");

    let nested = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items: [{metadata: {name: deep}, spec: {containers: [{image: x}]}}]\n";
    assert!(check(nested).with_code(1).out.contains("Pod default/deep"));
    assert_eq!(check("apiVersion: v1\nkind: List\nitems: []\n").with_code(0).out, check("").out);
}

#[test]
fn integers_are_those_of_yaml_1_1() {
    // 0644 is a number, as it is for kubectl, and 00 is the root user.
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  securityContext: {runAsUser: 00}\n  volumes:\n  - {name: v, secret: {defaultMode: 0644}}\n";
    let ran = check(text).with_code(1);
    assert!(ran.out.contains("spec.securityContext.runAsUser must not be 0"), "{ran:?}");
    let user = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {securityContext: {runAsUser: 0644}}\n";
    assert!(!check(user).out.contains("runAsUser"));
}

#[test]
fn a_repeated_key_is_a_warning_with_its_line_and_the_last_one_counts() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: first}\nspec:\n  hostUsers: false\n  hostUsers: true\n  containers: [{name: a, image: x, image: z}]\nmetadata: {name: second}\n";
    let ran = check(text).with_code(1);
    assert_eq!(
        ran.err_lines(),
        [
            "-:8:1: warning: key \"metadata\" is repeated; the last one counts",
            "-:6:3: warning: key \"hostUsers\" is repeated; the last one counts",
            "-:7:36: warning: key \"image\" is repeated; the last one counts",
        ]
    );
    assert!(ran.out.contains("Pod default/second: spec.containers[0].image must end in a digest: \"z\""), "{ran:?}");
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - &one {name: a, image: x}\n  - {<<: *one, name: b}\n  - *one\n";
    let ran = check(text).with_code(1);
    for position in 0..3 {
        assert!(ran.out.contains(&format!("spec.containers[{position}].image must end in a digest: \"x\"")), "{ran:?}");
    }
}

#[test]
fn json_is_read_too() {
    let text = "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"\\ud83d\\ude00\"},\n\t\"spec\": {\"containers\": [{\"image\": \"x\"}]}\n}";
    assert!(check(text).with_code(1).out.contains("Pod default/😀"));
}

#[test]
fn an_object_that_is_not_what_its_kind_says_has_its_place_and_field() {
    for (spec, error) in [
        ("spec:\n  containers: web\n", "-:5:3: Pod spec.containers: invalid type: a string, expected a list"),
        (
            "spec:\n  containers:\n  - name: a\n    image: [x]\n",
            "-:7:5: Pod spec.containers[0].image: invalid type: sequence, expected a string",
        ),
        (
            "spec:\n  securityContext:\n    runAsUser: root\n",
            "-:6:5: Pod spec.securityContext.runAsUser: invalid type: a string, expected i64",
        ),
        ("spec: {hostUsers: \"false\"}\n", "-:4:8: Pod spec.hostUsers: invalid type: a string, expected a boolean"),
        ("spec: []\n", "-:4:1: Pod spec: invalid type: sequence, expected an object"),
        (
            "spec: {securityContext: [true]}\n",
            "-:4:8: Pod spec.securityContext: invalid type: sequence, expected an object",
        ),
        (
            "spec: {containers: [[a, x]]}\n",
            "-:4:21: Pod spec.containers[0]: invalid type: sequence, expected an object",
        ),
    ] {
        let ran = check(format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\n{spec}")).with_code(2);
        assert!(ran.err.starts_with(error), "{spec}: {ran:?}");
        assert_eq!(ran.err_lines().len(), 1);
        assert!(ran.out.ends_with("; 1 input could not be judged\n"), "{ran:?}");
    }
    let template = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers: {}\n";
    let ran = check(template).with_code(2);
    assert!(
        ran.err.starts_with("-:9:11: CronJob spec.jobTemplate.spec.template.spec.containers: invalid type: map"),
        "{ran:?}"
    );
}

#[test]
fn one_bad_object_leaves_the_others_judged() {
    let bad = "apiVersion: v1\nkind: Pod\nspec: {containers: 7}\n";
    let ran = check(format!("{}---\n{bad}---\n{}", pod("a", "x"), pod("b", "z"))).with_code(2);
    assert!(ran.out.contains("Pod default/a") && ran.out.contains("Pod default/b"), "{ran:?}");
    assert_eq!(ran.err_lines().len(), 1);
}

#[test]
fn what_is_no_object_and_no_yaml_is_said_to_be() {
    for (text, error) in [
        ("just text\n", "-:1:1: not a Kubernetes object: it has no kind"),
        ("- a\n", "-:1:1: not a Kubernetes object: it has no kind"),
        ("kind: Pod\n", "-:1:1: not a Kubernetes object: it has no apiVersion"),
        ("a: [\n", "-:1:4: "),
    ] {
        let ran = check(text).with_code(2);
        assert!(ran.err.starts_with(error), "{text}: {ran:?}");
    }
    let ran = check(b"kind: Pod\nname: \xff\xfe\n").with_code(2);
    assert_eq!(
        ran.err_lines(),
        [
            "-:2:1: warning: not UTF-8; invalid bytes are read as U+FFFD",
            "-:1:1: not a Kubernetes object: it has no apiVersion"
        ]
    );
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let name = r#""we\nb\e[31m\u0007\u009b""#;
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: \"a\\r\\nb\"}}\nspec:\n  containers: [{{image: \"x\\n\\e[0m\"}}]\n  \"k\\e\": 1\n  \"k\\e\": 2\n"
    );
    let ran = check(&text).with_code(1);
    for (stream, text) in [("out", &ran.out), ("err", &ran.err)] {
        assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{stream}: {text:?}");
    }
    assert_eq!(ran.out.lines().filter(|line| !line.starts_with("-:")).count(), 1, "one line a finding: {}", ran.out);
    assert!(ran.out.contains(r"Pod a\r\nb/we\nb\u{1b}[31m\u{7}\u{9b}: "), "{}", ran.out);

    let key = "k\\n\\e".to_owned() + &"k".repeat(900);
    let ran = check(format!("apiVersion: v1\nkind: Pod\nmetadata: {{labels: {{\"{key}\": 7}}}}\n")).with_code(2);
    assert!(ran.err.contains(r"Pod metadata.labels.k\n\u{1b}kkk") && ran.err.len() < 500, "{ran:?}");

    let broken = "apiVersion: v1\nkind: \"Pod\\n-:1:1: all is well\\e[0m\"\nspec: 7\n---\napiVersion: v1\nkind: Pod\nspec: {\"a\\nb\": 1, containers: 7}\n";
    let ran = check(broken).with_code(2);
    assert_eq!(ran.err_lines().len(), 1, "{ran:?}");
    assert!(!ran.err.contains('\u{1b}'));
}

#[test]
fn other_kinds_pass_and_cluster_scoped_ones_have_no_namespace() {
    let text = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: pay}\n---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: c}\nspec: {}\n";
    let ran = run_in(&repository(""), &["check", "--format", "json", "-"], text.as_bytes()).with_code(0);
    assert_eq!(
        ran.out,
        "{\"file\":\"-\",\"line\":1,\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"namespace\":\"\",\"name\":\"pay\",\"decision\":\"allow\",\"findings\":[]}\n\
         {\"file\":\"-\",\"line\":5,\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"namespace\":\"default\",\"name\":\"c\",\"decision\":\"allow\",\"findings\":[]}\n"
    );
}

#[test]
fn a_generated_name_stands_in_for_the_name() {
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: job-}\nspec: {template: {spec: {containers: [{image: x}]}}}\n";
    assert!(check(text).with_code(1).out.contains("Job default/job-: "));
}
