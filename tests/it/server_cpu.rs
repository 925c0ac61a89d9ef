//! CPU cost of one caller: the server still answers others, and the probes.
//!
//! `LOAD_SECONDS=60 LOAD_PROGRAM=target/release/portcullis cargo test --test it server_cpu -- --nocapture` runs it for
//! longer, against another build, and prints its figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::attacks::memory;
use crate::bad::{in_order, is_sound};
use crate::serve::client::{Answer, Client, Connection, Protocol, block, whole};
use crate::serve::{Serve, Server, good_pod, load, until};

const CONFIG: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\ndefaults: all\n\
                      policies:\n  unisolated-pods: {mode: off}\n";
/// Source addresses of the callers.
const ATTACKER: [u8; 4] = [127, 0, 0, 2];
const HONEST: [u8; 4] = [127, 0, 0, 3];
/// Message in the answer to a review that was turned away.
const BUSY: &str = "the server has more to do than it takes on; try again";

/// Results of a scene.
#[derive(Default)]
struct Figures {
    honest: Vec<Duration>,
    /// Honest reviews that were not answered, or not judged.
    failed: usize,
    probes: Vec<Duration>,
    attacks: usize,
    /// Attacks that were turned away.
    shed: usize,
}

/// A Pod with so many containers that say nothing.
fn crowd(containers: usize) -> Value {
    let containers: Vec<Value> = (0..containers).map(|n| json!({"name": format!("c{n}"), "image": "a"})).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers}})
}

/// An ordinary Pod, whose review has six KB.
fn ordinary() -> Value {
    let mut pod = good_pod();
    let env: Vec<Value> = (0..60).map(|n| json!({"name": format!("SETTING_{n}"), "value": "x".repeat(48)})).collect();
    pod["spec"]["containers"][0]["env"] = json!(env);
    pod
}

/// True if the review was judged.
fn is_judged(answer: &Answer) -> bool {
    answer.status == 200 && !answer.text().contains(BUSY) && !answer.text().contains("not judged")
}

/// Sends `body` on so many connections from the attacker's address, over and over, with a low priority.
fn attack(client: Client, path: &'static str, body: Bytes, in_flight: usize, over: Arc<AtomicBool>) -> (usize, usize) {
    // The calling thread's, in Linux.
    rustix::process::setpriority_process(None, 10).expect("a priority");
    let (all, shed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    block(async {
        let attacking = (0..in_flight).map(|_| async {
            while !over.load(Ordering::Relaxed) {
                let Ok(mut connection) = client.connect(Protocol::Http1).await else { continue };
                while !over.load(Ordering::Relaxed) {
                    let sent = connection.send(Method::POST, path, whole(body.clone())).await;
                    let Ok(answer) = sent else { break };
                    all.fetch_add(1, Ordering::Relaxed);
                    shed.fetch_add(usize::from(answer.text().contains(BUSY)), Ordering::Relaxed);
                }
            }
        });
        futures::future::join_all(attacking).await;
    });
    (all.into_inner(), shed.into_inner())
}

/// Sends so many reviews of `pod` a second, each when its time has come, and says how long each took.
fn behave(client: Client, pod: &Value, rate: u64, seconds: u64) -> (Vec<Duration>, usize) {
    let took = std::sync::Mutex::new(Vec::new());
    let failed = AtomicUsize::new(0);
    block(async {
        let idle: std::sync::Mutex<Vec<Connection>> = std::sync::Mutex::default();
        let asking = (0..seconds * rate).map(|number| {
            let (client, idle, took, failed) = (&client, &idle, &took, &failed);
            async move {
                tokio::time::sleep(Duration::from_millis(1_000 / rate * number)).await;
                let began = Instant::now();
                let path = if number % 2 == 0 { "/validate?timeout=3s" } else { "/mutate?timeout=3s" };
                let body = in_order(&format!("honest-{number}"), pod);
                let asked = async {
                    let kept = idle.lock().expect("whole").pop();
                    let mut connection = match kept {
                        Some(connection) => connection,
                        None => client.connect(Protocol::Http1).await.ok()?,
                    };
                    let answer = connection.send(Method::POST, path, whole(body)).await.ok()?;
                    idle.lock().expect("whole").push(connection);
                    Some(answer)
                };
                // A busy machine may take longer than an API server would wait, which the long run tells.
                let answer = asked.await;
                took.lock().expect("whole").push(began.elapsed());
                if !answer.is_some_and(|answer| is_judged(&answer)) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        futures::future::join_all(asking).await;
    });
    (took.into_inner().expect("whole"), failed.into_inner())
}

/// Who does what to a server.
struct Scene<'s> {
    /// The attacker's requests: path, body, and number in flight at once.
    path: &'static str,
    body: String,
    in_flight: usize,
    /// Pod in the honest caller's reviews, and their source address.
    pod: Value,
    honest: [u8; 4],
    /// Number of honest reviews per second.
    rate: u64,
    server: &'s Server,
    seconds: u64,
}

impl Scene<'_> {
    /// Runs all of them at once, and the probes beside them.
    fn run(self) -> Figures {
        let Self { path, body, in_flight, pod, honest, rate, server, seconds } = self;
        let over = Arc::new(AtomicBool::new(false));
        let (attacker, honest) = (server.client().from(ATTACKER), server.client().from(honest));
        thread::scope(|scope| {
            let ending = Arc::clone(&over);
            let attacking = scope.spawn(move || attack(attacker, path, body.into(), in_flight, ending));
            let probing = scope.spawn(|| {
                let mut probes = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    for path in ["/livez", "/readyz", "/metrics"] {
                        let began = Instant::now();
                        assert_eq!(server.get(path).0, 200, "{path} was not answered");
                        probes.push(began.elapsed());
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                probes
            });
            let (honest, failed) = behave(honest, &pod, rate, seconds);
            over.store(true, Ordering::Relaxed);
            let (attacks, shed) = attacking.join().expect("its end");
            Figures { honest, failed, probes: probing.join().expect("its end"), attacks, shed }
        })
    }
}

/// The value below which all but a hundredth lie.
fn p99(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort();
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// A server of this test, and for how many seconds it is asked.
fn server() -> (Server, u64) {
    (load::program(Serve::new(CONFIG)).start(), load::seconds().unwrap_or(3))
}

fn report(name: &str, server: &Server, figures: &Figures) {
    let max = |all: &[Duration]| all.iter().max().copied().unwrap_or_default();
    let (resident, peak) = memory(server);
    println!(
        "{name}: honest {} failed {} p99 {:?} max {:?}; probes {} max {:?}; attacks {} shed {}; shed_total {:?}; \
         RSS {resident} MiB, peak {peak} MiB",
        figures.honest.len(),
        figures.failed,
        p99(&figures.honest),
        max(&figures.honest),
        figures.probes.len(),
        max(&figures.probes),
        figures.attacks,
        figures.shed,
        server.metric("portcullis_reviews_shed_total"),
    );
}

/// Asserts that only attackers were turned away, and that the metric counts every review that was.
fn is_fair(server: &mut Server, figures: &Figures) {
    assert_eq!(figures.failed, 0, "of {} honest reviews", figures.honest.len());
    assert!(figures.attacks > 0 && !figures.probes.is_empty());
    // Those too that were given up at the end are counted.
    let counted = server.metric("portcullis_reviews_shed_total").expect("a metric");
    assert!(counted > f64::from(u32::try_from(figures.shed).expect("few")) - 0.1, "{counted} of {}", figures.shed);
    until("the end of the backlog", || (server.metric("portcullis_reviews_waiting") == Some(0.0)).then_some(()));
    is_sound(server);
}

#[test]
fn eighty_huge_reviews_in_flight_from_one_address_cost_another_nothing() {
    let (mut server, seconds) = server();
    let body = in_order("attack", &crowd(1_000));
    let (path, pod) = ("/mutate", ordinary());
    let figures = Scene { path, body, in_flight: 80, pod, honest: HONEST, rate: 20, server: &server, seconds }.run();
    report("mutate, 1,000 containers, 80 in flight", &server, &figures);
    is_fair(&mut server, &figures);
}

#[test]
fn what_does_not_get_its_turn_in_time_is_shed_and_counted() {
    let (mut server, seconds) = server();
    let body = in_order("attack", &crowd(1_000));
    // That is the shortest deadline.
    let (path, pod) = ("/validate?timeout=0s", ordinary());
    let figures = Scene { path, body, in_flight: 200, pod, honest: HONEST, rate: 20, server: &server, seconds }.run();
    report("validate, 1,000 containers, 200 in flight", &server, &figures);
    assert!(figures.shed > 0, "of {}", figures.attacks);
    is_fair(&mut server, &figures);
}

/// The API server sends what all its users ask from one address.
#[test]
fn one_user_behind_an_address_costs_the_others_there_nothing() {
    let (mut server, seconds) = server();
    let body = in_order("attack", &crowd(1_000)).replacen("\"alice\"", "\"mallory\"", 1);
    // More values than are decided on a worker, and for each a Pod that passes.
    let mut pod = ordinary();
    pod["spec"]["containers"][0]["env"] = json!(vec![json!({"name": "A", "value": "b"}); 600]);
    let (path, honest) = ("/mutate", ATTACKER);
    let figures = Scene { path, body, in_flight: 80, pod, honest, rate: 5, server: &server, seconds }.run();
    report("mutate, 1,000 containers, 80 in flight of another user", &server, &figures);
    is_fair(&mut server, &figures);
}

#[test]
fn a_thousand_capabilities_in_each_of_a_thousand_containers_cost_another_nothing() {
    let (mut server, seconds) = server();
    let mut pod = crowd(1_000);
    for container in pod["spec"]["containers"].as_array_mut().expect("a list") {
        container["securityContext"] = json!({"capabilities": {"add": vec!["A"; 1_000]}});
    }
    let body = in_order("attack", &pod);
    let (path, pod) = ("/validate", ordinary());
    let figures = Scene { path, body, in_flight: 4, pod, honest: HONEST, rate: 20, server: &server, seconds }.run();
    report("validate, 1,000 containers of 1,000 capabilities, 4 in flight", &server, &figures);
    is_fair(&mut server, &figures);
}

/// Each is small enough to be decided where it is read, and takes a hundred times as long as an ordinary one.
#[test]
fn small_reviews_that_take_long_do_not_stay_on_the_workers() {
    let (mut server, seconds) = server();
    let body = in_order("attack", &crowd(300));
    assert!(body.len() < 16 << 10);
    let (path, pod) = ("/mutate", ordinary());
    let figures = Scene { path, body, in_flight: 200, pod, honest: HONEST, rate: 20, server: &server, seconds }.run();
    report("mutate, 300 containers, 200 in flight", &server, &figures);
    is_fair(&mut server, &figures);
}
