//! The integration tests: one binary, because each extra one links the client libraries again.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::format_collect, reason = "a test may be slow where it reads well")]

mod bad;
mod bad_reviews;
mod bad_wire;
mod catalogue;
mod cli;
mod configuration;
mod corpora;
mod defaults;
mod deploy;
mod failures;
mod fixtures;
mod golden;
mod isolation;
mod judging;
mod kubernetes;
mod pages;
mod policies;
mod properties;
mod serve;
mod server_admin;
mod server_certificates;
mod server_defaults;
mod server_drain;
mod server_load;
mod server_reload;
mod server_requests;
mod server_tls;
mod sources;
mod trail_courier;
mod trail_disk;
mod trail_event;
mod trail_file;
mod trail_forged;
mod trail_full;
mod trail_keys;
mod trail_kill;
mod trail_room;
mod trail_spool;
mod trail_tamper;
mod trail_torn;
mod updates;
