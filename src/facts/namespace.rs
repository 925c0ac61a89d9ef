//! A Namespace, reduced to its Pod Security labels and its end.

use std::collections::BTreeMap;

use crate::pod_security::PREFIX;

/// The Pod Security labels of a Namespace, and whether it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Values by key without [`PREFIX`].
    labels: BTreeMap<String, String>,
    /// True if it was deleted, and what is in it is being deleted.
    pub is_terminating: bool,
}

impl Namespace {
    /// A Namespace with these labels.
    pub fn labelled<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        let kept = labels.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        let labels = kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { labels, is_terminating: false }
    }

    /// The same, with whether it was deleted.
    #[must_use]
    pub fn terminating(self, is_terminating: bool) -> Self {
        Self { is_terminating, ..self }
    }

    /// The value of a Pod Security label, by its key without [`PREFIX`].
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}
