//! A namespace for one test, and what is done in it.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::plane::Plane;

/// A namespace, seen by somebody.
#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) name: String,
    client: Client,
}

impl Space {
    /// Makes a namespace that can hold Pods, isolates them, and has the account that [`super::objects::spec`] names.
    pub(crate) fn new(plane: &Plane, name: &str) -> Self {
        let space = Self::open(plane, name);
        space.create("networkpolicies", &isolation("all", json!({}))).admitted();
        space
    }

    /// The same without a NetworkPolicy.
    pub(crate) fn open(plane: &Plane, name: &str) -> Self {
        let space = Self::named(&plane.admin, name);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
        // Without it no Pod is admitted. The controller manager, if there is one, may have been faster.
        let made = space.create("serviceaccounts", &account("default", None));
        assert!(made.is_success() || made.code == 409, "{made:#?}");
        space.create("serviceaccounts", &account("web", None)).admitted();
        space
    }

    /// A namespace as it is, or that is yet to be.
    pub(crate) fn named(client: &Client, name: &str) -> Self {
        Self { name: name.to_owned(), client: client.clone() }
    }

    /// The same namespace, as somebody else.
    pub(crate) fn seen_by(&self, client: Client) -> Self {
        Self { name: self.name.clone(), client }
    }

    pub(crate) fn create(&self, resource: &str, object: &Value) -> Answer {
        self.client.call(Method::POST, &self.path(resource), Some(object))
    }

    pub(crate) fn create_dry(&self, resource: &str, object: &Value) -> Answer {
        self.client.call(Method::POST, &(self.path(resource) + "?dryRun=All"), Some(object))
    }

    /// `Err` when the connection broke.
    pub(crate) fn try_create(&self, resource: &str, object: &Value) -> Result<Answer, kube::Error> {
        self.client.try_call(Method::POST, &self.path(resource), Some(object))
    }

    /// A strategic merge patch. `name` may go on to a subresource: `web/status`.
    pub(crate) fn patch(&self, resource: &str, name: &str, patch: &Value) -> Answer {
        self.client.call(Method::PATCH, &format!("{}/{name}", self.path(resource)), Some(patch))
    }

    /// Replaces an object, which says its name and version: kinds of other projects take no strategic merge patch.
    pub(crate) fn replace(&self, resource: &str, object: &Value) -> Answer {
        self.client.call(Method::PUT, &self.path_of(resource, object), Some(object))
    }

    pub(crate) fn replace_status(&self, resource: &str, object: &Value) -> Answer {
        self.client.call(Method::PUT, &format!("{}/status", self.path_of(resource, object)), Some(object))
    }

    pub(crate) fn delete(&self, resource: &str, name: &str) -> Answer {
        self.client.call(Method::DELETE, &format!("{}/{name}", self.path(resource)), None)
    }

    pub(crate) fn delete_dry(&self, resource: &str, name: &str) -> Answer {
        self.client.call(Method::DELETE, &format!("{}/{name}?dryRun=All", self.path(resource)), None)
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Answer {
        self.client.call(Method::GET, &format!("{}/{name}", self.path(resource)), None)
    }

    pub(crate) fn list(&self, resource: &str) -> Vec<Value> {
        let list = self.client.call(Method::GET, &self.path(resource), None).admitted();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    fn path_of(&self, resource: &str, object: &Value) -> String {
        format!("{}/{}", self.path(resource), object["metadata"]["name"].as_str().expect("a name"))
    }

    fn path(&self, resource: &str) -> String {
        let group = match resource {
            "deployments" | "replicasets" | "statefulsets" | "daemonsets" => "apis/apps/v1",
            "jobs" | "cronjobs" => "apis/batch/v1",
            "ingresses" | "networkpolicies" => "apis/networking.k8s.io/v1",
            "gateways" | "httproutes" => "apis/gateway.networking.k8s.io/v1",
            "routes" => "apis/route.openshift.io/v1",
            "peerauthentications" => "apis/security.istio.io/v1",
            _ => "api/v1",
        };
        format!("/{group}/namespaces/{}/{resource}", self.name)
    }
}

/// A ServiceAccount.
pub(crate) fn account(name: &str, automount: Option<bool>) -> Value {
    let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    if let Some(automount) = automount {
        account["automountServiceAccountToken"] = automount.into();
    }
    account
}

/// A NetworkPolicy that isolates the Pods with these labels in both directions.
pub(crate) fn isolation(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress", "Egress"]},
    })
}
