//! One condition of readiness, and its line in `/readyz?verbose`.

use std::fmt;

/// State of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Fine,
    /// Somebody should look, and the server is ready all the same: to send every replica away would make it worse.
    Amiss,
    /// The server is not ready.
    Failing,
}

/// One condition of readiness.
pub struct Check {
    name: &'static str,
    state: State,
    detail: String,
}

impl Check {
    /// A condition without which the server is not ready.
    pub fn required(name: &'static str, holds: bool, detail: String) -> Self {
        Self { name, state: if holds { State::Fine } else { State::Failing }, detail }
    }

    /// A condition that keeps nobody from being ready: what is amiss, if anything, or how it is.
    pub fn shown(name: &'static str, amiss: Option<String>, detail: String) -> Self {
        let state = if amiss.is_some() { State::Amiss } else { State::Fine };
        Self { name, state, detail: amiss.unwrap_or(detail) }
    }

    /// True if the server may be ready.
    pub(in crate::server) fn passes(&self) -> bool {
        self.state != State::Failing
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, detail, .. } = self;
        match self.state {
            State::Fine => write!(out, "[+]{name} {detail}"),
            State::Amiss => write!(out, "[!]{name}: {detail}"),
            State::Failing => write!(out, "[-]{name} {detail}"),
        }
    }
}
