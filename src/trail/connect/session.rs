//! A connection to the database.

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::{CONNECT, Database, Tls};
use super::database_error::{ConnectionError, DatabaseError};
use crate::trail::record::cut;

/// Settings of a new session: a commit is on the disk before it is answered, and that nothing waits for ever.
const BEGIN: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
                     SET statement_timeout = '50s'; SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'; SET client_min_messages = warning";

/// A connection, closed when this is dropped.
pub(in crate::trail) struct Session {
    client: Client,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
    host: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Database {
    /// Connects, with the password and the trust that the files hold now.
    ///
    /// # Errors
    /// When that cannot be done, or not in time.
    pub(in crate::trail) async fn connect(&self) -> Result<Session, DatabaseError> {
        let mut config = self.config.clone();
        if let Some(password) = self.password()? {
            config.password(password);
        }
        let connecting = async {
            let failed = |error| describe(&self.host, error);
            let (client, connection) = match self.tls {
                Tls::Disable => {
                    let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                    (client, tokio::spawn(connection))
                }
                Tls::VerifyFull => {
                    let tls = MakeRustlsConnect::new(self.trust()?);
                    let (client, connection) = config.connect(tls).await.map_err(failed)?;
                    (client, tokio::spawn(connection))
                }
            };
            let session = Session { client, connection, host: self.host.clone() };
            session.client.batch_execute(BEGIN).await.map_err(failed)?;
            Ok(session)
        };
        tokio::time::timeout(CONNECT, connecting).await.unwrap_or_else(|_| {
            Err(DatabaseError::Connection { host: self.host.clone(), source: ConnectionError::Silent })
        })
    }

    /// The name of the schema, which needs no quotes.
    pub(in crate::trail) fn schema(&self) -> &str {
        &self.schema
    }
}

impl Session {
    /// Asks in one round trip, without a prepared statement: poolers need not know any.
    pub(in crate::trail) async fn ask(
        &mut self,
        statement: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let error = match self.client.query_typed(statement, values).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        // The connection knows why it ended.
        let ended = if error.is_closed() { (&mut self.connection).await.ok() } else { None };
        let cause = ended.and_then(Result::err).unwrap_or(error);
        Err(describe(&self.host, cause))
    }

    /// Returns true if the connection has ended.
    pub(in crate::trail) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// Converts an error. Its details, which quote rows, are left out.
fn describe(host: &str, error: tokio_postgres::Error) -> DatabaseError {
    if let Some(refusal) = error.as_db_error() {
        let code = refusal.code();
        let hint = if [SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]
            .contains(code)
        {
            "; an administrator has to apply what `portcullis trail schema postgres` prints"
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            "; the user must be a member of the schema's role _writer (to append) or _reader (to read)"
        } else {
            ""
        };
        let message = cut(refusal.message()).escape_debug().to_string();
        return DatabaseError::Refused { code: code.code().to_owned(), message, hint };
    }
    DatabaseError::Connection { host: host.to_owned(), source: ConnectionError::Failed(error) }
}
