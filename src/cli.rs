//! The command line.

mod backstop;
mod check;
mod connect;
mod explain;
mod generate;
mod input;
mod misspelt;
mod preflight;
mod probe;
mod progress;
mod review;
mod row;
mod scan;
mod serve;
mod trail;
mod unjudged;
mod webhooks;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::config::{self, ConfigError, Configuration};
use crate::escape::escaped;
use crate::mode::Mode;
use crate::object::Workload;
use crate::snapshot::Snapshot;

/// Exit code of a negative result: findings that would refuse, a denied request, an altered trail.
const REFUSED: u8 = 1;
/// Exit code for input or configuration that cannot be used.
const UNUSABLE: u8 = 2;

/// Kinds of other projects whose resource name follows the rule, with their API groups.
const KNOWN: [(&str, &str); 9] = [
    ("apps.kruise.io", "CloneSet"),
    ("apps.openshift.io", "DeploymentConfig"),
    ("argoproj.io", "Rollout"),
    ("jobset.x-k8s.io", "JobSet"),
    ("leaderworkerset.x-k8s.io", "LeaderWorkerSet"),
    ("ray.io", "RayCluster"),
    ("serving.knative.dev", "Configuration"),
    ("serving.knative.dev", "Revision"),
    ("serving.knative.dev", "Service"),
];

/// A Kubernetes admission webhook that refuses what breaks the security posture, and writes every decision down.
#[derive(Parser)]
#[command(name = "portcullis", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer an API server's admission reviews
    Serve(serve::Args),
    /// Judge manifests: files, folders, or - for standard input
    Check(check::Args),
    /// Judge what exists: the objects of a cluster, or of dumps and folders
    Scan(scan::Args),
    /// Say what enforcement would lock out, before it is turned on
    Preflight(preflight::Args),
    /// Answer one AdmissionReview from a file, or - for standard input
    Review(review::Args),
    /// Explain what a policy forbids, why, and how to comply; without an id, list all policies
    Explain(explain::Args),
    /// Print the webhook configurations for a configuration
    Webhooks(webhooks::Args),
    /// Verify that a running server answers reviews
    Probe(probe::Args),
    /// Print policies that the API server evaluates by itself, for when Portcullis does not answer
    Backstop(backstop::Args),
    /// Keep NetworkPolicies in namespaces that opt in
    Generate(generate::Args),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Verify, follow and query an audit trail
    Trail(trail::Args),
}

/// Options that select the policies and their modes.
#[derive(clap::Args)]
struct Policies {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Profile, instead of a configuration file
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    profile: Option<String>,
}

impl Policies {
    /// Name and text of the configuration file, or those of the profile.
    fn text(&self) -> Result<(String, String), String> {
        match &self.config {
            Some(file) => {
                let name = file.display().to_string();
                let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
                Ok((name, text))
            }
            None => {
                let profile = self.profile.as_deref().unwrap_or("hardened");
                let text = format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: {profile}\n");
                Ok((format!("--profile {profile}"), text))
            }
        }
    }

    /// Reads them; the ends of exceptions are counted from `now`.
    fn load(&self, ceiling: Option<Mode>, now: Timestamp) -> Result<Snapshot, String> {
        let rendered = |error: ConfigError| error.to_string();
        match &self.config {
            Some(_) => {
                let (name, text) = self.text()?;
                let Configuration { snapshot, warnings, .. } =
                    config::compile_at(&name, &text, ceiling, now).map_err(rendered)?;
                for warning in &warnings {
                    eprintln!("{warning}");
                }
                for row in snapshot.workloads().added().filter(|row| row.is_guessed && !is_known(row)) {
                    eprintln!("{}", escape(&guessed(row)));
                }
                Ok(snapshot)
            }
            None => {
                let profile = self.profile.as_deref().unwrap_or("hardened");
                config::profile::text(profile).map_err(|message| format!("--profile {profile}: {message}"))?;
                config::compile_profile(profile, ceiling).map(|configuration| configuration.snapshot).map_err(rendered)
            }
        }
    }
}

/// The time at which objects are judged.
#[derive(clap::Args)]
struct Clock {
    /// Time at which exceptions are looked at, instead of now
    #[arg(long, value_name = "TIME", hide = true)]
    at: Option<Timestamp>,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.at.unwrap_or_else(Timestamp::now)
    }
}

/// Runs the program.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Preflight(args) => preflight::run(&args),
        Command::Review(args) => review::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Webhooks(args) => webhooks::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Backstop(args) => backstop::run(&args),
        Command::Generate(args) => generate::run(args),
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema::schema()).unwrap_or_default();
            print(&(schema + "\n"))
        }
        Command::Trail(args) => trail::run(&args),
    };
    result.unwrap_or_else(|message| {
        message.lines().for_each(|line| eprintln!("{}", escape(line)));
        ExitCode::from(UNUSABLE)
    })
}

/// True for a well-known kind, whose guessed resource name is right.
fn is_known(row: &Workload) -> bool {
    KNOWN.contains(&(&*row.group, &*row.kind))
}

/// The note about a kind whose resource name was guessed.
fn guessed(Workload { group, kind, resource, .. }: &Workload) -> String {
    let plural = if *resource == kind.to_lowercase() { ", or the kind where this is its plural" } else { "" };
    format!(
        "note: workloads: the resource of {group} {kind} is guessed to be {resource}, and no cluster was asked: see \
         `kubectl api-resources --api-group={group}`, and write resource: {resource} where that is right{plural}"
    )
}

/// The note about a policy that lacked facts.
fn left_out(id: &str) -> String {
    format!(
        "note: {id} was left out: the inputs do not hold the cluster objects that it reads; name manifests or a dump of the \
         cluster with --cluster-from"
    )
}

/// Prints to standard output. A closed pipe (`| head`) is not an error.
fn print(text: &str) -> Result<ExitCode, String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(format!("standard output: {error}")),
    }
}

/// A line of output with its control characters escaped.
fn escape(line: &str) -> String {
    escaped(line).into_owned()
}
