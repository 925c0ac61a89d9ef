//! `portcullis preflight`: says what enforcement would lock out, before it is turned on.

mod cluster;
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::progress::Progress;
use super::row::json;
use super::{Policies, REFUSED, UNUSABLE, escape, print};
use crate::preflight::{IDS, Trap, traps};
use crate::redaction::clean;
use crate::snapshot::Snapshot;
use crate::webhooks::Target;

/// Maximum number of workloads that are kept; more are counted.
const WORKLOADS: usize = 10_000;

/// Arguments of `preflight`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    policies: Policies,
    /// Cluster to connect to; inside a cluster, that cluster without this
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of Portcullis
    #[arg(long, value_name = "NS", default_value = "portcullis")]
    namespace: String,
    /// Name of its Service
    #[arg(long, value_name = "NAME", default_value = "portcullis")]
    service: String,
    /// Traps that do not count for the exit code
    #[arg(long, value_name = "TRAP", num_args = 1.., value_parser = IDS)]
    accept: Vec<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Three lines per trap, one per workload, and the counts
    Text,
    /// One JSON object per trap, workload and unreadable kind, one per line, and the counts in the last line
    Json,
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'l> {
    Trap { trap: &'l str, place: &'l str, problem: &'l str, remedy: &'l str },
    Workload { namespace: &'l str, owner: &'l str, policies: &'l BTreeSet<&'static str> },
    Unreadable { message: &'l str },
    Note { message: &'l str },
    Summary { traps: usize, refused: usize, omitted: usize, unreadable: usize },
}

/// What a preflight has found so far.
struct Preflight<'s> {
    snapshot: &'s Snapshot,
    now: Timestamp,
    progress: Progress,
    /// Policies that would refuse what an owner makes, by namespace and owner.
    refused: BTreeMap<(String, String), BTreeSet<&'static str>>,
    /// Number of refused objects whose owner is not kept.
    omitted: usize,
    /// What could not be read, one line each.
    unreadable: Vec<String>,
    /// What somebody who reads the result should know.
    notes: BTreeSet<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let now = Timestamp::now();
    let snapshot = args.policies.load(None, now)?;
    let target =
        Target { namespace: args.namespace.clone(), service: args.service.clone(), url: None, ca_bundle: None };
    let mut preflight = Preflight {
        snapshot: &snapshot,
        now,
        progress: Progress::new(),
        refused: BTreeMap::new(),
        omitted: 0,
        unreadable: Vec::new(),
        notes: BTreeSet::new(),
    };
    let seen = cluster::read(&mut preflight, target, args.kubeconfig.as_deref())?;
    preflight.progress.clear();
    let found = traps(&seen, &snapshot);
    let counted = found.iter().filter(|trap| args.accept.iter().all(|accepted| accepted != trap.id)).count();
    print(&match args.format {
        Format::Text => preflight.text(&found),
        Format::Json => preflight.json(&found)?,
    })?;
    Ok(match (preflight.unreadable.len(), counted + preflight.refused.len()) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(REFUSED),
        _ => ExitCode::from(UNUSABLE),
    })
}

impl Preflight<'_> {
    /// Counts an object that would be refused.
    fn refuse(&mut self, namespace: &str, owner: String, policies: impl Iterator<Item = &'static str>) {
        let key = (namespace.to_owned(), owner);
        if self.refused.len() >= WORKLOADS && !self.refused.contains_key(&key) {
            self.omitted += 1;
            return;
        }
        self.refused.entry(key).or_default().extend(policies);
    }

    fn text(&self, traps: &[Trap]) -> String {
        let redacts = self.snapshot.redacts();
        let plain = |text: &str| escape(&clean(text, redacts));
        let mut text = String::new();
        for Trap { id, place, problem, remedy } in traps {
            text += &format!("trap {id}: {}\n  {}\n  To do: {}\n", plain(place), plain(problem), plain(remedy));
        }
        for ((namespace, owner), policies) in &self.refused {
            let policies = policies.iter().copied().collect::<Vec<_>>().join(", ");
            text += &format!("would be refused: {} in {}: {policies}\n", plain(owner), plain(namespace));
        }
        if self.omitted > 0 {
            text += &format!("would be refused: {} more objects of further workloads\n", self.omitted);
        }
        for line in &self.unreadable {
            text += &format!("not readable: {}\n", plain(line));
        }
        for note in &self.notes {
            text += &format!("note: {}\n", plain(note));
        }
        text + &format!(
            "{} traps; {} workloads would be refused at their next Pod; {} kinds could not be read\n",
            traps.len(),
            self.refused.len(),
            self.unreadable.len()
        )
    }

    fn json(&self, traps: &[Trap]) -> Result<String, String> {
        let redacts = self.snapshot.redacts();
        let mut text = String::new();
        for Trap { id, place, problem, remedy } in traps {
            let [place, problem, remedy] = [place, problem, remedy].map(|text| clean(text, redacts));
            text += &json(&Line::Trap { trap: id, place: &place, problem: &problem, remedy: &remedy })?;
        }
        for ((namespace, owner), policies) in &self.refused {
            let (namespace, owner) = (clean(namespace, redacts), clean(owner, redacts));
            text += &json(&Line::Workload { namespace: &namespace, owner: &owner, policies })?;
        }
        for line in &self.unreadable {
            text += &json(&Line::Unreadable { message: &clean(line, redacts) })?;
        }
        for note in &self.notes {
            text += &json(&Line::Note { message: &clean(note, redacts) })?;
        }
        let (refused, unreadable) = (self.refused.len(), self.unreadable.len());
        Ok(text + &json(&Line::Summary { traps: traps.len(), refused, omitted: self.omitted, unreadable })?)
    }
}
