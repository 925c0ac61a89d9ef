//! The standing of a stored NetworkPolicy: ours, ours and edited, or somebody else's.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

use super::policy::digest;
use super::{DIGEST, LABEL, MANAGER};

/// The annotation [`DIGEST`] in managed fields.
const DIGEST_FIELD: &str = "/f:metadata/f:annotations/f:portcullis.dev~1generated";

/// Standing of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was generated, and is as it was generated.
    Ours,
    /// It was generated and edited afterwards; by this field manager, where that is known.
    Edited(Option<String>),
    /// It lacks our label or our field manager.
    Foreign,
}

impl Standing {
    pub(super) fn of(policy: &NetworkPolicy) -> Self {
        let metadata = &policy.metadata;
        let managed = metadata.managed_fields.as_deref().unwrap_or_default();
        let is_labelled = metadata.labels.as_ref().and_then(|labels| labels.get(LABEL)).is_some_and(|by| by == MANAGER);
        if !is_labelled || !managed.iter().any(is_ours) {
            return Self::Foreign;
        }
        if let Some(other) = managed.iter().find(|entry| !is_ours(entry) && owns_what_is_generated(entry)) {
            return Self::Edited(other.manager.clone());
        }
        let written = metadata.annotations.as_ref().and_then(|annotations| annotations.get(DIGEST));
        match (written, &policy.spec) {
            (Some(written), Some(spec)) if *written == digest(spec) => Self::Ours,
            _ => Self::Edited(None),
        }
    }
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply")
}

/// True if a manager owns a part of the spec, or its digest.
fn owns_what_is_generated(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    fields.is_some_and(|fields| fields.get("f:spec").is_some() || fields.pointer(DIGEST_FIELD).is_some())
}
