//! `portcullis review`: an AdmissionReview in, the response out.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::input::Input;
use super::{Policies, REFUSED, UNUSABLE, escape, left_out, print};
use crate::decision::Endpoint;
use crate::escape::escaped_json;
use crate::review::{self, Judge};
use crate::scan;

/// Arguments of `review`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// File that holds an AdmissionReview, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    policies: Policies,
    /// Manifests that describe the rest of the cluster
    #[arg(long, value_name = "PATH", num_args = 1..)]
    cluster_from: Vec<PathBuf>,
    /// Answer as /mutate does
    #[arg(long)]
    mutate: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let now = Timestamp::now();
    let snapshot = args.policies.load(None, now)?;
    let name = args.file.display();
    let mut bytes = Vec::new();
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(&args.file).map(|read| bytes = read)
    };
    read.map_err(|error| format!("{name}: {error}"))?;

    let around = Input::read(&args.cluster_from);
    if !around.errors.is_empty() {
        return Err(around.errors.join("\n"));
    }
    let mut world = scan::world(&snapshot, now, !args.cluster_from.is_empty());
    around.describe(&mut world, "default");

    let review = match review::decode(&bytes, snapshot.workloads(), now) {
        Ok(review) => review,
        Err(error) => {
            eprintln!("{}", escape(&format!("{name}: {error}")));
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    let endpoint = if args.mutate { Endpoint::Mutate } else { Endpoint::Validate };
    let decision = Judge { snapshot: &snapshot, world: &world, endpoint }.decide_at_once(&review);
    for meta in &decision.left_out {
        eprintln!("{}", left_out(meta.id));
    }
    let answer = review::encode(&review, endpoint, &decision, None);
    print(&(escaped_json(&String::from_utf8_lossy(&answer)) + "\n"))?;
    Ok(if decision.allowed { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
