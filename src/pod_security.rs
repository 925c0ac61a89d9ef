//! The Pod Security Standards: versions, levels, and the labels by which namespaces ask for them.

mod labels;
mod level;
mod version;

pub use labels::{Demand, PREFIX, demands};
pub use level::Level;
pub use version::{Version, VersionError};
