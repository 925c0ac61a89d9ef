//! RBAC is what the program uses, and nothing else: all that is granted is asked for, nothing that is asked for is
//! forbidden, and without any one of them something fails.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::http::Method;
use portcullis::facts::OwnerKind;
use serde_json::{Value, json};

use super::drift::{derive, forget};
use super::program::Program;
use super::{
    SECRET, WEBHOOKS, cluster, configuration, distrust_all, documents, kubectl, secret_ca, trusted, webhooks,
    webhooks_path,
};
use crate::golden::repository;
use crate::kubernetes::eventually;
use crate::kubernetes::objects::{holder, pod, spec};
use crate::kubernetes::plane::Plane;
use crate::kubernetes::policy_kinds;
use crate::serve::review;

/// Maximum time to wait for the audit log.
const PATIENCE: Duration = Duration::from_mins(1);
/// The rights for repairs.
const REPAIR: &str = "deploy/repair/rbac.yaml";
const USER: &str = "system:serviceaccount:portcullis:portcullis";

/// One verb on one resource, as a rule grants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    group: String,
    resource: String,
    verb: String,
}

/// A role, and its rules taken apart: one right each.
struct Role {
    path: String,
    rules: Vec<(Right, Value)>,
}

fn roles() -> Vec<Role> {
    let objects =
        ["deploy/base/rbac.yaml", REPAIR].map(|file| std::fs::read_to_string(repository(file)).expect("RBAC"));
    let objects = documents(&objects.join("\n---\n"));
    let roles = objects.iter().filter_map(|object| {
        let group = "/apis/rbac.authorization.k8s.io/v1";
        let name = object["metadata"]["name"].as_str()?;
        let path = match object["kind"].as_str()? {
            "ClusterRole" => format!("{group}/clusterroles/{name}"),
            "Role" => format!("{group}/namespaces/{}/roles/{name}", object["metadata"]["namespace"].as_str()?),
            _ => return None,
        };
        let rules = object["rules"].as_array()?.iter().flat_map(taken_apart).collect();
        Some(Role { path, rules })
    });
    roles.collect()
}

fn taken_apart(rule: &Value) -> Vec<(Right, Value)> {
    let list = |field: &str| super::kubelet::strings(&rule[field]);
    let mut rights = Vec::new();
    for resource in list("resources") {
        for verb in list("verbs") {
            let mut alone = rule.clone();
            (alone["resources"], alone["verbs"]) = (json!([resource]), json!([verb]));
            let group = list("apiGroups").concat();
            rights.push((Right { group, resource: resource.clone(), verb }, alone));
        }
    }
    rights
}

/// Requests of our ServiceAccount to the API server since `from`, and the status codes of the answers.
fn asked(plane: &Plane, from: usize) -> Vec<(Right, u64)> {
    let text = std::fs::read_to_string(&plane.place.audit_log).expect("an audit log");
    let events = text[from..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // What is asked without a resource is what the API server serves (system:discovery).
    let ours = events.filter(|event| event["user"]["username"] == USER && event["objectRef"].is_object());
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let answered = ours.map(|event| {
        let about = &event["objectRef"];
        let right =
            Right { group: word(&about["apiGroup"]), resource: word(&about["resource"]), verb: word(&event["verb"]) };
        (right, event["responseStatus"]["code"].as_u64().unwrap_or_default())
    });
    answered.collect()
}

/// Asks it what only the API server can say: a ServiceAccount, NetworkPolicies and a Namespace, that no store holds. What
/// it says of the first, and of the others.
fn questions(program: &Program, ca: &str) -> Option<(String, String)> {
    let mut silent = spec();
    silent.as_object_mut().expect("an object").remove("automountServiceAccountToken");
    silent["serviceAccountName"] = "nobody".into();
    let mut about_account = review("account", "shop", &holder("Deployment", "web", silent));
    about_account["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    about_account["request"]["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    let about_the_rest = review("policies", "shop", &pod("web", spec()));
    let account = program.review(ca, &about_account)?["response"]["warnings"].to_string();
    let rest = program.review(ca, &about_the_rest)?["response"]["status"]["message"].to_string();
    Some((account, rest))
}

/// Asks it about Pods that objects of each kind own, which an exception for an owner might cover. It follows them as far as they
/// are there: of those that other objects own, there is one of each kind.
fn owners(plane: &Plane, program: &Program, ca: &str) {
    let mut flawed = spec();
    flawed["containers"][0]["securityContext"]["privileged"] = true.into();
    for kind in OwnerKind::ALL.into_iter().filter(|kind| kind.makes("", "Pod")) {
        let uid = kind.above().map_or_else(|| json!("u"), |above| owned(plane, kind, above));
        let mut pod = pod("web", flawed.clone());
        pod["metadata"]["ownerReferences"] = json!([reference(kind, "owned", &uid)]);
        let mut review = review("owner", "default", &pod);
        review["request"]["userInfo"]["username"] =
            format!("system:serviceaccount:kube-system:{}", kind.controller()).into();
        let answer = program.review(ca, &review).expect("an answer");
        assert_eq!(answer["response"]["allowed"], false, "{answer:#}");
    }
}

/// The uid of an object of this kind that an object of the kind above owns.
fn owned(plane: &Plane, kind: OwnerKind, above: OwnerKind) -> Value {
    let mut object = holder(kind.kind(), "owned", spec());
    object["metadata"]["ownerReferences"] = json!([reference(above, "top", &json!("u"))]);
    let path = kind.path("default", "owned");
    plane.admin.call(Method::POST, path.trim_end_matches("/owned"), Some(&object));
    plane.admin.call(Method::GET, &path, None).admitted()["metadata"]["uid"].clone()
}

fn reference(kind: OwnerKind, name: &str, uid: &Value) -> Value {
    let version = if kind.group().is_empty() { "v1".to_owned() } else { format!("{}/v1", kind.group()) };
    json!({"apiVersion": version, "kind": kind.kind(), "name": name, "uid": uid, "controller": true})
}

/// Starts over: a Secret without data, or none; nothing trusted.
fn start_over(plane: &Plane, is_empty: bool) {
    plane.admin.call(Method::DELETE, SECRET, None);
    if is_empty {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "portcullis-certificate"}});
        plane.admin.call(Method::POST, "/api/v1/namespaces/portcullis/secrets", Some(&secret)).admitted();
    }
    distrust_all(plane);
}

fn start(plane: &Plane) -> Program {
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    // Namespaces are read for their labels, and owners for an exception that may be theirs. Webhooks are repaired.
    let settings = format!(
        "webhooks: {{drift: repair}}\npodSecurityLabels: tighten\nexceptions:\n- {{name: owners, policies: [privileged-containers], match: {{namespace: \
         default, name: nobody}}, expires: {tomorrow}, reason: it, owner: it}}\n"
    );
    Program::serve(plane, &(configuration("deploy/overlays/enforce") + &settings))
}

/// Makes a webhook weaker than the program derives it.
fn weaken(plane: &Plane, program: &Program) {
    derive(plane, &program.file());
    let weaker = json!({"webhooks": [{"name": "enforce.portcullis.dev", "matchPolicy": "Exact"}]});
    plane.admin.call(Method::PATCH, &webhooks_path(WEBHOOKS[0]), Some(&weaker)).admitted();
}

/// Waits until the API server has heard of a change of a role.
fn heard(plane: &Plane, right: &Right, group: &Value, name: &Value, allowed: bool) {
    let attributes = json!({"verb": right.verb, "resource": right.resource, "group": group, "name": name,
        "namespace": if ["secrets", "leases"].contains(&right.resource.as_str()) { "portcullis" } else { "" }});
    super::rbac_heard(plane, USER, &attributes, allowed);
}

#[test]
fn what_is_granted_is_what_is_asked_for() {
    let plane = cluster();
    kubectl(&plane, &["apply", "-f", REPAIR]);
    forget(&plane);
    policy_kinds::install(&plane);
    let from = std::fs::metadata(&plane.place.audit_log).expect("an audit log").len();
    // Once into the Secret that is there, and once where there is none.
    drop(start(&plane).ready());
    start_over(&plane, false);
    let program = start(&plane).ready();
    let ca = secret_ca(&plane).expect("there is a Secret");
    for resource in WEBHOOKS {
        eventually("caBundle is filled in", || (trusted(&plane, resource)? == ca).then_some(()));
    }
    let (account, rest) = questions(&program, &ca).expect("an answer");
    assert!(account.contains("does not say false"), "{account}");
    assert!(rest.contains("unisolated-pods: ") && rest.contains("there is no such namespace"), "{rest}");

    owners(&plane, &program, &ca);
    // The Lease is created for the first repair, and updated for the second.
    for _ in 0..2 {
        weaken(&plane, &program);
        eventually("it is repaired", || {
            (webhooks(&plane, WEBHOOKS[0])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
        });
    }

    let granted: BTreeSet<Right> = roles().into_iter().flat_map(|role| role.rules).map(|(right, _)| right).collect();
    let from = usize::try_from(from).expect("a length");
    // A watch is written down when it ends.
    drop(program);
    let used = || asked(&plane, from).into_iter().map(|(right, _)| right).collect::<BTreeSet<_>>();
    let deadline = Instant::now() + PATIENCE;
    while used() != granted && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(used(), granted, "what was used, and what is granted");
    let refused: Vec<_> = asked(&plane, from).into_iter().filter(|(_, code)| *code == 403).collect();
    assert_eq!(refused, []);
}

#[test]
fn without_any_one_of_them_something_fails() {
    let plane = cluster();
    kubectl(&plane, &["apply", "-f", REPAIR]);
    forget(&plane);
    policy_kinds::install(&plane);
    let mut tried = 0;
    for role in roles() {
        for (right, rule) in &role.rules {
            let others: Vec<&Value> =
                role.rules.iter().filter(|(other, _)| other != right).map(|(_, rule)| rule).collect();
            assert_eq!(others.len(), role.rules.len() - 1, "{right:?} is granted twice");
            let (group, name) = (&rule["apiGroups"][0], &rule["resourceNames"][0]);
            plane.admin.call(Method::PATCH, &role.path, Some(&json!({"rules": others}))).admitted();
            heard(&plane, right, group, name, false);
            start_over(&plane, right.verb == "update");
            eprintln!("without {} of {}", right.verb, right.resource);
            fails(&plane, right);
            let all: Vec<&Value> = role.rules.iter().map(|(_, rule)| rule).collect();
            plane.admin.call(Method::PATCH, &role.path, Some(&json!({"rules": all}))).admitted();
            heard(&plane, right, group, name, true);
            tried += 1;
        }
    }
    assert_eq!(tried, 45);
}

/// True for a right on a kind of policies that others than Kubernetes define.
fn is_of_policies(right: &Right) -> bool {
    !right.group.is_empty() && policy_kinds::CRDS.iter().any(|kind| kind.group == right.group)
}

/// Asserts the failure that a missing right causes.
fn fails(plane: &Plane, right: &Right) {
    let program = start(plane);
    let watched = WEBHOOKS.into_iter().find(|resource| *resource == right.resource);
    match (right.resource.as_str(), right.verb.as_str()) {
        ("secrets", "list" | "watch") => {
            let program = program.ready();
            program.says(&["the Secret cannot be watched", "portcullis-certificate", "forbidden"]);
            // It looks at times, and serves what is there.
            assert!(secret_ca(plane).is_some());
        }
        ("secrets", _) => {
            program.says(&["there is no certificate yet", "portcullis-certificate", "forbidden"]);
            assert_eq!(program.said(&["\"message\":\"serving\""]), None);
        }
        ("leases", verb) => {
            let program = program.ready();
            weaken(plane, &program);
            if verb == "update" {
                // The first repair creates the Lease.
                eventually("it is repaired", || {
                    (webhooks(plane, WEBHOOKS[0])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
                });
                weaken(plane, &program);
            }
            program.says(&["are weaker than derived", "the Lease for repairs", verb, "forbidden"]);
        }
        (resource, verb) if resource == "pods" || is_of_policies(right) => {
            let name = if right.group.is_empty() { resource.to_owned() } else { format!("{resource}.{}", right.group) };
            let line =
                if verb == "list" { format!("{name}: forbidden") } else { format!("{name}: the watch is broken") };
            let program = program.ready();
            eventually("the gap is shown", || {
                let (status, text) = program.admin("/readyz?verbose");
                let shown = text.lines().find(|shown| shown.starts_with("[!]network-policies: "));
                (status == 200 && shown?.contains(&line)).then_some(())
            });
            eventually("it is counted", || {
                (program.metric("portcullis_network_policies_unread")? >= 1.0).then_some(())
            });
            if verb == "list" {
                let last = || program.records().into_iter().rfind(|record| record["record"] == "network-policies");
                eventually("it is recorded", || last()?["missing"].to_string().contains(&line).then_some(()));
            }
        }
        (_, "list") if watched.is_none() => {
            program.says(&["a watch is broken", "forbidden"]);
            let (status, text) = program.admin("/readyz");
            assert_eq!(status, 503);
            assert!(text.contains("[-]stores not complete yet"), "{text}");
        }
        (_, "watch") if watched.is_none() => {
            let program = program.ready();
            eventually("it is out of touch", || {
                (program.metric("portcullis_store_staleness_seconds")? >= 1.0).then_some(())
            });
        }
        ("serviceaccounts", "get") => {
            let program = program.ready();
            let (account, _) = questions(&program, &secret_ca(plane).expect("a Secret")).expect("an answer");
            assert!(account.contains("could not be read"), "{account}");
        }
        ("namespaces", "get") => {
            let program = program.ready();
            let (_, rest) = questions(&program, &secret_ca(plane).expect("a Secret")).expect("an answer");
            assert!(rest.contains("were not read (the API server did not say)"), "{rest}");
        }
        (resource, "get") if OwnerKind::ALL.into_iter().any(|kind| kind.resource() == resource) => {
            let program = program.ready();
            owners(plane, &program, &secret_ca(plane).expect("a Secret"));
            let kind = OwnerKind::ALL.into_iter().find(|kind| kind.resource() == resource).expect("a kind");
            let kind = format!("kind: {},", kind.kind());
            program.says(&["the API server did not answer", &kind, "403"]);
        }
        (_, verb) => {
            let resource = watched.unwrap_or_else(|| panic!("nobody uses {right:?}"));
            let kind = if resource == WEBHOOKS[0] { "Validating" } else { "Mutating" };
            let other = WEBHOOKS.into_iter().find(|other| *other != resource).expect("the other");
            let ca = eventually("a certificate", || secret_ca(plane));
            eventually("the other one is trusted", || (trusted(plane, other)? == ca).then_some(()));
            let what = if verb == "patch" { "caBundle could not be set" } else { "cannot be watched" };
            program.says(&[what, kind, "forbidden"]);
            if verb == "watch" {
                // It was listed once, and is not seen again.
                eventually("it is trusted at first", || (trusted(plane, resource)? == ca).then_some(()));
                distrust_all(plane);
                eventually("the other one is trusted again", || (trusted(plane, other)? == ca).then_some(()));
            }
            assert_eq!(trusted(plane, resource), None);
        }
    }
}
