//! A Namespace, reduced to its Pod Security labels and to those that are asked for.

use std::collections::BTreeMap;

use crate::pod_security::PREFIX;

/// Labels of a Namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    labels: BTreeMap<String, String>,
}

impl Namespace {
    /// A Namespace with these labels. The Pod Security labels are kept, and those with one of `keys`.
    pub fn labelled<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>, keys: &[String]) -> Self {
        let is_kept = |key: &str| key.starts_with(PREFIX) || keys.iter().any(|kept| kept == key);
        let kept = labels.into_iter().filter(|(key, _)| is_kept(key));
        Self { labels: kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }

    /// The value of a Pod Security label, by its key without [`PREFIX`].
    pub fn pod_security(&self, key: &str) -> Option<&str> {
        self.label(&format!("{PREFIX}{key}"))
    }

    /// The value of a label that was asked for.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}
