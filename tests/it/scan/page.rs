//! The commands of `deploy/scan/README.md` about exceptions run as they are written.

use std::path::Path;
use std::process::Command;

use super::files::{HEAD, dumps};
use crate::golden::repository;
use crate::kubernetes::process::PROGRAM;

#[test]
fn the_commands_of_the_page_write_exceptions_and_use_them() {
    let page = std::fs::read_to_string(repository("deploy/scan/README.md")).expect("the page");
    let (_, section) = page.split_once("\n## Enforce today what is not there yet\n").expect("the section");
    let block = section.split("```").nth(1).expect("its commands").strip_prefix("sh\n").expect("a shell's");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("config.yaml", &format!("{HEAD}profile: hardened\n"));
    let documents = dumps().into_iter().map(|(_, object)| format!("---\n{object}\n"));
    write("dump.yaml", &documents.collect::<String>());
    let program = Path::new(PROGRAM).parent().expect("a folder").display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").expect("a path"));
    for line in block.lines() {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", line]).current_dir(folder.path()).env("PATH", &path).output().expect("sh runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(folder.path().join("enforced.yaml").is_file());
}
