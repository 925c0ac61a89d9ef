//! Tests of what is ours and what is not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::super::authority;
use super::super::plan::{Lifetimes, Period, Step, next};
use super::{Authority, BYTES, Content, ContentError, Held, OLD_YEARS, holds, is_bundle};

/// Seconds since 1970, now and for as long as the test takes.
fn now() -> i64 {
    Timestamp::now().as_second()
}

fn ours() -> Content {
    let ca = authority::authority(Period::from(now(), 100)).expect("a CA");
    let leaf = authority::leaf("a.b.svc", Period::from(now(), 50), &ca.key).expect("a certificate");
    let authorities = vec![Authority::read(&ca.certificate).expect("ours")];
    Content { certificate: leaf.certificate, key: leaf.key, authorities, signing_key: Some(ca.key) }
}

/// CA, certificate and key of a CA with that name, valid for whole years.
fn named(name: &str, years: i32) -> [String; 3] {
    let begin = 2025;
    let valid = |parameters: &mut CertificateParams| {
        parameters.not_before = rcgen::date_time_ymd(begin, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(begin + years, 1, 1);
    };
    let mut ca = CertificateParams::default();
    valid(&mut ca);
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut leaf = CertificateParams::new(vec!["a.b.svc".to_owned()]).expect("a name");
    valid(&mut leaf);
    let pem = ca.self_signed(&ca_key).expect("a CA").pem();
    let signed = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate").pem();
    [pem, signed, key.serialize_pem()]
}

fn data(values: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
    values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
}

fn read(values: &[(&str, &str)]) -> Result<Held, ContentError> {
    Held::read(&data(values))
}

#[test]
fn what_was_made_is_read_again() {
    let made = ours();
    let Ok(Held::Ours(read)) = Held::read(&made.data()) else { panic!("not ours") };
    assert!(read == made);
    let view = read.view(false, None);
    assert!(view.has_key && view.leaf.is_some_and(|leaf| leaf.signer == 0));
    assert!(read.is_usable(now()) && !read.is_usable(now() + 60));
    assert!(holds(read.bundle().as_bytes(), &read.authorities[0].der));
    assert!(!holds(read.bundle().as_bytes(), &ours().authorities[0].der));
}

#[test]
fn the_certificate_that_lasted_ten_years_is_ours() {
    let [ca, leaf, key] = named("portcullis-ca", OLD_YEARS.into());
    let Ok(Held::Ours(content)) = read(&[("ca.crt", &ca), ("tls.crt", &leaf), ("tls.key", &key)]) else {
        panic!("not ours")
    };
    assert_eq!(next(&content.view(false, None), now(), Lifetimes::new(100, 50)), Step::Introduce(vec![0]));
    assert!(content.is_usable(now()));
}

#[test]
fn what_somebody_else_made_is_not_ours() {
    let own = ours();
    for (name, years) in [("other-ca", i32::from(OLD_YEARS)), ("portcullis-ca", 10)] {
        let [ca, leaf, key] = named(name, years);
        let both = own.bundle() + &ca;
        // Their certificate under our CA, and their CA beside ours, are theirs too.
        for authorities in [&ca, &both] {
            let held = read(&[("ca.crt", authorities), ("tls.crt", &leaf), ("tls.key", &key), ("ca.key", &key)]);
            assert!(matches!(held, Ok(Held::Foreign(_))), "{name}, {years}");
        }
    }
    let [_, leaf, key] = named("other-ca", 10);
    let held = read(&[("ca.crt", &own.bundle()), ("tls.crt", &leaf), ("tls.key", &key)]);
    assert!(matches!(held, Ok(Held::Foreign(_))));
}

#[test]
fn half_of_it_is_completed_where_it_is_ours_and_named_where_it_is_not() {
    let own = ours();
    let (bundle, signing_key) = (own.bundle(), own.signing_key.clone().expect("a key"));
    let lifetimes = Lifetimes::new(100, 50);
    let step = |values: &[(&str, &str)]| match read(values) {
        Ok(Held::Ours(content)) => next(&content.view(false, None), now(), lifetimes),
        _ => panic!("not ours"),
    };
    assert_eq!(step(&[("ca.crt", &bundle), ("ca.key", &signing_key)]), Step::Sign);
    assert_eq!(step(&[("ca.crt", &bundle), ("ca.key", &signing_key), ("tls.crt", "x"), ("tls.key", "x")]), Step::Sign);
    let other_key = ours().key;
    let pair = [("ca.crt", bundle.as_str()), ("tls.crt", &own.certificate), ("tls.key", &own.key)];
    assert_eq!(step(&[pair[0], pair[1], ("tls.key", &other_key), ("ca.key", &signing_key)]), Step::Sign);
    assert_eq!(step(&pair), Step::Introduce(vec![0]), "the key of the CA is lost");
    assert_eq!(step(&[pair[0], pair[1], pair[2], ("ca.key", &other_key)]), Step::Introduce(vec![0]));
    assert_eq!(step(&[("ca.crt", &bundle)]), Step::Begin);

    let incomplete = |values: &[(&str, &str)]| read(values).err();
    assert_eq!(incomplete(&pair[1..]), Some(ContentError::Incomplete("ca.crt")));
    assert_eq!(incomplete(&[("ca.crt", "x"), pair[2]]), Some(ContentError::Incomplete("tls.crt")));
    assert_eq!(incomplete(&[("ca.crt", "x"), pair[1]]), Some(ContentError::Incomplete("tls.key")));
}

#[test]
fn no_data_is_nothing() {
    assert!(matches!(read(&[]), Ok(Held::Nothing)));
    assert!(matches!(read(&[("tls.crt", ""), ("tls.key", "")]), Ok(Held::Nothing)), "as kubernetes.io/tls demands");
}

#[test]
fn what_is_read_is_bounded() {
    let long = "x".repeat(BYTES + 1);
    for key in ["tls.crt", "tls.key", "ca.crt", "ca.key"] {
        assert_eq!(read(&[(key, &long)]).err(), Some(ContentError::TooLarge(key)));
    }
    let [ca, leaf, key] = named("portcullis-ca", OLD_YEARS.into());
    let held = read(&[("ca.crt", &ca.repeat(5)), ("tls.crt", &leaf), ("tls.key", &key)]);
    assert!(matches!(held, Ok(Held::Foreign(_))), "more CAs than are ever written");
    assert!(is_bundle(&ca) && is_bundle(&ca.repeat(16)));
    assert!(!is_bundle(&ca.repeat(17)) && !is_bundle("") && !is_bundle("x"));
}
