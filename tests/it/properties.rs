//! Properties: what holds for every image reference, every pod, and whatever else is sent in their place.

mod baseline;
mod images;
mod objects;
mod oracle;
mod partition;
mod patches;
mod rewritten;
