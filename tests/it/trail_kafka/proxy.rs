//! A way to a broker that can be cut at any byte, or made to lose what comes back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Passes connections on.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Address that connections lead to, once it is known.
    target: Mutex<Option<SocketAddr>>,
    connections: Mutex<Vec<TcpStream>>,
    /// Bytes towards the broker until everything is cut; nothing is, at zero.
    left: AtomicI64,
    is_deaf: AtomicBool,
    cuts: AtomicU64,
    lost: AtomicU64,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        // Ends with the process, as do those that it starts.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let target = *held(&shared.target);
                if let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    shared.join(&near, &far);
                }
            }
        });
        Self { address, state }
    }

    /// Leads to `target` from now on.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *held(&self.state.target) = Some(target);
    }

    /// Cuts every connection once that many bytes more were passed to the broker.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Number of cuts by `cut_after`.
    pub(crate) fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// Loses all that comes back, until connections are cut.
    pub(crate) fn lose_answers(&self) {
        self.state.lost.store(0, Ordering::SeqCst);
        self.state.is_deaf.store(true, Ordering::SeqCst);
    }

    /// Bytes that were lost since then.
    pub(crate) fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::SeqCst)
    }

    /// Cuts every connection, now.
    pub(crate) fn cut(&self) {
        self.state.cut();
    }
}

impl State {
    fn join(self: &Arc<Self>, near: &TcpStream, far: &TcpStream) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
        held(&self.connections).extend([copy(near), copy(far)]);
        for is_upwards in [true, false] {
            let (mut from, mut to) = if is_upwards { (copy(near), copy(far)) } else { (copy(far), copy(near)) };
            let state = Arc::clone(self);
            std::thread::spawn(move || {
                let mut bytes = [0; 4_096];
                while let Ok(count @ 1..) = from.read(&mut bytes) {
                    let passed = if is_upwards { state.spend(count) } else { state.hear(count) };
                    if to.write_all(&bytes[..passed]).is_err() {
                        break;
                    }
                    if is_upwards && passed < count {
                        state.cuts.fetch_add(1, Ordering::SeqCst);
                        state.cut();
                    }
                }
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    /// Number of bytes that may pass to the broker. If fewer than `count`, the rest and every connection are lost.
    fn spend(&self, count: usize) -> usize {
        let count = i64::try_from(count).expect("a small number");
        let before = self.left.load(Ordering::SeqCst);
        let passed = if before == 0 || before > count { count } else { before - 1 };
        self.left.store(if before == 0 || passed < count { 0 } else { before - count }, Ordering::SeqCst);
        usize::try_from(passed).expect("no negative number")
    }

    /// Number of bytes that come back.
    fn hear(&self, count: usize) -> usize {
        if !self.is_deaf.load(Ordering::SeqCst) {
            return count;
        }
        self.lost.fetch_add(count as u64, Ordering::SeqCst);
        0
    }

    fn cut(&self) {
        for connection in held(&self.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.is_deaf.store(false, Ordering::SeqCst);
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
