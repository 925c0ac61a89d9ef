//! Reach of the generators: for each check pods that fail it and pods that do not, and enough that are admitted. Judges
//! who agree on pods that are all alike would prove little.

use std::collections::BTreeMap;

use portcullis::cluster::Manifests;
use portcullis::request::Source;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use serde_json::Value;

use super::controls::{CONTROLS, ours};
use super::{LEVELS, NEWEST, pods, run, snapshot};
use crate::judging;

/// Pods that are looked at.
const PODS: u64 = 1_000;
/// The fewest on each side of each check.
const FEWEST: usize = 15;

/// Counts the pods that fail each check at some version, alone or with others, and those that fail nothing, by level.
fn reached(what: &str, pods: &BoxedStrategy<Value>) {
    let (mut failed, mut alone) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
    let mut admitted = BTreeMap::<String, usize>::new();
    for position in 0..PODS {
        let pod = pods.new_tree(&mut run::runner(0, position)).expect("a pod").current();
        let mut seen = BTreeMap::<&str, bool>::new();
        for level in LEVELS {
            for minor in [0, 18, 24, 30, 34, NEWEST] {
                let decision = judging::create(snapshot(level, minor), &pod, &Manifests::default(), Source::ApiServer);
                let checks = ours(&decision.expect("a pod"), level, minor);
                for check in &checks {
                    *seen.entry(check).or_default() |= checks.len() == 1;
                }
                if minor == NEWEST && checks.is_empty() {
                    *admitted.entry(level.to_string()).or_default() += 1;
                }
            }
        }
        for (check, is_alone) in seen {
            *failed.entry(check).or_default() += 1;
            *alone.entry(check).or_default() += usize::from(is_alone);
        }
    }
    println!("{what}: failed {failed:?}\nalone {alone:?}\nadmitted {admitted:?}");
    let pods = usize::try_from(PODS).expect("few");
    for control in &CONTROLS {
        let count = failed.get(control.id).copied().unwrap_or_default();
        assert!((FEWEST..=pods - FEWEST).contains(&count), "{what}: {} of {pods} fail {}", count, control.id);
    }
    for level in LEVELS {
        let count = admitted.get(&level.to_string()).copied().unwrap_or_default();
        assert!((FEWEST..=pods - FEWEST).contains(&count), "{what}: {count} of {pods} are admitted at {level}");
    }
}

#[test]
fn the_generators_reach_both_sides_of_every_check() {
    reached("any", &pods::any());
    reached("sound", &pods::sound());
}
