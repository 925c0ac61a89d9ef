//! Claims of `deploy/` and the Dockerfile, tested against a real API server: the objects that are applied, the programs
//! that are started from them, and their permissions.

mod break_glass;
mod certificate;
mod chart;
mod discovery;
mod drift;
mod durable;
mod fallback;
mod generate;
mod image;
mod installed;
mod kubelet;
mod manifests;
mod network;
mod preflight;
pub(crate) mod program;
mod readme;
mod rights;
mod rolling;
mod service;
mod unnamed;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use axum::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden::repository;
use crate::kubernetes::plane::{Plane, programs};
use crate::serve::DIGEST;

/// The overlays, by their folders.
const OVERLAYS: [&str; 3] = ["deploy/overlays/audit-only", "deploy/overlays/enforce", "deploy/overlays/durable"];
/// Namespace and name of everything.
const NAME: &str = "portcullis";
const SECRET: &str = "/api/v1/namespaces/portcullis/secrets/portcullis-certificate";
/// The kinds of our two webhook configurations, as their resources.
const WEBHOOKS: [&str; 2] = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];

/// A folder with a `deploy/` in which the image is named, as the README says.
fn prepared() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&repository("deploy"), &folder.path().join("deploy"));
        name_image(folder.path());
        folder
    });
    FOLDER.path()
}

/// Writes registry and digest where the shipped file has a sentence.
fn name_image(folder: &Path) {
    let file = folder.join("deploy/base/kustomization.yaml");
    let text = std::fs::read_to_string(&file).expect("the kustomization");
    let line = |begin: &str| text.lines().find(|line| line.trim_start().starts_with(begin)).expect(begin);
    let named = text.replace(line("newName: "), "  newName: registry.example.com/portcullis");
    let named = named.replace(line("# digest: "), &format!("  digest: {DIGEST}"));
    std::fs::write(file, named).expect("written");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("an entry");
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Objects that `kubectl kustomize` renders from a folder.
fn rendered(folder: &str) -> Vec<Value> {
    let output = Command::new(programs().join("kubectl")).arg("kustomize").arg(prepared().join(folder)).output();
    let output = output.expect("kubectl runs");
    assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Asserts that a webhook configuration carries the label by which both are found, and the digest of the configuration in the
/// ConfigMap.
#[track_caller]
fn assert_described(object: &Value, map: &Value) {
    assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/name"], NAME);
    let digest = sha256(map["data"]["config.yaml"].as_str().expect("a file"));
    assert_eq!(object["metadata"]["annotations"]["portcullis.dev/configuration"], digest);
}

/// SHA-256 of a text, hexadecimal.
fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The documents of a YAML file.
fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).expect("YAML")).collect()
}

/// `kubectl`, which must succeed and warn of nothing: what it printed.
#[track_caller]
fn kubectl(plane: &Plane, arguments: &[&str]) -> String {
    let output = kubectl_in(plane, prepared(), arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "kubectl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// `kubectl`, in a folder.
pub(crate) fn kubectl_in(plane: &Plane, folder: &Path, arguments: &[&str]) -> Output {
    let cache = tempfile::tempdir().expect("a folder");
    Command::new(&plane.place.kubectl)
        .args(arguments)
        .arg("--kubeconfig")
        .arg(&plane.place.kubeconfig)
        .arg("--cache-dir")
        .arg(cache.path())
        .current_dir(folder)
        .output()
        .expect("kubectl runs")
}

/// A cluster with the overlay `audit-only` just applied, and no certificate in its Secret: for one test at a time.
fn cluster() -> MutexGuard<'static, Plane> {
    static SHARED: LazyLock<Mutex<Plane>> =
        LazyLock::new(|| Mutex::new(Plane::start(&["--with-controller-manager=false", "--audit-log"])));
    let plane = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    plane.admin.call(Method::DELETE, SECRET, None);
    // Those of the test before fail closed while nobody answers, and the roles that it changed could not be restored.
    for resource in WEBHOOKS {
        plane.admin.call(Method::DELETE, &webhooks_path(resource), None);
    }
    kubectl(&plane, &["apply", "-k", "deploy"]);
    distrust_all(&plane);
    plane
}

/// One of our two webhook configurations.
fn webhooks(plane: &Plane, resource: &str) -> Value {
    plane.admin.call(Method::GET, &webhooks_path(resource), None).admitted()
}

/// Waits until the API server has heard of a change of what a user may do.
fn rbac_heard(plane: &Plane, user: &str, attributes: &Value, allowed: bool) {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    crate::kubernetes::eventually("RBAC has heard", || {
        let answer = plane.admin.call(Method::POST, path, Some(&review)).admitted();
        (answer["status"]["allowed"] == allowed).then_some(())
    });
}

fn webhooks_path(resource: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{resource}/{NAME}")
}

/// The one `caBundle` of all its webhooks, decoded.
fn trusted(plane: &Plane, resource: &str) -> Option<String> {
    let object = webhooks(plane, resource);
    let bundles = object["webhooks"].as_array()?.iter().map(|webhook| webhook["clientConfig"]["caBundle"].as_str());
    let mut bundles: Vec<Option<String>> = bundles.map(|bundle| bundle.map(decoded)).collect();
    bundles.dedup();
    if bundles.len() == 1 { bundles.remove(0) } else { None }
}

/// Empties `caBundle`.
fn distrust(plane: &Plane, resource: &str) {
    let object = webhooks(plane, resource);
    let names = object["webhooks"].as_array().expect("webhooks").iter().map(|webhook| &webhook["name"]);
    let emptied: Vec<Value> = names.map(|name| json!({"name": name, "clientConfig": {"caBundle": null}})).collect();
    plane.admin.call(Method::PATCH, &webhooks_path(resource), Some(&json!({"webhooks": emptied}))).admitted();
}

fn distrust_all(plane: &Plane) {
    for resource in WEBHOOKS {
        distrust(plane, resource);
    }
}

/// The CA in the Secret, once there is one.
fn secret_ca(plane: &Plane) -> Option<String> {
    let secret = plane.admin.call(Method::GET, SECRET, None);
    secret.is_success().then(|| secret.body["data"]["ca.crt"].as_str().map(decoded))?
}

fn decoded(base64: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).expect("base64");
    String::from_utf8(bytes).expect("PEM")
}

/// A token of our ServiceAccount, as asked for by a volume of one of its Pods, if any.
fn token(plane: &Plane, seconds: &Value, pod: Option<&Value>) -> String {
    let mut spec = json!({"expirationSeconds": seconds});
    if let Some(pod) = pod {
        let metadata = &pod["metadata"];
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]});
        spec["boundObjectRef"] = bound;
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    requested(plane, NAME, &request)
}

/// A token of a ServiceAccount of ours.
fn requested(plane: &Plane, account: &str, request: &Value) -> String {
    let path = format!("/api/v1/namespaces/portcullis/serviceaccounts/{account}/token");
    let made = plane.admin.call(Method::POST, &path, Some(request)).admitted();
    made["status"]["token"].as_str().expect("a token").to_owned()
}

/// The configuration of an overlay.
fn configuration(overlay: &str) -> String {
    std::fs::read_to_string(repository(overlay).join("config.yaml")).expect(overlay)
}

/// Replaces a file in one step.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).expect("written");
    std::fs::rename(beside, file).expect("renamed");
}
