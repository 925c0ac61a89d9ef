//! The backstop on a real API server, as objects of the API and as files of the control plane.

mod expressions;
mod files;
mod pods;

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::http::Method;
use kube::config::Kubeconfig;
use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use super::eventually;
use super::plane::Plane;
use super::process::PROGRAM;
use crate::deploy::kubectl_in;
use crate::golden::repository;

/// The group of those whom the backstop judges, who may do everything by RBAC.
pub(crate) const DEVELOPERS: &str = "backstop-developers";

/// The folder that the page names for policies.
pub(crate) const POLICIES: &str = "/etc/kubernetes/admission/policies";

/// A form of the backstop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Objects of the API.
    Api,
    /// Files of the control plane (KEP-5793).
    Static,
}

/// The file with which an API server reads policies and webhooks from folders beside it.
pub(crate) struct Admission(TempDir);

impl Admission {
    /// With empty folders.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let plugin = |name: &str, kind: &str, folder: &str| {
            std::fs::create_dir(dir.path().join(folder)).expect("a folder");
            json!({"name": name, "configuration": {"apiVersion": "apiserver.config.k8s.io/v1", "kind": kind,
                "staticManifestsDir": dir.path().join(folder)}})
        };
        let webhooks = "WebhookAdmissionConfiguration";
        let plugins = [
            // As the page shows it.
            plugin("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyConfiguration", "policies"),
            plugin("ValidatingAdmissionWebhook", webhooks, "validating"),
            plugin("MutatingAdmissionWebhook", webhooks, "mutating"),
        ];
        let configuration =
            json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins});
        std::fs::write(dir.path().join("admission.yaml"), configuration.to_string()).expect("written");
        Self(dir)
    }

    /// The file itself.
    pub(crate) fn file(&self) -> String {
        self.0.path().join("admission.yaml").display().to_string()
    }

    /// A folder beside it: `policies`, `validating` or `mutating`.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// What `portcullis` prints with these arguments, in the root of the repository.
#[track_caller]
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).current_dir(repository(".")).output().expect("portcullis runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Somebody in [`DEVELOPERS`], once RBAC permits everything to that group.
pub(crate) fn developer(plane: &Plane) -> Client {
    permit(plane, DEVELOPERS);
    let jane = plane.user("jane", DEVELOPERS);
    eventually("RBAC permits it", || jane.call(Method::GET, "/api/v1/nodes", None).is_success().then_some(()));
    jane
}

/// Writes the administrator's kubeconfig such that whoever uses it acts as somebody else.
pub(crate) fn acting_as(plane: &Plane, name: &str, group: &str, file: &Path) {
    let mut kubeconfig = Kubeconfig::read_from(&plane.place.kubeconfig).expect("its kubeconfig");
    let user = kubeconfig.auth_infos.first_mut().and_then(|user| user.auth_info.as_mut()).expect("its one user");
    (user.impersonate, user.impersonate_groups) = (Some(name.to_owned()), Some(vec![group.to_owned()]));
    std::fs::write(file, serde_json::to_string(&kubeconfig).expect("JSON")).expect("written");
}

/// Permits everything to a group.
pub(crate) fn permit(plane: &Plane, group: &str) {
    let name = format!("all-for-{group}");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}]});
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let made = plane.admin.call(Method::POST, path, Some(&binding));
    assert!(made.is_success() || made.code == 409, "{made:#?}");
}

/// A control plane with the backstop of a configuration file loaded, and whatever holds its files.
pub(crate) fn loaded(form: Form, configuration: &Path, groups: &[&str], arguments: &[&str]) -> (Plane, Admission) {
    let admission = Admission::new();
    match form {
        Form::Api => {
            let plane = Plane::start(arguments);
            apply(&plane, &policies(configuration, groups, &[]));
            (plane, admission)
        }
        Form::Static => {
            let text = policies(configuration, groups, &["--static"]);
            std::fs::write(admission.folder("policies").join("portcullis-backstop.yaml"), text).expect("written");
            let file = admission.file();
            let plane = Plane::start(&[arguments, &["--admission", &file]].concat());
            (plane, admission)
        }
    }
}

/// The same with both forms loaded.
pub(crate) fn loaded_twice(configuration: &Path, groups: &[&str], arguments: &[&str]) -> (Plane, Admission) {
    let (plane, admission) = loaded(Form::Static, configuration, groups, arguments);
    apply(&plane, &policies(configuration, groups, &[]));
    (plane, admission)
}

/// The backstop of a configuration file.
fn policies(configuration: &Path, groups: &[&str], more: &[&str]) -> String {
    let file = configuration.to_str().expect("UTF-8");
    printed(&[&["backstop", "--config", file, "--allow-group"], groups, more].concat())
}

/// Applies manifests as the administrator.
fn apply(plane: &Plane, manifests: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("manifests.yaml"), manifests).expect("written");
    let output = kubectl_in(plane, dir.path(), &["apply", "--filename", "manifests.yaml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
