//! Rotation under load: certificates and CAs that live for half a minute, two replicas behind their Service, and an API server
//! that admits nothing without them, with each form of the backstop loaded. Three rotations in the suite, more with
//! `PORTCULLIS_ROTATIONS`.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::Value;

use super::super::kubelet::{Replica, pods};
use super::super::network::Network;
use super::super::{SECRET, WEBHOOKS, decoded, kubectl, trusted};
use super::probe;
use crate::golden::repository;
use crate::kubernetes::backstop::loaded_twice;
use crate::kubernetes::eventually;
use crate::kubernetes::objects::{broken_pod, pod, spec};
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::{Space, account};

/// Rotations in the suite.
const FEW: usize = 3;
/// Admissions for each rotation, where many are asked for.
const ADMISSIONS: usize = 1_000;
/// Callers at once.
const CALLERS: usize = 4;
/// Seconds that certificates and CAs live.
const LIFETIME: u64 = 30;
/// What every rotation may take: two thirds of a lifetime, and the time for which a new CA is trusted before it signs.
const ROTATION: Duration = Duration::from_secs(LIFETIME);

/// Reasons why the API server could not call a webhook that a busy machine has, and no certificate.
const SLOW: [&str; 2] = ["context deadline exceeded", "Client.Timeout exceeded"];

#[test]
fn rotations_under_load_fail_no_admission() {
    let asked = std::env::var("PORTCULLIS_ROTATIONS").ok().and_then(|number| number.parse::<usize>().ok());
    let rotations = asked.unwrap_or(FEW);
    let admissions = asked.map_or(0, |rotations| rotations * ADMISSIONS);
    let network = Network::new();
    // Whoever guards our objects must let the renewals through.
    let configuration = repository("deploy/overlays/enforce/config.yaml");
    let address = network.node.to_string();
    let (plane, _admission) = loaded_twice(&configuration, &["nobody"], &["--address", &address]);
    let space = Space::new(&plane, "shop");
    space.create("serviceaccounts", &account("good", Some(false))).admitted();
    kubectl(&plane, &["apply", "-k", "deploy/overlays/enforce"]);
    let start = |mut pod: Value| {
        let arguments = pod["spec"]["containers"][0]["args"].as_array_mut().expect("arguments");
        arguments.push(format!("--certificate-lifetime={LIFETIME}").into());
        arguments.push(format!("--authority-lifetime={LIFETIME}").into());
        Replica::start(&plane, &network, pod, "info,kube=warn")
    };
    let replicas: Vec<Replica> = pods(&plane, 2).into_iter().map(start).collect();
    for replica in &replicas {
        eventually("it is ready", || (replica.probe("readinessProbe").0 == 200).then_some(()));
        replica.report(&plane);
    }
    // Both are found, and trusted.
    let records = |replica: &Replica| replica.program.records().len();
    eventually("both are asked", || {
        space.create_dry("pods", &broken_pod("probe"));
        replicas.iter().all(|replica| records(replica) > 5).then_some(())
    });
    eventually("it refuses", || (space.create_dry("pods", &broken_pod("probe")).code == 403).then_some(()));
    let said = |words: &str| {
        let lines = |replica: &Replica| replica.program.log().lines().filter(|line| line.contains(words)).count();
        replicas.iter().map(lines).collect::<Vec<_>>()
    };
    let renewed: usize = said("the serving certificate was renewed").iter().sum();
    let before = failed(&plane).len();

    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.port(&"reviews".into())).collect();
    let (over, admitted, wrong) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let started = Instant::now();
    let (seen, connections) = std::thread::scope(|threads| {
        let probing = threads.spawn(|| probe::connect_to(&plane, &addresses, &over));
        let ending = probe::Ending(&over);
        for caller in 0..CALLERS {
            let (space, over, admitted, wrong) = (&space, &over, &admitted, &wrong);
            threads.spawn(move || call(space, caller, over, admitted, wrong));
        }
        let seen = follow(&plane, rotations, || admitted.load(Ordering::Relaxed) >= admissions);
        drop(ending);
        (seen, probing.join())
    });
    let (seen, connections) = (seen.expect("it went on"), connections.expect("every fresh connection was trusted"));
    assert_eq!(wrong.into_inner().expect("no caller panicked"), [] as [String; 0]);
    // Webhooks that fail open too: `/mutate` has a second, and on a busy machine not always enough.
    let calls = failed(&plane).split_off(before);
    let slow = |line: &&String| SLOW.iter().any(|reason| line.contains(reason));
    assert_eq!(calls.iter().filter(|line| !slow(line)).collect::<Vec<_>>(), [] as [&String; 0]);
    let renewed = said("the serving certificate was renewed").iter().sum::<usize>() - renewed;
    assert!((seen.rotations..=seen.rotations + 1).contains(&renewed), "{renewed} by either replica: {seen:?}");
    eventually("both serve the last one", || {
        said("the serving certificate was replaced").iter().all(|replaced| *replaced >= rotations).then_some(())
    });
    assert_eq!(said("level\":\"ERROR"), [0, 0]);
    let authorities: usize = said("a new CA was made").iter().sum();
    assert!(authorities >= rotations && seen.overlaps == [true; 2], "{authorities} CAs: {seen:?}");
    println!(
        "{} rotations of the certificate and {} of the CA in {} s: {} admissions and {connections} fresh connections, none failed; at most {} CAs; {} calls that fail open took too long",
        seen.rotations,
        authorities,
        started.elapsed().as_secs(),
        admitted.into_inner(),
        seen.most,
        calls.len(),
    );
}

/// What was seen of the rotations.
#[derive(Debug, Default)]
struct Seen {
    rotations: usize,
    /// Most CAs at once.
    most: usize,
    /// For each configuration, set once its `caBundle` held two.
    overlaps: [bool; 2],
}

/// Follows the Secret through so many rotations, and until there is enough; an error when it takes too long.
fn follow(plane: &Plane, rotations: usize, is_enough: impl Fn() -> bool) -> Result<Seen, String> {
    let deadline = Instant::now() + ROTATION * u32::try_from(rotations + 4).expect("a few");
    let mut seen = Seen::default();
    let mut leaf = None;
    while seen.rotations < rotations || !is_enough() {
        if Instant::now() > deadline {
            return Err(format!("too slow: {seen:?}"));
        }
        let secret = plane.admin.call(Method::GET, SECRET, None).admitted();
        let certificates = decoded(secret["data"]["ca.crt"].as_str().expect("CAs"));
        let served = secret["data"]["tls.crt"].as_str().map(str::to_owned);
        if leaf != served {
            seen.rotations += usize::from(leaf.is_some());
            leaf = served;
        }
        seen.most = seen.most.max(certificates.matches("BEGIN").count());
        for (resource, overlaps) in WEBHOOKS.into_iter().zip(&mut seen.overlaps) {
            *overlaps |= trusted(plane, resource).is_some_and(|bundle| bundle.matches("BEGIN").count() == 2);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(seen)
}

/// Creates Pods, good ones and bad ones in turn, until it is over.
fn call(space: &Space, caller: usize, over: &AtomicBool, admitted: &AtomicUsize, wrong: &Mutex<Vec<String>>) {
    let mut own = spec();
    own["serviceAccountName"] = "good".into();
    let (good, bad) = (pod(&format!("good-{caller}"), own), broken_pod(&format!("bad-{caller}")));
    let mut is_good = true;
    while !over.load(Ordering::Relaxed) {
        let answer = space.create_dry("pods", if is_good { &good } else { &bad });
        let is_right = match answer.code {
            201 => is_good,
            403 => !is_good && answer.message().contains("denied the request: "),
            _ => false,
        };
        if is_right {
            admitted.fetch_add(1, Ordering::Relaxed);
        } else {
            wrong.lock().expect("no caller panicked").push(format!("{}: {}", answer.code, answer.message()));
        }
        is_good = !is_good;
    }
}

/// Lines of the API server's log about webhooks that it could not call.
fn failed(plane: &Plane) -> Vec<String> {
    let log = std::fs::read_to_string(plane.place.dir.join("kube-apiserver.log")).expect("its log");
    let lines = log.lines().filter(|line| line.to_lowercase().contains("failed calling webhook"));
    lines.map(str::to_owned).collect()
}
