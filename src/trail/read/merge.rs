//! The records of files, folders and standard input, in the order of their times, also while files grow and change names.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, stdin};
use std::path::{Path, PathBuf};

use super::follow::Followed;
use super::query::Row;
use super::{Notice, ReadError, streams_of};

/// Files, folders and standard input, and how far each was read.
pub struct Inputs {
    inputs: Vec<Input>,
    /// Bytes of each segment that were read.
    segments: BTreeMap<PathBuf, u64>,
    /// Set when files may grow and are read again.
    is_growing: bool,
    notify: fn(Notice<'_>),
}

enum Input {
    Stdin,
    Folder(PathBuf),
    File(Followed),
}

impl Inputs {
    /// Opens what is read: `-` for standard input, a spool's folder, or a file. `is_growing`: what comes later is read by
    /// another call of [`Self::each`].
    ///
    /// # Errors
    /// [`ReadError`] for a file that cannot be opened.
    pub fn open(paths: &[PathBuf], is_growing: bool, notify: fn(Notice<'_>)) -> Result<Self, ReadError> {
        let open = |path: &PathBuf| match path {
            path if path.as_os_str() == "-" => Ok(Input::Stdin),
            path if path.is_dir() => Ok(Input::Folder(path.clone())),
            path => Ok(Input::File(Followed::open(path).map_err(ReadError::of(path))?)),
        };
        let inputs = paths.iter().map(open).collect::<Result<_, ReadError>>()?;
        Ok(Self { inputs, segments: BTreeMap::new(), is_growing, notify })
    }

    /// Calls `each` with every record that was not read before, of all together in the order of their times.
    ///
    /// # Errors
    /// [`ReadError`] when something cannot be read, and the first error of `each`.
    pub fn each<E: From<ReadError>>(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut sources = Vec::new();
        for input in &mut self.inputs {
            match input {
                Input::Stdin => sources.push(Source::new(Parts::Stdin)),
                Input::Folder(path) => {
                    let streams = streams_of(path).map_err(ReadError::of(path))?;
                    sources.extend(streams.into_iter().map(|files| Source::new(Parts::Segments(files.into(), None))));
                }
                Input::File(file) => {
                    if self.is_growing {
                        file.look().map_err(ReadError::of(&file.path))?;
                    }
                    sources.push(Source::new(Parts::File(file)));
                }
            }
        }
        for source in &mut sources {
            source.advance(&mut self.segments, self.is_growing, self.notify)?;
        }
        loop {
            let next = sources
                .iter_mut()
                .filter(|source| source.line.is_some())
                .min_by(|one, other| one.place.cmp(&other.place));
            let Some(source) = next else { return Ok(()) };
            if let Some(line) = source.line.take() {
                each(&line)?;
            }
            source.advance(&mut self.segments, self.is_growing, self.notify)?;
        }
    }
}

/// Records that come one after the other.
struct Source<'i> {
    parts: Parts<'i>,
    line: Option<Vec<u8>>,
    /// Its time and its stream, which is the order of a database too.
    place: (String, String),
    /// Lines that are not records, and the file that they are in.
    passed_over: (PathBuf, u64),
}

/// The place that records are read from.
enum Parts<'i> {
    Stdin,
    /// Those to come, and the one that is read. Retention may take them away.
    Segments(VecDeque<PathBuf>, Option<(PathBuf, BufReader<File>)>),
    File(&'i mut Followed),
}

impl<'i> Source<'i> {
    fn new(parts: Parts<'i>) -> Self {
        Self { parts, line: None, place: Default::default(), passed_over: Default::default() }
    }

    /// Goes to the next record.
    fn advance(
        &mut self,
        places: &mut BTreeMap<PathBuf, u64>,
        is_growing: bool,
        notify: fn(Notice<'_>),
    ) -> Result<(), ReadError> {
        while let Some((path, mut line)) = self.parts.line(places, is_growing, notify)? {
            line.pop_if(|last| *last == b'\n');
            if let Some(row) = Row::read(&line) {
                self.place = (row.time.into_owned(), row.stream.into_owned());
                self.line = Some(line);
                return Ok(());
            }
            if self.passed_over.0 != path {
                self.tell(notify);
                self.passed_over.0 = path;
            }
            self.passed_over.1 += 1;
        }
        self.tell(notify);
        Ok(())
    }

    /// Says how many lines were passed over.
    fn tell(&mut self, notify: fn(Notice<'_>)) {
        let (file, lines) = &mut self.passed_over;
        if *lines > 0 {
            notify(Notice::PassedOver { file, lines: std::mem::take(lines) });
        }
    }
}

impl Parts<'_> {
    /// The next line, and its file. The last one may lack its end, unless more of it may come.
    fn line(
        &mut self,
        places: &mut BTreeMap<PathBuf, u64>,
        is_growing: bool,
        notify: fn(Notice<'_>),
    ) -> Result<Option<(PathBuf, Vec<u8>)>, ReadError> {
        let mut line = Vec::new();
        let (files, open) = match self {
            Self::Stdin => {
                let path = PathBuf::from("-");
                stdin().lock().read_until(b'\n', &mut line).map_err(ReadError::of(&path))?;
                return Ok((!line.is_empty()).then_some((path, line)));
            }
            Self::File(file) => {
                let line = file.line(is_growing, notify).map_err(ReadError::of(&file.path))?;
                return Ok(line.map(|line| (file.path.clone(), line)));
            }
            Self::Segments(files, open) => (files, open),
        };
        loop {
            let (path, mut reader) = match open.take() {
                Some(open) => open,
                None => {
                    let Some(path) = files.pop_front() else { return Ok(None) };
                    match segment(&path, places) {
                        Ok(reader) => (path, reader),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(ReadError::of(&path)(error)),
                    }
                }
            };
            reader.read_until(b'\n', &mut line).map_err(ReadError::of(&path))?;
            if line.ends_with(b"\n") {
                *places.entry(path.clone()).or_default() += line.len() as u64;
                *open = Some((path.clone(), reader));
                return Ok(Some((path, line)));
            }
            if !line.is_empty() && !is_growing {
                return Ok(Some((path, line)));
            }
            line.clear();
        }
    }
}

fn segment(path: &Path, places: &BTreeMap<PathBuf, u64>) -> io::Result<BufReader<File>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(places.get(path).copied().unwrap_or_default()))?;
    Ok(BufReader::new(file))
}
