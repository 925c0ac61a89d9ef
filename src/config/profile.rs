//! The profiles that ship with the program (`policies/profiles/*.yaml`).

use std::collections::BTreeMap;

use super::compile::read_mode;
use super::policies::{ParsedPolicy, PolicyFields, policies};
use super::problem::{ConfigError, Fields, Problems, suggestion};
use crate::document;
use crate::mode::Mode;

/// Name and YAML of each profile.
const PROFILES: [(&str, &str); 4] = [
    ("pss-baseline", include_str!("../../policies/profiles/pss-baseline.yaml")),
    ("pss-restricted", include_str!("../../policies/profiles/pss-restricted.yaml")),
    ("hardened", include_str!("../../policies/profiles/hardened.yaml")),
    ("audit-only", include_str!("../../policies/profiles/audit-only.yaml")),
];

/// A profile's ceiling and policies.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    pub(super) ceiling: Option<Mode>,
    pub(super) policies: BTreeMap<&'static str, PolicyFields>,
}

/// The names of the profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// No profile has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no profile has this name{suggestion}")]
pub struct UnknownProfile {
    /// `; did you mean …?`, or the names of all profiles.
    suggestion: String,
}

/// A profile could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ProfileError {
    #[error(transparent)]
    Unknown(#[from] UnknownProfile),
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

/// The YAML of a profile.
///
/// # Errors
/// [`UnknownProfile`], which suggests the nearest name.
pub fn text(name: &str) -> Result<&'static str, UnknownProfile> {
    let text = PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    text.ok_or_else(|| {
        let known: Vec<&str> = names().collect();
        UnknownProfile { suggestion: suggestion(name, &known, "there are") }
    })
}

/// Loads a profile, with the policies of the profile that it extends.
pub(super) fn load(name: &str) -> Result<Profile, ProfileError> {
    Ok(parse(name, text(name)?)?)
}

fn parse(name: &str, text: &str) -> Result<Profile, ConfigError> {
    let mut problems = Problems::new(&format!("profile {name}"));
    let nodes = match document::read(text) {
        Ok(nodes) => nodes,
        Err(error) => {
            problems.add(error.position, "", error.message);
            return Err(ConfigError(problems.found));
        }
    };
    let mut profile = Profile::default();
    let known = ["apiVersion", "kind", "extends", "ceiling", "policies"];
    if let Some(fields) = nodes.first().and_then(|node| Fields::of(node, "", &known, &mut problems)) {
        if let Some(base) = fields.parsed("extends", load, &mut problems) {
            profile = base;
        }
        profile.ceiling = read_mode(&fields, "ceiling", &mut problems).or(profile.ceiling);
        policies(&fields, &mut problems, &mut |id, _, written: ParsedPolicy| {
            profile.policies.entry(id).or_default().override_with(&written.fields);
        });
    }
    if problems.found.is_empty() { Ok(profile) } else { Err(ConfigError(problems.found)) }
}
