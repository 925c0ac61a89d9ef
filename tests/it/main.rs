//! The integration tests: one binary, because each extra one links the client libraries again.

#![expect(clippy::expect_used, reason = "a test ends where something is not as it must be")]

mod catalogue;
mod cli;
mod configuration;
mod failures;
mod fixtures;
mod golden;
mod judging;
mod pages;
mod policies;
mod properties;
mod sources;
mod updates;
