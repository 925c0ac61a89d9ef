//! A container of any of the three lists of a pod.

use super::environment::{Bundle, ValueSource};
use super::mount::BindOptions;
use super::place::{Below, Of, PlaceRef};
use super::pod::{Pod, profile_type};
use super::spec::{Capabilities, ContainerSpec, SecurityContext};
use super::text::Text;
use crate::digest::sha256;
use crate::steps::counted;

/// Maximum bytes of name and image that a finding keeps.
const IDENTITY: usize = 256;

/// The list of a pod spec that holds a container. Sidecars are init containers with `restartPolicy: Always`.
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
    /// The container's name; empty if it is absent.
    pub fn name(&self) -> &'r str {
        self.spec.name.as_deref().unwrap_or_default()
    }

    /// The list that holds it.
    pub fn list(&self) -> ContainerList {
        self.list
    }

    /// The image reference as written; empty if it is absent.
    pub fn image(&self) -> &'r str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    /// The pod it belongs to.
    pub fn pod(&self) -> &'r Pod<'a> {
        self.pod
    }

    /// The place of a field below this container: `at("securityContext.privileged")`.
    pub fn at<'s>(&self, field: &'s str) -> PlaceRef<'s>
    where
        'r: 's,
    {
        self.below(Below::Field(field))
    }

    /// The place of a list's item below this container, or of a field in it: `at_item("ports", 2, "hostPort")`.
    pub fn at_item<'s>(&self, list: &'s str, position: usize, field: &'s str) -> PlaceRef<'s>
    where
        'r: 's,
    {
        self.below(Below::Item(list, position, field))
    }

    /// The place of a map's entry below this container: `at_key("resources.limits", "memory")`.
    pub fn at_key<'s>(&self, map: &'s str, key: &'s str) -> PlaceRef<'s>
    where
        'r: 's,
    {
        self.below(Below::Key(map, key))
    }

    pub(super) fn below<'s>(&self, below: Below<'s>) -> PlaceRef<'s>
    where
        'r: 's,
    {
        PlaceRef { of: Of::Container(*self), below }
    }

    /// Name and image, the latter replaced by a digest of both if they are long: every finding keeps them, and nothing else
    /// bounds their length.
    pub(super) fn identity(&self) -> (String, String) {
        let (name, image) = (self.name(), self.image());
        if name.len() + image.len() <= IDENTITY {
            return (name.to_owned(), image.to_owned());
        }
        let digest = self.spec.digest.get_or_init(|| {
            let both = [sha256(name.as_bytes()), sha256(image.as_bytes())];
            sha256(both.concat().as_bytes()).into()
        });
        (name.chars().take(IDENTITY / 4).collect(), digest.to_string())
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
        profile_type(self.context()?.seccomp_profile.as_ref())
    }

    /// True if `securityContext.privileged` is true.
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
    pub fn dropped_capabilities(&self) -> impl Iterator<Item = &'r str> {
        let dropped = self.capabilities().map(|capabilities| capabilities.drop.iter());
        counted(dropped.unwrap_or_default()).map(Text::as_str)
    }

    /// `securityContext.capabilities.add`
    pub fn added_capabilities(&self) -> impl Iterator<Item = &'r str> {
        let added = self.capabilities().map(|capabilities| capabilities.add.iter());
        counted(added.unwrap_or_default()).map(Text::as_str)
    }

    /// The volume mounts: position, volume name and mount path.
    pub fn mounts(&self) -> impl Iterator<Item = (usize, &'r str, &'r str)> + use<'r, 'a> {
        self.mounts_with_options().map(|(position, name, path, _)| (position, name, path))
    }

    /// The volume mounts: position, volume name, mount path and options.
    pub fn mounts_with_options(&self) -> impl Iterator<Item = (usize, &'r str, &'r str, BindOptions)> + use<'r, 'a> {
        let spec = self.spec;
        counted(spec.volume_mounts.iter()).enumerate().map(|(position, mount)| {
            let text = |text: &'r Option<Text<'a>>| text.as_deref().unwrap_or_default();
            (position, text(&mount.name), text(&mount.mount_path), mount.bind_mount_options)
        })
    }

    /// The paths of all volume mounts and devices.
    pub fn mounted_paths(&self) -> impl Iterator<Item = &'r str> {
        let devices = counted(self.spec.volume_devices.iter());
        self.mounts().map(|(_, _, path)| path).chain(devices.filter_map(|device| device.device_path.as_deref()))
    }

    /// `securityContext.procMount`
    pub fn proc_mount(&self) -> Option<&'r str> {
        self.context()?.proc_mount.as_deref()
    }

    /// The host ports: position in `ports`, and `hostPort`.
    pub fn host_ports(&self) -> impl Iterator<Item = (usize, i64)> {
        counted(self.spec.ports.iter()).map(|port| (port.position, port.number))
    }

    /// The hosts that probes and lifecycle handlers name: path of the field, and the host.
    pub fn called_hosts(&self) -> impl Iterator<Item = (String, &'r str)> {
        let spec = self.spec;
        let lifecycle = spec.lifecycle.as_ref();
        let handlers = [
            ("livenessProbe", spec.liveness_probe.as_deref()),
            ("readinessProbe", spec.readiness_probe.as_deref()),
            ("startupProbe", spec.startup_probe.as_deref()),
            ("lifecycle.postStart", lifecycle.and_then(|lifecycle| lifecycle.post_start.as_deref())),
            ("lifecycle.preStop", lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_deref())),
        ];
        handlers.into_iter().filter_map(|(field, handler)| Some((field, handler?))).flat_map(|(field, handler)| {
            let calls = [("httpGet", handler.http_get.as_ref()), ("tcpSocket", handler.tcp_socket.as_ref())];
            calls.into_iter().filter_map(move |(call, called)| {
                let host = called?.host.as_deref().filter(|host| !host.is_empty())?;
                Some((format!("{field}.{call}.host"), host))
            })
        })
    }

    /// The environment variables: position in `env`, name, and where the value comes from.
    pub fn environment(&self) -> impl Iterator<Item = (usize, &'r str, ValueSource<'r>)> + use<'r, 'a> {
        let variables = counted(self.spec.env.iter()).enumerate();
        variables.map(|(position, variable)| (position, variable.name.as_str(), variable.source()))
    }

    /// The environment variables whose value is written here: position in `env`, name and value. Empty values are left out.
    pub fn variables(&self) -> impl Iterator<Item = (usize, &'r str, &'r str)> + use<'r, 'a> {
        self.environment().filter_map(|(position, name, source)| match source {
            ValueSource::Written(value) if !value.is_empty() => Some((position, name, value)),
            _ => None,
        })
    }

    /// The ConfigMaps and Secrets of `envFrom`.
    pub fn bundles(&self) -> impl Iterator<Item = Bundle> + use<'r, 'a> {
        counted(self.spec.env_from.iter()).copied()
    }

    /// The words of `command` and of `args`: the list that holds each, its position there, and the word.
    pub fn words(&self) -> impl Iterator<Item = (&'static str, usize, &'r str)> + use<'r, 'a> {
        let lists = [("command", &self.spec.command), ("args", &self.spec.args)];
        lists.into_iter().flat_map(|(list, words)| {
            counted(words.iter()).enumerate().map(move |(position, word)| (list, position, word.as_str()))
        })
    }

    /// True if the container itself has a limit of `resource`.
    pub fn limits(&self, resource: &str) -> bool {
        self.spec.resources.limits(resource)
    }

    /// True if the container itself has a request of `resource`.
    pub fn requests(&self, resource: &str) -> bool {
        self.spec.resources.requests(resource)
    }

    pub(super) fn context(&self) -> Option<&'r SecurityContext<'a>> {
        self.spec.security_context.as_deref()
    }

    fn capabilities(&self) -> Option<&'r Capabilities<'a>> {
        self.context()?.capabilities.as_ref()
    }
}
