//! Overlays in which nobody has named the image: nothing of them is applied, and it is said what to write.

use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use super::{OVERLAYS, WEBHOOKS, copy, kubectl_in, name_image, webhooks_path};
use crate::golden::repository;
use crate::kubernetes::plane::Plane;
use crate::serve::DIGEST;

/// The expected end of the error message.
const SENTENCE: &str = "write the registry and the digest of your image into deploy/base/kustomization.yaml";

/// Asserts that nothing of ours is in the cluster.
#[track_caller]
fn is_empty(plane: &Plane) {
    for path in WEBHOOKS.map(webhooks_path).iter().map(String::as_str).chain(["/api/v1/namespaces/portcullis"]) {
        assert_eq!(plane.admin.call(Method::GET, path, None).code, 404, "{path}");
    }
}

/// Applies a folder, which must fail: what was said.
#[track_caller]
fn refused(plane: &Plane, root: &Path, folder: &str) -> String {
    let output = kubectl_in(plane, root, &["apply", "-k", folder]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty(), "{folder} was applied: {said}");
    said
}

#[test]
fn an_overlay_that_names_no_image_applies_nothing_and_says_what_to_write() {
    let plane = Plane::start(&["--with-controller-manager=false"]);
    for folder in OVERLAYS.into_iter().chain(["deploy", "deploy/base"]) {
        let said = refused(&plane, &repository("."), folder);
        assert!(said.trim_end().ends_with(SENTENCE), "{said}");
        is_empty(&plane);
    }
    // A tag, or a registry alone, is not enough.
    for written in ["newTag: 1.0.0", ""] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&repository("deploy"), &folder.path().join("deploy"));
        name_image(folder.path());
        let file = folder.path().join("deploy/base/kustomization.yaml");
        let text = std::fs::read_to_string(&file).expect("the kustomization");
        std::fs::write(&file, text.replace(&format!("digest: {DIGEST}"), written)).expect("written");
        for overlay in OVERLAYS {
            refused(&plane, folder.path(), overlay);
            is_empty(&plane);
        }
    }
}

#[test]
fn the_image_that_is_named_is_the_one_that_runs() {
    for overlay in OVERLAYS {
        let objects = super::rendered(overlay);
        let holds = |object: &&Value| !object["spec"]["template"]["spec"]["containers"].is_null();
        let workload = objects.iter().find(holds).expect("a workload");
        let image = workload["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
        assert_eq!(image, format!("registry.example.com/portcullis@{DIGEST}"));
        let shown = workload["metadata"]["annotations"]["portcullis.dev/image-digest"].as_str().expect("the digest");
        assert_eq!(format!("sha256:{shown}"), DIGEST);
    }
}
