//! Every Pod that Portcullis admits is admitted by its backstop: fixtures and the corpora of other projects, by what the API server
//! does with each.
//!
//! The administrator's Pods are judged by Portcullis alone, since `system:masters` is in no backstop; those of a developer are first
//! judged by the backstop. Both are dry runs, patched by the same mutators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use portcullis::document;
use portcullis::policy::Meta;
use serde_json::{Value, json};

use super::super::client::{Answer, Client};
use super::super::eventually;
use super::super::objects::{TEMPLATES, flaws, pod, spec};
use super::super::plane::Plane;
use super::super::process::Portcullis;
use super::super::space::Space;
use super::{developer, printed};
use crate::fixtures;
use crate::golden::repository;
use crate::judging::{HEAD, documents};

const API: &str = "/apis/admissionregistration.k8s.io/v1";
const CORPORA: &str = "../shared/corpora";
/// Configurations; `SPACE` is the namespace that they are tested in, and `TOMORROW` a time.
const CONFIGURATIONS: [&str; 6] = [
    "profile: hardened\n",
    "profile: hardened\ndefaults: all\npodSecurityLabels: tighten\n",
    "profile: pss-restricted\nceiling: audit\nnamespaces: [{match: {names: [SPACE]}, ceiling: enforce}]\n",
    "profile: pss-baseline\npolicies: {unpinned-images: {mode: enforce}, host-namespaces: {mode: off}}\n",
    "profile: pss-restricted\npodSecurityVersion: v1.24\n",
    "profile: hardened\nexceptions:\n- {name: old, policies: [unpinned-images, volume-types], match: {namespace: SPACE}, expires: \
     TOMORROW, reason: r, owner: o}\n",
];

/// Pods that are sent at a time.
const AT_A_TIME: usize = 4;

/// What became of the Pods under one configuration.
#[derive(Debug, Default)]
struct Outcome {
    admitted: usize,
    refused_by_both: usize,
    refused_by_portcullis: usize,
    /// By neither: the API server itself.
    invalid: usize,
    /// Admitted by Portcullis and refused by the backstop.
    differences: Vec<String>,
    /// Policies by which the backstop refused something.
    policies: BTreeSet<String>,
}

/// The backstop of one namespace, beside those of others.
struct Loaded<'p> {
    plane: &'p Plane,
    space: Space,
    jane: Space,
    paths: Vec<String>,
    _portcullis: Portcullis,
}

impl<'p> Loaded<'p> {
    /// `change` changes the expressions.
    fn new(plane: &'p Plane, jane: &Client, name: &str, configuration: &str, change: &dyn Fn(&str) -> String) -> Self {
        let space = Space::new(plane, name);
        let tomorrow = (Timestamp::now() + SignedDuration::from_hours(24)).to_string();
        let configuration = configuration.replace("SPACE", name).replace("TOMORROW", &tomorrow);
        let portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, format!("{HEAD}{configuration}")).expect("written");
        let text = printed(&["backstop", "--config", file.to_str().expect("UTF-8"), "--allow-group", "on-call"]);
        let mut paths = Vec::new();
        for mut object in documents(&text) {
            let named = object["metadata"]["name"].as_str().expect("a name").to_owned();
            if named.contains("guard") {
                continue;
            }
            object["metadata"]["name"] = format!("{named}-{name}").into();
            let resource = if object["kind"] == "ValidatingAdmissionPolicy" {
                for validation in object["spec"]["validations"].as_array_mut().expect("validations") {
                    validation["expression"] = change(validation["expression"].as_str().expect("text")).into();
                }
                "validatingadmissionpolicies"
            } else {
                object["spec"]["policyName"] = format!("{named}-{name}").into();
                let ours = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [name]});
                let selector = &mut object["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"];
                selector.as_array_mut().expect("every binding of Pods selects").push(ours);
                "validatingadmissionpolicybindings"
            };
            plane.admin.call(Method::POST, &format!("{API}/{resource}"), Some(&object)).admitted();
            paths.push(format!("{API}/{resource}/{named}-{name}"));
        }
        let jane = space.seen_by(jane.clone());
        let loaded = Self { plane, space, jane, paths, _portcullis: portcullis };
        let mut privileged = spec();
        privileged["containers"][0]["securityContext"] = json!({"privileged": true});
        eventually("the backstop refuses", || {
            refusal(&loaded.jane.create_dry("pods", &pod("probe", privileged.clone()))).map(drop)
        });
        loaded
    }

    /// Sends every Pod twice, several at a time.
    fn compare(&self, pods: &BTreeMap<String, Value>) -> Outcome {
        let outcome = Mutex::new(Outcome::default());
        let left = Mutex::new(pods.iter());
        let next = || left.lock().expect("no other panicked").next();
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some((name, pod)) = next() {
                        let answers = (self.space.create_dry("pods", pod), self.jane.create_dry("pods", pod));
                        outcome.lock().expect("no other panicked").add(name, &answers.0, &answers.1);
                    }
                });
            }
        });
        outcome.into_inner().expect("nobody panicked")
    }
}

impl Outcome {
    fn add(&mut self, name: &str, by_portcullis: &Answer, by_backstop: &Answer) {
        let is_portcullis = by_portcullis.message().contains(".portcullis.dev\" denied the request");
        match (by_portcullis.is_success(), refusal(by_backstop)) {
            (false, _) if !is_portcullis => self.invalid += 1,
            (true, None) if by_backstop.is_success() => self.admitted += 1,
            (true, _) => self.differences.push(format!("{name}: {}", by_backstop.message())),
            (false, Some(policies)) => {
                self.refused_by_both += 1;
                self.policies.extend(policies);
            }
            (false, None) => self.refused_by_portcullis += 1,
        }
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = self.plane.admin.try_call(Method::DELETE, path, None);
        }
    }
}

/// The policies by which the backstop refused; `None` if it did not.
fn refusal(answer: &Answer) -> Option<Vec<String>> {
    if !answer.message().contains("ValidatingAdmissionPolicy 'portcullis-backstop-") {
        return None;
    }
    let causes = answer.body["details"]["causes"].as_array().into_iter().flatten();
    let id = |cause: &Value| {
        let (_, said) = cause["message"].as_str()?.split_once("denied request: ")?;
        Some(said.split_once(':')?.0.to_owned())
    };
    Some(causes.filter_map(id).collect())
}

/// An object's Pods, such that an API server takes them in any namespace: what they refer to is not there.
fn pods_of(object: &Value) -> Option<Value> {
    let kind = object["kind"].as_str()?;
    let template = match TEMPLATES.iter().find(|(known, ..)| *known == kind) {
        Some((.., path)) => object.pointer(&format!("/{}", path.trim_end_matches('.').replace('.', "/")))?,
        None if kind == "Pod" => object,
        None => return None,
    };
    let metadata = &template["metadata"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": template["spec"]});
    for field in ["labels", "annotations"] {
        if metadata[field].is_object() {
            pod["metadata"][field] = metadata[field].clone();
        }
    }
    let spec = pod["spec"].as_object_mut()?;
    for field in ["priorityClassName", "runtimeClassName", "serviceAccount", "ephemeralContainers", "resourceClaims"] {
        spec.remove(field);
    }
    if spec.get("serviceAccountName").is_some_and(|name| !["", "default"].contains(&name.as_str().unwrap_or_default()))
    {
        spec.insert("serviceAccountName".to_owned(), "web".into());
    }
    Some(pod)
}

/// The Pods of the fixtures, and of the corpora where they are there, each once.
fn all() -> BTreeMap<String, Value> {
    let mut pods = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut add = |name: String, object: &Value| {
        if let Some(pod) = pods_of(object).filter(|pod| known.insert(pod.to_string())) {
            pods.insert(name, pod);
        }
    };
    for (id, fixture) in fixtures::all() {
        add(format!("{id}/{}", fixture.name), &fixture.pod());
    }
    for (id, fixture) in fixtures::of_mutators() {
        add(format!("{id}/{}", fixture.name), &fixture.object());
    }
    // Whatever the API server takes with one thing wrong.
    let (inside, elsewhere) = flaws();
    for flaw in inside.iter().chain(&elsewhere) {
        let mut flawed = spec();
        if flaw.policy == "missing-user-namespaces" {
            flawed["hostUsers"] = false.into();
        }
        flaw.make(&mut flawed);
        add(format!("flaw {}", flaw.policy), &pod("web", flawed));
    }
    let mut folders = vec![repository(CORPORA)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "yaml" && ending != "yml") {
                continue;
            }
            let (text, _) = document::decode(std::fs::read(&path).expect("a file"));
            for (number, node) in document::read(&text).unwrap_or_default().iter().enumerate() {
                let value = serde_json::to_value(node).expect("JSON");
                let items = value["items"].as_array().cloned().unwrap_or_else(|| vec![value]);
                for (item, object) in items.iter().enumerate() {
                    add(format!("{} {number} {item}", path.display()), object);
                }
            }
        }
    }
    pods
}

#[test]
fn every_pod_that_portcullis_admits_is_admitted_by_its_backstop() {
    let plane = Plane::shared();
    let jane = developer(plane);
    let pods = all();
    let mut policies = BTreeSet::new();
    for (number, configuration) in CONFIGURATIONS.iter().enumerate() {
        let name = format!("it-backstop-{number}");
        let outcome = Loaded::new(plane, &jane, &name, configuration, &str::to_owned).compare(&pods);
        println!("{configuration:?}: {} pods: {outcome:?}", pods.len());
        assert_eq!(outcome.differences, [] as [&str; 0], "{configuration}");
        assert!(outcome.admitted > 30 && outcome.refused_by_both > 100, "{configuration}: {outcome:?}");
        policies.extend(outcome.policies);
    }
    // Each of them has refused something.
    let is_of_standards =
        |meta: &Meta| meta.controls.iter().any(|one| one.standard.starts_with("Pod Security Standards"));
    let judged = fixtures::pod_validators().map(|entry| entry.meta);
    let known = judged.filter(|meta| is_of_standards(meta) || meta.id == "unpinned-images");
    let known: BTreeSet<String> = known.map(|meta| meta.id.to_owned()).collect();
    assert_eq!(policies, known);
}

/// Breaks one expression after the other: the comparison notices each.
#[test]
fn an_expression_that_refuses_more_is_noticed() {
    let plane = Plane::shared();
    let jane = developer(plane);
    let pods: BTreeMap<String, Value> = fixtures::of("host-ports")
        .iter()
        .chain(&fixtures::of("proc-mounts"))
        .map(|fixture| (fixture.name.clone(), pods_of(&fixture.pod()).expect("a Pod")))
        .collect();
    for (number, (from, to)) in
        [("hostPort.orValue(0) == 0", "hostPort.orValue(1) == 0"), ("\"ALL\" in", "\"NONE\" in")]
            .into_iter()
            .enumerate()
    {
        let change = |expression: &str| expression.replace(from, to);
        let name = format!("it-backstop-broken-{number}");
        let outcome = Loaded::new(plane, &jane, &name, CONFIGURATIONS[0], &change).compare(&pods);
        assert!(!outcome.differences.is_empty(), "{from}: {outcome:?}");
    }
}

/// The API server grants an expression a budget, and refuses what exceeds it.
#[test]
fn a_large_pod_is_within_the_budget_of_expressions() {
    let plane = Plane::shared();
    let jane = developer(plane);
    let loaded = Loaded::new(plane, &jane, "it-backstop-large", CONFIGURATIONS[3], &str::to_owned);
    let mut large = spec();
    let mut container = large["containers"][0].clone();
    container["securityContext"]["capabilities"] =
        json!({"drop": ["ALL"], "add": ["CHOWN", "KILL", "SETUID", "SYS_CHROOT"]});
    container["livenessProbe"] = json!({"httpGet": {"path": "/", "port": 80}});
    container["ports"] = (1..10).map(|port| json!({"containerPort": port})).collect();
    let containers = (0..1000).map(|number| {
        let mut one = container.clone();
        one["name"] = format!("web-{number}").into();
        one
    });
    large["containers"] = containers.collect();
    large["volumes"] = (0..1000).map(|number| json!({"name": format!("v{number}"), "emptyDir": {}})).collect();
    loaded.space.create_dry("pods", &pod("large", large.clone())).admitted();
    loaded.jane.create_dry("pods", &pod("large", large.clone())).admitted();
    large["containers"][999]["securityContext"]["capabilities"]["add"][3] = "SYS_ADMIN".into();
    let refused = loaded.jane.create_dry("pods", &pod("large", large));
    assert_eq!(refusal(&refused), Some(vec!["added-capabilities".to_owned()]), "{}", refused.message());
}
