//! A way to a server that breaks: each connection is cut after a number of bytes that a seed decides, or, after so many
//! that were sent, before the next answer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Connections that are still to be cut.
    left: AtomicU32,
    cut: AtomicU32,
    is_over: AtomicBool,
}

impl Proxy {
    /// One that cuts the first `cuts` connections to `port`.
    pub(crate) fn start(port: u16, seed: u64, cuts: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared =
            Arc::new(Shared { left: AtomicU32::new(cuts), cut: AtomicU32::new(0), is_over: AtomicBool::new(false) });
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut state = seed;
            for stream in listener.incoming() {
                if kept.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(near) = stream else { continue };
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let is_cut =
                    kept.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
                state = next(state);
                // Some in the handshake, some in the midst of a batch, and some when the server has done what was asked
                // and nobody will know.
                let most = if state.is_multiple_of(4) { 8_000 } else { 2_500_000 };
                let bytes = if is_cut { i64::try_from(next(state) % most).expect("small") } else { i64::MAX };
                join(near, far, bytes, state % 4 > 1, &kept);
            }
        });
        Self { address, shared }
    }

    /// Number of connections that were cut.
    pub(crate) fn cut(&self) -> u32 {
        self.shared.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // The listener waits for one more.
        let _ = TcpStream::connect(self.address);
    }
}

/// Splitmix.
fn next(state: u64) -> u64 {
    let mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Carries both ways until one ends or the bytes are spent.
fn join(near: TcpStream, far: TcpStream, bytes: i64, before_answer: bool, shared: &Arc<Shared>) {
    let left = Arc::new(AtomicI64::new(bytes));
    let ways = [(near.try_clone(), far.try_clone(), false), (far.try_clone(), near.try_clone(), true)];
    for (from, to, is_answer) in ways {
        let (Ok(mut from), Ok(mut to)) = (from, to) else { continue };
        let (left, shared) = (Arc::clone(&left), Arc::clone(shared));
        std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let size = i64::try_from(count).expect("small");
                let counted = if before_answer && is_answer { 0 } else { size };
                let before = left.fetch_sub(counted, Ordering::Relaxed);
                let is_spent = if before_answer { is_answer && before <= 0 } else { before < size };
                let sent = match (is_spent, before_answer) {
                    (false, _) => count,
                    (true, true) => 0,
                    (true, false) => usize::try_from(before.max(0)).expect("small"),
                };
                let is_written = to.write_all(&buffer[..sent]).is_ok();
                if is_spent && (before_answer || before >= 0) {
                    shared.cut.fetch_add(1, Ordering::Relaxed);
                }
                if is_spent || !is_written {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
