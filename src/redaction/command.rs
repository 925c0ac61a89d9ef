//! Secrets in the words of a command, which say less about themselves than texts do.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{NAME, redact};

/// Clients, and what stands before a password in their commands. `~` is the space between two words.
const BEFORE: [(&str, &str); 11] = [
    // Of these the password is attached to the option: the next word is something else.
    (r"(?:mysql\w*|mariadb[\w-]*|7za?|7zr)", "-p"),
    (r"(?:sshpass|mongo\w*|cqlsh|influx)", "-p~?"),
    // `docker login`, `helm registry login` and kin.
    ("login", "-p~?"),
    (r"(?:sqlcmd|bcp|zip|unzip|ipmitool)", "-P~?"),
    (r"(?:redis|valkey|keydb)-cli", "(?:-a~?|--pass~)"),
    (r"ldap\w+", "-w~?"),
    (r"(?:nodetool|plink|pscp|psftp)", "-pw~?"),
    (r"(?:smbclient|rpcclient)", r"(?:-U~?|--user(?:=|~))[^\s%]*%"),
    (r"rabbitmqctl", r"(?:add_user|change_password|authenticate_user)~[^\s\\]+~"),
    (r"htpasswd", r"-\w*b\w*~(?:[^\s\\]+~){1,2}"),
    (r"openssl", "pass:"),
];

/// Patterns of [`BEFORE`], with the password behind it. A command is one text with a word a line, and a script is one of its words.
static CLIENTS: LazyLock<Option<Vec<Regex>>> = LazyLock::new(|| {
    const SPACE: &str = r"(?:(?:\s|\\[nrt])+)";
    let pattern = |(client, before): &(&str, &str)| {
        let before = before.replace('~', SPACE);
        let text = format!(
            r#"(?P<k>(?:^|[\s/;&|("'`]|\\[nrt]){client}{SPACE}(?:[^;&|]*?{SPACE})??{before}["']?)(?P<v>[^\s"'\\;&|]+)"#
        );
        Regex::new(&text).ok()
    };
    BEFORE.iter().map(pattern).collect()
});

/// A word that speaks of a secret, or what stands for one that is gone already. In quotation marks a word ends there.
static SPEAKING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"(?i)\[redacted[a-z -]*\]|[^\s"'\\;&|=:()]*{NAME}[^\s"'\\;&|]*"#)).ok());

/// The words of a command, one a line, without secrets.
pub(crate) fn command(words: &str) -> String {
    let clean = redact(words);
    let Some((clients, speaking)) = CLIENTS.as_ref().zip(SPEAKING.as_ref()) else { return "[redacted]".to_owned() };
    let mut clean = clean.into_owned();
    for client in clients {
        if let Cow::Owned(cleaner) = client.replace_all(&clean, "$k[redacted]") {
            clean = cleaner;
        }
    }
    let spoken = speaking.replace_all(&clean, |found: &Captures<'_>| {
        let word = &found[0];
        // An option or a name whose value is gone already, or a file.
        let stays = word.starts_with('-') || word.contains('/') || word.contains("[redacted");
        let name = word.trim_end_matches([':', '=']);
        if stays || name.len() < word.len() { word.to_owned() } else { "[redacted]".to_owned() }
    });
    spoken.into_owned()
}

/// Compiles the patterns.
pub(super) fn prepare() {
    LazyLock::force(&CLIENTS);
    LazyLock::force(&SPEAKING);
}
