//! An exception for an object covers the Pods that it owns, and forged chains gain nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portcullis::decision::{Decision, Verdict, decide};
use portcullis::exception::Seen;
use portcullis::facts::{Answer, Question, World};
use portcullis::review;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{NOW, container, covered, enforced, exception, pod, review_of, seen, time};

/// The result that a refused Pod has.
const REFUSED: (Verdict, Option<&str>) = (Verdict::Deny, None);

/// What is stored, by resource and name, and the questions that were asked.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) objects: BTreeMap<String, Answer>,
    pub(super) asked: Mutex<Vec<String>>,
    /// True if nothing is ever answered.
    pub(super) is_silent: bool,
    /// True if all that is known is owners.
    pub(super) knows_nothing: bool,
}

impl Stored {
    pub(super) fn of(objects: &[&Value]) -> Self {
        let mut stored = Self::default();
        for object in objects {
            stored.put(object);
        }
        stored
    }

    fn put(&mut self, object: &Value) {
        let answer = Answer::Object(object.to_string().into());
        self.objects.insert(format!("{}/{}", object["kind"], object["metadata"]["name"]).replace('"', ""), answer);
    }

    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("not poisoned"))
    }
}

impl World for Stored {
    fn known(&self, question: &Question) -> Option<Answer> {
        let is_known = !matches!(question, Question::Owner { .. }) && !self.knows_nothing;
        is_known.then_some(Answer::NotFound)
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(async move {
            let Question::Owner { kind, namespace, name } = question else { return std::future::pending().await };
            self.asked.lock().expect("not poisoned").push(kind.path(namespace, name));
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            self.objects.get(&format!("{}/{name}", kind.kind())).cloned().unwrap_or(Answer::NotFound)
        })
    }
}

/// A stored object of this kind whose template has these containers.
pub(super) fn owner(
    api_version: &str,
    kind: &str,
    name: &str,
    containers: &[Value],
    controller: Option<&Value>,
) -> Value {
    let template = json!({"spec": {"containers": containers}});
    let spec = if kind == "CronJob" {
        json!({"jobTemplate": {"spec": {"template": template}}})
    } else {
        json!({"template": template})
    };
    let object = json!({"apiVersion": api_version, "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{kind}-{name}")}});
    controller.map_or(object.clone(), |controller| owned(object, controller))
}

/// An object that another one controls.
pub(super) fn owned(mut object: Value, by: &Value) -> Value {
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": by["apiVersion"], "kind": by["kind"],
        "name": by["metadata"]["name"], "uid": by["metadata"]["uid"], "controller": true}]);
    object
}

pub(super) fn deployment(containers: &[Value]) -> Value {
    owner("apps/v1", "Deployment", "web", containers, None)
}

pub(super) fn set(containers: &[Value], controller: Option<&Value>) -> Value {
    owner("apps/v1", "ReplicaSet", "web-5d", containers, controller)
}

pub(super) fn privileged(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image, "securityContext": {"privileged": true}})
}

pub(super) fn controller(name: &str) -> String {
    format!("system:serviceaccount:kube-system:{name}")
}

/// An exception for the Deployment `web`, from privileged containers.
fn for_web() -> Snapshot {
    enforced(&["privileged-containers"], &[exception("web", "privileged-containers", &of("Deployment"))])
}

pub(super) fn of(kind: &str) -> String {
    format!("namespace: shop, kind: {kind}, name: web")
}

/// The decision about the creation of a Pod by a user.
pub(super) fn created(snapshot: &Snapshot, pod: &Value, user: &str, world: &Stored) -> Decision {
    created_at(time(NOW), snapshot, pod, user, world)
}

/// The same at this time.
pub(super) fn created_at(now: Timestamp, snapshot: &Snapshot, pod: &Value, user: &str, world: &Stored) -> Decision {
    decided_at(now, snapshot, &review_of("CREATE", user, pod, None), world)
}

/// The decision about a review that arrives at [`NOW`].
pub(super) fn decided(snapshot: &Snapshot, review: &Value, world: &Stored) -> Decision {
    decided_at(time(NOW), snapshot, review, world)
}

fn decided_at(now: Timestamp, snapshot: &Snapshot, review: &Value, world: &Stored) -> Decision {
    let bytes = review.to_string();
    let review = review::decode(bytes.as_bytes(), snapshot.workloads(), now).expect("has a uid");
    assert_eq!(review.unreadable, None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let patience =
        if world.is_silent || world.knows_nothing { Duration::from_millis(20) } else { Duration::from_mins(1) };
    runtime.block_on(decide(snapshot, &review.request, world, Instant::now() + patience))
}

/// The verdict, and the exception of the first finding.
fn result(decision: &Decision) -> (Verdict, Option<&str>) {
    (decision.verdict, covered(decision).first().and_then(|(_, name)| *name))
}

#[test]
fn a_deployments_exception_covers_its_pods() {
    let bad = [privileged("web", "nginx")];
    let (deployment, snapshot) = (deployment(&bad), for_web());
    let set = set(&bad, Some(&deployment));
    let world = Stored::of(&[&set, &deployment]);
    let pod = owned(pod("web-5d-x", &bad), &set);
    for user in [controller("replicaset-controller"), "system:kube-controller-manager".to_owned()] {
        let decision = created(&snapshot, &pod, &user, &world);
        assert_eq!(result(&decision), (Verdict::Exempt, Some("web")), "{user}");
        assert!(decision.allowed);
        assert_eq!(seen(&decision), [("web", Seen::Used)]);
        let namespace = "/apis/apps/v1/namespaces/shop";
        let path = |name: &str| format!("{namespace}/{name}");
        assert_eq!(world.asked(), [path("replicasets/web-5d"), path("deployments/web")]);
    }
}

#[test]
fn each_built_in_pair_is_followed() {
    let bad = [privileged("web", "nginx")];
    for (api_version, kind, user) in [
        ("apps/v1", "ReplicaSet", "replicaset-controller"),
        ("apps/v1", "StatefulSet", "statefulset-controller"),
        ("apps/v1", "DaemonSet", "daemon-set-controller"),
        ("batch/v1", "Job", "job-controller"),
        ("v1", "ReplicationController", "replication-controller"),
    ] {
        let top = owner(api_version, kind, "web", &bad, None);
        let snapshot = enforced(&["privileged-containers"], &[exception("own", "privileged-containers", &of(kind))]);
        let pod = owned(pod("web-x", &bad), &top);
        let world = Stored::of(&[&top]);
        let decision = created(&snapshot, &pod, &controller(user), &world);
        assert_eq!(result(&decision), (Verdict::Exempt, Some("own")), "{kind}");
        // Another kind's controller does not make its Pods.
        let other = if kind == "Job" { "replicaset-controller" } else { "job-controller" };
        assert_eq!(result(&created(&snapshot, &pod, &controller(other), &world)), REFUSED, "{kind} by {other}");
    }
    let top = owner("batch/v1", "CronJob", "web", &bad, None);
    let job = owner("batch/v1", "Job", "web-1", &bad, Some(&top));
    let snapshot = enforced(&["privileged-containers"], &[exception("own", "privileged-containers", &of("CronJob"))]);
    let decision =
        created(&snapshot, &owned(pod("x", &bad), &job), &controller("job-controller"), &Stored::of(&[&job, &top]));
    assert_eq!(result(&decision), (Verdict::Exempt, Some("own")));
}

#[test]
fn an_exception_for_an_owner_that_is_not_the_topmost_does_not_count() {
    let bad = [privileged("web", "nginx")];
    let deployment = deployment(&bad);
    let set = set(&bad, Some(&deployment));
    let matching = "namespace: shop, kind: ReplicaSet, name: web-5d";
    let snapshot = enforced(&["privileged-containers"], &[exception("set", "privileged-containers", matching)]);
    let pod = owned(pod("web-5d-x", &bad), &set);
    let decision = created(&snapshot, &pod, &controller("replicaset-controller"), &Stored::of(&[&set, &deployment]));
    assert_eq!(result(&decision), REFUSED);
}

#[test]
fn forged_chains_gain_nothing() {
    let (good, bad) = ([container("web", "nginx")], [privileged("web", "nginx")]);
    let (excepted, snapshot) = (deployment(&bad), for_web());
    let real = set(&bad, Some(&excepted));
    let made = |set: &Value| owned(pod("web-5d-x", &bad), set);
    let by = controller("replicaset-controller");
    let refused = |why: &str, pod: &Value, user: &str, stored: &[&Value]| {
        assert_eq!(result(&created(&snapshot, pod, user, &Stored::of(stored))), REFUSED, "{why}");
    };

    for user in ["jane", "system:serviceaccount:shop:replicaset-controller", "replicaset-controller", ""] {
        refused("a Pod with a forged owner, of a user", &made(&real), user, &[&real, &excepted]);
    }
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "uid": "uid-of-a-map"}});
    let forged = set(&bad, Some(&map));
    refused("a ReplicaSet of a ConfigMap", &made(&forged), &by, &[&forged, &excepted, &map]);
    refused("a Pod of a ConfigMap", &owned(pod("x", &bad), &map), &by, &[&map, &excepted]);
    refused("a Pod of a Deployment itself", &made(&excepted), &controller("deployment-controller"), &[&excepted]);
    let rollout = json!({"apiVersion": "example.com/v1", "kind": "Deployment", "metadata": excepted["metadata"]});
    let forged = set(&bad, Some(&rollout));
    refused("a Deployment of another group", &made(&forged), &by, &[&forged, &excepted]);

    let clean = deployment(&good);
    refused("a patched ReplicaSet of an excepted Deployment", &made(&real), &by, &[&real, &clean]);
    let other = deployment(&[privileged("other", "nginx"), container("web", "nginx")]);
    refused("another container of the Deployment has the finding", &made(&real), &by, &[&real, &other]);
    let other = deployment(&[privileged("web", "other")]);
    refused("another image", &made(&real), &by, &[&real, &other]);

    let mut again = excepted.clone();
    again["metadata"]["uid"] = json!("uid-of-a-later-one");
    refused("a Deployment of that name that came later", &made(&real), &by, &[&real, &again]);
    again["metadata"].as_object_mut().expect("metadata").remove("uid");
    refused("a Deployment without a uid", &made(&set(&bad, Some(&again))), &by, &[&set(&bad, Some(&again)), &again]);
    let app = json!({"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "a", "uid": "u"}});
    let controlled = owned(excepted.clone(), &app);
    refused("a Deployment that another kind controls", &made(&real), &by, &[&real, &controlled]);
    let mut two = made(&real);
    let reference = two["metadata"]["ownerReferences"][0].clone();
    two["metadata"]["ownerReferences"] = json!([reference, reference]);
    refused("two controllers", &two, &by, &[&real, &excepted]);
    let mut loose = made(&real);
    loose["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    refused("an owner that does not control", &loose, &by, &[&real, &excepted]);

    refused("no ReplicaSet", &made(&real), &by, &[&excepted]);
    refused("no Deployment", &made(&real), &by, &[&real]);
    let mut unreadable = excepted.clone();
    unreadable["spec"]["template"]["spec"]["containers"] = json!("none");
    refused("a template that cannot be read", &made(&real), &by, &[&real, &unreadable]);
    for answer in [Answer::Unavailable("down".to_owned()), Answer::LeftOut, Answer::Object("{".into())] {
        let mut world = Stored::of(&[&real]);
        world.objects.insert("Deployment/web".to_owned(), answer);
        assert_eq!(result(&created(&snapshot, &made(&real), &by, &world)), REFUSED);
    }
    let silent = Stored { is_silent: true, ..Stored::of(&[&real, &excepted]) };
    assert_eq!(result(&created(&snapshot, &made(&real), &by, &silent)), REFUSED, "no answer in time");
}

#[test]
fn a_finding_counts_as_many_times_as_the_template_has_it() {
    let adding = |count: usize| {
        let add = vec!["SYS_ADMIN"; count];
        [json!({"name": "web", "image": "nginx", "securityContext": {"capabilities": {"add": add}}})]
    };
    let one = exception("web", "added-capabilities", &of("Deployment"));
    let snapshot = enforced(&["added-capabilities"], &[one]);
    let by = controller("replicaset-controller");
    for (in_template, allowed) in [(2, true), (1, false)] {
        let deployment = deployment(&adding(in_template));
        let set = set(&adding(2), Some(&deployment));
        let world = Stored::of(&[&set, &deployment]);
        let decision = created(&snapshot, &owned(pod("web-5d-x", &adding(2)), &set), &by, &world);
        assert_eq!(decision.allowed, allowed, "{in_template}: {:?}", covered(&decision));
    }
}

#[test]
fn owners_are_asked_for_only_where_an_exception_may_count() {
    let (good, bad) = ([container("web", "nginx")], [privileged("web", "nginx")]);
    let deployment = deployment(&bad);
    let set = set(&bad, Some(&deployment));
    let world = Stored::of(&[&set, &deployment]);
    let asked = |matching: &str, containers: &[Value]| {
        let snapshot =
            enforced(&["privileged-containers", "host-ports"], &[exception("one", "privileged-containers", matching)]);
        created(&snapshot, &owned(pod("web-5d-x", containers), &set), &controller("replicaset-controller"), &world);
        world.asked().len()
    };
    assert_eq!(asked(&of("Deployment"), &bad), 2);
    assert_eq!(asked("namespace: shop, name: web", &bad), 2, "of any kind");
    assert_eq!(asked(&of("Deployment.apps"), &bad), 2);
    assert_eq!(asked(&of("Deployment"), &good), 0, "nothing refuses");
    assert_eq!(asked("namespace: quiet, kind: Deployment", &bad), 0, "another namespace");
    assert_eq!(asked(&of("CronJob"), &bad), 0, "another chain");
    assert_eq!(asked(&of("Deployment.example.com"), &bad), 0, "another group");
    assert_eq!(asked("namespace: shop, kind: Pod", &bad), 0, "the Pod's own exception covers it");
    let ports = [json!({"name": "web", "image": "nginx", "ports": [{"containerPort": 80, "hostPort": 80}]})];
    assert_eq!(asked(&of("Deployment"), &ports), 0, "no exception from that policy");
}

#[test]
fn a_name_that_would_lead_elsewhere_in_the_api_is_not_asked_for() {
    let bad = [privileged("web", "nginx")];
    let snapshot = for_web();
    for name in ["../../../../api/v1/secrets", "web/status", "web?watch=1", "..", "", "Web", "a%2fb"] {
        let set = owner("apps/v1", "ReplicaSet", name, &bad, None);
        let world = Stored::of(&[&set]);
        let decision = created(&snapshot, &owned(pod("x", &bad), &set), &controller("replicaset-controller"), &world);
        assert_eq!((result(&decision), world.asked().len()), (REFUSED, 0), "{name}");
    }
}

#[test]
fn what_an_owners_exception_requires_is_asked_of_the_pod() {
    let bad = [privileged("web", "nginx")];
    let deployment = deployment(&bad);
    let set = set(&bad, Some(&deployment));
    let one = exception("web", "privileged-containers", &of("Deployment"));
    let one = one.replace("expires", "requires: [host-ports], expires");
    let snapshot = enforced(&["privileged-containers", "host-ports"], &[one]);
    let by = controller("replicaset-controller");
    for (ports, allowed) in [(json!([]), true), (json!([{"containerPort": 80, "hostPort": 80}]), false)] {
        let mut sent = bad.clone();
        sent[0]["ports"] = ports;
        let world = Stored::of(&[&set, &deployment]);
        let decision = created(&snapshot, &owned(pod("web-5d-x", &sent), &set), &by, &world);
        assert_eq!(decision.allowed, allowed, "{:?}", covered(&decision));
    }
}
