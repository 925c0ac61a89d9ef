//! The serving certificate and the client CA: read whole, checked, swapped while connections run.

mod pair;
mod validity;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::sync::watch::Receiver;
use x509_parser::prelude::{FromDer, X509Certificate};

use self::pair::{Pem, certified};
use crate::files::{self, FileWatch};

pub use self::validity::{Invalid, Served, Validity, watch as watch_validity};

/// Source of the serving certificate.
#[derive(Clone)]
pub enum Source {
    /// Files, read again when they change.
    Files {
        /// PEM certificate chain, the server's own first.
        certificate: PathBuf,
        /// PEM private key.
        key: PathBuf,
    },
    /// A certificate that is not in a file: of a Secret, or made for trying things out.
    Memory {
        /// PEM certificate chain.
        certificate: String,
        /// PEM private key.
        key: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { certificate, key } => {
                formatter.debug_struct("Files").field("certificate", certificate).field("key", key).finish()
            }
            // Its key is no one's to read.
            Self::Memory { .. } => formatter.write_str("Memory"),
        }
    }
}

/// Certificates that cannot be served. The message names files and never quotes a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

/// Settings of TLS.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The server's certificate.
    pub source: Source,
    /// PEM certificates of which one must have signed the client's.
    pub client_ca: Option<PathBuf>,
    /// Set when clients without a certificate are accepted, because a token may identify them.
    pub admits_without: bool,
    /// Set to offer HTTP/1.1 only.
    pub http1_only: bool,
}

/// A TLS configuration and when its certificate is valid.
pub struct Loaded {
    /// For the acceptor.
    pub config: Arc<ServerConfig>,
    /// When the certificate is valid. One that is not valid now is served all the same: some clients do not look.
    pub validity: Validity,
}

/// Contents of the files when they were read, or the error of reading them.
#[derive(Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<PathBuf, Result<Vec<u8>, String>>);

impl Contents {
    fn of(&self, file: &Path) -> Result<&[u8], CertificateError> {
        match self.0.get(file) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(message)) => Err(bad(&file.display().to_string(), message)),
            None => Err(bad(&file.display().to_string(), "was not read")),
        }
    }
}

impl TlsSettings {
    /// Reads and checks everything; returns what was read too.
    ///
    /// # Errors
    /// When a file cannot be read or parsed, or key and certificate do not belong together.
    pub fn load(&self) -> Result<(Loaded, Contents), CertificateError> {
        let contents = self.read(|file| Some(std::fs::read(file))).unwrap_or_default();
        Ok((self.build(&contents)?, contents))
    }

    /// Contents of the files; `None` when one of them cannot be read for now.
    fn read(&self, read: impl Fn(&Path) -> Option<io::Result<Vec<u8>>>) -> Option<Contents> {
        let read = |file: PathBuf| {
            let bytes = read(&file)?.map_err(|error| error.to_string());
            Some((file, bytes))
        };
        self.files().into_iter().map(read).collect::<Option<_>>().map(Contents)
    }

    fn build(&self, contents: &Contents) -> Result<Loaded, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (names, certificate, key) = match &self.source {
            Source::Files { certificate, key } => {
                let names = [certificate, key].map(|file| file.display().to_string());
                (names, contents.of(certificate)?, contents.of(key)?)
            }
            Source::Memory { certificate, key } => {
                let names = ["the certificate", "the private key"].map(str::to_owned);
                (names, certificate.as_bytes(), key.as_bytes())
            }
        };
        let certificate = Pem { name: &names[0], bytes: certificate };
        let (certified, validity) = certified(certificate, Pem { name: &names[1], bytes: key }, &provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| bad("TLS", &error.to_string()))?;
        let builder = match &self.client_ca {
            Some(file) => builder.with_client_cert_verifier(self.verifier(file, contents.of(file)?, &provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.alpn_protocols = if self.http1_only { vec![] } else { vec![b"h2".to_vec()] };
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Loaded { config: Arc::new(config), validity })
    }

    fn verifier(
        &self,
        file: &Path,
        pem: &[u8],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
        let name = file.display().to_string();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| bad(&name, "is not PEM-encoded"))?;
            roots.add(certificate).map_err(|_| bad(&name, "holds something other than CA certificates"))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = if self.admits_without { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| bad(&name, &error.to_string()))
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.client_ca.iter().cloned().collect();
        if let Source::Files { certificate, key } = &self.source {
            files.extend([certificate.clone(), key.clone()]);
        }
        files
    }
}

/// Keeps `current` at what the files say, and at the last certificate of `sources`. A pair that is half written or does not fit
/// is passed over: the last good one stays. `last` is what `current` was made of: a change since then counts. Never returns.
pub async fn watch(
    mut settings: TlsSettings,
    mut last: Contents,
    mut sources: Option<Receiver<Source>>,
    current: Arc<ArcSwap<ServerConfig>>,
    mut each: impl FnMut(Result<Validity, CertificateError>),
) {
    let files = settings.files();
    let watch = FileWatch::new(files.iter().map(PathBuf::as_path));
    let mut is_replaced = false;
    loop {
        let read = settings.read(files::read);
        let is_changed = read.as_ref().is_some_and(|now| *now != last);
        if let Some(now) = read
            && is_changed
        {
            last = now;
        }
        if is_changed || is_replaced {
            each(settings.build(&last).map(|loaded| {
                current.store(loaded.config);
                loaded.validity
            }));
        }
        is_replaced = tokio::select! {
            () = watch.changed() => false,
            source = next(&mut sources) => {
                settings.source = source;
                true
            }
        };
    }
}

/// The next certificate to serve, whenever there is one.
async fn next(sources: &mut Option<Receiver<Source>>) -> Source {
    if let Some(receiver) = sources
        && receiver.changed().await.is_ok()
    {
        return receiver.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// The name by which a client's certificate is known: its first common name or DNS name that is one of `names`, or where
/// any will do, its first one. `None` when it carries none of them.
pub fn known_name(certificate: &CertificateDer<'_>, names: &[String]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let dns = alternative.filter_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let mut carried = common.chain(dns);
    if names.is_empty() {
        return Some(carried.next().unwrap_or_default().to_owned());
    }
    carried.find(|name| names.iter().any(|wanted| wanted == name)).map(str::to_owned)
}

fn bad(name: &str, what: &str) -> CertificateError {
    CertificateError(format!("{name}: {what}"))
}
