//! The owners that are followed in what is stored: those that an exception may be about, and all where Pods inherit from owners.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::Manifests;
use crate::exception::{Name, Shared};
use crate::snapshot::Snapshot;

/// A world without objects yet, for a configuration at the time `now`: it keeps the owners that an exception in force may be about,
/// and all owners where the configuration has `existing`, or decisions trace what exceptions have to name. `is_whole` is that of
/// [`Manifests::whole`].
pub fn world(snapshot: &Snapshot, now: Timestamp, is_whole: bool) -> Manifests {
    let world = Manifests::whole(is_whole);
    if snapshot.existing().is_some() || snapshot.traces() {
        return world.with_owners(Box::new(|_, _, _| true));
    }
    let mut by_namespace: HashMap<String, Vec<Shared>> = HashMap::new();
    for exception in snapshot.exceptions().iter().filter(|exception| exception.is_in_force(now)) {
        // Every owner lives in a namespace.
        if let Some(namespace) = &exception.matching.namespace {
            by_namespace.entry(namespace.clone()).or_default().push(Arc::clone(exception));
        }
    }
    if by_namespace.is_empty() {
        return world;
    }
    world.with_owners(Box::new(move |kind, namespace, name| {
        let mut exceptions = by_namespace.get(namespace).into_iter().flatten();
        exceptions.any(|one| one.matching.is_for(kind.group(), kind.kind(), Name::Exact(name)))
    }))
}

#[cfg(test)]
mod tests {
    use super::world;
    use crate::config::compile_at;
    use crate::document;
    use crate::facts::{Answer, OwnerKind, Question, World};

    /// True if the Deployment `web` of `shop` is kept with an exception for these objects, at this time.
    fn keeps(matching: &str, now: &str) -> bool {
        let text = format!(
            "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {{host-ports: {{mode: enforce}}}}\nexceptions:\n\
             - {{name: a, policies: [host-ports], match: {{{matching}}}, expires: 2027-01-01T00:00:00Z, reason: r, owner: o}}\n"
        );
        let now = now.parse().expect("a time");
        let snapshot = compile_at("c", &text, None, now).expect("a configuration").snapshot;
        let mut world = world(&snapshot, now, true);
        let object =
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop, uid: u}, spec: {}}";
        for node in document::read(object).expect("YAML") {
            world.add(&node, "");
        }
        let (kind, namespace, name) = (OwnerKind::Deployment, "shop".to_owned(), "web".to_owned());
        matches!(world.known(&Question::Owner { kind, namespace, name }), Some(Answer::Object(_)))
    }

    #[test]
    fn owners_are_kept_where_an_exception_in_force_may_be_about_them() {
        let before = "2026-12-31T23:59:59Z";
        for matching in [
            "namespace: shop",
            "namespace: shop, kind: Deployment",
            "namespace: shop, kind: Deployment.apps, name: web",
            "namespace: shop, users: [jane]",
            "namespace: shop, namePrefix: we, images: [nginx]",
        ] {
            assert!(keeps(matching, before), "{matching}");
            assert!(!keeps(matching, "2027-01-01T00:00:00Z"), "{matching}, at its end");
        }
        for matching in [
            "namespace: quiet",
            "kind: Namespace, name: shop",
            "namespace: shop, kind: Pod",
            "namespace: shop, kind: Deployment.a.b",
            "namespace: shop, name: other",
        ] {
            assert!(!keeps(matching, before), "{matching}");
        }
    }
}
