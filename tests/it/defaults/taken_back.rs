//! A default that nobody wrote is removed when a write contradicts it; nothing else is ever removed.

use portcullis::decision::Verdict;
use portcullis::review::warnings;
use serde_json::{Value, json};

use crate::judging::{configured, patch, set, set_in_review};

const ALL: &str = "defaults: all\nworkloads: [{group: example.org, kind: Fleet, path: /spec/template}]\n";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const WEB: &str = "/spec/template/spec/containers/0/securityContext";

/// A Deployment with two containers that say nothing.
fn manifest() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web"}, {"name": "log", "image": "log"}]}}}})
}

/// The managed fields of somebody who wrote these fields of the template's spec.
fn owning(spec: Value) -> Value {
    json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:template": {"f:spec": spec}}}}])
}

/// Those of the manifest.
fn owned() -> Value {
    let container = json!({".": {}, "f:name": {}, "f:image": {}});
    owning(json!({"f:securityContext": {}, "f:containers": {
        "k:{\"name\":\"web\"}": container, "k:{\"name\":\"log\"}": container}}))
}

/// The manifest as it is stored with every default.
fn stored() -> Value {
    let mut stored = set(&configured(ALL), &manifest()).object.expect("patched");
    stored["metadata"]["managedFields"] = owned();
    stored
}

/// The first container's context, and the spec of the template.
fn context(object: &mut Value) -> &mut Value {
    &mut spec(object)["containers"][0]["securityContext"]
}

fn spec(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]
}

/// An update, and what becomes of it.
struct Update {
    configuration: &'static str,
    stored: Value,
    now: Value,
}

impl Update {
    /// An update of the stored object, with a change.
    fn of(change: impl FnOnce(&mut Value)) -> Self {
        let stored = stored();
        let mut now = stored.clone();
        change(&mut now);
        Self { configuration: ALL, stored, now }
    }

    /// One that makes the first container privileged.
    fn privileged() -> Self {
        Self::of(|now| context(now)["privileged"] = true.into())
    }

    fn review(&self) -> Value {
        let version = self.now["apiVersion"].as_str().expect("a version");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "UPDATE", "namespace": "default", "name": "web",
            "kind": {"group": group, "version": version, "kind": self.now["kind"]},
            "resource": {"group": group, "version": version, "resource": "any"},
            "userInfo": {"username": "alice"}, "object": self.now, "oldObject": self.stored,
        }})
    }

    /// The places that are removed; each is told as a warning.
    #[track_caller]
    fn removed(&self) -> Vec<String> {
        let done = set_in_review(&configured(self.configuration), &self.review());
        let patch = patch(&done);
        let removed = patch.as_array().expect("a list").iter().filter(|one| one["op"] == "remove");
        let removed: Vec<String> = removed.map(|one| one["path"].as_str().expect("a path").to_owned()).collect();
        let told = warnings(&done.decision, None);
        assert!(told.iter().filter(|one| one.contains(": removed ")).count() >= removed.len().min(11), "{told:?}");
        assert!(told.iter().all(|one| one.chars().count() <= 256 && !one.ends_with('…')), "{told:?}");
        if let Some(object) = &done.object {
            // A second webhook may have us asked again.
            let again = Self { configuration: self.configuration, stored: self.stored.clone(), now: object.clone() };
            let again = set_in_review(&configured(self.configuration), &again.review());
            assert_eq!(again.decision.verdict, Verdict::Unchanged, "{:?}", crate::judging::patch(&again));
        }
        removed
    }

    #[track_caller]
    fn keeps_all(&self) {
        assert_eq!(self.removed(), [] as [&str; 0]);
    }
}

type Change = fn(&mut Value);

#[test]
fn each_contradiction_takes_back_what_it_contradicts() {
    let field = |field: &str| vec![format!("{WEB}/{field}")];
    let of_pod = |field: &str| vec![format!("/spec/template/spec/{field}")];
    let cases: [(&str, Change, Vec<String>); 9] = [
        ("privileged", |now| context(now)["privileged"] = true.into(), field("allowPrivilegeEscalation")),
        (
            "CAP_SYS_ADMIN",
            |now| context(now)["capabilities"]["add"] = json!(["CAP_SYS_ADMIN"]),
            field("allowPrivilegeEscalation"),
        ),
        ("ALL", |now| context(now)["capabilities"]["add"] = json!(["ALL"]), field("capabilities/drop")),
        ("root", |now| spec(now)["securityContext"]["runAsUser"] = 0.into(), of_pod("securityContext/runAsNonRoot")),
        ("a root container", |now| context(now)["runAsUser"] = 0.into(), of_pod("securityContext/runAsNonRoot")),
        (
            "an administrator",
            |now| context(now)["windowsOptions"] = json!({"runAsUserName": "ContainerAdministrator"}),
            of_pod("securityContext/runAsNonRoot"),
        ),
        ("an account", |now| spec(now)["serviceAccountName"] = "web".into(), of_pod("automountServiceAccountToken")),
        (
            "an annotation",
            |now| {
                let key = "seccomp.security.alpha.kubernetes.io/pod";
                now["spec"]["template"]["metadata"]["annotations"] = json!({key: "unconfined"});
            },
            of_pod("securityContext/seccompProfile"),
        ),
        (
            "a device",
            |now| spec(now)["containers"][0]["volumeDevices"] = json!([{"name": "disk", "devicePath": "/tmp"}]),
            of_pod("containers/0/volumeMounts/0"),
        ),
    ];
    for (name, change, expected) in cases {
        assert_eq!(Update::of(change).removed(), expected, "{name}");
    }
}

#[test]
fn a_template_that_turns_to_windows_loses_every_linux_default() {
    let update = Update::of(|now| spec(now)["os"] = json!({"name": "windows"}));
    let done = set_in_review(&configured(ALL), &update.review());
    let spec = &done.object.as_ref().expect("patched")["spec"]["template"]["spec"];
    assert_eq!(
        *spec,
        json!({"automountServiceAccountToken": false, "os": {"name": "windows"},
            "securityContext": {"runAsNonRoot": true}, "volumes": [],
            "containers": [{"name": "web", "image": "web", "volumeMounts": []},
                {"name": "log", "image": "log", "volumeMounts": []}]})
    );
    // A removal each: the profile, three fields and a mount of either container, and two volumes.
    assert_eq!(update.removed().len(), 1 + 2 * 4 + 2);
}

#[test]
fn what_contradicts_one_container_leaves_the_others_alone() {
    let mut update = Update::privileged();
    assert_eq!(update.removed(), [format!("{WEB}/allowPrivilegeEscalation")]);
    // The container is found by its name.
    spec(&mut update.now)["containers"].as_array_mut().expect("containers").reverse();
    assert_eq!(update.removed(), [format!("{WEB}/allowPrivilegeEscalation").replace("/0/", "/1/")]);
}

#[test]
fn a_value_that_somebody_owns_stays() {
    let escalation = |fields: Value| {
        let mut update = Update::privileged();
        update.stored["metadata"]["managedFields"] = fields;
        update.removed().len()
    };
    let container = |key: &str, fields: Value| owning(json!({"f:containers": {key: fields}}));
    let named = "k:{\"name\":\"web\"}";
    let context = |fields: Value| json!({"f:securityContext": fields});
    assert_eq!(escalation(owned()), 1);
    assert_eq!(escalation(container(named, context(json!({"f:privileged": {}})))), 1);
    assert_eq!(escalation(container("k:{\"name\":\"log\"}", context(json!({"f:allowPrivilegeEscalation": {}})))), 1);
    assert_eq!(escalation(container(named, context(json!({"f:allowPrivilegeEscalation": {}})))), 0);
    assert_eq!(escalation(container("k:{\"name\": \"web\"}", context(json!({"f:allowPrivilegeEscalation": {}})))), 0);
    // Nobody knows whose it is.
    assert_eq!(escalation(Value::Null), 0);
    assert_eq!(escalation(json!([])), 0);
    assert_eq!(escalation(json!([{"manager": "kubectl", "fieldsType": "FieldsV2", "fieldsV1": {}}])), 0);
    assert_eq!(escalation(json!([{"manager": "kubectl", "fieldsType": "FieldsV1"}])), 0);
    // A second entry owns it.
    let mut both = owned();
    let other = container(named, context(json!({"f:allowPrivilegeEscalation": {}})));
    both.as_array_mut().expect("a list").push(other[0].clone());
    assert_eq!(escalation(both), 0);
}

#[test]
fn the_managed_fields_of_the_request_count_for_nothing() {
    let everything = owning(json!({"f:containers": {"k:{\"name\":\"web\"}": {
        "f:securityContext": {"f:allowPrivilegeEscalation": {}}}}}));
    let mut update = Update::privileged();
    update.now["metadata"]["managedFields"] = everything.clone();
    assert_eq!(update.removed().len(), 1, "what the caller says it owns");
    update.stored["metadata"]["managedFields"] = everything;
    for forged in [json!([]), Value::Null, owned()] {
        update.now["metadata"]["managedFields"] = forged;
        update.keeps_all();
    }
}

#[test]
fn a_value_that_was_last_applied_stays() {
    let applied = |context: Value| {
        let mut written = manifest();
        spec(&mut written)["containers"][0]["securityContext"] = context;
        json!({LAST_APPLIED: written.to_string()})
    };
    let named = applied(json!({"allowPrivilegeEscalation": false}));
    let unnamed = applied(json!({"privileged": true}));
    for (before, after, expected) in [
        (&unnamed, &unnamed, 1),
        (&named, &unnamed, 0),
        (&unnamed, &named, 0),
        (&named, &Value::Null, 0),
        (&Value::Null, &named, 0),
        (&json!({LAST_APPLIED: "{"}), &Value::Null, 0),
        (&json!({LAST_APPLIED: "[]"}), &Value::Null, 0),
    ] {
        let mut update = Update::privileged();
        update.stored["metadata"]["annotations"] = before.clone();
        update.now["metadata"]["annotations"] = after.clone();
        assert_eq!(update.removed().len(), expected, "{before} {after}");
    }
}

#[test]
fn only_what_this_write_contradicts_is_taken_back() {
    // It was privileged before: some other kind of object would be stored so.
    let mut update = Update::privileged();
    update.stored = update.now.clone();
    spec(&mut update.now)["containers"][0]["image"] = "web:2".into();
    update.keeps_all();
    // The value is not in what is stored.
    let mut update = Update::privileged();
    drop(context(&mut update.stored).as_object_mut().expect("a context").remove("allowPrivilegeEscalation"));
    update.keeps_all();
    // Another container had it.
    let mut update = Update::privileged();
    spec(&mut update.stored)["containers"][0]["name"] = "other".into();
    update.keeps_all();
    // Names that repeat.
    let mut update = Update::privileged();
    spec(&mut update.now)["containers"][1]["name"] = "web".into();
    update.keeps_all();
    // Not what is set by default.
    let mut update = Update::of(|now| context(now)["capabilities"]["add"] = json!(["ALL"]));
    for object in [&mut update.stored, &mut update.now] {
        context(object)["capabilities"]["drop"] = json!(["ALL", "NET_RAW"]);
    }
    update.keeps_all();
    // A node selector for Windows: neither the API server nor the kubelet minds.
    Update::of(|now| spec(now)["nodeSelector"] = json!({"kubernetes.io/os": "windows"})).keeps_all();
    // The only container that would run as root says itself that it may.
    Update::of(|now| {
        spec(now)["containers"][0]["securityContext"]["runAsNonRoot"] = false.into();
        context(now)["runAsUser"] = 0.into();
    })
    .keeps_all();
}

#[test]
fn what_no_mutator_in_force_sets_stays() {
    let mut update = Update::privileged();
    update.configuration = "defaults: off\n";
    update.keeps_all();
    update.configuration = "defaults: all\npolicies: {default-no-privilege-escalation: {mode: off}}\n";
    update.keeps_all();
    update.configuration = "defaults: all\nceiling: warn\n";
    let thought = set_in_review(&configured(update.configuration), &update.review());
    assert_eq!((thought.decision.verdict, thought.object), (Verdict::WouldPatch, None));
    let said = "default-no-privilege-escalation: would remove \
                spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation (false)";
    assert!(warnings(&thought.decision, None)[0].starts_with(said), "{:?}", thought.decision.findings);
}

#[test]
fn only_templates_that_are_patched_on_update_are_touched() {
    for (version, kind) in [("v1", "Pod"), ("batch/v1", "Job")] {
        let mut update = Update::privileged();
        for object in [&mut update.stored, &mut update.now] {
            (object["apiVersion"], object["kind"]) = (version.into(), kind.into());
            if kind == "Pod" {
                object["spec"] = object["spec"]["template"]["spec"].take();
            }
        }
        update.keeps_all();
    }
    let mut owned = Update::privileged();
    owned.now["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": true}]);
    owned.keeps_all();
}

/// In a custom resource an entry that ends above a field owns all below: the object or list may be atomic.
#[test]
fn an_atomic_list_belongs_to_whoever_wrote_it() {
    let update = |fields: Value| {
        let mut update = Update::of(|now| {
            context(now)["privileged"] = true.into();
            spec(now)["securityContext"]["runAsUser"] = 0.into();
        });
        let mut entry = owning(fields);
        entry[0]["apiVersion"] = "example.org/v1".into();
        update.stored["metadata"]["managedFields"] = entry;
        for object in [&mut update.stored, &mut update.now] {
            (object["apiVersion"], object["kind"]) = ("example.org/v1".into(), "Fleet".into());
        }
        update
    };
    let root = "/spec/template/spec/securityContext/runAsNonRoot";
    assert_eq!(update(json!({"f:containers": {}})).removed(), [root]);
    assert_eq!(update(json!({"f:image": {}, "f:securityContext": {"f:fsGroup": {}}})).removed().len(), 2);
    update(json!({"f:containers": {}, "f:securityContext": {}})).keeps_all();
    update(json!({})).keeps_all();
    // Fields of another version of the kind may stand elsewhere.
    let mut other = update(json!({"f:containers": {}}));
    other.stored["metadata"]["managedFields"][0]["apiVersion"] = "example.org/v2".into();
    other.keeps_all();
}

#[test]
fn an_emptied_object_goes_unless_somebody_wrote_it_empty() {
    let update = |fields: Value| {
        let mut update = Update::of(|now| spec(now)["os"] = json!({"name": "windows"}));
        update.stored["metadata"]["managedFields"] = owning(json!({"f:containers": {"k:{\"name\":\"web\"}": fields}}));
        update.removed()
    };
    let holder = WEB.to_owned();
    assert!(update(json!({"f:image": {}})).contains(&holder));
    let kept = update(json!({"f:securityContext": {}}));
    assert!(!kept.contains(&holder) && kept.contains(&format!("{WEB}/capabilities")), "{kept:?}");
    let withdrawn = update(json!({"f:securityContext": {".": {}, "f:capabilities": {".": {}, "f:add": {}}}}));
    assert!(withdrawn.contains(&holder), "{withdrawn:?}");
    let kept = update(json!({"f:securityContext": {"f:capabilities": {}}}));
    assert!(kept.contains(&format!("{WEB}/capabilities/drop")), "{kept:?}");
}
