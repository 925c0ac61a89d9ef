//! The fields of a pod spec that policies read, as they stand in the request's bytes. Only [`super::pod`] and
//! [`super::container`] read these structs: containers are reached one way.

use serde::Deserialize;

use super::mapping;
use super::text::{Text, TextMap};

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
}

/// The security contexts of pod and container share these names and types; each has fields that the other lacks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SecurityContext<'a> {
    pub(super) run_as_non_root: Option<bool>,
    pub(super) run_as_user: Option<i64>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) seccomp_profile: Option<SeccompProfile<'a>>,
    pub(super) privileged: Option<bool>,
    pub(super) allow_privilege_escalation: Option<bool>,
    pub(super) read_only_root_filesystem: Option<bool>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) capabilities: Option<Capabilities<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) windows_options: Option<WindowsOptions<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WindowsOptions<'a> {
    #[serde(borrow)]
    pub(super) run_as_user_name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SeccompProfile<'a> {
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
pub(super) struct Volume<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) image: Option<ImageVolume<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageVolume<'a> {
    #[serde(borrow)]
    pub(super) reference: Option<Text<'a>>,
}
