//! What is said of a finding, in answers, records and on the command line: redacted once, and nowhere else.

use super::{Decision, Judged};
use crate::redaction::{self, shortened};

/// Characters of a text in which secrets are looked for. More than anybody is told of it, so that none is cut in two.
const LOOKED_AT: usize = 4_096;

/// A finding in words that anybody may hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Where, as [`crate::object::Place::shown`].
    pub place: String,
    /// What must be.
    pub message: String,
}

impl Decision {
    /// What is said of a finding of this decision. Only what somebody asks for costs anything.
    pub fn said<'d>(&self, finding: &'d Judged) -> &'d Said {
        finding
            .said
            .get_or_init(|| Said { place: self.clean(&finding.place.shown()), message: self.clean(&finding.message) })
    }

    /// The text, no longer than secrets are looked for in it, and without them unless redaction is off.
    pub fn clean(&self, text: &str) -> String {
        redaction::clean(&shortened(text, LOOKED_AT), self.redacts).into_owned()
    }
}
