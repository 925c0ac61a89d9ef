//! A real API server, which evaluates the standards where the labels of a namespace say so: what it refuses, by server-side
//! dry run, is what the policies refuse in the pod as it was written. `sound` pods only: whatever validation refuses never
//! comes to the standards.
//!
//! Left out, because the API server changes or refuses it before it evaluates anything:
//! - ephemeral containers, which no pod can be created with;
//! - fields and volume sources that it does not know: it drops them, and the policies judge them;
//! - which check it was, for host ports on the network of the node: it completes `hostPort` there.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Method;
use portcullis::cluster::Manifests;
use portcullis::request::Source;
use serde_json::{Value, json};

use super::controls::{ours, theirs};
use super::{LEVELS, Level, pods, run, snapshot};
use crate::judging;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::{Space, account};

/// Creations in every run of the tests.
const PODS: u64 = 2_000;
/// The newest version that the API server of `tools/kubernetes` knows.
const NEWEST: usize = 36;

/// A namespace for each level and version.
static SPACES: LazyLock<Vec<(Level, usize, Space)>> = LazyLock::new(|| {
    let plane = Plane::shared();
    let make = |(level, minor): (Level, usize)| {
        let space = Space::named(&plane.admin, &format!("it-{level}-{minor}"));
        let labels = json!({
            "pod-security.kubernetes.io/enforce": level.to_string(),
            "pod-security.kubernetes.io/enforce-version": format!("v1.{minor}"),
        });
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name, "labels": labels}});
        plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
        let made = space.create("serviceaccounts", &account("default", None));
        assert!(made.is_success() || made.code == 409, "{made:#?}");
        (level, minor, space)
    };
    LEVELS.into_iter().flat_map(|level| (0..=NEWEST).map(move |minor| (level, minor))).map(make).collect()
});

/// Number of creations, by outcome.
#[derive(Default)]
struct Counters {
    admitted: AtomicU64,
    refused: AtomicU64,
    invalid: AtomicU64,
}

/// Difference between the API server and the policies about a pod in a namespace, if there is one.
fn difference(pod: &Value, (level, minor, space): &(Level, usize, Space), counters: &Counters) -> Option<String> {
    let answer = space.create_dry("pods", pod);
    let message = answer.message();
    let is_refused = match answer.code {
        201 => false,
        403 if message.contains("violates PodSecurity") => true,
        422 => {
            counters.invalid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        code => return Some(format!("{code}: {message}\n{pod:#}")),
    };
    let count = if is_refused { &counters.refused } else { &counters.admitted };
    count.fetch_add(1, Ordering::Relaxed);
    let decision = match judging::create(snapshot(*level, *minor), pod, &Manifests::default(), Source::Manifest) {
        Ok(decision) => decision,
        Err(error) => return Some(format!("{level} v1.{minor}: {error}\n{pod:#}")),
    };
    let mut ours = ours(&decision, *level, *minor);
    let mut theirs = if is_refused { theirs(message, *level, *minor) } else { ours.clone() };
    if pod["spec"]["hostNetwork"] == true {
        ours.remove("hostPorts");
        theirs.remove("hostPorts");
    }
    let agrees = decision.allowed != is_refused && ours == theirs;
    (!agrees).then(|| format!("{level} v1.{minor}: {ours:?} here, {} {message} there\n{pod:#}", answer.code))
}

#[test]
fn a_real_api_server_and_the_policies_agree_on_every_generated_pod_that_is_valid() {
    LazyLock::force(&SPACES);
    let counters = Counters::default();
    let pods = || {
        let chosen = proptest::sample::select((0..SPACES.len()).collect::<Vec<_>>());
        proptest::strategy::Strategy::boxed((chosen, pods::sound()))
    };
    run::judge_all("the API server", PODS, pods, || (), |(), (space, pod)| difference(pod, &SPACES[*space], &counters));
    let [admitted, refused, invalid] =
        [&counters.admitted, &counters.refused, &counters.invalid].map(|count| count.load(Ordering::Relaxed));
    println!("the API server: {admitted} admitted, {refused} refused by the standards, {invalid} invalid");
    assert!(admitted + refused >= invalid, "at least half must be valid");
    assert!(admitted >= invalid / 4 && refused >= invalid / 4, "both must be common");
}
