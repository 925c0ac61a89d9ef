//! A Pod, or the template of Pods in a workload.

use serde::Deserialize;

use super::container::{Container, ContainerList};
use super::list::List;
use super::mapping;
use super::metadata::Metadata;
use super::path::Path;
use super::place::{Below, Of, PlaceRef};
use super::security::Security;
use super::spec::{PodSpec, Profile, SecurityContext};
use super::text::Text;
use super::volume::{EmptyDir, ProjectedToken, Volume};
use crate::steps::counted;

/// A pod or pod template in the submitted object.
pub struct Pod<'a> {
    /// Path of the template; the root for a Pod.
    base: Path,
    is_template: bool,
    body: Body<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Body<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) metadata: Option<Metadata<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(super) spec: Option<PodSpec<'a>>,
}

/// An image of a container or of an image volume.
pub struct ImageUse<'r> {
    /// The field that names it.
    pub place: PlaceRef<'r>,
    /// The reference as written; empty if it is absent.
    pub reference: &'r str,
}

/// A volume of a pod.
#[derive(Clone, Copy)]
pub struct VolumeUse<'r, 'a> {
    pub(super) pod: &'r Pod<'a>,
    pub(super) position: usize,
    volume: &'r Volume<'a>,
}

impl<'r> VolumeUse<'r, '_> {
    /// Name; empty if it is absent.
    pub fn name(&self) -> &'r str {
        self.volume.name.as_deref().unwrap_or_default()
    }

    /// The names of its source fields, such as `configMap`, including those unknown to Kubernetes.
    pub fn sources(&self) -> impl Iterator<Item = &'r str> {
        counted(self.volume.sources()).map(Text::as_str)
    }

    /// Its settings, if its only source is an `emptyDir` that says nothing but a mode; `None` for other volumes.
    pub fn bare_empty_dir(&self) -> Option<EmptyDir> {
        self.volume.bare_empty_dir()
    }

    /// The token of a ServiceAccount that lives longest, of those in a projected volume that say how long.
    pub fn token(&self) -> Option<ProjectedToken> {
        self.volume.token()
    }

    /// True if its only source is an `emptyDir` with any settings.
    pub fn is_empty_dir(&self) -> bool {
        self.volume.is_only("emptyDir")
    }

    /// The place of a list's item, or of a field in it: `at_item("projected.sources", 2, "serviceAccountToken")`.
    pub fn at_item<'s>(&'s self, list: &'s str, position: usize, field: &'s str) -> PlaceRef<'s>
    where
        'r: 's,
    {
        PlaceRef { of: Of::Volume(*self), below: Below::Item(list, position, field) }
    }

    /// The place of a field below the volume: `at("hostPath")`; an empty one for the volume itself.
    pub fn at<'s>(&self, field: &'s str) -> PlaceRef<'s>
    where
        'r: 's,
    {
        PlaceRef { of: Of::Volume(*self), below: Below::Field(field) }
    }
}

impl<'a> Pod<'a> {
    pub(super) fn bare(body: Body<'a>) -> Self {
        Self { base: Path::root(), is_template: false, body }
    }

    pub(super) fn template(base: Path, body: Body<'a>) -> Self {
        Self { base, is_template: true, body }
    }

    /// True for a template, false for a Pod.
    pub fn is_template(&self) -> bool {
        self.is_template
    }

    /// Metadata of the pod, or of the template.
    pub fn metadata(&self) -> Option<&Metadata<'a>> {
        self.body.metadata.as_ref()
    }

    /// Every container: init containers and sidecars, regular and ephemeral ones, in the order in which
    /// `k8s.io/pod-security-admission` visits them.
    pub fn containers<'r>(&'r self) -> impl Iterator<Item = Container<'r, 'a>> {
        let spec = self.body.spec.as_ref();
        let lists = [
            (ContainerList::Init, spec.map(|spec| &spec.init_containers)),
            (ContainerList::Regular, spec.map(|spec| &spec.containers)),
            (ContainerList::Ephemeral, spec.map(|spec| &spec.ephemeral_containers)),
        ];
        lists.into_iter().flat_map(move |(list, containers)| {
            let containers = counted(containers.map(List::iter).unwrap_or_default()).enumerate();
            containers.map(move |(position, spec)| Container { pod: self, list, position, spec })
        })
    }

    /// Every image: those of the containers, then those of image volumes (KEP-4639).
    pub fn images(&self) -> impl Iterator<Item = ImageUse<'_>> {
        let volumes = self.volumes().filter_map(|used| {
            let reference = used.volume.image()?.reference.as_deref().unwrap_or_default();
            Some(ImageUse { place: used.at("image.reference"), reference })
        });
        self.containers()
            .map(|container| ImageUse { place: container.at("image"), reference: container.image() })
            .chain(volumes)
    }

    /// Path of this pod or template from the object's root.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The place of a field of the pod: `at("spec.securityContext.runAsUser")`.
    pub fn at<'s>(&'s self, field: &'s str) -> PlaceRef<'s> {
        self.below(Below::Field(field))
    }

    /// The place of a list's item, or of a field in it: `at_item("spec.securityContext.sysctls", 2, "name")`.
    pub fn at_item<'s>(&'s self, list: &'s str, position: usize, field: &'s str) -> PlaceRef<'s> {
        self.below(Below::Item(list, position, field))
    }

    pub(super) fn below<'s>(&'s self, below: Below<'s>) -> PlaceRef<'s> {
        PlaceRef { of: Of::Pod(self), below }
    }

    /// `spec.securityContext.runAsNonRoot`
    pub fn run_as_non_root(&self) -> Option<bool> {
        self.context()?.run_as_non_root
    }

    /// `spec.securityContext.runAsUser`
    pub fn run_as_user(&self) -> Option<i64> {
        self.context()?.run_as_user
    }

    /// `spec.securityContext.windowsOptions.runAsUserName`
    pub fn windows_user(&self) -> Option<&str> {
        self.context()?.windows_options.as_ref()?.run_as_user_name.as_deref()
    }

    /// `spec.securityContext.seccompProfile.type`: `None` without a profile, the empty string for one without a type.
    pub fn seccomp_profile(&self) -> Option<&str> {
        profile_type(self.context()?.seccomp_profile.as_ref())
    }

    /// The security contexts that are set: the pod's, then each container's.
    pub fn security_contexts<'r>(&'r self) -> impl Iterator<Item = Security<'r, 'a>> {
        Security::of(self)
    }

    /// `spec.securityContext.sysctls`: position and name.
    pub fn sysctls(&self) -> impl Iterator<Item = (usize, &str)> {
        counted(self.context().map(|context| context.sysctls.iter()).unwrap_or_default())
            .map(|sysctl| sysctl.name.as_deref().unwrap_or_default())
            .enumerate()
    }

    /// `spec.automountServiceAccountToken`
    pub fn automount_service_account_token(&self) -> Option<bool> {
        self.spec(|spec| spec.automount_service_account_token)
    }

    /// The ServiceAccount that it runs as; `default` if none is named.
    pub fn service_account(&self) -> &str {
        let named = |name: &'_ str| !name.is_empty();
        self.spec(|spec| spec.service_account_name.as_deref())
            .filter(|name| named(name))
            .or_else(|| self.spec(|spec| spec.service_account.as_deref()).filter(|name| named(name)))
            .unwrap_or("default")
    }

    /// `spec.nodeName`; empty if it is absent.
    pub fn node_name(&self) -> &str {
        self.spec(|spec| spec.node_name.as_deref()).unwrap_or_default()
    }

    /// True if `spec.os.name` is `windows`: the Pod Security Standards exempt such pods from controls on Linux fields.
    pub fn is_windows(&self) -> bool {
        self.spec(|spec| spec.os.as_ref()?.name.as_deref()) == Some("windows")
    }

    /// True if the pod is for Windows nodes, by `spec.os.name` or its node selector.
    pub fn is_for_windows(&self) -> bool {
        self.is_windows() || self.spec(|spec| spec.node_selector.get("kubernetes.io/os")) == Some("windows")
    }

    /// Its volumes.
    pub fn volumes<'r>(&'r self) -> impl Iterator<Item = VolumeUse<'r, 'a>> {
        let volumes = self.body.spec.as_ref().map(|spec| spec.volumes.iter());
        let volumes = counted(volumes.unwrap_or_default()).enumerate();
        volumes.map(move |(position, volume)| VolumeUse { pod: self, position, volume })
    }

    /// True if `spec.hostUsers` is false: the pod has a user namespace (KEP-127).
    pub fn has_user_namespace(&self) -> bool {
        self.spec(|spec| spec.host_users) == Some(false)
    }

    /// True if `spec.hostNetwork` is true.
    pub fn is_on_host_network(&self) -> bool {
        self.spec(|spec| spec.host_network) == Some(true)
    }

    /// True if `spec.hostPID` is true.
    pub fn is_in_host_pid_namespace(&self) -> bool {
        self.spec(|spec| spec.host_pid) == Some(true)
    }

    /// True if `spec.hostIPC` is true.
    pub fn is_in_host_ipc_namespace(&self) -> bool {
        self.spec(|spec| spec.host_ipc) == Some(true)
    }

    /// The place of an annotation.
    pub fn annotation_place<'s>(&'s self, key: &'s str) -> PlaceRef<'s> {
        self.below(Below::Key("metadata.annotations", key))
    }

    /// True if the pod as a whole (KEP-2837) has a limit of `resource`.
    pub fn limits(&self, resource: &str) -> bool {
        self.body.spec.as_ref().is_some_and(|spec| spec.resources.limits(resource))
    }

    /// True if the pod as a whole (KEP-2837) has a request of `resource`.
    pub fn requests(&self, resource: &str) -> bool {
        self.body.spec.as_ref().is_some_and(|spec| spec.resources.requests(resource))
    }

    pub(super) fn path(&self) -> Path {
        self.base.clone()
    }

    fn spec<'r, T>(&'r self, read: impl FnOnce(&'r PodSpec<'a>) -> Option<T>) -> Option<T> {
        self.body.spec.as_ref().and_then(read)
    }

    pub(super) fn context(&self) -> Option<&SecurityContext<'a>> {
        self.spec(|spec| spec.security_context.as_deref())
    }
}

/// The type of a profile; empty if the profile has none.
pub(super) fn profile_type<'r>(profile: Option<&'r Profile<'_>>) -> Option<&'r str> {
    profile.map(|profile| profile.kind.as_deref().unwrap_or_default())
}
