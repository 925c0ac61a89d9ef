//! Policies: each is a documented, pure function of (request, facts, settings).

mod anchored;
pub mod catalogue;
pub mod defaults;
mod encoded;
mod environment;
mod ingress_controller;
mod instances;
pub mod kinds;
mod meta;
mod names;
pub mod page;
mod pattern;
mod texts;
pub(crate) mod writers;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

pub use kinds::Kinds;
pub use meta::{Allowed, Change, Fields, Meta};

use crate::facts::{Facts, Pending};
use crate::object::{NamedKind, Place, Within};
use crate::pod_security::Version;
use crate::redaction::shortened;
use crate::request::Request;
use crate::steps::{self, Allowance};

/// Severity of a finding. It is displayed, and orders findings where a list is cut; it never changes a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Untidy.
    Low,
    /// Weakens a defence.
    Medium,
    /// Opens a way in or out.
    High,
    /// Hands over the node or the cluster.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// A control of a public standard that a policy carries out.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// The standard.
    pub standard: &'static str,
    /// The control, as that standard's own text names it.
    pub name: &'static str,
}

/// The subject of a policy's findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum About {
    /// The object. An update inherits what the old object had.
    #[default]
    Object,
    /// Whoever writes it. Each write is judged by itself, whatever the old object was and whoever owns it.
    Writer,
    /// An administrator who writes it: the same, and recorded in the class `access`.
    Administrator,
}

/// A policy that judges and never patches.
pub trait Validator: Send + Sync {
    /// Adds a finding for everything that is not as it must be.
    ///
    /// # Errors
    /// [`Pending`] when a fact is not here yet; findings made before that are thrown away and the policy runs again.
    fn judge(&self, request: &Request<'_>, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending>;

    /// True if findings on these objects are warnings at most, whatever the mode of the policy.
    fn only_warns(&self, _: Kinds<'_>) -> bool {
        false
    }

    /// The subject of its findings.
    fn about(&self) -> About {
        About::Object
    }

    /// The namespaces outside which it judges nothing, if its settings list them.
    fn namespaces(&self) -> Option<&BTreeSet<String>> {
        None
    }

    /// True if findings on these objects depend on other objects of the cluster, which the next write may create: they are
    /// warnings at most, unless the policy has `updates: strict`, or `deletes: enforce` for deletions.
    fn depends_on_others(&self, _: Kinds<'_>) -> bool {
        false
    }

    /// The kinds that its settings name, beside those of its documentation.
    fn named(&self) -> &[NamedKind] {
        &[]
    }

    /// The paths that its settings name, beside those of its documentation.
    fn paths(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// A validator of the catalogue: a struct that *is* its settings, with its documentation.
trait Policy: Validator + serde::de::DeserializeOwned + schemars::JsonSchema + 'static {
    /// Documentation.
    const META: &'static Meta;

    /// Takes the version of the Pod Security Standards; most policies do not depend on it.
    fn follow(&mut self, _: Version) {}

    /// Takes the groups of the configuration's `breakGlass`; most policies do not depend on them.
    fn know_break_glass(&mut self, _: &[String]) {}

    /// The policies that need not run beside this one, because it finds all that they find in that version
    /// (`OverrideCheckIDs` of `k8s.io/pod-security-admission`).
    fn replaces(_: Version) -> &'static [&'static Meta] {
        &[]
    }
}

/// Something that is not as it must be: a place and a predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field that the finding is about.
    pub place: Place,
    /// Requirement that was not met, as `must …`.
    pub message: String,
    /// Set where another object of the cluster could put it right: such a finding refuses Pods only.
    pub depends_on_cluster: bool,
    /// True for a warning: it never refuses, whatever the mode of its policy.
    pub is_warning: bool,
    /// Text that is the same for a Pod and for the template that it was made from, where their messages differ.
    pub alike: Option<String>,
    /// Number of places that it stands for.
    pub count: usize,
}

/// A limit on what a finding does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    DependsOnCluster,
    Warns,
}

/// Findings kept per policy; the rest are only counted.
const FINDINGS: usize = 128;
/// Steps of a finding, kept or not.
const FINDING_STEPS: u32 = 4;

/// The findings of one policy about one request, and how much the policy may look at.
#[derive(Debug)]
pub struct Report {
    allowance: Allowance,
    findings: Vec<Finding>,
    /// Reason that the object states, where the policy demands one.
    reason: Option<String>,
    /// Number of findings that were not kept, and of those among them that depend on the cluster.
    more: usize,
    more_depending: usize,
    /// Number of those that are warnings.
    more_warning: usize,
}

impl Report {
    /// An empty report of a policy that may take so many steps: one for each item of a list that it looks at, and a few
    /// for each finding.
    pub fn with_budget(steps: u32) -> Self {
        Self {
            allowance: Allowance::new(steps),
            findings: Vec::new(),
            reason: None,
            more: 0,
            more_depending: 0,
            more_warning: 0,
        }
    }

    /// A finding that the object alone decides. Place and message are written out only if it is one of those kept, so hand
    /// in `format_args!` rather than a text.
    pub fn add(&mut self, place: impl Into<Place>, message: impl fmt::Display) {
        self.push(place, message, Limit::None, None);
    }

    /// A finding that is a warning at most, whatever the mode of its policy.
    pub fn add_warning(&mut self, place: impl Into<Place>, message: impl fmt::Display) {
        self.push(place, message, Limit::Warns, None);
    }

    /// A finding that depends on another object of the cluster.
    pub fn add_depending(&mut self, place: impl Into<Place>, message: impl fmt::Display) {
        self.push(place, message, Limit::DependsOnCluster, None);
    }

    /// The same as [`Self::add`], or as [`Self::add_depending`] where `depends_on_cluster`, for a finding whose message on a
    /// Pod is not the message on the template that the Pod was made from: it is the same finding where `alike` is the same.
    pub fn add_alike(
        &mut self,
        place: impl Into<Place>,
        message: impl fmt::Display,
        depends_on_cluster: bool,
        alike: impl fmt::Display,
    ) {
        let limit = if depends_on_cluster { Limit::DependsOnCluster } else { Limit::None };
        self.push(place, message, limit, Some(&alike));
    }

    /// Keeps the reason that the object states and that the policy demanded of it: it is recorded with the decision.
    pub fn state(&mut self, reason: &str) {
        self.reason = Some(reason.to_owned());
    }

    /// Takes the reason that was stated.
    pub fn take_reason(&mut self) -> Option<String> {
        self.reason.take()
    }

    fn push(
        &mut self,
        place: impl Into<Place>,
        message: impl fmt::Display,
        limit: Limit,
        alike: Option<&dyn fmt::Display>,
    ) {
        if !steps::take(FINDING_STEPS) {
            return;
        }
        let (depends_on_cluster, is_warning) = (limit == Limit::DependsOnCluster, limit == Limit::Warns);
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding {
                place: place.into(),
                message: message.to_string(),
                depends_on_cluster,
                is_warning,
                alike: alike.map(ToString::to_string),
                count: 1,
            });
        } else {
            self.more += 1;
            self.more_depending += usize::from(depends_on_cluster);
            self.more_warning += usize::from(is_warning);
        }
    }

    /// True if the policy needed more steps than it had: then its findings are not all.
    pub fn is_exhausted(&self) -> bool {
        self.allowance.is_exhausted()
    }

    /// Steps that were taken so far.
    pub fn steps(&self) -> u64 {
        self.allowance.taken()
    }

    /// The findings. Those that are too many are one at the end.
    pub fn into_findings(mut self) -> Vec<Finding> {
        if self.more > 0 {
            self.findings.push(Finding {
                place: Place { within: Within::Many, ..Place::object() },
                message: format!("must be put right in {} more places", self.more),
                depends_on_cluster: self.more == self.more_depending,
                is_warning: self.more == self.more_warning,
                alike: None,
                count: self.more,
            });
        }
        self.findings
    }
}

/// Characters of a quoted value that are shown.
const QUOTED: usize = 128;

/// A value as messages quote it: in quotation marks, what is not plain escaped, cut at 128 characters. A secret that the
/// cut goes through can still be told to be one, and is not said. It is written out only where the message is.
pub fn quoted(value: &str) -> impl fmt::Display {
    fmt::from_fn(move |out| {
        out.write_str("\"")?;
        shortened(value, QUOTED)
            .chars()
            .flat_map(char::escape_debug)
            .try_for_each(|character| out.write_char(character))?;
        out.write_str("\"")
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt;

    use super::{FINDINGS, Report};
    use crate::object::Place;

    #[test]
    fn of_many_findings_only_those_are_written_out_that_are_kept() {
        let written = Cell::new(0);
        let message = || {
            fmt::from_fn(|out| {
                written.set(written.get() + 1);
                out.write_str("must be good")
            })
        };
        let mut report = Report::with_budget(1_000_000);
        (0..10_000).for_each(|_| report.add(Place::object(), message()));
        assert!(!report.is_exhausted());
        let findings = report.into_findings();
        assert_eq!((written.get(), findings.len()), (FINDINGS, FINDINGS + 1));
        assert_eq!(findings[FINDINGS].message, "must be put right in 9872 more places");
    }
}
