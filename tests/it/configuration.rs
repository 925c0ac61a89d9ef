//! The configuration file: what it means, and every error in it at once.

mod defaults;
mod errors;
mod meaning;
mod raised;
mod trail;
mod weaker;
mod workloads;
