//! The integration tests: one binary, because each extra one links the client libraries again.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad;
mod bad_reviews;
mod bad_wire;
mod catalogue;
mod cli;
mod configuration;
mod failures;
mod fixtures;
mod golden;
mod judging;
mod kubernetes;
mod pages;
mod policies;
mod properties;
mod serve;
mod server_certificates;
mod server_defaults;
mod server_load;
mod server_reload;
mod server_requests;
mod server_tls;
mod sources;
mod updates;
