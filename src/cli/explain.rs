//! `portcullis explain`: prints the page of a policy.

use std::process::ExitCode;

use super::print;
use crate::policy::catalogue::{self, CATALOGUE};
use crate::policy::page;

/// Arguments of `explain`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Policy
    #[arg(value_name = "ID")]
    id: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let Some(id) = &args.id else {
        let width = CATALOGUE.iter().map(|entry| entry.meta.id.len()).max().unwrap_or(0);
        let line = |entry: &catalogue::Entry| {
            format!("{:width$}  {:8}  {}\n", entry.meta.id, entry.meta.severity, entry.meta.title)
        };
        return print(&CATALOGUE.iter().map(line).collect::<String>());
    };
    match catalogue::find(id) {
        Some(entry) => print(&page::render(entry)),
        None => Err(format!("{id}: no policy has this id; `portcullis explain` lists them")),
    }
}
