//! The chain: each line carries the hash of the line before it, and its own.

use std::io::{self, Write as _};

use crate::digest::sha256;

/// Value of `prev` in a stream's first record.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Text between the hashed bytes of a line and its hash.
pub(in crate::trail) const SEAL: &str = ",\"hash\":\"";
/// Hexadecimal digits of a hash.
pub(in crate::trail) const DIGITS: usize = 64;

/// The end of a stream: what the next line must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub(in crate::trail) stream: String,
    pub(in crate::trail) next: u64,
    pub(in crate::trail) prev: String,
}

impl Chain {
    /// Beginning of every line of every stream.
    pub(in crate::trail) const BEGIN: &str = "{\"stream\":\"";

    /// Beginning of the next line.
    pub(in crate::trail) fn begin(&self) -> Vec<u8> {
        let mut begin = Vec::new();
        let _ = self.write_begin(&mut begin);
        begin
    }

    fn write_begin(&self, out: &mut Vec<u8>) -> io::Result<()> {
        write!(out, "{}{}\",\"seq\":{},\"prev\":\"{}\",", Self::BEGIN, self.stream, self.next, self.prev)
    }

    /// A new stream.
    pub fn new(stream: String) -> Self {
        Self { stream, next: 0, prev: NOTHING.to_owned() }
    }

    /// The stream after a line of it.
    pub fn after(stream: String, seq: u64, hash: String) -> Self {
        Self { stream, next: seq + 1, prev: hash }
    }

    /// Appends the line of `body`, a JSON object with at least one field, to `lines`; returns its sequence number. SHA-256
    /// is taken of the bytes of the line up to `,"hash":"`.
    pub fn seal(&mut self, body: &[u8], lines: &mut Vec<u8>) -> u64 {
        let start = lines.len();
        // Into memory: it cannot fail.
        let _ = self.write_begin(lines);
        lines.extend_from_slice(&body[1..body.len() - 1]);
        let hash = sha256(&lines[start..]);
        lines.extend_from_slice(SEAL.as_bytes());
        lines.extend_from_slice(hash.as_bytes());
        lines.extend_from_slice(b"\"}\n");
        self.prev = hash;
        self.next += 1;
        self.next - 1
    }

    /// The id of a decision: its stream, and its sequence number in it.
    pub fn id(&self, seq: u64) -> String {
        format!("{}:{seq}", self.stream)
    }
}

/// A line taken apart: the bytes that its hash covers, and the hash that it carries.
pub(in crate::trail) fn open(line: &[u8]) -> Option<(&[u8], &str)> {
    let tail = SEAL.len() + DIGITS + "\"}".len();
    let (covered, seal) = line.split_at_checked(line.len().checked_sub(tail)?)?;
    let hash = seal.strip_prefix(SEAL.as_bytes())?.strip_suffix(b"\"}")?;
    let hash = std::str::from_utf8(hash).ok()?;
    hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some((covered, hash))
}
