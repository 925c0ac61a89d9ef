//! Image references, parsed by the grammar of the OCI distribution project.
//!
//! `reference := [domain "/"] path [":" tag] ["@" digest]`
//! (`github.com/distribution/reference`, regexp.go), with Docker's rule for short names: the part before the first
//! slash is a domain only if it holds a dot, a colon or an upper-case letter, or is `localhost`.

use std::fmt;

/// The digest algorithm that pins an image, with its colon.
const SHA256: &str = "sha256:";
/// Hexadecimal digits of a SHA-256 digest.
const SHA256_DIGITS: usize = 64;
/// The longest name (domain and path) of the grammar, in bytes.
const NAME_MAX: usize = 255;
/// The longest tag of the grammar, in bytes.
const TAG_MAX: usize = 128;

/// The parts of an image reference, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image<'a> {
    /// Registry host, with its port; `None` for a short name (`nginx` is `docker.io/library/nginx`).
    pub domain: Option<&'a str>,
    /// Repository path within the registry.
    pub path: &'a str,
    /// The tag, without its colon.
    pub tag: Option<&'a str>,
    /// The digest with its algorithm: always `sha256:` and 64 lower-case hexadecimal digits.
    pub digest: Option<&'a str>,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing was written.
    Empty,
    /// What follows `@` is no `sha256:` and 64 lower-case hexadecimal digits.
    Digest,
    /// What follows the last colon is no tag.
    Tag,
    /// The name is not of the grammar (upper-case letters in the path, empty components, over 255 bytes).
    Name,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "is empty",
            Self::Digest => "has a digest that is not sha256: and 64 lower-case hexadecimal digits",
            Self::Tag => "has a malformed tag",
            Self::Name => "is no image name",
        })
    }
}

impl<'a> Image<'a> {
    /// Takes a reference apart.
    ///
    /// # Errors
    /// [`Malformed`] names the first part that is not of the grammar.
    pub fn parse(reference: &'a str) -> Result<Self, Malformed> {
        if reference.is_empty() {
            return Err(Malformed::Empty);
        }
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest)),
            Some(_) => return Err(Malformed::Digest),
            None => (reference, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to the registry's port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].split_once(':') {
            Some((_, tag)) if is_tag(tag) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
            Some(_) => return Err(Malformed::Tag),
            None => (rest, None),
        };
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if names_registry(first) => (Some(first), path),
            _ => (None, name),
        };
        let known = domain.is_none_or(is_domain) && path.split('/').all(is_component);
        if name.len() > NAME_MAX || !known {
            return Err(Malformed::Name);
        }
        Ok(Self { domain, path, tag, digest })
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix(SHA256).is_some_and(|digits| {
        digits.len() == SHA256_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    text.len() <= TAG_MAX
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn names_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_domain(text: &str) -> bool {
    let host = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
                && !address.is_empty()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => match text.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return false,
            None => text,
        },
    };
    host.split('.').all(|label| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        edge(label.bytes().next())
            && edge(label.bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `[a-z0-9]+` joined by one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().copied().is_some_and(alphanumeric) && bytes.last().copied().is_some_and(alphanumeric);
    ends && bytes
        .split(|byte| alphanumeric(*byte))
        .all(|between| matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::{Image, Malformed};

    const DIGEST: &str = "sha256:7d6a3c8f0b9de7d6a3c8f0b9de7d6a3c8f0b9de7d6a3c8f0b9de7d6a3c8f0b9d";

    fn parse(reference: &str) -> (Option<&str>, &str, Option<&str>, bool) {
        let image = Image::parse(reference).unwrap_or_else(|error| panic!("{reference}: {error}"));
        (image.domain, image.path, image.tag, image.digest.is_some())
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(parse("registry:5000/app"), (Some("registry:5000"), "app", None, false));
        assert_eq!(parse("registry:5000/app:1"), (Some("registry:5000"), "app", Some("1"), false));
        assert_eq!(parse("app:5000"), (None, "app", Some("5000"), false));
        assert_eq!(parse("[2001:db8::1]:5000/app"), (Some("[2001:db8::1]:5000"), "app", None, false));
    }

    #[test]
    fn a_short_name_has_no_domain() {
        assert_eq!(parse("nginx"), (None, "nginx", None, false));
        assert_eq!(parse("library/nginx"), (None, "library/nginx", None, false));
        assert_eq!(parse("localhost/nginx"), (Some("localhost"), "nginx", None, false));
        assert_eq!(parse("ghcr.io/a/b__c/d---e"), (Some("ghcr.io"), "a/b__c/d---e", None, false));
    }

    #[test]
    fn a_digest_stands_at_the_end_whole() {
        assert_eq!(parse(&format!("a/b:1@{DIGEST}")), (None, "a/b", Some("1"), true));
        for bad in [
            "a@sha256:",
            "a@sha256:abc",
            "a@",
            "a@md5:d41d8cd98f00b204e9800998ecf8427e",
            &format!("a@{}", DIGEST.to_uppercase()),
            &format!("a@{DIGEST}0"),
            &format!("a@{DIGEST}:latest"),
            &format!("a@{DIGEST}@{DIGEST}"),
            &format!("a@{DIGEST} "),
        ] {
            assert_eq!(Image::parse(bad), Err(Malformed::Digest), "{bad}");
        }
    }

    #[test]
    fn names_out_of_the_grammar_are_said_to_be() {
        for bad in ["Nginx", "a//b", "/a", "a/", "a/-b", "a___b", "a..b", "https://a.b/c", "-a.b/c", "a b", "é"] {
            assert!(Image::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Image::parse("a:"), Err(Malformed::Tag));
        assert_eq!(Image::parse("a:b:c"), Err(Malformed::Tag));
        assert_eq!(Image::parse(""), Err(Malformed::Empty));
        assert_eq!(Image::parse(&"a".repeat(256)), Err(Malformed::Name));
    }
}
