//! Which Pods NetworkPolicies isolate: what is found agrees with a model that is written otherwise, from the words of the
//! API reference (`networking.k8s.io/v1`, `meta/v1` LabelSelector).

mod files;
mod judged;
mod kinds;
mod model;
mod oracle;
mod removal;

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use portcullis::facts::{Answer, NetworkPolicies, NetworkPolicy, Question, World};
use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging;

/// Pairs of (policies, pod) that are compared.
const PAIRS: usize = 60_000;
const DIRECTIONS: [&str; 2] = ["ingress", "egress"];

/// The policies of the namespace `default`, known at once.
struct Here(Arc<NetworkPolicies>);

impl World for Here {
    fn known(&self, question: &Question) -> Option<Answer> {
        Some(match question {
            Question::NetworkPolicies { namespace, .. } if namespace == "default" => {
                Answer::NetworkPolicies(Arc::clone(&self.0))
            }
            _ => Answer::NotFound,
        })
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.known(question).expect("everything is known")))
    }
}

/// The configuration that enforces `unisolated-pods` with these settings.
fn configured(directions: &[&str], counts_open: bool) -> Snapshot {
    judging::configured(&format!(
        "policies: {{unisolated-pods: {{mode: enforce, settings: {{directions: [{}], countsOpen: {counts_open}}}}}}}\n",
        directions.join(", ")
    ))
}

/// The directions in which a Pod is found not to be isolated.
fn missing(snapshot: &Snapshot, pod: &Value, world: &dyn World) -> Vec<String> {
    let decision = judging::create(snapshot, pod, world, Source::ApiServer).expect("a Pod");
    assert_eq!(decision.allowed, decision.findings.is_empty());
    let direction = |message: &str| {
        let rest = message.strip_prefix("must be selected by a NetworkPolicy for ").expect(message);
        rest.split_once(':').expect(message).0.to_owned()
    };
    decision.findings.iter().map(|finding| direction(&finding.message)).collect()
}

#[test]
fn what_is_found_agrees_with_the_model() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        u64::from(now.subsec_nanos()) + now.as_secs()
    });
    println!("SEED={seed}");
    let subsets: [&[&str]; 5] = [&DIRECTIONS, &["egress", "ingress"], &["ingress"], &["egress"], &[]];
    let settings = subsets.map(|directions| [true, false].map(|open| (directions, open, configured(directions, open))));
    let mut random = model::Random(seed);
    let (mut covered, mut uncovered, mut typed) = (0, 0, 0);
    for pair in 0..PAIRS {
        let policies: Vec<Value> = (0..random.below(4)).map(|_| random.policy()).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": random.labels()}, "spec": {},
        });
        let (directions, counts_open, snapshot) = random.one(settings.as_flattened());
        let isolated = |direction: &&str| model::is_isolated(&policies, &pod, direction, *counts_open);
        let expected: Vec<&str> = directions.iter().copied().filter(|direction| !isolated(direction)).collect();
        let context = || format!("SEED={seed}, pair {pair}, countsOpen {counts_open}: {policies:#?} {pod:#}");

        let here = policies.iter().filter(|policy| model::is_in_default(policy));
        let read: Vec<NetworkPolicy> = here.filter_map(|policy| NetworkPolicy::read(policy.clone()).ok()).collect();
        assert_eq!(missing(snapshot, &pod, &Here(Arc::new(read.into()))), expected, "{}", context());
        *(if expected.is_empty() { &mut covered } else { &mut uncovered }) += 1;

        // From files, which takes longer: they are YAML.
        if pair % 20 == 0 {
            let text: Vec<String> = policies.iter().map(Value::to_string).collect();
            let mut world = portcullis::cluster::Manifests::whole(true);
            for node in text.iter().flat_map(|text| portcullis::document::read(text).expect("readable")) {
                world.add(&node, "default");
            }
            assert_eq!(missing(snapshot, &pod, &world), expected, "{}", context());
        }
        // As the API server's client hands them over, where it takes them.
        for policy in &policies {
            let Ok(api) = serde_json::from_value::<k8s_openapi::api::networking::v1::NetworkPolicy>(policy.clone())
            else {
                continue;
            };
            let api = NetworkPolicy::read(serde_json::to_value(&api).expect("JSON")).expect("a NetworkPolicy");
            assert_eq!(api, NetworkPolicy::read(policy.clone()).expect("a NetworkPolicy"), "{}", context());
            typed += 1;
        }
    }
    // The generator makes enough of each.
    assert!(covered > PAIRS / 10 && uncovered > PAIRS / 10 && typed > PAIRS / 4, "{covered} {uncovered} {typed}");
}
