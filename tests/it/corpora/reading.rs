//! Every manifest is read whole, and what is said about it points into it.

use std::collections::BTreeSet;

use super::{Corpora, HARDENED, check, items};

/// Files that `check` refuses and kubectl accepts, each with its reason.
const REFUSED: [(&str, &str); 0] = [];
/// Words that a program says when it breaks down.
const BREAKDOWNS: [&str; 3] = ["panicked", "overflow", "RUST_BACKTRACE"];

#[test]
fn every_manifest_that_kubectl_accepts_is_judged() {
    let Some(corpora) = Corpora::get() else { return };
    for error in &corpora.errors {
        assert!(!BREAKDOWNS.iter().any(|word| error.contains(word)), "{error}");
    }
    let is_error = |line: &&String| !line.contains(": warning: ") && !line.starts_with("note: ");
    let errors: Vec<_> = corpora.errors.iter().filter(is_error).collect();
    let named = |error: &str| corpora.files.iter().find(|file| error.starts_with(&format!("{file}:"))).cloned();
    let refused: BTreeSet<String> =
        errors.iter().map(|error| named(error).unwrap_or_else(|| panic!("about no file: {error}"))).collect();
    for (file, reason) in REFUSED {
        assert!(refused.contains(file), "{file} is read now; strike it out (it said: {reason})");
    }
    for file in refused.iter().filter(|file| REFUSED.iter().all(|(listed, _)| listed != file)) {
        assert!(!super::kubectl::accepts(corpora, file), "{file} is refused, and kubectl accepts it: {errors:?}");
        println!("refused here and by kubectl: {file}");
    }
    let denied = corpora.rows.values().flatten().any(|row| row.decision == "deny");
    assert_eq!(corpora.code, Some(if errors.is_empty() { i32::from(denied) } else { 2 }));
    println!("{} files, {} objects", corpora.files.len(), corpora.rows.values().flatten().count());
}

#[test]
fn every_object_has_its_line_in_the_order_of_the_file() {
    let Some(corpora) = Corpora::get() else { return };
    for entry in &corpora.entries {
        let rows = corpora.rows.get(&entry.file).map(Vec::as_slice).unwrap_or_default();
        let shown = |name: &Option<String>| name.as_deref().unwrap_or_default().trim_end_matches('*').to_owned();
        let expected: Vec<_> =
            entry.objects.iter().map(|object| (&object.api_version, &object.kind, shown(&object.name))).collect();
        let judged: Vec<_> = rows.iter().map(|row| (&row.api_version, &row.kind, row.name.clone())).collect();
        assert_eq!(judged, expected, "{}", entry.file);
        let documents = corpora.documents(&entry.file);
        for object in &entry.objects {
            let document = &documents[object.doc];
            let object_read = object.item.map_or(document, |item| &document["items"][item]);
            assert_eq!(object_read["kind"], object.kind.as_str(), "{}: document {}", entry.file, object.doc);
        }
        assert!(rows.is_sorted_by_key(|row| row.line), "{}: lines go back", entry.file);
    }
}

#[test]
fn every_finding_points_into_its_object_and_its_file() {
    let Some(corpora) = Corpora::get() else { return };
    let reviews: BTreeSet<&str> = corpora
        .judged()
        .filter(|(_, labelled, _)| labelled.kind == "AdmissionReview")
        .map(|(entry, _, _)| entry.file.as_str())
        .collect();
    let mut findings = 0;
    for (file, rows) in corpora.rows.iter().filter(|(file, _)| !reviews.contains(file.as_str())) {
        let documents = corpora.documents(file);
        // What is no object was refused.
        let objects = documents.iter().flat_map(items).filter(|object| object["kind"].is_string());
        let text = corpora.text(file);
        let lines: Vec<&str> = text.lines().collect();
        let objects: Vec<_> = objects.collect();
        assert_eq!(objects.len(), rows.len(), "{file}");
        for (object, row) in objects.into_iter().zip(rows) {
            for found in &row.findings {
                let shown = format!("{file}: {} {}: {}", row.kind, row.name, found.path);
                assert!(object.pointer(&found.pointer).is_some(), "{shown}: {} leads nowhere", found.pointer);
                assert!((row.line..=lines.len()).contains(&found.line), "{shown}: line {}", found.line);
                let length = lines[found.line - 1].chars().count();
                assert!((1..=length).contains(&found.column), "{shown}: {}:{}", found.line, found.column);
                // The last field of the pointer stands where the finding points.
                let field = found.pointer.rsplit('/').next().unwrap_or_default();
                let field = field.replace("~1", "/").replace("~0", "~");
                let rest: String = lines[found.line - 1].chars().skip(found.column - 1).collect();
                let is_position = field.is_empty() || field.parse::<usize>().is_ok();
                let named = [field.clone(), format!("\"{field}\""), format!("'{field}'"), "? ".to_owned()];
                assert!(is_position || named.iter().any(|name| rest.starts_with(name)), "{shown}: at {rest:?}");
                assert!(!found.message.is_empty() && found.mode != "off", "{shown}");
                findings += 1;
            }
            let refuses = row.findings.iter().any(|found| found.mode == "enforce");
            assert_eq!(row.decision == "deny", refuses, "{file}: {}", row.name);
        }
    }
    println!("{findings} findings");
}

#[test]
fn the_exit_code_tells_a_clean_file_from_a_refused_one() {
    let Some(corpora) = Corpora::get() else { return };
    let broken = |file: &String| corpora.errors.iter().any(|error| error.starts_with(&format!("{file}:")));
    let whole = || corpora.rows.iter().filter(|(file, _)| !broken(file));
    let clean: Vec<&String> =
        whole().filter(|(_, rows)| rows.iter().all(|row| row.findings.is_empty())).map(|(file, _)| file).collect();
    // Some are clean because of what other files say: those stay together.
    assert_eq!(check(HARDENED, &corpora.folder, &clean).status.code(), Some(0));
    let denied = whole().find(|(_, rows)| rows.iter().any(|row| row.decision == "deny")).expect("a refused file").0;
    assert_eq!(check(HARDENED, &corpora.folder, &[denied]).status.code(), Some(1));
    assert_eq!(check(HARDENED, &corpora.folder, &["licences"]).status.code(), Some(0));
    assert_eq!(check(HARDENED, &corpora.folder, &["SOURCES.md"]).status.code(), Some(2));
}
