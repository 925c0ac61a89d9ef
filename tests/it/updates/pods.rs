//! Updates of Pods: containers by list, name and image; the pod's own fields as they were.

use portcullis::decision::Verdict;
use serde_json::json;

use super::{all_inherited, container, create, found, none_inherited, pod, review, update};
use crate::judging::{self, configured};

const PINNED: &str = "web@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";

#[test]
fn an_old_violator_can_take_a_label_and_is_warned_of() {
    let snapshot = configured("profile: hardened\n");
    let old = pod(&[container("a", "web:1")]);
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"team": "pay"});
    let decision = update(&snapshot, &new, &old);
    assert!(decision.allowed && all_inherited(&decision), "{decision:?}");
    assert_eq!(decision.verdict, Verdict::Warn);
    assert_eq!(create(&snapshot, &new).verdict, Verdict::Deny, "a creation is judged whole");
}

#[test]
fn below_warn_what_was_inherited_is_recorded_only() {
    let old = pod(&[container("a", "web:1")]);
    let decision = update(&configured("profile: hardened\nceiling: audit\n"), &old, &old);
    assert_eq!((decision.verdict, decision.allowed), (Verdict::WouldDeny, true));
    assert!(all_inherited(&decision));
}

#[test]
fn a_new_image_is_judged_whole_and_its_neighbour_keeps_its_findings() {
    let snapshot = configured("profile: hardened\n");
    let old = pod(&[container("a", "web:1"), container("b", "web:1")]);
    let new = pod(&[container("a", "web:1"), container("b", "web:2")]);
    let decision = update(&snapshot, &new, &old);
    assert_eq!(
        found(&decision),
        [
            ("unpinned-images", "spec.containers[0].image".to_owned(), true),
            ("unpinned-images", "spec.containers[1].image".to_owned(), false),
            ("writable-root-filesystems", "spec.containers[0].securityContext.readOnlyRootFilesystem".to_owned(), true),
            (
                "writable-root-filesystems",
                "spec.containers[1].securityContext.readOnlyRootFilesystem".to_owned(),
                false
            ),
        ]
    );
    assert_eq!(decision.verdict, Verdict::Deny);
}

#[test]
fn a_new_image_that_is_pinned_still_answers_for_its_container() {
    let snapshot = configured("profile: hardened\n");
    let decision =
        update(&snapshot, &pod(&[container("a", PINNED)]), &pod(&[container("a", &PINNED.replace("web", "tool"))]));
    assert!(!decision.allowed && none_inherited(&decision), "{decision:?}");
    assert_eq!(decision.findings[0].meta.id, "writable-root-filesystems");
}

#[test]
fn a_new_container_is_judged_whole_whatever_its_list() {
    let snapshot = configured("profile: hardened\n");
    let old = pod(&[container("a", "web:1")]);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let mut new = old.clone();
        let containers = new["spec"].as_object_mut().expect("a spec").entry(list).or_insert(json!([]));
        containers.as_array_mut().expect("a list").push(container("b", "web:1"));
        let decision = update(&snapshot, &new, &old);
        let fresh = decision.findings.iter().filter(|finding| !finding.inherited).count();
        assert_eq!((decision.allowed, fresh, decision.findings.len()), (false, 2, 4), "{list}: {decision:?}");
    }
}

#[test]
fn a_container_of_another_list_is_another_container() {
    let snapshot = configured("profile: hardened\n");
    let mut old = pod(&[]);
    old["spec"]["initContainers"] = json!([container("a", "web:1")]);
    let decision = update(&snapshot, &pod(&[container("a", "web:1")]), &old);
    assert!(!decision.allowed && none_inherited(&decision), "{decision:?}");
}

#[test]
fn reordered_containers_still_inherit() {
    let snapshot = configured("profile: hardened\n");
    let old = pod(&[container("a", "web:1"), container("b", "tool:1")]);
    let new = pod(&[container("b", "tool:1"), container("a", "web:1")]);
    let decision = update(&snapshot, &new, &old);
    assert!(decision.allowed && all_inherited(&decision), "{decision:?}");
}

#[test]
fn a_new_finding_on_an_unchanged_container_is_new() {
    let snapshot = configured("profile: hardened\n");
    let old = pod(&[container("a", "web:1")]);
    let mut new = old.clone();
    new["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["SYS_TIME"]);
    let decision = update(&snapshot, &new, &old);
    let fresh: Vec<_> = found(&decision).into_iter().filter(|(_, _, inherited)| !inherited).collect();
    assert_eq!(
        fresh,
        [("undropped-capabilities", "spec.containers[0].securityContext.capabilities.add[0]".to_owned(), false)]
    );
    assert!(!decision.allowed);
}

#[test]
fn as_many_findings_are_inherited_as_there_were() {
    let snapshot = configured("profile: hardened\n");
    let with = |added: &[&str]| {
        let mut pod = pod(&[container("a", PINNED)]);
        pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
        pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(added);
        pod
    };
    let decision = update(&snapshot, &with(&["SYS_TIME", "SYS_TIME"]), &with(&["SYS_TIME"]));
    let inherited: Vec<bool> = decision.findings.iter().map(|finding| finding.inherited).collect();
    assert_eq!(inherited, [true, false]);
}

#[test]
fn a_finding_on_the_pod_is_inherited_only_if_the_old_pod_had_it() {
    let snapshot = configured("profile: hardened\n");
    let clean = {
        let mut pod = pod(&[container("a", PINNED)]);
        pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
        pod
    };
    let mut root = clean.clone();
    root["spec"]["securityContext"]["runAsUser"] = json!(0);
    assert!(all_inherited(&update(&snapshot, &root, &root)));
    let decision = update(&snapshot, &root, &clean);
    assert!(!decision.allowed && none_inherited(&decision));
    assert_eq!(found(&decision), [("root-users", "spec.securityContext.runAsUser".to_owned(), false)]);
}

#[test]
fn a_deletion_timestamp_is_no_reason_to_skip() {
    let snapshot = configured("profile: hardened\n");
    let mut old = pod(&[container("a", "web:1")]);
    old["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    old["metadata"]["finalizers"] = json!(["example.com/wait"]);
    let mut freed = old.clone();
    freed["metadata"]["finalizers"] = json!([]);
    assert!(update(&snapshot, &freed, &old).allowed, "an old violator can lose a finalizer");
    let mut changed = old.clone();
    changed["spec"]["containers"][0]["image"] = json!("web:2");
    assert!(!update(&snapshot, &changed, &old).allowed, "and still takes no new image");
}

#[test]
fn strict_updates_inherit_nothing_of_that_policy() {
    let snapshot = configured("profile: hardened\npolicies: {unpinned-images: {updates: strict}}\n");
    let old = pod(&[container("a", "web:1")]);
    let decision = update(&snapshot, &old, &old);
    assert_eq!(
        found(&decision),
        [
            ("unpinned-images", "spec.containers[0].image".to_owned(), false),
            ("writable-root-filesystems", "spec.containers[0].securityContext.readOnlyRootFilesystem".to_owned(), true),
        ]
    );
    assert_eq!(decision.verdict, Verdict::Deny);
}

#[test]
fn an_old_object_that_is_absent_or_unreadable_excuses_nothing() {
    let snapshot = configured("profile: hardened\n");
    let new = pod(&[container("a", "web:1")]);
    let mut broken = new.clone();
    broken["spec"]["containers"] = json!("web:1");
    for old in [None, Some(json!(null)), Some(json!([])), Some(broken)] {
        let review = review("UPDATE", &new, old.as_ref());
        let decision = judging::answer(&snapshot, &review, &portcullis::cluster::Manifests::default());
        assert!(!decision.allowed && none_inherited(&decision), "{old:?}: {decision:?}");
    }
}

#[test]
fn a_creation_has_no_past() {
    let snapshot = configured("profile: hardened\n");
    let new = pod(&[container("a", "web:1")]);
    let review = review("CREATE", &new, Some(&new));
    let decision = judging::answer(&snapshot, &review, &portcullis::cluster::Manifests::default());
    assert!(!decision.allowed && none_inherited(&decision));
}

#[test]
fn a_mounted_token_is_inherited() {
    let snapshot = configured("profile: hardened\n");
    let mut old = pod(&[container("a", PINNED)]);
    old["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
    let clean = old.clone();
    old["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    assert!(all_inherited(&update(&snapshot, &old, &old)));
    let decision = update(&snapshot, &old, &clean);
    assert!(!decision.allowed && none_inherited(&decision));
}

#[test]
fn subresources_that_can_change_a_pod_are_judged_and_the_others_are_not() {
    let snapshot = configured("profile: hardened\n");
    let old = pod(&[container("a", PINNED)]);
    let new = pod(&[container("a", "web:2")]);
    let decide = |subresource: &str| {
        let mut review = review("UPDATE", &new, Some(&old));
        review["request"]["subResource"] = json!(subresource);
        judging::answer(&snapshot, &review, &portcullis::cluster::Manifests::default())
    };
    for judged in ["", "ephemeralcontainers", "resize", "something-new"] {
        assert_eq!(decide(judged).verdict, Verdict::Deny, "{judged}");
    }
    for harmless in ["status", "scale", "binding", "eviction", "log", "finalize", "token"] {
        assert_eq!(decide(harmless).verdict, Verdict::Allow, "{harmless}");
    }
}

/// Findings past the bound are one, which stands for any of them: it is never what was there before.
#[test]
fn a_new_image_among_too_many_findings_is_judged_whole() {
    let snapshot = configured("policies: {undropped-capabilities: {mode: enforce}}\n");
    let many: Vec<String> = (0..200).map(|number| format!("CAP_{number}")).collect();
    let with = |image: &str| {
        let mut pod = pod(&[container("a", "web:1"), container("b", image)]);
        for position in 0..2 {
            pod["spec"]["containers"][position]["securityContext"] =
                json!({"capabilities": {"drop": ["ALL"], "add": many}});
        }
        pod
    };
    let decision = update(&snapshot, &with("web:2"), &with("web:1"));
    assert!(!decision.allowed, "{:?}", decision.findings.last());
    let last = decision.findings.last().expect("one for the rest");
    assert!(!last.inherited && last.message.starts_with("must be put right in "), "{last:?}");
}

#[test]
fn what_stands_for_many_findings_is_inherited_while_all_of_them_are() {
    let snapshot = configured("profile: hardened\n");
    let mut old = pod(&[container("a", PINNED)]);
    old["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
    let ports = |first: u32| (first..first + 1_101).map(|port| json!({"containerPort": port, "hostPort": port}));
    old["spec"]["containers"][0]["ports"] = ports(1).collect();
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"team": "pay"});
    new["metadata"]["annotations"] = json!({"team": "pay"});
    let decision = update(&snapshot, &new, &old);
    assert!(decision.allowed && all_inherited(&decision) && decision.findings.len() == 129, "{decision:?}");
    // As many, and not the same ones.
    new["spec"]["containers"][0]["ports"][1_100]["hostPort"] = json!(2_000);
    assert!(!update(&snapshot, &new, &old).allowed);

    // A policy that reads annotations wants them the same too.
    let mut old = pod(&[container("a", PINNED)]);
    old["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
    for number in 0..200 {
        let key = format!("container.apparmor.security.beta.kubernetes.io/{number:03}");
        old["metadata"]["annotations"][key] = json!("unconfined");
    }
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"team": "pay"});
    assert!(update(&snapshot, &new, &old).allowed);
    new["metadata"]["annotations"]["container.apparmor.security.beta.kubernetes.io/199"] = json!("other");
    assert!(!update(&snapshot, &new, &old).allowed);
}
