//! Tampering at random: whatever is changed in a spool with a clean end and signed checkpoints is named.

use portcullis::trail::{Class, Fault, Report};

use crate::trail_spool::{Files, Random, finished, verified, verifier};

/// Changes that are made, and those of them that the program itself is asked about.
const CHANGES: usize = 1_000;
const EVERY: usize = 40;

/// Place of a change: the segment, the first line that differs, and by how much its number may be off.
struct Change {
    what: &'static str,
    place: usize,
    line: usize,
    slack: usize,
    /// True if it took whole lines from the end of the last stream, which no checkpoint covers.
    is_open_end: bool,
}

fn line_of(bytes: &[u8], position: usize) -> usize {
    bytes[..position].split(|byte| *byte == b'\n').count()
}

/// Makes a change; `None` where it would be none.
fn change(files: &mut Files, random: &mut Random) -> Option<Change> {
    let place = random.below(files.0.len());
    let is_last = place + 1 == files.0.len();
    let all = files.clone();
    let bytes = &mut files.0[place].1;
    let position = random.below(bytes.len());
    let line = line_of(bytes, position);
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let byte = u8::try_from(random.below(256)).expect("a byte");
    let made = |what, line, slack| Some(Change { what, place, line, slack, is_open_end: false });
    match random.below(8) {
        0 if bytes[position] == byte => None,
        0 => {
            bytes[position] = byte;
            made("a byte changed", line, 0)
        }
        1 => {
            bytes.remove(position);
            made("a byte removed", line, 0)
        }
        2 => {
            bytes.insert(position, byte);
            // A newline before a newline leaves the line as it was, and an empty one after it.
            made("a byte inserted", line, 1)
        }
        3 => {
            lines.remove(line - 1);
            let is_open_end = is_last && line == lines.len() + 1;
            *bytes = lines.concat();
            Some(Change { what: "a line removed", place, line, slack: 0, is_open_end })
        }
        4 => {
            let from = &all.0[random.below(all.0.len())].1;
            let copies: Vec<&[u8]> = from.split_inclusive(|byte| *byte == b'\n').collect();
            lines.insert(line - 1, copies[random.below(copies.len())].to_vec());
            *bytes = lines.concat();
            made("a line inserted", line, usize::MAX)
        }
        5 => {
            let other = random.below(lines.len());
            lines.swap(line - 1, other);
            *bytes = lines.concat();
            let first = line.min(other + 1);
            if line == other + 1 { None } else { made("lines swapped", first, 1) }
        }
        6 => {
            let other = random.below(bytes.len());
            let is_none = bytes[position] == bytes[other];
            let first = line.min(line_of(bytes, other));
            bytes.swap(position, other);
            if is_none { None } else { made("bytes swapped", first, 1) }
        }
        _ => {
            let is_open_end = is_last && line == lines.len() && bytes[position - 1] == b'\n';
            bytes.truncate(position);
            Some(Change { what: "cut off", place, line, slack: 0, is_open_end })
        }
    }
}

/// The fault is where the change was, as far as that can be told.
fn check(change: &Change, before: &Files, after: &Files, result: &Result<Report, Fault>) {
    let name = &before.0[change.place].0;
    let shown = format!("{} at {name}:{}: {result:?}", change.what, change.line);
    let fault = match result {
        Err(fault) => fault,
        Ok(report) => {
            assert!(change.is_open_end && !report.is_proven(), "{shown}");
            return;
        }
    };
    let (_, bytes) = &after.0[change.place];
    let is_there = bytes.last() == Some(&b'\n') && line_of(bytes, bytes.len()) > change.line || !bytes.ends_with(b"\n");
    let is_cut = bytes.is_empty();
    match &fault.place {
        _ if change.slack == usize::MAX => {}
        // What follows a line that is gone is in the next segment, or nowhere.
        Some((file, line)) if file == name => {
            let line = usize::try_from(*line).expect("small");
            assert!((change.line..=change.line + change.slack).contains(&line), "{shown}");
        }
        Some((_, line)) => assert!((!is_there || is_cut) && *line == 1, "{shown}"),
        None => assert!(fault.record.is_some(), "{shown}"),
    }
    if let Some((stream, _)) = &fault.record {
        let class = Class::ALL.into_iter().find(|class| name.starts_with(class.as_str())).expect("a class");
        let id = crate::trail_spool::field(&before.lines(class)[0], "stream");
        assert!(change.slack == usize::MAX || *stream == id, "another stream than {id} is named: {shown}");
    }
}

#[test]
fn a_thousand_changes_are_named() {
    let (folder, whole) = finished(60);
    assert_eq!(verified(folder.path()).0, Some(0));
    assert!(Class::ALL.into_iter().all(|class| whole.of(class).len() > 2), "several segments in each stream");
    let mut random = Random::seeded(6);
    let (mut made, mut unproven) = (0, 0);
    while made < CHANGES {
        let mut files = whole.clone();
        let Some(change) = change(&mut files, &mut random) else { continue };
        made += 1;
        let result = files.verify(&[verifier(1)]);
        check(&change, &whole, &files, &result);
        unproven += usize::from(result.is_ok());
        if made % EVERY == 0 {
            let folder = tempfile::tempdir().expect("a folder");
            files.write(folder.path());
            let (code, said) = verified(folder.path());
            match result {
                Ok(_) => assert_eq!(code, Some(3), "{said}"),
                Err(fault) => assert!(code == Some(1) && said.contains(&fault.message), "{fault}: {said}"),
            }
        }
    }
    eprintln!("{made} changes, {unproven} of them at the open end");
    assert!(unproven <= CHANGES / 100, "nearly all are named: {unproven} are only unproven");
}
