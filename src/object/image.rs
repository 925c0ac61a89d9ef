//! Image references, parsed by the grammar of the OCI distribution project.
//!
//! `reference := [domain "/"] path [":" tag] ["@" digest]`
//! (`github.com/distribution/reference` v0.6.0, regexp.go and normalize.go), with Docker's rule for short names: the part
//! before the first slash is a domain only if it holds a dot, a colon or an upper-case letter, or is `localhost`.

mod malformed;
mod pattern;

pub use malformed::Malformed;
pub use pattern::{BadPattern, ImagePattern};

/// Prefix of a digest that pins an image.
const SHA256: &str = "sha256:";
/// Hexadecimal digits of a SHA-256 digest.
const SHA256_DIGITS: usize = 64;
/// The longest path of the grammar, in bytes; the domain does not count (`RepositoryNameTotalLengthMax`).
const PATH_MAX: usize = 255;
/// The longest tag of the grammar, in bytes.
const TAG_MAX: usize = 128;
/// Names of the default registry.
const DEFAULT_DOMAINS: [&str; 2] = ["docker.io", "index.docker.io"];
/// Prefix of paths with a single component in the default registry. It counts towards the length of the path.
const OFFICIAL: &str = "library/";

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

impl<'a> Image<'a> {
    /// Parses a reference.
    ///
    /// # Errors
    /// [`Malformed`] names the first rule of the grammar that is broken.
    pub fn parse(reference: &'a str) -> Result<Self, Malformed> {
        if reference.is_empty() {
            return Err(Malformed::Empty);
        }
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest)),
            Some(_) => return Err(Malformed::Digest),
            None => (reference, None),
        };
        if digest.is_none() && is_hexadecimal(rest) {
            return Err(Malformed::Identifier);
        }
        if rest.contains("://") {
            return Err(Malformed::Scheme);
        }
        // A colon after the last slash starts a tag; one before it belongs to the registry's port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].split_once(':') {
            Some((_, tag)) => {
                check_tag(tag)?;
                (&rest[..rest.len() - tag.len() - 1], Some(tag))
            }
            None => (rest, None),
        };
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if names_registry(first) => (Some(first), path),
            _ => (None, name),
        };
        domain.map_or(Ok(()), check_domain)?;
        check_path(path)?;
        let is_official = domain.is_none_or(|domain| DEFAULT_DOMAINS.contains(&domain)) && !path.contains('/');
        if path.len() + if is_official { OFFICIAL.len() } else { 0 } > PATH_MAX {
            return Err(Malformed::TooLong);
        }
        Ok(Self { domain, path, tag, digest })
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix(SHA256).is_some_and(is_hexadecimal)
}

fn is_hexadecimal(digits: &str) -> bool {
    digits.len() == SHA256_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_tag(text: &str) -> Result<(), Malformed> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    if !bytes.next().is_some_and(word) || !bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-')) {
        return Err(Malformed::Tag);
    }
    if text.len() > TAG_MAX { Err(Malformed::TagTooLong) } else { Ok(()) }
}

fn names_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

fn check_domain(text: &str) -> Result<(), Malformed> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(Malformed::Domain)?;
            let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if address.is_empty() || !is_address {
                return Err(Malformed::Domain);
            }
            (None, port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (Some(host), port)
        }
    };
    let is_label = |label: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        edge(label.bytes().next())
            && edge(label.bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !host.is_none_or(|host| host.split('.').all(is_label)) {
        return Err(Malformed::Domain);
    }
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_empty() || port.strip_prefix(':').is_some_and(is_port) { Ok(()) } else { Err(Malformed::Port) }
}

/// Components of `[a-z0-9]+` joined by one dot, one or two underscores, or any number of dashes.
fn check_path(path: &str) -> Result<(), Malformed> {
    if path.chars().any(char::is_uppercase) {
        return Err(Malformed::UpperCase);
    }
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    for component in path.split('/') {
        let bytes = component.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return Err(Malformed::EmptyComponent) };
        if !bytes.iter().all(|byte| alphanumeric(*byte) || matches!(byte, b'.' | b'_' | b'-')) {
            return Err(Malformed::Character);
        }
        let is_separator =
            |between: &[u8]| matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-');
        if !alphanumeric(*first) || !alphanumeric(*last) || !bytes.split(|byte| alphanumeric(*byte)).all(is_separator) {
            return Err(Malformed::Separator);
        }
    }
    Ok(())
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
            &format!("a@{}", &DIGEST[..70]),
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
    fn the_rule_that_is_broken_is_named() {
        use Malformed as M;
        for (bad, rule) in [
            ("", M::Empty),
            ("a@sha256:abc", M::Digest),
            (&DIGEST[7..], M::Identifier),
            ("https://a.b/c", M::Scheme),
            ("docker://nginx", M::Scheme),
            ("a:", M::Tag),
            ("a:b:c", M::Tag),
            ("a:-b", M::Tag),
            ("a:b c", M::Tag),
            (&format!("a:{}", "b".repeat(129)), M::TagTooLong),
            ("-a.b/c", M::Domain),
            ("a..b/c", M::Domain),
            ("[::g]/c", M::Domain),
            ("[]:5000/c", M::Domain),
            ("a_b:5000/c", M::Domain),
            ("a:b/c", M::Port),
            ("a:/c", M::Port),
            ("[::1]5000/c", M::Port),
            ("Nginx", M::UpperCase),
            ("a/Nginx:1", M::UpperCase),
            ("É", M::UpperCase),
            ("a//b", M::EmptyComponent),
            ("/a", M::EmptyComponent),
            ("a/", M::EmptyComponent),
            ("a b", M::Character),
            ("é", M::Character),
            (" a", M::Character),
            ("a/$b", M::Character),
            ("a/-b", M::Separator),
            ("a___b", M::Separator),
            ("a..b", M::Separator),
            ("a/b.", M::Separator),
        ] {
            assert_eq!(Image::parse(bad), Err(rule), "{bad}");
        }
    }

    #[test]
    fn the_path_alone_is_limited() {
        let host = format!("{}.example.com:5000", ["a"; 200].join("."));
        let long = |length: usize| "a".repeat(length);
        for good in [
            format!("{host}/{}", long(255)),
            format!("{host}/{}:{}@{DIGEST}", long(255), long(128)),
            format!("a/{}", long(253)),
            format!("docker.io/a/{}", long(253)),
            long(247),
            format!("docker.io/{}", long(247)),
            format!("localhost/{}", long(255)),
        ] {
            assert!(Image::parse(&good).is_ok(), "{good}");
        }
        for bad in [
            format!("{host}/{}", long(256)),
            format!("a/{}", long(254)),
            long(248),
            format!("docker.io/{}", long(248)),
            format!("index.docker.io/{}", long(248)),
            format!("localhost/{}:1", long(256)),
        ] {
            assert_eq!(Image::parse(&bad), Err(Malformed::TooLong), "{bad}");
        }
    }
}
