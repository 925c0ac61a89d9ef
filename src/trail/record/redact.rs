//! Redaction of texts and names before they are chained: secrets are taken out ([`crate::redaction`]), and identities
//! become pseudonyms where the configuration says so.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::digest::hex;
use crate::redaction;

/// Bytes of a pseudonym's HMAC that are kept.
const PSEUDONYM: usize = 16;
/// The least that a key for pseudonyms may have.
const KEY: usize = 32;

/// Redaction of texts and names before they are chained.
#[derive(Default)]
pub struct Redaction {
    is_off: bool,
    /// Key that makes pseudonyms of identities.
    pseudonyms: Option<hmac::Key>,
}

/// Reason why the key for pseudonyms cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymKeyError {
    /// Its file could not be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Its file holds too little.
    #[error("{}: must hold at least {KEY} bytes: openssl rand -hex 32 makes some", .0.display())]
    Short(PathBuf),
}

impl Redaction {
    /// Redaction of texts unless it is off, and pseudonyms for identities with the key in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds too little.
    pub fn new(is_off: bool, key: Option<&Path>) -> Result<Self, PseudonymKeyError> {
        redaction::prepare();
        let Some(file) = key else { return Ok(Self { is_off, pseudonyms: None }) };
        let bytes =
            std::fs::read(file).map_err(|source| PseudonymKeyError::Unreadable { file: file.to_owned(), source })?;
        let bytes = bytes.trim_ascii_end();
        if bytes.len() < KEY {
            return Err(PseudonymKeyError::Short(file.to_owned()));
        }
        Ok(Self { is_off, pseudonyms: Some(hmac::Key::new(HMAC_SHA256, bytes)) })
    }

    /// A text that quotes what somebody wrote.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        redaction::clean(text, !self.is_off)
    }

    /// The words of a command. Beside what is left out of any text: the word behind an option that names a secret, what
    /// is attached to `-p` of clients that take a password there, and words that speak of a secret themselves and name
    /// no file. A line break in a word is escaped. There may be fewer words afterwards.
    pub fn command(&self, words: &[Cow<'_, str>]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| word.replace('\n', "\\n").replace('\r', "\\r")).collect();
        if self.is_off || words.is_empty() {
            return words;
        }
        redaction::command(&words.join("\n")).split('\n').map(str::to_owned).collect()
    }

    /// Returns true if identities become pseudonyms.
    pub fn makes_pseudonyms(&self) -> bool {
        self.pseudonyms.is_some()
    }

    /// A text that is redacted already, and quotes what somebody wrote about these names: where they are pseudonyms, they
    /// are that in its quotation marks and brackets too.
    pub fn quoting<'t>(&self, text: &'t str, names: &[&str]) -> Cow<'t, str> {
        if self.pseudonyms.is_none() { Cow::Borrowed(text) } else { Cow::Owned(self.replaced(text, names)) }
    }

    fn replaced(&self, text: &str, names: &[&str]) -> String {
        let mut replaced = String::with_capacity(text.len());
        let (mut is_quoted, mut last) = (false, ' ');
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
            let begins = |name: &&&str| {
                let after = rest.strip_prefix(**name).map(|after| after.chars().next());
                !name.is_empty() && after.is_some_and(|after| !is_word(after) || !is_word(name.chars().last()))
            };
            let is_apart = |name: &&&str| !is_word(Some(last)) || !is_word(name.chars().next());
            let found = names.iter().filter(begins).filter(is_apart).max_by_key(|name| name.len());
            if let (true, Some(name)) = (is_quoted, found) {
                replaced += &self.identity(name);
                last = name.chars().last().unwrap_or(' ');
                rest = &rest[name.len()..];
                continue;
            }
            match next {
                '"' if last != '\\' => is_quoted = !is_quoted,
                '[' => is_quoted = true,
                ']' => is_quoted = false,
                _ => {}
            }
            replaced.push(next);
            last = next;
            rest = &rest[next.len_utf8()..];
        }
        replaced
    }

    /// The name of a namespace or an object, which is whatever a caller wrote.
    pub fn name<'t>(&self, name: &'t str) -> Cow<'t, str> {
        if self.pseudonyms.is_some() { self.identity(name) } else { self.text(name) }
    }

    /// A name that somebody else vouches for: of a user or a group. Many are e-mail addresses, and say who did it.
    pub fn identity<'t>(&self, name: &'t str) -> Cow<'t, str> {
        match &self.pseudonyms {
            Some(key) if !name.is_empty() => {
                let tag = hmac::sign(key, name.as_bytes());
                Cow::Owned(format!("hmac:{}", hex(&tag.as_ref()[..PSEUDONYM])))
            }
            _ => Cow::Borrowed(name),
        }
    }
}
