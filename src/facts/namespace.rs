//! A Namespace, reduced to its Pod Security labels, to those that are asked for, and to its end.

use std::collections::BTreeMap;

use crate::pod_security::PREFIX;

/// Labels of a Namespace, and whether it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    labels: BTreeMap<String, String>,
    /// True if it was deleted, and what is in it is being deleted.
    pub is_terminating: bool,
}

impl Namespace {
    /// A Namespace with these labels. The Pod Security labels are kept, and those with one of `keys`.
    pub fn labelled<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>, keys: &[String]) -> Self {
        let is_kept = |key: &str| key.starts_with(PREFIX) || keys.iter().any(|kept| kept == key);
        let kept = labels.into_iter().filter(|(key, _)| is_kept(key));
        let labels = kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { labels, is_terminating: false }
    }

    /// The same, with whether it was deleted.
    #[must_use]
    pub fn terminating(self, is_terminating: bool) -> Self {
        Self { is_terminating, ..self }
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
