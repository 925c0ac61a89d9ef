//! Retention classes: what is kept for how long, each in a stream of its own.

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Endpoint, Verdict};
use crate::request::{Operation, Request};

/// Retention class of a record. Each class has a stream of its own in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Objects admitted without a finding, or left unchanged.
    Allow,
    /// Objects that were refused, warned of, patched, or could not be judged; and changes of the configuration.
    Refused,
    /// Access to what runs: exec, attach, port-forward, proxy, and ephemeral containers; tokens of ServiceAccounts; and writes by
    /// administrators, where a policy finds them.
    Access,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Refused, Self::Access];

    /// The name, as in the spool's folders.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refused => "refused",
            Self::Access => "access",
        }
    }

    /// The class of a decision.
    pub fn of(request: &Request<'_>, endpoint: Endpoint, decision: &Decision) -> Self {
        // On `/mutate` defaults are set in an ephemeral container, and access is not judged.
        let is_access = (request.is_access() || decision.is_of_administrator) && endpoint == Endpoint::Validate;
        match decision.verdict {
            _ if is_access || request.operation == Operation::Connect => Self::Access,
            Verdict::Allow | Verdict::Unchanged => Self::Allow,
            _ => Self::Refused,
        }
    }

    /// The position in [`Self::ALL`].
    pub(in crate::trail) const fn index(self) -> usize {
        self as usize
    }
}
