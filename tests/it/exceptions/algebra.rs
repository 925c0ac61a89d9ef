//! The algebra of exceptions, over generated exceptions and objects: each covers what an independent reading of its fields
//! says, together they cover what each covers alone, and none turns an error into an admission.

use std::collections::BTreeSet;

use portcullis::decision::{Decision, Verdict};
use portcullis::facts::World;
use portcullis::mode::Mode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{END, NOW, Silent, answer, configured, exception_of, review_of, time};

/// Policies that are enforced.
const POLICIES: [&str; 4] =
    ["unpinned-images", "privileged-containers", "writable-root-filesystems", "host-namespaces"];
/// Policies that exceptions name: these, and one that may fail.
const EXCEPTED: [&str; 5] =
    ["unpinned-images", "privileged-containers", "writable-root-filesystems", "host-namespaces", "unisolated-pods"];
const IMAGES: [&str; 3] = ["shop/web", "nginx:1", "Not An Image"];

/// An exception, in the words of these tests.
#[derive(Debug, Clone)]
struct Written {
    policies: Vec<&'static str>,
    namespace: &'static str,
    kind: Option<&'static str>,
    name: Option<&'static str>,
    containers: Vec<&'static str>,
    /// Patterns, and the images among [`IMAGES`] that they match.
    images: Option<(&'static str, &'static [&'static str])>,
    users: Vec<&'static str>,
    is_over: bool,
    requires: Option<&'static str>,
}

fn some_of(all: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(all, least..=all.len())
}

fn written() -> impl Strategy<Value = Written> {
    let images = proptest::option::weighted(
        0.3,
        proptest::sample::select(vec![
            ("\"shop/**\"", &["shop/web"][..]),
            ("nginx", &["nginx:1"]),
            ("\"docker.io/**\"", &["shop/web", "nginx:1"]),
            ("shop/web, \"nginx:2\"", &["shop/web"]),
        ]),
    );
    let people = proptest::option::weighted(0.2, some_of(&["jane", "jim"], 1));
    let named = proptest::option::weighted(0.3, some_of(&["web", "side"], 1));
    (
        some_of(&EXCEPTED, 1),
        prop_oneof![4 => Just("shop"), 1 => Just("pay")],
        proptest::option::weighted(0.4, proptest::sample::select(vec!["Pod", "Deployment.apps"])),
        proptest::option::weighted(0.3, proptest::sample::select(vec!["web", "db"])),
        (named, images, people),
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.3, proptest::sample::select(vec!["root-users", "unisolated-pods"])),
    )
        .prop_map(|(policies, namespace, kind, name, (containers, images, users), is_over, requires)| {
            let is_for_requires = requires.is_some_and(|policy: &str| policies.contains(&policy));
            Written {
                policies,
                namespace,
                kind,
                name,
                containers: containers.unwrap_or_default(),
                images,
                users: users.unwrap_or_default(),
                is_over,
                // An exception never requires what it is for.
                requires: requires.filter(|_| !is_for_requires),
            }
        })
}

impl Written {
    fn yaml(&self, name: &str) -> String {
        let optional =
            |key: &str, value: Option<&str>| value.map(|value| format!(", {key}: {value}")).unwrap_or_default();
        let list = |key: &str, items: &[&str]| {
            if items.is_empty() { String::new() } else { format!(", {key}: [{}]", items.join(", ")) }
        };
        let end = if self.is_over { "2026-11-26T12:00:00Z" } else { END };
        format!(
            "{{name: {name}, policies: [{}], match: {{namespace: {}{}{}{}{}{}}}, expires: {end}, reason: r, owner: o{}}}",
            self.policies.join(", "),
            self.namespace,
            optional("kind", self.kind),
            optional("name", self.name),
            list("containers", &self.containers),
            self.images.map(|(patterns, _)| format!(", images: [{patterns}]")).unwrap_or_default(),
            list("users", &self.users),
            self.requires.map(|policy| format!(", requires: [{policy}]")).unwrap_or_default(),
        )
    }

    /// Whether it covers a finding of `decision`, read from its fields and the object.
    fn covers(&self, case: &Case, decision: &Decision, place: &str, policy: &str) -> bool {
        let is_kind = self.kind.is_none_or(|kind| kind.split('.').next() == Some(case.kind));
        let is_about = self.policies.contains(&policy)
            && self.namespace == "shop"
            && is_kind
            && self.name.is_none_or(|name| name == "web")
            && (self.users.is_empty() || self.users.contains(&"jane"))
            && !self.is_over;
        let container = case.containers.iter().enumerate().find(|(at, _)| place.contains(&format!("containers[{at}]")));
        let is_image = |image: &str| self.images.is_none_or(|(_, matched)| matched.contains(&image));
        let is_there = match container {
            Some((_, one)) => {
                (self.containers.is_empty() || self.containers.contains(&one.name)) && is_image(one.image)
            }
            None => self.containers.is_empty() && case.containers.iter().all(|one| is_image(one.image)),
        };
        let is_held = self.requires.is_none_or(|policy| {
            let found = decision.findings.iter().any(|finding| finding.meta.id == policy);
            let left_out = decision.left_out.iter().any(|meta| meta.id == policy);
            !found && !left_out
        });
        is_about && is_there && is_held
    }
}

#[derive(Debug, Clone)]
struct Container {
    name: &'static str,
    image: &'static str,
    is_privileged: bool,
    runs_as_root: bool,
}

/// A request: jane creates `shop/web`.
#[derive(Debug, Clone)]
struct Case {
    kind: &'static str,
    containers: Vec<Container>,
    is_on_host: bool,
    /// Mode of `unisolated-pods`.
    isolation: &'static str,
    is_silent: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let container = |name: &'static str| {
        let image = proptest::sample::select(IMAGES.to_vec());
        (image, any::<bool>(), proptest::bool::weighted(0.3)).prop_map(move |(image, is_privileged, runs_as_root)| {
            Container { name, image, is_privileged, runs_as_root }
        })
    };
    (
        proptest::sample::select(vec!["Pod", "Deployment"]),
        container("web"),
        proptest::option::of(container("side")),
        any::<bool>(),
        proptest::sample::select(vec!["audit", "warn", "enforce"]),
        proptest::bool::weighted(0.3),
    )
        .prop_map(|(kind, web, side, is_on_host, isolation, is_silent)| Case {
            kind,
            containers: std::iter::once(web).chain(side).collect(),
            is_on_host,
            isolation,
            is_silent,
        })
}

impl Case {
    fn review(&self) -> Value {
        let containers: Vec<Value> = self
            .containers
            .iter()
            .map(|one| {
                let context = json!({"privileged": one.is_privileged, "runAsNonRoot": !one.runs_as_root});
                json!({"name": one.name, "image": one.image, "securityContext": context})
            })
            .collect();
        let spec = json!({"hostNetwork": self.is_on_host, "containers": containers});
        let metadata = json!({"name": "web", "namespace": "shop"});
        let object = match self.kind {
            "Pod" => json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
            kind => {
                json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {"template": {"spec": spec}}})
            }
        };
        review_of("CREATE", "jane", &object, None)
    }

    fn decide(&self, exceptions: &[(String, &Written)]) -> Decision {
        let policies: Vec<String> = POLICIES.iter().map(|id| format!("{id}: {{mode: enforce}}")).collect();
        let exceptions: Vec<String> = exceptions.iter().map(|(name, one)| one.yaml(name)).collect();
        let snapshot = configured(&format!(
            "policies: {{{}, root-users: {{mode: warn}}, unisolated-pods: {{mode: {}}}}}\nexceptions: [{}]\n",
            policies.join(", "),
            self.isolation,
            exceptions.join(", ")
        ));
        let isolated = crate::judging::world(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: shop}, \
             spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}",
        );
        let world: &dyn World = if self.is_silent { &Silent } else { &isolated };
        answer(&snapshot, &self.review(), world, time(NOW))
    }
}

/// Everything that a decision says of its findings but their exceptions.
fn judged(decision: &Decision) -> Vec<String> {
    let told = decision.findings.iter().map(|one| {
        format!("{} {} {} {:?} {} {}", one.meta.id, one.place.shown(), one.message, one.mode, one.inherited, one.failed)
    });
    told.collect()
}

/// The findings that an exception covers, by position.
fn covered(decision: &Decision) -> BTreeSet<usize> {
    let findings = decision.findings.iter().enumerate();
    findings.filter(|(_, finding)| finding.exemption.is_some()).map(|(at, _)| at).collect()
}

fn names(decision: &Decision) -> Vec<Option<String>> {
    decision.findings.iter().map(|one| exception_of(one).map(str::to_owned)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn together_they_cover_what_each_covers_alone(case in case(), all in prop::collection::vec(written(), 0..4)) {
        let named: Vec<(String, &Written)> = all.iter().enumerate().map(|(at, one)| (format!("e{at}"), one)).collect();
        let (none, together) = (case.decide(&[]), case.decide(&named));
        prop_assert_eq!(judged(&none), judged(&together), "it is judged all the same");
        let alone = named.iter().map(|one| covered(&case.decide(std::slice::from_ref(one))));
        let union: BTreeSet<usize> = alone.flatten().collect();
        prop_assert_eq!(&covered(&together), &union);

        // What each covers is what its fields say.
        let expected = none.findings.iter().enumerate().filter(|(_, finding)| {
            let (place, policy) = (finding.place.shown(), finding.meta.id);
            finding.refuses() && !finding.failed && all.iter().any(|one| one.covers(&case, &none, &place, policy))
        });
        prop_assert_eq!(&union, &expected.map(|(at, _)| at).collect());

        // The order of the file does not matter.
        let mut reversed = named.clone();
        reversed.reverse();
        prop_assert_eq!(names(&case.decide(&reversed)), names(&together));
    }

    #[test]
    fn one_more_refuses_nothing_and_no_error_becomes_an_admission(
        case in case(),
        all in prop::collection::vec(written(), 0..3),
        more in written(),
    ) {
        let mut named: Vec<(String, &Written)> = all.iter().enumerate().map(|(at, one)| (format!("e{at}"), one)).collect();
        let before = case.decide(&named);
        named.push(("a-new-one".to_owned(), &more));
        let after = case.decide(&named);
        prop_assert!(covered(&before).is_subset(&covered(&after)));
        prop_assert!(!before.allowed || after.allowed);
        for decision in [&before, &after] {
            let fails = |finding: &&portcullis::decision::ModedFinding| finding.failed;
            prop_assert_eq!(decision.verdict == Verdict::Error, decision.findings.iter().any(|one| one.failed));
            prop_assert!(decision.findings.iter().filter(fails).all(|finding| finding.exemption.is_none()));
            let refuses_by_failure = decision.findings.iter().any(|one| one.failed && one.mode == Mode::Enforce);
            prop_assert!(!refuses_by_failure || !decision.allowed);
            prop_assert_eq!(decision.allowed, decision.findings.iter().all(|finding| !finding.refuses()));
            let is_exempt = decision.verdict == Verdict::Exempt;
            prop_assert!(!is_exempt || (decision.allowed && decision.exempted().is_some()));
        }
    }
}

/// The generated cases are of use only if exceptions count in some of them, and do not in others.
#[test]
fn an_exception_counts_in_a_case_like_those() {
    let one = Written {
        policies: vec!["unpinned-images"],
        namespace: "shop",
        kind: None,
        name: None,
        containers: Vec::new(),
        images: None,
        users: Vec::new(),
        is_over: false,
        requires: Some("unisolated-pods"),
    };
    let web = Container { name: "web", image: "nginx:1", is_privileged: false, runs_as_root: false };
    let case = Case { kind: "Pod", containers: vec![web], is_on_host: false, isolation: "audit", is_silent: false };
    let decision = case.decide(&[("one".to_owned(), &one)]);
    assert_eq!(covered(&decision).len(), 1, "{decision:?}");
    let silent = Case { is_silent: true, ..case };
    assert_eq!(covered(&silent.decide(&[("one".to_owned(), &one)])).len(), 0);
}
