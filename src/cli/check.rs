//! `portcullis check`: judges manifests as the objects that would be stored.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::input::Input;
use super::misspelt::{Misspelt, misspelt};
use super::row::{Examined, Excepted, Found, Outcome, Row, json, not_judged};
use super::{Clock, Policies, REFUSED, UNUSABLE, escape, left_out, print};
use crate::document::{Key, Node};
use crate::mode::Mode;
use crate::redaction::{clean, shortened};
use crate::scan::template::{self, QUESTION};
use crate::scan::{Bench, Identity, Origin, world};
use crate::snapshot::Snapshot;

/// Maximum characters of a misspelt field name in output.
const NAME: usize = 128;

/// Arguments of `check`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    clock: Clock,
    /// Manifests that describe the rest of the cluster; they are not judged
    #[arg(long, value_name = "PATH", num_args = 1..)]
    cluster_from: Vec<PathBuf>,
    /// Namespace of objects that name none
    #[arg(long, value_name = "NS", default_value = "default")]
    namespace: String,
    /// Strongest mode of any policy: audit, warn, enforce
    #[arg(long, value_name = "MODE")]
    ceiling: Option<Mode>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per finding, and a summary
    Text,
    /// One JSON object per Kubernetes object, one per line
    Json,
}

#[derive(Default)]
struct Summary {
    objects: usize,
    refused: usize,
    exempt: usize,
    findings: usize,
    /// Objects with pod templates that no row of `workloads` covers.
    not_judged: usize,
    /// Objects with a field of the wrong type.
    unread: usize,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let now = args.clock.now();
    let snapshot = args.policies.load(args.ceiling, now)?;
    let mut input = Input::read(&args.paths);
    let around = Input::read(&args.cluster_from);
    let mut world = world(&snapshot, now, !args.cluster_from.is_empty());
    around.describe(&mut world, &args.namespace);
    input.describe(&mut world, &args.namespace);

    let (mut unjudged, mut notes) = (BTreeSet::new(), BTreeSet::from_iter(world.note()));
    let mut summary = Summary::default();
    let mut errors = std::mem::take(&mut input.errors);
    errors.extend(around.errors);
    let unread = errors.len();
    for warning in input.warnings.iter().chain(&around.warnings) {
        eprintln!("{}", escape(warning));
    }
    let redacts = snapshot.redacts();
    let bench = Bench { snapshot: &snapshot, world: &world, ranges: &world, now };
    for file in &input.files {
        for object in &file.objects {
            let identity = Identity::of(object, &args.namespace);
            for warning in warnings(object, &identity, &snapshot) {
                eprintln!("{}", escape(&format!("{}:{warning}", file.name)));
            }
            let examined = Examined::of(&bench, object, &identity, Origin::Manifest);
            let Examined { judgement, missing, outcome } = &examined;
            summary.unread += usize::from(!judgement.errors.is_empty());
            notes.extend(missing.iter().map(|row| not_judged(&identity, row.as_deref())));
            let row = examined.row(Some(&file.name), object, &identity, redacts);
            let wrong = judgement.errors.iter();
            errors.extend(wrong.map(|(at, wrong)| format!("{}:{at}: {} {wrong}", file.name, row.kind)));
            let decision = judgement.decision.as_ref();
            unjudged.extend(decision.into_iter().flat_map(|decision| &decision.left_out).map(|meta| meta.id));
            summary.add(&row, *outcome);
            print(&match args.format {
                Format::Json => json(&row)?,
                Format::Text => text(&row, *outcome),
            })?;
        }
    }
    for note in unjudged.into_iter().map(left_out).chain(notes) {
        eprintln!("{}", escape(&clean(&note, redacts)));
    }
    for error in &errors {
        eprintln!("{}", escape(error));
    }
    if args.format == Format::Text {
        print(&summary.text(unread))?;
    }
    Ok(match (errors.is_empty(), summary.refused) {
        (false, _) => ExitCode::from(UNUSABLE),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(REFUSED),
    })
}

fn text(row: &Row<'_>, outcome: Outcome) -> String {
    let Row { kind, namespace, name, .. } = row;
    let (file, line) = (row.file.unwrap_or_default(), row.line.unwrap_or_default());
    let unjudged = match outcome {
        Outcome::NotJudged => {
            let what = "holds pod templates that no row of workloads leads to";
            escape(&format!("{file}:{line}:1: not judged: {kind} {namespace}/{name}: {what}")) + "\n"
        }
        _ => String::new(),
    };
    let line = |found: &Found<'_>| {
        let Found { policy, mode, path, message, exception, .. } = found;
        let (line, column) = (found.line.unwrap_or_default(), found.column.unwrap_or_default());
        let exempt = exception
            .as_ref()
            .map(|Excepted { name, expires }| format!(" (exempt by exception \"{name}\" until {expires})"));
        let exempt = exempt.unwrap_or_default();
        let place = format!("{file}:{line}:{column}: {mode}: {kind} {namespace}/{name}");
        escape(&format!("{place}: {path} {message} [{policy}]{exempt}")) + "\n"
    };
    row.findings.iter().map(line).chain([unjudged]).collect()
}

/// Warnings about an object, with positions in the file: misspelt fields, and templates that were not rendered.
fn warnings(object: &Node, identity: &Identity, snapshot: &Snapshot) -> Vec<String> {
    let (group, _) = identity.group_version();
    let workload = snapshot.workloads().find(group, &identity.kind);
    let misspelt = misspelt(object, group, &identity.kind, workload);
    let misspelt = misspelt.into_iter().map(|Misspelt { key: Key { position, name }, meant }| {
        let name = shortened(name, NAME);
        let name = clean(&name, snapshot.redacts());
        let kind = clean(&identity.kind, snapshot.redacts());
        format!("{position}: warning: {kind} has no field {name}; did you mean {meant}?")
    });
    let template = template::unrendered(object).map(|position| format!("{position}: warning: {QUESTION}"));
    misspelt.chain(template).collect()
}

impl Summary {
    fn add(&mut self, row: &Row<'_>, outcome: Outcome) {
        match outcome {
            Outcome::Allow | Outcome::Exempt | Outcome::Deny => self.objects += 1,
            Outcome::NotJudged => self.not_judged += 1,
            Outcome::Error => {}
        }
        self.refused += usize::from(matches!(outcome, Outcome::Deny));
        self.exempt += usize::from(matches!(outcome, Outcome::Exempt));
        self.findings += row.findings.len();
    }

    /// The last line; `unread` counts files that could not be read.
    fn text(&self, unread: usize) -> String {
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let objects = plural(self.objects, "object");
        let findings = plural(self.findings, "finding");
        let mut text = format!("{objects} judged: {} would be refused, {findings}", self.refused);
        if self.exempt > 0 {
            text += &format!(", {} exempt", plural(self.exempt, "object"));
        }
        if self.findings > 0 {
            text += "; `portcullis explain ID` says why and how to comply";
        }
        if self.not_judged > 0 {
            text += &format!("; {} not judged", plural(self.not_judged, "object"));
        }
        if self.unread + unread > 0 {
            text += &format!("; {} could not be judged", plural(self.unread + unread, "input"));
        }
        text + "\n"
    }
}
