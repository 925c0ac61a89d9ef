//! A certificate chain and its private key, checked: each alone, and that they belong together.

use aws_lc_rs::rsa;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::validity::Validity;
use super::{CertificateError, bad};

/// Kinds of keys that can be served.
const KINDS: &str = "RSA of 2048 to 8192 bits, ECDSA (P-256, P-384, P-521) and Ed25519 are";
/// Messages of aws-lc-rs about an RSA key that it refuses for its length.
const TOO_SHORT: &str = "TooSmall";
const TOO_LONG: &str = "TooLarge";

/// Text of a PEM file, and the name that errors give it.
pub(super) struct Pem<'p> {
    pub(super) name: &'p str,
    pub(super) bytes: &'p [u8],
}

/// Reads and checks both.
///
/// # Errors
/// The first thing that is wrong, with the file that it is wrong in.
pub(super) fn certified(
    certificate: Pem<'_>,
    key: Pem<'_>,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Validity), CertificateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate.bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| bad(certificate.name, "is not PEM-encoded"))?;
    let first = chain.first().ok_or_else(|| bad(certificate.name, "holds no certificate"))?;
    let validity = Validity::of(&chain).ok_or_else(|| bad(certificate.name, "holds no X.509 certificate"))?;
    if let Ok((_, parsed)) = X509Certificate::from_der(first)
        && parsed.version() != X509Version::V3
    {
        let version = parsed.version().0.saturating_add(1);
        let message = format!("is an X.509 version {version} certificate; API servers accept version 3 only");
        return Err(bad(certificate.name, &message));
    }
    let secret = PrivateKeyDer::from_pem_slice(key.bytes).map_err(|_| bad(key.name, unreadable(key.bytes)))?;
    if let Some(message) = refused_rsa(&secret) {
        return Err(bad(key.name, message));
    }
    let private = provider.key_provider.load_private_key(secret);
    let private = private.map_err(|_| bad(key.name, &format!("holds a private key that cannot be used: {KINDS}")))?;
    let certified = CertifiedKey::new(chain, private);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok((certified, validity)),
        Err(Error::InconsistentKeys(_)) => {
            Err(bad(certificate.name, &format!("is not the certificate of the private key in {}", key.name)))
        }
        Err(error) => Err(bad(certificate.name, &format!("holds a certificate that cannot be served: {error}"))),
    }
}

fn unreadable(pem: &[u8]) -> &'static str {
    // PKCS #8 says so in its first line, OpenSSL's older format in its second.
    if pem.windows(9).any(|word| word == b"ENCRYPTED") {
        "holds an encrypted private key; write it without a passphrase"
    } else {
        "holds no PEM-encoded private key"
    }
}

/// Message about an RSA key that is refused for its length. Any other key is left to those who know its kind.
fn refused_rsa(key: &PrivateKeyDer<'_>) -> Option<&'static str> {
    let error = match key {
        PrivateKeyDer::Pkcs1(der) => rsa::KeyPair::from_der(der.secret_pkcs1_der()).err()?,
        PrivateKeyDer::Pkcs8(der) => rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).err()?,
        _ => return None,
    };
    match error.to_string().as_str() {
        TOO_SHORT => Some("holds an RSA key that is too short: at least 2048 bits are needed"),
        TOO_LONG => Some("holds an RSA key that is too long: at most 8192 bits can be used"),
        _ => None,
    }
}
