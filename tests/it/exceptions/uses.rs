//! Uses of exceptions: what a decision notices of them, and what follows from it for the need.

use portcullis::cluster::Manifests;
use portcullis::decision::{Decision, Noticed};
use portcullis::exception::{Name, Need, Seen, State, Subject};
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{END, NOW, answer, configured, container, create, enforced, exception, pod, review_of, seen, time};
use crate::serve::DIGEST;

const UNPINNED: &str = "unpinned-images";

fn bad() -> Value {
    pod("web", &[container("web", "nginx")])
}

fn good() -> Value {
    pod("web", &[container("web", &format!("nginx@{DIGEST}"))])
}

fn count(decision: &Decision) {
    decision.noticed.iter().for_each(Noticed::count);
}

fn one(matching: &str) -> Snapshot {
    enforced(&[UNPINNED], &[exception("one", UNPINNED, matching)])
}

#[test]
fn only_exceptions_for_the_object_are_noticed_with_what_is_there() {
    for (matching, of_bad, of_good) in [
        ("namespace: shop, kind: Pod, name: web", Some(Seen::Used), Some(Seen::Clean)),
        ("namespace: shop, kind: Pod", Some(Seen::Used), Some(Seen::Clean)),
        ("namespace: shop, namePrefix: we, images: [\"docker.io/**\"]", Some(Seen::Used), Some(Seen::Clean)),
        ("namespace: shop, users: [jane]", Some(Seen::Used), Some(Seen::Clean)),
        // A finding elsewhere is none of its.
        ("namespace: shop, containers: [other]", Some(Seen::Clean), Some(Seen::Clean)),
        ("namespace: shop, images: [\"registry.example.com/**\"]", Some(Seen::Clean), Some(Seen::Clean)),
        ("namespace: shop, kind: Pod, name: web2", None, None),
        ("namespace: shop, kind: Pod, name: we", None, None),
        ("namespace: shop, namePrefix: web2, images: [\"docker.io/**\"]", None, None),
        ("namespace: shop, kind: Deployment, name: web", None, None),
        ("namespace: other, kind: Pod, name: web", None, None),
        ("namespace: shop, users: [joe]", None, None),
    ] {
        let snapshot = one(matching);
        let named = |seen: Option<Seen>| seen.map(|seen| ("one", seen)).into_iter().collect::<Vec<_>>();
        assert_eq!(seen(&create(&snapshot, &bad())), named(of_bad), "{matching}");
        assert_eq!(seen(&create(&snapshot, &good())), named(of_good), "{matching}");
    }
}

#[test]
fn a_finding_that_refuses_nothing_is_no_use_and_not_clean() {
    let one = || exception("one", UNPINNED, "namespace: shop");
    for mode in ["audit", "warn"] {
        let snapshot = configured(&format!("policies: {{{UNPINNED}: {{mode: {mode}}}}}\nexceptions: [{}]\n", one()));
        assert_eq!(seen(&create(&snapshot, &bad())), [("one", Seen::Found)], "{mode}");
        assert_eq!(seen(&create(&snapshot, &good())), [("one", Seen::Clean)], "{mode}");
    }
    let snapshot = enforced(&[UNPINNED], &[one()]);
    let update = review_of("UPDATE", "jane", &bad(), Some(&bad()));
    let inherited = answer(&snapshot, &update, &Manifests::default(), time(NOW));
    assert_eq!(seen(&inherited), [("one", Seen::Found)], "an update is not refused for what was there");
    // The first by name is used.
    let snapshot = enforced(&[UNPINNED], &[exception("two", UNPINNED, "namespace: shop, kind: Pod"), one()]);
    assert_eq!(seen(&create(&snapshot, &bad())), [("one", Seen::Used), ("two", Seen::Found)]);
    // What it requires does not hold.
    let requiring = one().replace("expires", "requires: [root-users], expires");
    let snapshot = enforced(&[UNPINNED, "root-users"], &[requiring]);
    assert_eq!(seen(&create(&snapshot, &bad())), [("one", Seen::Found)]);
}

#[test]
fn what_was_not_judged_is_not_clean() {
    let of = |policies: &str| exception("one", policies, "namespace: shop");
    let off = enforced(&[UNPINNED], &[of("root-users")]);
    assert_eq!(seen(&create(&off, &bad())), [], "its policy is off");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}});
    assert_eq!(seen(&create(&one("namespace: shop"), &map)), [], "its policy judges no such kind");
    let mut unread = good();
    unread["spec"]["securityContext"] = json!("text");
    let update = review_of("UPDATE", "jane", &unread, Some(&unread));
    let decision = answer(&one("namespace: shop"), &update, &Manifests::default(), time(NOW));
    assert_eq!(seen(&decision), [], "a field could not be read");
    let deleted = review_of("DELETE", "jane", &bad(), Some(&bad()));
    let decision = answer(&one("namespace: shop"), &deleted, &Manifests::default(), time(NOW));
    assert_eq!(seen(&decision), [], "nothing is judged");
    for (received, expected) in [("2027-01-30T23:59:59Z", &[("one", Seen::Clean)][..]), (END, &[])] {
        let review = review_of("CREATE", "jane", &good(), None);
        let decision = answer(&one("namespace: shop"), &review, &Manifests::default(), time(received));
        assert_eq!(seen(&decision), expected, "{received}");
    }
    // Its NetworkPolicies are not known: that policy could not say.
    let isolated = enforced(&["unisolated-pods"], &[of("unisolated-pods")]);
    assert_eq!(seen(&create(&isolated, &good())), [], "{:?}", create(&isolated, &good()).left_out);
}

/// Number of uses of the only exception, and the need for it.
fn counted(snapshot: &Snapshot) -> (u64, Need) {
    let one = snapshot.exceptions().iter().next().expect("one");
    (one.uses(), one.need())
}

#[test]
fn of_an_exception_for_one_object_the_latest_judgement_counts() {
    let snapshot = one("namespace: shop, kind: Pod, name: web");
    assert_eq!(counted(&snapshot), (0, Need::Unused));
    for (object, expected) in [
        (good(), (0, Need::NotNeeded)),
        (bad(), (1, Need::Needed)),
        (bad(), (2, Need::Needed)),
        (good(), (2, Need::NotNeeded)),
        (bad(), (3, Need::Needed)),
    ] {
        count(&create(&snapshot, &object));
        assert_eq!(counted(&snapshot), expected);
    }
}

#[test]
fn one_that_may_be_for_several_is_needed_from_the_first_finding_on() {
    for matching in ["namespace: shop", "namespace: shop, name: web", "namespace: shop, kind: Pod"] {
        let snapshot = one(matching);
        for (object, expected) in
            [(good(), (0, Need::NotNeeded)), (bad(), (1, Need::Needed)), (good(), (1, Need::Needed))]
        {
            count(&create(&snapshot, &object));
            assert_eq!(counted(&snapshot), expected, "{matching}");
        }
    }
}

#[test]
fn a_reload_keeps_the_counts_of_what_stays_the_same() {
    let lines = |exception: &str| {
        format!(
            "policies: {{{UNPINNED}: {{mode: enforce}}, root-users: {{mode: enforce}}}}\nexceptions: [{exception}]\n"
        )
    };
    let first = exception("one", UNPINNED, "namespace: shop, kind: Pod, name: web");
    for (new, is_kept) in [
        (first.clone(), true),
        (first.replace("moving", "another"), true),
        (first.replace(END, "2027-02-28T00:00:00Z"), true),
        (first.replace("owner: shop", "owner: b, ticket: T-1"), true),
        (format!("{first}, {}", exception("before", UNPINNED, "namespace: shop, kind: Pod, name: b")), true),
        (first.replace("name: one", "name: other"), false),
        (first.replace("name: web", "name: web2"), false),
        (first.replace(UNPINNED, "root-users"), false),
        (first.replace(UNPINNED, "unpinned-images, root-users"), false),
        (first.replace("expires", "requires: [root-users], expires"), false),
    ] {
        let old = configured(&lines(&first));
        count(&create(&old, &bad()));
        assert_eq!(counted(&old), (1, Need::Needed));
        let mut snapshot = configured(&lines(&new));
        snapshot.keep_uses(&old);
        let one = snapshot.exceptions().iter().find(|one| one.name != "before").expect("it");
        let expected = if is_kept { (1, Need::Needed) } else { (0, Need::Unused) };
        assert_eq!((one.uses(), one.need()), expected, "{new}");
        // Decisions under way count for both.
        count(&create(&old, &bad()));
        assert_eq!(one.uses(), expected.0 * 2, "{new}");
        assert_eq!(one.expires, snapshot.exceptions().iter().find(|it| it.name == one.name).expect("it").expires);
    }
}

#[test]
fn an_exception_is_lapsing_for_fourteen_days() {
    let snapshot = one("namespace: shop");
    let one = snapshot.exceptions().iter().next().expect("one");
    for (now, state) in [
        (NOW, State::Active),
        ("2027-01-16T23:59:59Z", State::Active),
        ("2027-01-17T00:00:00Z", State::Lapsing),
        ("2027-01-30T23:59:59.9Z", State::Lapsing),
        (END, State::Lapsed),
        ("2028-01-01T00:00:00Z", State::Lapsed),
    ] {
        assert_eq!(one.state(time(now)), state, "{now}");
    }
}

/// The index finds what a look at every exception finds.
#[test]
fn names_and_prefixes_are_found_as_the_matcher_says() {
    let names = ["", "a", "ab", "abc", "abd", "b", "é", "éa", "web-5d", "web"];
    let mut exceptions = vec![exception("all", UNPINNED, "namespace: shop")];
    for (number, name) in names.iter().enumerate().skip(1) {
        for (kind, matching) in
            [("n", format!("name: \"{name}\"")), ("p", format!("namePrefix: \"{name}\", images: [\"docker.io/**\"]"))]
        {
            for namespace in ["shop", "other"] {
                let matching = format!("namespace: {namespace}, {matching}");
                exceptions.push(exception(&format!("{kind}{number}-{namespace}"), UNPINNED, &matching));
            }
        }
    }
    exceptions.push(exception("nowhere", UNPINNED, "kind: ClusterRole, name: ab"));
    let snapshot = enforced(&[UNPINNED], &exceptions);
    let mut found = 0;
    for text in names {
        for name in [Name::Exact(text), Name::Generated(text)] {
            for (governed_by, is_in_no_namespace, kind) in [
                ("shop", false, "Pod"),
                ("other", false, "Pod"),
                ("", true, "ClusterRole"),
                ("shop", true, "Namespace"),
            ] {
                let subject = Subject { group: "", kind, name, governed_by, is_in_no_namespace, user: "jane" };
                let now = time(NOW);
                let mut by_index: Vec<&str> =
                    snapshot.exceptions().all_about(subject, now).map(|one| one.name.as_str()).collect();
                by_index.sort_unstable();
                let every = snapshot.exceptions().iter().filter(|one| one.is_about(&subject, now));
                let every: Vec<&str> = every.map(|one| one.name.as_str()).collect();
                assert_eq!(by_index, every, "{subject:?}");
                found += every.len();
            }
        }
    }
    assert!(found > 100, "{found}");
}
