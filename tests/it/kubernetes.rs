//! Portcullis in front of a real API server: what is stored, what is refused, and what the user is told.
//!
//! One control plane serves all tests of a process, each in a namespace of its own with a Portcullis of its own, whose
//! webhooks match that namespace alone; tests that restart the API server, or storm it, have others.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod annotations;
pub(crate) mod backstop;
mod break_glass;
pub(crate) mod client;
mod completed;
mod custom_kinds;
mod defaults;
mod demo;
pub(crate) mod discovery;
mod environment_settings;
mod existing;
mod exposure;
mod fields;
mod generate;
mod hardened_tmp;
mod house;
mod interactive;
mod isolation;
mod joined;
mod labelled;
mod labels;
mod large;
mod last_policy;
mod latecomers;
mod leak;
mod literal_secrets;
mod modes;
mod namespaces;
mod network_policies;
pub(crate) mod objects;
mod offenders;
mod openapi;
mod outage;
mod owners;
mod ownership;
mod plaintext;
mod plaintext_connections;
pub(crate) mod plane;
pub(crate) mod policy_kinds;
mod privileged;
pub(crate) mod process;
mod raised;
mod reflectors;
mod requires;
mod restart;
mod rewritten;
mod rollouts;
mod scan;
mod sets;
pub(crate) mod space;
pub(crate) mod storm;
mod subresources;
mod tokens;
mod tokens_and_secrets;
mod updates;
mod validators;
mod version;
mod writers;

use std::time::{Duration, Instant};

/// The most that anything here is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Looks again and again until there is something to see; panics when that takes too long.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}
