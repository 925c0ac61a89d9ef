//! `default-namespace-labels`: sets the `warn` and `audit` labels of the Pod Security Standards on new Namespaces.
//!
//! On Namespaces when they are created; never on those whose names begin with `kube-`, which are Kubernetes' own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update};
use crate::object::resource::NEW_NAMESPACES;
use crate::object::{Object, Path, Place};
use crate::pod_security::{Level, PREFIX};
use crate::policy::{Fields, Kinds, Meta, Severity};

/// Beginning of the names that are reserved for Kubernetes.
const RESERVED: &str = "kube-";

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DefaultNamespaceLabels {
    /// Level of the label `warn`.
    warn: Level,
    /// Level of the label `audit`.
    audit: Level,
    /// Level of the label `enforce`, which is set only if this is.
    enforce: Option<Level>,
}

impl Default for DefaultNamespaceLabels {
    fn default() -> Self {
        Self { warn: Level::Restricted, audit: Level::Restricted, enforce: None }
    }
}

impl Defaulter for DefaultNamespaceLabels {
    const META: &'static Meta = &Meta {
        id: "default-namespace-labels",
        title: "pod-security.kubernetes.io/warn and audit: restricted on new Namespaces",
        severity: Severity::Low,
        since: "0.1.0",
        why: "With the labels the API server itself warns of Pods below the level, and marks them in its audit log. \
              The label `enforce`, which refuses Pods, is set only where the settings name a level for it.",
        fix: "write the labels on the Namespace, and nothing is set",
        kinds: &[Kinds::Resource(NEW_NAMESPACES)],
        fields: &[Fields::of(&[
            "metadata.labels[pod-security.kubernetes.io/warn]",
            "metadata.labels[pod-security.kubernetes.io/audit]",
            "metadata.labels[pod-security.kubernetes.io/enforce]",
        ])],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Safe;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "No workload: Pods are admitted as before, and kubectl prints more warnings, of Portcullis' own too under \
               `podSecurityLabels: tighten`. With `enforce` in the settings, Pods below that level are refused in every new \
               Namespace.",
        exclude: "write pod-security.kubernetes.io/warn: privileged, and the same for audit and enforce, on the Namespace",
    };
}

impl Mutator for DefaultNamespaceLabels {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        let request = target.request();
        let Some(metadata) = request.object.as_ref().map(Object::metadata) else { return };
        if request.display_name().starts_with(RESERVED) {
            return;
        }
        for (name, level) in [("enforce", self.enforce), ("warn", Some(self.warn)), ("audit", Some(self.audit))] {
            let key = format!("{PREFIX}{name}");
            if let Some(level) = level.filter(|_| metadata.label(&key).is_none()) {
                edits.set(Place::field(Path::root().fields("metadata.labels").key(&key)), level.as_str());
            }
        }
    }

    fn take_back(&self, _: Update<'_, '_>, _: &mut Edits) {}

    fn keep(&self, _: Update<'_, '_>, _: &mut Edits) {}
}
