//! Scope of mutators: operations and kinds on which they act. They change nothing that a controller, a kubelet or the
//! API server would change back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis::decision::Verdict;
use portcullis::engine::ActiveMutator;
use portcullis::exception::Exceptions;
use portcullis::mode::Mode;
use portcullis::object::resource::NEW_SERVICE_ACCOUNTS;
use portcullis::object::{Path, Place, Workloads};
use portcullis::pod_security::Version;
use portcullis::policy::defaults::{Edits, Mutator, Target, Update};
use portcullis::policy::{Fields, Kinds, Meta, Severity};
use portcullis::snapshot::{Parts, Scope, Snapshot};
use serde_json::{Value, json};

use crate::fixtures::{TEMPLATE_KINDS, wrapped};
use crate::judging::{configured, patch, set_in_review};

/// A Pod that says nothing of what is set.
fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "web"}]}})
}

fn review(operation: &str, object: &Value, old: &Value) -> Value {
    let (group, version) = object["apiVersion"].as_str().expect("a version").rsplit_once('/').unwrap_or(("", "v1"));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": operation, "namespace": "default", "name": "web",
        "kind": {"group": group, "version": version, "kind": object["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"},
        "userInfo": {"username": "alice", "groups": ["developers"]}, "object": object, "oldObject": old,
    }})
}

/// The paths that are set in a review's object.
fn paths(review: &Value) -> Vec<String> {
    let set = set_in_review(&configured("defaults: all\n"), review);
    let patch = patch(&set);
    let paths: Vec<String> =
        patch.as_array().expect("a list").iter().map(|one| one["path"].as_str().expect("a path").to_owned()).collect();
    assert_eq!(set.decision.verdict, if paths.is_empty() { Verdict::Unchanged } else { Verdict::Patch });
    paths
}

#[track_caller]
fn assert_kept(review: &Value) {
    assert_eq!(paths(review), [] as [&str; 0]);
}

fn owned(mut object: Value, controller: Value) -> Value {
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": controller}]);
    object
}

/// The object with a label in the template that the old one has not.
fn relabelled(mut object: Value, way: &str) -> Value {
    let template = way.split('.').fold(&mut object, |object, field| &mut object[field]);
    template["metadata"]["labels"] = json!({"team": "shop"});
    object
}

#[test]
fn a_pod_is_patched_when_it_is_created_and_never_after() {
    assert!(!paths(&review("CREATE", &pod(), &Value::Null)).is_empty());
    assert!(!paths(&review("CREATE", &owned(pod(), json!(true)), &Value::Null)).is_empty(), "its Pods are ours");
    let mut changed = pod();
    changed["spec"]["containers"][0]["image"] = "web:2".into();
    assert_kept(&review("UPDATE", &changed, &pod()));
    let mut removal = review("DELETE", &pod(), &pod());
    removal["request"]["object"] = Value::Null;
    assert_kept(&removal);
    for subresource in ["status", "resize", "binding", "eviction", "anything-new"] {
        for operation in ["CREATE", "UPDATE"] {
            let mut review = review(operation, &pod(), &pod());
            review["request"]["subResource"] = subresource.into();
            assert_kept(&review);
        }
    }
}

#[test]
fn a_template_is_patched_when_it_is_new_or_changes() {
    for kind in TEMPLATE_KINDS {
        let (_, name, way) = kind;
        let object = wrapped(&pod(), kind);
        let below = format!("/{}/spec", way.replace('.', "/"));
        let created = paths(&review("CREATE", &object, &Value::Null));
        assert!(!created.is_empty() && created.iter().all(|path| path.starts_with(&below)), "{name}: {created:?}");

        let mut elsewhere = object.clone();
        elsewhere["metadata"]["labels"] = json!({"team": "shop"});
        elsewhere["spec"]["replicas"] = 3.into();
        assert_kept(&review("UPDATE", &elsewhere, &object));
        let changed = paths(&review("UPDATE", &relabelled(object.clone(), way), &object));
        let expected = if name == "Job" { Vec::new() } else { created };
        assert_eq!(changed, expected, "{name}");
        // Nobody knows whether it changed.
        assert_kept(&review("UPDATE", &object, &Value::Null));
    }
}

#[test]
fn what_a_controller_owns_is_left_alone() {
    for kind in TEMPLATE_KINDS {
        let (_, _, way) = kind;
        let object = wrapped(&pod(), kind);
        assert_kept(&review("CREATE", &owned(object.clone(), json!(true)), &Value::Null));
        assert_kept(&review("UPDATE", &owned(relabelled(object.clone(), way), json!(true)), &object));
        for controller in [json!(false), Value::Null] {
            assert!(!paths(&review("CREATE", &owned(object.clone(), controller), &Value::Null)).is_empty());
        }
    }
}

#[test]
fn a_subresource_of_a_template_kind_is_left_alone() {
    for kind in TEMPLATE_KINDS {
        for subresource in ["scale", "status"] {
            let mut review = review("UPDATE", &relabelled(wrapped(&pod(), kind), kind.2), &wrapped(&pod(), kind));
            review["request"]["subResource"] = subresource.into();
            assert_kept(&review);
        }
    }
}

#[test]
fn a_mirror_pod_is_left_alone_and_the_annotation_buys_nothing() {
    let mut mirror = pod();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "1"});
    mirror["spec"]["nodeName"] = "node".into();
    let mut review = review("CREATE", &mirror, &Value::Null);
    assert!(!paths(&review).is_empty(), "alice is no node");
    review["request"]["userInfo"] = json!({"username": "system:node:other", "groups": ["system:nodes"]});
    assert!(!paths(&review).is_empty(), "another node");
    review["request"]["userInfo"] = json!({"username": "system:node:node", "groups": ["system:nodes"]});
    assert_kept(&review);
}

#[test]
fn a_service_account_is_patched_when_it_is_created() {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    assert_eq!(paths(&review("CREATE", &account, &Value::Null)), ["/automountServiceAccountToken"]);
    let mut labelled = account.clone();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    assert_kept(&review("UPDATE", &labelled, &account));
}

/// A review of `pods/ephemeralcontainers`.
fn debugging(spec: Value, old: &[Value], new: &[Value]) -> Value {
    let with = |containers: &[Value]| {
        let mut pod = pod();
        pod["spec"] = spec.clone();
        pod["spec"]["containers"] = json!([{"name": "web", "image": "web"}]);
        pod["spec"]["ephemeralContainers"] = containers.into();
        pod
    };
    let mut review = review("UPDATE", &with(new), &with(old));
    review["request"]["subResource"] = "ephemeralcontainers".into();
    review
}

#[test]
fn an_ephemeral_container_gets_its_defaults_and_nothing_else_does() {
    let shell = |name: &str| json!({"name": name, "image": "busybox"});
    let review = debugging(json!({}), &[shell("old")], &[shell("old"), shell("new")]);
    let set = set_in_review(&configured("defaults: all\n"), &review);
    let object = set.object.as_ref().expect("patched");
    assert!(paths(&review).iter().all(|path| path.starts_with("/spec/ephemeralContainers/1/")), "{:?}", paths(&review));
    assert_eq!(
        object["spec"]["ephemeralContainers"][1]["securityContext"],
        json!({"seccompProfile": {"type": "RuntimeDefault"}, "allowPrivilegeEscalation": false,
            "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true})
    );
    assert_eq!(object["spec"]["ephemeralContainers"][1]["volumeMounts"], Value::Null, "a running pod gets no volumes");
    assert_kept(&debugging(json!({}), &[shell("old")], &[shell("old")]));
    assert_kept(&debugging(json!({}), &[shell("old")], &[]));
}

#[test]
fn an_ephemeral_container_inherits_what_its_pod_says() {
    let context = |context: Value| json!({"securityContext": context});
    let sets = |spec: Value, field: &str| {
        let shell = json!({"name": "new", "image": "busybox"});
        let set = set_in_review(&configured("defaults: all\n"), &debugging(spec, &[], &[shell]));
        let context = &set.object.expect("patched")["spec"]["ephemeralContainers"][0]["securityContext"];
        !context[field].is_null()
    };
    for (field, spec, expected) in [
        ("seccompProfile", context(json!({"seccompProfile": {"type": "Unconfined"}})), false),
        ("seccompProfile", context(json!({"seccompProfile": null})), true),
        ("runAsNonRoot", context(json!({"runAsNonRoot": false})), false),
        ("runAsNonRoot", context(json!({"runAsUser": 0})), false),
        ("runAsNonRoot", context(json!({"runAsUser": 1000})), true),
        ("runAsNonRoot", json!({"hostUsers": false}), false),
    ] {
        assert_eq!(sets(spec.clone(), field), expected, "{field} in {spec}");
    }
}

/// A mutator that looks at nothing and sets a field.
struct Sets;
impl Mutator for Sets {
    fn set(&self, _: &Target<'_, '_>, edits: &mut Edits) {
        edits.set(Place::field(Path::root().fields("automountServiceAccountToken")), false);
    }

    fn take_back(&self, _: Update<'_, '_>, _: &mut Edits) {}

    fn keep(&self, _: Update<'_, '_>, _: &mut Edits) {}
}

#[test]
fn a_mutator_is_asked_about_its_own_kinds_alone() {
    static META: Meta = Meta {
        id: "default-test",
        title: "a field: false",
        severity: Severity::Low,
        since: "0.0.0",
        why: "It is tested.",
        fix: "test it",
        kinds: &[Kinds::Resource(NEW_SERVICE_ACCOUNTS)],
        fields: &[Fields::of(&["automountServiceAccountToken"])],
        changes: &[],
        controls: &[],
    };
    let (mode, configured) = (Mode::Enforce, Mode::Enforce);
    let mutators = vec![ActiveMutator { meta: &META, mutator: Arc::new(Sets), mode, configured }];
    let snapshot = Snapshot::new(Parts {
        digest: String::new(),
        scopes: vec![Scope { policies: Vec::new(), mutators, labels: Mode::Off, settings: BTreeMap::new() }],
        by_name: HashMap::new(),
        raises: Vec::new(),
        workloads: Workloads::built_in().clone(),
        version: Version::LATEST,
        exceptions: Exceptions::default(),
        existing: None,
        break_glass: [].into(),
        levels: None,
        repairs_webhooks: false,
        redacts: true,
    });
    let verdict = |object: &Value| set_in_review(&snapshot, &review("CREATE", object, &Value::Null)).decision.verdict;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    assert_eq!((verdict(&account), verdict(&pod())), (Verdict::Patch, Verdict::Unchanged));
}
