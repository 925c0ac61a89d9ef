//! What is read of a Namespace: its Pod Security labels.

use std::collections::BTreeMap;

use crate::labels::{self, Demand, PREFIX};

/// The Pod Security labels of a Namespace, and nothing else of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// By what follows the prefix.
    labels: BTreeMap<String, String>,
}

impl Namespace {
    /// A Namespace with these labels.
    pub fn labelled<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        let kept = labels.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        Self { labels: kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }

    /// What its labels ask for in each mode, strongest first.
    pub fn demands(&self) -> [Demand; 3] {
        labels::demands(|key| self.labels.get(key).map(String::as_str))
    }
}
