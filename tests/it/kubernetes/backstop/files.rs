//! `webhooks --static`: the webhooks as files of the control plane.

use serde_json::json;

use super::super::eventually;
use super::super::objects::{broken_pod, pod, spec};
use super::super::plane::Plane;
use super::super::process::Server;
use super::super::space::Space;
use super::{Admission, printed};

#[test]
fn an_api_server_asks_webhooks_that_it_read_from_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::alone(dir.path(), &[]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let configuration = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\ndefaults: safe\nnamespaces:\n\
                         - {match: {names: [kube-system]}, ceiling: audit, relax: true}\n";
    std::fs::write(dir.path().join("static.yaml"), configuration).expect("written");
    let admission = Admission::new();
    for kind in ["validating", "mutating"] {
        let (config, url, bundle) = (path("static.yaml"), format!("https://{}", server.address), path("ca.crt"));
        let text = printed(&[
            "webhooks",
            "--static",
            "--config",
            &config,
            "--url",
            &url,
            "--ca-bundle",
            &bundle,
            "--only",
            kind,
        ]);
        assert!(text.starts_with("# What protects it: the disk of the control plane."), "{text}");
        std::fs::write(admission.folder(kind).join("portcullis.yaml"), text).expect("written");
    }
    let plane = Plane::start(&["--admission", &admission.file()]);
    let space = Space::new(&plane, "it-static");
    let answer = eventually("it asks", || {
        let answer = space.create_dry("pods", &broken_pod("web"));
        (answer.code == 403).then_some(answer)
    });
    assert!(answer.refused().contains("unpinned-images: "), "{answer:#?}");
    // Nothing of it is seen in the API.
    let listed = |resource: &str| {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{resource}");
        plane.admin.call(axum::http::Method::GET, &path, None).admitted()["items"].clone()
    };
    assert_eq!(listed("validatingwebhookconfigurations"), json!([]));
    let mut unset = spec();
    unset["securityContext"].as_object_mut().expect("a mapping").remove("seccompProfile");
    let made = space.create_dry("pods", &pod("web", unset));
    let seccomp = &made.body["spec"]["securityContext"]["seccompProfile"]["type"];
    assert!(
        made.is_success() && seccomp == "RuntimeDefault" || made.message().contains("unisolated-pods"),
        "{made:#?}"
    );
}
