//! Labels that nobody could read: a failed judgement, as far as they could have acted.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis::cluster::{Manifests, NoCluster};
use portcullis::decision::{Decision, Verdict, decide, mode_of_trouble};
use portcullis::facts::{Answer, Namespace, Question, World};
use portcullis::mode::Mode;
use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{RESTRICTED, TIGHTEN, found, root};
use crate::judging::{self, configured, with_creation};
use crate::kubernetes::objects::{holder, pod, spec};

/// Maximum time to wait for an answer that never comes.
const PATIENCE: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// Knows nothing at once, and says this when asked; `None` says nothing, ever.
struct Asked(Option<Answer>, AtomicUsize);

impl World for Asked {
    fn known(&self, _: &Question) -> Option<Answer> {
        None
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        assert!(matches!(question, Question::Namespace { name, .. } if name == "default"), "{question:?}");
        self.1.fetch_add(1, Ordering::Relaxed);
        match &self.0 {
            Some(answer) => Box::pin(ready(answer.clone())),
            None => Box::pin(pending()),
        }
    }
}

fn asked(answer: Option<Answer>) -> Asked {
    Asked(answer, AtomicUsize::new(0))
}

/// A world in which nobody ever answers.
pub(super) fn unknown() -> impl World {
    asked(None)
}

/// The server's decision about a creation.
fn decided(snapshot: &Snapshot, object: &Value, world: &dyn World, patience: Duration) -> Decision {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let decision = with_creation(snapshot, object, Source::ApiServer, |request| {
        runtime.block_on(decide(snapshot, request, world, Instant::now() + patience))
    });
    decision.expect("readable")
}

#[test]
fn what_nobody_could_say_is_no_silent_pass() {
    let good = pod("web", spec());
    let said = "could not be judged: the labels of namespace \"default\" were not read ";
    for (world, patience, why) in [
        (&NoCluster::Missed as &dyn World, LONG, "(no cluster is connected)"),
        (&asked(None), PATIENCE, "(the cluster did not answer in time)"),
        (&asked(Some(Answer::Unavailable("it burns".to_owned()))), LONG, "(it burns)"),
        (&asked(Some(Answer::NotFound)), LONG, "(there is no such namespace)"),
    ] {
        for object in [&good, &holder("Deployment", "web", spec()), &holder("CronJob", "web", spec())] {
            let message = format!("{said}{why}");
            for (ceiling, allowed) in [(Mode::Enforce, false), (Mode::Warn, true), (Mode::Audit, true)] {
                let snapshot = configured(&format!("{TIGHTEN}ceiling: {ceiling}\n"));
                let decision = decided(&snapshot, object, world, patience);
                assert_eq!(found(&decision), [("podSecurityLabels", ceiling, message.as_str())]);
                assert_eq!((decision.verdict, decision.allowed), (Verdict::Error, allowed), "{ceiling}");
                assert_eq!(decision.findings[0].configured, (ceiling < Mode::Enforce).then_some(Mode::Enforce));
                assert!(allowed || decision.code() == 503, "nothing was found: it is our own trouble");
            }
            let off = configured(&format!("{TIGHTEN}ceiling: off\n"));
            assert_eq!(decided(&off, object, world, patience).verdict, Verdict::Allow);
        }
    }
}

#[test]
fn what_is_configured_is_judged_all_the_same() {
    let snapshot = configured(&format!("{TIGHTEN}policies: {{root-users: {{mode: enforce}}}}\n"));
    let decision = decided(&snapshot, &root(), &NoCluster::Missed, LONG);
    let ids: Vec<_> = decision.findings.iter().map(|finding| (finding.meta.id, finding.failed)).collect();
    assert_eq!(ids, [("root-users", false), ("podSecurityLabels", true)]);
    assert_eq!((decision.verdict, decision.code()), (Verdict::Error, 403));
}

#[test]
fn what_is_not_known_at_once_is_asked_for_once() {
    let labels = [("pod-security.kubernetes.io/enforce", "restricted"), ("other", "restricted")];
    let namespace = Arc::new(Namespace::labelled(labels, &[]));
    assert_eq!(*namespace, Namespace::labelled(labels.into_iter().take(1), &[]), "nothing else is kept");
    let world = asked(Some(Answer::Namespace(namespace)));
    let decision = decided(&configured(TIGHTEN), &root(), &world, LONG);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(world.1.load(Ordering::Relaxed), 1);
}

#[test]
fn nobody_is_asked_where_labels_could_not_matter() {
    let silent = asked(None);
    let others = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}),
    ];
    for object in &others {
        assert_eq!(decided(&configured(TIGHTEN), object, &silent, PATIENCE).verdict, Verdict::Allow);
    }
    for lines in ["", "podSecurityLabels: ignore\n", "podSecurityLabels: tighten\nceiling: off\n"] {
        assert_eq!(decided(&configured(lines), &root(), &silent, PATIENCE).verdict, Verdict::Allow);
    }
    assert_eq!(silent.1.load(Ordering::Relaxed), 0);
    // What lives in no namespace has none whose labels count.
    let fleet = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "CREATE", "name": "web", "userInfo": {"username": "jane"},
        "kind": {"group": "example.org", "version": "v1", "kind": "Fleet"},
        "resource": {"group": "example.org", "version": "v1", "resource": "fleets"},
        "object": {"spec": {"template": {"spec": {"hostPID": true}}}},
    }});
    let workloads = "workloads: [{group: example.org, kind: Fleet, path: /spec/template}]\n";
    let snapshot = configured(&format!("{TIGHTEN}{workloads}"));
    assert_eq!(judging::answer(&snapshot, &fleet, &NoCluster::Missed).verdict, Verdict::Allow);
}

#[test]
fn the_server_s_own_trouble_does_what_labels_could_have_done() {
    for (lines, mode) in [
        ("", Mode::Off),
        (TIGHTEN, Mode::Enforce),
        ("podSecurityLabels: tighten\nceiling: warn\npolicies: {root-users: {mode: audit}}\n", Mode::Warn),
        ("podSecurityLabels: ignore\npolicies: {root-users: {mode: audit}}\n", Mode::Audit),
    ] {
        let snapshot = configured(lines);
        let of = |request: &portcullis::request::Request<'_>| mode_of_trouble(&snapshot, request, &NoCluster::Missed);
        assert_eq!(with_creation(&snapshot, &root(), Source::ApiServer, of).expect("readable"), mode, "{lines}");
    }
}

#[test]
fn files_without_a_namespace_leave_them_out() {
    let snapshot = configured(TIGHTEN);
    let create = |world: &Manifests| judging::create(&snapshot, &root(), world, Source::Manifest).expect("readable");
    let left_out = |decision: &Decision| decision.left_out.iter().map(|meta| meta.id).collect::<Vec<_>>();
    let none = create(&Manifests::default());
    assert_eq!((none.verdict, left_out(&none)), (Verdict::Allow, vec!["podSecurityLabels"]));
    // A policy that asked nothing is not said to be left out.
    let other = configured(&format!("{TIGHTEN}policies: {{writable-root-filesystems: {{mode: enforce}}}}\n"));
    let other = judging::create(&other, &root(), &Manifests::default(), Source::Manifest).expect("readable");
    assert_eq!(left_out(&other), ["podSecurityLabels"]);
    for known in [Manifests::whole(true), judging::world("{apiVersion: v1, kind: Namespace, metadata: {name: other}}")]
    {
        let decision = create(&known);
        assert_eq!((decision.verdict, left_out(&decision)), (Verdict::Allow, vec![]));
    }
    assert_eq!(create(&super::labelled(RESTRICTED)).verdict, Verdict::Deny);
}
