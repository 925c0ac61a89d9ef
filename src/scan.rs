//! Objects judged as if they were created now: manifests, and what a cluster holds.

mod completed;
mod judge;
pub(crate) mod template;
mod type_errors;

pub use judge::{Bench, Identity, Judgement, Origin, Undecided, Written};
