//! The documentation of a policy: what `explain` prints, and what other modules derive from it.

use std::fmt;

use super::kinds::Kinds;
use super::{Control, Severity};
use crate::pod_security::Version;

/// Base of the addresses of policy pages.
const PAGES: &str = "https://portcullis.dev/policies/";

/// The documentation of a policy. No field can be left out, and `tests/it/catalogue.rs` checks that none is empty.
#[derive(Debug)]
pub struct Meta {
    /// The id that configuration, findings, fixtures and pages share.
    pub id: &'static str,
    /// The state that it forbids, or the value that it sets, in a few words.
    pub title: &'static str,
    /// Displayed, and the order of findings where a list is cut.
    pub severity: Severity,
    /// The version of this program that had it first.
    pub since: &'static str,
    /// Why it matters, in two sentences at most.
    pub why: &'static str,
    /// The remedy, in the imperative.
    pub fix: &'static str,
    /// The objects and operations that it acts on.
    pub kinds: &'static [Kinds<'static>],
    /// The fields that it reads, and the values that it allows in them.
    pub fields: &'static [Fields],
    /// The changes of the Pod Security Standards that it follows, oldest first.
    pub changes: &'static [Change],
    /// The controls it carries out.
    pub controls: &'static [Control],
}

impl Meta {
    /// The stable address of its page.
    pub fn url(&self) -> String {
        format!("{PAGES}{}", self.id)
    }

    /// The paths that it reads, below the pod (`spec.…`) or the object.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.fields.iter().flat_map(Fields::paths)
    }
}

/// Fields that a policy reads, with the same values allowed in each.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// The lists of containers that the fields are in; none for those of the pod or the object itself.
    lists: &'static [&'static str],
    names: &'static [&'static str],
    /// The values that it allows; none where the field is only read for what is demanded elsewhere, or where it is set.
    pub allowed: &'static [Allowed],
}

impl Fields {
    /// The user of the request, who is no field of the object.
    pub const USER: Self = Self { lists: &[], names: &[], allowed: &[] };

    /// Fields of the pod (`spec.…`, `metadata.…`) or of another object, by their paths.
    pub const fn of(names: &'static [&'static str]) -> Self {
        Self { lists: &[], names, allowed: &[] }
    }

    /// Fields of every container, by their paths below the container.
    pub const fn of_containers(names: &'static [&'static str]) -> Self {
        Self { lists: &["containers", "initContainers", "ephemeralContainers"], names, allowed: &[] }
    }

    /// Fields of every container but the ephemeral ones.
    pub const fn of_lasting_containers(names: &'static [&'static str]) -> Self {
        Self { lists: &["containers", "initContainers"], names, allowed: &[] }
    }

    /// Fields of ephemeral containers alone.
    pub const fn of_ephemeral_containers(names: &'static [&'static str]) -> Self {
        Self { lists: &["ephemeralContainers"], names, allowed: &[] }
    }

    /// The same fields, with the values that are allowed in them.
    #[must_use]
    pub const fn allow(self, allowed: &'static [Allowed]) -> Self {
        Self { allowed, ..self }
    }

    /// The path of each field, in each list of containers.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let of_pod = self.names.iter().filter(|_| self.lists.is_empty()).map(|name| (*name).to_owned());
        let of_lists = self.names.iter().flat_map(|name| self.lists.iter().map(move |list| (list, name)));
        of_pod.chain(of_lists.map(|(list, name)| format!("spec.{list}[*].{name}")))
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return out.write_str("the name and the groups of the user who sends the request");
        }
        let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
        out.write_str(&names.join(", "))?;
        let lists: Vec<String> = self.lists.iter().map(|list| format!("`spec.{list}[*]`")).collect();
        match lists.as_slice() {
            [] => Ok(()),
            [list] => write!(out, " in {list}"),
            [lists @ .., last] => write!(out, " in {} and {last}", lists.join(", ")),
        }
    }
}

/// A value that a policy allows in a field.
#[derive(Debug, Clone, Copy)]
pub enum Allowed {
    /// The field may be absent (or `null`).
    Absent,
    /// This value.
    Value(&'static str),
    /// Every value that starts with this.
    Prefix(&'static str),
    /// This value, since a minor version of Kubernetes 1.
    Since(u16, &'static str),
    /// Values that these words describe.
    Words(&'static str),
}

impl Allowed {
    /// True if a list of allowed values names this one or a prefix of it, at that version of the standards.
    pub fn names(list: &[Self], value: &str, version: Version) -> bool {
        list.iter().any(|allowed| match allowed {
            Self::Value(known) => *known == value,
            Self::Prefix(start) => value.starts_with(start),
            Self::Since(minor, known) => *known == value && version.is_since(*minor),
            Self::Absent | Self::Words(_) => false,
        })
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => out.write_str("absent"),
            Self::Value("") => out.write_str("empty"),
            Self::Value(value) => write!(out, "`{value}`"),
            Self::Prefix(start) => write!(out, "`{start}*`"),
            Self::Since(minor, value) => write!(out, "`{value}` (since v1.{minor})"),
            Self::Words(words) => out.write_str(words),
        }
    }
}

/// A change of a control of the Pod Security Standards.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The minor version of Kubernetes 1 that brought it.
    since: u16,
    /// The rule that has held since then.
    what: &'static str,
}

impl Change {
    /// Pods for Windows are exempt since 1.25, from most controls of level restricted.
    pub const EXEMPTS_WINDOWS: Self = Self::new(25, "Pods with `spec.os.name: windows` are exempt");

    /// A change of that minor version.
    pub const fn new(since: u16, what: &'static str) -> Self {
        Self { since, what }
    }

    /// The version that the whole control came with.
    pub const fn begins(since: u16) -> Self {
        Self::new(since, "the control exists; before that, the policy finds nothing")
    }

    /// True if it holds at that version of the standards.
    pub const fn holds(self, version: Version) -> bool {
        version.is_since(self.since)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "since v1.{}: {}", self.since, self.what)
    }
}
