//! Secrets that were made by others or long ago, and an API server that is away when a renewal is due.

use std::sync::atomic::AtomicBool;

use axum::http::Method;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::super::program::Program;
use super::super::{NAME, SECRET, cluster, configuration, distrust_all, kubectl, secret_ca, token};
use super::{audit_only, probe, serves, short_lived, trusts};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;
use crate::serve::pki::Authority;

const SECRET_NAME: &str = "portcullis/portcullis-certificate";

fn secret(plane: &Plane) -> Value {
    plane.admin.call(Method::GET, SECRET, None).admitted()
}

/// Writes these values into the Secret. Returns it.
fn write(plane: &Plane, values: &[(&str, &str)]) -> Value {
    let values: serde_json::Map<String, Value> =
        values.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    plane.admin.call(Method::PATCH, SECRET, Some(&json!({"stringData": values}))).admitted()
}

/// CA, certificate and key as they were made before certificates were renewed: for ten years, the key of the CA thrown away.
fn made_once() -> [String; 3] {
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    let valid = |parameters: &mut CertificateParams| {
        parameters.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(year + 10, 1, 1);
    };
    let mut ca = CertificateParams::default();
    valid(&mut ca);
    ca.distinguished_name.push(DnType::CommonName, "portcullis-ca");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let pem = ca.self_signed(&ca_key).expect("a CA").pem();
    let host = format!("{NAME}.{NAME}.svc");
    let mut leaf = CertificateParams::new(vec![host.clone(), format!("{host}.cluster.local")]).expect("names");
    valid(&mut leaf);
    leaf.distinguished_name.push(DnType::CommonName, host);
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let signed = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate").pem();
    [pem, signed, key.serialize_pem()]
}

#[test]
fn a_certificate_of_ten_years_is_replaced_and_nobody_is_cut_off() {
    let plane = cluster();
    let [old, certificate, key] = made_once();
    write(&plane, &[("tls.crt", &certificate), ("tls.key", &key), ("ca.crt", &old)]);
    let replicas: Vec<Program> = (0..2).map(|_| short_lived(&plane)).collect();
    let replicas: Vec<Program> = replicas.into_iter().map(Program::ready).collect();
    let both = eventually("a new CA before the old one", || secret_ca(&plane).filter(|both| both.ends_with(&old)));
    let new = eventually("a new CA", || {
        secret_ca(&plane)?.strip_suffix(&old).map(str::to_owned).filter(|new| !new.is_empty())
    });
    assert!(both.ends_with(&old));
    // Whatever of it came first, the one that is served is trusted.
    trusts(&plane, &(new.clone() + &old));
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let probing = threads.spawn(|| probe::connect(&plane, &replicas, &over));
        let ending = probe::Ending(&over);
        for replica in &replicas {
            eventually("it serves a certificate of the new CA", || serves(replica, &new).then_some(()));
        }
        assert!(replicas.iter().all(|replica| !serves(replica, &old)));
        drop(ending);
        assert!(probing.join().expect("no connection failed") > 0);
    });
    let renewed = |replica: &&Program| replica.said(&["the serving certificate was renewed"]).is_some();
    assert_eq!(replicas.iter().filter(renewed).count(), 1, "one writes it, and both serve it");
    let stored = secret(&plane);
    assert!(stored["data"]["ca.key"].is_string());
    assert!(replicas.iter().all(|replica| !replica.log().contains("PRIVATE KEY")));
}

#[test]
fn a_secret_of_somebody_else_is_served_and_never_written() {
    let plane = cluster();
    let host = format!("{NAME}.{NAME}.svc");
    let authority = Authority::new("mine");
    let pair = authority.issue(&[&host]);
    let wrote = write(
        &plane,
        &[("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &authority.pem), ("ca.key", "mine too")],
    );
    // For one of ours this would be the time: it lives longer than it may.
    let replica = short_lived(&plane).ready();
    replica.says(&["was not made here", "never renewed or changed"]);
    trusts(&plane, &authority.pem);
    assert!(serves(&replica, &authority.pem));

    // Another one of theirs is served as soon as it is written.
    let other = Authority::new("mine as well");
    let pair = other.issue(&[&host]);
    assert_eq!(secret(&plane), wrote);
    let wrote =
        write(&plane, &[("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &other.pem), ("note", "x")]);
    eventually("the other one is served", || serves(&replica, &other.pem).then_some(()));
    trusts(&plane, &other.pem);
    // Half of one is not, and is left as it is; nor is one made where they deleted theirs.
    let half = write(&plane, &[("tls.crt", "x")]);
    replica.says(&["the changed certificate cannot be served; the last good one stays"]);
    assert!(serves(&replica, &other.pem));
    assert_ne!(wrote, half);
    assert_eq!(secret(&plane), half);
    plane.admin.call(Method::DELETE, SECRET, None).admitted();
    assert!(serves(&replica, &other.pem));
}

#[test]
fn an_api_server_that_is_away_when_a_renewal_is_due_is_said_and_made_up_for() {
    // One of its own: it would be missed.
    let plane = Plane::start(&["--with-controller-manager=false"]);
    kubectl(&plane, &["apply", "-k", "deploy"]);
    let token = token(&plane, &3600.into(), None);
    let arguments = ["--certificate-lifetime=20", "--authority-lifetime=60"];
    let replica = Program::serve_with(&plane, &configuration("deploy/overlays/audit-only"), &token, &arguments).ready();
    let first = secret(&plane)["data"]["tls.crt"].clone();
    let ca = secret_ca(&plane).expect("a CA");
    plane.stop("kube-apiserver");
    let line = || {
        let (status, text) = replica.admin("/readyz?verbose");
        let line = text.lines().find(|line| line.contains("]certificate")).expect("a line").to_owned();
        (status, line)
    };
    let overdue = eventually("it is overdue", || Some(line()).filter(|(_, line)| line.contains("[!]certificate: ")));
    assert_eq!(overdue.0, 200, "it is ready all the same");
    assert!(overdue.1.contains("should have been renewed by ") && overdue.1.contains(SECRET_NAME), "{}", overdue.1);
    assert_eq!(replica.metric("portcullis_certificate_renewal_overdue"), Some(1.0));
    assert!(serves(&replica, &ca));

    plane.resume("kube-apiserver");
    eventually("it is renewed", || (secret(&plane)["data"]["tls.crt"] != first).then_some(()));
    eventually("nothing is overdue", || (!line().1.contains("[!]")).then_some(()));
    assert_eq!(replica.metric("portcullis_certificate_renewal_overdue"), Some(0.0));
}

#[test]
fn replicas_of_before_certificates_were_renewed_can_read_what_is_made_now() {
    let plane = cluster();
    drop(audit_only(&plane).ready());
    // They read these three values, and trust what the last one says.
    let data = secret(&plane)["data"].clone();
    assert!(["tls.crt", "tls.key", "ca.crt"].iter().all(|key| data[key].is_string()));
    assert_eq!(data.as_object().expect("data").len(), 4);
}

#[test]
fn a_secret_that_is_restored_from_a_backup_is_taken_up_and_nobody_is_cut_off() {
    let plane = cluster();
    drop(short_lived(&plane).ready());
    let backup = secret(&plane)["data"].clone();
    let restored = secret_ca(&plane).expect("a CA");
    plane.admin.call(Method::PATCH, SECRET, Some(&json!({"data": null}))).admitted();
    distrust_all(&plane);
    let replicas = [short_lived(&plane).ready()];
    let own = secret_ca(&plane).expect("another CA");
    assert_ne!(own, restored);
    trusts(&plane, &own);
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let probing = threads.spawn(|| probe::connect(&plane, &replicas, &over));
        let ending = probe::Ending(&over);
        plane.admin.call(Method::PATCH, SECRET, Some(&json!({"data": backup}))).admitted();
        let both = restored.clone() + &own;
        eventually("the CA of what is served is put back", || (secret_ca(&plane)? == both).then_some(()));
        eventually("what was restored is served", || serves(&replicas[0], &restored).then_some(()));
        drop(ending);
        assert!(probing.join().expect("no connection failed") > 0);
    });
    assert_eq!(secret(&plane)["data"]["tls.crt"], backup["tls.crt"]);
}
