//! The file of a sink: continued after its last whole line, and never where it is not a trail.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis::trail::sink;
use serde_json::json;

use crate::serve::{HARDENED, Serve, bad_pod, review, verify};
use crate::sinks::{self, CLUSTER, Spooled};

fn settings(path: &Path) -> sink::Settings {
    sinks::settings(&json!({"type": "file", "path": path}))
}

/// Content of a file after the sink has opened it.
fn opened(content: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept.jsonl");
    fs::write(&path, content).expect("written");
    let opened = sinks::block_on(settings(&path).open(CLUSTER));
    assert!(opened.is_ok(), "{:?}", opened.err());
    fs::read(&path).expect("read")
}

#[test]
fn what_a_crash_left_of_a_line_is_cut_off_wherever_it_tore() {
    let line = format!("{{\"stream\":\"0123456789abcdef\",\"seq\":0,\"name\":\"{}\"}}\n", "x".repeat(300)).into_bytes();
    let whole = line.repeat(3);
    for cut in 0..line.len() {
        assert!(opened(&[&whole, &line[..cut]].concat()) == whole, "{cut} bytes of a line");
        assert!(opened(&line[..cut]).is_empty(), "{cut} bytes of the first line");
        assert!(opened(&[&line[..cut], &[0; 5_000]].concat()).is_empty(), "{cut} bytes of the first line, and zeros");
    }
    // Ends that are longer than what is read at once, up to where it begins.
    let blocks = [1, 65_535, 65_536, 65_537, 200_000];
    for count in blocks {
        for torn in
            [vec![0; count], [&line[..20], &vec![b'y'; count]].concat(), [&line[..20], &vec![0; count]].concat()]
        {
            assert!(opened(&[&whole[..], &torn].concat()) == whole, "{count} bytes");
        }
        let long = [&line[..50], &vec![b'y'; count], &line[50..]].concat();
        assert!(opened(&[&long[..], &long].concat()) == long.repeat(2), "{count} bytes more");
        assert!(opened(&[&long[..], &long[..long.len() - 1]].concat()) == long, "{count} bytes more");
    }
    // The end of a line came to the disk, and what is before it did not.
    let hole = [&line[..10], &[0; 100], &line[110..]].concat();
    assert!(opened(&[&whole[..], &hole].concat()) == whole);
    assert!(opened(&[&whole[..], &hole, &hole, &line[..9]].concat()) == whole);
    assert!(opened(&whole) == whole && opened(b"").is_empty());
}

#[test]
fn what_is_no_trail_is_left_alone() {
    let zeros = [&vec![0; 70_000][..], b"image\n"].concat();
    for content in [
        &b"garbage"[..],
        b"garbage\n",
        b"{\"a\":1}\n{\"stream\":\"a\"}\n",
        b"\n",
        b"{\"str\n",
        b"{\"s\0\0x",
        b"{x",
        &zeros,
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kept.jsonl");
        fs::write(&path, content).expect("written");
        let refused = sinks::block_on(sinks::refusal(&json!({"type": "file", "path": path})));
        assert_eq!(refused, format!("{}: is not a trail; name another file, or move this one away", path.display()));
        assert!(fs::read(&path).expect("read") == content);
    }
}

#[test]
fn what_comes_after_a_torn_end_is_whole() {
    sinks::block_on(async {
        let spooled = Spooled::new(1 << 20);
        let path = spooled.path("kept.jsonl");
        for round in 0..3 {
            spooled.decide(round * 10, 10).await;
            let couriers = spooled.carry(&[("kept", &settings(&path))]).await;
            sinks::caught_up(&couriers, "kept").await;
            couriers.finish(Duration::ZERO).await;
            let mut kept = fs::read(&path).expect("read");
            let mut lines: Vec<String> = String::from_utf8_lossy(&kept).lines().map(str::to_owned).collect();
            let mut all = spooled.all();
            // The last of them may have come twice.
            lines.sort();
            lines.dedup();
            all.sort();
            assert!(lines == all, "round {round}: {} lines of {}", lines.len(), all.len());
            kept.extend_from_within(..100);
            fs::write(&path, kept).expect("written");
        }
    });
}

#[test]
fn whoever_sets_it_aside_puts_another_in_its_place_or_empties_it_loses_nothing_that_comes_after() {
    sinks::block_on(async {
        let spooled = Spooled::new(1 << 20);
        let (path, aside) = (spooled.path("kept.jsonl"), spooled.path("aside.jsonl"));
        let couriers = spooled.carry(&[("kept", &settings(&path))]).await;
        let mut lines = Vec::new();
        for round in 0..4 {
            spooled.decide(round * 10, 10).await;
            sinks::caught_up(&couriers, "kept").await;
            let text = fs::read_to_string(&path).expect("read");
            assert!(!text.contains('\0'), "round {round}");
            lines.extend(text.lines().map(str::to_owned));
            match round {
                // As logrotate does: with `create`, with `nocreate`, and with `copytruncate`.
                0 => {
                    fs::rename(&path, &aside).expect("renamed");
                    fs::write(&path, "").expect("written");
                }
                1 => fs::rename(&path, &aside).expect("renamed"),
                _ => fs::write(&path, "").expect("emptied"),
            }
        }
        let mut all = spooled.all();
        lines.sort();
        all.sort();
        assert!(lines == all, "{} lines of {}", lines.len(), all.len());
        couriers.finish(Duration::ZERO).await;
    });
}

#[test]
fn a_server_goes_on_after_a_torn_end_and_says_what_it_cut_off() {
    let serve = Serve::new(&format!(
        "{HARDENED}trail: {{spool: {{directory: spool}}, sinks: [{{name: kept, type: file, path: kept.jsonl}}]}}\n"
    ));
    fs::write(serve.path("kept.jsonl"), "{\"stream\":\"0123456789abcdef\",\"seq\":7,\"pr").expect("written");
    let server = serve.start();
    server.post("/validate", review("uid", "default", &bad_pod()).to_string());
    let logs = server.logs();
    let warning = logs.iter().find(|line| line["level"] == "WARN" && line["bytes"] == 40);
    let warning = warning.unwrap_or_else(|| panic!("{logs:?}"));
    assert!(warning["file"].as_str().is_some_and(|file| file.ends_with("kept.jsonl")), "{warning}");
    let (status, _, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let (code, said) = verify(&folder.path().join("kept.jsonl"));
    assert_ne!(code, Some(1), "{said}");
    assert!(!said.contains("is not a record"), "{said}");
}
