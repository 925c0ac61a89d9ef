//! Failures, modes and the old object, with validators that no catalogue holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::labels::LabelState;
use super::{Decision, Verdict, conclude, findings};
use crate::cluster::Manifests;
use crate::config::compile_profile;
use crate::engine::{self, ActivePolicy};
use crate::facts::{Answer, Facts, Pending, Question, World};
use crate::mode::Mode;
use crate::object::Workloads;
use crate::pod_security::Version;
use crate::pod_security::{Demand, Level};
use crate::policy::{Fields, Kinds, Meta, Report, Severity, Validator};
use crate::request::Request;
use crate::review;
use crate::snapshot::Snapshot;

static META: Meta = Meta {
    id: "tested",
    title: "a test",
    severity: Severity::Low,
    since: "0.0.0",
    why: "It is tested.",
    fix: "test it",
    kinds: &[Kinds::Pods],
    fields: &[Fields::of(&["spec"])],
    changes: &[],
    controls: &[],
};
static OTHER: Meta = Meta { id: "other", ..META };

struct Finds(Arc<AtomicUsize>);
impl Validator for Finds {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let at_fault = request.pods().iter().filter(|pod| pod.node_name() == "bad");
        at_fault.for_each(|pod| report.add(pod.at("spec.nodeName"), "must be good"));
        Ok(())
    }
}

struct Panics;
impl Validator for Panics {
    fn judge(&self, _: &Request<'_>, _: &Facts<'_>, _: &mut Report) -> Result<(), Pending> {
        panic!("a policy at fault");
    }
}

struct Asks;
impl Validator for Asks {
    fn judge(&self, _: &Request<'_>, facts: &Facts<'_>, _: &mut Report) -> Result<(), Pending> {
        facts.service_account("default", "default").map(drop)
    }
}

/// Knows nothing at once.
struct Silent;
impl World for Silent {
    fn known(&self, _: &Question) -> Option<Answer> {
        None
    }

    fn ask<'w>(&'w self, _: &'w Question) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(std::future::pending())
    }
}

fn active(meta: &'static Meta, validator: impl Validator + 'static, mode: Mode) -> ActivePolicy {
    ActivePolicy {
        meta,
        validator: Arc::new(validator),
        mode,
        configured: Mode::Enforce,
        strict_updates: false,
        enforces_deletes: false,
        label: None,
    }
}

fn snapshot() -> Snapshot {
    compile_profile("hardened", None).expect("compiles").snapshot
}

/// Judges an update of a Pod on node `new` that was on node `old`.
fn update(policies: &[ActivePolicy], world: &dyn World, new: &str, old: &str) -> Decision {
    let pod = |node: &str| format!(r#"{{"metadata": {{"name": "web"}}, "spec": {{"nodeName": "{node}"}}}}"#);
    let review = format!(
        r#"{{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {{"uid": "1",
            "kind": {{"group": "", "version": "v1", "kind": "Pod"}}, "resource": {{"resource": "pods"}},
            "operation": "UPDATE", "object": {}, "oldObject": {}}}}}"#,
        pod(new),
        pod(old)
    );
    let snapshot = snapshot();
    let review = review::decode(review.as_bytes(), Workloads::built_in(), jiff::Timestamp::UNIX_EPOCH);
    let request = review.expect("has a uid").request;
    let facts = Facts::new(world);
    let outcomes = engine::judge_at_once(policies, &request, &facts);
    let findings = findings(&snapshot, &request, &facts, &LabelState::Done, &outcomes);
    conclude(&snapshot, &request, &LabelState::Done, &outcomes, findings)
}

#[test]
fn a_failure_does_what_the_mode_of_its_policy_says() {
    for (mode, allowed) in [(Mode::Enforce, false), (Mode::Warn, true), (Mode::Audit, true)] {
        let panicked = update(&[active(&META, Panics, mode)], &Manifests::default(), "new", "old");
        let late = update(&[active(&META, Asks, mode)], &Silent, "new", "old");
        for decision in [panicked, late] {
            assert_eq!((decision.verdict, decision.allowed), (Verdict::Error, allowed), "{mode}");
            let [finding] = decision.findings.as_slice() else { panic!("{decision:?}") };
            assert!(finding.failed && finding.mode == mode && finding.message.starts_with("could not be judged"));
            assert_eq!(finding.configured, (mode < Mode::Enforce).then_some(Mode::Enforce));
            assert_eq!(finding.place.shown(), ".");
            if !allowed {
                assert_eq!(decision.code(), 503, "nothing was found: it is our own trouble");
            }
        }
    }
}

#[test]
fn a_failure_beside_a_finding_leaves_the_finding_its_effect() {
    let calls = Arc::default();
    let policies = [active(&META, Finds(calls), Mode::Enforce), active(&OTHER, Panics, Mode::Audit)];
    let decision = update(&policies, &Manifests::default(), "bad", "good");
    assert_eq!((decision.verdict, decision.allowed, decision.code()), (Verdict::Error, false, 403));
    let ids: Vec<_> = decision.findings.iter().map(|finding| (finding.meta.id, finding.failed)).collect();
    assert_eq!(ids, [("tested", false), ("other", true)]);
}

#[test]
fn a_failure_is_never_inherited() {
    let decision = update(&[active(&META, Panics, Mode::Enforce)], &Manifests::default(), "same", "same");
    assert!(!decision.allowed && !decision.findings[0].inherited);
}

/// Finds as many flaws as the node's name says, which nothing tells apart.
struct Counts;
impl Validator for Counts {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            let flaws: usize = pod.node_name().parse().unwrap_or_default();
            (0..flaws).for_each(|_| report.add(pod.at("spec.volumes"), "must be good"));
        }
        Ok(())
    }
}

/// The same policy as the labels of a namespace ask for it.
fn labelled(meta: &'static Meta, validator: impl Validator + 'static, mode: Mode) -> ActivePolicy {
    let demand = Demand { mode, level: Level::Baseline, version: Version::LATEST };
    ActivePolicy { label: Some(demand), ..active(meta, validator, mode) }
}

#[test]
fn a_policy_that_runs_twice_excuses_no_more_than_the_old_object_had() {
    for (configured, asked) in
        [(Mode::Enforce, Mode::Enforce), (Mode::Warn, Mode::Enforce), (Mode::Enforce, Mode::Warn)]
    {
        let policies = [active(&META, Counts, configured), labelled(&META, Counts, asked)];
        let decision = update(&policies, &Manifests::default(), "2", "1");
        let inherited: Vec<_> = decision.findings.iter().map(|finding| finding.inherited).collect();
        assert_eq!(inherited, [true, false], "{configured}, {asked}: {decision:?}");
        assert!(!decision.allowed, "one is new");
        let decision = update(&policies, &Manifests::default(), "2", "2");
        assert!(decision.allowed && decision.findings.len() == 2, "{decision:?}");
    }
}

#[test]
fn what_a_label_found_too_acts_as_far_as_either() {
    let own = |mode, strict_updates| ActivePolicy { strict_updates, ..active(&META, Counts, mode) };
    for (own, asked, old, mode, is_labelled, allowed) in [
        (own(Mode::Warn, false), Mode::Enforce, "0", Mode::Enforce, true, false),
        (own(Mode::Enforce, false), Mode::Warn, "0", Mode::Enforce, false, false),
        (own(Mode::Enforce, false), Mode::Enforce, "0", Mode::Enforce, false, false),
        // Strict as configured, lenient as asked.
        (own(Mode::Enforce, true), Mode::Enforce, "1", Mode::Enforce, false, false),
        (own(Mode::Enforce, true), Mode::Warn, "1", Mode::Enforce, false, false),
        (own(Mode::Warn, true), Mode::Enforce, "1", Mode::Enforce, true, true),
    ] {
        let told = format!("{} {} {asked} {old}", own.mode, own.strict_updates);
        let decision = update(&[own, labelled(&META, Counts, asked)], &Manifests::default(), "1", old);
        let [finding] = decision.findings.as_slice() else { panic!("{told}: {decision:?}") };
        assert_eq!((finding.mode, decision.allowed), (mode, allowed), "{told}");
        let end = format!(", as the namespace's labels ask ({asked}=baseline:latest)");
        let message = format!("must be good{}", if is_labelled { &end } else { "" });
        assert_eq!(finding.message, message, "{told}");
    }
}

#[test]
fn another_policy_s_like_finding_is_its_own() {
    let policies = [active(&META, Counts, Mode::Warn), labelled(&OTHER, Counts, Mode::Enforce)];
    assert_eq!(update(&policies, &Manifests::default(), "1", "0").findings.len(), 2);
}

#[test]
fn the_old_object_is_judged_only_when_the_new_one_has_findings() {
    for (new, runs) in [("good", 1), ("bad", 2)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let decision =
            update(&[active(&META, Finds(Arc::clone(&calls)), Mode::Enforce)], &Manifests::default(), new, "bad");
        assert!(decision.allowed, "{decision:?}");
        assert_eq!(calls.load(Ordering::Relaxed), runs, "{new}");
    }
}
