//! TLS towards sinks: one provider, and a trust that is the system's or a file's.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Verifies the other end by the certificates in `ca` (PEM), or by those that the system trusts.
///
/// # Errors
/// When there are none to trust.
pub(in crate::trail) fn client(ca: Option<&Path>) -> Result<ClientConfig, String> {
    trusting(roots(ca)?)
}

/// Verifies nobody: for what never speaks TLS.
///
/// # Errors
/// When the provider has no protocol in common with us, which it has.
pub(in crate::trail) fn nobody() -> Result<ClientConfig, String> {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() {
            Err("the system trusts no certificate; name some with caFile".to_owned())
        } else {
            Ok(roots)
        };
    };
    let named = |error: &dyn std::fmt::Display| format!("caFile {}: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| named(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| named(&error))?;
        roots.add(certificate).map_err(|error| named(&error))?;
    }
    if roots.is_empty() { Err(named(&"holds no certificate")) } else { Ok(roots) }
}

/// A secret out of a mounted file, without the newline that editors leave.
///
/// # Errors
/// When it cannot be read, or is empty.
pub(in crate::trail) fn secret(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| match file.to_str() {
        // It may be the secret itself.
        Some(name) if !name.contains('/') || name.contains(char::is_whitespace) => {
            format!("the file that is named for a secret cannot be read ({error}); its name is not shown")
        }
        _ => format!("{}: {error}", file.display()),
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(format!("{}: is empty", file.display())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::secret;

    #[test]
    fn a_secret_in_the_place_of_its_file_is_not_shown() {
        for written in ["hunter2", "Bearer hunter2", "/x Bearer hunter2"] {
            let error = secret(Path::new(written)).expect_err("no such file");
            assert!(error.contains("is not shown") && !error.contains("hunter2"), "{error}");
        }
        assert!(secret(Path::new("/no/where")).expect_err("no such file").starts_with("/no/where: "));
    }
}
