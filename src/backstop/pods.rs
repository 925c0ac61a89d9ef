//! The policies that the backstop knows, as CEL expressions over a Pod that is being created: the Pod Security Standards, and pinned
//! images. Each is true for every Pod that the policy admits.
//!
//! In an expression, `c` is a container of any list. An absent field reads as the API server understands it (`orValue`).

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ValidatingAdmissionPolicySpec, Validation, Variable,
};
use serde_json::Value;

use super::cel::{condition, is_in, list, literal, not_the_api_server};
use super::{Settings, allowed, everything, rule};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Meta, catalogue};
use crate::snapshot::Snapshot;

/// All containers: a Pod is created without ephemeral ones, and what holds for the others would hold for them.
const CONTAINERS: &str = "object.spec.containers + object.spec.?initContainers.orValue([])";
/// True for a Pod that the standards exempt from controls on Linux fields.
const IS_WINDOWS: &str = "object.spec.?os.?name.orValue(\"\") == \"windows\"";
/// A static Pod, which its own node shows to the API server. Anybody may write the annotation; the node alone has this name.
const NOT_A_MIRROR_POD: &str = "!(object.spec.?nodeName.orValue(\"\") != \"\" \
     && request.userInfo.username == \"system:node:\" + object.spec.?nodeName.orValue(\"\") \
     && \"system:nodes\" in request.userInfo.?groups.orValue([]) \
     && \"kubernetes.io/config.mirror\" in object.metadata.?annotations.orValue({}))";
/// A digest at the end of an image reference.
const DIGEST: &str = "@sha256:[0-9a-f]{64}$";

/// The expression of a policy with its metadata, in a version of the standards, with its settings; `None` if it finds nothing there.
type Expression = fn(&Meta, Version, Option<&Value>) -> Option<String>;

/// A policy that the backstop knows.
pub(super) struct Rule {
    /// Its id.
    pub(super) id: &'static str,
    pub(super) expression: Expression,
}

/// The policies that the backstop knows, in the order of the catalogue.
pub(super) const RULES: [Rule; 18] = [
    Rule { id: "unpinned-images", expression: |_, _, _| Some(pinned()) },
    Rule {
        id: "privileged-containers",
        expression: |_, _, _| Some(containers("!c.?securityContext.?privileged.orValue(false)")),
    },
    Rule {
        id: "host-namespaces",
        expression: |_, _, _| {
            let fields =
                ["hostNetwork", "hostPID", "hostIPC"].map(|field| format!("!object.spec.?{field}.orValue(false)"));
            Some(fields.join(" && "))
        },
    },
    Rule { id: "host-paths", expression: |_, _, _| Some(volumes("!has(v.hostPath)")) },
    Rule {
        id: "host-ports",
        expression: |_, _, _| Some(containers("c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)")),
    },
    Rule { id: "host-probes", expression: |meta, version, _| begun(meta, version).then(own_hosts) },
    Rule {
        id: "added-capabilities",
        expression: |meta, version, _| {
            let granted = values(meta, "spec.containers[*].securityContext.capabilities.add", version);
            Some(containers(&format!("c.?securityContext.?capabilities.?add.orValue([]).all(x, x in {granted})")))
        },
    },
    Rule { id: "app-armor-overrides", expression: |meta, version, _| Some(app_armor(meta, version)) },
    Rule { id: "se-linux-options", expression: |meta, version, _| Some(se_linux(meta, version)) },
    Rule { id: "proc-mounts", expression: |meta, version, settings| Some(proc_mounts(meta, version, settings)) },
    Rule {
        id: "seccomp-unconfined",
        expression: |meta, version, _| begun(meta, version).then(|| seccomp_profiles(meta, version)),
    },
    Rule {
        id: "unsafe-sysctls",
        expression: |meta, version, _| {
            let safe = values(meta, "spec.securityContext.sysctls[*].name", version);
            Some(format!("object.spec.?securityContext.?sysctls.orValue([]).all(s, s.name in {safe})"))
        },
    },
    Rule {
        id: "windows-host-process",
        expression: |_, _, _| Some(contexts("!CONTEXT.?windowsOptions.?hostProcess.orValue(false)")),
    },
    Rule {
        id: "volume-types",
        expression: |meta, version, _| {
            let known = names(meta, "spec.volumes[*]", version);
            let sources: Vec<String> = known.into_iter().map(|name| format!("has(v.{name})")).collect();
            Some(volumes(&sources.join(" || ")))
        },
    },
    Rule {
        id: "privilege-escalation",
        expression: |meta, version, _| {
            let expression = containers("!c.?securityContext.?allowPrivilegeEscalation.orValue(true)");
            begun(meta, version).then(|| but_windows(version, &expression))
        },
    },
    Rule { id: "root-users", expression: |meta, version, _| Some(other_users(meta, version)) },
    Rule {
        id: "missing-seccomp-profiles",
        expression: |meta, version, _| {
            let profiles = values(meta, "spec.securityContext.seccompProfile.type", version);
            let of_pod = "object.spec.?securityContext.?seccompProfile.?type";
            let each = containers(&format!(
                "c.?securityContext.?seccompProfile.?type.orValue({of_pod}.orValue(\"\")) in {profiles}"
            ));
            let expression = format!("{of_pod}.orValue(\"RuntimeDefault\") in {profiles} && {each}");
            begun(meta, version).then(|| but_windows(version, &expression))
        },
    },
    Rule {
        id: "undropped-capabilities",
        expression: |meta, version, _| {
            let may_add = values(meta, "spec.containers[*].securityContext.capabilities.add", version);
            let list = "c.?securityContext.?capabilities";
            let expression = containers(&format!(
                "\"ALL\" in {list}.?drop.orValue([]) && {list}.?add.orValue([]).all(x, x in {may_add})"
            ));
            begun(meta, version).then(|| but_windows(version, &expression))
        },
    },
];

/// The policy on the creation of Pods.
pub(super) fn spec(
    snapshot: &Snapshot,
    settings: &Settings,
    validations: Vec<Validation>,
) -> ValidatingAdmissionPolicySpec {
    let groups = [settings.groups.as_slice(), snapshot.break_glass()].concat();
    let constraints =
        MatchResources { resource_rules: Some(vec![rule("", &["pods"], &["CREATE"], "Namespaced")]), ..everything() };
    let variable = |name: &str, expression: &str| Variable { name: name.to_owned(), expression: expression.to_owned() };
    ValidatingAdmissionPolicySpec {
        failure_policy: Some("Fail".to_owned()),
        match_constraints: Some(constraints),
        match_conditions: Some(vec![
            not_the_api_server(),
            condition("not-a-mirror-pod", NOT_A_MIRROR_POD),
            condition("not-an-allowed-group", format!("!{}", is_in(&allowed(&groups)))),
        ]),
        variables: Some(vec![variable("containers", CONTAINERS), variable("isWindows", IS_WINDOWS)]),
        validations: Some(validations),
        ..ValidatingAdmissionPolicySpec::default()
    }
}

/// A policy with its expression, and the message of a refusal.
pub(super) fn validation(rule: &Rule, expression: String) -> Validation {
    let meta = catalogue::find(rule.id).map(|entry| entry.meta);
    let said = meta.map(|meta| format!("{}: {} is refused; {}", rule.id, meta.title, meta.fix)).unwrap_or_default();
    let message = format!("{said} (the backstop of Portcullis, which knows no exception: deploy/break-glass.md)");
    Validation { expression, message: Some(message), reason: Some("Forbidden".to_owned()), ..Validation::default() }
}

/// An expression that is true if `of_one` is true for every container `c`.
fn containers(of_one: &str) -> String {
    format!("variables.containers.all(c, {of_one})")
}

/// An expression that is true if `of_one` is true for every volume `v`.
fn volumes(of_one: &str) -> String {
    format!("object.spec.?volumes.orValue([]).all(v, {of_one})")
}

/// An expression that is true if `of_one` is true for the security context of the pod and for that of every container. The word
/// `CONTEXT` in it stands for the security context.
fn contexts(of_one: &str) -> String {
    let of_pod = of_one.replace("CONTEXT", "object.spec.?securityContext");
    format!("{of_pod} && {}", containers(&of_one.replace("CONTEXT", "c.?securityContext")))
}

/// The expression, or true for a Pod for Windows, from the version on that exempts such Pods.
fn but_windows(version: Version, expression: &str) -> String {
    let is_exempt = Change::EXEMPTS_WINDOWS.holds(version);
    if is_exempt { format!("variables.isWindows || ({expression})") } else { expression.to_owned() }
}

/// True if the first change of a policy holds: that it began, or that it judges fields.
fn begun(meta: &Meta, version: Version) -> bool {
    meta.changes.first().is_some_and(|change| change.holds(version))
}

/// True if the last change of a policy holds: that it exempts user namespaces.
fn exempts_user_namespaces(meta: &Meta, version: Version) -> bool {
    meta.changes.last().is_some_and(|change| change.holds(version))
}

/// The values that a policy allows in a field, as it documents them.
fn names(meta: &Meta, path: &str, version: Version) -> Vec<&'static str> {
    let fields = meta.fields.iter().filter(|fields| fields.paths().any(|known| known == path));
    let allowed = fields.flat_map(|fields| fields.allowed);
    let named = allowed.filter_map(|allowed| match allowed {
        Allowed::Value(value) => Some(*value),
        Allowed::Since(minor, value) if version.is_since(*minor) => Some(*value),
        _ => None,
    });
    named.collect()
}

/// The same as a list in CEL.
fn values(meta: &Meta, path: &str, version: Version) -> String {
    list(names(meta, path, version))
}

fn pinned() -> String {
    let of_volumes =
        volumes(&format!("!has(v.image) || v.image.?reference.orValue(\"\").matches({})", literal(DIGEST)));
    format!("{} && {of_volumes}", containers(&format!("c.?image.orValue(\"\").matches({})", literal(DIGEST))))
}

/// No probe and no lifecycle handler names a host.
fn own_hosts() -> String {
    let handlers = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.?postStart", "lifecycle.?preStop"];
    let hosts = handlers.iter().flat_map(|handler| {
        ["httpGet", "tcpSocket"].map(|call| format!("c.?{handler}.?{call}.?host.orValue(\"\") == \"\""))
    });
    containers(&hosts.collect::<Vec<_>>().join(" && "))
}

fn app_armor(meta: &Meta, version: Version) -> String {
    let prefix = literal("container.apparmor.security.beta.kubernetes.io/");
    let profiles = values(meta, "spec.securityContext.appArmorProfile.type", version);
    let kept = values(meta, "metadata.annotations[container.apparmor.security.beta.kubernetes.io/*]", version);
    let fields = contexts(&format!("CONTEXT.?appArmorProfile.?type.orValue(\"RuntimeDefault\") in {profiles}"));
    format!(
        "{fields} && object.metadata.?annotations.orValue({{}}).all(k, !k.startsWith({prefix}) \
         || object.metadata.annotations[k] in {kept} || object.metadata.annotations[k].startsWith(\"localhost/\"))"
    )
}

fn se_linux(meta: &Meta, version: Version) -> String {
    let kinds = values(meta, "spec.securityContext.seLinuxOptions.type", version);
    contexts(&format!(
        "CONTEXT.?seLinuxOptions.?type.orValue(\"\") in {kinds} && CONTEXT.?seLinuxOptions.?user.orValue(\"\") == \"\" \
         && CONTEXT.?seLinuxOptions.?role.orValue(\"\") == \"\""
    ))
}

fn proc_mounts(meta: &Meta, version: Version, settings: Option<&Value>) -> String {
    let is_restricted =
        settings.and_then(|settings| settings.get("level")).and_then(Value::as_str) == Some("restricted");
    let expression = containers("c.?securityContext.?procMount.orValue(\"Default\") == \"Default\"");
    if is_restricted || !exempts_user_namespaces(meta, version) {
        return expression;
    }
    format!("!object.spec.?hostUsers.orValue(true) || {expression}")
}

fn seccomp_profiles(meta: &Meta, version: Version) -> String {
    let profiles = values(meta, "spec.securityContext.seccompProfile.type", version);
    contexts(&format!("CONTEXT.?seccompProfile.?type.orValue(\"RuntimeDefault\") in {profiles}"))
}

fn other_users(meta: &Meta, version: Version) -> String {
    let of_pod = "object.spec.?securityContext.?runAsNonRoot";
    let each = containers(&format!("c.?securityContext.?runAsNonRoot.orValue({of_pod}.orValue(false))"));
    let mut expression = format!("{of_pod}.orValue(true) && {each}");
    if begun(meta, version) {
        expression = format!("{expression} && {}", contexts("CONTEXT.?runAsUser.orValue(1) != 0"));
    }
    if exempts_user_namespaces(meta, version) {
        return format!("!object.spec.?hostUsers.orValue(true) || ({expression})");
    }
    expression
}
