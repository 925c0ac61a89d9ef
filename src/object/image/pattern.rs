//! Patterns of images: a reference in which `*` stands for one component of the path, and `**` for the rest of it.

use std::fmt;

use super::{DEFAULT_DOMAINS, Image, Malformed};

/// The registry of references that name none, and its namespace for names of one component.
const DEFAULT_DOMAIN: &str = "docker.io";
const OFFICIAL_COMPONENT: &str = "library";
/// The tag of a reference that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// Stands for any component of the path.
const ANY: &str = "*";
/// Stands for any further components; only at the end.
const REST: &str = "**";
/// A component that the grammar accepts, in the place of a wildcard.
const PLAIN: &str = "x";

/// A pattern of images, normalised: `nginx` is `docker.io/library/nginx`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImagePattern {
    domain: String,
    /// Components of the path; `None` for any.
    components: Vec<Option<String>>,
    /// True if one or more further components may follow.
    has_rest: bool,
    tag: Option<String>,
    digest: Option<String>,
}

/// The reason why a text is not an image pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// The text without its wildcards is not an image reference.
    #[error("{0}")]
    Reference(Malformed),
    /// A wildcard is only a part of a component.
    #[error("* must stand for a whole component of the path, as in registry.example.com/*/web")]
    PartOfComponent,
    /// A wildcard is in the place of the registry.
    #[error("** needs a registry or a path before it, as in registry.example.com/**")]
    RestAlone,
    /// Something follows `**`.
    #[error("** must be the end, without a tag or a digest")]
    AfterRest,
}

impl ImagePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`BadPattern`] names the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let (body, has_rest) = match text.strip_suffix(REST) {
            None if text.contains(REST) => return Err(BadPattern::AfterRest),
            None => (text.to_owned(), false),
            Some(front) => match front.strip_suffix('/') {
                None if front.is_empty() => return Err(BadPattern::RestAlone),
                None => return Err(BadPattern::PartOfComponent),
                Some(front) if front.contains(REST) => return Err(BadPattern::AfterRest),
                // A component in the place of the rest, so that a registry alone is not taken for a path.
                Some(front) => (format!("{front}/{PLAIN}"), true),
            },
        };
        let name_end = body.rfind('/').map_or(0, |slash| slash + 1);
        let name_end =
            body.get(name_end..).and_then(|last| last.find([':', '@'])).map_or(body.len(), |at| name_end + at);
        let (name, suffix) = body.split_at_checked(name_end).unwrap_or((&body, ""));
        let plain: Vec<&str> = name.split('/').map(|part| if part == ANY { PLAIN } else { part }).collect();
        if suffix.contains('*') || plain.iter().any(|part| part.contains('*')) {
            return Err(BadPattern::PartOfComponent);
        }
        let plain = plain.join("/") + suffix;
        let image = Image::parse(&plain).map_err(BadPattern::Reference)?;
        let components = name.split('/').skip(usize::from(image.domain.is_some()));
        let mut components: Vec<Option<String>> =
            components.map(|part| (part != ANY).then(|| part.to_owned())).collect();
        if has_rest {
            components.pop();
        }
        let domain = domain(&image);
        if domain == DEFAULT_DOMAIN && components.len() == 1 && !has_rest {
            components.insert(0, Some(OFFICIAL_COMPONENT.to_owned()));
        }
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Ok(Self { domain: domain.to_owned(), components, has_rest, tag: owned(image.tag), digest: owned(image.digest) })
    }

    /// The pattern of one image: with its digest if it has one, or else with its tag.
    pub fn of(image: &Image<'_>) -> Self {
        let domain = domain(image);
        let is_official = domain == DEFAULT_DOMAIN && !image.path.contains('/');
        let path = is_official.then_some(OFFICIAL_COMPONENT).into_iter().chain(image.path.split('/'));
        let tag = match image.digest {
            Some(_) => image.tag,
            None => Some(image.tag.unwrap_or(DEFAULT_TAG)),
        };
        Self {
            domain: domain.to_owned(),
            components: path.map(|part| Some(part.to_owned())).collect(),
            has_rest: false,
            tag: tag.map(str::to_owned),
            digest: image.digest.map(str::to_owned),
        }
    }

    /// True if the pattern matches an image. A tag says nothing about what runs where there is a digest too: a pattern with a
    /// tag alone matches only references without a digest.
    pub fn matches(&self, image: &Image<'_>) -> bool {
        let is_official = domain(image) == DEFAULT_DOMAIN && !image.path.contains('/');
        let path = is_official.then_some(OFFICIAL_COMPONENT).into_iter().chain(image.path.split('/'));
        let length = image.path.split('/').count() + usize::from(is_official);
        let has_length = if self.has_rest { length > self.components.len() } else { length == self.components.len() };
        let has_path = || {
            self.components.iter().zip(path).all(|(wanted, part)| wanted.as_deref().is_none_or(|wanted| wanted == part))
        };
        let has_version = match (&self.tag, &self.digest) {
            (None, None) => true,
            (Some(tag), None) => image.digest.is_none() && image.tag.unwrap_or(DEFAULT_TAG) == tag,
            (tag, Some(digest)) => {
                image.digest == Some(digest) && tag.as_deref().is_none_or(|tag| image.tag == Some(tag))
            }
        };
        self.domain == domain(image) && has_length && has_version && has_path()
    }
}

/// The pattern, normalised.
impl fmt::Display for ImagePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.domain)?;
        let rest = self.has_rest.then_some(REST);
        let components = self.components.iter().map(|part| part.as_deref().unwrap_or(ANY)).chain(rest);
        components.into_iter().try_for_each(|part| write!(out, "/{part}"))?;
        self.tag.iter().try_for_each(|tag| write!(out, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(out, "@{digest}"))
    }
}

/// The registry of an image, the default one for a short name.
fn domain<'a>(image: &Image<'a>) -> &'a str {
    image.domain.filter(|domain| !DEFAULT_DOMAINS.contains(domain)).unwrap_or(DEFAULT_DOMAIN)
}

#[cfg(test)]
mod tests {
    use super::{BadPattern, Image, ImagePattern, Malformed};

    const DIGEST: &str = "sha256:7d6a3c8f0b9de7d6a3c8f0b9de7d6a3c8f0b9de7d6a3c8f0b9de7d6a3c8f0b9d";

    fn matches(pattern: &str, image: &str) -> bool {
        let image = Image::parse(image).unwrap_or_else(|error| panic!("{image}: {error}"));
        ImagePattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(&image)
    }

    #[test]
    fn names_are_compared_by_registry_and_component() {
        let (digest, other) = (format!("shop/web@{DIGEST}"), DIGEST.replace("7d6a", "0000"));
        for (pattern, same, others) in [
            (
                "nginx",
                &["nginx", "library/nginx", "docker.io/nginx", "index.docker.io/library/nginx:1"][..],
                &["shop/nginx", "localhost/nginx", "nginx-2", "ghcr.io/nginx"][..],
            ),
            (
                "registry.example.com/**",
                &["registry.example.com/a", "registry.example.com/a/b:1"],
                &[
                    "registry.example.com.evil.io/a",
                    "registry.example.com:5000/a",
                    "evil.io/registry.example.com/a",
                    "a",
                ],
            ),
            (
                "registry.example.com:5000/shop/**",
                &["registry.example.com:5000/shop/a/b"],
                &["registry.example.com:5000/shop", "registry.example.com:5000/shopping/a"],
            ),
            ("shop/**", &["shop/web", "docker.io/shop/a/b"], &["shop", "shop.io/a", "other/shop/web"]),
            ("docker.io/**", &["nginx", "shop/web", "index.docker.io/a/b/c"], &["docker.io.evil.com/a"]),
            ("shop/*", &["shop/web"], &["shop/a/b", "shop"]),
            ("*/web", &["shop/web", "web"], &["a/b/web", "shop.io/web"]),
            ("*", &["nginx"], &["shop/web"]),
            (
                "ghcr.io/*/web:1.2",
                &["ghcr.io/shop/web:1.2"],
                &["ghcr.io/shop/web", "ghcr.io/shop/web:1.20", "ghcr.io/shop/web:1"],
            ),
            ("shop/web:latest", &["shop/web", "shop/web:latest"], &["shop/web:1", &digest]),
            ("shop/web", &["shop/web:1", &digest], &["shop/web2", "shop/web/x"]),
            (&digest, &[&digest, &format!("shop/web:1@{DIGEST}")], &["shop/web", &format!("shop/web@{other}")]),
        ] {
            for image in same {
                assert!(matches(pattern, image), "{pattern} {image}");
            }
            for image in others {
                assert!(!matches(pattern, image), "{pattern} {image}");
            }
        }
        assert!(!matches("shop/web:1", &format!("shop/web:1@{DIGEST}")), "a digest is what runs, not the tag");
    }

    #[test]
    fn what_is_not_a_pattern_is_told_by_its_rule() {
        for (text, rule) in [
            ("", BadPattern::Reference(Malformed::Empty)),
            ("**", BadPattern::RestAlone),
            ("shop**", BadPattern::PartOfComponent),
            ("shop/we*", BadPattern::PartOfComponent),
            ("*.example.com/web", BadPattern::PartOfComponent),
            ("shop/web:*", BadPattern::PartOfComponent),
            ("shop/***", BadPattern::PartOfComponent),
            ("shop/**/web", BadPattern::AfterRest),
            ("shop/**:1", BadPattern::AfterRest),
            ("**/**", BadPattern::AfterRest),
            ("https://shop/web", BadPattern::Reference(Malformed::Scheme)),
            ("ghcr.io/Shop/**", BadPattern::Reference(Malformed::UpperCase)),
            ("shop/", BadPattern::Reference(Malformed::EmptyComponent)),
            ("shop/web@sha256:12", BadPattern::Reference(Malformed::Digest)),
            ("shop/.+", BadPattern::Reference(Malformed::Character)),
        ] {
            assert_eq!(ImagePattern::parse(text), Err(rule), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_written_out_in_full() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx"),
            ("index.docker.io/*", "docker.io/library/*"),
            ("shop/**", "docker.io/shop/**"),
            ("ghcr.io/*/web:1", "ghcr.io/*/web:1"),
        ] {
            assert_eq!(ImagePattern::parse(text).map(|pattern| pattern.to_string()), Ok(full.to_owned()), "{text}");
        }
    }
}
