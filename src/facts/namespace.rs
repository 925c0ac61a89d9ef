//! A Namespace, reduced to its Pod Security labels.

use std::collections::BTreeMap;

use crate::pod_security::PREFIX;

/// The Pod Security labels of a Namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Values by key without [`PREFIX`].
    labels: BTreeMap<String, String>,
}

impl Namespace {
    /// A Namespace with these labels.
    pub fn labelled<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        let kept = labels.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        Self { labels: kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }

    /// The value of a Pod Security label, by its key without [`PREFIX`].
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}
