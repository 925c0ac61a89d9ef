//! Security contexts: of a pod, and of a container.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Taste, absent, lists, object, rarely, texts};

/// The sysctls that are safe since some version, from 1.0 on, and those that never are.
const SAFE: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];

/// Capabilities that runtimes grant by default.
const GRANTED: [&str; 12] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn non_root(taste: Taste, good: Vec<Value>) -> BoxedStrategy<Value> {
    taste.of(good, vec![json!(false), Value::Null, absent()], vec![])
}

fn user(taste: Taste) -> BoxedStrategy<Value> {
    taste.perhaps(vec![json!(1000), json!(1), json!(65534)], vec![json!(0)], vec![json!(-1)])
}

fn profile(taste: Taste, good: Vec<Value>) -> BoxedStrategy<Value> {
    let odd = [
        json!({}),
        json!({"type": null}),
        json!({"type": ""}),
        json!({"type": "runtimedefault"}),
        json!({"type": "runtime/default"}),
        json!({"type": "Localhost"}),
        json!({"type": "RuntimeDefault", "localhostProfile": "p.json"}),
        json!({"type": "Localhost "}),
    ];
    taste.of(good, vec![json!({"type": "Unconfined"}), absent(), Value::Null], odd.to_vec())
}

fn profiles() -> [Value; 2] {
    [json!({"type": "RuntimeDefault"}), json!({"type": "Localhost", "localhostProfile": "p.json"})]
}

fn app_armor(taste: Taste) -> BoxedStrategy<Value> {
    profile(taste, [vec![absent(), absent(), absent(), Value::Null], profiles().to_vec()].concat())
}

fn se_linux(taste: Taste) -> BoxedStrategy<Value> {
    let kind = taste.perhaps(
        texts(&["container_t", "container_init_t", "container_kvm_t", ""]),
        texts(&["container_engine_t", "spc_t"]),
        texts(&["Container_t", "container_t ", "container_"]),
    );
    let name = || taste.perhaps(texts(&[""]), texts(&["system_u"]), vec![]);
    let level = taste.perhaps(texts(&["s0:c1,c2", ""]), vec![], vec![]);
    let whole = (kind, name(), name(), level).prop_map(|(kind, user, role, level)| {
        object([("type", kind), ("user", user), ("role", role), ("level", level)])
    });
    prop_oneof![3 => Just(absent()), 1 => Just(Value::Null), 4 => whole].boxed()
}

fn windows(taste: Taste) -> BoxedStrategy<Value> {
    let process = taste.perhaps(vec![json!(false)], vec![json!(true)], vec![]);
    let user = taste.perhaps(texts(&["ContainerUser"]), texts(&["ContainerAdministrator"]), texts(&[""]));
    let whole = (process, user).prop_map(|(process, user)| object([("hostProcess", process), ("runAsUserName", user)]));
    prop_oneof![8 => Just(absent()), 1 => Just(Value::Null), 3 => whole].boxed()
}

fn sysctls(taste: Taste) -> BoxedStrategy<Value> {
    let unsafe_ones = ["kernel.msgmax", "net.core.somaxconn", "fs.mqueue.msg_max", "net.ipv4.tcp_mem"];
    let odd = ["", "net/ipv4/tcp_syncookies", "NET.ipv4.tcp_syncookies", "net.ipv4.tcp_syncookies ", "net.ipv4.*"];
    let name = taste.of(texts(&SAFE), texts(&unsafe_ones), [texts(&odd), vec![Value::Null, absent()]].concat());
    let sysctl = name.prop_map(|name| object([("name", name), ("value", json!("1"))]));
    let list = prop::collection::vec(sysctl, 0..4).prop_map(Value::from);
    prop_oneof![3 => Just(absent()), 1 => Just(Value::Null), 3 => list].boxed()
}

fn capabilities(taste: Taste) -> BoxedStrategy<Value> {
    let drop = taste.of(
        vec![json!(["ALL"]), json!(["NET_RAW", "ALL"]), json!(["ALL", "ALL"])],
        [lists(&["NET_RAW", "all", "All", "CAP_ALL", "ALL ", ""]), vec![absent(), Value::Null, json!([])]].concat(),
        vec![],
    );
    let few = ["NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "chown", "CAP_CHOWN", "CAP_NET_BIND_SERVICE", "ALL", ""];
    let few = [lists(&few), lists(&["net_bind_service"]), vec![json!(["NET_BIND_SERVICE", "SYS_TIME"])]].concat();
    let add = taste.perhaps(vec![json!([]), json!(["NET_BIND_SERVICE"])], [lists(&GRANTED), few].concat(), vec![]);
    let whole = (drop, add).prop_map(|(drop, add)| object([("drop", drop), ("add", add)])).boxed();
    let none = taste.of(vec![json!({"drop": ["ALL"]})], vec![absent(), Value::Null, json!({})], vec![]);
    prop_oneof![4 => whole, 1 => none].boxed()
}

fn privileged(taste: Taste) -> BoxedStrategy<Value> {
    taste.perhaps(vec![json!(false)], vec![json!(true)], vec![])
}

fn escalation(taste: Taste) -> BoxedStrategy<Value> {
    taste.of(vec![json!(false)], vec![absent(), Value::Null, json!(true)], vec![])
}

fn proc_mount(taste: Taste) -> BoxedStrategy<Value> {
    taste.perhaps(texts(&["Default"]), texts(&["Unmasked"]), texts(&["", "default", "unmasked", "Masked"]))
}

/// Without anything, or `null`.
fn nothing(taste: Taste) -> BoxedStrategy<Value> {
    taste.of(vec![json!({})], vec![absent(), Value::Null], vec![])
}

/// `spec.securityContext`. Fields that only containers have are odd here, and mean nothing.
pub(super) fn of_pod(taste: Taste) -> BoxedStrategy<Value> {
    let strays = if taste.is_sound() {
        Just((absent(), absent(), absent(), absent())).boxed()
    } else {
        let rarely = |what| rarely(8, what);
        let capabilities = rarely(capabilities(taste));
        (rarely(privileged(taste)), rarely(escalation(taste)), rarely(proc_mount(taste)), capabilities).boxed()
    };
    let known = (
        non_root(taste, vec![json!(true)]),
        user(taste),
        profile(taste, profiles().to_vec()),
        app_armor(taste),
        se_linux(taste),
        windows(taste),
        sysctls(taste),
    );
    let whole = (known, strays).prop_map(|(known, strays)| {
        let (non_root, user, seccomp, armor, labels, windows, sysctls) = known;
        let (privileged, escalation, proc_mount, capabilities) = strays;
        object([
            ("runAsNonRoot", non_root),
            ("runAsUser", user),
            ("seccompProfile", seccomp),
            ("appArmorProfile", armor),
            ("seLinuxOptions", labels),
            ("windowsOptions", windows),
            ("sysctls", sysctls),
            ("privileged", privileged),
            ("allowPrivilegeEscalation", escalation),
            ("procMount", proc_mount),
            ("capabilities", capabilities),
        ])
    });
    prop_oneof![12 => whole, 1 => nothing(taste)].boxed()
}

/// `securityContext` of a container. `sysctls` are of pods alone, and mean nothing here.
pub(super) fn of_container(taste: Taste) -> BoxedStrategy<Value> {
    let sysctls = if taste.is_sound() { Just(absent()).boxed() } else { rarely(12, sysctls(taste)) };
    let inherits = vec![absent(), json!(true), Value::Null];
    let seccomp = [vec![absent(), Value::Null], profiles().to_vec()].concat();
    let shared = (
        non_root(taste, inherits),
        user(taste),
        profile(taste, seccomp),
        app_armor(taste),
        se_linux(taste),
        windows(taste),
        sysctls,
    );
    let own = (
        escalation(taste),
        privileged(taste),
        capabilities(taste),
        proc_mount(taste),
        taste.perhaps(vec![json!(true), json!(false)], vec![], vec![]),
    );
    let whole = (own, shared).prop_map(|(own, shared)| {
        let (escalation, privileged, capabilities, proc_mount, read_only) = own;
        let (non_root, user, seccomp, armor, labels, windows, sysctls) = shared;
        object([
            ("allowPrivilegeEscalation", escalation),
            ("privileged", privileged),
            ("capabilities", capabilities),
            ("procMount", proc_mount),
            ("readOnlyRootFilesystem", read_only),
            ("runAsNonRoot", non_root),
            ("runAsUser", user),
            ("seccompProfile", seccomp),
            ("appArmorProfile", armor),
            ("seLinuxOptions", labels),
            ("windowsOptions", windows),
            ("sysctls", sysctls),
        ])
    });
    prop_oneof![20 => whole, 1 => nothing(taste)].boxed()
}
