//! The kinds that hold pod templates, and the paths of these. One table for reading objects, messages and patch paths.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::Serialize;

use super::resource::Resource;

/// A kind that is a Pod or holds pod templates. Matched by group and kind, whatever the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// API group, empty for the core group.
    pub group: Cow<'static, str>,
    /// Kind, as in `kind:`.
    pub kind: Cow<'static, str>,
    /// Plural resource name, as in the API's paths and in webhook rules.
    pub resource: Cow<'static, str>,
    /// True if the resource name was derived from the kind, because the configuration does not give it.
    pub is_guessed: bool,
    /// Path of each pod template: the fields from the object's root to it, `*` for every item of a list. Empty for a Pod.
    pub templates: Vec<TemplatePath>,
    /// True if templates never change once the object is stored, as a Job's.
    pub is_immutable: bool,
}

/// The part of an object that is read, by its kind.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'w> {
    /// A Pod, or an object with pod templates.
    Workload(&'w Workload),
    /// An object of a kind without pods that policies judge.
    Resource(&'static Resource),
    /// An object of another kind: its metadata alone.
    Metadata,
}

/// Fields from an object's root to a pod template.
pub type TemplatePath = Vec<Cow<'static, str>>;

/// Kinds of Kubernetes itself; they come first.
const BUILT_IN: usize = 9;

/// A row of `workloads` that cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The kind is one of Kubernetes' own.
    #[error("is one of Kubernetes' own kinds, which are known")]
    BuiltIn,
    /// An earlier row of the same kind has another resource.
    #[error("has another resource above")]
    OtherResource,
    /// An earlier row of the same kind has the same template path.
    #[error("is here twice; keep one")]
    Twice,
}

/// The table: the nine built-in kinds, then those that the configuration adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workloads(Vec<Workload>);

impl Workloads {
    /// The kinds of Kubernetes itself.
    pub fn built_in() -> &'static Self {
        static KINDS: LazyLock<Workloads> = LazyLock::new(Workloads::of_kubernetes);
        &KINDS
    }

    fn of_kubernetes() -> Self {
        let path = |fields: &[&'static str]| fields.iter().map(|field| Cow::Borrowed(*field)).collect();
        let row = |group, kind, resource, template: &[&'static str]| Workload {
            group: Cow::Borrowed(group),
            kind: Cow::Borrowed(kind),
            resource: Cow::Borrowed(resource),
            is_guessed: false,
            is_immutable: kind == "Job",
            templates: if template.is_empty() { vec![] } else { vec![path(template)] },
        };
        let template = ["spec", "template"];
        Self(vec![
            row("", "Pod", "pods", &[]),
            row("", "PodTemplate", "podtemplates", &["template"]),
            row("", "ReplicationController", "replicationcontrollers", &template),
            row("apps", "ReplicaSet", "replicasets", &template),
            row("apps", "Deployment", "deployments", &template),
            row("apps", "StatefulSet", "statefulsets", &template),
            row("apps", "DaemonSet", "daemonsets", &template),
            row("batch", "Job", "jobs", &template),
            row("batch", "CronJob", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
        ])
    }

    /// Adds a kind, or another template path of a kind that was added before.
    ///
    /// # Errors
    /// [`WorkloadError`] if the row contradicts one that is in the table.
    pub fn push(&mut self, workload: Workload) -> Result<(), WorkloadError> {
        let (group, kind) = (&workload.group, &workload.kind);
        let is_built_in = Self::built_in().find(group, kind).is_some() || Resource::find(group, kind).is_some();
        match self.0.iter_mut().find(|row| row.group == workload.group && row.kind == workload.kind) {
            _ if is_built_in => return Err(WorkloadError::BuiltIn),
            Some(row) if row.resource != workload.resource => return Err(WorkloadError::OtherResource),
            Some(row) if workload.templates.iter().any(|path| row.templates.contains(path)) => {
                return Err(WorkloadError::Twice);
            }
            Some(row) => {
                row.is_guessed &= workload.is_guessed;
                row.is_immutable |= workload.is_immutable;
                row.templates.extend(workload.templates);
            }
            None => self.0.push(workload),
        }
        Ok(())
    }

    /// The row of a kind. `extensions` is the group that Deployments, DaemonSets and ReplicaSets had before `apps`.
    pub fn find(&self, group: &str, kind: &str) -> Option<&Workload> {
        let group = if group == "extensions" { "apps" } else { group };
        self.0.iter().find(|row| row.kind == kind && row.group == group)
    }

    /// The shape of the objects of a kind.
    pub fn shape(&self, group: &str, kind: &str) -> Shape<'_> {
        let resource = || Resource::find(group, kind).map_or(Shape::Metadata, Shape::Resource);
        self.find(group, kind).map_or_else(resource, Shape::Workload)
    }

    /// The rows of other projects' kinds, which the configuration added.
    pub fn added(&self) -> impl Iterator<Item = &Workload> {
        self.0.iter().skip(BUILT_IN)
    }

    /// Every row.
    pub fn iter(&self) -> impl Iterator<Item = &Workload> {
        self.0.iter()
    }
}

impl Workload {
    /// True for a Pod, false for a kind that holds templates.
    pub fn is_pod(&self) -> bool {
        self.templates.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, Workloads};

    #[test]
    fn the_kinds_of_kubernetes_are_made_once() {
        assert!(std::ptr::eq(Workloads::built_in(), Workloads::built_in()));
        assert_eq!(Workloads::built_in().iter().count(), BUILT_IN);
    }
}
