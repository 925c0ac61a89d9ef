//! Connections to other programs, for sinks and for reading: TLS, secrets in files, and the database.

pub(in crate::trail) mod database;
pub(in crate::trail) mod database_error;
mod session;
pub(in crate::trail) mod tls;

pub(in crate::trail) use session::Session;
