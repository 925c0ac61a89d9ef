//! The fields of a pod spec that policies read, as serde structs. Only [`super::pod`] and [`super::container`] use them, so
//! that there is one way to reach containers.

use std::sync::OnceLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::environment::{self, Bundle, Variable};
use super::list::List;
use super::mapping::{self, Mapping};
use super::memory;
use super::mount::BindOptions;
use super::quantity::Quantities;
use super::text::{Text, TextMap};
use super::volume::Volume;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) init_containers: List<ContainerSpec<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) containers: List<ContainerSpec<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) ephemeral_containers: List<ContainerSpec<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) volumes: List<Volume<'a>>,
    #[serde(borrow, deserialize_with = "mapping::boxed")]
    pub(super) security_context: Option<Box<SecurityContext<'a>>>,
    #[serde(borrow)]
    pub(super) service_account_name: Option<Text<'a>>,
    /// The deprecated alias of `serviceAccountName`, used only if that is empty.
    #[serde(borrow)]
    pub(super) service_account: Option<Text<'a>>,
    pub(super) automount_service_account_token: Option<bool>,
    #[serde(borrow)]
    pub(super) node_name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    pub(super) node_selector: TextMap<'a>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) os: Option<Os<'a>>,
    pub(super) host_users: Option<bool>,
    pub(super) host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    pub(super) host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    pub(super) host_ipc: Option<bool>,
    #[serde(borrow, deserialize_with = "resources")]
    pub(super) resources: Resources<'a>,
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
    #[serde(borrow, deserialize_with = "mapping::boxed")]
    pub(super) security_context: Option<Box<SecurityContext<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) volume_mounts: List<VolumeMount<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) volume_devices: List<VolumeDevice<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    pub(super) command: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    pub(super) args: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "environment::variables")]
    pub(super) env: List<Variable<'a>>,
    #[serde(deserialize_with = "environment::bundles")]
    pub(super) env_from: List<Bundle>,
    /// Ports with a `hostPort` only.
    #[serde(deserialize_with = "host_ports")]
    pub(super) ports: List<HostPort>,
    #[serde(borrow, deserialize_with = "handler")]
    pub(super) liveness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "handler")]
    pub(super) readiness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "handler")]
    pub(super) startup_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::boxed")]
    pub(super) lifecycle: Option<Box<Lifecycle<'a>>>,
    #[serde(borrow, deserialize_with = "resources")]
    pub(super) resources: Resources<'a>,
    /// Digest of name and image, which replaces them in findings if they are long.
    #[serde(skip)]
    pub(super) digest: OnceLock<Box<str>>,
}

/// A host port of a container.
#[derive(Debug)]
pub(super) struct HostPort {
    /// Position among the container's ports.
    pub(super) position: usize,
    pub(super) number: i64,
}

fn host_ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<List<HostPort>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Port {
        host_port: Option<i64>,
    }
    let mut taken = List::default();
    mapping::each(deserializer, |position, Mapping(port): Mapping<Port>| match port.host_port {
        None | Some(0) => Ok(()),
        Some(number) => taken.push(HostPort { position, number }),
    })?;
    Ok(taken)
}

/// A probe or a lifecycle handler: both name the called host in the same fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Handler<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) http_get: Option<Called<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) tcp_socket: Option<Called<'a>>,
}

impl Handler<'_> {
    /// True if it names a host.
    fn names_host(&self) -> bool {
        let calls = [&self.http_get, &self.tcp_socket].into_iter().flatten();
        calls.filter_map(|called| called.host.as_deref()).any(|host| !host.is_empty())
    }
}

/// A probe or handler that names a host; others are not kept.
fn handler<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Handler<'a>>>, D::Error> {
    let handler = mapping::optional(deserializer)?.filter(Handler::names_host);
    handler.map(memory::boxed).transpose().map_err(D::Error::custom)
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
    #[serde(borrow, deserialize_with = "handler")]
    pub(super) post_start: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "handler")]
    pub(super) pre_stop: Option<Box<Handler<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources<'a> {
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    requests: Quantities<'a>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    limits: Quantities<'a>,
}

fn resources<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Resources<'a>, D::Error> {
    mapping::optional(deserializer).map(Option::unwrap_or_default)
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
    #[serde(borrow, deserialize_with = "mapping::boxed")]
    pub(super) windows_options: Option<Box<WindowsOptions<'a>>>,
    #[serde(borrow)]
    pub(super) proc_mount: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) app_armor_profile: Option<Profile<'a>>,
    #[serde(borrow, deserialize_with = "mapping::boxed")]
    pub(super) se_linux_options: Option<Box<SeLinuxOptions<'a>>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(super) sysctls: List<Sysctl<'a>>,
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
    pub(super) add: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    pub(super) drop: List<Text<'a>>,
}

impl Resources<'_> {
    pub(super) fn limits(&self, resource: &str) -> bool {
        self.limits.holds(resource)
    }

    /// A limit without a request counts as the request too, by the API server's defaulting of Pods.
    pub(super) fn requests(&self, resource: &str) -> bool {
        self.requests.holds(resource) || self.limits(resource)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VolumeMount<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) mount_path: Option<Text<'a>>,
    pub(super) bind_mount_options: BindOptions,
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

#[cfg(test)]
mod tests {
    use super::{ContainerSpec, SecurityContext, VolumeMount};
    use crate::object::volume::Volume;

    #[test]
    fn what_is_kept_of_an_item_is_small() {
        let sizes = [
            size_of::<ContainerSpec<'_>>(),
            size_of::<SecurityContext<'_>>(),
            size_of::<Volume<'_>>(),
            size_of::<VolumeMount<'_>>(),
        ];
        assert!(sizes[0] <= 192 && sizes[1] <= 144 && sizes[2] <= 88 && sizes[3] <= 56, "{sizes:?}");
    }
}
