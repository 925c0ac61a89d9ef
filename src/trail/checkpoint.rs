//! Checkpoints: signed statements of how far a stream and its sisters had come.
//!
//! The text is a note of <https://c2sp.org/signed-note>: the stream as origin, how many records stand before the one
//! that carries it, and the hash of the last of them; then what the record that carries it is and its time, its class,
//! and a line for each sister stream. The hash is the head of a chain, not the root of a Merkle tree. Everything in the
//! record that carries a note follows from the note and the record before it, so that the signature covers it too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::class::Class;
use super::key::{Signature, Signer, Verifier};
use super::record::printed;
use crate::digest::{hex, unhex};

/// What the origin of every checkpoint begins with.
const ORIGIN: &str = "portcullis.dev/trail/";

/// What carries a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A checkpoint.
    Checkpoint,
    /// The clean end.
    Stop,
}

impl Kind {
    /// As `record` says it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Stop => "stop",
        }
    }
}

/// How far a stream has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The stream's id.
    pub(super) stream: String,
    /// How many records it has had, from its beginning.
    pub(super) size: u64,
    /// The hash of the last of them, hexadecimal.
    pub(super) hash: String,
}

/// A checkpoint as it is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The stream itself.
    pub(super) head: Head,
    /// What the record that carries it is.
    record: String,
    /// When it was made.
    time: String,
    /// The other streams of the same spool.
    pub(super) sisters: Vec<Head>,
}

/// The note of a checkpoint, signed by each of `signers`.
pub(super) fn note(
    head: &Head,
    kind: Kind,
    class: Class,
    time: Timestamp,
    sisters: &[Head],
    signers: &[&Signer],
) -> String {
    let Head { stream, size, hash } = head;
    let (hash, kind, time, class) = (base64(hash), kind.as_str(), printed(time), class.as_str());
    let mut text = format!("{ORIGIN}{stream}\n{size}\n{hash}\nrecord {kind}\ntime {time}\nclass {class}\n");
    for sister in sisters {
        text += &format!("sister {} {} {}\n", sister.stream, sister.size, base64(&sister.hash));
    }
    let signatures: String = signers.iter().map(|signer| signer.sign(&text)).collect();
    format!("{text}\n{signatures}")
}

/// What a note states; `None` when it is no checkpoint.
pub(super) fn read(note: &str) -> Option<Statement> {
    let (text, _) = parts(note)?;
    let mut lines = text.lines();
    let stream = lines.next()?.strip_prefix(ORIGIN)?.to_owned();
    let size = lines.next()?.parse().ok()?;
    let head = Head { stream, size, hash: unbase64(lines.next()?)? };
    let record = lines.next()?.strip_prefix("record ")?.to_owned();
    let time = lines.next()?.strip_prefix("time ")?.to_owned();
    let mut sisters = Vec::new();
    for line in lines {
        let Some(sister) = line.strip_prefix("sister ") else { continue };
        let mut words = sister.split(' ');
        let (stream, size, hash) = (words.next()?, words.next()?, words.next()?);
        sisters.push(Head { stream: stream.to_owned(), size: size.parse().ok()?, hash: unbase64(hash)? });
    }
    Some(Statement { head, record, time, sisters })
}

impl Statement {
    /// What the record that carries `note`, which states this, holds between the chain's fields.
    pub(super) fn body(&self, note: &str) -> String {
        let note = serde_json::Value::from(note);
        format!("\"record\":\"{}\",\"time\":\"{}\",\"note\":{note}", self.record, self.time)
    }
}

/// Whether one of the keys signed the note.
pub(super) fn is_signed(note: &str, keys: &[Verifier]) -> bool {
    parts(note).is_some_and(|(text, signatures)| keys.iter().any(|key| key.verifies(text, signatures)))
}

/// Who is said to have signed the note.
pub(super) fn signatures(note: &str) -> Vec<Signature<'_>> {
    parts(note).map(|(_, signatures)| signatures.lines().filter_map(Signature::read).collect()).unwrap_or_default()
}

/// Text and signature lines.
fn parts(note: &str) -> Option<(&str, &str)> {
    let end = note.rfind("\n\n")?;
    Some((&note[..=end], &note[end + 2..]))
}

fn base64(digits: &str) -> String {
    STANDARD.encode(unhex(digits).collect::<Vec<u8>>())
}

fn unbase64(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text).ok()?;
    (bytes.len() == 32).then(|| hex(&bytes))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::class::Class;
    use super::super::record::{Record, printed};
    use super::{Head, Kind, Statement, is_signed, note, read};

    #[test]
    fn a_note_reads_as_what_it_states() {
        let head = Head { stream: "a1".to_owned(), size: 7, hash: "0f".repeat(32) };
        let sister = Head { stream: "b2".to_owned(), size: 9, hash: "a0".repeat(32) };
        let time = Timestamp::UNIX_EPOCH;
        let text = note(&head, Kind::Stop, Class::Allow, time, std::slice::from_ref(&sister), &[]);
        let stated = read(&text).expect("a statement");
        let body = Record::Stop { time, note: Some(&text) }.to_bytes();
        assert_eq!(format!("{{{}}}", stated.body(&text)).as_bytes(), body);
        let (record, time) = ("stop".to_owned(), printed(time));
        assert_eq!(stated, Statement { head, record, time, sisters: vec![sister] });
        assert!(!is_signed(&text, &[]));
        assert_eq!(read("something else"), None);
    }
}
