//! `portcullis check`: judges manifests as the objects that would be stored.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use jsonptr::{PointerBuf, Token};
use serde::Serialize;

use super::input::Input;
use super::judge::{Identity, Judgement, judge};
use super::misspelt::{Misspelt, misspelt};
use super::template::{self, QUESTION};
use super::unjudged::{self, is_own};
use super::{Policies, REFUSED, UNUSABLE, escape, left_out, print};
use crate::cluster::Manifests;
use crate::decision::{Decision, FindingText, ModedFinding};
use crate::document::{Key, Node, Position};
use crate::escape::escaped_json;
use crate::mode::Mode;
use crate::policy::Severity;
use crate::redaction::{clean, shortened};
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

/// An object with its findings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    file: &'a str,
    line: u64,
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    namespace: Cow<'a, str>,
    name: Cow<'a, str>,
    decision: &'static str,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'d> {
    policy: &'static str,
    severity: Severity,
    mode: Mode,
    path: &'d str,
    /// JSON pointer of the deepest existing part of the path.
    pointer: String,
    line: u64,
    column: u64,
    message: &'d str,
    /// The exception that keeps it from refusing.
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Excepted<'d>>,
}

#[derive(Serialize)]
struct Excepted<'d> {
    name: &'d str,
    expires: String,
}

#[derive(Default)]
struct Summary {
    objects: usize,
    refused: usize,
    findings: usize,
    /// Objects with pod templates that no row of `workloads` covers.
    not_judged: usize,
    /// Objects with a field of the wrong type.
    unread: usize,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let snapshot = args.policies.load(args.ceiling)?;
    let mut input = Input::read(&args.paths);
    let around = Input::read(&args.cluster_from);
    let mut world = Manifests::whole(!args.cluster_from.is_empty());
    around.describe(&mut world, &args.namespace);
    input.describe(&mut world, &args.namespace);

    let (mut unjudged, mut notes) = (BTreeSet::new(), BTreeSet::new());
    let mut summary = Summary::default();
    let mut errors = std::mem::take(&mut input.errors);
    errors.extend(around.errors);
    let unread = errors.len();
    for warning in input.warnings.iter().chain(&around.warnings) {
        eprintln!("{}", escape(warning));
    }
    let redacts = snapshot.redacts();
    for file in &input.files {
        for object in &file.objects {
            let identity = Identity::of(object, &args.namespace);
            for warning in warnings(object, &identity, &snapshot) {
                eprintln!("{}", escape(&format!("{}:{warning}", file.name)));
            }
            let Judgement { decision, errors: wrong } = judge(object, &identity, &snapshot, &world);
            summary.unread += usize::from(!wrong.is_empty());
            let rows = rows(object, &identity, &snapshot);
            notes.extend(rows.iter().map(|row| not_judged(&identity, row.as_deref())));
            let outcome = Outcome::of(decision.as_ref(), !wrong.is_empty(), !rows.is_empty());
            let kind = clean(&identity.kind, redacts);
            errors.extend(wrong.into_iter().map(|(at, wrong)| format!("{}:{at}: {kind} {wrong}", file.name)));
            let findings = decision
                .iter()
                .flat_map(|decision| decision.findings.iter().map(|finding| found(object, decision, finding)));
            let row = Row {
                file: &file.name,
                line: object.position.line,
                api_version: clean(&identity.api_version, redacts),
                kind,
                namespace: clean(&identity.namespace, redacts),
                name: clean(&identity.name, redacts),
                decision: outcome.as_str(),
                findings: findings.collect(),
            };
            unjudged.extend(decision.iter().flat_map(|decision| &decision.left_out).map(|meta| meta.id));
            summary.add(&row, &outcome);
            print(&match args.format {
                Format::Json => json(&row)?,
                Format::Text => text(&row, &outcome),
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

fn found<'d>(object: &Node, decision: &Decision, finding: &'d ModedFinding) -> Found<'d> {
    let FindingText { place, message } = decision.text_of(finding);
    let pointer = finding.place.path.pointer();
    let (pointer, Position { line, column }) = object.follow(&pointer);
    let tokens = pointer.tokens().map(|token| Token::new(clean(&token.decoded(), decision.redacts).into_owned()));
    Found {
        policy: finding.meta.id,
        severity: finding.meta.severity,
        mode: finding.mode,
        path: place,
        pointer: PointerBuf::from_tokens(tokens).as_str().to_owned(),
        line,
        column,
        message,
        exception: finding.exemption.as_ref().map(|exemption| Excepted {
            name: &exemption.exception.name,
            expires: exemption.exception.expires.to_string(),
        }),
    }
}

fn json(row: &Row<'_>) -> Result<String, String> {
    let json = serde_json::to_string(row).map_err(|error| error.to_string())?;
    Ok(escaped_json(&json).into_owned() + "\n")
}

fn text(row: &Row<'_>, outcome: &Outcome) -> String {
    let Row { file, line, kind, namespace, name, .. } = row;
    let unjudged = match outcome {
        Outcome::NotJudged => {
            let what = "holds pod templates that no row of workloads leads to";
            escape(&format!("{file}:{line}:1: not judged: {kind} {namespace}/{name}: {what}")) + "\n"
        }
        _ => String::new(),
    };
    let line = |found: &Found<'_>| {
        let Found { policy, mode, path, line, column, message, exception, .. } = found;
        let exempt = exception
            .as_ref()
            .map(|Excepted { name, expires }| format!(" (exempt by exception \"{name}\" until {expires})"));
        let exempt = exempt.unwrap_or_default();
        let place = format!("{file}:{line}:{column}: {mode}: {kind} {namespace}/{name}");
        escape(&format!("{place}: {path} {message} [{policy}]{exempt}")) + "\n"
    };
    row.findings.iter().map(line).chain([unjudged]).collect()
}

/// The result for one object.
enum Outcome {
    Allow,
    Deny,
    /// A field has the wrong type; nothing else would refuse the object.
    Error,
    /// It holds pod templates that no row of `workloads` covers; nothing else would refuse it.
    NotJudged,
}

impl Outcome {
    fn of(decision: Option<&Decision>, is_wrong: bool, is_missed: bool) -> Self {
        match decision {
            Some(decision) if !decision.allowed => Self::Deny,
            _ if is_wrong => Self::Error,
            _ if is_missed => Self::NotJudged,
            _ => Self::Allow,
        }
    }

    const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
            Self::NotJudged => "not-judged",
        }
    }
}

/// The rows of `workloads` that are missing for the templates of an object; see [`unjudged::rows`].
fn rows(object: &Node, identity: &Identity, snapshot: &Snapshot) -> Vec<Option<String>> {
    let (group, _) = identity.group_version();
    if is_own(group) {
        return Vec::new();
    }
    unjudged::rows(object, group, &identity.kind, snapshot.workloads().find(group, &identity.kind))
}

fn not_judged(identity: &Identity, row: Option<&str>) -> String {
    let (group, _) = identity.group_version();
    let advice = row.map_or_else(String::new, |row| format!("; to judge it, add to workloads: {row}"));
    let what = "holds pod templates that no row of workloads leads to: not judged";
    format!("note: {} ({group}) {what}{advice}", identity.kind)
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
    fn add(&mut self, row: &Row<'_>, outcome: &Outcome) {
        match outcome {
            Outcome::Allow | Outcome::Deny => self.objects += 1,
            Outcome::NotJudged => self.not_judged += 1,
            Outcome::Error => {}
        }
        self.refused += usize::from(matches!(outcome, Outcome::Deny));
        self.findings += row.findings.len();
    }

    /// The last line; `unread` counts files that could not be read.
    fn text(&self, unread: usize) -> String {
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let objects = plural(self.objects, "object");
        let findings = plural(self.findings, "finding");
        let mut text = format!("{objects} judged: {} would be refused, {findings}", self.refused);
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
