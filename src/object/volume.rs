//! A volume of a pod: its name and its source.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::list::List;
use super::mapping::{self, Mapping};
use super::memory;
use super::spec::ImageVolume;
use super::text::Text;

/// Number of sources up to which repeated ones are found by linear search. Kubernetes allows one; a custom resource may hold any number.
const SEARCHED: usize = 16;

/// A volume as read from the request. Sources are kept by name, so that those unknown to this program are seen too.
#[derive(Debug, Default)]
pub(super) struct Volume<'a> {
    pub(super) name: Option<Text<'a>>,
    detail: Detail<'a>,
    /// The non-null fields besides `name`: the first one, which is all that Kubernetes allows, and the others.
    source: Option<Text<'a>>,
    others: List<Text<'a>>,
}

/// The settings of an `emptyDir` that mutators set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmptyDir {
    /// `mode`, the permission bits of its folder.
    pub mode: Option<u16>,
}

/// A source of a projected volume that is a token of a ServiceAccount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectedToken {
    /// Position among the sources of the volume.
    pub position: usize,
    /// `serviceAccountToken.expirationSeconds`
    pub seconds: i64,
}

/// The part of a source that policies read. One field holds either, because memory is bounded by the size of a volume.
#[derive(Debug, Default)]
enum Detail<'a> {
    #[default]
    Unread,
    Image(ImageVolume<'a>),
    /// An `emptyDir` with nothing but a mode, or without one.
    EmptyDir(EmptyDir),
    /// The token of a projected volume that lives longest, of those that say how long.
    Token(ProjectedToken),
}

impl<'a> Volume<'a> {
    /// The names of the non-null fields besides `name`.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Text<'a>> {
        self.source.iter().chain(self.others.iter())
    }

    /// The image volume, if it is one.
    pub(super) fn image(&self) -> Option<&ImageVolume<'a>> {
        if let Detail::Image(image) = &self.detail { Some(image) } else { None }
    }

    /// An `emptyDir` that is the only source and says nothing but a mode; `None` for other volumes.
    pub(super) fn bare_empty_dir(&self) -> Option<EmptyDir> {
        match self.detail {
            Detail::EmptyDir(settings) if self.is_only("emptyDir") => Some(settings),
            _ => None,
        }
    }

    /// The token of a projected volume that lives longest, of those that say how long; `None` for other volumes.
    pub(super) fn token(&self) -> Option<ProjectedToken> {
        if let Detail::Token(token) = self.detail { Some(token) } else { None }
    }

    /// True if there is no other source.
    pub(super) fn is_only(&self, source: &str) -> bool {
        self.others.is_empty() && self.source.as_deref() == Some(source)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Volume<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Volume<'de>, A::Error> {
                let mut volume = Volume::default();
                let mut has_name = false;
                let mut seen: HashSet<Text<'de>> = HashSet::new();
                while let Some(field) = map.next_key::<Text<'de>>()? {
                    if field == "name" {
                        if std::mem::replace(&mut has_name, true) {
                            return Err(A::Error::duplicate_field("name"));
                        }
                        volume.name = map.next_value()?;
                        continue;
                    }
                    if seen.is_empty() && volume.others.len() == SEARCHED {
                        seen.extend(volume.sources().cloned());
                    }
                    let is_repeated =
                        seen.contains(&field) || seen.is_empty() && volume.sources().any(|one| *one == field);
                    if is_repeated {
                        return Err(A::Error::custom(format_args!("duplicate field `{}`", field.escape_debug())));
                    }
                    let is_there = if field == "image" {
                        let image = map.next_value::<Option<Mapping<_>>>()?;
                        let is_written = image.is_some();
                        if let Some(Mapping(image)) = image {
                            volume.detail = Detail::Image(image);
                        }
                        is_written
                    } else if field == "emptyDir" {
                        let settings = map.next_value::<Option<&RawValue>>()?;
                        if let Some(mode) = settings.and_then(mode_alone)
                            && volume.image().is_none()
                        {
                            volume.detail = Detail::EmptyDir(mode);
                        }
                        settings.is_some()
                    } else if field == "projected" {
                        let projected = map.next_value::<Option<Mapping<Projected>>>()?;
                        let is_written = projected.is_some();
                        if let Some(token) = projected.and_then(|Mapping(projected)| projected.sources)
                            && volume.image().is_none()
                        {
                            volume.detail = Detail::Token(token);
                        }
                        is_written
                    } else {
                        map.next_value::<Option<IgnoredAny>>()?.is_some()
                    };
                    if is_there {
                        if !seen.is_empty() {
                            memory::take(2 * size_of::<Text<'_>>()).map_err(A::Error::custom)?;
                            seen.insert(field.clone());
                        }
                        match &mut volume.source {
                            Some(_) => volume.others.push(field).map_err(A::Error::custom)?,
                            none => *none = Some(field),
                        }
                    }
                }
                Ok(volume)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A projected volume: the token in it that lives longest.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Projected {
    #[serde(deserialize_with = "longest")]
    sources: Option<ProjectedToken>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProjectedSource {
    #[serde(deserialize_with = "mapping::optional")]
    service_account_token: Option<TokenProjection>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TokenProjection {
    expiration_seconds: Option<i64>,
}

fn longest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ProjectedToken>, D::Error> {
    let mut longest: Option<ProjectedToken> = None;
    mapping::each(deserializer, |position, Mapping(source): Mapping<ProjectedSource>| {
        let seconds = source.service_account_token.and_then(|token| token.expiration_seconds);
        if let Some(seconds) = seconds.filter(|seconds| longest.is_none_or(|longest| *seconds > longest.seconds)) {
            longest = Some(ProjectedToken { position, seconds });
        }
        Ok(())
    })?;
    Ok(longest)
}

/// The settings of an `emptyDir` that hold nothing but a mode; `None` if they hold more. A mode has no other spelling
/// here than that of the API server: the settings may have to be written as they are stored.
fn mode_alone(raw: &RawValue) -> Option<EmptyDir> {
    let within = raw.get().strip_prefix('{')?.strip_suffix('}')?.trim_ascii();
    if within.is_empty() {
        return Some(EmptyDir::default());
    }
    let mode = within.strip_prefix("\"mode\"")?.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
    let is_number = !mode.is_empty() && mode.bytes().all(|byte| byte.is_ascii_digit());
    mode.parse().ok().filter(|_| is_number).map(|mode| EmptyDir { mode: Some(mode) })
}
