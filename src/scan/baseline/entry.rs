//! An entry of a baseline, as `exceptions` takes it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::Terms;
use crate::digest::sha256;
use crate::escape::escaped_json;

/// Maximum length of a name (RFC 1123).
const NAME: usize = 63;
/// Hexadecimal digits in a name that tell it from others.
const DIGITS: usize = 12;

/// An exception, as a configuration lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name: the same as long as it is for the same object, containers and images.
    pub name: String,
    /// Ids of policies.
    pub policies: Vec<&'static str>,
    /// The object and its containers.
    #[serde(rename = "match")]
    pub matched: Matched,
    /// The end, in RFC 3339.
    pub expires: String,
    /// The reason.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
}

/// `match` of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Namespace; `None` if the object lives in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Kind, with its group.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Names of containers; empty for findings that are on none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Images; empty if none can be named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

impl Entry {
    /// The entry for these policies.
    pub(super) fn new(matched: Matched, policies: Vec<&'static str>, terms: &Terms, owner: &str) -> Self {
        let digest = sha256(json!(matched).to_string().as_bytes());
        let container = match matched.containers.as_slice() {
            [only] => only.as_str(),
            _ => "",
        };
        let parts = [matched.namespace.as_deref().unwrap_or_default(), &matched.name, container];
        let mut slug = String::new();
        for byte in parts.join("-").bytes().map(|byte| byte.to_ascii_lowercase()) {
            let is_plain = byte.is_ascii_lowercase() || byte.is_ascii_digit();
            if is_plain || !slug.is_empty() && !slug.ends_with('-') {
                slug.push(if is_plain { char::from(byte) } else { '-' });
            }
        }
        slug.truncate(NAME - DIGITS - 1);
        let slug = slug.trim_end_matches('-');
        let digest = digest.get(..DIGITS).unwrap_or_default();
        Self {
            name: if slug.is_empty() { digest.to_owned() } else { format!("{slug}-{digest}") },
            policies,
            matched,
            expires: terms.expires.to_string(),
            reason: terms.reason.clone(),
            owner: owner.to_owned(),
        }
    }

    /// An item of a YAML list.
    pub fn yaml(&self) -> String {
        let Matched { namespace, kind, name, containers, images } = &self.matched;
        let mut text =
            format!("- name: {}\n  policies: [{}]\n  match:\n", quoted(&self.name), self.policies.join(", "));
        let mut add = |field: &str, value: String| {
            let _ = writeln!(text, "    {field}: {value}");
        };
        if let Some(namespace) = namespace {
            add("namespace", quoted(namespace));
        }
        add("kind", quoted(kind));
        add("name", quoted(name));
        let list =
            |items: &[String]| format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "));
        if !containers.is_empty() {
            add("containers", list(containers));
        }
        if !images.is_empty() {
            add("images", list(images));
        }
        let (expires, reason, owner) = (&self.expires, quoted(&self.reason), quoted(&self.owner));
        let _ = writeln!(text, "  expires: {expires}\n  reason: {reason}\n  owner: {owner}");
        text
    }
}

/// A text in quotation marks, as YAML and JSON read it.
fn quoted(text: &str) -> String {
    escaped_json(&json!(text).to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Matched};
    use crate::document;
    use crate::scan::baseline::Terms;

    fn entry(namespace: Option<&str>, name: &str, containers: &[&str]) -> Entry {
        let matched = Matched {
            namespace: namespace.map(str::to_owned),
            kind: "Deployment.apps".to_owned(),
            name: name.to_owned(),
            containers: containers.iter().map(|&name| name.to_owned()).collect(),
            images: vec!["docker.io/library/nginx:1".to_owned()],
        };
        let expires = "2027-01-01T00:00:00Z".parse().expect("a time");
        let terms = Terms { expires, reason: "no: \"reason\"\n- x".to_owned(), owner: "null".to_owned() };
        Entry::new(matched, vec!["host-ports", "root-users"], &terms, "null")
    }

    #[test]
    fn names_are_labels_that_say_what_they_are_for() {
        let name = |namespace, name, containers: &[&str]| entry(namespace, name, containers).name;
        let (long, longer) = ("a".repeat(253), "a".repeat(254));
        for (made, start) in [
            (name(Some("shop"), "web", &["app"]), "shop-web-app-"),
            (name(Some("shop"), "web", &["a", "b"]), "shop-web-"),
            (name(None, "system:Node..x", &[]), "system-node-x-"),
            (name(None, "\u{1b}ключ", &[]), ""),
            (name(Some("shop"), &long, &[]), "shop-aaaaaaaa"),
        ] {
            assert!(made.starts_with(start), "{made}");
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(made.bytes().all(is_plain) && made.len() <= 63 && !made.starts_with('-'), "{made}");
        }
        let one = name(Some("shop"), "web", &["app"]);
        assert_eq!(one, name(Some("shop"), "web", &["app"]));
        assert_ne!(one, name(Some("shop-web"), "app", &[]), "the texts are the same, the objects are not");
        assert_ne!(name(Some("s"), &long, &[]), name(Some("s"), &longer, &[]), "what is cut off counts");
    }

    #[test]
    fn an_item_is_read_as_the_entry_that_it_is() {
        for entry in [entry(Some("shop"), "web", &["app", "\u{202e}\u{7}: - {"]), entry(None, "yes", &[])] {
            let read = document::read(&entry.yaml()).expect("YAML");
            let items = serde_json::to_value(&read[0]).expect("JSON");
            assert_eq!(items, serde_json::json!([entry]));
            assert!(!entry.yaml().contains(['\u{202e}', '\u{7}']));
        }
    }
}
