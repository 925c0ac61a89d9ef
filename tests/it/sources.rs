//! What every source file keeps to.

use std::path::{Path, PathBuf};

use crate::golden::repository;

/// Lines of the longest file.
const LINES: usize = 400;
/// What a policy knows nothing of.
const BEYOND_POLICIES: [&str; 6] = ["config", "server", "trail", "metrics", "cluster", "registry"];

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            found.push((path, text));
        }
    }
    assert!(!found.is_empty() || !folder.ends_with("src"));
    found
}

#[test]
fn every_file_is_short_and_opens_with_what_it_is_about() {
    for folder in ["src", "tests/it"] {
        for (path, text) in sources(&repository(folder)) {
            let lines = text.lines().count();
            assert!(lines <= LINES, "{}: {lines} lines, more than {LINES}", path.display());
            assert!(text.starts_with("//! "), "{}: does not open with `//!`", path.display());
            assert!(!path.ends_with("mod.rs"), "{}: is named after nothing", path.display());
        }
    }
}

#[test]
fn a_policy_names_nothing_that_does_input_or_output() {
    for (path, text) in sources(&repository("src/policy")) {
        let grouped = text.split("crate::{").skip(1).filter_map(|rest| rest.split_once("};"));
        let grouped = grouped.flat_map(|(names, _)| names.split([',', ':', '{', '}'])).map(str::trim);
        let single = text.split("crate::").skip(1).filter_map(|rest| rest.split([':', ';', ' ']).next());
        for name in grouped.chain(single).filter_map(|name| name.split_whitespace().next()) {
            assert!(!BEYOND_POLICIES.contains(&name), "{}: names crate::{name}", path.display());
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for outside in ["std::env", "std::fs", "std::net", "SystemTime", "Instant::now", "Timestamp::now", "async "]
            {
                assert!(!line.contains(outside), "{}: uses {outside}", path.display());
            }
        }
    }
}
