//! What is set, where, and what never is.

mod fixtures;
mod modes;
mod places;
