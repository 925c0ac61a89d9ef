//! Rules that every source file follows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::golden::repository;

/// Lines of the longest file.
const LINES: usize = 400;
/// Modules of `src/`, the lowest first, and the modules that each may import: only those above it in this table, so that
/// there is no circle. `main.rs` and `lib.rs` are not modules.
const ARROWS: &[(&str, &[&str])] = &[
    ("bound", &[]),
    ("digest", &[]),
    ("document", &[]),
    ("escape", &[]),
    ("files", &[]),
    ("lock", &[]),
    ("mode", &[]),
    ("operation", &[]),
    ("steps", &[]),
    ("units", &[]),
    ("addresses", &["steps"]),
    ("pod_security", &["mode"]),
    ("redaction", &["bound"]),
    ("telemetry", &["escape", "lock"]),
    ("object", &["digest", "escape", "operation", "redaction", "steps"]),
    ("facts", &["addresses", "lock", "object", "pod_security", "steps"]),
    ("cluster", &["document", "facts", "lock", "object"]),
    ("patch", &["object"]),
    ("request", &["object", "operation"]),
    ("policy", &["addresses", "document", "facts", "object", "pod_security", "redaction", "request", "steps"]),
    ("engine", &["facts", "mode", "pod_security", "policy", "request", "steps"]),
    ("exception", &["object", "policy", "request"]),
    ("snapshot", &["engine", "exception", "mode", "object", "pod_security", "policy"]),
    (
        "decision",
        &[
            "engine",
            "exception",
            "facts",
            "mode",
            "object",
            "patch",
            "pod_security",
            "policy",
            "redaction",
            "request",
            "snapshot",
        ],
    ),
    ("webhooks", &["mode", "object", "operation", "policy", "request", "snapshot"]),
    ("preflight", &["exception", "mode", "snapshot", "webhooks"]),
    ("backstop", &["engine", "mode", "pod_security", "policy", "snapshot", "webhooks"]),
    ("mutation", &["decision", "engine", "mode", "object", "patch", "policy", "request", "snapshot", "steps"]),
    ("generate", &["digest", "lock"]),
    (
        "trail",
        &[
            "bound",
            "decision",
            "digest",
            "document",
            "lock",
            "mode",
            "object",
            "policy",
            "redaction",
            "request",
            "snapshot",
            "units",
        ],
    ),
    (
        "config",
        &[
            "digest",
            "document",
            "engine",
            "escape",
            "exception",
            "files",
            "generate",
            "mode",
            "object",
            "pod_security",
            "policy",
            "redaction",
            "snapshot",
            "trail",
            "units",
        ],
    ),
    ("metrics", &["decision", "exception", "policy", "trail"]),
    ("review", &["bound", "decision", "escape", "facts", "mode", "mutation", "object", "request", "snapshot"]),
    (
        "scan",
        &[
            "cluster",
            "decision",
            "digest",
            "document",
            "escape",
            "exception",
            "facts",
            "mode",
            "object",
            "policy",
            "redaction",
            "request",
            "review",
            "snapshot",
        ],
    ),
    (
        "offenders",
        &[
            "bound",
            "cluster",
            "decision",
            "engine",
            "facts",
            "lock",
            "mode",
            "object",
            "pod_security",
            "request",
            "scan",
            "snapshot",
        ],
    ),
    (
        "server",
        &[
            "cluster",
            "config",
            "decision",
            "digest",
            "exception",
            "facts",
            "files",
            "lock",
            "metrics",
            "object",
            "offenders",
            "request",
            "review",
            "snapshot",
            "trail",
            "webhooks",
        ],
    ),
    (
        "cli",
        &[
            "backstop",
            "cluster",
            "config",
            "decision",
            "document",
            "escape",
            "generate",
            "mode",
            "object",
            "policy",
            "preflight",
            "redaction",
            "review",
            "scan",
            "server",
            "snapshot",
            "telemetry",
            "trail",
            "units",
            "webhooks",
        ],
    ),
];
/// Modules that no policy imports.
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

/// The modules that a source file imports, without its unit tests: names after `crate::`, alone or in braces.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let code: String = code.lines().filter_map(|line| line.split("//").next()).collect();
    let word = |text: &str| {
        let text = text.trim_start();
        text[..text.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(text.len())].to_owned()
    };
    let names = code.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(rest) => rest.split(';').next().unwrap_or(rest).split(',').map(word).collect(),
        None => vec![word(rest)],
    });
    names.filter(|name| name.chars().all(|next| next.is_lowercase() || next == '_') && !name.is_empty()).collect()
}

/// The modules that a file of `module` imports and may not, by the table.
fn back_arrows(module: &str, text: &str) -> Vec<String> {
    let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == module).expect("the table names every module");
    imports(text).into_iter().filter(|name| name != module && !allowed.contains(&name.as_str())).collect()
}

#[test]
fn imports_between_modules_point_one_way() {
    let mut used = BTreeSet::new();
    for (path, text) in sources(&repository("src")) {
        let inside = path.strip_prefix(repository("src")).expect("below src").with_extension("");
        let module = inside.iter().next().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if ["lib", "main"].contains(&module.as_str()) || path.ends_with("tests.rs") {
            continue;
        }
        let wrong = back_arrows(&module, &text);
        assert!(wrong.is_empty(), "{}: {module} may not import {wrong:?}", path.display());
        used.extend(imports(&text).into_iter().map(|name| (module.clone(), name)));
        used.insert((module, String::new()));
    }
    for (position, (module, allowed)) in ARROWS.iter().enumerate() {
        assert!(used.contains(&((*module).to_owned(), String::new())), "{module}: there is no such module");
        for name in *allowed {
            assert!(ARROWS[..position].iter().any(|(lower, _)| lower == name), "{module} stands below {name}");
            assert!(used.contains(&((*module).to_owned(), (*name).to_owned())), "{module} does not import {name}");
        }
    }
}

#[test]
fn an_arrow_that_points_back_is_found() {
    for text in [
        "use crate::server::App;\n",
        "use crate::{mode::Mode, server::App};\n",
        "fn f(_: &crate::server::App) {}\n",
        "pub use crate::server;\n",
    ] {
        assert!(back_arrows("policy", text).contains(&"server".to_owned()), "{text}");
    }
    let harmless = "//! As crate::server does.\nuse crate::request::Request;\n#[cfg(test)]\nmod tests {\n    use crate::server;\n}\n";
    assert!(back_arrows("policy", harmless).is_empty());
}
