//! What is set, where, and what never is.

mod bound;
mod fixtures;
mod modes;
mod places;
mod taken_back;
