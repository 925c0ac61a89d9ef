//! Whole sets of manifests as `kubectl apply` sends them: in any order, and as a dry run before the first is stored.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::eventually;
use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account, isolation};

/// Maximum number of times that a set is applied.
const TRIES: usize = 10;

/// Namespace, ServiceAccount, NetworkPolicy, Deployment and Pod, in the order that they need each other.
fn set(namespace: &str) -> [Value; 5] {
    let mut deployment = holder("Deployment", "web", spec());
    deployment["spec"]["replicas"] = 1.into();
    let inside = |mut object: Value| {
        object["metadata"]["namespace"] = namespace.into();
        object
    };
    [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        inside(account("web", Some(false))),
        inside(isolation("all", json!({}))),
        inside(deployment),
        inside(pod("alone", spec())),
    ]
}

/// The permutation with that number.
fn permuted<T: Clone>(mut items: Vec<T>, mut number: usize) -> Vec<T> {
    let mut permuted = Vec::new();
    while !items.is_empty() {
        permuted.push(items.remove(number % items.len()));
        number /= items.len() + 1;
    }
    permuted
}

/// `kubectl apply` of a folder that holds these objects, in this order.
fn apply(plane: &Plane, objects: &[Value], arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (number, object) in objects.iter().enumerate() {
        let file = dir.path().join(format!("{number}.json"));
        std::fs::write(file, object.to_string()).expect("the file is written");
    }
    Command::new(&plane.place.kubectl)
        .arg("--kubeconfig")
        .arg(&plane.place.kubeconfig)
        .arg("--cache-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubectl"))
        .args(["apply", "--filename"])
        .arg(dir.path())
        .args(arguments)
        .output()
        .expect("kubectl runs")
}

#[test]
fn a_folder_is_applied_in_any_order() {
    let plane = Plane::shared();
    let first = Space::new(plane, "it-sets");
    let spaces =
        [0, 23, 46, 69, 92, 119].map(|number| (number, Space::named(&plane.admin, &format!("it-set-{number}"))));
    let guarded: Vec<&Space> = [&first].into_iter().chain(spaces.iter().map(|(_, space)| space)).collect();
    let portcullis = Portcullis::guard(plane, &guarded, "profile: hardened\ndefaults: safe\n", &[]);
    let mut tries = Vec::new();
    for (number, space) in &spaces {
        let objects = permuted(set(&space.name).to_vec(), *number);
        let outputs: Vec<Output> = (0..TRIES)
            .map(|_| apply(plane, &objects, &[]))
            .scan(false, |done, output| (!std::mem::replace(done, output.status.success())).then_some(output))
            .collect();
        let last = outputs.last().expect("it was tried");
        assert!(last.status.success(), "{number}: {}", String::from_utf8_lossy(&last.stderr));
        tries.push(outputs.len());
        eventually("the Deployment has its Pod beside the one that is alone", || {
            (space.list("pods").len() == 2).then_some(())
        });
    }
    assert_eq!(tries[0], 1, "in the order that they need each other, once is enough");
    assert!(tries.iter().any(|tries| *tries > 1), "no order was a hard one");
    // What lives in no namespace may be a dry run of another test.
    let is_ours = |record: &Value| record["namespace"].as_str().is_some_and(|name| name.starts_with("it-set"));
    let refused = |record: &Value| is_ours(record) && record["decision"] == "deny" && record["kind"]["kind"] != "Pod";
    assert!(!portcullis.records().iter().any(refused), "what another object puts right refuses Pods alone");
}

#[test]
fn a_dry_run_of_a_set_succeeds_before_any_of_it_is_there() {
    let plane = Plane::shared();
    let space = Space::named(&plane.admin, "it-dry-set");
    let first = Space::new(plane, "it-dry-sets");
    let portcullis = Portcullis::guard(plane, &[&first, &space], "profile: hardened\n", &[]);
    let objects = || set(&space.name)[..4].iter().rev().cloned().collect::<Vec<_>>();
    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    // Without the namespace, the API server asks about the namespace alone.
    let output = apply(plane, &objects(), &["--dry-run=server"]);
    assert!(!output.status.success());
    let errors = text(&output);
    assert!(
        errors
            .lines()
            .filter(|line| !line.starts_with("Warning: "))
            .all(|line| line.contains("namespaces \"it-dry-set\" not found")),
        "{errors}"
    );
    let is_in_it = |record: &Value| record["namespace"] == "it-dry-set" && record["kind"]["kind"] != "Namespace";
    assert!(!portcullis.records().iter().any(is_in_it));

    assert!(apply(plane, &set(&space.name)[..1], &[]).status.success());
    let output = apply(plane, &objects(), &["--dry-run=server"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Warning: unisolated-pods: spec.template.metadata.labels "), "{}", text(&output));
    let records = portcullis.records();
    let record = records.iter().rfind(|record| record["kind"]["kind"] == "Deployment").expect("it was judged");
    assert_eq!((&record["decision"], &record["dryRun"]), (&"warn".into(), &true.into()));
    assert_eq!(space.get("deployments", "web").code, 404);

    let output = apply(plane, &objects(), &[]);
    assert!(output.status.success(), "{}", text(&output));
}
