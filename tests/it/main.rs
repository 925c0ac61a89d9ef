//! The integration tests: one binary, because each extra one links the client libraries again.

mod catalogue;
mod fixtures;
mod golden;
mod judging;
mod pages;
mod policies;
mod sources;
