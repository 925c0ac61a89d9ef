//! A serving certificate that the server makes and renews for itself, in a Secret that all replicas share.
//!
//! The Secret holds the certificate, its key, the CAs that the API server is to trust (`ca.crt`, the newest first), and the key
//! of the newest CA. The manifests hold it without data, so that it is deleted with everything else. Every replica watches it,
//! serves what it holds, and may make the next step of a renewal (`plan`): one write, over the resourceVersion that was read.
//! Whoever loses the race reads again. The CAs are trusted by nothing but our own two webhook configurations (`trust`). A
//! Secret of somebody else is served, and never written.

mod authority;
mod content;
mod keeper;
mod plan;
mod secret;
mod steps;
mod trust;

use std::fmt;
use std::time::{Duration, Instant};

use kube::Client;

pub use self::content::ContentError;
use self::content::{Foreign, Held};
pub use self::keeper::keep;
pub use self::plan::Lifetimes;
use self::plan::Step;
use super::certs::Source;

/// Time to wait before a failed call is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Maximum time to wait for the API server at the start. A liveness probe, which nobody answers yet, bears longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The Secret that holds the certificate, and the Service that it is for.
#[derive(Debug, Clone)]
pub struct Managed {
    /// Namespace of both.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
    /// Name of the Service.
    pub service: String,
    /// Lifetimes of what is made.
    pub lifetimes: Lifetimes,
}

/// A certificate to serve, and the Secret's contents that it is from.
pub struct Issued {
    /// Certificate and key to serve.
    pub source: Source,
    held: Held,
}

/// Reason why a certificate could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// The API server refused, or could not be reached.
    #[error("the Secret {0}: {1}")]
    Api(String, Box<kube::Error>),
    /// The API server did not answer.
    #[error("the Secret {0}: the API server did not answer in time")]
    Silence(String),
    /// The Secret holds something else.
    #[error("the Secret {0} {1}")]
    Content(String, ContentError),
    /// The Secret holds something other than CAs where they should be.
    #[error("the Secret {0}: ca.crt must hold 1 to 16 PEM certificates")]
    Bundle(String),
    /// The API server refused a change of our webhook configurations, or could not be reached.
    #[error("{0}")]
    Webhooks(Box<kube::Error>),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl Managed {
    /// Reads the certificate, or makes it where there is none. An API server that cannot be reached yet, or does not
    /// know our rights yet, is asked again for a while.
    ///
    /// # Errors
    /// [`ManagedError`]
    pub async fn issue(&self, client: &Client) -> Result<Issued, ManagedError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let tried = tokio::time::timeout(left, self.read_or_make(client)).await;
            match tried.unwrap_or_else(|_| Err(ManagedError::Silence(self.to_string()))) {
                Err(error @ ManagedError::Api(..)) if Instant::now() + RETRY < deadline => {
                    tracing::warn!(%error, "there is no certificate yet");
                    tokio::time::sleep(RETRY).await;
                }
                done => return done,
            }
        }
    }

    async fn read_or_make(&self, client: &Client) -> Result<Issued, ManagedError> {
        loop {
            let read = self.read(client).await?;
            let step = match &read.held {
                Held::Foreign(foreign) => {
                    return Ok(Issued { source: foreign.source(), held: read.held });
                }
                // One that is due is served at first.
                Held::Ours(content) if content.is_usable(read.now) => {
                    return Ok(Issued { source: content.source(), held: read.held });
                }
                Held::Ours(content) => plan::next(&content.view(false, None), read.now, self.lifetimes),
                Held::Nothing => Step::Begin,
            };
            // If another replica comes first, its certificate is read.
            self.take(client, &step, read, None).await?;
        }
    }

    fn say_foreign(&self) {
        tracing::warn!(
            secret = %self,
            "the Secret holds a certificate that was not made here: it is served, and never renewed or changed"
        );
    }
}

impl content::Content {
    fn source(&self) -> Source {
        Source::Memory { certificate: self.certificate.clone(), key: self.key.clone() }
    }
}

impl Foreign {
    fn source(&self) -> Source {
        Source::Memory { certificate: self.certificate.clone(), key: self.key.clone() }
    }
}

impl fmt::Display for Managed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.secret)
    }
}
