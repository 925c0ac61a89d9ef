//! The records of files, folders and standard input, in the order of their times, also while files grow and change names.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, stdin};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::super::escape;
use crate::trail::query::Row;
use crate::trail::streams_of;

/// Bytes by which the first record of a file is told from another: its stream, its number and the hash before it.
const HEAD: usize = 128;

/// What is read, and how far it was.
pub(super) struct Inputs {
    inputs: Vec<Input>,
    /// How far each segment was read.
    segments: BTreeMap<PathBuf, u64>,
    /// Whether what is there may grow, and is looked at again.
    is_growing: bool,
}

enum Input {
    Stdin,
    Folder(PathBuf),
    File(Followed),
}

impl Inputs {
    pub(super) fn open(paths: &[PathBuf], is_growing: bool) -> Result<Self, String> {
        let open = |path: &PathBuf| match path {
            path if path.as_os_str() == "-" => Ok(Input::Stdin),
            path if path.is_dir() => Ok(Input::Folder(path.clone())),
            path => Ok(Input::File(Followed::open(path).map_err(named(path))?)),
        };
        let inputs = paths.iter().map(open).collect::<Result<_, String>>()?;
        Ok(Self { inputs, segments: BTreeMap::new(), is_growing })
    }

    /// Calls `each` with every record that was not read before, of all together in the order of their times.
    pub(super) fn each(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        let mut sources = Vec::new();
        for input in &mut self.inputs {
            match input {
                Input::Stdin => sources.push(Source::new(Parts::Stdin)),
                Input::Folder(path) => {
                    let streams = streams_of(path).map_err(named(path))?;
                    sources.extend(streams.into_iter().map(|files| Source::new(Parts::Segments(files.into(), None))));
                }
                Input::File(file) => {
                    if self.is_growing {
                        file.look().map_err(named(&file.path))?;
                    }
                    sources.push(Source::new(Parts::File(file)));
                }
            }
        }
        for source in &mut sources {
            source.advance(&mut self.segments, self.is_growing)?;
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
            source.advance(&mut self.segments, self.is_growing)?;
        }
    }
}

fn named(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

/// Records that come one after the other.
struct Source<'i> {
    parts: Parts<'i>,
    line: Option<Vec<u8>>,
    /// Its time and its stream, which is the order of a database too.
    place: (String, String),
    /// Lines that are no records, and the file that they are in.
    passed_over: (PathBuf, u64),
}

/// Where they are read.
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
    fn advance(&mut self, places: &mut BTreeMap<PathBuf, u64>, is_growing: bool) -> Result<(), String> {
        while let Some((path, mut line)) = self.parts.line(places, is_growing)? {
            line.pop_if(|last| *last == b'\n');
            if let Some(row) = Row::read(&line) {
                self.place = (row.time.into_owned(), row.stream.into_owned());
                self.line = Some(line);
                return Ok(());
            }
            if self.passed_over.0 != path {
                self.tell();
                self.passed_over.0 = path;
            }
            self.passed_over.1 += 1;
        }
        self.tell();
        Ok(())
    }

    /// Says how many lines were passed over.
    fn tell(&mut self) {
        let file = escape(&self.passed_over.0.display().to_string());
        match self.passed_over.1 {
            0 => {}
            1 => eprintln!("{file}: 1 line is no record of a trail, and is passed over"),
            lines => eprintln!("{file}: {lines} lines are no records of a trail, and are passed over"),
        }
        self.passed_over.1 = 0;
    }
}

impl Parts<'_> {
    /// The next line, and its file. The last one may lack its end, unless more of it may come.
    fn line(
        &mut self,
        places: &mut BTreeMap<PathBuf, u64>,
        is_growing: bool,
    ) -> Result<Option<(PathBuf, Vec<u8>)>, String> {
        let mut line = Vec::new();
        let (files, open) = match self {
            Self::Stdin => {
                let path = PathBuf::from("-");
                stdin().lock().read_until(b'\n', &mut line).map_err(named(&path))?;
                return Ok((!line.is_empty()).then_some((path, line)));
            }
            Self::File(file) => {
                let line = file.line(is_growing).map_err(named(&file.path))?;
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
                        Err(error) => return Err(named(&path)(error)),
                    }
                }
            };
            reader.read_until(b'\n', &mut line).map_err(named(&path))?;
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

/// A file, and those that take its name after it: it may be set aside as .1, that one as .2, and so on.
struct Followed {
    path: PathBuf,
    /// Open for as long as it is not read to its end: no other file can be taken for it.
    reader: BufReader<File>,
    /// Bytes of lines that were read.
    offset: u64,
    /// How it begins, once a line was read.
    head: Vec<u8>,
    /// The file that came after it.
    next: Option<File>,
}

impl Followed {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::begin(path.to_owned(), File::open(path)?))
    }

    fn begin(path: PathBuf, file: File) -> Self {
        Self { path, reader: BufReader::new(file), offset: 0, head: Vec::new(), next: None }
    }

    /// Goes to where it was, or to the beginning of what was written in the place of what was read. A file that only lost
    /// its end gets that back: a sink that fails takes back what it wrote, and writes it again.
    fn look(&mut self) -> io::Result<()> {
        let mut head = [0; HEAD];
        let count = self.reader.get_ref().read_at(&mut head[..self.head.len()], 0)?;
        if !self.head.starts_with(&head[..count]) {
            (self.offset, self.head) = (0, Vec::new());
        }
        self.reader.seek(SeekFrom::Start(self.offset)).map(drop)
    }

    /// The next line. The last one may lack its end, unless more of it may come.
    fn line(&mut self, is_growing: bool) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            self.reader.read_until(b'\n', &mut line)?;
            if line.ends_with(b"\n") {
                if self.offset == 0 {
                    self.head = line[..line.len().min(HEAD)].to_vec();
                }
                self.offset += line.len() as u64;
                return Ok(Some(line));
            }
            if !is_growing {
                return Ok((!line.is_empty()).then_some(line));
            }
            if let Some(next) = self.next.take() {
                *self = Self::begin(std::mem::take(&mut self.path), next);
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            // It may have grown before it lost its name: it is read to its end once more.
            self.next = self.successor()?;
            if self.next.is_none() {
                return Ok(None);
            }
            self.reader.seek(SeekFrom::Start(self.offset))?;
        }
    }

    /// The file that came after this one, if another has its name.
    fn successor(&self) -> io::Result<Option<File>> {
        let ours = self.reader.get_ref().metadata()?;
        let (mut before, mut oldest, mut is_missing) = (None, None, false);
        // In the direction in which files are renamed: none is passed over. While they are, one number is missing.
        for number in 0_u32.. {
            let mut name = self.path.clone().into_os_string();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            let file = match File::open(&name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if std::mem::replace(&mut is_missing, true) {
                        break;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            is_missing = false;
            let theirs = file.metadata()?;
            if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
                return Ok(before);
            }
            let is_later = (theirs.mtime(), theirs.mtime_nsec()) >= (ours.mtime(), ours.mtime_nsec());
            if number == 0 || is_later && theirs.is_file() {
                oldest = Some(file.try_clone()?);
            }
            before = Some(file);
        }
        if oldest.is_some() {
            let file = escape(&self.path.display().to_string());
            eprintln!("{file}: what was read is no longer beside it; records that came after that may be missing");
        }
        Ok(oldest)
    }
}
