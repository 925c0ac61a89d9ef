//! Policies on what a pod may do to its node.

pub(super) mod missing_seccomp_profiles;
pub(super) mod privilege_escalation;
pub(super) mod root_users;
pub(super) mod undropped_capabilities;
pub(super) mod writable_root_filesystems;
