//! Pods of one namespace as the API server has stored them, a page at a time. Nothing is kept.

use std::sync::Arc;

use axum::http::StatusCode;
use http_body_util::LengthLimitError;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Cluster;
use super::stored::{self, Unread};
use crate::facts::Answer;

/// Maximum size of a page, in bytes.
const PAGE: usize = 4 << 20;

/// The reason why a page of Pods could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The right is missing.
    #[error("the ServiceAccount of Portcullis needs the right to list pods")]
    Forbidden,
    /// The page is larger than is read.
    #[error("a Pod is larger than {} MiB", PAGE >> 20)]
    TooLarge,
    /// The list began too long ago.
    #[error("the list of Pods expired")]
    Expired,
    /// Another answer, or none.
    #[error("the API server did not list Pods")]
    Failed,
}

impl Cluster {
    /// JSON of a `PodList`: at most `limit` Pods of a namespace, from the place that `token` names.
    ///
    /// # Errors
    /// [`PageError`] if the API server does not return the page, or the page is too large.
    pub async fn pod_page(&self, namespace: &str, limit: usize, token: Option<&str>) -> Result<Arc<str>, PageError> {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let mut path = format!("/api/v1/namespaces/{}/pods?limit={limit}", encoded(namespace));
        if let Some(token) = token {
            path += &format!("&continue={}", encoded(token));
        }
        match stored::get(&self.client, &path, PAGE).await {
            Ok(Answer::Object(text)) => Ok(text),
            Ok(_) => Err(PageError::Failed),
            Err(error) => {
                tracing::warn!(%error, "Pods of a namespace were not listed");
                Err(PageError::of(&error))
            }
        }
    }
}

impl PageError {
    pub(super) fn of(error: &Unread) -> Self {
        match error {
            Unread::Status(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => Self::Forbidden,
            Unread::Status(StatusCode::GONE) => Self::Expired,
            Unread::Body(error) if error.is::<LengthLimitError>() => Self::TooLarge,
            _ => Self::Failed,
        }
    }
}
