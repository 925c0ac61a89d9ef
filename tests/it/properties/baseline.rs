//! The Pod Security Standards' own checks (`k8s.io/pod-security-admission/policy`, *baseline*, and the volumes of
//! *restricted*, at 1.37), written again on the API's types: what they refuse, the policies refuse, and nothing else.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod, PodSpec, Probe, SecurityContext};
use portcullis::cluster::Manifests;
use portcullis::request::Source;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::oracle::{self, contexts, optional};
use crate::judging::{self, configured, only};

const SAFE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const ARMOUR: &str = "container.apparmor.security.beta.kubernetes.io/";
/// The lists of containers in a pod spec.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

fn containers(spec: &PodSpec) -> Vec<Container> {
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|one| Container {
        ports: one.ports.clone(),
        liveness_probe: one.liveness_probe.clone(),
        lifecycle: one.lifecycle.clone(),
        ..Container::default()
    });
    spec.init_containers.iter().flatten().chain(&spec.containers).cloned().chain(ephemeral).collect()
}

fn every_context(spec: &PodSpec, holds: impl Fn(&SecurityContext) -> bool) -> bool {
    contexts(spec).iter().flatten().all(holds)
}

/// `check_seLinuxOptions.go`, `check_appArmorProfile.go`, `check_seccompProfile_baseline.go`, `check_windowsHostProcess.go`:
/// the pod's own context counts as a container's does.
fn shared(spec: &PodSpec) -> Vec<SecurityContext> {
    let own = spec.security_context.clone().map(|own| SecurityContext {
        app_armor_profile: own.app_armor_profile,
        se_linux_options: own.se_linux_options,
        seccomp_profile: own.seccomp_profile,
        windows_options: own.windows_options,
        ..SecurityContext::default()
    });
    own.into_iter().chain(contexts(spec).into_iter().flatten()).collect()
}

fn is_filter(kind: &str) -> bool {
    kind == "RuntimeDefault" || kind == "Localhost"
}

fn allows_se_linux(spec: &PodSpec) -> bool {
    let types = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    shared(spec).into_iter().filter_map(|context| context.se_linux_options).all(|options| {
        let empty = |value: Option<String>| value.unwrap_or_default().is_empty();
        types.contains(&options.type_.unwrap_or_default().as_str()) && empty(options.user) && empty(options.role)
    })
}

fn allows_app_armor(pod: &Pod, spec: &PodSpec) -> bool {
    let annotated = pod.metadata.annotations.iter().flatten().filter(|(key, _)| key.starts_with(ARMOUR));
    let mut annotated = annotated.map(|(_, value)| value.as_str());
    let profiles = shared(spec).into_iter().filter_map(|context| context.app_armor_profile);
    annotated.all(|value| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
        && profiles.into_iter().all(|profile| is_filter(&profile.type_))
}

/// `check_hostProbesAndhostLifecycle.go`
fn allows_probes(spec: &PodSpec) -> bool {
    let of_probe = |probe: Option<Probe>| {
        let probe = probe.unwrap_or_default();
        [probe.http_get.and_then(|call| call.host), probe.tcp_socket.and_then(|call| call.host)]
    };
    let of_handler = |handler: Option<LifecycleHandler>| {
        let handler = handler.unwrap_or_default();
        [handler.http_get.and_then(|call| call.host), handler.tcp_socket.and_then(|call| call.host)]
    };
    containers(spec).into_iter().all(|container| {
        let lifecycle = container.lifecycle.unwrap_or_default();
        let called = [of_probe(container.liveness_probe), of_handler(lifecycle.pre_stop)];
        called.into_iter().flatten().flatten().all(|host| host.is_empty())
    })
}

/// `check_sysctls.go`, 1.37.
fn allows_sysctls(spec: &PodSpec) -> bool {
    let safe = ["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net.ipv4.tcp_notsent_lowat"];
    let sysctls = spec.security_context.iter().filter_map(|context| context.sysctls.as_ref()).flatten();
    sysctls.into_iter().all(|sysctl| safe.contains(&sysctl.name.as_str()))
}

/// Policy, and whether the standard's check allows the pod.
fn verdicts(pod: &Pod) -> Vec<(&'static str, bool)> {
    let spec = pod.spec.as_ref().expect("a spec");
    let is = |field: Option<bool>| field == Some(true);
    let added = |context: &SecurityContext| context.capabilities.clone().unwrap_or_default().add.unwrap_or_default();
    let mount = |context: &SecurityContext| context.proc_mount.as_ref().is_none_or(|mount| mount == "Default");
    let mut ports = containers(spec).into_iter().flat_map(|container| container.ports.unwrap_or_default());
    let volumes = || spec.volumes.iter().flatten();
    vec![
        ("privileged-containers", every_context(spec, |context| !is(context.privileged))),
        ("host-namespaces", ![spec.host_network, spec.host_pid, spec.host_ipc].into_iter().any(is)),
        ("host-paths", volumes().all(|volume| volume.host_path.is_none())),
        ("volume-types", volumes().all(|volume| volume.host_path.is_none() && volume.nfs.is_none())),
        ("host-ports", ports.all(|port| port.host_port.unwrap_or_default() == 0)),
        ("host-probes", allows_probes(spec)),
        (
            "added-capabilities",
            every_context(spec, |context| added(context).iter().all(|name| SAFE_CAPABILITIES.contains(&name.as_str()))),
        ),
        ("app-armor-overrides", allows_app_armor(pod, spec)),
        ("se-linux-options", allows_se_linux(spec)),
        ("proc-mounts", spec.host_users == Some(false) || every_context(spec, mount)),
        (
            "seccomp-unconfined",
            shared(spec).into_iter().filter_map(|one| one.seccomp_profile).all(|profile| is_filter(&profile.type_)),
        ),
        ("unsafe-sysctls", allows_sysctls(spec)),
        (
            "windows-host-process",
            !shared(spec).into_iter().filter_map(|one| one.windows_options).any(|options| is(options.host_process)),
        ),
    ]
}

/// A pod whose other fields are good or bad too.
fn pod() -> impl Strategy<Value = Value> {
    let flag = || optional(&[json!(null), json!(null), json!(null), json!(false), json!(true)]);
    let ports = optional(&[
        json!(null),
        json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}]),
        json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]),
    ]);
    let calls = || {
        optional(&[
            json!(null),
            json!({"httpGet": {"port": 80}, "tcpSocket": {"port": 80, "host": ""}}),
            json!({"tcpSocket": {"port": 80, "host": "10.0.0.1"}}),
            json!({"httpGet": {"port": 80, "host": "localhost"}}),
        ])
    };
    let sysctls = optional(&[
        json!(null),
        json!([]),
        json!([{"name": "net.ipv4.tcp_rmem", "value": "1"}, {"name": "net.ipv4.tcp_notsent_lowat", "value": "1"}]),
        json!([{"name": "kernel.shm_rmid_forced", "value": "1"}, {"name": "kernel.msgmax", "value": "1"}]),
    ]);
    let volumes = optional(&[
        json!(null),
        json!([{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": null, "secret": {"secretName": "b"}}]),
        json!([{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]),
        json!([{"name": "a", "nfs": {"server": "a", "path": "/"}}]),
    ]);
    let notes = optional(&[
        json!(null),
        json!({(format!("{ARMOUR}c0")): "localhost/a", (format!("{ARMOUR}nobody")): ""}),
        json!({(format!("{ARMOUR}nobody")): "unconfined"}),
        json!({"container.apparmor.security": "unconfined"}),
    ]);
    let of_containers = (ports, calls(), calls());
    (oracle::pod(), of_containers, (flag(), flag(), flag()), (sysctls, volumes, notes)).prop_map(
        |(mut pod, (ports, liveness, stop), (network, process, ipc), (sysctls, volumes, notes))| {
            pod["metadata"]["annotations"] = notes;
            let spec = &mut pod["spec"];
            if spec["securityContext"].is_object() {
                spec["securityContext"]["sysctls"] = sysctls;
            }
            for (field, value) in
                [("hostNetwork", network), ("hostPID", process), ("hostIPC", ipc), ("volumes", volumes)]
            {
                spec[field] = value;
            }
            // In the last container of one list.
            let last = LISTS.iter().rev().find(|list| spec[**list].as_array().is_some_and(|list| !list.is_empty()));
            let container = last.and_then(|list| spec[*list].as_array_mut()?.last_mut()).expect("one at least");
            container["ports"] = ports;
            container["livenessProbe"] = liveness;
            container["lifecycle"] = json!({"preStop": stop});
            pod
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_policies_and_the_standards_agree(pod in pod()) {
        let verdicts = verdicts(&serde_json::from_value::<Pod>(pod.clone()).expect("a Pod"));
        for (policy, is_allowed) in &verdicts {
            let decision = judging::create(&only(policy), &pod, &Manifests::default(), Source::ApiServer);
            prop_assert_eq!(decision.expect("a Pod").allowed, *is_allowed, "{}", policy);
        }
        let baseline = configured("profile: pss-baseline\n");
        let decision = judging::create(&baseline, &pod, &Manifests::default(), Source::ApiServer).expect("a Pod");
        let is_allowed = verdicts.iter().all(|(policy, is_allowed)| *policy == "volume-types" || *is_allowed);
        prop_assert_eq!(decision.allowed, is_allowed, "{:?}", decision.findings);
    }
}
