//! Metrics, by the Prometheus conventions: base units, `_total` for counters. Every label takes its values from a closed
//! set.

mod exceptions;

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::decision::{Decision, Endpoint, Noticed};
use crate::exception::Exceptions;
use crate::policy::catalogue::CATALOGUE;
use crate::trail::Counters;

use exceptions::ExceptionMetrics;

/// Upper bounds of the buckets of decision times, in seconds: from 10 µs to the longest that a decision may take.
const BUCKETS: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.5, 2.0];

/// Gauge that names the configuration in force.
const CONFIGURATION: &str = "portcullis_configuration_info";

/// The digest of the configuration in force, read in the metrics of a server; `None` if it has none.
pub fn digest_in(metrics: &str) -> Option<&str> {
    let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(CONFIGURATION));
    lines.find_map(|line| line.strip_prefix("{digest=\"")?.strip_suffix("\"} 1"))
}

/// The metrics of a server.
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    findings: IntCounterVec,
    break_glass: IntCounter,
    /// Durations of decisions, looked up once for each endpoint.
    validate: Histogram,
    mutate: Histogram,
    /// Requests without a uid.
    pub unanswerable: IntCounter,
    /// TLS handshakes that failed or took too long.
    pub failed_handshakes: IntCounter,
    /// Connections turned away because the source address was over its limit.
    pub crowded: IntCounter,
    /// Connections turned away because all slots were taken.
    pub turned_away: IntCounterVec,
    /// Idle connections that were closed to make room for others.
    pub made_room: IntCounterVec,
    /// Connections cut because the client did not read an answer, or send its headers, in time.
    pub cut: IntCounterVec,
    /// 1 if connections were short of room within the last minute.
    pub crowding: IntGauge,
    /// Bytes of reviews that are read or judged, and of answers that are not sent.
    pub held_bytes: IntGauge,
    /// Requests turned away because the caller is unknown.
    pub unauthorized: IntCounter,
    /// Connections now open on the TLS port.
    pub connections: IntGauge,
    /// Reviews turned away for want of room.
    pub shed: IntCounter,
    /// Reviews that wait to be decided.
    pub reviews_waiting: IntGauge,
    /// Decisions that were not recorded.
    pub unrecorded: IntCounter,
    /// Events that wait to be written.
    pub trail_waiting: IntGauge,
    /// Bytes in the spool.
    pub spool_bytes: IntGauge,
    /// Records that were removed from the spool although some sink needed them.
    spool_lost: IntCounter,
    /// Records of each class that were removed from the spool before their retention.
    spool_early: IntCounterVec,
    /// Seconds by which the wall clock is too far ahead for records to be removed by their age.
    pub clock_ahead: IntGauge,
    /// Records set aside because a sink refuses them permanently.
    pub sink_set_aside: IntGaugeVec,
    /// Records that a sink has not taken yet.
    pub sink_behind: IntGaugeVec,
    sink_delivered: IntCounterVec,
    sink_lost: IntCounterVec,
    sink_failures: IntCounterVec,
    /// Seconds that the stores have been out of touch with the API server.
    pub store_staleness: IntGauge,
    /// Time at which the serving certificate expires, in seconds since 1970.
    pub certificate_expiry: IntGauge,
    /// 1 while a certificate that is served has expired or is not valid yet.
    pub certificate_invalid: IntGauge,
    /// 1 while a renewal of the serving certificate, which is ours to make, is overdue.
    pub certificate_overdue: IntGauge,
    /// Differences between the installed webhook configurations and those that belong to the configuration.
    pub webhooks_lag: IntGauge,
    /// Fields and webhooks of the installed objects that somebody made weaker than derived.
    pub webhooks_weakened: IntGauge,
    /// Webhook objects that should exist, and do not, or are empty.
    pub webhooks_missing: IntGauge,
    /// Repairs of webhook objects.
    pub webhooks_repairs: IntCounter,
    /// Rows of `workloads` whose kind the API server does not serve.
    pub workloads_missing: IntGauge,
    /// Gaps in what is known of network policies of other kinds than NetworkPolicy.
    pub network_policies_unread: IntGauge,
    exceptions: ExceptionMetrics,
    /// 1 while the configuration file has errors: the last good configuration is in force, or none.
    pub configuration_refused: IntGauge,
    /// 1 while the configuration in force is the last good one of an earlier start.
    pub configuration_fallback: IntGauge,
    reloads: IntCounterVec,
    configuration: IntGaugeVec,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Panics
    /// Never: names are fixed and each is registered once.
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(format!("portcullis_{name}"), help));
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(format!("portcullis_{name}"), help));
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(format!("portcullis_{name}"), help), labels))
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(format!("portcullis_{name}"), help), labels))
        };
        let duration = HistogramOpts::new(
            "portcullis_decision_duration_seconds",
            "Time from a review's arrival to its decision's record, in seconds.",
        );
        let durations = register(&registry, HistogramVec::new(duration.buckets(BUCKETS.to_vec()), &["endpoint"]));
        let of_endpoint = |endpoint: Endpoint| durations.with_label_values(&[endpoint.as_str()]);
        let info = IntGaugeVec::new(
            Opts::new(CONFIGURATION, "The configuration in force, by its SHA-256 digest."),
            &["digest"],
        );
        let metrics = Self {
            decisions: counters("decisions_total", "Decisions.", &["endpoint", "operation", "decision"]),
            findings: counters("findings_total", "Findings.", &["policy", "mode"]),
            break_glass: counter("break_glass_total", "Requests that were admitted because the user broke the glass."),
            validate: of_endpoint(Endpoint::Validate),
            mutate: of_endpoint(Endpoint::Mutate),
            unanswerable: counter("requests_unanswerable_total", "Requests without a uid."),
            failed_handshakes: counter("tls_handshake_failures_total", "TLS handshakes that failed or took too long."),
            crowded: counter(
                "connections_over_address_limit_total",
                "Connections turned away: the source address was over its limit.",
            ),
            turned_away: counters(
                "connections_rejected_total",
                "Connections turned away: all slots were taken.",
                &["port"],
            ),
            made_room: counters(
                "connections_evicted_total",
                "Idle connections closed to make room for others.",
                &["port"],
            ),
            cut: counters(
                "connections_cut_total",
                "Connections cut: answers were not read, or headers not sent, in time.",
                &["reason"],
            ),
            crowding: gauge("connections_crowded", "1 if connections were short of room within the last minute."),
            held_bytes: gauge(
                "reviews_held_bytes",
                "Bytes of reviews that are read or judged, and of answers not yet sent.",
            ),
            unauthorized: counter("requests_unauthorized_total", "Requests turned away: the caller is unknown."),
            connections: gauge("connections", "Connections now open on the TLS port."),
            shed: counter("reviews_shed_total", "Reviews shed for want of room."),
            reviews_waiting: gauge("reviews_waiting", "Reviews that wait for a deciding thread."),
            unrecorded: counter("decisions_unrecorded_total", "Decisions that were not recorded."),
            trail_waiting: gauge("trail_events_waiting", "Events that wait to be written."),
            spool_bytes: gauge("spool_bytes", "Bytes in the spool."),
            spool_lost: counter(
                "spool_records_lost_total",
                "Records removed from the spool although some sink needed them.",
            ),
            spool_early: counters(
                "spool_records_removed_early_total",
                "Records removed from the spool before their retention, for want of room.",
                &["class"],
            ),
            clock_ahead: gauge(
                "clock_ahead_seconds",
                "Seconds that the wall clock is ahead; nothing is removed by its age meanwhile.",
            ),
            sink_set_aside: gauges(
                "sink_records_set_aside",
                "Records that a sink refuses permanently, kept in files.",
                &["sink"],
            ),
            sink_behind: gauges("sink_records_behind", "Records that a sink has not taken yet.", &["sink"]),
            sink_delivered: counters("sink_records_delivered_total", "Records that a sink took.", &["sink"]),
            sink_lost: counters(
                "sink_records_lost_total",
                "Records removed before a sink took them, or dropped from those set aside.",
                &["sink"],
            ),
            sink_failures: counters("sink_delivery_failures_total", "Deliveries that failed.", &["sink"]),
            store_staleness: gauge(
                "store_staleness_seconds",
                "Seconds since the stores last heard from the API server.",
            ),
            certificate_expiry: gauge(
                "certificate_expiry_timestamp_seconds",
                "Time at which the serving certificate expires, in seconds since 1970.",
            ),
            certificate_invalid: gauge(
                "certificate_invalid",
                "1 while a certificate that is served has expired or is not valid yet.",
            ),
            certificate_overdue: gauge(
                "certificate_renewal_overdue",
                "1 while the self-managed certificate should have been renewed.",
            ),
            webhooks_lag: gauge(
                "webhooks_differences",
                "Differences between the installed webhook configurations and the configuration in force.",
            ),
            webhooks_weakened: gauge(
                "webhooks_weakened",
                "Parts of the installed webhook configurations that are weaker than derived, but for what a provider edits.",
            ),
            webhooks_missing: gauge(
                "webhooks_missing",
                "Webhook configurations that do not exist, or are empty, and should ask for reviews.",
            ),
            webhooks_repairs: counter("webhooks_repairs_total", "Repairs of webhook configurations."),
            network_policies_unread: gauge(
                "network_policies_unread",
                "Kinds of network policies that the API server serves and that cannot be read, or not wholly.",
            ),
            workloads_missing: gauge(
                "workloads_missing",
                "Rows of workloads whose kind the API server does not serve.",
            ),
            exceptions: ExceptionMetrics {
                uses: counters(
                    "exception_uses_total",
                    "Judged objects of which an exception kept some finding from refusing.",
                    &["exception"],
                ),
                expiry: gauges(
                    "exception_expiry_timestamp_seconds",
                    "Time at which an exception ends, in seconds since 1970.",
                    &["exception"],
                ),
                states: gauges(
                    "exceptions",
                    "Exceptions in the configuration: active, lapsing (they end within 14 days) or lapsed.",
                    &["state"],
                ),
                needs: gauges(
                    "exceptions_in_force",
                    "Exceptions that have not ended: needed, not-needed (what they are about is clean) or unused.",
                    &["need"],
                ),
            },
            configuration_refused: gauge(
                "configuration_refused",
                "1 while the configuration file has errors: the last good one is in force, or none.",
            ),
            configuration_fallback: gauge(
                "configuration_fallback",
                "1 while the configuration in force is the last good one of an earlier start.",
            ),
            reloads: counters("configuration_reloads_total", "Changes of the configuration.", &["result"]),
            configuration: register(&registry, info),
            registry,
        };
        for entry in CATALOGUE {
            metrics.findings.with_label_values(&[entry.meta.id, "enforce"]);
        }
        for port in ["reviews", "admin"] {
            metrics.turned_away.with_label_values(&[port]);
            metrics.made_room.with_label_values(&[port]);
        }
        for reason in ["unread", "headers"] {
            metrics.cut.with_label_values(&[reason]);
        }
        for result in ["taken", "refused"] {
            metrics.reloads.with_label_values(&[result]);
        }
        metrics
    }

    /// Counts a decision, and what was seen of exceptions.
    pub fn decided(&self, endpoint: Endpoint, operation: &str, decision: &Decision, took: Duration) {
        self.decisions.with_label_values(&[endpoint.as_str(), operation, decision.verdict.as_str()]).inc();
        let duration = match endpoint {
            Endpoint::Validate => &self.validate,
            Endpoint::Mutate => &self.mutate,
        };
        duration.observe(took.as_secs_f64());
        for finding in &decision.findings {
            self.findings.with_label_values(&[finding.meta.id, finding.mode.as_str()]).inc();
        }
        self.break_glass.inc_by(u64::from(decision.break_glass().is_some() && decision.allowed));
        decision.noticed.iter().for_each(Noticed::count);
    }

    /// Sets the metrics of exceptions to what was counted.
    pub fn excepted(&self, exceptions: &Exceptions, now: Timestamp) {
        self.exceptions.refresh(exceptions, now);
    }

    /// Raises the counters of a sink to what its courier has counted.
    pub fn sink(&self, name: &str, counters: &Counters) {
        for (metric, count) in [
            (&self.sink_delivered, &counters.delivered),
            (&self.sink_lost, &counters.lost),
            (&self.sink_failures, &counters.failures),
        ] {
            raise(&metric.with_label_values(&[name]), count.load(Ordering::Relaxed));
        }
    }

    /// Raises the count of records that were removed although some sink needed them.
    pub fn spool_lost(&self, count: u64) {
        raise(&self.spool_lost, count);
    }

    /// Raises the count of records of a class that were removed before their retention.
    pub fn spool_early(&self, class: &str, count: u64) {
        raise(&self.spool_early.with_label_values(&[class]), count);
    }

    /// Counts a change of the configuration.
    pub fn reloaded(&self, was_taken: bool) {
        self.reloads.with_label_values(&[if was_taken { "taken" } else { "refused" }]).inc();
    }

    /// Names the configuration in force.
    pub fn configured(&self, digest: &str) {
        self.configuration.reset();
        self.configuration.with_label_values(&[digest]).set(1);
    }

    /// Everything in the text exposition format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Raises a counter to a total that is counted elsewhere. Only the admin port's thread does.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[expect(clippy::expect_used, reason = "names are fixed, and each is registered once")]
fn register<M: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("a metric's name and labels are fixed");
    registry.register(Box::new(metric.clone())).expect("each metric is registered once");
    metric
}
