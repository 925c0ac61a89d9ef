//! A trail in a database: how it is named on the command line, its schema, and its verification.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::print;
use crate::trail::database::{self, Database, Tls};
use crate::trail::{Fault, Verification, verify_database};

/// Arguments of `trail schema`.
#[derive(clap::Args)]
pub(super) struct Schema {
    /// The database
    #[arg(value_enum)]
    database: Kind,
    /// The schema's name; its roles are called NAME_owner, NAME_writer and NAME_reader
    #[arg(long, value_name = "NAME", default_value = "portcullis")]
    name: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Postgres,
}

/// Connection options, beside the URL.
#[derive(clap::Args)]
pub(super) struct Connection {
    /// A file with the password for the database; the URL holds none
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The certificates that are trusted for the database, PEM; those of the system without this
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The schema in the database
    #[arg(long, value_name = "NAME", default_value = "portcullis")]
    schema: String,
    /// Connect to the database without TLS: whoever is on the way reads and changes everything
    #[arg(long)]
    insecure: bool,
}

/// Runs what talks to a database to its end.
pub(super) fn wait_for<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(asked)
}

/// Prints the schema.
pub(super) fn schema(args: &Schema) -> Result<ExitCode, String> {
    match args.database {
        Kind::Postgres => print(&database::schema(&args.name).map_err(|error| error.to_string())?),
    }
}

impl Connection {
    /// The database of a URL.
    pub(super) fn database(&self, url: &str) -> Result<Database, String> {
        let tls = if self.insecure { Tls::Disable } else { Tls::VerifyFull };
        Database::from_url(url, &self.schema, self.password_file.as_deref(), self.ca_file.as_deref(), tls)
            .map_err(|error| error.to_string())
    }

    /// Reads everything that is there.
    pub(super) fn verify(&self, url: &str, verification: &mut Verification) -> Result<Result<(), Fault>, String> {
        let database = self.database(url)?;
        wait_for(async {
            let mut reader = database.read().await.map_err(|error| format!("the database: {error}"))?;
            verify_database(&mut reader, verification).await.map_err(|error| format!("the database: {error}"))
        })
    }
}
