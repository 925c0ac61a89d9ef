//! Secrets in the words of a command, which say less about themselves than texts do.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{NAME, redact};

/// Clients that take a password attached to `-p`, and that word. A command is one text with a word a line, and a script is one
/// of its words.
static ATTACHED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let client = r"(?:mysql\w*|mariadb[\w-]*|sshpass|mongo\w*|cqlsh|ldap\w+)";
    let space = r"(?:\s|\\[nrt])";
    Regex::new(&format!(r#"(?P<k>(?:^|[\s/;&|("']|\\[nrt]){client}{space}(?:[^;&|]*?{space})?-p)(?P<v>[^\s"'\\;&|]+)"#))
        .ok()
});

/// A word that speaks of a secret, or what stands for one that is gone already. In quotation marks a word ends there.
static SPEAKING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"(?i)\[redacted[a-z -]*\]|[^\s"'\\;&|=:()]*{NAME}[^\s"'\\;&|]*"#)).ok());

/// The words of a command, one a line, without secrets.
pub(crate) fn command(words: &str) -> String {
    let clean = redact(words);
    let Some((attached, speaking)) = ATTACHED.as_ref().zip(SPEAKING.as_ref()) else { return "[redacted]".to_owned() };
    let clean = attached.replace_all(&clean, "$k[redacted]");
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
    LazyLock::force(&ATTACHED);
    LazyLock::force(&SPEAKING);
}
