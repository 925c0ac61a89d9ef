//! `scan` over files, and over an API server that misbehaves; [`crate::kubernetes`] has the real one.

pub(crate) mod baseline;
mod exceptions;
mod files;
mod lists;
mod owners;
mod page;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{Ran, run_in};

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program with arguments behind `scan`.
pub(crate) fn scan(folder: &Path, arguments: &[&str]) -> Scanned {
    scan_with(folder, arguments, b"")
}

/// The same with something on standard input.
fn scan_with(folder: &Path, arguments: &[&str], input: &[u8]) -> Scanned {
    let Ran { code, out, err } = run_in(folder, &[&["scan"], arguments].concat(), input);
    Scanned { code, out, err }
}

impl Scanned {
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.err, self.out.chars().take(4_000).collect::<String>());
        self
    }

    /// The rows of the form JSON.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let lines = self.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|row| row.get("summary").is_none()).collect()
    }

    /// The rows by kind, namespace and name.
    pub(crate) fn by_name(&self) -> BTreeMap<(String, String, String), Value> {
        let rows = self.rows();
        let number = rows.len();
        let text = |row: &Value, key: &str| row[key].as_str().expect(key).to_owned();
        let rows = rows.into_iter().map(|row| ((text(&row, "kind"), text(&row, "namespace"), text(&row, "name")), row));
        let by_name: BTreeMap<_, _> = rows.collect();
        assert_eq!(by_name.len(), number, "each object once");
        by_name
    }

    /// The summary, which is the last line of the form JSON.
    pub(crate) fn summary(&self) -> Value {
        let last = self.out.lines().last().expect("a summary");
        serde_json::from_str::<Value>(last).expect("JSON")["summary"].clone()
    }
}

/// The rows of `check` with the same arguments.
pub(crate) fn check(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let Ran { out, .. } = run_in(folder, &[&["check"], arguments].concat(), b"");
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A row as `check` prints it.
pub(crate) fn without_owner(mut row: Value) -> Value {
    row.as_object_mut().expect("a row").retain(|key, _| key != "owner" && key != "team");
    row
}

/// Runs a scan, and measures its peak memory in KiB (VmHWM). It prints less than a pipe holds.
pub(crate) fn measured(folder: &Path, arguments: &[&str]) -> (Scanned, u64) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("scan")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let status = format!("/proc/{}/status", program.id());
    let mut peak = 0;
    while program.try_wait().expect("it is our child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let output = program.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("an exit code");
    (Scanned { code, out: text(output.stdout), err: text(output.stderr) }, peak)
}
