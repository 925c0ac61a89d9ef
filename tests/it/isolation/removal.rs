//! NetworkPolicies that are changed or deleted, and the running Pods that they leave without isolation.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use portcullis::decision::Decision;
use portcullis::facts::{
    Answer, Namespace, NetworkPolicies, NetworkPolicy, PodGroup, PodLabels, Question, RunningPods, World,
};
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging;

/// What a cluster holds.
struct Held {
    /// Each with its label `app`.
    pods: Result<Vec<(&'static str, &'static str, usize)>, &'static str>,
    policies: Vec<Value>,
    is_terminating: bool,
}

impl World for Held {
    fn known(&self, question: &Question) -> Option<Answer> {
        Some(match question {
            Question::RunningPods { namespace } if namespace == "shop" => match &self.pods {
                Ok(pods) => Answer::RunningPods(Arc::new(RunningPods(pods.iter().map(group).collect()))),
                Err(why) => Answer::Unavailable((*why).to_owned()),
            },
            // What a store says of policies may be old: the API server is asked.
            Question::NetworkPolicies { namespace, live: true } if namespace == "shop" => {
                let read = self.policies.iter().map(|policy| NetworkPolicy::read(policy.clone()).expect("a policy"));
                Answer::NetworkPolicies(Arc::new(NetworkPolicies::from(read.collect::<Vec<_>>())))
            }
            Question::Namespace { name, .. } if name == "shop" => {
                Answer::Namespace(Arc::new(Namespace::default().terminating(self.is_terminating)))
            }
            question => panic!("nobody asks {question:?}"),
        })
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.known(question).expect("everything is known")))
    }
}

fn group((app, example, count): &(&str, &str, usize)) -> PodGroup {
    let labels: PodLabels = [("app", *app)].into_iter().collect();
    PodGroup { labels: Arc::new(labels), example: (*example).to_owned(), count: *count }
}

fn policy(name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shop"});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
}

/// One that isolates an app in both directions.
fn of_app(name: &str, app: &str) -> Value {
    policy(name, json!({"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress", "Egress"]}))
}

fn review(operation: &str, user: &str, old: &Value, new: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": operation, "namespace": "shop", "name": old["metadata"]["name"],
        "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
        "userInfo": {"username": user}, "object": new, "oldObject": old,
    }})
}

fn configured(keys: &str) -> Snapshot {
    judging::configured(&format!("policies: {{unisolated-pods: {{mode: enforce{keys}}}}}\n"))
}

/// A namespace with three Pods of `web` and one of `db`.
fn shop(policies: Vec<Value>) -> Held {
    Held { pods: Ok(vec![("db", "db-0", 1), ("web", "web-0", 3)]), policies, is_terminating: false }
}

fn deleted(keys: &str, held: &Held, old: &Value) -> Decision {
    judging::answer(&configured(keys), &review("DELETE", "jane", old, &Value::Null), held)
}

fn changed(keys: &str, held: &Held, old: &Value, new: &Value) -> Decision {
    judging::answer(&configured(keys), &review("UPDATE", "jane", old, new), held)
}

fn messages(decision: &Decision) -> Vec<&str> {
    decision.findings.iter().map(|finding| finding.message.as_str()).collect()
}

fn message(direction: &str, count: usize, example: &str) -> String {
    format!(
        "must not leave running Pods unisolated for {direction}: {count} in namespace \"shop\", such as \"{example}\""
    )
}

#[test]
fn a_last_policy_that_is_deleted_is_warned_of_and_refused_where_deletes_is_enforce() {
    let web = of_app("web", "web");
    let held = shop(vec![web.clone(), of_app("db", "db")]);
    let both = [message("ingress", 3, "web-0"), message("egress", 3, "web-0")];
    for (keys, allowed) in [
        ("", true),
        (", deletes: warn", true),
        (", updates: strict", true),
        (", deletes: enforce", false),
        (", deletes: enforce, settings: {countsOpen: false}", false),
    ] {
        let decision = deleted(keys, &held, &web);
        assert_eq!(
            (decision.allowed, messages(&decision)),
            (allowed, both.iter().map(String::as_str).collect()),
            "{keys}"
        );
        assert_eq!(decision.findings[0].place.shown(), ".");
    }
    let one = deleted(", deletes: enforce, settings: {directions: [egress]}", &held, &web);
    assert_eq!(messages(&one), [&both[1]]);
}

#[test]
fn a_policy_beside_others_or_without_pods_can_go() {
    let web = of_app("web", "web");
    let all = policy("all", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    for (policies, old) in [
        (vec![web.clone(), all.clone()], &web),
        // It is gone by the time that it is asked for.
        (vec![all.clone()], &web),
        (vec![of_app("cart", "cart")], &of_app("cart", "cart")),
    ] {
        let decision = deleted(", deletes: enforce", &shop(policies.clone()), old);
        assert_eq!((decision.allowed, messages(&decision)), (true, vec![]), "{policies:?}");
    }
    let decision = deleted(", deletes: enforce", &shop(vec![web, all.clone()]), &all);
    assert_eq!(messages(&decision), [message("ingress", 1, "db-0"), message("egress", 1, "db-0")]);
}

#[test]
fn a_policy_that_is_narrowed_is_warned_of_and_refused_where_updates_are_strict() {
    let (web, db) = (of_app("web", "web"), of_app("web", "db"));
    let held = shop(vec![web.clone()]);
    for (keys, allowed) in [("", true), (", deletes: enforce", true), (", updates: strict", false)] {
        let decision = changed(keys, &held, &web, &db);
        assert_eq!(decision.allowed, allowed, "{keys}");
        assert_eq!(messages(&decision), [message("ingress", 3, "web-0"), message("egress", 3, "web-0")]);
        assert_eq!(decision.findings[0].place.shown(), "spec.podSelector");
    }
    let mut ingress = web.clone();
    ingress["spec"]["policyTypes"] = json!(["Ingress"]);
    assert_eq!(messages(&changed("", &held, &web, &ingress)), [message("egress", 3, "web-0")]);
    // What it is not about, and what it gains.
    let mut labelled = web.clone();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    let wider = policy("web", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    for new in [&labelled, &wider] {
        let decision = changed(", updates: strict", &held, &web, new);
        assert_eq!(messages(&decision), [""; 0], "{new}");
    }
}

#[test]
fn a_policy_that_is_opened_isolates_nobody_where_open_ones_do_not_count() {
    let web = of_app("web", "web");
    let mut open = web.clone();
    open["spec"]["egress"] = json!([{}]);
    let held = shop(vec![web.clone()]);
    let strict = ", updates: strict";
    assert_eq!(messages(&changed(strict, &held, &web, &open)), [""; 0]);
    let counts = ", updates: strict, settings: {countsOpen: false}";
    assert_eq!(messages(&changed(counts, &held, &web, &open)), [message("egress", 3, "web-0")]);
    // Pods that another policy isolates, and that this one selects from now on.
    let mut everybody = open.clone();
    everybody["spec"]["podSelector"] = json!({});
    let decision = changed(counts, &shop(vec![web.clone(), of_app("db", "db")]), &web, &everybody);
    assert_eq!(messages(&decision), [message("egress", 4, "db-0")]);
}

#[test]
fn a_policy_that_is_being_deleted_stands_in_for_none() {
    let web = of_app("web", "web");
    let mut ending = of_app("other", "web");
    assert!(deleted(", deletes: enforce", &shop(vec![web.clone(), ending.clone()]), &web).allowed);
    ending["metadata"]["deletionTimestamp"] = "2027-01-01T00:00:00Z".into();
    assert!(!deleted(", deletes: enforce", &shop(vec![web.clone(), ending]), &web).allowed);
}

#[test]
fn what_was_not_isolated_is_not_lost() {
    let web = policy("web", json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}));
    let decision = deleted("", &shop(vec![web.clone()]), &web);
    assert_eq!(messages(&decision), [message("ingress", 3, "web-0")]);
}

#[test]
fn controllers_that_clean_up_and_terminating_namespaces_are_warned_at_most() {
    let web = of_app("web", "web");
    let enforced = configured(", deletes: enforce");
    let mut held = shop(vec![web.clone()]);
    let answer = |user: &str, held: &Held| {
        let decision = judging::answer(&enforced, &review("DELETE", user, &web, &Value::Null), held);
        (decision.allowed, decision.findings.len())
    };
    assert_eq!(answer("system:serviceaccount:kube-system:replicaset-controller", &held), (false, 2));
    for user in [
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "system:kube-controller-manager",
    ] {
        assert_eq!(answer(user, &held), (true, 2), "{user}");
    }
    held.is_terminating = true;
    assert_eq!(answer("jane", &held), (true, 2));
}

#[test]
fn what_is_not_known_is_no_silent_pass() {
    let web = of_app("web", "web");
    let mut held = shop(vec![web.clone()]);
    held.pods = Err("forbidden: grant list and watch on it");
    let expected = "must not leave running Pods unisolated: the Pods of namespace \"shop\" could not be read (forbidden: grant \
                    list and watch on it)";
    for (keys, allowed) in [("", true), (", deletes: enforce", false)] {
        let decision = deleted(keys, &held, &web);
        assert_eq!((decision.allowed, messages(&decision)), (allowed, vec![expected]));
    }
    // A deletion that does not say of what.
    let held = shop(vec![web]);
    for old in [json!(null), json!({"metadata": {"name": "web"}, "spec": {"podSelector": 7}})] {
        let decision = deleted(", deletes: enforce", &held, &old);
        assert_eq!(messages(&decision), ["must be readable as it was, so that its Pods are known"]);
    }
}

#[test]
fn of_a_collection_each_object_has_its_name_in_the_request() {
    let mut review = review("DELETE", "jane", &of_app("web", "web"), &Value::Null);
    review["request"].as_object_mut().expect("a request").remove("name");
    judging::with_review(&configured(""), &review, |request| assert_eq!(&*request.name, "web"));
}
