//! Lists in pages: the objects of a kind, of which a page at a time is in memory.

use std::future::Future;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kinds::Listed;
use super::references::References;

/// Objects of a page, unless they are large.
pub const PAGE: usize = 250;
/// Maximum size of a page. An API server takes no object above about 3 MiB.
const PAGE_BYTES: usize = 32 << 20;
/// Size from which on the next page has fewer objects.
const LARGE: usize = 8 << 20;
/// Maximum time for a page.
const PATIENCE: Duration = Duration::from_mins(2);
/// Attempts at a page before it counts as unreadable.
const ATTEMPTS: u32 = 4;
/// Pause after the first failed attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(500);
/// The metadata of objects alone, in a list.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Times that a list may expire before it counts as unreadable.
const EXPIRIES: usize = 16;

/// The receiver of what is listed.
pub trait Visitor {
    /// An object.
    fn object(&mut self, kind: &Listed, object: &RawValue);
    /// The number of objects of a kind so far, and of those that remain, if the API server says.
    fn progress(&mut self, kind: &Listed, done: usize, remaining: Option<u64>);
    /// A fact about the list that somebody who reads the result should know.
    fn note(&mut self, note: String);
}

/// A kind that could not be listed to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The right is missing.
    #[error("{what}: forbidden: grant the verb {verb} on {what} in all namespaces ({message})")]
    Forbidden {
        /// Resource.
        what: String,
        /// Missing verb.
        verb: &'static str,
        /// Message of the API server.
        message: String,
    },
    /// The right to ask what is served is missing.
    #[error("the API server does not say what it serves ({0}): bind the ClusterRole system:discovery")]
    Undiscovered(String),
    /// Nobody is who the credentials say.
    #[error("{0}: the API server does not know who asks ({1}): renew the credentials in the kubeconfig")]
    Unauthorized(String, String),
    /// Another answer, or none.
    #[error("{0}: {1}")]
    Failed(String, String),
}

#[derive(Deserialize)]
struct Page<'p> {
    #[serde(borrow, default)]
    items: Option<Vec<&'p RawValue>>,
    #[serde(default)]
    metadata: PageMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    #[serde(rename = "continue")]
    token: Option<String>,
    remaining_item_count: Option<u64>,
}

/// A `Status`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    metadata: PageMetadata,
}

/// The answer to a request for a page.
enum Answer {
    Page(Vec<u8>),
    TooLarge,
    /// HTTP 410: the list has expired; holds the token with which the newer state can be listed from here on.
    Expired(Option<String>),
    /// The kind is not served, or no longer.
    Gone,
}

/// Lists the objects of a kind, `limit` a page, and returns their number.
///
/// A list that expires (HTTP 410) goes on with the token that the API server offers: at the same place, in a newer state. Where
/// it offers none the list begins again, and objects up to the last one seen are passed over: lists are ordered by namespace and
/// name.
///
/// # Errors
/// [`ListError`] if the list ends before its end; what came before was visited.
pub async fn each(client: &Client, kind: &Listed, limit: usize, visitor: &mut dyn Visitor) -> Result<usize, ListError> {
    let mut state = Place { limit: limit.max(1), ..Place::default() };
    let (mut done, mut expiries) = (0, 0);
    loop {
        let bytes = match page(client, kind, &state).await? {
            Answer::Page(bytes) => bytes,
            Answer::TooLarge if state.limit > 1 => {
                state.limit = state.limit.div_ceil(8);
                continue;
            }
            Answer::TooLarge => {
                let message = format!("an object is larger than {} MiB", PAGE_BYTES >> 20);
                return Err(ListError::Failed(kind.qualified(), message));
            }
            Answer::Expired(token) => {
                expiries += 1;
                if expiries > EXPIRIES {
                    let message = "the list expired again and again before its end".to_owned();
                    return Err(ListError::Failed(kind.qualified(), message));
                }
                let how = if token.is_some() { "it goes on at the same place" } else { "it begins again" };
                visitor.note(format!(
                    "{}: the list expired after {done} objects; {how}, in a newer state: objects that changed meanwhile may \
                     be missing",
                    kind.qualified()
                ));
                if token.is_none() {
                    state.passed_over = state.last.take();
                }
                state.token = token;
                continue;
            }
            Answer::Gone if done == 0 => {
                visitor.note(format!("{}: the API server serves none", kind.qualified()));
                return Ok(0);
            }
            Answer::Gone => {
                return Err(ListError::Failed(kind.qualified(), "the kind went while it was listed".to_owned()));
            }
        };
        let size = bytes.len();
        let read: Page<'_> = serde_json::from_slice(&bytes)
            .map_err(|error| ListError::Failed(kind.qualified(), format!("the answer is not a list: {error}")))?;
        for object in read.items.unwrap_or_default() {
            let place = References::of(object).place();
            if state.passed_over.as_ref().is_some_and(|last| place <= *last) {
                continue;
            }
            visitor.object(kind, object);
            done += 1;
            state.last = Some(place);
        }
        visitor.progress(kind, done, read.metadata.remaining_item_count);
        state.token = read.metadata.token.filter(|token| !token.is_empty());
        if state.token.is_none() {
            return Ok(done);
        }
        if size > LARGE {
            state.limit = state.limit.div_ceil(2);
        } else if size < LARGE / 4 {
            state.limit = (state.limit * 2).min(limit.max(1));
        }
    }
}

/// The place in a list.
#[derive(Default)]
struct Place {
    token: Option<String>,
    /// Objects of the next page.
    limit: usize,
    /// The last object that was visited: `namespace/name`.
    last: Option<String>,
    /// Objects up to this one were visited before the list began again.
    passed_over: Option<String>,
}

/// Asks for a page until there is an answer.
async fn page(client: &Client, kind: &Listed, place: &Place) -> Result<Answer, ListError> {
    let mut path = format!("{}?limit={}", kind.path(), place.limit);
    if let Some(token) = &place.token {
        path += &format!("&continue={}", utf8_percent_encode(token, NON_ALPHANUMERIC));
    }
    let what = kind.qualified();
    retry(&what, || async {
        let accept = if kind.is_secret() { METADATA } else { "application/json" };
        let request = Request::get(&path).header("accept", accept).body(Body::empty());
        let request = request.map_err(|error| Attempt::Final(ListError::Failed(what.clone(), error.to_string())))?;
        let response = client.send(request).await.map_err(|error| Attempt::of(&what, error))?;
        let status = response.status();
        let bytes = match Limited::new(response.into_body(), PAGE_BYTES).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return Ok(Answer::TooLarge),
            Err(error) => return Err(Attempt::Again(error.to_string())),
        };
        if status.is_success() {
            return Ok(Answer::Page(bytes.to_vec()));
        }
        let Status { message, metadata } = serde_json::from_slice(&bytes).unwrap_or_default();
        Err(match status {
            StatusCode::GONE => return Ok(Answer::Expired(metadata.token.filter(|token| !token.is_empty()))),
            StatusCode::NOT_FOUND => return Ok(Answer::Gone),
            status => Attempt::refused(&what, "list", status, message),
        })
    })
    .await
}

/// A failed attempt.
enum Attempt {
    /// Another one may succeed.
    Again(String),
    Final(ListError),
}

impl Attempt {
    fn of(what: &str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::refused(what, "get", code, status.message)
            }
            kube::Error::Auth(error) => Self::Final(ListError::Failed(what.to_owned(), error.to_string())),
            error => Self::Again(chain(&error)),
        }
    }

    fn refused(what: &str, verb: &'static str, status: StatusCode, message: String) -> Self {
        match status {
            StatusCode::FORBIDDEN => Self::Final(ListError::Forbidden { what: what.to_owned(), verb, message }),
            StatusCode::UNAUTHORIZED => Self::Final(ListError::Unauthorized(what.to_owned(), message)),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Self::Again(format!("{status}: {message}"))
            }
            status => Self::Final(ListError::Failed(what.to_owned(), format!("{status}: {message}"))),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text += &format!(": {next_text}");
        }
        cause = next.source();
    }
    text
}

/// Asks an API server something, a few times if need be.
pub(super) async fn fetch<T, F: Future<Output = kube::Result<T>>>(
    what: &str,
    ask: impl Fn() -> F,
) -> Result<T, ListError> {
    retry(what, || async { ask().await.map_err(|error| Attempt::of(what, error)) }).await
}

async fn retry<T, F: Future<Output = Result<T, Attempt>>>(what: &str, ask: impl Fn() -> F) -> Result<T, ListError> {
    let mut pause = PAUSE;
    for attempt in 1.. {
        let why = match tokio::time::timeout(PATIENCE, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Attempt::Final(error))) => return Err(error),
            Ok(Err(Attempt::Again(why))) => why,
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        if attempt == ATTEMPTS {
            return Err(ListError::Failed(what.to_owned(), why));
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(ListError::Failed(what.to_owned(), "not asked".to_owned()))
}
