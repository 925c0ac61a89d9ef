//! Exceptions among what a reload made weaker.

use portcullis::snapshot::{Change, Weaker, weaker};

use super::{END, configured, exception};

const POLICIES: &str =
    "policies: {unpinned-images: {mode: enforce}, root-users: {mode: enforce}, host-paths: {mode: warn}}\n";

/// Policy, namespace, value before and value after of each row.
fn change(old: &[&str], new: &[&str]) -> Vec<(&'static str, String, String, String)> {
    let snapshot = |exceptions: &[&str]| configured(&format!("{POLICIES}exceptions: [{}]\n", exceptions.join(", ")));
    let rows = weaker(&snapshot(old), &snapshot(new));
    assert!(rows.iter().all(|row| row.change == Change::Exception));
    let told = |Weaker { policy, namespace, from, to, .. }: Weaker| (policy, namespace, from, to);
    rows.into_iter().map(told).collect()
}

fn row(policy: &'static str, from: &str, to: &str) -> (&'static str, String, String, String) {
    (policy, "shop".to_owned(), from.to_owned(), to.to_owned())
}

const UNTIL: &str = "exception \"one\" until 2027-01-31T00:00:00Z";

#[test]
fn an_exception_that_is_added_is_told_for_each_of_its_policies() {
    let one = exception("one", "unpinned-images, root-users", "namespace: shop");
    assert_eq!(change(&[], &[&one]), [row("unpinned-images", "", UNTIL), row("root-users", "", UNTIL)]);
    assert_eq!(change(&[&one], &[&one]), []);
    assert_eq!(change(&[&one], &[]), []);
    let fewer = exception("one", "root-users", "namespace: shop");
    assert_eq!(change(&[&one], &[&fewer]), []);
    assert_eq!(change(&[&fewer], &[&one]), [row("unpinned-images", "", UNTIL)]);
    // Under another name it takes nothing that was not taken.
    assert_eq!(change(&[&one], &[&exception("two", "root-users", "namespace: shop, kind: Pod")]), []);
}

#[test]
fn an_exception_that_is_prolonged_or_widened_is_told_with_what_it_was() {
    let of = |matching: &str| exception("one", "root-users", matching);
    let narrow = of("namespace: shop, kind: Pod, name: web, containers: [a], images: [nginx], users: [jane]");
    let later = narrow.replace(END, "2027-02-28T00:00:00Z");
    assert_eq!(
        change(&[&narrow], &[&later]),
        [row("root-users", UNTIL, "exception \"one\" until 2027-02-28T00:00:00Z")]
    );
    assert_eq!(change(&[&later], &[&narrow]), []);
    for (wide, fields) in [
        ("namespace: shop, name: web, containers: [a], images: [nginx], users: [jane]", "kind"),
        ("namespace: shop, kind: Job, name: web, containers: [a], images: [nginx], users: [jane]", "kind"),
        ("namespace: shop, kind: Pod, name: web2, containers: [a], images: [nginx], users: [jane]", "name"),
        ("namespace: shop, kind: Pod, namePrefix: we, containers: [a], images: [nginx], users: [jane]", "name"),
        ("namespace: shop, kind: Pod, name: web, containers: [a, b], images: [nginx], users: [jane]", "containers"),
        ("namespace: shop, kind: Pod, name: web, containers: [a], images: [\"library/**\"], users: [jane]", "images"),
        ("namespace: shop, kind: Pod, name: web, containers: [a], images: [nginx], users: [jane, jim]", "users"),
        ("namespace: shop", "kind, name, containers, images, users"),
    ] {
        assert_eq!(change(&[&narrow], &[&of(wide)]), [row("root-users", UNTIL, &format!("{UNTIL} (wider: {fields})"))]);
    }
    assert_eq!(change(&[&of("namespace: shop")], &[&narrow]), []);
    assert_eq!(change(&[&of("namespace: shop, kind: Pod")], &[&of("namespace: shop, kind: Pod.example.com")]), []);
    let elsewhere = of("namespace: pay");
    assert_eq!(
        change(&[&of("namespace: shop")], &[&elsewhere]),
        [("root-users", "pay".to_owned(), UNTIL.to_owned(), format!("{UNTIL} (wider: namespace)"))]
    );
}

#[test]
fn an_exception_that_requires_less_is_wider() {
    let plain = exception("one", "root-users", "namespace: shop");
    let requiring = plain.replace("expires", "requires: [host-paths], expires");
    assert_eq!(change(&[&requiring], &[&plain]), [row("root-users", UNTIL, &format!("{UNTIL} (wider: requires)"))]);
    assert_eq!(change(&[&plain], &[&requiring]), []);
}
