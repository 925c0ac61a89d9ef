//! `portcullis check`: judges what would be stored.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

use super::input::Input;
use super::judge::{Identity, judge};
use super::{Policies, REFUSED, UNUSABLE, escape, left_out, print};
use crate::cluster::Manifests;
use crate::decision::Judged;
use crate::document::{Node, Position};
use crate::mode::Mode;
use crate::policy::Severity;

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
    /// Let no policy act further than this: audit, warn, enforce
    #[arg(long, value_name = "MODE")]
    ceiling: Option<Mode>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a finding, and a summary
    Text,
    /// A JSON object a Kubernetes object, one a line
    Json,
}

/// An object with its findings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    file: &'a str,
    line: u64,
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    decision: &'static str,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    policy: &'static str,
    severity: Severity,
    mode: Mode,
    path: String,
    /// The deepest part of the path that is there.
    pointer: String,
    line: u64,
    column: u64,
    message: String,
}

#[derive(Default)]
struct Summary {
    objects: usize,
    refused: usize,
    findings: usize,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let snapshot = args.policies.load(args.ceiling)?;
    let mut input = Input::read(&args.paths);
    let around = Input::read(&args.cluster_from);
    let mut world = Manifests::whole(!args.cluster_from.is_empty());
    around.describe(&mut world, &args.namespace);
    input.describe(&mut world, &args.namespace);

    let mut unjudged = BTreeSet::new();
    let mut summary = Summary::default();
    let mut errors = std::mem::take(&mut input.errors);
    errors.extend(around.errors);
    for warning in input.warnings.iter().chain(&around.warnings) {
        eprintln!("{}", escape(warning));
    }
    for file in &input.files {
        for object in &file.objects {
            let identity = Identity::of(object, &args.namespace);
            let decision = match judge(object, &identity, &snapshot, &world) {
                Ok(decision) => decision,
                Err((position, message)) => {
                    errors.push(format!("{}:{position}: {} {message}", file.name, identity.kind));
                    continue;
                }
            };
            let row = Row {
                file: &file.name,
                line: object.position.line,
                api_version: &identity.api_version,
                kind: &identity.kind,
                namespace: &identity.namespace,
                name: &identity.name,
                decision: if decision.allowed { "allow" } else { "deny" },
                findings: decision.findings.iter().map(|finding| found(object, finding)).collect(),
            };
            unjudged.extend(decision.left_out.iter().map(|meta| meta.id));
            summary.add(&row, decision.allowed);
            print(&match args.format {
                Format::Json => serde_json::to_string(&row).map_err(|error| error.to_string())? + "\n",
                Format::Text => text(&row),
            })?;
        }
    }
    for id in unjudged {
        eprintln!("{}", left_out(id));
    }
    for error in &errors {
        eprintln!("{}", escape(error));
    }
    if args.format == Format::Text {
        print(&summary.text(errors.len()))?;
    }
    Ok(match (errors.is_empty(), summary.refused) {
        (false, _) => ExitCode::from(UNUSABLE),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(REFUSED),
    })
}

fn found(object: &Node, finding: &Judged) -> Found {
    let pointer = finding.place.path.pointer();
    let (pointer, Position { line, column }) = object.follow(&pointer);
    Found {
        policy: finding.meta.id,
        severity: finding.meta.severity,
        mode: finding.mode,
        path: finding.place.shown(),
        pointer: pointer.as_str().to_owned(),
        line,
        column,
        message: finding.message.clone(),
    }
}

fn text(row: &Row<'_>) -> String {
    let Row { file, kind, namespace, name, .. } = row;
    let line = |found: &Found| {
        let Found { policy, mode, path, line, column, message, .. } = found;
        escape(&format!("{file}:{line}:{column}: {mode}: {kind} {namespace}/{name}: {path} {message} [{policy}]"))
            + "\n"
    };
    row.findings.iter().map(line).collect()
}

impl Summary {
    fn add(&mut self, row: &Row<'_>, is_allowed: bool) {
        self.objects += 1;
        self.refused += usize::from(!is_allowed);
        self.findings += row.findings.len();
    }

    fn text(&self, errors: usize) -> String {
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let objects = plural(self.objects, "object");
        let findings = plural(self.findings, "finding");
        let mut text = format!("{objects} judged: {} would be refused, {findings}", self.refused);
        if self.findings > 0 {
            text += "; `portcullis explain ID` says why and how to comply";
        }
        if errors > 0 {
            text += &format!("; {} could not be judged", plural(errors, "input"));
        }
        text + "\n"
    }
}
