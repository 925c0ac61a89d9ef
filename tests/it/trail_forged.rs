//! Somebody who can write every file of a spool, and has not the key: what is made to fit again is named by checkpoints,
//! what is gone by the other streams, and what nothing covers is unproven, never good.

use portcullis::trail::{Class, Fault, Report};

use crate::trail_spool::{Files, body, field, fill, finished, resealed, settings, signer, verifier, with_trail};

fn verified(files: &Files) -> Result<Report, Fault> {
    files.verify(&[verifier(1)])
}

#[track_caller]
fn named(files: &Files, wanted: &str) -> Fault {
    let fault = verified(files).expect_err("a fault");
    assert!(fault.to_string().contains(wanted), "{wanted}: {fault}");
    fault
}

#[track_caller]
fn unproven(files: &Files, wanted: &str) {
    let report = verified(files).expect("nothing amiss");
    assert!(!report.is_proven());
    assert!(report.unproven.iter().any(|text| text.contains(wanted)), "{wanted}: {:?}", report.unproven);
}

/// A spool that was killed: what came after the last checkpoints is covered by nothing.
fn killed() -> Files {
    let folder = tempfile::tempdir().expect("a folder");
    with_trail(&settings(folder.path()), Some(1), async |trail| fill(trail, "uid", 60).await);
    Files::read(folder.path())
}

fn bodies(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| body(line).to_owned()).collect()
}

fn is_checkpoint(line: &str) -> bool {
    body(line).starts_with("\"record\":\"checkpoint\"")
}

/// The body of a note in a record, with `change` made to the note.
fn renoted(line: &str, change: impl Fn(&str) -> String) -> String {
    let note = field(line, "note");
    let (before, _) = body(line).split_once("\"note\":").expect("a note");
    format!("{before}\"note\":{}", serde_json::Value::from(change(&note)))
}

#[test]
fn a_record_that_was_changed_and_sealed_again_is_named_at_the_next_checkpoint() {
    let (_folder, whole) = finished(60);
    for class in Class::ALL {
        let lines = whole.lines(class);
        let checkpoints: Vec<usize> = (0..lines.len()).filter(|place| is_checkpoint(&lines[*place])).collect();
        let changed = (checkpoints[1]..lines.len()).find(|place| lines[*place].contains("alice")).expect("an event");
        let next = checkpoints.iter().find(|place| **place > changed).expect("a checkpoint");
        let mut rest = bodies(&lines[changed..]);
        rest[0] = rest[0].replace("alice", "malory");
        let forged = resealed(&lines[..changed], &rest);
        let fault = named(&whole.with(class, &forged), "carries a checkpoint of other records");
        assert_eq!(fault.record, Some((field(&lines[0], "stream"), *next as u64)));

        // The same without the checkpoints that would tell, and without their signatures.
        let mut without = rest.clone();
        without.retain(|body| !body.contains("\"note\""));
        named(&whole.with(class, &resealed(&lines[..changed], &without)), "says that its hash was");
        let open = |line: &String| {
            if is_checkpoint(line) { renoted(line, |_| "n\n\n".to_owned()) } else { body(line).to_owned() }
        };
        let unreadable: Vec<String> = lines[changed..].iter().map(open).collect();
        named(&whole.with(class, &resealed(&lines[..changed], &unreadable)), "cannot be read");
    }
}

/// The lines of a class up to a checkpoint, and a note that fits after them, signed by nobody.
fn up_to_a_checkpoint(whole: &Files, class: Class) -> (Vec<String>, String) {
    let lines = whole.lines(class);
    let place = (0..lines.len()).rfind(|place| is_checkpoint(&lines[*place])).expect("a checkpoint");
    let note = field(&lines[place], "note");
    (lines[..=place].to_vec(), note)
}

/// A record with a note for what stands before it, signed as `sign` does.
fn forged_record(lines: &[String], note: &str, record: &str, sign: impl Fn(&str) -> String) -> String {
    let (text, _) = note.split_once("\n\n").expect("a text");
    let hash = field(lines.last().expect("a line"), "hash");
    let hash: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hash[at * 2..at * 2 + 2], 16).expect("hex")).collect();
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
    let mut text: Vec<String> = text.lines().map(str::to_owned).collect();
    (text[1], text[2], text[3]) = (lines.len().to_string(), hash, format!("record {record}"));
    let time = text[4].strip_prefix("time ").expect("a time").to_owned();
    let text = text.join("\n") + "\n";
    let note = serde_json::Value::from(format!("{text}\n{}", sign(&text)));
    format!("\"record\":\"{record}\",\"time\":\"{time}\",\"note\":{note}")
}

#[test]
fn a_checkpoint_of_ones_own_needs_the_key() {
    let (_folder, whole) = finished(60);
    let (lines, note) = up_to_a_checkpoint(&whole, Class::Refused);
    let before = &lines[..lines.len() - 1];
    let with = |record: &str, sign: &dyn Fn(&str) -> String| {
        whole.with(Class::Refused, &resealed(before, &[forged_record(before, &note, record, sign)]))
    };
    // The harness makes what the program makes, where it has the key; the siblings then miss what came after it.
    named(&with("checkpoint", &|text| signer(1).sign(text)), "missing from the end");
    for record in ["checkpoint", "stop"] {
        named(&with(record, &|_| String::new()), "is without a signature, although earlier ones are signed");
        let other = verifier(2).to_string();
        let id = other.rsplit_once('+').expect("a key").0;
        named(&with(record, &|text| signer(2).sign(text)), &format!("is signed by {id}, which is not one of the keys"));
        named(&with(record, &|_| signer(1).sign("another text\n")), "did not make");
    }
}

#[test]
fn a_checkpoint_does_not_become_a_clean_end_nor_takes_anything_else() {
    let whole = killed();
    let (lines, _) = up_to_a_checkpoint(&whole, Class::Access);
    let (last, before) = lines.split_last().expect("a line");
    let with = |body: String| whole.with(Class::Access, &resealed(before, &[body]));
    let kept = body(last).to_owned();
    assert!(verified(&with(kept.clone())).is_ok_and(|report| !report.is_proven()));
    named(
        &with(kept.replace("\"record\":\"checkpoint\"", "\"record\":\"stop\"")),
        "is not what its own checkpoint says",
    );
    named(&with(kept.replacen("\"time\":\"20", "\"time\":\"19", 1)), "is not what its own checkpoint says");
    named(&with(format!("{kept},\"more\":1")), "is not what its own checkpoint says");
    named(&with(kept.replacen("\":\"", "\": \"", 1)), "is not what its own checkpoint says");
}

#[test]
fn a_cut_after_the_last_checkpoint_is_unproven_with_and_without_a_forged_end() {
    let whole = killed();
    let (lines, _) = up_to_a_checkpoint(&whole, Class::Access);
    let cut = whole.with(Class::Access, &lines);
    assert!(whole.lines(Class::Access).len() > lines.len(), "something was cut off");
    let last = format!("has no stop record: whatever came after record {}", lines.len() - 1);
    unproven(&cut, &last);
    let time = "\"time\":\"2026-01-02T03:04:05.000006Z\"";
    let end = format!("\"record\":\"stop\",{time}");
    named(&whole.with(Class::Access, &resealed(&lines, &[end])), "is without a signature");
    // What is added after a clean end needs a start; a start can be added, and proves nothing.
    let (_folder, stopped) = finished(10);
    let lines = stopped.lines(Class::Access);
    let more = format!("{time},\"uid\":\"never\",\"decision\":\"allow\"");
    named(&stopped.with(Class::Access, &resealed(&lines, std::slice::from_ref(&more))), "comes after a clean end");
    let start = format!("\"record\":\"start\",{time}");
    unproven(&stopped.with(Class::Access, &resealed(&lines, &[start, more])), "has no stop record");
}

#[test]
fn a_stream_that_is_gone_or_shorter_is_named_by_its_sisters() {
    let (_folder, whole) = finished(60);
    for class in Class::ALL {
        let lines = whole.lines(class);
        let stream = field(&lines[0], "stream");
        let mut gone = whole.clone();
        gone.0.retain(|(name, _)| !name.starts_with(class.as_str()));
        named(&gone, &format!("stream {stream} is not here"));
        // In the place of it, one of the same name that was begun anew, and one of another name.
        let short = whole.with(class, &lines[..lines.len() - 4]);
        named(&short, "missing from the end");
        let anew = whole.with(class, &resealed(&lines[..1], &bodies(&lines[1..3])));
        named(&anew, &stream);
        let renamed: Vec<String> = lines[..1].iter().map(|line| line.replace(&stream, "0123456789abcdef")).collect();
        assert!(verified(&whole.with(class, &renamed)).is_err());
    }
}

#[test]
fn a_segment_that_is_gone_is_named_wherever_it_was() {
    let (_folder, whole) = finished(60);
    for class in Class::ALL {
        let places = whole.of(class);
        let without = |place: usize| {
            let mut files = whole.clone();
            files.0.remove(place);
            files
        };
        named(&without(places[0]), "are missing from the front");
        named(&without(places[1]), "were removed or moved");
        named(&without(places[places.len() - 1]), "missing from the end");
    }
}

#[test]
fn a_removal_that_nobody_signed_is_unproven() {
    let (_folder, whole) = finished(60);
    let lines = whole.lines(Class::Allow);
    let first = whole.0[whole.of(Class::Allow)[1]].0.clone();
    let first: usize = first.trim_start_matches("allow/").trim_end_matches(".jsonl").parse().expect("a number");
    let time = "\"time\":\"2026-01-02T03:04:05.000006Z\"";
    let removal =
        format!("\"record\":\"retention\",{time},\"first\":{first},\"removed\":{first},\"lost\":0,\"reason\":\"age\"");
    let forged = resealed(&lines, &[format!("\"record\":\"start\",{time}"), removal]);
    let files = whole.with(Class::Allow, &forged[first..]);
    unproven(&files, "nobody signed that retention removed those before it");
    named(&whole.with(Class::Allow, &lines[first..]), "no retention record says that they were removed");
}

#[test]
fn a_cut_back_to_an_earlier_clean_end_is_named_unless_all_streams_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut earlier = Vec::new();
    for turn in 0..2 {
        with_trail(&settings(folder.path()), Some(1), async |trail| {
            fill(trail, &format!("turn-{turn}"), 20).await;
            trail.stop().await.expect("a clean end");
        });
        earlier.push(Files::read(folder.path()));
    }
    let (before, now) = (&earlier[0], &earlier[1]);
    for class in Class::ALL {
        let cut = now.with(class, &before.lines(class));
        assert_eq!(cut.lines(class), before.lines(class));
        named(&cut, "are missing from the end of stream");
    }
    // Nothing in the files can tell an older copy of all of them; when it ended is said.
    let report = verified(before).expect("whole");
    assert!(report.is_proven());
    let (then, now) = (report, verified(now).expect("whole"));
    for (id, stream) in &then.streams {
        assert!(stream.time < now.streams[id].time && stream.head != now.streams[id].head);
    }
}

#[test]
fn a_trail_that_was_written_anew_is_never_good() {
    let (_folder, whole) = finished(20);
    let mut anew = whole.clone();
    for class in Class::ALL {
        let lines = whole.lines(class);
        let unsigned = |line: &String| body(line).to_owned();
        let rest: Vec<String> = lines[1..].iter().map(unsigned).filter(|body| !body.contains("\"note\"")).collect();
        let end = "\"record\":\"stop\",\"time\":\"2026-01-02T03:04:05.000006Z\"".to_owned();
        anew = anew.with(class, &resealed(&lines[..1], &[rest, vec![end]].concat()));
    }
    unproven(&anew, "has no checkpoint that one of the keys signed");
    assert!(anew.verify(&[]).expect("whole").is_proven(), "without a key nothing tells it");
}
