//! Keys and certificates that are made: ECDSA P-256, a CA and the certificates that it signs.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use x509_parser::prelude::X509Name;

use super::plan::Period;

/// Name of every CA that is made. A Secret is ours by the names of its CAs.
const COMMON_NAME: &str = "portcullis-ca";
const ORGANIZATION: &str = "portcullis.dev";
const UNIT: &str = "self-managed certificate";

/// A certificate and its key, PEM.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A CA for that time.
pub(super) fn authority(period: Period) -> Result<Made, rcgen::Error> {
    let mut parameters = named_authority();
    valid(&mut parameters, period);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(Made { certificate: parameters.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// A certificate for a Service's host name, signed with a CA's key, PEM.
pub(super) fn leaf(host: &str, period: Period, signing_key: &str) -> Result<Made, rcgen::Error> {
    let mut parameters = CertificateParams::new(vec![host.to_owned(), format!("{host}.cluster.local")])?;
    valid(&mut parameters, period);
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, host);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // All CAs have one name: it tells them apart.
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let issuer = Issuer::new(named_authority(), KeyPair::from_pem(signing_key)?);
    Ok(Made { certificate: parameters.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

/// True for the name of a CA that is made here.
pub(super) fn is_our_name(name: &X509Name<'_>) -> bool {
    let all = name.iter_attributes().map(|attribute| attribute.as_str().unwrap_or_default());
    all.eq([ORGANIZATION, UNIT, COMMON_NAME])
}

/// True for the name of the CA that lasted ten years, whose key was thrown away.
pub(super) fn is_old_name(name: &X509Name<'_>) -> bool {
    let all = name.iter_attributes().map(|attribute| attribute.as_str().unwrap_or_default());
    all.eq([COMMON_NAME]) && name.iter_common_name().next().is_some()
}

fn named_authority() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANIZATION);
    name.push(DnType::OrganizationalUnitName, UNIT);
    name.push(DnType::CommonName, COMMON_NAME);
    parameters.distinguished_name = name;
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters
}

fn valid(parameters: &mut CertificateParams, period: Period) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |seconds: i64| epoch + Duration::from_secs(seconds.max(0).unsigned_abs());
    (parameters.not_before, parameters.not_after) = (at(period.begins), at(period.ends));
}
