//! Readiness: components that hold the server unready, the conditions of `/readyz`, and the gauges that are computed when
//! they are read.

mod check;
mod trail;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

pub use self::check::Check;
use super::App;
use super::drain::Phase;
use super::exceptions;
use crate::lock::lock;

/// Number of components that are not ready.
#[derive(Debug, Default)]
pub(super) struct Readiness(Arc<AtomicUsize>);

/// Held by a component that is not ready; dropping it makes the component ready. A component that panics never becomes
/// ready.
#[derive(Debug)]
#[must_use = "dropping the handle makes the component ready"]
pub(super) struct NotReady(Arc<AtomicUsize>);

impl Readiness {
    /// The readiness of a server with one component, which is not ready until the handle is dropped.
    pub(super) fn new() -> (Self, NotReady) {
        let readiness = Self::default();
        let handle = readiness.wait_for();
        (readiness, handle)
    }

    /// Adds a component that is not ready.
    pub(super) fn wait_for(&self) -> NotReady {
        self.0.fetch_add(1, Ordering::AcqRel);
        NotReady(Arc::clone(&self.0))
    }

    /// True when every component is ready.
    pub(super) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for NotReady {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl App {
    pub(super) fn checks(&self) -> Vec<Check> {
        let stores = match &self.cluster {
            None => "no cluster is connected".to_owned(),
            Some(_) if !self.readiness.is_complete() => "not complete yet".to_owned(),
            Some(cluster) => format!("out of touch for {} s", cluster.staleness().as_secs()),
        };
        let expiry = self.metrics.certificate_expiry.get();
        let invalid = self.certificate.invalid().map(|invalid| invalid.to_string());
        let invalid = invalid.or_else(|| self.certificate.overdue());
        // The server is ready whatever is installed: the objects may be applied after it.
        let installed = self.installed.report(&self.snapshot.load());
        let amiss = |lines: &[String], begin: &str| (!lines.is_empty()).then(|| begin.to_owned() + &lines.join("; "));
        let lag = amiss(&installed.lag, "lag behind: ");
        let missing = amiss(&installed.missing, "MISSING: ");
        let drift = amiss(&[installed.drift_lines(), installed.provider.clone()].concat(), "")
            .filter(|_| !installed.drift_lines().is_empty());
        let edited = amiss(&installed.provider, "").unwrap_or_else(|| "none, or not seen".to_owned());
        let is_serving = self.drain.phase() == Phase::Serving;
        vec![
            Check::required("configuration", true, format!("digest {}", self.snapshot.load().digest())),
            Check::shown("configuration-file", self.refused(), "in force".to_owned()),
            Check::required("stores", self.readiness.is_complete(), stores),
            Check::shown("certificate", invalid, format!("ends at {expiry} s since 1970")),
            Check::shown("trail", None, self.trail_state()),
            Check::shown("retention", self.early(), "nothing was removed before its time".to_owned()),
            Check::shown("set-aside", self.set_aside(), "no sink refuses a record for good".to_owned()),
            Check::shown("clock", self.clock(), "believed".to_owned()),
            Check::shown("webhooks", lag, "as configured, or not seen".to_owned()),
            Check::shown("webhook-objects", missing, "exist, or not seen".to_owned()),
            Check::shown("drift", drift, edited),
            Check::shown("network-policies", self.unread(), "read, or not served".to_owned()),
            Check::shown("workloads", self.workloads(), "as served, or not seen".to_owned()),
            exceptions::check(self.snapshot.load().exceptions(), Timestamp::now()),
            Check::shown("connections", self.crowding.amiss(), format!("{} open", self.metrics.connections.get())),
            Check::required("drain", is_serving, if is_serving { "serving" } else { "ending" }.to_owned()),
        ]
    }

    /// Errors in the configuration file. The last good configuration is in force, so the server is ready.
    fn refused(&self) -> Option<String> {
        let errors = lock(&self.refused).clone()?;
        let is_fallback = self.metrics.configuration_fallback.get() == 1;
        let since = if is_fallback { ", since the start" } else { "" };
        Some(format!("has errors; the last good configuration is in force{since}: {errors}"))
    }

    /// Kinds of network policies that are served and cannot be read: what they isolate, or open, is not seen.
    fn unread(&self) -> Option<String> {
        let unread = self.cluster.as_ref()?.unread();
        (!unread.is_empty()).then(|| unread.join("; "))
    }

    /// Rows of `workloads` that match nothing. Their kinds may come later.
    fn workloads(&self) -> Option<String> {
        let missing = self.discovery.missing();
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// State of the trail. The server is ready even if a sink is behind: its records wait in the spool.
    fn trail_state(&self) -> String {
        let mut state = format!("{} events wait", self.trail.waiting());
        self.metrics.unrecorded.inc_by(self.trail.take_unheard());
        let unrecorded = self.metrics.unrecorded.get();
        if unrecorded > 0 {
            state += &format!("; {unrecorded} decisions were not recorded");
        }
        for (sink, behind) in self.couriers.behind() {
            state += &format!("; {sink} is {behind} records behind");
        }
        state
    }

    pub(super) fn refresh_gauges(&self) {
        self.metrics.certificate_invalid.set(i64::from(self.certificate.invalid().is_some()));
        self.metrics.certificate_overdue.set(i64::from(self.certificate.overdue().is_some()));
        self.metrics.crowding.set(i64::from(self.crowding.amiss().is_some()));
        self.metrics.held_bytes.set(self.bodies.held().try_into().unwrap_or(i64::MAX));
        let seconds = self.cluster.as_ref().map_or(0, |cluster| cluster.staleness().as_secs());
        self.metrics.store_staleness.set(seconds.try_into().unwrap_or(i64::MAX));
        self.metrics.reviews_waiting.set(self.deciding.waiting().try_into().unwrap_or(i64::MAX));
        self.metrics.trail_waiting.set(self.trail.waiting().try_into().unwrap_or(i64::MAX));
        self.metrics.unrecorded.inc_by(self.trail.take_unheard());
        let bytes = self.trail.index().map_or(0, |index| index.bytes());
        self.metrics.spool_bytes.set(bytes.try_into().unwrap_or(i64::MAX));
        self.metrics.spool_lost(self.trail.lost());
        self.refresh_trail();
        self.metrics.excepted(self.snapshot.load().exceptions(), Timestamp::now());
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn the_server_is_ready_when_every_handle_was_dropped() {
        let (readiness, stores) = Readiness::new();
        let other = readiness.wait_for();
        assert!(!readiness.is_complete());
        drop(stores);
        assert!(!readiness.is_complete(), "one component is not ready");
        drop(other);
        assert!(readiness.is_complete());
    }

    #[test]
    fn a_component_that_panics_never_becomes_ready() {
        let (readiness, stores) = Readiness::new();
        let component = std::thread::spawn(move || {
            let _stores = stores;
            panic!("a component fails");
        });
        assert!(component.join().is_err());
        assert!(!readiness.is_complete());
    }
}
