//! A namespace that takes writes as an API server takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ManagedFieldsEntry};
use portcullis::generate::{Action, Kind, MANAGER, Namespace, Plan, Settings, Workload, plan};
use serde_json::{Value, json};

/// Namespace of Portcullis.
pub(super) const OWN: &str = "portcullis";

/// A namespace, and what is stored in it.
#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) settings: Settings,
    pub(super) namespace: Namespace,
    pub(super) workloads: Vec<Workload>,
    pub(super) policies: BTreeMap<String, NetworkPolicy>,
    /// Number of writes.
    version: usize,
}

impl Model {
    /// A namespace with that label.
    pub(super) fn labelled(label: Option<&str>) -> Self {
        let namespace = Namespace { name: "shop".to_owned(), label: label.map(str::to_owned), is_ending: false };
        Self { namespace, ..Self::default() }
    }

    pub(super) fn with(mut self, workloads: &[Workload]) -> Self {
        self.workloads.extend_from_slice(workloads);
        self
    }

    pub(super) fn plan(&self) -> Plan {
        let policies: Vec<Arc<NetworkPolicy>> = self.policies.values().cloned().map(Arc::new).collect();
        plan(&self.settings, OWN, &self.namespace, &self.workloads, &policies)
    }

    /// Does what is planned; the plan.
    pub(super) fn follow(&mut self) -> Plan {
        let plan = self.plan();
        for action in &plan.actions {
            self.take(action);
        }
        plan
    }

    /// A write whose preconditions hold.
    fn take(&mut self, action: &Action) {
        let name = action.name().to_owned();
        let stored = self.policies.get(&name).map(|policy| policy.metadata.clone());
        match action {
            Action::Delete { uid, resource_version, .. } => {
                let stored = stored.expect("what is deleted is there");
                assert_eq!((uid, resource_version), (&stored.uid, &stored.resource_version), "{name}");
                self.policies.remove(&name);
            }
            Action::Apply(policy) => {
                let mut policy = (**policy).clone();
                assert_eq!(policy.metadata.managed_fields, None);
                assert_eq!(policy.metadata.uid, stored.as_ref().and_then(|stored| stored.uid.clone()), "{name}");
                if let Some(stored) = &stored {
                    assert_eq!(policy.metadata.resource_version, stored.resource_version, "{name}");
                } else {
                    assert_eq!(policy.metadata.resource_version.as_deref(), Some("1"), "it must not exist");
                }
                self.version += 1;
                let uid = policy.metadata.uid.clone().unwrap_or_else(|| format!("uid-{}", self.version));
                (policy.metadata.uid, policy.metadata.resource_version) =
                    (Some(uid), Some(format!("{}", 1_000 + self.version)));
                policy.metadata.managed_fields = Some(managed(&[(
                    MANAGER,
                    "Apply",
                    json!({"f:metadata": {"f:labels": {}}, "f:spec": {"f:podSelector": {}}}),
                )]));
                self.policies.insert(name, policy);
            }
        }
    }

    /// A policy of somebody else.
    pub(super) fn foreign(&mut self, name: &str) {
        let mut policy: NetworkPolicy = read(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("foreign-{name}"), "resourceVersion": "7"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}));
        policy.metadata.managed_fields =
            Some(managed(&[("kubectl-client-side-apply", "Update", json!({"f:spec": {"f:podSelector": {}}}))]));
        self.policies.insert(name.to_owned(), policy);
    }

    /// An edit of the spec by somebody else.
    pub(super) fn edit(&mut self, name: &str) {
        let Some(policy) = self.policies.get_mut(name) else { return };
        policy.spec.as_mut().expect("a spec").policy_types = Some(vec!["Egress".to_owned()]);
        let by = managed(&[("kubectl-edit", "Update", json!({"f:spec": {"f:policyTypes": {}}}))]);
        policy.metadata.managed_fields.get_or_insert_default().extend(by);
    }

    /// The deletion of a workload, and what the garbage collector makes of it.
    pub(super) fn delete(&mut self, position: usize) {
        let uid = self.workloads.remove(position).uid;
        let is_owned =
            |policy: &NetworkPolicy| policy.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid);
        self.policies.retain(|_, policy| !is_owned(policy));
    }

    /// The name of the policy that a workload owns.
    pub(super) fn policy_of(&self, workload: &Workload) -> Option<&str> {
        let owns = |policy: &NetworkPolicy| {
            policy.metadata.owner_references.iter().flatten().any(|owner| owner.uid == workload.uid)
        };
        self.policies.iter().find(|(_, policy)| owns(policy)).map(|(name, _)| name.as_str())
    }

    pub(super) fn spec(&self, name: &str) -> Value {
        serde_json::to_value(&self.policies[name].spec).expect("JSON")
    }
}

/// A workload that selects `app: NAME`.
pub(super) fn workload(kind: Kind, name: &str) -> Workload {
    let selector: LabelSelector = read(json!({"matchLabels": {"app": name}}));
    let uid = format!("{}-{name}", kind.as_str());
    Workload { kind, name: name.to_owned(), uid, selector, is_ending: false }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn managed(entries: &[(&str, &str, Value)]) -> Vec<ManagedFieldsEntry> {
    let entry = |(manager, operation, fields): &(&str, &str, Value)| {
        read(json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}))
    };
    entries.iter().map(entry).collect()
}
