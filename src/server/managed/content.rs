//! What the Secret holds: nothing, a certificate that was made here, or one of somebody else, which is never changed.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::ByteString;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{is_old_name, is_our_name};
use super::plan::{self, Leaf, Period, View};

/// Keys of the Secret (those of type `kubernetes.io/tls`, and the CAs and the key of the newest one beside them).
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
/// Most bytes of one value.
const BYTES: usize = 64 << 10;
/// Most CAs that a Secret of somebody else may have.
const FOREIGN_AUTHORITIES: usize = 16;
/// The last line of a certificate.
const END: &str = "-----END CERTIFICATE-----";
/// Years for which a certificate was valid before certificates were renewed, both ends on New Year's Day.
const OLD_YEARS: i16 = 11;

/// Reason why a Secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A value is missing, or not text.
    #[error("has no {0}; delete it, and the next start makes another")]
    Incomplete(&'static str),
    /// A value is longer than any certificate is.
    #[error("has a {0} of more than {BYTES} bytes")]
    TooLarge(&'static str),
}

/// Contents of the Secret.
#[derive(Clone)]
pub(super) enum Held {
    /// No data.
    Nothing,
    /// A certificate that was made here.
    Ours(Content),
    /// A certificate of somebody else.
    Foreign(Foreign),
}

/// A certificate that was made here.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) certificate: String,
    pub(super) key: String,
    /// The newest first.
    pub(super) authorities: Vec<Authority>,
    /// Key of the newest CA.
    pub(super) signing_key: Option<String>,
}

/// A CA that was made here.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
    pub(super) period: Period,
    public_key: Vec<u8>,
}

/// A certificate of somebody else.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Foreign {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) authorities: String,
}

impl Held {
    /// Reads the data of a Secret.
    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, ContentError> {
        let text = |key: &'static str| match data.get(key).map(|value| value.0.as_slice()) {
            None | Some([]) => Ok(None),
            Some(bytes) if bytes.len() > BYTES => Err(ContentError::TooLarge(key)),
            Some(bytes) => Ok(std::str::from_utf8(bytes).ok().map(str::to_owned)),
        };
        if data.values().all(|value| value.0.is_empty()) {
            return Ok(Self::Nothing);
        }
        let (certificate, key, authorities) = (text(CERTIFICATE)?, text(KEY)?, text(AUTHORITIES)?);
        let signing_key = text(AUTHORITY_KEY)?;
        let made = authorities.as_deref().and_then(Authority::all);
        let is_ours = certificate.as_deref().is_none_or(is_issued_by_us);
        match made {
            Some(authorities) if is_ours => Ok(Self::Ours(Content {
                certificate: certificate.unwrap_or_default(),
                key: key.unwrap_or_default(),
                authorities,
                signing_key,
            })),
            _ => Ok(Self::Foreign(Foreign {
                certificate: certificate.ok_or(ContentError::Incomplete(CERTIFICATE))?,
                key: key.ok_or(ContentError::Incomplete(KEY))?,
                authorities: authorities.ok_or(ContentError::Incomplete(AUTHORITIES))?,
            })),
        }
    }
}

impl Held {
    /// The CAs, PEM.
    pub(super) fn bundle(&self) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Ours(content) => content.bundle().into_bytes(),
            Self::Foreign(foreign) => foreign.authorities.clone().into_bytes(),
        }
    }

    /// True if the other holds another certificate.
    pub(super) fn is_other(&self, other: &Self) -> bool {
        self.pair() != other.pair()
    }

    fn pair(&self) -> Option<(&str, &str)> {
        match self {
            Self::Nothing => None,
            Self::Ours(content) => Some((&content.certificate, &content.key)),
            Self::Foreign(foreign) => Some((&foreign.certificate, &foreign.key)),
        }
    }
}

impl Content {
    /// The same without the key of the CA, which is in the Secret alone.
    pub(super) fn without_key(&self) -> Self {
        Self { signing_key: None, ..self.clone() }
    }

    /// True if certificate and CA are valid at that time.
    pub(super) fn is_usable(&self, now: i64) -> bool {
        let signer = self.leaf().filter(|leaf| leaf.period.holds(now)).map(|leaf| leaf.signer);
        signer.and_then(|signer| self.authorities.get(signer)).is_some_and(|signer| signer.period.holds(now))
    }

    /// The values of the Secret.
    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let signing_key = self.signing_key.clone().unwrap_or_default();
        let values = [
            (CERTIFICATE, self.certificate.clone()),
            (KEY, self.key.clone()),
            (AUTHORITIES, self.bundle()),
            (AUTHORITY_KEY, signing_key),
        ];
        values.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).collect()
    }

    /// The CAs, PEM: what the webhook configurations are to trust.
    pub(super) fn bundle(&self) -> String {
        self.authorities.iter().map(|authority| authority.pem.as_str()).collect()
    }

    /// The CA of the certificate; `None` where none of them signed it, or the key is another.
    pub(super) fn signer(&self) -> Option<&Authority> {
        self.authorities.get(self.leaf()?.signer)
    }

    /// The end of the certificate, in seconds since 1970.
    pub(super) fn ends(&self) -> Option<i64> {
        self.leaf().map(|leaf| leaf.period.ends)
    }

    /// What the next step depends on. `serves` is what this replica serves.
    pub(super) fn view(&self, is_trusted: bool, serves: Option<&Self>) -> View {
        let newest = self.authorities.first();
        let signing_key = self.signing_key.as_deref().and_then(|key| KeyPair::from_pem(key).ok());
        let served = serves.and_then(Self::signer);
        let missing = served.filter(|served| self.authorities.iter().all(|authority| authority.der != served.der));
        View {
            authorities: self.authorities.iter().map(|authority| authority.period).collect(),
            leaf: self.leaf(),
            has_key: newest.zip(signing_key).is_some_and(|(newest, key)| newest.public_key == key.der_bytes()),
            is_trusted,
            missing: missing.map(|authority| authority.period),
        }
    }

    fn leaf(&self) -> Option<Leaf> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let key = KeyPair::from_pem(&self.key).ok()?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return None;
        }
        let signed = |authority: &Authority| {
            let public_key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &authority.public_key);
            public_key.verify(parsed.tbs_certificate.as_ref(), &parsed.signature_value.data).is_ok()
        };
        let signer = self.authorities.iter().position(signed)?;
        Some(Leaf { period: period(&parsed), signer })
    }
}

impl Authority {
    /// Reads one; `None` unless it was made here.
    pub(super) fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        if parsed.subject() != parsed.issuer() || !(is_our_name(parsed.subject()) || is_old(&parsed)) {
            return None;
        }
        let public_key = parsed.public_key().subject_public_key.data.to_vec();
        let period = period(&parsed);
        Some(Self { pem: format!("{}\n", pem.trim()), der: der.to_vec(), period, public_key })
    }

    /// The CAs in a text; `None` unless all of them were made here.
    fn all(text: &str) -> Option<Vec<Self>> {
        let (certificates, rest) = text.rsplit_once(END)?;
        let all: Vec<&str> = certificates.split(END).collect();
        if !rest.trim().is_empty() || all.len() > plan::AUTHORITIES {
            return None;
        }
        all.into_iter().map(|pem| Self::read(&format!("{pem}{END}"))).collect()
    }
}

/// The certificates of a bundle of somebody else, where it is one.
pub(super) fn is_bundle(text: &str) -> bool {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(text.as_bytes()).take(FOREIGN_AUTHORITIES + 1).collect();
    all.is_ok_and(|all| (1..=FOREIGN_AUTHORITIES).contains(&all.len()))
}

/// True if a bundle holds that certificate.
pub(super) fn holds(bundle: &[u8], der: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(bundle).flatten().any(|certificate| certificate.as_ref() == der)
}

/// True unless it is a certificate that somebody else issued.
fn is_issued_by_us(pem: &str) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return true };
    let Ok((_, parsed)) = X509Certificate::from_der(&der) else { return true };
    is_our_name(parsed.issuer()) || is_old_name(parsed.issuer())
}

/// True for the CA that lasted ten years.
fn is_old(parsed: &X509Certificate<'_>) -> bool {
    let new_year = |seconds: i64| {
        let time = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
        (time.day_of_year() == 1 && time.time() == jiff::civil::Time::midnight()).then(|| time.year())
    };
    let Period { begins, ends } = period(parsed);
    let years = new_year(ends).zip(new_year(begins)).map(|(end, begin)| end.saturating_sub(begin));
    is_old_name(parsed.subject()) && years == Some(OLD_YEARS)
}

fn period(parsed: &X509Certificate<'_>) -> Period {
    let validity = parsed.validity();
    Period { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() }
}

#[cfg(test)]
mod tests;
