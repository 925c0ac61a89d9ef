//! The access in a record of class `access`: the container, and the command that runs in it, or the token.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;

use super::event::{cut, is_zero};
use super::redact::Redaction;
use crate::bound::Room;
use crate::object::EphemeralContainer;
use crate::object::resource::TokenRequest;
use crate::redaction::shortened;
use crate::request::{Operation, Request};

/// Maximum number of accesses of one request in a record: an update may add several ephemeral containers.
const ACCESSES: usize = 4;
/// Maximum number of words of a command in a record, and of characters of one word.
const WORDS: usize = 32;
const WORD: usize = 256;
/// Bytes of all commands of a record, and the place that each word has in any case. There is no patch beside them.
const COMMANDS_BYTES: usize = 8 << 10;
const LEAST: usize = 32;
/// Bytes of the name of a container, and of the path of a proxy.
const NAME: usize = 256;
const PATH: usize = 512;
/// Maximum number of ports of a port-forward in a record, and of audiences of a token.
const PORTS: usize = 16;
const AUDIENCES: usize = 4;

/// One access.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Access {
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    command_omitted: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<i32>,
    /// Further ephemeral containers that the same update adds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Self>,
    #[serde(skip_serializing_if = "is_zero")]
    others_omitted: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
}

/// A token that is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    expiration_seconds: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
    /// The object that it is bound to, as `Pod/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_to: Option<String>,
}

impl Access {
    /// The access that a request asks for; `None` if it asks for none, or cannot be read.
    pub(super) fn of(request: &Request<'_>, redaction: &Redaction) -> Option<Self> {
        match request.operation {
            Operation::Connect => Self::connect(request, redaction),
            _ if request.is_for_token() => Self::token(request, redaction),
            _ if request.is_access() => Self::ephemeral(request, redaction),
            _ => None,
        }
    }

    fn connect(request: &Request<'_>, redaction: &Redaction) -> Option<Self> {
        let options = request.connect_options()?;
        let text = |text: &str, most| bounded(redaction, text, most);
        Some(Self {
            container: options.container().map(|name| text(name, NAME)),
            command: command(redaction, options.command(), COMMANDS_BYTES),
            command_omitted: options.words().saturating_sub(WORDS),
            stdin: Some(options.stdin()),
            tty: Some(options.tty()),
            path: options.path().map(|path| text(path, PATH)),
            ports: options.ports().take(PORTS).collect(),
            ..Self::default()
        })
    }

    fn ephemeral(request: &Request<'_>, redaction: &Redaction) -> Option<Self> {
        let old = request.old.map(|old| EphemeralContainer::of(old).collect::<Vec<_>>()).unwrap_or_default();
        let known: HashSet<&str> = old.iter().map(EphemeralContainer::name).collect();
        let mut added = EphemeralContainer::of(request.sent?).filter(|container| !known.contains(container.name()));
        let access = |container: EphemeralContainer<'_>| Self {
            container: Some(bounded(redaction, container.name(), NAME)),
            command: command(redaction, container.command(), COMMANDS_BYTES / ACCESSES),
            command_omitted: container.words().saturating_sub(WORDS),
            stdin: Some(container.stdin()),
            tty: Some(container.tty()),
            ..Self::default()
        };
        let first = access(added.next()?);
        let others = added.by_ref().take(ACCESSES - 1).map(access).collect();
        Some(Self { others, others_omitted: added.count(), ..first })
    }

    fn token(request: &Request<'_>, redaction: &Redaction) -> Option<Self> {
        let asked = request.object_as::<TokenRequest<'_>>()?;
        let bound_to = |(kind, name): (&str, &str)| {
            let (kind, name) = (bounded(redaction, kind, NAME), redaction.name(cut(name)));
            format!("{kind}/{}", Room::new(NAME, 1, 0).text(name, NAME))
        };
        let token = Token {
            expiration_seconds: asked.seconds(),
            audiences: asked.audiences().take(AUDIENCES).map(|name| bounded(redaction, name, NAME)).collect(),
            bound_to: asked.bound_to().map(bound_to),
        };
        Some(Self { token: Some(token), ..Self::default() })
    }
}

/// A text, redacted, of at most so many bytes of JSON.
fn bounded(redaction: &Redaction, text: &str, most: usize) -> String {
    let text = shortened(text, WORD);
    Room::new(most, 1, 0).text(redaction.text(&text), most).into_owned()
}

/// The first words of a command, redacted, within so many bytes of JSON.
fn command<'c>(redaction: &Redaction, words: impl Iterator<Item = &'c str>, bytes: usize) -> Vec<String> {
    let words: Vec<Cow<'_, str>> = words.take(WORDS).map(|word| shortened(word, WORD)).collect();
    let words = redaction.command(&words);
    let mut room = Room::new(bytes, words.len(), LEAST);
    words.into_iter().map(|word| room.text(word.into(), bytes).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS_BYTES, WORDS, command};
    use crate::trail::record::Redaction;

    fn said(words: &[&str]) -> Vec<String> {
        command(&Redaction::default(), words.iter().copied(), COMMANDS_BYTES)
    }

    #[test]
    fn a_secret_is_left_out_of_a_command_and_the_rest_is_told() {
        for (words, expected) in [
            (&["sh"][..], &["sh"][..]),
            (&["ls", "-la", "/var/run/secrets"], &["ls", "-la", "/var/run/secrets"]),
            (&["mysql", "--password", "hunter2", "shop"], &["mysql", "--password", "[redacted]", "shop"]),
            (&["mysql", "--password=hunter2"], &["mysql", "--password=[redacted]"]),
            (&["mysqldump", "-phunter2", "shop"], &["mysqldump", "-p[redacted]", "shop"]),
            (&["/usr/bin/sshpass", "-phunter2"], &["/usr/bin/sshpass", "-p[redacted]"]),
            (
                &["sshpass", "-p", "hunter2", "ssh", "-p", "22", "a"],
                &["sshpass", "-p", "[redacted]", "ssh", "-p", "22", "a"],
            ),
            (&["mongosh", "-u", "root", "-p", "hunter2"], &["mongosh", "-u", "root", "-p", "[redacted]"]),
            (&["mongodump", "-p", "hunter2"], &["mongodump", "-p", "[redacted]"]),
            (&["cqlsh", "-u", "a", "-p", "hunter2"], &["cqlsh", "-u", "a", "-p", "[redacted]"]),
            (&["redis-cli", "-a", "hunter2", "ping"], &["redis-cli", "-a", "[redacted]", "ping"]),
            (&["redis-cli", "--pass", "hunter2"], &["redis-cli", "--pass", "[redacted]"]),
            (
                &["ldapsearch", "-p", "389", "-D", "cn=x", "-w", "hunter2"],
                &["ldapsearch", "-p", "389", "-D", "cn=x", "-w", "[redacted]"],
            ),
            (&["docker", "login", "-u", "a", "-p", "hunter2"], &["docker", "login", "-u", "a", "-p", "[redacted]"]),
            (&["docker", "run", "-p", "80:80", "web"], &["docker", "run", "-p", "80:80", "web"]),
            (&["openssl", "rsa", "-passin", "pass:hunter2"], &["openssl", "rsa", "-passin", "pass:[redacted]"]),
            (&["smbclient", "-U", "jane%hunter2", "//a/b"], &["smbclient", "-U", "jane%[redacted]", "//a/b"]),
            (&["sqlcmd", "-U", "sa", "-P", "hunter2"], &["sqlcmd", "-U", "sa", "-P", "[redacted]"]),
            (&["rabbitmqctl", "add_user", "jane", "hunter2"], &["rabbitmqctl", "add_user", "jane", "[redacted]"]),
            (
                &["/bin/htpasswd", "-b", "file", "jane", "hunter2"],
                &["/bin/htpasswd", "-b", "file", "jane", "[redacted]"],
            ),
            (&["sh", "-c", "sshpass -p 'hunter2' ssh a"], &["sh", "-c", "sshpass -p '[redacted]' ssh a"]),
            (&["mkdir", "-p", "a"], &["mkdir", "-p", "a"]),
            (&["env", "PGPASSWORD=hunter2", "psql"], &["env", "PGPASSWORD=[redacted]", "psql"]),
            (
                &["sh", "-c", "TOKEN=hunter2 run\nmysql -phunter2"],
                &["sh", "-c", "TOKEN=[redacted] run\\nmysql -p[redacted]"],
            ),
            (
                &["curl", "-H", "Authorization: Bearer abc.def", "https://x"],
                &["curl", "-H", "Authorization: [redacted]", "https://x"],
            ),
            (&["curl", "-u", "admin:hunter2", "x"], &["curl", "-u", "admin:[redacted]", "x"]),
            (&["echo", "SECRET-CANARY"], &["echo", "[redacted]"]),
            (&["psql", "postgres://app:hunter2@db/x"], &["psql", "postgres://[redacted]@db/x"]),
        ] {
            assert_eq!(said(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_command_is_bounded() {
        let long = "\u{1}".repeat(100_000);
        let words = vec![long.as_str(); 1_000];
        let said = said(&words);
        let bytes = serde_json::to_vec(&said).expect("JSON").len();
        assert!(said.len() <= WORDS && bytes <= COMMANDS_BYTES + 3 * WORDS + 2, "{} {bytes}", said.len());
    }
}
