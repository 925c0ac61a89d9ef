//! A container, whichever list it stands in.

use super::path::Path;
use super::pod::{Pod, profile_type};
use super::spec::{ContainerSpec, SecurityContext};
use super::text::Text;
use super::{Place, Within};

/// The list of a pod spec that a container stands in. Sidecars are init containers with `restartPolicy: Always`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerList {
    /// `initContainers`
    Init,
    /// `containers`
    Regular,
    /// `ephemeralContainers`
    Ephemeral,
}

impl ContainerList {
    /// The field's name.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Regular => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// A container of a pod or pod template, with what it inherits from the pod.
#[derive(Clone, Copy)]
pub struct Container<'r, 'a> {
    pub(super) pod: &'r Pod<'a>,
    pub(super) list: ContainerList,
    pub(super) position: usize,
    pub(super) spec: &'r ContainerSpec<'a>,
}

impl<'r, 'a> Container<'r, 'a> {
    /// The container's name, empty where it has none.
    pub fn name(&self) -> &'r str {
        self.spec.name.as_deref().unwrap_or_default()
    }

    /// The list it stands in.
    pub fn list(&self) -> ContainerList {
        self.list
    }

    /// The image reference as written, empty where there is none.
    pub fn image(&self) -> &'r str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    /// The pod it belongs to.
    pub fn pod(&self) -> &'r Pod<'a> {
        self.pod
    }

    /// The place of a field below this container: `at("securityContext.privileged")`.
    pub fn at(&self, field: &str) -> Place {
        Place {
            path: self.pod.path().fields("spec").fields(self.list.field()).index(self.position).fields(field),
            within: Within::Container {
                list: self.list,
                name: self.name().to_owned(),
                image: self.image().to_owned(),
                field: Path::root().fields(field).without_positions(),
            },
        }
    }

    /// `securityContext.runAsNonRoot` of the container itself.
    pub fn run_as_non_root(&self) -> Option<bool> {
        self.context()?.run_as_non_root
    }

    /// `securityContext.runAsUser` of the container itself.
    pub fn run_as_user(&self) -> Option<i64> {
        self.context()?.run_as_user
    }

    /// `securityContext.windowsOptions.runAsUserName` of the container itself.
    pub fn windows_user(&self) -> Option<&'r str> {
        self.context()?.windows_options.as_ref()?.run_as_user_name.as_deref()
    }

    /// `securityContext.seccompProfile.type` of the container itself: `None` without a profile, and the empty string
    /// for a profile without a type.
    pub fn seccomp_profile(&self) -> Option<&'r str> {
        self.context().and_then(profile_type)
    }

    /// Whether `securityContext.privileged` is true.
    pub fn is_privileged(&self) -> bool {
        self.context().and_then(|context| context.privileged) == Some(true)
    }

    /// `securityContext.allowPrivilegeEscalation`
    pub fn allow_privilege_escalation(&self) -> Option<bool> {
        self.context()?.allow_privilege_escalation
    }

    /// `securityContext.readOnlyRootFilesystem`
    pub fn read_only_root_filesystem(&self) -> Option<bool> {
        self.context()?.read_only_root_filesystem
    }

    /// `securityContext.capabilities.drop`
    pub fn dropped_capabilities(&self) -> &'r [Text<'a>] {
        self.context().and_then(|context| context.capabilities.as_ref()?.drop.as_deref()).unwrap_or_default()
    }

    /// `securityContext.capabilities.add`
    pub fn added_capabilities(&self) -> &'r [Text<'a>] {
        self.context().and_then(|context| context.capabilities.as_ref()?.add.as_deref()).unwrap_or_default()
    }

    /// The volume mounts: position, volume name and mount path.
    pub fn mounts(&self) -> impl Iterator<Item = (usize, &'r str, &'r str)> {
        self.spec.volume_mounts.iter().flatten().enumerate().map(|(position, mount)| {
            (position, mount.name.as_deref().unwrap_or_default(), mount.mount_path.as_deref().unwrap_or_default())
        })
    }

    /// Every path at which something is mounted or a device stands.
    pub fn mounted_paths(&self) -> impl Iterator<Item = &'r str> {
        let devices = self.spec.volume_devices.iter().flatten();
        self.mounts().map(|(_, _, path)| path).chain(devices.filter_map(|device| device.device_path.as_deref()))
    }

    fn context(&self) -> Option<&'r SecurityContext<'a>> {
        self.spec.security_context.as_ref()
    }
}
