//! A patch is bounded: an object that lacks too much gets nothing, is admitted with a word about it, and the validators
//! speak.

use portcullis::cluster::Manifests;
use portcullis::decision::Verdict;
use portcullis::patch::PATCH;
use portcullis::request::Source;
use portcullis::review::warnings;
use serde_json::{Value, json};

use crate::judging::{self, configured, patch, set};

fn pod(containers: usize) -> Value {
    let one = |number: usize| json!({"name": format!("web-{number}"), "image": "web"});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": (0..containers).map(one).collect::<Vec<_>>()}})
}

#[test]
fn the_defaults_of_hundreds_of_containers_are_set_and_those_of_more_are_not() {
    let all = configured("profile: hardened\ndefaults: all\n");
    let mut last = Verdict::Patch;
    for containers in [1, 300, 400, 600, 1_000] {
        let pod = pod(containers);
        let done = set(&all, &pod);
        assert!(done.decision.allowed);
        last = done.decision.verdict;
        if last == Verdict::Patch {
            assert!(patch(&done).to_string().len() <= PATCH, "{containers}");
            assert_eq!(patch(&set(&all, &done.object.expect("patched"))), json!([]), "{containers}");
            continue;
        }
        assert_eq!((last, done.object, patch(&set(&all, &pod))), (Verdict::Error, None, json!([])), "{containers}");
        // One for each mutator that had something to set, whatever it lacked.
        assert_eq!(done.decision.findings.len(), 6 - 1, "{:?}", done.decision.findings);
        let told = warnings(&done.decision, None);
        let said = "default-seccomp-profile: could not be applied: the patch would be larger than 256 KiB, so nothing \
                    is set";
        assert_eq!((told.len(), told[0].as_str()), (5, said));
        let judged = judging::create(&all, &pod, &Manifests::default(), Source::ApiServer).expect("readable");
        assert!(!judged.allowed, "the validators speak");
    }
    assert_eq!(last, Verdict::Error);
    assert_eq!(set(&all, &self::pod(300)).decision.verdict, Verdict::Patch);
}

#[test]
fn what_would_be_set_is_bounded_too() {
    let done = set(&configured("defaults: all\nceiling: warn\n"), &pod(1_000));
    assert_eq!((done.decision.verdict, done.decision.findings.len()), (Verdict::Error, 5));
    assert!(done.object.is_none() && done.decision.patch.is_empty() && done.decision.allowed);
}
