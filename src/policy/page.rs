//! A policy's page: what `explain` prints and `policies/<id>.md` holds.

use std::fmt::Write as _;

use super::catalogue::{CATALOGUE, Entry};

/// The page of a policy, in Markdown.
pub fn render(entry: &Entry) -> String {
    let meta = entry.meta;
    let mut page = String::new();
    let _ = writeln!(page, "# {}\n\nForbids {}.\n", meta.id, meta.title);
    let _ = writeln!(page, "**Why.** {}\n\n**Fix.** {}.\n", meta.why, capitalized(meta.fix));
    let _ = writeln!(page, "Severity {}, since {}.\n\n## Fields\n", meta.severity, meta.since);
    for field in meta.fields {
        let _ = writeln!(page, "- `{field}`");
    }
    page.push_str("\nIn Pods, and below the pod template in every kind that holds one.\n");
    if !meta.controls.is_empty() {
        page.push_str("\n## Controls\n\n");
        for control in meta.controls {
            let _ = writeln!(page, "- {}: {}", control.standard, control.name);
        }
    }
    let _ = writeln!(page, "\n## Refused\n\n```yaml\n{}```", entry.denied);
    let _ = writeln!(page, "\n## Admitted\n\n```yaml\n{}```", entry.admitted);
    page
}

/// The table of every policy, in Markdown.
pub fn index() -> String {
    let mut page = "# Policies\n\nGenerated from the code; `portcullis explain ID` prints the same.\n\n".to_owned();
    page.push_str("| policy | forbids | severity | standards |\n|---|---|---|---|\n");
    for entry in CATALOGUE {
        let meta = entry.meta;
        let controls: Vec<String> =
            meta.controls.iter().map(|control| format!("{}: {}", control.standard, control.name)).collect();
        let _ = writeln!(
            page,
            "| [{id}]({id}.md) | {} | {} | {} |",
            meta.title,
            meta.severity,
            controls.join("; "),
            id = meta.id,
        );
    }
    page
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
