//! A policy is linear: it looks at each item of an object a few times, and is stopped where it does not.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::{ActiveMutator, ActivePolicy, Failure, judge_at_once};
use crate::cluster::Manifests;
use crate::config;
use crate::decision::{Verdict, decide_at_once};
use crate::facts::{Facts, Pending};
use crate::mode::Mode;
use crate::policy::catalogue::CATALOGUE;
use crate::policy::defaults::{Edits, Target};
use crate::policy::{Report, Validator};
use crate::request::Request;
use crate::review;
use crate::snapshot::Snapshot;
use crate::steps::{Allowance, POLICY};

/// Looks at every container for each container.
struct Quadratic;

impl Validator for Quadratic {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for one in request.containers() {
            if request.containers().filter(|other| other.name() == one.name()).count() > 1 {
                report.add(one.at("name"), "must be one of a kind");
            }
        }
        Ok(())
    }
}

/// Every policy of the catalogue, as one version of the standards has them.
fn everything(version: &str) -> Snapshot {
    let mut text = format!(
        "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npodSecurityVersion: {version}\ndefaults: all\npolicies:\n"
    );
    for entry in CATALOGUE {
        let _ = writeln!(text, "  {}: {{mode: enforce}}", entry.meta.id);
    }
    config::compile("test", &text, None).expect("compiles").snapshot
}

/// The review of a Pod with so many containers, and so many items in each list of each of them and of the pod.
fn pod(containers: usize, items: usize) -> String {
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let container = |number: usize| {
        format!(
            r#"{{"name":"c{number}","image":"a","ports":[{}],"volumeMounts":[{}],"securityContext":{{"capabilities":{{"add":[{}],"drop":[{}]}}}}}}"#,
            list(items, &|_| r#"{"hostPort":1}"#.to_owned()),
            list(items, &|_| r#"{"name":"v","mountPath":"/v"}"#.to_owned()),
            list(items, &|_| r#""A""#.to_owned()),
            list(items, &|_| r#""A""#.to_owned()),
        )
    };
    let annotation = |number: usize| {
        format!(
            r#""container.seccomp.security.alpha.kubernetes.io/c{number}":"u","container.apparmor.security.beta.kubernetes.io/c{number}":"u""#
        )
    };
    let object = format!(
        r#"{{"metadata":{{"name":"p","annotations":{{{}}},"labels":{{{}}}}},"spec":{{"containers":[{}],"initContainers":[{}],"ephemeralContainers":[{}],"volumes":[{}],"securityContext":{{"sysctls":[{}]}}}}}}"#,
        list(containers, &annotation),
        list(containers, &|number| format!(r#""l{number}":"""#)),
        list(containers, &container),
        list(containers, &|number| format!(r#"{{"name":"i{number}"}}"#)),
        list(containers, &|number| format!(r#"{{"name":"e{number}"}}"#)),
        list(containers, &|number| format!(r#"{{"name":"v{number}","hostPath":{{}}}}"#)),
        list(containers, &|_| r#"{"name":"s"}"#.to_owned()),
    );
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","operation":"CREATE","namespace":"default","kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},"object":{object}}}}}"#
    )
}

/// Hands `each` the request of a review.
fn with<T>(snapshot: &Snapshot, text: &str, each: impl FnOnce(&Request<'_>) -> T) -> T {
    let review = review::decode(text.as_bytes(), snapshot.workloads(), Timestamp::UNIX_EPOCH).expect("a uid");
    assert_eq!(review.unreadable, None);
    each(&review.request)
}

/// The steps that each policy takes on a Pod.
fn steps(snapshot: &Snapshot, text: &str) -> Vec<(&'static str, u64)> {
    let world = Manifests::whole(true);
    with(snapshot, text, |request| {
        let run = |policy: &ActivePolicy| {
            let mut report = Report::with_budget(POLICY);
            let judged = policy.validator.judge(request, &Facts::new(&world), &mut report);
            assert_eq!((judged, report.is_exhausted()), (Ok(()), false), "{}", policy.meta.id);
            (policy.meta.id, report.steps())
        };
        snapshot.policies("default").iter().map(run).collect()
    })
}

#[test]
fn no_policy_takes_more_steps_than_items_allow() {
    for version in ["latest", "v1.18"] {
        let snapshot = everything(version);
        for (small, large) in [(pod(50, 10), pod(400, 10)), (pod(10, 50), pod(10, 400))] {
            for ((id, few), (_, many)) in steps(&snapshot, &small).into_iter().zip(steps(&snapshot, &large)) {
                // Eight times as much of everything, and some for what does not grow.
                assert!(many <= few * 8 + 100, "{version} {id}: {few} steps, and {many} for eight times as much");
            }
        }
    }
}

#[test]
fn no_mutator_takes_more_steps_than_items_allow() {
    let snapshot = everything("latest");
    let steps = |text: &str| -> Vec<u64> {
        let run = |active: &ActiveMutator, request: &Request<'_>| {
            let allowance = Allowance::new(POLICY);
            active.mutator.set(&Target::whole(request), &mut Edits::default());
            allowance.taken()
        };
        with(&snapshot, text, |request| {
            snapshot.mutators("default").iter().map(|active| run(active, request)).collect()
        })
    };
    for (small, large) in [(pod(50, 10), pod(400, 10)), (pod(10, 50), pod(10, 400))] {
        for (few, many) in steps(&small).into_iter().zip(steps(&large)) {
            assert!(many <= few * 8 + 100, "{few} steps, and {many} for eight times as much");
        }
    }
}

/// A list that a policy reads without a step being counted would let it read as long as it likes.
#[test]
fn each_list_counts_steps() {
    let text = pod(10, 400);
    for (version, id, items) in [
        ("latest", "privileged-containers", 30),
        ("latest", "host-ports", 4_000),
        ("latest", "undropped-capabilities", 8_000),
        ("latest", "automounted-tokens", 4_000),
        ("latest", "volume-types", 20),
        ("latest", "unsafe-sysctls", 10),
        ("latest", "app-armor-overrides", 20),
        ("latest", "unpinned-images", 30),
        ("v1.18", "seccomp-unconfined", 50),
    ] {
        let steps = steps(&everything(version), &text).into_iter().find(|(found, _)| *found == id).expect("in force");
        assert!(steps.1 >= items, "{id}: {} steps for {items} items", steps.1);
    }
}

/// A request to an API server has 3 MiB at the most, and nothing in it is smaller than a capability.
#[test]
fn the_largest_object_that_an_api_server_takes_is_judged_whole() {
    let snapshot = everything("latest");
    let capabilities = vec![r#""A""#; 1_000].join(",");
    let container = format!(r#"{{"securityContext":{{"capabilities":{{"add":[{capabilities}]}}}}}}"#);
    let text = pod(1, 1).replacen(r#"{"name":"i0"}"#, &vec![container; 780].join(","), 1);
    assert!(text.len() > 3 << 20, "{}", text.len());
    let began = Instant::now();
    let taken = steps(&snapshot, &text);
    println!("{:?} for {:?}", began.elapsed(), taken);
    let decision = with(&snapshot, &text, |request| decide_at_once(&snapshot, request, &Manifests::whole(true)));
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(decision.findings.iter().all(|finding| !finding.failed));
}

#[test]
fn a_policy_that_looks_at_everything_for_everything_has_failed_each_time() {
    let snapshot = everything("latest");
    let meta = CATALOGUE[0].meta;
    let validator: Arc<dyn Validator> = Arc::new(Quadratic);
    let policy = ActivePolicy {
        meta,
        validator,
        mode: Mode::Warn,
        configured: Mode::Warn,
        strict_updates: false,
        enforces_deletes: false,
        label: None,
    };
    let world = Manifests::whole(true);
    let names: Vec<String> = (0..1_000).map(|number| format!(r#"{{"name":"x{number}"}}"#)).collect();
    let crowd = pod(1, 1).replacen(r#"{"name":"i0"}"#, &names.join(","), 1);
    let larger = crowd.replacen(r#"{"name":"e0"}"#, &names.join(","), 1);
    let larger = larger.replacen(r#""containers":["#, &format!(r#""containers":[{},"#, names.join(",")), 1);
    for (text, result) in [(&crowd, Ok(Vec::new())), (&larger, Err(Failure::Exhausted))] {
        with(&snapshot, text, |request| {
            for _ in 0..2 {
                let outcomes = judge_at_once(std::slice::from_ref(&policy), request, &Facts::new(&world));
                assert_eq!(outcomes[0].result, result);
            }
        });
    }
}
