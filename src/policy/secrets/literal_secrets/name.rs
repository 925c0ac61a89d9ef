//! Names that say that their value is a credential: `DB_PASSWORD`, `clientSecret`, `--api-key`, `sentinel.auth.token`.

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The kind of credential, as messages say it.
    pub(super) kind: &'static str,
    /// True if every value is a credential; otherwise the value has to look like one.
    pub(super) is_plain: bool,
    /// True if a UUID under this name is a credential.
    pub(super) takes_uuid: bool,
    /// True for a user and a password in base64 (`auth` of `.dockerconfigjson`).
    pub(super) is_auth: bool,
}

const PASSWORD: Name = Name { kind: "a password", is_plain: true, takes_uuid: true, is_auth: false };
const KEY: Name = Name { kind: "a key", is_plain: false, takes_uuid: true, is_auth: false };
const SECRET: Name = Name { kind: "a secret value", is_plain: false, takes_uuid: true, is_auth: false };
const TOKEN: Name = Name { kind: "a token", is_plain: false, takes_uuid: false, is_auth: false };
const CREDENTIALS: Name = Name { kind: "credentials", is_plain: false, takes_uuid: false, is_auth: false };
const AUTH: Name = Name { kind: "a user and a password", is_plain: false, takes_uuid: false, is_auth: true };

/// Ends of names, whatever is before them.
const ENDS: [(&str, Name); 17] = [
    ("password", PASSWORD),
    ("passwd", PASSWORD),
    ("bindpw", PASSWORD),
    ("passphrase", PASSWORD),
    ("passwort", PASSWORD),
    ("passcode", PASSWORD),
    ("secret", SECRET),
    ("token", TOKEN),
    ("apikey", KEY),
    ("secretkey", KEY),
    ("accesskey", KEY),
    ("privatekey", KEY),
    ("credentials", CREDENTIALS),
    ("credential", CREDENTIALS),
    ("creds", CREDENTIALS),
    ("authkey", KEY),
    ("erlang_cookie", SECRET),
];
/// Whole words at the end: other words end like them (`bypass`).
const WORDS: [(&str, Name); 5] =
    [("pass", PASSWORD), ("pwd", PASSWORD), ("pw", PASSWORD), ("psk", KEY), ("auth", AUTH)];
/// What is joined with `pass` and `pwd` to one word.
const JOINED: [&str; 12] =
    ["db", "pg", "mysql", "root", "user", "admin", "smtp", "redis", "require", "mail", "ldap", "my"];
/// Words before `key` that make it a credential.
const KEYS: [&str; 36] = [
    "api",
    "secret",
    "access",
    "private",
    "encryption",
    "encrypt",
    "signing",
    "sign",
    "master",
    "account",
    "auth",
    "shared",
    "storage",
    "license",
    "client",
    "session",
    "cookie",
    "crypto",
    "cipher",
    "jwt",
    "hmac",
    "aes",
    "app",
    "service",
    "deploy",
    "admin",
    "function",
    "subscription",
    "ingest",
    "write",
    "integration",
    "application",
    "preshared",
    "hash",
    "sas",
    "webhook",
];
/// Words that may follow.
const AFTER: [&str; 21] = [
    "base",
    "value",
    "string",
    "b64",
    "base64",
    "plain",
    "plaintext",
    "dev",
    "prod",
    "production",
    "test",
    "staging",
    "default",
    "old",
    "new",
    "primary",
    "secondary",
    "current",
    "previous",
    "ro",
    "rw",
];
/// The last two letters of all those.
const LAST: [&[u8; 2]; 16] =
    [b"th", b"rd", b"wd", b"se", b"rt", b"de", b"et", b"en", b"ey", b"ls", b"al", b"ds", b"ie", b"ss", b"pw", b"sk"];
/// Bytes of the longest name that is read.
const LONGEST: usize = 256;

/// What a name says of its value; `None` for a name that says nothing.
pub(super) fn read(name: &str) -> Option<Name> {
    if name.len() > LONGEST {
        return None;
    }
    let name = name.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    ending(name).or_else(|| ending(without_addition(name)?))
}

/// The name without a number, or without one of the words that may follow: `PASSWORD_2`, `tokenValue`.
fn without_addition(name: &str) -> Option<&str> {
    let added = |after: &&str| without_end(name, after).filter(|before| begins_word(name, before.len()));
    let number = || Some(name.trim_end_matches(|character: char| character.is_ascii_digit()));
    let before = AFTER.iter().find_map(added).or_else(number).filter(|before| before.len() < name.len())?;
    Some(before.trim_end_matches(is_separator))
}

fn ending(name: &str) -> Option<Name> {
    // Most names end otherwise.
    let last = name.as_bytes().last_chunk::<2>()?.map(|byte| byte.to_ascii_lowercase());
    if !LAST.contains(&&last) || name == "PWD" || name == "OLDPWD" {
        return None;
    }
    for (end, read) in ENDS {
        if without_end(name, end).is_some() {
            return Some(read);
        }
    }
    for (word, read) in WORDS {
        let Some(before) = without_end(name, word) else { continue };
        let is_joined = || word != "auth" && JOINED.iter().any(|joined| before.eq_ignore_ascii_case(joined));
        let is_word = begins_word(name, before.len()) || is_joined();
        if is_word && (word != "auth" || before.is_empty()) {
            return Some(read);
        }
    }
    let before = without_end(name, "key").filter(|before| begins_word(name, before.len()))?;
    let before = before.trim_end_matches(is_separator);
    let qualifies = |word: &&&str| without_end(before, word).is_some_and(|rest| begins_word(before, rest.len()));
    KEYS.iter().find(qualifies).map(|_| KEY)
}

fn is_separator(character: char) -> bool {
    matches!(character, '_' | '-' | '.' | '/' | ':')
}

/// The text before an ending, which may be in capitals.
fn without_end<'n>(name: &'n str, end: &str) -> Option<&'n str> {
    let at = name.len().checked_sub(end.len())?;
    let (before, last) = name.split_at_checked(at)?;
    last.eq_ignore_ascii_case(end).then_some(before)
}

/// True if a word begins there: behind a separator, or with a capital behind a small letter.
fn begins_word(name: &str, at: usize) -> bool {
    let bytes = name.as_bytes();
    let Some(before) = at.checked_sub(1).and_then(|before| bytes.get(before)) else { return true };
    let first = bytes.get(at).copied().unwrap_or(b' ');
    !before.is_ascii_alphabetic() || before.is_ascii_lowercase() && first.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_name_is_read_by_its_end() {
        for (name, kind) in [
            ("DB_PASSWORD", "a password"),
            ("PGPASSWORD", "a password"),
            ("dbPass", "a password"),
            ("requirepass", "a password"),
            ("MYSQL_PWD", "a password"),
            ("admin.password", "a password"),
            ("PASSWORD_2", "a password"),
            ("clientSecret", "a secret value"),
            ("SECRET_KEY_BASE64", "a key"),
            ("AWS_SECRET_ACCESS_KEY", "a key"),
            ("X-Api-Key", "a key"),
            ("AccountKey", "a key"),
            ("--auth-token", "a token"),
            ("_authToken", "a token"),
            ("GOOGLE_CREDENTIALS", "credentials"),
            ("auth", "a user and a password"),
        ] {
            assert_eq!(read(name).map(|name| name.kind), Some(kind), "{name}");
        }
        for name in [
            "",
            "PASSWORD_FILE",
            "TOKEN_TTL",
            "SECRET_NAME",
            "bypass",
            "compass",
            "PWD",
            "public-key",
            "primaryKey",
            "monkey",
            "MAX_TOKENS",
            "password_min_length",
            "oauth",
            "basic-auth",
            "existingSecretName",
            "sort_key",
            "KEY",
            "privateKeyPath",
            "tokens",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
