//! Fresh connections, one after the other, that trust what the webhook configurations say at that moment: each must succeed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::program::{Program, post};
use super::super::{WEBHOOKS, trusted};
use crate::kubernetes::plane::Plane;
use crate::serve::{good_pod, review};

/// A connection that takes longer than this after `caBundle` was read may find another certificate: it proves nothing.
const FRESH: Duration = Duration::from_millis(1_500);
/// Time between two connections: others need the processor too.
const PAUSE: Duration = Duration::from_millis(50);

/// Ends the connections when it is dropped, so that a test that fails meanwhile ends too.
pub(super) struct Ending<'o>(pub(super) &'o AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connects to these replicas in turn until it is over. Returns how often.
pub(super) fn connect(plane: &Plane, replicas: &[Program], over: &AtomicBool) -> usize {
    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.addresses().0).collect();
    connect_to(plane, &addresses, over)
}

/// The same, by their addresses.
pub(super) fn connect_to(plane: &Plane, addresses: &[SocketAddr], over: &AtomicBool) -> usize {
    let mut made = 0;
    while !over.load(Ordering::Relaxed) {
        for (at, address) in addresses.iter().enumerate() {
            let protocol = if (made + at) % 2 == 0 { "--http1.1" } else { "--http2" };
            let (resource, since) = (WEBHOOKS[made / 2 % 2], Instant::now());
            let ca = trusted(plane, resource).expect("one caBundle for all webhooks");
            let answer = post(*address, &ca, &review("fresh", "shop", &good_pod()), protocol);
            let is_trusted = answer.is_some_and(|answer| answer["response"]["uid"] == "fresh");
            assert!(
                is_trusted || since.elapsed() >= FRESH,
                "{resource} trusts this, and replica {at} serves something else after {made} connections: {ca}"
            );
            made += 1;
        }
        std::thread::sleep(PAUSE);
    }
    made
}
