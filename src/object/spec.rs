//! The fields of a pod spec that policies read, as they stand in the request's bytes. Only [`super::pod`] and
//! [`super::container`] read these structs: containers are reached one way.

use serde::Deserialize;

use super::mapping;
use super::quantity::Quantities;
use super::text::{Text, TextMap};
use super::volume::Volume;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) init_containers: Option<Vec<ContainerSpec<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) containers: Option<Vec<ContainerSpec<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) ephemeral_containers: Option<Vec<ContainerSpec<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) volumes: Option<Vec<Volume<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) security_context: Option<SecurityContext<'a>>,
    #[serde(borrow)]
    pub(super) service_account_name: Option<Text<'a>>,
    /// The deprecated alias of `serviceAccountName`, which counts only where that is empty.
    #[serde(borrow)]
    pub(super) service_account: Option<Text<'a>>,
    pub(super) automount_service_account_token: Option<bool>,
    #[serde(borrow)]
    pub(super) node_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) node_selector: Option<TextMap<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) os: Option<Os<'a>>,
    pub(super) host_users: Option<bool>,
    pub(super) host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    pub(super) host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    pub(super) host_ipc: Option<bool>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) resources: Option<Resources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Os<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerSpec<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) image: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) security_context: Option<SecurityContext<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) volume_mounts: Option<Vec<VolumeMount<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) volume_devices: Option<Vec<VolumeDevice<'a>>>,
    #[serde(deserialize_with = "mapping::list")]
    pub(super) ports: Option<Vec<Port>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) liveness_probe: Option<Handler<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) readiness_probe: Option<Handler<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) startup_probe: Option<Handler<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) lifecycle: Option<Lifecycle<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) resources: Option<Resources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) host_port: Option<i64>,
}

/// A probe or a lifecycle handler: both name what is called in the same way.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Handler<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) http_get: Option<Called<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) tcp_socket: Option<Called<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Called<'a> {
    #[serde(borrow)]
    pub(super) host: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Lifecycle<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) post_start: Option<Handler<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) pre_stop: Option<Handler<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources<'a> {
    #[serde(borrow)]
    pub(super) requests: Option<Quantities<'a>>,
    #[serde(borrow)]
    pub(super) limits: Option<Quantities<'a>>,
}

/// The security contexts of pod and container share these names and types; each has fields that the other lacks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SecurityContext<'a> {
    pub(super) run_as_non_root: Option<bool>,
    pub(super) run_as_user: Option<i64>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) seccomp_profile: Option<Profile<'a>>,
    pub(super) privileged: Option<bool>,
    pub(super) allow_privilege_escalation: Option<bool>,
    pub(super) read_only_root_filesystem: Option<bool>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) capabilities: Option<Capabilities<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) windows_options: Option<WindowsOptions<'a>>,
    #[serde(borrow)]
    pub(super) proc_mount: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) app_armor_profile: Option<Profile<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) se_linux_options: Option<SeLinuxOptions<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) sysctls: Option<Vec<Sysctl<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sysctl<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SeLinuxOptions<'a> {
    #[serde(borrow)]
    pub(super) user: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WindowsOptions<'a> {
    #[serde(borrow)]
    pub(super) run_as_user_name: Option<Text<'a>>,
    pub(super) host_process: Option<bool>,
}

/// A seccomp or AppArmor profile.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Profile<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Capabilities<'a> {
    #[serde(borrow, deserialize_with = "mapping::texts")]
    pub(super) add: Option<Vec<Text<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    pub(super) drop: Option<Vec<Text<'a>>>,
}

impl Resources<'_> {
    pub(super) fn limits(&self, resource: &str) -> bool {
        self.limits.as_ref().is_some_and(|limits| limits.holds(resource))
    }

    /// A limit without a request is the request too: the API server says so when it completes a Pod.
    pub(super) fn requests(&self, resource: &str) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.holds(resource)) || self.limits(resource)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VolumeMount<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) mount_path: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VolumeDevice<'a> {
    #[serde(borrow)]
    pub(super) device_path: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageVolume<'a> {
    #[serde(borrow)]
    pub(super) reference: Option<Text<'a>>,
}
