//! Claims of `charts/portcullis`: the same objects as `deploy/`, webhooks as the program derives them, values that are checked,
//! and the chart on a real API server, by the real helm.

mod backstop;
mod certificates;
mod configurations;
mod data;
mod derived;
mod drift;
mod generate;
mod gitops;
pub(super) mod installed;
mod probe;
mod readme;
mod rendered;
mod schema;
mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::golden::repository;
use crate::serve::DIGEST;

/// The chart, from the root of the repository.
pub(super) const CHART: &str = "charts/portcullis";
/// Values files of the chart that are linted, rendered and installed.
const CI: [&str; 6] = ["audit-only", "enforce", "durable", "cert-manager", "air-gap", "every-value"];

/// The program helm, built first if need be: that takes minutes, once a machine.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let output = Command::new(repository("tools/helm/build"))
            .stderr(Stdio::inherit())
            .output()
            .expect("tools/helm/build runs");
        assert!(output.status.success(), "tools/helm/build failed: {}", output.status);
        Path::new(String::from_utf8(output.stdout).expect("a path").trim_end()).join("helm")
    })
}

/// `helm`, with folders of its own and no configuration of the user's.
fn helm(arguments: &[&str]) -> Output {
    helm_with(arguments, None)
}

/// The same, against a cluster.
fn helm_with(arguments: &[&str], kubeconfig: Option<&Path>) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(program());
    command.args(arguments).current_dir(repository(".")).env_clear().env("HOME", home.path());
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    command.output().expect("helm runs")
}

/// The values file of `ci/` with that name.
fn ci(name: &str) -> String {
    format!("{CHART}/ci/{name}-values.yaml")
}

/// Values that name an image, which has no default.
fn image() -> String {
    format!("image.registry=registry.example.com,image.digest={DIGEST}")
}

/// Objects that helm renders with the image of [`image`] and further arguments, in the namespace `portcullis`, and installs.
#[track_caller]
fn template(arguments: &[&str]) -> Vec<Value> {
    let mut objects = template_all(arguments);
    objects.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"].is_null());
    objects
}

/// The same, and those that `helm test` creates.
#[track_caller]
fn template_all(arguments: &[&str]) -> Vec<Value> {
    let output = try_template(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    objects(&output)
}

fn try_template(arguments: &[&str]) -> Output {
    let image = image();
    let all = ["template", "portcullis", CHART, "--namespace", "portcullis", "--set", &image];
    helm(&[&all, arguments].concat())
}

/// The objects in what helm printed.
fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let documents = text.split("\n---\n").map(|document| document.strip_prefix("---\n").unwrap_or(document));
    let objects = documents.filter(|document| document.lines().any(|line| !line.is_empty() && !line.starts_with('#')));
    objects.map(|document| serde_saphyr::from_str(document).expect("YAML")).collect()
}
