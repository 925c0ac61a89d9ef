//! The controls of Kubernetes' evaluator, and the policies that are they.

use std::collections::BTreeSet;

use portcullis::decision::Decision;

use super::Level;

/// A check of `policy/check_*.go`.
pub(crate) struct Control {
    /// Its `CheckID`.
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    /// Its `ForbiddenReason`, or the beginning of it.
    pub(crate) reason: &'static str,
    pub(crate) policy: &'static str,
    /// Which check is asked in its place at `restricted`, and since which minor version.
    overridden: Option<(&'static str, usize)>,
}

const fn control(id: &'static str, level: Level, reason: &'static str, policy: &'static str) -> Control {
    Control { id, level, reason, policy, overridden: None }
}

const fn overridden(
    id: &'static str,
    reason: &'static str,
    policy: &'static str,
    by: &'static str,
    since: usize,
) -> Control {
    Control { id, level: Level::Baseline, reason, policy, overridden: Some((by, since)) }
}

/// Every check. The `OverrideCheckIDs` of the restricted ones stand with those that they replace.
pub(crate) const CONTROLS: [Control; 19] = [
    control("appArmorProfile", Level::Baseline, "forbidden AppArmor profile", "app-armor-overrides"),
    overridden(
        "capabilities_baseline",
        "non-default capabilities",
        "added-capabilities",
        "capabilities_restricted",
        22,
    ),
    control("hostNamespaces", Level::Baseline, "host namespaces", "host-namespaces"),
    overridden("hostPathVolumes", "hostPath volumes", "host-paths", "restrictedVolumes", 0),
    control("hostPorts", Level::Baseline, "hostPort", "host-ports"),
    control("hostProbesAndHostLifecycle", Level::Baseline, "probe or lifecycle host", "host-probes"),
    control("privileged", Level::Baseline, "privileged", "privileged-containers"),
    overridden("procMount", "procMount", "proc-mounts", "procMount_restricted", 35),
    control("seLinuxOptions", Level::Baseline, "seLinuxOptions", "se-linux-options"),
    overridden("seccompProfile_baseline", "seccompProfile", "seccomp-unconfined", "seccompProfile_restricted", 19),
    control("sysctls", Level::Baseline, "forbidden sysctls", "unsafe-sysctls"),
    control("windowsHostProcess", Level::Baseline, "hostProcess", "windows-host-process"),
    control("allowPrivilegeEscalation", Level::Restricted, "allowPrivilegeEscalation != false", "privilege-escalation"),
    control("capabilities_restricted", Level::Restricted, "unrestricted capabilities", "undropped-capabilities"),
    control("procMount_restricted", Level::Restricted, "procMount", "proc-mounts"),
    control("restrictedVolumes", Level::Restricted, "restricted volume types", "volume-types"),
    control("runAsNonRoot", Level::Restricted, "runAsNonRoot != true", "root-users"),
    control("runAsUser", Level::Restricted, "runAsUser=0", "root-users"),
    control("seccompProfile_restricted", Level::Restricted, "seccompProfile", "missing-seccomp-profiles"),
];

impl Control {
    /// The check that is asked at that level and version for what this one forbids; `None` where nobody asks.
    pub(crate) fn asked(&'static self, level: Level, minor: usize) -> Option<&'static Self> {
        match self.overridden {
            _ if self.level > level => None,
            Some((by, since)) if level == Level::Restricted && minor >= since => {
                CONTROLS.iter().find(|control| control.id == by)
            }
            _ => Some(self),
        }
    }
}

/// The checks that are asked at a level and version.
fn all_asked(level: Level, minor: usize) -> impl Iterator<Item = &'static Control> {
    CONTROLS.iter().filter(move |control| control.asked(level, minor).is_some_and(|asked| asked.id == control.id))
}

/// Stands for what is no check of that level and version; nobody agrees with it.
const UNKNOWN: [&str; 2] = ["what the evaluator says otherwise", "what the policies find besides"];

/// The checks that failed, by what the evaluator says: `…violates PodSecurity "LEVEL:VERSION": REASON (DETAIL), REASON`.
pub(super) fn theirs(message: &str, level: Level, minor: usize) -> BTreeSet<&'static str> {
    let head = format!("PodSecurity \"{level}:v1.{minor}\": ");
    let Some((_, reasons)) = message.split_once(&head) else { return BTreeSet::from([UNKNOWN[0]]) };
    let check = |reason: &str| {
        let is_it = |control: &&Control| reason == control.reason || reason.strip_suffix('s') == Some(control.reason);
        all_asked(level, minor).find(is_it).map_or(UNKNOWN[0], |control| control.id)
    };
    outside(reasons).split(", ").map(|reason| check(reason.trim_end())).collect()
}

/// The text outside parentheses. No name or value of a generated pod contains one.
fn outside(text: &str) -> String {
    let mut depth = 0;
    let mut kept = String::new();
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            letter if depth == 0 => kept.push(letter),
            _ => {}
        }
    }
    kept
}

/// The same, by the findings of the policies.
pub(super) fn ours(decision: &Decision, level: Level, minor: usize) -> BTreeSet<&'static str> {
    let check = |policy: &str, path: &str| {
        // One policy is two checks, of different fields.
        let is_user = path.ends_with("runAsUser");
        let of_field = |control: &&Control| policy != "root-users" || (control.id == "runAsUser") == is_user;
        let control = all_asked(level, minor).filter(|control| control.policy == policy).find(of_field);
        control.map_or(UNKNOWN[1], |control| control.id)
    };
    decision.findings.iter().map(|finding| check(finding.meta.id, &finding.place.shown())).collect()
}

/// The policy that is a check.
pub(super) fn policy_of(id: &str) -> &'static str {
    CONTROLS.iter().find(|control| control.id == id).expect(id).policy
}
