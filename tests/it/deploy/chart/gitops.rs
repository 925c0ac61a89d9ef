//! A running installation shows no difference to tools that apply the rendered chart again and again: not when they compare by a
//! dry run of server-side apply, not by a three-way comparison, and not by Argo CD's own library (`tools/gitops-diff`).

use axum::http::Method;
use serde_json::{Value, json};

use super::super::program::Program;
use super::super::{NAME, SECRET, WEBHOOKS, configuration, kubectl_in, prepared, secret_ca, token, trusted};
use super::{CHART, ci, helm, objects};
use crate::go_tool::GoTool;
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;

/// Options of `kubectl` for each way.
const WAYS: [&[&str]; 2] = [&["--server-side", "--field-manager=gitops"], &[]];

#[test]
fn what_the_server_writes_is_no_difference() {
    let argo = GoTool::start("gitops-diff");
    for way in WAYS {
        let plane = Plane::start(&["--with-controller-manager=false"]);
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("all.yaml");
        let rendered =
            helm(&["template", NAME, CHART, "--skip-tests", "--namespace", NAME, "--values", &ci("enforce")]);
        std::fs::write(&file, &rendered.stdout).expect("written");
        let file = file.to_str().expect("UTF-8");
        let kubectl = |verb: &str| {
            let output = kubectl_in(&plane, prepared(), &[&[verb], way, &["--filename", file]].concat());
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
            )
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}});
        plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
        let (is_applied, said) = kubectl("apply");
        assert!(is_applied, "{way:?}: {said}");
        let arguments = ["--certificate-lifetime=30", "--authority-lifetime=30"];
        let token = token(&plane, &3600.into(), None);
        let program =
            Program::serve_with(&plane, &configuration("deploy/overlays/enforce"), &token, &arguments).ready();
        let pair = || plane.admin.call(Method::GET, SECRET, None).admitted()["data"]["tls.crt"].clone();
        let first = (secret_ca(&plane).expect("a certificate in the Secret"), pair());
        // As it was made; while both CAs are trusted; and once another certificate of another CA is served.
        for state in ["made", "overlapping", "rotated"] {
            eventually(state, || {
                let ca = secret_ca(&plane)?;
                let is_there = match state {
                    "made" => true,
                    "overlapping" => ca != first.0 && ca.ends_with(&first.0),
                    _ => pair() != first.1,
                };
                is_there.then_some(())
            });
            for resource in WEBHOOKS {
                eventually("caBundle is as in the Secret", || {
                    (trusted(&plane, resource) == secret_ca(&plane)).then_some(())
                });
            }
            assert_eq!(kubectl("diff"), (true, String::new()), "{way:?}, {state}");
            let live = kubectl_in(&plane, prepared(), &["get", "--output", "json", "--filename", file]);
            let live: Value = serde_json::from_slice(&live.stdout).expect("JSON");
            assert_eq!(differing(&argo, &objects(&rendered), &live["items"]), [] as [Value; 0], "{way:?}, {state}");
            let version = |object: &Value| object["metadata"]["uid"].clone();
            let before = plane.admin.call(Method::GET, SECRET, None).admitted();
            let (is_applied, said) = kubectl("apply");
            assert!(is_applied, "{way:?}, without force: {said}");
            let after = plane.admin.call(Method::GET, SECRET, None).admitted();
            assert_eq!(version(&after), version(&before));
            assert!(after["data"]["ca.key"].is_string(), "applying again takes nothing away");
            for resource in WEBHOOKS {
                eventually("caBundle is as in the Secret", || {
                    (trusted(&plane, resource) == secret_ca(&plane)).then_some(())
                });
            }
        }
        assert_eq!(program.said(&["cannot be watched"]), None);
    }
}

/// What Argo CD says of each object that differs from the one in the cluster.
fn differing(argo: &GoTool, rendered: &[Value], live: &Value) -> Vec<Value> {
    let live = live.as_array().expect("a list");
    assert_eq!(live.len(), rendered.len());
    let one = |config: &Value| {
        let same = |other: &&Value| ["kind", "apiVersion"].iter().all(|field| other[field] == config[field]);
        let live = live.iter().find(same).expect("it is in the cluster");
        argo.ask(&json!({"config": config, "live": live}).to_string())
    };
    let answers = rendered.iter().map(one);
    answers.filter(|answer| answer["modified"] != false || !answer["error"].is_null()).collect()
}

#[test]
fn argo_cd_sees_what_differs() {
    let argo = GoTool::start("gitops-diff");
    let map =
        |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"a": text}});
    assert_eq!(differing(&argo, &[map("1")], &json!([map("1")])), [] as [Value; 0]);
    assert_eq!(differing(&argo, &[map("1")], &json!([map("2")])).len(), 1);
}
