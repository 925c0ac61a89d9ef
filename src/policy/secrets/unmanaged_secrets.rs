//! `unmanaged-secrets`: Secrets are written by those whom the settings list, such as the controllers that make them.
//!
//! Who writes is told by the name that the API server vouches for. An ownerReference is written by whoever writes the Secret, so
//! that it proves nothing by itself: it counts where the ServiceAccount of the owner's controller writes it, and limits that
//! account to what such an owner asks for. No value of a Secret is read, and no key of one.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{SECRETS, Secret};
use crate::object::{Object, Path, Place};
use crate::policy::instances::LAST_APPLIED;
use crate::policy::names::{Accounts, Groups, Users, name_user};
use crate::policy::writers::changes_nothing;
use crate::policy::{About, Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Parts of Kubernetes that write Secrets: tokens into those of their type, ownerReferences and finalizers, labels on tokens that
/// nobody uses, and every object again where it is to be stored in another form.
const OF_KUBERNETES: [&str; 5] = [
    "system:apiserver",
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:legacy-service-account-token-cleaner",
    "system:serviceaccount:kube-system:storage-version-migrator-controller",
];

/// Settings: who may write Secrets. Without any, nobody may but parts of Kubernetes itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UnmanagedSecrets {
    /// Groups whose members may.
    groups: Groups,
    /// Users who may.
    users: Users,
    /// ServiceAccounts that may, such as those of cert-manager and of a GitOps controller.
    service_accounts: Accounts,
    /// ServiceAccounts that may write Secrets that an ExternalSecret or a SealedSecret controls, and no others.
    controllers: Accounts,
    /// Types of Secrets that everybody may write. The type says nothing of what is in a Secret.
    types: Vec<String>,
}

impl Default for UnmanagedSecrets {
    fn default() -> Self {
        Self {
            groups: Groups::default(),
            users: Users::default(),
            service_accounts: Accounts::default(),
            controllers: Accounts::default(),
            types: vec!["helm.sh/release.v1".to_owned()],
        }
    }
}

impl Policy for UnmanagedSecrets {
    const META: &'static Meta = &Meta {
        id: "unmanaged-secrets",
        title: "a Secret that is written by somebody whom the settings do not list",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "A Secret that somebody writes by hand is in no store that rotates, recovers or audits it. What kubectl applies keeps a \
              second copy of the values in an annotation, where more tools print it.",
        fix: "write it through a controller or another writer of the settings, or add the writer to them; use kubectl create or \
              apply --server-side, which keep no copy in an annotation; deploy/secrets.md describes the settings",
        kinds: &[Kinds::Resource(SECRETS)],
        fields: &[
            Fields::of(&["type"]),
            Fields::of(&["metadata.ownerReferences[*]"]).allow(&[Allowed::Words(
                "of a writer in `controllers`: an ExternalSecret or a SealedSecret as controller",
            )]),
            Fields::of(&["metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]"])
                .allow(&[Allowed::Absent, Allowed::Words("a copy without `data` and `stringData`")]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "CIS Kubernetes Benchmark, section 5.4",
            name: "Consider external secret storage",
        }],
    };
}

impl Validator for UnmanagedSecrets {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(secret) = request.object_as::<Secret<'_>>() else { return Ok(()) };
        // Nobody is named in manifests.
        let is_by_another = request.user.username.is_some() && !self.allows(request, secret);
        if is_by_another && !changes_nothing(request) {
            let (who, kind) = (quoted(request.user.name()), quoted(secret.kind()));
            let message = format_args!(
                "must be written by a user, group or ServiceAccount that the settings list: {who} writes a Secret of type {kind}"
            );
            report.add(Place::object(), message);
        }
        let copy = request.object.as_ref().map(Object::metadata).and_then(|metadata| metadata.annotation(LAST_APPLIED));
        if copy.is_some_and(Secret::is_copied_in) {
            let place = Place::field(Path::root().fields("metadata.annotations").key(LAST_APPLIED));
            report.add_warning(place, "must not hold the values of the Secret");
        }
        Ok(())
    }

    fn about(&self) -> About {
        About::Writer
    }
}

impl UnmanagedSecrets {
    /// True if the writer may write this Secret.
    fn allows(&self, request: &Request<'_>, secret: &Secret<'_>) -> bool {
        let user = &request.user;
        OF_KUBERNETES.contains(&user.name())
            || self.types.iter().any(|kind| kind == secret.kind())
            || name_user(user, &self.users, &self.service_accounts, &self.groups)
            || self.controllers.hold(user.name()) && secret.has_source()
    }
}
