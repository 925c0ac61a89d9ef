//! Position of a courier in the spool, and loading of the next records.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use tokio::time::Instant;

use crate::trail::record::Class;
use crate::trail::sink::BatchLimits;
use crate::trail::spool::{Index, Segment};

/// Position of a courier in a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Route {
    /// The next record.
    pub(super) next: u64,
    /// Its place, when that is known: the segment's first record, and the bytes before it.
    pub(super) place: Option<(u64, u64)>,
    /// Since when records lie there for more to come.
    pub(super) since: Option<Instant>,
}

/// Records that are delivered next.
pub(super) struct Loaded {
    pub(super) first: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) lost: u64,
    pub(super) route: Route,
}

pub(super) fn load(index: &Index, class: Class, mut route: Route, limits: BatchLimits) -> io::Result<Option<Loaded>> {
    let Some(segment) = index.segment(class, route.next) else { return Ok(None) };
    let mut lost = segment.first.saturating_sub(route.next);
    route.next = route.next.max(segment.first);
    let mut file = std::fs::File::open(&segment.path)?;
    let start = match route.place {
        Some((first, bytes)) if first == segment.first => bytes,
        _ => skip(&mut file, &segment, route.next)?,
    };
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::new(file.take(segment.bytes.saturating_sub(start)));
    let (mut bytes, first) = (Vec::new(), route.next);
    while (bytes.len() as u64) < limits.bytes && route.next - first < limits.records && route.next < segment.end {
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        route.next += 1;
    }
    (route.place, route.since) = (Some((segment.first, start + bytes.len() as u64)), None);
    if bytes.is_empty() {
        // Somebody took from the segment what it should hold; what comes after it must not wait for that.
        lost += segment.end - route.next;
        route.next = segment.end;
    }
    Ok(Some(Loaded { first, bytes, lost, route }))
}

/// The bytes before record `next`.
fn skip(file: &mut std::fs::File, segment: &Segment, next: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(file.take(segment.bytes));
    let (mut bytes, mut line) = (0, Vec::new());
    for _ in segment.first..next {
        line.clear();
        bytes += reader.read_until(b'\n', &mut line)? as u64;
    }
    Ok(bytes)
}

/// Position of a sink: the next record of each stream. It gets everything that is there of a stream where that is not
/// known: at least once. And of which classes it has had more than there is: how many, and how many there are.
pub(super) fn read_cursor(file: &Path, index: &Index) -> ([u64; 3], Vec<(Class, u64, u64)>) {
    let known = match std::fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.and_then(|text| Ok(serde_json::from_slice::<Vec<(String, u64)>>(&text)?)),
    };
    let known = known.unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.display(), "the position of a sink is not known; it gets all records again");
        Vec::new()
    });
    let mut ahead = Vec::new();
    let next = Class::ALL.map(|class| {
        let (stream, (first, end)) = (index.stream(class), index.records(class));
        let had = known.iter().find(|(id, _)| *id == stream).map_or(first, |(_, next)| *next);
        if had > end {
            tracing::error!(
                file = %file.display(), class = class.as_str(), had, end,
                "a sink had more records than there are: some were taken from the spool's end, or it is an older copy"
            );
            ahead.push((class, had, end));
        }
        had.min(end)
    });
    (next, ahead)
}
