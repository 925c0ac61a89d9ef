//! `portcullis trail query` and `tail`: records of files, folders and standard input, in the order of their times.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;

use super::super::{escape, print};
use super::database::{Connection, wait_for};
use crate::trail::database::{Database, DatabaseError, Place};
use crate::trail::query::{Filter, Row, time};
use crate::trail::streams_of;

/// How often files are looked at that may grow.
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
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// Decided so: allow, deny, warn, would-deny, error, patch, would-patch, unchanged
    #[arg(long, value_name = "WORD")]
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
    /// How many
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
    each(&args.paths, &mut Places::new(), &mut |line| wanted.print(line))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn tail(args: &Tail) -> Result<ExitCode, String> {
    let wanted = args.wanted.shown();
    if let Some(url) = url(&args.paths)? {
        let count = u32::try_from(args.lines).unwrap_or(u32::MAX);
        return in_database(&args.database, url, &wanted, Some(count), args.follow);
    }
    let mut places = Places::new();
    let mut last = VecDeque::new();
    each(&args.paths, &mut places, &mut |line| {
        if let Some(text) = wanted.text(line) {
            last.push_back(text);
            if last.len() > args.lines {
                last.pop_front();
            }
        }
        Ok(())
    })?;
    for text in last {
        print(&text)?;
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        std::thread::sleep(LOOK);
        each(&args.paths, &mut places, &mut |line| wanted.print(line))?;
    }
}

/// What is shown, and how.
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

/// How far each file was read.
type Places = BTreeMap<PathBuf, u64>;

/// Calls `each` with every line that was not read before, of all files together in the order of their times.
fn each(
    paths: &[PathBuf],
    places: &mut Places,
    each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let streams = streams_of(path).map_err(|error| format!("{}: {error}", path.display()))?;
            sources.extend(streams.into_iter().map(|files| Source::new(files.into(), true)));
        } else {
            sources.push(Source::new(VecDeque::from([path.clone()]), false));
        }
    }
    for source in &mut sources {
        source.advance(places)?;
    }
    loop {
        let next =
            sources.iter_mut().filter(|source| source.line.is_some()).min_by(|one, other| one.place.cmp(&other.place));
        let Some(source) = next else { return Ok(()) };
        if let Some(line) = source.line.take() {
            each(&line)?;
        }
        source.advance(places)?;
    }
}

/// Files that are read one after the other.
struct Source {
    files: VecDeque<PathBuf>,
    open: Option<(PathBuf, Box<dyn BufRead>)>,
    line: Option<Vec<u8>>,
    /// Its time and its stream, which is the order of a database too.
    place: (String, String),
    /// Whether retention may take them away.
    may_go: bool,
    /// Lines that are no records.
    passed_over: u64,
}

impl Source {
    fn new(files: VecDeque<PathBuf>, may_go: bool) -> Self {
        Self { files, open: None, line: None, place: Default::default(), may_go, passed_over: 0 }
    }

    /// Goes to the next whole line.
    fn advance(&mut self, places: &mut Places) -> Result<(), String> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.pop_front() else { return Ok(()) };
                match open(&path, places) {
                    Ok(reader) => self.open = Some((path, reader)),
                    Err(error) if self.may_go && error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(format!("{}: {error}", path.display())),
                }
            }
            let Some((path, reader)) = &mut self.open else { return Ok(()) };
            let mut line = Vec::new();
            let count = reader.read_until(b'\n', &mut line).map_err(|error| format!("{}: {error}", path.display()))?;
            // What is not whole is being written.
            if count == 0 || line.last() != Some(&b'\n') {
                if self.passed_over > 0 {
                    let (file, lines) = (path.display(), std::mem::take(&mut self.passed_over));
                    eprintln!("{file}: {lines} lines are no records of a trail, and are passed over");
                }
                self.open = None;
                continue;
            }
            *places.entry(path.clone()).or_default() += count as u64;
            line.pop();
            let Some(place) = Row::read(&line).map(|row| (row.time.into_owned(), row.stream.into_owned())) else {
                self.passed_over += 1;
                continue;
            };
            self.place = place;
            self.line = Some(line);
            return Ok(());
        }
    }
}

fn open(path: &Path, places: &Places) -> io::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(stdin().lock()));
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(places.get(path).copied().unwrap_or_default()))?;
    Ok(Box::new(BufReader::new(file)))
}
