//! Policies on what a pod may do to its node.

pub(super) mod added_capabilities;
pub(super) mod app_armor_overrides;
pub(super) mod host_namespaces;
pub(super) mod host_paths;
pub(super) mod host_ports;
pub(super) mod host_probes;
pub(super) mod missing_seccomp_profiles;
pub(super) mod missing_user_namespaces;
pub(super) mod privilege_escalation;
pub(super) mod privileged_containers;
pub(super) mod proc_mounts;
pub(super) mod root_users;
pub(super) mod se_linux_options;
pub(super) mod seccomp_unconfined;
pub(super) mod unbounded_containers;
pub(super) mod undropped_capabilities;
pub(super) mod unsafe_sysctls;
pub(super) mod volume_types;
pub(super) mod windows_host_process;
pub(super) mod writable_root_filesystems;
