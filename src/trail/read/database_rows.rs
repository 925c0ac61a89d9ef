//! Reading of a trail in a database, a page at a time: no statement lasts long, however much there is.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use super::query::Filter;
use crate::trail::connect::Session;
use crate::trail::connect::database::Database;
use crate::trail::connect::database_error::DatabaseError;
use crate::trail::record::Class;

/// Lines that are read at once.
const PAGE: i64 = 1_000;

/// Position of a record among all of them: by time, then by stream and number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// RFC 3339 with microseconds, UTC.
    pub time: String,
    /// The stream.
    pub stream: String,
    /// The sequence number in that stream.
    pub seq: u64,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its position.
    pub place: Place,
    /// The line as it was written, without the newline.
    pub line: String,
}

/// Position in a stream that is read.
#[derive(Debug, Clone)]
pub struct Cursor {
    stream: String,
    seq: i64,
    class: String,
    time: String,
}

impl Cursor {
    /// The beginning of a stream.
    pub fn new(stream: String) -> Self {
        Self { stream, seq: i64::MIN, class: String::new(), time: "-infinity".to_owned() }
    }
}

/// Reads a trail in a database.
pub struct Reader {
    session: Session,
    schema: String,
}

impl Database {
    /// Connects to read.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn read(&self) -> Result<Reader, DatabaseError> {
        Ok(Reader { session: self.connect().await?, schema: self.schema().to_owned() })
    }
}

impl Reader {
    /// Every stream that has a record here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn streams(&mut self) -> Result<Vec<String>, DatabaseError> {
        let table = self.table("trail");
        // From one to the next by the index: a DISTINCT reads everything.
        let statement = format!(
            "WITH RECURSIVE streams AS (SELECT min(stream) AS id FROM {table} \
             UNION ALL SELECT (SELECT min(stream) FROM {table} WHERE stream > id) FROM streams WHERE id IS NOT NULL) \
             SELECT id FROM streams WHERE id IS NOT NULL"
        );
        self.session.ask(&statement, &[]).await?.iter().map(|row| get(row, 0)).collect()
    }

    /// The next lines of a stream, in order, each with the number that it stands under; none at its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next(&mut self, cursor: &mut Cursor) -> Result<Vec<(u64, String)>, DatabaseError> {
        let table = self.table("trail");
        // By the whole key: a number that stands here twice is not to be passed over.
        let statement = format!(
            "SELECT seq, class, time::text, line FROM {table} \
             WHERE stream = $1 AND (seq, class, time) > ($2, $3, $4::timestamptz) ORDER BY seq, class, time LIMIT $5"
        );
        let Cursor { stream, seq, class, time } = cursor;
        let values: [(&(dyn ToSql + Sync), Type); 5] =
            [(stream, Type::TEXT), (seq, Type::INT8), (class, Type::TEXT), (time, Type::TEXT), (&PAGE, Type::INT8)];
        let rows = self.session.ask(&statement, &values).await?;
        if let Some(last) = rows.last() {
            (*seq, *class, *time) = (get(last, 0)?, get(last, 1)?, get(last, 2)?);
        }
        rows.iter().map(|row| Ok((number(row, 0)?, get(row, 3)?))).collect()
    }

    /// The first record of each stream that the database's owner did not drop.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn forgotten(&mut self) -> Result<Vec<(String, u64)>, DatabaseError> {
        let statement = format!("SELECT stream, max(next) FROM {} GROUP BY stream", self.table("forgotten"));
        let rows = self.session.ask(&statement, &[]).await?;
        rows.iter().map(|row| Ok((get(row, 0)?, number(row, 1)?))).collect()
    }

    /// The records that came although another one of their number was there already.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn conflicts(&mut self) -> Result<Vec<(String, u64)>, DatabaseError> {
        let statement = format!("SELECT stream, seq FROM {} ORDER BY stream, seq LIMIT $1", self.table("conflicts"));
        let rows = self.session.ask(&statement, &[(&PAGE, Type::INT8)]).await?;
        rows.iter().map(|row| Ok((get(row, 0)?, number(row, 1)?))).collect()
    }

    /// The next records that the filter lets through, after a place or from the beginning, in the order of places; none
    /// at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn after(&mut self, filter: &Filter, place: Option<&Place>) -> Result<Vec<Entry>, DatabaseError> {
        self.entries(filter, place, "ASC", PAGE).await
    }

    /// The last records that the filter lets through, at most `count`, in the order of places.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last(&mut self, filter: &Filter, count: u32) -> Result<Vec<Entry>, DatabaseError> {
        let mut entries = self.entries(filter, None, "DESC", i64::from(count)).await?;
        entries.reverse();
        Ok(entries)
    }

    async fn entries(
        &mut self,
        filter: &Filter,
        place: Option<&Place>,
        order: &str,
        count: i64,
    ) -> Result<Vec<Entry>, DatabaseError> {
        let (since, until) = (filter.since.map(|time| time.to_string()), filter.until.map(|time| time.to_string()));
        let class = filter.class.map(Class::as_str);
        let seq = place.map_or(0, |place| i64::try_from(place.seq).unwrap_or(i64::MAX));
        let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&count, Type::INT8)];
        let mut conditions = String::new();
        let texts: [(&Option<String>, &str); 6] = [
            (&filter.namespace, "namespace = left($, 253)"),
            (&filter.user, "user_name = $"),
            (&filter.policy, "policies @> ARRAY[$]"),
            (&filter.decision, "decision = $"),
            (&since, "time >= $::timestamptz"),
            (&until, "time < $::timestamptz"),
        ];
        for (value, condition) in texts {
            if let Some(value) = value {
                values.push((value, Type::TEXT));
                conditions += &format!(" AND {}", condition.replace('$', &format!("${}", values.len())));
            }
        }
        if let Some(class) = &class {
            values.push((class, Type::TEXT));
            conditions += &format!(" AND class = ${}", values.len());
        }
        if let Some(place) = place {
            let first = values.len() + 1;
            values.extend([
                (&place.time as &(dyn ToSql + Sync), Type::TEXT),
                (&place.stream, Type::TEXT),
                (&seq, Type::INT8),
            ]);
            let (second, third) = (first + 1, first + 2);
            // The first condition is the one that leaves out partitions.
            conditions += &format!(
                " AND time >= ${first}::timestamptz AND (time, stream, seq) > (${first}::timestamptz, ${second}, ${third})"
            );
        }
        let table = self.table("trail");
        let statement = format!(
            "SELECT to_char(time, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), stream, seq, line FROM {table} WHERE true{conditions} \
             ORDER BY time {order}, stream {order}, seq {order} LIMIT $1"
        );
        let rows = self.session.ask(&statement, &values).await?;
        rows.iter()
            .map(|row| {
                let place = Place { time: get(row, 0)?, stream: get(row, 1)?, seq: number(row, 2)? };
                Ok(Entry { place, line: get(row, 3)? })
            })
            .collect()
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.schema)
    }
}

fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, DatabaseError> {
    row.try_get(column).map_err(DatabaseError::Column)
}

fn number(row: &Row, column: usize) -> Result<u64, DatabaseError> {
    let number: i64 = get(row, column)?;
    u64::try_from(number).map_err(|_| DatabaseError::Number(number))
}
