//! Data sources that are no URLs: keywords of libpq (`host=db dbname=shop`), connection strings with semicolons (.NET, ODBC, PDO)
//! and data source names of Go (`app@tcp(db:3306)/shop`).

use super::family::{Family, Parameters, Said};
use super::host::{self, Host};
use super::known::{Known, plain};

/// Pairs of one data source that are read.
const PAIRS: usize = 64;
/// Bytes of the longest data source name of Go.
const NAME: usize = 1024;
const POSTGRES: &str = "a PostgreSQL data source without sslmode=require or better";
const MYSQL: &str = "a MySQL data source that does not demand TLS";
const SQL_SERVER: &str = "a SQL Server data source without Encrypt=true";

/// A line that is a data source.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// The kind of its plaintext connection.
    pub(super) kind: Option<&'static str>,
}

/// The first plaintext data source of a line; one that is in order, if there is no other.
pub(super) fn of(line: &str, known: &Known<'_>) -> Option<Source> {
    if !line.contains('=') {
        return None;
    }
    let mut found = None;
    for part in line.split(['"', '`']).filter(|part| part.contains('=')) {
        let has_semicolons = part.contains(';');
        let source = if has_semicolons { with_semicolons(part, known) } else { with_spaces(part, known) };
        if source.is_some_and(|source| source.kind.is_some()) {
            return source;
        }
        found = found.or(source);
    }
    found
}

/// Keywords and values of libpq.
fn with_spaces(part: &str, known: &Known<'_>) -> Option<Source> {
    // Most lines are told by this.
    if !part.contains("dbname") {
        return None;
    }
    let mut parameters = Parameters::new(Family::Postgres);
    let (mut server, mut has_name, mut is_open) = (None, false, false);
    for word in part.split_ascii_whitespace() {
        let Some((name, value)) = pair(word) else {
            is_open |= super::known::is_wholly_unknown(word);
            continue;
        };
        match name {
            "host" | "hostaddr" => server = Some(value),
            "dbname" => has_name = true,
            _ => parameters.take(name, Some(value), known),
        }
    }
    let server = server.filter(|_| has_name)?;
    let has_default = || known.alike(&["pgsslmode"]).is_some_and(super::family::demands);
    let is_plaintext = match parameters.said() {
        Said::Tls | Said::Unknown => false,
        Said::Plaintext => true,
        Said::Nothing => !is_open && !has_default(),
    };
    Some(Source { kind: (is_plaintext && is_other(server, known)).then_some(POSTGRES) })
}

/// The keyword and its value, also behind the name of a variable: `DATABASE_DSN=host=db`.
fn pair(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let (name, value) = value
        .split_once('=')
        .filter(|(name, _)| matches!(*name, "host" | "hostaddr" | "dbname"))
        .unwrap_or((name, value));
    let name = name.rsplit(['\'', ':', '(', ',']).next().unwrap_or(name);
    Some((name, value.trim_matches('\'')))
}

/// Client that the pairs of a connection string are for.
#[derive(Default)]
struct Hints {
    is_postgres: bool,
    is_mysql: bool,
    is_sql_server: bool,
}

fn with_semicolons(part: &str, known: &Known<'_>) -> Option<Source> {
    let mut hints = Hints::default();
    let (mut server, mut has_name, mut is_pdo) = (None, false, false);
    let families = [Family::Postgres, Family::Mysql, Family::SqlServer];
    let mut said = families.map(Parameters::new);
    for pair in part.split(';').take(PAIRS) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        // Behind the name of a variable or key: `ConnectionStrings__Shop=Server=db`.
        let is_next = |name: &str| is_server(&plain(name.rsplit(':').next().unwrap_or(name)));
        let (written, value) = value.split_once('=').filter(|(name, _)| is_next(name)).unwrap_or((name, value));
        hints.is_postgres |= written.contains("pgsql:host");
        is_pdo |= written.contains("mysql:host");
        let name = plain(written.rsplit([':', '\'', '=']).next().unwrap_or(written));
        let value = value.trim().trim_matches('\'');
        if is_server(&name) {
            server = Some(value);
            hints.is_sql_server |=
                value.starts_with("tcp:") || value.rsplit_once(',').is_some_and(|(_, port)| is_number(port));
        }
        has_name |= matches!(name.as_str(), "database" | "initialcatalog" | "dbname");
        hints.read(&name, value);
        for parameters in &mut said {
            parameters.take(&name, Some(value), known);
        }
    }
    let server = server.filter(|_| has_name)?;
    let [postgres, mysql, sql_server] = said.each_ref().map(Parameters::said);
    let (said, kind) = match hints {
        Hints { is_sql_server: true, .. } => (sql_server, SQL_SERVER),
        Hints { is_mysql: true, .. } => (mysql, MYSQL),
        Hints { is_postgres: true, .. } => (postgres, POSTGRES),
        // A client that is not known: only what is said counts. Options of PDO are given elsewhere.
        Hints { .. } if is_pdo => return Some(Source { kind: None }),
        Hints { .. } if postgres == Said::Plaintext && mysql == Said::Plaintext => (mysql, MYSQL),
        Hints { .. } => return Some(Source { kind: None }),
    };
    let is_plaintext = matches!(said, Said::Plaintext | Said::Nothing);
    Some(Source { kind: (is_plaintext && is_other(server, known)).then_some(kind) })
}

impl Hints {
    fn read(&mut self, name: &str, value: &str) {
        match name {
            "driver" => {
                let value = plain(value);
                self.is_postgres |= value.contains("postgre");
                self.is_mysql |= value.contains("mysql") || value.contains("mariadb");
                self.is_sql_server |= value.contains("sqlserver") || value.contains("freetds");
            }
            "port" => {
                self.is_postgres |= value == "5432";
                self.is_mysql |= value == "3306";
                self.is_sql_server |= value == "1433";
            }
            "initialcatalog"
            | "encrypt"
            | "trustservercertificate"
            | "multipleactiveresultsets"
            | "integratedsecurity"
            | "applicationintent" => self.is_sql_server = true,
            "username" | "searchpath" | "includeerrordetail" => self.is_postgres = true,
            "allowuservariables" | "convertzerodatetime" | "allowpublickeyretrieval" => self.is_mysql = true,
            _ => {}
        }
    }
}

fn is_server(name: &str) -> bool {
    matches!(name, "server" | "datasource" | "host" | "addr" | "address" | "networkaddress")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// True for another host, as connection strings write it: `tcp:db.example.com,1433`, `db\SHOP`.
fn is_other(server: &str, known: &Known<'_>) -> bool {
    let server = server.strip_prefix("tcp:").unwrap_or(server);
    let server = server.rsplit_once(',').filter(|(_, port)| is_number(port)).map_or(server, |(name, _)| name);
    let name = server.split('\\').next().unwrap_or(server);
    let is_here = matches!(name, "." | "(local)" | "(localdb)") || name.starts_with("np:") || name.starts_with("lpc:");
    !is_here && host::of_all(name.split(','), known) == Host::Other
}

/// The kind of a data source name of Go, from `tcp(` on.
pub(super) fn of_go(rest: &str, known: &Known<'_>) -> Option<&'static str> {
    let rest = rest.strip_prefix("tcp(").or_else(|| rest.strip_prefix("tcp6("))?;
    let rest = rest.get(..rest.floor_char_boundary(NAME))?;
    let end =
        rest.find(|character: char| character.is_whitespace() || "\"'`<>@".contains(character)).unwrap_or(rest.len());
    let (host, tail) = rest.get(..end)?.split_once(")/")?;
    let query = tail.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = Parameters::new(Family::Mysql);
    let mut is_open =
        query.is_empty() && super::known::is_partly_unknown(tail) && !super::known::is_wholly_unknown(tail);
    for parameter in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=').map_or((parameter, None), |(name, value)| (name, Some(value)));
        is_open |= super::known::is_partly_unknown(name);
        parameters.take(name, value, known);
    }
    let is_plaintext = match parameters.said() {
        Said::Tls | Said::Unknown => false,
        Said::Plaintext => true,
        Said::Nothing => !is_open,
    };
    (is_plaintext && host::of(host, known) == Host::Other).then_some(MYSQL)
}
