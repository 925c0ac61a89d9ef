//! The one list of every policy.

use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};

use super::defaults::drop_capabilities::DefaultDropCapabilities;
use super::defaults::no_privilege_escalation::DefaultNoPrivilegeEscalation;
use super::defaults::no_token_automount::DefaultNoTokenAutomount;
use super::defaults::read_only_root::DefaultReadOnlyRoot;
use super::defaults::run_as_non_root::DefaultRunAsNonRoot;
use super::defaults::seccomp_profile::DefaultSeccompProfile;
use super::defaults::{Breakage, Defaulter, Mutator, Safety};
use super::identity::automounted_tokens::AutomountedTokens;
use super::identity::default_service_accounts::DefaultServiceAccounts;
use super::images::unpinned_images::UnpinnedImages;
use super::network::unisolated_pods::UnisolatedPods;
use super::pods::added_capabilities::AddedCapabilities;
use super::pods::app_armor_overrides::AppArmorOverrides;
use super::pods::host_namespaces::HostNamespaces;
use super::pods::host_paths::HostPaths;
use super::pods::host_ports::HostPorts;
use super::pods::host_probes::HostProbes;
use super::pods::missing_seccomp_profiles::MissingSeccompProfiles;
use super::pods::missing_user_namespaces::MissingUserNamespaces;
use super::pods::privilege_escalation::PrivilegeEscalation;
use super::pods::privileged_containers::PrivilegedContainers;
use super::pods::proc_mounts::ProcMounts;
use super::pods::root_users::RootUsers;
use super::pods::se_linux_options::SeLinuxOptions;
use super::pods::seccomp_unconfined::SeccompUnconfined;
use super::pods::unbounded_containers::UnboundedContainers;
use super::pods::undropped_capabilities::UndroppedCapabilities;
use super::pods::unsafe_sysctls::UnsafeSysctls;
use super::pods::volume_types::VolumeTypes;
use super::pods::windows_host_process::WindowsHostProcess;
use super::pods::writable_root_filesystems::WritableRootFilesystems;
use super::{Meta, PodSecurityVersion, Policy, Validator};

/// A policy of the catalogue.
pub struct Entry {
    /// Its documentation.
    pub meta: &'static Meta,
    /// A manifest that it admits, or leaves as it is, in YAML.
    pub admitted: &'static str,
    /// A manifest that it denies, or patches, in YAML.
    pub denied: &'static str,
    /// Which half of the defaults it belongs to; `None` for a validator.
    pub safety: Option<Safety>,
    /// Workloads that it breaks; `None` for a validator, which sets nothing.
    pub breakage: Option<&'static Breakage>,
    build: fn(serde_json::Value, PodSecurityVersion) -> Result<Act, SettingsError>,
    replaces: fn(PodSecurityVersion) -> &'static [&'static str],
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A policy with its settings.
#[derive(Clone)]
pub enum Act {
    /// It judges.
    Judge(Arc<dyn Validator>),
    /// It sets.
    Set(Arc<dyn Mutator>),
}

/// Why settings were refused.
#[derive(Debug, Clone)]
pub struct SettingsError {
    /// The setting, by field names with dots; `.` for the settings as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// The entry of a policy. Its page shows two of its fixtures.
macro_rules! entry {
    ($policy:ty, $id:literal) => {
        Entry {
            meta: <$policy as Policy>::META,
            admitted: include_str!(concat!("../../tests/policies/", $id, "/admit-pod.yaml")),
            denied: include_str!(concat!("../../tests/policies/", $id, "/deny-pod.yaml")),
            safety: None,
            breakage: None,
            build: validator::<$policy>,
            replaces: <$policy as Policy>::replaces,
            schema: SchemaGenerator::subschema_for::<$policy>,
        }
    };
}

/// The entry of a mutator.
macro_rules! default {
    ($policy:ty, $id:literal) => {
        Entry {
            meta: <$policy as Defaulter>::META,
            admitted: include_str!(concat!("../../tests/policies/", $id, "/keep-deployment.yaml")),
            denied: include_str!(concat!("../../tests/policies/", $id, "/patch-deployment.yaml")),
            safety: Some(<$policy as Defaulter>::SAFETY),
            breakage: Some(<$policy as Defaulter>::BREAKAGE),
            build: mutator::<$policy>,
            replaces: |_| &[],
            schema: SchemaGenerator::subschema_for::<$policy>,
        }
    };
}

/// Every policy, in the order in which they run and are listed.
pub static CATALOGUE: &[Entry] = &[
    entry!(UnpinnedImages, "unpinned-images"),
    entry!(PrivilegedContainers, "privileged-containers"),
    entry!(HostNamespaces, "host-namespaces"),
    entry!(HostPaths, "host-paths"),
    entry!(HostPorts, "host-ports"),
    entry!(HostProbes, "host-probes"),
    entry!(AddedCapabilities, "added-capabilities"),
    entry!(AppArmorOverrides, "app-armor-overrides"),
    entry!(SeLinuxOptions, "se-linux-options"),
    entry!(ProcMounts, "proc-mounts"),
    entry!(SeccompUnconfined, "seccomp-unconfined"),
    entry!(UnsafeSysctls, "unsafe-sysctls"),
    entry!(WindowsHostProcess, "windows-host-process"),
    entry!(VolumeTypes, "volume-types"),
    entry!(RootUsers, "root-users"),
    entry!(PrivilegeEscalation, "privilege-escalation"),
    entry!(UndroppedCapabilities, "undropped-capabilities"),
    entry!(MissingSeccompProfiles, "missing-seccomp-profiles"),
    entry!(WritableRootFilesystems, "writable-root-filesystems"),
    entry!(AutomountedTokens, "automounted-tokens"),
    entry!(DefaultServiceAccounts, "default-service-accounts"),
    entry!(UnisolatedPods, "unisolated-pods"),
    entry!(UnboundedContainers, "unbounded-containers"),
    entry!(MissingUserNamespaces, "missing-user-namespaces"),
    default!(DefaultSeccompProfile, "default-seccomp-profile"),
    default!(DefaultNoPrivilegeEscalation, "default-no-privilege-escalation"),
    default!(DefaultNoTokenAutomount, "default-no-token-automount"),
    default!(DefaultRunAsNonRoot, "default-run-as-non-root"),
    default!(DefaultDropCapabilities, "default-drop-capabilities"),
    default!(DefaultReadOnlyRoot, "default-read-only-root"),
];

/// The entry of an id.
pub fn find(id: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.meta.id == id)
}

impl Entry {
    /// The policy with these settings (a JSON object).
    ///
    /// # Errors
    /// [`SettingsError`] for a setting that the policy does not have, or a value that does not fit.
    pub fn build(&self, settings: serde_json::Value, version: PodSecurityVersion) -> Result<Act, SettingsError> {
        (self.build)(settings, version)
    }

    /// The ids of the policies that need not run where this one acts at least as far, in that version of the standards.
    pub fn replaces(&self, version: PodSecurityVersion) -> &'static [&'static str] {
        (self.replaces)(version)
    }

    /// JSON Schema of the settings.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

fn validator<P: Policy>(settings: serde_json::Value, version: PodSecurityVersion) -> Result<Act, SettingsError> {
    let mut policy: P = read(settings)?;
    policy.follow(version);
    Ok(Act::Judge(Arc::new(policy)))
}

fn mutator<P: Defaulter>(settings: serde_json::Value, _: PodSecurityVersion) -> Result<Act, SettingsError> {
    Ok(Act::Set(Arc::new(read::<P>(settings)?)))
}

fn read<P: serde::de::DeserializeOwned>(settings: serde_json::Value) -> Result<P, SettingsError> {
    serde_path_to_error::deserialize(settings)
        .map_err(|error| SettingsError { path: error.path().to_string(), message: error.inner().to_string() })
}
