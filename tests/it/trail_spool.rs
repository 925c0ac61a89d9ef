//! Spools made by the library and read as files: what the tests of the trail stand on.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use portcullis::trail::{
    Beginning, Class, Fault, Guarantee, Report, Signer, Spool, SpoolSettings, Trail, Verification, Verifier,
    segments_of,
};
use tempfile::TempDir;

use crate::serve::{run, until};

/// Bytes of a segment, so that a hundred records fill several.
pub(crate) const SEGMENT: u64 = 8 << 10;

/// Random numbers that come again with their seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// From PORTCULLIS_SEED, or from `otherwise`; says which.
    pub(crate) fn seeded(otherwise: u64) -> Self {
        let seed = std::env::var("PORTCULLIS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        eprintln!("PORTCULLIS_SEED={seed}");
        Self(seed)
    }

    /// One below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("below")
    }
}

/// An Ed25519 key in PEM (RFC 8410), the same for the same seed.
pub(crate) fn pem(seed: u8) -> String {
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let key = STANDARD.encode([&head[..], &[seed; 32]].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")
}

pub(crate) fn signer(seed: u8) -> Signer {
    Signer::from_pem(pem(seed).as_bytes(), "portcullis").expect("a key")
}

pub(crate) fn verifier(seed: u8) -> Verifier {
    signer(seed).verifier()
}

pub(crate) fn settings(directory: &Path) -> SpoolSettings {
    SpoolSettings {
        directory: directory.to_owned(),
        guarantee: Guarantee::Buffered,
        segment_bytes: SEGMENT,
        max_bytes: 1 << 30,
        retention: [SignedDuration::from_hours(24); 3],
    }
}

/// A folder in memory where there is one: what is tested is what is written, not how fast.
pub(crate) fn quick_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).expect("a folder")
    } else {
        tempfile::tempdir().expect("a folder")
    }
}

/// An event, as far as the trail looks at it.
pub(crate) fn event(uid: &str) -> Vec<u8> {
    format!(
        r#"{{"time":"2026-01-02T03:04:05.000006Z","cluster":"it","uid":"{uid}","user":{{"name":"alice"}},"decision":"allow","allowed":true,"findings":[],"micros":17}}"#
    )
    .into_bytes()
}

/// Opens a spool; the one before may need a moment to let go of it.
pub(crate) fn open(settings: &SpoolSettings, key: Option<u8>) -> Spool {
    until("the spool", || match Spool::open(settings.clone(), key.map(signer)) {
        Err(error) if error.to_string().contains("another process writes to it") => None,
        opened => Some(opened.expect("a spool")),
    })
}

pub(crate) fn beginning() -> Beginning {
    Beginning { cluster: "it".to_owned(), configuration: "0".repeat(64) }
}

/// Lets `scene` write to a spool. Nothing but `scene` stops it.
pub(crate) fn with_trail<T>(settings: &SpoolSettings, key: Option<u8>, scene: impl AsyncFnOnce(&Trail) -> T) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let trail = Trail::spooled(open(settings, key), &beginning()).expect("a trail");
        scene(&trail).await
    })
}

/// Records an event in each class, so many times.
pub(crate) async fn fill(trail: &Trail, name: &str, count: usize) {
    for turn in 0..count {
        for class in Class::ALL {
            let uid = format!("{name}-{}-{turn}", class.as_str());
            trail.record(class, None, event(&uid)).await.expect("a record");
        }
    }
}

/// A spool with a clean end, several segments in each stream, and checkpoints that key 1 signed.
pub(crate) fn finished(events: usize) -> (TempDir, Files) {
    let folder = tempfile::tempdir().expect("a folder");
    with_trail(&settings(folder.path()), Some(1), async |trail| {
        fill(trail, "uid", events).await;
        trail.stop().await.expect("a clean end");
    });
    let files = Files::read(folder.path());
    (folder, files)
}

/// Exit code and output of `trail verify` on a spool whose checkpoints key 1 signed.
pub(crate) fn verified(folder: &Path) -> (Option<i32>, String) {
    let key = verifier(1).to_string();
    let (code, stdout, stderr) = run(&["trail", "verify", "--key", &key, folder.to_str().expect("UTF-8")], "");
    (code, stdout + &stderr)
}

/// The segments of a spool, in the order in which they are verified: class and file, and what is in it.
#[derive(Clone, PartialEq)]
pub(crate) struct Files(pub(crate) Vec<(String, Vec<u8>)>);

impl Files {
    pub(crate) fn read(folder: &Path) -> Self {
        let name = |path: &PathBuf| path.strip_prefix(folder).expect("below").display().to_string();
        let paths = segments_of(folder).expect("segments");
        Self(paths.iter().map(|path| (name(path), fs::read(path).expect("read"))).collect())
    }

    /// Writes them into an empty folder.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in &self.0 {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("written");
        }
    }

    pub(crate) fn verify(&self, keys: &[Verifier]) -> Result<Report, Fault> {
        let mut verification = Verification::with_keys(keys.to_vec());
        for (name, bytes) in &self.0 {
            verification.read(name, bytes.as_slice(), &mut 0).expect("read")?;
        }
        verification.finish(true)
    }

    /// The segments of a class, by their place.
    pub(crate) fn of(&self, class: Class) -> Vec<usize> {
        (0..self.0.len()).filter(|place| self.0[*place].0.starts_with(class.as_str())).collect()
    }

    /// The whole lines of a class.
    pub(crate) fn lines(&self, class: Class) -> Vec<String> {
        let text = self.of(class).iter().map(|place| String::from_utf8_lossy(&self.0[*place].1)).collect::<String>();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// Every line of every class, read.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        let lines = Class::ALL.into_iter().flat_map(|class| self.lines(class));
        lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect()
    }

    /// The same spool with other lines of one class, all in its first segment.
    pub(crate) fn with(&self, class: Class, lines: &[String]) -> Self {
        let (mut files, places) = (self.clone(), self.of(class));
        files.0[places[0]].1 = lines.concat().into_bytes();
        for place in &places[1..] {
            files.0[*place].1.clear();
        }
        files
    }
}

/// A line taken apart: the body between the fields of the chain.
pub(crate) fn body(line: &str) -> &str {
    let from = line.find("\"prev\":\"").expect("prev") + "\"prev\":\"\",".len() + 64;
    let to = line.rfind(",\"hash\":\"").expect("hash");
    &line[from..to]
}

/// A field of the chain of a line.
pub(crate) fn field(line: &str, name: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    line[name].as_str().expect("text").to_owned()
}

/// A stream forged by somebody without the key: these bodies after these lines, each under a hash that fits.
pub(crate) fn resealed(lines: &[String], bodies: &[String]) -> Vec<String> {
    let mut all = lines.to_vec();
    for body in bodies {
        let (stream, prev) = (field(&all[0], "stream"), field(all.last().expect("a line"), "hash"));
        let covered = format!("{{\"stream\":\"{stream}\",\"seq\":{},\"prev\":\"{prev}\",{body}", all.len());
        let hash: String =
            digest(&SHA256, covered.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        all.push(format!("{covered},\"hash\":\"{hash}\"}}\n"));
    }
    all
}

#[test]
fn what_is_written_is_verified_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    for turn in 0..3 {
        with_trail(&settings(folder.path()), Some(1), async |trail| {
            fill(trail, &format!("turn-{turn}"), 30).await;
            trail.stop().await.expect("a clean end");
        });
    }
    let files = Files::read(folder.path());
    assert!(files.of(Class::Allow).len() > 2, "several segments");
    let report = files.verify(&[verifier(1)]).expect("whole");
    assert!(report.is_proven(), "{report:?}");
    assert_eq!(report.streams.len(), 3);
    for class in Class::ALL {
        let lines = files.lines(class);
        let bodies: Vec<String> = lines[1..].iter().map(|line| body(line).to_owned()).collect();
        assert_eq!(resealed(&lines[..1], &bodies), lines, "the harness seals as the program does");
        for place in &files.of(class)[1..] {
            let text = String::from_utf8_lossy(&files.0[*place].1);
            assert!(body(text.lines().next().expect("a line")).starts_with("\"record\":\"checkpoint\""));
        }
    }
    // Somebody else's key, and no key at all.
    assert!(files.verify(&[verifier(2)]).is_err());
    assert!(files.verify(&[]).expect("whole").is_proven());
}
