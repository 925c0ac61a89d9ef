//! What is counted. Every label takes its values from a closed set.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::decision::{Decision, Endpoint};
use crate::policy::catalogue::CATALOGUE;
use crate::trail::Tally;

/// Upper bounds of the buckets of decision times, in seconds.
const BUCKETS: [f64; 9] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0];

/// The metrics of a server.
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    findings: IntCounterVec,
    seconds: Histogram,
    /// Requests that could not be answered with a uid.
    pub unanswerable: IntCounter,
    /// TLS handshakes that failed or took too long.
    pub failed_handshakes: IntCounter,
    /// Connections turned away because their address had too many.
    pub crowded: IntCounter,
    /// Connections turned away because all places were taken.
    pub turned_away: IntCounterVec,
    /// Connections that made room for others.
    pub made_room: IntCounterVec,
    /// Connections cut because of what their clients did not do in time.
    pub cut: IntCounterVec,
    /// Whether connections were short of room a moment ago.
    pub crowding: IntGauge,
    /// Bytes of reviews that are read or judged, and of answers that are not sent.
    pub held_bytes: IntGauge,
    /// Requests turned away because nobody knows the caller.
    pub unauthorized: IntCounter,
    /// Connections now open on the TLS port.
    pub connections: IntGauge,
    /// Reviews turned away for want of room.
    pub shed: IntCounter,
    /// Reviews that wait to be decided.
    pub reviews_waiting: IntGauge,
    /// Decisions that the trail did not take.
    pub unrecorded: IntCounter,
    /// Events that wait to be written.
    pub trail_waiting: IntGauge,
    /// Bytes in the spool.
    pub spool_bytes: IntGauge,
    /// Records that were removed from the spool although some sink needed them.
    pub spool_lost: IntGauge,
    /// Records of each class that were removed from the spool before their retention.
    pub spool_early: IntGaugeVec,
    /// Seconds by which the wall clock is too far ahead for records to be removed by their age.
    pub clock_ahead: IntGauge,
    /// Records that lie aside because a sink refuses them for good.
    pub sink_set_aside: IntGaugeVec,
    /// Records that a sink has not taken yet.
    pub sink_behind: IntGaugeVec,
    sink_records: IntGaugeVec,
    /// Seconds that the stores have been out of touch with the API server.
    pub store_staleness: IntGauge,
    /// Seconds since 1970 at which the serving certificate ends.
    pub certificate_expiry: IntGauge,
    /// 1 while a certificate that is served has expired or is not valid yet.
    pub certificate_invalid: IntGauge,
    /// Differences between the installed webhook configurations and those that belong to the configuration.
    pub webhooks_lag: IntGauge,
    /// Rows of `workloads` that the API server serves nothing of.
    pub workloads_missing: IntGauge,
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
        let seconds =
            HistogramOpts::new("portcullis_decision_seconds", "Time from a review's arrival to its decision's record.");
        let info = IntGaugeVec::new(
            Opts::new("portcullis_configuration_info", "The configuration in force, by its SHA-256 digest."),
            &["digest"],
        );
        let metrics = Self {
            decisions: counters("decisions_total", "Decisions.", &["endpoint", "operation", "decision"]),
            findings: counters("findings_total", "Findings.", &["policy", "mode"]),
            seconds: register(&registry, Histogram::with_opts(seconds.buckets(BUCKETS.to_vec()))),
            unanswerable: counter("unanswerable_total", "Requests that held no uid to answer to."),
            failed_handshakes: counter("tls_handshake_failures_total", "TLS handshakes that failed or took too long."),
            crowded: counter("crowded_total", "Connections turned away: their address had too many."),
            turned_away: counters(
                "connections_turned_away_total",
                "Connections turned away: all places were taken.",
                &["port"],
            ),
            made_room: counters("made_room_total", "Connections closed to make room for others.", &["port"]),
            cut: counters(
                "connections_cut_total",
                "Connections cut: answers were not read, or headers not sent, in time.",
                &["why"],
            ),
            crowding: gauge("connections_crowded", "Whether connections were short of room within the last minute."),
            held_bytes: gauge("held_bytes", "Bytes of reviews in hand, and of answers that are not sent."),
            unauthorized: counter("unauthorized_total", "Requests turned away: their caller is not known."),
            connections: gauge("connections", "Connections now open on the TLS port."),
            shed: counter("shed_total", "Reviews turned away for want of room."),
            reviews_waiting: gauge("reviews_waiting", "Reviews that wait for a deciding thread."),
            unrecorded: counter("unrecorded_total", "Decisions that the trail did not take."),
            trail_waiting: gauge("trail_waiting", "Events that wait to be written."),
            spool_bytes: gauge("spool_bytes", "Bytes in the spool."),
            spool_lost: gauge("spool_lost", "Records removed although some sink needed them."),
            spool_early: gauges("spool_early", "Records removed before their retention, for want of room.", &["class"]),
            clock_ahead: gauge(
                "clock_ahead_seconds",
                "How far the wall clock leapt: nothing is removed by its age then.",
            ),
            sink_set_aside: gauges("sink_set_aside", "Records that a sink refuses for good, kept aside.", &["sink"]),
            sink_behind: gauges("sink_behind", "Records that a sink has not taken yet.", &["sink"]),
            sink_records: gauges(
                "sink_records",
                "Records taken by a sink, lost to it, and failed deliveries.",
                &["sink", "what"],
            ),
            store_staleness: gauge("store_staleness_seconds", "Time that the stores have been out of touch."),
            certificate_expiry: gauge("certificate_expiry_timestamp_seconds", "When the serving certificate ends."),
            certificate_invalid: gauge(
                "certificate_invalid",
                "1 while a certificate that is served has expired or is not valid yet.",
            ),
            webhooks_lag: gauge("webhooks_lag", "Differences of the installed webhook configurations."),
            workloads_missing: gauge("workloads_missing", "Rows of workloads that match nothing that is served."),
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
        for why in ["unread", "headers"] {
            metrics.cut.with_label_values(&[why]);
        }
        for result in ["taken", "refused"] {
            metrics.reloads.with_label_values(&[result]);
        }
        metrics
    }

    /// Counts a decision.
    pub fn decided(&self, endpoint: Endpoint, operation: &str, decision: &Decision, took: Duration) {
        self.decisions.with_label_values(&[endpoint.as_str(), operation, decision.verdict.as_str()]).inc();
        self.seconds.observe(took.as_secs_f64());
        for finding in &decision.findings {
            self.findings.with_label_values(&[finding.meta.id, finding.mode.as_str()]).inc();
        }
    }

    /// Takes over what a courier has counted.
    pub fn sink(&self, name: &str, tally: &Tally) {
        for (what, count) in [("delivered", &tally.delivered), ("lost", &tally.lost), ("failures", &tally.failures)] {
            let count = count.load(Ordering::Relaxed).try_into().unwrap_or(i64::MAX);
            self.sink_records.with_label_values(&[name, what]).set(count);
        }
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

#[expect(clippy::expect_used, reason = "names are fixed, and each is registered once")]
fn register<M: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("a metric's name and labels are fixed");
    registry.register(Box::new(metric.clone())).expect("each metric is registered once");
    metric
}
