//! A security context: the pod's own, or a container's.

use super::container::Container;
use super::place::{Below, PlaceRef};
use super::pod::{Pod, profile_type};
use super::spec::SecurityContext;

/// A security context of a pod or container. Both share the fields that are read here.
pub struct Security<'r, 'a> {
    holder: Holder<'r, 'a>,
    context: &'r SecurityContext<'a>,
}

enum Holder<'r, 'a> {
    Pod(&'r Pod<'a>),
    Container(Container<'r, 'a>),
}

/// `seLinuxOptions` without `level`; absent fields are empty.
pub struct SeLinuxOptions<'r> {
    /// `user`
    pub user: &'r str,
    /// `role`
    pub role: &'r str,
    /// `type`
    pub kind: &'r str,
}

impl<'r, 'a> Security<'r, 'a> {
    /// The security contexts that are set in a pod: its own, then each container's.
    pub(super) fn of(pod: &'r Pod<'a>) -> impl Iterator<Item = Self> {
        let own = pod.context().map(|context| Self { holder: Holder::Pod(pod), context });
        own.into_iter().chain(pod.containers().filter_map(|container| {
            container.context().map(|context| Self { holder: Holder::Container(container), context })
        }))
    }

    /// The place of a field below the context: `at("seccompProfile.type")`.
    pub fn at<'s>(&self, field: &'s str) -> PlaceRef<'s>
    where
        'r: 's,
    {
        match &self.holder {
            Holder::Pod(pod) => pod.below(Below::Context(field)),
            Holder::Container(container) => container.below(Below::Context(field)),
        }
    }

    /// `seccompProfile.type`: `None` without a profile, the empty string for one without a type.
    pub fn seccomp_profile(&self) -> Option<&'r str> {
        profile_type(self.context.seccomp_profile.as_ref())
    }

    /// `appArmorProfile.type`: `None` without a profile, the empty string for one without a type.
    pub fn app_armor_profile(&self) -> Option<&'r str> {
        profile_type(self.context.app_armor_profile.as_ref())
    }

    /// `seLinuxOptions`
    pub fn se_linux_options(&self) -> Option<SeLinuxOptions<'r>> {
        let options = self.context.se_linux_options.as_ref()?;
        Some(SeLinuxOptions {
            user: options.user.as_deref().unwrap_or_default(),
            role: options.role.as_deref().unwrap_or_default(),
            kind: options.kind.as_deref().unwrap_or_default(),
        })
    }

    /// True if `windowsOptions.hostProcess` is true.
    pub fn is_host_process(&self) -> bool {
        self.context.windows_options.as_ref().and_then(|options| options.host_process) == Some(true)
    }
}
