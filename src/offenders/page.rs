//! Pages of the list of a namespace's Pods.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cluster::{Cluster, PageError};

/// A page that is on its way.
type Coming<'p> = Pin<Box<dyn Future<Output = Result<Arc<str>, PageError>> + Send + 'p>>;

/// The Pods of namespaces, a page at a time.
pub trait PodPages: Send + Sync {
    /// JSON of a `PodList`: at most `limit` Pods of a namespace, from the place that `token` names.
    fn page<'p>(&'p self, namespace: &'p str, limit: usize, token: Option<&'p str>) -> Coming<'p>;
}

impl PodPages for Cluster {
    fn page<'p>(&'p self, namespace: &'p str, limit: usize, token: Option<&'p str>) -> Coming<'p> {
        Box::pin(self.pod_page(namespace, limit, token))
    }
}

/// A page as it is read.
#[derive(Deserialize)]
pub(super) struct Page<'p> {
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'p RawValue>>,
    #[serde(default)]
    pub(super) metadata: PageMetadata,
}

/// Metadata of a page.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMetadata {
    /// The place of the next page; empty or absent on the last one.
    #[serde(rename = "continue")]
    pub(super) token: Option<String>,
    /// Number of Pods that come after the page, if the API server says.
    pub(super) remaining_item_count: Option<usize>,
}
