//! PostgreSQL: each record once, in a table that this sink can append to and do nothing else with.
//!
//! A batch is one statement, and so one transaction: a call of the function `append` of the schema. When the answer is
//! lost the batch comes again, and the database tells by stream and number what it has. A record that differs from the
//! one of its number is kept aside there, and said: the trail goes on, and both stay to be looked at.

use tokio_postgres::types::Type;

use super::{Batch, Delivery, Refused, Sink};

use crate::trail::connect::Session;
pub(super) use crate::trail::connect::database::Settings;
use crate::trail::connect::database::{Database, DatabaseError};

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
    refused: Option<Refused>,
}

/// Refuses settings that cannot work, whatever the files hold.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    settings.check().map_err(|error| error.to_string())
}

impl Postgres {
    pub(super) fn open(settings: &Settings) -> Result<Self, DatabaseError> {
        Ok(Self { database: settings.database()?, session: None, narrow: None, taken: None, refused: None })
    }

    /// Appends what of a batch was not appended before; where the database does not take something, in ever smaller parts.
    async fn append(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        self.refused = None;
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
                Err(Failure::Data(_)) if part.last() > part.first => {
                    self.narrow = Some(part.records().count() / 2);
                }
                Err(Failure::Data(error)) => {
                    self.refused = Some(Refused::one(part.first, false));
                    return Err(format!("record {}:{}: {error}", part.stream, part.first));
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        self.taken = None;
        Ok(())
    }

    async fn append_part(&mut self, batch: &Batch<'_>) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for (_, line) in batch.records() {
            let line = std::str::from_utf8(line)
                .map_err(|_| Failure::Data("it is not text: it was altered in the spool".to_owned()))?;
            lines.push(line);
        }
        // Whoever gives up waiting leaves no session behind that still waits for the answer.
        let mut session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.database.connect().await.map_err(|error| Failure::Other(error.to_string()))?,
        };
        let statement = format!("SELECT stream, seq FROM {}.append($1, $2)", self.database.schema());
        let class = batch.class.as_str();
        let altered = session.ask(&statement, &[(&class, Type::TEXT), (&lines, Type::TEXT_ARRAY)]).await;
        let altered = altered.map_err(Failure::of)?;
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

    fn refused(&self) -> Option<Refused> {
        self.refused.clone()
    }
}

/// Reason why a part was not appended.
enum Failure {
    /// The database does not take what is in it.
    Data(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    fn of(error: DatabaseError) -> Self {
        match &error {
            DatabaseError::Refused { code, .. } if DATA.iter().any(|class| code.starts_with(class)) => {
                Self::Data(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}
