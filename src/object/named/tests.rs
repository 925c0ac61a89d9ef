//! Kinds that settings may name, and kinds that they must not.

use super::known::{KNOWN, refusal};
use super::{NamedKind, NamedKindError, Scope};
use crate::object::resource::Resource;
use crate::object::{Workloads, is_cluster_scoped, is_namespaced};

fn named(group: Option<&str>, kind: &str, resource: Option<&str>) -> Result<NamedKind, NamedKindError> {
    NamedKind::new(group, kind, resource)
}

#[test]
fn a_kind_of_kubernetes_is_known_by_its_kind_alone() {
    for (kind, group, resource, scope) in [
        ("Deployment", "apps", "deployments", Scope::Namespaced),
        ("Service", "", "services", Scope::Namespaced),
        ("Namespace", "", "namespaces", Scope::Cluster),
        ("Ingress", "networking.k8s.io", "ingresses", Scope::Namespaced),
        ("StorageClass", "storage.k8s.io", "storageclasses", Scope::Cluster),
        ("Secret", "", "secrets", Scope::Namespaced),
    ] {
        for (of, name) in [(None, None), (Some(group), None), (Some(group), Some(resource)), (None, Some(resource))] {
            let known = named(of, kind, name).expect(kind);
            assert_eq!((&*known.group, &*known.resource, known.scope), (group, resource, scope), "{kind}");
            assert!(known.is(group, kind) && !known.is("other.example.com", kind) && !known.is(group, "Other"));
        }
    }
    let widget = named(Some("example.com"), "Widget", Some("widgets")).expect("a kind of another project");
    assert_eq!((widget.scope, widget.names().count()), (Scope::Unknown, 1));
    // A group of another project may have a kind of the same name.
    let service = named(Some("serving.knative.dev"), "Service", Some("services")).expect("another Service");
    assert!(!service.is("", "Service"));
    // One that is newer than the table.
    assert!(named(Some("networking.k8s.io"), "Later", Some("laters")).is_ok());
    let pod: Vec<_> = named(None, "Pod", None).expect("a Pod").names().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(pod, ["pods", "pods/ephemeralcontainers", "pods/resize"]);
}

#[test]
fn a_kind_whose_requests_nobody_may_hold_up_is_refused_however_it_is_spelt() {
    let mut refused = 0;
    for known in KNOWN.iter().filter(|known| refusal(known.group, known.kind, known.resource).is_some()) {
        let (group, kind, resource) = (known.group, known.kind, known.resource);
        refused += 1;
        for (of, name) in [(None, None), (Some(group), None), (Some(group), Some(resource)), (None, Some(resource))] {
            assert!(matches!(named(of, kind, name), Err(NamedKindError::Refused(..))), "{of:?} {kind} {name:?}");
        }
        // By its resource, under another kind; and by its kind, with another resource.
        assert!(named(Some(group), "Other", Some(resource)).is_err(), "{group} {resource}");
        assert!(named(Some(group), kind, Some("others")).is_err(), "{group} {kind}");
    }
    assert_eq!(refused, 27);
    for (group, kind, resource) in [
        ("coordination.k8s.io", "Later", "laters"),
        ("events.k8s.io", "EventLater", "eventlaters"),
        ("admissionregistration.k8s.io", "Later", "laters"),
        ("authorization.k8s.io", "Later", "laters"),
        ("authorization.openshift.io", "SubjectAccessReview", "subjectaccessreviews"),
        ("authorization.openshift.io", "Other", "localresourceaccessreviews"),
        ("oauth.example.com", "TokenReview", "tokens"),
        ("policy", "Eviction", "evictions"),
        ("autoscaling", "Scale", "scales"),
        ("autoscaling", "Scale", "others"),
    ] {
        let error = named(Some(group), kind, Some(resource)).expect_err(kind);
        assert!(matches!(error, NamedKindError::Refused(..)), "{group} {kind}: {error}");
    }
    for (group, kind, resource) in [
        (Some("*"), "Pod", None),
        (None, "*", None),
        (Some("apps"), "Deployment", Some("*")),
        (None, "Pod", Some("pods/*")),
    ] {
        assert_eq!(named(group, kind, resource), Err(NamedKindError::Wildcard));
    }
    for resource in
        ["deployments/status", "deployments/scale", "deployments/", "pods/binding", "pods/eviction", "nodes/status"]
    {
        let error = named(Some("apps"), "Deployment", Some(resource)).expect_err(resource);
        assert!(matches!(error, NamedKindError::Subresource(_)), "{resource}: {error}");
    }
}

#[test]
fn what_could_never_match_is_refused() {
    for (group, kind, resource, said) in [
        (None, "Deploymnet", None, "there is no Deploymnet; did you mean Deployment?"),
        (None, "deployment", None, "such as Deployment; did you mean Deployment?"),
        (None, "Deployment.apps", None, "did you mean Deployment?"),
        (None, "Widget", None, "there is no Widget"),
        (None, "Widget", Some("widgets"), "there is no Widget"),
        (Some(""), "Widget", Some("widgets"), "there is no Widget"),
        (Some("core"), "Pod", None, "empty group"),
        (Some("v1"), "Pod", None, "empty group"),
        (Some("apps/v1"), "Deployment", None, "without its version: apps"),
        (Some("Apps"), "Deployment", None, "in lower case"),
        (Some("example.com"), "Widget", None, "such as widgets"),
        (Some("example.com"), "Widget", Some("Widgets"), "in lower case"),
        (Some("example.com"), "Widget", Some("widgets.example.com"), "without its group"),
        (Some("apps"), "Deploymnet", Some("deployments"), "the kind of deployments is Deployment"),
        (Some("apps"), "Deployment", Some("deployment"), "the resource of Deployment is deployments"),
        (Some("example.com"), "", Some("widgets"), "the kind alone"),
        (Some("example.com"), "Wid get", Some("widgets"), "the kind alone"),
        (Some("example.com"), "Widget", Some(""), "the resource"),
    ] {
        let error = named(group, kind, resource).expect_err(kind).to_string();
        assert!(error.starts_with("must ") && error.contains(said), "{group:?} {kind} {resource:?}: {error}");
    }
    let long = ["a"; 110].join(".");
    assert_eq!(named(Some(&long), "Widget", Some("widgets")), Err(NamedKindError::TooLong));
}

/// The tables of the program do not contradict each other.
#[test]
fn the_table_agrees_with_the_others() {
    for known in KNOWN {
        assert!(known.is_namespaced || !is_namespaced(known.kind), "{}", known.kind);
        assert!(!known.is_namespaced || !is_cluster_scoped(known.kind), "{}", known.kind);
    }
    for row in Workloads::built_in().iter() {
        let known = named(Some(&row.group), &row.kind, None).expect("a kind with pods");
        assert_eq!((known.resource, known.scope), (row.resource.clone(), Scope::Namespaced));
    }
    for row in Resource::all().filter(|row| row.subresource().is_empty() && !row.is_added()) {
        let known = named(Some(row.group), row.kind, None).unwrap_or_else(|error| panic!("{}: {error}", row.kind));
        assert_eq!((&*known.resource, known.scope == Scope::Namespaced), (row.resource, row.is_namespaced));
    }
}
