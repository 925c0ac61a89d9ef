//! URLs of receivers: https, without a user or a password.

use std::str::FromStr;

use reqwest::Url;

/// An address: `https`, or `http` where the settings say that it may be.
///
/// # Errors
/// [`UrlError`].
pub(super) fn url(text: &str, insecure: bool) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(UrlError::Form)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Login);
    }
    match (url.scheme(), insecure) {
        ("https", false) | ("http", true) if url.has_host() => Ok(url),
        ("http", false) => Err(UrlError::Plain),
        ("https", true) => Err(UrlError::NotPlain),
        _ => Err(UrlError::Scheme),
    }
}

/// Reason why a text is not an address. The text is not quoted: somebody may have put a secret into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has another form.
    #[error("is not a URL: {0}")]
    Form(#[source] <Url as FromStr>::Err),
    /// It holds a user or a password.
    #[error("must not contain a user or a password; both belong in files")]
    Login,
    /// Plain text that the settings do not permit.
    #[error("must begin with https://; plain text needs `insecure: true`")]
    Plain,
    /// TLS, and the settings say that there is none.
    #[error("must begin with http:// where `insecure: true` is set")]
    NotPlain,
    /// Another scheme, or no host.
    #[error("must begin with https://")]
    Scheme,
}
