//! `portcullis trail query` and `tail`: records of files, folders and standard input, in the order of their times.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;

use super::super::{escape, print};
use super::database::{Connection, wait_for};
use crate::config::suggestion;
use crate::decision::Verdict;
use crate::policy::catalogue::CATALOGUE;
use crate::snapshot::{LABELS, RAISES};
use crate::trail::database::{Database, DatabaseError, Place};
use crate::trail::query::{Filter, Row, time};
use crate::trail::{Inputs, Notice, ReadError};

/// Interval at which growing files are read again.
const LOOK: Duration = Duration::from_millis(500);

/// Which records are wanted.
#[derive(clap::Args)]
pub(super) struct Wanted {
    /// Of this namespace
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// By this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// With a finding of this policy
    #[arg(long, value_name = "ID", value_parser = policy)]
    policy: Option<String>,
    /// Decided so: allow, deny, exempt, warn, would-deny, error, patch, would-patch, unchanged
    #[arg(long, value_name = "WORD", value_parser = decision)]
    decision: Option<String>,
    /// No earlier than a time, a day, or so long ago (90m, 12h, 7d)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Earlier than this
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The id of a policy that this program knows: another one finds nothing, and who misspelt it would not learn that.
fn policy(text: &str) -> Result<String, String> {
    let ids: Vec<&str> = CATALOGUE.iter().map(|entry| entry.meta.id).chain([LABELS.id, RAISES.id]).collect();
    known(text, &ids, "policies are")
}

/// A word for a decision.
fn decision(text: &str) -> Result<String, String> {
    known(text, &Verdict::ALL.map(Verdict::as_str), "decisions are")
}

fn known(text: &str, words: &[&str], others: &str) -> Result<String, String> {
    if words.contains(&text) { Ok(text.to_owned()) } else { Err(format!("unknown{}", suggestion(text, words, others))) }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// The records as they are, one a line
    Json,
}

#[derive(clap::Args)]
pub(super) struct Query {
    /// Files, a spool's folder, - for standard input, or postgres://USER@HOST:PORT/DATABASE
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    database: Connection,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(clap::Args)]
pub(super) struct Tail {
    /// Files, a spool's folder, or postgres://USER@HOST:PORT/DATABASE
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    database: Connection,
    /// Number of records
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    lines: usize,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    wanted: Wanted,
}

pub(super) fn query(args: &Query) -> Result<ExitCode, String> {
    let wanted = args.wanted.shown();
    if let Some(url) = url(&args.paths)? {
        return in_database(&args.database, url, &wanted, None, false);
    }
    let mut inputs = Inputs::open(&args.paths, false, notify).map_err(|error| error.to_string())?;
    inputs.each(|line| wanted.print(line).map_err(Stopped::Printing))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn tail(args: &Tail) -> Result<ExitCode, String> {
    let wanted = args.wanted.shown();
    if let Some(url) = url(&args.paths)? {
        let count = u32::try_from(args.lines).unwrap_or(u32::MAX);
        return in_database(&args.database, url, &wanted, Some(count), args.follow);
    }
    let mut inputs = Inputs::open(&args.paths, args.follow, notify).map_err(|error| error.to_string())?;
    let mut last = VecDeque::new();
    inputs
        .each::<ReadError>(|line| {
            if let Some(text) = wanted.text(line) {
                last.push_back(text);
                if last.len() > args.lines {
                    last.pop_front();
                }
            }
            Ok(())
        })
        .map_err(|error| error.to_string())?;
    for text in last {
        print(&text)?;
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        std::thread::sleep(LOOK);
        inputs.each(|line| wanted.print(line).map_err(Stopped::Printing))?;
    }
}

/// Tells of what reading came across, beside the records.
fn notify(notice: Notice<'_>) {
    let shown = |file: &Path| escape(&file.display().to_string());
    match notice {
        Notice::PassedOver { file, lines: 1 } => {
            eprintln!("{}: 1 line is not a record of a trail, and is passed over", shown(file));
        }
        Notice::PassedOver { file, lines } => {
            eprintln!("{}: {lines} lines are not records of a trail, and are passed over", shown(file));
        }
        Notice::Removed { file } => {
            let file = shown(file);
            eprintln!(
                "{file}: the file that was read was moved or removed; records that came after that may be missing"
            );
        }
    }
}

/// The reason why no more records are shown.
enum Stopped {
    Reading(ReadError),
    Printing(String),
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Reading(error)
    }
}

impl From<Stopped> for String {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Reading(error) => error.to_string(),
            Stopped::Printing(message) => message,
        }
    }
}

/// A filter, and the form in which records are shown.
struct Shown {
    filter: Filter,
    format: Format,
}

impl Wanted {
    fn shown(&self) -> Shown {
        let Self { namespace, user, policy, decision, since, until, format } = self;
        let (namespace, user, policy, decision) = (namespace.clone(), user.clone(), policy.clone(), decision.clone());
        let filter = Filter { class: None, namespace, user, policy, decision, since: *since, until: *until };
        Shown { filter, format: *format }
    }
}

impl Shown {
    /// The record as it is shown, if it is wanted.
    fn text(&self, line: &[u8]) -> Option<String> {
        let row = Row::read(line)?;
        self.filter.wants(&row).then(|| match self.format {
            Format::Json => format!("{}\n", String::from_utf8_lossy(line)),
            Format::Text => row.lines().iter().map(|line| escape(line) + "\n").collect(),
        })
    }

    fn print(&self, line: &[u8]) -> Result<(), String> {
        self.text(line).map_or(Ok(()), |text| print(&text).map(|_| ()))
    }
}

/// The database that is asked, where it is one.
fn url(paths: &[PathBuf]) -> Result<Option<&str>, String> {
    let is_url = |path: &&PathBuf| path.to_str().is_some_and(Database::is_url);
    match (paths.iter().find(is_url), paths) {
        (None, _) => Ok(None),
        (Some(path), [_]) => Ok(path.to_str()),
        (Some(_), _) => Err("a database is read alone, without other paths".to_owned()),
    }
}

/// Shows what is wanted of a database: all of it, or the last `count` records.
fn in_database(
    connection: &Connection,
    url: &str,
    wanted: &Shown,
    count: Option<u32>,
    follow: bool,
) -> Result<ExitCode, String> {
    let database = connection.database(url)?;
    let failed = |error: DatabaseError| format!("the database: {error}");
    wait_for(async {
        let mut reader = database.read().await.map_err(failed)?;
        let mut place: Option<Place> = None;
        let mut entries = match count {
            Some(count) => reader.last(&wanted.filter, count).await.map_err(failed)?,
            None => reader.after(&wanted.filter, None).await.map_err(failed)?,
        };
        loop {
            for entry in &entries {
                wanted.print(entry.line.as_bytes())?;
            }
            place = entries.pop().map(|last| last.place).or(place);
            let is_over = place.is_none() || count.is_some();
            if is_over && !follow {
                return Ok(ExitCode::SUCCESS);
            }
            if is_over {
                tokio::time::sleep(LOOK).await;
            }
            entries = reader.after(&wanted.filter, place.as_ref()).await.map_err(failed)?;
            if entries.is_empty() && !follow {
                return Ok(ExitCode::SUCCESS);
            }
        }
    })
}
