//! URLs of databases and brokers (RFC 3986; several hosts, and the parameters of JDBC).

use super::family::{self, Family, Parameters, Said};
use super::host::{self, Host};
use super::known::{Known, is_partly_unknown, is_wholly_unknown, plain};

/// Bytes of the longest scheme that is read, with `jdbc:` before it.
const SCHEME: usize = 64;
/// Bytes of the longest URL that is read, behind its scheme.
const URL: usize = 2048;
/// URLs that one may hold in its parameters.
const WITHIN: usize = 4;
/// Parameters of a URL that are read.
const PARAMETERS: usize = 128;

/// Schemes of a family, and what a plaintext URL of it is called.
struct Scheme {
    names: &'static [&'static str],
    family: Family,
    kind: &'static str,
}

const SCHEMES: &[Scheme] = &[
    Scheme {
        names: &[
            "postgres",
            "postgresql",
            "pgsql",
            "psql",
            "postgis",
            "timescaledb",
            "cockroachdb",
            "cockroach",
            "redshift",
            "yugabytedb",
        ],
        family: Family::Postgres,
        kind: "a PostgreSQL URL without sslmode=require or better",
    },
    Scheme {
        names: &["mysql", "mysql2", "mysqlx", "mariadb", "mysqli"],
        family: Family::Mysql,
        kind: "a MySQL URL that does not demand TLS",
    },
    Scheme { names: &["mongodb"], family: Family::Mongo, kind: "a MongoDB URL without tls=true" },
    Scheme { names: &["sqlserver", "mssql"], family: Family::SqlServer, kind: "a SQL Server URL without encrypt=true" },
    Scheme { names: &["clickhouse", "ch"], family: Family::Clickhouse, kind: "a ClickHouse URL without secure=true" },
    Scheme { names: &["db2"], family: Family::Db2, kind: "a Db2 URL without sslConnection=true" },
    Scheme {
        names: &["redis", "valkey"],
        family: Family::Scheme,
        kind: "a Redis URL with the scheme redis in place of rediss",
    },
    Scheme {
        names: &["amqp", "pyamqp", "rabbitmq"],
        family: Family::Scheme,
        kind: "an AMQP URL with the scheme amqp in place of amqps",
    },
    Scheme {
        names: &["nats", "nats-route", "nats-leaf"],
        family: Family::Scheme,
        kind: "a NATS URL with the scheme nats in place of tls",
    },
    Scheme { names: &["ldap"], family: Family::Ldap, kind: "an LDAP URL with the scheme ldap in place of ldaps" },
    Scheme {
        names: &["plaintext", "sasl_plaintext", "kafka"],
        family: Family::Scheme,
        kind: "a Kafka listener or broker with the protocol PLAINTEXT or SASL_PLAINTEXT",
    },
    Scheme { names: &["couchbase"], family: Family::Scheme, kind: "a Couchbase URL without TLS" },
    Scheme { names: &["neo4j", "bolt"], family: Family::Scheme, kind: "a Neo4j URL without TLS" },
    Scheme { names: &["mqtt"], family: Family::Scheme, kind: "an MQTT URL without TLS" },
    Scheme { names: &["stomp"], family: Family::Scheme, kind: "a STOMP URL without TLS" },
    Scheme { names: &["pulsar"], family: Family::Scheme, kind: "a Pulsar URL without TLS" },
    Scheme {
        names: &["http"],
        family: Family::Credentials,
        kind: "a URL with credentials and the scheme http in place of https",
    },
    Scheme { names: &["ftp", "ws"], family: Family::Credentials, kind: "a plaintext URL with credentials" },
];

/// Parts of a JDBC scheme behind the name of the database: `jdbc:mysql:replication://`.
const TOPOLOGIES: [&str; 8] =
    ["replication", "loadbalance", "failover", "sequential", "aurora", "pool", "proxy", "native"];
/// Text behind `+` in a scheme that is encrypted: `redis+tls`, `bolt+s`.
const ENCRYPTED: [&str; 7] = ["ssl", "tls", "s", "ssc", "https", "srvs", "wss"];
/// Text behind `+` in a scheme of sockets.
const SOCKETS: [&str; 4] = ["unix", "socket", "ipc", "uds"];

/// The URL that was read at a `://`.
pub(super) struct Read {
    /// The kind of the plaintext connection.
    pub(super) kind: Option<&'static str>,
    /// End of the URL.
    pub(super) end: usize,
}

/// Reads the URL whose `://` is at this position; `None` if its scheme is none of those.
pub(super) fn at(text: &str, at: usize, known: &Known<'_>) -> Option<Read> {
    let before = text.get(..at)?;
    let length = before.bytes().rev().take(SCHEME).take_while(|byte| is_of_scheme(*byte)).count();
    let word = before.get(at - length..)?;
    let read = Prefix::of(word)?;
    let begin = at + "://".len();
    let rest = text.get(begin..)?;
    let length = end_of(rest, read.scheme.family == Family::SqlServer);
    let kind = judge(&read, rest.get(..length)?, known).then_some(read.scheme.kind);
    Some(Read { kind, end: begin + length })
}

/// Text before `://`.
struct Prefix {
    scheme: &'static Scheme,
    is_jdbc: bool,
    is_encrypted: bool,
    is_srv: bool,
}

impl Prefix {
    fn of(word: &str) -> Option<Self> {
        let find = |name: &str| {
            SCHEMES.iter().find(|scheme| scheme.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        let mut pieces = word.rsplit(':').filter(|piece| !TOPOLOGIES.iter().any(|one| one.eq_ignore_ascii_case(piece)));
        let last = pieces.next()?.trim_start_matches(['-', '_', '+']);
        let (base, driver) = last.split_once('+').unwrap_or((last, ""));
        let mut scheme = find(base)?;
        let mut is_jdbc = false;
        for piece in pieces {
            is_jdbc |= ["jdbc", "r2dbc", "r2dbcs"].iter().any(|name| piece.eq_ignore_ascii_case(name));
            // `jdbc:clickhouse:http://`
            if let Some(outer) = find(piece).filter(|outer| outer.family != Family::Credentials) {
                scheme = outer;
            }
            if piece.eq_ignore_ascii_case("r2dbcs") {
                return Some(Self { scheme, is_jdbc, is_encrypted: true, is_srv: false });
            }
        }
        let is =
            |words: &[&str]| driver.split('+').any(|part| words.iter().any(|word| word.eq_ignore_ascii_case(part)));
        let is_srv = is(&["srv"]);
        Some(Self { scheme, is_jdbc, is_encrypted: is(&ENCRYPTED) || is(&SOCKETS), is_srv })
    }
}

fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-_:".contains(&byte)
}

/// The length of a URL behind `://`: up to what no URL holds, or to the next one. A template (`{{ .host }}`) is part of it.
/// A backslash ends it, unless it may be before the instance of a SQL Server.
fn end_of(rest: &str, has_instances: bool) -> usize {
    let bytes = rest.as_bytes();
    let (mut at, mut within, mut is_query, mut is_closed) = (0, 0, false, true);
    while at < bytes.len().min(URL) {
        let here = bytes.get(at..).unwrap_or_default();
        let template =
            [("{{", "}}"), ("${", "}"), ("$(", ")")].iter().find(|(open, _)| here.starts_with(open.as_bytes()));
        if let Some((open, close)) = template.filter(|_| is_closed) {
            // A variable has no long name, and no line break in it.
            let inner = here.get(open.len()..here.len().min(SCHEME * 2)).unwrap_or_default();
            let end = inner.windows(close.len()).position(|window| window == close.as_bytes());
            // It would take quadratic time to look for an end at each of many beginnings.
            is_closed = end.is_some();
            at += end.map_or(open.len(), |end| open.len() + end + close.len());
            continue;
        }
        match here {
            [byte, ..] if byte.is_ascii_whitespace() || byte.is_ascii_control() => break,
            [b'"' | b'\'' | b'`' | b'<' | b'>' | b'|', ..] | [b'\\', b'n' | b'r' | b't' | b'"' | b'\'', ..] => break,
            [b'\\', ..] if !has_instances && !here.starts_with(br"\u0026") => break,
            [b'?', ..] => is_query = true,
            [b':', b'/', b'/', ..] => {
                let word = bytes.get(..at).unwrap_or_default();
                let length = word.iter().rev().take_while(|byte| is_of_scheme(**byte)).count();
                let begin = at - length;
                let is_value = begin.checked_sub(1).and_then(|before| word.get(before)) == Some(&b'=');
                if !is_query || !is_value || within == WITHIN {
                    return rest.floor_char_boundary(begin);
                }
                within += 1;
            }
            _ => {}
        }
        at += 1;
    }
    rest.floor_char_boundary(at.min(rest.len()))
}

/// True if the URL is of a plaintext connection to another host.
fn judge(prefix: &Prefix, rest: &str, known: &Known<'_>) -> bool {
    let family = prefix.scheme.family;
    // A list of URLs and a sentence may go on behind it.
    let rest = without_end(rest);
    let end = end_of_authority(rest);
    let Some((authority, tail)) = rest.split_at_checked(end) else { return false };
    let (user, hosts) = authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    if prefix.is_encrypted {
        return false;
    }
    if family == Family::Credentials {
        let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        let is_masked = |password: &str| password.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.'));
        return password.is_some_and(|password| !is_masked(password)) && is_other(hosts, known);
    }
    let mut parameters = Parameters::new(family);
    let (path, query) = split_tail(tail, family);
    let mut by_parameter = None;
    let mut is_open = false;
    for parameter in
        query.split(['&', ';']).flat_map(|part| part.split(r"\u0026")).filter(|part| !part.is_empty()).take(PARAMETERS)
    {
        let parameter = parameter.strip_prefix("amp;").unwrap_or(parameter);
        let (name, value) = parameter.split_once('=').map_or((parameter, None), |(name, value)| (name, Some(value)));
        is_open |= is_partly_unknown(name);
        parameters.take(name, value, known);
        if ["host", "hostaddr", "servername"].iter().any(|host| host.eq_ignore_ascii_case(name)) {
            by_parameter = value;
        }
    }
    match parameters.said() {
        Said::Tls | Said::Unknown => return false,
        Said::Plaintext => return is_other(by_parameter.unwrap_or(hosts), known),
        Said::Nothing if prefix.is_srv && family == Family::Mongo => return false,
        Said::Nothing => {}
    }
    // StartTLS is an extension of a URL (RFC 4516): `ldap://db.example.com/????!StartTLS`.
    let is_start = || tail.contains("1.3.6.1.4.1.1466.20037") || plain(tail).contains("starttls");
    if family == Family::Ldap && is_start() {
        return false;
    }
    if !matches!(family, Family::Scheme | Family::Ldap) && (is_open || may_go_on(hosts, path, tail)) {
        return false;
    }
    // A listener without a host is one on every address.
    let is_listener = prefix.scheme.names.contains(&"plaintext") && hosts.starts_with(':');
    let has_default = || {
        let is_libpq = family == Family::Postgres && !prefix.is_jdbc;
        is_libpq && known.alike(&["pgsslmode"]).is_some_and(family::demands)
    };
    (is_listener || is_other(by_parameter.unwrap_or(hosts), known)) && !has_default()
}

/// The URL without what ends a sentence, or closes a bracket that was opened before it.
fn without_end(rest: &str) -> &str {
    let count = |mark| rest.bytes().filter(|byte| *byte == mark).count();
    let rest = rest.trim_end_matches([',', ';', '.']);
    let rest = if count(b')') > count(b'(') { rest.trim_end_matches(')') } else { rest };
    let rest = if count(b'}') > count(b'{') { rest.trim_end_matches('}') } else { rest };
    let rest = if count(b']') > count(b'[') { rest.trim_end_matches(']') } else { rest };
    rest.trim_end_matches([',', ';', '.'])
}

fn is_other(hosts: &str, known: &Known<'_>) -> bool {
    host::of_all(hosts.split(','), known) == Host::Other
}

/// The end of user and hosts.
fn end_of_authority(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'{' | b'(' => depth += 1,
            b'}' | b')' => depth = depth.saturating_sub(1),
            b'/' | b'?' | b'#' | b';' if depth == 0 => return at,
            _ => {}
        }
    }
    rest.len()
}

/// Path and parameters. Those of SQL Server follow the host behind `;`, those of Db2 the database behind `:`.
fn split_tail(tail: &str, family: Family) -> (&str, &str) {
    let mark: &[char] = match family {
        Family::SqlServer => &[';', '?'],
        Family::Db2 => &[':', ';', '?'],
        _ => &['?'],
    };
    let (path, query) = tail.split_once(mark).unwrap_or((tail, ""));
    (path, query.split('#').next().unwrap_or_default())
}

/// True if a reference at the end may hold parameters: it is neither a whole host with something behind it, nor the whole name
/// of a database.
fn may_go_on(hosts: &str, path: &str, tail: &str) -> bool {
    if path.len() < tail.len() {
        // Parameters follow.
        return false;
    }
    if let Some((_, name)) = path.rsplit_once('/') {
        return is_partly_unknown(name) && !is_wholly_unknown(name);
    }
    let port = hosts.rsplit_once(':').map_or(hosts, |(_, port)| port);
    let is_port = port.len() < hosts.len() && is_wholly_unknown(port);
    is_partly_unknown(port) && !is_port
}
