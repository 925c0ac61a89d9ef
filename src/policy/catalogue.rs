//! The one list of every policy. A new one has a `mod` line here, and a line in the list.

use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};

use super::defaults::{Breakage, Defaulter, Mutator, Safety};
use super::{Meta, Policy, Validator, defaults};
use crate::document::typed::{self, TypedError};
use crate::pod_security::Version;

/// Policies on who may do what: Roles, their bindings, and access to what runs.
#[path = "access"]
mod access {
    pub(super) mod ad_hoc_edits;
    pub(super) mod escalating_roles;
    pub(super) mod interactive_access;
    pub(super) mod powerful_bindings;
    pub(super) mod routine_admins;
    pub(super) mod wildcard_roles;
}

/// Rules of a house, which settings write.
#[path = "house"]
mod house {
    pub(super) mod allowed_values;
    pub(super) mod required_metadata;
}

/// Policies on ServiceAccounts and their tokens.
#[path = "identity"]
mod identity {
    pub(super) mod automounted_tokens;
    pub(super) mod default_service_accounts;
}

/// Policies on images.
#[path = "images"]
mod images {
    pub(super) mod unpinned_images;
}

/// Policies on Namespaces.
#[path = "namespaces"]
mod namespaces {
    pub(super) mod unlabelled_namespaces;
}

/// Policies on what a pod may talk to.
#[path = "network"]
mod network {
    pub(super) mod exposed_services;
    pub(super) mod headerless_ingresses;
    pub(super) mod ingress_snippets;
    pub(super) mod open_egress;
    pub(super) mod open_ingress;
    pub(super) mod plaintext_ingresses;
    pub(super) mod plaintext_meshes;
    pub(super) mod unisolated_pods;
    pub(super) mod unlimited_ingresses;
}

/// Policies on what a pod may do to its node.
#[path = "pods"]
mod pods {
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
}

/// Policies on credentials, connections and settings.
#[path = "secrets"]
mod secrets {
    pub(super) mod forbidden_settings;
    pub(super) mod literal_secrets;
    pub(super) mod long_lived_tokens;
    pub(super) mod plaintext_connections;
    pub(super) mod required_settings;
    pub(super) mod unmanaged_secrets;
}

/// A policy of the catalogue.
pub struct Entry {
    /// Its documentation.
    pub meta: &'static Meta,
    /// A manifest that it admits, or leaves as it is, in YAML.
    pub admitted: &'static str,
    /// A manifest that it denies, or patches, in YAML.
    pub denied: &'static str,
    /// Settings that the manifests are judged with, in YAML; `None` for those that it has by itself.
    pub settings: Option<&'static str>,
    /// Which half of the defaults it belongs to; `None` for a validator.
    pub safety: Option<Safety>,
    /// Workloads that it breaks; `None` for a validator, which sets nothing.
    pub breakage: Option<&'static Breakage>,
    build: fn(&serde_json::Value, Version, &[String]) -> Result<Built, TypedError>,
    replaces: fn(Version) -> &'static [&'static Meta],
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A policy with its settings.
#[derive(Clone)]
pub enum Built {
    /// It judges.
    Judge(Arc<dyn Validator>),
    /// It sets.
    Set(Arc<dyn Mutator>),
}

/// The entry of a policy. Its page shows two of its fixtures, which are Pods unless another kind is named, and their settings where
/// it has none of its own.
macro_rules! judges {
    ($id:literal, $policy:ty) => {
        judges!($id, $policy, "pod")
    };
    ($id:literal, $policy:ty, $shown:literal) => {
        judges!(@ $id, $policy, $shown, None)
    };
    ($id:literal, $policy:ty, $shown:literal, settings) => {
        judges!(@ $id, $policy, $shown, Some(include_str!(concat!("../../tests/policies/", $id, "/settings.yaml"))))
    };
    (@ $id:literal, $policy:ty, $shown:literal, $settings:expr) => {
        Entry {
            meta: <$policy as Policy>::META,
            admitted: include_str!(concat!("../../tests/policies/", $id, "/admit-", $shown, ".yaml")),
            denied: include_str!(concat!("../../tests/policies/", $id, "/deny-", $shown, ".yaml")),
            settings: $settings,
            safety: None,
            breakage: None,
            build: validator::<$policy>,
            replaces: <$policy as Policy>::replaces,
            schema: SchemaGenerator::subschema_for::<$policy>,
        }
    };
}

/// The entry of a mutator. Its page shows two of its fixtures, which are Deployments unless another kind is named.
macro_rules! sets {
    ($id:literal, $policy:ty) => {
        sets!($id, $policy, "deployment")
    };
    ($id:literal, $policy:ty, $shown:literal) => {
        Entry {
            meta: <$policy as Defaulter>::META,
            admitted: include_str!(concat!("../../tests/policies/", $id, "/keep-", $shown, ".yaml")),
            denied: include_str!(concat!("../../tests/policies/", $id, "/patch-", $shown, ".yaml")),
            settings: None,
            safety: Some(<$policy as Defaulter>::SAFETY),
            breakage: Some(<$policy as Defaulter>::BREAKAGE),
            build: mutator::<$policy>,
            replaces: |_| &[],
            schema: SchemaGenerator::subschema_for::<$policy>,
        }
    };
}

/// Every policy, one a line, in the order in which they run and are listed.
pub static CATALOGUE: &[Entry] = &[
    judges!("unpinned-images", images::unpinned_images::UnpinnedImages),
    judges!("privileged-containers", pods::privileged_containers::PrivilegedContainers),
    judges!("host-namespaces", pods::host_namespaces::HostNamespaces),
    judges!("host-paths", pods::host_paths::HostPaths),
    judges!("host-ports", pods::host_ports::HostPorts),
    judges!("host-probes", pods::host_probes::HostProbes),
    judges!("added-capabilities", pods::added_capabilities::AddedCapabilities),
    judges!("app-armor-overrides", pods::app_armor_overrides::AppArmorOverrides),
    judges!("se-linux-options", pods::se_linux_options::SeLinuxOptions),
    judges!("proc-mounts", pods::proc_mounts::ProcMounts),
    judges!("seccomp-unconfined", pods::seccomp_unconfined::SeccompUnconfined),
    judges!("unsafe-sysctls", pods::unsafe_sysctls::UnsafeSysctls),
    judges!("windows-host-process", pods::windows_host_process::WindowsHostProcess),
    judges!("volume-types", pods::volume_types::VolumeTypes),
    judges!("root-users", pods::root_users::RootUsers),
    judges!("privilege-escalation", pods::privilege_escalation::PrivilegeEscalation),
    judges!("undropped-capabilities", pods::undropped_capabilities::UndroppedCapabilities),
    judges!("missing-seccomp-profiles", pods::missing_seccomp_profiles::MissingSeccompProfiles),
    judges!("writable-root-filesystems", pods::writable_root_filesystems::WritableRootFilesystems),
    judges!("automounted-tokens", identity::automounted_tokens::AutomountedTokens),
    judges!("default-service-accounts", identity::default_service_accounts::DefaultServiceAccounts),
    judges!("unisolated-pods", network::unisolated_pods::UnisolatedPods),
    judges!("wildcard-roles", access::wildcard_roles::WildcardRoles, "clusterrole"),
    judges!("escalating-roles", access::escalating_roles::EscalatingRoles, "clusterrole"),
    judges!("powerful-bindings", access::powerful_bindings::PowerfulBindings, "clusterrolebinding"),
    judges!("open-egress", network::open_egress::OpenEgress, "networkpolicy"),
    judges!("open-ingress", network::open_ingress::OpenIngress, "networkpolicy"),
    judges!("exposed-services", network::exposed_services::ExposedServices, "service"),
    judges!("ingress-snippets", network::ingress_snippets::IngressSnippets, "ingress"),
    judges!("plaintext-ingresses", network::plaintext_ingresses::PlaintextIngresses, "ingress"),
    judges!("unlimited-ingresses", network::unlimited_ingresses::UnlimitedIngresses, "ingress"),
    judges!("headerless-ingresses", network::headerless_ingresses::HeaderlessIngresses, "ingress"),
    judges!("plaintext-meshes", network::plaintext_meshes::PlaintextMeshes, "peerauthentication"),
    judges!("interactive-access", access::interactive_access::InteractiveAccess),
    judges!("ad-hoc-edits", access::ad_hoc_edits::AdHocEdits, "pod", settings),
    judges!("routine-admins", access::routine_admins::RoutineAdmins),
    judges!("unbounded-containers", pods::unbounded_containers::UnboundedContainers),
    judges!("missing-user-namespaces", pods::missing_user_namespaces::MissingUserNamespaces),
    judges!("unlabelled-namespaces", namespaces::unlabelled_namespaces::UnlabelledNamespaces, "namespace"),
    judges!("literal-secrets", secrets::literal_secrets::LiteralSecrets),
    judges!("required-metadata", house::required_metadata::RequiredMetadata, "service", settings),
    judges!("allowed-values", house::allowed_values::AllowedValues, "persistentvolumeclaim", settings),
    judges!("plaintext-connections", secrets::plaintext_connections::PlaintextConnections),
    judges!("forbidden-settings", secrets::forbidden_settings::ForbiddenSettings, "pod", settings),
    judges!("required-settings", secrets::required_settings::RequiredSettings, "pod", settings),
    judges!("long-lived-tokens", secrets::long_lived_tokens::LongLivedTokens),
    judges!("unmanaged-secrets", secrets::unmanaged_secrets::UnmanagedSecrets, "secret"),
    sets!("default-seccomp-profile", defaults::seccomp_profile::DefaultSeccompProfile),
    sets!("default-no-privilege-escalation", defaults::no_privilege_escalation::DefaultNoPrivilegeEscalation),
    sets!("default-no-token-automount", defaults::no_token_automount::DefaultNoTokenAutomount),
    sets!("default-namespace-labels", defaults::namespace_labels::DefaultNamespaceLabels, "namespace"),
    sets!("default-run-as-non-root", defaults::run_as_non_root::DefaultRunAsNonRoot),
    sets!("default-drop-capabilities", defaults::drop_capabilities::DefaultDropCapabilities),
    sets!("default-read-only-root", defaults::read_only_root::DefaultReadOnlyRoot),
];

/// The entry of an id.
pub fn find(id: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.meta.id == id)
}

impl Entry {
    /// True if it judges some objects when they are deleted.
    pub fn judges_deletions(&self) -> bool {
        self.meta.kinds.iter().any(|kinds| kinds.is_deletion())
    }

    /// The policy with these settings (a JSON object), in a configuration with these groups in `breakGlass`.
    ///
    /// # Errors
    /// [`TypedError`] for a setting that the policy does not have, or a value that does not fit.
    pub fn build(
        &self,
        settings: &serde_json::Value,
        version: Version,
        break_glass: &[String],
    ) -> Result<Built, TypedError> {
        (self.build)(settings, version, break_glass)
    }

    /// The ids of the policies that need not run where this one acts at least as far, in that version of the standards.
    pub fn replaces(&self, version: Version) -> Vec<&'static str> {
        (self.replaces)(version).iter().map(|meta| meta.id).collect()
    }

    /// JSON Schema of the settings.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

fn validator<P: Policy>(
    settings: &serde_json::Value,
    version: Version,
    break_glass: &[String],
) -> Result<Built, TypedError> {
    let mut policy: P = typed::read(settings)?;
    policy.follow(version);
    policy.know_break_glass(break_glass);
    Ok(Built::Judge(Arc::new(policy)))
}

fn mutator<P: Defaulter>(settings: &serde_json::Value, _: Version, _: &[String]) -> Result<Built, TypedError> {
    Ok(Built::Set(Arc::new(typed::read::<P>(settings)?)))
}
