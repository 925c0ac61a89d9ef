//! Warnings stay within their number.

use super::{GROUPS, Offence, Tally};

fn offence(message: usize) -> Offence {
    Offence { policy: "tested", place: "spec".to_owned(), message: format!("must not be {message}") }
}

fn tally(pods: usize, offences: impl Fn(usize) -> Vec<Offence>) -> Tally {
    let mut tally = Tally { total: pods, ..Tally::default() };
    for number in 0..pods {
        tally.add(&format!("pod-{number}"), &offences(number));
    }
    tally
}

#[test]
fn the_most_frequent_findings_are_told_and_the_others_counted() {
    // Pod n breaks the rules from 0 to n.
    let most = |count: usize, cut| {
        let cut: Option<&dyn std::fmt::Display> = if cut { Some(&"enough") } else { None };
        tally(count, |number| (0..=number).map(offence).collect()).warnings("shop", 12, cut)
    };
    let all = most(11, false);
    assert_eq!(all.len(), 12);
    assert_eq!(all[1], "11 Pods (pod-0, pod-1, and 9 more): tested: spec must not be 0");
    assert_eq!(all[11], "Pod pod-10: tested: spec must not be 10");
    let some = most(12, false);
    assert_eq!(some.len(), 12);
    assert_eq!(some[10], "3 Pods (pod-9, pod-10, and 1 more): tested: spec must not be 9");
    assert_eq!(some[11], "and 3 more findings in these Pods");
    let cut = most(12, true);
    assert_eq!((cut.len(), cut[10].as_str()), (12, "and 6 more findings in these Pods"));
    assert_eq!(cut[11], "checked 12 of 12 Pods: enough");
}

#[test]
fn findings_beyond_those_that_are_kept_are_counted() {
    let found = tally(1, |_| (0..GROUPS + 5).map(offence).collect()).warnings("shop", 12, None);
    assert_eq!(found.len(), 12);
    assert_eq!(found[11], format!("and {} more findings in these Pods", GROUPS + 5 - 10));
}

#[test]
fn a_pod_counts_once_for_what_several_of_its_containers_break() {
    let found = tally(1, |_| vec![offence(1); 3]).warnings("shop", 12, None);
    assert_eq!(
        found,
        [
            "1 of 1 Pod in namespace shop would be refused with the new labels if created again",
            "Pod pod-0: tested: spec must not be 1",
        ]
    );
}

#[test]
fn little_room_leaves_the_number_of_pods_and_what_was_checked() {
    let found = tally(3, |number| vec![offence(number)]).warnings("shop", 2, Some(&"enough"));
    assert_eq!(found.len(), 3);
    assert_eq!(found[1], "and 3 more findings in these Pods");
}
