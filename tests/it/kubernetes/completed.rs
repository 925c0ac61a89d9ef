//! `check` predicts the API server's treatment of a Pod, given its LimitRanges.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::eventually;
use super::objects::{container, pod, spec};
use super::plane::Plane;
use super::process::{PROGRAM, Portcullis};
use super::space::Space;

const POLICIES: &str = "policies: {host-ports: {mode: enforce}, unbounded-containers: {mode: enforce}}\n";

/// The paths of what `check` finds that would refuse.
fn checked(objects: &[Value], namespace: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("c.yaml");
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
    std::fs::write(&config, format!("{head}{POLICIES}")).expect("written");
    let mut child = Command::new(PROGRAM)
        .args(["check", "-", "--format", "json", "--namespace", namespace, "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let text: String = objects.iter().map(|object| format!("{object}\n")).collect();
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let rows = String::from_utf8(output.stdout).expect("UTF-8");
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("JSON"));
    let findings = rows.flat_map(|row| row["findings"].as_array().cloned().unwrap_or_default());
    findings.map(|finding| format!("{}: {} ", finding["policy"], finding["path"]).replace('"', "")).collect()
}

fn range(name: &str, item: Value) -> Value {
    let mut item = item;
    item["type"] = json!("Container");
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name}, "spec": {"limits": [item]}})
}

#[test]
fn check_completes_a_pod_as_the_api_server_does() {
    let plane = Plane::shared();
    let sets = [
        vec![],
        vec![range("a", json!({"default": {"cpu": "1", "memory": "1Gi"}}))],
        vec![range("a", json!({"max": {"memory": "2Gi"}}))],
        vec![range("a", json!({"min": {"cpu": "1m"}})), range("b", json!({"defaultRequest": {"memory": "1Mi"}}))],
        vec![range("a", json!({"max": {"memory": "2Gi"}})), range("b", json!({"min": {"cpu": "1m"}}))],
    ];
    for (number, ranges) in sets.iter().enumerate() {
        let space = Space::new(plane, &format!("it-completed-{number}"));
        for range in ranges {
            space.create("limitranges", range).admitted();
        }
        // The API server reads LimitRanges from a cache.
        eventually("the LimitRanges", || {
            let mut bare = pod("probe", spec());
            bare["spec"]["containers"][0]["resources"] = json!(null);
            let resources = space.create_dry("pods", &bare).admitted()["spec"]["containers"][0]["resources"].clone();
            let items = ranges.iter().filter_map(|range| range["spec"]["limits"][0].as_object()).flatten();
            let mut given = items.filter_map(|(_, given)| given.as_object()).flat_map(|given| given.keys());
            given.all(|resource| !resources["requests"][resource].is_null()).then_some(())
        });
        let _portcullis = Portcullis::guard(plane, &[&space], POLICIES, &[]);
        for host_network in [false, true] {
            for resources in [json!(null), json!({"limits": {"memory": "64Mi"}}), json!({"requests": {"cpu": "5m"}})] {
                let mut spec = spec();
                let mut first = container("first");
                for (one, port) in [(&mut spec["containers"][0], 8_080), (&mut first, 8_081)] {
                    one["resources"] = resources.clone();
                    one["ports"] = json!([{"containerPort": port}]);
                }
                spec["initContainers"] = json!([first]);
                spec["hostNetwork"] = host_network.into();
                let pod = pod("web", spec);
                let set: Vec<Value> = ranges.iter().cloned().chain([pod.clone()]).collect();
                let found = checked(&set, &space.name);
                let answer = space.create_dry("pods", &pod);
                let told = format!("{number}, {host_network}, {resources}: {found:#?}, {answer:#?}");
                assert_eq!(answer.is_success(), found.is_empty(), "{told}");
                if !found.is_empty() {
                    let refused = answer.refused().to_owned();
                    assert_eq!(refused.lines().count(), found.len(), "{told}");
                    assert!(found.iter().all(|finding| refused.contains(finding.as_str())), "{told}");
                }
            }
        }
    }
}
