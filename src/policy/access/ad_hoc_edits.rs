//! `ad-hoc-edits`: in the listed namespaces, only the listed writers create and change objects.
//!
//! Each write is judged by itself: what an object was before, and who owns it, changes nothing. Controllers of Kubernetes are
//! writers of their own (`writers`); every other controller has to be listed. Deletions are not judged, and neither is the
//! removal of the finalizers of what is being deleted.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Place;
use crate::object::resource::SERVICE_ACCOUNTS;
use crate::policy::names::Namespaces;
use crate::policy::writers::{self, KINDS, Writers};
use crate::policy::{About, Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Settings")]
#[schemars(with = "Settings")]
pub(crate) struct AdHocEdits {
    namespaces: Namespaces,
    writers: Writers,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Namespaces in which writers are judged. Elsewhere nobody is.
    namespaces: Option<Namespaces>,
    /// Those who may create and change objects there.
    writers: Option<Writers>,
}

#[derive(Debug, thiserror::Error)]
#[error("must name namespaces, such as namespaces: [shop]: without any, nothing is judged")]
struct NoNamespace;

impl TryFrom<Settings> for AdHocEdits {
    type Error = NoNamespace;

    fn try_from(Settings { namespaces, writers }: Settings) -> Result<Self, NoNamespace> {
        let is_set = namespaces.is_some() || writers.is_some();
        let namespaces = namespaces.unwrap_or_default();
        if is_set && namespaces.names().is_empty() {
            return Err(NoNamespace);
        }
        Ok(Self { namespaces, writers: writers.unwrap_or_default() })
    }
}

impl Policy for AdHocEdits {
    const META: &'static Meta = &Meta {
        id: "ad-hoc-edits",
        title: "a change in a listed namespace by somebody other than its listed writers",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Where a GitOps controller writes what runs, whatever else somebody writes by hand was reviewed by nobody, and \
              disappears, or stays unnoticed.",
        fix: "make the change where the listed writers take it from, or add the user, group or ServiceAccount to the writers; \
              deploy/access.md describes them",
        kinds: KINDS,
        fields: &[Fields::USER.allow(&[
            Allowed::Words("a writer that the settings list"),
            Allowed::Words("a component of Kubernetes"),
            Allowed::Words("anybody outside the listed namespaces"),
        ])],
        changes: &[],
        controls: &[Control {
            standard: "NSA/CISA Kubernetes Hardening Guidance",
            name: "Authentication and authorization",
        }],
    };
}

impl Validator for AdHocEdits {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        // Who writes is asked first: what changed takes longer to tell.
        if self.writers.hold(&request.user) {
            return Ok(());
        }
        if let Some(user) = writers::writer(KINDS, request) {
            let who = quoted(user.name());
            let message = format_args!(
                "must come from a user, group or ServiceAccount that the settings list, and not from {who}"
            );
            report.add(Place::object(), message);
        }
        Ok(())
    }

    fn only_warns(&self, kinds: Kinds<'_>) -> bool {
        kinds == Kinds::Resource(SERVICE_ACCOUNTS)
    }

    fn about(&self) -> About {
        About::Writer
    }

    fn namespaces(&self) -> Option<&BTreeSet<String>> {
        Some(self.namespaces.names())
    }
}
