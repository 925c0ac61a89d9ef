//! `portcullis trail`: looks into an audit trail.

use std::fs::File;
use std::io::{BufReader, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{REFUSED, print};
use crate::trail::verify;

/// Arguments of `trail`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say whether a trail is what was written, or name the first record that is not
    Verify {
        /// File, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let Command::Verify { file } = &args.command;
    let name = file.display();
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let result = if file.as_os_str() == "-" {
        verify(stdin().lock())
    } else {
        verify(BufReader::new(File::open(file).map_err(failed)?))
    };
    match result.map_err(failed)? {
        Ok(report) if report.streams.is_empty() => Err(format!("{name}: holds no record")),
        Ok(report) => {
            let mut text = String::new();
            for (id, stream) in &report.streams {
                text +=
                    &format!("stream {id}: {} records, 0 to {}, head {}\n", stream.records, stream.last, stream.head);
                if !stream.is_stopped {
                    text += "  unproven: it has no stop record, so records may be missing from its end\n";
                }
            }
            print(&(text + "ok: every record is as it was written\n"))
        }
        Err(tampered) => {
            print(&format!("{name}: {tampered}\n"))?;
            Ok(ExitCode::from(REFUSED))
        }
    }
}
