//! The summary of a scan: for a person with ten minutes, or as the last line of JSON.

use serde::Serialize;

use super::Grouping;
use crate::cli::{escape, row};
use crate::redaction::clean;
use crate::scan::{Count, Example, Excepted, OwnerFindings, Tally};

/// Rows of a table without `--all`.
const ROWS: usize = 15;
/// Owners whose findings are listed without `--all`.
const OWNERS: usize = 10;

/// The result of a scan.
pub(super) struct Summary<'t> {
    pub(super) tally: &'t Tally,
    pub(super) not_judged: usize,
    pub(super) unreadable: usize,
    pub(super) redacts: bool,
}

#[derive(Serialize)]
struct Line<'l> {
    summary: Body<'l>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'l> {
    #[serde(flatten)]
    all: Count,
    not_judged: usize,
    unreadable: usize,
    policies: Vec<OfPolicy>,
    namespaces: Vec<Named<'l>>,
    owners: Vec<OfOwner<'l>>,
    teams: Vec<OfTeam<'l>>,
    exceptions: Vec<OfException<'l>>,
}

#[derive(Serialize)]
struct OfPolicy {
    policy: &'static str,
    #[serde(flatten)]
    count: Count,
    namespaces: usize,
}

#[derive(Serialize)]
struct Named<'l> {
    namespace: &'l str,
    #[serde(flatten)]
    count: Count,
}

#[derive(Serialize)]
struct OfOwner<'l> {
    namespace: &'l str,
    owner: &'l str,
    #[serde(flatten)]
    count: Count,
}

#[derive(Serialize)]
struct OfTeam<'l> {
    team: &'l str,
    #[serde(flatten)]
    count: Count,
}

#[derive(Serialize)]
struct OfException<'l> {
    name: &'l str,
    expires: String,
    objects: usize,
}

impl Summary<'_> {
    /// The last line of the form JSON.
    pub(super) fn json(&self) -> Result<String, String> {
        let tally = self.tally;
        let policies = tally.policies().into_iter();
        let policies = policies.map(|(policy, count, namespaces)| OfPolicy { policy, count, namespaces });
        let namespaces = tally.namespaces().into_iter().map(|(namespace, count)| Named { namespace, count });
        let owners = tally.owners().into_iter();
        let owners = owners.map(|(namespace, owner, count)| OfOwner { namespace, owner, count });
        let teams = tally.teams().into_iter().map(|(team, count)| OfTeam { team, count });
        let exceptions = tally.exceptions().map(|Excepted { exception, objects }| OfException {
            name: &exception.name,
            expires: exception.expires.to_string(),
            objects,
        });
        let summary = Body {
            all: tally.all,
            not_judged: self.not_judged,
            unreadable: self.unreadable,
            policies: policies.collect(),
            namespaces: namespaces.collect(),
            owners: owners.collect(),
            teams: teams.collect(),
            exceptions: exceptions.collect(),
        };
        row::json(&Line { summary })
    }

    /// The verdict, the tables, and the findings by owner.
    pub(super) fn text(&self, groupings: &[Grouping], all: bool) -> String {
        let mut text = self.verdict() + "\n";
        if !self.tally.all.has_findings() {
            return text;
        }
        let rows = if all { usize::MAX } else { ROWS };
        for grouping in groupings {
            text += "\n";
            text += &self.table(*grouping, rows);
        }
        if self.has_exempt() {
            text += "\n";
            text += &self.exceptions(rows);
        }
        text += "\n";
        text += &self.findings(if all { usize::MAX } else { OWNERS });
        text += "\n`portcullis explain ID` says why and how to comply.\n";
        text
    }

    fn verdict(&self) -> String {
        let Count { objects, refused, exempt, warned, recorded } = self.tally.all;
        let mut text = if refused == 0 {
            format!("Nothing would be refused: {} judged", counted(objects, "object"))
        } else {
            format!("{refused} of {} would be refused", counted(objects, "object"))
        };
        if exempt > 0 {
            text += &format!(", {exempt} would be refused but for an exception");
        }
        text += &format!(", {warned} would get a warning, {recorded} would be recorded");
        if self.not_judged > 0 {
            text += &format!("; {} not judged", counted(self.not_judged, "object"));
        }
        if self.unreadable > 0 {
            text += &format!("; {} could not be read: the result is not complete", counted(self.unreadable, "input"));
        }
        text
    }

    fn table(&self, grouping: Grouping, most: usize) -> String {
        let tally = self.tally;
        let has_exempt = self.has_exempt();
        let numbers = |count: &Count| {
            let exempt = has_exempt.then_some(count.exempt);
            let numbers = std::iter::once(count.refused).chain(exempt).chain([count.warned, count.recorded]);
            numbers.map(|number| number.to_string()).collect::<Vec<_>>()
        };
        let row = |names: &[&str], count: &Count, last: usize| {
            let names = names.iter().map(|name| self.shown(name));
            names.chain(numbers(count)).chain([last.to_string()]).collect::<Vec<_>>()
        };
        let (names, last, rows): (&[&str], _, Vec<_>) = match grouping {
            Grouping::Policy => {
                let rows = tally.policies().into_iter();
                (&["POLICY"], "NAMESPACES", rows.map(|(id, count, last)| row(&[id], &count, last)).collect())
            }
            Grouping::Namespace => {
                let rows = tally.namespaces().into_iter().filter(|(_, count)| count.has_findings());
                (&["NAMESPACE"], "OBJECTS", rows.map(|(name, count)| row(&[name], &count, count.objects)).collect())
            }
            Grouping::Owner => {
                let rows = tally.owners().into_iter();
                let row =
                    |(namespace, owner, count): (&str, &str, Count)| row(&[namespace, owner], &count, count.objects);
                (&["NAMESPACE", "OWNER"], "OBJECTS", rows.map(row).collect())
            }
            Grouping::Team => {
                let rows = tally.teams().into_iter();
                (&["TEAM"], "OBJECTS", rows.map(|(name, count)| row(&[name], &count, count.objects)).collect())
            }
        };
        let exempt: &[&str] = if has_exempt { &["EXEMPT"] } else { &[] };
        let head = [names, &["REFUSED"], exempt, &["WARNED", "RECORDED", last]].concat();
        let head = head.into_iter().map(str::to_owned).collect();
        cut(head, rows, names.len(), most)
    }

    /// True if an exception covers something.
    fn has_exempt(&self) -> bool {
        self.tally.exceptions().next().is_some()
    }

    /// The exceptions that cover something, with their ends.
    fn exceptions(&self, most: usize) -> String {
        let row = |Excepted { exception, objects }: Excepted<'_>| {
            vec![self.shown(&exception.name), exception.expires.to_string(), objects.to_string()]
        };
        let head = ["EXCEPTION", "UNTIL", "OBJECTS"].map(str::to_owned).to_vec();
        cut(head, self.tally.exceptions().map(row).collect(), 2, most)
    }

    fn findings(&self, most: usize) -> String {
        let owners = self.tally.findings();
        let left = owners.len().saturating_sub(most);
        let mut text = String::new();
        for OwnerFindings { namespace, owner, count, groups } in owners.into_iter().take(most) {
            let place = if namespace.is_empty() { owner.to_owned() } else { format!("{namespace}/{owner}") };
            text += &format!("{} ({})\n", self.shown(&place), counted(count.objects, "object"));
            for (policy, group) in groups {
                let Example { effect, text: example } = &group.example;
                let objects = group.count.objects;
                text += &format!("  {}: {policy} ({objects}): {}\n", effect.as_str(), escape(example));
            }
        }
        if self.tally.ungrouped > 0 {
            text += &format!("… and findings in {} more\n", counted(self.tally.ungrouped, "object"));
        }
        text + &more(left)
    }

    fn shown(&self, text: &str) -> String {
        let text = if text.is_empty() { "-" } else { text };
        escape(&clean(text, self.redacts))
    }
}

/// A table of at most `most` rows under its head, with `names` columns to the left.
fn cut(head: Vec<String>, rows: Vec<Vec<String>>, names: usize, most: usize) -> String {
    let left = rows.len().saturating_sub(most);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows.into_iter().take(most)).collect();
    aligned(&rows, names) + &more(left)
}

fn more(left: usize) -> String {
    if left == 0 {
        String::new()
    } else {
        format!("… and {left} more: --all lists them, --format json each object\n")
    }
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Rows in columns: the first `names` to the left, numbers to the right.
fn aligned(rows: &[Vec<String>], names: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text += if column == 0 { "" } else { "  " };
            text += &if column < names { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
        }
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [["A", "N"], ["long", "1"], ["é", "100"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows, 1), "A       N\nlong    1\né     100\n");
    }
}
