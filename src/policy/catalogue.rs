//! The one list of every policy.

use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};

use super::identity::automounted_tokens::AutomountedTokens;
use super::images::unpinned_images::UnpinnedImages;
use super::pods::missing_seccomp_profiles::MissingSeccompProfiles;
use super::pods::privilege_escalation::PrivilegeEscalation;
use super::pods::root_users::RootUsers;
use super::pods::undropped_capabilities::UndroppedCapabilities;
use super::pods::writable_root_filesystems::WritableRootFilesystems;
use super::{Meta, PodSecurityVersion, Policy, Validator};

/// A policy of the catalogue.
pub struct Entry {
    /// Its documentation.
    pub meta: &'static Meta,
    /// A manifest that it admits, in YAML.
    pub admitted: &'static str,
    /// A manifest that it denies, in YAML.
    pub denied: &'static str,
    build: fn(serde_json::Value, PodSecurityVersion) -> Result<Arc<dyn Validator>, SettingsError>,
    schema: fn(&mut SchemaGenerator) -> Schema,
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
            build: build::<$policy>,
            schema: SchemaGenerator::subschema_for::<$policy>,
        }
    };
}

/// Every policy, in the order in which they run and are listed.
pub static CATALOGUE: &[Entry] = &[
    entry!(UnpinnedImages, "unpinned-images"),
    entry!(RootUsers, "root-users"),
    entry!(PrivilegeEscalation, "privilege-escalation"),
    entry!(UndroppedCapabilities, "undropped-capabilities"),
    entry!(MissingSeccompProfiles, "missing-seccomp-profiles"),
    entry!(WritableRootFilesystems, "writable-root-filesystems"),
    entry!(AutomountedTokens, "automounted-tokens"),
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
    pub fn build(
        &self,
        settings: serde_json::Value,
        version: PodSecurityVersion,
    ) -> Result<Arc<dyn Validator>, SettingsError> {
        (self.build)(settings, version)
    }

    /// JSON Schema of the settings.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

fn build<P: Policy>(
    settings: serde_json::Value,
    version: PodSecurityVersion,
) -> Result<Arc<dyn Validator>, SettingsError> {
    let mut policy: P = serde_path_to_error::deserialize(settings)
        .map_err(|error| SettingsError { path: error.path().to_string(), message: error.inner().to_string() })?;
    policy.follow(version);
    Ok(Arc::new(policy))
}
