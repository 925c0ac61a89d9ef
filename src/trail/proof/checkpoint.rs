//! Checkpoints: signed statements of how far a stream and its siblings had come.
//!
//! The text is a note of <https://c2sp.org/signed-note>: the stream as origin, how many records stand before the one
//! that carries it, and the hash of the last of them; then what the record that carries it is and its time, its class,
//! and a line for each sibling stream. The hash is the head of a chain, not the root of a Merkle tree. Everything in the
//! record that carries a note follows from the note and the record before it, so that the signature covers it too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::key::{Signature, Signer, Verifier};
use crate::digest::{hex, unhex};
use crate::trail::record::{Class, printed};

/// Prefix of the origin of every checkpoint.
const ORIGIN: &str = "portcullis.dev/trail/";

/// Record that carries a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trail) enum Kind {
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

/// Head of a stream: its length and last hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::trail) struct Head {
    /// The stream's id.
    pub(in crate::trail) stream: String,
    /// Number of records, from its beginning.
    pub(in crate::trail) size: u64,
    /// The hash of the last of them, hexadecimal.
    pub(in crate::trail) hash: String,
}

/// A checkpoint as it is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::trail) struct Statement {
    /// The stream itself.
    pub(in crate::trail) head: Head,
    /// Kind of the record that carries it.
    record: String,
    /// Time of the checkpoint.
    time: String,
    /// The other streams of the same spool.
    pub(in crate::trail) siblings: Vec<Head>,
}

/// The note of a checkpoint, signed by each of `signers`.
pub(in crate::trail) fn note(
    head: &Head,
    kind: Kind,
    class: Class,
    time: Timestamp,
    siblings: &[Head],
    signers: &[&Signer],
) -> String {
    let Head { stream, size, hash } = head;
    let (hash, kind, time, class) = (base64(hash), kind.as_str(), printed(time), class.as_str());
    let mut text = format!("{ORIGIN}{stream}\n{size}\n{hash}\nrecord {kind}\ntime {time}\nclass {class}\n");
    for sibling in siblings {
        text += &format!("sister {} {} {}\n", sibling.stream, sibling.size, base64(&sibling.hash));
    }
    let signatures: String = signers.iter().map(|signer| signer.sign(&text)).collect();
    format!("{text}\n{signatures}")
}

/// Reads a note; `None` when it is not a checkpoint.
pub(in crate::trail) fn read(note: &str) -> Option<Statement> {
    let (text, _) = parts(note)?;
    let mut lines = text.lines();
    let stream = lines.next()?.strip_prefix(ORIGIN)?.to_owned();
    let size = lines.next()?.parse().ok()?;
    let head = Head { stream, size, hash: unbase64(lines.next()?)? };
    let record = lines.next()?.strip_prefix("record ")?.to_owned();
    let time = lines.next()?.strip_prefix("time ")?.to_owned();
    let mut siblings = Vec::new();
    for line in lines {
        let Some(sibling) = line.strip_prefix("sister ") else { continue };
        let mut words = sibling.split(' ');
        let (stream, size, hash) = (words.next()?, words.next()?, words.next()?);
        siblings.push(Head { stream: stream.to_owned(), size: size.parse().ok()?, hash: unbase64(hash)? });
    }
    Some(Statement { head, record, time, siblings })
}

impl Statement {
    /// Body of the record that carries `note`, which states this, between the chain's fields.
    pub(in crate::trail) fn body(&self, note: &str) -> String {
        let note = serde_json::Value::from(note);
        format!("\"record\":\"{}\",\"time\":\"{}\",\"note\":{note}", self.record, self.time)
    }
}

/// Returns true if one of the keys signed the note.
pub(in crate::trail) fn is_signed(note: &str, keys: &[Verifier]) -> bool {
    parts(note).is_some_and(|(text, signatures)| keys.iter().any(|key| key.verifies(text, signatures)))
}

/// Signatures of the note, not verified.
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

    use super::{Head, Kind, Statement, is_signed, note, read};
    use crate::trail::record::{Class, Record, printed};

    #[test]
    fn a_note_reads_as_what_it_states() {
        let head = Head { stream: "a1".to_owned(), size: 7, hash: "0f".repeat(32) };
        let sibling = Head { stream: "b2".to_owned(), size: 9, hash: "a0".repeat(32) };
        let time = Timestamp::UNIX_EPOCH;
        let text = note(&head, Kind::Stop, Class::Allow, time, std::slice::from_ref(&sibling), &[]);
        let stated = read(&text).expect("a statement");
        let body = Record::Stop { time, note: Some(&text) }.to_bytes();
        assert_eq!(format!("{{{}}}", stated.body(&text)).as_bytes(), body);
        let (record, time) = ("stop".to_owned(), printed(time));
        assert_eq!(stated, Statement { head, record, time, siblings: vec![sibling] });
        assert!(!is_signed(&text, &[]));
        assert_eq!(read("something else"), None);
    }
}
