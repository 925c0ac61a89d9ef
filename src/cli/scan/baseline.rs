//! `--write-exceptions`: a folder with the exceptions that cover what would be refused today.

mod folder;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::folder::{FRAGMENTS, Folder, MARK, UNCOVERED};
use super::Scan;
use crate::cli::Policies;
use crate::config::{self, ConfigError, EXCEPTIONS};
use crate::document;
use crate::scan::{Baseline, Entry, Terms};
use crate::units::duration;

/// Maximum bytes of a file: a ConfigMap holds 1 MiB, with its metadata.
const FRAGMENT: usize = 900 << 10;
/// Maximum number of findings without an exception that are printed.
const PRINTED: usize = 20;
/// The reason for an entry whose name is taken.
const TAKEN: &str = "the configuration has an exception of its name already, which does not cover it; remove that one, or change its end";
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Options that write exceptions.
#[derive(clap::Args)]
pub(super) struct Exceptions {
    /// Folder for exceptions that cover what would be refused; the exit code is 1 if they do not cover all of it
    #[arg(long, value_name = "DIR", requires = "expires")]
    write_exceptions: Option<PathBuf>,
    /// Their end: a time from now, such as 90d (days count from the last midnight, UTC), or one in RFC 3339
    #[arg(long, value_name = "END", requires = "write_exceptions")]
    expires: Option<String>,
    /// Label of an object or its namespace that names the owner of its exceptions, and its team
    #[arg(long, value_name = "LABEL", requires = "write_exceptions")]
    owner_from: Option<String>,
    /// Owner of exceptions where no label names one
    #[arg(long, value_name = "NAME", requires = "write_exceptions", default_value = "unassigned")]
    owner: String,
    /// Reason of the exceptions
    #[arg(
        long,
        value_name = "TEXT",
        requires = "write_exceptions",
        default_value = "existed before the policies were enforced"
    )]
    reason: String,
}

/// The folder to write, and the terms of its exceptions.
pub(super) struct Plan {
    folder: Folder,
    terms: Terms,
    now: Timestamp,
}

impl Exceptions {
    /// The plan, if exceptions are to be written. A folder that cannot be written is refused before anything is judged.
    pub(super) fn plan(&self, now: Timestamp) -> Result<Option<Plan>, String> {
        let Some((path, expires)) = self.write_exceptions.as_ref().zip(self.expires.as_ref()) else { return Ok(None) };
        let expires = end(expires, now)?;
        let folder = Folder::open(path)?;
        let terms = Terms { expires, reason: self.reason.clone(), owner: self.owner.clone() };
        Ok(Some(Plan { folder, terms, now }))
    }

    /// The label that names owners.
    pub(super) fn owner_label(&self) -> impl Iterator<Item = String> {
        self.owner_from.clone().into_iter()
    }
}

/// The end of exceptions.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("--expires {text}: must be a time such as 90d, or such as 2027-01-31T00:00:00Z");
    let end = match duration(text) {
        Ok(ahead) => {
            let is_days = ahead.as_secs() % DAY == 0;
            let start = now.as_second() - if is_days { now.as_second().rem_euclid(DAY) } else { 0 };
            let start = Timestamp::from_second(start).map_err(|_| wrong())?;
            start.checked_add(SignedDuration::from_secs(ahead.as_secs())).map_err(|_| wrong())?
        }
        Err(_) => text.parse().map_err(|_| wrong())?,
    };
    if end <= now { Err(format!("--expires {text}: must be later than now")) } else { Ok(end) }
}

impl Plan {
    /// Writes what was found, and returns the number of findings that no exception covers.
    pub(super) fn write(self, scan: &mut Scan<'_>, policies: &Policies, mut found: Baseline) -> Result<usize, String> {
        let entries = self.fitting(policies, &mut found)?;
        let fragments = fragments(&entries);
        let (listed, unlisted) = found.uncovered();
        let listed: Vec<&str> = listed.collect();
        let mut list = format!("{MARK}\n# What would be refused and no exception covers, and why.\n");
        list.extend(listed.iter().flat_map(|line| [*line, "\n"]));
        if unlisted > 0 {
            list += &format!("and {unlisted} more\n");
        }
        let number = fragments.len();
        let files =
            fragments.into_iter().enumerate().map(|(at, text)| (format!("{FRAGMENTS}{:03}.yaml", at + 1), text));
        self.folder.write(files.chain([(UNCOVERED.to_owned(), list)]))?;

        let uncovered = listed.len() + unlisted;
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let (exceptions, files) = (plural(entries.len(), "exception"), plural(number, "file"));
        let summary = format!("{}: {exceptions} until {} in {files}", self.folder.shown(), self.terms.expires);
        scan.say(&match uncovered {
            0 => format!("{summary}; they cover everything that would be refused"),
            _ => format!("{summary}; not covered ({uncovered}, all of them in {UNCOVERED}):"),
        });
        for line in listed.iter().take(PRINTED) {
            scan.say(&format!("  {line}"));
        }
        if uncovered > PRINTED {
            scan.say(&format!("  and {} more", uncovered - PRINTED));
        }
        let all = scan.tally.all;
        if all.refused == 0 && all.warned + all.recorded > 0 {
            scan.say(
                "note: this configuration refuses nothing: write exceptions with the one that is to be enforced, whose ceiling is \
                 enforce",
            );
        }
        Ok(uncovered)
    }

    /// The entries that the configuration takes beside its own. The others are not covered, with its error as the reason.
    fn fitting(&self, policies: &Policies, found: &mut Baseline) -> Result<Vec<Entry>, String> {
        let (name, text) = policies.text()?;
        let mut entries = found.entries(&self.terms);
        let merged = Merged::read(&text).ok_or_else(|| format!("{name}: changed while it was used"))?;
        let room = EXCEPTIONS.saturating_sub(merged.own);
        for entry in entries.drain(room.min(entries.len())..) {
            found.leave_entry(&entry, &format!("a configuration holds at most {EXCEPTIONS} exceptions"));
        }
        loop {
            let Err(ConfigError(problems)) = merged.compile(&entries, self.now) else { return Ok(entries) };
            let mut errors: Vec<(usize, String)> = Vec::new();
            for problem in problems {
                match merged.position(&problem.field) {
                    Some((at, "name")) if at < entries.len() => errors.push((at, TAKEN.to_owned())),
                    Some((at, field)) if field != "expires" && at < entries.len() => {
                        errors.push((at, format!("{field} {}", problem.message)));
                    }
                    Some((_, "expires")) => {
                        return Err(format!("--expires {}: {}", self.terms.expires, problem.message));
                    }
                    _ => return Err(problem.to_string()),
                }
            }
            // An error without a field says that there is no room for an entry. The loader stops there and reads no entry after it.
            let full = errors.iter().filter(|(_, why)| why.starts_with(' ')).min_by_key(|(at, _)| *at);
            if let Some((first, why)) = full {
                for entry in entries.drain(*first..) {
                    found.leave_entry(&entry, why.trim());
                }
                continue;
            }
            errors.sort();
            errors.dedup_by_key(|(at, _)| *at);
            for (at, why) in errors.into_iter().rev() {
                found.leave_entry(&entries.remove(at), &why);
            }
        }
    }
}

/// A configuration, and the entries that are added to it.
struct Merged {
    root: Value,
    /// Path of its list of exceptions.
    path: &'static str,
    /// Number of exceptions of its own.
    own: usize,
}

impl Merged {
    fn read(text: &str) -> Option<Self> {
        let nodes = document::read(text).ok()?;
        let root = serde_json::to_value(nodes.first()?).ok()?;
        let exceptions = root.get("exceptions");
        let path = if exceptions.is_some_and(Value::is_object) { "exceptions.entries" } else { "exceptions" };
        let own = exceptions.map_or(0, |list| list.get("entries").unwrap_or(list).as_array().map_or(0, Vec::len));
        Some(Self { root, path, own })
    }

    /// Compiles it with these entries.
    fn compile(&self, entries: &[Entry], now: Timestamp) -> Result<(), ConfigError> {
        let mut root = self.root.clone();
        let exceptions = &mut root["exceptions"];
        let list = if exceptions.is_object() { &mut exceptions["entries"] } else { exceptions };
        if !list.is_array() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut() {
            list.extend(entries.iter().map(|entry| json!(entry)));
        }
        config::compile_at("configuration", &root.to_string(), None, now).map(drop)
    }

    /// The position of an entry in whose field an error is, and the field.
    fn position<'f>(&self, field: &'f str) -> Option<(usize, &'f str)> {
        let (at, field) = field.strip_prefix(self.path)?.strip_prefix('[')?.split_once(']')?;
        let at = at.parse::<usize>().ok()?.checked_sub(self.own)?;
        Some((at, field.strip_prefix('.').unwrap_or(field)))
    }
}

/// The texts of the files. In order they are one list, the first one with its key.
fn fragments(entries: &[Entry]) -> Vec<String> {
    let head =
        format!("{MARK}\n# All files in order, below a configuration without `exceptions`, are its exceptions.\n");
    if entries.is_empty() {
        return vec![head + "exceptions: []\n"];
    }
    let mut fragments = vec![format!("{head}exceptions:\n")];
    for text in entries.iter().map(Entry::yaml) {
        match fragments.last_mut() {
            Some(last) if last.len() + text.len() <= FRAGMENT => *last += &text,
            _ => fragments.push(head.clone() + &text),
        }
    }
    fragments
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::end;

    #[test]
    fn days_count_from_the_last_midnight_and_hours_from_now() {
        let now: Timestamp = "2026-11-27T10:00:01.5Z".parse().expect("a time");
        let ends = |text| end(text, now).map(|end| end.to_string());
        assert_eq!(ends("90d").as_deref(), Ok("2027-02-25T00:00:00Z"));
        assert_eq!(ends("24h").as_deref(), Ok("2026-11-28T00:00:00Z"), "a day");
        assert_eq!(ends("5h").as_deref(), Ok("2026-11-27T15:00:01Z"));
        assert_eq!(ends("2027-01-31T00:00:00+01:00").as_deref(), Ok("2027-01-30T23:00:00Z"));
        for wrong in ["", "0d", "-1d", "tomorrow", "2026-11-27T10:00:01.5Z", "2026-01-01T00:00:00Z"] {
            let error = end(wrong, now).expect_err(wrong);
            assert!(error.starts_with(&format!("--expires {wrong}: must be ")), "{error}");
        }
    }
}
