//! The integration tests: one binary, because each extra one links the client libraries again.

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
