//! HTTP towards sinks: one way to connect, headers out of files, and answers of which little is read.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url, redirect};

use super::BatchLimits;
use super::unusable_setting::{Requirement, UnusableSetting};
use crate::trail::connect::tls::{self, SecretError, TrustError};

/// Maximum time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Maximum time for a request with its answer: less than a courier's patience, so that the reason is known.
const REQUEST: Duration = Duration::from_secs(50);
/// Bytes of a request's records, well below the 1 MiB that a server takes unless told otherwise.
const ROOM: usize = 512 << 10;
/// Limits of a batch: with its last record and the framing of each, mostly one request.
pub(super) const APPETITE: BatchLimits = BatchLimits { bytes: 384 << 10, records: 1_000, wait: Duration::ZERO };
/// Requests that are taken before one of twice the size is tried again.
const STEADY: u32 = 64;
/// Bytes of an answer that are read.
pub(super) const ANSWER: usize = 64 << 10;
/// Characters of another's text that are said.
const SAID: usize = 128;

/// Size of one request: half of what was too large, and after a while more again.
pub(super) struct Room {
    /// Bytes of the records. A longer one goes alone.
    pub(super) bytes: usize,
    /// The most that these may be.
    most: usize,
    /// Requests that were taken since it changed.
    taken: u32,
}

impl Room {
    pub(super) fn new() -> Self {
        Self::of(ROOM)
    }

    /// Room for so many bytes, at most.
    pub(super) fn of(bytes: usize) -> Self {
        Self { bytes, most: bytes, taken: 0 }
    }

    /// A request of so many bytes was too large.
    pub(super) fn shrink(&mut self, bytes: usize) {
        (self.bytes, self.taken) = ((bytes / 2).max(1), 0);
    }

    /// A request was taken.
    pub(super) fn taken(&mut self) {
        self.taken += 1;
        if self.taken >= STEADY {
            (self.bytes, self.taken) = ((self.bytes * 2).min(self.most), 0);
        }
    }
}

/// A record is too large by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the other end does not take record {stream}:{seq}, of {bytes} bytes: it answered 413; raise its limit")]
pub struct RecordTooLarge {
    pub(super) stream: String,
    pub(super) seq: u64,
    pub(super) bytes: usize,
}

/// An answer other than success. Its body is not quoted: it may echo what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other end answered {0}{why}", why = if .0.is_redirection() { "; redirects are not followed" } else { "" })]
pub struct Refusal(pub(super) StatusCode);

/// Reason why a request could not be made, or was not answered with success. Holds no address.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The other end could not be verified.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A name is not a valid header name.
    #[error(transparent)]
    Setting(#[from] UnusableSetting),
    /// The value of a header cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The content of a file is not a valid header value.
    #[error("{}: its content is not a valid header value", .0.display())]
    HeaderValue(PathBuf),
    /// There is no client, no connection, or no whole answer.
    #[error("{}", chain(.0))]
    Request(#[source] reqwest::Error),
    /// The answer is not success.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// A record is too large by itself.
    #[error(transparent)]
    TooLarge(#[from] RecordTooLarge),
}

/// A client that follows no redirect. It trusts the certificates in `ca`, or those that the system trusts.
///
/// # Errors
/// When there are no certificates to trust.
pub(super) fn client(url: &Url, ca: Option<&Path>) -> Result<reqwest::Client, HttpError> {
    let tls = if url.scheme() == "https" { tls::client(ca)? } else { tls::nobody()? };
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(REQUEST)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(cause)
}

/// Error for a name that is not the name of a header.
const HEADER_NAME: UnusableSetting = UnusableSetting { key: "headers", requirement: Requirement::HeaderName };

/// Refuses names that are not valid for headers.
///
/// # Errors
/// When one is not a valid header name.
pub(super) fn names(files: &BTreeMap<String, PathBuf>) -> Result<(), UnusableSetting> {
    let is_wrong = |name: &&String| name.parse::<HeaderName>().is_err();
    files.keys().find(is_wrong).map_or(Ok(()), |_| Err(HEADER_NAME))
}

/// Headers whose values are read from files each time, so that a secret may be replaced.
///
/// # Errors
/// When a name is not valid, a file cannot be read, or its content is not a valid header value.
pub(super) fn headers(files: &BTreeMap<String, PathBuf>) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, file) in files {
        let name: HeaderName = name.parse().map_err(|_| HEADER_NAME)?;
        let value = HeaderValue::from_str(&tls::secret(file)?);
        let mut value = value.map_err(|_| HttpError::HeaderValue(file.clone()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The beginning of an answer's body. What is longer than [`ANSWER`] is not read to its end.
///
/// # Errors
/// When the connection breaks before.
pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while body.len() < ANSWER {
        let Some(bytes) = response.chunk().await.map_err(cause)? else { break };
        body.extend_from_slice(&bytes[..bytes.len().min(ANSWER - body.len())]);
    }
    Ok(body)
}

/// Pause that an answer asks for (`Retry-After`): seconds, or a date to come.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    date.and_then(|date| Duration::try_from(date.duration_since(now)).ok())
}

/// The error of a failed request, without its address.
pub(super) fn cause(error: reqwest::Error) -> HttpError {
    HttpError::Request(error.without_url())
}

/// Another's text, cut and escaped; nothing of it where it holds one of the secrets that were sent.
pub(super) fn said(text: &str, sent: &HeaderMap) -> String {
    let tells = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.split(' ').any(|word| word.len() > 3 && text.contains(word))
    };
    if sent.values().any(tells) {
        return "(what it said repeats a secret)".to_owned();
    }
    text.chars().take(SAID).flat_map(char::escape_debug).collect()
}

/// An error with what caused it.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};

    use super::{ROOM, Room, STEADY, retry_after, said};

    #[test]
    fn room_is_halved_at_once_and_comes_back_slowly() {
        let mut room = Room::new();
        room.shrink(ROOM / 2);
        assert_eq!(room.bytes, ROOM / 4);
        for (requests, wanted) in [(STEADY - 1, ROOM / 4), (1, ROOM / 2), (STEADY, ROOM), (STEADY, ROOM)] {
            (0..requests).for_each(|_| room.taken());
            assert_eq!(room.bytes, wanted);
        }
        room.shrink(1);
        assert_eq!(room.bytes, 1);
    }

    #[test]
    fn a_rest_is_asked_for_in_seconds_or_by_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        for (text, seconds) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
            ("Wed, 31 Dec 2025 23:59:59 GMT", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn what_the_other_end_says_is_cut_escaped_and_withheld_where_it_repeats_a_secret() {
        let sent = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer tok-123"))]);
        assert_eq!(said("a\nb", &sent), "a\\nb");
        assert_eq!(said(&"x".repeat(500), &sent).len(), 128);
        assert!(!said("who is tok-123?", &sent).contains("tok-123"));
    }
}
