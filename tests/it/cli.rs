//! The command line, by running the program.

mod backstop;
mod check;
mod completed;
mod explain;
mod files;
mod hints;
mod input;
mod labels;
mod mutate;
mod pointers;
mod review;
mod stored;
mod webhooks;
mod world;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::golden::repository;

/// The configuration for tests of something else than what other objects do to a Pod: without any, the policy that asks
/// for NetworkPolicies is left out, and said to be.
const ALONE: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n\
                     policies: {unisolated-pods: {mode: off}}\n";

/// NetworkPolicy that isolates every Pod of the namespace `default`.
const ISOLATED: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                        metadata: {name: default-deny, namespace: default}\n\
                        spec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n";

/// Exit code and output of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Fails unless the program ended with this code.
    #[track_caller]
    fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    fn err_lines(&self) -> Vec<&str> {
        self.err.lines().collect()
    }
}

/// Runs the program in a folder, with something on standard input.
pub(crate) fn run_in(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut program = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that reads no input closes it first.
    let _ = program.stdin.take().expect("a pipe").write_all(input);
    let output = program.wait_with_output().expect("the program ends");
    Ran {
        code: output.status.code().expect("no signal ended it"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Runs the program at the root of the repository.
fn run(arguments: &[&str]) -> Ran {
    run_in(&repository(""), arguments, b"")
}

/// A folder that holds these files, and is gone with the test.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect(name);
        std::fs::write(file, text).expect(name);
    }
    folder
}
