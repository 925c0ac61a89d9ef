//! The trail in PostgreSQL: how it is reached, its schema, and what is read from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::config::SslMode;

use super::database_error::{DatabaseError, DatabaseSetting, UrlFault};
use super::tls::{self, TrustError};

/// The schema as it is shipped, under the name that it has unless another is asked for.
const SCHEMA: &str = include_str!("schema.sql");
/// That name.
const NAME: &str = "portcullis";
/// Bytes of a schema's name: with `_owner` behind it, PostgreSQL takes no more.
const NAME_BYTES: usize = 57;
/// Maximum time to connect to the server, and for data to stay unacknowledged.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Silence after which the connection is asked whether it is still there, how often, and how many times.
const IDLE: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Settings of a `PostgreSQL` sink.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The server: the name, or address, that its certificate must be for.
    host: String,
    /// Its port.
    #[serde(default = "port")]
    port: u16,
    /// The database.
    database: String,
    /// The user that logs in: a member of the role that may append.
    user: String,
    /// The file with the password; it is read again at each connection.
    password_file: Option<PathBuf>,
    /// The certificates that are trusted, PEM; those of the system without it.
    ca_file: Option<PathBuf>,
    /// The schema that `portcullis trail schema postgres` made.
    #[serde(default = "name")]
    schema: String,
    /// Encryption of the connection, and verification of the server's certificate.
    #[serde(default)]
    tls: Tls,
    /// Must be true where TLS is disabled.
    #[serde(default)]
    insecure: bool,
}

/// Protection of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// TLS, with a certificate that is trusted and for this host.
    #[default]
    VerifyFull,
    /// Nothing: whoever is on the way reads and changes everything, the password too.
    Disable,
}

fn port() -> u16 {
    5432
}

fn name() -> String {
    NAME.to_owned()
}

/// A trail in a database, not connected.
#[derive(Debug, Clone)]
pub struct Database {
    /// Without the password.
    pub(super) config: tokio_postgres::Config,
    pub(super) host: String,
    pub(super) schema: String,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    pub(super) tls: Tls,
}

/// The statements that make the schema of that name; they may be applied again.
///
/// # Errors
/// [`DatabaseError`] if the name is not valid for a schema.
pub fn schema(name: &str) -> Result<String, DatabaseError> {
    check_name(name)?;
    Ok(if name == NAME { SCHEMA.to_owned() } else { SCHEMA.replace(NAME, name) })
}

fn check_name(name: &str) -> Result<(), DatabaseSetting> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = name.len() <= NAME_BYTES && name.bytes().all(is_word) && !name.starts_with("pg_");
    if fits && name.starts_with(|first: char| !first.is_ascii_digit()) {
        return Ok(());
    }
    Err(DatabaseSetting::Schema)
}

impl Settings {
    /// Refuses settings that cannot work, whatever the files hold.
    ///
    /// # Errors
    /// [`DatabaseSetting`] for the first setting that can never work.
    pub(in crate::trail) fn check(&self) -> Result<(), DatabaseSetting> {
        check_name(&self.schema)?;
        if self.host.contains(['@', '?', '\0']) || self.host.contains("://") {
            return Err(DatabaseSetting::Host);
        }
        if self.tls == Tls::Disable && !self.insecure {
            return Err(DatabaseSetting::Tls);
        }
        Ok(())
    }

    /// The database that they describe.
    ///
    /// # Errors
    /// [`DatabaseError`] if a setting can never work, or a file cannot be used.
    pub fn database(&self) -> Result<Database, DatabaseError> {
        self.check()?;
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(self.port).dbname(&self.database).user(&self.user);
        Database::new(config, &self.schema, self.password_file.as_deref(), self.ca_file.as_deref(), self.tls)
    }
}

impl Database {
    /// The database of a URL, `postgres://USER@HOST:PORT/DATABASE`, which holds no password: others would see it.
    ///
    /// # Errors
    /// [`DatabaseError`] if the URL has another form, or a file cannot be used.
    pub fn from_url(
        url: &str,
        schema: &str,
        password_file: Option<&Path>,
        ca_file: Option<&Path>,
        tls: Tls,
    ) -> Result<Self, DatabaseError> {
        // The error might quote what was written.
        let config: tokio_postgres::Config = url.parse().map_err(|_| UrlFault::Form)?;
        if config.get_password().is_some() {
            return Err(UrlFault::Password.into());
        }
        // A password with an @ in it, or behind a user without one, would be taken for part of the host.
        if config.get_hosts().iter().any(|host| shown(host).contains('@')) {
            return Err(UrlFault::Form.into());
        }
        if config.get_hosts().is_empty() || config.get_user().is_none() || config.get_dbname().is_none() {
            return Err(UrlFault::Incomplete.into());
        }
        Self::new(config, schema, password_file, ca_file, tls)
    }

    /// Returns true if an argument is such a URL.
    pub fn is_url(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    fn new(
        mut config: tokio_postgres::Config,
        schema: &str,
        password_file: Option<&Path>,
        ca_file: Option<&Path>,
        tls: Tls,
    ) -> Result<Self, DatabaseError> {
        check_name(schema)?;
        config
            .ssl_mode(if tls == Tls::Disable { SslMode::Disable } else { SslMode::Require })
            .application_name("portcullis")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives_idle(IDLE)
            .keepalives_interval(PROBE)
            .keepalives_retries(PROBES);
        let hosts: Vec<String> = config.get_hosts().iter().map(shown).collect();
        let database = Self {
            host: hosts.join(","),
            schema: schema.to_owned(),
            password_file: password_file.map(Path::to_owned),
            ca_file: ca_file.map(Path::to_owned),
            tls,
            config,
        };
        // What can never work is said before anything waits for it.
        database.password()?;
        database.trust()?;
        Ok(database)
    }

    pub(super) fn password(&self) -> Result<Option<String>, DatabaseError> {
        Ok(self.password_file.as_deref().map(tls::secret).transpose()?)
    }

    pub(super) fn trust(&self) -> Result<rustls::ClientConfig, TrustError> {
        tls::client(self.ca_file.as_deref())
    }
}

fn shown(host: &tokio_postgres::config::Host) -> String {
    match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, SCHEMA, Tls, schema};

    #[test]
    fn the_schema_takes_another_name_everywhere() {
        assert_eq!(schema("portcullis").expect("a schema"), SCHEMA);
        let other = schema("audit_2").expect("a schema");
        assert!(other.contains("CREATE SCHEMA IF NOT EXISTS audit_2 ") && !other.contains("portcullis"), "{other}");
        for wrong in ["", "Audit", "2a", "a-b", "a\"b", "a b", "pg_audit", &"a".repeat(58)] {
            assert!(schema(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_holds_no_password_and_is_never_quoted() {
        let read = |url: &str| {
            Database::from_url(url, "portcullis", None, None, Tls::Disable)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(read("postgres://reader@db:5432/trail"), Ok(()));
        for wrong in [
            "postgres://reader:geheim@db/trail",
            "postgres://reader@geheim@db/trail",
            "postgres://db/trail?geheim=1",
            "postgres://geheim@/",
            "geheim",
        ] {
            let error = read(wrong).expect_err(wrong);
            assert!(error.starts_with("the database's URL ") && !error.contains("geheim"), "{error}");
        }
    }
}
