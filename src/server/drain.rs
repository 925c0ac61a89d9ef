//! The end of a server, in phases.

use std::time::Duration;

use tokio::sync::watch;

/// Phase of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// Not ready any more, but connections are still accepted: clients learn of it with a delay. HTTP/1.1 answers carry
    /// `Connection: close`; HTTP/2 connections get a GOAWAY.
    Draining,
    /// Nothing new; what runs may finish.
    Closing,
}

/// Tells everyone how far the end has come.
#[derive(Clone)]
pub struct Drain(watch::Sender<Phase>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }
}

impl Drain {
    /// Phase of the shutdown.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits for a phase.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Begins the end: from now on the server is not ready.
    pub fn begin(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Ends the first quarter of `grace`, in which connections are still accepted; the rest is for what runs.
    pub async fn close(&self, grace: Duration) {
        tokio::time::sleep(grace / 4).await;
        self.0.send_replace(Phase::Closing);
    }
}
