//! Metrics of exceptions, which are computed when they are read.

use jiff::Timestamp;
use prometheus::{IntCounterVec, IntGaugeVec};

use crate::exception::{Exceptions, Need, State};

/// The metrics of the exceptions in the configuration in force. Their names are the only labels that an operator writes; there
/// are at most 4,096 (`EXCEPTIONS` in `config/exception.rs`).
pub(super) struct ExceptionMetrics {
    pub(super) uses: IntCounterVec,
    pub(super) expiry: IntGaugeVec,
    pub(super) states: IntGaugeVec,
    pub(super) needs: IntGaugeVec,
}

impl ExceptionMetrics {
    /// Sets them to what was counted. Only the admin port's thread does: nobody sees them in between.
    pub(super) fn refresh(&self, exceptions: &Exceptions, now: Timestamp) {
        self.uses.reset();
        self.expiry.reset();
        for state in State::ALL {
            self.states.with_label_values(&[state.as_str()]).set(0);
        }
        for need in Need::ALL {
            self.needs.with_label_values(&[need.as_str()]).set(0);
        }
        for exception in exceptions.iter() {
            self.uses.with_label_values(&[&exception.name]).inc_by(exception.uses());
            self.expiry.with_label_values(&[&exception.name]).set(exception.expires.as_second());
            let state = exception.state(now);
            self.states.with_label_values(&[state.as_str()]).inc();
            if state != State::Lapsed {
                self.needs.with_label_values(&[exception.need().as_str()]).inc();
            }
        }
    }
}
