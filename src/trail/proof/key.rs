//! Ed25519 keys of the C2SP signed-note format: one signs checkpoints, the others tell whether it did.

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use crate::digest::hex;

/// The algorithm byte of Ed25519 (<https://c2sp.org/signed-note>).
const ED25519_NOTE: u8 = 0x01;
/// Bytes of a key's id.
const ID: usize = 4;

/// Reason why a key cannot be used. The key itself is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It could not be read.
    #[error("{file}: {message}")]
    Unreadable {
        /// The file.
        file: String,
        /// The error.
        message: String,
    },
    /// Not an Ed25519 key in PKCS#8 PEM.
    #[error("{0}: must be an Ed25519 private key in PEM (PKCS#8): openssl genpkey -algorithm ed25519 makes one")]
    Private(String),
    /// Not a verifier key.
    #[error("must be a verifier key NAME+ID+KEY, as `portcullis trail key FILE` prints it")]
    Verifier,
}

/// A key that signs, under a name.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

/// A key that verifies: the encoding `name+id+key` of the signed-note format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; ID],
    key: Vec<u8>,
}

impl Signer {
    /// Reads a private key, PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`KeyError`] for a file that cannot be read, or holds something else.
    pub fn read(file: &Path, name: &str) -> Result<Self, KeyError> {
        Self::of(std::fs::read(file), file, name)
    }

    /// The key that was read from a file.
    ///
    /// # Errors
    /// [`KeyError`] for a file that could not be read, or holds something else.
    pub(crate) fn of(read: std::io::Result<Vec<u8>>, file: &Path, name: &str) -> Result<Self, KeyError> {
        let shown = file.display().to_string();
        let pem = read.map_err(|error| KeyError::Unreadable { file: shown.clone(), message: error.to_string() })?;
        Self::from_pem(&pem, name).ok_or(KeyError::Private(shown))
    }

    /// The key in a PEM text; `None` when there is none of Ed25519.
    pub fn from_pem(pem: &[u8], name: &str) -> Option<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).ok()?;
        Some(Self { name: name.to_owned(), pair })
    }

    /// The key that verifies what this one signs.
    pub fn verifier(&self) -> Verifier {
        let key = self.pair.public_key().as_ref().to_vec();
        Verifier { id: key_id(&self.name, &key), name: self.name.clone(), key }
    }

    /// The signature line of a note's text, which ends with a newline.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let mut bytes = self.verifier().id.to_vec();
        bytes.extend_from_slice(signature.as_ref());
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signer({})", self.verifier())
    }
}

/// A signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature<'n> {
    name: &'n str,
    id: [u8; ID],
    bytes: Vec<u8>,
}

impl<'n> Signature<'n> {
    /// Reads a line; `None` when it is not a signature.
    pub(super) fn read(line: &'n str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        Some(Self { name, id: *id, bytes: bytes.to_vec() })
    }

    /// Returns true if it names this key as its maker.
    pub(super) fn is_by(&self, key: &Verifier) -> bool {
        self.name == key.name && self.id == key.id
    }
}

/// As verifier keys begin: `name+id`.
impl fmt::Display for Signature<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}+{}", self.name.escape_debug(), hex(&self.id))
    }
}

impl Verifier {
    /// Returns true if this key made one of a note's signature lines over its text.
    pub fn verifies(&self, text: &str, signatures: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        let mut own = signatures.lines().filter_map(Signature::read).filter(|signature| signature.is_by(self));
        own.any(|signature| key.verify(text.as_bytes(), &signature.bytes).is_ok())
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_NOTE];
        key.extend_from_slice(&self.key);
        write!(out, "{}+{}+{}", self.name, hex(&self.id), STANDARD.encode(key))
    }
}

impl std::str::FromStr for Verifier {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Verifier);
        };
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::Verifier)?;
        let key = bytes.strip_prefix(&[ED25519_NOTE]).filter(|key| key.len() == 32).ok_or(KeyError::Verifier)?;
        let verifier = Self { name: name.to_owned(), id: key_id(name, key), key: key.to_vec() };
        if name.is_empty() || hex(&verifier.id) != id { Err(KeyError::Verifier) } else { Ok(verifier) }
    }
}

/// The first four bytes of SHA-256 over name, newline, algorithm and key.
fn key_id(name: &str, key: &[u8]) -> [u8; ID] {
    let mut bytes = Vec::from(name.as_bytes());
    bytes.extend_from_slice(&[b'\n', ED25519_NOTE]);
    bytes.extend_from_slice(key);
    let mut id = [0; ID];
    id.copy_from_slice(&digest(&SHA256, &bytes).as_ref()[..ID]);
    id
}

#[cfg(test)]
mod tests {
    use super::{Signer, Verifier};

    /// RFC 8410, section 10.3.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_signature_holds_for_its_text_and_key_alone() {
        let signer = Signer::from_pem(PEM.as_bytes(), "portcullis").expect("a key");
        let line = signer.sign("origin\n1\n");
        let verifier: Verifier = signer.verifier().to_string().parse().expect("a verifier");
        assert_eq!(verifier, signer.verifier());
        assert!(verifier.verifies("origin\n1\n", &line));
        assert!(!verifier.verifies("origin\n2\n", &line));
        let other = Signer::from_pem(PEM.as_bytes(), "other").expect("a key").verifier();
        assert!(!other.verifies("origin\n1\n", &line), "a key is its name too");
        assert!("portcullis+00000000+AAAA".parse::<Verifier>().is_err());
    }
}
