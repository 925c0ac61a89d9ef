//! The Pod Security Standards' own checks (`k8s.io/pod-security-admission/policy`, *restricted*), written again on the
//! API's types: what they refuse, the policies that carry them out refuse, and nothing else.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SecurityContext};
use portcullis::cluster::Manifests;
use portcullis::request::Source;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::judging::{self, only};

pub(super) fn contexts(spec: &PodSpec) -> Vec<Option<SecurityContext>> {
    let list =
        |containers: &[Container]| -> Vec<_> { containers.iter().map(|one| one.security_context.clone()).collect() };
    let mut all = list(spec.init_containers.as_deref().unwrap_or_default());
    all.extend(list(&spec.containers));
    all.extend(spec.ephemeral_containers.iter().flatten().map(|one| one.security_context.clone()));
    all
}

fn is_windows(spec: &PodSpec) -> bool {
    spec.os.as_ref().is_some_and(|os| os.name == "windows")
}

/// `check_runAsNonRoot.go` and `check_runAsUser.go`, 1.35.
fn allows_users(spec: &PodSpec) -> bool {
    if spec.host_users == Some(false) {
        return true;
    }
    let pod = spec.security_context.clone().unwrap_or_default();
    let contexts = contexts(spec);
    let says = |context: &Option<SecurityContext>| context.as_ref().and_then(|context| context.run_as_non_root);
    let user = |context: &Option<SecurityContext>| context.as_ref().and_then(|context| context.run_as_user);
    let explicit = pod.run_as_non_root == Some(false) || contexts.iter().any(|context| says(context) == Some(false));
    let implicit = pod.run_as_non_root != Some(true) && contexts.iter().any(|context| says(context).is_none());
    let zero = pod.run_as_user == Some(0) || contexts.iter().any(|context| user(context) == Some(0));
    !explicit && !implicit && !zero
}

/// `check_allowPrivilegeEscalation.go`, 1.25.
fn allows_escalation(spec: &PodSpec) -> bool {
    let forbids = |context: &SecurityContext| context.allow_privilege_escalation == Some(false);
    is_windows(spec) || contexts(spec).iter().all(|context| context.as_ref().is_some_and(forbids))
}

/// `check_capabilities_restricted.go`, 1.25.
fn allows_capabilities(spec: &PodSpec) -> bool {
    let restricted = |context: &Option<SecurityContext>| {
        let capabilities = context.as_ref().and_then(|context| context.capabilities.clone()).unwrap_or_default();
        capabilities.drop.unwrap_or_default().iter().any(|name| name == "ALL")
            && capabilities.add.unwrap_or_default().iter().all(|name| name == "NET_BIND_SERVICE")
    };
    is_windows(spec) || contexts(spec).iter().all(restricted)
}

/// `check_seccompProfile_restricted.go`, 1.25.
fn allows_seccomp(spec: &PodSpec) -> bool {
    if is_windows(spec) {
        return true;
    }
    let is_valid = |kind: &str| kind == "RuntimeDefault" || kind == "Localhost";
    let pod = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    let pod = pod.map(|profile| is_valid(&profile.type_));
    let each = contexts(spec).into_iter().map(|context| {
        let profile = context.and_then(|context| context.seccomp_profile);
        profile.map(|profile| is_valid(&profile.type_))
    });
    pod != Some(false) && each.into_iter().all(|own| own.or(pod) == Some(true))
}

pub(super) fn optional(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

/// A security context of the right types, good or bad.
pub(super) fn context() -> impl Strategy<Value = Value> {
    let flag = || optional(&[json!(null), json!(true), json!(false)]);
    let user = optional(&[json!(null), json!(0), json!(1000)]);
    let types = ["RuntimeDefault", "Localhost", "Unconfined", "", "runtimedefault"].map(|name| json!({"type": name}));
    let profile = prop_oneof![1 => Just(json!(null)), 2 => optional(&types)];
    let dropped =
        [json!(null), json!([]), json!(["ALL"]), json!(["all"]), json!(["NET_RAW", "ALL"]), json!(["NET_RAW"])];
    let added =
        [json!(null), json!([]), json!(["NET_BIND_SERVICE"]), json!(["SYS_ADMIN"]), json!(["NET_BIND_SERVICE", "x"])];
    let capabilities = prop_oneof![
        1 => Just(json!(null)),
        4 => (optional(&dropped), optional(&added)).prop_map(|(drop, add)| json!({"drop": drop, "add": add})),
    ];
    let rarely = |values: &[Value]| prop_oneof![6 => Just(json!(null)), 1 => optional(values)];
    let armour =
        rarely(&["RuntimeDefault", "Localhost", "Unconfined", "", "unconfined"].map(|name| json!({"type": name})));
    let linux = rarely(&[
        json!({}),
        json!({"type": "container_t", "level": "s0:c1"}),
        json!({"type": "container_engine_t"}),
        json!({"type": "spc_t"}),
        json!({"type": null, "user": "system_u"}),
        json!({"user": "", "role": "sysadm_r"}),
    ]);
    let mount = rarely(&[json!("Default"), json!("Unmasked"), json!("")]);
    let windows =
        rarely(&[json!({}), json!({"hostProcess": true}), json!({"hostProcess": false, "runAsUserName": "a"})]);
    let privileged = rarely(&[json!(true), json!(false)]);
    let restricted = (flag(), user, profile, flag(), capabilities);
    let whole = (restricted, (privileged, armour, linux, mount, windows)).prop_map(
        |((root, user, profile, escalation, capabilities), (privileged, armour, linux, mount, windows))| {
            json!({"runAsNonRoot": root, "runAsUser": user, "seccompProfile": profile,
            "allowPrivilegeEscalation": escalation, "capabilities": capabilities, "privileged": privileged,
            "appArmorProfile": armour, "seLinuxOptions": linux, "procMount": mount, "windowsOptions": windows})
        },
    );
    prop_oneof![1 => Just(json!(null)), 6 => whole]
}

fn containers(fewest: usize) -> impl Strategy<Value = Value> {
    let named =
        |(position, context): (usize, Value)| json!({"name": format!("c{position}"), "securityContext": context});
    prop::collection::vec(context(), fewest..3)
        .prop_map(move |contexts| contexts.into_iter().enumerate().map(named).collect::<Vec<_>>().into())
}

pub(super) fn pod() -> impl Strategy<Value = Value> {
    let os = optional(&[json!(null), json!(null), json!({"name": "windows"}), json!({"name": "linux"})]);
    let users = optional(&[json!(null), json!(null), json!(true), json!(false)]);
    (context(), containers(0), containers(1), containers(0), os, users).prop_map(
        |(context, init, regular, ephemeral, os, users)| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {
                "securityContext": context, "initContainers": init, "containers": regular,
                "ephemeralContainers": ephemeral, "os": os, "hostUsers": users,
            }})
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_policies_and_the_standards_agree(pod in pod()) {
        let spec = serde_json::from_value::<Pod>(pod.clone()).expect("a Pod").spec.expect("a spec");
        for (policy, is_allowed) in [
            ("root-users", allows_users(&spec)),
            ("privilege-escalation", allows_escalation(&spec)),
            ("undropped-capabilities", allows_capabilities(&spec)),
            ("missing-seccomp-profiles", allows_seccomp(&spec)),
        ] {
            let decision = judging::create(&only(policy), &pod, &Manifests::default(), Source::ApiServer);
            prop_assert_eq!(decision.expect("a Pod").allowed, is_allowed, "{}", policy);
        }
    }
}
