//! The algebra of `existing` and exceptions, over generated owners and Pods: neither adds a refusal, no finding is both exempt
//! and inherited, order does not matter, and an error stays one.

use portcullis::decision::{Decision, Verdict};
use portcullis::mode::Mode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::owners::{Stored, controller, created, owned};
use super::super::{configured, exception, exception_of, pod};
use super::{BEFORE, NOW, OLD, at, deployment, set};

/// Policies that are enforced. The last one asks the cluster, and fails where that does not answer.
const POLICIES: [&str; 4] = ["unpinned-images", "privileged-containers", "added-capabilities", "unisolated-pods"];

#[derive(Debug, Clone)]
struct Container {
    is_privileged: bool,
    capabilities: usize,
    image: &'static str,
}

#[derive(Debug, Clone)]
struct Case {
    in_template: Vec<Container>,
    in_pod: Vec<Container>,
    /// Time at which the owner was created.
    created: &'static str,
    is_of_a_user: bool,
    /// True if nothing of the cluster is known.
    is_silent: bool,
    is_strict: bool,
}

fn containers() -> impl Strategy<Value = Vec<Container>> {
    let image = proptest::sample::select(vec!["nginx", "nginx:1"]);
    let one = (any::<bool>(), 0..3_usize, image).prop_map(|(is_privileged, capabilities, image)| Container {
        is_privileged,
        capabilities,
        image,
    });
    prop::collection::vec(one, 1..3)
}

fn case() -> impl Strategy<Value = Case> {
    let mostly = || proptest::bool::weighted(0.8);
    (containers(), containers(), any::<bool>(), mostly(), mostly(), proptest::bool::weighted(0.1), any::<bool>())
        .prop_map(|(in_template, other, is_same, is_old, is_of_controller, is_silent, is_strict)| Case {
            in_pod: if is_same { in_template.clone() } else { other },
            in_template,
            created: if is_old { OLD } else { NOW },
            is_of_a_user: !is_of_controller,
            is_silent,
            is_strict,
        })
}

/// Exceptions: policies, and the object that each is for.
fn exceptions() -> impl Strategy<Value = Vec<(Vec<&'static str>, &'static str)>> {
    let policies = proptest::sample::subsequence(POLICIES.to_vec(), 1..=4);
    let matching = proptest::sample::select(vec!["kind: Pod", "kind: Deployment", "kind: Job", "containers: [c0]"]);
    prop::collection::vec((policies, matching), 0..3)
}

fn written(containers: &[Container]) -> Vec<Value> {
    let one = |(at, one): (usize, &Container)| {
        let context =
            json!({"privileged": one.is_privileged, "capabilities": {"add": vec!["SYS_ADMIN"; one.capabilities]}});
        json!({"name": format!("c{at}"), "image": one.image, "securityContext": context})
    };
    containers.iter().enumerate().map(one).collect()
}

impl Case {
    fn decide(&self, exceptions: &[(Vec<&str>, &str)], is_on: bool, is_reversed: bool) -> Decision {
        let updates = if self.is_strict { ", updates: strict" } else { "" };
        let policies = POLICIES.map(|id| match id {
            "privileged-containers" => format!("{id}: {{mode: enforce{updates}}}"),
            id => format!("{id}: {{mode: enforce}}"),
        });
        let mut list: Vec<String> = exceptions
            .iter()
            .enumerate()
            .map(|(at, (ids, matching))| {
                exception(&format!("e{at}"), &ids.join(", "), &format!("namespace: shop, {matching}"))
            })
            .collect();
        if is_reversed {
            list.reverse();
        }
        let snapshot = configured(&format!(
            "policies: {{{}}}\nexceptions: [{}]\nexisting: {{admit: {is_on}, createdBefore: {BEFORE}}}\n",
            policies.join(", "),
            list.join(", ")
        ));
        let top = at(self.created, deployment(&written(&self.in_template)));
        let set = set(&written(&self.in_pod), &top);
        let mut world = Stored::of(&[&set, &top]);
        world.knows_nothing = self.is_silent;
        let user = if self.is_of_a_user { "jane".to_owned() } else { controller("replicaset-controller") };
        created(&snapshot, &owned(pod("web-5d-x", &written(&self.in_pod)), &set), &user, &world)
    }
}

/// The exception of each finding, and whether it is inherited.
fn excuses(decision: &Decision) -> Vec<(Option<String>, bool)> {
    let excuse = |one: &portcullis::decision::ModedFinding| (exception_of(one).map(str::to_owned), one.inherited);
    decision.findings.iter().map(excuse).collect()
}

fn judged(decision: &Decision) -> Vec<String> {
    let told = decision.findings.iter();
    told.map(|one| format!("{} {} {} {:?} {}", one.meta.id, one.place.shown(), one.message, one.mode, one.failed))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn neither_adds_a_refusal_and_an_error_stays_one(case in case(), exceptions in exceptions()) {
        let (off, on) = (case.decide(&exceptions, false, false), case.decide(&exceptions, true, false));
        prop_assert_eq!(judged(&off), judged(&on), "it is judged all the same");
        prop_assert_eq!(on.allowed, on.findings.iter().all(|finding| !finding.refuses()));
        prop_assert!(!off.allowed || on.allowed);
        for ((was, before), (is, inherited)) in excuses(&off).into_iter().zip(excuses(&on)) {
            prop_assert_eq!(&was, &is, "exceptions come first");
            prop_assert!(!before && (is.is_none() || !inherited));
        }
        for finding in &on.findings {
            let counts = case.created == OLD && !case.is_of_a_user && !(case.is_strict && finding.meta.id == "privileged-containers");
            prop_assert!(!finding.inherited || (counts && !finding.failed));
            prop_assert!(!finding.inherited || case.has_in_template(&finding.place.shown(), finding.meta.id));
            if counts && case.is_same() && !case.is_silent {
                prop_assert!(!finding.refuses() || finding.failed, "{}", finding.message);
            }
        }
        prop_assert_eq!(on.verdict == Verdict::Error, on.findings.iter().any(|finding| finding.failed));
        let fails = on.findings.iter().any(|finding| finding.failed && finding.mode == Mode::Enforce);
        prop_assert!(!fails || !on.allowed);

        prop_assert_eq!(excuses(&case.decide(&exceptions, true, true)), excuses(&on), "order does not matter");
        let without = case.decide(&[], true, false);
        prop_assert!(!without.allowed || on.allowed, "an exception adds no refusal");
    }
}

impl Case {
    /// True if the template has a flaw that the Pod has there, read from the containers themselves.
    fn has_in_template(&self, place: &str, policy: &str) -> bool {
        let is_at = |(at, _): &(usize, &Container)| place.contains(&format!("containers[{at}]"));
        let Some((at, in_pod)) = self.in_pod.iter().enumerate().find(is_at) else { return policy == "unisolated-pods" };
        self.in_template.get(at).filter(|one| one.image == in_pod.image).is_some_and(|one| match policy {
            "privileged-containers" => one.is_privileged,
            "added-capabilities" => one.capabilities > 0,
            _ => policy == "unpinned-images",
        })
    }

    fn is_same(&self) -> bool {
        written(&self.in_template) == written(&self.in_pod)
    }
}

/// The generated cases are of use only if something is inherited in some of them, and a policy fails in others.
#[test]
fn something_is_inherited_in_a_case_like_those() {
    let bad = vec![Container { is_privileged: true, capabilities: 2, image: "nginx" }];
    let case = Case {
        in_template: bad.clone(),
        in_pod: bad,
        created: OLD,
        is_of_a_user: false,
        is_silent: false,
        is_strict: false,
    };
    let decision = case.decide(&[], true, false);
    assert!(decision.allowed && decision.findings.iter().all(|finding| finding.inherited), "{decision:?}");
    assert!(decision.findings.len() >= 4, "{:?}", judged(&decision));
    let silent = Case { is_silent: true, ..case };
    assert_eq!(silent.decide(&[], true, false).verdict, Verdict::Error);
}
