//! `portcullis trail`: looks into an audit trail.

mod database;
mod query;

use std::fs::File;
use std::io::{BufReader, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{REFUSED, print};
use crate::trail::database::Database;
use crate::trail::{self, Fault, Report, Signer, Verification, Verifier};

/// Maximum number of attempts to read a spool that retention shortens meanwhile.
const TURNS: usize = 5;
/// The exit code of a trail in which nothing is amiss and not everything is proven.
const UNPROVEN: u8 = 3;

/// Arguments of `trail`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verify a trail: report the first altered record, and list what cannot be proven
    Verify(Verify),
    /// Print the records that are wanted, in the order of their times
    Query(query::Query),
    /// Print the last of them
    Tail(query::Tail),
    /// Print the statements that make a database ready; they may be applied again
    Schema(database::Schema),
    /// Print the verifier key of a private key
    Key {
        /// An Ed25519 private key in PEM
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name that it signs under
        #[arg(long, value_name = "NAME", default_value = "portcullis")]
        name: String,
    },
}

#[derive(clap::Args)]
struct Verify {
    /// Files in their order, a spool's folder, - for standard input, or postgres://USER@HOST:PORT/DATABASE
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    database: database::Connection,
    /// A verifier key (NAME+ID+KEY), or a file of them, one a line; every key that was ever used
    #[arg(long = "key", value_name = "KEY|FILE")]
    keys: Vec<String>,
    /// The input is a part of a trail: what is not in it need not be missing
    #[arg(long)]
    excerpt: bool,
    /// The input is what a sink was brought, at least once: a record may come again, as it was
    #[arg(long)]
    copy: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    match &args.command {
        Command::Verify(args) => verify(args),
        Command::Query(args) => query::query(args),
        Command::Tail(args) => query::tail(args),
        Command::Schema(args) => database::schema(args),
        Command::Key { file, name } => {
            let signer = Signer::read(file, name).map_err(|error| error.to_string())?;
            print(&format!("{}\n", signer.verifier()))
        }
    }
}

fn verify(args: &Verify) -> Result<ExitCode, String> {
    let keys = keys(&args.keys)?;
    let mut turn = 0;
    let result = loop {
        turn += 1;
        let mut verification = Verification::with_keys(keys.clone());
        if args.copy {
            verification.copied();
        }
        let (read, has_shrunk) = read(&mut verification, args)?;
        let result = read.and_then(|()| verification.finish(!args.excerpt));
        // Retention took segments away while others were read: what is missing may be what it took.
        if result.is_ok() || !has_shrunk || turn == TURNS {
            break result;
        }
    };
    match result {
        Ok(report) if report.streams.is_empty() => {
            let names: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
            Err(format!("{}: no record of a trail is there", names.join(", ")))
        }
        Ok(report) => {
            print(&describe(&report, args.keys.is_empty()))?;
            Ok(if report.is_proven() { ExitCode::SUCCESS } else { ExitCode::from(UNPROVEN) })
        }
        Err(fault) => {
            print(&format!("{fault}\n"))?;
            Ok(ExitCode::from(REFUSED))
        }
    }
}

fn describe(report: &Report, is_keyless: bool) -> String {
    let mut text = String::new();
    for (id, stream) in &report.streams {
        let trail::StreamReport { first, last, head, time, signed, restarts, restarted, lost, early, repeated, .. } =
            stream;
        text += &format!("stream {id}: records {first} to {last}, the last of {time}, head {head}\n");
        if let Some(signed) = signed {
            text += &format!("  signed up to record {signed}\n");
        }
        if *first > 0 {
            text += &format!(
                "  records before {first} were removed by retention, {lost} of them before every sink had them\n"
            );
            if *early > 0 {
                text += &format!("  {early} of them went before their time, for want of room\n");
            }
        }
        if let Some((at, checked)) = restarted {
            let checked = checked.map_or("nothing".to_owned(), |checked| format!("record {checked}"));
            text += &format!(
                "  went on {restarts} time(s) after an end without a stop, the last time at record {at}: what came after \
                 the checkpoint before it, {checked}, was taken as it was found, and may have been cut off or replaced\n"
            );
        }
        if *repeated > 0 {
            text += &format!("  {repeated} record(s) came again, as they were\n");
        }
    }
    for unproven in &report.unproven {
        text += &format!("unproven: {unproven}\n");
    }
    if is_keyless {
        text += "no key was named (--key): whoever can write the whole trail could have written it anew\n";
    }
    let end = if report.is_proven() { "ok" } else { "whole as far as it goes" };
    text + end + ": every record that is here is as it was written\n"
}

/// Keys, written out or in files.
fn keys(written: &[String]) -> Result<Vec<Verifier>, String> {
    let mut keys = Vec::new();
    for text in written {
        if let Ok(key) = text.parse() {
            keys.push(key);
            continue;
        }
        let lines = std::fs::read_to_string(text)
            .map_err(|error| format!("--key {text}: neither a verifier key NAME+ID+KEY nor a file of them: {error}"))?;
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            keys.push(line.parse().map_err(|error| format!("--key {text}: {error}"))?);
        }
    }
    Ok(keys)
}

/// Reads everything; says too whether retention took something away meanwhile.
fn read(verification: &mut Verification, args: &Verify) -> Result<(Result<(), Fault>, bool), String> {
    let mut has_shrunk = false;
    for path in &args.paths {
        let name = path.display().to_string();
        let read = if Database::is_url(&name) {
            args.database.verify(&name, verification)
        } else if path.as_os_str() == "-" {
            verification.read(&name, stdin().lock(), &mut 0).map_err(|error| format!("{name}: {error}"))
        } else if path.is_dir() {
            trail::verify_folder(verification, path, &mut has_shrunk).map_err(|error| error.to_string())
        } else {
            let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
            verification.read(&name, BufReader::new(file), &mut 0).map_err(|error| format!("{name}: {error}"))
        };
        if let Err(fault) = read? {
            return Ok((Err(fault), has_shrunk));
        }
    }
    Ok((Ok(()), has_shrunk))
}
