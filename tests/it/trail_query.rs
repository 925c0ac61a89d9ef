//! `portcullis trail query` and `tail`: what is wanted of a trail, in the order of its times.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::trail::{Chain, Class, SpoolSettings, Trail, segments_of};
use serde_json::{Value, json};

use crate::serve::{Output, Running, json_lines, run, spawn, text, until};
use crate::sinks::{self, Spooled};
use crate::trail_spool::{Files, settings, with_trail};

/// An event that is told from others in all that can be asked for.
fn event(uid: &str, time: &str, fields: &[(&str, Value)]) -> (Class, Vec<u8>) {
    let mut event = json!({
        "time": time, "cluster": "it", "uid": uid, "operation": "CREATE", "kind": {"kind": "Pod"}, "namespace": "shop",
        "name": "web", "user": {"name": "alice"}, "decision": "allow", "findings": [],
    });
    for (name, value) in fields {
        event[*name] = value.clone();
    }
    let class = if event["decision"] == "allow" { Class::Allow } else { Class::Refused };
    (class, event.to_string().into_bytes())
}

fn day(number: usize, uid: &str, fields: &[(&str, Value)]) -> (Class, Vec<u8>) {
    event(uid, &format!("2036-01-{number:02}T12:00:00.000000Z"), fields)
}

fn finding(policy: &str) -> (&'static str, Value) {
    ("findings", json!([{"policy": policy, "path": "spec.x", "message": "must \u{1b}[31mbe\nso"}]))
}

/// Two streams whose records take turns in time.
fn events() -> Vec<(Class, Vec<u8>)> {
    let deny = || ("decision", json!("deny"));
    vec![
        day(2, "two", &[]),
        day(4, "four", &[("namespace", json!("pay"))]),
        day(6, "six", &[("user", json!({"name": "bob"}))]),
        day(1, "one", &[deny(), finding("root-users")]),
        day(3, "three", &[deny(), finding("host-paths"), ("namespace", json!("pay"))]),
        day(5, "five", &[("decision", json!("would-deny")), finding("root-users")]),
    ]
}

fn write(settings: &SpoolSettings, events: Vec<(Class, Vec<u8>)>) {
    with_trail(settings, None, async |trail: &Trail| {
        for (class, body) in events {
            trail.record(class, None, body).await.expect("a record");
        }
        trail.stop().await.expect("a clean end");
    });
}

/// The uids that a query finds, in their order.
fn found(args: &[&str], stdin: &str) -> Vec<String> {
    let (code, stdout, stderr) = run(&[&["trail"], args, &["--format", "json"]].concat(), stdin);
    assert_eq!(code, Some(0), "{stderr}");
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter_map(|line| Some(line["uid"].as_str()?.to_owned())).collect()
}

/// Follows a file or a folder.
fn follow(path: &Path, args: &[&str]) -> (Running, Output, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["trail", "tail", utf8(path), "--follow", "--format", "json"]).args(args);
    spawn(&mut command)
}

fn uids(stdout: &Output) -> Vec<String> {
    json_lines(stdout).iter().map(|line| line["uid"].as_str().expect("text").to_owned()).collect()
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn records_come_in_the_order_of_their_times_and_only_those_that_are_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&settings(folder.path()), events());
    let spool = utf8(folder.path());
    let all = ["one", "two", "three", "four", "five", "six"];
    let cases: [(&[&str], &[&str]); 14] = [
        (&[], &all),
        (&["--namespace", "pay"], &["three", "four"]),
        (&["--user", "bob"], &["six"]),
        (&["--policy", "root-users"], &["one", "five"]),
        (&["--decision", "deny"], &["one", "three"]),
        (&["--decision", "deny", "--namespace", "shop"], &["one"]),
        (&["--namespace", "sho"], &[]),
        (&["--since", "2036-01-05"], &["five", "six"]),
        (&["--since", "2036-01-05T12:00:00Z"], &["five", "six"]),
        (&["--since", "2036-01-05T13:00:00+01:00"], &["five", "six"]),
        (&["--since", "2036-01-05T12:00:00.000001Z"], &["six"]),
        (&["--until", "2036-01-02T12:00:00Z"], &["one"]),
        (&["--since", "2036-01-02", "--until", "2036-01-04"], &["two", "three"]),
        (&["--since", "1s"], &all),
    ];
    for (filter, wanted) in cases {
        assert_eq!(found(&[&["query", spool], filter].concat(), ""), wanted, "{filter:?}");
    }
    for (count, wanted) in [("0", &all[6..]), ("2", &all[4..]), ("99", &all[..])] {
        assert_eq!(found(&["tail", spool, "-n", count, "--since", "2036-01-01"], ""), wanted);
    }
    assert_eq!(found(&["tail", spool, "-n", "1", "--policy", "root-users"], ""), ["five"]);
    // The same of files in any order, and of standard input.
    let files = Files::read(folder.path());
    let mut paths: Vec<String> = files.0.iter().map(|(name, _)| format!("{spool}/{name}")).collect();
    paths.reverse();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(found(&[&["query"], &paths[..]].concat(), ""), all);
    let allowed = files.lines(Class::Allow).concat();
    assert_eq!(found(&["query", "-"], &allowed), ["two", "four", "six"]);
    assert_eq!(found(&["query", "-", &format!("{spool}/refused")], &allowed), all);
}

#[test]
fn how_long_ago_is_a_time_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let ago = |hours: i64| (Timestamp::now() - SignedDuration::from_hours(hours)).to_string();
    let events = vec![event("old", &ago(80), &[]), event("older", &ago(26), &[]), event("new", &ago(1), &[])];
    write(&settings(folder.path()), events);
    let spool = utf8(folder.path());
    for (since, wanted) in [
        ("2h", &["new"][..]),
        ("90m", &["new"]),
        ("30h", &["older", "new"]),
        ("2d", &["older", "new"]),
        ("4d", &["old", "older", "new"]),
    ] {
        assert_eq!(found(&["query", spool, "--since", since], ""), wanted, "{since}");
    }
    assert_eq!(found(&["query", spool, "--until", "3d"], ""), ["old"]);
}

#[test]
fn json_is_the_record_as_it_is_and_text_is_for_people() {
    let folder = tempfile::tempdir().expect("a folder");
    let forged = "x\n2036-01-01T00:00:00.000000Z allow CREATE Pod shop/forged by alice (a:1)\u{1b}[2J";
    let hostile = [("decision", json!("deny")), finding("root-users"), ("name", json!(forged))];
    write(&settings(folder.path()), vec![day(1, "one", &hostile)]);
    let spool = utf8(folder.path());
    let mut lines = Files::read(folder.path()).lines(Class::Refused);
    lines.retain(|line| line.contains("\"uid\""));
    let (code, stdout, stderr) = run(&["trail", "query", spool, "--decision", "deny", "--format", "json"], "");
    assert_eq!((code, stdout.as_str()), (Some(0), lines[0].as_str()), "{stderr}");
    let (_, stdout, _) = run(&["trail", "query", spool, "--decision", "deny"], "");
    let record: Value = serde_json::from_str(&lines[0]).expect("JSON");
    let id = format!("({}:{})", record["stream"].as_str().expect("text"), record["seq"]);
    assert_eq!(
        stdout,
        format!(
            "2036-01-01T12:00:00.000000Z deny CREATE Pod shop/x\\n2036-01-01T00:00:00.000000Z allow CREATE Pod \
             shop/forged by alice (a:1)\\u{{1b}}[2J by alice {id}\n  root-users: spec.x must \\u{{1b}}[31mbe\\nso\n"
        )
    );
}

#[test]
fn what_is_no_record_is_passed_over_and_what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&settings(folder.path()), events());
    let mut lines = Files::read(folder.path()).lines(Class::Allow);
    lines.retain(|line| line.contains("\"uid\""));
    let broken = format!("no record\n{{}}\n{}\u{0}\n[1]\n{}{{\"torn\":", lines[0], lines[1]);
    let file = folder.path().join("broken.jsonl");
    fs::write(&file, &broken).expect("written");
    assert_eq!(found(&["query", utf8(&file)], ""), ["two", "four"]);
    let (_, _, stderr) = run(&["trail", "query", utf8(&file)], "");
    assert!(stderr.contains("broken.jsonl: 5 lines are not records of a trail, and are passed over"), "{stderr}");
    for (args, wanted) in [
        (&["query", "/no/where"][..], "/no/where: No such file"),
        (&["tail", "/no/where"], "/no/where: No such file"),
        (&["query", utf8(&file), "--since", "yesterday"], "must be a time (2026-11-22T16:41:00Z), a day"),
        (&["query", utf8(&file), "--format", "xml"], "possible values: text, json"),
        (&["query"], "required arguments"),
    ] {
        let (code, stdout, stderr) = run(&[&["trail"], args].concat(), "");
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(stderr.contains(wanted), "{stderr}");
    }
}

#[test]
fn a_last_line_without_its_end_is_shown_where_it_is_a_record_and_counted_where_it_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = String::from_utf8(Records::new().line(1)).expect("UTF-8");
    let (whole, half) = (line.trim_end(), &line[..line.len() / 2]);
    let file = folder.path().join("file.jsonl");
    let segments = folder.path().join("spool");
    fs::create_dir(&segments).expect("a folder");
    let segment = segments.join(format!("{:020}.jsonl", 0));
    let one = "1 line is not a record of a trail, and is passed over";
    let two = "2 lines are not records of a trail, and are passed over";
    for (content, shown, wanted) in [
        ("garbage".to_owned(), 0, Some(one)),
        ("garbage\n".to_owned(), 0, Some(one)),
        ("garbage\ngarbage".to_owned(), 0, Some(two)),
        (whole.to_owned(), 1, None),
        (format!("{line}{whole}"), 2, None),
        (format!("{line}{half}"), 1, Some(one)),
        (format!("{half}\n{line}{half}"), 1, Some(two)),
        (line.clone(), 1, None),
        (String::new(), 0, None),
    ] {
        fs::write(&file, &content).expect("written");
        fs::write(&segment, &content).expect("written");
        for (path, named) in [(utf8(&file), utf8(&file)), (utf8(&segments), utf8(&segment)), ("-", "-")] {
            for command in ["query", "tail"] {
                let (code, stdout, stderr) = run(&["trail", command, path, "--format", "json"], &content);
                assert_eq!((code, stdout), (Some(0), line.repeat(shown)), "{command} {path} of {content}");
                let wanted = wanted.map(|wanted| format!("{named}: {wanted}\n")).unwrap_or_default();
                assert_eq!(stderr, wanted, "{command} {path} of {content}");
            }
        }
    }
}

/// Records of one stream, each with its number for a uid.
struct Records(Chain);

impl Records {
    fn new() -> Self {
        Self(Chain::new("0123456789abcdef".to_owned()))
    }

    fn line(&mut self, number: usize) -> Vec<u8> {
        let mut line = Vec::new();
        self.0.seal(&day(1, &number.to_string(), &[]).1, &mut line);
        line
    }
}

/// A file that is set aside, and those that were.
struct Kept(PathBuf);

impl Kept {
    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 { self.0.clone() } else { PathBuf::from(format!("{}.{number}", self.0.display())) }
    }

    /// Number of files, counted from `from` up to the first gap.
    fn count(&self, from: usize) -> usize {
        (from..1_000).take_while(|number| self.numbered(*number).exists()).count()
    }

    fn append(&self, number: usize, bytes: &[u8]) {
        let file = OpenOptions::new().append(true).create(true).open(self.numbered(number));
        file.expect("opened").write_all(bytes).expect("written");
    }

    /// Renames each to the next number, from the one called `from` on.
    fn set_aside(&self, from: usize) {
        let count = self.count(from);
        for number in (from..from + count).rev() {
            fs::rename(self.numbered(number), self.numbered(number + 1)).expect("renamed");
        }
    }
}

#[test]
fn following_goes_on_in_the_file_that_takes_the_name() {
    /// Longer than it takes until a file is looked at again.
    const LOOKS: Duration = Duration::from_millis(1_200);
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept(folder.path().join("trail.jsonl"));
    let mut records = Records::new();
    let lines: Vec<Vec<u8>> = (0..20).map(|number| records.line(number)).collect();
    kept.append(1, &lines[0]);
    kept.append(0, &lines[1]);
    let (mut child, stdout, stderr) = follow(&kept.0, &[]);
    let shows = |last: usize| {
        until(&format!("record {last}"), || text(&stdout).contains(&format!("\"uid\":\"{last}\"")).then_some(()));
        let wanted: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
        assert_eq!(uids(&stdout), wanted);
    };
    shows(1);
    // Set aside twice between two looks, the first time with more than was read.
    let (half, rest) = lines[3].split_at(50);
    kept.append(0, &[&lines[2], half].concat());
    shows(2);
    kept.append(0, &[rest, &lines[4]].concat());
    kept.set_aside(0);
    kept.append(0, &lines[5]);
    kept.set_aside(0);
    kept.append(0, &lines[6]);
    shows(6);
    // Nothing has the name for a while, and whoever writes goes on in the old file.
    kept.set_aside(0);
    sleep(LOOKS);
    kept.append(1, &lines[7]);
    shows(7);
    kept.append(0, &lines[8]);
    shows(8);
    // Another begins while the last one has a line that nobody ended, and has been read.
    kept.append(0, lines[9].trim_ascii_end());
    sleep(LOOKS);
    kept.set_aside(0);
    kept.append(0, &lines[10]);
    shows(10);
    assert_eq!(text(&stderr), "");
    // It is nowhere beside the new ones, and still read to its end. Those that are older than it are not shown.
    kept.append(0, &lines[11]);
    fs::rename(&kept.0, folder.path().join("elsewhere")).expect("renamed");
    kept.set_aside(1);
    kept.append(1, &lines[12]);
    kept.append(0, &lines[13]);
    shows(13);
    assert!(text(&stderr).contains("records that came after that may be missing"), "{}", text(&stderr));
    // The same file, emptied; it has grown beyond what was read of it before it is looked at.
    fs::write(&kept.0, [&lines[14][..], &lines[15]].concat()).expect("written");
    shows(15);
    fs::write(&kept.0, "").expect("written");
    sleep(LOOKS);
    kept.append(0, &lines[16]);
    shows(16);
    // What a sink takes back after a failure and writes again is shown once.
    let length = fs::metadata(&kept.0).expect("a file").len();
    kept.append(0, &[&lines[17][..], &lines[18]].concat());
    shows(18);
    OpenOptions::new().write(true).open(&kept.0).and_then(|file| file.set_len(length)).expect("cut");
    sleep(LOOKS);
    kept.append(0, &lines[17..].concat());
    shows(19);
    assert!(child.try_wait().expect("its state").is_none(), "{}", text(&stderr));
    assert_eq!(text(&stderr).lines().count(), 1, "{}", text(&stderr));
}

#[test]
fn following_shows_all_that_a_sink_writes_into_files_that_it_sets_aside() {
    sinks::block_on(async {
        let spooled = Spooled::new(1 << 20);
        let kept = Kept(spooled.file("trail.jsonl", ""));
        let settings = json!({"type": "file", "path": kept.0, "maxBytes": 8 << 10, "keep": 1_000});
        let couriers = spooled.carry(&[("kept", &sinks::settings(&settings))]).await;
        sinks::caught_up(&couriers, "kept").await;
        // What it has shown of the file, it has opened: it may be set aside now.
        let (_child, stdout, stderr) = follow(&kept.0, &[]);
        let begun = fs::metadata(&kept.0).expect("a file").len();
        until("the beginning", || (text(&stdout).len() as u64 == begun).then_some(()));
        for round in 0..40 {
            spooled.decide(round * 50, 50).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sinks::caught_up(&couriers, "kept").await;
        let count = kept.count(1);
        assert!(count > 10, "it was set aside {count} times");
        let files = (0..=count).rev().map(|number| fs::read_to_string(kept.numbered(number)).expect("read"));
        let wanted: String = files.collect();
        assert_eq!(wanted.lines().count(), spooled.all().len());
        until("all of them", || (text(&stdout).len() >= wanted.len()).then_some(()));
        assert!(text(&stdout) == wanted, "{} lines of {}", text(&stdout).lines().count(), wanted.lines().count());
        assert_eq!(text(&stderr), "");
    });
}

#[test]
fn following_shows_what_comes_over_new_segments_and_what_retention_takes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings(folder.path());
    // Segments go while somebody reads, and not before they were read: there is room for more than two rounds.
    settings.max_bytes = 32 << 10;
    settings.segment_bytes = 4 << 10;
    with_trail(&settings, None, async |trail: &Trail| {
        let body = |uid: &str| event(uid, &Timestamp::now().to_string(), &[]).1;
        trail.record(Class::Allow, None, body("before")).await.expect("a record");
        let (mut child, stdout, stderr) = follow(folder.path(), &["-n", "1", "--user", "alice"]);
        until("the record before", || text(&stdout).contains("before").then_some(()));
        let mut sent = vec!["before".to_owned()];
        for round in 0..6 {
            for turn in 0..20 {
                let uid = format!("uid-{round}-{turn}");
                trail.record(Class::Allow, None, body(&uid)).await.expect("a record");
                sent.push(uid);
            }
            // It has seen them before the next ones come: nothing that went was still to be shown.
            until("what came", || text(&stdout).contains(sent.last().expect("a uid")).then_some(()));
        }
        until("retention", || {
            // It may take away what is listed.
            let segments = segments_of(folder.path()).expect("segments");
            let texts = segments.iter().filter_map(|segment| fs::read_to_string(segment).ok());
            texts.collect::<String>().contains("\"record\":\"retention\"").then_some(())
        });
        trail.record(Class::Refused, None, body("after")).await.expect("a record");
        sent.push("after".to_owned());
        until("what came after", || text(&stdout).contains("\"after\"").then_some(()));
        assert!(child.try_wait().expect("its state").is_none(), "{}", text(&stderr));
        assert_eq!(uids(&stdout), sent);
        assert_eq!(text(&stderr), "");
        trail.stop().await.expect("a clean end");
    });
}
