//! `existing`: Pods of a workload that was there before inherit its findings, and forged chains gain nothing.

mod algebra;
mod released;
mod written;

use std::collections::BTreeSet;

use portcullis::cluster::Manifests;
use portcullis::decision::{Decision, Verdict, decide_at_once};
use portcullis::facts::Answer;
use portcullis::review;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::owners::{Stored, controller, created, owned, owner, privileged};
use super::{NOW, configured, container, covered, exception, pod, review_of, time};

/// A workload must have been created before it.
const BEFORE: &str = "2026-02-01T00:00:00Z";
const OLD: &str = "2026-01-31T23:59:59Z";

/// These policies, enforced, with `existing`, and these lines.
fn admitting(policies: &[&str], lines: &str) -> Snapshot {
    let policies: Vec<String> = policies.iter().map(|id| format!("{id}: {{mode: enforce}}")).collect();
    let existing = format!("existing: {{admit: true, createdBefore: {BEFORE}}}\n");
    configured(&format!("policies: {{{}}}\n{existing}{lines}", policies.join(", ")))
}

/// Privileged containers, enforced, with `existing`.
fn snapshot() -> Snapshot {
    admitting(&["privileged-containers"], "")
}

/// The same object, created then.
fn at(time: &str, mut object: Value) -> Value {
    object["metadata"]["creationTimestamp"] = json!(time);
    object
}

fn deployment(containers: &[Value]) -> Value {
    at(OLD, owner("apps/v1", "Deployment", "web", containers, None))
}

/// A ReplicaSet as old as a Deployment.
fn set(containers: &[Value], controller: &Value) -> Value {
    at(OLD, owner("apps/v1", "ReplicaSet", "web-5d", containers, Some(controller)))
}

fn by_the_set_controller(snapshot: &Snapshot, pod: &Value, stored: &[&Value]) -> Decision {
    created(snapshot, pod, &controller("replicaset-controller"), &Stored::of(stored))
}

/// Verdict, and whether each finding is inherited.
fn result(decision: &Decision) -> (Verdict, Vec<bool>) {
    (decision.verdict, decision.findings.iter().map(|finding| finding.inherited).collect())
}

fn inherited() -> (Verdict, Vec<bool>) {
    (Verdict::Warn, vec![true])
}

fn refused() -> (Verdict, Vec<bool>) {
    (Verdict::Deny, vec![false])
}

#[test]
fn a_pod_of_an_old_deployment_inherits_its_findings() {
    let bad = [privileged("web", "nginx")];
    let (deployment, snapshot) = (deployment(&bad), snapshot());
    // The ReplicaSet may be younger: a rollback makes another.
    let set = at(NOW, set(&bad, &deployment));
    let world = Stored::of(&[&set, &deployment]);
    let pod = owned(pod("web-5d-x", &bad), &set);
    for user in [controller("replicaset-controller"), "system:kube-controller-manager".to_owned()] {
        let decision = created(&snapshot, &pod, &user, &world);
        assert_eq!(result(&decision), inherited(), "{user}");
        assert!(decision.allowed && decision.exempted().is_none());
        assert_eq!(world.asked().len(), 2);
        let [warning] = review::warnings(&decision, None).try_into().expect("one warning");
        assert!(warning.starts_with("privileged-containers: spec.containers[0]"), "{warning}");
        assert!(warning.ends_with(" (as in its owner, which existed before)"), "{warning}");
    }
}

#[test]
fn each_built_in_pair_is_followed() {
    let (bad, snapshot) = ([privileged("web", "nginx")], snapshot());
    for (api_version, kind, user) in [
        ("apps/v1", "ReplicaSet", "replicaset-controller"),
        ("apps/v1", "StatefulSet", "statefulset-controller"),
        ("apps/v1", "DaemonSet", "daemon-set-controller"),
        ("batch/v1", "Job", "job-controller"),
        ("v1", "ReplicationController", "replication-controller"),
    ] {
        let top = at(OLD, owner(api_version, kind, "web", &bad, None));
        let pod = owned(pod("web-x", &bad), &top);
        let world = Stored::of(&[&top]);
        assert_eq!(result(&created(&snapshot, &pod, &controller(user), &world)), inherited(), "{kind}");
        let other = if kind == "Job" { "replicaset-controller" } else { "job-controller" };
        assert_eq!(result(&created(&snapshot, &pod, &controller(other), &world)), refused(), "{kind} by {other}");
    }
    let top = at(OLD, owner("batch/v1", "CronJob", "web", &bad, None));
    let job = at(NOW, owner("batch/v1", "Job", "web-1", &bad, Some(&top)));
    let pod = owned(pod("x", &bad), &job);
    let decision = created(&snapshot, &pod, &controller("job-controller"), &Stored::of(&[&job, &top]));
    assert_eq!(result(&decision), inherited());
}

#[test]
fn the_topmost_object_is_created_before_that_second() {
    let bad = [privileged("web", "nginx")];
    let decide = |snapshot: &Snapshot, created: Value| {
        let mut top = deployment(&bad);
        top["metadata"]["creationTimestamp"] = created;
        let set = set(&bad, &top);
        result(&by_the_set_controller(snapshot, &owned(pod("web-5d-x", &bad), &set), &[&set, &top]))
    };
    let snapshot = snapshot();
    for created in [OLD, "2020-01-01T00:00:00Z", "2026-02-01T00:59:59+01:00"] {
        assert_eq!(decide(&snapshot, json!(created)), inherited(), "{created}");
    }
    for created in [json!(BEFORE), json!("2026-02-01T00:00:01Z"), json!(NOW), json!(null), json!(""), json!("once")] {
        assert_eq!(decide(&snapshot, created.clone()), refused(), "{created}");
    }
    // The API server stores whole seconds: this may have been created later in that one.
    let text = "policies: {privileged-containers: {mode: enforce}}\nexisting: {admit: true, createdBefore: ";
    let half = configured(&format!("{text}2026-02-01T00:00:00.5Z}}\n"));
    assert_eq!(decide(&half, json!(BEFORE)), refused());
    assert_eq!(decide(&half, json!(OLD)), inherited());
}

#[test]
fn forged_chains_gain_nothing() {
    let (good, bad) = ([container("web", "nginx")], [privileged("web", "nginx")]);
    let (old, snapshot) = (deployment(&bad), snapshot());
    let real = set(&bad, &old);
    let made = |set: &Value| owned(pod("web-5d-x", &bad), set);
    let refuses = |why: &str, pod: &Value, user: &str, stored: &[&Value]| {
        let decision = created(&snapshot, pod, user, &Stored::of(stored));
        assert_eq!(result(&decision), refused(), "{why}");
        assert!(!decision.allowed, "{why}");
    };
    let by = controller("replicaset-controller");
    assert_eq!(result(&by_the_set_controller(&snapshot, &made(&real), &[&real, &old])), inherited());

    for user in ["jane", "system:serviceaccount:shop:replicaset-controller", "replicaset-controller", ""] {
        refuses("a Pod with a forged owner, of a user", &made(&real), user, &[&real, &old]);
    }
    let map = at(OLD, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "uid": "uid-map"}}));
    let forged = set(&bad, &map);
    refuses("an old ReplicaSet of a ConfigMap", &made(&forged), &by, &[&forged, &old, &map]);
    refuses("a Pod of a ConfigMap", &owned(pod("x", &bad), &map), &by, &[&map, &old]);
    let clean = deployment(&good);
    refuses("a ReplicaSet of an old Deployment with another template", &made(&real), &by, &[&real, &clean]);
    let other = deployment(&[privileged("other", "nginx"), container("web", "nginx")]);
    refuses("a patched ReplicaSet: another container has the finding", &made(&real), &by, &[&real, &other]);
    let other = deployment(&[privileged("web", "other")]);
    refuses("a patched ReplicaSet: another image", &made(&real), &by, &[&real, &other]);
    let cron = at(OLD, owner("batch/v1", "CronJob", "web", &good, None));
    let job = at(OLD, owner("batch/v1", "Job", "web-1", &bad, Some(&cron)));
    let of_job = owned(pod("web-1-x", &bad), &job);
    refuses("a forged Job of an old CronJob", &of_job, &controller("job-controller"), &[&job, &cron]);

    let new = at(NOW, old.clone());
    refuses("an old ReplicaSet of a new Deployment", &made(&real), &by, &[&real, &new]);
    let mut again = old.clone();
    again["metadata"]["uid"] = json!("uid-of-a-later-one");
    refuses("another Deployment of that name", &made(&real), &by, &[&real, &again]);
    let app = at(OLD, json!({"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "a", "uid": "u"}}));
    let controlled = owned(old.clone(), &app);
    refuses("an old Deployment that another kind controls", &made(&real), &by, &[&real, &controlled, &app]);
    refuses("no ReplicaSet", &made(&real), &by, &[&old]);
    refuses("no Deployment", &made(&real), &by, &[&real]);
    for answer in [Answer::Unavailable("down".to_owned()), Answer::LeftOut, Answer::Object("{".into())] {
        let mut world = Stored::of(&[&real]);
        world.objects.insert("Deployment/web".to_owned(), answer);
        assert_eq!(result(&created(&snapshot, &made(&real), &by, &world)), refused());
    }
    let silent = Stored { is_silent: true, ..Stored::of(&[&real, &old]) };
    assert_eq!(result(&created(&snapshot, &made(&real), &by, &silent)), refused(), "no answer in time");
}

#[test]
fn a_replica_set_that_the_controller_makes_inherits_too() {
    let (bad, snapshot) = ([privileged("web", "nginx")], snapshot());
    let old = deployment(&bad);
    let set = set(&bad, &old);
    for (user, stored, is_inherited) in [
        (controller("deployment-controller"), &old, true),
        (controller("replicaset-controller"), &old, false),
        ("jane".to_owned(), &old, false),
        (controller("deployment-controller"), &at(NOW, old.clone()), false),
    ] {
        let decision = created(&snapshot, &set, &user, &Stored::of(&[stored]));
        assert_eq!(result(&decision), (Verdict::Warn, vec![is_inherited]), "{user}");
        assert!(decision.allowed, "it is never refused");
    }
}

#[test]
fn owners_are_asked_for_only_where_a_finding_would_refuse() {
    let (good, bad) = ([container("web", "nginx")], [privileged("web", "nginx")]);
    let old = deployment(&bad);
    let set = set(&bad, &old);
    let world = Stored::of(&[&set, &old]);
    let asked = |lines: &str, containers: &[Value]| {
        let pod = owned(pod("web-5d-x", containers), &set);
        let decision = created(&configured(lines), &pod, &controller("replicaset-controller"), &world);
        (decision.allowed, world.asked().len())
    };
    let on = format!("existing: {{admit: true, createdBefore: {BEFORE}}}\n");
    let policy = |fields: &str| format!("policies: {{privileged-containers: {{{fields}}}}}\n");
    let enforced = policy("mode: enforce");
    assert_eq!(asked(&(enforced.clone() + &on), &bad), (true, 2));
    assert_eq!(asked(&(enforced.clone() + &on), &good), (true, 0), "no finding");
    assert_eq!(asked(&(policy("mode: warn") + &on), &bad), (true, 0), "nothing refuses");
    assert_eq!(asked(&(policy("mode: enforce, updates: strict") + &on), &bad), (false, 0), "nothing is ever inherited");
    for off in ["", "existing:\n", "existing: {admit: false}\n", &on.replace("true", "false")] {
        assert_eq!(asked(&(enforced.clone() + off), &bad), (false, 0), "{off}");
    }
}

#[test]
fn what_an_exception_covers_is_exempt_and_only_the_rest_is_inherited() {
    let mut both = privileged("web", "nginx");
    both["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    let bad = [both];
    let old = deployment(&bad);
    let set = set(&bad, &old);
    let pod = owned(pod("web-5d-x", &bad), &set);
    for matching in ["namespace: shop, kind: Deployment, name: web", "namespace: shop, kind: Pod"] {
        let lines = format!("exceptions: [{}]\n", exception("one", "privileged-containers", matching));
        let snapshot = admitting(&["privileged-containers", "host-ports"], &lines);
        let decision = by_the_set_controller(&snapshot, &pod, &[&set, &old]);
        let ids: BTreeSet<_> = covered(&decision).into_iter().collect();
        assert_eq!(ids, BTreeSet::from([("privileged-containers", Some("one")), ("host-ports", None)]));
        for finding in &decision.findings {
            assert_eq!(finding.inherited, finding.exemption.is_none(), "{matching}: {}", finding.meta.id);
        }
        assert_eq!((decision.verdict, decision.allowed), (Verdict::Exempt, true));
    }
}

#[test]
fn an_exception_and_the_age_excuse_no_more_than_the_template_has() {
    let adding = |count: usize| {
        let add = vec!["SYS_ADMIN"; count];
        [json!({"name": "web", "image": "nginx", "securityContext": {"capabilities": {"add": add}}})]
    };
    let one = exception("web", "added-capabilities", "namespace: shop, kind: Deployment, name: web");
    for lines in [String::new(), format!("exceptions: [{one}]\n")] {
        let snapshot = admitting(&["added-capabilities"], &lines);
        for (in_template, allowed) in [(2, true), (1, false)] {
            let old = deployment(&adding(in_template));
            let set = set(&adding(2), &old);
            let decision = by_the_set_controller(&snapshot, &owned(pod("web-5d-x", &adding(2)), &set), &[&set, &old]);
            assert_eq!((decision.findings.len(), decision.allowed), (2, allowed), "{lines}");
        }
    }
}

#[test]
fn nothing_is_inherited_where_no_owner_is_known() {
    let bad = [privileged("web", "nginx")];
    let pod = owned(pod("web-5d-x", &bad), &set(&bad, &deployment(&bad)));
    let review = review_of("CREATE", &controller("replicaset-controller"), &pod, None).to_string();
    let snapshot = snapshot();
    let review = review::decode(review.as_bytes(), snapshot.workloads(), time(NOW)).expect("has a uid");
    assert_eq!(result(&decide_at_once(&snapshot, &review.request, &Manifests::default())), refused());
}
