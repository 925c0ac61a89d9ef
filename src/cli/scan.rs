//! `portcullis scan`: judges what exists, in a cluster or in dumps and folders, as if it were created again.

mod baseline;
mod cluster;
mod files;
mod summary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::progress::Progress;
use super::row::{Examined, Outcome, Row, json, not_judged};
use super::{Clock, Policies, REFUSED, UNUSABLE, escape, left_out, print};
use crate::document::Node;
use crate::redaction::clean;
use crate::scan::{Baseline, Identity, Judged, Owners, PAGE, References, Tally, TeamKeys};
use crate::snapshot::Snapshot;

/// Maximum number of different notes that are kept for the end.
const NOTES: usize = 1_000;

/// Arguments of `scan`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files, folders, or - for standard input: manifests, or what `kubectl get -o yaml` prints; without any, a cluster
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Cluster to connect to; inside a cluster, that cluster without this
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    clock: Clock,
    /// Manifests that describe the rest of the cluster; they are not judged
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "paths")]
    cluster_from: Vec<PathBuf>,
    /// Namespace of objects in files that name none
    #[arg(long, value_name = "NS", default_value = "default")]
    namespace: String,
    /// Label of an object or its namespace that names the team; the first one that is set counts
    #[arg(long, value_name = "KEY")]
    owner_label: Vec<String>,
    /// Annotation that names the team, where no such label does
    #[arg(long, value_name = "KEY")]
    owner_annotation: Vec<String>,
    /// Tables of the summary, in this order [default: policy,namespace,owner, and team with --owner-label or
    /// --owner-annotation]
    #[arg(long, value_name = "GROUP", value_enum, value_delimiter = ',')]
    group_by: Vec<Grouping>,
    /// List every group of findings, and every namespace and owner
    #[arg(long)]
    all: bool,
    /// Objects that are asked for at a time
    #[arg(long, value_name = "N", default_value_t = PAGE, value_parser = page_size)]
    page_size: usize,
    #[command(flatten)]
    baseline: baseline::Exceptions,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A verdict, tables by policy, namespace, owner and exception, and the findings
    Text,
    /// One JSON object per Kubernetes object, one per line, and the summary in the last line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Grouping {
    /// By policy
    Policy,
    /// By namespace
    Namespace,
    /// By topmost controller
    Owner,
    /// By team
    Team,
}

fn page_size(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| "must be a number from 1 to 10000".to_owned())
}

/// A line of JSON: what `check` prints, and whose it is.
#[derive(Serialize)]
struct OwnedRow<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    owner: &'a str,
    team: Option<&'a str>,
}

/// A scan, and what it has found so far.
struct Scan<'s> {
    snapshot: &'s Snapshot,
    /// Time of the scan.
    now: Timestamp,
    format: Format,
    owners: Owners,
    tally: Tally,
    progress: Progress,
    /// Policies that lacked facts.
    left_out: BTreeSet<&'static str>,
    notes: BTreeSet<String>,
    /// Objects with pod templates that no row of `workloads` covers.
    not_judged: usize,
    /// Objects, files and kinds that could not be judged whole.
    unreadable: usize,
    /// The error of standard output.
    broken: Option<String>,
    baseline: Option<Baseline>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let now = args.clock.now();
    let plan = args.baseline.plan(now)?;
    let mut snapshot = args.policies.load(None, now)?;
    if plan.is_some() {
        snapshot = snapshot.tracing();
    }
    let labels = args.baseline.owner_label().chain(args.owner_label.iter().cloned()).collect();
    let keys = TeamKeys { labels, annotations: args.owner_annotation.clone() };
    let has_teams = !keys.is_empty();
    let mut scan = Scan {
        snapshot: &snapshot,
        now,
        format: args.format,
        owners: Owners::new(keys),
        tally: Tally::default(),
        progress: Progress::new(),
        left_out: BTreeSet::new(),
        notes: BTreeSet::new(),
        not_judged: 0,
        unreadable: 0,
        broken: None,
        baseline: plan.as_ref().map(|_| Baseline::default()),
    };
    if args.paths.is_empty() {
        cluster::scan(&mut scan, args)?;
    } else {
        files::scan(&mut scan, args);
    }
    scan.progress.clear();
    if let Some(error) = scan.broken {
        return Err(error);
    }
    let left_out = std::mem::take(&mut scan.left_out).into_iter().map(left_out);
    for note in left_out.chain(std::mem::take(&mut scan.notes)) {
        scan.say(&note);
    }
    let summary = summary::Summary {
        tally: &scan.tally,
        not_judged: scan.not_judged,
        unreadable: scan.unreadable,
        redacts: snapshot.redacts(),
    };
    print(&match args.format {
        Format::Json => summary.json()?,
        Format::Text => {
            let mut groupings = args.group_by.clone();
            if groupings.is_empty() {
                groupings = vec![Grouping::Policy, Grouping::Namespace, Grouping::Owner];
                groupings.extend(has_teams.then_some(Grouping::Team));
            }
            summary.text(&groupings, args.all)
        }
    })?;
    let mut refused = scan.tally.all.refused;
    if let Some((plan, found)) = plan.zip(scan.baseline.take()) {
        refused = plan.write(&mut scan, &args.policies, found)?;
    }
    Ok(match (scan.unreadable, refused) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(REFUSED),
        _ => ExitCode::from(UNUSABLE),
    })
}

/// An object to be counted.
struct Subject<'o> {
    /// The file that it is in.
    file: Option<&'o str>,
    identity: &'o Identity,
    references: &'o References,
    examined: &'o Examined,
}

impl Scan<'_> {
    /// Counts an object, and prints it in the form JSON; `node` is the object, for the places of its findings.
    fn take(&mut self, subject: &Subject<'_>, node: impl FnOnce() -> Option<Node>) {
        let Subject { file, identity, references, examined } = subject;
        let Examined { judgement, missing, outcome } = examined;
        let redacts = self.snapshot.redacts();
        let owner = self.owners.topmost(&identity.kind, references);
        let team = self.owners.team(references, &identity.namespace);
        let (owner, team) = (clean(&owner, redacts).into(), team.map(|team| clean(&team, redacts).into()));
        if let Some(decision) = &judgement.decision {
            self.left_out.extend(decision.left_out.iter().map(|meta| meta.id));
            let judged = Judged {
                kind: &identity.kind,
                namespace: &clean(&identity.namespace, redacts),
                name: &identity.name,
                owner: &owner,
                team: team.as_ref(),
            };
            self.tally.add(&judged, decision);
        }
        if let Some(baseline) = &mut self.baseline {
            baseline.add(identity, references, team.as_ref(), judgement);
        }
        self.not_judged += usize::from(*outcome == Outcome::NotJudged);
        for row in missing {
            if self.notes.len() < NOTES {
                self.notes.insert(not_judged(identity, row.as_deref()));
            }
        }
        if !judgement.errors.is_empty() {
            self.unreadable += 1;
        }
        for (position, wrong) in &judgement.errors {
            let Identity { kind, namespace, name, .. } = identity;
            let message = match file {
                Some(file) => format!("{file}:{position}: {kind} {wrong}"),
                None => format!("{kind} {namespace}/{name}: {wrong}"),
            };
            self.say(&message);
        }
        if self.format == Format::Json {
            let Some(node) = node() else {
                self.unreadable += 1;
                self.say(&format!("{} {}: nested too deeply", identity.kind, identity.name));
                return;
            };
            let row = examined.row(*file, &node, identity, redacts);
            let printed = json(&OwnedRow { row, owner: &owner, team: team.as_deref() });
            self.progress.clear();
            if let Err(error) = printed.and_then(|line| print(&line)) {
                self.broken.get_or_insert(error);
            }
        }
    }

    /// Counts something that could not be read, and says why.
    fn cannot(&mut self, why: &str) {
        self.unreadable += 1;
        self.say(why);
    }

    /// Prints a line to standard error.
    fn say(&mut self, line: &str) {
        self.progress.clear();
        eprintln!("{}", escape(&clean(line, self.snapshot.redacts())));
    }
}
