//! PostgreSQL: each record once, in a table that this sink can append to and do nothing else with.
//!
//! A batch is one statement, and so one transaction: a call of the function `append` of the schema. When the answer is
//! lost the batch comes again, and the database tells by stream and number what it has. A record that differs from the
//! one of its number is kept aside there, and said: the trail goes on, and both stay to be looked at.

use tokio_postgres::types::Type;

use super::super::database::{Database, DatabaseError, Session};
use super::{Batch, Delivery, Sink};

pub(super) use super::super::database::Settings;

/// Records that are named when several differ.
const NAMED: usize = 10;

/// The sink.
pub(super) struct Postgres {
    database: Database,
    /// Nothing before the first batch, and after anything went wrong.
    session: Option<Session>,
}

impl Postgres {
    pub(super) fn open(settings: &Settings) -> Result<Self, DatabaseError> {
        Ok(Self { database: settings.database()?, session: None })
    }

    async fn append(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let mut lines = Vec::new();
        for (seq, line) in batch.records() {
            let line = std::str::from_utf8(line)
                .map_err(|_| format!("record {}:{seq} of the spool is no text: it was altered", batch.stream))?;
            lines.push(line);
        }
        // Whoever gives up waiting leaves no session behind that still waits for the answer.
        let mut session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.database.connect().await.map_err(|error| error.to_string())?,
        };
        let statement = format!("SELECT stream, seq FROM {}.append($1, $2)", self.database.schema());
        let class = batch.class.as_str();
        let altered = session.ask(&statement, &[(&class, Type::TEXT), (&lines, Type::TEXT_ARRAY)]).await;
        let altered = altered.map_err(|error| error.to_string())?;
        self.session = Some(session);
        if !altered.is_empty() {
            let name = |row: &tokio_postgres::Row| format!("{}:{}", row.get::<_, String>(0), row.get::<_, i64>(1));
            let records = altered.iter().take(NAMED).map(name).collect::<Vec<_>>().join(" ");
            tracing::error!(
                count = altered.len(),
                records,
                "the database holds other records under these numbers than were written: they were altered, or the spool \
                 is a copy of an older one; ours are in its table conflicts"
            );
        }
        Ok(())
    }
}

impl Sink for Postgres {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(self.append(batch))
    }
}
