//! Exceptions: which findings about which objects do not refuse, for what reason, and until when.
//!
//! An excepted object is judged all the same. An exception covers findings of the policies that it names, on objects that
//! match, while it has not expired; [`crate::decision`] asks whether the policies that it requires hold.

mod cover;
mod index;
mod matching;
mod named;
mod subject;
mod uses;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::policy::Meta;

pub use cover::Cover;
pub use index::{Exceptions, Shared};
pub use matching::{KindMatch, Match, NameMatch};
pub use subject::{Containers, Name, Spot, Subject};
pub use uses::{LAPSING, Need, Seen, State, Uses};

/// An exception.
#[derive(Debug, Clone)]
pub struct Exception {
    /// Its name, unique in its source.
    pub name: String,
    /// Origin of the exception.
    pub source: Source,
    /// Policies whose findings it covers.
    pub policies: Vec<&'static Meta>,
    /// Objects that it is about.
    pub matching: Match,
    /// The first instant at which it no longer counts.
    pub expires: Timestamp,
    /// The reason for it.
    pub reason: String,
    /// The person or team that answers for it.
    pub owner: String,
    /// Reference to a ticket.
    pub ticket: Option<String>,
    /// Policies that must hold for an object for the exception to count there.
    pub requires: Vec<&'static Meta>,
    /// Counts of its uses.
    pub uses: Arc<Uses>,
}

/// Origin of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The list `exceptions` of the configuration.
    Configuration,
    /// An object of the cluster.
    Object,
    /// A break-glass request.
    BreakGlass,
}

impl Source {
    /// The source as records spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Object => "object",
            Self::BreakGlass => "break-glass",
        }
    }
}

impl Exception {
    /// True if the exception counts at this time. It ends at `expires` itself.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// True if it is for this object at this time, for some place in it.
    pub fn is_about(&self, subject: &Subject<'_>, now: Timestamp) -> bool {
        self.is_in_force(now) && self.matching.is_about(subject)
    }

    /// The fields in which it counts for more than `other`, or may, beside its policies and its end.
    pub fn wider_than(&self, other: &Self) -> Vec<&'static str> {
        let requires_all =
            other.requires.iter().all(|policy| self.requires.iter().any(|own| std::ptr::eq(*own, *policy)));
        let requires = (!requires_all).then_some("requires");
        self.matching.wider_than(&other.matching).into_iter().chain(requires).collect()
    }

    /// True if it counts for the same findings of the same objects as `other`, for however long.
    pub fn is_for_same(&self, other: &Self) -> bool {
        let is_part = |list: &[&'static Meta], other: &[&'static Meta]| {
            list.iter().all(|policy| other.iter().any(|one| std::ptr::eq(*one, *policy)))
        };
        let same = |list: &[&'static Meta], other: &[&'static Meta]| is_part(list, other) && is_part(other, list);
        self.source == other.source
            && self.name == other.name
            && same(&self.policies, &other.policies)
            && self.matching == other.matching
            && same(&self.requires, &other.requires)
    }

    /// True if it covers this place of an object that it is about.
    pub fn covers(&self, spot: &Spot<'_, '_>) -> bool {
        self.matching.covers(spot)
    }
}

/// Name and end, as warnings and the command line print them.
impl fmt::Display for Exception {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "exception \"{}\" until {}", self.name, self.expires)
    }
}
