//! A policy's page: what `explain` prints and `policies/<id>.md` holds.

use std::fmt::Write as _;

use super::catalogue::{CATALOGUE, Entry};
use super::defaults::{Breakage, Safety};
use super::meta::Fields;
use crate::pod_security::Version;

/// The page of a policy, in Markdown.
pub fn render(entry: &Entry) -> String {
    let meta = entry.meta;
    let mut page = String::new();
    let _ = writeln!(page, "# {}\n\n{} {}.\n", meta.id, capitalized(verb(entry)), meta.title);
    let fix = if entry.safety.is_some() { "To keep what is there" } else { "Fix" };
    let _ = writeln!(page, "**Why.** {}\n\n**{fix}.** {}.\n", meta.why, capitalized(meta.fix));
    if let Some(Breakage { what, exclude }) = entry.breakage {
        let _ = writeln!(page, "**What it breaks.** {what}\n\n**To exclude a workload.** {}.\n", capitalized(exclude));
        let _ = writeln!(
            page,
            "To exclude a namespace, turn the default off there, in the configuration:\n\n```yaml\nnamespaces:\n\
             - match: {{names: [NAMESPACE]}}\n  policies: {{{}: {{mode: off}}}}\n  relax: true\n```\n",
            meta.id
        );
    }
    let _ =
        writeln!(page, "Severity {}, since {}. Address of this page: <{}>.\n", meta.severity, meta.since, meta.url());
    page.push_str(if entry.safety.is_some() { "## Fields\n\n" } else { "## Fields and allowed values\n\n" });
    for fields in meta.fields {
        let _ = writeln!(page, "- {fields}{}", allowed(fields));
    }
    let _ = writeln!(page, "\n{}", scope(entry));
    for other in CATALOGUE.iter().filter(|other| other.replaces(Version::LATEST).contains(&meta.id)) {
        let other = other.meta.id;
        let _ = writeln!(
            page,
            "\nWhere [{other}]({other}.md) acts at least as far, that policy reports it alone; to relax one, relax both."
        );
    }
    if !meta.changes.is_empty() {
        page.push_str("\n## Versions of the standard\n\nBy `podSecurityVersion`:\n\n");
        meta.changes.iter().for_each(|change| page.push_str(&format!("- {change}\n")));
    }
    if !meta.controls.is_empty() {
        page.push_str("\n## Controls\n\n");
        for control in meta.controls {
            let _ = writeln!(page, "- {}: {}", control.standard, control.name);
        }
    }
    if let Some(settings) = entry.settings {
        let _ = writeln!(
            page,
            "\n## Settings\n\nAn example, with which the manifests below are judged:\n\n```yaml\n{settings}```"
        );
    }
    let (acted, left) = if entry.safety.is_some() { ("Patched", "Left as it is") } else { ("Refused", "Admitted") };
    let _ = writeln!(page, "\n## {acted}\n\n```yaml\n{}```", entry.denied);
    let _ = writeln!(page, "\n## {left}\n\n```yaml\n{}```", entry.admitted);
    page
}

/// The tables of every policy, in Markdown.
pub fn index() -> String {
    let mut page = "# Policies\n\nGenerated from the code; `portcullis explain ID` prints the same.\n\n".to_owned();
    page.push_str("| policy | forbids | severity | standards |\n|---|---|---|---|\n");
    for entry in CATALOGUE.iter().filter(|entry| entry.safety.is_none()) {
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
    page.push_str("\n| default | sets | with `defaults:` |\n|---|---|---|\n");
    for entry in CATALOGUE {
        let Some(safety) = entry.safety else { continue };
        let _ = writeln!(page, "| [{id}]({id}.md) | {} | {} |", entry.meta.title, setting(safety), id = entry.meta.id);
    }
    page
}

fn verb(entry: &Entry) -> &'static str {
    if entry.safety.is_some() { "sets" } else { "forbids" }
}

/// The values that are allowed in some fields, after a colon.
fn allowed(fields: &Fields) -> String {
    let values: Vec<String> = fields.allowed.iter().map(ToString::to_string).collect();
    if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) }
}

/// The objects and operations that it acts on.
fn scope(entry: &Entry) -> String {
    let kinds: Vec<String> = entry.meta.kinds.iter().map(|kinds| format!("In {kinds}.")).collect();
    let Some(safety) = entry.safety else { return kinds.join(" ") };
    format!(
        "{} Set when an object is created, and in a pod template when it changes; templates that a controller owns are \
         left alone, and so is whatever was written. It is taken back, with a warning, when a later write contradicts \
         it and nobody wrote it by then. On with `defaults:` {}.",
        kinds.join(" "),
        setting(safety)
    )
}

fn setting(safety: Safety) -> &'static str {
    match safety {
        Safety::Safe => "`safe` and `all`",
        Safety::Extended => "`all`",
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
