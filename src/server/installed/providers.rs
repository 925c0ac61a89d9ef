//! Edits of webhook configurations that cloud providers make by themselves, recognised by their exact form.
//!
//! They narrow what is asked, and are left alone: whoever undid them would fight the provider.
//! - AKS, the admissions enforcer: further requirements of `namespaceSelector`, written by the manager `admissionsenforcer`
//!   (Azure/AKS#1771 and #4002).
//! - Gardener, the remediation of webhooks: `failurePolicy`, `timeoutSeconds`, and further requirements of both selectors, each of
//!   them named in an annotation by the same writer (gardener/gardener, `pkg/gardenlet/controller/shoot/care/webhook_remediation.go`).

use std::fmt;

use serde_json::Value;

use super::editors::{is_of_one_owner, is_owned_by};
use super::selector::Requirement;

/// A provider that edits the webhook configurations of its customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    /// Azure Kubernetes Service.
    Aks,
    /// Gardener.
    Gardener,
}

/// The manager of the admissions enforcer's writes.
const ENFORCER: &str = "admissionsenforcer";
/// Gardener's annotation, and the beginning of its text.
const WARNING: &str = "gardener.cloud/warning";
const WARNING_BEGINS: &str = "ATTENTION: This webhook configuration has been modified by Gardener";
/// Values that Gardener sets `timeoutSeconds` to.
const TIMEOUTS: [i64; 2] = [3, 15];

impl Provider {
    /// The provider that adds this requirement to a selector of a webhook, if it did so in this object.
    pub(super) fn of_requirement(object: &Value, webhook: &str, field: &str, one: &Requirement) -> Option<Self> {
        let is_enforcers = field == "namespaceSelector"
            && [
                Requirement::new("control-plane", "NotIn", &["true"]),
                Requirement::new("control-plane", "DoesNotExist", &[]),
                Requirement::new("kubernetes.azure.com/managedby", "NotIn", &["aks"]),
            ]
            .contains(one);
        if is_enforcers && is_owned_by(object, webhook, field, ENFORCER) {
            return Some(Self::Aks);
        }
        let of_kube_system = [
            Requirement::new("shoot.gardener.cloud/no-cleanup", "NotIn", &["true"]),
            Requirement::new("gardener.cloud/purpose", "NotIn", &["kube-system"]),
            Requirement::new("kubernetes.io/metadata.name", "NotIn", &["kube-system"]),
        ];
        let is_gardeners = of_kube_system.contains(one)
            || match field {
                "objectSelector" => *one == Requirement::new("origin", "NotIn", &["gardener"]),
                _ => *one == Requirement::new("kubernetes.io/metadata.name", "NotIn", &["default"]),
            };
        (is_gardeners && gardener_says(object, webhook, field, "extended with ")).then_some(Self::Gardener)
    }

    /// The provider that sets this field of a webhook to this value, if it did so in this object.
    pub(super) fn of_value(object: &Value, webhook: &str, field: &str, value: &Value) -> Option<Self> {
        let set_to = match (field, value) {
            ("failurePolicy", Value::String(policy)) if policy == "Ignore" => policy.clone(),
            ("timeoutSeconds", Value::Number(seconds)) if seconds.as_i64().is_some_and(|n| TIMEOUTS.contains(&n)) => {
                seconds.to_string()
            }
            _ => return None,
        };
        gardener_says(object, webhook, field, &format!("set to {set_to}")).then_some(Self::Gardener)
    }
}

/// True if Gardener's annotation tells that it edited this field in this way, and its writer still owns the field.
fn gardener_says(object: &Value, webhook: &str, field: &str, edit: &str) -> bool {
    let text = object["metadata"]["annotations"][WARNING].as_str().unwrap_or_default();
    let line = format!("- {field} of webhook \"{webhook}\" was {edit}");
    text.starts_with(WARNING_BEGINS)
        && text.lines().any(|one| one.starts_with(&line))
        && is_of_one_owner(object, webhook, field, WARNING)
}

impl fmt::Display for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Aks => "the admissions enforcer of AKS",
            Self::Gardener => "Gardener",
        })
    }
}
