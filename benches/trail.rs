//! Cost of recording a decision: CPU time per request of the served program, over TLS, with nothing written (decisions
//! are counted), with a buffered and with a durable spool, in turns within one run.
//!
//! `cargo bench --bench trail` prints the medians and their ratios.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use served::{Served, median, serve, trusting};

#[path = "served/served.rs"]
mod served;

const CREATION: &str = include_str!("reviews/admitted.json");
/// Turns that each way gets.
const ROUNDS: usize = 10;
/// Connections at once, and the requests on each in one turn.
const CONNECTIONS: usize = 16;
const REQUESTS: usize = 1_000;
/// Of these that are not counted: the first turns fill caches.
const WARM: usize = 2;

/// The ways, and what the configuration says of each.
const WAYS: [(&str, &str); 3] = [
    ("no trail", "{sample: 1/4294967295, spool: {directory: spool, guarantee: buffered}}"),
    ("buffered", "{spool: {directory: spool, guarantee: buffered}}"),
    ("durable", "{spool: {directory: spool, guarantee: durable}}"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let client = Arc::new(trusting(made.cert.der())?);

    let served: Vec<Served> = WAYS
        .iter()
        .map(|(_, trail)| serve(&format!("profile: pss-restricted\ntrail: {trail}"), true, &certificate, &key))
        .collect::<Result<_, _>>()?;
    let reviews = [("creation", CREATION.to_owned()), ("update", update()?)];
    let mut spent = vec![vec![Vec::new(); WAYS.len()]; reviews.len()];
    for round in 0..ROUNDS {
        for ((_, review), spent) in reviews.iter().zip(&mut spent) {
            for (served, spent) in served.iter().zip(spent) {
                let before = served.cpu()?;
                ask(served.port, &client, review)?;
                let asked = f64::from(u32::try_from(CONNECTIONS * REQUESTS)?);
                let micros = (served.cpu()? - before) * 1e6 / asked;
                if round >= WARM {
                    spent.push(micros);
                }
            }
        }
    }
    for ((what, review), spent) in reviews.iter().zip(&mut spent) {
        println!("{what} of a Pod, a review of {} bytes", review.len());
        let medians: Vec<f64> = spent.iter_mut().map(|figures| median(figures)).collect();
        for ((way, _), micros) in WAYS.iter().zip(&medians) {
            println!("  {way:9} {micros:7.1} µs of CPU a request, {:.3} of no trail", micros / medians[0]);
        }
    }
    let (bytes, events) = written(&served[2].folder.path().join("spool/allow"))?;
    println!("an event of an admitted pod takes {} bytes ({events} written)", bytes / events.max(1));
    Ok(())
}

/// The same Pod, to which nothing happened.
fn update() -> Result<String, Box<dyn std::error::Error>> {
    let object = CREATION.split_once("\"object\":").and_then(|(_, rest)| rest.split_once(",\"oldObject\":null"));
    let (object, _) = object.ok_or("another review than this was written for")?;
    let old = format!("\"oldObject\":{object}");
    Ok(CREATION.replace("\"oldObject\":null", &old).replace("\"CREATE\"", "\"UPDATE\""))
}

/// One turn: as many requests on each connection.
fn ask(port: u16, client: &Arc<ClientConfig>, review: &str) -> io::Result<()> {
    std::thread::scope(|threads| {
        let asking: Vec<_> = (0..CONNECTIONS).map(|_| threads.spawn(|| one_connection(port, client, review))).collect();
        asking.into_iter().try_for_each(|one| one.join().map_err(|_| io::Error::other("a client panicked"))?)
    })
}

fn one_connection(port: u16, client: &Arc<ClientConfig>, review: &str) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(session, stream));
    let head = format!(
        "POST /validate?timeout=3s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        review.len()
    );
    let mut request = head.into_bytes();
    request.extend_from_slice(review.as_bytes());
    let (mut line, mut body) = (String::new(), Vec::new());
    for _ in 0..REQUESTS {
        stream.get_mut().write_all(&request)?;
        let mut length = 0;
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        if !String::from_utf8_lossy(&body).contains("\"allowed\":true") {
            return Err(io::Error::other("the review was not admitted"));
        }
    }
    Ok(())
}

/// Bytes and lines of a stream's decisions.
fn written(folder: &Path) -> io::Result<(usize, usize)> {
    let (mut bytes, mut events) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            for line in fs::read_to_string(path)?.lines().filter(|line| line.contains("\"decision\":\"allow\"")) {
                (bytes, events) = (bytes + line.len() + 1, events + 1);
            }
        }
    }
    Ok((bytes, events))
}
