//! Golden files: what is in the repository is what the code says. `UPDATE=1 cargo test` rewrites them.

use std::path::{Path, PathBuf};

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Fails where the file says something else.
pub(crate) fn assert_holds(path: &str, actual: &str) {
    let file = repository(path);
    if std::env::var_os("UPDATE").is_some() {
        // Other tests may read it meanwhile.
        let written = file.with_extension("new");
        std::fs::write(&written, actual).and_then(|()| std::fs::rename(&written, &file)).expect(path);
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected == actual {
        return;
    }
    let end = "(the end)";
    let lines = expected.lines().chain(std::iter::repeat(end)).zip(actual.lines().chain([end]));
    let (line, (held, now)) =
        lines.enumerate().find(|(_, (held, now))| held != now).unwrap_or((0, ("", "line ends alone differ")));
    panic!("{path}:{}: is stale; `UPDATE=1 cargo test` rewrites it\n  held: {held}\n   now: {now}", line + 1);
}

/// The names of the entries of a folder, in order.
pub(crate) fn names_in(path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository(path)).expect(path);
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect(path).file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}
