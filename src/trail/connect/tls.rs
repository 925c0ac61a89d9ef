//! TLS towards sinks: one provider, and a trust that is the system's or a file's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Reason why the other end cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// There is no certificate in the system's store.
    #[error("the system trusts no certificate; name some with caFile")]
    System,
    /// The file holds no certificate.
    #[error("caFile {}: holds no certificate", .0.display())]
    Empty(PathBuf),
    /// The file could not be read as PEM.
    #[error("caFile {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error.
        source: pem::Error,
    },
    /// A certificate in the file cannot be trusted.
    #[error("caFile {}: {source}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// The error.
        source: rustls::Error,
    },
    /// The provider has no version of the protocol in common with us.
    #[error("{0}")]
    Protocol(#[source] rustls::Error),
}

/// Reason why there is no secret in a file. Names the file unless its name may be the secret itself.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It could not be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The same; what stands in the place of the file's name does not look like one.
    #[error("the file that is named for a secret cannot be read ({0}); its name is not shown")]
    Unnamed(#[source] io::Error),
    /// It holds nothing.
    #[error("{}: is empty", .0.display())]
    Empty(PathBuf),
}

/// Verifies the other end by the certificates in `ca` (PEM), or by those that the system trusts.
///
/// # Errors
/// When there are no certificates to trust.
pub(in crate::trail) fn client(ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    trusting(roots(ca)?)
}

/// Verifies nobody: for what never speaks TLS.
///
/// # Errors
/// When the provider has no protocol in common with us, which it has.
pub(in crate::trail) fn nobody() -> Result<ClientConfig, TrustError> {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Protocol)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TrustError::System) } else { Ok(roots) };
    };
    let unreadable = |source| TrustError::Unreadable { file: file.to_owned(), source };
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let added = roots.add(certificate.map_err(unreadable)?);
        added.map_err(|source| TrustError::Certificate { file: file.to_owned(), source })?;
    }
    if roots.is_empty() { Err(TrustError::Empty(file.to_owned())) } else { Ok(roots) }
}

/// A secret out of a mounted file, without the newline that editors leave.
///
/// # Errors
/// When it cannot be read, or is empty.
pub(in crate::trail) fn secret(file: &Path) -> Result<String, SecretError> {
    let text = std::fs::read_to_string(file).map_err(|source| match file.to_str() {
        // It may be the secret itself.
        Some(name) if !name.contains('/') || name.contains(char::is_whitespace) => SecretError::Unnamed(source),
        _ => SecretError::Unreadable { file: file.to_owned(), source },
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(SecretError::Empty(file.to_owned())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::secret;

    #[test]
    fn a_secret_in_the_place_of_its_file_is_not_shown() {
        for written in ["hunter2", "Bearer hunter2", "/x Bearer hunter2"] {
            let error = secret(Path::new(written)).expect_err("no such file").to_string();
            assert!(error.contains("is not shown") && !error.contains("hunter2"), "{error}");
        }
        let error = secret(Path::new("/no/where")).expect_err("no such file").to_string();
        assert!(error.starts_with("/no/where: "), "{error}");
    }
}
