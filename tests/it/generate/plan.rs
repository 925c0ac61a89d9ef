//! Cases of one plan.

use portcullis::generate::{Action, Cause, DIGEST, Direction, Kind, LABEL, MANAGER, POLICIES, Plan};
use serde_json::json;

use super::model::{Model, OWN, read, workload};
use crate::serve::run;

/// The names of what is applied, and of what is deleted.
fn writes(plan: &Plan) -> (Vec<&str>, Vec<&str>) {
    let (applied, deleted): (Vec<&Action>, Vec<&Action>) =
        plan.actions.iter().partition(|action| matches!(action, Action::Apply(_)));
    (applied.into_iter().map(Action::name).collect(), deleted.into_iter().map(Action::name).collect())
}

/// Causes and names of the remarks.
fn told(plan: &Plan) -> Vec<(Cause, &str)> {
    plan.remarks.iter().map(|remark| (remark.cause, remark.name.as_str())).collect()
}

#[test]
fn a_namespace_has_what_its_label_or_the_settings_ask_for() {
    let web = workload(Kind::Deployment, "web");
    let (allow, deny) = ("web-allow-ingress", "default-deny");
    for (label, expected) in [
        (None, vec![]),
        (Some("allow-ingress"), vec![allow]),
        (Some("default-deny"), vec![deny]),
        (Some("all"), vec![deny, allow]),
        (Some("All"), vec![]),
        (Some(""), vec![]),
    ] {
        let plan = Model::labelled(label).with(std::slice::from_ref(&web)).plan();
        assert_eq!(writes(&plan), (expected, vec![]), "{label:?}");
        let is_unknown = label.is_some_and(|label| !["allow-ingress", "default-deny", "all"].contains(&label));
        assert_eq!(told(&plan).len(), usize::from(is_unknown), "{label:?}");
    }
    let mut named = Model::labelled(None).with(&[web]);
    named.settings.allow_ingress.insert("shop".to_owned());
    assert_eq!(writes(&named.plan()), (vec![allow], vec![]));
    named.settings.default_deny.insert("shop".to_owned());
    named.settings.default_deny.insert("other".to_owned());
    assert_eq!(writes(&named.plan()), (vec![deny, allow], vec![]));
}

#[test]
fn our_own_namespace_those_of_kubernetes_and_those_that_end_are_left_alone() {
    for name in [OWN, "kube-system", "kube-public", "kube-"] {
        let mut model = Model::labelled(Some("all")).with(&[workload(Kind::Deployment, "web")]);
        model.settings.default_deny.insert(name.to_owned());
        model.namespace.name = name.to_owned();
        assert_eq!(model.plan(), Plan::default(), "{name}");
        model.namespace.name = format!("a-{name}");
        assert_eq!(model.plan().actions.len(), 2);
        model.namespace.is_ending = true;
        assert_eq!(model.plan(), Plan::default(), "{name}");
    }
}

#[test]
fn a_policy_admits_its_own_namespace_and_those_in_the_settings() {
    let mut model = Model::labelled(Some("all")).with(&[workload(Kind::StatefulSet, "db")]);
    model.workloads[0].selector = read(json!({"matchLabels": {"app": "db"}, "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "canary", "operator": "DoesNotExist", "values": []}]}));
    model.follow();
    let selector = json!({"matchLabels": {"app": "db"}, "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "canary", "operator": "DoesNotExist"}]});
    let spec = |from: serde_json::Value| json!({"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"from": from}]});
    assert_eq!(model.spec("db-allow-ingress"), spec(json!([{"podSelector": {}}])));
    assert_eq!(model.spec("default-deny"), json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    let metadata = serde_json::to_value(&model.policies["db-allow-ingress"].metadata).expect("JSON");
    assert_eq!(metadata["labels"], json!({LABEL: MANAGER}));
    assert_eq!(metadata["annotations"][DIGEST].as_str().map(str::len), Some(64));
    assert_eq!(
        metadata["ownerReferences"],
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "StatefulSet-db",
            "controller": false, "blockOwnerDeletion": false}])
    );
    assert!(model.policies["default-deny"].metadata.owner_references.is_none());

    // A change of the settings is applied to what is there.
    model.settings.from.extend(["monitoring".to_owned(), "ingress".to_owned()]);
    model.settings.directions.insert(Direction::Ingress);
    assert_eq!(writes(&model.follow()), (vec!["default-deny", "db-allow-ingress"], vec![]));
    let named = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["ingress", "monitoring"]}]});
    assert_eq!(model.spec("db-allow-ingress"), spec(json!([{"podSelector": {}}, {"namespaceSelector": named}])));
    assert_eq!(model.spec("default-deny"), json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
    assert_eq!(model.plan().actions, []);

    // They pass what Portcullis demands of everybody else, every policy on NetworkPolicies in force.
    let folder = tempfile::tempdir().expect("a folder");
    let objects: Vec<String> =
        model.policies.values().map(|policy| serde_json::to_string(policy).expect("JSON")).collect();
    let (file, config) = (folder.path().join("all.yaml"), folder.path().join("config.yaml"));
    std::fs::write(&file, objects.join("\n---\n")).expect("written");
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n";
    let strict = "policies:\n  open-ingress: {mode: enforce}\n";
    std::fs::write(&config, format!("{head}{strict}")).expect("written");
    let path = |file: &std::path::Path| file.to_str().expect("UTF-8").to_owned();
    let (code, out, _) = run(&["check", &path(&file), "--config", &path(&config), "--format", "json"], "");
    assert_eq!((code, out.matches("\"findings\":[]").count()), (Some(0), 2), "{out}");
}

#[test]
fn workloads_of_one_name_have_two_policies_and_keep_them() {
    let (deployment, set) = (workload(Kind::Deployment, "web"), workload(Kind::StatefulSet, "web"));
    let mut model = Model::labelled(Some("allow-ingress")).with(&[set.clone(), deployment.clone()]);
    model.follow();
    assert_eq!(model.policy_of(&deployment), Some("web-allow-ingress"));
    assert_eq!(model.policy_of(&set), Some("web-statefulset-allow-ingress"));
    // The first one goes, and the second keeps its name.
    model.delete(1);
    assert_eq!(model.follow().actions, []);
    // A workload whose name leads to the same policy has its long name, and one without a name of its own is told of.
    let other = workload(Kind::Deployment, "web-statefulset");
    model.workloads.push(other.clone());
    model.follow();
    assert_eq!(model.policy_of(&other), Some("web-statefulset-deployment-allow-ingress"));
    // The short name comes first. Whose long name is that of another has no policy, and is told of.
    let mut model = Model::labelled(Some("allow-ingress")).with(&[
        workload(Kind::Deployment, "a"),
        workload(Kind::StatefulSet, "a"),
        workload(Kind::Deployment, "a-statefulset"),
        workload(Kind::DaemonSet, "a-statefulset"),
    ]);
    let plan = model.follow();
    assert_eq!(told(&plan), [(Cause::Clash, "StatefulSet a")]);
    let names: Vec<&str> = model.policies.keys().map(String::as_str).collect();
    assert_eq!(names, ["a-allow-ingress", "a-statefulset-allow-ingress", "a-statefulset-daemonset-allow-ingress"]);
    // When there is room, it has one.
    model.delete(2);
    model.follow();
    assert_eq!(model.policy_of(&model.workloads[1]), Some("a-statefulset-allow-ingress"));
}

#[test]
fn what_others_made_or_edited_is_never_written_to() {
    let (web, api) = (workload(Kind::Deployment, "web"), workload(Kind::Deployment, "api"));
    let mut model = Model::labelled(Some("all")).with(&[web, api]);
    model.foreign("web-allow-ingress");
    let plan = model.follow();
    assert_eq!(writes(&plan), (vec!["default-deny", "api-allow-ingress"], vec![]));
    assert_eq!(told(&plan), [(Cause::Foreign, "web-allow-ingress")]);

    let edits: [fn(&mut Model); 4] = [
        |model| model.edit("api-allow-ingress"),
        // By somebody who takes the field managers away as well: it is somebody else's then.
        |model| {
            model.edit("api-allow-ingress");
            let policy = model.policies.get_mut("api-allow-ingress").expect("there");
            policy.metadata.managed_fields = None;
        },
        // By somebody who has our name, and edits nothing but the spec.
        |model| {
            let policy = model.policies.get_mut("api-allow-ingress").expect("there");
            policy.spec.as_mut().expect("a spec").ingress = Some(Vec::new());
        },
        // Our label is taken away.
        |model| model.policies.get_mut("api-allow-ingress").expect("there").metadata.labels = None,
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut edited = model.clone();
        edit(&mut edited);
        edited.settings.from.insert("other".to_owned());
        let plan = edited.plan();
        assert_eq!(writes(&plan), (vec![], vec![]), "{number}");
        let cause = if number % 2 == 0 { Cause::Edited } else { Cause::Foreign };
        assert!(told(&plan).contains(&(cause, "api-allow-ingress")), "{number}: {:?}", plan.remarks);
        // Not even when the namespace opts out.
        edited.namespace.label = None;
        assert_eq!(writes(&edited.plan()), (vec![], vec!["default-deny"]), "{number}");
        // Deleted, it is generated again.
        edited.policies.remove("api-allow-ingress");
        edited.namespace.label = Some("all".to_owned());
        assert_eq!(writes(&edited.plan()), (vec!["api-allow-ingress"], vec![]), "{number}");
    }
    // Labels that others add are theirs.
    let policy = model.policies.get_mut("api-allow-ingress").expect("there");
    policy.metadata.labels.get_or_insert_default().insert("team".to_owned(), "shop".to_owned());
    assert_eq!(model.plan().actions, []);
}

#[test]
fn opting_out_removes_what_was_generated_and_an_unknown_label_removes_nothing() {
    let mut model = Model::labelled(Some("all")).with(&[workload(Kind::Deployment, "web")]);
    model.foreign("mine");
    model.follow();
    assert_eq!(model.policies.len(), 3);
    for (label, removed) in
        [("none", vec![]), ("allow-ingress", vec!["default-deny"]), ("default-deny", vec!["web-allow-ingress"])]
    {
        model.namespace.label = Some(label.to_owned());
        assert_eq!(writes(&model.plan()), (vec![], removed), "{label}");
    }
    model.namespace.label = None;
    assert_eq!(writes(&model.plan()), (vec![], vec!["default-deny", "web-allow-ingress"]));
    // Whoever is named in the configuration stays in, whatever the label says.
    model.settings.allow_ingress.insert("shop".to_owned());
    assert_eq!(writes(&model.plan()), (vec![], vec!["default-deny"]));
}

#[test]
fn what_belongs_to_a_workload_that_is_gone_is_left_to_the_garbage_collector() {
    let mut model = Model::labelled(Some("allow-ingress")).with(&[workload(Kind::Deployment, "web")]);
    model.follow();
    let web = model.workloads.remove(0);
    assert_eq!(model.plan().actions, [], "a watch may be behind");
    // Created again: the policy is that of the new one.
    model.workloads.push(portcullis::generate::Workload { uid: "again".to_owned(), ..web });
    assert_eq!(writes(&model.follow()), (vec!["web-allow-ingress"], vec![]));
    assert_eq!(model.policy_of(&model.workloads[0]), Some("web-allow-ingress"));
    // Orphaned: nobody removes it.
    model.workloads.clear();
    model.policies.get_mut("web-allow-ingress").expect("there").metadata.owner_references = None;
    let plan = model.plan();
    assert_eq!((writes(&plan), told(&plan)), ((vec![], vec![]), vec![(Cause::Orphan, "web-allow-ingress")]));
    // What is deleted already is left alone.
    model.workloads.push(workload(Kind::Deployment, "web"));
    model.workloads[0].is_ending = true;
    assert_eq!(model.plan().actions, []);
}

#[test]
fn what_selects_every_pod_and_what_is_too_many_is_told_of() {
    let mut model = Model::labelled(Some("allow-ingress")).with(&[workload(Kind::DaemonSet, "all")]);
    model.workloads[0].selector = read(json!({"matchLabels": {}, "matchExpressions": []}));
    let plan = model.plan();
    assert_eq!((writes(&plan), told(&plan)), ((vec![], vec![]), vec![(Cause::Selector, "DaemonSet all")]));

    let many: Vec<_> = (0..POLICIES + 2).map(|number| workload(Kind::Deployment, &format!("w{number:04}"))).collect();
    let mut model = Model::labelled(Some("all")).with(&many);
    let plan = model.follow();
    assert_eq!((plan.actions.len(), plan.remarks.len()), (POLICIES, 3));
    assert!(plan.remarks.iter().all(|remark| remark.cause == Cause::Limit));
    let again = model.plan();
    assert_eq!((again.actions, again.owned), (vec![], POLICIES));
}
