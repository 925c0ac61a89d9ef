//! The text of a finding for responses, records and the command line, redacted once.

use super::{Decision, ModedFinding};
use crate::redaction::{self, shortened};

/// Characters of a text that are searched for secrets and kept. More than any output shows, so that no secret is split.
const LOOKED_AT: usize = 4_096;

/// Path and message of a finding, redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingText {
    /// Path of the field, as [`crate::object::Place::shown`].
    pub place: String,
    /// Requirement that was not met, as `must …`.
    pub message: String,
}

impl Decision {
    /// The redacted text of a finding of this decision, computed on first use.
    pub fn text_of<'d>(&self, finding: &'d ModedFinding) -> &'d FindingText {
        finding.text.get_or_init(|| FindingText {
            place: self.clean(&finding.place.shown()),
            message: self.clean(&finding.message),
        })
    }

    /// The text, cut to 4,096 characters and redacted unless redaction is off.
    pub fn clean(&self, text: &str) -> String {
        redaction::clean(&shortened(text, LOOKED_AT), self.redacts).into_owned()
    }
}
