//! Objects judged as if they were created now: manifests, and what a cluster holds.
//!
//! [`Bench::judge`] judges one object, whatever it comes from. [`each`] lists a kind of a cluster a page at a time,
//! [`Known`] holds the facts that policies ask for, [`Owners`] attributes an object to its owner and team, and [`Tally`]
//! counts.

mod baseline;
mod completed;
mod judge;
mod kinds;
mod list;
mod owners;
mod references;
mod tally;
pub(crate) mod template;
mod type_errors;
mod world;

pub use baseline::{Baseline, Entry, Matched, Terms, Uncoverable};
pub use judge::{Bench, Identity, Judgement, Origin, Undecided, Written};
pub use kinds::{Listed, Served, served};
pub use list::{ListError, PAGE, Visitor, each};
pub use owners::world;
pub use references::{Owners, References, TeamKeys};
pub use tally::{Count, Effect, Example, Excepted, Group, Judged, OwnerFindings, Tally};
pub use world::Known;
