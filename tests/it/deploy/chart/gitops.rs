//! A running installation shows no difference to tools that apply the rendered chart again and again: not when they compare by a
//! dry run of server-side apply, and not by a three-way comparison.

use axum::http::Method;
use serde_json::json;

use super::super::program::Program;
use super::super::{NAME, SECRET, WEBHOOKS, configuration, kubectl_in, prepared, secret_ca, trusted};
use super::{CHART, ci, helm};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;

/// Options of `kubectl` for each way.
const WAYS: [&[&str]; 2] = [&["--server-side", "--field-manager=gitops"], &[]];

#[test]
fn what_the_server_writes_is_no_difference() {
    for way in WAYS {
        let plane = Plane::start(&["--with-controller-manager=false"]);
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("all.yaml");
        let rendered = helm(&["template", NAME, CHART, "--namespace", NAME, "--values", &ci("enforce")]);
        std::fs::write(&file, rendered.stdout).expect("written");
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
        let mut before = None;
        // The second start finds an empty Secret, and makes another certificate.
        for _ in 0..2 {
            let program = Program::serve(&plane, &configuration("deploy/overlays/enforce")).ready();
            let ca = secret_ca(&plane).expect("a certificate in the Secret");
            assert_ne!(before.as_ref(), Some(&ca));
            for resource in WEBHOOKS {
                eventually("caBundle is filled in", || (trusted(&plane, resource)? == ca).then_some(()));
            }
            assert_eq!(kubectl("diff"), (true, String::new()), "{way:?}");
            let (is_applied, said) = kubectl("apply");
            assert!(is_applied, "{way:?}, without force: {said}");
            assert_eq!(secret_ca(&plane).as_ref(), Some(&ca), "applying again takes nothing away");
            assert!(WEBHOOKS.iter().all(|resource| trusted(&plane, resource).as_ref() == Some(&ca)));
            drop(program);
            plane.admin.call(Method::PATCH, SECRET, Some(&json!({"data": null}))).admitted();
            before = Some(ca);
        }
    }
}
