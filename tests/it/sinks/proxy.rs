//! A proxy between a sink and the other end that breaks connections, each as a plan says.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Treatment of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It is passed on.
    Pass,
    /// It is closed at once.
    Refuse,
    /// It breaks after so many bytes of the request.
    CutRequest(usize),
    /// The request is passed on; its answer never comes back.
    LoseAnswer,
    /// The request is read, and answered with this.
    Answer(&'static str),
}

/// A proxy, and how many connections it has seen.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens, and treats each connection, numbered from 0, as planned.
    pub(crate) fn new(behind: SocketAddr, plan: impl Fn(usize) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (seen, is_over, plan) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(plan));
        let (counted, ended) = (Arc::clone(&seen), Arc::clone(&is_over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let fate = plan(counted.fetch_add(1, Ordering::SeqCst));
                std::thread::spawn(move || drop(treat(stream, behind, fate)));
            }
        });
        Self { address, seen, is_over }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn treat(mut client: TcpStream, behind: SocketAddr, fate: Fate) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_mins(1)))?;
    match fate {
        Fate::Refuse => client.shutdown(Shutdown::Both),
        Fate::Answer(answer) => {
            read_request(&mut client)?;
            client.write_all(answer.as_bytes())
        }
        Fate::CutRequest(bytes) => {
            let mut server = TcpStream::connect(behind)?;
            let mut buffer = vec![0; bytes];
            let mut count = 0;
            // A request that is shorter breaks at its end.
            client.set_read_timeout(Some(Duration::from_millis(300)))?;
            while count < bytes {
                match client.read(&mut buffer[count..]) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => count += read,
                }
            }
            server.write_all(&buffer[..count])?;
            server.shutdown(Shutdown::Both)?;
            client.shutdown(Shutdown::Both)
        }
        Fate::Pass | Fate::LoseAnswer => {
            let mut server = TcpStream::connect(behind)?;
            let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
            let sending = std::thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            if matches!(fate, Fate::Pass) {
                let _ = io::copy(&mut server, &mut client);
            } else {
                let _ = io::copy(&mut server, &mut io::sink());
            }
            client.shutdown(Shutdown::Both)?;
            let _ = sending.join();
            Ok(())
        }
    }
}

/// Reads a request with its body, so that the answer is read and not a reset.
fn read_request(client: &mut TcpStream) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    io::copy(&mut client.take(length.unwrap_or(0)), &mut io::sink()).map(drop)
}
