//! An update of a Role or binding is refused for what it grants beyond what was granted before, whatever the messages say.

use portcullis::cluster::Manifests;
use portcullis::decision::{Decision, Verdict};
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{all_inherited, create, none_inherited, review, update};
use crate::judging::{self, configured, documents};

fn hardened() -> Snapshot {
    configured("profile: hardened\n")
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names})
}

fn role(kind: &str, rules: &[Value]) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "web"}, "rules": rules})
}

fn binding(role: &str, subjects: &[Value]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "web"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": subjects,
    })
}

#[test]
fn a_rule_inherits_what_the_old_rules_granted_together() {
    let all = || rule(&["*"], &["*"], &["*"], &[]);
    let url = |url: &str| json!({"nonResourceURLs": [url], "verbs": ["get"]});
    let harmless = || rule(&[""], &["pods"], &["get"], &[]);
    for (what, old, new, passes) in [
        ("nothing changes", vec![all()], vec![all()], true),
        ("a harmless rule comes", vec![all()], vec![harmless(), all()], true),
        ("rules change places", vec![harmless(), all()], vec![all(), harmless()], true),
        ("a verb goes, and the message with it", vec![all()], vec![rule(&["*"], &["*"], &["get"], &[])], true),
        ("a name is added", vec![all()], vec![rule(&["*"], &["*"], &["*"], &["web"])], true),
        (
            "a name goes",
            vec![rule(&["apps"], &["*"], &["get"], &["web"])],
            vec![rule(&["apps"], &["*"], &["get"], &[])],
            false,
        ),
        (
            "another name",
            vec![rule(&["apps"], &["*"], &["get"], &["a"])],
            vec![rule(&["apps"], &["*"], &["get"], &["b"])],
            false,
        ),
        (
            "a group comes, and the message stays",
            vec![rule(&[""], &["*"], &["get"], &[])],
            vec![rule(&["", "apps"], &["*"], &["get"], &[])],
            false,
        ),
        (
            "a verb comes, and the message stays",
            vec![rule(&[""], &["*"], &["get"], &[])],
            vec![rule(&[""], &["*"], &["get", "delete"], &[])],
            false,
        ),
        (
            "a resource beside the wildcard verb",
            vec![rule(&[""], &["pods"], &["*"], &[])],
            vec![rule(&[""], &["pods", "nodes"], &["*"], &[])],
            false,
        ),
        (
            "another resource under the wildcard verb",
            vec![rule(&[""], &["pods"], &["*"], &[])],
            vec![rule(&[""], &["nodes"], &["*"], &[])],
            false,
        ),
        (
            "two rules become one",
            vec![rule(&[""], &["pods"], &["*"], &[]), rule(&[""], &["nodes"], &["*"], &[])],
            vec![rule(&[""], &["pods", "nodes"], &["*"], &[])],
            true,
        ),
        (
            "two rules become one that is wider",
            vec![rule(&[""], &["pods"], &["*"], &[]), rule(&["apps"], &["nodes"], &["*"], &[])],
            vec![rule(&["", "apps"], &["pods", "nodes"], &["*"], &[])],
            false,
        ),
        (
            "a subresource of every one",
            vec![rule(&["apps"], &["*"], &["get"], &[])],
            vec![rule(&["apps"], &["*/scale"], &["get"], &[])],
            true,
        ),
        (
            "every one of a subresource",
            vec![rule(&["apps"], &["*/scale"], &["get"], &[])],
            vec![rule(&["apps"], &["*"], &["get"], &[])],
            false,
        ),
        ("a subtree of every path", vec![url("*")], vec![url("/*")], true),
        ("every path of one", vec![url("/metrics")], vec![url("*")], false),
        ("the same in a second rule", vec![all()], vec![all(), all()], true),
    ] {
        for kind in ["Role", "ClusterRole"] {
            if kind == "Role" && what.contains("path") {
                continue;
            }
            let decision = update(&hardened(), &role(kind, &new), &role(kind, &old));
            assert_eq!(decision.allowed, passes, "{what}: {:?}", decision.findings);
            assert!(!decision.findings.is_empty(), "{what}");
            assert!(!passes || all_inherited(&decision), "{what}");
            assert!(!create(&hardened(), &role(kind, &new)).allowed, "{what}: without an old one");
        }
    }
}

#[test]
fn a_rule_beyond_the_bound_of_comparisons_is_judged() {
    let many: Vec<String> = (0..3_000).map(|number| format!("r{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (old, back): (Vec<&str>, Vec<&str>) = (many.clone(), many.iter().rev().copied().collect());
    let old = role("ClusterRole", &[rule(&[""], &old, &["*"], &[])]);
    let new = role("ClusterRole", &[rule(&[""], &back, &["*"], &[])]);
    assert!(update(&hardened(), &old, &old).allowed, "equal rules are compared at once");
    assert!(none_inherited(&update(&hardened(), &new, &old)), "9,000,000 comparisons");
}

#[test]
fn of_more_findings_than_are_kept_all_or_none_are_inherited() {
    let rules: Vec<Value> = (0..200).map(|number| rule(&[""], &[&format!("r{number}")], &["*"], &[])).collect();
    let mut more = rules.clone();
    assert!(all_inherited(&update(&hardened(), &role("Role", &rules), &role("Role", &rules))));
    more.push(rule(&[""], &["nodes"], &["*"], &[]));
    let decision = update(&hardened(), &role("Role", &more), &role("Role", &rules));
    assert!(!decision.allowed, "the new one is among those that are only counted");
    assert!(update(&hardened(), &role("Role", &rules), &role("Role", &more)).allowed, "fewer");
}

#[test]
fn a_subject_inherits_if_it_was_one() {
    let group = |name: &str| json!({"kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    let account = |namespace: &str| json!({"kind": "ServiceAccount", "name": "web", "namespace": namespace});
    for (what, old, new, passes) in [
        ("nothing changes", vec![group("a")], vec![group("a")], true),
        ("one goes", vec![group("a"), account("x")], vec![account("x")], true),
        ("one comes", vec![group("a")], vec![group("a"), group("b")], false),
        ("one in the place of another", vec![group("a")], vec![group("b")], false),
        ("the same name in another namespace", vec![account("x")], vec![account("y")], false),
        ("twice the same", vec![group("a")], vec![group("a"), group("a")], true),
    ] {
        let decision = update(&hardened(), &binding("cluster-admin", &new), &binding("cluster-admin", &old));
        assert_eq!(decision.allowed, passes, "{what}: {:?}", decision.findings);
    }
    let (admin, view) = (binding("cluster-admin", &[group("a")]), binding("view", &[group("a")]));
    assert!(!update(&hardened(), &admin, &view).allowed, "another role");
}

#[test]
fn strict_updates_inherit_nothing() {
    let strict = configured("policies: {wildcard-roles: {mode: enforce, updates: strict}}\n");
    let object = role("Role", &[rule(&[""], &["pods"], &["*"], &[])]);
    assert!(!update(&strict, &object, &object).allowed);
}

/// Who writes decides, and what for.
#[test]
fn the_aggregation_controller_fills_in_rules_and_does_nothing_else() {
    const CONTROLLER: &str = "system:serviceaccount:kube-system:clusterrole-aggregation-controller";
    let rules = [rule(&["*"], &["*"], &["*"], &[])];
    let selectors = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let aggregated = |rules: &[Value]| {
        let mut object = role("ClusterRole", rules);
        object["aggregationRule"] = selectors.clone();
        object
    };
    let labelled = |mut object: Value| {
        object["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
        object
    };
    let by = |user: &str, operation: &str, new: &Value, old: Option<&Value>| -> Decision {
        let mut review = review(operation, new, old);
        review["request"]["userInfo"] = json!({"username": user});
        judging::answer(&hardened(), &review, &Manifests::default())
    };
    let decision = by(CONTROLLER, "UPDATE", &aggregated(&rules), Some(&aggregated(&[])));
    assert_eq!((decision.verdict, decision.allowed), (Verdict::Warn, true));
    for (what, user, operation, new, old) in [
        ("a user", "jane", "UPDATE", aggregated(&rules), Some(aggregated(&[]))),
        (
            "another account",
            "system:serviceaccount:default:clusterrole-aggregation-controller",
            "UPDATE",
            aggregated(&rules),
            Some(aggregated(&[])),
        ),
        ("a creation", CONTROLLER, "CREATE", aggregated(&rules), None),
        (
            "without an aggregationRule",
            CONTROLLER,
            "UPDATE",
            role("ClusterRole", &rules),
            Some(role("ClusterRole", &[])),
        ),
        ("with a new one", CONTROLLER, "UPDATE", aggregated(&rules), Some(role("ClusterRole", &[]))),
        ("with a new label", CONTROLLER, "UPDATE", labelled(aggregated(&rules)), Some(aggregated(&[]))),
        ("a Role", CONTROLLER, "UPDATE", role("Role", &rules), Some(role("Role", &[]))),
    ] {
        assert!(!by(user, operation, &new, old.as_ref()).allowed, "{what}");
    }
    assert!(by("system:apiserver", "CREATE", &role("ClusterRole", &rules), None).allowed);
    let mut mine = role("ClusterRole", &rules);
    mine["metadata"] = json!({"name": "system:mine", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}});
    assert!(!by("jane", "CREATE", &mine, None).allowed, "no name and no label exempts");
}

#[test]
fn what_kubeadm_writes_needs_no_exception() {
    let text = std::fs::read_to_string(crate::golden::repository("tests/access/kubeadm.yaml")).expect("UTF-8");
    let objects = documents(&text);
    assert_eq!(objects.len(), 20);
    for object in objects {
        let mut review = review("CREATE", &object, None);
        review["request"]["namespace"] = object["metadata"]["namespace"].clone();
        let decision = judging::answer(&hardened(), &review, &Manifests::default());
        assert_eq!(decision.verdict, Verdict::Allow, "{}: {:?}", object["metadata"]["name"], decision.findings);
    }
}

/// The setting names who has which role, not a binding: a binding of the same name is nobody's.
#[test]
fn allow_is_by_subject_and_role() {
    let group = |name: &str| json!({"kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    let allowing = configured(
        "policies: {powerful-bindings: {mode: enforce, settings: {allow: [\
         {kind: Group, name: admins, roleRef: {kind: ClusterRole, name: cluster-admin}},\
         {kind: Group, name: 'system:authenticated', roleRef: {kind: ClusterRole, name: public}},\
         {kind: ServiceAccount, name: web, namespace: ops, roleRef: {kind: ClusterRole, name: cluster-admin}}]}}}\n",
    );
    let everybody = || [group("system:authenticated")];
    let mut in_a_namespace = binding("public", &everybody());
    in_a_namespace["kind"] = "RoleBinding".into();
    in_a_namespace["roleRef"]["kind"] = "Role".into();
    let account = |namespace: &str| json!({"kind": "ServiceAccount", "name": "web", "namespace": namespace});
    for (what, object, passes) in [
        ("listed", binding("cluster-admin", &[group("admins")]), true),
        ("listed, in its namespace", binding("cluster-admin", &[account("ops")]), true),
        ("in another", binding("cluster-admin", &[account("shop")]), false),
        ("another group", binding("cluster-admin", &[group("others")]), false),
        ("beside another", binding("cluster-admin", &[group("admins"), group("others")]), false),
        ("another kind", binding("cluster-admin", &[json!({"kind": "User", "name": "admins"})]), false),
        ("the default was replaced", binding("cluster-admin", &[group("kubeadm:cluster-admins")]), false),
        ("another role", binding("view", &[group("system:masters")]), false),
        ("everybody, for a listed role", binding("public", &everybody()), true),
        ("everybody, for another role", binding("view", &everybody()), false),
        ("everybody, for a Role of the same name", in_a_namespace, false),
    ] {
        assert_eq!(create(&allowing, &object).allowed, passes, "{what}");
    }
}

/// Spellings that are easily missed.
#[test]
fn a_wildcard_counts_as_what_it_stands_for() {
    let escalating = judging::only("escalating-roles");
    for (what, rule, verdict) in [
        ("every verb", rule(&["rbac.authorization.k8s.io"], &["roles"], &["*"], &[]), Verdict::Deny),
        ("every group", rule(&["*"], &["clusterroles"], &["bind"], &[]), Verdict::Deny),
        ("every token", rule(&[""], &["*/token"], &["create"], &[]), Verdict::Deny),
        ("every proxy", rule(&[""], &["*/proxy"], &["get"], &[]), Verdict::Deny),
        ("every secret", rule(&["*"], &["secrets"], &["watch"], &[]), Verdict::Warn),
        ("no name is every name", rule(&[""], &["secrets"], &["list"], &[""]), Verdict::Warn),
        ("scale of all", rule(&["*"], &["*/scale"], &["update"], &[]), Verdict::Allow),
        ("every verb on pods", rule(&[""], &["pods"], &["*"], &[]), Verdict::Allow),
        ("no verb", rule(&[""], &["nodes/proxy"], &[], &[]), Verdict::Allow),
        ("another case", rule(&[""], &["Nodes/Proxy"], &["GET"], &[]), Verdict::Allow),
        ("null", json!({"apiGroups": null, "resources": null, "verbs": null, "resourceNames": null}), Verdict::Allow),
    ] {
        // Of userextras every subresource is a field.
        let decision = create(&escalating, &role("ClusterRole", std::slice::from_ref(&rule)));
        assert_eq!(decision.verdict, verdict, "{what}: {:?}", decision.findings);
    }
}

#[test]
fn an_open_network_policy_stays_open_for_the_pods_that_it_selected_alone() {
    let policy = |selector: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
            "spec": {"podSelector": selector, "policyTypes": ["Egress"], "egress": [{}]},
        })
    };
    let open = judging::only("open-egress");
    let old = policy(json!({"matchLabels": {"app": "web"}}));
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    assert!(update(&open, &labelled, &old).allowed);
    assert!(!update(&open, &policy(json!({})), &old).allowed);
}
