//! Addresses of receivers: https, and without a secret in the configuration.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::unusable_setting::{Requirement, UnusableSetting};
use super::url::{UrlError, url};
use crate::redaction::redact;
use crate::trail::connect::tls::{self, SecretError};

/// Names whose values are secrets, beside those that redaction knows.
const NAMES: [&str; 11] =
    ["apikey", "bearer", "credential", "credentials", "jwt", "key", "pass", "pwd", "secret", "signature", "token"];
/// The same for a query's parameters alone: in a path they are common words.
const PARAMETERS: [&str; 6] = ["auth", "code", "hec", "k", "sas", "sig"];
/// Characters of the longest value in a query that says something plain.
const PLAIN: usize = 32;
/// Characters of a word that nobody makes up: digits among letters, or capitals among small letters.
const RANDOM: usize = 16;
const MIXED: usize = 20;

/// Reason why a file does not hold an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The file cannot be read, or is empty.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file does not hold an address.
    #[error("{}: {source}", file.display())]
    Url {
        /// The file.
        file: PathBuf,
        /// The error.
        source: UrlError,
    },
}

/// Address of a receiver: written in the configuration, or in a file, because it holds a secret.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// As it is written.
    Written(Url),
    /// In this file; whether it may be http://.
    File(PathBuf, bool),
}

impl Address {
    /// The address that settings name, in one of two ways. `names` are the keys of the two.
    ///
    /// # Errors
    /// The error, without the address itself.
    pub(super) fn of(
        written: Option<&str>,
        file: Option<&Path>,
        insecure: bool,
        names: [&'static str; 2],
    ) -> Result<Self, UnusableSetting> {
        let [field, in_file] = names;
        match (written, file) {
            (Some(text), None) => {
                let url = url(text, insecure).map_err(|error| UnusableSetting::at(field, Requirement::Url(error)))?;
                if let Some(place) = secret_in(&url) {
                    return Err(UnusableSetting::at(field, Requirement::SecretInUrl { place, in_file }));
                }
                Ok(Self::Written(url))
            }
            (None, Some(file)) => Ok(Self::File(file.to_owned(), insecure)),
            (None, None) => Err(UnusableSetting::at(field, Requirement::NoUrl { in_file })),
            (Some(_), Some(_)) => Err(UnusableSetting::at(in_file, Requirement::TwoUrls { field })),
        }
    }

    /// The address as it is now.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold an address.
    pub(super) fn url(&self) -> Result<Url, AddressError> {
        match self {
            Self::Written(url) => Ok(url.clone()),
            Self::File(file, insecure) => {
                url(&tls::secret(file)?, *insecure).map_err(|source| AddressError::Url { file: file.clone(), source })
            }
        }
    }
}

/// The part of an address that seems to hold a secret.
pub(super) fn secret_in(url: &Url) -> Option<&'static str> {
    let tells = |name: &str, value: &str| match value {
        "" => !is_plain(name),
        value => is_secret_name(name) || PARAMETERS.contains(&&*name.to_ascii_lowercase()) || !is_plain(value),
    };
    if url.query_pairs().any(|(name, value)| tells(&name, &value)) {
        return Some("query");
    }
    if url.fragment().is_some_and(|fragment| !fragment.is_empty()) {
        return Some("fragment");
    }
    // As it is written, and as it is meant.
    let decoded = percent_decode_str(url.path()).decode_utf8_lossy();
    if redact(url.as_str()) != url.as_str() || redact(&decoded) != *decoded {
        return Some("path");
    }
    let parts: Vec<&str> = decoded.split(['/', ';', '=']).collect();
    let follows = parts.windows(2).any(|pair| is_secret_name(pair[0]) && !pair[1].is_empty());
    let is_random = |part: &&str| part.contains(['@', ':']) || is_random(part);
    (follows || parts.iter().any(is_random)).then_some("path")
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_known = name.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| NAMES.contains(&word));
    let assigned = format!("{name}=value");
    is_known || redact(&assigned) != assigned
}

/// A short word, a number, or names with dots and hyphens between them.
fn is_plain(value: &str) -> bool {
    let is_word = |word: &str| {
        word.bytes().all(|byte| byte.is_ascii_alphabetic()) || word.bytes().all(|byte| byte.is_ascii_digit())
    };
    value.len() <= PLAIN && !is_random(value) && value.split(['.', '-', '_', '/', ',']).all(is_word)
}

/// Returns true if some word of a text looks random.
fn is_random(text: &str) -> bool {
    let is_uuid = |text: &str| text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let has = |word: &str, is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    let words = text.split(|character: char| !character.is_alphanumeric()).any(|word| {
        let has_letters = has(word, u8::is_ascii_alphabetic);
        let is_mixed = has(word, u8::is_ascii_lowercase) && has(word, u8::is_ascii_uppercase);
        word.len() >= RANDOM && has(word, u8::is_ascii_digit) && has_letters || word.len() >= MIXED && is_mixed
    });
    words || text.split(['@', '.', '_']).any(is_uuid)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Address, url};

    const NAMES: [&str; 2] = ["url", "urlFile"];

    #[test]
    fn an_address_is_https_unless_the_settings_say_otherwise() {
        assert!(url("https://collector:4318/x", false).is_ok());
        assert!(url("http://collector:4318", true).is_ok());
        for (text, insecure) in [
            ("http://collector", false),
            ("https://collector", true),
            ("https://me:secret@collector", false),
            ("https://secret@collector", false),
            ("collector:4318", false),
            ("unix:/secret", true),
            ("", false),
        ] {
            let error = url(text, insecure).expect_err(text).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_secret_in_an_address_belongs_into_a_file() {
        for (rest, place) in [
            ("/x?token=hunter2", "query"),
            ("/x?index=main&Access_Token=hunter2", "query"),
            ("/x?api_key=hunter2", "query"),
            ("/x?apikey=hunter2", "query"),
            ("/x?dd-api-key=hunter2", "query"),
            ("/x?sig=hunter2", "query"),
            ("/x?code=hunter2", "query"),
            ("/x?X-Amz-Signature=hunter2", "query"),
            ("/x?t=hunter2", "query"),
            ("/x?hunter2", "query"),
            ("/x?%74oken=hunter2", "query"),
            ("/x#hunter2", "fragment"),
            ("/services/T00000000/B00000000/XXXXhunter2XXXXXXXXXXXXX", "path"),
            ("/api/webhooks/123456789012345678/hunter2AbCdEfGhIjKlMnOpQrStUvWxYz", "path"),
            ("/webhookb2/0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f", "path"),
            ("/token/hunter2", "path"),
            ("/v1/%74oken/hunter2", "path"),
            ("/api/key/hunter2/trail", "path"),
            ("/trail;token=hunter2", "path"),
            ("/password=hunter2/trail", "path"),
            ("/me:hunter2@trail", "path"),
            ("/me%3Ahunter2%40trail", "path"),
            ("/bot123456:hunter2/sendMessage", "path"),
            ("/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.hunter2", "path"),
            ("/receiver/v1/http/ZaVnC4dhaV3hunter2", "path"),
        ] {
            let written = format!("https://siem.example.com{rest}");
            let error = Address::of(Some(&written), None, false, NAMES).expect_err(rest).to_string();
            assert!(
                error.starts_with(&format!("url: its {place} holds")) && error.contains("urlFile"),
                "{rest}: {error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
        for rest in [
            "",
            "/",
            "/trail",
            "/hooks/trail",
            "/v1/logs",
            "/services/collector/raw",
            "/x?index=main",
            "/x?env=prod&version=2",
            "/otlp/eu-west-1/k8s-prod-cluster-2",
            "/api/v2/audit_events/portcullis",
            "/x?source=audit.trail",
        ] {
            let written = format!("https://siem.example.com{rest}");
            assert!(Address::of(Some(&written), None, false, NAMES).is_ok(), "{rest}");
        }
    }

    #[test]
    fn a_file_may_hold_what_the_configuration_may_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("url");
        let address = Address::of(None, Some(&file), false, NAMES).expect("an address");
        assert!(address.url().expect_err("no file").to_string().contains("url: "));
        std::fs::write(&file, "https://siem.example.com/x?token=hunter2\n").expect("written");
        assert_eq!(address.url().expect("an address").as_str(), "https://siem.example.com/x?token=hunter2");
        std::fs::write(&file, "http://hunter2").expect("written");
        assert!(!address.url().expect_err("plain text").to_string().contains("hunter2"));
        let both = Address::of(Some("https://a"), Some(Path::new("b")), false, NAMES);
        assert!(both.is_err() && Address::of(None, None, false, NAMES).is_err());
    }
}
