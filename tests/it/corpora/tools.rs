//! Other tools: where a check of theirs asks for what a policy asks for, the verdicts agree.

use std::collections::BTreeSet;

use super::{Corpora, Entry, HARDENED, Labelled, Row, check, rows};

/// Relation between a policy and a check.
#[derive(Clone, Copy, PartialEq)]
enum Relation {
    /// They ask for the same: what fails is found, and what passes is not.
    Same,
    /// The policy asks for more: what fails is found; what passes may be found too. Why.
    Stricter(&'static str),
}
use Relation::{Same, Stricter};

/// Source, check, policy, and how they stand. Checks that stand for several things at once (kyverno's `restricted`,
/// polaris' danger checks) are left to the labels of the Pod Security Standards, which take them apart; checks that
/// compare with values of their own (gatekeeper's greatest limits and its SELinux options) have no policy here.
const CHECKS: [(&str, &str, &str, Relation); 52] = [
    ("gatekeeper", "imagedigests/container-image-must-have-digest", "unpinned-images", Same),
    ("gatekeeper", "disallowedtags/disallowed-tags", "unpinned-images", Stricter("a tag other than latest passes")),
    ("gatekeeper", "allow-privilege-escalation/allow-privilege-escalation", "privilege-escalation", Same),
    ("gatekeeper", "automount-serviceaccount-token/automount-serviceaccount-token", "automounted-tokens", Same),
    ("gatekeeper", "seccomp/default-seccomp-required", "missing-seccomp-profiles", Same),
    ("gatekeeper", "users/users-and-groups-together", "root-users", Same),
    ("gatekeeper", "flexvolume-drivers/flexvolume-drivers", "volume-types", Stricter("listed drivers pass")),
    (
        "gatekeeper",
        "host-filesystem/host-filesystem",
        "host-paths",
        Stricter("paths below a listed one pass, read-only"),
    ),
    ("gatekeeper", "host-filesystem/no-host-paths", "host-paths", Same),
    ("gatekeeper", "host-network-ports/host-network-forbidden", "host-namespaces", Same),
    (
        "gatekeeper",
        "host-network-ports/port-range-with-host-network-allowed",
        "host-ports",
        Stricter("ports of a listed range pass"),
    ),
    ("gatekeeper", "host-network-ports/port-range-with-host-network-forbidden", "host-namespaces", Same),
    (
        "gatekeeper",
        "host-network-ports/port-range-with-host-network-forbidden",
        "host-ports",
        Stricter("ports of a listed range pass"),
    ),
    ("gatekeeper", "host-process/host-process-disallowed", "windows-host-process", Same),
    ("gatekeeper", "proc-mount/default-proc-mount-required", "proc-mounts", Same),
    ("gatekeeper", "volumes/host-path-disallowed", "host-paths", Same),
    ("kyverno", "disallow-latest-tag", "unpinned-images", Stricter("a tag other than latest passes")),
    ("kyverno", "require-image-checksum", "unpinned-images", Same),
    ("kyverno", "require-drop-all", "undropped-capabilities", Stricter("adding any capability passes")),
    (
        "kyverno",
        "disallow-capabilities",
        "undropped-capabilities",
        Stricter("the baseline control: nothing need be dropped"),
    ),
    ("kyverno", "restrict-adding-capabilities", "undropped-capabilities", Stricter("nothing need be dropped")),
    ("kyverno", "require-run-as-non-root-user", "root-users", Stricter("a pod that says nothing passes")),
    (
        "kyverno",
        "restrict-seccomp",
        "missing-seccomp-profiles",
        Stricter("the baseline control: a pod without profile passes"),
    ),
    ("kyverno", "restrict-automount-sa-token", "automounted-tokens", Same),
    ("kyverno", "disallow-capabilities", "added-capabilities", Same),
    ("kyverno", "disallow-cri-sock-mount", "host-paths", Stricter("paths other than the runtimes' sockets pass")),
    ("kyverno", "disallow-host-path", "host-paths", Same),
    ("kyverno", "disallow-host-ports-range", "host-ports", Stricter("ports of a listed range pass")),
    ("kyverno", "disallow-privileged-containers", "privileged-containers", Same),
    ("kyverno", "docker-socket-requires-label", "host-paths", Stricter("paths other than the socket pass")),
    ("kyverno", "limit-hostpath-vols", "host-paths", Stricter("a listed path passes")),
    ("kyverno", "restrict-seccomp", "seccomp-unconfined", Same),
    ("kyverno", "restrict-volume-types", "volume-types", Same),
    ("polaris", "notReadOnlyRootFilesystem", "writable-root-filesystems", Same),
    ("polaris", "runAsRootAllowed", "root-users", Same),
    (
        "polaris",
        "linuxHardening",
        "missing-seccomp-profiles",
        Stricter("AppArmor, SELinux or dropped capabilities do instead"),
    ),
    (
        "polaris",
        "linuxHardening",
        "undropped-capabilities",
        Stricter("AppArmor, SELinux or a seccomp profile do instead"),
    ),
    ("polaris", "hostNetworkSet", "host-namespaces", Same),
    ("polaris", "hostPathSet", "host-paths", Same),
    ("polaris", "hostProcess", "windows-host-process", Same),
    ("polaris", "procMount", "proc-mounts", Same),
    ("polaris", "cpuRequestsMissing", "unbounded-containers", Stricter("memory need not be named")),
    ("polaris", "memoryLimitsMissing", "unbounded-containers", Stricter("requests need not be named")),
    ("kube-linter", "run-as-non-root", "root-users", Same),
    ("kube-linter", "privilege-escalation-container", "privilege-escalation", Stricter("an absent field passes")),
    ("kube-linter", "drop-net-raw-capability", "undropped-capabilities", Stricter("only NET_RAW must not be added")),
    ("kube-linter", "default-service-account", "default-service-accounts", Same),
    ("kube-linter", "host-ipc", "host-namespaces", Same),
    ("kube-linter", "host-pid", "host-namespaces", Same),
    ("kube-linter", "sensitive-host-mounts", "host-paths", Stricter("paths that are not listed pass")),
    ("kube-linter", "unsafe-sysctls", "unsafe-sysctls", Same),
    ("kube-linter", "unset-memory-requirements", "unbounded-containers", Stricter("cpu need not be named")),
];

/// Known disagreements between policy and check: file, document, policy, and reason.
const DISAGREEMENTS: [(&str, usize, &str, &str); 16] = [
    (
        "gatekeeper/allow-privilege-escalation/allow-privilege-escalation/allowed/example_allowed_exempt.yaml",
        0,
        "privilege-escalation",
        "its image is exempt there; here no image is",
    ),
    (
        "gatekeeper/allow-privilege-escalation/allow-privilege-escalation/allowed/update.yaml",
        0,
        "privilege-escalation",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "gatekeeper/automount-serviceaccount-token/automount-serviceaccount-token/allowed/update.yaml",
        0,
        "automounted-tokens",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "gatekeeper/host-network-ports/port-range-with-host-network-forbidden/allowed/update.yaml",
        0,
        "host-namespaces",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "gatekeeper/host-process/host-process-disallowed/allowed/update.yaml",
        0,
        "windows-host-process",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "gatekeeper/proc-mount/default-proc-mount-required/allowed/example_allowed_exempt_image.yaml",
        0,
        "proc-mounts",
        "its image is exempt there; here no image is",
    ),
    (
        "gatekeeper/proc-mount/default-proc-mount-required/allowed/update.yaml",
        0,
        "proc-mounts",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "gatekeeper/seccomp/default-seccomp-required/allowed/example_allowed.yaml",
        0,
        "missing-seccomp-profiles",
        "an annotation, which Kubernetes reads no more since 1.27",
    ),
    (
        "gatekeeper/seccomp/default-seccomp-required/allowed/example_allowed2.yaml",
        0,
        "missing-seccomp-profiles",
        "an annotation, which Kubernetes reads no more since 1.27",
    ),
    (
        "gatekeeper/seccomp/default-seccomp-required/allowed/example_allowed_exempt_image.yaml",
        0,
        "missing-seccomp-profiles",
        "its image is exempt there; here no image is",
    ),
    (
        "gatekeeper/seccomp/default-seccomp-required/disallowed/example_disallowed_localhost.yaml",
        0,
        "missing-seccomp-profiles",
        "it allows one file of the node alone; the standards allow every Localhost profile",
    ),
    (
        "gatekeeper/users/users-and-groups-together/allowed/update.yaml",
        0,
        "root-users",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "gatekeeper/volumes/host-path-disallowed/allowed/update.yaml",
        0,
        "host-paths",
        "an update, which passes there; `check` judges creations",
    ),
    (
        "kyverno/restrict-automount-sa-token/chainsaw/pod-good.yaml",
        2,
        "automounted-tokens",
        "a label of the pod exempts it there; here no label does",
    ),
    (
        "kyverno/restrict-automount-sa-token/chainsaw/podcontroller-good.yaml",
        1,
        "automounted-tokens",
        "a label of the pod exempts it there; here no label does",
    ),
    (
        "polaris/runAsRootAllowed/failure.yaml",
        0,
        "root-users",
        "a Deployment of the core group: there is none, so nothing like it is stored",
    ),
];

const REVIEW: &str = "AdmissionReview";
/// The kinds that hold a pod.
const PODS: [&str; 10] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "DeploymentConfig",
    "Job",
    "Pod",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];

#[test]
fn verdicts_of_other_tools_agree_where_they_ask_for_the_same() {
    let Some(corpora) = Corpora::get() else { return };
    let (mut agreed, mut disagreed) = (0, BTreeSet::new());
    for (source, name, policy, relation) in CHECKS {
        let entries =
            corpora.entries.iter().filter(|entry| entry.source == source && entry.check.as_deref() == Some(name));
        let mut compared = 0;
        for (entry, labelled, row) in entries.flat_map(|entry| alone(corpora, entry, profile(policy))) {
            let is_pod = PODS.contains(&row.kind.as_str()) || row.kind == REVIEW;
            let fails = match labelled.expected.as_deref() {
                Some("fail") if is_pod => true,
                Some("pass") if is_pod => false,
                _ => continue,
            };
            compared += 1;
            let may_differ = !fails && matches!(relation, Stricter(_));
            if row.breaks(policy) == fails || may_differ {
                agreed += 1;
            } else {
                disagreed.insert((entry.file.as_str(), labelled.doc, policy));
            }
        }
        assert!(compared > 0, "{source} has no {name} any more");
    }
    let listed: BTreeSet<_> = DISAGREEMENTS.iter().map(|(file, doc, policy, _)| (*file, *doc, *policy)).collect();
    let unlisted: Vec<_> = disagreed.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&disagreed).collect();
    assert!(unlisted.is_empty(), "disagreements without a reason: {unlisted:#?}");
    assert!(stale.is_empty(), "disagreements that are none any more: {stale:#?}");
    println!("{agreed} verdicts agree, {} disagree for a listed reason", disagreed.len());
}

/// A file's objects, judged with nothing around them: ServiceAccounts of other files are of other clusters.
fn alone<'c>(corpora: &Corpora, entry: &'c Entry, profile: &str) -> Vec<(&'c Entry, &'c Labelled, Row)> {
    let judged = rows(&check(profile, &corpora.folder, &[&entry.file]).stdout).remove(&entry.file);
    let mut judged = judged.unwrap_or_default();
    assert_eq!(judged.len(), entry.objects.len(), "{}", entry.file);
    for (labelled, row) in entry.objects.iter().zip(&mut judged).filter(|(labelled, _)| labelled.kind == REVIEW) {
        *row = corpora.reviewed(profile, entry, labelled);
    }
    entry.objects.iter().zip(judged).map(|(labelled, row)| (entry, labelled, row)).collect()
}

/// The profile in which the policy speaks for itself.
fn profile(policy: &str) -> &'static str {
    match policy {
        // In `hardened` the restricted form of the control speaks for them.
        "added-capabilities" | "host-paths" | "seccomp-unconfined" => "pss-baseline",
        _ => HARDENED,
    }
}
