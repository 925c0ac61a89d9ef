//! The families of clients: the parameters by which each demands TLS.

use super::known::{Known, plain};

/// A family of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `sslmode` and kin; without it, libpq prefers TLS and does not demand it.
    Postgres,
    /// `tls`, `useSSL`, `sslMode`.
    Mysql,
    /// `tls` or `ssl`.
    Mongo,
    /// `encrypt`.
    SqlServer,
    /// `secure` or `ssl`.
    Clickhouse,
    /// `sslConnection`.
    Db2,
    /// Plaintext by its scheme, which a parameter `ssl` or `tls` changes.
    Scheme,
    /// `StartTLS` anywhere in the URL.
    Ldap,
    /// HTTP and the like: of interest only with a password.
    Credentials,
}

/// Meaning of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// TLS is demanded.
    Tls,
    /// It is not.
    Plaintext,
    /// A reference decides.
    Unknown,
    /// Nothing.
    Nothing,
}

/// Meaning of a parameter, and true if it beats others.
struct Says {
    said: Said,
    is_first: bool,
}

/// Collects what the parameters of a connection say; the last one of a rank counts.
pub(super) struct Parameters {
    family: Family,
    first: Said,
    second: Said,
}

impl Parameters {
    pub(super) fn new(family: Family) -> Self {
        Self { family, first: Said::Nothing, second: Said::Nothing }
    }

    /// Takes a parameter, its name as written.
    pub(super) fn take(&mut self, name: &str, value: Option<&str>, known: &Known<'_>) {
        let name = plain(name);
        let Some(says) = self.family.says(&name, value.unwrap_or("true"), known) else { return };
        if says.is_first {
            self.first = says.said;
        } else if says.said != Said::Nothing {
            self.second = says.said;
        }
    }

    /// Together.
    pub(super) fn said(&self) -> Said {
        if self.first == Said::Nothing { self.second } else { self.first }
    }
}

impl Family {
    fn says(self, name: &str, value: &str, known: &Known<'_>) -> Option<Says> {
        let of = |test: fn(&str) -> Option<bool>, is_first| {
            let said = match known.resolved(value) {
                None => Said::Unknown,
                Some(value) => match test(value.trim_matches(['"', '\'', ' '])) {
                    Some(true) => Said::Tls,
                    Some(false) => Said::Plaintext,
                    None => Said::Nothing,
                },
            };
            Some(Says { said, is_first })
        };
        match (self, name) {
            (Self::Postgres, "sslmode") => of(|value| Some(demands(value)), true),
            (Self::Mysql, "sslmode") => of(|value| Some(demands(value)), true),
            (Self::SqlServer, "encrypt" | "encryption") => {
                of(|value| Some(is_on(value) || is_one(value, &["mandatory", "strict", "require", "required"])), true)
            }
            (Self::SqlServer, "ssl") => of(|value| Some(is_one(value, &["require", "authenticate"])), true),
            (Self::Postgres, "ssl" | "requiressl" | "usessl" | "tls") => {
                of(|value| Some(value.is_empty() || is_on(value) || demands(value)), false)
            }
            (Self::Postgres, "sslrootcert") => of(|value| is_one(value, &["system"]).then_some(true), false),
            (Self::Postgres, "channelbinding" | "gssencmode") => {
                of(|value| is_one(value, &["require"]).then_some(true), false)
            }
            (Self::Mysql, "tls" | "ssl" | "usessl" | "requiressl" | "usetls" | "tlsmode") => {
                of(|value| Some(!is_off(value) && !is_one(value, &["preferred", "prefer"])), false)
            }
            (
                Self::Mysql,
                "sslca" | "sslcapath" | "sslcert" | "sslkey" | "sslaccept" | "servercertificate" | "sslverifycert",
            ) => of(|value| (!is_off(value) && !value.is_empty()).then_some(true), false),
            (Self::Mongo, "tls" | "ssl") => of(|value| Some(is_on(value)), false),
            (Self::Mongo, "tlscafile" | "tlscertificatekeyfile" | "sslcacerts") => {
                of(|value| (!value.is_empty()).then_some(true), false)
            }
            (Self::Clickhouse, "secure" | "ssl" | "tls") => of(|value| Some(is_on(value)), false),
            (Self::Clickhouse, "protocol") => of(|value| Some(is_one(value, &["https", "grpcs"])), false),
            (Self::Db2, "sslconnection") => of(|value| Some(is_on(value)), false),
            (Self::Db2, "security") => of(|value| Some(is_one(value, &["ssl"])), false),
            (Self::Scheme | Self::Ldap, "ssl" | "tls" | "usessl" | "usetls" | "starttls") => {
                of(|value| Some(is_on(value)), false)
            }
            _ => None,
        }
    }
}

/// True for an `sslmode` of any client that never falls back to plaintext.
pub(super) fn demands(value: &str) -> bool {
    let modes = ["require", "required", "verifyca", "verifyfull", "verifyidentity", "noverify", "trust", "strict"];
    value.len() < 32 && is_one(&plain(value), &modes)
}

/// True for an `sslmode` of any client that allows plaintext.
pub(super) fn allows(value: &str) -> bool {
    is_off(value) || is_one(value, &["allow", "prefer", "preferred"])
}

fn is_on(value: &str) -> bool {
    is_one(value, &["true", "1", "yes", "on", "enabled", "enable", "t", "y"])
}

fn is_off(value: &str) -> bool {
    is_one(value, &["false", "0", "no", "off", "none", "disable", "disabled", "f", "n"])
}

fn is_one(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}
