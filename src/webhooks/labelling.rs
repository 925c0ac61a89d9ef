//! The webhook for dry runs of updates that change the labels of a namespace: the answer warns of existing Pods that the new labels
//! would refuse.
//!
//! It sends the Namespaces that no other webhook sends, so that each is sent once. It fails open, and no write that is stored waits for
//! it.

use std::ops::RangeInclusive;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::namespaces::Modes;
use super::sent::Sent;
use crate::mode::Mode;
use crate::object::resource::NAMESPACES;
use crate::operation::Operation;
use crate::policy::Kinds;
use crate::snapshot::Snapshot;

/// Name of the webhook.
pub(crate) const NAME: &str = "labels.portcullis.dev";
/// The modes of namespaces whose Namespaces are sent by no other webhook.
const UNSENT: RangeInclusive<Mode> = Mode::Off..=Mode::Off;

/// Name of the condition [`CHANGES_LABELS`].
pub(super) const CONDITION: &str = "dry-run-that-changes-labels";
/// True for a dry run of an update that changes labels. An update has an object and an old one.
pub const CHANGES_LABELS: &str =
    "request.?dryRun.orValue(false) && object.metadata.?labels != oldObject.metadata.?labels";

/// Selects the Namespaces that no policy judges, and whose labels may make policies refuse Pods; `None` where there is none.
pub(super) fn selector(snapshot: &Snapshot, sent: &[Sent<'_>], own: &str) -> Option<LabelSelector> {
    let is_of_namespaces =
        |one: &&Sent<'_>| one.group.is_empty() && one.name == NAMESPACES.resource && !one.source.is_deletion();
    let kinds = sent.iter().find(is_of_namespaces).map_or(&[][..], |one| one.kinds.as_slice());
    let covers = |of: Kinds<'_>| kinds.contains(&of);
    // One whose labels raise nothing is left out like one that is sent already.
    let mode = |name: &str| {
        if snapshot.labels_may_refuse(name) { snapshot.strongest_on(name, covers) } else { Mode::Enforce }
    };
    let raised = snapshot.raising().enumerate();
    let raised = raised.map(|(entry, label)| (label, snapshot.strongest_raised_on(entry, None, covers)));
    Modes::of(snapshot.named_namespaces(), mode).raised(raised.collect()).select(&UNSENT, own)
}

/// Updates of Namespaces, without subresources.
pub(super) fn rule() -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![NAMESPACES.group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(vec![Operation::Update.as_str().to_owned()]),
        resources: Some(vec![NAMESPACES.resource.to_owned()]),
        scope: Some("Cluster".to_owned()),
    }
}
