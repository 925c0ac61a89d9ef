//! Tools of `tools/` that are written in Go: public libraries, asked line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Builds a tool, and returns its program.
pub(crate) fn build(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(name);
    let mut command = Command::new("go");
    command.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(source);
    assert!(command.status().expect("go runs").success(), "{name} cannot be built");
    program
}

/// A tool that answers each line with a line of JSON. It runs for as long as the tests do: it ends when its standard input
/// does.
pub(crate) struct GoTool(Mutex<Pipes>);

struct Pipes {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    _child: Child,
}

impl GoTool {
    /// Builds a tool, and starts it.
    pub(crate) fn start(name: &str) -> Self {
        Self::run(&build(name))
    }

    /// Starts a tool whose script builds it once a machine.
    pub(crate) fn built_once(name: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(name).join("build");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().expect("its build script runs");
        assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
        Self::run(Path::new(String::from_utf8(output.stdout).expect("a path").trim_end()))
    }

    fn run(program: &Path) -> Self {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let questions = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self(Mutex::new(Pipes { questions, answers, _child: child }))
    }

    /// Its answer to a line.
    pub(crate) fn ask(&self, line: &str) -> Value {
        let mut pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.questions, "{line}").expect("it reads");
        let mut answer = String::new();
        pipes.answers.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).expect("JSON")
    }
}
