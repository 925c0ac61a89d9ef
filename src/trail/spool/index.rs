//! Index of the spool, shared between the thread that writes it and those that read it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::watch;

use super::aside::Aside;
use crate::lock::lock;
use crate::trail::record::Class;

/// A segment: a file of whole lines, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// Sequence number of its first record.
    pub first: u64,
    /// Sequence number after its last record.
    pub end: u64,
    /// Bytes of it that may be read.
    pub bytes: u64,
    /// Time of its last record.
    pub newest: Timestamp,
}

/// One stream of the spool.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamIndex {
    stream: String,
    segments: VecDeque<Segment>,
    /// Bytes of all segments, also those that may not be read yet.
    bytes: u64,
}

impl StreamIndex {
    /// Index of a stream as it was when it was opened.
    pub(super) fn new(stream: String, segments: VecDeque<Segment>) -> Self {
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        Self { stream, segments, bytes }
    }

    /// Another segment begins.
    pub(super) fn begin(&mut self, segment: Segment) {
        self.segments.push_back(segment);
    }

    /// The growing segment takes so many bytes more.
    pub(super) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The growing segment may be read up to there.
    pub(super) fn publish(&mut self, end: u64, bytes: u64, newest: Timestamp) {
        if let Some(last) = self.segments.back_mut() {
            (last.end, last.bytes, last.newest) = (end, bytes, newest);
        }
    }

    /// The oldest segment is gone.
    pub(super) fn drop_front(&mut self) {
        self.bytes -= self.segments.pop_front().map_or(0, |segment| segment.bytes);
    }

    /// The segments that no longer grow, the oldest first.
    fn finished(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().take(self.segments.len().saturating_sub(1))
    }
}

#[derive(Debug, Default)]
struct State {
    shelves: [StreamIndex; 3],
    /// For each sink, the next record that it needs of each stream.
    needed: BTreeMap<String, [u64; 3]>,
}

/// The index of a spool.
#[derive(Debug)]
pub struct Index {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    aside: Aside,
}

impl Index {
    pub(super) fn new(aside: Aside) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: watch::Sender::new(0), aside })
    }

    /// Records that sinks refuse for good.
    pub fn aside(&self) -> &Aside {
        &self.aside
    }

    /// Changes what a class holds, and wakes whoever waits for it.
    pub(super) fn update(&self, class: Class, change: impl FnOnce(&mut StreamIndex)) {
        change(&mut lock(&self.state).shelves[class.index()]);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells when something was added.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The stream of a class.
    pub fn stream(&self, class: Class) -> String {
        lock(&self.state).shelves[class.index()].stream.clone()
    }

    /// The segment of a class that holds record `seq`, or the first after it.
    pub fn segment(&self, class: Class, seq: u64) -> Option<Segment> {
        let state = lock(&self.state);
        let segments = &state.shelves[class.index()].segments;
        segments.get(segments.partition_point(|segment| segment.end <= seq)).cloned()
    }

    /// The records of a class that may be read: the first one, and the one after the last.
    pub fn records(&self, class: Class) -> (u64, u64) {
        let state = lock(&self.state);
        let segments = &state.shelves[class.index()].segments;
        segments.front().zip(segments.back()).map_or((0, 0), |(first, last)| (first.first, last.end))
    }

    /// Time of the last record of a class; `None` if there is no record.
    pub(super) fn last_time(&self, class: Class) -> Option<Timestamp> {
        let state = lock(&self.state);
        let has_records = |segment: &&Segment| segment.end > segment.first;
        state.shelves[class.index()].segments.iter().rev().find(has_records).map(|segment| segment.newest)
    }

    /// The oldest segment of a class, unless it still grows.
    pub(super) fn front(&self, class: Class) -> Option<Segment> {
        lock(&self.state).shelves[class.index()].finished().next().cloned()
    }

    /// End of those segments of a class that may be removed, from the oldest on.
    pub(super) fn end_of(&self, class: Class, may_go: impl Fn(&Segment) -> bool) -> Option<u64> {
        let state = lock(&self.state);
        state.shelves[class.index()].finished().take_while(|segment| may_go(segment)).last().map(|last| last.end)
    }

    /// Every segment of a class, the oldest first.
    pub fn segments(&self, class: Class) -> Vec<Segment> {
        lock(&self.state).shelves[class.index()].segments.iter().cloned().collect()
    }

    /// Bytes of all segments, and of what was set aside.
    pub fn bytes(&self) -> u64 {
        let segments: u64 = lock(&self.state).shelves.iter().map(|shelf| shelf.bytes).sum();
        segments + self.aside.bytes()
    }

    /// Makes a sink known: what it needs is kept until it took it.
    pub fn register(&self, sink: &str, next: [u64; 3]) {
        lock(&self.state).needed.insert(sink.to_owned(), next);
    }

    /// A sink has taken a class's records before `next`.
    pub fn taken(&self, sink: &str, class: Class, next: u64) {
        if let Some(needed) = lock(&self.state).needed.get_mut(sink) {
            needed[class.index()] = needed[class.index()].max(next);
        }
    }

    /// The first record of a class that some sink still needs; the end of all where there is no sink.
    pub(super) fn needed(&self, class: Class) -> u64 {
        lock(&self.state).needed.values().map(|next| next[class.index()]).min().unwrap_or(u64::MAX)
    }

    /// Number of records that each sink has not taken yet.
    pub fn behind(&self) -> Vec<(String, u64)> {
        let state = lock(&self.state);
        let ends = Class::ALL.map(|class| state.shelves[class.index()].segments.back().map_or(0, |last| last.end));
        let behind = |next: &[u64; 3]| next.iter().zip(ends).map(|(next, end)| end.saturating_sub(*next)).sum();
        state.needed.iter().map(|(sink, next)| (sink.clone(), behind(next))).collect()
    }
}
