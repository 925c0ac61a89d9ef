//! Dry runs of labels on a namespace whose Pods they would refuse, with the real kubectl.

use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{broken_pod, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const TIER: &str = "example.com/tier=pci";

/// What `kubectl label` prints as warnings; it must succeed.
#[track_caller]
fn label(plane: &Plane, space: &Space, label: &str, is_dry: bool) -> Vec<String> {
    let output = Command::new(&plane.place.kubectl)
        .args(["--kubeconfig".as_ref(), plane.place.kubeconfig.as_os_str()])
        .args(["label", "namespace", &space.name, label, "--overwrite"])
        .args(is_dry.then_some("--dry-run=server"))
        .output()
        .expect("kubectl runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{label}: {told}");
    told.lines().filter_map(|line| line.strip_prefix("Warning: ")).map(str::to_owned).collect()
}

/// The value of a label of the namespace, as it is stored.
fn stored(plane: &Plane, space: &Space, key: &str) -> Value {
    let path = format!("/api/v1/namespaces/{}", space.name);
    plane.admin.call(Method::GET, &path, None).admitted()["metadata"]["labels"][key].clone()
}

/// Dry runs of label changes that were recorded.
fn dry_runs(portcullis: &Portcullis, space: &Space) -> usize {
    let is_one = |event: &&Value| {
        event["kind"]["kind"] == "Namespace" && event["name"] == space.name.as_str() && event["dryRun"] == true
    };
    portcullis.records().iter().filter(is_one).count()
}

#[test]
fn a_dry_run_of_a_label_lists_the_pods_that_it_would_refuse() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-offenders");
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    let configuration = format!(
        "ceiling: audit\npolicies: {{unpinned-images: {{mode: enforce}}, host-namespaces: {{mode: enforce}}}}\n\
         namespaces: [{{match: {{labels: {{example.com/tier: pci}}}}, ceiling: enforce}}]\n\
         exceptions: [{{name: spared, policies: [unpinned-images], match: {{namespace: {}, kind: Pod, name: spared}}, \
         expires: {tomorrow}, reason: it, owner: it}}]\n",
        space.name
    );
    let mut portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
    for name in ["a", "b", "c", "spared"] {
        space.create("pods", &broken_pod(name)).admitted();
    }
    let mut host = spec();
    host["hostPID"] = true.into();
    space.create("pods", &pod("host", host)).admitted();
    space.create("pods", &pod("good", spec())).admitted();

    // A busy machine may have no time for all of them.
    let told = eventually("every Pod is checked", || {
        let told = label(plane, &space, TIER, true);
        told.first().is_some_and(|first| first.starts_with("4 of 6 Pods ")).then_some(told)
    });
    assert_eq!(told.len(), 3, "{told:#?}");
    let head = format!("4 of 6 Pods in namespace {} would be refused with the new labels if created again", space.name);
    assert_eq!(told[0], head);
    assert!(told[1].starts_with("3 Pods (a, b, and 1 more): unpinned-images: spec.containers[0].image "), "{told:#?}");
    assert!(told[2].starts_with("Pod host: host-namespaces: spec.hostPID must not be true"), "{told:#?}");
    assert_eq!(stored(plane, &space, "example.com/tier"), Value::Null);
    let asked = dry_runs(&portcullis, &space);
    assert!(asked > 0);

    // Without a change that refuses more there is nothing to say, and another label is not asked about.
    assert_eq!(label(plane, &space, "example.com/tier=dev", true), [""; 0]);
    for name in ["a", "b", "c", "host"] {
        space.delete("pods", name).admitted();
    }
    eventually("they are gone", || (space.list("pods").len() == 2).then_some(()));
    eventually("no Pod offends", || {
        let before = dry_runs(&portcullis, &space);
        let told = label(plane, &space, TIER, true);
        (told.is_empty() && dry_runs(&portcullis, &space) > before).then_some(())
    });

    // What is stored is not held up, and while nobody answers a dry run is admitted too.
    space.create("pods", &broken_pod("late")).admitted();
    let before = dry_runs(&portcullis, &space);
    assert_eq!(label(plane, &space, TIER, false), [""; 0]);
    assert_eq!(stored(plane, &space, "example.com/tier"), "pci");
    assert_eq!(dry_runs(&portcullis, &space), before);
    assert_eq!(label(plane, &space, "example.com/tier-", false), [""; 0]);
    portcullis.kill();
    assert_eq!(label(plane, &space, TIER, true), [""; 0]);
}

#[test]
fn a_dry_run_of_a_pod_security_label_lists_what_it_would_newly_refuse() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-offenders-tightened");
    let portcullis = Portcullis::guard(plane, &[&space], "podSecurityLabels: tighten\n", &[]);
    let mut host = spec();
    host["hostPID"] = true.into();
    space.create("pods", &pod("host", host)).admitted();
    let key = "pod-security.kubernetes.io/enforce";
    // Kubernetes' own admission warns too.
    let told = eventually("the Pod is checked", || {
        let told = label(plane, &space, &format!("{key}=baseline"), true);
        told.iter().any(|one| one.starts_with("Pod host: host-namespaces: spec.hostPID ")).then_some(told)
    });
    assert!(told.iter().any(|one| one.starts_with("1 of 1 Pod in namespace it-offenders-tightened ")), "{told:#?}");
    assert_eq!(stored(plane, &space, key), Value::Null);

    // Under baseline it is refused already: restricted adds nothing that this Pod breaks.
    label(plane, &space, &format!("{key}=baseline"), false);
    eventually("what is refused already is not said again", || {
        let before = dry_runs(&portcullis, &space);
        let told = label(plane, &space, &format!("{key}=restricted"), true);
        let is_said = told.iter().any(|one| one.contains("host-namespaces: "));
        (dry_runs(&portcullis, &space) > before && !is_said).then_some(())
    });
    let patch = json!({"metadata": {"labels": {"team": "pay"}}});
    let path = format!("/api/v1/namespaces/{}?dryRun=All", space.name);
    let answer = plane.admin.call(Method::PATCH, &path, Some(&patch));
    assert!(answer.warnings.is_empty(), "{answer:#?}");
}
