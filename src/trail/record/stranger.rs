//! A caller that was turned away, as a record counts it.

use std::net::IpAddr;

use serde::Serialize;

/// Reason why a caller was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It showed neither a certificate nor a token.
    NothingShown,
    /// It showed a token that does not count.
    UnknownToken,
    /// It showed a certificate that carries none of the names of `--client-name`.
    WrongName,
}

/// Requests of one address that were turned away for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stranger {
    /// The address that they came from.
    pub address: IpAddr,
    /// The reason.
    pub reason: Reason,
    /// Number of requests.
    pub count: u64,
}
