//! Secrets in the path of a review (`/validate/TOKEN`), for API servers without a client certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::digest::sha256;
use crate::files::{self, FileWatch};

/// Warning at a start with tokens. The README says the same at greater length.
pub const LEAK: &str = "--path-token-file puts a secret into a URL: while this server does not answer, the API server shows it \
                        to everybody who creates a Pod, and writes it into its log and its audit log; prefer, in this order, \
                        client certificates, the API server's own token where it can send one, source addresses";

/// Minimum length of a token, in bytes.
const LEAST: usize = 32;
/// Tokens that count at once: the new one, and the old one until every API server has the new one.
const MOST: usize = 2;

/// Hexadecimal digits of a token's SHA-256 that name it in records: enough to tell tokens apart, and no help to find one.
const FINGERPRINT: usize = 16;

/// The digests of the tokens that count now.
#[derive(Clone)]
pub struct Tokens {
    file: PathBuf,
    accepted: Arc<ArcSwap<Vec<String>>>,
}

/// A file of tokens that cannot be used. No token is quoted.
#[derive(Debug, thiserror::Error)]
#[error("--path-token-file {}: {problem}", file.display())]
pub struct TokensError {
    file: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    #[error("must be text")]
    NotText(#[from] std::string::FromUtf8Error),
    #[error("must hold one token, or the new and the old one, one a line")]
    Count,
    #[error("a token must be at least {LEAST} letters, digits, - . _ or ~: openssl rand -hex 32 makes one")]
    Malformed,
}

impl Tokens {
    /// Reads a file of one token, or of two, one a line.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(file: &Path) -> Result<Self, TokensError> {
        let accepted = Arc::new(ArcSwap::from_pointee(load(file, std::fs::read(file))?));
        Ok(Self { file: file.to_owned(), accepted })
    }

    /// The fingerprint of `token`, if it counts. Takes as long for a token that begins well as for any other.
    pub(super) fn accept(&self, token: &str) -> Option<Arc<str>> {
        let shown = sha256(token.as_bytes());
        let counts = self
            .accepted
            .load()
            .iter()
            .any(|known| verify_slices_are_equal(known.as_bytes(), shown.as_bytes()).is_ok());
        counts.then(|| format!("sha256:{}", &shown[..FINGERPRINT]).into())
    }

    /// Follows the file. One that cannot be used keeps the last good tokens.
    pub async fn watch(self) {
        let watch = FileWatch::new([self.file.as_path()]);
        loop {
            watch.changed().await;
            let Some(read) = files::read(&self.file) else { continue };
            match load(&self.file, read) {
                Ok(tokens) if tokens != **self.accepted.load() => {
                    tracing::info!(tokens = tokens.len(), "the path tokens were replaced");
                    self.accepted.store(Arc::new(tokens));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the changed path tokens cannot be used; the last good ones count");
                }
            }
        }
    }
}

fn load(file: &Path, read: io::Result<Vec<u8>>) -> Result<Vec<String>, TokensError> {
    parse(read).map_err(|problem| TokensError { file: file.to_owned(), problem })
}

/// The digests of the tokens in a file.
fn parse(read: io::Result<Vec<u8>>) -> Result<Vec<String>, Problem> {
    let text = String::from_utf8(read?)?;
    let tokens: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if tokens.is_empty() || tokens.len() > MOST {
        return Err(Problem::Count);
    }
    // RFC 3986, 2.3: what stands in a path as it is.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if tokens.iter().any(|token| token.len() < LEAST || !token.bytes().all(is_plain)) {
        return Err(Problem::Malformed);
    }
    Ok(tokens.into_iter().map(|token| sha256(token.as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::Tokens;

    #[test]
    fn one_token_or_two_count_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens");
        let (new, old) = ("n".repeat(32), "o".repeat(40));
        std::fs::write(&file, format!("{new}\n{old}\n")).expect("written");
        let tokens = Tokens::read(&file).expect("tokens");
        let fingerprint = |token: &str| tokens.accept(token).map(|name| name.to_string());
        assert_eq!(fingerprint(&new).as_deref(), Some(&*format!("sha256:{}", &super::sha256(new.as_bytes())[..16])));
        assert!(fingerprint(&old).is_some() && fingerprint(&old) != fingerprint(&new));
        assert!(tokens.accept("").is_none() && tokens.accept(&new[..31]).is_none());
        for wrong in [String::new(), "short\n".to_owned(), format!("{new}/\n"), format!("{new}\n{old}\n{new}\n")] {
            std::fs::write(&file, &wrong).expect("written");
            let error = Tokens::read(&file).err().expect("refused").to_string();
            assert!(!error.contains(&new), "{error}");
        }
    }
}
