//! PostgreSQL: each record once, in a table that this sink can append to and do nothing else with.
//!
//! A batch is one statement, and so one transaction: a call of the function `append` of the schema. When the answer is
//! lost the batch comes again, and the database tells by stream and number what it has. A record that differs from the
//! one of its number is kept aside there, and said: the trail goes on, and both stay to be looked at.

use std::str::Utf8Error;

use tokio_postgres::types::Type;

use super::{Batch, Delivery, Refused, Sink, SinkError};
use crate::trail::connect::Session;
use crate::trail::connect::database::Database;
pub(super) use crate::trail::connect::database::Settings;
use crate::trail::connect::database_error::DatabaseError;

/// Records that are named when several differ.
const NAMED: usize = 10;
/// Classes of SQLSTATE that are about what is in a record: data exceptions, violated constraints, what is raised for it,
/// and limits of the program that it exceeds.
const DATA: [&str; 4] = ["22", "23", "P0", "54"];
/// Records that are as good as a whole batch.
const WHOLE: usize = 1_000;

/// The sink.
pub(super) struct Postgres {
    database: Database,
    /// Nothing before the first batch, and after anything went wrong.
    session: Option<Session>,
    /// Records of one statement, while one is looked for that the database does not take.
    narrow: Option<usize>,
    /// Up to where a batch was taken that was not taken whole: its stream, and the next record.
    taken: Option<(String, u64)>,
}

impl Postgres {
    pub(super) fn open(settings: &Settings) -> Result<Self, DatabaseError> {
        Ok(Self { database: settings.database()?, session: None, narrow: None, taken: None })
    }

    /// Appends what of a batch was not appended before; where the database does not take something, in ever smaller parts.
    async fn append(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let mut rest = match self.taken.take() {
            Some((stream, next)) if stream == batch.stream => batch.from(next),
            _ => *batch,
        };
        while !rest.bytes.is_empty() {
            self.taken = Some((rest.stream.to_owned(), rest.first));
            let (part, later) = rest.take(self.narrow.unwrap_or(usize::MAX));
            match self.append_part(&part).await {
                Ok(()) => {
                    // Slowly back to whole batches.
                    self.narrow = self.narrow.map(|count| count * 2).filter(|count| *count < WHOLE);
                    rest = later;
                }
                Err(error) if !error.is_about_data() => return Err(SinkError::of(error)),
                Err(_) if part.last() > part.first => self.narrow = Some(part.records().count() / 2),
                Err(source) => {
                    let (stream, seq) = (part.stream.to_owned(), part.first);
                    let error = RecordError { stream, seq, source };
                    return Err(SinkError::refusing(Refused::one(seq, false), error));
                }
            }
        }
        self.taken = None;
        Ok(())
    }

    async fn append_part(&mut self, batch: &Batch<'_>) -> Result<(), PartError> {
        let mut lines = Vec::new();
        for (_, line) in batch.records() {
            lines.push(std::str::from_utf8(line).map_err(PartError::NotText)?);
        }
        // Whoever gives up waiting leaves no session behind that still waits for the answer.
        let mut session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.database.connect().await.map_err(PartError::Connect)?,
        };
        let statement = format!("SELECT stream, seq FROM {}.append($1, $2)", self.database.schema());
        let class = batch.class.as_str();
        let altered = session.ask(&statement, &[(&class, Type::TEXT), (&lines, Type::TEXT_ARRAY)]).await;
        let altered = altered.map_err(PartError::Database)?;
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

/// A record that the database does not take.
#[derive(Debug, thiserror::Error)]
#[error("record {stream}:{seq}: {source}")]
struct RecordError {
    stream: String,
    seq: u64,
    source: PartError,
}

/// Reason why a part was not appended.
#[derive(Debug, thiserror::Error)]
enum PartError {
    /// A line is not text.
    #[error("it is not text: it was altered in the spool")]
    NotText(#[source] Utf8Error),
    /// No session could begin, which says nothing of a record, whatever the class of the error.
    #[error(transparent)]
    Connect(DatabaseError),
    /// An error of the statement that appends.
    #[error(transparent)]
    Database(DatabaseError),
}

impl PartError {
    /// Returns true if the database does not take what is in the part.
    fn is_about_data(&self) -> bool {
        match self {
            Self::NotText(_) => true,
            Self::Database(DatabaseError::Refused { code, .. }) => DATA.iter().any(|class| code.starts_with(class)),
            Self::Connect(_) | Self::Database(_) => false,
        }
    }
}
