//! Errors of the database: its settings, its URL, the connection and its answers.

use std::error::Error;

use super::tls::{SecretError, TrustError};
use crate::trail::record::cut;

/// An error of the database. Holds neither a password nor what a record says.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It can never be reached by this setting.
    #[error("{key}: {0}", key = .0.key())]
    Setting(#[from] DatabaseSetting),
    /// It can never be reached by its URL.
    #[error("the database's URL {0}")]
    Url(#[from] UrlFault),
    /// The file of the password cannot be used.
    #[error("passwordFile {0}")]
    Password(#[from] SecretError),
    /// Its certificate could not be verified.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The connection could not be made, or was lost.
    #[error("{host}: {source}")]
    Connection {
        /// The server.
        host: String,
        /// The error.
        source: ConnectionError,
    },
    /// It refused.
    #[error("{message} (SQLSTATE {code}){hint}")]
    Refused {
        /// The class and kind of the error.
        code: String,
        /// Its words.
        message: String,
        /// A way out, where we know one.
        hint: &'static str,
    },
    /// A column has an unexpected type.
    #[error("{0}")]
    Column(#[source] tokio_postgres::Error),
    /// A record has a number below 0.
    #[error("a record has a negative number: {0}")]
    Number(i64),
}

/// A setting by which no database can ever be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseSetting {
    /// The name of the schema.
    #[error("must be lower-case letters, digits and _, not beginning with a digit")]
    Schema,
    /// The host.
    #[error("must be a name or an address, without a user or a password")]
    Host,
    /// TLS is disabled, and nothing says that this is meant.
    #[error("`disable` sends everything unencrypted; `insecure: true` must confirm it")]
    Tls,
}

impl DatabaseSetting {
    /// The key of the setting.
    pub fn key(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Host => "host",
            Self::Tls => "tls",
        }
    }
}

/// Reason why a URL is not the address of a database. The URL itself is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It has another form.
    #[error("must be postgres://USER@HOST:PORT/DATABASE")]
    Form,
    /// It holds a password.
    #[error("holds a password, which others can see; put it into a file and name that")]
    Password,
    /// A part of it is missing.
    #[error("must name a user, a host and a database: postgres://USER@HOST:PORT/DATABASE")]
    Incomplete,
}

/// Reason why a connection to a database could not be made, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// It was not made in time.
    #[error("it did not answer in time")]
    Silent,
    /// It could not be made, or ended.
    #[error("{}", causes(.0))]
    Failed(#[source] tokio_postgres::Error),
}

/// An error with all its causes, cut and escaped.
fn causes(error: &tokio_postgres::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    cut(&message).escape_debug().to_string()
}
