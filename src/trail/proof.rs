//! The proof that a trail is what was written: chained hashes, signed checkpoints, and their verification.

pub(in crate::trail) mod chain;
pub(in crate::trail) mod checkpoint;
mod key;
mod link;
mod verify;

pub use chain::Chain;
pub use key::{KeyError, Signer, Verifier};
pub(in crate::trail) use link::Link;
pub use verify::{Fault, Report, Stream as StreamReport, Verification, verify};
