//! The profiles that ship with the program (`policies/profiles/*.yaml`).

use std::collections::BTreeMap;

use super::compile::{PolicyFields, Written, policies, read_mode};
use super::problem::{ConfigError, Fields, Problems, suggestion};
use crate::document;
use crate::mode::Mode;

/// Name and text of each profile.
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

/// The text of a profile.
///
/// # Errors
/// For a name that no profile has, with the nearest one.
pub fn text(name: &str) -> Result<&'static str, String> {
    let known: Vec<&str> = names().collect();
    PROFILES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| format!("no profile has this name{}", suggestion(name, &known, "there are")))
}

/// The profile of that name, with what it extends.
pub(super) fn load(name: &str) -> Result<Profile, String> {
    let text = text(name)?;
    parse(name, text).map_err(|error| error.to_string())
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
        policies(&fields, &mut problems, &mut |id, _, written: Written| {
            profile.policies.entry(id).or_default().override_with(&written.fields);
        });
    }
    if problems.found.is_empty() { Ok(profile) } else { Err(ConfigError(problems.found)) }
}
