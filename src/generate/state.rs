//! The state of the generator, for probes and metrics.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::{Cause, Plan, Remark};
use crate::lock::lock;

/// Maximum number of remarks that are kept of a namespace; more are counted.
const KEPT: usize = 100;
/// Number of remarks that are shown.
const SHOWN: usize = 10;

/// The state of the generator.
pub struct State {
    registry: Registry,
    is_complete: AtomicBool,
    leads: AtomicBool,
    failing: AtomicUsize,
    told: Mutex<BTreeMap<String, Told>>,
    leader: IntGauge,
    policies: IntGauge,
    remarks: IntGaugeVec,
    writes: IntCounterVec,
    staleness: IntGauge,
    refused: IntGauge,
}

/// The last look at a namespace.
struct Told {
    owned: usize,
    kept: Vec<Remark>,
    counts: BTreeMap<Cause, usize>,
}

impl State {
    /// Registers the metrics.
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let leader = gauge("portcullis_generate_leader", "1 if this replica holds the Lease and writes.");
        let policies = gauge(
            "portcullis_generate_policies",
            "Generated NetworkPolicies that nobody edited, as the leader sees them.",
        );
        let staleness = gauge(
            "portcullis_generate_store_staleness_seconds",
            "Seconds that the stores have been out of touch with the API server.",
        );
        let refused = gauge("portcullis_generate_configuration_refused", "1 while the configuration file has errors.");
        let remarks = Opts::new(
            "portcullis_generate_remarks",
            "Policies, workloads and namespaces that are not as asked for, by cause, as the leader sees them.",
        );
        let remarks = register(&registry, IntGaugeVec::new(remarks, &["cause"]));
        let writes = Opts::new("portcullis_generate_writes_total", "Writes of NetworkPolicies.");
        let writes = register(&registry, IntCounterVec::new(writes, &["action", "result"]));
        let state = Self {
            registry,
            is_complete: AtomicBool::default(),
            leads: AtomicBool::default(),
            failing: AtomicUsize::default(),
            told: Mutex::default(),
            leader,
            policies,
            remarks,
            writes,
            staleness,
            refused,
        };
        state.count();
        state
    }

    /// True once every store has been complete.
    pub fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    /// True if this replica writes.
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// Number of namespaces in which the last write failed.
    pub fn failing(&self) -> usize {
        self.failing.load(Ordering::Acquire)
    }

    /// Notes if the configuration file has errors.
    pub fn refuse_configuration(&self, is_refused: bool) {
        self.refused.set(i64::from(is_refused));
    }

    /// The remarks in words, the first few of them in full; `None` if there are none.
    pub fn remarks(&self) -> Option<String> {
        let told = lock(&self.told);
        let all: usize = told.values().flat_map(|told| told.counts.values()).sum();
        let lines =
            told.iter().flat_map(|(namespace, told)| told.kept.iter().map(move |one| format!("{namespace}: {one}")));
        let shown: Vec<String> = lines.take(SHOWN).collect();
        let more = all.saturating_sub(shown.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        (all > 0).then(|| shown.join("; ") + &more)
    }

    /// The metrics in Prometheus' text format.
    pub fn metrics(&self, staleness: Duration) -> String {
        self.staleness.set(staleness.as_secs().try_into().unwrap_or(i64::MAX));
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    pub(super) fn complete(&self) {
        self.is_complete.store(true, Ordering::Release);
    }

    /// Notes the begin or the end of a term. What a former leader saw is forgotten.
    pub(super) fn lead(&self, leads: bool) {
        self.leads.store(leads, Ordering::Release);
        self.leader.set(i64::from(leads));
        lock(&self.told).clear();
        self.fail(0);
        self.count();
    }

    pub(super) fn fail(&self, namespaces: usize) {
        self.failing.store(namespaces, Ordering::Release);
    }

    pub(super) fn wrote(&self, action: &str, result: &str) {
        self.writes.with_label_values(&[action, result]).inc();
    }

    /// Notes the remarks of a namespace; those that are new.
    pub(super) fn tell(&self, namespace: &str, plan: &Plan) -> Vec<Remark> {
        if plan.owned == 0 && plan.remarks.is_empty() {
            self.forget(namespace);
            return Vec::new();
        }
        let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
        for remark in &plan.remarks {
            *counts.entry(remark.cause).or_default() += 1;
        }
        let kept: Vec<Remark> = plan.remarks.iter().take(KEPT).cloned().collect();
        let told = Told { owned: plan.owned, kept: kept.clone(), counts };
        let before = lock(&self.told).insert(namespace.to_owned(), told);
        let before = before.map(|told| told.kept).unwrap_or_default();
        kept.into_iter().filter(|remark| !before.contains(remark)).collect()
    }

    /// Forgets a namespace.
    pub(super) fn forget(&self, namespace: &str) {
        lock(&self.told).remove(namespace);
    }

    /// Forgets the namespaces that are not among these.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.told).retain(|namespace, _| is_there(namespace));
    }

    /// Sets the gauges to what was noted.
    pub(super) fn count(&self) {
        let told = lock(&self.told);
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.policies.set(signed(told.values().map(|told| told.owned).sum()));
        for cause in Cause::ALL {
            let number = told.values().filter_map(|told| told.counts.get(&cause)).sum();
            self.remarks.with_label_values(&[cause.as_str()]).set(signed(number));
        }
    }
}

#[expect(clippy::expect_used, reason = "names are fixed, and each is registered once")]
fn register<M: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("a metric's name and labels are fixed");
    registry.register(Box::new(metric.clone())).expect("each metric is registered once");
    metric
}
