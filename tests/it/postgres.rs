//! A real PostgreSQL on loopback: a cluster of its own in a folder of its own, with TLS, ended with its test.

pub(crate) mod proxy;

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use portcullis::trail::database::{Database, Tls};
use portcullis::trail::sink;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::ports::Port;
use crate::serve::pki::Authority;
use crate::serve::{run, until};

/// The account `nobody`: the server refuses to run as root.
const NOBODY: u32 = 65_534;
/// Password that must never be printed.
pub(crate) const PASSWORD: &str = "correct-horse-battery-staple";

/// A cluster.
pub(crate) struct Postgres {
    folder: TempDir,
    pub(crate) port: u16,
    _reserved: Port,
    child: Option<Child>,
}

/// Path of a PostgreSQL program; Debian keeps them outside `PATH`.
fn program(name: &str) -> PathBuf {
    let found = (15..30).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

fn as_somebody(folder: &Path, name: &str) -> Command {
    let mut command = Command::new(program(name));
    let is_root = std::fs::metadata("/proc/self").expect("this process").uid() == 0;
    if is_root {
        chown(folder, Some(NOBODY), Some(NOBODY)).expect("given away");
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(folder).env("LC_ALL", "C");
    command
}

impl Postgres {
    /// Starts one, with the schema as it is shipped and two accounts, `writing` and `reading`.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let made = as_somebody(path, "initdb")
            .args(["--username=postgres", "--auth=reject", "--encoding=UTF8", "--no-locale", "--no-sync", "-D", "data"])
            .output()
            .expect("initdb, of the package postgresql-15");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let authority = Authority::new("database");
        std::fs::write(path.join("ca.pem"), &authority.pem).expect("written");
        authority.issue(&["localhost"]).write(path);
        std::fs::write(path.join("password"), format!("{PASSWORD}\n")).expect("written");
        let known = "local all all trust\nhostssl all all all scram-sha-256\n";
        std::fs::write(path.join("data/pg_hba.conf"), known).expect("written");
        // The server takes a key that belongs to root only if its group may read it and nobody else.
        let owner = std::fs::metadata(path).expect("the folder");
        for file in ["tls.key", "tls.crt"] {
            chown(path.join(file), Some(owner.uid()), Some(owner.gid())).expect("given away");
        }
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path.join("tls.key"), private).expect("private");
        let reserved = Port::reserve();
        let mut postgres = Self { folder, port: reserved.number(), _reserved: reserved, child: None };
        postgres.up();
        postgres
            .sql("CREATE ROLE admin LOGIN CREATEROLE; CREATE DATABASE trail; GRANT CREATE ON DATABASE trail TO admin");
        postgres.apply("portcullis");
        postgres.sql(&format!(
            "CREATE ROLE writing LOGIN PASSWORD '{PASSWORD}' IN ROLE portcullis_writer;
             CREATE ROLE reading LOGIN PASSWORD '{PASSWORD}' IN ROLE portcullis_reader"
        ));
        postgres
    }

    /// Applies the schema that the program prints, as an administrator who is no superuser.
    pub(crate) fn apply(&self, name: &str) {
        let (code, schema, error) = run(&["trail", "schema", "postgres", "--name", name], "");
        assert_eq!(code, Some(0), "{error}");
        self.sql_as("admin", &schema);
    }

    /// Starts the server, and waits until it takes connections.
    pub(crate) fn up(&mut self) {
        let path = self.folder.path();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path.join("log")).expect("a log");
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", path.display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", path.join("tls.crt").display()),
            format!("ssl_key_file={}", path.join("tls.key").display()),
            // What a process leaves behind the system keeps: these tests end processes, not machines.
            "fsync=off".to_owned(),
            "log_statement=none".to_owned(),
        ];
        let mut command = as_somebody(path, "postgres");
        command.args(["-D", "data"]);
        for setting in settings {
            command.args(["-c", &setting]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("started");
        self.child = Some(child);
        until("the database", || self.try_sql("postgres", "SELECT 1").ok());
    }

    /// True if the server was started and not ended.
    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Ends the server: `INT` in order, `QUIT` at once, as a crash does.
    pub(crate) fn down(&mut self, signal: &str) {
        let Some(mut child) = self.child.take() else { return };
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        child.wait().expect("its end");
    }

    /// A connection of the superuser, who may do everything.
    pub(crate) async fn superuser(&self) -> Client {
        self.connect("postgres").await.expect("a connection")
    }

    async fn connect(&self, user: &str) -> Result<Client, tokio_postgres::Error> {
        let database = if self.has_database() { "trail" } else { "postgres" };
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port).user(user).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn has_database(&self) -> bool {
        self.folder.path().join("made").exists()
    }

    fn try_sql(&self, user: &str, statements: &str) -> Result<(), tokio_postgres::Error> {
        // Some callers are in a runtime, in which no other may be waited for.
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let client = self.connect(user).await?;
                    // One by one where none is a transaction: a database cannot be made in one.
                    if statements.contains("BEGIN;") {
                        return client.batch_execute(statements).await;
                    }
                    for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
                        client.batch_execute(statement).await?;
                    }
                    Ok(())
                })
            });
            asked.join().expect("asked")
        })
    }

    /// Does something as the superuser.
    pub(crate) fn sql(&self, statements: &str) {
        self.sql_as("postgres", statements);
        if statements.contains("CREATE DATABASE trail") {
            std::fs::write(self.folder.path().join("made"), "").expect("written");
            self.sql("GRANT CREATE ON DATABASE trail TO admin");
        }
    }

    fn sql_as(&self, user: &str, statements: &str) {
        self.try_sql(user, statements).unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Configuration of a sink that reaches it over `port`, with some fields changed.
    pub(crate) fn settings(&self, port: u16, changed: Value) -> Value {
        let mut settings = json!({
            "type": "postgres", "host": "localhost", "port": port, "database": "trail", "user": "writing",
            "passwordFile": self.path("password"), "caFile": self.path("ca.pem"),
        });
        if let (Some(settings), Value::Object(changed)) = (settings.as_object_mut(), changed) {
            settings.extend(changed);
        }
        settings
    }

    /// The sink of those settings.
    pub(crate) async fn sink(settings: Value) -> Result<Box<dyn sink::Sink>, String> {
        let settings: sink::Settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        settings.open("").await.map_err(|error| error.to_string())
    }

    /// The database as it is read.
    pub(crate) fn database(&self) -> Database {
        let url = format!("postgres://reading@localhost:{}/trail", self.port);
        let (password, ca) = (self.path("password"), self.path("ca.pem"));
        Database::from_url(&url, "portcullis", Some(&password), Some(&ca), Tls::VerifyFull).expect("a database")
    }

    /// Arguments with which the command line reads it.
    pub(crate) fn arguments(&self) -> [String; 5] {
        let url = format!("postgres://reading@localhost:{}/trail", self.port);
        let [password, ca] = ["password", "ca.pem"].map(|name| self.path(name).display().to_string());
        [url, "--password-file".to_owned(), password, "--ca-file".to_owned(), ca]
    }

    /// Exit code and output of `trail verify`.
    pub(crate) fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, stdout, stderr) = run(&[&["trail", "verify"], &arguments[..], more].concat(), "");
        (code, stdout + &stderr)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down("QUIT");
    }
}
